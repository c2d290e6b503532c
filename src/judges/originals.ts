// The measures of DeltaNN and MutateNN as their authors' code computes them, defects included, so that a study can print
// the original's numbers beside the corrected ones. Nothing else may decide by them. Sources: the public repositories
// luludak/DeltaNN and luludak/MutateNN; the papers are arXiv 2306.06208 and 2306.01697.

import { type Correlation, kendall } from '../core/correlation.ts'
import { InputError } from '../core/errors.ts'
import { anova, type Test } from '../core/hypothesis.ts'
import { sumOf } from '../core/statistics.ts'

/** Class ids in rank order, best first: five in the original. */
export type Ids = readonly number[]

/** Similar means a top-1 score (1 if equal, else 0) of at least 0.7: equal. */
export const originalSimilar = (base: Ids, evaluated: Ids): boolean => base[0] === evaluated[0]

/**
 * DeltaNN's Kendall: tau of the id vectors themselves. It asks whether the *numbers* of the classes rise and fall
 * together, so lists without a common class can score 1. Corrected: `kendallOfLists`.
 */
export function originalKendallTauOnIds(base: Ids, evaluated: Ids): Correlation {
  sameLength(base, evaluated)
  return kendall(base, evaluated)
}

export type IdDistances = { euclidean: number; manhattan: number; minkowski: number }

/** Distances between id vectors, which mean nothing (ids are names): Minkowski with p = 1.5, rounded to 3 decimals. */
export function originalDistancesOnIds(base: Ids, evaluated: Ids): IdDistances {
  sameLength(base, evaluated)
  const power = (p: number): number =>
    base.reduce((sum, id, i) => sum + Math.abs(id - evaluated[i]!) ** p, 0) ** (1 / p)
  return {
    euclidean: power(2),
    manhattan: power(1),
    minkowski: Math.round(power(1.5) * 1000) / 1000,
  }
}

/** As shipped the Euclidean distance uses up the iterators, so the other two see nothing and are 0. */
export const originalDistancesAsShipped = (base: Ids, evaluated: Ids): IdDistances => ({
  ...originalDistancesOnIds(base, evaluated),
  manhattan: 0,
  minkowski: 0,
})

export function originalJaccard(base: Ids, evaluated: Ids): number {
  const [a, b] = [new Set(base), new Set(evaluated)]
  return a.intersection(b).size / a.union(b).size
}

/** DeltaNN's own measure: 100 × the mean of 1 - |rank - rank in base| / 2k over the evaluated list; absent ids give 0. */
export function originalCustomSimilarity(base: Ids, evaluated: Ids): number {
  const k = evaluated.length
  const share = (id: number): number => {
    const rank = base.indexOf(id)
    return rank < 0 ? 0 : 1 - Math.abs(rank - evaluated.indexOf(id)) / (2 * k)
  }
  return (100 * sumOf(evaluated, share)) / k
}

/** DeltaNN's rank-biased overlap is a stub. Corrected: `rankBiasedOverlap`. */
export const originalRankBiasedOverlapAsShipped = (): number => 0

/** MutateNN's rank-biased overlap, extrapolated; right for lists of one length k, which it takes for granted. */
export function originalRankBiasedOverlapOfMutateNN(base: Ids, evaluated: Ids, p = 0.8): number {
  sameLength(base, evaluated)
  const k = base.length
  const common = (d: number): number =>
    new Set(base.slice(0, d)).intersection(new Set(evaluated.slice(0, d))).size
  let sum = 0
  for (let d = 1; d <= k; d++) sum += (p ** d * common(d)) / d
  return (common(k) / k) * p ** k + ((1 - p) / p) * sum
}

/** Percentage of the base's images whose top-1 label differs. */
export function originalLabelDissimilarity(base: readonly Ids[], evaluated: readonly Ids[]): number {
  sameLength(base, evaluated)
  return (100 * base.filter((ids, i) => !originalSimilar(ids, evaluated[i]!)).length) / base.length
}

/** In how many comparisons each image differed, counted from 0 at its first: one too few. */
export function originalImagesDissimilar(images: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const image of images) counts.set(image, (counts.get(image) ?? -1) + 1)
  return counts
}

/**
 * The original guesses the label space from the path: TensorFlow's and TFLite's 1001 classes are shifted to 1000, those
 * of converted networks are not, whatever they have.
 */
export const originalClassId = (id: number, path: string): number =>
  /torch|keras|_to_/.test(path) ? id : id - 1

/** Four conventions for "percent of time" in the papers' tables; they disagree in sign and in base. */
export const originalTimePercents = {
  /** Per image, rounded to 2 decimals: positive, the evaluated one is slower. */
  perImage: (evaluated: number, base: number): number =>
    Math.round(((100 * (evaluated - base)) / base) * 100) / 100,
  /** Optimisation levels: positive, the higher level is faster. */
  level: (lower: number, higher: number): number => 100 * (lower / higher - 1),
  /** Single passes: positive, the pass makes it faster. */
  pass: (off: number, on: number): number => (100 * (off - on)) / off,
  /** Devices: positive, the column's device is slower than the row's. */
  device: (column: number, row: number): number => 100 * (column / row - 1),
}

/** One-way analysis of variance of the times of two variants, uncorrected; the tables keep pairs with p above 0.05. */
export function originalTimesAnova(
  base: readonly number[],
  evaluated: readonly number[],
): Test & { kept: boolean } {
  const test = anova([base, evaluated])
  return { ...test, kept: test.p > 0.05 }
}

/** A pair of variants is skipped when their numbers of result files differ by 5 or more. */
export const originalSkipsPair = (baseFiles: number, evaluatedFiles: number): boolean =>
  Math.abs(baseFiles - evaluatedFiles) >= 5

/** A variant is stuck when of more than 100 results more than 90 of the 100 after the first equal it, order included. */
export function originalIsStuck(results: readonly Ids[]): boolean {
  const first = String(results[0])
  return results.length > 100 && results.slice(1, 101).filter((ids) => String(ids) === first).length > 90
}

function sameLength(base: readonly unknown[], evaluated: readonly unknown[]): void {
  if (base.length !== evaluated.length) {
    throw new InputError(
      `original measure: expected lists of one length, got ${base.length} and ${evaluated.length}`,
    )
  }
}
