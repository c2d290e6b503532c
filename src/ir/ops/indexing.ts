// Operators that read or write by computed positions: gather, scatter, topK, oneHot, nonZero, unique, compress.

import { isBig, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, integers, sizeOf, stridesOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, booleanOf, inputType, numberOf, type Op, stringOf } from '../op.ts'
import { type Dim, tensorType } from '../types.ts'
import {
  aroundAxis,
  cells,
  checkedIndex,
  constantIntegers,
  copyCells,
  outputType,
  tensorAt,
  withShape,
} from './elements.ts'

const reductions = ['none', 'add', 'mul', 'max', 'min'] as const
const reductionAttribute = { kind: 'string', oneOf: reductions, default: 'none' } as const

/** Combines what stands at `i` with element `j` of the updates. */
function combine(out: Tensor, i: number, updates: Tensor, j: number, reduction: string): void {
  if (reduction === 'none') {
    cells(out.data)[i] = cells(updates.data)[j]!
    return
  }
  if (isBig(out.dtype)) {
    const [a, b] = [out.data[i] as bigint, updates.data[j] as bigint]
    const r =
      reduction === 'add' ? a + b : reduction === 'mul' ? a * b : (reduction === 'max') === a > b ? a : b
    store(out.dtype, out.data, i, r)
    return
  }
  const [a, b] = [at(out, i), at(updates, j)]
  const r =
    reduction === 'add'
      ? a + b
      : reduction === 'mul'
        ? a * b
        : reduction === 'max'
          ? Math.max(a, b)
          : Math.min(a, b)
  store(out.dtype, out.data, i, r)
}

const copyOf = (t: Tensor): Tensor => ({ ...t, data: t.data.slice() })

/** Compares elements of one tensor for sorting; NaN sorts last, as numpy does. */
const order = (t: Tensor): ((i: number, j: number) => number) =>
  t.dtype === 'string' || isBig(t.dtype)
    ? (i, j) => (t.data[i]! < t.data[j]! ? -1 : t.data[i]! > t.data[j]! ? 1 : 0)
    : (i, j) => {
        const [a, b] = [at(t, i), at(t, j)]
        if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
        return a < b ? -1 : a > b ? 1 : 0
      }

const indexTensor = (shape: readonly number[], values: readonly number[]): Tensor =>
  tensorOf('int64', shape, values)

