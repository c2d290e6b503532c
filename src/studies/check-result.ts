// What `strata check` finds, as plain JSON: the one document behind the summary, the HTML report and its Markdown, JSON and
// JUnit twins. Sizes are bytes, times milliseconds, shares between 0 and 1; NaN and infinities are the strings 'NaN', 'Infinity', '-Infinity'.

import type { Preprocessing } from '../data/preprocessing.ts'

/** same: equal bits. rounding: every node within its bound. different: some node is outside. */
export type NodeVerdict = 'same' | 'rounding' | 'different'

/** How an error grows along the graph. */
export type Growth = 'none' | 'spike' | 'drift' | 'permutation' | 'saturation' | 'NaN/Inf' | 'off-by-one'

export type ValueDifference = {
  readonly maxAbs: number
  readonly maxRel: number
  readonly maxUlp: number
  readonly snrDb: number
  readonly nanOrInf: { readonly got: number; readonly expected: number }
  /** Where the largest difference stands. */
  readonly worst: { readonly input: number; readonly index: readonly number[]; readonly got: number; readonly expected: number } | null
}

/** One node of one target, judged. */
export type NodeResult = {
  /** Index in the graph's nodes. */
  readonly index: number
  readonly node: string
  readonly op: string
  readonly origin: readonly string[]
  /** Largest |this target's result − the reference's result on the same inputs|. */
  readonly injected: number
  /** Largest |reference on this target's inputs − reference on its own inputs|. */
  readonly inherited: number
  /** Largest |this target's result − the reference's|. */
  readonly total: number
  /** What rounding alone may do at the element where `injected` comes closest to (or most exceeds) it. */
  readonly bound: number
  /** injected / bound at the worst element; above 1 the node is to blame. */
  readonly excess: number
  readonly verdict: NodeVerdict
  /** Largest magnitude of the reference's result, to read the figures against. */
  readonly magnitude: number
}

export type LabelResult = {
  readonly total: number
  readonly disagree: number
  readonly top5Overlap: number
  readonly kendallTau: number | null
  readonly rbo: number
  readonly accuracy?: { readonly value: number; readonly low: number; readonly high: number; readonly reference: number }
  /** p of McNemar's exact test against the reference, where labels exist. */
  readonly mcnemar?: number
}

export type WorstInput = {
  readonly input: number
  readonly maxAbs: number
  readonly got: string
  readonly expected: string
  /** data: URL of the picture, where the data are pictures. */
  readonly picture?: string
}

export type TargetResult = {
  /** `onnxruntime` or, for a variant, `onnxruntime:all`. */
  readonly target: string
  readonly present: boolean
  /** Why it is absent or failed, in one line. */
  readonly reason?: string
  readonly version?: string
  readonly facts: Readonly<Record<string, string | number | boolean>>
  readonly verdict: NodeVerdict | 'absent' | 'failed' | 'unsupported'
  /** One sentence for people: what is wrong, where it is born, why. */
  readonly says: string
  readonly labels: LabelResult | null
  readonly values: ValueDifference | null
  /** The bound that rounding alone allows the outputs, by propagated perturbation; see judges/bounds. */
  readonly outputBound: number | null
  /** Median and 95th percentile of one run, and the interval of the ratio to the fastest. */
  readonly ms: { readonly median: number; readonly p95: number } | null
  readonly nodes: readonly NodeResult[]
  /** The first node to blame. */
  readonly first: NodeResult | null
  readonly growth: Growth
  readonly worst: readonly WorstInput[]
}

export type CheckResult = {
  readonly verdict: 'pass' | 'fail'
  readonly says: string
  readonly created: string
  readonly command: string
  readonly model: {
    readonly name: string
    readonly source: string
    readonly format: string
    readonly digest: string
    readonly bytes: number
    readonly nodes: number
    readonly parameters: number
    readonly macs: number
    readonly ops: Readonly<Record<string, number>>
    readonly inputs: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly (number | string | null)[] }[]
    readonly outputs: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly (number | string | null)[] }[]
  }
  readonly data: {
    readonly source: string
    readonly samples: number
    readonly labelled: boolean
    readonly classes: readonly string[]
    readonly preprocessing: Preprocessing | null
    readonly preprocessingSays: string
    readonly seed: number | null
  }
  readonly machine: Readonly<Record<string, string | number>>
  readonly referenceMs: number
  readonly targets: readonly TargetResult[]
  /** The graph to draw: nodes in order with the nodes that feed them. */
  readonly graph: readonly { readonly node: string; readonly op: string; readonly from: readonly number[]; readonly shape: string; readonly attributes: string }[]
  /** Histograms of the reference's values at each node, for the report. */
  readonly histograms: readonly { readonly low: number; readonly high: number; readonly counts: readonly number[] }[]
  readonly report: string | null
}
