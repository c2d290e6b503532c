// Judges rankings: two lists of labels, best first. Where an item is missing from one list, each measure says what that means.

import { kendall } from '../core/correlation.ts'
import { InputError } from '../core/errors.ts'

export type Label = number | string

/** The k classes with the largest scores, best first; ties go to the lower class. NaN is never chosen. */
export function topK(scores: ArrayLike<number>, k: number): number[] {
  const best: number[] = []
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!
    if (Number.isNaN(score) || (best.length === k && !(score > scores[best[k - 1]!]!))) continue
    let at = best.length < k ? best.length : k - 1
    for (; at > 0 && score > scores[best[at - 1]!]!; at--) best[at] = best[at - 1]!
    best[at] = i
  }
  return best
}

/** Share of the longer list that both have; 1 when both are empty. */
export function overlap(a: readonly Label[], b: readonly Label[]): number {
  const [x, y] = [distinct(a), distinct(b)]
  const longer = Math.max(x.size, y.size)
  return longer === 0 ? 1 : x.intersection(y).size / longer
}

/**
 * Kendall's tau-b over the ranks of the union of both lists. Items that a list lacks share the rank behind its last
 * item: below everything in it, in no order among themselves. So equal lists give 1, reversed ones -1, and lists
 * without a common item are as discordant as their ties allow. NaN where fewer than two items can be compared.
 */
export function kendallOfLists(a: readonly Label[], b: readonly Label[]): number {
  const [x, y] = [distinct(a), distinct(b)]
  const union = [...x.union(y)]
  const ranksIn = (list: Set<Label>): number[] => {
    const rank = new Map([...list].map((item, i) => [item, i]))
    return union.map((item) => rank.get(item) ?? list.size)
  }
  return kendall(ranksIn(x), ranksIn(y)).value
}

/**
 * Rank-biased overlap, extrapolated, for lists that may be of unequal length: equation 32 of Webber, Moffat and Zobel,
 * "A similarity measure for indefinite rankings", 2010. `p` is the chance that a reader goes on to the next rank: the
 * first d ranks weigh more the smaller it is (p = 0.8: the first five weigh 86 %). Two empty lists: 1.
 */
export function rankBiasedOverlap(a: readonly Label[], b: readonly Label[], p = 0.8): number {
  if (!(p > 0 && p < 1)) throw new InputError(`rank-biased overlap: p: expected between 0 and 1, got ${p}`)
  const lists = [[...distinct(a)], [...distinct(b)]]
  const [short, long] = lists.sort((x, y) => x.length - y.length) as [Label[], Label[]]
  const [s, l] = [short.length, long.length]
  if (l === 0) return 1
  if (s === 0) return 0
  const seen = new Set<Label>()
  const common: number[] = []
  let both = 0
  for (let d = 0; d < l; d++) {
    for (const item of d < s ? [short[d]!, long[d]!] : [long[d]!]) {
      // No list holds an item twice: one that is seen again is in both.
      if (seen.has(item)) both++
      seen.add(item)
    }
    common.push(both)
  }
  const atShort = common[s - 1]!
  const atLong = common[l - 1]!
  let sum = 0
  for (let d = 1; d <= l; d++) {
    sum += (common[d - 1]! / d) * p ** d
    // Beyond its end the short list is taken to agree as it did so far.
    if (d > s) sum += ((atShort * (d - s)) / (s * d)) * p ** d
  }
  return ((1 - p) / p) * sum + ((atLong - atShort) / l + atShort / s) * p ** l
}

function distinct(list: readonly Label[]): Set<Label> {
  const set = new Set(list)
  if (set.size !== list.length) throw new InputError(`ranking: expected each item once, got [${list}]`)
  return set
}
