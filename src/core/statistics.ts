// Quantiles, intervals, resampling, corrections for several comparisons, divergences. Held to SciPy and statsmodels.
// Tests of hypotheses are in hypothesis.ts, correlations in correlation.ts, tails and quantiles in distributions.ts.

import { betaQuantile, normalCdf, normalQuantile } from './distributions.ts'
import { InputError } from './errors.ts'
import { rng } from './rng.ts'

/** Linear interpolation between the order statistics (type 7: NumPy's default) of sorted values. NaN when empty. */
export function quantileSorted(sorted: ArrayLike<number>, q: number): number {
  const at = (sorted.length - 1) * q
  const low = sorted[Math.floor(at)] ?? NaN
  const high = sorted[Math.ceil(at)] ?? NaN
  // Without the test, two equal infinities would give NaN.
  return low === high ? low : low + (high - low) * (at - Math.floor(at))
}

export const quantile = (values: ArrayLike<number>, q: number): number =>
  quantileSorted(Float64Array.from(values).sort(), q)

export const median = (values: ArrayLike<number>): number => quantile(values, 0.5)

/** Ranks from 1; equal values share the mean of their ranks. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((i, j) => values[i]! - values[j]!)
  const result = new Float64Array(values.length)
  for (let i = 0; i < order.length; ) {
    let j = i + 1
    while (j < order.length && values[order[j]!] === values[order[i]!]) j++
    for (let k = i; k < j; k++) result[order[k]!] = (i + j + 1) / 2
    i = j
  }
  return result
}

/** How many values each group of equal values holds. */
export function tieSizes(values: ArrayLike<number>): number[] {
  const counts = new Map<number, number>()
  for (let i = 0; i < values.length; i++) counts.set(values[i]!, (counts.get(values[i]!) ?? 0) + 1)
  return [...counts.values()]
}

/** Sum of f over the values. */
export const sumOf = <T>(values: readonly T[], f: (value: T) => number): number =>
  values.reduce((sum, v) => sum + f(v), 0)

// Intervals of a proportion

export type Interval = { low: number; high: number }

export type ProportionMethod = 'wilson' | 'clopper-pearson' | 'jeffreys'

/**
 * Interval of a proportion from `successes` of `total` trials. Wilson's is short and near its nominal confidence;
 * Clopper and Pearson's is never below it; Jeffreys' is Bayesian (prior Beta(½, ½)). No trials: [0, 1].
 */
export function proportionInterval(
  successes: number,
  total: number,
  confidence: number,
  method: ProportionMethod = 'wilson',
): Interval {
  checkConfidence(confidence)
  if (total === 0) return { low: 0, high: 1 }
  const k = successes
  const n = total
  const tail = (1 - confidence) / 2
  if (method === 'jeffreys') {
    return {
      low: betaQuantile(tail, k + 0.5, n - k + 0.5),
      high: betaQuantile(1 - tail, k + 0.5, n - k + 0.5),
    }
  }
  if (method === 'clopper-pearson') {
    return {
      low: k === 0 ? 0 : betaQuantile(tail, k, n - k + 1),
      high: k === n ? 1 : betaQuantile(1 - tail, k + 1, n - k),
    }
  }
  const z = normalQuantile(1 - tail)
  const centre = (k + (z * z) / 2) / (n + z * z)
  const half = (z / (n + z * z)) * Math.sqrt((k * (n - k)) / n + (z * z) / 4)
  return { low: k === 0 ? 0 : centre - half, high: k === n ? 1 : centre + half }
}

export function checkConfidence(confidence: number): void {
  if (!(confidence > 0 && confidence < 1)) {
    throw new InputError(`confidence: expected a number between 0 and 1, got ${confidence}. Try 0.95.`)
  }
}

// The bootstrap

/** A statistic of one or more independent samples, given which rows of each are drawn. */
export type RowStatistic = (rows: readonly Int32Array[]) => number

export type BootstrapOptions = {
  confidence: number
  method: 'percentile' | 'bca'
  resamples: number
  seed: number
}

/** The statistic on `resamples` samples drawn with replacement, each of its own size. */
export function replicates(
  sizes: readonly number[],
  statistic: RowStatistic,
  resamples: number,
  seed: number,
): Float64Array {
  const { below } = rng(seed)
  const rows = sizes.map((n) => new Int32Array(n))
  return Float64Array.from({ length: resamples }, () => {
    for (const r of rows) for (let i = 0; i < r.length; i++) r[i] = below(r.length)
    return statistic(rows)
  })
}

const everyRow = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i)

/** The statistic with each row left out in turn, an array for each sample. */
export function jackknife(sizes: readonly number[], statistic: RowStatistic): Float64Array[] {
  const all = sizes.map(everyRow)
  return all.map((rows, s) =>
    Float64Array.from(rows, (_, left) =>
      statistic(
        all.with(
          s,
          rows.filter((row) => row !== left),
        ),
      ),
    ),
  )
}

