// TensorFlow Lite's integer products: exact sums of (input − zero) · (filter − zero), a bias, and fixed-point scaling to the
// output's integers. int8 and uint8 accumulate in 32 bits, 16-bit activations in 64.

import type { DType } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import { type Infer, inputType, numberOf, numbersOf, type Op, product } from '../op.ts'
import { type Dim, tensorType } from '../types.ts'
import {
  convShape,
  convSums,
  matMulShape,
  matMulSums,
  splitShape,
  windowAttributes,
  windowOf,
} from './linear.ts'
import { integerTensor, productAttributes, requantizer, staticShape } from './tflite-quantization.ts'

const some = (dtype: DType, shape: readonly number[], step: number): Tensor =>
  tensorOf(
    dtype,
    shape,
    Array.from(
      { length: sizeOf(shape) },
      (_, i) => (dtype === 'uint8' ? 128 : 0) + (((i * step + 5) % 201) - 100),
    ),
  )
const sample = { inputScale: 0.04, inputZero: -3, outputScale: 0.5, outputZero: 10 }

const channelsLast = { kind: 'string', oneOf: ['channelsLast'], default: 'channelsLast' } as const

/** Multiply-accumulates: output elements times what one of them sums over. */
const sumCost = (x: Infer, outputs: readonly ReturnType<Op['infer']>[number][]): { macs: number } => {
  const out = outputs[0]!
  const filter = inputType(x, 1).shape
  const n = out.kind === 'tensor' && out.shape ? product(out.shape) : null
  const k = filter ? product(filter.slice(1)) : null
  return { macs: (n ?? 0) * (k ?? 0) }
}

/**
 * Sums of a transposed convolution in [N, …, O] order: out[y · stride + k − pad] += x[y] · w[i, o, k].
 * Filters are [I, O, height, width], as those of `convTranspose2d`.
 */
function transposedSums(
  x: Tensor,
  w: Tensor,
  out: readonly number[],
  strides: readonly number[],
  pads: readonly number[],
  xZero: number,
): Float64Array {
  const [batch, height, width, channels] = x.shape as [number, number, number, number]
  const [inputs, filters, kh, kw] = w.shape as [number, number, number, number]
  if (inputs !== channels) throw new InputError(`filter [${w.shape}] doesn't fit ${channels} channels`)
  const [, oh, ow] = out as [number, number, number]
  const xs = numbers(x)
  const ws = numbers(w)
  const sums = new Float64Array(batch * oh * ow * filters)
  for (let n = 0; n < batch; n++)
    for (let y = 0; y < height; y++)
      for (let xx = 0; xx < width; xx++)
        for (let ky = 0; ky < kh; ky++) {
          const oy = y * strides[0]! - pads[0]! + ky
          if (oy < 0 || oy >= oh) continue
          for (let kx = 0; kx < kw; kx++) {
            const ox = xx * strides[1]! - pads[1]! + kx
            if (ox < 0 || ox >= ow) continue
            const at = ((n * oh + oy) * ow + ox) * filters
            const from = ((n * height + y) * width + xx) * channels
            for (let o = 0; o < filters; o++) {
              let sum = 0
              for (let c = 0; c < channels; c++)
                sum += (xs[from + c]! - xZero) * ws[((c * filters + o) * kh + ky) * kw + kx]!
              sums[at + o]! += sum
            }
          }
        }
  return sums
}

