// One group of `bench`: all subjects on one model at one number of threads, each in its process, started, judged, warmed up and
// timed in turn.

import type { Amplification } from '../compile/loops.ts'
import { median, quantile } from '../core/statistics.ts'
import { costOf } from '../ir/inspect.ts'
import type { Datum, Graph } from '../ir/types.ts'
import { compareTimings, measure, type Timing } from '../judges/timing.ts'
import { type Child, ChildError, startChild } from '../targets/child.ts'
import type { Peak } from '../targets/peak.ts'
import { systemTimes } from '../targets/processor.ts'
import type { NodeTime } from '../targets/target.ts'
import type { Opened, Question, Questions, Ran, Referred } from './bench-child.ts'
import { type Answer, estimatedBounds, type Judged, judgeOutputs, judgeTogether } from './bench-judge.ts'
import { type BenchModel, type BenchOptions, type BenchSubject, subjectName } from './bench-options.ts'
import { type BenchGroup, type BenchRatio, type BenchRow, rowName } from './bench-result.ts'

const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const childModule = new URL(`./bench-child${extension}`, import.meta.url)

const settleMs = 10

/** One subject in its process. */
type Runner = {
  readonly subject: BenchSubject
  readonly version: string
  readonly child: Child
  readonly opened: Opened
  readonly startMs: number
  readonly startCpuMs: number | null
  /** Single runs. */
  readonly wall: number[]
  readonly cpu: number[]
  runsPerSample: number
  judged?: Judged
  /** Of each output, where the reference gave them. */
  bounds?: readonly number[]
  failed?: string
}

export type Context = Required<
  Pick<
    BenchOptions,
    | 'repeats'
    | 'sampleMs'
    | 'warmupMs'
    | 'warmupRuns'
    | 'clock'
    | 'referenceMacs'
    | 'limitMs'
    | 'confidence'
    | 'seed'
  >
> & {
  readonly options: BenchOptions
  readonly module: string
  readonly peaks: readonly Peak[]
  /** What the reference says, found once: by model and by how much an algorithm amplifies rounding. */
  readonly references: Map<string, Referred>
  step(what: string): void
}

const failureOf = (e: unknown): string => String(e instanceof Error ? e.message : e).split('\n')[0]!

/** int8 where the graph quantises or multiplies integers. */
export const arithmeticOf = (graph: Graph): BenchGroup['arithmetic'] =>
  graph.nodes.some((n) => /quantize|integer|tflite/i.test(n.op)) ? 'int8' : 'float32'

/** All subjects on one model at one number of threads. */
export async function benchGroup(
  model: BenchModel,
  threads: number,
  file: string,
  x: Context,
): Promise<{ rows: BenchRow[]; ratios: BenchRatio[]; group: BenchGroup }> {
  const { signal } = x.options
  const { macs } = costOf(model.graph)
  const runners: Runner[] = []
  const rows: BenchRow[] = []
  let comparedWith: BenchGroup['comparedWith'] = null
  const load = { others: 0, steal: 0, wall: 0 }
  try {
    for (const subject of x.options.subjects) {
      x.step(`${model.name}: starting ${subjectName(subject)}`)
      const started = await start(model, subject, threads, file, x)
      if ('verdict' in started) rows.push(started)
      else runners.push(started)
    }
    x.step(`${model.name}: judging the outputs`)
    comparedWith = await judge(model, file, macs, runners, x)
    const right = runners.filter(
      (r) => r.judged && r.judged.verdict !== 'different' && r.judged.verdict !== 'unchecked',
    )
    for (const r of right) await warmUp(r, x)
    x.step(
      `${model.name}: timing ${right.length} targets in turn, ${threads} thread${threads > 1 ? 's' : ''}`,
    )
    const timings = await timeInTurn(right, load, x)
    for (const [i, r] of right.entries()) {
      const why = timings[i]!.failed
      if (why !== null) r.failed = why
    }
    const profiles = new Map<Runner, readonly NodeTime[] | null>()
    for (const r of right) {
      if (r.failed !== undefined) continue
      await judgeAgain(r, model, x)
      if (x.options.perNode) profiles.set(r, await ask(r.child, { op: 'profile' }, x))
    }
    signal?.throwIfAborted()
    rows.push(...runners.map((r) => rowOf(r, model, threads, profiles.get(r) ?? null, x)))
    const whole = timings.filter(
      (_, i) => right[i]!.failed === undefined && right[i]!.judged!.verdict !== 'different',
    )
    const group: BenchGroup = {
      model: model.name,
      threads,
      macs,
      arithmetic: arithmeticOf(model.graph),
      comparedWith,
      othersCores: load.wall > 0 ? Math.max(0, load.others / load.wall) : null,
      stealShare: load.wall > 0 ? load.steal / load.wall : null,
    }
    return { rows: inOrder(rows, x.options.subjects), ratios: ratiosOf(model.name, threads, whole, x), group }
  } finally {
    for (const r of runners) r.child.kill()
  }
}

