// Operators on quantised integers: one integer operator of the graph for each of the file's. Dynamic-range models (float32
// activations, 8-bit weights) come here too.

import type { DType } from '../../../core/dtype.ts'
import { activationRange } from '../../../ir/ops/tflite-quantization.ts'
import type { Attributes, ValueId } from '../../../ir/types.ts'
import { paddingOf } from '../../padding.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'
import type { TensorInfo } from '../tensors.ts'
import {
  channelsOf,
  filterShape,
  groupsOf,
  poolAttributes,
  resizeSize,
  spatialOf,
  transposedSize,
  windowOf,
} from './products.ts'

/** Scale and zero point of a tensor quantised as a whole. */
function affine(x: Operation, t: TensorInfo): { scale: number; zero: number } {
  const q = t.quantization
  if (!q) throw new NotSupported(`${x.op} of ${t.dtype} without scales`)
  if (q.scale.length !== 1) throw new NotSupported(`${x.op} with activations quantised per channel`)
  return { scale: q.scale[0]!, zero: q.zeroPoint[0] ?? 0 }
}

/** The attributes `inputScale`, `inputZero`, … of the named tensors. */
function scales(x: Operation, named: Readonly<Record<string, TensorInfo>>): Record<string, number> {
  const out: Record<string, number> = {}
  for (const [name, t] of Object.entries(named)) {
    const { scale, zero } = affine(x, t)
    out[`${name}Scale`] = scale
    out[`${name}Zero`] = zero
  }
  return out
}

const isHybrid = (x: Operation, input: number, filter: number): boolean =>
  x.tensor(input).dtype === 'float32' && x.tensor(filter).dtype !== 'float32'

/** Attributes of a product of integers. */
function product(x: Operation, input: number, filter: number, bias: number): Attributes {
  const [data, weights] = [x.tensor(input), x.tensor(filter)]
  const q = weights.quantization
  if (!q) throw new NotSupported(`${x.op} with ${weights.dtype} weights without scales`)
  const option = x.number('quantized_bias_type')
  const biasType = x.has(bias) ? x.tensor(bias).dtype : undefined
  let wide = data.dtype === 'int16' && option !== 2
  // FULLY_CONNECTED accumulates in 64 bits only where a 64-bit bias, or the option, says so.
  if (x.op === 'FULLY_CONNECTED' && wide) wide = biasType === 'int64' || option === 4
  const perTensor = q.scale.length === 1
  const zero = q.zeroPoint[0] ?? 0
  // Convolutions of int8 take their weights as symmetric.
  const asymmetric = data.dtype === 'uint8' || x.op === 'FULLY_CONNECTED' || x.op === 'BATCH_MATMUL'
  return {
    ...scales(x, { input: data, output: x.output() }),
    filterScales: q.scale,
    filterZero: perTensor && asymmetric ? zero : 0,
    activation: x.op === 'BATCH_MATMUL' ? 'none' : quantisedActivation(x),
    accumulator: wide ? 'int64' : 'int32',
    scaling: x.op === 'FULLY_CONNECTED' ? 'real' : 'fixed',
  }
}

function quantisedActivation(x: Operation): string {
  const a = x.activation()
  if (a === 'tanh') throw new NotSupported(`${x.op} on integers with fused TANH`)
  return a
}

/** Attributes of a dynamic-range product. */
function hybrid(x: Operation, filter: number, asymmetric: boolean): Attributes {
  const w = x.tensor(filter)
  if ((w.dtype !== 'int8' && w.dtype !== 'int4') || !w.quantization)
    throw new NotSupported(`${x.op} of float32 with ${w.dtype} weights`)
  return { filterScales: w.quantization.scale, asymmetric, activation: quantisedActivation(x) }
}

function convolution(x: Operation, depthwise: boolean): void {
  const shape = filterShape(x, 1, 4) as readonly [number, number, number, number]
  const channels = channelsOf(x, 0)
  const filter = x.reordered(1, depthwise ? [3, 0, 1, 2] : [0, 3, 1, 2])
  const attributes = {
    ...windowOf(x, 0, [shape[1], shape[2]]),
    groups: depthwise ? channels : groupsOf(x, channels, shape[3]),
  }
  const inputs = [x.input(0), filter, x.optional(2)]
  if (isHybrid(x, 0, 1)) {
    const s = x.tensor(1).quantization?.scale ?? []
    // Equal scales count as one: such a convolution quantises its input symmetrically.
    const perChannel = depthwise || s.some((v) => v !== s[0])
    x.result('tfliteHybridConv2d', inputs, { ...attributes, ...hybrid(x, 1, perChannel) })
  } else x.result('tfliteConv2d', inputs, { ...attributes, ...product(x, 0, 1, 2) })
}

