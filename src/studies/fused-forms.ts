// A device runs one program in two forms: with products that enter their sums unrounded, where it has an instruction for that (fused
// multiply-add), and with every product rounded. Where do the two part, and is it by no more than rounding explains?

import { significant } from '../core/figures.ts'
import { numbers } from '../core/tensor.ts'
import { evaluateNode } from '../ir/evaluate.ts'
import { type Datum, type Graph, isTensor, type Node, type ValueId } from '../ir/types.ts'
import { distance } from '../judges/attribute.ts'
import { boundNode } from '../judges/bounds.ts'
import type { Loaded, Subject } from './check.ts'
import type { FusedForms, TargetResult } from './check-result.ts'

/** Whether the form of a subject's target that rounds every product is run too. */
export const hasForms = (subjects: readonly Subject[], s: Subject): boolean =>
  subjects.some((other) => other.target === s.target && other.options.fused === false)

/** The results, with what sets the fused form of each target apart from its unfused one. `values`: every inner value of both. */
export function withForms(
  graph: Graph,
  inputs: readonly Datum[],
  results: readonly TargetResult[],
  values: ReadonlyMap<Loaded, ReadonlyMap<ValueId, Datum>>,
): TargetResult[] {
  const made = new Map<string, FusedForms>()
  for (const [x, fused] of values) {
    if (x.subject.options.fused === false) continue
    for (const [y, unfused] of values) {
      if (y.subject.target !== x.subject.target || y.subject.options.fused !== false) continue
      const has = x.executable.facts?.fused === true
      made.set(x.name, compareForms(graph, inputs, fused, unfused, y.name, has))
    }
  }
  return results.map((t) => {
    const forms = made.get(t.target)
    return forms ? { ...t, forms } : t
  })
}

const equal = (a: Datum | undefined, b: Datum | undefined): boolean => {
  if (!isTensor(a) || !isTensor(b) || a.data.length !== b.data.length) return false
  for (let i = 0; i < a.data.length; i++) if (!Object.is(a.data[i], b.data[i])) return false
  return true
}

function compareForms(
  graph: Graph,
  inputs: readonly Datum[],
  fused: ReadonlyMap<ValueId, Datum>,
  unfused: ReadonlyMap<ValueId, Datum>,
  unfusedName: string,
  has: boolean,
): FusedForms {
  const count = { equal: 0, born: 0, inherited: 0 }
  let first: FusedForms['first'] = null
  const inputAt = new Map(graph.inputs.map((v, i) => [v, inputs[i]!]))
  const valueIn = (form: ReadonlyMap<ValueId, Datum>, v: ValueId | null): Datum | undefined =>
    v === null ? undefined : (graph.values[v]!.constant ?? inputAt.get(v) ?? form.get(v))
  for (const node of graph.nodes) {
    const made = node.outputs.filter((v) => fused.has(v) && unfused.has(v))
    if (made.length === 0) continue
    if (made.every((v) => equal(fused.get(v), unfused.get(v)))) {
      count.equal++
      continue
    }
    const changed = node.inputs.some((v) => {
      const [a, b] = [valueIn(fused, v), valueIn(unfused, v)]
      return a !== b && !equal(a, b)
    })
    if (changed) {
      count.inherited++
      continue
    }
    count.born++
    first ??= furthest(
      node,
      node.inputs.map((v) => valueIn(fused, v)),
      fused,
      unfused,
    )
  }
  return { unfused: unfusedName, nodes: count, first, says: say(unfusedName, has, count, first) }
}

/** The element of a node where the forms lie furthest apart, as a share of what rounding allows both together. */
function furthest(
  node: Node,
  inputs: readonly (Datum | undefined)[],
  fused: ReadonlyMap<ValueId, Datum>,
  unfused: ReadonlyMap<ValueId, Datum>,
): FusedForms['first'] {
  const exact = evaluateNode(node, inputs)
  const [one, two] = [true, false].map((f) => boundNode(node, inputs, exact, 1, f).outputs)
  let found: FusedForms['first'] = null
  let most = -1
  node.outputs.forEach((v, o) => {
    const [a, b] = [fused.get(v), unfused.get(v)]
    if (!isTensor(a) || !isTensor(b)) return
    const [p, q] = [numbers(a), numbers(b)]
    const at = (bound: Float64Array | number | undefined, i: number): number =>
      typeof bound === 'number' ? bound : (bound?.[i] ?? 0)
    for (let i = 0; i < p.length; i++) {
      const difference = distance(p[i]!, q[i]!)
      if (difference === 0) continue
      const bounds = [at(one![o], i), at(two![o], i)] as const
      const share = difference / (bounds[0] + bounds[1])
      if (share > most) {
        most = share
        found = { node: node.name, op: node.op, difference, bounds }
      }
    }
  })
  return found
}

function say(unfused: string, has: boolean, n: FusedForms['nodes'], first: FusedForms['first']): string {
  const figure = (x: number): string => significant(x, 2)
  if (!first) {
    const why = has ? '' : ': this machine has no fused multiply-add'
    return n.inherited === 0 ? `Equal to ${unfused}, bit for bit${why}.` : `Differs from ${unfused}.`
  }
  const { node, op, difference, bounds } = first
  const within = difference <= bounds[0] + bounds[1]
  const cause = within
    ? `by ${figure(difference)} on equal inputs: there products enter their sums unrounded, and rounding allows the one form ${figure(bounds[0])} and the other ${figure(bounds[1])}`
    : `by ${figure(difference)} on equal inputs, more than rounding allows both forms (${figure(bounds[0])} and ${figure(bounds[1])})`
  return `Parts from ${unfused} at ${node} (${op}), ${cause}. Of ${n.equal + n.born + n.inherited} nodes, part on equal inputs: ${n.born}; pass a difference on: ${n.inherited}; equal: ${n.equal}.`
}
