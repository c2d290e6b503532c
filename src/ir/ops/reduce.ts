// Reductions along axes, positions of extremes, running sums. Sums in float64 (or exact integers), rounded once.

import { type DType, isBig, isFloat, rangeOf, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, integers, sizeOf, stridesOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, booleanOf, type Infer, inputType, numberOf, type Op } from '../op.ts'
import { type Shape, tensorType } from '../types.ts'
import {
  aroundAxis,
  cells,
  constantIntegers,
  lengthOf,
  optionalTensor,
  outputType,
  strided,
  tensorAt,
} from './elements.ts'

/** Fills the values that one result is made of into `row`, and folds them. `count` is the number of values. */
type Fold = (row: Float64Array, count: number) => number
type BigFold = (row: BigInt64Array | BigUint64Array) => bigint

const total = (row: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < row.length; i++) sum += row[i]!
  return sum
}
const largest = (row: Float64Array): number => {
  let m = -Infinity
  for (let i = 0; i < row.length; i++) m = Math.max(m, row[i]!)
  return m
}
const logSumExp = (row: Float64Array): number => {
  const m = largest(row)
  if (!Number.isFinite(m)) return m
  let sum = 0
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i]! - m)
  return m + Math.log(sum)
}

function reducedShape(shape: Shape, axes: readonly number[] | null, keep: boolean): Shape {
  if (!shape) return null
  const gone = new Set(axes ? axes.map((a) => axisOf(a, shape.length)) : shape.keys())
  return keep ? shape.map((d, i) => (gone.has(i) ? 1 : d)) : shape.filter((_, i) => !gone.has(i))
}

/** The axes to reduce: null means all, an empty list none. */
function reduceAxes(x: Infer): readonly number[] | null | undefined {
  const noop = booleanOf(x.attributes, 'noopWithEmptyAxes')
  if (x.inputs[1] == null) return noop ? [] : null
  const given = constantIntegers(x, 1)
  if (!given) return lengthOf(x, 1) === 0 ? (noop ? [] : null) : undefined
  return given.length === 0 && !noop ? null : given
}

/** Moves the reduced axes last: the tensor as rows. */
function rowsOf(t: Tensor, gone: ReadonlySet<number>): { rows: Tensor; count: number; length: number } {
  const kept = t.shape.map((_, i) => i).filter((i) => !gone.has(i))
  const lost = t.shape.map((_, i) => i).filter((i) => gone.has(i))
  const strides = stridesOf(t.shape)
  const order = [...kept, ...lost]
  const ordered = order.every((a, i) => a === i)
  return {
    rows: ordered
      ? t
      : strided(
          t,
          order.map((a) => t.shape[a]!),
          order.map((a) => strides[a]!),
        ),
    count: sizeOf(kept.map((a) => t.shape[a]!)),
    length: sizeOf(lost.map((a) => t.shape[a]!)),
  }
}

/** The extreme of nothing is the type's own limit. */
function within(dtype: DType, value: number): number {
  if (Number.isFinite(value) || Number.isNaN(value)) return value
  const [low, high] = rangeOf(dtype)
  return Number(value < 0 ? low : high)
}

function reduction(doc: string, fold: Fold, bigFold: BigFold | null): Op {
  return {
    doc: `${doc} along axes (int64 input; all where absent)`,
    inputs: [1, 2],
    attributes: {
      keepDims: { kind: 'boolean', default: true },
      noopWithEmptyAxes: { kind: 'boolean', default: false },
    },
    infer(x) {
      const t = inputType(x, 0)
      const axes = reduceAxes(x)
      const keep = booleanOf(x.attributes, 'keepDims')
      if (axes === undefined) {
        const n = lengthOf(x, 1)
        const rank = keep ? t.shape?.length : n !== null && t.shape ? t.shape.length - n : undefined
        if (rank !== undefined && rank < 0)
          throw new InputError(`expected at most ${t.shape?.length} axes, got ${n}`)
        return [tensorType(t.dtype, rank === undefined ? null : new Array<null>(rank).fill(null))]
      }
      return [tensorType(t.dtype, reducedShape(t.shape, axes, keep))]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const axesInput = optionalTensor(inputs, 1)
      const noop = booleanOf(x.attributes, 'noopWithEmptyAxes')
      const given = axesInput ? integers(axesInput) : []
      if (given.length === 0 && noop) return [t]
      const gone = new Set(
        given.length ? given.map((a) => axisOf(a, t.shape.length)) : t.shape.map((_, i) => i),
      )
      const { shape } = outputType(x)
      const out = zeros(t.dtype, shape)
      const { rows, count, length } = rowsOf(t, gone)
      if (isBig(t.dtype)) {
        const data = rows.data as BigInt64Array
        for (let i = 0; i < count; i++) {
          const row = data.subarray(i * length, (i + 1) * length)
          store(
            t.dtype,
            out.data,
            i,
            bigFold ? bigFold(row) : bigOf(fold(Float64Array.from(row, Number), length)),
          )
        }
        return [out]
      }
      const row = new Float64Array(length)
      const direct = t.dtype !== 'bfloat16'
      for (let i = 0; i < count; i++) {
        if (direct) row.set(cells(rows.data).subarray(i * length, (i + 1) * length))
        else for (let k = 0; k < length; k++) row[k] = at(rows, i * length + k)
        const value = fold(row, length)
        store(t.dtype, out.data, i, isFloat(t.dtype) ? value : within(t.dtype, Math.trunc(value)))
      }
      return [out]
    },
    examples: () => [
      { inputs: [tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 6]), tensorOf('int64', [1], [1])] },
      { inputs: [tensorOf('float32', [2, 2], [-1, 2, 3, 4])], attributes: { keepDims: false } },
    ],
  }
}

