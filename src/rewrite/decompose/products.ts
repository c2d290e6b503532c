// Products as matrix products and convolutions: gemm, einsum, transposed convolution; quantised products as exact integer ones
// with float32 rescaling, as ONNX's runtime does it.

import type { DType } from '../../core/dtype.ts'
import { sizeOf } from '../../core/tensor.ts'
import { einsumLabels } from '../../ir/ops/products.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter } from './fixed-point.ts'
import { reshaped } from './normalize.ts'
import { requantized } from './quantize.ts'

type Inputs = readonly (ValueId | null)[]
const rule =
  (make: (e: Emitter, inputs: Inputs, a: Attributes, to: DType) => ValueId): Decomposition =>
  (b, inputs, node) => {
    const t = node.types[0]!
    return [
      make(new Emitter(b, node.name), inputs, node.attributes, t.kind === 'tensor' ? t.dtype : 'float32'),
    ]
  }

const turned = (e: Emitter, x: ValueId, on: unknown): ValueId =>
  on ? e.op('transpose', [x], { permutation: [1, 0] }) : x

function gemm(e: Emitter, [a, b, c]: Inputs, at: Attributes): ValueId {
  let y = e.op('matMul', [turned(e, a!, at.transposeA), turned(e, b!, at.transposeB)])
  if (at.alpha !== 1) y = e.with('mul', y, Number(at.alpha))
  if (c == null || at.beta === 0) return y
  return e.op('add', [y, at.beta === 1 ? c : e.with('mul', c, Number(at.beta))])
}

/** Two operands without repeated letters are a matrix product; anything else is broadcast, multiplied and summed. */
function einsum(e: Emitter, inputs: Inputs, at: Attributes): ValueId {
  const shapes = inputs.map((v) => e.shape(v!)!)
  const { terms, result } = einsumLabels(
    String(at.equation),
    shapes.map((s) => s.length),
  )
  const sizes = new Map<string, number>()
  terms.forEach((labels, i) => {
    labels.forEach((l, d) => void sizes.set(l, Math.max(sizes.get(l) ?? 1, shapes[i]![d]!)))
  })
  const summed = [...sizes.keys()].filter((l) => !result.includes(l))
  const order = [...result, ...summed]
  let product: ValueId | undefined
  terms.forEach((labels, i) => {
    let x = inputs[i]!
    let own = [...labels]
    // A repeated letter is a diagonal: all but the diagonal times 0, then summed away.
    for (let d = own.length - 1; d > 0; d--) {
      const first = own.indexOf(own[d]!)
      if (first === d) continue
      const n = e.shape(x)![d]!
      const eye = Array.from({ length: n * n }, (_, k) => (k % (n + 1) === 0 ? 1 : 0))
      const mask = own.map((_, k) => (k === first || k === d ? n : 1))
      x = e.op('mul', [x, e.list(e.dtype(x), eye, mask)])
      x = e.op('reduceSum', [x, e.list('int64', [d])], { keepDims: false })
      own = own.filter((_, k) => k !== d)
    }
    const permutation = order.filter((l) => own.includes(l)).map((l) => own.indexOf(l))
    x = e.op('transpose', [x], { permutation })
    const extents = e.shape(x)!
    let next = 0
    x = reshaped(
      e,
      x,
      order.map((l) => (own.includes(l) ? extents[next++]! : 1)),
    )
    product = product === undefined ? x : e.op('mul', [product, x])
  })
  if (summed.length === 0) return product!
  const axes = summed.map((_, i) => result.length + i)
  const matrix = asProduct(e, inputs, terms, result, sizes)
  if (matrix !== undefined) return matrix
  return e.op('reduceSum', [product!, e.list('int64', axes)], { keepDims: false })
}

function asProduct(
  e: Emitter,
  inputs: Inputs,
  terms: readonly (readonly string[])[],
  result: readonly string[],
  sizes: ReadonlyMap<string, number>,
): ValueId | undefined {
  if (terms.length !== 2 || terms.some((t) => new Set(t).size !== t.length)) return undefined
  const [a, b] = terms as [readonly string[], readonly string[]]
  const batch = result.filter((l) => a.includes(l) && b.includes(l))
  const left = a.filter((l) => !b.includes(l))
  const right = b.filter((l) => !a.includes(l))
  const inner = a.filter((l) => b.includes(l) && !result.includes(l))
  if ([...left, ...right].some((l) => !result.includes(l)) || inner.length === 0) return undefined
  const n = (labels: readonly string[]): number => sizeOf(labels.map((l) => sizes.get(l)!))
  const matrix = (
    v: ValueId,
    labels: readonly string[],
    rows: readonly string[],
    columns: readonly string[],
  ): ValueId | undefined => {
    if (e.shape(v)!.some((d, i) => d !== sizes.get(labels[i]!))) return undefined
    const permutation = [...batch, ...rows, ...columns].map((l) => labels.indexOf(l))
    const shape = [...batch.map((l) => sizes.get(l)!), n(rows), n(columns)]
    return reshaped(e, e.op('transpose', [v], { permutation }), shape)
  }
  const [p, q] = [matrix(inputs[0]!, a, left, inner), matrix(inputs[1]!, b, inner, right)]
  if (p === undefined || q === undefined) return undefined
  const made = [...batch, ...left, ...right]
  const y = reshaped(
    e,
    e.op('matMul', [p, q]),
    made.map((l) => sizes.get(l)!),
  )
  return e.op('transpose', [y], { permutation: result.map((l) => made.indexOf(l)) })
}

