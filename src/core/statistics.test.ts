import { mean, sampleStandardDeviation } from 'simple-statistics'
import { describe, expect, test } from 'vitest'
import { expectClose, goldenBytes, goldenJson, goldenTest } from '../../test/golden.ts'
import { readNpy } from '../data/npy.ts'
import { InputError } from './errors.ts'
import {
  adjust,
  bcaInterval,
  bootstrap,
  jackknife,
  jensenShannon,
  klDivergence,
  median,
  percentileInterval,
  proportionInterval,
  quantile,
  ranks,
} from './statistics.ts'
import { integers } from './tensor.ts'

const exact = 1e-10

describe('quantiles and ranks', () => {
  test('a quantile lies between its neighbours, as in NumPy', () => {
    expect(quantile([3, 1, 2, 4], 0.25)).toBe(1.75)
    expect(median([5, 1, 100])).toBe(5)
    expect(median([])).toBeNaN()
    expect(quantile([1, Infinity, Infinity], 0.75)).toBe(Infinity)
  })

  test('equal values share the mean of their ranks', () => {
    expect([...ranks([10, 20, 10, 5])]).toEqual([2.5, 4, 2.5, 1])
  })

  goldenTest('quantiles equal NumPy', () => {
    for (const c of goldenJson('statistics/two_samples.json').cases) {
      const at = [0, 0.025, 0.1, 0.25, 0.5, 0.75, 0.975, 1]
      const got = at.map((q) => quantile(c.x, q))
      c.quantiles_x.linear.forEach((x: number, i: number) => {
        expectClose(got[i]!, x, exact, 1e-15)
      })
    }
  })
})

describe('intervals of a proportion', () => {
  test('none of ten successes still allows for more than a quarter', () => {
    const { low, high } = proportionInterval(0, 10, 0.95)
    expect(low).toBe(0)
    expectClose(high, 0.27753279986288926, exact)
    expectClose(proportionInterval(0, 10, 0.95, 'clopper-pearson').high, 0.30849710781876083, 1e-8)
  })

  test('no trials say nothing', () => {
    expect(proportionInterval(0, 0, 0.95)).toEqual({ low: 0, high: 1 })
  })

  test('a confidence that is not a share is refused', () => {
    expect(() => proportionInterval(1, 2, 95)).toThrow(InputError)
  })

  goldenTest('equal statsmodels', () => {
    const methods = { wilson: 'wilson', clopper_pearson: 'clopper-pearson', jeffreys: 'jeffreys' } as const
    let seen = 0
    for (const c of goldenJson('statistics/proportion_intervals.json').cases) {
      const method = methods[c.method as keyof typeof methods]
      if (!method) continue
      const { low, high } = proportionInterval(c.successes, c.n, 1 - c.alpha, method)
      const relative = method === 'wilson' ? exact : 1e-8
      expectClose(low, c.low, relative, 1e-16)
      expectClose(high, c.high, relative)
      seen++
    }
    expect(seen).toBe(108)
  })
})

