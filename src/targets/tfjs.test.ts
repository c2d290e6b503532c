// The operators' own examples on both backends of TensorFlow.js, against the reference; a gap is refused with its reason.

import { describe, expect, test } from 'vitest'
import { distance, exampleGraph, opsWithExamples } from '../../test/op-examples.ts'
import { UnsupportedError } from '../core/errors.ts'
import { type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
import type { Op } from '../ir/op.ts'
import { elementwise } from '../ir/ops/elementwise.ts'
import { type Graph, tensorType, typeOf } from '../ir/types.ts'
import { tfjs } from './tfjs.ts'
import { type Backend, unsupportedIn } from './tfjs-table.ts'

/** Whether a graph is listed as a gap: then compiling it must refuse it, with a reason. */
async function refused(graph: Graph, backend: Backend): Promise<boolean> {
  const gaps = unsupportedIn(graph)
  if (gaps.length === 0) return false
  await expect(tfjs.compile(graph, { backend })).rejects.toThrow(UnsupportedError)
  for (const g of gaps) expect(g.op).toMatch(/\(.+\)$| with .+| on .+|^a (sequence|optional)/)
  return true
}

for (const backend of ['cpu', 'wasm'] as const) {
  describe(`TensorFlow.js ${backend}: examples of operators`, () => {
    for (const [name, op] of opsWithExamples) {
      test(name, async (c) => {
        const presence = await tfjs.presence({ backend })
        if (!presence.present) c.skip(presence.reason)
        for (const example of op.examples!()) {
          const { graph, inputs } = exampleGraph(name, op, example)
          if (await refused(graph, backend)) continue
          const artifact = await tfjs.compile(graph, { backend })
          const run = await tfjs.load(artifact)
          const got = (await run.run(inputs)) as Tensor[]
          const expected = evaluate(graph, inputs) as Tensor[]
          expected.forEach((t, i) => {
            expect(distance(got[i]!, t)).toBeLessThan(1e-5)
          })
          await run.dispose()
        }
      })
    }
  })
}

/** Values that tell elementwise operators apart: signs, halves, zero, both sides of one. */
const samples = [-2.5, -1, -0.5, 0, 0.25, 0.5, 1, 1.5, 2, 3.25]
/** Where an operator is defined over part of the line only. */
const domain: Readonly<Record<string, readonly number[]>> = {
  asin: [-1, -0.5, 0, 0.5, 1],
  acos: [-1, -0.5, 0, 0.5, 1],
  atanh: [-0.75, -0.5, 0, 0.5, 0.75],
  acosh: [1, 1.5, 2, 3.25],
  pow: [0.25, 0.5, 1, 1.5, 2, 3.25],
}
const logic = new Set(['and', 'or', 'xor', 'not'])

for (const backend of ['cpu', 'wasm'] as const) {
  describe(`TensorFlow.js ${backend}: elementwise operators`, () => {
    for (const [name, op] of Object.entries(elementwise) as [string, Op][]) {
      test(name, async (c) => {
        const presence = await tfjs.presence({ backend })
        if (!presence.present) c.skip(presence.reason)
        const values = domain[name] ?? samples
        const dtype = logic.has(name) ? 'bool' : /^bit|^shift/.test(name) ? 'int32' : 'float32'
        const n = values.length
        const inputs = Array.from({ length: op.inputs[0] }, (_, i) => {
          const list = values.map((_, k) => values[(k * (1 + 2 * i) + i) % n]!)
          return name === 'where' && i === 0
            ? tensorOf(
                'bool',
                [n],
                list.map((v) => v > 0),
              )
            : tensorOf(dtype, [n], dtype === 'bool' ? list.map((v) => v > 0) : list)
        })
        const b = new GraphBuilder(name)
        const out = b.node(
          name,
          inputs.map((t, i) => b.input(`x${i}`, typeOf(t))),
          {},
        )
        b.output(out)
        const graph = b.finish()
        if (await refused(graph, backend)) return
        const artifact = await tfjs.compile(graph, { backend })
        const run = await tfjs.load(artifact)
        const got = (await run.run(inputs)) as Tensor[]
        expect(distance(got[0]!, evaluate(graph, inputs)[0] as Tensor)).toBeLessThan(2e-6)
        await run.dispose()
      })
    }
  })
}

test('a graph in channels-first order gives its values in that order, inner ones too', async (c) => {
  const presence = await tfjs.presence({})
  if (!presence.present) c.skip(presence.reason)
  const b = new GraphBuilder('chain')
  const x = b.input('x', tensorType('float32', [1, 2, 4, 5]))
  const filter = tensorOf(
    'float32',
    [3, 2, 3, 3],
    Array.from({ length: 54 }, (_, i) => ((i * 5) % 7) - 3),
  )
  const conv = b.node('conv2d', [x, b.constant(filter)], { pads: [1, 1, 1, 1] })
  const relu = b.node('relu', [conv])
  const bias = b.node('add', [relu, b.constant(tensorOf('float32', [3, 1, 1], [1, 2, 3]))])
  const out = b.node('maxPool2d', [bias], { kernel: [2, 2], strides: [2, 2] })
  for (const v of [conv, relu, bias, out]) b.output(v)
  const graph = b.finish()
  const input = tensorOf(
    'float32',
    [1, 2, 4, 5],
    Array.from({ length: 40 }, (_, i) => ((i * 3) % 11) - 5),
  )
  const run = await tfjs.load(await tfjs.compile(graph, { backend: 'cpu' }))
  const got = (await run.run([input])) as Tensor[]
  const expected = evaluate(graph, [input]) as Tensor[]
  expected.forEach((t, i) => {
    expect(got[i]!.shape).toEqual(t.shape)
    expect([...(got[i]!.data as Float32Array)]).toEqual([...(t.data as Float32Array)])
  })
  await run.dispose()
})

test('bools are turned about on the wasm backend, whose own kernel writes past their end', async (c) => {
  const presence = await tfjs.presence({ backend: 'wasm' })
  if (!presence.present) c.skip(presence.reason)
  const b = new GraphBuilder('turned')
  const x = b.input('x', tensorType('bool', [3, 5]))
  b.output(b.node('reverse', [x], { axes: [0, 1] }))
  const graph = b.finish()
  const input = tensorOf(
    'bool',
    [3, 5],
    Array.from({ length: 15 }, (_, i) => i % 4 === 0),
  )
  const run = await tfjs.load(await tfjs.compile(graph, { backend: 'wasm' }))
  const [got] = (await run.run([input])) as [Tensor]
  expect([...(got.data as Uint8Array)]).toEqual([...(input.data as Uint8Array)].reverse())
  await run.dispose()
})

test('a slope for each channel counts channels first, on the wasm backend too', async (c) => {
  const presence = await tfjs.presence({ backend: 'wasm' })
  if (!presence.present) c.skip(presence.reason)
  const b = new GraphBuilder('slopes')
  const x = b.input('x', tensorType('float32', [1, 2, 2, 3]))
  const slope = b.constant(tensorOf('float32', [2, 1, 1], [0.5, 2]))
  const whole = b.constant(
    tensorOf(
      'float32',
      [2, 2, 3],
      Array.from({ length: 12 }, (_, i) => i / 4),
    ),
  )
  const conv = b.node('conv2d', [x, b.constant(tensorOf('float32', [2, 2, 1, 1], [1, 0, 0, 1]))])
  b.output(b.node('prelu', [x, slope]))
  b.output(b.node('prelu', [conv, slope]))
  b.output(b.node('prelu', [x, whole]))
  const graph = b.finish()
  const input = tensorOf(
    'float32',
    [1, 2, 2, 3],
    Array.from({ length: 12 }, (_, i) => (i % 2 ? -i : i)),
  )
  const run = await tfjs.load(await tfjs.compile(graph, { backend: 'wasm' }))
  const got = (await run.run([input])) as Tensor[]
  const expected = evaluate(graph, [input]) as Tensor[]
  expected.forEach((t, i) => {
    expect([...(got[i]!.data as Float32Array)]).toEqual([...(t.data as Float32Array)])
  })
  await run.dispose()
})

test('what it lacks is said all at once, before anything runs', async () => {
  const b = new GraphBuilder('lacking')
  const x = b.input('x', tensorType('float32', [2, 2]))
  b.output(b.node('det', [x]))
  b.output(b.node('cast', [x], { to: 'float64' }))
  await expect(tfjs.compile(b.finish(), { backend: 'cpu' })).rejects.toThrow(/det.*cast with to float64/s)
})
