// What `strata check` finds, as plain JSON: the one document behind the summary, the HTML report and its Markdown, JSON and
// JUnit twins. Sizes are bytes, times milliseconds, shares between 0 and 1; NaN and infinities are the strings 'NaN', 'Infinity', '-Infinity'.

import type { Preprocessing } from '../data/preprocessing.ts'
import type { Attribution, Likeness } from '../judges/attribute.ts'
import type { Growth } from '../judges/explain.ts'
import type { AccuracyComparison, LabelVerdict } from '../judges/labels.ts'
import type { ValueVerdict } from '../judges/values.ts'

/** One node of one target, judged. */
export type NodeResult = Attribution & {
  readonly node: string
  readonly op: string
  readonly origin: readonly string[]
}

export type WorstInput = {
  readonly input: number
  readonly maxAbs: number
  readonly got: string
  readonly expected: string
  /** data: URL of the picture, where the data are pictures. */
  readonly picture?: string
}

export type RunTimes = {
  readonly median: number
  readonly low: number
  readonly high: number
  readonly p95: number
  readonly runs: number
}

export type TargetResult = {
  /** `onnxruntime` or, for a variant, `onnxruntime:all`. */
  readonly target: string
  readonly present: boolean
  /** Why it is absent or failed, in one line. */
  readonly reason?: string
  readonly version?: string
  readonly facts: Readonly<Record<string, string | number | boolean>>
  readonly verdict: Likeness | 'absent' | 'failed' | 'unsupported'
  /** One sentence for people: what is wrong, where it is born, why. */
  readonly says: string
  /** Classes chosen, where the first output is a row of scores. */
  readonly labels: LabelVerdict | null
  /** Against the true labels, where the data have them. */
  readonly accuracy: AccuracyComparison | null
  /** One for each output of the model, over all inputs. */
  readonly values: readonly (ValueVerdict & { readonly output: string })[]
  /** For each output: what rounding alone may do to it, by propagated perturbation (judges/attribute). */
  readonly outputBounds: readonly number[]
  /** Of one run: median with its 95 % interval, and 95th percentile. Runs of all targets were interleaved. */
  readonly ms: RunTimes | null
  readonly nodes: readonly NodeResult[]
  /** The first node to blame. */
  readonly first: NodeResult | null
  /** Nodes to blame, the worst first. */
  readonly blamed: number
  /** The difference shows only where the runtime fuses operators: where its fused form first leaves the bound. */
  readonly fused: { readonly node: string; readonly total: number; readonly bound: number } | null
  readonly growth: Growth
  readonly worst: readonly WorstInput[]
  /** Against the form of the same target that rounds every product, where both were run. */
  readonly forms?: FusedForms
}

/** How the two forms of one program differ: products that enter their sums unrounded (fused multiply-add), and rounded ones. */
export type FusedForms = {
  readonly unfused: string
  /** Nodes whose results are equal, that differ on equal inputs, and whose inputs differ already. */
  readonly nodes: { readonly equal: number; readonly born: number; readonly inherited: number }
  /** The first node that differs on equal inputs, at its element furthest out; null where no node does. */
  readonly first: {
    readonly node: string
    readonly op: string
    readonly difference: number
    /** What rounding allows each form there. */
    readonly bounds: readonly [fused: number, unfused: number]
  } | null
  readonly says: string
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
    readonly inputs: readonly {
      readonly name: string
      readonly dtype: string
      readonly shape: readonly (number | string | null)[]
    }[]
    readonly outputs: readonly {
      readonly name: string
      readonly dtype: string
      readonly shape: readonly (number | string | null)[]
    }[]
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
  readonly graph: readonly {
    readonly node: string
    readonly op: string
    readonly from: readonly number[]
    readonly shape: string
    readonly attributes: string
  }[]
  /** Histograms of the reference's values at each node, for the report. */
  readonly histograms: readonly {
    readonly low: number
    readonly high: number
    readonly counts: readonly number[]
  }[]
  readonly report: string | null
}
