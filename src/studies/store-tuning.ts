// What tuning found, kept for later: one JSON record a line, appended as they come, so that nothing finished is lost when a run is
// stopped. A line that is torn or no record is passed over. Found by the kernel's shape, the engine and the processor.

import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseSchedules, type Schedule } from '../compile/schedule.ts'
import { InputError } from '../core/errors.ts'
import type { Trial } from '../search/tune.ts'

/** What a record holds for. */
export type Place = {
  readonly engine: string
  readonly processor: string
  /** The version of what makes machine code: V8, or the C compiler. */
  readonly runtime: string
}

export type TrialRecord = Place &
  Trial & {
    readonly kind: 'trial'
    readonly kernel: string
    /** The default that the ratio compares with: another version may have another. */
    readonly before: Schedule
    /** Digest of the code, null where there is none. */
    readonly code: string | null
    /** Milliseconds; null where nothing was timed. */
    readonly ms: number | null
    readonly defaultMs: number | null
    /** Why it failed or is wrong. */
    readonly says?: string
  }

/** The schedule that was confirmed, or the default where nothing faster was: then the ratio is 1. */
export type WinnerRecord = Place & {
  readonly kind: 'winner'
  readonly kernel: string
  readonly trials: number
  readonly schedule: Schedule
  readonly before: Schedule
  readonly ratio: number
  readonly low: number
  readonly high: number
  readonly defaultMs: number
  readonly tunedMs: number
}
export type TuningRecord = TrialRecord | WinnerRecord

export type Tuning = {
  readonly path: string
  trials(kernel: string, place: Place): TrialRecord[]
  /** The latest. */
  winner(kernel: string, place: Place): WinnerRecord | undefined
  append(record: TuningRecord): void
}

const mostBytes = 256 << 20

const tuningFile = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata', 'tuning.jsonl')

/** Opens the records of a file, which need not be there yet. Throws InputError where it can't be read or written. */
export function openTuning(path = tuningFile()): Tuning {
  const trials = new Map<string, TrialRecord[]>()
  const winners = new Map<string, WinnerRecord>()
  const at = (kernel: string, p: Place): string => JSON.stringify([kernel, p.engine, p.processor, p.runtime])
  const take = (r: TuningRecord): void => {
    const key = at(r.kernel, r)
    if (r.kind === 'winner') winners.set(key, r)
    else trials.set(key, [...(trials.get(key) ?? []), r])
  }
  const text = read(path)
  for (const line of text.split('\n')) {
    const record = recordOf(line)
    if (record) take(record)
  }
  return {
    path,
    trials: (kernel, place) => trials.get(at(kernel, place)) ?? [],
    winner: (kernel, place) => winners.get(at(kernel, place)),
    append(record) {
      try {
        mkdirSync(dirname(path), { recursive: true })
        // A line that was torn when a machine stopped must not take this one with it.
        appendFileSync(path, `${endsOpen(path) ? '\n' : ''}${JSON.stringify(record)}\n`)
      } catch (e) {
        throw new InputError(
          `${path}: what was found can't be kept: ${(e as Error).message}. Free some space or name another file with --records.`,
        )
      }
      take(record)
    },
  }
}

function read(path: string): string {
  try {
    if (statSync(path).size > mostBytes)
      throw new InputError(`${path}: expected at most ${mostBytes} bytes of records. Move it away.`)
    return readFileSync(path, 'utf8')
  } catch (e) {
    if (e instanceof InputError) throw e
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw new InputError(`${path}: the records can't be read: ${(e as Error).message}`)
  }
}

function endsOpen(path: string): boolean {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return false
  }
  try {
    const last = Buffer.alloc(1)
    const { size } = statSync(path)
    return size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== 10
  } finally {
    closeSync(file)
  }
}

const statuses: ReadonlySet<unknown> = new Set(['measured', 'same', 'wrong', 'failed'])

function recordOf(line: string): TuningRecord | undefined {
  if (line === '') return undefined
  try {
    const r = JSON.parse(line)
    const texts = ['kernel', 'engine', 'processor', 'runtime'].every((k) => typeof r[k] === 'string')
    const complete = ['algorithm', 'sparse', 'rows', 'columns', 'block', 'unroll'].every((k) =>
      Object.hasOwn(r.schedule, k),
    )
    if (!texts || !complete || !Number.isFinite(r.ratio) || r.ratio < 0) return undefined
    // Throws for what is no schedule.
    parseSchedules(JSON.stringify({ x: r.schedule, y: r.before }))
    if (r.kind === 'trial') return statuses.has(r.status) ? r : undefined
    const figures = ['trials', 'low', 'high', 'defaultMs', 'tunedMs'].every((k) => Number.isFinite(r[k]))
    return r.kind === 'winner' && figures ? r : undefined
  } catch {
    return undefined
  }
}
