import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectClose, goldenJson, goldenTest } from '../../test/golden.ts'
import { InputError } from '../core/errors.ts'
import { kendallOfLists, overlap, rankBiasedOverlap, topK } from './rank.ts'

test('the best classes come best first, ties by the lower class, NaN never', () => {
  expect(topK([1, 3, 2, 3, NaN], 3)).toEqual([1, 3, 2])
  expect(topK([1, 1, 1, 1], 2)).toEqual([0, 1])
  expect(topK([-Infinity, NaN], 5)).toEqual([0])
  expect(topK([4, 5], 0)).toEqual([])
})

test('overlap is the share of the longer list', () => {
  expect(overlap([1, 2, 3, 4], [3, 9])).toBe(0.25)
  expect(overlap([], [])).toBe(1)
  expect(overlap([], [1])).toBe(0)
})

test('a list with an item twice is not a ranking', () => {
  expect(() => overlap([1, 1], [1])).toThrow(InputError)
})

describe('Kendall’s tau-b of two lists', () => {
  test('equal lists give 1 and reversed ones -1', () => {
    expect(kendallOfLists([7, 3, 9], [7, 3, 9])).toBe(1)
    expect(kendallOfLists([7, 3, 9], [9, 3, 7])).toBe(-1)
  })

  test('lists without a common item are discordant, whatever their labels’ numbers', () => {
    // 25 of 45 pairs discordant, 10 tied in each list: -25 / √(35 · 35).
    expectClose(kendallOfLists([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), -25 / 35, 1e-12)
    expectClose(kendallOfLists([6, 1, 8, 2, 3], ['a', 'b', 'c', 'd', 'e']), -25 / 35, 1e-12)
  })

  test('an absent label ranks behind those present', () => {
    // Union 1 2 3 4; ranks 0 1 2 3 against 0 1 3 2: five concordant pairs, one discordant.
    expectClose(kendallOfLists([1, 2, 3], [1, 2, 4]), 4 / 6, 1e-12)
  })

  test('one item in all has no order', () => {
    expect(kendallOfLists([1], [1])).toBeNaN()
    expect(kendallOfLists([], [])).toBeNaN()
    expect(kendallOfLists([1], [2])).toBe(-1)
  })
})

describe('rank-biased overlap', () => {
  test('the published vectors at p = 0.8', () => {
    const base = [1, 2, 3, 4, 5]
    const vectors: [number[], number][] = [
      [[1, 2, 3, 4, 5], 1],
      [[2, 1, 3, 4, 5], 0.8],
      [[1, 2, 3, 5, 4], 0.9744],
      [[1, 2, 3, 4, 6], 0.91808],
      [[6, 1, 2, 3, 4], 0.569813],
      [[1, 6, 7, 8, 9], 0.430187],
      [[5, 4, 3, 2, 1], 0.529067],
      [[6, 7, 8, 9, 10], 0],
    ]
    for (const [list, value] of vectors) expect(rankBiasedOverlap(base, list)).toBeCloseTo(value, 6)
  })

  test('an empty list shares nothing with one that is not', () => {
    expect(rankBiasedOverlap([], [])).toBe(1)
    expect(rankBiasedOverlap([1], [])).toBe(0)
  })

  test('a short prefix of a list agrees with it fully, either way round', () => {
    expectClose(rankBiasedOverlap([1, 2], [1, 2, 3, 4]), 1, 1e-12)
    expectClose(rankBiasedOverlap([1, 2, 3, 4], [1, 2]), 1, 1e-12)
  })

  test('a persistence outside (0, 1) is refused', () => {
    expect(() => rankBiasedOverlap([1], [1], 1)).toThrow(InputError)
  })

  goldenTest('equals equation 32, uneven lists included', () => {
    const { cases } = goldenJson('statistics/rank_biased_overlap.json')
    expect(cases.some((c: { a: []; b: [] }) => c.a.length !== c.b.length)).toBe(true)
    for (const c of cases) {
      expectClose(rankBiasedOverlap(c.a, c.b, c.p), c.rbo_ext_webber_eq32, 1e-10)
      expectClose(rankBiasedOverlap(c.b, c.a, c.p), c.rbo_ext_webber_eq32, 1e-10)
    }
  })
})

const lists = fc.uniqueArray(fc.integer({ min: 0, max: 9 }))

test('every measure of two lists is symmetric, 1 for equal lists and never above', () => {
  fc.assert(
    fc.property(lists, lists, (a, b) => {
      for (const measure of [overlap, rankBiasedOverlap, kendallOfLists]) {
        const value = measure(a, b)
        if (Number.isNaN(value)) expect(measure(b, a)).toBeNaN()
        else {
          expect(measure(b, a)).toBeCloseTo(value, 12)
          expect(value).toBeLessThanOrEqual(1 + 1e-12)
        }
        const self = measure(a, a)
        if (!Number.isNaN(self)) expect(self).toBeCloseTo(1, 12)
      }
    }),
    { seed: 1 },
  )
})

test('the k best are the first k of a stable sort', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 })), fc.nat(6), (scores, k) => {
      const sorted = [...scores.keys()].sort((i, j) => scores[j]! - scores[i]! || i - j)
      expect(topK(scores, k)).toEqual(sorted.slice(0, k))
    }),
    { seed: 1 },
  )
})
