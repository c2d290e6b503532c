// Networks for phones: MobileNetV1 (Howard et al. 2017), MobileNetV2 (Sandler et al. 2018), ShuffleNetV2 (Ma et al. 2018),
// EfficientNet-B0 (Tan and Le 2019) and -Lite4 (Google 2020).

import type { Graph, ValueId } from '../../ir/types.ts'
import type { Act, Net } from '../net.ts'

export function mobilenetV1(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 32, 3, { stride: 2, act: 'relu6' })
  for (const [filters, stride] of [
    [64, 1],
    [128, 2],
    [128, 1],
    [256, 2],
    [256, 1],
    [512, 2],
    [512, 1],
    [512, 1],
    [512, 1],
    [512, 1],
    [512, 1],
    [1024, 2],
    [1024, 1],
  ] as const) {
    x = n.unit(x, n.dim(x, 1), 3, { stride, groups: n.dim(x, 1), act: 'relu6' })
    x = n.unit(x, filters, 1, { act: 'relu6' })
  }
  return n.finish(n.dense(n.mean(x), 1000, 1))
}

type Inverted = {
  readonly expand: number
  readonly filters: number
  readonly stride: number
  readonly kernel?: number
  readonly act: Act
  /** Channels of the squeeze-and-excitation; 0 for none. */
  readonly squeeze?: number
  readonly epsilon?: number
}

/** Widens by 1×1, convolves each channel, narrows by 1×1; the input is added where shapes allow. */
function inverted(n: Net, x: ValueId, o: Inverted): ValueId {
  const channels = n.dim(x, 1)
  const wide = channels * o.expand
  const epsilon = o.epsilon === undefined ? {} : { epsilon: o.epsilon }
  let y = o.expand === 1 ? x : n.unit(x, wide, 1, { act: o.act, ...epsilon })
  y = n.unit(y, wide, o.kernel ?? 3, { stride: o.stride, groups: wide, act: o.act, ...epsilon })
  if (o.squeeze) {
    const pooled = n.mean(y, true)
    const s = n.act(n.conv(pooled, o.squeeze, 1, { bias: true }), 'silu')
    const before = n.s.enter(`${n.s.b.nameOf(s)}/gate`)
    const gate = n.s.node('sigmoid', [n.conv(s, wide, 1, { bias: true })])
    y = n.s.node('mul', [y, gate], {}, 'mul')
    n.s.enter(before)
  }
  y = n.unit(y, o.filters, 1, { act: 'none', ...epsilon })
  return o.stride === 1 && channels === o.filters ? n.add(x, y) : y
}

export function mobilenetV2(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 32, 3, { stride: 2, act: 'relu6' })
  for (const [expand, filters, count, stride] of [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ] as const) {
    for (let i = 0; i < count; i++)
      x = inverted(n, x, { expand, filters, stride: i === 0 ? stride : 1, act: 'relu6' })
  }
  x = n.unit(x, 1280, 1, { act: 'relu6' })
  return n.finish(n.dense(n.mean(x), 1000, 1))
}

/** The stages of EfficientNet-B0: expansion, filters, blocks, stride, kernel. */
const stages = [
  [1, 16, 1, 1, 3],
  [6, 24, 2, 2, 3],
  [6, 40, 2, 2, 5],
  [6, 80, 3, 2, 3],
  [6, 112, 3, 1, 5],
  [6, 192, 4, 2, 5],
  [6, 320, 1, 1, 3],
] as const

export function efficientnetB0(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 32, 3, { stride: 2, act: 'silu', epsilon: 1e-3 })
  for (const [expand, filters, count, stride, kernel] of stages) {
    for (let i = 0; i < count; i++) {
      const squeeze = Math.max(1, Math.floor(n.dim(x, 1) / 4))
      x = inverted(n, x, {
        expand,
        filters,
        stride: i === 0 ? stride : 1,
        kernel,
        act: 'silu',
        squeeze,
        epsilon: 1e-3,
      })
    }
  }
  x = n.unit(x, 1280, 1, { act: 'silu', epsilon: 1e-3 })
  return n.finish(n.dense(n.mean(x), 1000, 1))
}

/** The nearest multiple of 8 that loses no more than a tenth. */
function rounded(filters: number): number {
  const n = Math.max(8, Math.floor((filters + 4) / 8) * 8)
  return n < 0.9 * filters ? n + 8 : n
}

/** Lite: no squeeze-and-excitation, relu6, the first and last layers not scaled. Width 1.4, depth 1.8. */
export function efficientnetLite4(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 32, 3, { stride: 2, act: 'relu6', epsilon: 1e-3 })
  stages.forEach(([expand, filters, count, stride, kernel], stage) => {
    const end = stage === 0 || stage === stages.length - 1
    const blocks = end ? count : Math.ceil(count * 1.8)
    for (let i = 0; i < blocks; i++) {
      x = inverted(n, x, {
        expand,
        filters: rounded(filters * 1.4),
        stride: i === 0 ? stride : 1,
        kernel,
        act: 'relu6',
        epsilon: 1e-3,
      })
    }
  })
  x = n.unit(x, 1280, 1, { act: 'relu6', epsilon: 1e-3 })
  return n.finish(n.dense(n.mean(x), 1000, 1))
}

/** Two groups of channels dealt out in turn. */
function shuffled(n: Net, x: ValueId, name: string): ValueId {
  const [c, h, w] = [n.dim(x, 1), n.dim(x, 2), n.dim(x, 3)]
  const before = n.s.enter(name)
  const split = n.s.reshape(x, [0, 2, c / 2, h, w], 'split')
  const out = n.s.reshape(n.s.transpose(split, [0, 2, 1, 3, 4], 'transpose'), [0, c, h, w])
  n.s.enter(before)
  return out
}

export function shufflenetV2(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 24, 3, { stride: 2 })
  x = n.pool('max', x, 3, 2, 1)
  const branch = (v: ValueId, width: number, stride: number): ValueId => {
    const a = n.unit(v, width, 1)
    const b = n.unit(a, width, 3, { stride, groups: width, act: 'none' })
    return n.unit(b, width, 1)
  }
  for (const [stage, [count, filters]] of (
    [
      [4, 116],
      [8, 232],
      [4, 464],
    ] as const
  ).entries()) {
    const half = filters / 2
    for (let i = 0; i < count; i++) {
      const name = `shuffle${stage + 1}_${i + 1}`
      if (i === 0) {
        const channels = n.dim(x, 1)
        const side = n.unit(x, channels, 3, { stride: 2, groups: channels, act: 'none' })
        x = n.concat([n.unit(side, half, 1), branch(x, half, 2)])
      } else {
        const before = n.s.enter(`${name}/split`)
        const [left, right] = n.s.nodes('split', [x], { axis: 1 }, 2)
        n.s.enter(before)
        x = n.concat([left!, branch(right!, half, 1)])
      }
      x = shuffled(n, x, name)
    }
  }
  x = n.unit(x, 1024, 1)
  return n.finish(n.dense(n.mean(x), 1000, 1))
}
