// One target's results judged against the reference: outputs, labels, every inner value, and where a fused form goes wrong.

import type { Amplification } from '../compile/loops.ts'
import { isInteger } from '../core/dtype.ts'
import { bootstrap, median, quantile } from '../core/statistics.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import { withOutputs } from '../ir/graph.ts'
import { type Datum, type Graph, isTensor, type ValueId } from '../ir/types.ts'
import { attribute } from '../judges/attribute.ts'
import { growthOf, type Kind, kindOfDifference, sayKind } from '../judges/explain.ts'
import { compareAccuracy, labelTally, rightAnswers } from '../judges/labels.ts'
import { pairLimit, pairPeaks } from '../judges/saturation.ts'
import { valueTally } from '../judges/values.ts'
import { probeMachine } from '../targets/processor.ts'
import type { CheckData, Loaded, Subject } from './check.ts'
import type { NodeResult, TargetResult, WorstInput } from './check-result.ts'

export const firstLine = (e: unknown): string => String(e instanceof Error ? e.message : e).split('\n')[0]!

export type Judging = {
  readonly graph: Graph
  readonly data: CheckData
  readonly expected: readonly (readonly Datum[])[]
  /** Every value of the first samples, at least of one. */
  readonly inner: readonly ReadonlyMap<ValueId, Datum>[]
  /** How many of them are attributed. */
  readonly attributed: number
  /** What rounding may do to each value. */
  readonly noise: ReadonlyMap<ValueId, number>
  /** The same where the algorithms of some nodes amplify rounding. */
  readonly noiseFor: (amplification: Amplification) => ReadonlyMap<ValueId, number>
  readonly loaded: Loaded
  /** Takes every inner value of the first input, as the target computes it. */
  readonly observe?: (values: ReadonlyMap<ValueId, Datum>) => void
}

/** Judges one loaded target; runs it again with every inner value as an output. */
export async function judge(given: Judging): Promise<TargetResult> {
  const x = withinPlainBounds(given) ? given : { ...given, noise: amplifiedNoise(given) }
  const { graph, loaded, expected, data } = x
  const outputBounds = graph.outputs.map((v) => x.noise.get(v) ?? 0)
  const values = judgeValues(x)
  const scores = scoreOutput(graph)
  const nodes: NodeResult[] = []
  let exposedFailure: string | undefined
  try {
    for (let i = 0; i < x.attributed; i++) {
      const { values: seen, amplification } = await innerValues(graph, loaded.subject, data.samples[i]!)
      if (i === 0) x.observe?.(seen)
      const found = attribute({
        graph,
        reference: x.inner[i]!,
        target: seen,
        inputs: data.samples[i]!,
        amplification,
        fused: loaded.executable.facts?.fused === true,
      })
      for (const a of found) {
        const node = graph.nodes[a.index]!
        const result: NodeResult = { ...a, node: node.name, op: node.op, origin: node.origin }
        const at = nodes.findIndex((n) => n.index === a.index)
        if (at < 0) nodes.push(result)
        else if (a.excess > nodes[at]!.excess) nodes[at] = result
      }
    }
  } catch (e) {
    exposedFailure = firstLine(e)
  }
  const blame = nodes.filter((n) => n.verdict === 'different')
  const first = blame[0] ?? null
  // A fused integer kernel may round a half the other way: one step of the output's own quantisation. Only where the same runtime,
  // node by node, was seen to agree: its own two forms differ, and nothing else does.
  const agreesByNode = !first && !exposedFailure && nodes.length > 0
  const flipped = values.map(
    (v, o) =>
      agreesByNode &&
      v.verdict === 'different' &&
      v.maxAbs !== null &&
      v.nan.mismatched + v.infinite.mismatched === 0 &&
      v.maxAbs <= 1.01 * stepOf(graph, graph.outputs[o]!),
  )
  const outputsDiffer = values.some((v, o) => v.verdict === 'different' && !flipped[o])
  const fused = outputsDiffer && !first && !exposedFailure ? await bisectFused(x) : null
  const kind: Kind | null = first?.worst
    ? Number.isFinite(first.worst.got)
      ? first.shows
      : 'NaN/Inf'
    : outputsDiffer && isTensor(loaded.outputs[0]![0]) && isTensor(expected[0]![0])
      ? kindOfDifference(loaded.outputs[0]![0], expected[0]![0])
      : null
  const verdict =
    first || outputsDiffer
      ? 'different'
      : values.every((v) => v.verdict === 'same') && nodes.every((n) => n.verdict === 'same')
        ? 'same'
        : 'rounding'
  let labels: TargetResult['labels'] = null
  let accuracy: TargetResult['accuracy'] = null
  if (scores !== null) {
    const tally = labelTally()
    const got = loaded.outputs.map((o) => o[scores] as Tensor)
    const want = expected.map((o) => o[scores] as Tensor)
    for (const [i, t] of got.entries()) tally.add(t, want[i]!)
    labels = tally.verdict()
    if (data.labels) {
      const right = (all: readonly Tensor[]): boolean[] =>
        all.flatMap((t, i) => rightAnswers(t, [data.labels![i]!]))
      accuracy = compareAccuracy(right(got), right(want), 0.95)
    }
  }
  return {
    target: loaded.name,
    present: true,
    version: loaded.version,
    facts: loaded.executable.facts ?? {},
    verdict,
    says:
      sentence({
        verdict,
        first,
        blame: blame.length,
        kind,
        fused,
        exposedFailure,
        labels,
        flipped: flipped.some(Boolean),
      }) + (verdict === 'different' ? saturates(x) : ''),
    labels,
    accuracy,
    values,
    outputBounds,
    ms: spread(loaded.times),
    nodes,
    first,
    blamed: blame.length,
    fused,
    growth: growthOf(nodes, kind),
    worst: worstInputs(x, scores),
  }
}