/** Zeros between the input's pixels, then a convolution with the filter turned around. */
function convTranspose(e: Emitter, [x, w, bias]: Inputs, at: Attributes): ValueId {
  const shape = e.shape(x!)!
  const filter = e.shape(w!)!
  const rank = filter.length - 2
  const groups = Number(at.groups)
  const first = at.layout === 'channelsLast' ? 1 : 2
  const [strides, pads, dilations, extra] = ['strides', 'pads', 'dilations', 'outputPadding'].map(
    (n) => at[n] as readonly number[],
  ) as [readonly number[], readonly number[], readonly number[], readonly number[]]
  let y = x!
  if (strides.some((s) => s > 1)) {
    // Every pixel gets stride − 1 zeros behind it, in a dimension of its own.
    const apart = shape.flatMap((n, d) => (d >= first && d < first + rank ? [n, 1] : [n]))
    const ends = shape.flatMap((_, d) =>
      d >= first && d < first + rank ? [0, strides[d - first]! - 1] : [0],
    )
    const spread = e.op('pad', [reshaped(e, y, apart), e.list('int64', [...ends.map(() => 0), ...ends])])
    y = reshaped(
      e,
      spread,
      shape.map((n, d) => (d >= first && d < first + rank ? n * strides[d - first]! : n)),
    )
  }
  // The zeros behind the last pixel count as padding, the transposed window reaches dilation · (kernel − 1) back.
  const before = strides.map((_, d) => dilations[d]! * (filter[d + 2]! - 1) - pads[d]!)
  const after = strides.map(
    (s, d) => dilations[d]! * (filter[d + 2]! - 1) - pads[d + rank]! + extra[d]! - (s - 1),
  )
  const spatial = (values: readonly number[]): number[] =>
    shape.map((_, d) => (d >= first && d < first + rank ? values[d - first]! : 0))
  if ([...before, ...after].some((p) => p !== 0))
    y = e.op('pad', [y, e.list('int64', [...spatial(before), ...spatial(after)])])
  const [inputs, perGroup] = filter as [number, number]
  const grouped = reshaped(e, w!, [groups, inputs / groups, perGroup, ...filter.slice(2)])
  const swapped = e.op('transpose', [grouped], {
    permutation: [0, 2, 1, ...filter.slice(2).map((_, d) => d + 3)],
  })
  const flat = reshaped(e, swapped, [groups * perGroup, inputs / groups, ...filter.slice(2)])
  const turnedFilter = e.op('reverse', [flat], { axes: filter.slice(2).map((_, d) => d + 2) })
  return e.op(`conv${rank}d`, [y, turnedFilter, bias ?? null], {
    strides: strides.map(() => 1),
    pads: new Array<number>(2 * rank).fill(0),
    dilations,
    groups,
    layout: at.layout!,
  })
}

const qlinearConv =
  (rank: number) =>
  (e: Emitter, inputs: Inputs, at: Attributes, to: DType): ValueId => {
    const [x, xScale, xZero, w, wScale, wZero, yScale, yZero, bias] = inputs as ValueId[]
    const filters = e.shape(w!)![0]!
    const channel = (v: ValueId): ValueId =>
      at.layout === 'channelsLast' || sizeOf(e.shape(v)!) === 1
        ? v
        : reshaped(e, v, [filters, ...new Array<number>(rank).fill(1)])
    let sums = e.op(`convInteger${rank}d`, [x!, w!, xZero!, wZero!], at)
    if (bias != null) sums = e.op('add', [sums, channel(bias)])
    const multiplier = e.op('div', [e.op('mul', [xScale!, channel(wScale!)]), yScale!])
    return requantized(e, sums, multiplier, yZero!, to)
  }

function qlinearMatMul(e: Emitter, inputs: Inputs, _at: Attributes, to: DType): ValueId {
  const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = inputs as ValueId[]
  const sums = e.op('matMulInteger', [a!, b!, aZero!, bZero!])
  // Scales of rows stand in a column.
  const rows = sizeOf(e.shape(aScale!)!)
  const left = rows > 1 && e.rank(aScale!) === 1 ? reshaped(e, aScale!, [rows, 1]) : aScale!
  return requantized(e, sums, e.op('div', [e.op('mul', [left, bScale!]), yScale!]), yZero!, to)
}

export const productDecompositions: Decompositions = {
  gemm: rule(gemm),
  einsum: rule(einsum),
  convTranspose1d: rule(convTranspose),
  convTranspose2d: rule(convTranspose),
  convTranspose3d: rule(convTranspose),
  qlinearConv1d: rule(qlinearConv(1)),
  qlinearConv2d: rule(qlinearConv(2)),
  qlinearConv3d: rule(qlinearConv(3)),
  qlinearMatMul: rule(qlinearMatMul),
}
