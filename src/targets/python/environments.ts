// Where Python and its runtimes are: a path the user names, STRATA_PYTHON, or an environment of our own under the user's
// cache folder, one for each runtime, because their dependencies don't agree with each other.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { InputError } from '../../core/errors.ts'
import { spawnGroup } from '../processes.ts'
import type { Presence } from '../target.ts'

type Environment = {
  /** What pip installs. */
  readonly packages: readonly string[]
  /** What it installs without what that says it needs. */
  readonly alone?: readonly string[]
  /** The distribution whose version stands for the runtime; any of them will do. */
  readonly distributions: readonly string[]
  /** Size on disk, told before a download begins. */
  readonly size: string
}

/** Versions seen working together. */
export const environments = {
  litert: {
    packages: ['ai-edge-litert==2.3.0', 'numpy'],
    distributions: ['ai-edge-litert'],
    size: '0.1 GB',
  },
  tensorflow: {
    packages: ['tensorflow-cpu==2.21.0', 'tf-keras==2.21.0'],
    distributions: ['tensorflow-cpu', 'tensorflow'],
    size: '2 GB',
  },
  torch: { packages: ['torch==2.15.0', 'numpy'], distributions: ['torch'], size: '5.5 GB' },
  onnxruntime: {
    packages: ['onnxruntime==1.32.0', 'numpy'],
    distributions: ['onnxruntime'],
    size: '0.1 GB',
  },
  openvino: { packages: ['openvino==2026.4.1', 'numpy'], distributions: ['openvino'], size: '0.2 GB' },
  mnn: { packages: ['MNN==3.6.1', 'numpy'], distributions: ['MNN'], size: '0.2 GB' },
  ncnn: {
    packages: ['ncnn==1.0.20261020', 'numpy'],
    // Its converter, a program of its own; it asks for PyTorch, which only its Python functions use.
    alone: ['pnnx==20261020'],
    distributions: ['ncnn'],
    size: '0.2 GB',
  },
} as const satisfies Record<string, Environment>
export type EnvironmentName = keyof typeof environments
export const environmentNames = Object.keys(environments) as EnvironmentName[]

const cacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata', 'python')
const folderOf = (name: EnvironmentName): string => join(cacheFolder(), name)
const pythonIn = (folder: string): string =>
  process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python')
const markerIn = (folder: string): string => join(folder, 'strata.json')

const planOf = (name: EnvironmentName): string => {
  const { packages, alone }: Environment = environments[name]
  return JSON.stringify({ packages, alone })
}
const isFinished = (name: EnvironmentName): boolean => {
  try {
    return readFileSync(markerIn(folderOf(name)), 'utf8') === planOf(name)
  } catch {
    return false
  }
}

export type PythonFound = { readonly python: string; readonly version: string }
export type PythonAbsent = { readonly python?: undefined; readonly reason: string }

const run = promisify(execFile)
const versions = new Map<string, Promise<Record<string, string> | string>>()

/** The versions of the named distributions in a Python, without importing them; or one line that says why not. */
function versionsIn(python: string, names: readonly string[]): Promise<Record<string, string> | string> {
  const key = JSON.stringify([python, names])
  let found = versions.get(key)
  if (!found) {
    const program = [
      'import json, sys, importlib.metadata as m',
      'def version(n):',
      '    try: return m.version(n)',
      '    except m.PackageNotFoundError: return None',
      'print(json.dumps({n: v for n in sys.argv[1:] for v in [version(n)] if v}))',
    ].join('\n')
    found = run(python, ['-c', program, ...names], { timeout: 20_000 }).then(
      ({ stdout }) => JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, string>,
      (e: NodeJS.ErrnoException & { stderr?: string }) =>
        e.code === 'ENOENT' ? 'no such program' : lastLine(e.stderr ?? e.message),
    )
    versions.set(key, found)
  }
  return found
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1)!.trim() || 'no reason given'

/** The Python that has this runtime: `named` (--python), STRATA_PYTHON, or the environment made by `peersAdd`. */
export async function findPython(
  name: EnvironmentName,
  named: string | undefined,
): Promise<PythonFound | PythonAbsent> {
  const { distributions, size } = environments[name]
  const places: readonly (readonly [said: string, python: string | undefined])[] = [
    ['--python', named],
    ['STRATA_PYTHON', process.env.STRATA_PYTHON || undefined],
    ['', existsSync(pythonIn(folderOf(name))) && isFinished(name) ? pythonIn(folderOf(name)) : undefined],
  ]
  const missing: string[] = []
  for (const [said, python] of places) {
    if (python === undefined) continue
    const found = await versionsIn(python, distributions)
    const version = typeof found === 'string' ? undefined : Object.values(found)[0]
    if (version) return { python, version }
    missing.push(
      typeof found === 'string'
        ? `${said || 'its environment'} ${python}: ${found}`
        : `${said || 'its environment'} ${python} has no ${distributions[0]}`,
    )
  }
  const install = `Install it with: strata peers add ${name} (${size})`
  return { reason: missing.length ? `${missing.join('; ')}. ${install}` : `not installed. ${install}` }
}

