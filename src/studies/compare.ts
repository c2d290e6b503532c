// `compare A B`: do two models, or one model on two targets, do the same, and where do they first part?

import { InputError } from '../core/errors.ts'
import { rng } from '../core/rng.ts'
import type { Tensor } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { type Datum, type Graph, isTensor, type Value, type ValueId } from '../ir/types.ts'
import { propagatedBound } from '../judges/attribute.ts'
import { asInput, laidOutLike, pairOutputs } from '../judges/correspond.ts'
import { realOf } from '../judges/differences.ts'
import { type LabelVerdict, labelTally } from '../judges/labels.ts'
import { type Fault, type Matching, matchGraphs } from '../judges/match.ts'
import { type ValueVerdict, valueTally } from '../judges/values.ts'
import { graphFor } from './check.ts'

/** One side: something that runs, with its graph where there is one. */
export type Side = {
  readonly name: string
  readonly graph: Graph | null
  /** Inputs and outputs in the side's own order. */
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  run(sample: readonly Tensor[]): Promise<readonly Datum[]>
}

export type CompareResult = {
  readonly verdict: 'same' | 'rounding' | 'different'
  readonly says: string
  readonly labels: LabelVerdict | null
  readonly values: ValueVerdict
  /** What rounding allows the outputs. */
  readonly bound: number
  readonly first: {
    readonly node: string
    readonly injected: number
    readonly inherited: number
    readonly bound: number
  } | null
  readonly faults: readonly (Omit<Fault, 'a' | 'b' | 'blamed'> & {
    readonly node: string
    readonly op: string
    readonly against: readonly string[]
  })[]
  /** Nodes of each side and pairs found; null where a side has no graph. */
  readonly matched: { readonly a: number; readonly b: number; readonly pairs: number } | null
}

/** A side that runs a graph on the reference evaluator. Specialised graphs are kept by input shape. */
export function referenceSide(name: string, graph: Graph): Side {
  const made = new Map<string, Graph>()
  return {
    name,
    graph,
    inputs: graph.inputs.map((v) => graph.values[v]!),
    outputs: graph.outputs.map((v) => graph.values[v]!),
    run: async (sample) => {
      const key = sample.map((t) => t.shape.join('x')).join(',')
      let g = made.get(key)
      if (!g) made.set(key, (g = graphFor(graph, sample)))
      return evaluate(g, sample)
    },
  }
}

/** Brings a sample of a's inputs into b's order, layout and types. */
export function sampleFor(b: Side, a: Side, sample: readonly Tensor[]): Tensor[] {
  const free = new Set(sample.keys())
  const take = (value: Value, i: number): Tensor => {
    const byName = a.inputs.findIndex((v) => v.name === value.name)
    for (const k of [byName, i, ...free]) {
      if (k < 0 || !free.has(k)) continue
      const t = asInput(sample[k]!, value)
      if (!t) continue
      free.delete(k)
      return t
    }
    throw new InputError(`${b.name}: input ${value.name} fits none of ${a.name}'s inputs`)
  }
  return b.inputs.map(take)
}

/** How far equal values of two exact graphs may stray when both are evaluated with float32 between nodes, relative to their size. */
const matchEqual = 1e-4

/** What rounding alone may do to the outputs. */
function noiseOf(graph: Graph, sample: readonly Tensor[], seed: number): number {
  const seen = new Map<ValueId, Datum>()
  evaluate(graph, sample, {
    observe: (n, _i, out) => n.outputs.forEach((v, o) => void seen.set(v, out[o]!)),
  })
  const noise = propagatedBound(graph, sample, seen, 2, rng(seed).next)
  return Math.max(0, ...graph.outputs.map((v) => noise.get(v) ?? 0))
}

