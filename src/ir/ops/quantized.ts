// Quantisation as ONNX defines it. Integer products are exact; requantisation multiplies in float32 as ONNX's own runtime does
// and rounds halves to even.

import { type DType, dtypes, rangeOf, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, numbers, sizeOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, type Infer, inputType, numberOf, type Op, stringOf } from '../op.ts'
import { roundEven } from '../scalar.ts'
import { tensorType } from '../types.ts'
import { aroundAxis, optionalTensor, outputType, tensorAt } from './elements.ts'
import {
  convCost,
  convShape,
  convSums,
  counting,
  layoutAttribute,
  matMulCost,
  matMulShape,
  matMulSums,
  placeSums,
  splitShape,
  windowAttributes,
  windowOf,
} from './linear.ts'

const limits = (d: DType): [number, number] => {
  const [low, high] = rangeOf(d)
  return [Number(low), Number(high)]
}

/** For each element of x the index of its scale: one for all, one an entry of axis, or one a block of the axis. */
export function scaleIndex(
  x: Tensor,
  scale: Tensor,
  axisGiven: number,
  block: number,
): (i: number) => number {
  if (scale.data.length === 1) return () => 0
  const axis = axisOf(axisGiven, x.shape.length)
  const { size, inner } = aroundAxis(x.shape, axis)
  if (!block) {
    if (scale.data.length !== size)
      throw new InputError(`expected ${size} scales along axis ${axis}, got ${scale.data.length}`)
    return (i) => Math.floor(i / inner) % size
  }
  const blocks = scale.shape[axis]!
  if (scale.shape.length !== x.shape.length || blocks !== Math.ceil(size / block))
    throw new InputError(
      `scales [${scale.shape}] don't fit [${x.shape}] in blocks of ${block} along axis ${axis}`,
    )
  return (i) => {
    const outer = Math.floor(i / (inner * size))
    return (outer * blocks + Math.floor((Math.floor(i / inner) % size) / block)) * inner + (i % inner)
  }
}

/** q = saturate(round(x / scale) + zero point), halves to even; the quotient is rounded to x's own type first. */
export function quantizeTensor(
  x: Tensor,
  scale: Tensor,
  zero: Tensor | undefined,
  to: DType,
  axis: number,
  block: number,
): Tensor {
  const index = scaleIndex(x, scale, axis, block)
  const xs = numbers(x)
  const scales = numbers(scale)
  const zeroPoints = zero ? numbers(zero) : null
  const [low, high] = limits(to)
  const single = x.dtype !== 'float64'
  const out = zeros(to, x.shape)
  for (let i = 0; i < out.data.length; i++) {
    const k = index(i)
    const quotient = xs[i]! / scales[k]!
    const q = roundEven(single ? Math.fround(quotient) : quotient) + (zeroPoints ? zeroPoints[k]! : 0)
    store(to, out.data, i, Math.min(high, Math.max(low, q)))
  }
  return out
}

/** x = (q − zero point) · scale in the type of the scale. */
export function dequantizeTensor(
  q: Tensor,
  scale: Tensor,
  zero: Tensor | undefined,
  axis: number,
  block: number,
): Tensor {
  const index = scaleIndex(q, scale, axis, block)
  const qs = numbers(q)
  const scales = numbers(scale)
  const zeroPoints = zero ? numbers(zero) : null
  const out = zeros(scale.dtype, q.shape)
  for (let i = 0; i < out.data.length; i++) {
    const k = index(i)
    store(scale.dtype, out.data, i, (qs[i]! - (zeroPoints ? zeroPoints[k]! : 0)) * scales[k]!)
  }
  return out
}

/** acc · multiplier in float32, rounded with halves to even, plus the zero point, saturated. */
export function requantize(sum: number, multiplier: number, zero: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, roundEven(Math.fround(Math.fround(sum) * multiplier)) + zero))
}

/** The integer type of a zero point, or uint8 where there is none. */
const zeroType = (x: Infer, i: number, otherwise: DType): DType => {
  const t = x.inputs[i]
  return t?.kind === 'tensor' ? t.dtype : otherwise
}

const axisAttributes = {
  axis: { kind: 'number', default: 1 },
  /** Elements of the axis that share a scale; 0: not blocked. */
  block: { kind: 'number', default: 0 },
} as const

/** Zero points of the rows of A or the columns of B: one for all, or one each (in the last matrix dimension). */
function zeroAt(t: Tensor | undefined): (i: number) => number {
  if (!t) return () => 0
  const zs = numbers(t)
  return zs.length === 1 ? () => zs[0]! : (i) => zs[i % zs.length]!
}

