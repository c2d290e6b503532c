// Judges values: how far are tensors from those expected, and is it more than a bound allows?
// Knows tensors only: no graph, no file, no runtime. No tolerance of its own: the bound is an argument.

import { type DType, isBig, isFloat, unitRoundoff } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { jensenShannon, klDivergence } from '../core/statistics.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import { ulpDistance } from './ulp.ts'

/** Counts on each side, and of places where only one side has it (or an infinity of the other sign). */
export type Counts = { got: number; expected: number; mismatched: number }

/** A number that JSON has; NaN, infinities and integers beyond 2^53 are written out. */
export type Plain = number | string

export type WorstValue = {
  /** Which of the added pairs, from 0. */
  pair: number
  index: number[]
  got: Plain
  expected: Plain
  /** |got - expected|; null where one of them is not finite or both are strings. */
  error: number | null
  /** What was allowed there. */
  bound: Plain
}

export type ValueVerdict = {
  /** `same`: every element equal (NaN equals NaN, -0 equals 0); `rounding`: every error within its bound. */
  verdict: 'same' | 'rounding' | 'different'
  /** Why elements could not be compared at all: shapes, or kinds of types. */
  reason: string | null
  elements: number
  equal: number
  /** Elements beyond their bound, non-finite mismatches included. */
  beyond: number
  /** Largest error as a multiple of its bound; null where there was no error or the bound was 0. */
  boundRatio: number | null
  // The measures below look at the elements that are finite on both sides; null: there were none, or no such number.
  maxAbs: number | null
  /** Of |got - expected| / |expected|, where expected is not 0. */
  maxRel: number | null
  /** maxAbs / max |expected|: says more than maxRel where some expected values are near 0. */
  maxRelToPeak: number | null
  /** In the coarser of the two floating-point types; null for integers. */
  maxUlp: number | null
  /** 10 log10(Σ expected² / Σ (got - expected)²); null without error (infinite) or without signal. */
  snrDb: number | null
  cosine: number | null
  /** Rows of the last axis, where all are probability distributions on both sides: KL(expected ‖ got) and Jensen–Shannon, in nats. */
  divergence: {
    rows: number
    klMean: number
    klMax: number
    klInfinite: number
    jsMean: number
    jsMax: number
  } | null
  nan: Counts
  infinite: Counts
  /** Integers that differ by one, and by more; null for other types. */
  offBy: { one: number; more: number } | null
  worst: WorstValue | null
}

export type ValueTally = {
  /**
   * Compares one more pair. `bound` is the largest |got - expected| that rounding explains: one number, or one an
   * element. For integers it counts steps; strings and booleans are equal or not.
   */
  add(got: Tensor, expected: Tensor, bound: number | Tensor): void
  verdict(): ValueVerdict
}

const kindOf = (d: DType): string =>
  isFloat(d) ? 'floating-point' : d === 'string' ? 'string' : d === 'bool' ? 'boolean' : 'integer'

/** Judges one tensor. */
export function compareValues(got: Tensor, expected: Tensor, bound: number | Tensor): ValueVerdict {
  const tally = valueTally()
  tally.add(got, expected, bound)
  return tally.verdict()
}

