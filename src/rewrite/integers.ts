// Rules that lead quantised networks to exact integer products: dequantise → product → quantise becomes one quantised product, and
// integer products get operands that the processor multiplies: int16 with their zero points subtracted already, or uint8 × int8 with
// the zero point's share of the sums added afterwards.

import { type DType, store } from '../core/dtype.ts'
import { at, numbers, type Tensor, zeros } from '../core/tensor.ts'
import { consumers, type GraphBuilder, GraphCopy, prune } from '../ir/graph.ts'
import type { OpName } from '../ir/ops/index.ts'
import type { Graph, Node, ValueId } from '../ir/types.ts'
import { Emitter } from './decompose/fixed-point.ts'
import type { Bindings, Rule } from './rule.ts'

const integerProducts = ['convInteger1d', 'convInteger2d', 'convInteger3d', 'matMulInteger'] as const
const dtypeOf = (m: Bindings, name: string): DType => {
  const t = m.type(name)
  return t.kind === 'tensor' ? t.dtype : 'float32'
}
const narrow: ReadonlySet<DType> = new Set(['int8', 'uint8', 'int4', 'uint4'])

/** v − zero as int16; a constant is computed here. Zero points of filters stand along axis 0, of columns along the last. */
function centred(
  b: GraphBuilder,
  v: ValueId,
  zero: ValueId | null,
  axis: 'first' | 'last' | 'rows',
): ValueId {
  const e = new Emitter(b, 'centred')
  const rank = e.rank(v) ?? 0
  const [t, z] = [b.constantOf(v), zero === null ? undefined : b.constantOf(zero)]
  if (t && (zero === null || z)) {
    const out = zeros('int16', t.shape)
    const [values, points] = [numbers(t), z ? numbers(z) : [0]]
    const inner = axis === 'first' ? values.length / (t.shape[0] ?? 1) : 1
    const columns = t.shape.at(-1) ?? 1
    for (let i = 0; i < values.length; i++) {
      const k = points.length === 1 ? 0 : axis === 'first' ? Math.floor(i / inner) : i % columns
      store('int16', out.data, i, values[i]! - points[k]!)
    }
    return b.constant(out, `${b.nameOf(v)}.centred`)
  }
  if (zero === null || (z?.data.length === 1 && at(z as Tensor, 0) === 0)) return e.cast(v, 'int16')
  let p = e.cast(zero, 'int32')
  if (e.rank(zero) === 1 && e.shape(zero)?.[0] !== 1) {
    const after = axis === 'first' ? rank - 1 : axis === 'rows' ? 1 : 0
    if (after > 0) p = e.op('unsqueeze', [p], { axes: Array.from({ length: after }, (_, i) => i + 1) })
  }
  return e.cast(e.op('sub', [e.cast(v, 'int32'), p]), 'int16')
}

const centre = (op: (typeof integerProducts)[number]): Rule => ({
  name: `centre-${op}`,
  says: `${op}(x, w, xz, wz) → ${op}(int16(x − xz), int16(w − wz))`,
  contract: 'exact',
  match: `${op}(x, w, xz?, wz?)`,
  unless: (m) =>
    narrow.has(dtypeOf(m, 'x')) && narrow.has(dtypeOf(m, 'w')) ? null : 'the operands are wider than 8 bits',
  rewrite(m, b) {
    const zero = (name: string): ValueId | null => (m.has(name) ? m.value(name) : null)
    const product = op === 'matMulInteger'
    const x = centred(b, m.value('x'), zero('xz'), product ? 'rows' : 'first')
    const w = centred(b, m.value('w'), zero('wz'), product ? 'last' : 'first')
    return b.node(op, [x, w], m.node(op).attributes)
  },
  examples: [],
})

/** Before lowering for a target that multiplies int16 pairs. */
export const centreRules: readonly Rule[] = integerProducts.map(centre)

/** Filters or columns less their zero points, as int8; undefined where they don't fit. */
function signedWeights(w: Tensor, zero: Tensor | undefined, product: boolean): Tensor | undefined {
  const out = zeros('int8', w.shape)
  const [values, points] = [numbers(w), zero ? numbers(zero) : [0]]
  const inner = product ? 1 : values.length / w.shape[0]!
  for (let i = 0; i < values.length; i++) {
    const k = Math.floor(i / inner) % points.length
    const v = values[i]! - points[k]!
    if (v < -128 || v > 127) return undefined
    ;(out.data as Int8Array)[i] = v
  }
  return out
}

/** Σ of every filter's or column's weights. */
function weightSums(w: Tensor, product: boolean): number[] {
  const values = numbers(w)
  const count = w.shape[product ? 1 : 0]!
  const inner = product ? 1 : values.length / count
  const sums = new Array<number>(count).fill(0)
  for (let i = 0; i < values.length; i++) sums[Math.floor(i / inner) % count]! += values[i]!
  return sums
}

