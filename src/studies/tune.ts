// `tune`: finds schedules for a model's kernels by measuring them on this machine, and keeps what it found. A schedule wins only when it
// beats the default in a measurement of its own, made for that alone; else the default stays.

import { type Kernel, kernelsOf } from '../compile/kernels.ts'
import { isStaticGraph, prepare, uncompilable } from '../compile/prepare.ts'
import { defaultSchedule, type Engine, type Schedule } from '../compile/schedule.ts'
import { InputError } from '../core/errors.ts'
import { median } from '../core/statistics.ts'
import type { Graph } from '../ir/types.ts'
import { type Trial, type Tuner, tuner } from '../search/tune.ts'
import { scheduleKey } from '../search/tune-space.ts'
import { findCompiler } from '../targets/c/compiler.ts'
import { cEngine } from '../targets/c.ts'
import { probeProcessor } from '../targets/processor.ts'
import type { Target, TargetOptions } from '../targets/target.ts'
import { wasmEngine } from '../targets/wasm.ts'
import type { Place, TrialRecord, Tuning, WinnerRecord } from './store-tuning.ts'
import { type Device, deviceFor, type MeasureOptions } from './tune-measure.ts'

export type TuneSubject = { readonly target: Target; readonly options: TargetOptions }

export type TuneOptions = Omit<MeasureOptions, 'target' | 'options'> & {
  /** With every dimension a number. */
  readonly graph: Graph
  readonly subject: TuneSubject
  readonly records: Tuning
  /** Measurements of each kernel, those that the records hold included. Default 64. */
  readonly trials?: number
  /** Seconds of searching in all; the confirmations come after. Default: no limit. */
  readonly seconds?: number
  readonly seed?: number
  readonly progress?: (done: number, total: number, what: string) => void
  /** Seconds from any start. Default: the system's. */
  readonly now?: () => number
  /** What measures a kernel. Default: a child process on this machine. */
  readonly device?: (kernel: Kernel) => Device
}

export type TunedKernel = {
  readonly kernel: string
  /** Nodes of the model that have this shape. */
  readonly nodes: readonly string[]
  readonly macs: number
  readonly before: Schedule
  readonly after: Schedule
  /** Null where the default could not be measured. */
  readonly defaultMs: number | null
  readonly tunedMs: number | null
  /** Time of the default over that of the winner; 1 where the default stays. */
  readonly ratio: number
  readonly low: number
  readonly high: number
  readonly trials: number
  readonly failed: number
  readonly wrong: number
  /** The best ratio measured so far (before it was confirmed) after so many trials: where it rose. */
  readonly curve: readonly { readonly trials: number; readonly ratio: number }[]
  /** What was fastest with each algorithm, before confirmation. */
  readonly algorithms: readonly { readonly algorithm: string; readonly ratio: number }[]
  readonly says: string
}

export type TuneResult = Place & {
  readonly target: string
  readonly records: string
  readonly seconds: number
  readonly kernels: readonly TunedKernel[]
}

/** Candidates of one kernel before the next kernel has its turn. */
const batch = 8
/** The fastest candidates that are confirmed in turn until one holds. */
const finalists = 3

/** What the target's code is for, and what makes it. Throws InputError for targets that have no schedules. */
export function tuningPlace(target: Target, options: TargetOptions): Place & { readonly code: Engine } {
  const processor = probeProcessor().name ?? 'unknown'
  if (target.name === 'wasm') {
    const code = wasmEngine(options)
    return { engine: code.name, processor, runtime: `V8 ${process.versions.v8}`, code }
  }
  if (target.name === 'c') {
    const code = cEngine(options)
    return { engine: code.name, processor, runtime: findCompiler()?.version ?? 'none', code }
  }
  throw new InputError(`tune: ${target.name} has no schedules, expected wasm:safe, wasm:fast or c`)
}

/**
 * The options with the schedules that the records have for these graphs' kernels; as they are for targets without schedules, for what
 * they can't compile, and where nothing was found.
 */
export function withTuned(
  graphs: readonly Graph[],
  { target, options }: TuneSubject,
  records: Tuning,
): TargetOptions {
  if (target.name !== 'wasm' && target.name !== 'c') return options
  const { code, ...place } = tuningPlace(target, options)
  const found: Record<string, Schedule> = {}
  for (const graph of graphs) {
    if (uncompilable(graph).length > 0 || !isStaticGraph(graph)) continue
    for (const { key, extent } of kernelsOf(prepare(graph, code), code)) {
      const winner = records.winner(key, place)
      if (winner && winner.ratio > 1 && comparesWith(winner, defaultSchedule(extent, code)))
        found[key] = winner.schedule
    }
  }
  return Object.keys(found).length === 0 ? options : { ...options, schedule: JSON.stringify(found) }
}

