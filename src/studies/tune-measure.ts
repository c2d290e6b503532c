// Measures candidates for `tune` on this machine, in a child that is started anew when one of them took it down.

import type { Kernel } from '../compile/kernels.ts'
import type { Schedule } from '../compile/schedule.ts'
import { median } from '../core/statistics.ts'
import { type Ratio, ratioOfMedians } from '../judges/timing.ts'
import { type Child, ChildError, startChild } from '../targets/child.ts'
import { packedFile } from '../targets/packed.ts'
import type { Target, TargetOptions } from '../targets/target.ts'
import { randomInputs } from './inputs.ts'
import type { Timed, TuneQuestion, TuneQuestions } from './tune-child.ts'

export type Measured = {
  /** Digest of the code. */
  readonly code: string | null
  readonly status: 'measured' | 'same' | 'wrong' | 'failed'
  readonly ms: number | null
  readonly defaultMs: number | null
  readonly says?: string
}
export type Confirmed = Ratio & { readonly defaultMs: number; readonly tunedMs: number }

/** One kernel on the device. */
export type Device = {
  /** `known`: digests of code that was measured before, of which another measurement says nothing new. */
  measure(s: Schedule, known: ReadonlySet<string>): Promise<Measured>
  /** A candidate against the default, long enough to be sure; null where it fails or is wrong. */
  confirm(s: Schedule): Promise<Confirmed | null>
  /** Gives back what it holds of the machine until it is asked again. */
  rest(): void
  close(): void
}

export type MeasureOptions = {
  readonly target: Target
  readonly options: TargetOptions
  /** 'cpu' is what neighbours on a busy machine disturb least. Default 'wall'. */
  readonly clock?: 'wall' | 'cpu'
  /** Of one candidate, compilation included. Default 30 s. */
  readonly limitMs?: number
  /** The module whose `targets` a child looks the target up in. Default: the registry. */
  readonly targets?: URL
  readonly signal?: AbortSignal
}

const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const childModule = new URL(`./tune-child${extension}`, import.meta.url)
const registry = new URL(`../targets/registry${extension}`, import.meta.url)

/** Candidates to a process: each leaves code and memory behind. */
const mostOfChild = 32
/** What a search needs, and what a verdict does. */
const quick = { rounds: 5, sampleMs: 4 }
const sure = { rounds: 25, sampleMs: 12 }

/** The node of a kernel's graph, with this schedule. */
const scheduleText = (s: Schedule): string => JSON.stringify({ kernel: s })

export function deviceFor(kernel: Kernel, x: MeasureOptions): Device {
  const { signal, limitMs = 30_000, clock = 'wall' } = x
  const file = packedFile({ graph: kernel.graph, inputs: randomInputs(kernel.graph, 1, 1)[0]! })
  let child: Child | undefined
  let tried = 0
  let base = ''
  const ask = <Op extends keyof TuneQuestions>(q: Extract<TuneQuestion, { op: Op }>) =>
    child!.ask(q, limitMs, signal) as Promise<ReturnType<TuneQuestions[Op]>>
  const stop = (): void => {
    child?.kill()
    child = undefined
  }
  const ready = async (): Promise<void> => {
    if (child && tried < mostOfChild) return
    stop()
    child = startChild(childModule)
    tried = 0
    const { target, options } = x
    const module = (x.targets ?? registry).href
    try {
      base = await ask<'open'>({ op: 'open', file: file.path, module, target: target.name, options })
    } catch (e) {
      stop()
      throw e
    }
  }
  /** A refusal leaves the child alive; any other end of it needs a new one. */
  const reason = (e: unknown): string => {
    signal?.throwIfAborted()
    if (!(e instanceof ChildError)) throw e
    if (e.kind !== 'refused') stop()
    return e.message.split('\n')[0]!
  }
  const nothing = { code: null, ms: null, defaultMs: null }
  return {
    async measure(s, known) {
      await ready()
      tried++
      let code: string | null = null
      try {
        code = await ask<'compile'>({ op: 'compile', schedule: scheduleText(s) })
        if (code === base || known.has(code)) return { ...nothing, code, status: 'same' }
        const t: Timed = await ask<'time'>({ op: 'time', ...quick, clock })
        if (t.judged.verdict === 'different')
          return { ...nothing, code, status: 'wrong', says: t.judged.says }
        return { code, status: 'measured', ms: median(t.candidate), defaultMs: median(t.default) }
      } catch (e) {
        return { ...nothing, code, status: 'failed', says: reason(e) }
      }
    },
    async confirm(s) {
      // In a fresh process: nothing that earlier candidates left helps or hinders.
      stop()
      await ready()
      try {
        await ask<'compile'>({ op: 'compile', schedule: scheduleText(s) })
        const t: Timed = await ask<'time'>({ op: 'time', ...sure, clock })
        if (t.judged.verdict === 'different') return null
        const ratio = ratioOfMedians(t.default, t.candidate, {
          paired: true,
          confidence: 0.95,
          method: 'percentile',
          resamples: 2000,
          seed: 1,
        })
        return { ...ratio, defaultMs: median(t.default), tunedMs: median(t.candidate) }
      } catch (e) {
        reason(e)
        return null
      }
    },
    rest: stop,
    close() {
      stop()
      file[Symbol.dispose]()
    },
  }
}
