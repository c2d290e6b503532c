// What rounding alone may do to one node's result on given inputs. No tolerance is chosen by hand: a bound follows from the
// dtype's unit roundoff u, the length of the accumulation and the magnitudes summed.
//
// Sums of K products: |error| ≤ min(K, λ√K) · u · Σ|x||w|. K·u is the deterministic bound of any summation order; λ√K·u holds
// with probability above 1 − 2·exp(−λ²/2) an element (N. J. Higham, T. Mary, A New Approach to Probabilistic Rounding Error
// Analysis, SIAM J. Sci. Comput. 41(5), 2019): with λ = 8, 2.5e−14.

import { type DType, isFloat, unitRoundoff } from '../core/dtype.ts'
import { rng } from '../core/rng.ts'
import { numbers, stridesOf, type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluateNode } from '../ir/evaluate.ts'
import { numberOf, numbersOf } from '../ir/op.ts'
import { boundFormula, forEachBroadcast } from '../ir/ops/elementwise.ts'
import { opNamed } from '../ir/ops/index.ts'
import { type Datum, isGraph, isTensor, type Node } from '../ir/types.ts'
import { errorFunction } from './formula-error.ts'

export const lambda = 8

/** Accumulation length of one output element, from the inputs' shapes. */
type Length = (node: Node, inputs: readonly (Tensor | undefined)[], result: Tensor) => number

const size = (t: Tensor | undefined): number => t?.data.length ?? 1
const filterLength: Length = (_n, [, w]) => size(w) / (w?.shape[0] || 1) + 1
/** Of a filter [I, O/groups, …] whose taps fall on every stride-th result. */
const transposedLength: Length = ({ attributes }, [, w]) => {
  const [strides, dilations] = [numbersOf(attributes, 'strides'), numbersOf(attributes, 'dilations')]
  const taps = w!.shape.slice(2).map((k, d) => (dilations[d] === 1 ? Math.ceil(k / strides[d]!) : k))
  return taps.reduce((a, b) => a * b, w!.shape[0]! / numberOf(attributes, 'groups')) + 1
}
const perOutput: Length = (_n, [x], result) => Math.max(1, size(x) / Math.max(1, size(result)))

/** Operators that are sums of products of their inputs: evaluated on magnitudes they give Σ|x||w|. */
const sums: Readonly<Record<string, Length>> = {
  matMul: (_n, [a]) => a?.shape.at(-1) ?? 1,
  conv1d: filterLength,
  conv2d: filterLength,
  conv3d: filterLength,
  convTranspose1d: transposedLength,
  convTranspose2d: transposedLength,
  convTranspose3d: transposedLength,
  averagePool1d: (n) => kernel(n),
  averagePool2d: (n) => kernel(n),
  averagePool3d: (n) => kernel(n),
  reduceSum: perOutput,
  reduceMean: perOutput,
  reduceL1: perOutput,
  reduceSumSquare: perOutput,
  cumSum: (_n, [x]) => Math.max(...(x?.shape ?? [1]), 1),
  einsum: (_n, inputs, result) =>
    Math.max(1, inputs.reduce((m, t) => m * size(t), 1) / Math.max(1, size(result))),
  resize: () => 16,
  lrn: (n) => numberOf(n.attributes, 'size'),
}
/** Those of them that multiply two values, and not only add. */
const ofProducts = /^(matMul|(conv|convTranspose)[123]d)$/
const kernel = (n: Node): number =>
  ((n.attributes.kernel ?? n.attributes.kernelShape ?? [9]) as readonly number[]).reduce((a, b) => a * b, 1)

/** Move, choose or compare elements without arithmetic: exact. */
const exact: ReadonlySet<string> = new Set([
  'identity', 'reshape', 'transpose', 'concat', 'slice', 'split', 'squeeze', 'unsqueeze', 'gather', 'gatherElements',
  'gatherND', 'pad', 'expand', 'tile', 'reverse', 'reverseSequence', 'range', 'shape', 'size', 'nonZero', 'oneHot', 'spaceToDepth',
  'depthToSpace', 'maxPool1d', 'maxPool2d', 'maxPool3d', 'reduceMax', 'reduceMin', 'argMax', 'argMin', 'topK', 'where', 'relu',
  'clamp', 'abs', 'neg', 'sign', 'min', 'max', 'unique', 'compress', 'trilu', 'eyeLike', 'constantOfShape', 'flatten', 'maxUnpool1d',
  'maxUnpool2d', 'maxUnpool3d', 'dropout', 'scatterElements', 'scatterND',
]) // biome-ignore format: a list