const judgeValues = ({ graph, noise, expected, loaded }: Judging): TargetResult['values'] =>
  graph.outputs.map((v, o) => {
    const tally = valueTally()
    expected.forEach((e, i) => {
      const [got, want] = [loaded.outputs[i]![o], e[o]]
      if (isTensor(got) && isTensor(want)) tally.add(got, want, noise.get(v) ?? 0)
    })
    return { output: graph.values[v]!.name, ...tally.verdict() }
  })

const withinPlainBounds = (x: Judging): boolean => judgeValues(x).every((v) => v.verdict !== 'different')

/** Bounds that know the algorithms of what was run; the plain ones where no algorithm amplifies. */
function amplifiedNoise({ loaded, noise, noiseFor }: Judging): Judging['noise'] {
  const amplification = loaded.executable.amplification ?? {}
  return Object.keys(amplification).length > 0 ? noiseFor(amplification) : noise
}

/** One step of a value that is quantised, or that was just dequantised; 0 for any other. */
function stepOf(graph: Graph, v: ValueId): number {
  const { type } = graph.values[v]!
  const n = graph.nodes.find((x) => x.outputs.includes(v))
  if (type.kind === 'tensor' && isInteger(type.dtype))
    return n && /quantize|tflite|qlinear/i.test(n.op) ? 1 : 0
  const scale =
    n?.op === 'dequantizeLinear' && n.inputs[1] != null ? graph.values[n.inputs[1]]!.constant : undefined
  return scale ? Math.max(...Array.from(numbers(scale), Number)) : 0
}

/** Runtimes whose byte products may saturate in 16 bits, by the processor that they run on. */
const saturating = /^onnxruntime/

/** The evidence that a runtime's saturating kernels, and not the model, are to blame; empty where there is none. */
function saturates(x: Judging): string {
  if (!saturating.test(x.loaded.subject.target.name)) return ''
  // With VNNI the products are summed in 32 bits at once.
  if (probeMachine().processor.features?.some((f) => f.includes('vnni'))) return ''
  const values = new Map(x.inner[0])
  for (const [i, v] of x.graph.inputs.entries()) values.set(v, x.data.samples[0]![i]!)
  const peaks = pairPeaks(x.graph, values).filter((p) => p.peak > pairLimit)
  const worst = peaks.sort((a, b) => b.peak - a.peak)[0]
  if (!worst) return ''
  return ` The runtime is at fault: sums of two byte products reach ${worst.peak} at ${worst.node} (${peaks.length} node${peaks.length > 1 ? 's' : ''} pass ${pairLimit}), which its 16-bit kernels for processors without VNNI saturate; the reference is exact.`
}

/** Every value that a node makes, as the target computes it, by making each an output. */
async function innerValues(
  graph: Graph,
  subject: Subject,
  sample: readonly Tensor[],
): Promise<{ values: Map<ValueId, Datum>; amplification: Amplification }> {
  const made = graph.nodes.flatMap((n) => n.outputs).filter((v) => graph.values[v]!.type.kind === 'tensor')
  const exposed = withOutputs(graph, made)
  const executable = await subject.target.load(await subject.target.compile(exposed, subject.options))
  try {
    const outputs = await executable.run(sample)
    // A value that the runtime hides is null.
    const values = new Map(
      exposed.outputs.flatMap((v, i) => (outputs[i] === null ? [] : [[v, outputs[i]!] as const])),
    )
    // Another form of the graph may have other algorithms.
    return { values, amplification: executable.amplification ?? {} }
  } finally {
    await executable.dispose()
  }
}

/**
 * Exposing every value keeps a runtime from fusing; where only the fused form is wrong, values are exposed one at a time and
 * the first in order that leaves its propagated bound is found by bisection.
 */
