// Judges time: runs subjects in turn under an injected clock, then says which is faster and how surely.
// The first run is kept apart (it compiles, allocates, fills caches), the order changes every round, so that heat and
// other load fall on all alike, and a ratio comes with an interval and with a p-value corrected for several comparisons.

import { InputError } from '../core/errors.ts'
import { mannWhitney, wilcoxon } from '../core/hypothesis.ts'
import { rng } from '../core/rng.ts'
import {
  adjust,
  type BootstrapOptions,
  bootstrap,
  type Correction,
  median,
  quantile,
} from '../core/statistics.ts'

/** Milliseconds from any start, never backwards: `performance.now`. */
export type Clock = () => number

export type Subject = { name: string; run: () => unknown }

export type TimingPlan = {
  /** Runs before the samples; the first of them is reported as `firstMs`. */
  warmup: number
  /** Samples of each subject. */
  repeats: number
  /** Of the order within each round. */
  seed: number
  /** A sample repeats its subject until it takes this long, so that a coarse clock can see it. */
  leastMs?: number
  signal?: AbortSignal
  /** Called after each finished round. */
  onRound?: (round: number) => void
}

export type Timing = {
  name: string
  /** The very first run; null where it failed. */
  firstMs: number | null
  warmupMs: number[]
  /** One a round, divided by the runs in it. Sample i of every subject is from the same round. */
  samplesMs: number[]
  runsPerSample: number
  /** Why the subject was dropped: the message of its first error. */
  failed: string | null
}

/** Runs all subjects, interleaved, and returns their times. An error drops its subject; an abort is thrown. */
export async function measure(
  subjects: readonly Subject[],
  plan: TimingPlan,
  clock: Clock,
): Promise<Timing[]> {
  const { warmup, repeats, leastMs = 0 } = plan
  for (const [name, value, least] of [
    ['warmup', warmup, 0],
    ['repeats', repeats, 1],
  ] as const) {
    if (!(Number.isInteger(value) && value >= least)) {
      throw new InputError(`timing: ${name}: expected an integer of at least ${least}, got ${value}`)
    }
  }
  const timings = subjects.map(({ name }): Timing => {
    return { name, firstMs: null, warmupMs: [], samplesMs: [], runsPerSample: 1, failed: null }
  })

  /** Milliseconds for `runs` runs of a subject; null once it failed. */
  const time = async (at: number, runs: number): Promise<number | null> => {
    plan.signal?.throwIfAborted()
    const timing = timings[at]!
    const { run } = subjects[at]!
    if (timing.failed !== null) return null
    try {
      const start = clock()
      for (let i = 0; i < runs; i++) {
        const result = run()
        // Awaiting what is no promise would add a turn of the event loop to every run.
        if (result instanceof Promise) await result
      }
      const ms = clock() - start
      timing.firstMs ??= ms / runs
      return ms
    } catch (error) {
      timing.failed = error instanceof Error ? error.message : String(error)
      return null
    }
  }

  for (const [at, timing] of timings.entries()) {
    for (let i = 0; i < warmup; i++) {
      const ms = await time(at, 1)
      if (ms !== null) timing.warmupMs.push(ms)
    }
    if (leastMs > 0) timing.runsPerSample = await runsFor(leastMs, (runs) => time(at, runs))
  }
  const { below } = rng(plan.seed)
  const order = timings.map((_, at) => at)
  for (let round = 0; round < repeats; round++) {
    for (let i = order.length - 1; i > 0; i--) {
      const j = below(i + 1)
      ;[order[i], order[j]] = [order[j]!, order[i]!]
    }
    for (const at of order) {
      const timing = timings[at]!
      const ms = await time(at, timing.runsPerSample)
      if (ms !== null) timing.samplesMs.push(ms / timing.runsPerSample)
    }
    plan.onRound?.(round)
  }
  return timings
}

/** Runs a sample needs to take `leastMs`: doubled until it does. */
async function runsFor(leastMs: number, time: (runs: number) => Promise<number | null>): Promise<number> {
  // A subject that does nothing under a clock that stands still must end too.
  const most = 2 ** 20
  for (let runs = 1; runs < most; runs *= 2) {
    const ms = await time(runs)
    if (ms === null || ms >= leastMs) return runs
  }
  return most
}

