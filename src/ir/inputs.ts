// Whether inputs fit a graph. Apart from the evaluator: what runs compiled code needs this and no operator.

import { InputError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import { type Datum, type Graph, isTensor, printType, typeOf } from './types.ts'

/** Throws an InputError unless the inputs fit the graph's input types. */
export function checkInputs(graph: Graph, inputs: readonly Datum[]): void {
  if (inputs.length !== graph.inputs.length) {
    const names = graph.inputs.map((v) => `${graph.values[v]!.name}: ${printType(graph.values[v]!.type)}`)
    throw new InputError(
      `${graph.name}: expected ${graph.inputs.length} inputs (${names.join(', ')}), got ${inputs.length}`,
    )
  }
  graph.inputs.forEach((v, i) => {
    const value = graph.values[v]!
    const d = inputs[i]!
    if (value.type.kind !== 'tensor' || !isTensor(d)) return
    const fits = fitsType(d, value.type.dtype, value.type.shape)
    if (!fits)
      throw new InputError(
        `input ${value.name}: expected ${printType(value.type)}, got ${printType(typeOf(d))}`,
      )
  })
}

/** Throws an InputError unless `into` are tensors of the graph's outputs' types, in memory of their own. */
export function checkOutputs(graph: Graph, into: readonly Tensor[], inputs: readonly Datum[]): void {
  if (into.length !== graph.outputs.length)
    throw new InputError(`${graph.name}: expected ${graph.outputs.length} outputs, got ${into.length}`)
  const taken = inputs.filter(isTensor)
  graph.outputs.forEach((v, i) => {
    const { name, type } = graph.values[v]!
    const to = into[i]!
    if (type.kind === 'tensor' && !fitsType(to, type.dtype, type.shape))
      throw new InputError(`output ${name}: expected ${printType(type)}, got ${printType(typeOf(to))}`)
    if (taken.some((t) => overlap(t, to)))
      throw new InputError(
        `output ${name}: expected memory of its own, got what an input or another output lies in`,
      )
    taken.push(to)
  })
}

/** Whether two tensors have bytes in common. */
function overlap({ data: a }: Tensor, { data: b }: Tensor): boolean {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b)) return a === b
  return (
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength
  )
}

function fitsType(t: Tensor, dtype: string, shape: readonly (number | string | null)[] | null): boolean {
  return (
    t.dtype === dtype &&
    (shape === null ||
      (shape.length === t.shape.length && shape.every((d, i) => typeof d !== 'number' || d === t.shape[i])))
  )
}
