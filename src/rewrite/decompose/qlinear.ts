// onnxruntime's quantised operators: dequantise, the float operator, quantise; their products exactly in integers.

import type { DType } from '../../core/dtype.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter } from './fixed-point.ts'
import { requantized } from './quantize.ts'

type Inputs = readonly (ValueId | null)[]
const whole = { axis: 0, block: 0 }

const real = (e: Emitter, inputs: Inputs, i: number): ValueId =>
  e.op('dequantizeLinear', [inputs[i]!, inputs[i + 1]!, inputs[i + 2] ?? null], whole)
const quantised = (
  e: Emitter,
  v: ValueId,
  scale: ValueId,
  zero: ValueId | null | undefined,
  to: DType,
): ValueId => e.op('quantizeLinear', [v, scale, zero ?? null], { ...whole, to })

/** `operands` triples, then the result's scale and zero point. */
const through =
  (op: string, operands = 1): Decomposition =>
  (b, inputs, node) => {
    const e = new Emitter(b, node.name)
    const at = 3 * operands
    const args = Array.from({ length: operands }, (_, i) => real(e, inputs, 3 * i))
    return [quantised(e, e.op(op, args, node.attributes), inputs[at]!, inputs[at + 1], e.dtype(inputs[0]!))]
  }

const globalAverage: Decomposition = (b, inputs, node) => {
  const e = new Emitter(b, node.name)
  const rank = e.rank(inputs[0]!)!
  const first = node.attributes.layout === 'channelsLast' ? 1 : 2
  const axes = Array.from({ length: rank - 2 }, (_, i) => first + i)
  const mean = e.op('reduceMean', [real(e, inputs, 0), e.list('int64', axes)], { keepDims: true })
  return [quantised(e, mean, inputs[3]!, inputs[4], e.dtype(inputs[0]!))]
}

const concat: Decomposition = (b, inputs, node) => {
  const e = new Emitter(b, node.name)
  const parts: ValueId[] = []
  for (let i = 2; i < inputs.length; i += 3) parts.push(real(e, inputs, i))
  return [quantised(e, e.op('concat', parts, node.attributes), inputs[0]!, inputs[1], e.dtype(inputs[1]!))]
}

const qgemm: Decomposition = (b, inputs, node) => {
  const e = new Emitter(b, node.name)
  const a: Attributes = node.attributes
  const [x, xScale, xZero, w, wScale, wZero, c, yScale, yZero] = inputs
  const turned = (v: ValueId, on: unknown): ValueId =>
    on ? e.op('transpose', [v], { permutation: [1, 0] }) : v
  let sums = e.op('matMulInteger', [
    turned(x!, a.transposeA),
    turned(w!, a.transposeB),
    xZero ?? null,
    wZero ?? null,
  ])
  if (c != null) sums = e.op('add', [sums, c])
  let factor = e.op('mul', [xScale!, wScale!])
  if (a.alpha !== 1) factor = e.with('mul', factor, Number(a.alpha))
  if (yScale == null) return [e.op('mul', [e.cast(sums, 'float32'), factor])]
  const to = yZero == null ? 'uint8' : e.dtype(yZero)
  return [requantized(e, sums, e.op('div', [factor, yScale]), yZero ?? e.scalar(to, 0), to)]
}

export const qlinearDecompositions: Decompositions = {
  qlinearAdd: through('add', 2),
  qlinearMul: through('mul', 2),
  qlinearSigmoid: through('sigmoid'),
  qlinearLeakyRelu: through('leakyRelu'),
  qlinearSoftmax: through('softmax'),
  qlinearAveragePool1d: through('averagePool1d'),
  qlinearAveragePool2d: through('averagePool2d'),
  qlinearAveragePool3d: through('averagePool3d'),
  qlinearGlobalAveragePool: globalAverage,
  qlinearConcat: concat,
  qgemm,
}