/** Rows as the user named the subjects. */
function inOrder(rows: readonly BenchRow[], subjects: readonly BenchSubject[]): BenchRow[] {
  const names = subjects.map(subjectName)
  return rows.toSorted((a, b) => names.indexOf(rowName(a)) - names.indexOf(rowName(b)))
}

const ask = <Op extends keyof Questions>(
  child: Child,
  question: Extract<Question, { op: Op }>,
  x: Context,
): Promise<ReturnType<Questions[Op]>> =>
  child.ask(question, x.limitMs, x.options.signal) as Promise<ReturnType<Questions[Op]>>

const emptyRow = {
  engine: '',
  version: null,
  error: null,
  within: null,
  boundRatio: null,
  medianMs: null,
  p95Ms: null,
  leastMs: null,
  cpuMs: null,
  runs: 0,
  gflops: null,
  share: null,
  peakBytes: null,
  baseBytes: null,
  startMs: null,
  startCpuMs: null,
  compileMs: null,
  loadMs: null,
  firstMs: null,
  facts: {},
  profile: null,
} as const satisfies Partial<BenchRow>

/** A cold process up to its first answer; or the row that says why there is none. */
async function start(
  model: BenchModel,
  subject: BenchSubject,
  threads: number,
  file: string,
  x: Context,
): Promise<Runner | BenchRow> {
  const { target, variant } = subject
  const row = (verdict: BenchRow['verdict'], says: string, version: string | null = null): BenchRow => ({
    ...emptyRow,
    model: model.name,
    target: target.name,
    variant,
    engine: variant,
    threads,
    version,
    verdict,
    says,
  })
  const presence = await target.presence(subject.options)
  if (!presence.present) return row('absent', presence.reason)
  const { memoryBytes } = x.options
  const began = performance.now()
  const child = startChild(childModule, memoryBytes === undefined ? {} : { memoryBytes })
  try {
    const options = { ...subject.options, threads }
    const opened = await ask(child, { op: 'open', file, module: x.module, target: target.name, options }, x)
    const startMs = performance.now() - began
    const startCpuMs = child.cpuMs()
    const has = opened.facts.threads ?? 1
    if (has !== threads) {
      child.kill()
      return row(
        'unsupported',
        `runs on ${has} thread${has === 1 ? '' : 's'}, ${threads} asked`,
        presence.version,
      )
    }
    return {
      subject,
      version: presence.version,
      child,
      opened,
      startMs,
      startCpuMs,
      wall: [],
      cpu: [],
      runsPerSample: 1,
    }
  } catch (e) {
    child.kill()
    x.options.signal?.throwIfAborted()
    const unsupported = e instanceof ChildError && e.original === 'UnsupportedError'
    return row(unsupported ? 'unsupported' : 'failed', failureOf(e), presence.version)
  }
}

/** Largest error allowed, as a share of the largest expected value, where rounding alone doesn't limit it. */
const withinOf = (s: BenchSubject, x: Context): number | undefined => s.within ?? x.options.within

const amplificationOf = (r: Runner): number => Math.max(1, ...Object.values(r.opened.amplification))

