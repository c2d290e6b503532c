// Operators that change only how the elements are seen or typed: reshape and its kin, cast, shape queries.

import { bitsOf, type DType, dtypes, isBig, isFloat, isInteger, store, viewBytes } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, bytesOfTensor, reshaped, sizeOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import {
  axisOf,
  booleanOf,
  broadcastShapes,
  inputType,
  numberOf,
  numbersOf,
  type Op,
  product,
  stringOf,
} from '../op.ts'
import { type Dim, type Shape, tensorType } from '../types.ts'
import {
  constantIntegers,
  lengthOf,
  outputType,
  strided,
  tensorAt,
  transposed,
  unknownDims,
  withShape,
} from './elements.ts'
import { broadcastStrides } from './elementwise.ts'

/** What a reshape to `target` gives: 0 copies a dimension (unless zeros are allowed), −1 takes what is left. */
export function reshapeShape(input: Shape, target: readonly number[], allowZero: boolean): Shape {
  const out: Dim[] = target.map((d, i) => {
    if (d < -1) throw new InputError(`reshape: expected dimensions of at least −1, got ${d}`)
    if (d === 0 && !allowZero) {
      if (input && i >= input.length)
        throw new InputError(`reshape: 0 copies dimension ${i}, but the input has rank ${input.length}`)
      return input ? input[i]! : null
    }
    return d
  })
  const hole = target.indexOf(-1)
  if (hole >= 0) {
    if (target.indexOf(-1, hole + 1) >= 0) throw new InputError('reshape: more than one −1')
    out[hole] = input ? remainder(input, out, hole) : null
  } else {
    const [from, to] = [input && product(input), product(out)]
    if (from !== null && to !== null && from !== to)
      throw new InputError(`reshape: [${input}] has ${from} elements, [${target}] has ${to}`)
  }
  return out
}

/** The dimension that −1 stands for: equal symbols cancel; a single symbol left over is the answer. */
function remainder(input: readonly Dim[], out: readonly Dim[], hole: number): Dim {
  const left = [...input]
  let divisor = 1
  for (const [i, d] of out.entries()) {
    if (i === hole) continue
    if (typeof d === 'number') divisor *= d
    else {
      const k = d === null ? -1 : left.indexOf(d)
      if (k < 0) return null
      left[k] = 1
    }
  }
  const open = left.filter((d) => typeof d !== 'number')
  const n = left.reduce<number>((p, d) => (typeof d === 'number' ? p * d : p), 1)
  if (open.length === 0) {
    if (divisor === 0) return 0
    if (n % divisor !== 0) throw new InputError(`reshape: ${n} elements don't divide by ${divisor}`)
    return n / divisor
  }
  return open.length === 1 && n === divisor ? open[0]! : null
}

const axesOrNone = (axes: readonly number[], rank: number): Set<number> => {
  const set = new Set(axes.map((a) => axisOf(a, rank)))
  if (set.size !== axes.length) throw new InputError(`axes: [${axes}] names one twice`)
  return set
}

const sameData: Op['evaluate'] = (inputs, x) => [reshaped(tensorAt(inputs, 0), outputType(x).shape)]

/** The number that a text holds, as C's strtod and numpy read it. */
const numberOfText = (s: string): number =>
  /^[+-]?(inf|infinity)$/i.test(s.trim())
    ? s.trim().startsWith('-')
      ? -Infinity
      : Infinity
    : s.trim() === ''
      ? NaN
      : Number(s)

/** Shortest text that reads back as the same value of a type, in numpy's spelling. */
function textOfNumber(t: Tensor, i: number): string {
  const v = t.data[i]!
  if (!isFloat(t.dtype)) return t.dtype === 'bool' ? (v ? '1' : '0') : String(v)
  const x = at(t, i)
  if (Number.isNaN(x)) return 'NaN'
  if (!Number.isFinite(x)) return x > 0 ? 'INF' : '-INF'
  if (t.dtype === 'float64') return String(x)
  for (let digits = 1; digits < 17; digits++) {
    const text = x.toPrecision(digits)
    if (tensorOf(t.dtype, [1], [Number(text)]).data[0] === v) return String(Number(text))
  }
  return String(x)
}

/**
 * Converts to another type. Float to integer truncates; what doesn't fit wraps (undefined in ONNX). Integer to narrower
 * integer wraps. float to float16 and bfloat16 round once, halves to even.
 */