/** Whether a record's ratio is one over this default: with another default it says nothing. */
const comparesWith = (r: { readonly before: Schedule }, start: Schedule): boolean =>
  scheduleKey(r.before) === scheduleKey(start)

/** The search for one kernel, as far as it has come. */
type Search = {
  readonly kernel: Kernel
  readonly tuner: Tuner
  readonly device: Device
  readonly trials: TrialRecord[]
  readonly codes: Map<string, number>
  /** How many of its schedules were measured, are wrong or failed: what has the code of another costs nothing. */
  count: number
  done: boolean
  /** Why the default itself can't be measured. */
  broken?: string
}

/** Tunes a model's kernels, those of most work first, a batch at a time. An abort ends it; what was measured is in the records. */
export async function tune(options: TuneOptions): Promise<TuneResult> {
  const { subject, records, trials = 64, seconds = Infinity, seed = 1, signal } = options
  if (!(Number.isSafeInteger(trials) && trials >= 1 && trials <= 100_000))
    throw new InputError(`tune: trials, expected 1 to 100000, got ${trials}`)
  if (!(seconds > 0)) throw new InputError(`tune: seconds, expected more than 0, got ${seconds}`)
  const { code, ...place } = tuningPlace(subject.target, subject.options)
  const presence = await subject.target.presence(subject.options)
  if (!presence.present) throw new InputError(`tune: ${subject.target.name}: ${presence.reason}`)
  const device = options.device ?? ((k: Kernel) => deviceFor(k, { ...options, ...subject }))
  const now = options.now ?? (() => performance.now() / 1000)
  const begun = now()
  const searches = kernelsOf(prepare(options.graph, code), code).map((kernel): Search => {
    const start = defaultSchedule(kernel.extent, code)
    const known = records.trials(kernel.key, place).filter((t) => comparesWith(t, start))
    const search: Search = {
      kernel,
      tuner: tuner(kernel.extent, code, seed),
      device: device(kernel),
      trials: [],
      codes: new Map(),
      count: 0,
      done: false,
    }
    for (const t of known) tell(search, t)
    return search
  })
  const total = searches.length * trials
  const late = (): boolean => now() - begun >= seconds
  try {
    while (searches.some((s) => !s.done) && !late()) {
      for (const s of searches) {
        if (s.done || late()) continue
        const asked = s.tuner.ask(Math.min(batch, trials - s.count))
        if (asked.length === 0) s.done = true
        for (const schedule of asked) {
          signal?.throwIfAborted()
          if (late()) break
          options.progress?.(
            Math.min(
              total,
              searches.reduce((n, x) => n + x.count, 0),
            ),
            total,
            `${kernelWords(s.kernel.key)}: ${bestOf(s).toFixed(2)} × after ${s.count} trials`,
          )
          try {
            const record = await attempt(s, schedule, place)
            records.append(record)
            tell(s, record)
          } catch (e) {
            signal?.throwIfAborted()
            if (e instanceof InputError) throw e
            // Not the candidate's fault: the default itself doesn't run.
            s.broken = String(e instanceof Error ? e.message : e).split('\n')[0]!
            s.done = true
            break
          }
        }
        // One kernel at a time in memory.
        s.device.rest()
        // Where most candidates have the code of others, there is little left to find.
        if (s.count >= trials || s.trials.length >= 4 * trials) s.done = true
      }
    }
    const kernels: TunedKernel[] = []
    for (const [i, s] of searches.entries()) {
      signal?.throwIfAborted()
      options.progress?.(i, searches.length, `${kernelWords(s.kernel.key)}: confirming`)
      kernels.push(await settle(s, records, place))
      s.device.rest()
    }
    return {
      target: subject.target.name,
      ...place,
      records: records.path,
      seconds: now() - begun,
      kernels,
    }
  } finally {
    for (const s of searches) s.device.close()
  }
}

function tell(s: Search, t: TrialRecord): void {
  s.trials.push(t)
  s.tuner.tell(t)
  if (t.status !== 'same') s.count++
  if (t.code !== null && t.status === 'measured') s.codes.set(t.code, t.ratio)
}

async function attempt(s: Search, schedule: Schedule, place: Place): Promise<TrialRecord> {
  const m = await s.device.measure(schedule, new Set(s.codes.keys()))
  const ratio =
    m.status === 'same'
      ? (s.codes.get(m.code ?? '') ?? 1)
      : m.status === 'measured'
        ? Math.min(m.defaultMs!, usualDefault(s, m.defaultMs!)) / m.ms!
        : 0
  return { kind: 'trial', kernel: s.kernel.key, ...place, before: s.tuner.start, schedule, ratio, ...m }
}