/** Gives every runner its verdict, before anything is timed. */
async function judge(
  model: BenchModel,
  file: string,
  macs: number,
  runners: readonly Runner[],
  x: Context,
): Promise<BenchGroup['comparedWith']> {
  if (runners.length === 0) return null
  if (model.expected) {
    for (const r of runners) {
      r.bounds = model.expected.bounds(r.subject.target.name)
      r.judged = judgeOutputs(r.opened.outputs, model.expected.outputs, r.bounds, withinOf(r.subject, x))
    }
    return 'reference'
  }
  const together = (): boolean => {
    const answers = runners.map((r): Answer => {
      const within = withinOf(r.subject, x)
      return {
        target: r.subject.target.name,
        outputs: r.opened.outputs,
        amplification: amplificationOf(r),
        ...(within !== undefined && { within }),
      }
    })
    const judged = judgeTogether(model.graph, answers)
    for (const [i, r] of runners.entries()) if (judged) r.judged = judged[i]!
    return judged !== null
  }
  if (macs > x.referenceMacs && together()) return 'each other'
  let reference: Referred
  try {
    reference = await refer(model, file, macs, {}, x)
  } catch (e) {
    x.options.signal?.throwIfAborted()
    if (together()) return 'each other'
    const says = `nothing to compare its outputs with; the reference: ${failureOf(e)}`
    for (const r of runners) r.judged = { verdict: 'unchecked', says, error: null, boundRatio: null }
    return null
  }
  for (const r of runners) {
    const within = withinOf(r.subject, x)
    r.judged = judgeOutputs(r.opened.outputs, reference.outputs, reference.bounds, within)
    r.bounds = reference.bounds
    // An algorithm that is known to round more has a bound of its own.
    if (r.judged.verdict === 'different' && amplificationOf(r) > 1) {
      const own = await refer(model, file, macs, r.opened.amplification, x)
      r.judged = judgeOutputs(r.opened.outputs, own.outputs, own.bounds, within)
      r.bounds = own.bounds
    }
  }
  return 'reference'
}

/** The reference in a process of its own, so that it can be stopped. */
async function refer(
  model: BenchModel,
  file: string,
  macs: number,
  amplification: Amplification,
  x: Context,
): Promise<Referred> {
  const key = JSON.stringify([model.name, amplification])
  const known = x.references.get(key)
  if (known) return known
  const child = startChild(childModule)
  // Half a billion multiply-accumulates a second, four passes, and as much again.
  const limitMs = x.limitMs + macs / 5e4
  const question: Question = { op: 'reference', file, trials: 1, seed: x.seed, amplification }
  try {
    const said = (await child.ask(question, limitMs, x.options.signal)) as Referred
    x.references.set(key, said)
    return said
  } finally {
    child.kill()
  }
}

/** Runs until compilers and caches have settled, and finds how many runs make a sample. */
async function warmUp(r: Runner, x: Context): Promise<void> {
  try {
    let [runs, total, last] = [0, 0, 0]
    while (runs < x.warmupRuns || total < x.warmupMs) {
      const { ms } = await ask(r.child, { op: 'run', runs: 1 }, x)
      last = ms[0]!
      total += last
      runs++
      if (runs >= 10_000) break
    }
    r.runsPerSample = Math.min(10_000, Math.max(1, Math.ceil(x.sampleMs / Math.max(last, 1e-3))))
  } catch (e) {
    x.options.signal?.throwIfAborted()
    r.failed = failureOf(e)
  }
}

/** Samples in rounds. Each run is timed in its own process; the clock that `measure` sees adds up what the children say. */
async function timeInTurn(
  runners: readonly Runner[],
  load: { others: number; steal: number; wall: number },
  x: Context,
): Promise<Timing[]> {
  let elapsed = 0
  return measure(
    runners.map((r) => ({
      name: subjectName(r.subject),
      run: async () => {
        if (r.failed !== undefined) throw new Error(r.failed)
        // Pools of threads spin for a while after a run; the one before must have come to rest.
        await new Promise((resolve) => setTimeout(resolve, settleMs))
        const before = systemTimes()
        const own = process.cpuUsage()
        const began = performance.now()
        const { ms, cpuMs }: Ran = await ask(r.child, { op: 'run', runs: r.runsPerSample }, x)
        const after = systemTimes()
        if (before && after) {
          const { user, system } = process.cpuUsage(own)
          load.others += after.busyMs - before.busyMs - cpuMs - (user + system) / 1000
          load.steal += after.stealMs - before.stealMs
          load.wall += performance.now() - began
        }
        r.wall.push(...ms)
        r.cpu.push(cpuMs / ms.length)
        elapsed += x.clock === 'cpu' ? cpuMs / ms.length : median(ms)
      },
    })),
    {
      warmup: 0,
      repeats: x.repeats,
      seed: x.seed,
      ...(x.options.signal && { signal: x.options.signal }),
      onRound: (round) => x.options.progress?.(round + 1, x.repeats, 'rounds timed'),
    },
    () => elapsed,
  )
}

