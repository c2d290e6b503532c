// In words: how do two stretches of nodes that should do the same differ?

import { bfloat16Bits, bfloat16Value, isInteger } from '../core/dtype.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import type { Graph, Node, Value } from '../ir/types.ts'
import { align, inLayoutOf } from './align.ts'

/** What a value means: dequantised where the file says how. */
export function realOf(t: Tensor, v: Value): Tensor {
  const q = v.quantization
  if (!q || !isInteger(t.dtype)) return t
  const values = numbers(t)
  const inner = q.scale.length > 1 ? t.shape.slice(q.axis + 1).reduce((a, d) => a * d, 1) : 1
  const data = new Float64Array(values.length)
  for (let i = 0; i < data.length; i++) {
    const c = q.scale.length > 1 ? Math.floor(i / inner) % q.scale.length : 0
    data[i] = (values[i]! - (q.zeroPoint[c] ?? q.zeroPoint[0] ?? 0)) * q.scale[c]!
  }
  return { dtype: 'float64', shape: t.shape, data }
}

const products: ReadonlySet<string> = new Set([
  'conv1d', 'conv2d', 'conv3d', 'convTranspose1d', 'convTranspose2d', 'convTranspose3d', 'matMul', 'matMulInteger', 'convInteger',
  'lstm', 'gru', 'rnn',
]) // biome-ignore format: a list

/** Whether a node is a product with constant weights: a landmark in both graphs. */
export const weightsOf = (g: Graph, n: Node): Tensor | null => {
  if (!products.has(n.op) && !/conv|fullyConnected|matMul/i.test(n.op)) return null
  let best: Tensor | null = null
  for (const v of n.inputs) {
    const c = v === null ? undefined : g.values[v]!.constant
    if (c && c.dtype !== 'string' && (!best || c.data.length > best.data.length)) best = c
  }
  return best
}

export type Said = {
  readonly node: number
  readonly says: string
  /** The weights are those of the other graph, held in fewer bits. */
  readonly coarser?: boolean
}

/** The operator under its plain name: integer forms bear a prefix. */
const family = (op: string): string =>
  op
    .replace(/^(tflite|qLinear|quantized)/i, '')
    .replace(/integer/i, '')
    .replace(/^fullyConnected$/i, 'matMul')
    .toLowerCase()

/** A window's padding with that of `pad` nodes in its region, as text: converters write either. */
function paddingOf(g: Graph, nodes: readonly number[], n: Node): string {
  const total = [...((n.attributes.pads ?? []) as readonly number[])]
  const rank = total.length / 2
  for (const i of nodes) {
    const pad = g.nodes[i]!
    if (pad.op !== 'pad') continue
    const amounts = pad.inputs[1] == null ? undefined : g.values[pad.inputs[1]]!.constant
    if (!amounts || amounts.data.length !== 2 * (rank + 2)) continue
    const first = n.attributes.layout === 'channelsLast' ? 1 : 2
    const v = numbers(amounts)
    for (let d = 0; d < rank; d++) {
      total[d]! += v[first + d]!
      total[d + rank]! += v[first + d + rank + 2]!
    }
  }
  return total.join()
}

/** Attributes that say how a format writes things down, not what is computed. */
const spelling: ReadonlySet<string> = new Set([
  'layout',
  'permutation',
  'axis',
  'axes',
  'keepDims',
  'noopWithEmptyAxes',
])

/** What differs between two regions that should do the same: attributes and weights of nodes of the same operator. */
export function differences(
  a: Graph,
  nodesA: readonly number[],
  b: Graph,
  nodesB: readonly number[],
): Said[] {
  const out: Said[] = []
  const free = [...nodesA]
  const constantOf = (g: Graph, v: number | null | undefined): Tensor | undefined => {
    const value = v == null ? undefined : g.values[v]!
    return value?.constant && value.constant.dtype !== 'string' ? realOf(value.constant, value) : undefined
  }
  for (const i of nodesB) {
    const n = b.nodes[i]!
    const at = free.findIndex((j) => family(a.nodes[j]!.op) === family(n.op))
    if (at < 0) continue
    const m = a.nodes[free.splice(at, 1)[0]!]!
    for (const [key, value] of Object.entries(n.attributes)) {
      const other = m.attributes[key]
      if (key === 'pads' && paddingOf(a, nodesA, m) === paddingOf(b, nodesB, n)) continue
      const plain = (v: unknown): string =>
        Array.isArray(v)
          ? `[${v.join(', ')}]`
          : typeof v === 'number'
            ? String(Number(v.toPrecision(7)))
            : String(v)
      if ((typeof value === 'object' && !Array.isArray(value)) || spelling.has(key)) continue
      if (other !== undefined && plain(other) !== plain(value))
        out.push({ node: i, says: `${n.op} ${key} ${plain(value)} against ${plain(other)}` })
    }
    n.inputs.forEach((v, k) => {
      const [cb, ca] = [constantOf(b, v), constantOf(a, m.inputs[k])]
      if (!ca || !cb) return
      const found = weightDifference(ca, cb)
      const what = k === 1 ? 'weights' : k === 2 ? 'bias' : `input ${k}`
      if (found) out.push({ node: i, ...found, says: `${n.op} ${what} ${found.says}` })
    })
  }
  return out
}