export async function presenceOf(name: EnvironmentName, named?: string): Promise<Presence> {
  const found = await findPython(name, named)
  return found.python === undefined
    ? { present: false, reason: found.reason }
    : { present: true, version: found.version }
}

/** Every Python environment with its version, or how to get it. */
export async function peersList(named?: string): Promise<({ readonly name: EnvironmentName } & Presence)[]> {
  return Promise.all(environmentNames.map(async (name) => ({ name, ...(await presenceOf(name, named)) })))
}

export type PeersAddOptions = {
  /** The Python that makes the environment. Default `python3`. */
  readonly python?: string
  /** Called with one line at a time. */
  readonly onProgress?: (name: EnvironmentName, line: string) => void
  readonly signal?: AbortSignal
}

/**
 * Makes the named environments. One that is finished is left alone; one that was interrupted downloads only what is missing.
 * Throws an InputError of one line when one can't be made.
 */
export async function peersAdd(names: readonly string[], options: PeersAddOptions = {}): Promise<void> {
  for (const name of names) {
    if (!(name in environments)) {
      throw new InputError(`peers add ${name}: no such environment, expected ${environmentNames.join(', ')}`)
    }
  }
  for (const name of new Set(names as EnvironmentName[])) await add(name, options)
}

async function add(name: EnvironmentName, options: PeersAddOptions): Promise<void> {
  const { packages, alone = [], size }: Environment = environments[name]
  const say = (line: string): void => options.onProgress?.(name, line)
  if (isFinished(name)) return say('already there')
  const folder = folderOf(name)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const unlock = lock(name, `${folder}.lock`)
  try {
    rmSync(markerIn(folder), { force: true })
    const step = (command: string, args: readonly string[]): Promise<string | undefined> =>
      runStep(command, args, say, options.signal)
    const uv = (await step('uv', ['--version'])) === undefined
    say(`making the environment (${size} when finished)`)
    const python = pythonIn(folder)
    // One that isn't finished is begun anew: what it holds may be half a package. Downloads are in the installer's own cache.
    const base = options.python ?? 'python3'
    const unmade = uv
      ? await step('uv', ['venv', '--clear', '--python', base, folder])
      : await step(base, ['-m', 'venv', '--clear', folder])
    if (unmade) throw new InputError(`peers add ${name}: ${base} made no environment: ${unmade}`)
    const pip = ['-m', 'pip', 'install', '--disable-pip-version-check']
    const uvPip = ['pip', 'install', '--compile-bytecode', '--python', python]
    // uv resolves and downloads many times faster than pip; where it can't be had, pip does the same.
    const [command, install]: [string, string[]] = uv
      ? ['uv', uvPip]
      : (await step(python, [...pip, 'uv'])) === undefined
        ? [python, ['-m', 'uv', ...uvPip]]
        : [python, pip]
    const failed =
      (await step(command, [...install, ...packages])) ??
      (alone.length > 0 ? await step(command, [...install, '--no-deps', ...alone]) : undefined)
    if (failed) throw new InputError(`peers add ${name}: ${failed}. Run it again to go on where it stopped.`)
    writeFileSync(`${markerIn(folder)}.new`, planOf(name))
    renameSync(`${markerIn(folder)}.new`, markerIn(folder))
    versions.clear()
    say('ready')
  } finally {
    unlock()
  }
}

/** One installer an environment: a second one is told so, and the lock of one that died is taken over. */
function lock(name: string, file: string): () => void {
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e
    }
    const pid = Number(readFileSync(file, 'utf8'))
    if (pid && isAlive(pid)) {
      throw new InputError(
        `peers add ${name}: process ${pid} is installing it already. Wait for it to finish.`,
      )
    }
    rmSync(file, { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (e) {
    return (e as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Runs a command, passing on its lines; undefined when it succeeds, else the line that says why it failed. */
function runStep(
  command: string,
  args: readonly string[],
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawnGroup(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(signal && { signal }) })
    let last = ''
    let error = ''
    const onData = (data: Buffer): void => {
      for (const line of data.toString('utf8').split(/[\r\n]+/)) {
        const text = line.trim()
        if (!text) continue
        last = text
        if (/^(ERROR|error|×)/.test(text)) error ||= text
        say(text)
      }
    }
    child.stdout!.on('data', onData)
    child.stderr!.on('data', onData)
    child.once('error', (e: NodeJS.ErrnoException) =>
      resolve(e.code === 'ENOENT' ? `${command} is not installed` : e.message),
    )
    child.once('close', (code) =>
      resolve(code === 0 ? undefined : error || last || `${command} failed (${code})`),
    )
  })
}
