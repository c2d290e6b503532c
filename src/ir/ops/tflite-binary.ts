// TensorFlow Lite's integer operators of two operands, with broadcasting: sums and differences on a common scale with spare bits,
// products, comparisons.

import { allocate } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import { type AttributeSpec, broadcastShapes, inputType, numberOf, type Op, stringOf } from '../op.ts'
import { type Attributes, tensorType } from '../types.ts'
import { forEachBroadcast } from './elementwise.ts'
import { type Multiplier, multiplierOf, type Rounding, scaled, shiftRight } from './tflite-fixed.ts'
import {
  activationAttribute,
  activationRange,
  affineAttributes,
  roundingAttribute,
  roundingOf,
  staticShape,
} from './tflite-quantization.ts'

const f = Math.fround
type Function2 = (a: number, b: number) => number
type Maker = (a: Attributes, range: readonly [number, number], dtype: string) => Function2

const operands = (a: Attributes) =>
  ({
    x: { scale: numberOf(a, 'inputScale'), zero: numberOf(a, 'inputZero') },
    y: { scale: numberOf(a, 'otherScale'), zero: numberOf(a, 'otherZero') },
    out: { scale: numberOf(a, 'outputScale'), zero: numberOf(a, 'outputZero') },
  }) as const

/** What ADD, SUB and SQUARED_DIFFERENCE do first: both operands on the scale 2 · max(scales), shifted left. */
type CommonScale = {
  readonly left: number
  readonly x: Multiplier
  readonly y: Multiplier
  readonly out: Multiplier
}
export function commonScale(a: Attributes, left: number, squared: boolean): CommonScale {
  const { x, y, out } = operands(a)
  const twice = 2 * Math.max(x.scale, y.scale)
  const rounding = roundingOf(a)
  const real = squared ? (twice * twice) / f(2 ** (2 * left) * out.scale) : twice / f(2 ** left * out.scale)
  return {
    left,
    x: multiplierOf(x.scale / twice, rounding),
    y: multiplierOf(y.scale / twice, rounding),
    out: multiplierOf(real, rounding),
  }
}

/** 20 spare bits for 8-bit operands, 15 for 16-bit ones. */
export const spareBits = (dtype: string): number => (dtype === 'int16' ? 15 : 20)

const clamped = (q: number, range: readonly [number, number]): number =>
  Math.min(range[1], Math.max(range[0], q))

const sum =
  (sign: 1 | -1): Maker =>
  (a, range, dtype) => {
    const { x, y, out } = operands(a)
    const rounding = roundingOf(a)
    if (a.powerOfTwo === true) return powerOfTwoSum(a, range, sign)
    const c = commonScale(a, spareBits(dtype), false)
    return (p, q) => {
      const u = scaled((p - x.zero) * 2 ** c.left, c.x, rounding)
      const v = scaled((q - y.zero) * 2 ** c.left, c.y, rounding)
      return clamped(scaled(u + sign * v, c.out, rounding) + out.zero, range)
    }
  }

/** 16-bit sums where every scale is a power of two: the finer operand is shifted right, and the sum saturates. */
const powerOfTwoSum = (a: Attributes, range: readonly [number, number], sign: 1 | -1): Function2 => {
  const { x, y, out } = operands(a)
  const shifts = [x.scale, y.scale].map((s) => Math.round(Math.log2(out.scale)) - Math.round(Math.log2(s)))
  return (p, q) => {
    const s = shiftRight(p, shifts[0]!) + sign * shiftRight(q, shifts[1]!)
    return clamped(Math.min(32767, Math.max(-32768, s)), range)
  }
}

const squaredDifference: Maker = (a, range) => {
  const { x, y, out } = operands(a)
  const rounding = roundingOf(a)
  const c = commonScale(a, 7, true)
  return (p, q) => {
    const d = scaled((p - x.zero) << 7, c.x, rounding) - scaled((q - y.zero) << 7, c.y, rounding)
    return clamped(scaled(Math.imul(d, d), c.out, rounding) + out.zero, range)
  }
}

const times: Maker = (a, range) => {
  const { x, y, out } = operands(a)
  const rounding = roundingOf(a)
  const m = multiplierOf(f(f(x.scale * y.scale) / out.scale), rounding)
  return (p, q) => clamped(scaled(Math.imul(p - x.zero, q - y.zero), m, rounding) + out.zero, range)
}

const prelu: Maker = (a, range) => {
  const { x, y, out } = operands(a)
  const rounding = roundingOf(a)
  const identity = multiplierOf(f(x.scale / out.scale), rounding)
  const slope = multiplierOf(f(f(x.scale * y.scale) / out.scale), rounding)
  return (p, q) => {
    const u = p - x.zero
    const v = u >= 0 ? scaled(u, identity, rounding) : scaled(Math.imul(u, q - y.zero), slope, rounding)
    return clamped(v + out.zero, range)
  }
}

