// TFLite_Detection_PostProcess: boxes from their encodings against anchors, and non-maximum suppression, as the runtime's custom
// operator does (LiteRT, tflite/kernels/detection_postprocess.cc). Rows beyond the detections are zeros.

import type { ValueId } from '../../../ir/types.ts'
import { flexBufferNumbers } from '../flexbuffer.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'

/** An input as real numbers. */
function real(x: Operation, i: number): ValueId {
  const t = x.tensor(i)
  if (t.dtype === 'float32') return x.input(i)
  if (!t.quantization) throw new NotSupported(`${x.op} of ${t.dtype}`)
  return x.node('tfliteDequantize', [x.input(i)], {
    scales: t.quantization.scale,
    zeros: t.quantization.zeroPoint,
  })
}

/** Column k of the last axis. */
const column = (x: Operation, v: ValueId, k: number): ValueId =>
  x.node('slice', [v, x.int64s(k), x.int64s(k + 1), x.int64s(-1)])

/** Corners [1, N, (y1, x1, y2, x2)] of boxes encoded as (y, x, h, w) against anchors. Computed in float64, rounded as there. */
function decoded(x: Operation, scales: readonly number[]): ValueId {
  const wide = (v: ValueId): ValueId => x.node('cast', [v], { to: 'float64' })
  const boxes = wide(real(x, 0))
  const anchors = wide(real(x, 2))
  const k = (v: number): ValueId => x.scalar('float64', v)
  const single = (v: ValueId): ValueId => x.node('cast', [v], { to: 'float32' })
  const centre = (i: number): ValueId => {
    const offset = x.node('mul', [
      x.node('div', [column(x, boxes, i), k(scales[i]!)]),
      column(x, anchors, i + 2),
    ])
    return single(x.node('add', [offset, column(x, anchors, i)]))
  }
  const half = (i: number): ValueId => {
    const size = x.node('exp', [x.node('div', [column(x, boxes, i), k(scales[i]!)])])
    return single(x.node('mul', [x.node('mul', [size, k(0.5)]), column(x, anchors, i)]))
  }
  const [y, xx, h, w] = [centre(0), centre(1), half(2), half(3)]
  const corners = [
    x.node('sub', [y, h]),
    x.node('sub', [xx, w]),
    x.node('add', [y, h]),
    x.node('add', [xx, w]),
  ]
  return x.node('concat', corners, { axis: -1 })
}