/** Formats that weights may have been rounded to, the finest first: what a weight becomes, or the largest move of any. */
const rounded: readonly {
  readonly to: string
  readonly fits: (x: ArrayLike<number>, y: ArrayLike<number>, top: number, moved: number) => boolean
}[] = [
  {
    to: 'float16',
    fits: (x, y) =>
      every(
        y,
        (v, i) => v === Math.f16round(v) && Math.abs(v - x[i]!) <= 2 ** -10 * Math.abs(x[i]!) + 2 ** -24,
      ),
  },
  {
    to: 'bfloat16',
    fits: (x, y) =>
      every(
        y,
        (v, i) => v === bfloat16Value(bfloat16Bits(v)) && Math.abs(v - x[i]!) <= 2 ** -7 * Math.abs(x[i]!),
      ),
  },
  // A step of 2·top/(2^bits − 1) moves a weight by half of it; a zero point off centre or a range beyond the weights costs more.
  { to: '16 bits', fits: (_x, _y, top, moved) => moved <= (1.1 * top) / 65535 },
  { to: '8 bits', fits: (_x, _y, top, moved) => moved <= (1.1 * top) / 255 },
  { to: '4 bits', fits: (_x, _y, top, moved) => moved <= (1.1 * top) / 15 },
]
function every(values: ArrayLike<number>, holds: (v: number, i: number) => boolean): boolean {
  for (let i = 0; i < values.length; i++) if (!holds(values[i]!, i)) return false
  return true
}

/** In words how weights b differ from a: scaled, coarser, in another order, or partly changed; null where they are the same. */
function weightDifference(a: Tensor, b: Tensor): { says: string; coarser?: boolean } | null {
  if (a.data.length !== b.data.length)
    return { says: `of ${b.data.length} elements against ${a.data.length}` }
  const alignment = align(a, b, 1e-6)
  if (!alignment || alignment.error <= 1e-6) return null
  const [x, y] = [numbers(inLayoutOf(a, b.shape, alignment)), numbers(b)]
  let [xx, xy, changed, top, moved] = [0, 0, 0, 0, 0]
  for (let i = 0; i < x.length; i++) {
    xx += x[i]! * x[i]!
    xy += x[i]! * y[i]!
    if (x[i] !== y[i]) changed++
    top = Math.max(top, Math.abs(x[i]!))
    moved = Math.max(moved, Math.abs(x[i]! - y[i]!))
  }
  const scale = xx > 0 ? xy / xx : 1
  let rest = 0
  for (let i = 0; i < x.length; i++) rest = Math.max(rest, Math.abs(y[i]! - scale * x[i]!))
  if (Math.abs(scale - 1) > 1e-6 && rest <= 1e-3 * Math.abs(scale - 1) * top)
    return { says: `scaled by ${scale.toPrecision(4)}` }
  // Rounding moves nearly all weights a little; a changed few is a fault however small.
  if (changed > x.length / 2) {
    const format = rounded.find((r) => r.fits(x, y, top, moved))
    if (format) return { says: `rounded to ${format.to}`, coarser: true }
  }
  const [p, q] = [Float64Array.from(x).sort(), Float64Array.from(y).sort()]
  if (p.every((v, i) => Math.abs(v - q[i]!) <= 1e-6 * top)) return { says: 'in another order' }
  return { says: `differ in ${changed} of ${x.length}` }
}

/** Whether the first product's weights are a's with the input channels reversed (BGR for RGB). */
export function channelOrder(
  a: Graph,
  nodesA: readonly number[],
  b: Graph,
  nodesB: readonly number[],
): Said | null {
  for (const i of nodesB) {
    const wb = weightsOf(b, b.nodes[i]!)
    if (!wb || wb.shape.length < 3) continue
    for (const j of nodesA) {
      const wa = weightsOf(a, a.nodes[j]!)
      if (!wa || wa.data.length !== wb.data.length || wa.shape[1] !== wb.shape[1] || (wa.shape[1] ?? 0) < 2)
        continue
      const channels = wa.shape[1]!
      const inner = wa.shape.slice(2).reduce((p, d) => p * d, 1)
      const [x, y] = [numbers(wa), numbers(wb)]
      let reversed = true
      for (let k = 0; k < x.length && reversed; k++) {
        const c = Math.floor(k / inner) % channels
        const mirror = k + (channels - 1 - 2 * c) * inner
        if (Math.abs(x[mirror]! - y[k]!) > 1e-6 * (Math.abs(y[k]!) + 1e-6)) reversed = false
      }
      if (reversed && x.some((v, k) => v !== y[k]))
        return { node: i, says: 'input channels in reversed order (BGR for RGB)' }
    }
  }
  return null
}