/** The last of the timed runs must have answered as the first did. */
async function judgeAgain(r: Runner, model: BenchModel, x: Context): Promise<void> {
  try {
    const outputs = await ask(r.child, { op: 'outputs' }, x)
    const expected: readonly Datum[] = r.opened.outputs
    const bounds = r.bounds ?? estimatedBounds(model.graph, expected)
    const same = judgeOutputs(outputs, expected, bounds, withinOf(r.subject, x))
    if (same.verdict === 'different') {
      r.judged = { ...same, says: `the last run answered otherwise than the first: ${same.says}` }
    }
  } catch (e) {
    x.options.signal?.throwIfAborted()
    r.failed = failureOf(e)
  }
}

function rowOf(
  r: Runner,
  model: BenchModel,
  threads: number,
  profile: readonly NodeTime[] | null,
  x: Context,
): BenchRow {
  const { opened, judged } = r
  const { facts } = opened
  const { macs } = costOf(model.graph)
  const timed = r.failed === undefined && judged?.verdict !== 'different' && r.wall.length > 0
  const medianMs = timed ? median(r.wall) : null
  const gflops = timed && macs > 0 ? (2 * macs) / median(x.clock === 'cpu' ? r.cpu : r.wall) / 1e6 : null
  const kind = arithmeticOf(model.graph)
  const roof = x.peaks.find((p) => p.threads === threads && p.kind === kind)
  return {
    model: model.name,
    target: r.subject.target.name,
    variant: r.subject.variant,
    engine: String(facts.engine ?? r.subject.variant),
    version: r.version,
    threads,
    verdict: r.failed !== undefined ? 'failed' : (judged?.verdict ?? 'unchecked'),
    says: r.failed ?? judged?.says ?? 'nothing to compare its outputs with',
    error: judged?.error ?? null,
    within: withinOf(r.subject, x) ?? null,
    boundRatio: judged?.boundRatio ?? null,
    medianMs,
    p95Ms: timed ? quantile(r.wall, 0.95) : null,
    leastMs: timed ? quantile(r.wall, 0) : null,
    cpuMs: timed ? median(r.cpu) : null,
    runs: timed ? r.wall.length : 0,
    gflops,
    share: gflops !== null && roof ? gflops / roof.gops : null,
    peakBytes: r.child.peakBytes(),
    baseBytes: opened.baseBytes,
    startMs: timed ? r.startMs : null,
    startCpuMs: timed ? r.startCpuMs : null,
    compileMs: timed ? opened.compileMs : null,
    loadMs: timed ? opened.loadMs : null,
    firstMs: timed ? opened.firstMs : null,
    facts,
    profile,
  }
}

function ratiosOf(model: string, threads: number, timings: readonly Timing[], x: Context): BenchRatio[] {
  const { baseline } = x.options
  if (baseline !== undefined && !timings.some((t) => t.name === baseline)) return []
  const compared = compareTimings(timings, {
    correction: 'holm',
    confidence: x.confidence,
    method: 'percentile',
    resamples: 2000,
    seed: x.seed,
    ...(baseline !== undefined && { baseline }),
  })
  // n pairs that all point one way have p = 2 / 2ⁿ in Wilcoxon's test; Holm multiplies the least by the number of tests.
  const tooFew = compared.length * 2 ** (1 - x.repeats) > 1 - x.confidence
  return compared.map(({ faster, slower, ratio, low, high, different }) => {
    return { model, threads, faster, slower, ratio, low, high, different: tooFew ? null : different }
  })
}
