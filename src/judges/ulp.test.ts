import fc from 'fast-check'
import { expect, test } from 'vitest'
import { goldenBytes, goldenTest } from '../../test/golden.ts'
import { BugError } from '../core/errors.ts'
import { readNpz } from '../data/npz.ts'
import { ulpDistance } from './ulp.ts'

test('the two zeros are the same number, and each smallest subnormal is one step from them', () => {
  expect(ulpDistance('float32', 0, -0)).toBe(0)
  expect(ulpDistance('float32', 2 ** -149, -0)).toBe(1)
  expect(ulpDistance('float32', 2 ** -149, -(2 ** -149))).toBe(2)
  expect(ulpDistance('float16', 2 ** -24, 0)).toBe(1)
  expect(ulpDistance('bfloat16', -(2 ** -133), 0)).toBe(1)
  expect(ulpDistance('float64', 0, -0)).toBe(0)
  expect(ulpDistance('float64', -(2 ** -1074), 2 ** -1074)).toBe(2)
})

test('infinity is one step beyond the largest finite number of each type', () => {
  expect(ulpDistance('float32', 3.4028234663852886e38, Infinity)).toBe(1)
  expect(ulpDistance('float16', 65504, Infinity)).toBe(1)
  expect(ulpDistance('bfloat16', 3.3895313892515355e38, Infinity)).toBe(1)
  expect(ulpDistance('float64', -Number.MAX_VALUE, -Infinity)).toBe(1)
})

test('the step above 1 is the type’s own', () => {
  expect(ulpDistance('float64', 1, 1 + 2 ** -52)).toBe(1)
  expect(ulpDistance('float32', 1, 1 + 2 ** -23)).toBe(1)
  expect(ulpDistance('float16', 1, 1 + 2 ** -10)).toBe(1)
  expect(ulpDistance('bfloat16', 1, 1 + 2 ** -7)).toBe(1)
  expect(ulpDistance('float32', 1, 2)).toBe(2 ** 23)
})

test('words of a float64 that differ in both halves subtract as one number', () => {
  expect(ulpDistance('float64', 1, 1 - 2 ** -53)).toBe(1)
  expect(ulpDistance('float64', 2 ** 32, 2 ** 32 + 1)).toBe(2 ** 20)
  expect(ulpDistance('float64', 1, -1)).toBe(2 * 1023 * 2 ** 52)
})

test('an integer type has no last place', () => {
  expect(() => ulpDistance('int8', 1, 2)).toThrow(BugError)
})

test('distances add up along the number line, in every type', () => {
  for (const dtype of ['float16', 'bfloat16', 'float32'] as const) {
    fc.assert(
      fc.property(
        fc.float({ noNaN: true }),
        fc.float({ noNaN: true }),
        fc.float({ noNaN: true }),
        (x, y, z) => {
          const [a, b, c] = [x, y, z].sort((p, q) => p - q) as [number, number, number]
          expect(ulpDistance(dtype, a, b) + ulpDistance(dtype, b, c)).toBe(ulpDistance(dtype, a, c))
          expect(ulpDistance(dtype, b, a)).toBe(ulpDistance(dtype, a, b))
        },
      ),
      { seed: 1 },
    )
  }
})

test('a float64 is as far from another as their bits say', () => {
  const bits = (x: number): bigint => {
    const b = new BigInt64Array(Float64Array.of(x).buffer)[0]!
    return b < 0n ? -(1n << 63n) - b : b
  }
  fc.assert(
    fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
      const steps = bits(a) - bits(b)
      expect(ulpDistance('float64', a, b)).toBe(Number(steps < 0n ? -steps : steps))
    }),
    { seed: 1 },
  )
})

goldenTest('float32 distances equal the published ones', () => {
  const arrays = readNpz(goldenBytes('statistics/ulp.npz'), 'ulp.npz')
  const { a, b, ulp } = Object.fromEntries(arrays)
  const steps = Array.from(ulp!.data, Number)
  const got = steps.map((_, i) => ulpDistance('float32', Number(a!.data[i]), Number(b!.data[i])))
  expect(got).toEqual(steps)
})
