// Facts about a graph: what `inspect` prints.

import { bitsOf } from '../core/dtype.ts'
import { opNamed } from './ops/index.ts'
import { type Dim, type Graph, isGraph, type Value } from './types.ts'

export type Described = { readonly name: string; readonly dtype: string; readonly shape: readonly Dim[] }

/** A value as name, dtype and shape; sequences and optionals have no shape. */
export function describeType(v: Value): Described {
  return v.type.kind === 'tensor'
    ? { name: v.name, dtype: v.type.dtype, shape: v.type.shape ?? [] }
    : { name: v.name, dtype: v.type.kind, shape: [] }
}

export type GraphCost = {
  readonly nodes: number
  /** Nodes by operator, the most frequent first. */
  readonly ops: Readonly<Record<string, number>>
  /** Elements of the constants of more than one element in float or quantised weights. */
  readonly parameters: number
  /** Bytes of all constants. */
  readonly bytes: number
  /** Multiply-accumulates of one run, where shapes are known. Loop bodies count once. */
  readonly macs: number
}

export function costOf(graph: Graph): GraphCost {
  const counts = new Map<string, number>()
  const seen = new Set<unknown>()
  let [nodes, parameters, bytes, macs] = [0, 0, 0, 0]
  const visit = (g: Graph): void => {
    for (const v of g.values) {
      if (!v.constant || seen.has(v.constant.data)) continue
      seen.add(v.constant.data)
      // Shapes, axes and indices are int64; they are no parameters.
      if (v.constant.dtype !== 'int64' && v.constant.dtype !== 'string') parameters += v.constant.data.length
      bytes += Math.ceil((v.constant.data.length * bitsOf(v.constant.dtype)) / 8)
    }
    for (const n of g.nodes) {
      nodes++
      counts.set(n.op, (counts.get(n.op) ?? 0) + 1)
      const x = {
        inputs: n.inputs.map((v) => (v === null ? null : g.values[v]!.type)),
        constants: n.inputs.map((v) => (v === null ? null : (g.values[v]!.constant ?? null))),
        attributes: n.attributes,
        outputs: n.outputs.length,
      }
      macs +=
        opNamed(n.op)?.cost?.(
          x,
          n.outputs.map((v) => g.values[v]!.type),
        ).macs ?? 0
      for (const a of Object.values(n.attributes)) if (isGraph(a)) visit(a)
    }
  }
  visit(graph)
  return { nodes, ops: Object.fromEntries([...counts].sort((a, b) => b[1] - a[1])), parameters, bytes, macs }
}
