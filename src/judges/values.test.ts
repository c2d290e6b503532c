import { describe, expect, test } from 'vitest'
import { expectClose, goldenJson, goldenTest } from '../../test/golden.ts'
import type { DType } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { tensorOf } from '../core/tensor.ts'
import { compareValues, valueTally } from './values.ts'

const floats = (values: number[], dtype: DType = 'float32', shape = [values.length]) =>
  tensorOf(dtype, shape, values)

describe('the verdict', () => {
  test('equal values are the same, whatever the bound', () => {
    const v = compareValues(floats([1, -0, NaN, Infinity]), floats([1, 0, NaN, Infinity]), 0)
    expect(v).toMatchObject({
      verdict: 'same',
      elements: 4,
      equal: 4,
      beyond: 0,
      maxAbs: 0,
      maxUlp: 0,
      snrDb: null,
    })
    expect(v.nan).toEqual({ got: 1, expected: 1, mismatched: 0 })
    expect(v.infinite).toEqual({ got: 1, expected: 1, mismatched: 0 })
    expect(v.worst).toBeNull()
  })

  test('an error within the bound is rounding, beyond it a difference', () => {
    const [got, expected] = [floats([1, 2.25]), floats([1, 2])]
    expect(compareValues(got, expected, 0.25)).toMatchObject({
      verdict: 'rounding',
      boundRatio: 1,
      beyond: 0,
    })
    expect(compareValues(got, expected, 0.2)).toMatchObject({ verdict: 'different', beyond: 1 })
    expect(compareValues(got, expected, 0)).toMatchObject({ verdict: 'different', boundRatio: null })
  })

  test('a bound for each element decides element by element', () => {
    const [got, expected] = [floats([1.5, 100.5]), floats([1, 100])]
    const v = compareValues(got, expected, floats([0.25, 1], 'float64'))
    expect(v).toMatchObject({ verdict: 'different', beyond: 1, boundRatio: 2 })
    expect(v.worst).toEqual({ pair: 0, index: [0], got: 1.5, expected: 1, error: 0.5, bound: 0.25 })
  })

  test('NaN and an infinity against a number are never rounding', () => {
    const v = compareValues(floats([NaN, 5, Infinity, Infinity]), floats([5, NaN, 1, -Infinity]), Infinity)
    expect(v.verdict).toBe('different')
    expect(v.beyond).toBe(4)
    expect(v.nan).toEqual({ got: 1, expected: 1, mismatched: 2 })
    expect(v.infinite).toEqual({ got: 2, expected: 1, mismatched: 2 })
    expect(v.maxAbs).toBeNull()
    expect(v.worst).toMatchObject({ got: 'NaN', expected: 5, error: null, bound: 'Infinity' })
  })

  test('a bound that is NaN allows nothing', () => {
    expect(compareValues(floats([1]), floats([2]), floats([NaN])).verdict).toBe('different')
  })

  test('other shapes and other kinds of type are different, with the reason', () => {
    const shape = compareValues(floats([1, 2]), floats([1, 2], 'float32', [1, 2]), Infinity)
    expect(shape).toMatchObject({
      verdict: 'different',
      reason: 'shape: expected [1,2], got [2]',
      elements: 0,
    })
    const kind = compareValues(tensorOf('int32', [1], [1]), floats([1]), Infinity)
    expect(kind).toMatchObject({ verdict: 'different', reason: 'dtype: expected float32, got int32' })
  })

  test('tensors without elements are the same', () => {
    expect(compareValues(floats([]), floats([]), 0)).toMatchObject({
      verdict: 'same',
      maxAbs: null,
      divergence: null,
    })
  })

  test('a bound that cannot be one is refused', () => {
    expect(() => compareValues(floats([1]), floats([1]), -1)).toThrow(InputError)
    expect(() => compareValues(floats([1]), floats([1]), NaN)).toThrow(InputError)
    expect(() => compareValues(floats([1]), floats([1]), floats([1, 1]))).toThrow(
      /bound: expected shape \[1\]/,
    )
  })

  test('survives JSON unchanged', () => {
    const v = compareValues(floats([NaN, 2, 3]), floats([1, 2, 4]), 0.5)
    expect(JSON.parse(JSON.stringify(v))).toEqual(v)
  })
})