const integerConv = (rank: number): Op => ({
  doc: `Exact integer convolution over ${rank} spatial dimension${rank > 1 ? 's' : ''}: inputs x, filter, zero point of x?, of the filter? (one, or one a filter); gives int32`,
  inputs: [2, 4],
  attributes: { ...windowAttributes(rank), groups: { kind: 'number', default: 1 }, layout: layoutAttribute },
  examples: () => [
    {
      inputs: [
        counting('uint8', [1, 2, ...new Array<number>(rank).fill(3)], 0),
        counting('int8', [2, 2, ...new Array<number>(rank).fill(2)]),
        tensorOf('uint8', [], [2]),
      ],
    },
  ],
  infer: (x) => [tensorType('int32', convShape(x, rank))],
  evaluate(inputs, x) {
    const { shape } = outputType(x)
    const [xZero, wZero] = [optionalTensor(inputs, 2), optionalTensor(inputs, 3)]
    const layout = stringOf(x.attributes, 'layout')
    const sums = convSums(
      tensorAt(inputs, 0),
      tensorAt(inputs, 1),
      layout,
      numberOf(x.attributes, 'groups'),
      windowOf(x.attributes, rank),
      splitShape(shape, layout).spatial,
      xZero ? at(xZero, 0) : 0,
      wZero ? numbers(wZero) : [0],
    )
    return [placeSums(sums, 'int32', shape, layout)]
  },
  cost: (x, outputs) => convCost(x, outputs),
})

const qlinearConv = (rank: number): Op => ({
  doc: `Quantised convolution over ${rank} spatial dimension${rank > 1 ? 's' : ''}: inputs x, its scale and zero point, filter, its scale(s) and zero point(s), scale and zero point of the result, int32 bias?`,
  inputs: [8, 9],
  attributes: { ...windowAttributes(rank), groups: { kind: 'number', default: 1 }, layout: layoutAttribute },
  examples: () => [
    {
      inputs: [
        counting('uint8', [1, 2, ...new Array<number>(rank).fill(3)], 0),
        tensorOf('float32', [], [0.5]),
        tensorOf('uint8', [], [2]),
        counting('int8', [2, 2, ...new Array<number>(rank).fill(2)]),
        tensorOf('float32', [2], [0.25, 1]),
        tensorOf('int8', [2], [0, 0]),
        tensorOf('float32', [], [2]),
        tensorOf('uint8', [], [100]),
        tensorOf('int32', [2], [3, -4]),
      ],
    },
  ],
  infer: (x) => [
    tensorType(inputType(x, 7).dtype, convShape({ ...x, inputs: [x.inputs[0]!, x.inputs[3]!] }, rank)),
  ],
  evaluate(inputs, x) {
    const { dtype, shape } = outputType(x)
    const [input, xScale, xZero, filter, wScale, wZero, yScale, yZero] = inputs.map((_, i) =>
      optionalTensor(inputs, i),
    )
    const bias = optionalTensor(inputs, 8)
    const layout = stringOf(x.attributes, 'layout')
    const { spatial } = splitShape(shape, layout)
    const sums = convSums(
      input!,
      filter!,
      layout,
      numberOf(x.attributes, 'groups'),
      windowOf(x.attributes, rank),
      spatial,
      at(xZero!, 0),
      numbers(wZero!),
    )
    const filters = filter!.shape[0]!
    const pixels = sizeOf(spatial)
    const [low, high] = limits(dtype)
    const scales = numbers(wScale!)
    for (let i = 0; i < sums.length; i++) {
      const o = Math.floor(i / pixels) % filters
      const w = scales[scales.length > 1 ? o : 0]!
      const multiplier = Math.fround(Math.fround(at(xScale!, 0) * w) / at(yScale!, 0))
      sums[i] = requantize(sums[i]! + (bias ? at(bias, o) : 0), multiplier, at(yZero!, 0), low, high)
    }
    return [placeSums(sums, dtype, shape, layout)]
  },
  cost: (x, outputs) => convCost(x, outputs, 3),
})

