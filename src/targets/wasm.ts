// WebAssembly: our own compiler's code in this engine. `safe` is what every engine with SIMD runs; `fast` also pairs 128-bit vectors
// to 256 bits (V8's revectorisation, off by default there) after a self-test on this machine.

import { extname } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { compile } from '../compile/compile.ts'
import {
  isStaticGraph,
  prepare,
  shapeInputs,
  specializationKey,
  specializeTo,
  uncompilable,
} from '../compile/prepare.ts'
import { buildImage, decodeImage, encodeImage, type Header } from '../compile/render/wasm/image.ts'
import { hasRelaxedSimd, hasSimd } from '../compile/render/wasm/module.ts'
import {
  type Instance,
  imageMemory,
  instantiate,
  readOutput,
  runSteps,
  writeInput,
} from '../compile/render/wasm/run.ts'
import { controlWords, dismissTeam, runTeam } from '../compile/render/wasm/team.ts'
import { type Engine, engines } from '../compile/schedule.ts'
import { InputError, UnsupportedError } from '../core/errors.ts'
import { checkInputs } from '../ir/inputs.ts'
import { specialize } from '../ir/specialize.ts'
import { type Datum, type Graph, isTensor } from '../ir/types.ts'
import { hasRevectorize, probeProcessor, revectorizeFlag } from './processor.ts'
import { scheduleFacts, schedulesFor } from './schedules.ts'
import type { Artifact, Executable, NodeTime, Target, TargetOptions } from './target.ts'
import { selfTest } from './wasm-selftest.ts'
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

let tested: string | undefined | null = null
/** Throws unless the fast engine is there and right. Tested once a process. */
function requireFast(): void {
  if (!hasRevectorize())
    throw new InputError('wasm: engine fast needs a V8 that can pair vectors (Node 24). Use engine safe.')
  if (tested === null) tested = selfTest(compileModule)
  if (tested !== undefined)
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
    hasSimd()
      ? { present: true, version: process.versions.v8 ?? '' }
      : { present: false, reason: 'this engine has no WebAssembly SIMD' },
  async compile(graph, options) {
    optionsOf(options)
    const missing = uncompilable(specialize(graph))
    if (missing.length > 0) throw new UnsupportedError('wasm', missing)
    const fixed = specialize(graph, { keep: new Set(['dequantizeLinear']) })
    // Open shapes are fixed by the first inputs that come: see `load`.
    if (!isStaticGraph(fixed) || shapeInputs(fixed).size > 0) return { target: 'wasm', options, graph }
    const prepared = prepare(fixed)
    return { target: 'wasm', options, bytes: imageBytes(prepared, options), graph }
  },
  async load(artifact: Artifact): Promise<Executable> {
    const { graph, options, bytes } = artifact
    if (bytes) return load(graph, bytes, options)
    const known = new Map<string, Promise<Executable>>()
    const forInputs = (inputs: readonly Datum[]): Promise<Executable> => {
      checkInputs(graph, inputs)
      const key = specializationKey(graph, inputs)
      let made = known.get(key)
      if (!made) {
        const fixed = specializeTo(graph, inputs)
        made = load(fixed, imageBytes(prepare(fixed), options), options)
        known.set(key, made)
      }
      return made
    }
    return {
      facts: {
        engine: optionsOf(options).engine,
        shapes: 'fixed at the first run of each',
        ...scheduleFacts(options),
      },
      run: async (inputs) => (await forInputs(inputs)).run(inputs),
      profile: async (inputs) => (await forInputs(inputs)).profile!(inputs),
      dispose: async () => {
        for (const e of known.values()) await (await e).dispose()
      },
    }
  },
}

function imageBytes(graph: Graph, options: TargetOptions): Uint8Array {
  const { threads } = optionsOf(options)
  const target = wasmEngine(options)
  const chosen = schedulesFor(graph, options)
  const program = compile(graph, { engine: target, schedule: (node, x) => chosen(node, x, target) })
  return encodeImage(buildImage(program, { relaxed: hasRelaxedSimd(), shared: threads > 1, threads }))
}

let processor: string | undefined
const processorName = (): string => (processor ??= probeProcessor().name ?? process.arch)

async function load(graph: Graph, bytes: Uint8Array, options: TargetOptions): Promise<Executable> {
  const { engine } = optionsOf(options)
  if (engine === 'fast') requireFast()
  const image = decodeImage(bytes)
  const { header } = image
  const memory = imageMemory(image)
  const module = compileModule(image.module, engine === 'fast')
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
  const take = (): Datum[] => header.outputs.map((p) => readOutput(memory, p))
  return {
    facts: {
      engine,
      simd: `128 bits${header.relaxed ? ', relaxed' : ''}${engine === 'fast' ? ', paired to 256 by V8' : ''}`,
      threads: header.threads,
      processor: processorName(),
      memoryBytes: memory.buffer.byteLength,
      temporaryBytes: header.temporaries,
      ...scheduleFacts(options),
    },
    amplification: Object.fromEntries(
      header.steps.flatMap((s) => (s.amplification > 1 ? s.nodes.map((n) => [n, s.amplification]) : [])),
    ),
    async run(inputs) {
      put(inputs)
      if (team) team.run(instance)
      else runSteps(instance)
      return take()
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
