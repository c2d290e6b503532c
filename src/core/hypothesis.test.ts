import { describe, expect, test } from 'vitest'
import { expectClose, goldenJson, goldenTest } from '../../test/golden.ts'
import { anova, mannWhitney, mcnemar, tTest, wilcoxon } from './hypothesis.ts'

const exact = 1e-10
const distinct = (values: number[]): boolean => new Set(values).size === values.length

describe("McNemar's test", () => {
  test('looks only at the inputs on which the two differ', () => {
    expect(mcnemar(3, 14).p).toBeCloseTo(0.012725830078125, 12)
    expect(mcnemar(0, 1).p).toBe(1)
  })

  test('says nothing where the two never differ', () => {
    for (const method of ['exact', 'corrected', 'uncorrected'] as const)
      expect(mcnemar(0, 0, method).p).toBe(1)
  })

  goldenTest('equals statsmodels', () => {
    for (const c of goldenJson('statistics/mcnemar.json').cases) {
      const [[, a], [b]] = c.table
      // 0 against 0: statsmodels divides by zero and says p = 0 or NaN; we say 1.
      if (a + b === 0) continue
      const method = c.exact ? 'exact' : c.continuity_correction ? 'corrected' : 'uncorrected'
      const got = mcnemar(a, b, method)
      expectClose(got.statistic, c.statistic, exact)
      expectClose(got.p, c.pvalue, exact)
    }
  })
})

describe("Mann and Whitney's test", () => {
  test('three values all below three others: 2 of 20 orders are as extreme', () => {
    const got = mannWhitney([1, 2, 3], [4, 5, 6])
    expect(got).toEqual({ statistic: 0, superiority: 0, p: 2 / 20 })
    expect(mannWhitney([1, 2, 3], [4, 5, 6], { alternative: 'greater' }).p).toBe(1)
    expect(mannWhitney([1, 2, 3], [4, 5, 6], { alternative: 'less' }).p).toBe(1 / 20)
  })

  test('stays exact with ties', () => {
    // Ranks 1.5 1.5 3 4: of the 6 pairs, {1.5, 1.5} alone sums to 3.
    expect(mannWhitney([1, 1], [2, 3], { alternative: 'less' }).p).toBe(1 / 6)
    expect(mannWhitney([5, 5], [5, 5]).p).toBe(1)
    expect(mannWhitney([5, 5], [5, 5], { method: 'normal' }).p).toBe(1)
  })

  test('counts what going through every split of the pooled values counts', () => {
    const x = [3, 1, 1, 7]
    const y = [1, 2, 3, 3, 5]
    const all = [...x, ...y]
    const u = (rows: number[]): number => {
      const rest = all.filter((_, i) => !rows.includes(i))
      return rows.reduce((s, i) => s + rest.reduce((n, v) => n + (Math.sign(all[i]! - v) + 1) / 2, 0), 0)
    }
    const observed = u([0, 1, 2, 3])
    const splits = Array.from({ length: 2 ** 9 }, (_, bits) =>
      all.flatMap((_, i) => ((bits >> i) & 1 ? [i] : [])),
    )
    const us = splits.filter((rows) => rows.length === 4).map(u)
    const got = mannWhitney(x, y, { alternative: 'less' })
    expect(got.statistic).toBe(observed)
    expectClose(got.p, us.filter((v) => v <= observed).length / us.length, exact)
  })

  goldenTest('equals SciPy', () => {
    let exactCases = 0
    for (const c of goldenJson('statistics/two_samples.json').cases) {
      const normal = mannWhitney(c.x, c.y, { method: 'normal' })
      expect(normal.statistic).toBe(c.asymptotic.statistic)
      expectClose(normal.p, c.asymptotic.pvalue, exact)
      const plain = mannWhitney(c.x, c.y, { method: 'normal', continuity: false })
      expectClose(plain.p, c.asymptotic_nocc.pvalue, exact)
      const greater = mannWhitney(c.x, c.y, { method: 'normal', alternative: 'greater' })
      expectClose(greater.p, c.greater_asymptotic.pvalue, exact)
      expectClose(normal.superiority, c.vargha_delaney_A12, exact)
      expectClose(2 * normal.superiority - 1, c.cliffs_delta, exact)
      if (distinct([...c.x, ...c.y])) {
        expectClose(mannWhitney(c.x, c.y, { method: 'exact' }).p, c.exact.pvalue, exact)
        exactCases++
      }
    }
    expect(exactCases).toBeGreaterThan(0)
  })
})