/** What the default usually takes: a moment in which it took three times as long makes no candidate three times as fast. */
const usualDefault = (s: Search, latest: number): number =>
  median([...s.trials.flatMap((t) => (t.status === 'measured' ? [t.defaultMs!] : [])), latest])

const bestOf = (s: Search): number => s.tuner.best(1)[0]?.ratio ?? 1

/** The winner: the fastest candidate that beats the default when measured again, by the whole interval; else the default. */
async function settle(s: Search, records: Tuning, place: Place): Promise<TunedKernel> {
  const { kernel, trials } = s
  const before = s.tuner.start
  const measured = trials.filter((t) => t.status === 'measured')
  const result = (
    w: Pick<WinnerRecord, 'schedule' | 'ratio' | 'low' | 'high'>,
    says: string,
    ms?: readonly number[],
  ) => ({
    kernel: kernel.key,
    nodes: kernel.nodes,
    macs: kernel.macs,
    before,
    after: w.schedule,
    defaultMs: ms?.[0] ?? measured.at(-1)?.defaultMs ?? null,
    tunedMs: ms?.[1] ?? measured.at(-1)?.defaultMs ?? null,
    ratio: w.ratio,
    low: w.low,
    high: w.high,
    trials: s.count,
    failed: trials.filter((t) => t.status === 'failed').length,
    wrong: trials.filter((t) => t.status === 'wrong').length,
    curve: curveOf(trials),
    algorithms: byAlgorithm(trials, before),
    says,
  })
  const stays = { schedule: before, ratio: 1, low: 1, high: 1 }
  if (s.broken !== undefined) return result(stays, `not measured: ${s.broken}`)
  const last = records.winner(kernel.key, place)
  const known = last && comparesWith(last, before) ? last : undefined
  if (known && known.trials === s.count) {
    const says = known.ratio > 1 ? 'confirmed before' : 'nothing faster was confirmed before'
    return result(known, says, [known.defaultMs, known.tunedMs])
  }
  // What won before runs again against what was found since.
  for (const t of s.tuner.best(finalists)) {
    const c = await s.device.confirm(t.schedule)
    if (!c || c.low <= 1) continue
    // Confirmed ratios compare with each other; single measurements don't.
    if (known && known.ratio > c.ratio) break
    const { ratio, low, high, defaultMs, tunedMs } = c
    const winner = { schedule: t.schedule, before, ratio, low, high, defaultMs, tunedMs }
    records.append({ kind: 'winner', kernel: kernel.key, ...place, trials: s.count, ...winner })
    return result(winner, 'confirmed', [defaultMs, tunedMs])
  }
  const kept = known ?? {
    ...stays,
    before,
    defaultMs: measured.at(-1)?.defaultMs ?? 0,
    tunedMs: measured.at(-1)?.defaultMs ?? 0,
  }
  const { schedule, ratio, low, high, defaultMs, tunedMs } = kept
  const winner = { schedule, before, ratio, low, high, defaultMs, tunedMs }
  if (s.count > 0)
    records.append({ kind: 'winner', kernel: kernel.key, ...place, trials: s.count, ...winner })
  return result(
    winner,
    known ? 'what was confirmed before stays' : 'the default stays: nothing faster was confirmed',
    s.count > 0 ? [defaultMs, tunedMs] : undefined,
  )
}

/** Where the best ratio so far rose. */
function curveOf(trials: readonly Trial[]): { trials: number; ratio: number }[] {
  const curve: { trials: number; ratio: number }[] = []
  let [best, n] = [1, 0]
  for (const t of trials) {
    if (t.status === 'same') continue
    n++
    if (t.ratio > best) {
      best = t.ratio
      curve.push({ trials: n, ratio: best })
    }
  }
  return curve
}

export const algorithmName = (s: Schedule): string => (s.sparse ? `sparse ${s.algorithm}` : s.algorithm)

function byAlgorithm(trials: readonly Trial[], start: Schedule): { algorithm: string; ratio: number }[] {
  const best = new Map([[algorithmName(start), 1]])
  for (const t of trials) {
    if (t.status !== 'measured') continue
    const name = algorithmName(t.schedule)
    best.set(name, Math.max(best.get(name) ?? 0, t.ratio))
  }
  return [...best].map(([algorithm, ratio]) => ({ algorithm, ratio })).sort((a, b) => b.ratio - a.ratio)
}

/** A kernel's shape without what goes without saying. */
export const kernelWords = (key: string): string =>
  key
    .replaceAll('float32[', '[')
    .replace(/ (strides|dilations|groups) 1(,1)*(?= |$)/g, '')
    .replace(/ pads 0(,0)*(?= |$)/, '')
    .replace(/ channels(First|Last)(?= |$)/, '')
    .replaceAll('!', '')
