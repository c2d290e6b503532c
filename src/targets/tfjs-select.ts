// Selections whose positions are worked out from index tensors here, and whose elements TensorFlow.js gathers and scatters.

import { sizeOf, stridesOf } from '../core/tensor.ts'
import type { OpName } from '../ir/ops/index.ts'
import { axisOf, flag, gap, type Kernel, type KernelCall, num, type Row, type T } from './tfjs-kernel.ts'

/** Elements of the flattened tensor at positions, in a shape. */
function gatherFlat(x: KernelCall, t: T, positions: Int32Array, shape: readonly number[]): T {
  const { tf } = x
  return tf.reshape(tf.gather(tf.reshape(t, [-1]), tf.tensor1d(positions, 'int32')), [...shape])
}

/** For each index tuple of `shape`: the flat position in `of` with the entry of `axis` replaced by the index. */
function positionsAlong(
  indices: readonly number[],
  shape: readonly number[],
  of: readonly number[],
  axis: number,
): Int32Array {
  const [from, to] = [stridesOf(shape), stridesOf(of)]
  return Int32Array.from(indices, (given, i) => {
    const index = given < 0 ? given + of[axis]! : given
    let at = 0
    for (let d = 0; d < shape.length; d++)
      at += (d === axis ? index : Math.floor(i / from[d]!) % shape[d]!) * to[d]!
    return at
  })
}

const gatherElements: Kernel = (x) => {
  const t = x.in(0)
  const { shape } = x.in(1)
  return gatherFlat(x, t, positionsAlong(x.ints(1), shape, t.shape, axisOf(num(x, 'axis'), t.rank)), shape)
}

const scatterElements: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const positions = positionsAlong(x.ints(1), x.in(1).shape, t.shape, axisOf(num(x, 'axis'), t.rank))
  const flat = tf.tensorScatterUpdate(
    tf.reshape(t, [-1]),
    tf.tensor2d(positions, [positions.length, 1], 'int32'),
    tf.reshape(x.in(2), [-1]),
  )
  return tf.reshape(flat, t.shape)
}

const reverseSequence: Kernel = (x) => {
  const t = x.in(0)
  const lengths = x.ints(1)
  const [batch, time] = [axisOf(num(x, 'batchAxis'), t.rank), axisOf(num(x, 'timeAxis'), t.rank)]
  const strides = stridesOf(t.shape)
  const positions = Int32Array.from({ length: sizeOf(t.shape) }, (_, i) => {
    const b = Math.floor(i / strides[batch]!) % t.shape[batch]!
    const k = Math.floor(i / strides[time]!) % t.shape[time]!
    return k < lengths[b]! ? i + (lengths[b]! - 1 - 2 * k) * strides[time]! : i
  })
  return gatherFlat(x, t, positions, t.shape)
}

const nonZero: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const rows = tf.kernel_impls.whereImpl(t.shape, t.dataSync() as Uint8Array)
  return tf.transpose(rows)
}

const compress: Kernel = (x) => {
  const { tf } = x
  const axis = x.a.axis as number | undefined
  const t = axis === undefined ? tf.reshape(x.in(0), [-1]) : x.in(0)
  const kept = x.ints(1).flatMap((c, i) => (c ? [i] : []))
  return tf.gather(t, tf.tensor1d(kept, 'int32'), axis === undefined ? 0 : axisOf(axis, t.rank))
}

const trilu: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const k = x.has(1) ? x.ints(1)[0]! : 0
  const [rows, columns] = t.shape.slice(-2) as [number, number]
  const upper = flag(x, 'upper')
  const mask = Uint8Array.from({ length: rows * columns }, (_, i) => {
    const beyond = (i % columns) - Math.floor(i / columns) - k
    return Number(upper ? beyond >= 0 : beyond <= 0)
  })
  const keeps = tf.broadcastTo(tf.tensor(mask, [rows, columns], 'bool'), t.shape)
  return tf.where(keeps, t, tf.zerosLike(t))
}

/** Class by class, as TensorFlow.js selects among boxes of one. */
const nonMaxSuppression: Kernel = (x) => {
  const { tf } = x
  const [boxes, scores] = [x.in(0), x.in(1)]
  const [batches, classes] = scores.shape as [number, number]
  const limit = (i: number, absent: number): number => (x.has(i) ? (x.in(i).dataSync()[0] as number) : absent)
  const most = limit(2, 0)
  const rows: number[] = []
  for (let b = 0; b < batches; b++) {
    const of = tf.squeeze(tf.slice(boxes, [b, 0, 0], [1, -1, -1]), [0])
    for (let c = 0; c < classes && most > 0; c++) {
      const each = tf.reshape(tf.slice(scores, [b, c, 0], [1, 1, -1]), [-1])
      const selected = tf.image.nonMaxSuppression(
        of as never,
        each as never,
        most,
        limit(3, 0),
        limit(4, -Infinity),
      )
      for (const i of selected.dataSync()) rows.push(b, c, i)
    }
  }
  return tf.tensor2d(rows, [rows.length / 3, 3], 'int32')
}

export const selectRows = {
  gatherElements,
  scatterElements,
  reverseSequence,
  nonZero,
  compress,
  unique: gap('not spelled in TensorFlow.js yet'),
  trilu,
  eyeLike: gap('not spelled in TensorFlow.js yet'),
} satisfies Partial<Record<OpName, Row>>
export const nonMaxRow: Row = nonMaxSuppression
