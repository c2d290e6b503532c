// Memory order of every value. Convolutions and pooling want channels innermost, and their padding as a border of zeros around
// their input, so that inner loops have no conditions; what lies between them follows. Values that must be row-major (graph outputs,
// what no rule covers) are.

import { integers } from '../core/tensor.ts'
import type { Graph, Node, ValueId } from '../ir/types.ts'
import { isElementwise } from './fuse.ts'
import { winogradExtra } from './lower/winograd.ts'

export type Layout = {
  /** Dimensions from the outermost in memory to the innermost. */
  readonly order: readonly number[]
  /** How many times `fill` stands before and after each dimension, by logical dimension. */
  readonly before: readonly number[]
  readonly after: readonly number[]
  readonly fill: number
  /** Unused elements behind the innermost dimension. */
  readonly gap: number
}

const shapeOf = (graph: Graph, v: ValueId): readonly number[] => {
  const t = graph.values[v]!.type
  return t.kind === 'tensor' ? ((t.shape ?? []) as readonly number[]) : []
}
const natural = (rank: number): number[] => Array.from({ length: rank }, (_, d) => d)
const channelsInnermost = (rank: number): number[] =>
  rank < 3 ? natural(rank) : [0, ...natural(rank).slice(2), 1]

const pixelsInnermost = (rank: number): number[] => [0, rank - 1, ...natural(rank).slice(1, -1)]

/** Operators over channels and pixels, by the attribute `layout`. */
const spatial =
  /^(conv\d|convTranspose|maxPool|averagePool|lpPool|batchNorm|instanceNorm|groupNorm|lrn|qlinearConv|convInteger)/
const follows: ReadonlySet<string> = new Set([
  'concat', 'slice', 'split', 'pad', 'identity', 'cast', 'resize', 'quantizeLinear', 'dequantizeLinear', 'reduceMean', 'reduceSum',
  'reduceMax', 'expand', 'tile',
]) // biome-ignore format: a table

/**
 * Pixels a multiple of 2 kB apart share one or two sets of a first-level cache, which has room for 8 or so of their lines: with a
 * register tile of many rows loads would miss (measured: from 6 rows on). One more cache line between pixels spreads them.
 */
export const gapOf = (bytes: number, rows: number): number =>
  rows > 4 && bytes > 0 && bytes % 2048 === 0 ? 16 : 0

/** Whether an operator wants channels innermost. */
export const isChannelwise = (op: string): boolean => spatial.test(op)