export const quantized = {
  quantizeLinear: {
    doc: 'saturate(round(x / scale) + zero point), halves to even: inputs x, scale, zero point?; to: the type where there is no zero point',
    inputs: [2, 3],
    attributes: { ...axisAttributes, to: { kind: 'string', oneOf: dtypes, default: 'uint8' } },
    infer: (x) => [tensorType(zeroType(x, 2, stringOf(x.attributes, 'to') as DType), inputType(x, 0).shape)],
    evaluate: (inputs, x) => [
      quantizeTensor(
        tensorAt(inputs, 0),
        tensorAt(inputs, 1),
        optionalTensor(inputs, 2),
        outputType(x).dtype,
        numberOf(x.attributes, 'axis'),
        numberOf(x.attributes, 'block'),
      ),
    ],
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [4], [0, 3, -3, 1000]),
          tensorOf('float32', [], [2]),
          tensorOf('uint8', [], [128]),
        ],
        outputs: [tensorOf('uint8', [4], [128, 130, 126, 255])],
      },
    ],
  },
  dequantizeLinear: {
    doc: '(q − zero point) · scale: inputs q, scale, zero point?',
    inputs: [2, 3],
    attributes: axisAttributes,
    infer: (x) => [tensorType(inputType(x, 1).dtype, inputType(x, 0).shape)],
    evaluate: (inputs, x) => [
      dequantizeTensor(
        tensorAt(inputs, 0),
        tensorAt(inputs, 1),
        optionalTensor(inputs, 2),
        numberOf(x.attributes, 'axis'),
        numberOf(x.attributes, 'block'),
      ),
    ],
    examples: () => [
      {
        inputs: [
          tensorOf('int8', [2, 2], [1, 2, 3, 4]),
          tensorOf('float32', [2], [0.5, 2]),
          tensorOf('int8', [2], [1, 0]),
        ],
        attributes: { axis: 0 },
        outputs: [tensorOf('float32', [2, 2], [0, 0.5, 6, 8])],
      },
    ],
  },
  dynamicQuantizeLinear: {
    doc: 'x as uint8 over its own range (which always holds 0), with the scale and the zero point',
    inputs: [1, 1],
    outputs: [3, 3],
    infer: (x) => [
      tensorType('uint8', inputType(x, 0).shape),
      tensorType('float32', []),
      tensorType('uint8', []),
    ],
    evaluate(inputs) {
      const t = tensorAt(inputs, 0)
      let [low, high] = [0, 0]
      for (const v of numbers(t)) {
        low = Math.min(low, v)
        high = Math.max(high, v)
      }
      // In float32 throughout, as ONNX's function body has it.
      const scale = Math.fround(Math.fround(high - low) / 255)
      const zero = scale === 0 ? 0 : roundEven(Math.min(255, Math.max(0, Math.fround(-low / scale))))
      const s = tensorOf('float32', [], [scale])
      const z = tensorOf('uint8', [], [zero])
      return [quantizeTensor(t, scale === 0 ? tensorOf('float32', [], [1]) : s, z, 'uint8', 0, 0), s, z]
    },
    examples: () => [{ inputs: [tensorOf('float32', [3], [0, 2, -3])] }],
  },
  matMulInteger: {
    cost: matMulCost,
    doc: 'Exact integer matrix product: inputs A, B, zero point of A? (one, or one a row), of B? (one, or one a column); gives int32',
    inputs: [2, 4],
    examples: () => [
      {
        inputs: [
          tensorOf('uint8', [1, 2], [11, 7]),
          tensorOf('uint8', [2, 1], [1, 4]),
          tensorOf('uint8', [1], [12]),
          tensorOf('uint8', [1], [0]),
        ],
        outputs: [tensorOf('int32', [1, 1], [-21])],
      },
    ],
    infer: (x) => [tensorType('int32', matMulShape(inputType(x, 0).shape, inputType(x, 1).shape))],
    evaluate: (inputs) => [
      matMulSums(
        tensorAt(inputs, 0),
        tensorAt(inputs, 1),
        (sums, shape) => tensorOf('int32', shape, sums),
        zeroAt(optionalTensor(inputs, 2)),
        zeroAt(optionalTensor(inputs, 3)),
      ),
    ],
  },
  convInteger1d: integerConv(1),
  convInteger2d: integerConv(2),
  convInteger3d: integerConv(3),
  qlinearMatMul: {
    cost: matMulCost,
    doc: 'Quantised matrix product: inputs A, its scale and zero point, B, its scale(s) and zero point(s), scale and zero point of the result',
    inputs: [8, 8],
    examples: () => [
      {
        inputs: [
          tensorOf('uint8', [1, 2], [3, 5]),
          tensorOf('float32', [], [0.5]),
          tensorOf('uint8', [], [1]),
          tensorOf('uint8', [2, 1], [2, 4]),
          tensorOf('float32', [], [2]),
          tensorOf('uint8', [], [0]),
          tensorOf('float32', [], [4]),
          tensorOf('uint8', [], [10]),
        ],
        outputs: [tensorOf('uint8', [1, 1], [15])],
      },
    ],
    infer: (x) => [
      tensorType(inputType(x, 7).dtype, matMulShape(inputType(x, 0).shape, inputType(x, 3).shape)),
    ],
    evaluate(inputs) {
      const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = inputs.map((_, i) => tensorAt(inputs, i))
      const dtype = yZero!.dtype
      const [low, high] = limits(dtype)
      const scaleOf = zeroAt(bScale)
      const rowScale = zeroAt(aScale)
      return [
        matMulSums(
          a!,
          b!,
          (sums, shape) => {
            const columns = b!.shape.length > 1 ? b!.shape.at(-1)! : 1
            const rows = a!.shape.length > 1 ? a!.shape.at(-2)! : 1
            const out = zeros(dtype, shape)
            for (let i = 0; i < sums.length; i++) {
              const [r, c] = [Math.floor(i / columns) % rows, i % columns]
              const multiplier = Math.fround(Math.fround(rowScale(r) * scaleOf(c)) / at(yScale!, 0))
              store(dtype, out.data, i, requantize(sums[i]!, multiplier, at(yZero!, 0), low, high))
            }
            return out
          },
          zeroAt(aZero),
          zeroAt(bZero),
        ),
      ]
    },
  },
  qlinearConv1d: qlinearConv(1),
  qlinearConv2d: qlinearConv(2),
  qlinearConv3d: qlinearConv(3),
} satisfies Record<string, Op>
