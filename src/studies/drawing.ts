// The graph and its values as a report shows them.

import { numbers } from '../core/tensor.ts'
import { type Datum, type Graph, isTensor, printType, type ValueId } from '../ir/types.ts'
import type { CheckResult } from './check-result.ts'

/** Nodes with the nodes that feed them. */
export function drawing(graph: Graph): CheckResult['graph'] {
  const made = new Map<ValueId, number>()
  for (const [i, n] of graph.nodes.entries()) for (const v of n.outputs) made.set(v, i)
  return graph.nodes.map((n) => ({
    node: n.name,
    op: n.op,
    from: n.inputs.flatMap((v) => (v !== null && made.has(v) ? [made.get(v)!] : [])),
    shape: n.outputs.map((v) => printType(graph.values[v]!.type)).join(', '),
    attributes: Object.entries(n.attributes)
      .filter(([, a]) => typeof a !== 'object' || Array.isArray(a))
      .map(([k, a]) => `${k}: ${Array.isArray(a) ? `[${a.join(', ')}]` : String(a)}`)
      .join(', '),
  }))
}

/** Counts of a value's elements in equal bins over its range. */
export function histogram(d: Datum | undefined): CheckResult['histograms'][number] {
  if (!isTensor(d) || d.dtype === 'string' || d.data.length === 0) return { low: 0, high: 0, counts: [] }
  const v = numbers(d)
  let [low, high] = [Infinity, -Infinity]
  for (let i = 0; i < v.length; i++) {
    if (!Number.isFinite(v[i]!)) continue
    if (v[i]! < low) low = v[i]!
    if (v[i]! > high) high = v[i]!
  }
  if (!(low <= high)) return { low: 0, high: 0, counts: [] }
  const counts = new Array<number>(24).fill(0)
  const width = (high - low) / counts.length || 1
  for (let i = 0; i < v.length; i++) {
    if (Number.isFinite(v[i]!)) counts[Math.min(counts.length - 1, Math.floor((v[i]! - low) / width))]!++
  }
  return { low, high, counts }
}
