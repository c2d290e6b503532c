// Decomposition: operators that a target has no kernel for become simpler ones, down to the core.

import { BugError } from '../../core/errors.ts'
import { GraphBuilder, prune } from '../../ir/graph.ts'
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
  const b = new GraphBuilder(graph.name)
  const map = new Map<ValueId, ValueId>()
  for (const v of graph.inputs)
    map.set(v, b.input(graph.values[v]!.name, graph.values[v]!.type, graph.values[v]!.quantization))
  const to = (v: ValueId | null): ValueId | null => {
    if (v === null) return null
    let id = map.get(v)
    if (id === undefined) {
      const value = graph.values[v]!
      if (!value.constant) throw new BugError(`decompose: ${value.name} is used before it is made`)
      id = b.constant(value.constant, value.name, value.quantization)
      map.set(v, id)
    }
    return id
  }
  for (const n of graph.nodes) {
    const inputs = n.inputs.map(to)
    const rule = keep(n.op) ? undefined : table[n.op]
    if (rule) {
      const before = b.size()
      const types = n.outputs.map((v) => graph.values[v]!.type)
      const made = rule(b, inputs, { attributes: n.attributes, name: n.name, types })
      b.mark(before, [...n.origin, `decompose-${n.op}`])
      n.outputs.forEach((v, k) => {
        if (made[k] !== undefined) map.set(v, made[k])
      })
      continue
    }
    const made = b.nodeOutputs(n.op, inputs, n.attributes, {
      name: n.name,
      outputs: n.outputs.map((v) => graph.values[v]!.name),
      origin: n.origin,
      quantization: n.outputs.map((v) => graph.values[v]!.quantization),
    })
    made.forEach((v, k) => {
      b.refine(v, graph.values[n.outputs[k]!]!.type)
      map.set(n.outputs[k]!, v)
    })
  }
  for (const v of graph.outputs) b.output(to(v)!)
  return decompose(prune(b.finish()), table, keep, depth - 1)
}
