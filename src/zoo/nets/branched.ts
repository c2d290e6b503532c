// Networks of many branches: BN-Inception (Ioffe and Szegedy 2015, "Inception V2"), Inception V3 (Szegedy et al. 2016),
// DenseNet (Huang et al. 2017), U-Net (Ronneberger et al. 2015, with batch normalisation).

import type { Graph, ValueId } from '../../ir/types.ts'
import type { ConvOptions, Net } from '../net.ts'

const small = { epsilon: 1e-3 } as const

/** One block of BN-Inception; a width of 0 leaves that branch out, a stride of 2 leaves out the 1×1 and passes the pool. */
function inceptionA(
  n: Net,
  x: ValueId,
  one: number,
  [r3, three]: readonly [number, number],
  [rd, double]: readonly [number, number],
  pool: 'max' | 'average',
  projection: number,
  stride = 1,
): ValueId {
  const unit = (v: ValueId, f: number, k: number, s = 1): ValueId =>
    n.unit(v, f, k, { bias: true, stride: s })
  const parts: ValueId[] = []
  if (one) parts.push(unit(x, one, 1))
  parts.push(unit(unit(x, r3, 1), three, 3, stride))
  parts.push(unit(unit(unit(x, rd, 1), double, 3), double, 3, stride))
  const pooled =
    stride === 2
      ? n.pool('max', x, 3, 2, 0, { ceil: true })
      : n.pool(pool, x, 3, 1, 1, pool === 'average' ? { countIncludePad: true } : {})
  parts.push(projection ? unit(pooled, projection, 1) : pooled)
  return n.concat(parts)
}

export function inceptionV2(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 64, 7, { stride: 2, bias: true })
  x = n.pool('max', x, 3, 2, 0, { ceil: true })
  x = n.unit(n.unit(x, 64, 1, { bias: true }), 192, 3, { bias: true })
  x = n.pool('max', x, 3, 2, 0, { ceil: true })
  x = inceptionA(n, x, 64, [64, 64], [64, 96], 'average', 32)
  x = inceptionA(n, x, 64, [64, 96], [64, 96], 'average', 64)
  x = inceptionA(n, x, 0, [128, 160], [64, 96], 'max', 0, 2)
  x = inceptionA(n, x, 224, [64, 96], [96, 128], 'average', 128)
  x = inceptionA(n, x, 192, [96, 128], [96, 128], 'average', 128)
  x = inceptionA(n, x, 160, [128, 160], [128, 160], 'average', 128)
  x = inceptionA(n, x, 96, [128, 192], [160, 192], 'average', 128)
  x = inceptionA(n, x, 0, [128, 192], [192, 256], 'max', 0, 2)
  x = inceptionA(n, x, 352, [192, 320], [160, 224], 'average', 128)
  x = inceptionA(n, x, 352, [192, 320], [192, 224], 'max', 128)
  return n.finish(n.dense(n.mean(x), 1000, 1))
}

export function inceptionV3(n: Net, size: number): Graph {
  const unit = (v: ValueId, f: number, k: number | readonly number[], o: ConvOptions = {}): ValueId =>
    n.unit(v, f, k, { ...small, ...o })
  const average = (v: ValueId): ValueId => n.pool('average', v, 3, 1, 1, { countIncludePad: true })
  let x = unit(n.image(3, size), 32, 3, { stride: 2, pad: 0 })
  x = unit(unit(x, 32, 3, { pad: 0 }), 64, 3)
  x = n.pool('max', x, 3, 2)
  x = unit(unit(x, 80, 1), 192, 3, { pad: 0 })
  x = n.pool('max', x, 3, 2)
  for (const pool of [32, 64, 64]) {
    x = n.concat([
      unit(x, 64, 1),
      unit(unit(x, 48, 1), 64, 5),
      unit(unit(unit(x, 64, 1), 96, 3), 96, 3),
      unit(average(x), pool, 1),
    ])
  }
  x = n.concat([
    unit(x, 384, 3, { stride: 2, pad: 0 }),
    unit(unit(unit(x, 64, 1), 96, 3), 96, 3, { stride: 2, pad: 0 }),
    n.pool('max', x, 3, 2),
  ])
  const [across, down] = [
    [1, 7],
    [7, 1],
  ] as const
  for (const c of [128, 160, 160, 192]) {
    const double = unit(unit(unit(unit(unit(x, c, 1), c, down), c, across), c, down), 192, across)
    x = n.concat([
      unit(x, 192, 1),
      unit(unit(unit(x, c, 1), c, across), 192, down),
      double,
      unit(average(x), 192, 1),
    ])
  }
  x = n.concat([
    unit(unit(x, 192, 1), 320, 3, { stride: 2, pad: 0 }),
    unit(unit(unit(unit(x, 192, 1), 192, across), 192, down), 192, 3, { stride: 2, pad: 0 }),
    n.pool('max', x, 3, 2),
  ])
  for (let i = 0; i < 2; i++) {
    const three = unit(x, 384, 1)
    const double = unit(unit(x, 448, 1), 384, 3)
    const forked = (v: ValueId): ValueId => n.concat([unit(v, 384, [1, 3]), unit(v, 384, [3, 1])])
    x = n.concat([unit(x, 320, 1), forked(three), forked(double), unit(average(x), 192, 1)])
  }
  return n.finish(n.dense(n.mean(x), 1000, 1))
}

/** Every layer sees all layers before it. */
export const densenet =
  (growth: number, first: number, blocks: readonly number[]) =>
  (n: Net, size: number): Graph => {
    let x = n.unit(n.image(3, size), first, 7, { stride: 2 })
    x = n.pool('max', x, 3, 2, 1)
    blocks.forEach((layers, i) => {
      const parts = [x]
      for (let l = 0; l < layers; l++) {
        const all = parts.length === 1 ? parts[0]! : n.concat(parts)
        const narrow = n.conv(n.act(n.norm(all)), 4 * growth, 1)
        parts.push(n.conv(n.act(n.norm(narrow)), growth, 3))
      }
      x = n.act(n.norm(n.concat(parts)))
      if (i < blocks.length - 1) x = n.pool('average', n.conv(x, n.dim(x, 1) / 2, 1), 2, 2)
    })
    return n.finish(n.dense(n.mean(x), 1000, 1))
  }

/** U-Net with padded convolutions and batch normalisation; transposed convolutions lead up. Two classes a pixel. */
export function unet(n: Net, size: number): Graph {
  const double = (v: ValueId, filters: number): ValueId => n.unit(n.unit(v, filters, 3), filters, 3)
  const skips: ValueId[] = []
  let x = double(n.image(3, size), 64)
  for (const filters of [128, 256, 512, 1024]) {
    skips.push(x)
    x = double(n.pool('max', x, 2, 2), filters)
  }
  for (const filters of [512, 256, 128, 64]) {
    const before = n.s.enter(`up${filters}`)
    const channels = n.dim(x, 1)
    const w = n.weight(`up${filters}/weight`, [channels, filters, 2, 2], Math.sqrt(2 / channels))
    x = n.s.node('convTranspose2d', [x, w, n.filled(`up${filters}/bias`, [filters], 0)], { strides: [2, 2] })
    n.s.enter(before)
    x = double(n.concat([skips.pop()!, x]), filters)
  }
  return n.finish(n.conv(x, 2, 1, { bias: true }))
}