/** Compares b against a on samples in a's own form. `a` is taken to be right. */
export async function compare(
  a: Side,
  b: Side,
  samples: readonly (readonly Tensor[])[],
  seed = 1,
): Promise<CompareResult> {
  const first = samples[0]
  if (!first) throw new InputError('data: no samples')
  let bound = 0
  let matching: Matching | null = null
  let graphs: { a: Graph; b: Graph } | null = null
  const sampleB = sampleFor(b, a, first)
  const graphA = a.graph && graphFor(a.graph, first)
  const graphB = b.graph && graphFor(b.graph, sampleB)
  if (graphA) bound = noiseOf(graphA, first, seed)
  else if (graphB) bound = noiseOf(graphB, sampleB, seed)
  if (graphA && graphB) {
    graphs = { a: graphA, b: graphB }
    matching = matchGraphs(graphA, graphB, first, sampleB, { equal: matchEqual })
  }
  const tally = valueTally()
  const labels = labelTally()
  let scored = false
  for (const sample of samples) {
    const [x, y] = await Promise.all([a.run(sample), b.run(sampleFor(b, a, sample))])
    const real = (side: Side, d: readonly Datum[]): Datum[] =>
      d.map((t, i) => (isTensor(t) && side.outputs[i] ? realOf(t, side.outputs[i]) : t))
    const [ra, rb] = [real(a, x), real(b, y)]
    const pairs = pairOutputs(ra, rb)
    if (pairs.length === 0)
      throw new InputError(`${a.name} and ${b.name}: no outputs of equal size to compare`)
    pairs.forEach((p, k) => {
      const want = ra[p.a] as Tensor
      const got = laidOutLike(rb[p.b] as Tensor, want, p.permutation)
      tally.add(got, want, bound)
      if (k === 0 && want.shape.length === 2 && want.shape[1]! > 1) {
        labels.add(got, want)
        scored = true
      }
    })
  }
  const values = tally.verdict()
  // What changes no answer on any input is another way of writing it: an input transposed, then read transposed.
  const telling = (matching?.faults ?? []).filter(
    (f) => values.verdict === 'different' || f.injected > f.bound,
  )
  const faults = telling.map((f) => {
    const n = graphs!.b.nodes[f.blamed]!
    return {
      node: n.name,
      op: n.op,
      against: f.a.map((i) => graphs!.a.nodes[i]!.name),
      injected: f.injected,
      bound: f.bound,
      magnitude: f.magnitude,
      says: f.says,
      kind: f.kind,
    }
  })
  const verdict = values.verdict === 'different' || faults.length > 0 ? 'different' : values.verdict
  const blamed = faults.find((f) => f.kind !== 'quantization') ?? faults[0]
  return {
    verdict,
    says: says(verdict, faults),
    labels: scored ? labels.verdict() : null,
    values,
    bound,
    first: blamed
      ? { node: blamed.node, injected: blamed.injected, inherited: 0, bound: blamed.bound }
      : null,
    faults,
    matched:
      matching && graphs
        ? { a: graphs.a.nodes.length, b: graphs.b.nodes.length, pairs: matching.pairs.length }
        : null,
  }
}

function says(verdict: CompareResult['verdict'], faults: CompareResult['faults']): string {
  if (verdict === 'same') return 'Equal, bit for bit.'
  if (verdict === 'rounding') return 'Equal up to rounding.'
  const fault = faults.find((f) => f.kind !== 'quantization') ?? faults[0]
  if (!fault) return 'The outputs differ by more than rounding explains.'
  if (fault.kind === 'quantization') {
    const to = [
      ...new Set(faults.flatMap((f) => f.says.flatMap((x) => /rounded to (.*)$/.exec(x)?.slice(1) ?? []))),
    ]
    return `The second is a coarser form of the first${to.length ? ` (weights rounded to ${to.join(' and ')})` : ''}, in ${faults.length} place${faults.length > 1 ? 's' : ''}; nothing else differs.`
  }
  const others = faults.filter((f) => f !== fault && f.kind !== 'quantization').length
  const more = others > 0 ? ` ${others} more place${others > 1 ? 's' : ''} differ.` : ''
  const what = fault.says.length ? `: ${fault.says.join('; ')}` : ''
  return fault.kind === 'preprocessing'
    ? `The input is treated differently before the first product (${fault.node})${what}.${more}`
    : `They part at ${fault.node} (${fault.op})${what}.${more}`
}
