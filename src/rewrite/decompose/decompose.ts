// Decomposition: operators that a target has no kernel for become simpler ones, down to the core.

import { BugError } from '../../core/errors.ts'
import { type GraphBuilder, GraphCopy, prune } from '../../ir/graph.ts'
import type { Attributes, Graph, Type, ValueId } from '../../ir/types.ts'

/** Builds a node's results from simpler operators. Inputs that are absent are null. */
export type Decomposition = (
  b: GraphBuilder,
  inputs: readonly (ValueId | null)[],
  node: { readonly attributes: Attributes; readonly name: string; readonly types: readonly Type[] },
) => readonly ValueId[]

export type Decompositions = Readonly<Record<string, Decomposition>>

/** The graph with every node that `keep` refuses decomposed, again and again, as far as the table goes. */
export function decompose(
  graph: Graph,
  table: Decompositions,
  keep: (op: string) => boolean,
  depth = 8,
): Graph {
  if (!graph.nodes.some((n) => !keep(n.op) && table[n.op])) return graph
  if (depth === 0) throw new BugError('decompose: operators decompose into each other')
  const copy = new GraphCopy(graph)
  const { b } = copy
  for (const n of graph.nodes) {
    const rule = keep(n.op) ? undefined : table[n.op]
    if (!rule) {
      copy.node(n)
      continue
    }
    const inputs = copy.operands(n)
    const before = b.size()
    const types = n.outputs.map((v) => graph.values[v]!.type)
    const made = rule(b, inputs, { attributes: n.attributes, name: n.name, types })
    b.mark(before, [...n.origin, `decompose-${n.op}`])
    n.outputs.forEach((v, k) => {
      if (made[k] !== undefined) copy.set(v, made[k])
    })
  }
  return decompose(prune(copy.finish()), table, keep, depth - 1)
}
