// Recurrent layers.

import { allocate, type DType } from '../../../core/dtype.ts'
import { sizeOf, type Tensor, tensor } from '../../../core/tensor.ts'
import type { ValueId } from '../../../ir/types.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'
import type { TensorInfo } from '../tensors.ts'

/** Weights of gates as one tensor with a leading dimension of one direction. */
function stack(x: Operation, inputs: readonly number[], dtype: DType = 'float32'): Tensor {
  const parts = inputs.map((i) => {
    const t = x.constant(i)
    if (t?.dtype !== dtype) throw new NotSupported(`${x.op} with weights other than constant ${dtype}`)
    return t
  })
  const shape = parts[0]!.shape
  if (parts.some((p) => p.shape.join() !== shape.join())) x.fail('weights of different shapes')
  const each = sizeOf(shape)
  const data = allocate(dtype, each * parts.length) as Float32Array
  parts.forEach((p, i) => {
    data.set(p.data as Float32Array, i * each)
  })
  return tensor(dtype, [1, shape[0]! * parts.length, ...shape.slice(1)], data)
}

/** The forms of the layer that neither arithmetic has. */
function refused(x: Operation): void {
  if (x.has(16) || x.has(17)) throw new NotSupported(`${x.op} with a projection`)
  if ([20, 21, 22, 23].some((i) => x.has(i))) throw new NotSupported(`${x.op} with layer normalisation`)
  if (!x.has(1)) throw new NotSupported(`${x.op} with coupled input and forget gates`)
  if (x.boolean('diagonal_recurrent_tensors')) throw new NotSupported(`${x.op} with diagonal weights`)
}

/** The layer on 8-bit integers with 16-bit states. Hidden values have their scale in the fifth intermediate tensor. */
const integerLstm: Row = (x) => {
  refused(x)
  if (x.has(9) || x.has(10) || x.has(11)) throw new NotSupported(`${x.op} of int8 with peepholes`)
  const whole = (t: TensorInfo, dtype: DType): { scale: number; zero: number } => {
    if (t.dtype !== dtype || t.quantization?.scale.length !== 1)
      throw new NotSupported(`${x.op} of int8 with ${t.typeName} tensors without one scale`)
    return { scale: t.quantization.scale[0]!, zero: t.quantization.zeroPoint[0] ?? 0 }
  }
  const [input, state, hidden] = [x.tensor(0), x.tensor(18), x.intermediate(4)].map((t) =>
    whole(t, 'int8'),
  ) as [ReturnType<typeof whole>, ReturnType<typeof whole>, ReturnType<typeof whole>]
  const cell = whole(x.tensor(19), 'int16').scale
  if (!Number.isInteger(Math.log2(cell)) || cell < 2 ** -15 || cell > 2 ** -9)
    throw new NotSupported(`${x.op} of int8 with cell states on scale ${cell}`)
  const stacked = (inputs: readonly number[], dtype: DType, name: string): ValueId => {
    const t = stack(x, inputs, dtype)
    const rest = t.shape.slice(2)
    return x.b.constant(tensor(dtype, [4, t.shape[1]! / 4, ...rest], t.data), `${x.name}:${name}`)
  }
  const weights = [1, 2, 3, 4]
  const recurrent = [5, 6, 7, 8]
  x.result(
    'tfliteLstm',
    [
      x.input(0),
      stacked(weights, 'int8', 'weights'),
      stacked(recurrent, 'int8', 'recurrent'),
      stacked([12, 13, 14, 15], 'int32', 'bias'),
    ],
    {
      inputScale: input.scale,
      inputZero: input.zero,
      stateScale: state.scale,
      stateZero: state.zero,
      hiddenScale: hidden.scale,
      hiddenZero: hidden.zero,
      inputWeightScales: weights.map((i) => whole(x.tensor(i), 'int8').scale),
      recurrentWeightScales: recurrent.map((i) => whole(x.tensor(i), 'int8').scale),
      cellScale: cell,
      cellClip: Math.max(0, x.number('cell_clip')),
      layout: x.boolean('time_major') ? 'timeFirst' : 'batchFirst',
    },
  )
}

/**
 * UNIDIRECTIONAL_SEQUENCE_LSTM. Inputs: x; weights of i, f, c, o; recurrent ones; peepholes of i, f, o; biases of i, f, c, o;
 * projection; states h and c; layer norm. The states are variables: here they start anew with every run.
 */
const sequenceLstm: Row = (x) => {
  refused(x)
  if (x.tensor(0).dtype !== 'float32') throw new NotSupported(`${x.op} of ${x.tensor(0).dtype}`)
  const activation = { none: 'Affine', relu: 'Relu', tanh: 'Tanh', relu6: '', reluN1To1: '' }[x.activation()]
  if (!activation) throw new NotSupported(`${x.op} with ${x.activation()}`)
  const constant = (t: Tensor, name: string): ValueId => x.b.constant(t, `${x.name}:${name}`)
  // i, f, c, o in the file; i, o, f, c in the graph.
  const weights = stack(x, [1, 4, 2, 3])
  const recurrent = stack(x, [5, 8, 6, 7])
  const hidden = recurrent.shape[2]!
  const bias = stack(x, [12, 15, 13, 14])
  const both = new Float32Array(8 * hidden)
  both.set(bias.data as Float32Array)
  const peepholes = x.has(9) ? constant(stack(x, [9, 11, 10]), 'peepholes') : null
  const timeFirst = x.boolean('time_major')
  const state = (i: number): ValueId => x.node('unsqueeze', [x.input(i)], { axes: [timeFirst ? 0 : 1] })
  const y = x.node(
    'lstm',
    [
      x.input(0),
      constant(weights, 'weights'),
      constant(recurrent, 'recurrent'),
      constant(tensor('float32', [1, 8 * hidden], both), 'bias'),
      null,
      state(18),
      state(19),
      peepholes,
    ],
    {
      layout: timeFirst ? 'timeFirst' : 'batchFirst',
      ...(x.number('cell_clip') > 0 && { cellClip: x.number('cell_clip') }),
      ...(activation !== 'Tanh' && { activations: ['Sigmoid', activation, activation] }),
    },
  )
  x.result('squeeze', [y], { axes: [timeFirst ? 1 : 2] })
}

export const recurrentRows: Readonly<Record<string, Row>> = { UNIDIRECTIONAL_SEQUENCE_LSTM: sequenceLstm }
export const integerRecurrentRows: Readonly<Record<string, Row>> = {
  UNIDIRECTIONAL_SEQUENCE_LSTM: integerLstm,
}