/** Whether an integer product is in the form that `bytesRules` make. */
const inBytes = (m: Bindings): boolean =>
  !m.has('xz') && !m.has('wz') && dtypeOf(m, 'x') === 'uint8' && dtypeOf(m, 'w') === 'int8'

/**
 * Σ (x − z)·w = Σ x·w − z·Σ w: activations stay bytes. Padding stands for the zero point, so it is written around the activations where
 * that isn't 0.
 */
const bytewise = (op: (typeof integerProducts)[number]): Rule => {
  const product = op === 'matMulInteger'
  return {
    name: `bytes-${op}`,
    says: `${op}(x, w!, xz!, wz!) → ${op}(uint8(x), int8(w − wz)) − xz · Σ w`,
    contract: 'exact',
    match: `${op}(x, w!, xz!?, wz!?)`,
    unless(m) {
      if (inBytes(m)) return 'it is in this form'
      if (!['uint8', 'int8'].includes(dtypeOf(m, 'x'))) return 'the left operand is no byte'
      if (!narrow.has(dtypeOf(m, 'w'))) return 'the weights are wider than 8 bits'
      if (m.has('xz') && m.constant('xz').data.length !== 1) return 'rows have zero points of their own'
      const w = m.constant('w')
      if (product ? w.shape.length !== 2 : m.node(op).attributes.groups !== 1)
        return 'there is more than one group'
      return signedWeights(w, m.has('wz') ? m.constant('wz') : undefined, product)
        ? null
        : 'weights less their zero points need more than 8 bits'
    },
    rewrite(m, b) {
      const e = new Emitter(b, m.node(op).name)
      const w = signedWeights(m.constant('w'), m.has('wz') ? m.constant('wz') : undefined, product)!
      const { attributes } = m.node(op)
      let x = m.value('x')
      let zero = m.has('xz') ? at(m.constant('xz'), 0) : 0
      if (dtypeOf(m, 'x') === 'int8') {
        x = e.cast(e.with('add', e.cast(x, 'int32'), 128), 'uint8')
        zero += 128
      }
      let own = attributes
      const pads = (attributes.pads ?? []) as readonly number[]
      if (zero !== 0 && pads.some((p) => p !== 0)) {
        const rank = pads.length / 2
        const around = (p: readonly number[]): number[] =>
          attributes.layout === 'channelsLast' ? [0, ...p, 0] : [0, 0, ...p]
        const widths = [...around(pads.slice(0, rank)), ...around(pads.slice(rank))]
        x = e.op('pad', [x, e.list('int64', widths), e.scalar('uint8', zero)])
        own = { ...attributes, pads: pads.map(() => 0) }
      }
      const sums = b.node(op, [x, b.constant(w, `${b.nameOf(m.value('w'))}.signed`)], own, {
        name: m.node(op).name,
      })
      if (zero === 0) return sums
      const shares = weightSums(w, product).map((s) => -zero * s)
      const trailing =
        product || attributes.layout === 'channelsLast' ? [] : pads.slice(pads.length / 2).map(() => 1)
      return e.op('add', [sums, e.list('int32', shares, [shares.length, ...trailing])])
    },
    examples: [],
  }
}

/** Before lowering for a target that multiplies bytes: what these leave alone is centred. */
export const bytesRules: readonly Rule[] = [
  ...integerProducts.map(bytewise),
  ...integerProducts.map((op): Rule => {
    const rule = centre(op)
    const bytes = (m: Bindings): boolean =>
      inBytes(m) && (op === 'matMulInteger' || m.node(op).attributes.groups === 1)
    return { ...rule, unless: (m) => (bytes(m) ? 'it multiplies bytes' : rule.unless!(m)) }
  }),
]

const sameScale = (m: Bindings): boolean => {
  const [xs, ws, bs] = ['xs', 'ws', 'bs'].map((n) => numbers(m.constant(n)))
  return Array.from(bs!).every((s, i) => {
    const want = xs![0]! * ws![ws!.length > 1 ? i : 0]!
    return Math.abs(s - want) <= 1e-5 * Math.abs(want)
  })
}

