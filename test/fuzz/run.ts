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
  // Ranges still to read, the next one last.
  const ranges: [from: number, to: number][] = [[0, options.count]]
  try {
    for (let range = ranges.pop(); range; range = ranges.pop()) {
      const [from, to] = range
      const end = Math.min(to, from + BATCH)
      if (end < to) ranges.push([end, to])
      child ??= startChild(new URL('./child.ts', import.meta.url), { memoryBytes: CHILD_BYTES })
      const batch: Batch = { format, seed: options.seed, from, count: end - from, progress }
      const stop = watch(child, progress)
      try {
        const r = (await child.ask(batch, 600_000)) as BatchResult
        totals.read += r.read
        totals.refused += r.refused
        totals.slowestMs = Math.max(totals.slowestMs, r.slowestMs)
        totals.largestBytes = Math.max(totals.largestBytes, r.largestBytes)
        findings.push(...r.findings)
      } catch (e) {
        if (!(e instanceof ChildError) || e.kind === 'refused') throw e
        const index = readFileSync(progress).readDoubleLE()
        findings.push({
          index,
          file: '',
          what: stop.hung() ? `hung for more than ${2 * HANG_MS} ms` : e.message,
        })
        child.kill()
        child = undefined
        // What the batch found before died with the child: those files are read again, each the same by its number.
        if (index + 1 < end) ranges.push([index + 1, end])
        if (from < index) ranges.push([from, index])
      } finally {
        stop.end()
      }
      options.progress?.(end)
    }
  } finally {
    child?.kill()
    removeFolder(folder)
  }
  return { format, files: options.count, ...totals, findings }
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
