// Every operator's row against LiteRT: files of one operator, made by test/assets/models/operators.py.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isFloat } from '../../core/dtype.ts'
import { numbers, type Tensor } from '../../core/tensor.ts'
import { readNpz } from '../../data/npz.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { verify } from '../../ir/verify.ts'
import { plainRows } from './operators/index.ts'
import { readTflite } from './read.ts'

const arrays = readNpz(
  readFileSync(new URL('../../../test/assets/models/operators.npz', import.meta.url)),
  'operators.npz',
)
const names = [...arrays.keys()].filter((k) => k.endsWith('.model')).map((k) => k.slice(0, -6))
const seen = new Set<string>()

for (const name of names) {
  test(`${name} gives LiteRT's answer`, () => {
    const graph = readTflite(arrays.get(`${name}.model`)!.data as Uint8Array, { where: name })
    for (const n of graph.nodes) seen.add(n.origin[0]!.replace(/_0$/, ''))
    expect(verify(graph)).toEqual([])
    const out = evaluate(
      graph,
      graph.inputs.map((_, i) => arrays.get(`${name}.in${i}`)!),
    ) as Tensor[]
    out.forEach((t, k) => {
      const want = arrays.get(`${name}.out${k}`)!
      expect([t.dtype, t.shape]).toEqual([want.dtype, want.shape])
      const [a, b] = [numbers(t), numbers(want)]
      for (let i = 0; i < a.length; i++) {
        // Float32 sums of at most a few dozen products, and functions to a few units in the last place.
        const limit = isFloat(t.dtype) ? 4e-6 * Math.max(1, Math.abs(b[i]!)) : 0
        expect(Math.abs(a[i]! - b[i]!), `output ${k}[${i}]: ${a[i]} for ${b[i]}`).toBeLessThanOrEqual(limit)
      }
    })
  })
}

test('every row of the operator table is held to LiteRT here or by whole files', () => {
  // Loops are in read.test.ts and stored.test.ts.
  const elsewhere = ['IF', 'WHILE', 'CALL', 'STABLEHLO_COMPOSITE']
  expect(Object.keys(plainRows).filter((op) => !seen.has(op))).toEqual(elsewhere)
})
