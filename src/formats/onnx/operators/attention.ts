// Attention and RotaryEmbedding of opset 23 and later, written out in plain operators.

import { type DType, dtypes } from '../../../core/dtype.ts'
import type { ValueId } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'
import { dtypeCodes } from '../tensors.ts'

/** [N, S, heads · D] as [N, heads, S, D]; four dimensions stay. */
function byHeads(c: Call, x: ValueId, heads: number | undefined): ValueId {
  if (c.typeOf(x).shape?.length === 4) return x
  if (!heads) c.fail('three dimensions need q_num_heads and kv_num_heads')
  return c.mid('transpose', [c.mid('reshape', [x, c.int64([0, 0, heads, -1])])], {
    permutation: [0, 2, 1, 3],
  })
}

/** The extent of a dimension as an int64 tensor of one element. */
const extent = (c: Call, x: ValueId, axis: number): ValueId => {
  const rank = c.typeOf(x).shape?.length ?? c.open('an input of unknown rank')
  const start = axis < 0 ? axis + rank : axis
  return c.mid('shape', [x], { start, end: start + 1 })
}

/** 0, 1, … as int64 along a new last (or last but one) dimension. */
function positions(c: Call, x: ValueId, axis: number, asRow: boolean): ValueId {
  const n = c.mid('squeeze', [extent(c, x, axis)], { axes: [0] })
  const range = c.mid('range', [c.scalar('int64', 0), n, c.scalar('int64', 1)])
  return asRow ? range : c.mid('unsqueeze', [range], { axes: [1] })
}

/** 0 where a condition holds, −∞ elsewhere. */
const bias = (c: Call, allowed: ValueId, dtype: DType): ValueId =>
  c.mid('where', [allowed, c.scalar(dtype, 0), c.scalar(dtype, -Infinity)])

/** The mask widened by what it doesn't speak of, which is masked. */
function widened(c: Call, mask: ValueId, keys: ValueId): ValueId {
  const { dtype, shape } = c.typeOf(mask)
  const [have, want] = [shape?.at(-1), c.typeOf(keys).shape?.at(-2)]
  if (typeof have === 'number' && have === want) return mask
  const rank = shape?.length ?? c.open('a mask of unknown rank')
  const missing = c.mid('sub', [extent(c, keys, -2), extent(c, mask, -1)])
  const pads = c.mid('concat', [c.int64(new Array<number>(2 * rank - 1).fill(0)), missing], { axis: 0 })
  return c.mid('pad', [mask, pads, c.scalar(dtype, dtype === 'bool' ? 0 : -Infinity)])
}

/** What is added to the scores: the mask, the causal frontier, the padding; null where there is nothing. */
function scoreBias(c: Call, q: ValueId, k: ValueId, dtype: DType): ValueId | null {
  const parts: ValueId[] = []
  const mask = c.get(3)
  if (mask !== null) {
    const wide = widened(c, mask, k)
    parts.push(c.typeOf(wide).dtype === 'bool' ? bias(c, wide, dtype) : c.cast(wide, dtype))
  }
  const nonpad = c.get(6)
  const columns = (): ValueId => positions(c, k, -2, true)
  // [N] as [N, 1, 1, 1]: one number a batch entry.
  const perBatch = (v: ValueId): ValueId => c.mid('reshape', [v, c.int64([-1, 1, 1, 1])])
  if (c.flag('is_causal')) {
    const past = c.get(4)
    const offset =
      past !== null
        ? extent(c, past, 2)
        : nonpad !== null
          ? perBatch(c.mid('sub', [nonpad, extent(c, q, -2)]))
          : c.int64([0])
    const last = c.mid('add', [positions(c, q, -2, false), offset])
    parts.push(bias(c, c.mid('lessEqual', [columns(), last]), dtype))
  }
  if (nonpad !== null) parts.push(bias(c, c.mid('less', [columns(), perBatch(nonpad)]), dtype))
  return parts.length ? parts.reduce((a, b) => c.mid('add', [a, b])) : null
}

/** Each head of keys or values as often as queries share it. */
function shared(c: Call, x: ValueId, queries: number, heads: number): ValueId {
  if (queries === heads) return x
  const [size] = c.fixed([c.typeOf(x).shape?.[3] ?? null], 'a head') as [number]
  const each = c.mid('expand', [
    c.mid('unsqueeze', [x], { axes: [2] }),
    c.int64([1, 1, queries / heads, 1, 1]),
  ])
  return c.mid('reshape', [each, c.int64([0, queries, -1, size])])
}