export function castTensor(t: Tensor, to: DType): Tensor {
  if (t.dtype === to) return t
  const out = zeros(to, t.shape)
  const n = t.data.length
  if (to === 'string') {
    for (let i = 0; i < n; i++) (out.data as string[])[i] = textOfNumber(t, i)
  } else if (t.dtype === 'string') {
    for (let i = 0; i < n; i++) {
      const text = (t.data as string[])[i]!
      store(to, out.data, i, isInteger(to) && /^[+-]?\d+$/.test(text) ? BigInt(text) : numberOfText(text))
    }
  } else if (isBig(t.dtype)) {
    const bits = isInteger(to) ? bitsOf(to) : 64
    for (let i = 0; i < n; i++) {
      const v = t.data[i] as bigint
      // Narrow integers take the low bits; everything else the value.
      if (to === 'bool') store(to, out.data, i, v ? 1 : 0)
      else store(to, out.data, i, isBig(to) ? v : isInteger(to) ? Number(BigInt.asIntN(bits, v)) : Number(v))
    }
  } else for (let i = 0; i < n; i++) store(to, out.data, i, at(t, i))
  return out
}

export const shape = {
  identity: {
    doc: 'The input itself (a tensor, a sequence or an optional)',
    inputs: [1, 1],
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6])],
        outputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6])],
      },
    ],
    infer: (x) => [x.inputs[0] ?? inputType(x, 0)],
    evaluate: (inputs) => [inputs[0] ?? null],
  },
  cast: {
    doc: 'Converts to another type: float to integer truncates, float to float rounds once, anything to bool asks ≠ 0',
    inputs: [1, 1],
    attributes: { to: { kind: 'string', oneOf: dtypes } },
    infer: (x) => [tensorType(stringOf(x.attributes, 'to') as DType, inputType(x, 0).shape)],
    evaluate: (inputs, x) => [castTensor(tensorAt(inputs, 0), stringOf(x.attributes, 'to') as DType)],
    examples: () => [
      {
        inputs: [tensorOf('float32', [3], [-1.7, 0, 2.5])],
        attributes: { to: 'int32' },
        outputs: [tensorOf('int32', [3], [-1, 0, 2])],
      },
    ],
  },
  bitCast: {
    doc: 'The same bits seen as another type of the same width',
    inputs: [1, 1],
    attributes: { to: { kind: 'string', oneOf: dtypes } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2], [1, -2])],
        attributes: { to: 'int32' },
        outputs: [tensorOf('int32', [2], [0x3f800000, -0x40000000])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const to = stringOf(x.attributes, 'to') as DType
      if (bitsOf(to) !== bitsOf(t.dtype) || bitsOf(to) < 8)
        throw new InputError(`bitCast: ${t.dtype} and ${to} differ in width`)
      return [tensorType(to, t.shape)]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const to = stringOf(x.attributes, 'to') as Exclude<DType, 'string'>
      return [{ dtype: to, shape: t.shape, data: viewBytes(to, bytesOfTensor(t), t.data.length) }]
    },
  },
  shape: {
    doc: 'The shape of the input from dimension start to end, as int64',
    inputs: [1, 1],
    attributes: { start: { kind: 'number', default: 0 }, end: { kind: 'number', default: null } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6])],
        outputs: [tensorOf('int64', [2], [2, 3])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [tensorType('int64', [null])]
      return [tensorType('int64', [cut(t.shape, x.attributes).length])]
    },
    evaluate(inputs, x) {
      const dims = cut(tensorAt(inputs, 0).shape, x.attributes)
      return [tensorOf('int64', [dims.length], dims)]
    },
  },
  size: {
    doc: 'The number of elements, as an int64 scalar',
    inputs: [1, 1],
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6])],
        outputs: [tensorOf('int64', [], [6])],
      },
    ],
    infer: (x) => [tensorType('int64', inputType(x, 0) && [])],
    evaluate: (inputs) => [tensorOf('int64', [], [sizeOf(tensorAt(inputs, 0).shape)])],
  },
  reshape: {
    doc: 'Another shape for the same elements: inputs x, shape (int64). −1 takes what is left, 0 copies the dimension',
    inputs: [2, 2],
    attributes: { allowZero: { kind: 'boolean', default: false } },
    infer(x) {
      const t = inputType(x, 0)
      const target = constantIntegers(x, 1)
      return [
        withShape(
          t,
          target
            ? reshapeShape(t.shape, target, booleanOf(x.attributes, 'allowZero'))
            : unknownDims(lengthOf(x, 1)),
        ),
      ]
    },
    evaluate: sameData,
    examples: () => [
      { inputs: [tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 6]), tensorOf('int64', [2], [3, -1])] },
    ],
  },
  flatten: {
    doc: 'A matrix: the dimensions before axis make the rows, the rest the columns',
    inputs: [1, 1],
    attributes: { axis: { kind: 'number', default: 1 } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2, 3], [1, 2, 3, 4, 5, 6])],
        attributes: { axis: 2 },
        outputs: [tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 6])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [withShape(t, [null, null])]
      const given = numberOf(x.attributes, 'axis')
      const axis = given < 0 ? given + t.shape.length : given
      if (axis < 0 || axis > t.shape.length)
        throw new InputError(`flatten: axis ${given} of rank ${t.shape.length}`)
      const side = (dims: readonly Dim[]): Dim => {
        const open = dims.filter((d) => d !== 1)
        return open.length === 1 ? open[0]! : product(dims)
      }
      return [withShape(t, [side(t.shape.slice(0, axis)), side(t.shape.slice(axis))])]
    },
    evaluate: sameData,
  },
  squeeze: {
    doc: 'Drops dimensions of extent 1: those of axes, or all',
    inputs: [1, 1],
    attributes: { axes: { kind: 'numbers', default: null } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2, 1], [1, 2])],
        attributes: { axes: [0] },
        outputs: [tensorOf('float32', [2, 1], [1, 2])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [t]
      const axes = x.attributes.axes as readonly number[] | undefined
      if (!axes) {
        // Whether a symbol is 1 isn't known before run time.
        if (t.shape.some((d) => typeof d !== 'number')) return [withShape(t, null)]
        return [
          withShape(
            t,
            t.shape.filter((d) => d !== 1),
          ),
        ]
      }
      const drop = axesOrNone(axes, t.shape.length)
      t.shape.forEach((d, i) => {
        if (drop.has(i) && typeof d === 'number' && d !== 1)
          throw new InputError(`squeeze: dimension ${i} is ${d}, expected 1`)
      })
      return [
        withShape(
          t,
          t.shape.filter((_, i) => !drop.has(i)),
        ),
      ]
    },
    evaluate: sameData,
  },
  unsqueeze: {
    doc: 'Inserts dimensions of extent 1 at axes, which count in the output',
    inputs: [1, 1],
    attributes: { axes: { kind: 'numbers' } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2], [1, 2])],
        attributes: { axes: [0, -1] },
        outputs: [tensorOf('float32', [1, 2, 1], [1, 2])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [t]
      const axes = numbersOf(x.attributes, 'axes')
      const rank = t.shape.length + axes.length
      const added = axesOrNone(axes, rank)
      const rest = t.shape.values()
      return [
        withShape(
          t,
          Array.from({ length: rank }, (_, i): Dim => (added.has(i) ? 1 : (rest.next().value as Dim))),
        ),
      ]
    },
    evaluate: sameData,
  },
  expand: {
    doc: 'Broadcasts x to a shape (int64), both ways as numpy does',
    inputs: [2, 2],
    infer(x) {
      const t = inputType(x, 0)
      const target = constantIntegers(x, 1)
      if (target) return [withShape(t, broadcastShapes(t.shape, target))]
      const rank = lengthOf(x, 1)
      return [withShape(t, rank === null || !t.shape ? null : unknownDims(Math.max(rank, t.shape.length)))]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { shape: out } = outputType(x)
      return [strided(t, out, broadcastStrides(t.shape, out))]
    },
    examples: () => [{ inputs: [tensorOf('float32', [2, 1], [1, 2]), tensorOf('int64', [2], [2, 3])] }],
  },
  transpose: {
    doc: 'Reorders the dimensions: output dimension i is input dimension permutation[i]; reversed where not given',
    inputs: [1, 1],
    attributes: { permutation: { kind: 'numbers', default: null } },
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [t]
      const p = permutationOf(x.attributes, t.shape.length)
      return [
        withShape(
          t,
          p.map((i) => t.shape![i]!),
        ),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      return [transposed(t, permutationOf(x.attributes, t.shape.length))]
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 6])],
        attributes: { permutation: [1, 0] },
        outputs: [tensorOf('float32', [3, 2], [1, 4, 2, 5, 3, 6])],
      },
    ],
  },
} satisfies Record<string, Op>

const cut = <T>(dims: readonly T[], a: Readonly<Record<string, unknown>>): readonly T[] =>
  dims.slice(Math.max(-dims.length, a.start as number), a.end as number | undefined)

export function permutationOf(a: Readonly<Record<string, unknown>>, rank: number): readonly number[] {
  const p =
    (a.permutation as readonly number[] | undefined) ?? Array.from({ length: rank }, (_, i) => rank - 1 - i)
  if (p.length !== rank || new Set(p).size !== rank || p.some((i) => !(i >= 0 && i < rank)))
    throw new InputError(`transpose: expected a permutation of ${rank} axes, got [${p}]`)
  return p
}