const fullyConnected: Row = (x) => {
  filterShape(x, 1, 2)
  if (x.number('weights_format') !== 0) throw new NotSupported('FULLY_CONNECTED with shuffled weights')
  const inputs = [x.input(0), x.input(1), x.optional(2)]
  const keepDims = x.boolean('keep_num_dims')
  if (isHybrid(x, 0, 1))
    return x.result('tfliteHybridFullyConnected', inputs, {
      keepDims,
      ...hybrid(x, 1, x.boolean('asymmetric_quantize_inputs')),
    })
  x.result('tfliteFullyConnected', inputs, { keepDims, ...product(x, 0, 1, 2) })
}

const transposeConv: Row = (x) => {
  if (isHybrid(x, 2, 1)) throw new NotSupported('TRANSPOSE_CONV of float32 with integer weights')
  const [, kh, kw] = filterShape(x, 1, 4) as [number, number, number, number]
  const size = transposedSize(x)
  const strides = [x.number('stride_h'), x.number('stride_w')]
  if (strides.some((s) => s < 1)) x.fail(`strides [${strides}]`)
  spatialOf(x, 2)
  const pads = paddingOf(x.number('padding') === 0 ? 'same' : 'valid', size, [kh, kw], strides, [1, 1], x.at)
  if (x.tensor(2).dtype === 'uint8') throw new NotSupported('TRANSPOSE_CONV of uint8')
  x.result('tfliteTransposeConv2d', [x.input(2), x.reordered(1, [3, 0, 1, 2]), x.optional(3)], {
    size,
    strides,
    pads: pads.slice(0, 2),
    ...product(x, 2, 1, 3),
  })
}

/** Dynamic range with one matrix of weights is a fully connected layer without a bias. */
function hybridMatMul(x: Operation): void {
  const shape = x.tensor(1).shape
  const [rows, columns] = shape.slice(-2)
  if (x.boolean('adj_x') || !x.constant(1) || shape.slice(0, -2).some((d) => d !== 1))
    throw new NotSupported('BATCH_MATMUL of float32 with integers other than one matrix of weights')
  const matrix = x.node('reshape', [x.input(1), x.int64s(rows!, columns!)])
  const filter = x.boolean('adj_y') ? matrix : x.node('transpose', [matrix], { permutation: [1, 0] })
  const q = x.tensor(1).quantization
  if (!q) throw new NotSupported('BATCH_MATMUL with integer weights without scales')
  x.result('tfliteHybridFullyConnected', [x.input(0), filter, null], {
    keepDims: true,
    filterScales: q.scale,
    asymmetric: x.boolean('asymmetric_quantize_inputs'),
  })
}

const batchMatMul: Row = (x) => {
  if (isHybrid(x, 0, 1)) return hybridMatMul(x)
  if (x.tensor(0).dtype !== x.tensor(1).dtype)
    throw new NotSupported(`BATCH_MATMUL of ${x.tensor(0).dtype} with ${x.tensor(1).dtype}`)
  const turned = (i: number, on: boolean): ValueId => {
    if (!on) return x.input(i)
    const rank = x.rankOf(i)
    const p = Array.from({ length: rank }, (_, k) => k)
    ;[p[rank - 1], p[rank - 2]] = [rank - 2, rank - 1]
    return x.reordered(i, p)
  }
  x.result(
    'tfliteBatchMatMul',
    [turned(0, x.boolean('adj_x')), turned(1, x.boolean('adj_y'))],
    product(x, 0, 1, 2),
  )
}

const unary =
  (op: string, attributes: (x: Operation) => Attributes = () => ({})): Row =>
  (x) =>
    x.result(op, [x.input(0)], {
      ...scales(x, { input: x.tensor(0), output: x.output() }),
      ...attributes(x),
    })