export const tfliteLinear = {
  tfliteConv2d: {
    doc: 'TensorFlow Lite CONV_2D and DEPTHWISE_CONV_2D on integers: inputs x [N, H, W, C], filter [O, I/groups, H, W], bias [O]?',
    inputs: [2, 3],
    attributes: {
      ...windowAttributes(2),
      groups: { kind: 'number', default: 1 },
      layout: channelsLast,
      ...productAttributes,
    },
    infer: (x) => [tensorType(inputType(x, 0).dtype, convShape(x, 2))],
    evaluate(inputs, x) {
      const [input, filter, bias] = inputs as [Tensor, Tensor, Tensor | undefined]
      const a = x.attributes
      const shape = staticShape(x)
      const sums = convSums(
        input,
        filter,
        'channelsLast',
        numberOf(a, 'groups'),
        windowOf(a, 2),
        splitShape(shape, 'channelsLast').spatial as number[],
        numberOf(a, 'inputZero'),
        [numberOf(a, 'filterZero')],
      )
      // Old files of uint8 have one multiplier for all channels.
      const finish = requantizer(a, input.dtype, input.dtype !== 'uint8')
      const b = bias && numbers(bias)
      const [, filters] = [shape[0]!, shape[3]!]
      const pixels = shape[1]! * shape[2]!
      return [
        integerTensor(input.dtype, shape, sums.length, (i) => {
          const o = i % filters
          const p = (i - o) / filters
          const n = Math.floor(p / pixels)
          return finish(sums[(n * filters + o) * pixels + (p % pixels)]! + (b ? b[o]! : 0), o)
        }),
      ]
    },
    cost: sumCost,
    examples: () => [
      {
        inputs: [
          some('int8', [1, 3, 4, 2], 37),
          some('int8', [4, 1, 2, 2], 53),
          tensorOf('int32', [4], [100, -200, 3, 0]),
        ],
        attributes: {
          ...sample,
          pads: [0, 1, 1, 0],
          groups: 2,
          filterScales: [0.01, 0.02, 0.005, 0.013],
          activation: 'relu6',
        },
      },
      {
        inputs: [some('uint8', [1, 3, 3, 2], 37), some('uint8', [2, 2, 2, 2], 53)],
        attributes: { ...sample, inputZero: 120, outputZero: 128, filterScales: [0.01], filterZero: 131 },
      },
      {
        inputs: [
          some('int16', [1, 3, 3, 1], 37),
          some('int8', [2, 1, 2, 2], 53),
          tensorOf('int64', [2], [7, -9]),
        ],
        attributes: {
          ...sample,
          inputZero: 0,
          outputZero: 0,
          filterScales: [0.01, 0.03],
          accumulator: 'int64',
        },
      },
    ],
  },
  tfliteTransposeConv2d: {
    doc: 'TensorFlow Lite TRANSPOSE_CONV on integers: inputs x [N, H, W, I], filter [I, O, H, W], bias [O]?; the output is `size`, `pads` [top, left] of it cut off',
    inputs: [2, 3],
    attributes: {
      strides: { kind: 'numbers' },
      pads: { kind: 'numbers' },
      size: { kind: 'numbers' },
      ...productAttributes,
    },
    infer(x) {
      const input = inputType(x, 0)
      const [h, w] = numbersOf(x.attributes, 'size')
      const filters = inputType(x, 1).shape?.[1] ?? null
      return [tensorType(input.dtype, [input.shape?.[0] ?? null, h!, w!, filters])]
    },
    evaluate(inputs, x) {
      const [input, filter, bias] = inputs as [Tensor, Tensor, Tensor | undefined]
      const a = x.attributes
      const shape = staticShape(x)
      const sums = transposedSums(
        input,
        filter,
        shape,
        numbersOf(a, 'strides'),
        numbersOf(a, 'pads'),
        numberOf(a, 'inputZero'),
      )
      const finish = requantizer(a, input.dtype, true)
      const b = bias && numbers(bias)
      const filters = shape[3]!
      return [
        integerTensor(input.dtype, shape, sums.length, (i) =>
          finish(sums[i]! + (b ? b[i % filters]! : 0), i % filters),
        ),
      ]
    },
    cost(x) {
      const n = inputType(x, 0).shape
      const w = inputType(x, 1).shape
      return { macs: ((n && product(n)) ?? 0) * ((w && product(w.slice(1))) ?? 0) }
    },
    examples: () => [
      {
        inputs: [
          some('int8', [1, 2, 2, 2], 37),
          some('int8', [2, 3, 3, 3], 53),
          tensorOf('int32', [3], [1, -2, 3]),
        ],
        attributes: {
          ...sample,
          strides: [2, 2],
          pads: [0, 1],
          size: [4, 4],
          filterScales: [0.01, 0.02, 0.03],
        },
      },
    ],
  },
  tfliteFullyConnected: {
    doc: 'TensorFlow Lite FULLY_CONNECTED on integers: inputs x, filter [O, I], bias [O]?; x is seen as rows of I',
    inputs: [2, 3],
    attributes: { keepDims: { kind: 'boolean', default: false }, ...productAttributes },
    infer: (x) => [tensorType(inputType(x, 0).dtype, fullyConnectedShape(x))],
    evaluate(inputs, x) {
      const [input, filter, bias] = inputs as [Tensor, Tensor, Tensor | undefined]
      const a = x.attributes
      const shape = staticShape(x)
      const [filters, depth] = filter.shape as [number, number]
      const finish = requantizer(a, input.dtype, numbersOf(a, 'filterScales').length > 1)
      const xs = numbers(input)
      const ws = numbers(filter)
      const b = bias && numbers(bias)
      const [xZero, wZero] = [numberOf(a, 'inputZero'), numberOf(a, 'filterZero')]
      return [
        integerTensor(input.dtype, shape, sizeOf(shape), (i) => {
          const o = i % filters
          const row = ((i - o) / filters) * depth
          let sum = b ? b[o]! : 0
          for (let k = 0; k < depth; k++) sum += (xs[row + k]! - xZero) * (ws[o * depth + k]! - wZero)
          return finish(sum, o)
        }),
      ]
    },
    cost: sumCost,
    examples: () => [
      {
        inputs: [
          some('int8', [2, 3], 37),
          some('int8', [4, 3], 53),
          tensorOf('int32', [4], [100, -200, 3, 0]),
        ],
        attributes: { ...sample, filterScales: [0.02], filterZero: 4, rounding: 'single' },
      },
      {
        inputs: [some('int8', [2, 1, 3], 37), some('int8', [4, 3], 53)],
        attributes: { ...sample, filterScales: [0.02, 0.01, 0.03, 0.02], keepDims: true, scaling: 'real' },
      },
    ],
  },
  tfliteBatchMatMul: {
    doc: 'TensorFlow Lite BATCH_MATMUL on integers: matrix product with broadcast leading dimensions; `filter…` speaks of the second operand',
    inputs: [2, 2],
    attributes: productAttributes,
    infer: (x) => [
      tensorType(inputType(x, 0).dtype, matMulShape(inputType(x, 0).shape, inputType(x, 1).shape)),
    ],
    evaluate(inputs, x) {
      const [a, b] = inputs as [Tensor, Tensor]
      const finish = requantizer(x.attributes, a.dtype, false)
      const [aZero, bZero] = [numberOf(x.attributes, 'inputZero'), numberOf(x.attributes, 'filterZero')]
      return [
        matMulSums(
          a,
          b,
          (sums, shape) => integerTensor(a.dtype, shape, sums.length, (i) => finish(sums[i]!, 0)),
          () => aZero,
          () => bZero,
        ),
      ]
    },
    cost(x, outputs) {
      const out = outputs[0]!
      const n = out.kind === 'tensor' && out.shape ? product(out.shape) : null
      const k = inputType(x, 0).shape?.at(-1)
      return { macs: (n ?? 0) * (typeof k === 'number' ? k : 0) }
    },
    examples: () => [
      {
        inputs: [some('int8', [2, 2, 3], 37), some('int8', [1, 3, 2], 53)],
        attributes: { ...sample, filterScales: [0.02], filterZero: -5 },
      },
    ],
  },
} satisfies Record<string, Op>

/** x seen as rows of the filter's I: [rows, O], or x's own leading dimensions and O where those are kept. */
export function fullyConnectedShape(x: Infer): readonly Dim[] | null {
  const input = inputType(x, 0).shape
  const filter = inputType(x, 1).shape
  if (!filter) return null
  if (filter.length !== 2) throw new InputError(`filter [${filter}]: expected [outputs, inputs]`)
  const [filters, depth] = filter as [Dim, Dim]
  if (!input) return x.attributes.keepDims ? null : [null, filters]
  if (x.attributes.keepDims && input.length > 1) return [...input.slice(0, -1), filters]
  const n = product(input)
  if (n === null) {
    const last = input.at(-1)!
    return [input.length === 2 && last === depth ? input[0]! : null, filters]
  }
  if (typeof depth !== 'number') return [null, filters]
  if (depth === 0 || n % depth !== 0) throw new InputError(`input [${input}] isn't rows of ${depth}`)
  return [n / depth, filters]
}
