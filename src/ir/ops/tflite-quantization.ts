// What TensorFlow Lite's integer operators have in common: the attributes that carry scales and zero points, and how an
// accumulator becomes an integer of the output type. Scales are the file's float32 numbers; multipliers follow from them as in the
// runtime's Prepare functions (LiteRT, tflite/kernels/kernel_util.cc), float32 products where it has them.

import { allocate, type DType, rangeOf } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import { type AttributeSpec, type Evaluate, numberOf, numbersOf, stringOf } from '../op.ts'
import { type Attributes, isStatic } from '../types.ts'
import {
  type Multiplier,
  multiplierOf,
  type Rounding,
  roundAway,
  scaled,
  scaledWide,
} from './tflite-fixed.ts'

export const number: AttributeSpec = { kind: 'number' }
export const roundingAttribute: AttributeSpec = {
  kind: 'string',
  oneOf: ['double', 'single'],
  default: 'double',
}
export const activations = ['none', 'relu', 'reluN1To1', 'relu6'] as const
export const activationAttribute: AttributeSpec = { kind: 'string', oneOf: activations, default: 'none' }

/** Scale and zero point of the named values: `inputScale`, `inputZero`, … */
export const affineAttributes = (...names: string[]): Record<string, AttributeSpec> =>
  Object.fromEntries(
    names.flatMap((n) => [
      [`${n}Scale`, number],
      [`${n}Zero`, { kind: 'number', default: 0 }],
    ]),
  )

/** What the products share. `filterScales`: one, or one for each output channel. */
export const productAttributes: Record<string, AttributeSpec> = {
  inputScale: number,
  inputZero: { kind: 'number', default: 0 },
  filterScales: { kind: 'numbers' },
  filterZero: { kind: 'number', default: 0 },
  outputScale: number,
  outputZero: { kind: 'number', default: 0 },
  activation: activationAttribute,
  accumulator: { kind: 'string', oneOf: ['int32', 'int64'], default: 'int32' },
  /** `real`: by a float64 factor and one rounding, as the current reference kernel of FULLY_CONNECTED. */
  scaling: { kind: 'string', oneOf: ['fixed', 'real'], default: 'fixed' },
  rounding: roundingAttribute,
}

export const roundingOf = (a: Attributes): Rounding => stringOf(a, 'rounding') as Rounding

/** The limits that a fused activation sets on the output's integers. */
export function activationRange(
  activation: string,
  dtype: DType,
  scale: number,
  zero: number,
): [low: number, high: number] {
  const [min, max] = rangeOf(dtype).map(Number) as [number, number]
  const at = (real: number): number => zero + roundAway(Math.fround(real / scale))
  if (activation === 'relu') return [Math.max(min, at(0)), max]
  if (activation === 'relu6') return [Math.max(min, at(0)), Math.min(max, at(6))]
  if (activation === 'reluN1To1') return [Math.max(min, at(-1)), Math.min(max, at(1))]
  return [min, max]
}

/** The multipliers that bring a sum of products to the output's scale: one, or one for each output channel. */
export function productMultipliers(a: Attributes, perChannel: boolean): Multiplier[] {
  const input = numberOf(a, 'inputScale')
  const output = numberOf(a, 'outputScale')
  // Kernels that keep one multiplier multiply the two scales in float32, those with one for each channel in float64.
  return numbersOf(a, 'filterScales').map((f) =>
    multiplierOf(perChannel ? (input * f) / output : Math.fround(input * f) / output, roundingOf(a)),
  )
}

/** Turns accumulators of the products (bias included) into the output's integers. */
export function requantizer(
  a: Attributes,
  dtype: DType,
  perChannel: boolean,
): (accumulator: number, channel: number) => number {
  const multipliers = productMultipliers(a, perChannel)
  const [input, output] = [numberOf(a, 'inputScale'), numberOf(a, 'outputScale')]
  const factors =
    stringOf(a, 'scaling') === 'real' ? numbersOf(a, 'filterScales').map((f) => (input * f) / output) : null
  const zero = numberOf(a, 'outputZero')
  const rounding = roundingOf(a)
  const [low, high] = activationRange(stringOf(a, 'activation'), dtype, numberOf(a, 'outputScale'), zero)
  const wide = stringOf(a, 'accumulator') === 'int64'
  return (sum, channel) => {
    const i = multipliers.length > 1 ? channel : 0
    const q = factors
      ? roundAway((wide ? sum : sum | 0) * factors[i]!)
      : wide
        ? scaledWide(sum, multipliers[i]!)
        : scaled(sum | 0, multipliers[i]!, rounding)
    return Math.min(high, Math.max(low, q + zero))
  }
}

/** The output's shape; throws where it isn't known. */
export function staticShape(x: Evaluate): readonly number[] {
  const t = x.types[0]!
  if (t.kind !== 'tensor' || !isStatic(t.shape)) throw new InputError('shape unknown')
  return t.shape
}

/** A tensor of the given integers, which must already lie in the type's range. */
export function integerTensor(
  dtype: DType,
  shape: readonly number[],
  length: number,
  at: (i: number) => number,
): Tensor {
  const data = allocate(dtype, length) as Int32Array
  for (let i = 0; i < length; i++) data[i] = at(i)
  return { dtype, shape, data }
}

/** The limits of a type as numbers. */
export const limitsOf = (dtype: DType): [number, number] => rangeOf(dtype).map(Number) as [number, number]
export const clampTo = (dtype: DType): ((q: number) => number) => {
  const [low, high] = limitsOf(dtype)
  return (q) => Math.min(high, Math.max(low, q))
}
