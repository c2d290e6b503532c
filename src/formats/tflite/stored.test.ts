// Whole files, and one-operator integer files, against the answers that TensorFlow Lite itself gave for them.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { goldenBytes, goldenJson, goldenTest } from '../../../test/golden.ts'
import {
  row,
  type StoredModel,
  storedAnswers,
  storedInputs,
  storedModels,
  storedPath,
} from '../../../test/stored.ts'
import { numbers, type Tensor, tensor } from '../../core/tensor.ts'
import { readNpz } from '../../data/npz.ts'
import { evaluate } from '../../ir/evaluate.ts'
import type { Graph } from '../../ir/types.ts'
import { verify } from '../../ir/verify.ts'
import { readTflite } from './read.ts'

/** How far two tensors lie apart, and in how many elements. */
function distance(got: ArrayLike<number>, want: ArrayLike<number>): { max: number; count: number } {
  expect(got.length).toBe(want.length)
  let [max, count] = [0, 0]
  for (let i = 0; i < got.length; i++) {
    const d = Math.abs(got[i]! - want[i]!)
    if (d === 0) continue
    count++
    // NaN is as far as it gets.
    max = d > max || Number.isNaN(d) ? d : max
  }
  return { max, count }
}

/** Runs all four rows: at once where the batch is open, else row by row; int64 tokens become what the file takes. */
function run(graph: Graph, m: StoredModel): number[][] {
  const inputs = storedInputs(m).map((t, k) => {
    const type = graph.values[graph.inputs[k]!]!.type
    return t.dtype === 'int64' && type.kind === 'tensor' && type.dtype === 'int32'
      ? tensor('int32', t.shape, Int32Array.from(numbers(t)))
      : t
  })
  const rows = inputs[0]!.shape[0]!
  const batches =
    m.inputs[0]!.shape[0] === 1
      ? Array.from({ length: rows }, (_, r) =>
          evaluate(
            graph,
            inputs.map((t) => row(t, r)),
          ),
        )
      : [evaluate(graph, inputs)]
  return graph.outputs.map((_, o) => batches.flatMap((b) => Array.from(numbers(b[o] as Tensor))))
}

goldenTest('every one-operator integer file gives its own kernels’ integers, bit for bit', () => {
  const index = goldenJson('quantise/tflite/index.json')
  const data = readNpz(goldenBytes('quantise/tflite/data.npz'), 'data.npz')
  expect(index.cases.length).toBeGreaterThan(80)
  for (const c of index.cases) {
    const graph = readTflite(goldenBytes(`quantise/tflite/${c.file}`), { where: c.file })
    expect(verify(graph), c.file).toEqual([])
    const stem = c.file.replace('.tflite', '')
    const [out] = evaluate(
      graph,
      c.inputs.map((_: unknown, i: number) => data.get(`${stem}.in${i}`)!),
    ) as [Tensor]
    // SUM's reference kernel is wrong in this release: the optimised one agrees with exact arithmetic.
    const want = data.get(`${stem}.out_${c.name === 'sum' ? 'optimised' : 'ref'}`)!
    expect(out.dtype, c.file).toBe(want.dtype)
    expect(distance(numbers(out), numbers(want)), c.file).toEqual({ max: 0, count: 0 })
  }
})

const files = storedModels((m) => m.file.endsWith('.tflite'))
const quantised = (m: StoredModel): boolean => /int8|int16|drq/.test(m.file)

/**
 * Float32 runtimes add in another order than the reference: a bound for networks of this size and these magnitudes. The unet's
 * 8192 outputs, the inception's logits of magnitude 10 and the odds network's exponentials reach 2e-6 to 5e-6.
 */
const floatBound = 1e-5

describe.skipIf(files.length === 0)('stored files (STRATA_ASSETS)', () => {
  test('there are as many as the index says', () => {
    expect(files.length).toBe(68)
  })

  for (const m of files.filter((f) => !quantised(f))) {
    test(`${m.network}/${m.file} gives its runtime's answers up to rounding`, () => {
      const graph = readTflite(readFileSync(storedPath(m)), { where: m.file })
      expect(verify(graph)).toEqual([])
      run(graph, m).forEach((got, o) => {
        expect(distance(got, numbers(storedAnswers(m)![o]!)).max).toBeLessThan(floatBound)
      })
    })
  }

  for (const m of files.filter((f) => /int8|int16/.test(f.file) && f.network !== 'odds')) {
    test(`${m.network}/${m.file} gives the reference kernels' integers, bit for bit`, () => {
      const graph = readTflite(readFileSync(storedPath(m)), { where: m.file })
      expect(verify(graph)).toEqual([])
      run(graph, m).forEach((got, o) => {
        expect(distance(got, numbers(storedAnswers(m, 'ref')![o]!))).toEqual({ max: 0, count: 0 })
      })
    })
  }

  // There are no answers of the reference kernels here (they lack ELU), and the optimised ones round some convolutions
  // otherwise, by one integer each (read.test.ts holds every operator of this file to that); exponentials carry it further.
  for (const m of files.filter((f) => f.network === 'odds' && f.file.includes('int8'))) {
    test(`odds/${m.file} lies no farther from the optimised kernels than the runtime's default does`, () => {
      const graph = readTflite(readFileSync(storedPath(m)), { where: m.file })
      expect(verify(graph)).toEqual([])
      run(graph, m).forEach((got, o) => {
        const optimised = numbers(storedAnswers(m, 'blt')![o]!)
        const own = distance(numbers(storedAnswers(m)![o]!), optimised)
        expect(distance(got, optimised).max).toBeLessThanOrEqual(own.max)
      })
    })
  }

  // Sums are exact; but an activation that lies at a rounding boundary falls to the other side when float32 sums before it were
  // added in another order, so a rare single step of 1/255 of a tensor's range may remain.
  for (const m of files.filter((f) => f.file.includes('drq'))) {
    test(`${m.network}/${m.file} gives the kernels' answers up to rounding`, () => {
      const graph = readTflite(readFileSync(storedPath(m)), { where: m.file })
      expect(verify(graph)).toEqual([])
      const answers = storedAnswers(m, 'ref') ?? storedAnswers(m, 'blt')!
      run(graph, m).forEach((got, o) => {
        expect(distance(got, numbers(answers[o]!)).max).toBeLessThan(2e-5)
      })
    })
  }
})
