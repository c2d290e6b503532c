// Quantisation as elementwise arithmetic in the operand's own precision, so that it fuses with what stands around it.

import { type DType, rangeOf } from '../../core/dtype.ts'
import { at, numbers, sizeOf } from '../../core/tensor.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter } from './fixed-point.ts'
import { reshaped } from './normalize.ts'

/** Scales or zero points shaped to broadcast against x: one for all, one an entry of axis, or one a block of it. */
function spread(e: Emitter, v: ValueId, x: ValueId, a: Attributes): ValueId {
  const own = e.shape(v)!
  if (sizeOf(own) === 1) return own.length > 0 ? reshaped(e, v, []) : v
  const shape = e.shape(x)!
  const axis = Number(a.axis) < 0 ? Number(a.axis) + shape.length : Number(a.axis)
  const block = Number(a.block)
  if (!block)
    return reshaped(
      e,
      v,
      shape.map((n, d) => (d === axis ? n : 1)),
    )
  // Every entry of the axis block times over; the last block may be cut.
  const many = own[axis]!
  const apart = [...own.slice(0, axis + 1), 1, ...own.slice(axis + 1)]
  const wide = [...own.slice(0, axis + 1), block, ...own.slice(axis + 1)]
  const all = e.op('expand', [reshaped(e, v, apart), e.list('int64', wide)])
  const joined = reshaped(
    e,
    all,
    own.map((n, d) => (d === axis ? many * block : n)),
  )
  if (many * block === shape[axis]) return joined
  const ends = [e.list('int64', [0]), e.list('int64', [shape[axis]!]), e.list('int64', [axis])]
  return e.op('slice', [joined, ...ends])
}

/** Whether a zero point is 0 for certain. */
function isZero(e: Emitter, zero: ValueId): boolean {
  const t = e.b.constantOf(zero)
  return t !== undefined && numbers(t).every((v) => v === 0)
}

/** The nearest whole number within limits. They are whole: what is limited first needs no more than one conversion, which rounds. */
const nearest = (e: Emitter, x: ValueId, low: number, high: number): ValueId =>
  e.cast(e.op('round', [e.op('clamp', [x], { low, high })]), 'int32')

/** saturate(round(sums · multiplier) + zero). */
export function requantized(
  e: Emitter,
  sums: ValueId,
  multiplier: ValueId,
  zero: ValueId,
  to: DType,
): ValueId {
  const real = e.op('mul', [e.cast(sums, 'float32'), multiplier])
  const [low, high] = rangeOf(to).map(Number) as [number, number]
  const z = e.b.constantOf(zero)
  if (z?.data.length === 1) {
    const q = nearest(e, real, low - at(z, 0), high - at(z, 0))
    return e.cast(isZero(e, zero) ? q : e.op('add', [q, e.cast(zero, 'int32')]), to)
  }
  const scaled = e.op('round', [real])
  const moved = e.op('add', [scaled, e.cast(zero, 'float32')])
  return e.cast(e.op('clamp', [moved], { low, high }), to)
}

function quantized(e: Emitter, x: ValueId, scale: ValueId, zero: ValueId | null, to: DType): ValueId {
  const real = e.dtype(x) === 'float64' ? 'float64' : 'float32'
  const scaled = e.op('div', [e.cast(x, real), e.cast(scale, real)])
  const [low, high] = rangeOf(to).map(Number) as [number, number]
  // Where a zero point is added, NaN still gives 0: what follows in this order.
  if (zero === null || isZero(e, zero)) return e.cast(nearest(e, scaled, low, high), to)
  const q = e.op('round', [scaled])
  const moved = e.op('add', [q, e.cast(zero, real)])
  return e.cast(e.op('clamp', [moved], { low, high }), to)
}

const quantizeLinear: Decomposition = (b, [x, scale, zero], node) => {
  const e = new Emitter(b, node.name)
  const t = node.types[0]!
  const to = t.kind === 'tensor' ? t.dtype : 'uint8'
  const z = zero == null ? null : spread(e, zero, x!, node.attributes)
  return [quantized(e, x!, spread(e, scale!, x!, node.attributes), z, to)]
}

const dequantizeLinear: Decomposition = (b, [x, scale, zero], node) => {
  const e = new Emitter(b, node.name)
  const s = spread(e, scale!, x!, node.attributes)
  const q = e.cast(x!, 'int32')
  const none = zero == null || isZero(e, zero)
  const centred = none ? q : e.op('sub', [q, e.cast(spread(e, zero, x!, node.attributes), 'int32')])
  return [e.op('mul', [e.cast(centred, e.dtype(s)), s])]
}

const dynamicQuantizeLinear: Decomposition = (b, [x], node) => {
  const e = new Emitter(b, node.name)
  const low = e.with('min', e.op('reduceMin', [x!, null], { keepDims: false }), 0)
  const high = e.with('max', e.op('reduceMax', [x!, null], { keepDims: false }), 0)
  const scale = e.with('div', e.op('sub', [high, low]), 255)
  const none = e.with('equal', scale, 0)
  const safe = e.op('where', [none, e.scalar('float32', 1), scale])
  const zero = e.op('round', [
    e.op('clamp', [e.op('div', [e.op('neg', [low]), safe])], { low: 0, high: 255 }),
  ])
  const z = e.cast(zero, 'uint8')
  return [quantized(e, x!, safe, z, 'uint8'), scale, z]
}

export const quantizeDecompositions: Decompositions = {
  quantizeLinear,
  dequantizeLinear,
  dynamicQuantizeLinear,
}
