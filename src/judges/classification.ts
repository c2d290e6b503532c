// Judges a classifier, or the agreement of two, from a confusion matrix; and scores of a yes-or-no question from their order.
// Held to scikit-learn.

import { InputError } from '../core/errors.ts'
import { ranks, sumOf } from '../core/statistics.ts'

/** [truth][predicted] counts. Labels are 0 … classes - 1. */
export function confusion(
  truth: readonly number[],
  predicted: readonly number[],
  classes: number,
): number[][] {
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  if (truth.length !== predicted.length) {
    throw new InputError(
      `confusion: expected equally many, got ${truth.length} and ${predicted.length} labels`,
    )
  }
  truth.forEach((t, i) => {
    const p = predicted[i]!
    if (matrix[t]?.[p] === undefined) {
      throw new InputError(`confusion: expected labels from 0 to ${classes - 1}, got ${t} and ${p}`)
    }
    matrix[t]![p]!++
  })
  return matrix
}

export type ClassReport = {
  class: number
  /** How often it is right, and how often it is chosen. */
  support: number
  predicted: number
  precision: number
  recall: number
  f1: number
}

export type Classification = {
  total: number
  accuracy: number
  /** Mean recall of the classes that occur. */
  balancedAccuracy: number
  /** Means over classes: unweighted, and weighted by support. Over all decisions (micro) F1 is the accuracy. */
  f1Macro: number
  f1Weighted: number
  /** Matthews' correlation, of any number of classes. */
  mcc: number
  /** Classes that occur on either side. */
  classes: ClassReport[]
}

/** What a confusion matrix says; null where it is empty. A share of nothing is 0, as in scikit-learn. */
export function classify(matrix: readonly (readonly number[])[]): Classification | null {
  const { total, rows, columns, diagonal } = marginals(matrix)
  if (total === 0) return null
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
  const classes = matrix
    .map((_, c) => ({
      class: c,
      support: rows[c]!,
      predicted: columns[c]!,
      precision: share(diagonal[c]!, columns[c]!),
      recall: share(diagonal[c]!, rows[c]!),
      f1: share(2 * diagonal[c]!, rows[c]! + columns[c]!),
    }))
    .filter((c) => c.support + c.predicted > 0)
  const occurring = classes.filter((c) => c.support > 0)
  const right = sumOf(diagonal, (x) => x)
  const square = (counts: readonly number[]): number => total ** 2 - sumOf(counts, (x) => x * x)
  const together = sumOf(classes, (c) => c.support * c.predicted)
  return {
    total,
    accuracy: right / total,
    balancedAccuracy: sumOf(occurring, (c) => c.recall) / occurring.length,
    f1Macro: sumOf(classes, (c) => c.f1) / classes.length,
    f1Weighted: sumOf(classes, (c) => c.f1 * c.support) / total,
    mcc: share(right * total - together, Math.sqrt(square(rows) * square(columns))),
    classes,
  }
}

/**
 * Cohen's kappa: agreement beyond chance, 1 when complete. `linear` and `quadratic` weigh a disagreement by how far apart
 * the classes are. null where chance alone agrees fully.
 */
export function cohenKappa(
  matrix: readonly (readonly number[])[],
  weights: 'equal' | 'linear' | 'quadratic' = 'equal',
): number | null {
  const { total, rows, columns } = marginals(matrix)
  const weigh = {
    equal: (d: number) => Number(d > 0),
    linear: (d: number) => d,
    quadratic: (d: number) => d * d,
  }
  let observed = 0
  let chance = 0
  matrix.forEach((row, t) => {
    row.forEach((count, p) => {
      const weight = weigh[weights](Math.abs(t - p))
      observed += weight * count
      chance += (weight * rows[t]! * columns[p]!) / total
    })
  })
  return chance > 0 ? 1 - observed / chance : null
}

function marginals(matrix: readonly (readonly number[])[]) {
  const rows = matrix.map((row) => sumOf(row, (x) => x))
  const columns = matrix.map((_, c) => sumOf(matrix, (row) => row[c]!))
  return { rows, columns, diagonal: matrix.map((row, c) => row[c]!), total: sumOf(rows, (x) => x) }
}

/** Chance that a positive scores higher than a negative (half for equal scores); null without both. */
export function rocAuc(scores: ArrayLike<number>, positive: readonly boolean[]): number | null {
  const rank = ranks(scores)
  const yes = positive.filter(Boolean).length
  const no = positive.length - yes
  if (yes === 0 || no === 0) return null
  const sum = rank.reduce((s, r, i) => (positive[i] ? s + r : s), 0)
  return (sum - (yes * (yes + 1)) / 2) / (yes * no)
}

/** Mean precision over the positives, taken from the highest score down; null without a positive. */
export function averagePrecision(scores: ArrayLike<number>, positive: readonly boolean[]): number | null {
  const order = positive.map((_, i) => i).sort((i, j) => scores[j]! - scores[i]!)
  const yes = positive.filter(Boolean).length
  if (yes === 0) return null
  let found = 0
  let sum = 0
  for (let i = 0; i < order.length; ) {
    // Equal scores are one threshold.
    const before = found
    const score = scores[order[i]!]!
    for (; i < order.length && scores[order[i]!] === score; i++) if (positive[order[i]!]) found++
    sum += (found - before) * (found / i)
  }
  return sum / yes
}

/** Mean squared error of probabilities of a yes. */
export const brierScore = (probabilities: readonly number[], positive: readonly boolean[]): number =>
  sumOf([...probabilities.keys()], (i) => (probabilities[i]! - Number(positive[i])) ** 2) /
  probabilities.length

/** Mean -ln of the probability given to what was so, in nats: infinite where that was 0. */
export const logLoss = (probabilities: readonly number[], positive: readonly boolean[]): number =>
  sumOf(
    [...probabilities.keys()],
    (i) => -Math.log(positive[i] ? probabilities[i]! : 1 - probabilities[i]!),
  ) / probabilities.length
