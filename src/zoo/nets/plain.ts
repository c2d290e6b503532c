// Chains without shortcuts: AlexNet (Krizhevsky 2014, one column), VGG-16 (Simonyan and Zisserman 2015), SqueezeNet (Iandola et
// al. 2016), DS-CNN (Zhang et al. 2017, as in MLPerf Tiny).

import type { Graph, ValueId } from '../../ir/types.ts'
import type { Net } from '../net.ts'

export function alexnet(n: Net, size: number): Graph {
  const conv = (
    x: ValueId,
    filters: number,
    kernel: number,
    stride = 1,
    pad = Math.floor(kernel / 2),
  ): ValueId => n.act(n.conv(x, filters, kernel, { stride, pad, bias: true }))
  let x = conv(n.image(3, size), 64, 11, 4, 2)
  x = n.pool('max', x, 3, 2)
  x = n.pool('max', conv(x, 192, 5), 3, 2)
  x = conv(conv(conv(x, 384, 3), 256, 3), 256, 3)
  x = n.flatten(n.pool('max', x, 3, 2))
  x = n.act(n.dense(x, 4096))
  x = n.act(n.dense(x, 4096))
  return n.finish(n.dense(x, 1000, 1))
}

export function vgg16(n: Net, size: number): Graph {
  let x = n.image(3, size)
  for (const [count, filters] of [
    [2, 64],
    [2, 128],
    [3, 256],
    [3, 512],
    [3, 512],
  ] as const) {
    for (let i = 0; i < count; i++) x = n.act(n.conv(x, filters, 3, { bias: true }))
    x = n.pool('max', x, 2, 2)
  }
  x = n.act(n.dense(n.flatten(x), 4096))
  x = n.act(n.dense(x, 4096))
  return n.finish(n.dense(x, 1000, 1))
}

/** A 1×1 convolution squeezes, a 1×1 and a 3×3 beside each other expand. */
function fire(n: Net, x: ValueId, squeeze: number, expand: number): ValueId {
  const o = { bias: true } as const
  const s = n.act(n.conv(x, squeeze, 1, o))
  return n.concat([n.act(n.conv(s, expand, 1, o)), n.act(n.conv(s, expand, 3, o))])
}

/** SqueezeNet 1.1 of the authors' repository: 2.4 times less work than 1.0 at the same accuracy. */
export const squeezenet =
  (version: '1.0' | '1.1') =>
  (n: Net, size: number): Graph => {
    const first = version === '1.0' ? ([96, 7] as const) : ([64, 3] as const)
    let x = n.act(n.conv(n.image(3, size), first[0], first[1], { stride: 2, pad: 0, bias: true }))
    const pooled = (v: ValueId): ValueId => n.pool('max', v, 3, 2, 0, { ceil: true })
    const widths = [
      [16, 64],
      [16, 64],
      [32, 128],
      [32, 128],
      [48, 192],
      [48, 192],
      [64, 256],
      [64, 256],
    ] as const
    const poolsBefore = version === '1.0' ? [0, 3, 7] : [0, 2, 4]
    widths.forEach(([s, e], i) => {
      if (poolsBefore.includes(i)) x = pooled(x)
      x = fire(n, x, s, e)
    })
    x = n.act(n.conv(x, 1000, 1, { bias: true }))
    return n.finish(n.mean(x))
  }

/** Keyword spotting from 49 frames of 10 cepstral coefficients. */
export function dsCnn(n: Net, _size: number): Graph {
  const o = { bias: true, epsilon: 1e-3 } as const
  // 'same' padding of a 10×4 window with stride 2 over 49 × 10.
  let x = n.unit(n.image(1, 49, 10), 64, [10, 4], { ...o, stride: 2, pad: [4, 1, 5, 1] })
  for (let i = 0; i < 4; i++) {
    x = n.unit(x, 64, 3, { ...o, groups: 64 })
    x = n.unit(x, 64, 1, o)
  }
  return n.finish(n.softmax(n.dense(n.mean(x), 12, 1)))
}
