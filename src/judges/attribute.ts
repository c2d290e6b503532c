// Attribution: at every value, what is injected here, what is inherited, and what rounding allows.
//
//   injected  |target(n) − reference node n on the target's own inputs|     this node differs when fed equal inputs
//   inherited |reference node n on the target's inputs − reference(n)|      its inputs already differed
//   bound     what rounding may inject (judges/bounds)

import type { Amplification } from '../compile/loops.ts'
import { isFloat, store } from '../core/dtype.ts'
import { numbers, type Tensor, zeros } from '../core/tensor.ts'
import { evaluateNode } from '../ir/evaluate.ts'
import { type Datum, type Graph, isTensor, type Node, type ValueId } from '../ir/types.ts'
import { boundNode } from './bounds.ts'
import { type Kind, kindOfDifference } from './explain.ts'

/** same: equal bits. rounding: within the bound. different: outside. */
export type Likeness = 'same' | 'rounding' | 'different'

export type Attribution = {
  /** Index in the graph's nodes. */
  readonly index: number
  readonly injected: number
  readonly inherited: number
  readonly total: number
  /** At the element where injected/bound is largest. */
  readonly bound: number
  /** injected / bound at that element; Infinity where an exact operator differs. */
  readonly excess: number
  readonly verdict: Likeness
  /** Largest magnitude of the reference's result. */
  readonly magnitude: number
  /** NaN or infinity where the reference has a finite number. */
  readonly nonFinite: number
  readonly worst: {
    readonly output: number
    readonly element: number
    readonly got: number
    readonly expected: number
  } | null
  readonly how: string
  /** What kind of difference it is, where the verdict is 'different'. */
  readonly shows: Kind | null
}

export type AttributeInput = {
  readonly graph: Graph
  /** The reference's value at every value id that a node makes. */
  readonly reference: ReadonlyMap<ValueId, Datum>
  /** The target's value likewise; ids that it couldn't give are absent, and their nodes are skipped. */
  readonly target: ReadonlyMap<ValueId, Datum>
  readonly inputs: readonly Datum[]
  /** How much the target's algorithms amplify rounding. */
  readonly amplification?: Amplification
  /** The target's products enter their sums unrounded. */
  readonly fused?: boolean
}

const asNumbers = (d: Datum | undefined): ArrayLike<number> =>
  isTensor(d) && d.dtype !== 'string' ? numbers(d) : []

const amplificationOf = ({ name }: Node, told: Amplification = {}): number =>
  Object.hasOwn(told, name) ? told[name]! : 1

/** |a − b| with equal infinities and NaNs counted as no difference. */
export const distance = (a: number, b: number): number =>
  Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b)) ? 0 : Math.abs(a - b)