function binary(doc: string, make: Maker, attributes: Readonly<Record<string, AttributeSpec>> = {}): Op {
  return {
    doc: `TensorFlow Lite ${doc}`,
    inputs: [2, 2],
    attributes: {
      ...affineAttributes('input', 'other', 'output'),
      ...attributes,
      rounding: roundingAttribute,
    },
    infer(x) {
      const [a, b] = [inputType(x, 0), inputType(x, 1)]
      if (a.dtype !== b.dtype) throw new InputError(`operands differ in type: ${a.dtype} and ${b.dtype}`)
      return [tensorType(a.dtype, broadcastShapes(a.shape, b.shape))]
    },
    evaluate(inputs, x) {
      const [a, b] = inputs as [Tensor, Tensor]
      const activation = x.attributes.activation ? stringOf(x.attributes, 'activation') : 'none'
      const range = activationRange(
        activation,
        a.dtype,
        numberOf(x.attributes, 'outputScale'),
        numberOf(x.attributes, 'outputZero'),
      )
      return [broadcast(a, b, make(x.attributes, range, a.dtype), a.dtype, staticShape(x))]
    },
    examples: () => [
      {
        inputs: pair('int8'),
        attributes: { ...sample, outputScale: 0.07, outputZero: 5 },
      },
      {
        inputs: pair('int8'),
        attributes: { ...sample, outputScale: 0.07, outputZero: 5, rounding: 'single' },
      },
    ],
  }
}

const sample = { inputScale: 0.05, inputZero: 3, otherScale: 0.02, otherZero: -7 }
const pair = (dtype: 'int8' | 'uint8'): Tensor[] => [
  tensorOf(dtype, [2, 3], [-128, -5, 3, 4, 90, 127]),
  tensorOf(dtype, [1, 3], [-100, -7, 60]),
]

function broadcast(
  a: Tensor,
  b: Tensor,
  fn: Function2,
  dtype: Tensor['dtype'],
  shape: readonly number[],
): Tensor {
  const data = allocate(dtype, sizeOf(shape)) as Int32Array
  const [p, q] = [numbers(a), numbers(b)]
  forEachBroadcast([a.shape, b.shape], shape, (i, o) => {
    data[i] = fn(p[o[0]!]!, q[o[1]!]!)
  })
  return { dtype, shape, data }
}

const relations = {
  equal: (a: number, b: number) => a === b,
  notEqual: (a: number, b: number) => a !== b,
  less: (a: number, b: number) => a < b,
  lessEqual: (a: number, b: number) => a <= b,
  greater: (a: number, b: number) => a > b,
  greaterEqual: (a: number, b: number) => a >= b,
} as const

const compareOnScale = (scale: number, zero: number, rounding: Rounding): ((q: number) => number) => {
  const m = multiplierOf(scale, rounding)
  return (q) => scaled((q - zero) << 8, m, rounding)
}

const activation = { activation: activationAttribute }
export const tfliteBinary = {
  tfliteAdd: binary('ADD on integers', sum(1), {
    ...activation,
    powerOfTwo: { kind: 'boolean', default: false },
  }),
  tfliteSub: binary('SUB on integers', sum(-1), {
    ...activation,
    powerOfTwo: { kind: 'boolean', default: false },
  }),
  tfliteMul: binary('MUL on integers', times, activation),
  tfliteSquaredDifference: binary('SQUARED_DIFFERENCE on integers', squaredDifference),
  tflitePrelu: binary('PRELU on integers; `other…` speaks of the slopes', prelu),
  tfliteCompare: {
    doc: 'TensorFlow Lite comparisons of integers of different scales: both are scaled with 8 spare bits and rounded first',
    inputs: [2, 2],
    attributes: {
      ...affineAttributes('input', 'other'),
      relation: { kind: 'string', oneOf: Object.keys(relations) },
      rounding: roundingAttribute,
    },
    infer: (x) => [tensorType('bool', broadcastShapes(inputType(x, 0).shape, inputType(x, 1).shape))],
    evaluate(inputs, x) {
      const [a, b] = inputs as [Tensor, Tensor]
      const { attributes } = x
      const rounding = roundingOf(attributes)
      const relation = relations[stringOf(attributes, 'relation') as keyof typeof relations]
      const left = compareOnScale(
        numberOf(attributes, 'inputScale'),
        numberOf(attributes, 'inputZero'),
        rounding,
      )
      const right = compareOnScale(
        numberOf(attributes, 'otherScale'),
        numberOf(attributes, 'otherZero'),
        rounding,
      )
      return [broadcast(a, b, (p, q) => (relation(left(p), right(q)) ? 1 : 0), 'bool', staticShape(x))]
    },
    examples: () => [{ inputs: pair('int8'), attributes: { ...sample, relation: 'less' } }],
  },
} satisfies Record<string, Op>
