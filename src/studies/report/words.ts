// Words that the report and its twins share.

import type { Growth } from '../../judges/explain.ts'
import type { LabelVerdict } from '../../judges/labels.ts'
import type { TargetResult } from '../check-result.ts'

export const verdictWords: Readonly<Record<TargetResult['verdict'], string>> = {
  same: 'same bits',
  rounding: 'within rounding',
  different: 'differs',
  absent: 'not here',
  failed: 'failed',
  unsupported: 'not supported',
}

export const growthWords: Readonly<Record<Growth, string>> = {
  none: 'the error does not grow',
  spike: 'a spike: born at once, then carried along',
  drift: 'a drift: many small errors add up',
  permutation: 'values stand in the wrong places',
  saturation: 'the largest values are cut off',
  'NaN/Inf': 'NaN or infinity appears',
  'off-by-one': 'integers are off by one: a rounding rule differs',
}

/** Ran, and has a verdict. */
export const judged = (t: TargetResult): boolean =>
  t.verdict === 'same' || t.verdict === 'rounding' || t.verdict === 'different'

/** Makes the check fail. */
export const wrong = (t: TargetResult): boolean => t.verdict === 'different' || t.verdict === 'failed'

export const labelsWords = (l: LabelVerdict): string => `${l.total - l.disagree} of ${l.total}`

/** The output that is furthest out, against its bound; null where nothing could be compared. */
export function errorOf(t: TargetResult): { output: string; error: number; bound: number } | null {
  let worst: { output: string; error: number; bound: number } | null = null
  let most = -1
  t.values.forEach((v, i) => {
    if (v.maxAbs === null) return
    const bound = t.outputBounds[i] ?? 0
    const ratio = v.maxAbs === 0 ? 0 : v.maxAbs / bound
    if (ratio > most) {
      most = ratio
      worst = { output: v.output, error: v.maxAbs, bound }
    }
  })
  return worst
}
