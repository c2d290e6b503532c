// Tests of hypotheses: two classifiers on the same inputs, two or more groups of measurements.
// Held to SciPy and statsmodels, except that our exact rank tests stay exact where values are tied:
// they count the permutations of the ranks as they are, where SciPy's tables assume that all ranks differ.

import { mean, sampleVariance } from 'simple-statistics'
import { binomialCdf, chiSquaredTail, fisherTail, normalTail, studentTail } from './distributions.ts'
import { ranks, sumOf, tieSizes } from './statistics.ts'

export type Test = { statistic: number; p: number }
export type Alternative = 'two-sided' | 'greater' | 'less'
/** `exact` counts permutations, `normal` approximates; `auto` counts where there are at most 50 or so values. */
export type RankMethod = 'exact' | 'normal' | 'auto'
export type RankOptions = { alternative?: Alternative; method?: RankMethod; continuity?: boolean }

/** Two-sided, given the two one-sided probabilities. */
const doubled = (greater: number, less: number): number => Math.min(1, 2 * Math.min(greater, less))

const choose = (alternative: Alternative, greater: number, less: number): number =>
  alternative === 'greater' ? greater : alternative === 'less' ? less : doubled(greater, less)

/** p of a score that is normal with the given mean and deviation. */
function normalP(score: number, centre: number, deviation: number, options: RankOptions): number {
  const half = (options.continuity ?? true) ? 0.5 : 0
  return choose(
    options.alternative ?? 'two-sided',
    normalTail((score - centre - half) / deviation),
    normalTail((centre - score - half) / deviation),
  )
}

/** Shares of a distribution over 0 … n at or above, and at or below, a value. */
function tailsAt(counts: Float64Array, value: number): [above: number, below: number] {
  let above = 0
  let below = 0
  let all = 0
  counts.forEach((count, i) => {
    all += count
    if (i >= value) above += count
    if (i <= value) below += count
  })
  return [above / all, below / all]
}

/**
 * McNemar's test of two classifiers on the same inputs, from the numbers of inputs that only the first and only the
 * second gets right. `exact`: binomial; otherwise chi-squared with Edwards' correction or without.
 */
export function mcnemar(
  onlyFirst: number,
  onlySecond: number,
  method: 'exact' | 'corrected' | 'uncorrected' = 'exact',
): Test {
  const n = onlyFirst + onlySecond
  const fewer = Math.min(onlyFirst, onlySecond)
  // Without a single discordant input nothing speaks for a difference.
  if (n === 0) return { statistic: 0, p: 1 }
  if (method === 'exact') return { statistic: fewer, p: Math.min(1, 2 * binomialCdf(fewer, n, 0.5)) }
  const statistic = (Math.abs(onlyFirst - onlySecond) - (method === 'corrected' ? 1 : 0)) ** 2 / n
  return { statistic, p: chiSquaredTail(statistic, 1) }
}

/**
 * Mann and Whitney's test that values of x tend to be larger (`greater`) or smaller than those of y. `statistic` is
 * U of x; `superiority` = U / (nx ny) the chance that a value of x exceeds one of y (Vargha and Delaney's A12; Cliff's
 * delta is 2 A12 - 1).
 */
export function mannWhitney(
  x: readonly number[],
  y: readonly number[],
  options: RankOptions = {},
): Test & { superiority: number } {
  const nx = x.length
  const n = nx + y.length
  const rank = ranks([...x, ...y])
  const sum = rank.subarray(0, nx).reduce((s, r) => s + r, 0)
  const statistic = sum - (nx * (nx + 1)) / 2
  const pairs = nx * y.length
  const result = { statistic, superiority: statistic / pairs }
  if ((options.method ?? 'auto') === 'normal' || (options.method !== 'exact' && n > 60)) {
    const ties = sumOf(tieSizes(rank), (t) => t ** 3 - t)
    const deviation = Math.sqrt((pairs / 12) * (n + 1 - ties / (n * (n - 1))))
    // All values equal: no order to speak of.
    return { ...result, p: deviation === 0 ? 1 : normalP(statistic, pairs / 2, deviation, options) }
  }
  const [greater, less] = tailsAt(subsetSums(rank, nx), 2 * sum)
  return { ...result, p: choose(options.alternative ?? 'two-sided', greater, less) }
}

/** How many subsets of `size` ranks have each doubled sum (doubled, so that shared ranks are whole). */
function subsetSums(rank: Float64Array, size: number): Float64Array {
  const most = rank.length * (rank.length + 1)
  const counts = Array.from({ length: size + 1 }, () => new Float64Array(most + 1))
  counts[0]![0] = 1
  for (const r of rank) {
    for (let k = size; k > 0; k--) {
      for (let s = most; s >= 2 * r; s--) counts[k]![s]! += counts[k - 1]![s - 2 * r]!
    }
  }
  return counts[size]!
}

