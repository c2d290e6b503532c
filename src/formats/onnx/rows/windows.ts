// Writing convolutions, pooling, products, reductions and normalisation.

import { bitsOf, type DType, isFloat } from '../../../core/dtype.ts'
import { integers } from '../../../core/tensor.ts'
import { NotWritable, type Value, type WriteRow, type Written } from '../emit.ts'
import { dtypeCodes } from '../tensors.ts'
import { writeWideConv } from './wide-conv.ts'

const windowAttributes = (n: Written): Record<string, Value> => ({
  strides: n.numbers('strides'),
  pads: n.numbers('pads'),
  dilations: n.numbers('dilations'),
})

const conv: WriteRow = (n) => {
  if (!isFloat(n.dtype()) || n.dtype() === 'float64') return writeWideConv(n)
  n.emitFirst('Conv', [n.first(0), n.in(1), n.in(2)], { ...windowAttributes(n), group: n.number('groups') })
}

const convInteger: WriteRow = (n) =>
  n.emitFirst('ConvInteger', [n.first(0), n.in(1), n.in(2), n.in(3)], {
    ...windowAttributes(n),
    group: n.number('groups'),
  })

const qlinearConv: WriteRow = (n) =>
  n.emitFirst('QLinearConv', [n.first(0), ...n.ins().slice(1)], {
    ...windowAttributes(n),
    group: n.number('groups'),
  })

const convTranspose: WriteRow = (n) => {
  const rank = n.numbers('strides').length
  const pads = n.numbers('pads')
  if (pads.some((p, i) => i < rank && p < 0))
    throw new NotWritable('transposed convolution with negative pads at the beginning')
  // A negative pad at the end is what ONNX calls output padding.
  n.emitFirst('ConvTranspose', [n.first(0), n.in(1), n.in(2)], {
    ...windowAttributes(n),
    pads: pads.map((p) => Math.max(0, p)),
    group: n.number('groups'),
    output_padding: n.numbers('outputPadding').map((p, i) => p + Math.max(0, -pads[i + rank]!)),
  })
}

const pool = (n: Written): Record<string, Value> => ({
  kernel_shape: n.numbers('kernel'),
  strides: n.numbers('strides'),
  pads: n.numbers('pads'),
  ceil_mode: n.flag('ceil'),
})

/** Types that ONNX's MaxPool has, and for the others the float type that holds them all. */
const poolType = (dtype: DType): DType | undefined =>
  isFloat(dtype) || dtype === 'int8' || dtype === 'uint8'
    ? dtype
    : bitsOf(dtype) <= 16
      ? 'float32'
      : bitsOf(dtype) === 32
        ? 'float64'
        : undefined

const maxPool: WriteRow = (n) => {
  const attributes = {
    ...pool(n),
    dilations: n.numbers('dilations'),
    storage_order: n.string('order') === 'columnMajor' ? 1 : 0,
  }
  const positions = n.node.outputs.length > 1
  if (n.last && positions) throw new NotWritable('positions of maxPool with channels last')
  const dtype = n.dtype()
  const held = poolType(dtype)
  if (held === dtype) return n.emitFirst('MaxPool', [n.first(0)], attributes)
  if (!held || positions) throw new NotWritable(`maxPool of ${dtype}${positions ? ' with positions' : ''}`)
  const largest = n.mid('MaxPool', [n.cast(n.first(0), dtype, held)], attributes)
  n.emitFirst('Cast', [largest], { to: dtypeCodes[dtype] })
}

const averagePool: WriteRow = (n) => {
  const dilations = n.numbers('dilations')
  const dilated = dilations.some((d) => d !== 1)
  // Only where it must be: onnxruntime's kernel of opset 19 sums in another order.
  if (dilated) n.needs(19)
  n.emitFirst('AveragePool', [n.first(0)], {
    ...pool(n),
    dilations: dilated ? dilations : undefined,
    count_include_pad: n.flag('countIncludePad'),
  })
}