describe('measures', () => {
  test('the worst case is the largest error, with its coordinates', () => {
    const v = compareValues(
      floats([1, 2, 3, 4.5], 'float32', [2, 2]),
      floats([1, 2.25, 3, 4], 'float32', [2, 2]),
      1,
    )
    expect(v).toMatchObject({ maxAbs: 0.5, maxRel: 0.125, maxRelToPeak: 0.125, equal: 2 })
    expect(v.worst).toEqual({ pair: 0, index: [1, 1], got: 4.5, expected: 4, error: 0.5, bound: 1 })
  })

  test('the relative error leaves out expected zeros', () => {
    expect(compareValues(floats([1, 3]), floats([0, 2]), 1)).toMatchObject({ maxAbs: 1, maxRel: 0.5 })
    expect(compareValues(floats([1]), floats([0]), 1)).toMatchObject({
      maxRel: 0,
      maxRelToPeak: null,
      cosine: null,
    })
  })

  test('ULP counts steps of the coarser of two floating-point types', () => {
    for (const [dtype, step] of [
      ['float64', 2 ** -52],
      ['float32', 2 ** -23],
      ['float16', 2 ** -10],
      ['bfloat16', 2 ** -7],
    ] as const) {
      expect(compareValues(floats([1 + 3 * step], dtype), floats([1], dtype), 1).maxUlp).toBe(3)
    }
    expect(compareValues(floats([1 + 2 ** -7], 'bfloat16'), floats([1], 'float32'), 1)).toMatchObject({
      maxUlp: 1,
      maxAbs: 2 ** -7,
      worst: { got: 1 + 2 ** -7, expected: 1 },
    })
  })

  test('integers count steps: off by one, and more', () => {
    const v = compareValues(tensorOf('int8', [4], [1, 2, 3, 4]), tensorOf('int8', [4], [1, 3, 1, 4]), 1)
    expect(v).toMatchObject({
      verdict: 'different',
      offBy: { one: 1, more: 1 },
      maxAbs: 2,
      maxUlp: null,
      beyond: 1,
    })
    const near = compareValues(tensorOf('uint8', [2], [7, 8]), tensorOf('int32', [2], [7, 9]), 1)
    expect(near).toMatchObject({ verdict: 'rounding', offBy: { one: 1, more: 0 } })
  })

  test('int64 beyond 2^53 is compared exactly and written out', () => {
    const [got, expected] = [tensorOf('int64', [1], [2n ** 60n + 1n]), tensorOf('int64', [1], [2n ** 60n])]
    const v = compareValues(got, expected, 0)
    expect(v).toMatchObject({ verdict: 'different', maxAbs: 1, offBy: { one: 1, more: 0 } })
    expect(v.worst).toMatchObject({ got: '1152921504606846977', expected: '1152921504606846976' })
  })

  test('strings and booleans are equal or not', () => {
    const v = compareValues(tensorOf('string', [2], ['a', 'b']), tensorOf('string', [2], ['a', 'c']), 0)
    expect(v).toMatchObject({
      verdict: 'different',
      equal: 1,
      worst: { index: [1], got: 'b', expected: 'c' },
    })
    expect(compareValues(tensorOf('bool', [1], [true]), tensorOf('bool', [1], [true]), 0).verdict).toBe(
      'same',
    )
  })

  test('distributions have their divergence, other values none', () => {
    const v = compareValues(
      floats([0.5, 0.5, 1, 0], 'float32', [2, 2]),
      floats([0.25, 0.75, 0.5, 0.5], 'float32', [2, 2]),
      1,
    )
    expect(v.divergence).toMatchObject({ rows: 2, klInfinite: 1 })
    expectClose(v.divergence!.klMax, 0.25 * Math.log(0.5) + 0.75 * Math.log(1.5), 1e-12)
    expect(v.divergence!.klMean).toBe(v.divergence!.klMax)
    expect(compareValues(floats([0.5, 0.6]), floats([0.5, 0.5]), 1).divergence).toBeNull()
    expect(compareValues(floats([1.5, -0.5]), floats([0.5, 0.5]), 1).divergence).toBeNull()
  })

  test('many pairs are judged as one', () => {
    const tally = valueTally()
    tally.add(floats([3, 4]), floats([3, 4]), 0)
    tally.add(floats([1, 0]), floats([0, 0]), 1)
    const v = tally.verdict()
    expect(v).toMatchObject({ verdict: 'rounding', elements: 4, maxAbs: 1, worst: { pair: 1, index: [0] } })
    expectClose(v.snrDb!, 10 * Math.log10(25), 1e-12)
  })

  goldenTest('equal NumPy and SciPy', () => {
    for (const c of goldenJson('statistics/divergence.json').cases) {
      // y is x with noise: x was expected.
      const v = compareValues(floats(c.y, 'float64'), floats(c.x, 'float64'), 0)
      expectClose(v.snrDb!, c.snr_db, 1e-10)
      expectClose(v.cosine!, c.cosine_similarity, 1e-10)
      expectClose(v.maxAbs!, c.max_abs, 1e-10)
      expectClose(v.maxRelToPeak!, c.chebyshev_relative, 1e-10)
      const d = compareValues(floats(c.q, 'float64'), floats(c.p, 'float64'), 0).divergence!
      if (c.kl_pq_nats === Infinity) expect(d.klInfinite).toBe(1)
      else expectClose(d.klMax, c.kl_pq_nats, 1e-10)
      expectClose(d.jsMean, c.js_divergence_nats, 1e-10)
    }
  })
})