const binary =
  (op: string, activated: boolean): Row =>
  (x) => {
    const named = scales(x, { input: x.tensor(0), other: x.tensor(1), output: x.output() })
    x.result(op, [x.input(0), x.input(1)], {
      ...named,
      ...(activated && { activation: quantisedActivation(x) }),
    })
  }

/** 16-bit sums whose scales are all powers of two only shift, where the file allows it. */
const sum =
  (op: string): Row =>
  (x) => {
    const named = scales(x, { input: x.tensor(0), other: x.tensor(1), output: x.output() })
    const exact = [named.inputScale!, named.otherScale!, named.outputScale!].every((s) => {
      const log = Math.log2(s)
      return Math.abs(log - Math.round(log)) < 1e-3
    })
    x.result(op, [x.input(0), x.input(1)], {
      ...named,
      activation: quantisedActivation(x),
      powerOfTwo: x.tensor(0).dtype === 'int16' && x.options.pot_scale_int16 !== false && exact,
    })
  }

const compare =
  (relation: string): Row =>
  (x) =>
    x.result('tfliteCompare', [x.input(0), x.input(1)], {
      ...scales(x, { input: x.tensor(0), other: x.tensor(1) }),
      relation,
    })

const reduction =
  (op: string): Row =>
  (x) =>
    x.result(op, [x.input(0)], {
      axes: x.integers(1, 'axes'),
      keepDims: x.boolean('keep_dims'),
      ...scales(x, { input: x.tensor(0), output: x.output() }),
    })

const averagePool: Row = (x) =>
  x.result('tfliteAveragePool2d', [x.input(0)], {
    ...poolAttributes(x),
    ...scales(x, { output: x.output() }),
    activation: quantisedActivation(x),
  })

const maxPool: Row = (x) => {
  const activation = quantisedActivation(x)
  if (activation === 'none') return x.result('maxPool2d', [x.input(0)], poolAttributes(x))
  const { scale, zero } = affine(x, x.output())
  const [low, high] = activationRange(activation, x.output().dtype!, scale, zero)
  x.result('clamp', [x.node('maxPool2d', [x.input(0)], poolAttributes(x))], { low, high })
}

/** Parts on another scale are brought to the output's; only uint8 models have such. */
const concat: Row = (x) => {
  if (x.activation() !== 'none') throw new NotSupported(`CONCATENATION with fused ${x.activation()}`)
  const parts = x.inputs.map((_, i) => {
    const t = x.tensor(i)
    if (t.dtype !== 'uint8') return x.input(i)
    const named = scales(x, { input: t, output: x.output() })
    if (named.inputScale === named.outputScale && named.inputZero === named.outputZero) return x.input(i)
    return x.node('tfliteRescale', [x.input(i)], named)
  })
  x.result('concat', parts, { axis: x.number('axis') })
}

const resizeBilinear: Row = (x) =>
  x.result('tfliteResizeBilinear', [x.input(0)], {
    size: resizeSize(x),
    alignCorners: x.boolean('align_corners'),
    halfPixelCenters: x.boolean('half_pixel_centers'),
  })

const quantize: Row = (x) => {
  const [from, to] = [x.tensor(0), x.output()]
  if (from.dtype !== 'float32')
    return x.result('tfliteRequantize', [x.input(0)], {
      ...scales(x, { input: from, output: to }),
      to: to.dtype!,
    })
  const q = to.quantization
  if (!q) throw new NotSupported('QUANTIZE to a tensor without scales')
  x.result('tfliteQuantize', [x.input(0)], {
    scales: q.scale,
    zeros: q.zeroPoint,
    axis: q.scale.length > 1 ? q.axis : 0,
    to: to.dtype!,
  })
}

const embedding: Row = (x) => {
  const q = x.tensor(1).quantization
  if (!q) throw new NotSupported('EMBEDDING_LOOKUP in integers without scales')
  const rows = x.node('gather', [x.input(1), x.input(0)], { axis: 0 })
  if (q.scale.length > 1) throw new NotSupported('EMBEDDING_LOOKUP quantised per row')
  x.result('tfliteDequantize', [rows], { scales: q.scale, zeros: q.zeroPoint })
}

