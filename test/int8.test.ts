import { expect, test } from 'vitest'
import { quantisedNetwork } from '../bench/quantised.ts'
import { integerForm } from '../src/compile/prepare.ts'
import { rng } from '../src/core/rng.ts'
import { numbers, type Tensor, tensorOf } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { type Graph, tensorType } from '../src/ir/types.ts'
import { c } from '../src/targets/c.ts'
import { probeProcessor } from '../src/targets/processor.ts'
import type { Target, TargetOptions } from '../src/targets/target.ts'
import { wasm } from '../src/targets/wasm.ts'

const random = rng(21)
const values = (shape: readonly number[], scale: number): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * (2 * random.next() - 1)),
  )

/** A residual network in small: every form of convolution that ResNet-50 has, an odd number of channels, a sum below zero. */
function network(): Graph {
  const b = new GraphBuilder('residual')
  let v = b.input('image', tensorType('float32', [1, 3, 30, 30]))
  const conv = (x: number, from: number, to: number, kernel: number, stride = 1): number => {
    const p = kernel >> 1
    const operands = [
      x,
      b.constant(values([to, from, kernel, kernel], 1 / kernel)),
      b.constant(values([to], 0.5)),
    ]
    return b.node('conv2d', operands, { pads: [p, p, p, p], strides: [stride, stride] })
  }
  v = b.node('relu', [conv(v, 3, 16, 7, 2)])
  v = b.node('maxPool2d', [v], { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] })
  const a = b.node('relu', [conv(v, 16, 18, 1)])
  const d = b.node('relu', [conv(a, 18, 16, 3)])
  v = b.node('relu', [b.node('add', [conv(d, 16, 32, 1), conv(v, 16, 32, 1)])])
  const e = b.node('relu', [conv(v, 32, 5, 1)])
  v = b.node('add', [conv(conv(e, 5, 16, 3), 16, 32, 1), v])
  v = b.node('relu', [conv(v, 32, 16, 3, 2)])
  v = b.node('reduceMean', [v, b.constant(tensorOf('int64', [2], [2, 3]))], { keepDims: false })
  b.output(b.node('gemm', [v, b.constant(values([16, 10], 1)), b.constant(values([10], 1))]))
  return b.finish()
}

const has = (feature: string): boolean => probeProcessor().features?.includes(feature as 'avx2') ?? false
const subjects: [string, Target, TargetOptions, boolean][] = [
  ['wasm safe', wasm, { engine: 'safe' }, true],
  ['wasm fast', wasm, { engine: 'fast' }, true],
  ['C without vectors', c, { vector: 'none' }, true],
  ['C for AVX2', c, { vector: 'avx2' }, has('avx2')],
  ['C for VNNI', c, { vector: 'vnni' }, has('avx512_vnni')],
  ['C for VNNI, two threads', c, { vector: 'vnni', threads: 2 }, has('avx512_vnni')],
]

for (const activation of ['uint8', 'int8'] as const) {
  const graph = quantisedNetwork(network(), activation)
  const inputs = [values([1, 3, 30, 30], 3)]
  const [want] = evaluate(integerForm(graph), inputs) as [Tensor]
  for (const [name, target, options, here] of subjects.filter(([, , o]) => o.threads === undefined))
    test.skipIf(!here)(
      `a quantised network with ${activation} activations on ${name} equals exact integers`,
      { timeout: 60_000 },
      async () => {
        const executable = await target.load(await target.compile(graph, options))
        const [got] = (await executable.run(inputs)) as [Tensor]
        await executable.dispose()
        expect(new Set(numbers(want)).size).toBeGreaterThan(5)
        expect(got.data).toEqual(want.data)
      },
    )
}

/** Sums of two neighbouring products reach 64,770 here: twice what 16 bits hold. */
const saturating = (): { graph: Graph; x: Tensor } => {
  const b = new GraphBuilder('saturating')
  const x = b.input('x', tensorType('uint8', [1, 64, 4, 4]))
  const w = tensorOf(
    'int8',
    [32, 64, 3, 3],
    Array.from({ length: 32 * 576 }, (_, i) => (i % 1152 < 576 ? 127 : -127)),
  )
  b.output(b.node('convInteger2d', [x, b.constant(w)], { pads: [1, 1, 1, 1] }))
  return { graph: b.finish(), x: tensorOf('uint8', [1, 64, 4, 4], new Array(1024).fill(255)) }
}

test.for(subjects)(
  'products that saturate 16 bits are exact: %s',
  async ([, target, options, here], { skip }) => {
    if (!here) skip('this processor has no such vectors')
    const { graph, x } = saturating()
    const executable = await target.load(await target.compile(graph, options))
    const [got] = (await executable.run([x])) as [Tensor]
    await executable.dispose()
    const [want] = evaluate(graph, [x]) as [Tensor]
    expect(Math.max(...numbers(want))).toBe(255 * 127 * 576)
    expect(got.data).toEqual(want.data)
  },
)
