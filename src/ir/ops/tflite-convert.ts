// The way between real numbers and the integers of TensorFlow Lite.

import type { DType } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import { type AttributeSpec, axisOf, inputType, numberOf, numbersOf, type Op, stringOf } from '../op.ts'
import { type Attributes, tensorType } from '../types.ts'
import { roundAway } from './tflite-fixed.ts'
import { clampTo, integerTensor } from './tflite-quantization.ts'

const dtypeAttribute = (...oneOf: DType[]): AttributeSpec => ({ kind: 'string', oneOf })
/** `scales`, `zeros`: one, or one for each index of `axis`. */
const perAxis: Record<string, AttributeSpec> = {
  scales: { kind: 'numbers' },
  zeros: { kind: 'numbers' },
  axis: { kind: 'number', default: 0 },
}
function affineOf(a: Attributes, shape: readonly number[]): (i: number) => { scale: number; zero: number } {
  const [scales, zeros] = [numbersOf(a, 'scales').map(Math.fround), numbersOf(a, 'zeros')]
  if (scales.length === 1) {
    const one = { scale: scales[0]!, zero: zeros[0] ?? 0 }
    return () => one
  }
  const axis = axisOf(numberOf(a, 'axis'), shape.length)
  if (shape[axis] !== scales.length)
    throw new InputError(`${scales.length} scales don't fit axis ${axis} of [${shape}]`)
  const inner = sizeOf(shape.slice(axis + 1))
  return (i) => {
    const c = Math.floor(i / inner) % scales.length
    return { scale: scales[c]!, zero: zeros[c] ?? zeros[0] ?? 0 }
  }
}

export const tfliteConvert = {
  tfliteQuantize: {
    doc: 'TensorFlow Lite QUANTIZE of real numbers: x / scale in float32, halves away from zero, plus the zero point',
    inputs: [1, 1],
    attributes: { ...perAxis, to: dtypeAttribute('int8', 'uint8', 'int16', 'int4', 'uint4') },
    infer: (x) => [tensorType(stringOf(x.attributes, 'to') as DType, inputType(x, 0).shape)],
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const to = stringOf(x.attributes, 'to') as DType
      const affine = affineOf(x.attributes, input.shape)
      const xs = numbers(input)
      const clamp = clampTo(to)
      return [
        integerTensor(to, input.shape, sizeOf(input.shape), (i) => {
          const { scale, zero } = affine(i)
          return clamp(roundAway(Math.fround(xs[i]! / scale)) + zero)
        }),
      ]
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [-100, -0.25, 0, 0.26, 1e12, -1e12])],
        attributes: { scales: [0.5, 0.1, 0.02], zeros: [0, 3, -5], axis: 1, to: 'int8' },
      },
    ],
  },
  tfliteDequantize: {
    doc: 'TensorFlow Lite DEQUANTIZE of integers: scale · (q − zero) in float32',
    inputs: [1, 1],
    attributes: perAxis,
    infer: (x) => [tensorType('float32', inputType(x, 0).shape)],
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const affine = affineOf(x.attributes, input.shape)
      const xs = numbers(input)
      const data = Float32Array.from({ length: sizeOf(input.shape) }, (_, i) => {
        const { scale, zero } = affine(i)
        return scale * (xs[i]! - zero)
      })
      return [{ dtype: 'float32', shape: input.shape, data }]
    },
    examples: () => [
      { inputs: [tensorOf('int8', [4], [-128, -3, 0, 127])], attributes: { scales: [0.1], zeros: [-3] } },
      {
        inputs: [tensorOf('int8', [2, 2], [-128, 0, 3, 127])],
        attributes: { scales: [0.5, 0.1], zeros: [1, -2], axis: 0 },
      },
    ],
  },
} satisfies Record<string, Op>