export type NodeBound = {
  /** Bound on each element of each output; a number where it is the same everywhere. */
  readonly outputs: readonly (Float64Array | number)[]
  /** How it was found, for the report. */
  readonly how: string
}

/** As Float64Array.from, which takes many times as long over the millions of elements of a large network. */
function each(values: ArrayLike<number>, f: (v: number, i: number) => number): Float64Array {
  const out = new Float64Array(values.length)
  for (let i = 0; i < out.length; i++) out[i] = f(values[i]!, i)
  return out
}

const magnitudes = (t: Datum | undefined): Datum | undefined =>
  isTensor(t) && isFloat(t.dtype) ? { dtype: 'float64', shape: t.shape, data: each(numbers(t), Math.abs) } : t

/** Smallest positive number of full precision. */
const smallestNormal: Partial<Record<DType, number>> = {
  float64: 2 ** -1022,
  float32: 2 ** -126,
  float16: 2 ** -14,
  bfloat16: 2 ** -126,
}

/**
 * Runtimes take the logistic function as (1 + tanh(x / 2)) / 2 or from a rational function: of small absolute, not relative,
 * error, half of what formula-error.ts gives tanh. By operator, what multiplies the logistic function in it.
 */
const logistics: Readonly<Record<string, (x: number) => number>> = {
  sigmoid: () => 1,
  silu: (x) => Math.abs(x),
}
const approximationOfLogistic = 4

/**
 * The bound for a node whose reference result on `inputs` is `results`.
 * `amplification` is the factor that the target's algorithm for this node is known to cost (Winograd's transforms). `fused`: products
 * enter their sums unrounded (fused multiply-add), which takes one rounding from each.
 */
export function boundNode(
  node: Node,
  inputs: readonly (Datum | undefined)[],
  results: readonly Datum[],
  amplification = 1,
  fused = false,
): NodeBound {
  const first = results[0]
  if (!isTensor(first)) return { outputs: results.map(() => 0), how: 'exact' }
  const u = unitRoundoff(first.dtype)
  const tensors = inputs.map((t) => (isTensor(t) ? t : undefined))
  // Runtimes flush what is smaller than the smallest normal number.
  const flushed = smallestNormal[first.dtype] ?? 0
  const ulp = (t: Tensor): Float64Array =>
    each(numbers(t), (v) => (v === 0 ? 0 : u * Math.abs(v) + Math.min(Math.abs(v), flushed)))
  if (node.op === 'quantizeLinear')
    return { outputs: [tiesOfQuantize(tensors, first)], how: 'exact but for halves' }
  if (node.op === 'cast' && !isFloat(first.dtype)) return { outputs: [0], how: 'exact' }
  // A body's results may be integers and floats: what its floats may round to is measured.
  if (Object.values(node.attributes).some(isGraph)) {
    const float = results.find((t) => isTensor(t) && isFloat(t.dtype))
    return isTensor(float)
      ? sensitivity(node, inputs, results, unitRoundoff(float.dtype) * amplification)
      : { outputs: results.map(() => 0), how: 'exact' }
  }
  if (u === 0 || exact.has(node.op)) return { outputs: results.map(() => 0), how: 'exact' }
  const formula = opNamed(node.op)?.formula
  if (formula) {
    const f = errorFunction(boundFormula(formula, node.attributes), ['x', 'y', 'z'], u)
    const out = ulp(first)
    const logistic = logistics[node.op]
    const [a, b, c] = tensors.map((t) => t && numbers(t))
    forEachBroadcast(
      tensors.map((t) => t!.shape),
      first.shape,
      (i, o) => {
        out[i]! += f(a![o[0]!]!, b ? b[o[1]!]! : 0, c ? c[o[2]!]! : 0)
        if (logistic) out[i]! += logistic(a![o[0]!]!) * approximationOfLogistic * u
      },
    )
    return { outputs: [out], how: 'running error of the formula' }
  }
  const length = sums[node.op]
  if (length) {
    const k = length(node, tensors, first)
    const roundings = fused && ofProducts.test(node.op) ? k : k + 1
    const factor = Math.min(roundings, lambda * Math.sqrt(roundings)) * u * amplification
    const sum = evaluateNode(node, inputs.map(magnitudes))[0] as Tensor
    const own = ulp(first)
    const s = amplification > 1 ? largestNear(sum, String(node.attributes.layout)) : numbers(sum)
    // Products smaller than the smallest normal number may be flushed, or rounded to the spacing below it.
    const under = (v: number): number =>
      Math.min(v, (k + 1) * flushed) + (v > 0 ? (k + 1) * flushed * 2 * u : 0)
    return {
      outputs: [each(s, (v, i) => factor * v + under(v) + own[i]!), ...results.slice(1).map(() => 0)],
      how: `${Math.round(k)} products${fused && ofProducts.test(node.op) ? ', fused with their sums' : ''}${amplification > 1 ? `, algorithm ×${amplification}` : ''}`,
    }
  }
  return sensitivity(node, inputs, results, u * amplification)
}

