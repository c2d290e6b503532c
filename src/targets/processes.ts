// Child processes that can't outlive us. Each child leads its own process group, so that killing the group takes whatever
// the child started; groups still alive and folders still there are cleared when Node exits or is told to stop.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const groups = new Set<number>()
const folders = new Set<string>()
let watching = false

/** Kills every group and removes every folder. Synchronous: it runs in exit handlers. */
function clear(): void {
  for (const pid of groups) killGroup(pid)
  for (const folder of folders) removeFolder(folder)
}

function watchExit(): void {
  if (watching) return
  watching = true
  process.on('exit', clear)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const stop = (): void => {
      clear()
      // Another listener decides whether the program goes on; alone, the signal does what it does by default.
      if (process.listenerCount(signal) > 1) return
      process.off(signal, stop)
      process.kill(process.pid, signal)
    }
    process.on(signal, stop)
  }
}

/** Kills a process, everything in its group and, where the system tells, what it started in others: it has no time to do so itself. */
export function killGroup(pid: number): void {
  const below = descendants(pid)
  for (const id of [process.platform === 'win32' ? pid : -pid, ...below]) {
    try {
      process.kill(id, 'SIGKILL')
    } catch {
      // ESRCH: gone.
    }
  }
  groups.delete(pid)
}

/** Starts a child that leads its own process group. */
export function spawnGroup(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  watchExit()
  const child = spawn(command, args, { ...options, detached: process.platform !== 'win32' })
  const { pid } = child
  if (pid !== undefined) {
    groups.add(pid)
    // What the child left running in its group goes with it.
    child.once('exit', () => killGroup(pid))
  }
  return child
}

/** A folder that only this user can read, removed by `removeFolder` or at exit. */
export function privateFolder(): string {
  watchExit()
  const folder = mkdtempSync(join(tmpdir(), 'strata-'))
  folders.add(folder)
  return folder
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  folders.delete(folder)
}

/**
 * Resident bytes of a process and its descendants; 0 where the system has no /proc (there only the time limit holds).
 * Pages that processes share are counted once for each.
 */
export const residentBytes = (pid: number): number => memoryOf(pid, 'VmRSS')

/** The most that each of them ever held; 0 likewise. */
export const peakResidentBytes = (pid: number): number => memoryOf(pid, 'VmHWM')

function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  let total = 0
  for (const status of readOfAll(pid, 'status')) {
    total += Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024
  }
  return total
}

/** Milliseconds of processor time of a process and its descendants so far, all threads; 0 likewise. */
export function processorMs(pid: number): number {
  let total = 0
  for (const stat of readOfAll(pid, 'stat')) {
    // Fields 14 and 15, in hundredths of a second; the name in parentheses may hold spaces.
    const fields = stat.split(') ').at(-1)!.split(' ')
    total += 10 * (Number(fields[11]) + Number(fields[12]))
  }
  return total
}

/** A file of the system's about a process, and about each of its descendants. */
function readOfAll(pid: number, file: string): string[] {
  return [pid, ...descendants(pid)].flatMap((id) => {
    try {
      return [readFileSync(`/proc/${id}/${file}`, 'utf8')]
    } catch {
      // Ended meanwhile.
      return []
    }
  })
}

function descendants(pid: number): number[] {
  const found: number[] = []
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
      for (const child of text.split(' ').filter(Boolean).map(Number))
        found.push(child, ...descendants(child))
    }
  } catch {
    // No /proc, or the process ended meanwhile.
  }
  return found
}

/** Kills the group when it holds more than `limit` bytes, and says so. Returns what stops watching. */
export function watchMemory(pid: number, limit: number, onOver: (bytes: number) => void): () => void {
  const timer = setInterval(() => {
    const bytes = residentBytes(pid)
    if (bytes <= limit) return
    clearInterval(timer)
    onOver(bytes)
    killGroup(pid)
  }, 100)
  timer.unref()
  return () => clearInterval(timer)
}
