// Exact products of 8-bit integers as products of int32: for targets without 8-bit kernels.

import type { ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter } from './fixed-point.ts'

/** v − zero in int32; the zero point may be one for each index of `axis`. */
function centred(e: Emitter, v: ValueId, zero: ValueId | null, axis: number): ValueId {
  if (zero === null) return e.centred(v, 0, 'int32')
  const constant = e.b.constantOf(zero)
  if (constant?.data.length === 1) return e.centred(v, Number(constant.data[0]), 'int32')
  let z = e.cast(zero, 'int32')
  const rank = e.rank(v) ?? 0
  if (e.rank(zero) === 1 && e.shape(zero)?.[0] !== 1) {
    const after = rank - 1 - axis
    if (after > 0) z = e.op('unsqueeze', [z], { axes: Array.from({ length: after }, (_, i) => i + 1) })
  }
  return e.op('sub', [e.cast(v, 'int32'), z])
}

const conv =
  (op: string): Decomposition =>
  (b, inputs, node) => {
    const e = new Emitter(b, node.name)
    const [x, w] = inputs as [ValueId, ValueId]
    const inner = [centred(e, x, inputs[2] ?? null, 0), centred(e, w, inputs[3] ?? null, 0)]
    return [e.op(op, inner, node.attributes)]
  }

const matMul: Decomposition = (b, inputs, node) => {
  const e = new Emitter(b, node.name)
  const [x, y] = inputs as [ValueId, ValueId]
  const rank = e.rank(x) ?? 2
  return [
    e.op('matMul', [
      centred(e, x, inputs[2] ?? null, rank - 2),
      centred(e, y, inputs[3] ?? null, (e.rank(y) ?? 2) - 1),
    ]),
  ]
}

export const integerProductDecompositions: Decompositions = {
  convInteger1d: conv('conv1d'),
  convInteger2d: conv('conv2d'),
  convInteger3d: conv('conv3d'),
  matMulInteger: matMul,
}