/** Judges every node for which both sides have values. */
export function attribute(x: AttributeInput): Attribution[] {
  const { graph } = x
  const results: Attribution[] = []
  const inputOf = new Map<ValueId, Datum>(graph.inputs.map((v, i) => [v, x.inputs[i]!]))
  const seen = (v: ValueId | null): Datum | undefined =>
    v === null ? undefined : (graph.values[v]!.constant ?? inputOf.get(v) ?? x.target.get(v))
  graph.nodes.forEach((node, index) => {
    if (node.outputs.every((v) => !x.target.has(v))) return
    if (node.inputs.some((v) => v !== null && seen(v) === undefined)) return
    const inputs = node.inputs.map(seen)
    // A random operator has no reference value to be held to.
    if (node.op.startsWith('random') || node.op === 'bernoulli' || node.op === 'multinomial') return
    const local = evaluateNode(node, inputs)
    const bounds = boundNode(node, inputs, local, amplificationOf(node, x.amplification), x.fused)
    let [injected, inherited, total, magnitude, excess, nonFinite] = [0, 0, 0, 0, 0, 0]
    let bound = 0
    let smallestBound = Infinity
    let worst: Attribution['worst'] = null
    node.outputs.forEach((v, o) => {
      const got = asNumbers(x.target.get(v))
      const here = asNumbers(local[o])
      const expected = asNumbers(x.reference.get(v))
      const limit = bounds.outputs[o] ?? 0
      if (got.length !== here.length) return
      for (let i = 0; i < got.length; i++) {
        const d = distance(got[i]!, here[i]!)
        const b = typeof limit === 'number' ? limit : limit[i]!
        if (b < smallestBound) smallestBound = b
        if (expected.length === got.length) {
          inherited = Math.max(inherited, distance(here[i]!, expected[i]!))
          total = Math.max(total, distance(got[i]!, expected[i]!))
          if (Number.isFinite(expected[i]!)) magnitude = Math.max(magnitude, Math.abs(expected[i]!))
          if (!Number.isFinite(got[i]!) && Number.isFinite(expected[i]!)) nonFinite++
        }
        if (d === 0) continue
        if (d > injected || Number.isNaN(d)) injected = Number.isNaN(d) ? Infinity : d
        const ratio = Number.isNaN(d) ? Infinity : b > 0 ? d / b : Infinity
        if (ratio > excess) {
          excess = ratio
          bound = b
          worst = { output: o, element: i, got: got[i]!, expected: here[i]! }
        }
      }
    })
    const verdict = injected === 0 ? 'same' : excess <= 1 ? 'rounding' : 'different'
    const at = (worst as Attribution['worst'])?.output ?? 0
    const [got, here] = [x.target.get(node.outputs[at]!), local[at]]
    results.push({
      index,
      injected,
      inherited,
      total,
      bound: worst ? bound : Number.isFinite(smallestBound) ? smallestBound : 0,
      excess,
      verdict,
      magnitude,
      nonFinite,
      worst,
      how: bounds.how,
      shows: verdict === 'different' && isTensor(got) && isTensor(here) ? kindOfDifference(got, here) : null,
    })
  })
  return results
}

/**
 * How far rounding alone may move the outputs: the reference runs again with every float result moved by its node's bound
 * with random signs, `trials` times; the largest deviation seen, doubled. An estimate of the noise floor, not a proof.
 */
export function propagatedBound(
  graph: Graph,
  inputs: readonly Datum[],
  reference: ReadonlyMap<ValueId, Datum>,
  trials: number,
  random: () => number,
  amplification: Amplification = {},
): Map<ValueId, number> {
  const out = new Map<ValueId, number>()
  for (let t = 0; t < trials; t++) {
    const data = new Map<ValueId, Datum>(graph.inputs.map((v, i) => [v, inputs[i]!]))
    graph.nodes.forEach((node) => {
      const args = node.inputs.map((v) =>
        v === null ? undefined : (graph.values[v]!.constant ?? data.get(v)),
      )
      const results = evaluateNode(node, args)
      const bounds = boundNode(node, args, results, amplificationOf(node, amplification))
      node.outputs.forEach((v, o) => {
        const r = results[o]!
        const limit = bounds.outputs[o] ?? 0
        if (!isTensor(r) || !isFloat(r.dtype)) {
          data.set(v, r)
          return
        }
        data.set(v, nudge(r, limit, random))
        const [a, b] = [asNumbers(data.get(v)), asNumbers(reference.get(v))]
        let top = out.get(v) ?? 0
        for (let i = 0; i < a.length; i++) {
          const d = distance(a[i]!, b[i]!)
          if (d > top) top = d
        }
        out.set(v, top)
      })
    })
  }
  for (const [v, b] of out) out.set(v, 2 * b)
  return out
}

function nudge(t: Tensor, limit: Float64Array | number, random: () => number): Tensor {
  if (limit === 0) return t
  const values = numbers(t)
  const moved = zeros(t.dtype, t.shape)
  for (let i = 0; i < values.length; i++) {
    const b = typeof limit === 'number' ? limit : limit[i]!
    store(t.dtype, moved.data, i, values[i]! + (random() < 0.5 ? -b : b))
  }
  return moved
}
