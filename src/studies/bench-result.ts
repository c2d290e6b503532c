// What `bench` prints: plain JSON.

import type { Peak } from '../targets/peak.ts'
import type { Machine } from '../targets/processor.ts'
import type { NodeTime } from '../targets/target.ts'

export type BenchVerdict =
  | 'same'
  | 'rounding'
  | 'different'
  | 'unchecked'
  | 'failed'
  | 'unsupported'
  | 'absent'

/** Times in milliseconds; null where the subject has no right to one or can't be asked. */
export type BenchRow = {
  readonly model: string
  readonly target: string
  /** The target's variant, or ''. */
  readonly variant: string
  /** What ran it: the executable's own word, else the variant. */
  readonly engine: string
  readonly version: string | null
  readonly threads: number
  /** Of the outputs, given before anything was timed and again after. */
  readonly verdict: BenchVerdict
  readonly says: string
  /** Largest error over the outputs, as a share of the largest expected value; null where none was found. */
  readonly error: number | null
  /** Largest such error allowed; null where only rounding limits it. */
  readonly within: number | null
  /** Largest error as a multiple of what rounding allows. */
  readonly boundRatio: number | null
  readonly medianMs: number | null
  /** Of single runs. */
  readonly p95Ms: number | null
  readonly leastMs: number | null
  /** Median processor time of a run, all threads. */
  readonly cpuMs: number | null
  readonly runs: number
  /** 2 · multiply-accumulates of the model's direct form / median by the clock in use. */
  readonly gflops: number | null
  /** Of the measured peak of the processor at this many threads; above 1 only where an algorithm saves products. */
  readonly share: number | null
  /** Most bytes resident in its process, of which `baseBytes` were there before the target: Node and the model. */
  readonly peakBytes: number | null
  readonly baseBytes: number | null
  /** Start of a cold process to its first answer, reading the model, compiling and loading included. */
  readonly startMs: number | null
  /** Processor time of all its threads until then. */
  readonly startCpuMs: number | null
  readonly compileMs: number | null
  readonly loadMs: number | null
  readonly firstMs: number | null
  readonly facts: Readonly<Record<string, string | number | boolean>>
  readonly profile: readonly NodeTime[] | null
}

export type BenchRatio = {
  readonly model: string
  readonly threads: number
  /** Subjects as `target` or `target:variant`. */
  readonly faster: string
  readonly slower: string
  /** Time of the slower over that of the faster, with its bootstrap interval. */
  readonly ratio: number
  readonly low: number
  readonly high: number
  /** Whether the difference holds when all comparisons of the group are counted (Holm); null: no difference could, in so few rounds. */
  readonly different: boolean | null
}

/** One model at one number of threads: what was run in turn. */
export type BenchGroup = {
  readonly model: string
  readonly threads: number
  readonly macs: number
  /** Of the products: whose peak the shares are of. */
  readonly arithmetic: 'float32' | 'int8'
  readonly comparedWith: 'reference' | 'each other' | null
  /** Cores that others used, and share of time that other guests of the host took, while we measured; null where unknown. */
  readonly othersCores: number | null
  readonly stealShare: number | null
}

export type BenchResult = {
  readonly machine: Machine
  readonly peaks: readonly Peak[]
  /** Of the ratios: time on the wall, or of the processor. */
  readonly clock: 'wall' | 'cpu'
  readonly confidence: number
  readonly rows: readonly BenchRow[]
  readonly ratios: readonly BenchRatio[]
  readonly groups: readonly BenchGroup[]
}

/** How the row's subject is called in ratios. */
export const rowName = (r: Pick<BenchRow, 'target' | 'variant'>): string =>
  r.variant ? `${r.target}:${r.variant}` : r.target

/**
 * How many times the throughput of `peer` one subject has, with its interval; undefined where they were not compared.
 * Above 1: `subject` is faster.
 */
export function speedOver(
  result: BenchResult,
  model: string,
  threads: number,
  subject: string,
  peer: string,
): { ratio: number; low: number; high: number } | undefined {
  for (const r of result.ratios) {
    if (r.model !== model || r.threads !== threads) continue
    if (r.faster === subject && r.slower === peer) return { ratio: r.ratio, low: r.low, high: r.high }
    if (r.faster === peer && r.slower === subject)
      return { ratio: 1 / r.ratio, low: 1 / r.high, high: 1 / r.low }
  }
  return undefined
}
