// Reads mutated files in a process of its own and says how each went. The number of the file at work is in a shared file, so that
// whoever kills this process for hanging or dying knows which one it was.

import { openSync, readFileSync, writeSync } from 'node:fs'
import { InputError, UnsupportedError } from '../../src/core/errors.ts'
import { type Rng, rng } from '../../src/core/rng.ts'
import { mutate } from './mutate.ts'
import { type Seed, type Subject, subjects } from './subjects.ts'

export type Batch = {
  readonly format: string
  readonly seed: number
  readonly from: number
  readonly count: number
  readonly progress: string
}

export type Finding = { readonly index: number; readonly file: string; readonly what: string }

export type BatchResult = {
  readonly read: number
  readonly refused: number
  readonly findings: readonly Finding[]
  readonly slowestMs: number
  /** Most resident bytes that reading one file added, beyond 4 × its size. */
  readonly largestBytes: number
}

/** Processor time, so that a busy machine makes no finding. */
export const HANG_MS = 2000
export const MEMORY = 256 * 2 ** 20

/** The generator of one file: depends on nothing but the format, the seed and the number. */
export function generatorOf(format: string, seed: number, index: number): Rng {
  let h = 2166136261
  for (const c of `${format}:${seed}:${index}`) h = Math.imul(h ^ c.charCodeAt(0), 16777619)
  return rng(h)
}

export function mutatedFile(subject: Subject, seeds: readonly Seed[], seed: number, index: number) {
  const r = generatorOf(subject.format, seed, index)
  const from = seeds[r.below(seeds.length)]!
  const other = seeds[r.below(seeds.length)]!
  return { from, bytes: mutate(from.bytes, other.bytes, r, subject) }
}

/** Peak and present resident bytes; 0 where the system has no /proc. */
function resident(): { peak: number; now: number } {
  try {
    const text = readFileSync('/proc/self/status', 'latin1')
    const kb = (key: string): number => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(text)?.[1] ?? 0)
    return { peak: kb('VmHWM') * 1024, now: kb('VmRSS') * 1024 }
  } catch {
    return { peak: 0, now: 0 }
  }
}

function resetPeak(): void {
  try {
    writeSync(peakFile, '5')
  } catch {}
}
const peakFile = (() => {
  try {
    return openSync('/proc/self/clear_refs', 'w')
  } catch {
    return -1
  }
})()

const opened = new Map<string, { subject: Subject; seeds: readonly Seed[] }>()

async function open(format: string): Promise<{ subject: Subject; seeds: readonly Seed[] }> {
  const known = opened.get(format)
  if (known) return known
  const subject = subjects.find((s) => s.format === format)!
  const seeds = subject.seeds()
  // Readers are imported on demand: not at the cost of the first file.
  for (const s of seeds.slice(0, 3)) await Promise.resolve(subject.read(s.bytes, s)).catch(() => {})
  const entry = { subject, seeds }
  opened.set(format, entry)
  return entry
}

async function run(batch: Batch): Promise<BatchResult> {
  const { subject, seeds } = await open(batch.format)
  const progress = openSync(batch.progress, 'r+')
  const place = new Float64Array(1)
  const findings: Finding[] = []
  let [read, refused, slowestMs, largestBytes] = [0, 0, 0, 0]
  for (let index = batch.from; index < batch.from + batch.count; index++) {
    place[0] = index
    writeSync(progress, place, 0, 8, 0)
    const { from, bytes } = mutatedFile(subject, seeds, batch.seed, index)
    const found = (what: string): void => void findings.push({ index, file: from.name, what })
    resetPeak()
    const before = resident().now
    const cpu = process.cpuUsage()
    try {
      await subject.read(bytes, from)
      read++
    } catch (e) {
      if (e instanceof InputError || e instanceof UnsupportedError) {
        refused++
        if (!/\S/.test(e.message) || e.message.length > 20_000)
          found(`a message of ${e.message.length} characters`)
      } else found(describe(e))
    }
    const { user } = process.cpuUsage(cpu)
    const added = resident().peak - before - 4 * bytes.length
    slowestMs = Math.max(slowestMs, user / 1000)
    largestBytes = Math.max(largestBytes, added)
    if (user / 1000 > HANG_MS) found(`took ${(user / 1e6).toFixed(1)} s of processor time`)
    if (added > MEMORY)
      found(`took ${Math.round((added + 4 * bytes.length) / 2 ** 20)} MB for ${bytes.length} bytes`)
  }
  return { read, refused, findings, slowestMs, largestBytes }
}

function describe(e: unknown): string {
  if (!(e instanceof Error)) return String(e)
  const frames = [...(e.stack ?? '').matchAll(/\/(src\/[^):]+:\d+)/g)].map((m) => m[1])
  const place = frames.slice(0, 3).join(' < ')
  return `${e.name}: ${e.message.split('\n')[0]!.slice(0, 160)} ${place && `at ${place}`}`.trim()
}

if (process.send) {
  process.on('message', async (batch: Batch) => {
    try {
      process.send!({ ok: await run(batch) })
    } catch (e) {
      process.send!({ error: describe(e) })
    }
  })
  process.on('disconnect', () => process.exit())
}