export const indexing = {
  gather: {
    doc: 'Entries of x along axis by index (negative ones count from the end); the first batchDims dimensions are shared',
    inputs: [2, 2],
    attributes: { axis: { kind: 'number', default: 0 }, batchDims: { kind: 'number', default: 0 } },
    infer(x) {
      const t = inputType(x, 0)
      const indices = inputType(x, 1)
      if (!t.shape || !indices.shape) return [withShape(t, null)]
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const shared = numberOf(x.attributes, 'batchDims')
      return [
        withShape(t, [...t.shape.slice(0, axis), ...indices.shape.slice(shared), ...t.shape.slice(axis + 1)]),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const indexShape = tensorAt(inputs, 1).shape
      const indices = integers(tensorAt(inputs, 1))
      const { shape } = outputType(x)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const shared = numberOf(x.attributes, 'batchDims')
      const { size, inner } = aroundAxis(t.shape, axis)
      const batches = sizeOf(t.shape.slice(0, shared))
      const between = sizeOf(t.shape.slice(shared, axis))
      const perBatch = sizeOf(indexShape.slice(shared))
      const out = zeros(t.dtype, shape)
      let to = 0
      for (let b = 0; b < batches; b++) {
        for (let o = 0; o < between; o++) {
          for (let k = 0; k < perBatch; k++, to += inner) {
            const i = checkedIndex(indices[b * perBatch + k]!, size)
            copyCells(t.data, ((b * between + o) * size + i) * inner, out.data, to, inner)
          }
        }
      }
      return [out]
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [3, 2], [1, 2, 3, 4, 5, 6]), tensorOf('int64', [2], [-1, 0])],
        attributes: { axis: 0 },
        outputs: [tensorOf('float32', [2, 2], [5, 6, 1, 2])],
      },
    ],
  },
  gatherElements: {
    doc: 'out[i…] = x[i… with the entry of axis replaced by indices[i…]]',
    inputs: [2, 2],
    attributes: { axis: { kind: 'number', default: 0 } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [1, 2, 3, 4]), tensorOf('int64', [2, 2], [0, 0, 1, 0])],
        attributes: { axis: 1 },
        outputs: [tensorOf('float32', [2, 2], [1, 1, 4, 3])],
      },
    ],
    infer: (x) => [withShape(inputType(x, 0), inputType(x, 1).shape)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const indices = integers(tensorAt(inputs, 1))
      const { shape } = outputType(x)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const out = zeros(t.dtype, shape)
      const from = stridesOf(t.shape)
      const strides = stridesOf(shape)
      for (let i = 0; i < indices.length; i++) {
        let offset = checkedIndex(indices[i]!, t.shape[axis]!) * from[axis]!
        for (let d = 0, r = i; d < shape.length; d++) {
          if (d !== axis) offset += Math.floor(r / strides[d]!) * from[d]!
          r %= strides[d]!
        }
        copyCells(t.data, offset, out.data, i, 1)
      }
      return [out]
    },
  },
  gatherND: {
    doc: 'Slices of x at the index tuples in the last dimension of indices; the first batchDims dimensions are shared',
    inputs: [2, 2],
    attributes: { batchDims: { kind: 'number', default: 0 } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [1, 2, 3, 4]), tensorOf('int64', [2, 2], [0, 0, 1, 1])],
        outputs: [tensorOf('float32', [2], [1, 4])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const indices = inputType(x, 1)
      const depth = indices.shape?.at(-1)
      if (!t.shape || !indices.shape || typeof depth !== 'number') return [withShape(t, null)]
      const shared = numberOf(x.attributes, 'batchDims')
      return [withShape(t, [...indices.shape.slice(0, -1), ...t.shape.slice(shared + depth)])]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const indexShape = tensorAt(inputs, 1).shape
      const indices = integers(tensorAt(inputs, 1))
      const shared = numberOf(x.attributes, 'batchDims')
      const depth = indexShape.at(-1)!
      const strides = stridesOf(t.shape)
      const inner = sizeOf(t.shape.slice(shared + depth))
      const batch = sizeOf(t.shape.slice(shared))
      const perBatch = sizeOf(indexShape.slice(shared, -1))
      const out = zeros(t.dtype, outputType(x).shape)
      for (let k = 0; k * inner < out.data.length; k++) {
        let offset = Math.floor(k / perBatch) * batch
        for (let d = 0; d < depth; d++)
          offset += checkedIndex(indices[k * depth + d]!, t.shape[shared + d]!) * strides[shared + d]!
        copyCells(t.data, offset, out.data, k * inner, inner)
      }
      return [out]
    },
  },
  scatterElements: {
    doc: 'x with updates written (or added, multiplied, …) where indices say along axis',
    inputs: [3, 3],
    attributes: { axis: { kind: 'number', default: 0 }, reduction: reductionAttribute },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [3], [1, 2, 3]),
          tensorOf('int64', [2], [0, -1]),
          tensorOf('float32', [2], [10, 20]),
        ],
        attributes: { reduction: 'add' },
        outputs: [tensorOf('float32', [3], [11, 2, 23])],
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const updates = tensorAt(inputs, 2)
      const indices = integers(tensorAt(inputs, 1))
      const { shape } = tensorAt(inputs, 1)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const out = copyOf(t)
      const to = stridesOf(t.shape)
      const strides = stridesOf(shape)
      for (let i = 0; i < indices.length; i++) {
        let offset = checkedIndex(indices[i]!, t.shape[axis]!) * to[axis]!
        for (let d = 0, r = i; d < shape.length; d++) {
          if (d !== axis) offset += Math.floor(r / strides[d]!) * to[d]!
          r %= strides[d]!
        }
        combine(out, offset, updates, i, stringOf(x.attributes, 'reduction'))
      }
      return [out]
    },
  },
  scatterND: {
    doc: 'x with slices of updates written (or added, multiplied, …) at the index tuples in the last dimension of indices',
    inputs: [3, 3],
    attributes: { reduction: reductionAttribute },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [2, 2], [1, 2, 3, 4]),
          tensorOf('int64', [1, 1], [1]),
          tensorOf('float32', [1, 2], [7, 8]),
        ],
        outputs: [tensorOf('float32', [2, 2], [1, 2, 7, 8])],
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const updates = tensorAt(inputs, 2)
      const indexShape = tensorAt(inputs, 1).shape
      const indices = integers(tensorAt(inputs, 1))
      const depth = indexShape.at(-1)!
      const strides = stridesOf(t.shape)
      const inner = sizeOf(t.shape.slice(depth))
      const out = copyOf(t)
      for (let k = 0; k < sizeOf(indexShape.slice(0, -1)); k++) {
        let offset = 0
        for (let d = 0; d < depth; d++)
          offset += checkedIndex(indices[k * depth + d]!, t.shape[d]!) * strides[d]!
        for (let i = 0; i < inner; i++)
          combine(out, offset + i, updates, k * inner + i, stringOf(x.attributes, 'reduction'))
      }
      return [out]
    },
  },
  oneHot: {
    doc: 'A new axis of extent depth that holds values[1] at the index and values[0] elsewhere: inputs indices, depth, values',
    inputs: [3, 3],
    attributes: { axis: { kind: 'number', default: -1 } },
    infer(x) {
      const indices = inputType(x, 0)
      const dtype = inputType(x, 2).dtype
      if (!indices.shape) return [tensorType(dtype, null)]
      const axis = axisOf(numberOf(x.attributes, 'axis'), indices.shape.length + 1)
      const depth: Dim = constantIntegers(x, 1)?.[0] ?? null
      return [tensorType(dtype, [...indices.shape.slice(0, axis), depth, ...indices.shape.slice(axis)])]
    },
    evaluate(inputs, x) {
      const indices = integers(tensorAt(inputs, 0))
      const values = tensorAt(inputs, 2)
      const { shape } = outputType(x)
      const { outer, size, inner } = aroundAxis(shape, axisOf(numberOf(x.attributes, 'axis'), shape.length))
      const out = zeros(values.dtype, shape)
      for (let o = 0; o < outer; o++) {
        for (let d = 0; d < size; d++) {
          for (let i = 0; i < inner; i++) {
            const index = Math.trunc(indices[o * inner + i]!)
            const hot = index === d || index + size === d
            copyCells(values.data, hot ? 1 : 0, out.data, (o * size + d) * inner + i, 1)
          }
        }
      }
      return [out]
    },
    examples: () => [
      {
        inputs: [
          tensorOf('int64', [2], [1, -1]),
          tensorOf('int64', [], [3]),
          tensorOf('float32', [2], [0, 5]),
        ],
        outputs: [tensorOf('float32', [2, 3], [0, 5, 0, 0, 0, 5])],
      },
    ],
  },
  topK: {
    doc: 'The k (int64) largest or smallest values along axis and their int64 indices; among equals the lower index first',
    inputs: [2, 2],
    outputs: [2, 2],
    attributes: {
      axis: { kind: 'number', default: -1 },
      largest: { kind: 'boolean', default: true },
      sorted: { kind: 'boolean', default: true },
    },
    infer(x) {
      const t = inputType(x, 0)
      const k: Dim = constantIntegers(x, 1)?.[0] ?? null
      if (!t.shape) return [t, tensorType('int64', null)]
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const size = t.shape[axis]!
      if (typeof k === 'number' && typeof size === 'number' && (k < 0 || k > size))
        throw new InputError(`topK: k is ${k} but the axis has ${size} entries`)
      const shape = t.shape.map((d, i) => (i === axis ? k : d))
      return [withShape(t, shape), tensorType('int64', shape)]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { shape } = outputType(x)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const { outer, size, inner } = aroundAxis(t.shape, axis)
      const k = shape[axis]!
      const compare = order(t)
      const sign = booleanOf(x.attributes, 'largest') ? -1 : 1
      const [values, indices] = [zeros(t.dtype, shape), zeros('int64', shape)]
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          const place = (e: number): number => (o * size + e) * inner + i
          const entries = Array.from({ length: size }, (_, e) => e)
          entries.sort((a, b) => sign * compare(place(a), place(b)) || a - b)
          for (let e = 0; e < k; e++) {
            const to = (o * k + e) * inner + i
            copyCells(t.data, place(entries[e]!), values.data, to, 1)
            ;(indices.data as BigInt64Array)[to] = BigInt(entries[e]!)
          }
        }
      }
      return [values, indices]
    },
    examples: () => [{ inputs: [tensorOf('float32', [1, 4], [1, 4, 2, 4]), tensorOf('int64', [1], [2])] }],
  },
  nonZero: {
    doc: 'Positions of the elements other than 0, one row a dimension, in row-major order (int64)',
    inputs: [1, 1],
    infer: (x) => [tensorType('int64', [inputType(x, 0).shape?.length ?? null, null])],
    evaluate(inputs) {
      const t = tensorAt(inputs, 0)
      const hits: number[] = []
      for (let i = 0; i < t.data.length; i++) if (t.data[i] && at(t, i) !== 0) hits.push(i)
      const strides = stridesOf(t.shape)
      const rows = t.shape.map((d, k) => hits.map((i) => Math.floor(i / strides[k]!) % d))
      return [indexTensor([t.shape.length, hits.length], rows.flat())]
    },
    examples: () => [{ inputs: [tensorOf('float32', [2, 2], [1, 0, 1, 1])] }],
  },
  compress: {
    doc: 'The entries of x along axis (of the flattened x where none is given) whose condition holds',
    inputs: [2, 2],
    attributes: { axis: { kind: 'number', default: null } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [1, 2, 3, 4]), tensorOf('bool', [2], [0, 1])],
        attributes: { axis: 0 },
        outputs: [tensorOf('float32', [1, 2], [3, 4])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (x.attributes.axis === undefined) return [withShape(t, [null])]
      if (!t.shape) return [t]
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      return [
        withShape(
          t,
          t.shape.map((d, i) => (i === axis ? null : d)),
        ),
      ]
    },
    evaluate(inputs, x) {
      const flat = x.attributes.axis === undefined
      const given = tensorAt(inputs, 0)
      const t: Tensor = flat ? { ...given, shape: [given.data.length] } : given
      const axis = flat ? 0 : axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const { outer, size, inner } = aroundAxis(t.shape, axis)
      const kept = integers(tensorAt(inputs, 1)).flatMap((c, i) => (c && i < size ? [i] : []))
      const out = zeros(
        t.dtype,
        t.shape.map((d, i) => (i === axis ? kept.length : d)),
      )
      for (let o = 0; o < outer; o++)
        for (const [i, e] of kept.entries())
          copyCells(t.data, (o * size + e) * inner, out.data, (o * kept.length + i) * inner, inner)
      return [out]
    },
  },
  unique: {
    doc: 'The distinct entries of x along axis (of the flattened x), sorted or in order of appearance, with the first position, the inverse and the count of each',
    inputs: [1, 1],
    outputs: [1, 4],
    attributes: { axis: { kind: 'number', default: null }, sorted: { kind: 'boolean', default: true } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [4], [2, 1, 2, 0])],
        outputs: [tensorOf('float32', [3], [0, 1, 2])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const side = tensorType('int64', [null])
      if (x.attributes.axis === undefined) return [withShape(t, [null]), side, side, side]
      const axis = t.shape && axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      return [withShape(t, t.shape?.map((d, i) => (i === axis ? null : d)) ?? null), side, side, side]
    },
    evaluate(inputs, x) {
      const flat = x.attributes.axis === undefined
      const given = tensorAt(inputs, 0)
      const t: Tensor = flat ? { ...given, shape: [given.data.length] } : given
      const axis = flat ? 0 : axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const { outer, size, inner } = aroundAxis(t.shape, axis)
      const element = order(t)
      const compare = (a: number, b: number): number => {
        for (let o = 0; o < outer; o++) {
          for (let i = 0; i < inner; i++) {
            const c = element((o * size + a) * inner + i, (o * size + b) * inner + i)
            if (c) return c
          }
        }
        return 0
      }
      const sorted = Array.from({ length: size }, (_, i) => i).sort((a, b) => compare(a, b) || a - b)
      let groups: number[][] = []
      for (const e of sorted) {
        const g = groups.at(-1)
        if (g && compare(g[0]!, e) === 0) g.push(e)
        else groups.push([e])
      }
      if (!booleanOf(x.attributes, 'sorted')) groups = groups.sort((a, b) => a[0]! - b[0]!)
      const first = groups.map((g) => g[0]!)
      const inverse = new Array<number>(size)
      groups.forEach((g, i) => {
        for (const e of g) inverse[e] = i
      })
      const y = zeros(
        t.dtype,
        t.shape.map((d, i) => (i === axis ? first.length : d)),
      )
      for (let o = 0; o < outer; o++)
        for (const [i, e] of first.entries())
          copyCells(t.data, (o * size + e) * inner, y.data, (o * first.length + i) * inner, inner)
      return [
        y,
        indexTensor([first.length], first),
        indexTensor([size], inverse),
        indexTensor(
          [groups.length],
          groups.map((g) => g.length),
        ),
      ].slice(0, x.outputs)
    },
  },
} satisfies Record<string, Op>
