// Sparse convolutions run along pixels, dense ones along channels. Where the two meet a value changes its memory order, which costs more
// than one sparse convolution saves. So whole regions are decided on: sparse convolutions, with the depthwise and elementwise nodes
// between them, which are as fast along pixels.

import { consumers, producers } from '../ir/graph.ts'
import type { Graph, Node, ValueId } from '../ir/types.ts'
import { isElementwise } from './fuse.ts'
import { isChannelwise } from './layout.ts'

/** Products that take as long as moving one element into another memory order (measured: about a nanosecond). */
const perElement = 64

export type Along = {
  /** Products that a sparse form of a convolution saves; undefined where it has none, or none that is faster. */
  saves(n: Node): number | undefined
  /** The same for a convolution with few zeros, were it computed so for its neighbours' sake: less than nothing. */
  joins(n: Node): number | undefined
  /** Whether a node is a depthwise convolution with a form along pixels. */
  planes(n: Node): boolean
}

const sizeOf = (graph: Graph, v: ValueId): number => {
  const t = graph.values[v]!.type
  return t.kind === 'tensor' ? (t.shape ?? []).reduce<number>((p, n) => p * Number(n), 1) : 0
}
const rankOf = (graph: Graph, v: ValueId): number => {
  const t = graph.values[v]!.type
  return t.kind === 'tensor' ? (t.shape ?? []).length : 0
}

/** Names of the convolutions, sparse and depthwise, that run along pixels. */
export function alongPixels(graph: Graph, { saves, joins, planes }: Along): Set<string> {
  const saved = graph.nodes.map((n) => saves(n))
  const member = graph.nodes.map(
    (n, i) =>
      saved[i] !== undefined || planes(n) || (isElementwise(n.op) && rankOf(graph, n.outputs[0]!) > 2),
  )
  const along = new Set<string>()
  if (!saved.some((s) => s !== undefined)) return along
  // Regions of members that a value joins.
  const parent = graph.nodes.map((_, i) => i)
  const root = (i: number): number => {
    let r = i
    while (parent[r] !== r) r = parent[r]!
    parent[i] = r
    return r
  }
  const readBy = consumers(graph)
  const values: [ValueId, number[]][] = []
  graph.nodes.forEach((n, i) => {
    for (const v of n.outputs) {
      const readers = readBy[v]!.filter(
        (r) => graph.nodes[r]!.inputs[0] === v || isElementwise(graph.nodes[r]!.op),
      )
      if (rankOf(graph, v) > 2) values.push([v, [i, ...readers]])
    }
  })
  for (const [, nodes] of values) {
    const inside = nodes.filter((i) => member[i])
    for (const i of inside) parent[root(i)] = root(inside[0]!)
  }
  // What a region saves, less the values that change their order at its border.
  const gain = new Map<number, number>()
  const add = (r: number, n: number): void => void gain.set(r, (gain.get(r) ?? 0) + n)
  saved.forEach((s, i) => {
    if (s !== undefined) add(root(i), s)
  })
  for (const [v, nodes] of values) {
    const outside = nodes.some((i) => !member[i] && isChannelwise(graph.nodes[i]!.op))
    const first = nodes.find((i) => member[i])
    if (outside && first !== undefined) add(root(first), -perElement * sizeOf(graph, v))
  }
  graph.nodes.forEach((n, i) => {
    if (member[i] && !isElementwise(n.op) && (gain.get(root(i)) ?? 0) > 0) along.add(n.name)
  })
  // A convolution before a region joins it where that costs less than the change of order between them.
  const madeBy = producers(graph)
  const accepted = (i: number): boolean => member[i] === true && (gain.get(root(i)) ?? 0) > 0
  for (const n of graph.nodes) {
    const cost = along.has(n.name) ? undefined : joins(n)
    const [v, input] = [n.outputs[0]!, n.inputs[0]!]
    if (cost === undefined || -cost > perElement * sizeOf(graph, v)) continue
    const maker = madeBy[input]!
    if (readBy[v]!.length > 0 && readBy[v]!.every(accepted) && (maker < 0 || accepted(maker)))
      along.add(n.name)
  }
  return along
}
