// TensorFlow Lite's integer softmax and L2 normalisation as plain integer operators: exponentials from tables, reciprocals and
// square roots by Newton's method, each row with its own shifts.

import { tensorOf } from '../../core/tensor.ts'
import { numberOf } from '../../ir/op.ts'
import {
  expOfNegative,
  highMul,
  int32Max,
  multiplierOf,
  scaled,
  shiftRight,
} from '../../ir/ops/tflite-fixed.ts'
import { limitsOf } from '../../ir/ops/tflite-quantization.ts'
import { lookup } from '../../ir/ops/tflite-unary.ts'
import { softmaxScale, softmaxTables } from '../../ir/ops/tflite-window.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Emitter } from './fixed-point.ts'

/** Leading zero bits of positive int32 values that reach `from` bits at least. */
function headroom(e: Emitter, x: ValueId, from: number): ValueId {
  // 32 − the number of bits: one for every power of two that x doesn't reach.
  const powers = Array.from({ length: 31 - from }, (_, i) => 2 ** (from + i))
  let count = e.scalar('int32', 1)
  for (const p of powers) count = e.op('add', [count, e.cast(e.with('less', x, p), 'int32')])
  return count
}

/** q · 2^n, saturating. */
function shiftedLeft(e: Emitter, q: ValueId, n: number): ValueId {
  const limit = 2 ** (31 - n)
  const inside = e.op('clamp', [q], { low: -limit, high: limit - 1 })
  const far = e.op('shiftLeft', [inside, e.scalar('int32', n)])
  return e.op('where', [e.with('greaterEqual', q, limit), e.scalar('int32', int32Max), far])
}

export function tfliteSoftmax(e: Emitter, x: ValueId, a: Attributes): ValueId {
  const dtype = e.dtype(x)
  const v = e.cast(x, 'int32')
  const last = e.list('int64', [-1])
  const max = e.op('reduceMax', [v, last], { keepDims: true })
  // How far below the largest: 0 … 255 or 0 … 65535, an index.
  const below = e.op('sub', [max, v])
  const sum = (y: ValueId): ValueId => e.op('reduceSum', [y, last], { keepDims: true })
  if (dtype === 'int16') {
    const m = multiplierOf(Math.fround(numberOf(a, 'inputScale') * numberOf(a, 'beta')) / (10 / 65535))
    const tables = softmaxTables()
    const clamp16 = (q: number): number => Math.min(32767, Math.max(-32768, q))
    const exps = Int32Array.from({ length: 65536 }, (_, d) =>
      lookup(tables.exp, clamp16(scaled(-d, m) + 32767)),
    )
    const es = e.lookedUp(tensorOf('int32', [65536], exps), below)
    const total = sum(es)
    const room = headroom(e, total, 14)
    const shifted = e.op('shiftLeft', [e.cast(total, 'int64'), e.cast(e.with('sub', room, 1), 'int64')])
    const place = e.with('sub', e.with('shiftRight', e.with('add', shifted, 8192), 14), 98304)
    const index = e.with('add', e.cast(e.op('clamp', [place], { low: -32768, high: 32767 }), 'int32'), 32768)
    const inverses = Int32Array.from({ length: 65536 }, (_, i) => lookup(tables.reciprocal, i - 32768))
    const scale = e.lookedUp(tensorOf('int32', [65536], inverses), index)
    const right = e.op('sub', [e.scalar('int32', 31), room])
    const half = e.op('shiftLeft', [e.scalar('int32', 1), e.with('sub', right, 1)])
    const y = e.op('shiftRight', [e.op('add', [e.op('mul', [es, scale]), half]), right])
    return e.finished(y, 0, [0, 32767], dtype)
  }
  const s = softmaxScale(a)
  const exponential = (d: number): number =>
    expOfNegative(highMul(-d << s.multiplier.shift, s.multiplier.multiplier))
  const reached = (d: number): boolean => -d >= s.least
  const exps = Int32Array.from({ length: 256 }, (_, d) => (reached(d) ? exponential(d) : 0))
  const es = e.lookedUp(tensorOf('int32', [256], exps), below)
  const narrow = exps.map((q) => shiftRight(q, 12))
  const total = sum(e.lookedUp(tensorOf('int32', [256], narrow), below))
  // The largest element alone makes 2^19.
  const room = headroom(e, total, 19)
  const fraction = e.with('bitAnd', e.op('shiftLeft', [total, room]), 0x7fffffff)
  // Newton's method for 1 / (1 + fraction), as in the operator.
  const half = e.with('add', e.with('shiftRight', fraction, 1), 2 ** 30)
  let y = e.with('add', e.with('mulHigh', half, -1010580540), 1515870810)
  for (let i = 0; i < 3; i++) {
    const error = e.op('sub', [e.scalar('int32', 1 << 29), e.op('mulHigh', [half, y])])
    y = e.op('add', [y, shiftedLeft(e, e.op('mulHigh', [y, error]), 2)])
  }
  const scale = shiftedLeft(e, y, 1)
  const [low, high] = limitsOf(dtype)
  // The bits over one, and those that the output leaves out: 12 − room + 31 − 8.
  const right = e.op('sub', [e.scalar('int32', 12 + 31 - 8), room])
  const scaledUp = e.op('roundShift', [e.op('mulHigh', [scale, es]), right])
  return e.finished(scaledUp, low, [low, high], dtype)
}

/** Each row by the reciprocal root of its sum of squares, seven bits below the point. */
export function tfliteL2Normalization(e: Emitter, x: ValueId, a: Attributes): ValueId {
  const dtype = e.dtype(x)
  const v = e.centred(x, numberOf(a, 'inputZero'), 'int32')
  const sum = e.op('reduceSum', [e.op('mul', [v, v]), e.list('int64', [-1])], { keepDims: true })
  // The sum in [2^27, 2^29): shifted by pairs of bits, one pair back where it is larger.
  const pairs = e.with('sub', e.with('shiftRight', e.with('sub', headroom(e, sum, 1), 1), 1), 1)
  const up = e.op('shiftLeft', [sum, e.with('shiftLeft', e.with('max', pairs, 0), 1)])
  const placed = e.op('where', [e.with('less', pairs, 0), e.with('shiftRight', sum, 2), up])
  const half = e.with('roundShift', e.with('shiftRight', placed, 1), 1)
  let y = e.scalar('int32', 1 << 28)
  for (let i = 0; i < 5; i++) {
    const cube = shiftedLeft(e, e.op('mulHigh', [e.op('mulHigh', [y, y]), y]), 6)
    const next = e.op('sub', [e.with('mulHigh', y, (1 << 28) + (1 << 27)), e.op('mulHigh', [half, cube])])
    y = shiftedLeft(e, next, 3)
  }
  y = e.with('mulHigh', y, 1518500250)
  const right = e.op('sub', [e.scalar('int32', 11), pairs])
  y = e.op('shiftLeft', [y, e.with('max', e.op('neg', [right]), 0)])
  // A sum of 0 or 1 has no iteration.
  const small = e.with('lessEqual', sum, 1)
  const multiplier = e.op('where', [small, e.scalar('int32', int32Max), y])
  const down = e.op('where', [small, e.scalar('int32', 0), e.with('max', right, 0)])
  const left = e.with('max', e.op('sub', [e.scalar('int32', 7), down]), 0)
  const scaledUp = e.op('mulHigh', [e.op('shiftLeft', [v, left]), multiplier])
  const q = e.op('roundShift', [scaledUp, e.with('max', e.with('sub', down, 7), 0)])
  return e.finished(q, dtype === 'uint8' ? 128 : 0, limitsOf(dtype), dtype)
}