/** The middle `confidence` of the replicates. */
export function percentileInterval(drawn: Float64Array, confidence: number): Interval {
  checkConfidence(confidence)
  const sorted = drawn.toSorted()
  const tail = (1 - confidence) / 2
  return { low: quantileSorted(sorted, tail), high: quantileSorted(sorted, 1 - tail) }
}

/**
 * Efron's interval, corrected for the bias z₀ of the replicates (half of the ties count as below) and for the
 * acceleration from the jackknife: Efron and Tibshirani 1993, chapter 14; as SciPy's `bootstrap(method='BCa')`.
 */
export function bcaInterval(
  estimate: number,
  drawn: Float64Array,
  left: readonly Float64Array[],
  confidence: number,
): Interval & { bias: number; acceleration: number } {
  checkConfidence(confidence)
  const sorted = drawn.toSorted()
  let below = 0
  let equal = 0
  for (const r of sorted) {
    if (r < estimate) below++
    else if (r === estimate) equal++
  }
  const bias = normalQuantile((below + equal / 2) / sorted.length)
  let cubes = 0
  let squares = 0
  for (const sample of left) {
    const n = sample.length
    const mean = sample.reduce((s, x) => s + x, 0) / n
    for (const x of sample) {
      cubes += ((mean - x) / n) ** 3
      squares += ((mean - x) / n) ** 2
    }
  }
  // A statistic that no row moves has no acceleration.
  const acceleration = squares === 0 ? 0 : cubes / (6 * squares ** 1.5)
  const limit = (p: number): number => {
    const z = bias + normalQuantile(p)
    // Every replicate on one side of the estimate: the limit of the formula is the outermost replicate.
    if (!Number.isFinite(z)) return quantileSorted(sorted, z > 0 ? 1 : 0)
    return quantileSorted(sorted, normalCdf(bias + z / (1 - acceleration * z)))
  }
  const tail = (1 - confidence) / 2
  return { low: limit(tail), high: limit(1 - tail), bias, acceleration }
}

/** Estimate and bootstrap interval of a statistic of independent samples of the given sizes. Seeded. */
export function bootstrap(
  sizes: readonly number[],
  statistic: RowStatistic,
  { confidence, method, resamples, seed }: BootstrapOptions,
): Interval & { estimate: number } {
  const estimate = statistic(sizes.map(everyRow))
  const drawn = replicates(sizes, statistic, resamples, seed)
  const { low, high } =
    method === 'bca'
      ? bcaInterval(estimate, drawn, jackknife(sizes, statistic), confidence)
      : percentileInterval(drawn, confidence)
  return { estimate, low, high }
}

// Several comparisons

export type Correction = 'holm' | 'bonferroni' | 'benjamini-hochberg'

/**
 * p-values adjusted for being several: reject those at or below the level. Holm and Bonferroni bound the chance of
 * any false rejection (Holm rejects at least as many), Benjamini and Hochberg the expected share of false ones.
 */
export function adjust(p: readonly number[], correction: Correction): number[] {
  const m = p.length
  if (correction === 'bonferroni') return p.map((x) => Math.min(1, m * x))
  const holm = correction === 'holm'
  const order = p.map((_, i) => i).sort((i, j) => (holm ? p[i]! - p[j]! : p[j]! - p[i]!))
  const adjusted = new Array<number>(m)
  let running = holm ? 0 : 1
  order.forEach((at, i) => {
    // Holm steps up from the smallest with m - i, Benjamini–Hochberg down from the largest with m / rank.
    running = holm ? Math.max(running, (m - i) * p[at]!) : Math.min(running, (m / (m - i)) * p[at]!)
    adjusted[at] = Math.min(1, running)
  })
  return adjusted
}

// Divergence

/** Σ p ln(p/q) in nats, p and q scaled to sum to 1; infinite where q is 0 and p is not. */
export function klDivergence(p: ArrayLike<number>, q: ArrayLike<number>): number {
  const [sumP, sumQ] = [total(p), total(q)]
  let sum = 0
  for (let i = 0; i < p.length; i++) {
    if (p[i]! > 0) sum += (p[i]! / sumP) * Math.log(p[i]! / sumP / (q[i]! / sumQ))
  }
  return sum
}

/** Half of each side's divergence from the mean of the two, in nats: between 0 and ln 2. */
export function jensenShannon(p: ArrayLike<number>, q: ArrayLike<number>): number {
  const [sumP, sumQ] = [total(p), total(q)]
  const middle = Float64Array.from(p, (x, i) => x / sumP / 2 + q[i]! / sumQ / 2)
  return (klDivergence(p, middle) + klDivergence(q, middle)) / 2
}

function total(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum
}
