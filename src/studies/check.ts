// `check`: one model on every target that is here, each value judged against the reference.

import type { Amplification } from '../compile/loops.ts'
import { InputError, UnsupportedError } from '../core/errors.ts'
import { rng } from '../core/rng.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Preprocessing } from '../data/preprocessing.ts'
import type { Model } from '../formats/open.ts'
import { evaluate } from '../ir/evaluate.ts'
import { costOf, describeType } from '../ir/inspect.ts'
import { keepQuantised, specialize } from '../ir/specialize.ts'
import type { Datum, Graph, ValueId } from '../ir/types.ts'
import { propagatedBound } from '../judges/attribute.ts'
import type { Executable, Target, TargetOptions } from '../targets/target.ts'
import type { CheckResult, TargetResult } from './check-result.ts'
import { drawing, histogram } from './drawing.ts'
import { hasForms, withForms } from './fused-forms.ts'
import { firstLine, judge } from './judge-target.ts'

export type CheckData = {
  readonly source: string
  /** One list of input tensors a sample, in the graph's input order. */
  readonly samples: readonly (readonly Tensor[])[]
  /** True classes, one a sample. */
  readonly labels?: readonly number[]
  readonly classes?: readonly string[]
  readonly preprocessing: Preprocessing | null
  readonly preprocessingSays: string
  readonly seed: number | null
  /** A data: URL of sample i, where it is a picture. */
  readonly picture?: (i: number) => string | undefined
}

export type Subject = { readonly target: Target; readonly variant: string; readonly options: TargetOptions }

export type CheckOptions = {
  readonly subjects: readonly Subject[]
  readonly command: string
  readonly machine: Readonly<Record<string, string | number>>
  /** How many samples are attributed value by value. Default 1. */
  readonly attribute?: number
  /** Timed runs of each target, interleaved. Default 5; 0 times nothing. */
  readonly repeats?: number
  /** Perturbed reference runs behind the outputs' bounds. Default 2. */
  readonly trials?: number
  readonly seed?: number
  readonly now?: () => number
  readonly progress?: (done: number, total: number, what: string) => void
  readonly signal?: AbortSignal
}

/** The graph for the shapes of a sample. */
export function graphFor(graph: Graph, sample: readonly Tensor[]): Graph {
  if (sample.length !== graph.inputs.length) {
    throw new InputError(`data: expected ${graph.inputs.length} inputs a sample, got ${sample.length}`)
  }
  const inputs = Object.fromEntries(sample.map((t, i) => [String(i), t.shape]))
  // Weights behind dequantizeLinear stay integers: runtimes look for that form, and quantise floats in its place anew.
  return specialize(graph, { inputs, keep: keepQuantised })
}

export type Loaded = {
  subject: Subject
  executable: Executable
  name: string
  version: string
  outputs: (readonly Datum[])[]
  times: number[]
}

const subjectName = (s: Subject): string => (s.variant ? `${s.target.name}:${s.variant}` : s.target.name)

