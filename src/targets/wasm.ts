// WebAssembly: our own compiler's code in this engine. `safe` is what every engine with SIMD runs; `fast` also pairs 128-bit vectors
// to 256 bits (V8's revectorisation, off by default there) after a self-test on this machine. The compiler is imported when something
// has to be compiled: an image that was compiled before starts without it.

import { extname } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { type Header, readImage } from '../compile/render/wasm/image.ts'
import {
  type Instance,
  imageMemory,
  instantiate,
  placeOf,
  readOutput,
  runSteps,
  writeInput,
} from '../compile/render/wasm/run.ts'
import { controlWords, dismissTeam, runTeam } from '../compile/render/wasm/team.ts'
import { type Engine, engines } from '../compile/schedule.ts'
import { InputError } from '../core/errors.ts'
import { type Source, sourceOf } from '../core/source.ts'
import type { Tensor } from '../core/tensor.ts'
import { checkInputs, checkOutputs } from '../ir/inputs.ts'
import { type Datum, type Graph, isTensor } from '../ir/types.ts'
import { fingerprint, isPublished, packageVersion, recall, remember } from './cache.ts'
import { hasRevectorize, probeProcessor, revectorizeFlag, wasmFeatures } from './processor.ts'
import { scheduleFacts } from './schedule-facts.ts'
import type { Artifact, Executable, NodeTime, Target, TargetOptions } from './target.ts'
import type { ImageOptions } from './wasm-compile.ts'
import type { WorkerStart } from './wasm-worker.ts'

const optionsOf = (o: TargetOptions): { engine: 'safe' | 'fast'; threads: number } => {
  const engine = o.engine ?? 'safe'
  if (engine !== 'safe' && engine !== 'fast')
    throw new InputError(`wasm: engine, expected safe or fast, got ${engine}`)
  const threads = Number(o.threads ?? 1)
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= 64))
    throw new InputError(`wasm: threads, expected 1 to 64, got ${o.threads}`)
  return { engine, threads }
}

/** What the options compile for. */
export const wasmEngine = (o: TargetOptions): Engine =>
  engines[optionsOf(o).engine === 'fast' ? 'wasm-fast' : 'wasm-safe']

const imageOptions = (o: TargetOptions): ImageOptions => ({
  engine: wasmEngine(o),
  threads: optionsOf(o).threads,
  schedule: o.schedule,
})

/** Compiles with V8's best compiler at once, and with or without 256-bit pairs; flags are set back afterwards. */
function compileModule(bytes: Uint8Array<ArrayBuffer>, fast: boolean): WebAssembly.Module {
  const flags = ['--no-liftoff', '--no-wasm-lazy-compilation', ...(fast ? [revectorizeFlag] : [])]
  for (const f of flags) setFlagsFromString(f)
  try {
    return new WebAssembly.Module(bytes)
  } finally {
    for (const f of flags)
      setFlagsFromString(f.startsWith('--no-') ? f.replace('--no-', '--') : f.replace('--', '--no-'))
  }
}

const passed = 'passed'
let tested: string | undefined
/** Throws unless the fast engine is there and right. Tested once for a build of the engine, a processor and a version of ours. */
async function requireFast(): Promise<void> {
  if (!hasRevectorize())
    throw new InputError('wasm: engine fast needs a V8 that can pair vectors (Node 24). Use engine safe.')
  if (tested === undefined) {
    const { name, features } = probeProcessor()
    const about = [
      packageVersion(),
      fingerprint(process.execPath),
      process.version,
      `${name} ${features}`,
      ...process.execArgv,
      process.env.NODE_OPTIONS ?? '',
    ]
    tested = isPublished ? recall('self-test', about) : undefined
    if (tested === undefined) {
      const { selfTest } = await import('./wasm-selftest.ts')
      tested = selfTest(compileModule) ?? passed
      if (isPublished && tested === passed) remember('self-test', about, passed)
    }
  }
  if (tested !== passed)
    throw new InputError(`wasm: engine fast fails its self-test here (${tested}). Use engine safe.`)
}

