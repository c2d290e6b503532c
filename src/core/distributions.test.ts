import { describe, expect, test } from 'vitest'
import { expectClose, goldenJson, goldenTest } from '../../test/golden.ts'
import {
  betaCdf,
  betaQuantile,
  binomialCdf,
  binomialMass,
  binomialTail,
  chiSquaredTail,
  erfc,
  fisherTail,
  logGamma,
  normalCdf,
  normalQuantile,
  normalTail,
  studentTail,
} from './distributions.ts'

/** SciPy's own values are exact to about this much in the tails. */
const tails = 1e-8

describe('distributions', () => {
  test('the normal tails keep their digits far from zero', () => {
    expectClose(normalCdf(-8), 6.22096057427174e-16, tails)
    expectClose(normalTail(38), 2.885428e-316, 1e-6)
    expectClose(normalQuantile(1e-300), -37.0471, 1e-5)
    expect(normalQuantile(0.5)).toBe(0)
    expect(normalQuantile(0)).toBe(-Infinity)
    expect(normalQuantile(1.5)).toBeNaN()
  })

  test('the quantile of the beta distribution inverts its distribution function', () => {
    for (const [a, b] of [
      [0.5, 0.5],
      [1, 100_000],
      [100_000, 1],
      [50_000, 50_001],
    ] as const) {
      for (const p of [1e-9, 0.025, 0.5, 0.975]) {
        const x = betaQuantile(p, a, b)
        if (x > 1e-300 && x < 1) expectClose(betaCdf(x, a, b), p, 1e-8)
      }
    }
  })

  test('a binomial distribution sums to one and its two tails meet', () => {
    let sum = 0
    for (let k = 0; k <= 30; k++) sum += binomialMass(k, 30, 0.3)
    expectClose(sum, 1, 1e-13)
    expectClose(binomialCdf(11, 30, 0.3) + binomialTail(12, 30, 0.3), 1, 1e-13)
    expect(binomialMass(0, 5, 0)).toBe(1)
    expect(binomialMass(5, 5, 1)).toBe(1)
  })

  test("Student's t tends to the normal and is Cauchy at one degree of freedom", () => {
    // The first term of the expansion in 1/df: z (z² + 1) φ(z) / 4.
    const first = (1.96 * (1.96 ** 2 + 1) * Math.exp(-(1.96 ** 2) / 2)) / Math.sqrt(2 * Math.PI) / 4
    expectClose(studentTail(1.96, 1e6), normalTail(1.96) + first / 1e6, 1e-10)
    expectClose(studentTail(1, 1), 0.25, 1e-12)
    expect(studentTail(Infinity, 3)).toBe(0)
  })

  goldenTest('equal SciPy', () => {
    const d = goldenJson('statistics/distributions.json')
    d.x.forEach((x: number, i: number) => {
      expectClose(normalCdf(x), d.norm_cdf[i], tails)
      expectClose(normalTail(x), d.norm_sf[i], tails)
    })
    for (const [p, x] of Object.entries(d.norm_ppf))
      expectClose(normalQuantile(Number(p)), x as number, tails)
    for (const c of d.t_sf) expectClose(studentTail(c.x, c.df), c.sf, tails)
    for (const c of d.chi2_sf) expectClose(chiSquaredTail(c.x, c.df), c.sf, tails)
    for (const c of d.f_sf) expectClose(fisherTail(c.x, c.d1, c.d2), c.sf, tails)
    for (const c of d.beta_ppf) expectClose(betaQuantile(c.p, c.a, c.b), c.x, tails)
    for (const c of d.gamma) expectClose(logGamma(c.x), c.lgamma, tails)
    for (const c of d.erf) {
      expectClose(erfc(c.x), c.erfc, tails)
      expectClose(1 - erfc(c.x), c.erf, tails)
    }
  })
})
