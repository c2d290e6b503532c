// The system's C compiler: found, asked what it can do, run with a time limit; what it makes is kept in a cache by content.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { InputError } from '../../core/errors.ts'
import { digest, digestText } from '../../core/hash.ts'
import { cacheFolder, fingerprint, prune, recall, remember, touch, writeWhole } from '../cache.ts'
import { killGroup, privateFolder, removeFolder, spawnGroup } from '../processes.ts'
import { probeProcessor } from '../processor.ts'

export type Compiler = { readonly command: string; readonly version: string }

let found: Compiler | null | undefined

/** The first of $CC, gcc, clang, cc that answers; null where there is none. */
export function findCompiler(): Compiler | null {
  if (found !== undefined) return found
  found = null
  for (const command of [process.env.CC, 'gcc', 'clang', 'cc']) {
    if (!command) continue
    const about = [command, fingerprint(inPath(command))]
    const known = about[1] ? recall('compiler', about) : undefined
    const version = known ?? askVersion(command)
    if (version === undefined) continue
    if (about[1] && known === undefined) remember('compiler', about, version)
    found = { command, version }
    break
  }
  return found
}

function askVersion(command: string): string | undefined {
  const r = spawnSync(command, ['--version'], { encoding: 'utf8', timeout: 5000 })
  return r.status === 0 ? r.stdout.split('\n')[0]!.trim() : undefined
}

/** The file that a command is; empty where it is found otherwise or nowhere. */
function inPath(command: string): string {
  const places = command.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter)
  return places.map((p) => (p ? join(p, command) : command)).find(existsSync) ?? ''
}

export type Job = {
  readonly compiler: Compiler
  /** File name → text; a function where `digest` stands for them until they are needed. */
  readonly files: Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>)
  readonly digest?: string
  /** Those that are compiled, side by side, and linked. */
  readonly sources: readonly string[]
  readonly flags: readonly string[]
  readonly linkFlags: readonly string[]
  /** Name of what is made, e.g. `model.node`. */
  readonly output: string
  /** Milliseconds in all. */
  readonly limit: number
}

const filesOf = ({ files }: Job): Readonly<Record<string, string>> =>
  typeof files === 'function' ? files() : files

/** What follows a cached file: a mark and the digest of all before it, which linkers' formats allow. */
const seal = (bytes: Uint8Array): string => `\nstrata ${digest(bytes)}\n`
const sealLength = seal(new Uint8Array()).length

/** Whether a cached file is whole. Loading a truncated one would kill the process. */
function isWhole(path: string): boolean {
  try {
    const bytes = readFileSync(path)
    const body = bytes.subarray(0, bytes.length - sealLength)
    return seal(body) === bytes.subarray(body.length).toString('latin1')
  } catch {
    return false
  }
}

/**
 * Compiles, or finds the same job done before. The result appears in the cache whole or not at all; a damaged one is made anew.
 * Throws InputError with the compiler's first complaint, or that it took too long.
 */
export async function build(job: Job): Promise<string> {
  const { name, features } = probeProcessor()
  const key = digestText(
    JSON.stringify([
      job.compiler,
      job.flags,
      job.linkFlags,
      job.sources,
      job.digest ?? Object.entries(filesOf(job)),
      // What -march=native stands for; the folder may be shared by several machines.
      job.flags.includes('-march=native') && [name, features],
    ]),
  )
  const folder = cacheFolder('c')
  const target = join(folder, `${key}-${job.output}`)
  if (isWhole(target)) {
    touch(target)
    return target
  }
  const room = privateFolder()
  try {
    try {
      for (const [name, text] of Object.entries(filesOf(job))) writeFileSync(join(room, name), text)
    } catch (e) {
      throw new InputError(
        `${room}: the C source can't be written: ${(e as Error).message}. Free some space or set TMPDIR.`,
      )
    }
    await compileAll(job, room)
    if (!existsSync(join(room, job.output)))
      throw new InputError(
        `${job.compiler.command}: ended well without making ${job.output}. Try another ($CC).`,
      )
    try {
      const made = readFileSync(join(room, job.output))
      writeWhole(target, 0o755, made, new TextEncoder().encode(seal(made)))
    } catch (e) {
      throw new InputError(
        `${folder}: the compiled model can't be kept: ${(e as Error).message}. Free some space or set XDG_CACHE_HOME.`,
      )
    }
    prune(folder, target)
    return target
  } finally {
    removeFolder(room)
  }
}

/** Compiles the sources, as many at a time as there are cores, and links them. The first failure ends the others. */
async function compileAll(job: Job, room: string): Promise<void> {
  const { command } = job.compiler
  const stop = new AbortController()
  const timer = setTimeout(
    () =>
      stop.abort(
        new InputError(
          `${command}: compiling took longer than ${job.limit / 1000} s and was stopped. Try another compiler ($CC) or the option vector none.`,
        ),
      ),
    job.limit,
  )
  try {
    const waiting = [...job.sources]
    const lane = async (): Promise<void> => {
      for (let source = waiting.shift(); source !== undefined; source = waiting.shift())
        await runCommand(command, [...job.flags, '-c', source, '-o', `${source}.o`], room, stop.signal)
    }
    const lanes = Array.from({ length: Math.min(availableParallelism(), waiting.length) }, lane)
    await Promise.all(lanes).catch(async (e) => {
      stop.abort(e)
      await Promise.allSettled(lanes)
      throw e
    })
    const objects = job.sources.map((s) => `${s}.o`)
    await runCommand(
      command,
      [...job.flags, ...objects, ...job.linkFlags, '-o', job.output],
      room,
      stop.signal,
    )
  } finally {
    clearTimeout(timer)
  }
}

/** Runs a command to its end in a folder; an abort kills it with all it started. Throws InputError with its first complaint. */
export function runCommand(
  command: string,
  args: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const child = spawnGroup(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
    let complaint = ''
    child.stderr?.on('data', (d: Buffer) => {
      if (complaint.length < 10_000) complaint += String(d)
    })
    const stop = (): void => {
      if (child.pid !== undefined) killGroup(child.pid)
    }
    signal.addEventListener('abort', stop, { once: true })
    child.on('error', (e) => {
      signal.removeEventListener('abort', stop)
      reject(new InputError(`${command}: can't be run: ${e.message}. Install gcc or clang, or set $CC.`))
    })
    child.on('close', (code, killed) => {
      signal.removeEventListener('abort', stop)
      if (code === 0) resolve()
      else if (signal.aborted) reject(signal.reason)
      else {
        const lines = complaint.split('\n')
        const first = lines.find((l) => /error|fatal/i.test(l)) ?? lines[0] ?? ''
        reject(new InputError(`${command}: failed (${killed ?? `status ${code}`}): ${first.slice(0, 300)}`))
      }
    })
  })
}