const bigOf = (x: number): bigint => (Number.isFinite(x) ? BigInt(Math.trunc(x)) : 0n)
const bigSum = (row: BigInt64Array | BigUint64Array, f: (v: bigint) => bigint = (v) => v): bigint => {
  let sum = 0n
  for (const v of row) sum += f(v)
  return sum
}
const bigAbs = (v: bigint): bigint => (v < 0n ? -v : v)

/** Index of the first (or last) largest value by `better`. NaN counts as better than any number, as numpy says. */
function argExtreme(doc: string, better: (a: number | bigint, b: number | bigint) => boolean): Op {
  return {
    doc: `${doc} along axis, as int64`,
    inputs: [1, 1],
    attributes: {
      axis: { kind: 'number', default: 0 },
      keepDims: { kind: 'boolean', default: true },
      selectLast: { kind: 'boolean', default: false },
    },
    infer(x) {
      const t = inputType(x, 0)
      const axes = [numberOf(x.attributes, 'axis')]
      return [tensorType('int64', reducedShape(t.shape, axes, booleanOf(x.attributes, 'keepDims')))]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { outer, size, inner } = aroundAxis(
        t.shape,
        axisOf(numberOf(x.attributes, 'axis'), t.shape.length),
      )
      const last = booleanOf(x.attributes, 'selectLast')
      const out = zeros('int64', outputType(x).shape)
      const value = (i: number): number | bigint => (isBig(t.dtype) ? (t.data[i] as bigint) : at(t, i))
      if (size === 0) throw new InputError('expected at least one value along the axis')
      for (let o = 0; o < outer; o++) {
        for (let k = 0; k < inner; k++) {
          let best = 0
          let bestValue = value(o * size * inner + k)
          for (let i = 1; i < size; i++) {
            const v = value((o * size + i) * inner + k)
            const bestIsNaN = Number.isNaN(bestValue)
            if (
              bestIsNaN
                ? last && Number.isNaN(v)
                : Number.isNaN(v) || better(v, bestValue) || (last && v === bestValue)
            ) {
              best = i
              bestValue = v
            }
          }
          ;(out.data as BigInt64Array)[o * inner + k] = BigInt(best)
        }
      }
      return [out]
    },
    examples: () => [
      { inputs: [tensorOf('float32', [2, 3], [1, 3, 3, 6, 5, 4])], attributes: { axis: 1, keepDims: false } },
    ],
  }
}

export const reduce = {
  reduceSum: reduction('Sum', total, (r) => bigSum(r)),
  reduceMean: reduction(
    'Mean',
    (r, n) => total(r) / n,
    (r) => (r.length ? bigSum(r) / BigInt(r.length) : 0n),
  ),
  reduceMax: reduction('Largest value; NaN wins', largest, (r) => {
    let m = r[0] ?? 0n
    for (const v of r) if (v > m) m = v
    return m
  }),
  reduceMin: reduction(
    'Smallest value; NaN wins',
    (r) => {
      let m = Infinity
      for (let i = 0; i < r.length; i++) m = Math.min(m, r[i]!)
      return m
    },
    (r) => {
      let m = r[0] ?? 0n
      for (const v of r) if (v < m) m = v
      return m
    },
  ),
  reduceProd: reduction(
    'Product',
    (r) => {
      let p = 1
      for (let i = 0; i < r.length; i++) p *= r[i]!
      return p
    },
    (r) => {
      let p = 1n
      for (const v of r) p *= v
      return p
    },
  ),
  reduceL1: reduction(
    'Sum of magnitudes',
    (r) => total(r.map(Math.abs)),
    (r) => bigSum(r, bigAbs),
  ),
  reduceL2: reduction('Root of the sum of squares', (r) => Math.sqrt(total(r.map((v) => v * v))), null),
  reduceSumSquare: reduction(
    'Sum of squares',
    (r) => total(r.map((v) => v * v)),
    (r) => bigSum(r, (v) => v * v),
  ),
  reduceLogSum: reduction('Logarithm of the sum', (r) => Math.log(total(r)), null),
  reduceLogSumExp: reduction('Logarithm of the sum of exponentials', logSumExp, null),
  argMax: argExtreme('Index of the largest value', (a, b) => a > b),
  argMin: argExtreme('Index of the smallest value', (a, b) => a < b),
  cumSum: {
    doc: 'Running sum along an axis (a scalar integer input); exclusive leaves the element itself out, reverse runs back',
    inputs: [2, 2],
    attributes: {
      exclusive: { kind: 'boolean', default: false },
      reverse: { kind: 'boolean', default: false },
    },
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const axis = axisOf(integers(tensorAt(inputs, 1))[0]!, t.shape.length)
      const { outer, size, inner } = aroundAxis(t.shape, axis)
      const exclusive = booleanOf(x.attributes, 'exclusive')
      const reverse = booleanOf(x.attributes, 'reverse')
      const out = zeros(t.dtype, t.shape)
      for (let o = 0; o < outer; o++) {
        for (let k = 0; k < inner; k++) {
          let sum = 0
          let big = 0n
          for (let i = 0; i < size; i++) {
            const p = (o * size + (reverse ? size - 1 - i : i)) * inner + k
            const put = (): void => store(t.dtype, out.data, p, isBig(t.dtype) ? big : sum)
            if (exclusive) put()
            if (isBig(t.dtype)) big += t.data[p] as bigint
            else sum += at(t, p)
            if (!exclusive) put()
          }
        }
      }
      return [out]
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [3], [1, 2, 3]), tensorOf('int64', [], [0])],
        outputs: [tensorOf('float32', [3], [1, 3, 6])],
      },
    ],
  },
} satisfies Record<string, Op>
