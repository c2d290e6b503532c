import fc from 'fast-check'
import { expect, test } from 'vitest'
import { onIntegers } from '../scalar.ts'
import { highMul, multiplierOf, scaled, scaledWide, shiftRight } from './tflite-fixed.ts'

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const multiplier = fc.integer({ min: 2 ** 30, max: 2 ** 31 - 1 })

test('highMul is the exact rounded high half', () => {
  fc.assert(
    fc.property(int32, int32, (a, b) => {
      expect(BigInt(highMul(a, b))).toBe(onIntegers.mulHigh(BigInt(a), BigInt(b), 0n))
    }),
    { seed: 1, numRuns: 2000 },
  )
})

test('shiftRight rounds halves away from zero', () => {
  expect([5, -5, 6, -6, 7, -7].map((x) => shiftRight(x, 2))).toEqual([1, -1, 2, -2, 2, -2])
  fc.assert(
    fc.property(int32, fc.integer({ min: 0, max: 31 }), (x, n) => {
      expect(BigInt(shiftRight(x, n))).toBe(onIntegers.roundShift(BigInt(x), BigInt(n), 0n))
    }),
    { seed: 2, numRuns: 2000 },
  )
})

test('a single rounding is the exact product, rounded once', () => {
  fc.assert(
    fc.property(int32, multiplier, fc.integer({ min: -31, max: 0 }), (x, m, shift) => {
      const n = BigInt(31 - shift)
      const exact = (BigInt(x) * BigInt(m) + (1n << (n - 1n))) >> n
      expect(BigInt(scaled(x, { multiplier: m, shift }, 'single'))).toBe(exact)
    }),
    { seed: 3, numRuns: 2000 },
  )
})

test('accumulators of 64 bits scale by 15 bits of the multiplier', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -(2 ** 46), max: 2 ** 46 }),
      multiplier,
      fc.integer({ min: -31, max: -18 }),
      (x, m, shift) => {
        const reduced = BigInt(m < 0x7fff0000 ? (m + 0x8000) >> 16 : 0x7fff)
        const n = BigInt(15 - shift)
        const exact = BigInt.asIntN(32, (BigInt(x) * reduced + (1n << (n - 1n))) >> n)
        expect(BigInt(scaledWide(x, { multiplier: m, shift }))).toBe(exact)
      },
    ),
    { seed: 4, numRuns: 2000 },
  )
})

test('a multiplier is the nearest of 31 bits', () => {
  expect(multiplierOf(0.5)).toEqual({ multiplier: 2 ** 30, shift: 0 })
  expect(multiplierOf(1)).toEqual({ multiplier: 2 ** 30, shift: 1 })
  // Rounds up to a power of two: the next shift.
  expect(multiplierOf(1 - 2 ** -33)).toEqual({ multiplier: 2 ** 30, shift: 1 })
  expect(multiplierOf(2 ** -40)).toEqual({ multiplier: 0, shift: 0 })
  expect(multiplierOf(0)).toEqual({ multiplier: 0, shift: 0 })
})
