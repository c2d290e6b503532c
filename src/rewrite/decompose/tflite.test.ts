import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { goldenBytes, goldenJson, goldenTest } from '../../../test/golden.ts'
import { numbers, type Tensor } from '../../core/tensor.ts'
import { readNpz } from '../../data/npz.ts'
import { readTflite } from '../../formats/tflite/read.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import type { Op } from '../../ir/op.ts'
import { tflite } from '../../ir/ops/tflite.ts'
import { type Graph, typeOf } from '../../ir/types.ts'
import { verify } from '../../ir/verify.ts'
import { decompose } from './decompose.ts'
import { integerProductDecompositions } from './integer-products.ts'
import { tfliteDecompositions } from './tflite.ts'

const plain = (g: Graph): Graph => {
  const made = decompose(g, tfliteDecompositions, (op) => !op.startsWith('tflite'))
  expect(verify(made)).toEqual([])
  return made
}
const asset = (name: string): Uint8Array =>
  readFileSync(new URL(`../../../test/assets/models/${name}`, import.meta.url))

test('every operator of the family decomposes', () => {
  expect(Object.keys(tflite).filter((op) => !(op in tfliteDecompositions))).toEqual([])
})

for (const [name, op] of Object.entries<Op>(tflite)) {
  test(`${name} decomposed gives the same bits on its examples`, () => {
    const examples = op.examples?.() ?? []
    expect(examples.length).toBeGreaterThan(0)
    for (const example of examples) {
      const b = new GraphBuilder(name)
      // The first operand comes in, weights are constants.
      const ids = example.inputs.map((t, i) => {
        if (!t) return null
        return i === 0 ? b.input('x', typeOf(t)) : b.constant(t)
      })
      b.output(b.node(name, ids, example.attributes))
      const graph = b.finish()
      const made = plain(graph)
      expect(made.nodes.length).toBeGreaterThan(0)
      expect(evaluate(made, [example.inputs[0]!])).toEqual(evaluate(graph, [example.inputs[0]!]))
    }
  })
}

test.each(['dscnn-int8', 'transformer-drq'])('%s decomposed gives the same bits', (name) => {
  const graph = readTflite(asset(`${name}.tflite`), { where: name })
  const arrays = readNpz(asset(`${name}.npz`), name)
  const inputs = graph.inputs.map((_, i) => arrays.get(`in${i}`)!)
  const made = plain(graph)
  expect(made.nodes.some((n) => n.op.startsWith('tflite'))).toBe(false)
  expect(evaluate(made, inputs)).toEqual(evaluate(graph, inputs))
})

test('down to int32 products, for targets without those of 8 bits, the bits stay', () => {
  const graph = readTflite(asset('dscnn-int8.tflite'), { where: 'dscnn' })
  const inputs = [readNpz(asset('dscnn-int8.npz'), 'dscnn').get('in0')!]
  const table = { ...tfliteDecompositions, ...integerProductDecompositions }
  const made = decompose(graph, table, (op) => !(op in table))
  // Nine convolutions, and the average pool's sums.
  expect(made.nodes.filter((n) => n.op === 'conv2d').length).toBe(10)
  expect(evaluate(made, inputs)).toEqual(evaluate(graph, inputs))
})

test('an integer network with float edges decomposed gives the same bits', () => {
  const graph = readTflite(asset('odds-int8.tflite'), { where: 'odds' })
  const arrays = readNpz(asset('odds-int8.npz'), 'odds')
  const inputs = graph.inputs.map((v) => arrays.get(graph.values[v]!.name)!)
  expect(evaluate(plain(graph), inputs)).toEqual(evaluate(graph, inputs))
})

test('one-operator integer files of int8 and old uint8 decomposed give the same bits', () => {
  const arrays = readNpz(asset('operators.npz'), 'operators')
  let count = 0
  for (const key of arrays.keys()) {
    if (!key.endsWith('.model')) continue
    const name = key.slice(0, -6)
    const graph = readTflite(arrays.get(key)!.data as Uint8Array, { where: name })
    if (!graph.nodes.some((n) => n.op.startsWith('tflite'))) continue
    const inputs = graph.inputs.map((_, i) => arrays.get(`${name}.in${i}`)!)
    expect(evaluate(plain(graph), inputs), name).toEqual(evaluate(graph, inputs))
    count++
  }
  expect(count).toBeGreaterThan(60)
})

goldenTest('every one-operator integer file decomposed gives its kernels’ integers', () => {
  const index = goldenJson('quantise/tflite/index.json')
  const data = readNpz(goldenBytes('quantise/tflite/data.npz'), 'data.npz')
  for (const c of index.cases) {
    const graph = plain(readTflite(goldenBytes(`quantise/tflite/${c.file}`), { where: c.file }))
    const stem = c.file.replace('.tflite', '')
    const inputs = c.inputs.map((_: unknown, i: number) => data.get(`${stem}.in${i}`)!)
    const want = data.get(`${stem}.out_${c.name === 'sum' ? 'optimised' : 'ref'}`)!
    const [got] = evaluate(graph, inputs) as [Tensor]
    expect(got.dtype, c.file).toBe(want.dtype)
    expect([...numbers(got)], c.file).toEqual([...numbers(want)])
  }
})