export const wasm: Target = {
  name: 'wasm',
  doc: 'WebAssembly made by the compiler of this package',
  variants: [
    { name: 'safe', options: { engine: 'safe' } },
    { name: 'fast', options: { engine: 'fast' } },
  ],
  presence: async () =>
    wasmFeatures().simd
      ? { present: true, version: process.versions.v8 ?? '' }
      : { present: false, reason: 'this engine has no WebAssembly SIMD' },
  async compile(graph, options) {
    const chosen = imageOptions(options)
    // Open shapes are fixed by the first inputs that come: see `load`.
    return { target: 'wasm', options, ...(await import('./wasm-compile.ts')).compileImage(graph, chosen) }
  },
  async load(artifact: Artifact): Promise<Executable> {
    const { graph, options, piece } = artifact
    if (piece) return openImage(graph, options, sourceOf(piece))
    const [{ fixedImage }, { perShape }] = await Promise.all([
      import('./wasm-compile.ts'),
      import('./shapes.ts'),
    ])
    const facts = { engine: optionsOf(options).engine, ...scheduleFacts(options) }
    return perShape(graph, facts, (fixed) =>
      openImage(fixed, options, sourceOf(fixedImage(fixed, imageOptions(options)))),
    )
  },
}

/** Loads an image. Of the graph, only types of inputs are looked at; the constants are read straight into the code's memory. */
export async function openImage(graph: Graph, options: TargetOptions, source: Source): Promise<Executable> {
  const { engine, threads } = optionsOf(options)
  if (engine === 'fast') await requireFast()
  const { header, module: code } = readImage(source)
  if (header.threads !== threads)
    throw new InputError(`wasm: compiled for ${header.threads} threads, expected ${threads}. Compile again.`)
  if (header.relaxed && !wasmFeatures().relaxedSimd)
    throw new InputError('wasm: compiled for relaxed SIMD, which this engine lacks. Compile again here.')
  const memory = imageMemory(header, source)
  source.end?.()
  const module = compileModule(code, engine === 'fast')
  const instance = instantiate(header, module, memory)
  const team = header.threads > 1 ? startTeam(header, module, memory) : undefined
  const put = (inputs: readonly Datum[]): void => {
    checkInputs(graph, inputs)
    header.inputs.forEach((p, i) => {
      const t = inputs[i]!
      if (!isTensor(t)) throw new InputError(`wasm: input ${p.name}: expected a tensor`)
      if (t.data.length > 0) writeInput(memory, p, t.data)
    })
  }
  const take = (into?: readonly Tensor[]): Datum[] =>
    header.outputs.map((p, i) => readOutput(memory, p, into?.[i]))
  return {
    facts: {
      engine,
      simd: `128 bits${header.relaxed ? ', relaxed' : ''}${engine === 'fast' ? ', paired to 256 by V8' : ''}`,
      threads: header.threads,
      processor: probeProcessor().name ?? process.arch,
      memoryBytes: memory.buffer.byteLength,
      temporaryBytes: header.temporaries,
      ...scheduleFacts(options),
    },
    amplification: header.amplification,
    async run(inputs, into) {
      if (into) checkOutputs(graph, into, inputs)
      put(inputs)
      if (team) team.run(instance)
      else runSteps(instance)
      return take(into)
    },
    async profile(inputs) {
      put(inputs)
      const times = new Map<string, NodeTime>()
      for (const s of header.steps) {
        const start = performance.now()
        instance.call(s, s.range[0], s.range[1])
        const node = s.nodes[0] ?? s.name
        const ms = performance.now() - start + (times.get(node)?.ms ?? 0)
        times.set(node, { node, ms, what: s.name })
      }
      return [...times.values()]
    },
    places: {
      inputs: header.inputs.map((p) => placeOf(memory, p)),
      outputs: header.outputs.map((p) => placeOf(memory, p)),
    },
    dispose: async () => team?.dismiss(),
  }
}

/** Threads 1, 2, … as workers that don't keep the process alive. */
function startTeam(
  header: Header,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): { run(instance: Instance): void; dismiss(): void } {
  const words = controlWords(memory, header)
  for (let worker = 1; worker < header.threads; worker++) {
    const start: WorkerStart = { header, module, memory, worker }
    new Worker(new URL(`./wasm-worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: start,
    }).unref()
  }
  return { run: (instance) => runTeam(instance, words), dismiss: () => dismissTeam(words) }
}
