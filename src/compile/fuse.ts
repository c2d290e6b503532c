// Which nodes become one kernel. An elementwise node joins the node that makes its operand, where nobody else reads that: chains of
// elementwise nodes become one loop, and bias, activation and residual sum go into the convolution or product before them.

import type { OpName } from '../ir/ops/index.ts'
import { opNamed } from '../ir/ops/index.ts'
import type { Graph, ValueId } from '../ir/types.ts'
import { vectorizes } from './build.ts'

export type Group = {
  /** Node indices: the anchor or first elementwise node, then what was fused into it. */
  readonly nodes: number[]
  /** The value that the group makes. */
  root: ValueId
}

/** Operators that take each element by itself: those with a formula, and conversions. */
export const isElementwise = (op: string): boolean => opNamed(op)?.formula !== undefined || op === 'cast'

/** Operators whose kernels can apply an elementwise epilogue to each result as it is stored. */
const anchors: ReadonlySet<string> = new Set<OpName>([
  'conv1d', 'conv2d', 'conv3d', 'matMul', 'convInteger1d', 'convInteger2d', 'convInteger3d', 'matMulInteger',
]) // biome-ignore format: a list

export function fuse(graph: Graph): Group[] {
  const uses = new Int32Array(graph.values.length)
  for (const n of graph.nodes) for (const v of new Set(n.inputs)) if (v !== null) uses[v]!++
  for (const v of graph.outputs) uses[v]! += 2
  const groups: Group[] = []
  const groupOf = new Map<ValueId, number>()
  graph.nodes.forEach((n, i) => {
    const host = isElementwise(n.op) ? hostOf(n.inputs, n.outputs[0]!) : undefined
    if (host !== undefined) {
      groups[host]!.nodes.push(i)
      groups[host]!.root = n.outputs[0]!
      groupOf.set(n.outputs[0]!, host)
      return
    }
    groups.push({ nodes: [i], root: n.outputs[0]! })
    for (const v of n.outputs) groupOf.set(v, groups.length - 1)
  })
  return groups

  /** The latest group among the operands' makers, if the node may join it. */
  function hostOf(inputs: readonly (ValueId | null)[], output: ValueId): number | undefined {
    let best = -1
    for (const v of inputs) if (v !== null) best = Math.max(best, groupOf.get(v) ?? -1)
    if (best < 0) return undefined
    const g = groups[best]!
    const first = graph.nodes[g.nodes[0]!]!
    if (!isElementwise(first.op) && !anchors.has(first.op)) return undefined
    // Only the group's root may come from it, and nobody else may read that.
    const from = inputs.filter((v) => v !== null && groupOf.get(v) === best)
    if (from.some((v) => v !== g.root) || uses[g.root]! > 1) return undefined
    const [a, b] = [graph.values[g.root]!.type, graph.values[output]!.type]
    if (a.kind !== 'tensor' || b.kind !== 'tensor') return undefined
    // A kernel has one vector width: 64-bit values stay out of kernels of 32-bit ones.
    if (vectorizes(a.dtype) !== vectorizes(b.dtype)) return undefined
    return String(a.shape) === String(b.shape) ? best : undefined
  }
}