/** What zero differences do: are dropped (`wilcox`), ranked then dropped (`pratt`), or split between the signs (`zsplit`). */
export type Zeros = 'wilcox' | 'pratt' | 'zsplit'

/**
 * Wilcoxon's signed-rank test that paired differences lie above (`greater`) or below zero. `statistic` is the smaller
 * of the two rank sums for `two-sided`, else the sum of the positive ranks.
 */
export function wilcoxon(
  differences: readonly number[],
  options: RankOptions & { zeros?: Zeros } = {},
): Test {
  const zeros = options.zeros ?? 'wilcox'
  const kept = zeros === 'wilcox' ? differences.filter((d) => d !== 0) : differences
  const n = kept.length
  const rank = ranks(kept.map(Math.abs))
  let plus = 0
  let none = 0
  let zeroCount = 0
  const moving: number[] = []
  kept.forEach((d, i) => {
    if (d === 0) {
      none += rank[i]!
      zeroCount++
      return
    }
    moving.push(rank[i]!)
    if (d > 0) plus += rank[i]!
  })
  const movingSum = sumOf(moving, (r) => r)
  const shared = zeros === 'zsplit' ? none / 2 : 0
  const alternative = options.alternative ?? 'two-sided'
  const statistic = shared + (alternative === 'two-sided' ? Math.min(plus, movingSum - plus) : plus)
  if (moving.length === 0) return { statistic, p: 1 }
  if ((options.method ?? 'auto') === 'normal' || (options.method !== 'exact' && n > 50)) {
    const cubes = (m: number): number => m * (m + 1) * (2 * m + 1)
    const fixed = zeros === 'pratt' ? zeroCount : 0
    const ties = sumOf(tieSizes(zeros === 'zsplit' ? rank : moving), (t) => t ** 3 - t)
    const deviation = Math.sqrt((cubes(n) - cubes(fixed) - ties / 2) / 24)
    const centre = (n * (n + 1) - fixed * (fixed + 1)) / 4
    return { statistic, p: normalP(plus + shared, centre, deviation, { continuity: false, ...options }) }
  }
  const counts = new Float64Array(Math.round(2 * movingSum) + 1)
  counts[0] = 1
  for (const r of moving) for (let s = counts.length - 1; s >= 2 * r; s--) counts[s]! += counts[s - 2 * r]!
  const [greater, less] = tailsAt(counts, 2 * plus)
  return { statistic, p: choose(alternative, greater, less) }
}

/** Student's t: of paired differences, or of two samples with `equal` variances or without (Welch). */
export function tTest(
  x: readonly number[],
  y: readonly number[],
  variances: 'paired' | 'equal' | 'welch',
): Test & { df: number } {
  if (variances === 'paired') {
    const d = x.map((v, i) => v - y[i]!)
    return twoSidedT(mean(d), sampleVariance(d) / d.length, d.length - 1)
  }
  const [nx, ny] = [x.length, y.length]
  const [vx, vy] = [sampleVariance([...x]) / nx, sampleVariance([...y]) / ny]
  const difference = mean([...x]) - mean([...y])
  if (variances === 'welch') {
    return twoSidedT(difference, vx + vy, (vx + vy) ** 2 / (vx ** 2 / (nx - 1) + vy ** 2 / (ny - 1)))
  }
  const df = nx + ny - 2
  const pooled = (vx * nx * (nx - 1) + vy * ny * (ny - 1)) / df
  return twoSidedT(difference, pooled * (1 / nx + 1 / ny), df)
}

function twoSidedT(difference: number, variance: number, df: number): Test & { df: number } {
  const statistic = difference / Math.sqrt(variance)
  return { statistic, df, p: 2 * studentTail(Math.abs(statistic), df) }
}

/** One-way analysis of variance: do groups share one mean? NaN when there is nothing to compare. */
export function anova(groups: readonly (readonly number[])[]): Test {
  const all = groups.flat()
  const grand = mean(all)
  const between = sumOf(groups, (g) => g.length * (mean([...g]) - grand) ** 2)
  const within = sumOf(groups, (g) => sumOf(g, (x) => (x - mean([...g])) ** 2))
  const [d1, d2] = [groups.length - 1, all.length - groups.length]
  const statistic = between / d1 / (within / d2)
  return { statistic, p: Number.isNaN(statistic) ? NaN : fisherTail(statistic, d1, d2) }
}
