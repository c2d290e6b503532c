// Operators of onnxruntime's own domain, com.microsoft, that its optimisers and quantisers write.

import { store } from '../../../core/dtype.ts'
import { numbers, type Tensor, zeros } from '../../../core/tensor.ts'
import type { ValueId } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'
import { dynamicQuantizeLstm } from './dynamic-lstm.ts'
import { others } from './others.ts'
import { reduce } from './reduce.ts'
import { convRow, windowFor } from './windows.ts'

const layoutOf = (c: Call): string => (c.flag('channels_last') ? 'channelsLast' : 'channelsFirst')

const qlinearAveragePool: Row = (c) => {
  const kernel = c.ints('kernel_shape') ?? c.fail('attribute kernel_shape is missing')
  const layout = layoutOf(c)
  const shape = c.shape(0)
  const spatial = shape
    ? layout === 'channelsLast'
      ? shape.slice(1, -1)
      : shape.slice(2)
    : kernel.map(() => null)
  return c.out(`qlinearAveragePool${kernel.length}d`, c.inputs, {
    kernel,
    ...windowFor(c, spatial, kernel),
    ceil: c.flag('ceil_mode'),
    countIncludePad: c.flag('count_include_pad'),
    layout,
  })
}

/** Its softmax had the meaning of opset 12 unless it says otherwise; over the last axis they agree. */
const qlinearSoftmax: Row = (c) => {
  const rank = c.rank(0)
  const axis = c.axis(c.int('axis', -1), rank)
  if (c.int('opset', 13) < 13 && axis !== rank - 1)
    throw new NotSupported('QLinearSoftmax of opset 12 over several axes')
  return c.out('qlinearSoftmax', c.inputs, { axis })
}

/** Applies the activation that a fused operator carries. */
function activated(
  c: Call,
  make: (inputs: readonly (ValueId | null)[], last: boolean) => ValueId,
): ValueId[] {
  const name = c.string('activation', '')
  const [alpha, beta] = c.floats('activation_params') ?? []
  const x = make(c.inputs, name === '')
  if (name === '') return [x]
  const rows: Record<string, [string, Record<string, number>]> = {
    Relu: ['relu', {}],
    Sigmoid: ['sigmoid', {}],
    Tanh: ['tanh', {}],
    LeakyRelu: ['leakyRelu', { alpha: alpha ?? 0.01 }],
    HardSigmoid: ['hardSigmoid', { alpha: alpha ?? 0.2, beta: beta ?? 0.5 }],
    Clip: ['clamp', { low: alpha ?? -Infinity, high: beta ?? Infinity }],
  }
  const row = rows[name]
  if (!row) throw new NotSupported(`${c.op} with activation ${name}`, Object.keys(rows).join(', '))
  return c.out(row[0], [x], row[1])
}

/** Convolution, plus a tensor, then an activation. */
const fusedConv: Row = (c) => {
  const kernel = c.ints('kernel_shape') ?? c.fixed(c.shape(1)?.slice(2) ?? [null], 'a kernel')
  const attributes = { ...windowFor(c, c.shape(0)?.slice(2) ?? [], kernel), groups: c.int('group', 1) }
  return activated(c, (inputs, last) => {
    const conv = `conv${kernel.length}d`
    const added = inputs[3] ?? null
    if (added === null)
      return last
        ? c.out(conv, inputs.slice(0, 3), attributes)[0]!
        : c.mid(conv, inputs.slice(0, 3), attributes)
    const y = c.mid(conv, inputs.slice(0, 3), attributes)
    return last ? c.out('add', [y, added])[0]! : c.mid('add', [y, added])
  })
}

const fusedMatMul: Row = (c) => {
  if (c.flag('transBatchA') || c.flag('transBatchB')) throw new NotSupported('FusedMatMul with transBatch')
  const turned = (i: number, on: boolean): ValueId => {
    if (!on) return c.in(i)
    const rank = c.rank(i)
    const permutation = Array.from({ length: rank }, (_, d) => (d < rank - 2 ? d : 2 * rank - 3 - d))
    return c.mid('transpose', [c.in(i)], { permutation })
  }
  const [a, b] = [turned(0, c.flag('transA')), turned(1, c.flag('transB'))]
  const alpha = c.float('alpha', 1)
  if (alpha === 1) return c.out('matMul', [a, b])
  return c.out('mul', [c.mid('matMul', [a, b]), c.scalar(c.type(0).dtype, alpha)])
}