describe('the bootstrap', () => {
  const x = [3, 9, 4, 1, 7, 7, 2, 8]
  const meanOf = ([rows]: readonly Int32Array[]): number => mean(Array.from(rows!, (i) => x[i]!))

  test('a seed gives the same interval again and another seed another', () => {
    const options = { confidence: 0.9, method: 'bca', resamples: 500, seed: 1 } as const
    const first = bootstrap([8], meanOf, options)
    expect(bootstrap([8], meanOf, options)).toEqual(first)
    expect(bootstrap([8], meanOf, { ...options, seed: 2 })).not.toEqual(first)
    expect(first.estimate).toBe(5.125)
    expect(first.low).toBeLessThan(5.125)
    expect(first.high).toBeGreaterThan(5.125)
  })

  test('a statistic that nothing moves has an interval of no width', () => {
    const options = { confidence: 0.95, method: 'bca', resamples: 50, seed: 1 } as const
    expect(bootstrap([4], () => 2, options)).toEqual({ estimate: 2, low: 2, high: 2 })
  })

  test('an estimate beyond every replicate gives the outermost one', () => {
    const drawn = Float64Array.of(1, 2, 3)
    const left = [Float64Array.of(1, 2, 4)]
    expect(bcaInterval(9, drawn, left, 0.9)).toMatchObject({ low: 3, high: 3 })
    expect(bcaInterval(0, drawn, left, 0.9)).toMatchObject({ low: 1, high: 1 })
  })

  test('the jackknife leaves out each row of each sample', () => {
    const sums = jackknife([2, 3], (rows) => rows[0]!.length * 10 + rows[1]!.reduce((s, r) => s + r, 0))
    expect(sums.map((s) => [...s])).toEqual([
      [13, 13],
      [23, 22, 21],
    ])
  })

  goldenTest('percentile and BCa intervals equal SciPy on the same resamples', () => {
    for (const c of goldenJson('statistics/bootstrap_bca.json').cases) {
      const indices = readNpy(goldenBytes(`statistics/${c.index_file}`), c.index_file)
      const [resamples, n] = indices.shape as [number, number]
      const flat = integers(indices)
      const of = { mean, median, std_ddof1: sampleStandardDeviation }[c.statistic as 'mean']
      const statistic = (rows: ArrayLike<number>): number => of(Array.from(rows, (i) => c.x[i]))
      const drawn = Float64Array.from({ length: resamples }, (_, r) =>
        statistic(flat.slice(r * n, (r + 1) * n)),
      )
      const percentile = percentileInterval(drawn, 0.95)
      expectClose(percentile.low, c.percentile_95[0], exact)
      expectClose(percentile.high, c.percentile_95[1], exact)
      const left = jackknife([n], ([rows]) => statistic(rows!))
      const estimate = of(c.x)
      expectClose(estimate, c.estimate, exact)
      const bca = bcaInterval(estimate, drawn, left, 0.95)
      expectClose(bca.bias, c.z0, exact)
      expectClose(bca.acceleration, c.acceleration, exact, 1e-12)
      expectClose(bca.low, c.bca_95[0], exact)
      expectClose(bca.high, c.bca_95[1], exact)
      const narrow = bcaInterval(estimate, drawn, left, 0.9)
      expectClose(narrow.low, c.bca_90[0], exact)
      expectClose(narrow.high, c.bca_90[1], exact)
    }
  })
})

describe('several comparisons', () => {
  test('Holm multiplies the smallest by their number and never steps back', () => {
    expect(adjust([0.01, 0.04, 0.03], 'holm')).toEqual([0.03, 0.06, 0.06])
    expect(adjust([0.01, 0.04, 0.03], 'bonferroni')).toEqual([0.03, 0.12, 0.09])
    expect(adjust([], 'holm')).toEqual([])
  })

  goldenTest('equal statsmodels', () => {
    const keys = { bonferroni: 'bonferroni', holm: 'holm', 'benjamini-hochberg': 'fdr_bh' } as const
    for (const c of goldenJson('statistics/multiple_testing.json').cases) {
      for (const [correction, key] of Object.entries(keys)) {
        const got = adjust(c.p, correction as keyof typeof keys)
        got.forEach((p, i) => {
          expectClose(p, c[key].adjusted[i], exact)
        })
        expect(got.map((p) => p <= 0.05)).toEqual(c[key].reject_0_05)
      }
    }
  })
})

describe('divergence', () => {
  test('a probability that the other side excludes makes KL infinite and leaves Jensen–Shannon at most ln 2', () => {
    expect(klDivergence([1, 0], [0, 1])).toBe(Infinity)
    expectClose(jensenShannon([1, 0], [0, 1]), Math.LN2, exact)
    expect(klDivergence([0, 2], [0, 5])).toBe(0)
  })

  goldenTest('equals SciPy', () => {
    for (const c of goldenJson('statistics/divergence.json').cases) {
      expectClose(klDivergence(c.p, c.q), c.kl_pq_nats, exact)
      expectClose(klDivergence(c.q, c.p), c.kl_qp_nats, exact)
      expectClose(jensenShannon(c.p, c.q), c.js_divergence_nats, exact)
    }
  })
})