const lpPool: WriteRow = (n) => {
  const more = n.flag('ceil') || n.numbers('dilations').some((d) => d !== 1)
  if (more) n.needs(18)
  const { ceil_mode, ...plain } = pool(n)
  n.emitFirst('LpPool', [n.first(0)], {
    ...plain,
    p: n.number('p'),
    ...(more && { ceil_mode, dilations: n.numbers('dilations') }),
  })
}

/** The last axis as −1: onnxruntime's fusions know it so even where the rank is open to them. */
const fromEnd = (axes: readonly number[], rank: number | undefined): readonly number[] =>
  axes.length === 1 && rank && axes[0] === rank - 1 ? [-1] : axes

const reduction =
  (op: string): WriteRow =>
  (n) => {
    const keepdims = n.flag('keepDims')
    const noop = n.flag('noopWithEmptyAxes')
    const constant = n.constantOf(1)
    const axes = constant?.data.length ? fromEnd(integers(constant), n.type(0).shape?.length) : undefined
    // Before opset 18 (13 for ReduceSum) the axes were an attribute.
    if (op !== 'ReduceSum' && n.e.state.target < 18 && !noop && (axes || !n.has(1)))
      return n.emit(op, [n.in(0)], { axes, keepdims })
    if (op !== 'ReduceSum') n.needs(18)
    const changed = axes?.[0] === -1 && integers(constant!)[0] !== -1
    n.emit(op, [n.in(0), changed ? n.int64(axes) : n.int64In(1)], {
      keepdims,
      noop_with_empty_axes: noop || undefined,
    })
  }

/** A mean whose axes are all the pixels, counted from the end, is what GlobalAveragePool was read as. */
const reduceMean: WriteRow = (n) => {
  const axes = n.constantOf(1)
  const rank = n.type(0).shape?.length ?? 0
  const pixels = axes && integers(axes).join()
  const all = Array.from({ length: Math.max(0, rank - 2) }, (_, i) => i + 2 - rank).join()
  const pool = rank > 2 && pixels === all && n.flag('keepDims') && isFloat(n.dtype())
  if (pool) n.emit('GlobalAveragePool', [n.in(0)])
  else reduction('ReduceMean')(n)
}

const argExtreme =
  (op: string): WriteRow =>
  (n) =>
    n.emit(op, n.ins(), {
      axis: n.number('axis'),
      keepdims: n.flag('keepDims'),
      select_last_index: n.flag('selectLast'),
    })

const alongAxis =
  (op: string): WriteRow =>
  (n) =>
    n.emit(op, n.ins(), { axis: n.number('axis') })

const normalised =
  (op: string): WriteRow =>
  (n) =>
    n.emitFirst(op, [n.first(0), ...n.ins().slice(1)], { epsilon: n.float('epsilon') })

/** x / √(max(Σ x², ε)): ONNX's own has no ε. */
const lpNorm: WriteRow = (n) => {
  const epsilon = n.number('epsilon')
  if (epsilon === 0) return n.emit('LpNormalization', n.ins(), { axis: n.number('axis'), p: n.number('p') })
  const axes = n.int64([n.number('axis')])
  n.needs(18)
  if (n.number('p') === 1) {
    const sum = n.mid('ReduceL1', [n.in(0), axes])
    return n.emit('Div', [n.in(0), n.mid('Max', [sum, n.scalar(epsilon)])])
  }
  const sum = n.mid('Max', [n.mid('ReduceSumSquare', [n.in(0), axes]), n.scalar(epsilon)])
  return n.emit('Div', [n.in(0), n.mid('Sqrt', [sum])])
}

const layerNorm: WriteRow = (n) => {
  let scale = n.in(1)
  if (!scale) {
    // ONNX wants a scale: ones of the normalised shape.
    const shape = n.mid('Shape', [n.in(0)], { start: n.number('axis') })
    scale = n.mid('Expand', [n.scalar(1), shape])
  }
  n.needs(17)
  n.emit('LayerNormalization', [n.in(0), scale, n.in(2)], {
    axis: n.number('axis'),
    epsilon: n.float('epsilon'),
    stash_type: dtypeCodes[n.string('stash') as DType],
  })
}