/** One dequantised convolution or product between integers. The bias, where there is one, must be in the scale of the sums. */
function foldProduct(op: OpName, biased: boolean): Rule {
  const bias = biased ? ', dequantizeLinear(b!, bs!, bz!?)' : ''
  const isConv = op !== 'matMul'
  return {
    name: `fold-quantised-${op}${biased ? '-bias' : ''}`,
    says: `quantizeLinear(${op}(dequantizeLinear(x), dequantizeLinear(w)${biased ? ', dequantizeLinear(b)' : ''})) → qlinear${op[0]!.toUpperCase()}${op.slice(1)}`,
    contract: { within: 'the exact sum is rescaled in float32 instead of the operands' },
    match: `quantizeLinear(${op}(dequantizeLinear(x, xs!, xz!?), dequantizeLinear(w!, ws!, wz!?)${bias}), ys!, yz!)`,
    unless(m) {
      if (!narrow.has(dtypeOf(m, 'x')) || !narrow.has(dtypeOf(m, 'w')))
        return 'the operands are wider than 8 bits'
      if (m.constant('xs').data.length !== 1 || m.constant('ys').data.length !== 1)
        return 'activations have a scale a channel'
      const { attributes } = m.node('dequantizeLinear', 1)
      if (m.constant('ws').data.length > 1 && isConv && attributes.axis !== 0)
        return 'filters are scaled along another axis'
      if (m.constant('ws').data.length > 1 && !isConv) return 'columns are scaled apart'
      if (attributes.block !== 0) return 'filters are scaled in blocks'
      if (biased && (dtypeOf(m, 'b') !== 'int32' || !sameScale(m))) return 'the bias has a scale of its own'
      return null
    },
    rewrite(m, b) {
      const zero = (name: string, of: string): ValueId =>
        m.has(name) ? m.value(name) : b.constant(zeros(dtypeOf(m, of), []), 'zero')
      const inputs = [
        m.value('x'),
        m.value('xs'),
        zero('xz', 'x'),
        m.value('w'),
        m.value('ws'),
        zero('wz', 'w'),
        m.value('ys'),
        m.value('yz'),
        ...(biased ? [m.value('b')] : []),
      ]
      const to = isConv ? `qlinearConv${op.slice(4)}` : 'qlinearMatMul'
      return b.node(to, inputs, isConv ? m.node(op).attributes : {})
    },
    examples: [],
  }
}

/** One dequantised product with a bias, as networks end. */
const foldGemm: Rule = {
  name: 'fold-quantised-gemm',
  says: 'quantizeLinear(gemm(dequantizeLinear(x), dequantizeLinear(w), dequantizeLinear(b))) → qgemm',
  contract: { within: 'the exact sum is rescaled in float32 instead of the operands' },
  match:
    'quantizeLinear(gemm(dequantizeLinear(x, xs!, xz!?), dequantizeLinear(w!, ws!, wz!?), dequantizeLinear(b!, bs!, bz!?)), ys!, yz!)',
  unless(m) {
    if (!narrow.has(dtypeOf(m, 'x')) || !narrow.has(dtypeOf(m, 'w')))
      return 'the operands are wider than 8 bits'
    if (m.constant('xs').data.length !== 1 || m.constant('ys').data.length !== 1)
      return 'activations have a scale a row'
    const { alpha, beta, transposeB } = m.node('gemm').attributes
    if (alpha !== 1 || beta !== 1) return 'the product is scaled'
    // From the root inwards: of x, of w, of the bias.
    const { axis, block } = m.node('dequantizeLinear', 1).attributes
    if (block !== 0) return 'weights are scaled in blocks'
    const columns = transposeB ? 0 : 1
    if (m.constant('ws').data.length > 1 && axis !== columns && axis !== columns - 2)
      return 'weights are scaled along another axis'
    if (dtypeOf(m, 'b') !== 'int32' || !sameScale(m)) return 'the bias has a scale of its own'
    if (m.has('bz') && numbers(m.constant('bz')).some((z) => z !== 0)) return 'the bias has a zero point'
    return null
  },
  rewrite(m, b) {
    const zero = (name: string, of: string): ValueId =>
      m.has(name) ? m.value(name) : b.constant(zeros(dtypeOf(m, of), []), 'zero')
    const { transposeA, transposeB } = m.node('gemm').attributes
    const left = [m.value('x'), m.value('xs'), zero('xz', 'x')]
    const right = [m.value('w'), m.value('ws'), zero('wz', 'w'), m.value('b')]
    const attributes = { alpha: 1, transposeA: transposeA!, transposeB: transposeB! }
    return b.node('qgemm', [...left, ...right, m.value('ys'), m.value('yz')], attributes)
  },
  examples: [],
}

const equal = (a: Tensor, b: Tensor): boolean => a.dtype === b.dtype && String(a.data) === String(b.data)

