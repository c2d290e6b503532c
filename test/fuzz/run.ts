// Drives the fuzzing of one format: batches in a child, which is killed and replaced when it hangs or dies.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Child, ChildError, startChild } from '../../src/targets/child.ts'
import { privateFolder, removeFolder } from '../../src/targets/processes.ts'
import { type Batch, type BatchResult, type Finding, HANG_MS } from './child.ts'

export type FuzzResult = BatchResult & { readonly format: string; readonly files: number }

export type FuzzOptions = {
  readonly count: number
  readonly seed: number
  readonly progress?: (done: number) => void
}

const BATCH = 250
/** What the child may hold at all: a reader that goes far beyond its bound is stopped, not waited for. */
const CHILD_BYTES = 6 * 2 ** 30

/** Reads `count` mutated files of the format. */
export async function fuzz(format: string, options: FuzzOptions): Promise<FuzzResult> {
  const folder = privateFolder()
  const progress = join(folder, 'progress')
  writeFileSync(progress, new Uint8Array(8))
  const totals = { read: 0, refused: 0, slowestMs: 0, largestBytes: 0 }
  const findings: Finding[] = []
  let child: Child | undefined
  try {
    let at = 0
    while (at < options.count) {
      child ??= startChild(new URL('./child.ts', import.meta.url), { memoryBytes: CHILD_BYTES })
      const count = Math.min(BATCH, options.count - at)
      const batch: Batch = { format, seed: options.seed, from: at, count, progress }
      const stop = watch(child, progress)
      try {
        const r = (await child.ask(batch, 600_000)) as BatchResult
        totals.read += r.read
        totals.refused += r.refused
        totals.slowestMs = Math.max(totals.slowestMs, r.slowestMs)
        totals.largestBytes = Math.max(totals.largestBytes, r.largestBytes)
        findings.push(...r.findings)
        at += count
      } catch (e) {
        if (!(e instanceof ChildError) || e.kind === 'refused') throw e
        const index = new Float64Array(readFileSync(progress).buffer.slice(0, 8))[0] ?? at
        findings.push({
          index,
          file: '',
          what: stop.hung() ? `hung for more than ${2 * HANG_MS} ms` : e.message,
        })
        // What the batch had found before is found again: files depend on nothing but their number.
        child.kill()
        child = undefined
        if (index > at) {
          const part = await fuzzPart(format, options.seed, at, index - at, progress)
          totals.read += part.read
          totals.refused += part.refused
          findings.push(...part.findings)
        }
        at = index + 1
      } finally {
        stop.end()
      }
      options.progress?.(at)
    }
  } finally {
    child?.kill()
    removeFolder(folder)
  }
  return { format, files: options.count, ...totals, findings }
}

async function fuzzPart(format: string, seed: number, from: number, count: number, progress: string) {
  const child = startChild(new URL('./child.ts', import.meta.url), { memoryBytes: CHILD_BYTES })
  try {
    return (await child.ask({ format, seed, from, count, progress } satisfies Batch, 600_000)) as BatchResult
  } finally {
    child.kill()
  }
}

/** Kills the child when one file has kept its processor busy for twice the limit. */
function watch(child: Child, progress: string): { end(): void; hung(): boolean } {
  let [file, since, hung] = ['', 0, false]
  const timer = setInterval(() => {
    const now = readFileSync(progress).toString('hex')
    const cpu = child.cpuMs() ?? 0
    if (now !== file) [file, since] = [now, cpu]
    else if (cpu - since > 2 * HANG_MS + 3000 * Number(since === 0)) {
      hung = true
      child.kill()
    }
  }, 100)
  return { end: () => clearInterval(timer), hung: () => hung }
}