/** Inputs that a tile of Winograd's algorithm is wide and high, at most: F(4×4) of 3×3 taps, F(2×2) of 5×5. */
const tileSide = 6

/**
 * Winograd's algorithm adds and subtracts what lies in one tile: a result's error goes with every product of an input of its tile and a
 * tap, also with those that it doesn't contain. Each such product stands in the sum of a result that is less than a tile away: the
 * largest of these sums, by channel.
 */
function largestNear(sum: Tensor, layout: string): Float64Array {
  const { shape } = sum
  const spatial = layout === 'channelsLast' ? [1, shape.length - 1] : [2, shape.length]
  const strides = stridesOf(shape)
  let from = Float64Array.from(numbers(sum))
  for (let d = spatial[0]!; d < spatial[1]!; d++) {
    const to = new Float64Array(from.length)
    const [n, stride] = [shape[d]!, strides[d]!]
    for (let i = 0; i < from.length; i++) {
      const at = Math.floor(i / stride) % n
      const last = Math.min(n - 1, at + tileSide - 1)
      for (let p = Math.max(0, at - tileSide + 1); p <= last; p++)
        to[i] = Math.max(to[i]!, from[i + (p - at) * stride]!)
    }
    from = to
  }
  return from
}

/** A quantised value may land on either side where x/scale is a half to within the rounding of the quotient. */
function tiesOfQuantize([x, scale]: readonly (Tensor | undefined)[], result: Tensor): Float64Array {
  const out = new Float64Array(result.data.length)
  const xs = numbers(x!)
  const s = numbers(scale!)
  const u = unitRoundoff(x!.dtype)
  for (let i = 0; i < out.length; i++) {
    // Per-axis scales are rare on activations; any scale whose quotient is near a half counts.
    for (let k = 0; k < s.length; k++) {
      const q = xs[i]! / s[k]!
      if (Math.abs(Math.abs(q % 1) - 0.5) <= 4 * u * Math.abs(q)) out[i] = 1
    }
  }
  return out
}

/**
 * Operators without an analytic bound (normalisations, recurrences, softmax): a backward stable implementation is the exact
 * operator on inputs perturbed by a few roundings, so the results' spread under such perturbations measures it.
 */
function sensitivity(
  node: Node,
  inputs: readonly (Datum | undefined)[],
  results: readonly Datum[],
  u: number,
): NodeBound {
  const r = rng(1)
  const largest = Math.max(1, ...inputs.map((t) => (isTensor(t) && isFloat(t.dtype) ? t.data.length : 1)))
  const k = Math.min(largest, 4096)
  const step = lambda * Math.sqrt(k) * u
  const spread = results.map((t) => new Float64Array(isTensor(t) ? t.data.length : 0))
  for (let trial = 0; trial < 2; trial++) {
    const moved = inputs.map((t) =>
      isTensor(t) && isFloat(t.dtype)
        ? tensorOf(
            t.dtype,
            t.shape,
            each(numbers(t), (v) => v * (1 + step * (r.next() < 0.5 ? -1 : 1))),
          )
        : t,
    )
    const a = evaluateNode(node, moved)
    a.forEach((t, o) => {
      if (!isTensor(t) || !isFloat(t.dtype)) return
      const [p, q] = [numbers(t), numbers(results[o] as Tensor)]
      for (let i = 0; i < p.length; i++) spread[o]![i] = Math.max(spread[o]![i]!, Math.abs(p[i]! - q[i]!))
    })
  }
  return {
    outputs: results.map((t, o) => {
      if (!isTensor(t) || !isFloat(t.dtype)) return 0
      const values = numbers(t)
      let top = 0
      for (const s of spread[o]!) if (s > top) top = s
      // Random signs can cancel at one element: a share of the largest spread is allowed everywhere.
      return each(spread[o]!, (s, i) => 2 * s + 0.25 * top + elementwiseUlps * u * Math.abs(values[i]!))
    }),
    how: 'spread under perturbed inputs',
  }
}
const elementwiseUlps = 16
