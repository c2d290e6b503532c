import { describe, expect, test } from 'vitest'
import { expectClose, goldenJson, goldenTest } from '../../test/golden.ts'
import { kendall, pearson, spearman } from './correlation.ts'
import { ranks } from './statistics.ts'

const exact = 1e-10

describe('correlation', () => {
  test('opposite orders give -1, and the p-value counts permutations', () => {
    expect(kendall([1, 2, 3, 4], [4, 3, 2, 1])).toEqual({ value: -1, p: 2 / 24 })
    expectClose(spearman([1, 2, 3, 4], [1, 4, 9, 16]).value, 1, exact)
  })

  test('a constant side has no correlation', () => {
    for (const of of [kendall, pearson, spearman]) expect(of([1, 1, 1], [1, 2, 3]).value).toBeNaN()
  })

  goldenTest('equal SciPy', () => {
    for (const c of goldenJson('statistics/correlation.json').cases) {
      const pairs = [
        [kendall, c.kendall_tau_b],
        [spearman, c.spearman],
        [pearson, c.pearson],
      ] as const
      for (const [of, want] of pairs) {
        if (!want) continue
        const got = of(c.x, c.y)
        expectClose(got.value, want.statistic, exact)
        expectClose(got.p, want.pvalue, of === kendall ? exact : 1e-8)
      }
      if (c.rankdata_average) expect([...ranks(c.x)]).toEqual(c.rankdata_average)
    }
  })
})