/** A slow runtime isn't timed for longer than this, in milliseconds: its few samples say enough. */
const mostTiming = 5000
const spent = (l: Loaded): number => l.times.reduce((sum, t) => sum + t, 0)

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`

function sayCheck(ran: readonly TargetResult[], wrong: readonly TargetResult[], samples: number): string {
  const first = wrong[0]
  if (first) {
    const what = `${first.target}: ${first.says}`
    return wrong.length === 1
      ? what
      : `${plural(wrong.length, 'target')} fall short: ${wrong.map((t) => t.target).join(', ')}. ${what}`
  }
  if (ran.length === 0) return 'No target could run this model, so nothing was checked.'
  const agree = ran.length === 1 ? 'agrees' : 'agree'
  return `${plural(ran.length, 'target')} ${agree} with the reference on ${plural(samples, 'input')}, every value within rounding.`
}

/** Runs and judges. Never throws for a target's failure: that is a row of the result. */
export async function check(model: Model, data: CheckData, options: CheckOptions): Promise<CheckResult> {
  const now = options.now ?? (() => performance.now())
  const { samples } = data
  if (samples.length === 0) throw new InputError('data: no samples')
  const graph = graphFor(model.graph, samples[0]!)
  const attributed = Math.min(options.attribute ?? 1, samples.length)
  const trials = options.trials ?? 2
  const total = samples.length + trials + options.subjects.length * 2
  let done = 0
  const step = (what: string): void => {
    if (options.signal?.aborted) throw new InputError('check: stopped')
    options.progress?.(done++, total, what)
  }

  // The reference: all samples' outputs, every value of the attributed ones.
  const started = now()
  const expected: (readonly Datum[])[] = []
  const inner: Map<ValueId, Datum>[] = []
  for (let i = 0; i < samples.length; i++) {
    step(`reference, input ${i + 1} of ${samples.length}`)
    const seen = new Map<ValueId, Datum>()
    // The first one's bounds are needed even where nothing is attributed.
    const keep = i < Math.max(1, attributed)
    expected.push(
      evaluate(
        graph,
        samples[i]!,
        keep ? { observe: (n, _k, out) => n.outputs.forEach((v, o) => void seen.set(v, out[o]!)) } : {},
      ),
    )
    if (keep) inner.push(seen)
    await breathe()
  }
  const referenceMs = (now() - started) / samples.length
  const noiseFor = (amplification: Amplification): Map<ValueId, number> =>
    propagatedBound(graph, samples[0]!, inner[0]!, trials, rng(options.seed ?? 1).next, amplification)
  const noise = noiseFor({})
  done += trials

  // Load what is present, then run everything interleaved.
  const results: (TargetResult | Loaded)[] = []
  for (const subject of options.subjects) {
    step(`${subjectName(subject)}: compiling`)
    results.push(await start(graph, subject))
  }
  const loaded = results.filter((x): x is Loaded => 'executable' in x)
  const failed = new Map<Loaded, { readonly why: string; readonly verdict: 'failed' | 'unsupported' }>()
  const fail = (l: Loaded, e: unknown): void => {
    // Open shapes are compiled at the first run.
    failed.set(l, { why: firstLine(e), verdict: e instanceof UnsupportedError ? 'unsupported' : 'failed' })
  }
  for (let i = 0; i < samples.length; i++) {
    for (const l of loaded) {
      if (failed.has(l)) continue
      if (options.signal?.aborted) throw new InputError('check: stopped')
      try {
        const t = now()
        const out = await l.executable.run(samples[i]!)
        if (i > 0 || samples.length === 1) l.times.push(l.executable.lastMs?.() ?? now() - t)
        l.outputs.push(out)
      } catch (e) {
        fail(l, e)
      }
    }
  }
  for (let i = 0; i < (options.repeats ?? 5); i++) {
    for (const l of loaded) {
      if (failed.has(l) || spent(l) > mostTiming) continue
      try {
        const t = now()
        await l.executable.run(samples[i % samples.length]!)
        l.times.push(l.executable.lastMs?.() ?? now() - t)
      } catch (e) {
        fail(l, e)
      }
    }
  }

  const targets: TargetResult[] = []
  const forms = new Map<Loaded, ReadonlyMap<ValueId, Datum>>()
  for (const x of results) {
    if (!('executable' in x)) {
      targets.push(x)
      continue
    }
    step(`${x.name}: judging every value`)
    const why = failed.get(x)
    const observe = (values: ReadonlyMap<ValueId, Datum>): void => {
      if (hasForms(options.subjects, x.subject)) forms.set(x, values)
    }
    targets.push(
      why
        ? absent(x.subject, why.verdict, why.why, x.version)
        : await judge({ graph, data, expected, inner, attributed, noise, noiseFor, loaded: x, observe }),
    )
    await x.executable.dispose()
  }
  const judged = withForms(graph, samples[0]!, targets, forms).map((t) => withSiblings(t, targets))
  const wrong = judged.filter((t) => t.verdict === 'different' || t.verdict === 'failed')
  const ran = judged.filter(
    (t) => t.verdict === 'same' || t.verdict === 'rounding' || t.verdict === 'different',
  )
  const cost = costOf(graph)
  return {
    verdict: wrong.length === 0 && ran.length > 0 ? 'pass' : 'fail',
    says: sayCheck(ran, wrong, samples.length),
    created: new Date().toISOString(),
    command: options.command,
    model: {
      name: model.name,
      source: model.source,
      format: model.format,
      digest: model.digest,
      bytes: model.bytes,
      nodes: graph.nodes.length,
      parameters: cost.parameters,
      macs: cost.macs,
      ops: cost.ops,
      inputs: graph.inputs.map((v) => describeType(graph.values[v]!)),
      outputs: graph.outputs.map((v) => describeType(graph.values[v]!)),
    },
    data: {
      source: data.source,
      samples: samples.length,
      labelled: data.labels !== undefined,
      classes: data.classes ?? [],
      preprocessing: data.preprocessing,
      preprocessingSays: data.preprocessingSays,
      seed: data.seed,
    },
    machine: options.machine,
    referenceMs,
    targets: judged,
    graph: drawing(graph),
    histograms: graph.nodes.map((n) => histogram(inner[0]!.get(n.outputs[0]!))),
    report: null,
  }
}

/** Another form of the same runtime that is right about the same model shows that the model is not to blame. */
function withSiblings(t: TargetResult, all: readonly TargetResult[]): TargetResult {
  if (t.verdict !== 'different') return t
  const family = t.target.split(':')[0]
  const right = all.filter(
    (o) => o.target.split(':')[0] === family && (o.verdict === 'same' || o.verdict === 'rounding'),
  )
  if (right.length === 0) return t
  return {
    ...t,
    says: `${t.says} ${right.map((o) => o.target).join(' and ')} agree${right.length > 1 ? '' : 's'} with the reference: the fault lies in this form of ${family}, not in the model.`,
  }
}

/** Lets timers and signals through between long synchronous steps. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))

function absent(
  subject: Subject,
  verdict: 'absent' | 'failed' | 'unsupported',
  reason: string,
  version?: string,
): TargetResult {
  return {
    target: subjectName(subject),
    present: verdict !== 'absent',
    reason,
    ...(version !== undefined && { version }),
    facts: {},
    verdict,
    says: reason,
    labels: null,
    accuracy: null,
    values: [],
    outputBounds: [],
    ms: null,
    nodes: [],
    first: null,
    blamed: 0,
    fused: null,
    growth: 'none',
    worst: [],
  }
}

async function start(graph: Graph, subject: Subject): Promise<TargetResult | Loaded> {
  const presence = await subject.target.presence(subject.options)
  if (!presence.present) return absent(subject, 'absent', presence.reason)
  try {
    const executable = await subject.target.load(await subject.target.compile(graph, subject.options))
    return {
      subject,
      executable,
      name: subjectName(subject),
      version: presence.version,
      outputs: [],
      times: [],
    }
  } catch (e) {
    return absent(
      subject,
      e instanceof UnsupportedError ? 'unsupported' : 'failed',
      firstLine(e),
      presence.version,
    )
  }
}
