// onnxruntime's quantised operators (domain com.microsoft). Each means: dequantise, the float operator in float32, quantise.
// Operands are triples: value, scale, zero point?.

import { type DType, rangeOf, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, integers, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { booleanOf, completeAttributes, type Infer, inputType, numberOf, type Op } from '../op.ts'
import { type Attributes, type Datum, isTensor, type Shape, tensorType, typeOf } from '../types.ts'
import { optionalTensor, tensorAt, transposed } from './elements.ts'
import { elementwise } from './elementwise.ts'
import { counting, layoutAttribute, matMulSums } from './linear.ts'
import { movement } from './movement.ts'
import { normalize } from './normalize.ts'
import { pooling } from './pooling.ts'
import { products } from './products.ts'
import { dequantizeTensor, quantizeTensor, requantize } from './quantized.ts'
import { reduce } from './reduce.ts'

/** Runs an operator on tensors. */
function apply(
  name: string,
  op: Op,
  inputs: readonly (Tensor | undefined)[],
  attributes: Attributes = {},
): Tensor {
  const complete = completeAttributes(name, op.attributes, attributes)
  const types = op.infer({
    inputs: inputs.map((t) => (t ? typeOf(t) : null)),
    constants: inputs.map((t) => t ?? null),
    attributes: complete,
    outputs: 1,
  })
  const [result] = op.evaluate(inputs, {
    attributes: complete,
    types,
    outputs: 1,
    run: () => {
      throw new InputError(`${name}: has no body`)
    },
  })
  if (!isTensor(result)) throw new InputError(`${name}: expected a tensor`)
  return result
}

type Inputs = readonly (Datum | undefined)[]

/** The real values of the triple that starts at input i. */
const real = (inputs: Inputs, i: number): Tensor =>
  dequantizeTensor(tensorAt(inputs, i), tensorAt(inputs, i + 1), optionalTensor(inputs, i + 2), 0, 0)

/** Quantises a result by the scale at input i and the zero point after it. */
const quantised = (t: Tensor, inputs: Inputs, i: number, dtype: DType): Tensor[] => [
  quantizeTensor(t, tensorAt(inputs, i), optionalTensor(inputs, i + 1), dtype, 0, 0),
]

/** The shape that the float operator gives. */
function shapeBy(op: Op, x: Infer, operands: readonly number[], attributes: Attributes): Shape {
  const [t] = op.infer({
    inputs: operands.map((i) => tensorType('float32', inputType(x, i).shape)),
    constants: operands.map(() => null),
    attributes,
    outputs: 1,
  })
  return t?.kind === 'tensor' ? t.shape : null
}

const scale = (v: number): Tensor => tensorOf('float32', [], [v])
const zero = (v: number): Tensor => tensorOf('uint8', [], [v])
const bytes = (shape: readonly number[]): Tensor => counting('uint8', shape, 100)

const binary = (what: string, op: Op): Op => ({
  doc: `${what} of quantised tensors: inputs A, scale, zero point?, B, scale, zero point?, scale and zero point? of the result`,
  inputs: [7, 8],
  examples: () => [
    {
      inputs: [bytes([2, 3]), scale(0.5), zero(100), bytes([3]), scale(0.25), zero(101), scale(1), zero(90)],
    },
  ],
  infer: (x) => [tensorType(inputType(x, 0).dtype, shapeBy(op, x, [0, 3], {}))],
  evaluate: (inputs) =>
    quantised(apply(what, op, [real(inputs, 0), real(inputs, 3)]), inputs, 6, tensorAt(inputs, 0).dtype),
})

const same = (a: Attributes): Attributes => a

function unary(
  what: string,
  op: Op,
  attributes: Op['attributes'] = {},
  given: (a: Attributes) => Attributes = same,
  shape: readonly number[] = [2, 3],
  example: Attributes = {},
): Op {
  return {
    doc: `${what} of a quantised tensor: inputs x, scale, zero point?, scale and zero point? of the result`,
    inputs: [4, 5],
    attributes,
    examples: () => [
      { inputs: [bytes(shape), scale(0.5), zero(100), scale(0.1), zero(10)], attributes: example },
    ],
    infer: (x) => [
      tensorType(
        inputType(x, 0).dtype,
        shapeBy(op, x, [0], completeAttributes(what, op.attributes, given(x.attributes))),
      ),
    ],
    evaluate: (inputs, x) =>
      quantised(
        apply(what, op, [real(inputs, 0)], given(x.attributes)),
        inputs,
        3,
        tensorAt(inputs, 0).dtype,
      ),
  }
}

const spatialAxes = (rank: number, layout: string): number[] =>
  Array.from({ length: rank - 2 }, (_, i) => i + (layout === 'channelsLast' ? 1 : 2))

export const qlinear = {
  qlinearAdd: binary('Sum', elementwise.add),
  qlinearMul: binary('Product', elementwise.mul),
  qlinearSigmoid: unary('Sigmoid', elementwise.sigmoid),
  qlinearLeakyRelu: unary('LeakyRelu', elementwise.leakyRelu, elementwise.leakyRelu.attributes),
  qlinearSoftmax: unary('Softmax', normalize.softmax, normalize.softmax.attributes),
  qlinearAveragePool1d: unary(
    'AveragePool',
    pooling.averagePool1d,
    pooling.averagePool1d.attributes,
    same,
    [1, 1, 3],
    {
      kernel: [2],
    },
  ),
  qlinearAveragePool2d: unary(
    'AveragePool',
    pooling.averagePool2d,
    pooling.averagePool2d.attributes,
    same,
    [1, 1, 3, 3],
    {
      kernel: [2, 2],
    },
  ),
  qlinearAveragePool3d: unary(
    'AveragePool',
    pooling.averagePool3d,
    pooling.averagePool3d.attributes,
    same,
    [1, 1, 3, 3, 3],
    {
      kernel: [2, 2, 2],
    },
  ),
  qlinearGlobalAveragePool: {
    doc: 'Mean over all pixels of a quantised tensor: inputs x, scale, zero point, scale and zero point of the result',
    inputs: [4, 5],
    attributes: { layout: layoutAttribute },
    examples: () => [{ inputs: [bytes([1, 2, 2, 2]), scale(0.5), zero(100), scale(0.1), zero(10)] }],
    infer(x) {
      const t = inputType(x, 0)
      const axes = new Set(t.shape ? spatialAxes(t.shape.length, x.attributes.layout as string) : [])
      return [tensorType(t.dtype, t.shape?.map((d, i) => (axes.has(i) ? 1 : d)) ?? null)]
    },
    evaluate(inputs, x) {
      const t = real(inputs, 0)
      const axes = spatialAxes(t.shape.length, x.attributes.layout as string)
      const mean = apply('mean', reduce.reduceMean, [t, tensorOf('int64', [axes.length], axes)])
      return quantised(mean, inputs, 3, tensorAt(inputs, 0).dtype)
    },
  },
  qlinearConcat: {
    doc: 'Quantised tensors one after the other along axis: inputs scale and zero point of the result, then x, scale, zero point of each',
    inputs: [5, Infinity],
    attributes: { axis: { kind: 'number' } },
    examples: () => [
      {
        inputs: [
          scale(1),
          zero(50),
          bytes([1, 2]),
          scale(0.5),
          zero(100),
          bytes([1, 1]),
          scale(2),
          zero(101),
        ],
        attributes: { axis: 1 },
      },
    ],
    infer(x) {
      const operands = x.inputs.flatMap((_, i) => (i >= 2 && i % 3 === 2 ? [i] : []))
      return [tensorType(inputType(x, 1).dtype, shapeBy(movement.concat, x, operands, x.attributes))]
    },
    evaluate(inputs, x) {
      const parts = inputs.flatMap((_, i) => (i >= 2 && i % 3 === 2 ? [real(inputs, i)] : []))
      return quantised(
        apply('concat', movement.concat, parts, x.attributes),
        inputs,
        0,
        tensorAt(inputs, 1).dtype,
      )
    },
  },
  qgemm: {
    cost: (x, outputs) => products.gemm.cost({ ...x, attributes: { ...x.attributes, beta: 1 } }, outputs),
    doc: 'alpha · A · B + C of quantised matrices, C int32 in the scale of the product: inputs A, scale, zero point, B, scale(s), zero point(s), C?, scale and zero point of the result? (float where absent)',
    inputs: [6, 9],
    attributes: {
      alpha: { kind: 'number', default: 1 },
      transposeA: { kind: 'boolean', default: false },
      transposeB: { kind: 'boolean', default: false },
    },
    examples: () => [
      {
        inputs: [
          bytes([2, 3]),
          scale(0.5),
          zero(100),
          bytes([3, 2]),
          scale(0.25),
          zero(103),
          tensorOf('int32', [2], [5, -6]),
          scale(0.5),
          zero(100),
        ],
      },
    ],
    infer(x) {
      const out = x.inputs[8]
      const dtype = x.inputs[7] == null ? 'float32' : out?.kind === 'tensor' ? out.dtype : 'uint8'
      return [tensorType(dtype, shapeBy(products.gemm, x, [0, 3], { ...x.attributes, beta: 1 }))]
    },
    evaluate(inputs, x) {
      const turn = (t: Tensor, on: boolean): Tensor => (on ? transposed(t, [1, 0]) : t)
      const a = turn(tensorAt(inputs, 0), booleanOf(x.attributes, 'transposeA'))
      const b = turn(tensorAt(inputs, 3), booleanOf(x.attributes, 'transposeB'))
      const [aScale, bScale] = [tensorAt(inputs, 1), tensorAt(inputs, 4)]
      const zeroOf =
        (t: Tensor | undefined) =>
        (i: number): number =>
          t ? at(t, t.data.length > 1 ? i : 0) : 0
      const c = optionalTensor(inputs, 6)
      const bias = c && integers(c)
      const [yScale, yZero] = [optionalTensor(inputs, 7), optionalTensor(inputs, 8)]
      const alpha = numberOf(x.attributes, 'alpha')
      return [
        matMulSums(
          a,
          b,
          (sums, shape) => {
            const columns = shape.at(-1)!
            const dtype: DType = yScale ? (yZero?.dtype ?? 'uint8') : 'float32'
            const out = zeros(dtype, shape)
            const [low, high] = yScale ? rangeOf(dtype).map(Number) : [0, 0]
            for (let i = 0; i < sums.length; i++) {
              const column = i % columns
              const product = Math.fround(
                alpha * at(aScale, 0) * at(bScale, bScale.data.length > 1 ? column : 0),
              )
              // C is [N], [1, N] or [M, N].
              const sum =
                sums[i]! + (bias ? bias[bias.length === sums.length ? i : bias.length > 1 ? column : 0]! : 0)
              const value = yScale
                ? requantize(sum, Math.fround(product / at(yScale, 0)), yZero ? at(yZero, 0) : 0, low!, high!)
                : sum * product
              store(dtype, out.data, i, value)
            }
            return out
          },
          zeroOf(optionalTensor(inputs, 2)),
          zeroOf(optionalTensor(inputs, 5)),
        ),
      ]
    },
  },
} satisfies Record<string, Op>