const rmsNorm: WriteRow = (n) => {
  const rank = n.rank(0)
  const start = n.number('axis') < 0 ? n.number('axis') + rank : n.number('axis')
  const axes = n.int64(Array.from({ length: rank - start }, (_, i) => start + i))
  n.needs(18)
  const mean = n.mid('ReduceMean', [n.mid('Mul', [n.in(0), n.in(0)]), axes])
  const root = n.mid('Sqrt', [n.mid('Add', [mean, n.scalar(n.number('epsilon'))])])
  if (!n.has(1)) return n.emit('Div', [n.in(0), root])
  return n.emit('Mul', [n.mid('Div', [n.in(0), root]), n.in(1)])
}

const loss =
  (op: string): WriteRow =>
  (n) =>
    n.emit(op, n.ins(), { reduction: n.string('reduction'), ignore_index: n.a.ignore as Value })

export const windows = {
  matMul: (n) => n.emit('MatMul'),
  gemm: (n) =>
    n.emit('Gemm', n.ins(), {
      alpha: n.float('alpha'),
      beta: n.float('beta'),
      transA: n.flag('transposeA'),
      transB: n.flag('transposeB'),
    }),
  einsum: (n) => n.emit('Einsum', n.ins(), { equation: n.string('equation') }),
  det: (n) => n.emit('Det'),
  conv1d: conv,
  conv2d: conv,
  conv3d: conv,
  convInteger1d: convInteger,
  convInteger2d: convInteger,
  convInteger3d: convInteger,
  qlinearConv1d: qlinearConv,
  qlinearConv2d: qlinearConv,
  qlinearConv3d: qlinearConv,
  convTranspose1d: convTranspose,
  convTranspose2d: convTranspose,
  convTranspose3d: convTranspose,
  maxPool1d: maxPool,
  maxPool2d: maxPool,
  maxPool3d: maxPool,
  averagePool1d: averagePool,
  averagePool2d: averagePool,
  averagePool3d: averagePool,
  lpPool1d: lpPool,
  lpPool2d: lpPool,
  lpPool3d: lpPool,
  maxUnpool: (n) =>
    n.emit('MaxUnpool', n.ins(), {
      kernel_shape: n.numbers('kernel'),
      strides: n.a.strides as Value,
      pads: n.a.pads as Value,
    }),
  reduceSum: reduction('ReduceSum'),
  reduceMean,
  reduceMax: reduction('ReduceMax'),
  reduceMin: reduction('ReduceMin'),
  reduceProd: reduction('ReduceProd'),
  reduceL1: reduction('ReduceL1'),
  reduceL2: reduction('ReduceL2'),
  reduceSumSquare: reduction('ReduceSumSquare'),
  reduceLogSum: reduction('ReduceLogSum'),
  reduceLogSumExp: reduction('ReduceLogSumExp'),
  argMax: argExtreme('ArgMax'),
  argMin: argExtreme('ArgMin'),
  cumSum: (n) => n.emit('CumSum', n.ins(), { exclusive: n.flag('exclusive'), reverse: n.flag('reverse') }),
  softmax: alongAxis('Softmax'),
  logSoftmax: alongAxis('LogSoftmax'),
  hardmax: alongAxis('Hardmax'),
  lpNorm,
  batchNorm: normalised('BatchNormalization'),
  instanceNorm: normalised('InstanceNormalization'),
  groupNorm: (n) => {
    n.needs(21)
    n.emitFirst('GroupNormalization', [n.first(0), ...n.ins().slice(1)], {
      epsilon: n.float('epsilon'),
      num_groups: n.number('groups'),
    })
  },
  layerNorm,
  rmsNorm,
  lrn: (n) =>
    n.emitFirst('LRN', [n.first(0)], {
      size: n.number('size'),
      alpha: n.float('alpha'),
      beta: n.float('beta'),
      bias: n.float('bias'),
    }),
  negativeLogLikelihood: loss('NegativeLogLikelihoodLoss'),
  softmaxCrossEntropy: loss('SoftmaxCrossEntropyLoss'),
} satisfies Record<string, WriteRow>
