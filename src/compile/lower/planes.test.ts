import { expect, test } from 'vitest'
import { far, normalTensors } from '../../../test/tensors.ts'
import type { Tensor } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import { wasm } from '../../targets/wasm.ts'
import { checkLoops } from '../bounds.ts'
import { compile } from '../compile.ts'
import { interpret } from '../interpret.ts'
import { engines } from '../schedule.ts'

const normal = normalTensors(5)

/** Two sparse pointwise convolutions with a depthwise one between them, and a residual sum where shapes allow it. */
function between(
  size: readonly [number, number],
  kernel: number,
  attributes: Record<string, readonly number[]>,
  batch: number,
  layout: 'channelsFirst' | 'channelsLast',
) {
  const b = new GraphBuilder('between')
  const shape = layout === 'channelsFirst' ? [batch, 8, ...size] : [batch, ...size, 8]
  const x = b.input('x', { kind: 'tensor', dtype: 'float32', shape })
  const pointwise = (v: number): number =>
    b.node('conv2d', [v, b.constant(normal([8, 8, 1, 1], 0.1)), b.constant(normal([8]))], { layout })
  const first = b.node('relu', [pointwise(x)])
  const filter = [b.constant(normal([8, 1, kernel, kernel])), b.constant(normal([8]))]
  const middle = b.node('conv2d', [first, ...filter], { groups: 8, layout, ...attributes })
  const clamped = b.node('clamp', [middle], { low: -2, high: 2 })
  const equal = String(b.type(clamped)) === String(b.type(x)) && attributes.strides === undefined
  const last = pointwise(clamped)
  b.output(equal && kernel % 2 === 1 ? b.node('add', [last, x]) : last)
  return { graph: b.finish(), inputs: [normal(shape)] }
}

const cases = [
  ['3×3', [14, 14], 3, { pads: [1, 1, 1, 1] }, 1, 'channelsFirst'],
  ['3×3 by steps of 2', [14, 28], 3, { pads: [1, 1, 1, 1], strides: [2, 2] }, 2, 'channelsFirst'],
  ['3×3 by steps of 2 without padding before', [15, 33], 3, { pads: [0, 0, 1, 1], strides: [2, 2] }, 1, 'channelsFirst'],
  ['3×3 by steps of 2 on 17 columns', [16, 17], 3, { pads: [1, 1, 0, 1], strides: [2, 2] }, 1, 'channelsFirst'],
  ['5×5', [9, 21], 5, { pads: [2, 2, 2, 2] }, 1, 'channelsFirst'],
  ['5×5 by steps of 2, channels last', [11, 10], 5, { pads: [2, 2, 2, 2], strides: [2, 2] }, 2, 'channelsLast'],
  ['3×3 with gaps', [16, 16], 3, { pads: [2, 2, 2, 2], dilations: [2, 2] }, 1, 'channelsFirst'],
  ['3×3 of wide images', [7, 50], 3, { pads: [1, 1, 1, 1] }, 2, 'channelsFirst'],
  ['3×3 of wide images by steps of 2', [9, 61], 3, { pads: [1, 1, 1, 1], strides: [2, 2] }, 1, 'channelsFirst'],
  ['2×2', [12, 13], 2, { pads: [0, 0, 1, 1] }, 1, 'channelsFirst'],
] as const // biome-ignore format: a table

test.for(cases)(
  'depthwise %s along pixels agrees with the reference',
  ([, size, kernel, a, batch, layout]) => {
    const { graph, inputs } = between(size, kernel, a, batch, layout)
    const want = evaluate(graph, inputs)[0] as Tensor
    for (const name of ['c-avx512', 'wasm-fast', 'wasm-safe'] as const) {
      const program = compile(graph, { engine: engines[name] })
      // Wide images of few non-zeros are made in the same kernel.
      const made = size[1] > 3 * engines[name].lanes ? 'expansion_planes' : 'depthwise_planes'
      expect(program.kernels.map((k) => k.name.replace(/_\d+$/, ''))).toContain(made)
      for (const k of program.kernels) expect(checkLoops(k)).toEqual([])
      const data = inputs.map((t) => t.data)
      expect(far(interpret(program, data)[0]!, want)).toBeLessThan(1e-6)
    }
  },
)

test('wasm picks lanes of two vectors as the interpreter does', async () => {
  const [, size, kernel, a, batch, layout] = cases[1]
  const { graph, inputs } = between(size, kernel, a, batch, layout)
  for (const engine of ['safe', 'fast']) {
    const executable = await wasm.load(await wasm.compile(graph, { engine }))
    const [got] = (await executable.run(inputs)) as Tensor[]
    expect(far(got!.data, evaluate(graph, inputs)[0] as Tensor)).toBeLessThan(1e-6)
  }
})
