// The measured peak: what this processor's arithmetic units do in registers alone, natively and under WebAssembly. A kernel's
// speed is stated as a share of it.

import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { digest } from '../core/hash.ts'
import type { PeakKind } from './peak-module.ts'
import { peakSource } from './peak-source.ts'
import { probeMachine, revectorizeFlag, wasmFeatures } from './processor.ts'

/** `safe`: WebAssembly as every engine runs it; `fast`: with V8's revectorisation to 256 bits. */
export type PeakEngine = 'native' | 'wasm-safe' | 'wasm-fast'

export type Peak = {
  readonly engine: PeakEngine
  readonly kind: 'float32' | 'int8'
  readonly threads: number
  /** Billions of operations a second, a multiply-add being two, over processor time: what neighbours can't disturb. */
  readonly gops: number
  /** Over wall time: what was there just then. */
  readonly wallGops: number
  /** The instructions that reached it. */
  readonly how: string
}

/** Or why it can't be measured here. */
export type PeakResult = Peak | { readonly absent: string }

type Rate = { gops: number; wallGops: number; how?: string }

const run = promisify(execFile)
const known = new Map<string, Promise<PeakResult>>()

/** Measures once a process; afterwards the figure is remembered. Takes about `ms` for each form tried, in processes of their own. */
export function measurePeak(
  engine: PeakEngine,
  threads: number,
  kind: 'float32' | 'int8' = 'float32',
  ms = 240,
): Promise<PeakResult> {
  const key = `${engine} ${kind} ${threads}`
  let found = known.get(key)
  if (!found) {
    found = measurePeakNow(engine, threads, kind, ms)
    known.set(key, found)
  }
  return found
}

/** Measures, whatever was measured before: for figures taken in turn with the peak. */
export const measurePeakNow = (
  engine: PeakEngine,
  threads: number,
  kind: 'float32' | 'int8',
  ms: number,
): Promise<PeakResult> =>
  measure(engine, threads, kind, ms).catch((e: unknown) => ({
    absent: `the peak of ${engine} could not be measured: ${e instanceof Error ? e.message : e}`,
  }))

async function measure(
  engine: PeakEngine,
  threads: number,
  kind: 'float32' | 'int8',
  ms: number,
): Promise<PeakResult> {
  const forms: { command: string; args: string[]; how: string }[] = []
  if (engine === 'native') {
    const program = await nativeProgram()
    if (typeof program !== 'string') return program
    forms.push({ command: program, args: [kind, String(ms)], how: '' })
  } else {
    const { relaxedSimd, simd } = wasmFeatures()
    const fast = engine === 'wasm-fast'
    if (!simd) return { absent: 'this engine has no WebAssembly simd' }
    if (fast && !probeMachine().engine.revectorize)
      return { absent: `this V8 doesn't know ${revectorizeFlag}` }
    const worker = fileURLToPath(new URL(`./peak-worker${extname(import.meta.url)}`, import.meta.url))
    const kinds: PeakKind[] =
      kind === 'int8' ? ['dot-i16'] : relaxedSimd ? ['relaxed-madd', 'mul-add'] : ['mul-add']
    // A register each; 256-bit pairs take one between them.
    for (const k of kinds) {
      for (const chains of fast ? [20, 24] : [10, 12]) {
        const args = [...(fast ? [revectorizeFlag] : []), worker, k, String(chains), String(ms)]
        forms.push({ command: process.execPath, args, how: k })
      }
    }
  }
  let best: Peak | null = null
  for (const { command, args, how } of forms) {
    // One process a thread, at the same time: shared units and clocks show.
    const rates = await Promise.all(
      Array.from({ length: threads }, async (): Promise<Rate> => {
        const { stdout } = await run(command, args, { timeout: 20_000 + ms })
        return JSON.parse(stdout) as Rate
      }),
    )
    const sum = (f: (r: Rate) => number): number => rates.reduce((s, r) => s + f(r), 0)
    const peak: Peak = {
      engine,
      kind,
      threads,
      gops: sum((r) => r.gops),
      wallGops: sum((r) => r.wallGops),
      how: rates[0]?.how || how,
    }
    if (!best || peak.gops > best.gops) best = peak
  }
  return best && best.gops > 0 ? best : { absent: `${engine} has no ${kind} form here` }
}

const flags = ['-O3', '-march=native', '-ffp-contract=fast', '-std=gnu11']
let program: Promise<string | { absent: string }> | undefined

/** The compiled program, kept under the user's cache folder. */
function nativeProgram(): Promise<string | { absent: string }> {
  program ??= compile()
  return program
}

async function compile(): Promise<string | { absent: string }> {
  const compiler = [process.env.CC, 'gcc', 'clang', 'cc'].find((c) => c && versionOf(c) !== null)
  if (!compiler) return { absent: 'no C compiler here. Install gcc or clang, or set CC.' }
  const { processor } = probeMachine()
  const what = [
    versionOf(compiler),
    processor.name,
    processor.features?.join(' '),
    ...flags,
    peakSource,
  ].join('\n')
  const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'strata', 'peak')
  const path = join(folder, digest(new TextEncoder().encode(what)))
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  // Finished under a name of its own, then moved: another process may be doing the same.
  const part = `${path}.${process.pid}`
  writeFileSync(`${part}.c`, peakSource)
  try {
    await run(compiler, [...flags, '-o', part, `${part}.c`], { timeout: 60_000 })
    renameSync(part, path)
    return path
  } catch (e) {
    return { absent: `${compiler} failed: ${String((e as { stderr?: string }).stderr || e).split('\n')[0]}` }
  } finally {
    rmSync(part, { force: true })
    rmSync(`${part}.c`, { force: true })
  }
}

function versionOf(compiler: string): string | null {
  try {
    const text = execFileSync(compiler, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text.split('\n')[0]!
  } catch {
    return null
  }
}