/** Judges many tensors as one: an output over all inputs. */
export function valueTally(): ValueTally {
  let pairs = 0
  let reason: string | null = null
  let elements = 0
  const sums = { finite: 0, equal: 0, beyond: 0, signal: 0, power: 0, noise: 0, product: 0 }
  const peaks = { boundRatio: 0, maxAbs: 0, maxRel: 0, expected: 0, maxUlp: 0 }
  const nan: Counts = { got: 0, expected: 0, mismatched: 0 }
  const infinite: Counts = { got: 0, expected: 0, mismatched: 0 }
  let offBy: ValueVerdict['offBy'] = null
  let divergence: ValueVerdict['divergence'] = null
  let distributions = true
  let worst: WorstValue | null = null
  let worstScore = 0

  const addNumbers = (got: Tensor, expected: Tensor, bound: number | Tensor): void => {
    const g = numbers(got)
    const e = numbers(expected)
    const limits = typeof bound === 'number' ? null : numbers(bound)
    const big = isBig(got.dtype) || isBig(expected.dtype)
    const unit = isFloat(got.dtype) ? coarser(got.dtype, expected.dtype) : null
    if (!unit) offBy ??= { one: 0, more: 0 }
    // Locals: variables shared between closures would make this loop, which sees every value of every node, slow.
    let [finite, equal, beyond] = [0, 0, 0]
    let [signal, power, noise, product] = [0, 0, 0, 0]
    let [boundRatio, maxAbs, maxRel, peak, maxUlp] = [0, 0, 0, 0, 0]
    for (let i = 0; i < g.length; i++) {
      const x = g[i]!
      const y = e[i]!
      const difference = big ? Number(BigInt(got.data[i]!) - BigInt(expected.data[i]!)) : x - y
      // x - x is 0 for every finite x, else NaN.
      const bothFinite = x - x === 0 && y - y === 0
      let error = Math.abs(difference)
      if (bothFinite) {
        finite++
        signal += y * y
        power += x * x
        product += x * y
        if (Math.abs(y) > peak) peak = Math.abs(y)
      } else {
        const nans = countMismatch(nan, Number.isNaN(x), Number.isNaN(y))
        const infinities = countMismatch(
          infinite,
          Math.abs(x) === Infinity,
          Math.abs(y) === Infinity,
          x !== y,
        )
        error = nans || infinities ? Infinity : 0
      }
      if (error === 0) {
        equal++
        continue
      }
      if (bothFinite) {
        noise += error * error
        if (error > maxAbs) maxAbs = error
        if (y !== 0 && error / Math.abs(y) > maxRel) maxRel = error / Math.abs(y)
        if (unit) maxUlp = Math.max(maxUlp, ulpDistance(unit, x, y))
      }
      if (offBy && error === 1) offBy.one++
      else if (offBy) offBy.more++
      const limit = limits ? limits[i]! : (bound as number)
      if (!(bothFinite && error <= limit)) beyond++
      const ratio = error / limit
      if (ratio > boundRatio) boundRatio = ratio
      // Beside a bound an element, the worst is the one that exceeds its own the most.
      const score = bothFinite ? (limits ? ratio : error) : Infinity
      if (!worst || score > worstScore) {
        worstScore = score
        worst = {
          pair: pairs,
          index: indexOf(i, got.shape),
          got: plain(got.dtype === 'bfloat16' ? x : got.data[i]!),
          expected: plain(expected.dtype === 'bfloat16' ? y : expected.data[i]!),
          error: Number.isFinite(error) ? error : null,
          bound: plain(limit),
        }
      }
    }
    addTo(sums, { finite, equal, beyond, signal, power, noise, product })
    raise(peaks, { boundRatio, maxAbs, maxRel, expected: peak, maxUlp })
    if (distributions && unit) addDistributions(g, e, got, expected)
  }

  const addDistributions = (g: NumberArray, e: NumberArray, got: Tensor, expected: Tensor): void => {
    const width = got.shape.at(-1) ?? 1
    if (!isDistribution(g, width, got.dtype) || !isDistribution(e, width, expected.dtype)) {
      distributions = false
      return
    }
    const d = (divergence ??= { rows: 0, klMean: 0, klMax: 0, klInfinite: 0, jsMean: 0, jsMax: 0 })
    for (let at = 0; at < g.length; at += width) {
      const [p, q] = [e.subarray(at, at + width), g.subarray(at, at + width)]
      const kl = klDivergence(p, q)
      if (kl === Infinity) d.klInfinite++
      else {
        d.klMean += kl
        d.klMax = Math.max(d.klMax, kl)
      }
      const js = jensenShannon(p, q)
      d.jsMean += js
      d.jsMax = Math.max(d.jsMax, js)
      d.rows++
    }
  }

  const addEqualities = (got: Tensor, expected: Tensor): void => {
    for (let i = 0; i < got.data.length; i++) {
      const [x, y] = [got.data[i]!, expected.data[i]!]
      if (x === y) sums.equal++
      else {
        sums.beyond++
        worst ??= {
          pair: pairs,
          index: indexOf(i, got.shape),
          got: plain(x),
          expected: plain(y),
          error: null,
          bound: 0,
        }
      }
    }
  }

  return {
    add(got, expected, bound) {
      const mismatch = mismatchOf(got, expected)
      if (mismatch) reason ??= mismatch
      else {
        checkBound(bound, expected)
        elements += got.data.length
        if (got.dtype === 'string' || got.dtype === 'bool') addEqualities(got, expected)
        else addNumbers(got, expected, bound)
      }
      pairs++
    },

    verdict() {
      const measured = sums.finite > 0
      const rows = divergence ? divergence.rows : 0
      const within = sums.beyond === 0 ? 'rounding' : 'different'
      return {
        verdict: reason ? 'different' : sums.equal === elements ? 'same' : within,
        reason,
        elements,
        equal: sums.equal,
        beyond: sums.beyond,
        boundRatio: orNull(peaks.boundRatio > 0, peaks.boundRatio),
        maxAbs: orNull(measured, peaks.maxAbs),
        maxRel: orNull(measured, peaks.maxRel),
        maxRelToPeak: orNull(peaks.expected > 0, peaks.maxAbs / peaks.expected),
        maxUlp: orNull(measured && !offBy, peaks.maxUlp),
        snrDb: orNull(sums.noise > 0, 10 * Math.log10(sums.signal / sums.noise)),
        cosine: orNull(true, sums.product / Math.sqrt(sums.power) / Math.sqrt(sums.signal)),
        divergence:
          divergence && distributions && rows > 0
            ? {
                ...divergence,
                klMean: divergence.klMean / Math.max(1, rows - divergence.klInfinite),
                jsMean: divergence.jsMean / rows,
              }
            : null,
        nan: { ...nan },
        infinite: { ...infinite },
        offBy: offBy && { ...offBy },
        worst,
      }
    },
  }
}

