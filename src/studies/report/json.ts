// The report's JSON twin, and the documents that `check` and `compare` print under `--json`.

import type { CheckResult, TargetResult } from '../check-result.ts'
import type { CompareResult } from '../compare.ts'

/** JSON has no NaN, infinities or big integers: they are written as strings. */
export const jsonText = (value: unknown): string =>
  `${JSON.stringify(value, (_, v) => (typeof v === 'bigint' || (typeof v === 'number' && !Number.isFinite(v)) ? String(v) : v), 2)}\n`

/** Keys that scripts rely on: more may be added, none renamed without a word in the changelog. */
export type CheckDocument = {
  readonly verdict: CheckResult['verdict']
  readonly says: string
  readonly targets: readonly {
    readonly target: string
    readonly present: boolean
    readonly verdict: string
    readonly says: string
    readonly labels: { readonly total: number; readonly disagree: number } | null
    readonly values: readonly {
      readonly output: string
      readonly verdict: string
      readonly maxAbs: number | null
      readonly maxRel: number | null
      readonly maxUlp: number | null
      readonly snrDb: number | null
      readonly bound: number
    }[]
    readonly ms: number | null
    readonly first: {
      readonly node: string
      readonly op: string
      readonly injected: number
      readonly inherited: number
      readonly bound: number
    } | null
    readonly forms?: TargetResult['forms']
  }[]
  /** Path of the HTML report; null where none was written. */
  readonly report: string | null
}

/** The short form of a result: the whole one is the report's JSON twin. */
export const checkDocument = (result: CheckResult): CheckDocument => ({
  verdict: result.verdict,
  says: result.says,
  targets: result.targets.map((t) => ({
    target: t.target,
    present: t.present,
    verdict: t.verdict,
    says: t.says,
    labels: t.labels && { total: t.labels.total, disagree: t.labels.disagree },
    values: t.values.map(({ output, verdict, maxAbs, maxRel, maxUlp, snrDb }, i) => ({
      output,
      verdict,
      maxAbs,
      maxRel,
      maxUlp,
      snrDb,
      bound: t.outputBounds[i] ?? 0,
    })),
    ms: t.ms?.median ?? null,
    first: t.first && {
      node: t.first.node,
      op: t.first.op,
      injected: t.first.injected,
      inherited: t.first.inherited,
      bound: t.first.bound,
    },
    ...(t.forms && { forms: t.forms }),
  })),
  report: result.report,
})

export const compareDocument = ({ labels, values, ...rest }: CompareResult) => ({
  ...rest,
  labels: labels && { total: labels.total, disagree: labels.disagree },
  values: {
    maxAbs: values.maxAbs,
    maxRel: values.maxRel,
    maxUlp: values.maxUlp,
    snrDb: values.snrDb,
    elements: values.elements,
    equal: values.equal,
    beyond: values.beyond,
  },
})
