// Sparse convolutions run along pixels, dense ones along channels. A sparse convolution between dense neighbours pays for two changes
// of memory order, which costs more than its zeros save; between its like, graph inputs and outputs it pays for none.

import { consumers, producers } from '../ir/graph.ts'
import type { Graph, Node, ValueId } from '../ir/types.ts'
import { isElementwise } from './fuse.ts'

/** A dense pointwise convolution of stride 1 without padding: what reads pixels in place. */
const isPointwise = (graph: Graph, n: Node): boolean => {
  const filter = n.inputs[1] == null ? undefined : graph.values[n.inputs[1]]!.constant
  return (
    /^conv\dd$/.test(n.op) &&
    filter !== undefined &&
    n.attributes.groups === 1 &&
    filter.shape.slice(2).every((k) => k === 1) &&
    [...(n.attributes.strides as readonly number[])].every((s) => s === 1) &&
    [...(n.attributes.pads as readonly number[])].every((p) => p === 0)
  )
}

/** Elementwise nodes in a row that are looked across. */
const reach = 6

/** Names of the convolutions that have a neighbour, across elementwise nodes, which wants channels innermost. */
export function apartConvolutions(graph: Graph): Set<string> {
  const madeBy = producers(graph)
  const readBy = consumers(graph)
  /** Whether what makes a value (or reads it) is at home along pixels. */
  const before = (v: ValueId, depth = 0): boolean => {
    const n = madeBy[v]! >= 0 ? graph.nodes[madeBy[v]!]! : undefined
    if (!n || isPointwise(graph, n)) return true
    return depth < reach && isElementwise(n.op) && n.inputs.every((i) => i === null || before(i, depth + 1))
  }
  const after = (v: ValueId, depth = 0): boolean =>
    readBy[v]!.every((i) => {
      const n = graph.nodes[i]!
      if (isElementwise(n.op)) return depth < reach && after(n.outputs[0]!, depth + 1)
      return isPointwise(graph, n) || /^reduce/.test(n.op)
    })
  const apart = graph.nodes.filter(
    (n) => /^conv\dd$/.test(n.op) && !(isPointwise(graph, n) && before(n.inputs[0]!) && after(n.outputs[0]!)),
  )
  return new Set(apart.map((n) => n.name))
}
