// The folder of what is made once and used by later processes: compiled models, and facts about this machine's programs.

import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
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
