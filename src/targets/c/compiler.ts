// The system's C compiler: found, asked what it can do, run with a time limit; what it makes is kept in a cache by content.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { InputError } from '../../core/errors.ts'
import { digestText } from '../../core/hash.ts'
import { privateFolder, removeFolder, spawnGroup } from '../processes.ts'

export type Compiler = { readonly command: string; readonly version: string }

let found: Compiler | null | undefined

/** The first of $CC, gcc, clang, cc that answers; null where there is none. */
export function findCompiler(): Compiler | null {
  if (found !== undefined) return found
  found = null
  for (const command of [process.env.CC, 'gcc', 'clang', 'cc']) {
    if (!command) continue
    const r = spawnSync(command, ['--version'], { encoding: 'utf8', timeout: 5000 })
    if (r.status !== 0) continue
    found = { command, version: r.stdout.split('\n')[0]!.trim() }
    break
  }
  return found
}

export const cacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata', 'c')

export type Job = {
  readonly compiler: Compiler
  /** File name → text; `main` is what is compiled. */
  readonly files: Readonly<Record<string, string>>
  readonly main: string
  readonly flags: readonly string[]
  /** Name of what is made, e.g. `model.node`. */
  readonly output: string
  /** Milliseconds. */
  readonly limit: number
}

/**
 * Compiles, or finds the same job done before. The result appears in the cache whole or not at all. Throws InputError with the
 * compiler's first complaint, or that it took too long.
 */
export async function build(job: Job): Promise<string> {
  const key = digestText(
    JSON.stringify([job.compiler.version, job.flags, job.main, Object.entries(job.files)]),
  )
  const folder = cacheFolder()
  const target = join(folder, `${key}-${job.output}`)
  if (existsSync(target)) return target
  const room = privateFolder()
  try {
    try {
      for (const [name, text] of Object.entries(job.files)) writeFileSync(join(room, name), text)
    } catch (e) {
      throw new InputError(
        `${room}: the C source can't be written: ${(e as Error).message}. Free some space or set TMPDIR.`,
      )
    }
    const made = join(room, job.output)
    await run(job.compiler.command, [...job.flags, job.main, '-o', made, '-lm', '-lpthread'], room, job.limit)
    try {
      mkdirSync(folder, { recursive: true })
      const part = `${target}.${process.pid}.part`
      const { copyFileSync } = await import('node:fs')
      copyFileSync(made, part)
      renameSync(part, target)
    } catch (e) {
      rmSync(`${target}.${process.pid}.part`, { force: true })
      throw new InputError(
        `${folder}: the compiled model can't be kept: ${(e as Error).message}. Free some space or set XDG_CACHE_HOME.`,
      )
    }
    return target
  } finally {
    removeFolder(room)
  }
}

function run(command: string, args: readonly string[], cwd: string, limit: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawnGroup(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
    let complaint = ''
    child.stderr?.on('data', (d: Buffer) => {
      if (complaint.length < 10_000) complaint += String(d)
    })
    const timer = setTimeout(() => {
      reject(
        new InputError(
          `${command}: compiling took longer than ${Math.round(limit / 1000)} s and was stopped. Try fewer unrolled loops, or another compiler ($CC).`,
        ),
      )
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, limit)
    child.on('error', (e) => {
      clearTimeout(timer)
      reject(new InputError(`${command}: can't be run: ${e.message}. Install gcc or clang, or set $CC.`))
    })
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) resolve()
      else {
        const first =
          complaint.split('\n').find((l) => /error|fatal/i.test(l)) ?? complaint.split('\n')[0] ?? ''
        reject(new InputError(`${command}: failed (${signal ?? `status ${code}`}): ${first.slice(0, 300)}`))
      }
    })
  })
}
