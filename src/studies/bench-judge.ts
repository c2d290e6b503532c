// Whether the outputs of what is to be timed are right: against the reference, or, where that would take too long, against
// each other.

import { unitRoundoff } from '../core/dtype.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import { opNamed } from '../ir/ops/index.ts'
import { type Datum, type Graph, isTensor } from '../ir/types.ts'
import { lambda } from '../judges/bounds.ts'
import { type ValueVerdict, valueTally } from '../judges/values.ts'
import type { BenchVerdict } from './bench-result.ts'

export type Judged = {
  readonly verdict: Extract<BenchVerdict, 'same' | 'rounding' | 'different' | 'unchecked'>
  readonly says: string
  readonly error: number | null
  readonly boundRatio: number | null
}

/**
 * All outputs of a run against those expected, each with its own bound. `within` further limits the error to a share of the
 * largest expected value: for a promise of accuracy that is stricter than what rounding could do.
 */
export function judgeOutputs(
  got: readonly Datum[],
  expected: readonly Datum[],
  bounds: readonly number[],
  within = Infinity,
): Judged {
  const count = (d: Datum | undefined): number => tensors(d).length
  const short = expected.findIndex((e, o) => count(got[o]) !== count(e))
  if (short >= 0 || got.length !== expected.length) {
    const says =
      short >= 0
        ? `output ${short}: expected ${count(expected[short])} tensors, got ${count(got[short])}`
        : `expected ${expected.length} outputs, got ${got.length}`
    return { verdict: 'different', says, error: null, boundRatio: null }
  }
  const verdicts = expected.map((e, o): ValueVerdict => {
    const tally = valueTally()
    const g = tensors(got[o])
    for (const [i, t] of tensors(e).entries()) tally.add(g[i]!, t, bounds[o]!)
    return tally.verdict()
  })
  const wrong = verdicts.findIndex((v) => v.verdict === 'different')
  const most = (f: (v: ValueVerdict) => number | null): number | null =>
    verdicts.reduce<number | null>((m, v) => {
      const x = f(v)
      return x === null ? m : Math.max(m ?? 0, x)
    }, null)
  const error = most((v) => v.maxRelToPeak)
  const boundRatio = most((v) => v.boundRatio)
  if (wrong >= 0) {
    const v = verdicts[wrong]!
    const says =
      v.reason ??
      (v.worst
        ? `output ${wrong} at [${v.worst.index}]: expected ${v.worst.expected}, got ${v.worst.got}, allowed ${v.worst.bound}; ${v.beyond} of ${v.elements} beyond it`
        : `output ${wrong} differs`)
    return { verdict: 'different', says, error, boundRatio }
  }
  if (error !== null && error > within) {
    const says = `error of ${error} of the largest expected value, allowed ${within}`
    return { verdict: 'different', says, error, boundRatio }
  }
  const same = verdicts.every((v) => v.verdict === 'same')
  const [equal, elements] = [
    verdicts.reduce((n, v) => n + v.equal, 0),
    verdicts.reduce((n, v) => n + v.elements, 0),
  ]
  const says = same ? 'equal' : `within rounding, ${equal} of ${elements} equal`
  return { verdict: same ? 'same' : 'rounding', says, error, boundRatio }
}

/** The tensors of a value, of a sequence in order. */
const tensors = (d: Datum | undefined): Tensor[] =>
  d === null || d === undefined ? [] : isTensor(d) ? [d] : d.flatMap(tensors)

/**
 * How far rounding may move the outputs, estimated without running anything: each sum of K products adds a relative error of
 * min(K, λ√K)·u, and the errors of a path add up. It takes no account of cancellation, so it is an estimate and called one.
 */
export function estimatedBounds(graph: Graph, outputs: readonly Datum[]): number[] {
  let relative = 0
  for (const n of graph.nodes) {
    const x = {
      inputs: n.inputs.map((v) => (v === null ? null : graph.values[v]!.type)),
      constants: n.inputs.map((v) => (v === null ? null : (graph.values[v]!.constant ?? null))),
      attributes: n.attributes,
      outputs: n.outputs.length,
    }
    const types = n.outputs.map((v) => graph.values[v]!.type)
    const type = types[0]
    if (type?.kind !== 'tensor') continue
    const size = type.shape?.reduce<number>((m, d) => m * (typeof d === 'number' ? d : 1), 1) ?? 1
    const k = 1 + (opNamed(n.op)?.cost?.(x, types).macs ?? 0) / Math.max(1, size)
    relative += Math.min(k, lambda * Math.sqrt(k)) * unitRoundoff(type.dtype)
  }
  return outputs.map((o) => {
    if (!isTensor(o) || o.dtype === 'string' || unitRoundoff(o.dtype) === 0) return 0
    let peak = 0
    for (const x of numbers(o)) if (Math.abs(x) > peak) peak = Math.abs(x)
    return relative * peak
  })
}

export type Answer = {
  readonly target: string
  readonly outputs: readonly Datum[]
  readonly amplification: number
  /** Largest error allowed, as of `judgeOutputs`. */
  readonly within?: number
}

/**
 * Judges answers by each other: the largest set that agrees with one of its members is taken to be right, provided that it
 * holds two different targets. null where no two agree: then nobody knows. An answer that is allowed more than another is judged
 * and judges nobody.
 */
export function judgeTogether(graph: Graph, answers: readonly Answer[]): Judged[] | null {
  const strictest = Math.min(...answers.map((a) => a.within ?? Infinity))
  const judges = answers.map((a) => (a.within ?? Infinity) === strictest)
  const judged = answers.map((centre) => {
    const bounds = estimatedBounds(graph, centre.outputs)
    return answers.map((a) =>
      judgeOutputs(
        a.outputs,
        centre.outputs,
        bounds.map((b) => b * Math.max(a.amplification, centre.amplification)),
        a.within,
      ),
    )
  })
  const agreeing = judged.map((row, centre) => {
    if (!judges[centre]) return 0
    const members = answers.filter((_, i) => judges[i] && row[i]!.verdict !== 'different')
    return new Set(members.map((m) => m.target)).size >= 2 ? members.length : 0
  })
  const most = Math.max(0, ...agreeing)
  if (most === 0) return null
  const at = agreeing.indexOf(most)
  const centre = answers[at]!
  // The centre is judged by the first that agrees with it, so that nobody is judged by itself.
  const other = judged[at]!.findIndex((j, i) => i !== at && judges[i] && j.verdict !== 'different')
  return judged[at]!.map((j, i) => {
    const v = i === at ? judged[other]![at]! : j
    const against = answers[i === at ? other : at]!.target
    return {
      ...v,
      says: v.verdict === 'different' ? `against ${centre.target}: ${v.says}` : `${v.says} of ${against}`,
    }
  })
}
