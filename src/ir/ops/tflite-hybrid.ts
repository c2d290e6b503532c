// TensorFlow Lite's dynamic-range products: weights of 8-bit integers, activations quantised to 8 bits on the fly, for each batch
// entry (convolutions) or row (fully connected); exact integer sums; float32 scaling, bias and activation.

import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import {
  type AttributeSpec,
  booleanOf,
  type Infer,
  inputType,
  numberOf,
  numbersOf,
  type Op,
  product,
  stringOf,
} from '../op.ts'
import { tensorType } from '../types.ts'
import { convShape, convSums, splitShape, windowAttributes, windowOf } from './linear.ts'
import { roundAway } from './tflite-fixed.ts'
import { fullyConnectedShape } from './tflite-linear.ts'
import { activationAttribute, staticShape } from './tflite-quantization.ts'

const f = Math.fround

type Quantised = { readonly values: Int8Array; readonly scale: number; readonly zero: number }

/** A row in ±127 with zero point 0. */
function quantiseSymmetric(row: ArrayLike<number>, start: number, count: number): Quantised {
  let range = 0
  for (let i = 0; i < count; i++) range = Math.max(range, Math.abs(row[start + i]!))
  const values = new Int8Array(count)
  if (range === 0) return { values, scale: 1, zero: 0 }
  const inverse = f(127 / range)
  for (let i = 0; i < count; i++)
    values[i] = Math.min(127, Math.max(-127, roundAway(f(row[start + i]! * inverse))))
  return { values, scale: f(range / 127), zero: 0 }
}

/** A row in −128 … 127 with the zero point that represents 0 exactly and loses least. */
function quantiseAsymmetric(row: ArrayLike<number>, start: number, count: number): Quantised {
  let [min, max] = [0, 0]
  for (let i = 0; i < count; i++) {
    min = Math.min(min, row[start + i]!)
    max = Math.max(max, row[start + i]!)
  }
  const values = new Int8Array(count)
  if (min === max) return { values, scale: 1, zero: 0 }
  const exact = (max - min) / 255
  const fromMin = -128 - min / exact
  const fromMax = 127 - max / exact
  const best = 128 + Math.abs(min / exact) < 127 + Math.abs(max / exact) ? fromMin : fromMax
  const zero = best <= -128 ? -128 : best >= 127 ? 127 : roundAway(best)
  const scale = f(exact)
  const inverse = f(1 / scale)
  for (let i = 0; i < count; i++)
    values[i] = Math.min(127, Math.max(-128, roundAway(f(zero + f(row[start + i]! * inverse)))))
  return { values, scale, zero }
}

/** Quantises `count` numbers from `start` as the runtime does before a dynamic-range product. */
const quantiseRow = (row: ArrayLike<number>, start: number, count: number, asymmetric: boolean): Quantised =>
  (asymmetric ? quantiseAsymmetric : quantiseSymmetric)(row, start, count)

const limits: Record<string, readonly [number, number]> = {
  none: [-Infinity, Infinity],
  relu: [0, Infinity],
  relu6: [0, 6],
  reluN1To1: [-1, 1],
}

const attributes: Record<string, AttributeSpec> = {
  /** One, or one for each output channel. */
  filterScales: { kind: 'numbers' },
  asymmetric: { kind: 'boolean' },
  activation: activationAttribute,
}

const macs = (x: Infer, outputs: readonly ReturnType<Op['infer']>[number][]): { macs: number } => {
  const out = outputs[0]!
  const filter = inputType(x, 1).shape
  const n = out.kind === 'tensor' && out.shape ? product(out.shape) : null
  return { macs: (n ?? 0) * ((filter && product(filter.slice(1))) ?? 0) }
}

function realInput(x: Infer): void {
  const [a, b] = [inputType(x, 0).dtype, inputType(x, 1).dtype]
  if (a !== 'float32' || (b !== 'int8' && b !== 'int4'))
    throw new InputError(`expected float32 and int8, got ${a} and ${b}`)
}

const real = (shape: readonly number[]): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 37) % 23) / 7 - 1.3),
  )
const weights = (shape: readonly number[]): Tensor =>
  tensorOf(
    'int8',
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 53) % 255) - 127),
  )

