import { describe, expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import {
  originalClassId,
  originalCustomSimilarity,
  originalDistancesAsShipped,
  originalDistancesOnIds,
  originalImagesDissimilar,
  originalIsStuck,
  originalJaccard,
  originalKendallTauOnIds,
  originalLabelDissimilarity,
  originalRankBiasedOverlapAsShipped,
  originalRankBiasedOverlapOfMutateNN,
  originalSimilar,
  originalSkipsPair,
  originalTimePercents,
  originalTimesAnova,
} from './originals.ts'
import { kendallOfLists } from './rank.ts'

const base = [1, 2, 3, 4, 5]

// evaluated list: similar, Jaccard, custom, rank-biased overlap, tau on ids
const published: [number[], boolean, number, number, number, number][] = [
  [[1, 2, 3, 4, 5], true, 1, 100, 1, 1],
  [[2, 1, 3, 4, 5], false, 1, 96, 0.8, 0.8],
  [[1, 2, 3, 5, 4], true, 1, 96, 0.9744, 0.8],
  [[1, 2, 3, 4, 6], true, 4 / 6, 80, 0.91808, 1],
  [[6, 1, 2, 3, 4], false, 4 / 6, 72, 0.569813, 0.2],
  [[1, 6, 7, 8, 9], true, 1 / 9, 20, 0.430187, 1],
  [[5, 4, 3, 2, 1], false, 1, 76, 0.529067, -1],
  [[6, 7, 8, 9, 10], false, 0, 0, 0, 1],
]

test('the measures of two lists equal the original’s', () => {
  for (const [list, similar, jaccard, custom, biased, tau] of published) {
    expect(originalSimilar(base, list)).toBe(similar)
    expect(originalJaccard(base, list)).toBe(jaccard)
    expect(originalCustomSimilarity(base, list)).toBeCloseTo(custom, 10)
    expect(originalRankBiasedOverlapOfMutateNN(base, list)).toBeCloseTo(biased, 6)
    expect(originalKendallTauOnIds(base, list).value).toBeCloseTo(tau, 10)
  }
  expect(originalRankBiasedOverlapAsShipped()).toBe(0)
})

test('the original tau calls disjoint lists equal; the corrected one does not', () => {
  expect(originalKendallTauOnIds(base, [6, 7, 8, 9, 10]).value).toBe(1)
  expect(kendallOfLists(base, [6, 7, 8, 9, 10])).toBeLessThan(0)
})

test('distances of ids: as meant, and as shipped', () => {
  const meant = originalDistancesOnIds(base, [1, 3, 2, 4, 5])
  expect(meant).toEqual({ euclidean: Math.SQRT2, manhattan: 2, minkowski: 1.587 })
  expect(originalDistancesAsShipped(base, [1, 3, 2, 4, 5])).toEqual({ ...meant, manhattan: 0, minkowski: 0 })
  expect(() => originalDistancesOnIds(base, [1])).toThrow(InputError)
})

test('images that differ are a percentage of the base’s, and counted one too few', () => {
  expect(originalLabelDissimilarity([[1], [2], [3], [4]], [[1], [9], [3], [8]])).toBe(50)
  expect([...originalImagesDissimilar(['a', 'b', 'a'])]).toEqual([
    ['a', 1],
    ['b', 0],
  ])
})

test('ids are shifted by what the path says', () => {
  expect(originalClassId(409, 'out/tflite/x')).toBe(408)
  for (const path of ['out/keras/x', 'out/torch/x', 'out/tf_to_tflite/x'])
    expect(originalClassId(409, path)).toBe(409)
})

describe('times', () => {
  test('the four conventions for a percentage', () => {
    expect(originalTimePercents.perImage(0.025, 0.02)).toBe(25)
    expect(originalTimePercents.level(1, 5.5)).toBeCloseTo(-81.8, 1)
    expect(originalTimePercents.pass(467.42, 456.25)).toBeCloseTo(2.39, 2)
    // MobileNetV2 on Hikey from Basic to Extended: the device table and the level table agree.
    const basic = 1 + 7027 / 100
    const extended = (1 + 38692 / 100) / 1.038
    expect(originalTimePercents.level(basic, extended)).toBeCloseTo(-80.9, 0)
    expect(originalTimePercents.device(9.45, 1)).toBeCloseTo(845, 10)
  })

  test('the tables keep the pairs that do not differ significantly', () => {
    expect(originalTimesAnova([1, 2, 3], [2, 3, 4])).toMatchObject({ kept: true })
    const apart = originalTimesAnova([0.02, 0.021, 0.019, 0.02, 0.022], [0.025, 0.024, 0.026, 0.025, 0.023])
    expect(apart.kept).toBe(false)
    expect(apart.p).toBeCloseTo(0.000394086, 9)
  })
})

test('guards: unequal numbers of files, and a variant that always answers the same', () => {
  expect([originalSkipsPair(100, 104), originalSkipsPair(100, 105)]).toEqual([false, true])
  const answers = (same: number) => Array.from({ length: 101 }, (_, i) => (i <= same ? [1, 2] : [2, 1]))
  expect([originalIsStuck(answers(90)), originalIsStuck(answers(91))]).toEqual([false, true])
  expect(originalIsStuck(answers(100).slice(1))).toBe(false)
})