export const detectionPostProcess: Row = (x) => {
  if (!x.custom) return x.fail('options are missing')
  const o = flexBufferNumbers(x.custom, x.at)
  const number = (name: string, otherwise?: number): number =>
    o.get(name) ?? otherwise ?? x.fail(`options, ${name} is missing`)
  const most = number('max_detections')
  const classes = number('num_classes')
  const perBox = Math.min(number('max_classes_per_detection'), classes)
  const regular = number('use_regular_nms', 0) !== 0
  if (!(most > 0 && most < 2 ** 20 && classes > 0))
    x.fail(`options, ${most} detections of ${classes} classes`)
  if (perBox !== 1 && !regular) throw new NotSupported(`${x.op} with ${perBox} classes for each detection`)
  const scales = ['y_scale', 'x_scale', 'h_scale', 'w_scale'].map((name) => number(name))

  const corners = decoded(x, scales)
  const all = real(x, 1)
  const columns = x.dim(1, -1)
  if (typeof columns !== 'number' || columns < classes) x.fail(`${columns} scores for ${classes} classes`)
  // The first columns are the background.
  const scores = x.node('slice', [
    all,
    x.int64s((columns as number) - classes),
    x.int64s(columns as number),
    x.int64s(-1),
  ])
  const best = x.node('reduceMax', [scores, x.int64s(-1)], { keepDims: true })
  const kind = x.node('argMax', [scores], { axis: -1, keepDims: false })
  const judged = x.node('transpose', [regular ? scores : best], { permutation: [0, 2, 1] })
  const limit = regular ? Math.min(number('detections_per_class', 100), most) : most
  // The graph's operator keeps what is above the threshold, the runtime also what is at it: a threshold a little lower.
  const threshold = below(number('nms_score_threshold'))
  const chosen = x.node('nonMaxSuppression', [
    corners,
    judged,
    x.int64s(limit),
    x.scalar('float32', number('nms_iou_threshold')),
    x.scalar('float32', threshold),
  ])
  const pick = (k: number): ValueId => x.node('gather', [chosen, x.scalar('int64', k)], { axis: 1 })
  let [box, label] = [pick(2), pick(1)]
  const flatScores = x.node('reshape', [regular ? scores : best, x.int64s(-1)])
  const place = regular ? x.node('add', [x.node('mul', [box, x.scalar('int64', classes)]), label]) : box
  let score = x.node('gather', [flatScores, place], { axis: 0 })
  if (regular) {
    // The best of all classes.
    const count = x.node('min', [x.node('shape', [score]), x.int64s(most)])
    const [sorted, order] = x.nodes('topK', [score, count], { axis: 0 }, 2)
    score = sorted!
    box = x.node('gather', [box, order!], { axis: 0 })
    label = x.node('gather', [label, order!], { axis: 0 })
  } else label = x.node('gather', [x.node('reshape', [kind, x.int64s(-1)]), box], { axis: 0 })
  const flatBoxes = x.node('reshape', [corners, x.int64s(-1, 4)])
  const count = x.node('shape', [score])
  const rest = x.node('sub', [x.int64s(most), count])
  const filled = (v: ValueId, shape: readonly number[]): ValueId => {
    const zeros = x.int64s(...new Array<number>(shape.length - 2).fill(0))
    const begin = x.int64s(...new Array<number>(shape.length - 1).fill(0))
    const pads = x.node('concat', shape.length > 2 ? [begin, rest, zeros] : [begin, rest], { axis: 0 })
    return x.node('reshape', [x.node('pad', [v, pads]), x.int64s(...shape)])
  }
  x.is(filled(x.node('gather', [flatBoxes, box], { axis: 0 }), [1, most, 4]), 0)
  x.is(filled(x.node('cast', [label], { to: 'float32' }), [1, most]), 1)
  x.is(filled(score, [1, most]), 2)
  x.is(x.node('cast', [count], { to: 'float32' }), 3)
}

/** The next float32 below. */
function below(v: number): number {
  const f = Float32Array.of(v)
  const bits = new Int32Array(f.buffer)
  if (f[0] === 0) return -(2 ** -149)
  bits[0]! += v > 0 ? -1 : 1
  return f[0]!
}

/**
 * NON_MAX_SUPPRESSION_V4 and V5: indices of the boxes that stay, best first, filled up with zeros; (V5) their scores; how many.
 * Here a box goes where its overlap reaches the threshold, in the graph's operator where it exceeds it: a threshold a little lower.
 */
const suppression: Row = (x) => {
  const soft = x.op === 'NON_MAX_SUPPRESSION_V5'
  if (soft && (x.constant(5)?.data[0] ?? 1) !== 0) throw new NotSupported(`${x.op} with softened scores`)
  const most = x.integer(2, 'number of boxes')
  const threshold = x.constant(3)
  if (!threshold) throw new NotSupported(`${x.op} with a computed threshold`)
  if (!(most >= 0 && most < 2 ** 24)) x.fail(`${most} boxes`)
  const chosen = x.node('nonMaxSuppression', [
    x.node('unsqueeze', [x.input(0)], { axes: [0] }),
    x.node('unsqueeze', [x.input(1)], { axes: [0, 1] }),
    x.int64s(most),
    x.scalar('float32', below(Number(threshold.data[0]))),
    x.input(4),
  ])
  const box = x.node('gather', [chosen, x.scalar('int64', 2)], { axis: 1 })
  const count = x.node('shape', [box])
  const pads = x.node('concat', [x.int64s(0), x.node('sub', [x.int64s(most), count])], { axis: 0 })
  const filled = (v: ValueId): ValueId => x.node('reshape', [x.node('pad', [v, pads]), x.int64s(most)])
  x.resultAt(0, 'cast', [filled(box)], { to: 'int32' })
  if (soft) x.is(filled(x.node('gather', [x.input(1), box], { axis: 0 })), 1)
  const scalar = x.node('reshape', [count, x.int64s()])
  x.resultAt(soft ? 2 : 1, 'cast', [scalar], { to: 'int32' })
}

export const suppressionRows: Readonly<Record<string, Row>> = {
  NON_MAX_SUPPRESSION_V4: suppression,
  NON_MAX_SUPPRESSION_V5: suppression,
}
