// Residual networks: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; ResNet-8 as in MLPerf Tiny (2021).

import type { Graph, ValueId } from '../../ir/types.ts'
import type { Net } from '../net.ts'

/** Two 3×3 convolutions beside the input, or its projection. */
function basic(n: Net, x: ValueId, filters: number, stride: number): ValueId {
  const a = n.unit(x, filters, 3, { stride })
  const b = n.unit(a, filters, 3, { act: 'none' })
  const beside = stride !== 1 || n.dim(x, 1) !== filters ? n.unit(x, filters, 1, { stride, act: 'none' }) : x
  return n.act(n.add(b, beside))
}

/** 1×1, 3×3 (which has the stride, as torchvision has it), 1×1 to four times the filters. */
function bottleneck(n: Net, x: ValueId, filters: number, stride: number): ValueId {
  const a = n.unit(x, filters, 1)
  const b = n.unit(a, filters, 3, { stride })
  const c = n.unit(b, 4 * filters, 1, { act: 'none' })
  const beside =
    stride !== 1 || n.dim(x, 1) !== 4 * filters ? n.unit(x, 4 * filters, 1, { stride, act: 'none' }) : x
  return n.act(n.add(c, beside))
}

/** ResNet-18 to -152 for ImageNet. */
export const resnet =
  (blocks: readonly number[], deep: boolean) =>
  (n: Net, size: number): Graph => {
    let x = n.unit(n.image(3, size), 64, 7, { stride: 2 })
    x = n.pool('max', x, 3, 2, 1)
    blocks.forEach((count, stage) => {
      for (let i = 0; i < count; i++) {
        const stride = stage > 0 && i === 0 ? 2 : 1
        x = (deep ? bottleneck : basic)(n, x, 64 * 2 ** stage, stride)
      }
    })
    return n.finish(n.dense(n.mean(x), 1000, 1))
  }

/** ResNet-32 for CIFAR-10: shortcuts drop every second pixel and pad the channels with zeros (option A). */
export function resnet32(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 16, 3)
  for (const [stage, filters] of [16, 32, 64].entries()) {
    for (let i = 0; i < 5; i++) {
      const down = stage > 0 && i === 0
      const a = n.unit(x, filters, 3, { stride: down ? 2 : 1 })
      const b = n.unit(a, filters, 3, { act: 'none' })
      let beside = x
      if (down) {
        const all = 2 ** 31 - 1
        const before = n.s.enter(`shortcut${stage}`)
        const every = n.s.slices(x, [
          { axis: 2, start: 0, end: all, step: 2 },
          { axis: 3, start: 0, end: all, step: 2 },
        ])
        beside = n.s.pad(every, [0, filters / 4, 0, 0, 0, filters / 4, 0, 0], undefined, 'constant', 'pad')
        n.s.enter(before)
      }
      x = n.act(n.add(b, beside))
    }
  }
  return n.finish(n.dense(n.mean(x), 10, 1))
}

/** ResNet-8 of MLPerf Tiny: three stages of one block; convolutions have biases. */
export function resnet8(n: Net, size: number): Graph {
  let x = n.unit(n.image(3, size), 16, 3, { bias: true, epsilon: 1e-3 })
  for (const [stage, filters] of [16, 32, 64].entries()) {
    // TensorFlow's 'same' padding of a 3×3 window with stride 2 over an even size lies at the end.
    const down = stage > 0
    const o = { bias: true, epsilon: 1e-3 } as const
    const a = n.unit(x, filters, 3, { ...o, ...(down && { stride: 2, pad: [0, 0, 1, 1] }) })
    const b = n.unit(a, filters, 3, { ...o, act: 'none' })
    const beside = down ? n.conv(x, filters, 1, { stride: 2, pad: 0, bias: true }) : x
    x = n.act(n.add(b, beside))
  }
  return n.finish(n.softmax(n.dense(n.mean(x), 10, 1)))
}