/** The largest of dequantised values is the largest of the integers. */
const foldMaxPool = (op: 'maxPool1d' | 'maxPool2d' | 'maxPool3d'): Rule => ({
  name: `fold-quantised-${op}`,
  says: `quantizeLinear(${op}(dequantizeLinear(x, s, z)), s, z) → ${op}(x)`,
  contract: 'exact',
  match: `quantizeLinear(${op}(dequantizeLinear(x, xs!, xz!)), ys!, yz!)`,
  unless(m) {
    if (m.constant('xs').data.length !== 1 || !(at(m.constant('xs'), 0) > 0))
      return 'channels have scales of their own'
    return equal(m.constant('xs'), m.constant('ys')) && equal(m.constant('xz'), m.constant('yz'))
      ? null
      : 'the result has a scale of its own'
  },
  rewrite: (m, b) => b.node(op, [m.value('x')], m.node(op).attributes),
  examples: [],
})

/**
 * Gives every reader of a dequantised value a dequantizeLinear of its own: quantisers share them between readers, and rules take only
 * what nobody else reads.
 */
export function dequantizedApart(graph: Graph): Graph {
  const readers = consumers(graph)
  const copy = new GraphCopy(graph)
  const shared = new Map<ValueId, (name: string) => ValueId>()
  for (const n of graph.nodes) {
    const inputs = n.inputs.map((v) => (v === null ? null : (shared.get(v)?.(n.name) ?? copy.to(v))))
    const [out] = n.outputs as [ValueId]
    if (n.op === 'dequantizeLinear' && readers[out]!.length > 1 && !graph.outputs.includes(out))
      shared.set(out, (name) =>
        copy.b.node(n.op, inputs, n.attributes, { name: `${n.name}:${name}`, origin: n.origin }),
      )
    else copy.node(n, inputs)
  }
  return copy.finish()
}

/**
 * Where bytes are read as centred int16 by a product, all who dequantise them read that too: the bytes themselves are then never
 * written. For graphs after `centreRules`.
 */
export function readWide(graph: Graph): Graph {
  const made = new Map<ValueId, Node>()
  for (const n of graph.nodes) for (const v of n.outputs) made.set(v, n)
  const castOf = (v: ValueId | null | undefined, to: DType): ValueId | undefined => {
    const n = v == null ? undefined : made.get(v)
    return n?.op === 'cast' && n.attributes.to === to ? n.inputs[0]! : undefined
  }
  /** The byte value that an int32 value is, less a zero point. */
  const source = (v: ValueId): { from: ValueId; zero: number } | undefined => {
    const n = made.get(v)
    const zero = n?.op === 'sub' ? graph.values[n.inputs[1]!]!.constant : undefined
    const from = castOf(zero?.data.length === 1 ? n!.inputs[0] : v, 'int32')
    if (from === undefined) return undefined
    const { type } = graph.values[from]!
    const byte = type.kind === 'tensor' && (type.dtype === 'uint8' || type.dtype === 'int8')
    return byte && made.has(from) ? { from, zero: zero ? at(zero, 0) : 0 } : undefined
  }
  const wide = new Map<ValueId, { zero: number; value?: ValueId }>()
  /** Values that equal a wide one: as int16, or widened again. */
  const equals = new Map<ValueId, { from: ValueId; to: 'int16' | 'int32' }>()
  for (const n of graph.nodes) {
    const inner = castOf(n.outputs[0], 'int16')
    if (inner === undefined) continue
    const { type } = graph.values[inner]!
    const s =
      type.kind === 'tensor' && type.dtype !== 'int32' && made.has(inner)
        ? { from: inner, zero: 0 }
        : source(inner)
    if (!s || (wide.get(s.from)?.zero ?? s.zero) !== s.zero) continue
    wide.set(s.from, { zero: s.zero })
    equals.set(n.outputs[0]!, { from: s.from, to: 'int16' })
  }
  for (const n of graph.nodes) {
    const s = source(n.outputs[0]!)
    if (s && wide.get(s.from)?.zero === s.zero) equals.set(n.outputs[0]!, { from: s.from, to: 'int32' })
  }
  if (equals.size === 0) return graph
  const copy = new GraphCopy(graph)
  for (const n of graph.nodes) {
    const [out] = n.outputs as [ValueId]
    const same = equals.get(out)
    const e = new Emitter(copy.b, n.name)
    if (same) {
      const w = wide.get(same.from)!
      copy.set(out, same.to === 'int16' ? w.value! : e.cast(w.value!, 'int32'))
      continue
    }
    copy.node(n).forEach((v, k) => {
      const w = wide.get(n.outputs[k]!)
      if (w) w.value = e.centred(v, w.zero, 'int16')
    })
  }
  return prune(copy.finish())
}

/** Needs the graph before its weights are dequantised for good (specialize with `keep`). */
export const quantisedRules: readonly Rule[] = [
  foldGemm,
  ...(['maxPool1d', 'maxPool2d', 'maxPool3d'] as const).map(foldMaxPool),
  ...(['conv1d', 'conv2d', 'conv3d'] as const).flatMap((op) => [
    foldProduct(op, true),
    foldProduct(op, false),
  ]),
  foldProduct('matMul', false),
]