/** A layer or RMS norm of input + skip (+ bias); the sum itself may be the last output. */
const skipNorm =
  (op: 'layerNorm' | 'rmsNorm'): Row =>
  (c) => {
    const [beta, bias] = op === 'layerNorm' ? [c.get(3), c.get(4)] : [null, c.get(3)]
    let sum = c.mid('add', [c.in(0), c.in(1)])
    if (bias !== null) sum = c.mid('add', [sum, bias])
    if (c.node.output[1] || c.node.output[2]) throw new NotSupported(`${c.op} that gives mean and deviation`)
    const inputs = op === 'layerNorm' ? [sum, c.in(2), beta] : [sum, c.in(2)]
    const [y] = c.outs(1, op, inputs, { axis: -1, epsilon: c.float('epsilon', 1e-5) })
    return [y!, y!, y!, sum].slice(0, Math.max(1, c.outputCount))
  }

/** Weights of `bits` bits in blocks of the input axis: [N, blocks, bytes a block], low bits first. */
function unpackWeights(packed: Tensor, n: number, k: number, block: number, bits: number): Tensor {
  const blocks = Math.ceil(k / block)
  const bytes = numbers(packed)
  const perBlock = (block * bits) / 8
  const out = zeros(bits === 4 ? 'uint4' : 'uint8', [n, k])
  for (let r = 0; r < n; r++) {
    for (let i = 0; i < k; i++) {
      const at = (i % block) * bits
      const byte = bytes[(r * blocks + Math.floor(i / block)) * perBlock + (at >> 3)]!
      store(out.dtype, out.data, r * k + i, (byte >> (at & 7)) & (2 ** bits - 1))
    }
  }
  return out
}

/** One zero point a block, packed along the blocks of a row. */
function unpackZeros(packed: Tensor, n: number, blocks: number, bits: number): Tensor {
  const row = Math.ceil((blocks * bits) / 8)
  const bytes = numbers(packed)
  const out = zeros(bits === 4 ? 'uint4' : 'uint8', [n, blocks])
  for (let r = 0; r < n; r++) {
    for (let b = 0; b < blocks; b++) {
      const at = b * bits
      store(out.dtype, out.data, r * blocks + b, (bytes[r * row + (at >> 3)]! >> (at & 7)) & (2 ** bits - 1))
    }
  }
  return out
}

/** A · Bᵀ with B in blocks of few bits: unpacked here, dequantised in the graph. */
const matMulNBits: Row = (c) => {
  const [k, n, bits, block] = [c.int('K'), c.int('N'), c.int('bits', 4), c.int('block_size')]
  if (bits !== 4 && bits !== 8) throw new NotSupported(`MatMulNBits of ${bits} bits`, '4 or 8')
  if (c.get(4) !== null) throw new NotSupported('MatMulNBits with reordered groups')
  const blocks = Math.ceil(k / block)
  const packed = c.constant(1) ?? c.open('computed weights')
  if (packed.data.length !== n * blocks * ((block * bits) / 8))
    c.fail(`weights [${packed.shape}] don't hold ${n} × ${k} of ${bits} bits`)
  const weights = c.const(unpackWeights(packed, n, k, block, bits), 'weights')
  const scales = c.mid('reshape', [c.in(2), c.int64([n, blocks])])
  const dtype = bits === 4 ? 'uint4' : 'uint8'
  const given = c.get(3) === null ? undefined : (c.constant(3) ?? c.open('computed zero points'))
  let zero: Tensor
  if (!given) {
    zero = zeros(dtype, [n, blocks])
    for (let i = 0; i < n * blocks; i++) store(dtype, zero.data, i, 2 ** (bits - 1))
  } else if (given.dtype === 'uint8') zero = unpackZeros(given, n, blocks, bits)
  else throw new NotSupported(`MatMulNBits with ${given.dtype} zero points`, 'uint8')
  const real = c.mid('dequantizeLinear', [weights, scales, c.const(zero, 'zeros')], { axis: 1, block })
  const filter = c.mid('transpose', [real], { permutation: [1, 0] })
  if (c.get(5) === null) return c.out('matMul', [c.in(0), filter])
  return c.out('add', [c.mid('matMul', [c.in(0), filter]), c.in(5)])
}