export type TimeSummary = {
  name: string
  /** null where every run failed. */
  firstMs: number | null
  medianMs: number | null
  p95Ms: number | null
  leastMs: number | null
  samples: number
  failed: string | null
}

export function summarize(timing: Timing): TimeSummary {
  const { name, firstMs, samplesMs, failed } = timing
  const none = samplesMs.length === 0
  return {
    name,
    firstMs,
    medianMs: none ? null : median(samplesMs),
    p95Ms: none ? null : quantile(samplesMs, 0.95),
    leastMs: none ? null : quantile(samplesMs, 0),
    samples: samplesMs.length,
    failed,
  }
}

export type RatioOptions = BootstrapOptions & {
  /** Sample i of both is from the same round: rounds are drawn whole, and compared one by one. */
  paired: boolean
}

export type Ratio = { ratio: number; low: number; high: number; p: number }

/**
 * Ratio of the medians of two sets of times with its bootstrap interval, and the p-value that neither tends to be
 * larger: Wilcoxon's of the paired logarithms, or Mann and Whitney's. Times must be positive.
 */
export function ratioOfMedians(
  numerator: readonly number[],
  denominator: readonly number[],
  { paired, ...options }: RatioOptions,
): Ratio {
  if (numerator.length === 0 || denominator.length === 0) {
    throw new InputError('ratio of times: expected at least one sample of each, got none')
  }
  if (paired && numerator.length !== denominator.length) {
    throw new InputError(
      `ratio of times: expected pairs, got ${numerator.length} and ${denominator.length} samples`,
    )
  }
  if (![...numerator, ...denominator].every((ms) => ms > 0)) {
    throw new InputError(
      'ratio of times: expected positive times, got 0: too short for the clock. Set leastMs.',
    )
  }
  const pick = (times: readonly number[], rows: Int32Array): Float64Array =>
    Float64Array.from(rows, (row) => times[row]!)
  const sizes = paired ? [numerator.length] : [numerator.length, denominator.length]
  const { estimate, low, high } = bootstrap(
    sizes,
    ([first, second = first]) => median(pick(numerator, first!)) / median(pick(denominator, second!)),
    options,
  )
  const { p } = paired
    ? wilcoxon(numerator.map((x, i) => Math.log(x / denominator[i]!)))
    : mannWhitney(numerator, denominator)
  return { ratio: estimate, low, high, p }
}

export type TimeComparison = Ratio & {
  faster: string
  slower: string
  /** p corrected for all comparisons made together. */
  adjusted: number
  /** Whether the difference holds at the confidence asked for. */
  different: boolean
}

export type CompareOptions = BootstrapOptions & {
  correction: Correction
  /** Compare with this subject only; otherwise all pairs. */
  baseline?: string
}

/**
 * Compares the subjects of one `measure` pairwise: slower / faster, at least 1. Failed subjects are left out. Each interval
 * has the confidence asked for by itself; `different` accounts for all comparisons.
 */
export function compareTimings(
  timings: readonly Timing[],
  { correction, baseline, ...options }: CompareOptions,
): TimeComparison[] {
  const whole = timings.filter((t) => t.failed === null && t.samplesMs.length > 0)
  if (baseline !== undefined && !timings.some((t) => t.name === baseline)) {
    throw new InputError(
      `timing: baseline: expected one of ${timings.map((t) => t.name).join(', ')}, got ${baseline}`,
    )
  }
  const compared = whole.flatMap((a, i) =>
    whole
      .slice(i + 1)
      .filter((b) => baseline === undefined || a.name === baseline || b.name === baseline)
      .map((b) => {
        const [fast, slow] = median(a.samplesMs) <= median(b.samplesMs) ? [a, b] : [b, a]
        return {
          faster: fast.name,
          slower: slow.name,
          ...ratioOfMedians(slow.samplesMs, fast.samplesMs, { ...options, paired: true }),
        }
      }),
  )
  const adjusted = adjust(
    compared.map((c) => c.p),
    correction,
  )
  return compared.map((c, i) => ({
    ...c,
    adjusted: adjusted[i]!,
    different: adjusted[i]! <= 1 - options.confidence,
  }))
}