describe("Wilcoxon's signed-rank test", () => {
  test('five differences of one sign: 2 of 32 sign patterns are as extreme', () => {
    expect(wilcoxon([1, 2, 3, 4, 5])).toEqual({ statistic: 0, p: 2 / 32 })
    expect(wilcoxon([1, 2, 3, 4, 5], { alternative: 'greater' })).toEqual({ statistic: 15, p: 1 / 32 })
  })

  test('counts what going through every pattern of signs counts, tied or not', () => {
    const d = [-1, 2, 2, -3, 3, 3, 5, -5, 6]
    const patterns = Array.from({ length: 2 ** d.length }, (_, bits) =>
      d.map((v, i) => Math.abs(v) * ((bits >> i) & 1 ? 1 : -1)),
    )
    const rank = (v: number): number =>
      d.filter((w) => Math.abs(w) < Math.abs(v)).length +
      (d.filter((w) => Math.abs(w) === Math.abs(v)).length + 1) / 2
    const plus = (signed: number[]): number => signed.filter((v) => v > 0).reduce((s, v) => s + rank(v), 0)
    const atLeast = patterns.filter((p) => plus(p) >= plus(d)).length
    expectClose(wilcoxon(d, { alternative: 'greater' }).p, atLeast / patterns.length, exact)
  })

  test('without a difference there is no evidence', () => {
    for (const zeros of ['wilcox', 'pratt', 'zsplit'] as const) expect(wilcoxon([0, 0], { zeros }).p).toBe(1)
  })

  goldenTest(
    'equals SciPy: exact without ties or up to 13 values (its permutations), normal everywhere',
    () => {
      let [tables, permutations] = [0, 0]
      for (const c of goldenJson('statistics/wilcoxon_signed_rank.json').cases) {
        const d = c.x.map((x: number, i: number) => x - c.y[i])
        // As float64 subtracts them: that is where SciPy sees ties too.
        for (const zeros of ['wilcox', 'pratt', 'zsplit'] as const) {
          const normal = wilcoxon(d, { zeros, method: 'normal' })
          expectClose(normal.statistic, c[`${zeros}_asymptotic_two-sided`].statistic, exact)
          expectClose(normal.p, c[`${zeros}_asymptotic_two-sided`].pvalue, exact)
          const corrected = wilcoxon(d, { zeros, method: 'normal', continuity: true })
          expectClose(corrected.p, c[`${zeros}_asymptotic_cc_two-sided`].pvalue, exact)
          const counted = wilcoxon(d, { zeros, method: 'exact' })
          if (distinct(d.map(Math.abs)) && !d.includes(0)) {
            expectClose(counted.p, c[`${zeros}_exact_two-sided`].pvalue, exact)
            tables++
          } else if (d.length <= 13) {
            expectClose(counted.p, c[`${zeros}_auto_two-sided`].pvalue, exact)
            permutations++
          }
        }
        const greater = wilcoxon(d, { method: 'normal', alternative: 'greater' })
        expectClose(greater.statistic, c.wilcox_asymptotic_greater.statistic, exact)
        expectClose(greater.p, c.wilcox_asymptotic_greater.pvalue, exact)
        const greaterCorrected = wilcoxon(d, { method: 'normal', alternative: 'greater', continuity: true })
        expectClose(greaterCorrected.p, c.wilcox_asymptotic_cc_greater.pvalue, exact)
      }
      expect([tables, permutations]).toEqual([3, 12])
    },
  )
})

describe('tests of means', () => {
  test('one-way analysis of variance: the published vectors', () => {
    const first = anova([
      [1, 2, 3],
      [2, 3, 4],
    ])
    expect(first.statistic).toBeCloseTo(1.5, 12)
    expect(first.p).toBeCloseTo(0.287864, 6)
    const second = anova([
      [0.02, 0.021, 0.019, 0.02, 0.022],
      [0.025, 0.024, 0.026, 0.025, 0.023],
    ])
    expect(second.statistic).toBeCloseTo(33.92308, 5)
    expect(second.p).toBeCloseTo(0.000394086, 9)
  })

  goldenTest('t tests equal SciPy', () => {
    for (const c of goldenJson('statistics/two_samples.json').cases) {
      const kinds = [
        ['equal', c.t_equal_var],
        ['welch', c.t_welch],
        ['paired', c.t_paired],
      ] as const
      for (const [kind, want] of kinds) {
        if (!want) continue
        const got = tTest(c.x, c.y, kind)
        expectClose(got.statistic, want.statistic, exact)
        expectClose(got.p, want.pvalue, 1e-8)
        expectClose(got.df, want.df ?? c.x.length - 1, exact)
      }
    }
  })
})
