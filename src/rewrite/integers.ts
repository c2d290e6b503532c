// Rules that lead quantised networks to exact integer products: dequantise → product → quantise becomes one quantised product, and
// integer products get operands whose zero points are subtracted already, in int16.

import { type DType, store } from '../core/dtype.ts'
import { at, numbers, type Tensor, zeros } from '../core/tensor.ts'
import type { GraphBuilder } from '../ir/graph.ts'
import type { OpName } from '../ir/ops/index.ts'
import type { ValueId } from '../ir/types.ts'
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

/** Needs the graph before its weights are dequantised for good (specialize with `keep`). */
export const quantisedRules: readonly Rule[] = [
  ...(['conv1d', 'conv2d', 'conv3d'] as const).flatMap((op) => [
    foldProduct(op, true),
    foldProduct(op, false),
  ]),
  foldProduct('matMul', false),
]