export const tfliteHybrid = {
  tfliteHybridConv2d: {
    doc: 'TensorFlow Lite CONV_2D and DEPTHWISE_CONV_2D of float32 with int8 weights: inputs x [N, H, W, C], filter [O, I/groups, H, W], bias [O]?',
    inputs: [2, 3],
    attributes: {
      ...windowAttributes(2),
      groups: { kind: 'number', default: 1 },
      layout: { kind: 'string', oneOf: ['channelsLast'], default: 'channelsLast' },
      ...attributes,
    },
    infer(x) {
      realInput(x)
      return [tensorType('float32', convShape(x, 2))]
    },
    evaluate(inputs, x) {
      const [input, filter, bias] = inputs as [Tensor, Tensor, Tensor | undefined]
      const a = x.attributes
      const shape = staticShape(x)
      const scales = numbersOf(a, 'filterScales').map(Math.fround)
      const asymmetric = booleanOf(a, 'asymmetric')
      const [low, high] = limits[stringOf(a, 'activation')]!
      const [batch, oh, ow, filters] = shape as [number, number, number, number]
      const pixels = oh * ow
      const each = sizeOf(input.shape.slice(1))
      const data = new Float32Array(sizeOf(shape))
      const xs = numbers(input)
      const b = bias && numbers(bias)
      for (let n = 0; n < batch; n++) {
        const q = quantiseRow(xs, n * each, each, asymmetric)
        const sums = convSums(
          { dtype: 'int8', shape: [1, ...input.shape.slice(1)], data: q.values },
          filter,
          'channelsLast',
          numberOf(a, 'groups'),
          windowOf(a, 2),
          splitShape(shape, 'channelsLast').spatial as number[],
          q.zero,
        )
        for (let o = 0; o < filters; o++) {
          const scale = f((scales.length > 1 ? scales[o]! : scales[0]!) * q.scale)
          for (let p = 0; p < pixels; p++) {
            const v = f(f(f(sums[o * pixels + p]!) * scale) + (b ? b[o]! : 0))
            data[(n * pixels + p) * filters + o] = Math.min(high, Math.max(low, v))
          }
        }
      }
      return [{ dtype: 'float32', shape, data }]
    },
    cost: macs,
    examples: () =>
      [true, false].map((asymmetric) => ({
        inputs: [real([2, 3, 3, 2]), weights([2, 2, 2, 2]), tensorOf('float32', [2], [0.5, -1])],
        attributes: { pads: [1, 0, 0, 1], filterScales: [0.01, 0.03], asymmetric, activation: 'relu' },
      })),
  },
  tfliteHybridFullyConnected: {
    doc: 'TensorFlow Lite FULLY_CONNECTED of float32 with int8 weights: inputs x, filter [O, I], bias [O]?; each row of I is quantised',
    inputs: [2, 3],
    attributes: { keepDims: { kind: 'boolean', default: false }, ...attributes },
    infer(x) {
      realInput(x)
      return [tensorType('float32', fullyConnectedShape(x))]
    },
    evaluate(inputs, x) {
      const [input, filter, bias] = inputs as [Tensor, Tensor, Tensor | undefined]
      const a = x.attributes
      const shape = staticShape(x)
      const [filters, depth] = filter.shape as [number, number]
      const scales = numbersOf(a, 'filterScales').map(Math.fround)
      const [low, high] = limits[stringOf(a, 'activation')]!
      const xs = numbers(input)
      const ws = numbers(filter)
      const b = bias && numbers(bias)
      const data = new Float32Array(sizeOf(shape))
      for (let row = 0; row < data.length / filters; row++) {
        const q = quantiseRow(xs, row * depth, depth, booleanOf(a, 'asymmetric'))
        for (let o = 0; o < filters; o++) {
          let sum = 0
          for (let k = 0; k < depth; k++) sum += (q.values[k]! - q.zero) * ws[o * depth + k]!
          const scale = f(q.scale * (scales.length > 1 ? scales[o]! : scales[0]!))
          const v = f((b ? b[o]! : 0) + f(f(sum) * scale))
          data[row * filters + o] = Math.min(high, Math.max(low, v))
        }
      }
      return [{ dtype: 'float32', shape, data }]
    },
    cost: macs,
    examples: () =>
      [true, false].map((asymmetric) => ({
        inputs: [real([2, 4]), weights([3, 4])],
        attributes: { filterScales: [0.02], asymmetric },
      })),
  },
} satisfies Record<string, Op>