const attention: Row = (c) => {
  for (const name of ['left_window_size', 'right_window_size'])
    if (c.int(name, -1) >= 0) throw new NotSupported(`Attention with ${name}`)
  const { dtype } = c.type(0)
  const flat = c.rank(0) === 3
  const [q, newK, newV] = [
    byHeads(c, c.in(0), c.int('q_num_heads', 0)),
    byHeads(c, c.in(1), c.int('kv_num_heads', 0)),
    byHeads(c, c.in(2), c.int('kv_num_heads', 0)),
  ]
  const joined = (past: number, now: ValueId): ValueId =>
    c.get(past) === null ? now : c.mid('concat', [c.in(past), now], { axis: 2 })
  const [k, v] = [joined(4, newK), joined(5, newV)]
  const [heads, kvHeads] = c.fixed(
    [c.typeOf(q).shape?.[1] ?? null, c.typeOf(k).shape?.[1] ?? null],
    'heads',
  ) as [number, number]
  const [size] = c.fixed([c.typeOf(q).shape?.[3] ?? null], 'a head') as [number]
  // Both sides get the root of the scale, as ONNX has it for the sake of float16.
  const root = c.scalar(dtype, Math.sqrt(c.has('scale') ? c.float('scale') : 1 / Math.sqrt(size)))
  const turned = c.mid('transpose', [shared(c, k, heads, kvHeads)], { permutation: [0, 1, 3, 2] })
  const raw = c.mid('matMul', [c.mid('mul', [q, root]), c.mid('mul', [turned, root])])
  const cap = c.float('softcap', 0)
  const limit = (): ValueId => c.scalar(dtype, cap)
  const capped = cap > 0 ? c.mid('mul', [c.mid('tanh', [c.mid('div', [raw, limit()])]), limit()]) : raw
  const added = scoreBias(c, q, k, dtype)
  const scores = added === null ? capped : c.mid('add', [capped, added])
  const precision = c.int('softmax_precision', 0)
  const wide = precision ? (dtypes.find((d) => dtypeCodes[d] === precision) ?? dtype) : dtype
  let weights = c.cast(c.mid('softmax', [c.cast(scores, wide)], { axis: -1 }), dtype)
  if (added !== null) {
    // A row without any key allowed weighs nothing.
    const most = c.mid('reduceMax', [added, c.int64([-1], 'axes')])
    const none = c.mid('equal', [most, c.scalar(dtype, -Infinity)])
    weights = c.mid('where', [none, c.scalar(dtype, 0), weights])
  }
  const product = [weights, shared(c, v, heads, kvHeads)]
  let y: ValueId
  if (flat) {
    const rows = c.mid('transpose', [c.mid('matMul', product)], { permutation: [0, 2, 1, 3] })
    y = c.outs(1, 'reshape', [rows, c.int64([0, 0, -1])])[0]!
  } else y = c.outs(1, 'matMul', product)[0]!
  const stage = [raw, capped, scores, weights][c.int('qk_matmul_output_mode', 0)] ?? raw
  return [y, ...[k, v, stage].map((x, i) => named(c, i + 1, x))].slice(0, Math.max(1, c.outputCount))
}

/** Another output of the node, under the file's name. */
const named = (c: Call, output: number, x: ValueId): ValueId =>
  c.node.output[output]
    ? c.b.node(
        'identity',
        [x],
        {},
        { name: `${c.name}/output${output}`, outputs: [c.node.output[output]], origin: [c.name] },
      )
    : x

/** Rotates pairs of the first features of each head by angles that the caches hold. */
const rotaryEmbedding: Row = (c) => {
  const rank = c.rank(0)
  const heads = c.int('num_heads', 0)
  if (rank === 3 && !heads) c.fail('three dimensions need num_heads')
  // [N, S, H, D] from three dimensions, [N, H, S, D] as it is from four.
  const x = rank === 3 ? c.mid('reshape', [c.in(0), c.int64([0, 0, heads, -1])]) : c.in(0)
  const [size] = c.fixed([c.typeOf(x).shape?.[3] ?? null], 'a head') as [number]
  const turned = c.int('rotary_embedding_dim', 0) || size
  const cache = (i: number): ValueId => {
    const rows = c.get(3) === null ? c.in(i) : c.mid('gather', [c.in(i), c.in(3)], { axis: 0 })
    return c.mid('unsqueeze', [rows], { axes: [rank === 3 ? 2 : 1] })
  }
  const [cos, sin] = [cache(1), cache(2)]
  const part = (from: number, to: number, step = 1): ValueId =>
    c.mid('slice', [x, c.int64([from]), c.int64([to]), c.int64([3]), c.int64([step])])
  const interleaved = c.flag('interleaved')
  const [a, b] = interleaved
    ? [part(0, turned, 2), part(1, turned, 2)]
    : [part(0, turned / 2), part(turned / 2, turned)]
  const times = (p: ValueId, r: ValueId): ValueId => c.mid('mul', [p, r])
  const real = c.mid('sub', [times(cos, a), times(sin, b)])
  const imaginary = c.mid('add', [times(sin, a), times(cos, b)])
  const both = interleaved
    ? c.mid('reshape', [
        c.mid(
          'concat',
          [real, imaginary].map((p) => c.mid('unsqueeze', [p], { axes: [4] })),
          { axis: 4 },
        ),
        c.int64([0, 0, 0, turned]),
      ])
    : c.mid('concat', [real, imaginary], { axis: 3 })
  const all = turned < size ? [both, part(turned, size)] : [both]
  if (rank === 4) return c.out('concat', all, { axis: 3 })
  return c.out('reshape', [c.mid('concat', all, { axis: 3 }), c.int64([0, 0, -1])])
}

export const attentions: Record<string, Row> = { Attention: attention, RotaryEmbedding: rotaryEmbedding }
