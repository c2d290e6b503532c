// Matrix products with numpy's semantics, as contractions.

import { sizeOf } from '../../core/tensor.ts'
import { rounded } from '../formula.ts'
import { gapOf } from '../layout.ts'
import { broadcastTo, type View } from '../view.ts'
import { copy, type Lower, type Lowering } from './lowering.ts'
import { arithmetic, atWidth, centredOnly, contraction, fitted, packed, pairOf } from './panels.ts'

export const matMul: Lower = (start) => {
  let x = start
  const { type } = arithmetic(x)
  const [a, b] = x.inputs as [View, View]
  const left = a.shape.length === 1 ? { ...a, shape: [1, ...a.shape], strides: [0, ...a.strides] } : a
  const right = b.shape.length === 1 ? { ...b, shape: [...b.shape, 1], strides: [...b.strides, 0] } : b
  const [m, depth, columns] = [left.shape.at(-2)!, left.shape.at(-1)!, right.shape.at(-1)!]
  const out = x.output(0)
  const lead = out.shape.slice(
    0,
    out.shape.length - (a.shape.length > 1 ? 1 : 0) - (b.shape.length > 1 ? 1 : 0),
  )
  const l = broadcastTo(spread(x, left, columns), [...lead, m, depth])
  const r = broadcastTo(right, [...lead, depth, columns])
  // A result as [lead…, m, columns], whatever dimensions the operands lacked.
  const full = (v: View): View => {
    const shape = [...lead, m, columns]
    const at = lead.length
    const strides = [
      ...v.strides.slice(0, at),
      a.shape.length > 1 ? v.strides[at]! : 0,
      b.shape.length > 1 ? v.strides.at(-1)! : 0,
    ]
    return { ...v, shape, strides }
  }
  // Where the right side is shared by all leading dimensions, they are rows too.
  const shared = lead.every((_, d) => r.strides[d] === 0)
  const n = lead.length
  const split = (v: View): { groups: number[]; rows: number[] } =>
    shared
      ? { groups: [], rows: v.strides.slice(0, n + 1) }
      : { groups: v.strides.slice(0, n), rows: [v.strides[n]!] }
  const chosen = x.schedule({
    integer: type !== 'float32',
    rows: (shared ? sizeOf(lead) : 1) * m,
    depth,
    columns,
    winograd: undefined,
  })
  x = atWidth(x, chosen)
  const { lanes } = arithmetic(x)
  const s = fitted(chosen, lanes)
  const groups = shared ? [] : lead
  const pair = pairOf(x, lanes, l.strides.at(-1)!, depth)
  // The depth as one tap of many channels.
  const source = shared ? { ...r, shape: r.shape.slice(n), strides: r.strides.slice(n) } : r
  const at = source.shape.length - 2
  const panels = packed(
    x,
    {
      view: {
        ...source,
        shape: [...source.shape.slice(0, at), 1, ...source.shape.slice(at)],
        strides: [...source.strides.slice(0, at), 0, ...source.strides.slice(at)],
      },
      tensor: x.constants[1],
    },
    s,
    pair,
  )
  const result = full(out)
  contraction(x, x.op, s, {
    type,
    pair,
    groups,
    rows: shared ? [...lead, m] : [m],
    depth: [depth],
    columns,
    left: { buffer: l.buffer, offset: l.offset, ...split(l), depth: [l.strides.at(-1)!] },
    right: panels,
    out: { buffer: out.buffer, offset: out.offset, ...split(result), column: result.strides.at(-1)! },
    operands: x.epilogue.operands.map((o) => {
      const v = full(o)
      return { buffer: o.buffer, offset: o.offset, ...split(v), column: v.strides.at(-1)! }
    }),
    finish: (sum, operands, width) => x.epilogue.apply(rounded(sum, x.types[0]!.dtype), operands, width),
  })
}

export const matMulInteger = centredOnly(matMul)

/** The left side as a copy whose rows lie in different sets of the first-level cache (see `gapOf`), where that pays. */
function spread(x: Lowering, v: View, columns: number): View {
  const [rows, depth] = [v.shape.at(-2)!, v.shape.at(-1)!]
  // Measured: at 2 kB a copy costs what it gains, at 4 kB (1024 × 1024 × 1024) the product gets a quarter faster.
  const bytes = 4 * v.strides.at(-2)!
  const gap = v.strides.at(-1) === 1 && bytes % 4096 === 0 ? gapOf(bytes, x.engine.tile[0]) : 0
  if (gap === 0 || v.dtype !== 'float32' || rows < 16 || columns < 256) return v
  const strides = v.shape.map((_, d) =>
    d === v.shape.length - 1 ? 1 : sizeOf(v.shape.slice(d + 1, -1)) * (depth + gap),
  )
  const buffer = x.program.buffer(`${x.op}.spread`, v.dtype, v.shape[0]! * strides[0]!, 'temp')
  const to: View = { buffer, dtype: v.dtype, shape: v.shape, strides, offset: 0 }
  copy(x, v, to, 'spread')
  return to
}