/** float(integer product) · scale (+ bias). */
function scaledProduct(c: Call, product: ValueId, scale: ValueId, bias: ValueId | null): ValueId[] {
  const real = c.mid('cast', [product], { to: 'float32' })
  return bias === null ? c.out('mul', [real, scale]) : c.out('add', [c.mid('mul', [real, scale]), bias])
}

const dynamicQuantizeMatMul: Row = (c) => {
  const [a, scale, zero] = c.mids(3, 'dynamicQuantizeLinear', [c.in(0)])
  const product = c.mid('matMulInteger', [a!, c.in(1), zero!, c.get(3)])
  return scaledProduct(c, product, c.mid('mul', [scale!, c.in(2)]), c.get(4))
}

const matMulIntegerToFloat: Row = (c) => {
  const product = c.mid('matMulInteger', [c.in(0), c.in(1), c.get(4), c.get(5)])
  return scaledProduct(c, product, c.mid('mul', [c.in(2), c.in(3)]), c.get(6))
}

/** gelu(x + bias). */
const biased =
  (op: string): Row =>
  (c) =>
    c.get(1) === null ? c.out(op, [c.in(0)]) : c.out(op, [c.mid('add', [c.in(0), c.in(1)])])

const qgemm: Row = (c) =>
  c.out('qgemm', c.inputs, {
    alpha: c.float('alpha', 1),
    transposeA: c.flag('transA'),
    transposeB: c.flag('transB'),
  })

export const microsoft: Record<string, Row> = {
  QuantizeLinear: others.QuantizeLinear!,
  DequantizeLinear: others.DequantizeLinear!,
  LayerNormalization: reduce.LayerNormalization!,
  QLinearAdd: (c) => c.out('qlinearAdd'),
  QLinearMul: (c) => c.out('qlinearMul'),
  QLinearSigmoid: (c) => c.out('qlinearSigmoid'),
  QLinearLeakyRelu: (c) => c.out('qlinearLeakyRelu', c.inputs, { alpha: c.float('alpha', 0.01) }),
  QLinearSoftmax: qlinearSoftmax,
  QLinearAveragePool: qlinearAveragePool,
  QLinearGlobalAveragePool: (c) => c.out('qlinearGlobalAveragePool', c.inputs, { layout: layoutOf(c) }),
  QLinearConcat: (c) => c.out('qlinearConcat', c.inputs, { axis: c.int('axis') }),
  QLinearConv: convRow('qlinearConv', 3),
  QGemm: qgemm,
  Gelu: (c) => c.out('gelu', [c.in(0)]),
  BiasGelu: biased('gelu'),
  FastGelu: biased('geluTanh'),
  QuickGelu: (c) => c.out('silu', [c.in(0)], { alpha: c.float('alpha', 1.702) }),
  SkipLayerNormalization: skipNorm('layerNorm'),
  SkipSimplifiedLayerNormalization: skipNorm('rmsNorm'),
  FusedConv: fusedConv,
  FusedMatMul: fusedMatMul,
  FusedGemm: (c) =>
    activated(c, (inputs, last) => {
      const attributes = {
        alpha: c.float('alpha', 1),
        beta: c.float('beta', 1),
        transposeA: c.flag('transA'),
        transposeB: c.flag('transB'),
      }
      return last ? c.out('gemm', inputs, attributes)[0]! : c.mid('gemm', inputs, attributes)
    }),
  MatMulNBits: matMulNBits,
  DynamicQuantizeMatMul: dynamicQuantizeMatMul,
  MatMulIntegerToFloat: matMulIntegerToFloat,
  DynamicQuantizeLSTM: dynamicQuantizeLstm,
}

/** onnxruntime writes these under the standard domain. */
export const contributed: Record<string, Row> = {
  SimplifiedLayerNormalization: (c) =>
    c.outs(1, 'rmsNorm', [c.in(0), c.in(1)], { axis: c.int('axis', -1), epsilon: c.float('epsilon', 1e-5) }),
}
