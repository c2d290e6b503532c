// Reductions, normalisation and losses of ONNX.

import type { DType } from '../../../core/dtype.ts'
import type { ValueId } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'

/** Axes were an attribute before opset 18 (13 for ReduceSum). */
const reduction =
  (op: string, since = 18): Row =>
  (c) => {
    const old = c.opset < since ? c.ints('axes') : undefined
    const known = old ?? (c.opset < since ? undefined : c.constantInts(1))
    const rank = c.shape(0)?.length
    // From the front wherever the rank is known: axes from the end say global pooling to the writer.
    const front = known?.some((a) => a < 0) && rank ? known.map((a) => c.axis(a, rank)) : old
    const axes = front ? c.int64(front, 'axes') : c.opset < since ? null : c.get(1)
    return c.out(op, [c.in(0), axes], {
      keepDims: c.flag('keepdims', true),
      noopWithEmptyAxes: c.flag('noop_with_empty_axes'),
    })
  }

const argExtreme =
  (op: string): Row =>
  (c) =>
    c.out(op, [c.in(0)], {
      axis: c.int('axis', 0),
      keepDims: c.flag('keepdims', true),
      selectLast: c.flag('select_last_index'),
    })

/** Before opset 13 softmax ran over all dimensions from axis on at once. */
const softmax =
  (op: string): Row =>
  (c) => {
    if (c.opset >= 13) return c.out(op, [c.in(0)], { axis: c.int('axis', -1) })
    const rank = c.rank(0)
    const axis = c.axis(c.int('axis', 1), Math.max(rank, 1))
    if (axis === rank - 1) return c.out(op, [c.in(0)], { axis: -1 })
    const flat = c.mid('flatten', [c.in(0)], { axis })
    return c.out('reshape', [c.mid(op, [flat], { axis: 1 }), c.mid('shape', [c.in(0)])], { allowZero: true })
  }

/** [C] seen as [C, 1, …] so that it broadcasts over the pixels. */
function perChannel(c: Call, id: ValueId, rank: number): ValueId {
  return rank > 2 ? c.mid('unsqueeze', [id], { axes: Array.from({ length: rank - 2 }, (_, i) => i + 1) }) : id
}

const batchNormalization: Row = (c) => {
  const epsilon = c.float('epsilon', 1e-5)
  if (c.int('spatial', 1) === 0) throw new NotSupported('BatchNormalization with spatial = 0')
  const training = c.opset >= 14 ? c.flag('training_mode') : c.opset < 7 && !c.flag('is_test')
  // Before opset 7 is_test distinguished the modes, but exported networks are for inference.
  if (!training || c.opset < 7) {
    const { dtype } = c.type(0)
    const rest = [1, 2, 3, 4].map((i) => c.in(i))
    return c.outs(1, 'batchNorm', [c.in(0), ...rest.map((id) => c.cast(id, dtype))], { epsilon })
  }
  // In training: normalised by the batch's own moments, which also move the running ones.
  const rank = c.rank(0)
  const axes = c.int64([0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2)], 'axes')
  const mean = c.mid('reduceMean', [c.in(0), axes], { keepDims: false })
  const centred = c.mid('sub', [c.in(0), perChannel(c, mean, rank)])
  const variance = c.mid('reduceMean', [c.mid('square', [centred]), axes], { keepDims: false })
  const y = c.outs(1, 'batchNorm', [c.in(0), c.in(1), c.in(2), mean, variance], { epsilon })
  const momentum = c.float('momentum', 0.9)
  const moved = (running: ValueId, batch: ValueId): ValueId => {
    const { dtype } = c.typeOf(running)
    const kept = c.mid('mul', [running, c.scalar(dtype, momentum)])
    return c.mid('add', [kept, c.mid('mul', [c.cast(batch, dtype), c.scalar(dtype, 1 - momentum)])])
  }
  return [...y, moved(c.in(3), mean), moved(c.in(4), variance)].slice(0, c.outputCount)
}

const layerNormalization: Row = (c) =>
  c.out('layerNorm', c.inputs, {
    axis: c.int('axis', -1),
    epsilon: c.float('epsilon', 1e-5),
    stash: c.dtype('stash_type', 'float32') as DType,
  })

const meanVarianceNormalization: Row = (c) => {
  const axes = c.int64(c.ints('axes') ?? [0, 2, 3], 'axes')
  const mean = c.mid('reduceMean', [c.in(0), axes])
  const centred = c.mid('sub', [c.in(0), mean])
  const variance = c.mid('reduceMean', [c.mid('square', [centred]), axes])
  const deviation = c.mid('sqrt', [variance])
  const { dtype } = c.type(0)
  // The function body of ONNX keeps the divisor from 0.
  return c.out('div', [centred, c.mid('add', [deviation, c.scalar(dtype, 1e-9)])])
}

const loss =
  (op: string): Row =>
  (c) =>
    c.out(op, c.inputs, {
      reduction: c.string('reduction', 'mean'),
      ...(c.has('ignore_index') && { ignore: c.int('ignore_index') }),
    })

export const reduce: Record<string, Row> = {
  ReduceSum: reduction('reduceSum', 13),
  ReduceMean: reduction('reduceMean'),
  ReduceMax: reduction('reduceMax'),
  ReduceMin: reduction('reduceMin'),
  ReduceProd: reduction('reduceProd'),
  ReduceL1: reduction('reduceL1'),
  ReduceL2: reduction('reduceL2'),
  ReduceSumSquare: reduction('reduceSumSquare'),
  ReduceLogSum: reduction('reduceLogSum'),
  ReduceLogSumExp: reduction('reduceLogSumExp'),
  ArgMax: argExtreme('argMax'),
  ArgMin: argExtreme('argMin'),
  CumSum: (c) => c.out('cumSum', c.inputs, { exclusive: c.flag('exclusive'), reverse: c.flag('reverse') }),
  Softmax: softmax('softmax'),
  LogSoftmax: softmax('logSoftmax'),
  Hardmax: softmax('hardmax'),
  BatchNormalization: batchNormalization,
  InstanceNormalization: (c) => c.out('instanceNorm', c.inputs, { epsilon: c.float('epsilon', 1e-5) }),
  LayerNormalization: layerNormalization,
  GroupNormalization: (c) =>
    c.out('groupNorm', c.inputs, { groups: c.int('num_groups'), epsilon: c.float('epsilon', 1e-5) }),
  RMSNormalization: (c) =>
    c.out('rmsNorm', c.inputs, { axis: c.int('axis', -1), epsilon: c.float('epsilon', 1e-5) }),
  LpNormalization: (c) => c.out('lpNorm', c.inputs, { axis: c.int('axis', -1), p: c.int('p', 2) }),
  MeanVarianceNormalization: meanVarianceNormalization,
  LRN: (c) =>
    c.out('lrn', c.inputs, {
      size: c.int('size'),
      alpha: c.float('alpha', 1e-4),
      beta: c.float('beta', 0.75),
      bias: c.float('bias', 1),
    }),
  NegativeLogLikelihoodLoss: loss('negativeLogLikelihood'),
  SoftmaxCrossEntropyLoss: loss('softmaxCrossEntropy'),
}
