// What `bench` takes.

import type { Tensor } from '../core/tensor.ts'
import type { Graph } from '../ir/types.ts'
import type { Target, TargetOptions } from '../targets/target.ts'
import { rowName } from './bench-result.ts'

export type BenchSubject = {
  readonly target: Target
  /** A name for the options, or ''. */
  readonly variant: string
  readonly options: TargetOptions
  /** Instead of the bench's own: a peer that pays for its speed with accuracy can be timed at the error that it has. */
  readonly within?: number
}

export type BenchModel = {
  readonly name: string
  /** With every dimension a number. */
  readonly graph: Graph
  readonly inputs: readonly Tensor[]
  /** What the outputs must be, where that is known better than by the reference on the graph: of quantised models, by the integers. */
  readonly expected?: {
    readonly outputs: readonly Tensor[]
    /** Largest error of each output that a target (by its name) may have. */
    bounds(target: string): readonly number[]
  }
}

export type BenchOptions = {
  readonly models: readonly BenchModel[]
  readonly subjects: readonly BenchSubject[]
  /** Default [1]. */
  readonly threads?: readonly number[]
  /** Rounds: samples of each subject. Default 15. */
  readonly repeats?: number
  /** A sample repeats its subject until it takes about this long. Default 100. */
  readonly sampleMs?: number
  /** Least time and least runs before the first sample. Default 300 and 3. */
  readonly warmupMs?: number
  readonly warmupRuns?: number
  /** Of the ratios. 'cpu' (one thread only) is what neighbours on a shared machine disturb least. Default 'wall'. */
  readonly clock?: 'wall' | 'cpu'
  /** Compare with this subject only (`onnxruntime:all`); all pairs otherwise. */
  readonly baseline?: string
  /** Models of more multiply-accumulates are judged by agreement instead of by the reference. Default 8e9: about a minute. */
  readonly referenceMacs?: number
  /** Largest error allowed, as a share of the largest expected value, where that is stricter than what rounding could do. */
  readonly within?: number
  /** Any question to a child. Default 5 minutes. */
  readonly limitMs?: number
  /** What a child's group may hold; default: no limit. */
  readonly memoryBytes?: number
  readonly perNode?: boolean
  /** Measure the processor's peak first. Default true. */
  readonly peaks?: boolean
  readonly confidence?: number
  readonly seed?: number
  /** The module whose `targets` a child looks the subject up in. Default: the registry. */
  readonly targets?: URL
  readonly progress?: (done: number, total: number, what: string) => void
  readonly signal?: AbortSignal
}

/** A subject as it is called in ratios and by `baseline`. */
export const subjectName = (s: BenchSubject): string => rowName({ target: s.target.name, variant: s.variant })