async function bisectFused(x: Judging): Promise<TargetResult['fused']> {
  const { graph, noise } = x
  const candidates = graph.nodes
    .map((n) => ({ node: n, value: n.outputs[0]! }))
    .filter(({ value }) => noise.has(value) || x.inner[0]!.has(value))
  const probe = async (i: number): Promise<{ total: number; bound: number } | null> => {
    const { value } = candidates[i]!
    try {
      const exposed = withOutputs(graph, [value])
      const { target, options } = x.loaded.subject
      const executable = await target.load(await target.compile(exposed, options))
      const out = await executable.run(x.data.samples[0]!)
      await executable.dispose()
      const [got, want] = [out[exposed.outputs.indexOf(value)], x.inner[0]!.get(value)]
      if (!isTensor(got) || !isTensor(want)) return null
      const [g, e] = [numbers(got), numbers(want)]
      let total = 0
      for (let k = 0; k < g.length; k++) total = Math.max(total, Math.abs(g[k]! - e[k]!))
      const bound = noise.get(value) ?? 0
      return total > bound ? { total, bound } : null
    } catch {
      return null
    }
  }
  let [low, high] = [0, candidates.length - 1]
  let found: TargetResult['fused'] = null
  while (low <= high) {
    const middle = (low + high) >> 1
    const p = await probe(middle)
    if (p) {
      found = { node: candidates[middle]!.node.name, ...p }
      high = middle - 1
    } else low = middle + 1
  }
  return found
}

function sentence(s: {
  verdict: TargetResult['verdict']
  first: NodeResult | null
  blame: number
  kind: Kind | null
  fused: TargetResult['fused']
  exposedFailure: string | undefined
  labels: TargetResult['labels']
  flipped: boolean
}): string {
  const labels =
    s.labels && s.labels.disagree > 0 ? ` ${s.labels.disagree} of ${s.labels.total} labels differ.` : ''
  const blind = s.exposedFailure ? ` Inner values could not be read: ${s.exposedFailure}` : ''
  if (s.verdict === 'same') return `Equal to the reference, bit for bit.${blind}`
  if (s.verdict === 'rounding' && s.flipped)
    return `Off by one quantisation step at the most: its fused kernels round a half the other way.${labels}${blind}`
  if (s.verdict === 'rounding') return `Every value is within rounding.${labels}${blind}`
  if (s.first) {
    const more = s.blame > 1 ? ` (and ${s.blame - 1} more node${s.blame > 2 ? 's' : ''})` : ''
    const kind = s.kind ? sayKind(s.kind) : 'differs'
    const { got, expected } = s.first.worst ?? { got: s.first.injected, expected: 0 }
    return `Node ${s.first.node} (${s.first.op}) ${kind}: off by ${short(Math.abs(got - expected))} where rounding allows ${short(s.first.bound)}${more}.${labels}`
  }
  if (s.fused) {
    return `Only when operators are fused: first seen at ${s.fused.node}, off by ${short(s.fused.total)} where rounding allows ${short(s.fused.bound)}; run node by node it agrees.${labels}`
  }
  return `The outputs leave their bound${s.kind ? `: the target ${sayKind(s.kind)}` : ''}.${labels}${blind}`
}

const short = (v: number): string => (v === 0 ? '0' : Number.isFinite(v) ? v.toPrecision(2) : String(v))

/** The output that holds class scores: a row of more than one float a sample. */
function scoreOutput(graph: Graph): number | null {
  const i = graph.outputs.findIndex((v) => {
    const t = graph.values[v]!.type
    return (
      t.kind === 'tensor' &&
      t.shape?.length === 2 &&
      t.shape[0] === 1 &&
      typeof t.shape[1] === 'number' &&
      t.shape[1] > 1
    )
  })
  return i < 0 ? null : i
}

function worstInputs(x: Judging, scores: number | null): WorstInput[] {
  const all = x.expected.map((e, input) => {
    let maxAbs = 0
    e.forEach((want, o) => {
      const got = x.loaded.outputs[input]![o]
      if (!isTensor(want) || !isTensor(got) || want.dtype === 'string') return
      const [g, w] = [numbers(got), numbers(want)]
      for (let i = 0; i < g.length; i++) {
        const d = Math.abs(g[i]! - w[i]!)
        if (d > maxAbs || Number.isNaN(d)) maxAbs = Number.isNaN(d) ? Infinity : d
      }
    })
    const best = (d: Datum | undefined): string => {
      if (scores === null || !isTensor(d)) return ''
      const v = numbers(d)
      let top = 0
      for (let i = 1; i < v.length; i++) if (v[i]! > v[top]!) top = i
      return `${x.data.classes?.[top] ?? `class ${top}`} (${Number(v[top]).toPrecision(3)})`
    }
    const picture = x.data.picture?.(input)
    return {
      input,
      maxAbs,
      got: best(x.loaded.outputs[input]![scores ?? 0]),
      expected: best(e[scores ?? 0]),
      ...(picture !== undefined && { picture }),
    }
  })
  // A changed label matters more than a large difference.
  return all
    .sort(
      (a, b) =>
        Number(b.got.split(' (')[0] !== b.expected.split(' (')[0]) -
          Number(a.got.split(' (')[0] !== a.expected.split(' (')[0]) || b.maxAbs - a.maxAbs,
    )
    .slice(0, 6)
}

/** The interval is the bootstrap's: few runs give a wide one. */
function spread(times: readonly number[]): TargetResult['ms'] {
  if (times.length === 0) return null
  const { estimate, low, high } = bootstrap(
    [times.length],
    ([rows]) => median(Float64Array.from(rows!, (r) => times[r]!)),
    { confidence: 0.95, method: 'percentile', resamples: 2000, seed: 1 },
  )
  return { median: estimate, low, high, p95: quantile(times, 0.95), runs: times.length }
}
