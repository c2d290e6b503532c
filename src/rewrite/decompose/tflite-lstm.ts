// TensorFlow Lite's LSTM on integers, written out over time: all inputs in one product, then one small product a step. Functions are
// tables of 65536 entries.

import { sizeOf, type Tensor, tensor } from '../../core/tensor.ts'
import { numberOf, stringOf } from '../../ir/op.ts'
import { lstmParameters, lstmTable } from '../../ir/ops/tflite-lstm.ts'
import type { ValueId } from '../../ir/types.ts'
import type { Decomposition } from './decompose.ts'
import { Emitter, open } from './fixed-point.ts'

export const tfliteLstm: Decomposition = (b, inputs, node) => {
  const e = new Emitter(b, node.name)
  const a = node.attributes
  const p = lstmParameters(a)
  const [data, weights, recurrent, bias] = inputs as [ValueId, ValueId, ValueId, ValueId]
  const timeFirst = stringOf(a, 'layout') === 'timeFirst'
  const swap = (v: ValueId): ValueId => (timeFirst ? v : e.op('transpose', [v], { permutation: [1, 0, 2] }))
  const x = swap(data)
  const shape = e.shape(x)
  const hidden = e.shape(recurrent)?.[1]
  if (!shape || hidden === undefined) throw open('tfliteLstm')
  const [time, batch, depth] = shape as [number, number, number]
  const size = 4 * hidden
  const reshape = (v: ValueId, to: readonly number[]): ValueId => e.op('reshape', [v, e.list('int64', to)])
  const matrix = (v: ValueId, columns: number): ValueId => {
    const c = b.constantOf(v)
    const flat = c
      ? b.constant({ ...c, shape: [size, columns] } as Tensor, `${b.nameOf(v)}:flat`)
      : reshape(v, [size, columns])
    return e.turned(flat)
  }
  const part = (v: ValueId, axis: number, from: number, to: number): ValueId =>
    e.op('slice', [v, e.list('int64', [from]), e.list('int64', [to]), e.list('int64', [axis])])
  const short = (v: ValueId): ValueId => e.op('clamp', [v], { low: -32768, high: 32767 })
  const perGate = <T>(ms: readonly T[]): T[] => ms.flatMap((m) => new Array<T>(hidden).fill(m))
  const table = (of: number | 'logistic'): ValueId =>
    b.constant(tensor('int32', [65536], Int32Array.from(lstmTable(of))), `${node.name}:table`)
  const [logistic, tanh, cellTanh] = [table('logistic'), table(3), table(p.cellBits)]
  const at = (of: ValueId, v: ValueId): ValueId => e.op('gather', [of, e.with('add', v, 32768)], { axis: 0 })

  const rows = reshape(x, [time * batch, depth])
  const sums = e.op('matMulInteger', [
    rows,
    matrix(weights, depth),
    e.zeroPoint(x, numberOf(a, 'inputZero')),
    null,
  ])
  const biased = e.op('add', [sums, reshape(bias, [size])])
  const projected = short(e.scaled(biased, perGate(p.input), 'double'))
  const back = matrix(recurrent, hidden)
  const stateZero = numberOf(a, 'stateZero')
  const start = (dtype: 'int8' | 'int32', value: number): ValueId =>
    e.list(dtype, new Array<number>(sizeOf([batch, hidden])).fill(value), [batch, hidden])
  let state = start('int8', stateZero)
  let cell = start('int32', 0)
  const made: ValueId[] = []
  for (let t = 0; t < time; t++) {
    const now = part(projected, 0, t * batch, (t + 1) * batch)
    const products = e.op('matMulInteger', [state, back, e.zeroPoint(state, stateZero), null])
    const all = short(e.op('add', [e.scaled(products, perGate(p.recurrent), 'double'), now]))
    const gate = (g: number): ValueId => part(all, 1, g * hidden, (g + 1) * hidden)
    const kept = e.with('roundShift', e.op('mul', [at(logistic, gate(1)), cell]), 15)
    const fresh = e.with('roundShift', e.op('mul', [at(logistic, gate(0)), at(tanh, gate(2))]), p.cellShift)
    cell = e.op('add', [kept, fresh])
    cell = p.clip > 0 ? e.op('clamp', [cell], { low: -p.clip, high: p.clip }) : short(cell)
    const y = e.scaled(e.op('mul', [at(logistic, gate(3)), at(cellTanh, cell)]), [p.hidden], 'double')
    state = e.finished(y, numberOf(a, 'hiddenZero'), [-128, 127], 'int8')
    made.push(e.op('unsqueeze', [state], { axes: [0] }))
  }
  return [swap(made.length === 1 ? made[0]! : e.op('concat', made, { axis: 0 }))]
}
