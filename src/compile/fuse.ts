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
      // What else leads to the node joins too, where it could stand before the host: a residual dequantised beside a convolution.
      for (const v of new Set(n.inputs)) {
        const beside = v === null ? undefined : groupOf.get(v)
        if (beside === undefined || beside === host || !joins(beside, host, v!)) continue
        groups[host]!.nodes.push(...groups[beside]!.nodes)
        for (const k of groups[beside]!.nodes) groupOf.set(graph.nodes[k]!.outputs[0]!, host)
        groups[beside]!.nodes.length = 0
      }
      groups[host]!.nodes.push(i)
      groups[host]!.root = n.outputs[0]!
      groupOf.set(n.outputs[0]!, host)
      return
    }
    groups.push({ nodes: [i], root: n.outputs[0]! })
    for (const v of n.outputs) groupOf.set(v, groups.length - 1)
  })
  return narrowed(groups.filter((g) => g.nodes.length > 0))

  /** Whether a group of elementwise nodes, read by one node only, needs nothing that is made from the host on. */
  function joins(group: number, host: number, root: ValueId): boolean {
    const g = groups[group]!
    if (g.root !== root || uses[root]! > 1) return false
    if (!g.nodes.every((k) => isElementwise(graph.nodes[k]!.op))) return false
    const own = new Set<ValueId>(g.nodes.flatMap((k) => graph.nodes[k]!.outputs))
    const before = (v: ValueId | null): boolean => v === null || own.has(v) || (groupOf.get(v) ?? -1) < host
    return g.nodes.every((k) => {
      const { type } = graph.values[graph.nodes[k]!.outputs[0]!]!
      return graph.nodes[k]!.inputs.every(before) && type.kind === 'tensor' && vectorizes(type.dtype)
    })
  }

  /**
   * A convolution or product leaves bytes where it may: the nodes behind its last conversion to 8 bits, which dequantise, go to the
   * one group that reads their result.
   */
  function narrowed(all: Group[]): Group[] {
    const made = new Map<ValueId, number>()
    all.forEach((g, i) => {
      for (const k of g.nodes) for (const v of graph.nodes[k]!.outputs) made.set(v, i)
    })
    for (const g of all) {
      if (!anchors.has(graph.nodes[g.nodes[0]!]!.op) || uses[g.root]! > 1) continue
      const last = g.nodes.findLastIndex((k) => isByte(graph.nodes[k]!.outputs[0]!))
      const tail = last < 1 ? [] : g.nodes.slice(last + 1)
      const from = last < 1 ? undefined : graph.nodes[g.nodes[last]!]!.outputs[0]!
      const inside = new Set<ValueId>(tail.flatMap((k) => graph.nodes[k]!.outputs))
      const plain = tail.every((k) =>
        graph.nodes[k]!.inputs.every(
          (v) => v === null || v === from || inside.has(v) || graph.values[v]!.constant,
        ),
      )
      if (tail.length === 0 || !plain) continue
      const reader = all.find((x) => x !== g && x.nodes.some((k) => graph.nodes[k]!.inputs.includes(g.root)))
      if (!reader || graph.nodes[reader.nodes[0]!]!.inputs.includes(g.root)) continue
      const at = isElementwise(graph.nodes[reader.nodes[0]!]!.op) ? 0 : 1
      reader.nodes.splice(at, 0, ...tail)
      g.nodes.length = last + 1
      g.root = from!
    }
    return all
  }

  function isByte(v: ValueId): boolean {
    const { type } = graph.values[v]!
    return type.kind === 'tensor' && (type.dtype === 'uint8' || type.dtype === 'int8')
  }

  /** The latest group among the operands' makers that the node may join; one that computes products goes first. */
  function hostOf(inputs: readonly (ValueId | null)[], output: ValueId): number | undefined {
    const makers = [...new Set(inputs.flatMap((v) => (v === null ? [] : (groupOf.get(v) ?? []))))]
    if (makers.length === 0) return undefined
    const latest = makers.reduce((a, b) => Math.max(a, b))
    const product = makers.filter((g) => anchors.has(graph.nodes[groups[g]!.nodes[0]!]!.op))
    const chosen = product.length > 0 ? product.reduce((a, b) => Math.max(a, b)) : latest
    // All that is made after the product must be able to join it.
    const others = inputs.filter((v) => v !== null && (groupOf.get(v) ?? -1) > chosen) as ValueId[]
    const best = others.every((v) => joins(groupOf.get(v)!, chosen, v)) ? chosen : latest
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
