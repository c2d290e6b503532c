// Judges labels: do two sets of scores choose the same classes, and does either choose the right ones?
// Scores are tensors whose last axis is the classes ([n, classes, 1, 1] counts too); every other axis counts inputs.

import { InputError } from '../core/errors.ts'
import { mcnemar } from '../core/hypothesis.ts'
import { type Interval, type ProportionMethod, proportionInterval } from '../core/statistics.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import { kendallOfLists, overlap, rankBiasedOverlap, topK } from './rank.ts'

export type Disagreement = {
  /** Which input, from 0. */
  input: number
  /** null: the scores hold NaN, so no class is chosen. */
  got: number | null
  expected: number | null
  /** By how much the expected scores prefer their class to the one got; 0 for a tie, null where there is no label. */
  margin: number | null
}

/** Mean and smallest over the inputs; null without any. */
export type Spread = { mean: number | null; least: number | null }

export type LabelVerdict = {
  total: number
  /** Inputs whose top-1 class differs. Ties go to the lower class; a row with NaN has no class and only agrees with another. */
  disagree: number
  /** disagree / total; null without inputs. */
  share: number | null
  /** Inputs whose best score belongs to several classes. */
  ties: { got: number; expected: number }
  /** Inputs without a class. */
  noLabel: { got: number; expected: number }
  /** Disagreements where a side's own tie holds the other's class: not evidence of a difference. */
  tiedDisagree: number
  disagreements: Disagreement[]
  topK: {
    k: number
    /** Share of the k best classes that both sides have. */
    overlap: Spread
    sameSet: number
    sameOrder: number
    /** Tau-b over ranks of the union, absent classes last; over the inputs where it is defined. */
    kendall: Spread
    rankBiasedOverlap: Spread & { p: number }
  }
}

export type LabelTally = {
  /** Compares the classes of one more pair of score tensors. */
  add(got: Tensor, expected: Tensor): void
  verdict(): LabelVerdict
}

export type LabelOptions = {
  /** How many of the best classes are compared; at most the number of classes. */
  k?: number
  /** Persistence of the rank-biased overlap. */
  p?: number
}

/** Compares the classes that two tensors of scores choose. */
export function compareLabels(got: Tensor, expected: Tensor, options: LabelOptions = {}): LabelVerdict {
  const tally = labelTally(options)
  tally.add(got, expected)
  return tally.verdict()
}

/** Compares the classes chosen over many inputs. */
export function labelTally({ k = 5, p = 0.8 }: LabelOptions = {}): LabelTally {
  const ties = { got: 0, expected: 0 }
  const noLabel = { got: 0, expected: 0 }
  const disagreements: Disagreement[] = []
  let total = 0
  let tiedDisagree = 0
  let sameSet = 0
  let sameOrder = 0
  const overlaps = spread()
  const taus = spread()
  const biased = spread()

  const addRow = (got: ArrayLike<number>, expected: ArrayLike<number>): void => {
    const [g, e] = [labelOf(got), labelOf(expected)]
    if (g.label === null) noLabel.got++
    if (e.label === null) noLabel.expected++
    if (g.tied.length > 1) ties.got++
    if (e.tied.length > 1) ties.expected++
    if (g.label !== e.label) {
      const comparable = g.label !== null && e.label !== null
      if (comparable && (g.tied.includes(e.label!) || e.tied.includes(g.label!))) tiedDisagree++
      const margin = comparable ? expected[e.label!]! - expected[g.label!]! : null
      disagreements.push({ input: total, got: g.label, expected: e.label, margin })
    }
    const [a, b] = [topK(got, k), topK(expected, k)]
    const shared = overlap(a, b)
    if (shared === 1) sameSet++
    if (shared === 1 && a.every((label, i) => label === b[i])) sameOrder++
    overlaps.add(shared)
    biased.add(rankBiasedOverlap(a, b, p))
    const tau = kendallOfLists(a, b)
    if (!Number.isNaN(tau)) taus.add(tau)
    total++
  }

  return {
    add(got, expected) {
      if (String(got.shape) !== String(expected.shape) || got.shape.length === 0) {
        throw new InputError(
          `labels: expected two score tensors of one shape, got [${got.shape}] and [${expected.shape}]`,
        )
      }
      forEachRow(got, expected, addRow)
    },

    verdict: () => ({
      total,
      disagree: disagreements.length,
      share: total === 0 ? null : disagreements.length / total,
      ties: { ...ties },
      noLabel: { ...noLabel },
      tiedDisagree,
      disagreements: [...disagreements],
      topK: {
        k,
        overlap: overlaps.of(),
        sameSet,
        sameOrder,
        kendall: taus.of(),
        rankBiasedOverlap: { p, ...biased.of() },
      },
    }),
  }
}