export const integerRows: Readonly<Record<string, Row>> = {
  CONV_2D: (x) => convolution(x, false),
  DEPTHWISE_CONV_2D: (x) => convolution(x, true),
  TRANSPOSE_CONV: transposeConv,
  FULLY_CONNECTED: fullyConnected,
  BATCH_MATMUL: batchMatMul,
  ADD: sum('tfliteAdd'),
  SUB: sum('tfliteSub'),
  MUL: binary('tfliteMul', true),
  SQUARED_DIFFERENCE: binary('tfliteSquaredDifference', false),
  PRELU: binary('tflitePrelu', false),
  EQUAL: compare('equal'),
  NOT_EQUAL: compare('notEqual'),
  LESS: compare('less'),
  LESS_EQUAL: compare('lessEqual'),
  GREATER: compare('greater'),
  GREATER_EQUAL: compare('greaterEqual'),
  RELU: unary('tfliteRelu', () => ({ activation: 'relu' })),
  RELU6: unary('tfliteRelu', () => ({ activation: 'relu6' })),
  RELU_N1_TO_1: unary('tfliteRelu', () => ({ activation: 'reluN1To1' })),
  LEAKY_RELU: unary('tfliteLeakyRelu', (x) => ({ alpha: x.number('alpha') })),
  ABS: unary('tfliteAbs'),
  LOGISTIC: unary('tfliteLogistic'),
  TANH: unary('tfliteTanh'),
  EXP: unary('tfliteExp'),
  LOG: unary('tfliteLog'),
  ELU: unary('tfliteElu'),
  GELU: unary('tfliteGelu', (x) => ({ approximate: x.boolean('approximate') })),
  RSQRT: unary('tfliteRsqrt'),
  SQRT: unary('tfliteSqrt'),
  HARD_SWISH: unary('tfliteHardSwish'),
  SOFTMAX: (x) =>
    x.result('tfliteSoftmax', [x.input(0)], {
      ...scales(x, { input: x.tensor(0) }),
      beta: x.number('beta'),
    }),
  L2_NORMALIZATION: (x) =>
    x.result('tfliteL2Normalization', [x.input(0)], { inputZero: affine(x, x.tensor(0)).zero }),
  MEAN: reduction('tfliteMean'),
  SUM: reduction('tfliteSum'),
  AVERAGE_POOL_2D: averagePool,
  MAX_POOL_2D: maxPool,
  RESIZE_BILINEAR: resizeBilinear,
  CONCATENATION: concat,
  QUANTIZE: quantize,
  EMBEDDING_LOOKUP: embedding,
}

/** Operators that only move integers, or compare those of one scale: the plain ones do. */
export const neutral: ReadonlySet<string> = new Set([
  'RESHAPE', 'SQUEEZE', 'EXPAND_DIMS', 'TRANSPOSE', 'PACK', 'UNPACK', 'SPLIT', 'SPLIT_V', 'SLICE', 'STRIDED_SLICE', 'PAD',
  'PADV2', 'MIRROR_PAD', 'TILE', 'BROADCAST_TO', 'FILL', 'SHAPE', 'RANK', 'REVERSE_V2', 'REVERSE_SEQUENCE', 'GATHER',
  'GATHER_ND', 'DEPTH_TO_SPACE', 'SPACE_TO_DEPTH', 'SPACE_TO_BATCH_ND', 'BATCH_TO_SPACE_ND', 'TOPK_V2', 'MAXIMUM', 'MINIMUM',
  'REDUCE_MAX', 'REDUCE_MIN', 'ARG_MAX', 'ARG_MIN', 'SELECT', 'SELECT_V2', 'RESIZE_NEAREST_NEIGHBOR', 'DEQUANTIZE', 'CAST',
  'IF', 'WHILE', 'CALL', 'DENSIFY', 'CUSTOM',
]) // biome-ignore format: a list

const narrow: ReadonlySet<DType | undefined> = new Set<DType>(['int8', 'uint8', 'int16', 'int4', 'uint4'])

/** Whether some tensor of the operation holds quantised integers. */
export const isQuantised = (x: Operation): boolean =>
  [...x.inputs, ...x.outputs].some((i) => {
    const t = i < 0 ? undefined : x.context.tensors[i]
    return t?.quantization !== undefined && narrow.has(t.dtype)
  })
