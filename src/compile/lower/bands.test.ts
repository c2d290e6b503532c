import { expect, test } from 'vitest'
import { rng } from '../../core/rng.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import { wasm } from '../../targets/wasm.ts'
import { checkLoops } from '../bounds.ts'
import { compile } from '../compile.ts'
import { engines } from '../schedule.ts'

const random = rng(8)
const normal = (shape: readonly number[]): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () => random.normal()),
  )

/** Depthwise, clamp, pointwise, and a sum with something as large as the result. */
function pair(size: readonly [number, number], stride: number, layout: 'channelsFirst' | 'channelsLast') {
  const channels = 40
  const b = new GraphBuilder('pair')
  const shape = layout === 'channelsFirst' ? [1, channels, ...size] : [1, ...size, channels]
  const x = b.input('x', { kind: 'tensor', dtype: 'float32', shape })
  const filter = [b.constant(normal([channels, 1, 3, 3])), b.constant(normal([channels]))]
  const attributes = { groups: channels, layout, pads: [1, 1, 1, 1], strides: [stride, stride] }
  const inner = b.node('clamp', [b.node('conv2d', [x, ...filter], attributes)], { low: -2, high: 2 })
  const weights = [b.constant(normal([channels, channels, 1, 1])), b.constant(normal([channels]))]
  const last = b.node('conv2d', [inner, ...weights], { layout })
  b.output(stride === 1 ? b.node('add', [last, x]) : last)
  return { graph: b.finish(), inputs: [normal(shape)], inner }
}

test.for([
  ['rows that bands divide', [64, 64], 1, 'channelsFirst'],
  ['rows that bands do not divide', [61, 67], 1, 'channelsLast'],
  ['steps of two', [127, 130], 2, 'channelsFirst'],
] as const)('a depthwise and a pointwise convolution are one step: %s', async ([, size, stride, layout]) => {
  const { graph, inputs } = pair(size, stride, layout)
  for (const name of ['wasm-safe', 'wasm-fast'] as const) {
    const program = compile(graph, { engine: engines[name] })
    for (const k of program.kernels) expect(checkLoops(k)).toEqual([])
    const [both] = program.steps.filter((s) => s.nodes.length > 2)
    expect(program.kernels[both!.kernel]!.name).toMatch(/^depthwise_pointwise/)
  }
  const want = evaluate(graph, inputs)[0] as Tensor
  const largest = (want.data as Float32Array).reduce((m, v) => Math.max(m, Math.abs(v)), 0)
  for (const threads of [1, 2]) {
    const session = await wasm.load(await wasm.compile(graph, { engine: 'safe', threads }))
    const [got] = (await session.run(inputs)) as [Tensor]
    await session.dispose()
    let far = 0
    want.data.forEach((w, i) => {
      far = Math.max(far, Math.abs(Number(w) - Number(got.data[i])))
    })
    expect(far / largest).toBeLessThan(1e-6)
  }
})

test('a depthwise result that somebody else reads is made whole', () => {
  const { graph, inner } = pair([64, 64], 1, 'channelsFirst')
  const program = compile({ ...graph, outputs: [...graph.outputs, inner] }, { engine: engines['wasm-safe'] })
  expect(program.kernels.some((k) => k.name.startsWith('depthwise_pointwise'))).toBe(false)
})
