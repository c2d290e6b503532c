// The folder of what is made once and used by later processes: compiled models, and facts about this machine's programs.

import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { digestText } from '../core/hash.ts'

/** Where files of one kind are kept. */
export const cacheFolder = (kind: string): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata', kind)

let count = 0
/** Writes a file whole or not at all, whoever else writes it. Throws what the file system says, with nothing left. */
export function writeWhole(path: string, mode: number, ...parts: readonly Uint8Array[]): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const part = `${path}.${process.pid}.${count++}.part`
  try {
    for (const [i, bytes] of parts.entries()) writeFileSync(part, bytes, { mode, flag: i === 0 ? 'w' : 'a' })
    renameSync(part, path)
  } catch (e) {
    try {
      rmSync(part, { force: true })
    } catch {
      // Its folder may be no folder.
    }
    throw e
  }
}

const day = 24 * 3600_000
/** Marks a file as used, for `prune`; once a day is enough. */
export function touch(path: string): void {
  try {
    const now = new Date()
    if (now.getTime() - statSync(path).mtimeMs > day) utimesSync(path, now, now)
  } catch {
    // Gone, or another user's.
  }
}

export type CacheLimits = { readonly bytes: number; readonly ageMs: number }
const cacheLimits: CacheLimits = { bytes: 2 ** 30, ageMs: 60 * day }

/**
 * Removes what was longest unused until the folder keeps its limits: files older than the age, then the oldest beyond the bytes, and
 * parts that a process left when it died. `keep` stays. Other processes may do the same, or be reading: what is open stays readable.
 */
export function prune(folder: string, keep: string, limits = cacheLimits, now = Date.now()): void {
  const files: { path: string; size: number; used: number }[] = []
  for (const name of namesIn(folder)) {
    const path = join(folder, name)
    try {
      const stat = statSync(path)
      if (stat.isFile() && path !== keep) files.push({ path, size: stat.size, used: stat.mtimeMs })
    } catch {
      // Removed meanwhile.
    }
  }
  files.sort((a, b) => b.used - a.used)
  let total = 0
  for (const { path, size, used } of files) {
    const part = path.endsWith('.part')
    const old = now - used > (part ? day : limits.ageMs)
    // A young part is somebody's who is at it.
    if (!part) total += size
    if (!old && (part || total <= limits.bytes)) continue
    total -= part ? 0 : size
    try {
      rmSync(path, { force: true })
    } catch {
      // Another user's.
    }
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** What was found about programs of this machine, which costs a process or a compilation to find; undefined where it must be found. */
export function recall(name: string, about: readonly string[]): string | undefined {
  try {
    const fact = JSON.parse(readFileSync(factFile(name, about), 'utf8')) as Partial<Fact>
    return JSON.stringify(fact.about) === JSON.stringify(about) && typeof fact.answer === 'string'
      ? fact.answer
      : undefined
  } catch {
    // Not asked before, or damaged.
    return undefined
  }
}
/** Keeps an answer as long as nothing in `about` changes. Where nothing can be kept it is found anew by every process. */
export function remember(name: string, about: readonly string[], answer: string): void {
  try {
    const fact: Fact = { about, answer }
    writeWhole(factFile(name, about), 0o600, new TextEncoder().encode(JSON.stringify(fact)))
  } catch {
    // A full or read-only disk.
  }
}
type Fact = { readonly about: readonly string[]; readonly answer: string }
const factFile = (name: string, about: readonly string[]): string =>
  join(cacheFolder('facts'), `${name}-${digestText(JSON.stringify(about))}.json`)

/** What tells one build of a program from another without running it; empty where there is no such file. */
export function fingerprint(path: string): string {
  try {
    const { size, mtimeMs, ino } = statSync(path)
    return [path, size, mtimeMs, ino].join(' ')
  } catch {
    return ''
  }
}

/** Whether this is the published package, whose code is what its version says; sources change under the same version. */
export const isPublished = extname(import.meta.url) === '.js'
/** This package's version. */
export const packageVersion = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version