function addTo<K extends string>(sums: Record<K, number>, more: Record<K, number>): void {
  for (const key in more) sums[key] += more[key]
}

function raise<K extends string>(peaks: Record<K, number>, other: Record<K, number>): void {
  for (const key in other) peaks[key] = Math.max(peaks[key], other[key])
}

type NumberArray = ReturnType<typeof numbers>

/** Why two tensors have no elements to compare. */
function mismatchOf(got: Tensor, expected: Tensor): string | null {
  if (String(got.shape) !== String(expected.shape)) {
    return `shape: expected [${expected.shape}], got [${got.shape}]`
  }
  if (kindOf(got.dtype) !== kindOf(expected.dtype))
    return `dtype: expected ${expected.dtype}, got ${got.dtype}`
  return null
}

function checkBound(bound: number | Tensor, expected: Tensor): void {
  if (typeof bound === 'number') {
    if (!(bound >= 0)) throw new InputError(`bound: expected a number that is not negative, got ${bound}`)
  } else if (String(bound.shape) !== String(expected.shape)) {
    throw new InputError(`bound: expected shape [${expected.shape}] as the values have, got [${bound.shape}]`)
  }
}

const coarser = (a: DType, b: DType): DType => (unitRoundoff(a) >= unitRoundoff(b) ? a : b)

/** Counts one place; true when the sides differ there. */
function countMismatch(counts: Counts, got: boolean, expected: boolean, unequal = false): boolean {
  if (got) counts.got++
  if (expected) counts.expected++
  const mismatched = got !== expected || (got && expected && unequal)
  if (mismatched) counts.mismatched++
  return mismatched
}

/** Rows that are not negative and sum to 1 to half of the type's digits (which only decides whether KL is shown). */
function isDistribution(values: NumberArray, width: number, dtype: DType): boolean {
  if (width < 2) return false
  const slack = Math.sqrt(unitRoundoff(dtype))
  for (let at = 0; at < values.length; at += width) {
    let sum = 0
    for (let i = at; i < at + width; i++) {
      if (!(values[i]! >= 0)) return false
      sum += values[i]!
    }
    if (!(Math.abs(sum - 1) <= slack)) return false
  }
  return true
}

/** Row-major position as coordinates. */
function indexOf(flat: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length)
  let rest = flat
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = rest % shape[axis]!
    rest = Math.floor(rest / shape[axis]!)
  }
  return index
}

const plain = (x: number | bigint | string): Plain =>
  typeof x === 'number' && Number.isFinite(x) ? x : typeof x === 'bigint' && isSafe(x) ? Number(x) : String(x)

const isSafe = (x: bigint): boolean => Number.isSafeInteger(Number(x))

/** The number where it applies and JSON has it. */
const orNull = (applies: boolean, x: number): number | null => (applies && Number.isFinite(x) ? x : null)
