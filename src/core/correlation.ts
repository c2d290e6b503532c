// Correlations and their p-values, held to SciPy.

import { sampleCorrelation } from 'simple-statistics'
import { normalTail, studentTail } from './distributions.ts'
import { ranks, sumOf, tieSizes } from './statistics.ts'

/** A statistic and its two-sided p-value; NaN where a side is constant. */
export type Correlation = { value: number; p: number }

/** Pearson's correlation; p from Student's t with n - 2 degrees of freedom. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): Correlation {
  const n = x.length
  if (n < 2) return { value: NaN, p: NaN }
  const value = clamp(sampleCorrelation(Array.from(x), Array.from(y)))
  if (n === 2) return { value, p: 1 }
  return {
    value,
    p: 2 * studentTail(Math.abs(value) * Math.sqrt((n - 2) / ((1 - value) * (1 + value))), n - 2),
  }
}

/** Spearman's: Pearson's of the ranks. */
export const spearman = (x: ArrayLike<number>, y: ArrayLike<number>): Correlation =>
  pearson(ranks(x), ranks(y))

/**
 * Kendall's tau-b = (C - D) / √((T - Tx)(T - Ty)), T pairs, Tx and Ty of them tied in x and in y. Its p-value is
 * exact where nothing is tied and n ≤ 33 or at most one pair is out of order, else normal (SciPy's rule).
 */
export function kendall(x: ArrayLike<number>, y: ArrayLike<number>): Correlation {
  const n = x.length
  let score = 0
  let discordant = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const s = Math.sign(x[i]! - x[j]!) * Math.sign(y[i]! - y[j]!)
      score += s
      if (s < 0) discordant++
    }
  }
  const pairs = (n * (n - 1)) / 2
  const tiesX = tieSizes(x)
  const tiesY = tieSizes(y)
  const tiedX = sumOf(tiesX, (t) => (t * (t - 1)) / 2)
  const tiedY = sumOf(tiesY, (t) => (t * (t - 1)) / 2)
  const value = clamp(score / Math.sqrt((pairs - tiedX) * (pairs - tiedY)))
  if (Number.isNaN(value)) return { value, p: NaN }
  const fewer = Math.min(discordant, pairs - discordant)
  if (tiedX === 0 && tiedY === 0 && (n <= 33 || fewer <= 1)) return { value, p: inversionsP(n, fewer) }
  const m = n * (n - 1)
  const spread = (ties: number[]): number => sumOf(ties, (t) => t * (t - 1) * (2 * t + 5))
  const triples = (ties: number[]): number => sumOf(ties, (t) => t * (t - 1) * (t - 2))
  const variance =
    (m * (2 * n + 5) - spread(tiesX) - spread(tiesY)) / 18 +
    (2 * tiedX * tiedY) / m +
    // With two observations the numerator is 0 too.
    (n > 2 ? (triples(tiesX) * triples(tiesY)) / (9 * m * (n - 2)) : 0)
  return { value, p: Math.min(1, 2 * normalTail(Math.abs(score) / Math.sqrt(variance))) }
}

const clamp = (r: number): number => Math.max(-1, Math.min(1, r))

/** Twice the share of the permutations of n with at most `limit` inversions (limit at most half of all pairs). */
function inversionsP(n: number, limit: number): number {
  let share = new Float64Array(limit + 1)
  share[0] = 1
  for (let k = 2; k <= n; k++) {
    // The k-th element adds 0 … k-1 inversions, each with probability 1/k.
    const next = new Float64Array(limit + 1)
    for (let i = 0, sum = 0; i <= limit; i++) {
      sum += share[i]! - (i >= k ? share[i - k]! : 0)
      next[i] = sum / k
    }
    share = next
  }
  return Math.min(1, 2 * share.reduce((s, x) => s + x, 0))
}