/** `rows`: of the engine's register tile; `sparse`: whether a convolution runs along pixels; `own`: whether it sees to its padding itself. */
export function layouts(
  graph: Graph,
  rows: number,
  sparse: (n: Node) => boolean = () => false,
  own: (n: Node) => boolean = () => false,
): (Layout | undefined)[] {
  const order: (readonly number[] | undefined)[] = graph.values.map(() => undefined)
  const orderOf = (v: ValueId): readonly number[] => order[v] ?? natural(shapeOf(graph, v).length)
  // What elementwise chains from a graph input lead to.
  const wanted: (readonly number[] | undefined)[] = graph.values.map(() => undefined)
  for (const n of [...graph.nodes].reverse()) {
    const [first] = n.inputs
    if (first != null && sparse(n))
      wanted[first] =
        n.attributes.layout === 'channelsLast'
          ? pixelsInnermost(shapeOf(graph, first).length)
          : natural(shapeOf(graph, first).length)
    else if (spatial.test(n.op) && n.attributes.layout === 'channelsFirst' && first != null)
      wanted[first] = channelsInnermost(shapeOf(graph, first).length)
    else if (n.op === 'pad' && first != null) wanted[first] ??= wanted[n.outputs[0]!]
    else if (isElementwise(n.op))
      for (const v of n.inputs) if (v !== null) wanted[v] ??= wanted[n.outputs[0]!]
  }
  for (const n of graph.nodes) {
    for (const v of n.outputs) order[v] = orderFor(n, shapeOf(graph, v).length)
  }
  function orderFor(n: Node, rank: number): readonly number[] {
    const first = n.inputs[0]
    // Sparse products run along the pixels.
    if (sparse(n)) return n.attributes.layout === 'channelsLast' ? pixelsInnermost(rank) : natural(rank)
    if (spatial.test(n.op))
      return n.attributes.layout === 'channelsLast' ? natural(rank) : channelsInnermost(rank)
    if (n.op === 'transpose' && first != null) {
      const p = (n.attributes.permutation as readonly number[] | undefined) ?? natural(rank).reverse()
      return orderOf(first).map((d) => p.indexOf(d))
    }
    if (isElementwise(n.op) || follows.has(n.op)) {
      // The largest operand of the same rank leads.
      let best: ValueId | undefined
      for (const v of n.inputs) {
        if (v === null || graph.values[v]!.constant || shapeOf(graph, v).length !== rank) continue
        if (best === undefined || size(shapeOf(graph, v)) > size(shapeOf(graph, best))) best = v
      }
      const want = wanted[n.outputs[0]!]
      if (want?.length === rank && (best === undefined || !order[best])) return want
      if (best !== undefined) return orderOf(best)
    }
    return natural(rank)
  }

  const before: number[][] = graph.values.map((_, v) => shapeOf(graph, v).map(() => 0))
  const after: number[][] = before.map((b) => [...b])
  const gap = graph.values.map(() => 0)
  for (const n of graph.nodes) {
    if (!/^conv(Integer)?\dd$/.test(n.op) || n.inputs[0] == null || own(n)) continue
    const v = n.inputs[0]
    const pads = n.attributes.pads as readonly number[]
    const strides = n.attributes.strides as readonly number[]
    const rank = pads.length / 2
    const start = n.attributes.layout === 'channelsLast' ? 1 : 2
    // Integer products take channels in pairs, or bytes in fours.
    const channel = start === 1 ? rank + 1 : 1
    if (n.op.startsWith('convInteger') && n.attributes.groups === 1) {
      const { type } = graph.values[v]!
      const together = type.kind === 'tensor' && type.dtype === 'uint8' ? 4 : 2
      after[v]![channel] = -shapeOf(graph, v)[channel]! & (together - 1)
    }
    if (n.op === 'conv2d' && n.attributes.groups === 1 && orderOf(v).at(-1) === channel)
      gap[v] = Math.max(gap[v]!, gapOf(4 * shapeOf(graph, v)[channel]! * strides.at(-1)!, rows))
    for (let d = 0; d < rank; d++) {
      before[v]![start + d] = Math.max(before[v]![start + d]!, pads[d]!)
      after[v]![start + d] = Math.max(after[v]![start + d]!, pads[d + rank]! + extra(n, d, start))
    }
  }
  // Room for constant padding around what is padded: the padded value is then a view of it.
  const fill = graph.values.map(() => 0)
  for (const n of [...graph.nodes].reverse()) {
    const padding = n.op === 'pad' ? constantPadding(graph, n) : undefined
    const [v, out] = [n.inputs[0], n.outputs[0]!]
    if (!padding || v == null || graph.values[v]!.constant || graph.inputs.includes(v)) continue
    const rank = shapeOf(graph, v).length
    const bordered = before[v]!.some((b, d) => b > 0 || after[v]![d]! > 0)
    if (bordered && fill[v] !== padding.value) continue
    fill[v] = padding.value
    for (let d = 0; d < rank; d++) {
      before[v]![d] = Math.max(before[v]![d]!, padding.before[d]! + before[out]![d]!)
      after[v]![d] = Math.max(after[v]![d]!, padding.after[d]! + after[out]![d]!)
    }
  }
  /** Whole tiles of Winograd's algorithm may reach beyond the padded image. */
  function extra(n: Node, d: number, start: number): number {
    const out = shapeOf(graph, n.outputs[0]!)
    const filter = shapeOf(graph, n.inputs[1]!)
    const largest = n.op === 'conv2d' && filter[2] === 3 ? 4 : 2
    return isWinograd(n, filter) ? winogradExtra(out[start + d]!, largest) : 0
  }
  return graph.values.map((_, v) => ({
    order: orderOf(v),
    before: before[v]!,
    after: after[v]!,
    fill: fill[v]!,
    gap: gap[v]!,
  }))
}

/** Of a `pad` that surrounds its operand with a constant. */
function constantPadding(
  graph: Pick<Graph, 'values'>,
  n: Pick<Node, 'inputs' | 'attributes'>,
): { before: number[]; after: number[]; value: number } | undefined {
  const [pads, value, axes] = [1, 2, 3].map((i) => n.inputs[i])
  if (n.attributes.mode !== 'constant' || pads == null || axes != null) return undefined
  const [widths, filled] = [
    graph.values[pads]!.constant,
    value == null ? undefined : graph.values[value]!.constant,
  ]
  if (!widths || (value != null && !filled)) return undefined
  const all = integers(widths)
  if (all.some((p) => p < 0)) return undefined
  const rank = all.length / 2
  return { before: all.slice(0, rank), after: all.slice(rank), value: filled ? Number(filled.data[0]) : 0 }
}

/** A convolution that Winograd's algorithm could run. */
export const isWinograd = (
  n: { readonly op: string; readonly attributes: Node['attributes'] },
  filter: readonly number[],
): boolean =>
  (n.op === 'conv2d' || n.op === 'convInteger2d') &&
  n.attributes.groups === 1 &&
  (n.op === 'conv2d' ? ['3,3', '5,5'] : ['3,3']).includes(String(filter.slice(2))) &&
  String(n.attributes.strides) === '1,1' &&
  String(n.attributes.dilations) === '1,1'

const size = (s: readonly number[]): number => s.reduce((a, b) => a * b, 1)
