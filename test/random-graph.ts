// Small random networks for property tests: every node fits the one before, and the same seed gives the same graph.

import { type Rng, rng } from '../src/core/rng.ts'
import { sizeOf, type Tensor, tensorOf } from '../src/core/tensor.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { type Graph, type TensorType, tensorType, type ValueId } from '../src/ir/types.ts'

const normal = (r: Rng, shape: readonly number[], scale = 0.5): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: sizeOf(shape) }, () => r.normal() * scale),
  )

const unary = [
  'relu',
  'tanh',
  'sigmoid',
  'neg',
  'abs',
  'exp',
  'softplus',
  'hardSwish',
  'erf',
  'square',
] as const
const binary = ['add', 'sub', 'mul', 'max', 'min'] as const

/** An image network of `length` steps on [1, C, H, W]: convolutions (plain, strided, depthwise, padded), batch norms, branches. */
export function randomGraph(seed: number, length = 8): Graph {
  const r = rng(seed)
  const b = new GraphBuilder(`random_${seed}`)
  const shapeOf = (v: ValueId): number[] => (b.type(v) as TensorType).shape as number[]
  const pick = <T>(list: readonly T[]): T => list[r.below(list.length)]!
  let x = b.input('x', tensorType('float32', [1, 1 + r.below(5), 5 + r.below(8), 5 + r.below(8)]))
  const earlier: ValueId[] = [x]
  const steps: Record<string, () => ValueId> = {
    unary: () => b.node(pick(unary), [x]),
    binary: () => {
      const same = earlier.filter((v) => shapeOf(v).join() === shapeOf(x).join())
      return b.node(pick(binary), [x, pick([x, ...same])])
    },
    perChannel: () =>
      b.node(pick(['mul', 'add'] as const), [x, b.constant(normal(r, [1, shapeOf(x)[1]!, 1, 1]))]),
    conv: () => {
      const [, c, h, w] = shapeOf(x) as [number, number, number, number]
      const kernel = Math.min(pick([1, 2, 3]), h, w)
      const depthwise = r.next() < 0.3
      const out = depthwise ? c : 1 + r.below(9)
      const pad = kernel > 1 ? r.below(kernel) : 0
      const filter = normal(r, [out, depthwise ? 1 : c, kernel, kernel], 0.4)
      const bias = r.next() < 0.5 ? b.constant(normal(r, [out])) : null
      const stride = pick([1, 1, 2])
      return b.node('conv2d', [x, b.constant(filter), bias], {
        strides: [stride, stride],
        pads: [pad, pad, r.below(pad + 1), r.below(pad + 1)],
        groups: depthwise ? c : 1,
      })
    },
    batchNorm: () => {
      const c = shapeOf(x)[1]!
      const variance = tensorOf(
        'float32',
        [c],
        Array.from({ length: c }, () => 0.2 + r.next()),
      )
      return b.node('batchNorm', [
        x,
        ...[0, 1, 2].map(() => b.constant(normal(r, [c]))),
        b.constant(variance),
      ])
    },
    concat: () => {
      const fit = earlier.filter((v) => shapeOf(v)[2] === shapeOf(x)[2] && shapeOf(v)[3] === shapeOf(x)[3])
      return b.node('concat', [x, pick([x, ...fit])], { axis: 1 })
    },
    swap: () => b.node('transpose', [x], { permutation: [0, 1, 3, 2] }),
    softmax: () => b.node('softmax', [x], { axis: pick([1, 3]) }),
  }
  for (let i = 0; i < length; i++) {
    const next = steps[pick(Object.keys(steps))]!()
    // Values that explode say nothing about anything.
    x = r.next() < 0.3 ? b.node('clamp', [next], { low: -4, high: 4 }) : next
    earlier.push(x)
  }
  b.output(x)
  if (r.next() < 0.3) b.output(pick(earlier.slice(1)))
  return b.finish()
}