function forEachRow(
  got: Tensor,
  expected: Tensor,
  row: (got: ArrayLike<number>, expected: ArrayLike<number>) => void,
): void {
  const [g, e] = [numbers(got), numbers(expected)]
  const classes = classesOf(got.shape)
  for (let at = 0; at < g.length; at += classes)
    row(g.subarray(at, at + classes), e.subarray(at, at + classes))
}

/** Size of the last axis, past the axes of size 1 that a pooling leaves behind it. */
function classesOf(shape: readonly number[]): number {
  let axis = shape.length - 1
  while (axis > 1 && shape[axis] === 1) axis--
  return shape[axis]!
}

/** The class of the best score (the lowest of those tied) and all that share it; none where a score is NaN. */
function labelOf(scores: ArrayLike<number>): { label: number | null; tied: number[] } {
  let best = -Infinity
  let tied: number[] = []
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i]!)) return { label: null, tied: [] }
    if (scores[i]! > best || tied.length === 0) {
      best = scores[i]!
      tied = [i]
    } else if (scores[i] === best) tied.push(i)
  }
  return { label: tied[0] ?? null, tied }
}

/** The class that each row of scores chooses; null where it holds NaN. */
export function labelsOf(scores: Tensor): (number | null)[] {
  const labels: (number | null)[] = []
  forEachRow(scores, scores, (row) => labels.push(labelOf(row).label))
  return labels
}

function spread(): { add(x: number): void; of(): Spread } {
  let count = 0
  let sum = 0
  let least = Infinity
  return {
    add(x) {
      count++
      sum += x
      least = Math.min(least, x)
    },
    of: () => (count === 0 ? { mean: null, least: null } : { mean: sum / count, least }),
  }
}

// Accuracy, where the right labels are known

export type Accuracy = Interval & {
  total: number
  correct: number
  /** correct / total; null without inputs. */
  value: number | null
  confidence: number
  method: ProportionMethod
}

/** Share of right answers and the interval that the number of inputs leaves. */
export function accuracy(
  right: readonly boolean[],
  confidence: number,
  method: ProportionMethod = 'wilson',
): Accuracy {
  const total = right.length
  const correct = right.filter(Boolean).length
  const interval = proportionInterval(correct, total, confidence, method)
  return { total, correct, value: total === 0 ? null : correct / total, ...interval, confidence, method }
}

/** Whether each row's right class is among its k best. */
export function rightAnswers(scores: Tensor, truth: readonly number[], k = 1): boolean[] {
  const right: boolean[] = []
  forEachRow(scores, scores, (row) => {
    const label = truth[right.length]
    if (label === undefined) throw tooFew(scores, truth)
    right.push(topK(row, k).includes(label))
  })
  if (right.length !== truth.length) throw tooFew(scores, truth)
  return right
}

const tooFew = (scores: Tensor, truth: readonly number[]): InputError =>
  new InputError(`accuracy: expected a label for each row of [${scores.shape}], got ${truth.length} labels`)

export type AccuracyComparison = {
  got: Accuracy
  expected: Accuracy
  /** Accuracy of got less that of expected. */
  difference: number | null
  onlyGot: number
  onlyExpected: number
  /** McNemar's p: chance of so uneven a split of the inputs that one side alone gets right, were the two equally good. */
  mcnemar: { exact: number; chiSquared: number }
}

/** Is one of two classifiers more often right on the same inputs? */
export function compareAccuracy(
  got: readonly boolean[],
  expected: readonly boolean[],
  confidence: number,
): AccuracyComparison {
  if (got.length !== expected.length) {
    throw new InputError(
      `accuracy: expected the same inputs, got ${got.length} and ${expected.length} answers`,
    )
  }
  const onlyGot = got.filter((right, i) => right && !expected[i]).length
  const onlyExpected = expected.filter((right, i) => right && !got[i]).length
  return {
    got: accuracy(got, confidence),
    expected: accuracy(expected, confidence),
    difference: got.length === 0 ? null : (onlyGot - onlyExpected) / got.length,
    onlyGot,
    onlyExpected,
    mcnemar: {
      exact: mcnemar(onlyGot, onlyExpected).p,
      chiSquared: mcnemar(onlyGot, onlyExpected, 'corrected').p,
    },
  }
}
