// C made by the compiler of this package, built by the system's gcc or clang and called in this process. The compiler of this package
// is imported when something has to be compiled: a model that was compiled before starts without it.

import { existsSync } from 'node:fs'
import { type Engine, engines } from '../compile/schedule.ts'
import { allocate } from '../core/dtype.ts'
import { BugError, InputError } from '../core/errors.ts'
import { digest } from '../core/hash.ts'
import { readHead, type Source, sourceOf, take } from '../core/source.ts'
import { sizeOf, type Tensor } from '../core/tensor.ts'
import { checkInputs, checkOutputs } from '../ir/inputs.ts'
import { type Datum, type Graph, isStatic, isTensor } from '../ir/types.ts'
import { build, type Compiler, findCompiler, type Job } from './c/compiler.ts'
import {
  type COptionsChosen,
  engineOf,
  type Head,
  hasVector,
  magic,
  optionsOf,
  type Vector,
} from './c/options.ts'
import { probeProcessor } from './processor.ts'
import { scheduleFacts } from './schedule-facts.ts'
import type { Artifact, Executable, NodeTime, Target, TargetOptions } from './target.ts'

/** Milliseconds that a compiler may take for one model. */
const compileLimit = 300_000

const vectorBits: Readonly<Record<Vector, number>> = { vnni: 512, avx512: 512, avx2: 256, neon: 128, none: 0 }
const flagsOf: Readonly<Record<Vector, readonly string[]>> = {
  vnni: ['-march=native', '-mprefer-vector-width=512'],
  avx512: ['-march=native', '-mprefer-vector-width=512'],
  avx2: ['-march=native', '-mprefer-vector-width=256', '-mno-avx512f'],
  neon: ['-march=native'],
  none: [],
}
/** -O3 takes four times as long over a network and gives nothing: the loops are unrolled and vectors already. */
const baseFlags = [
  '-std=gnu11', '-O2', '-ffp-contract=off', '-fno-strict-aliasing', '-fno-math-errno', '-fno-trapping-math', '-fPIC', '-w',
] // biome-ignore format: a list

/** What the options compile for. */
export const cEngine = (o: TargetOptions): Engine => engines[engineOf[optionsOf(o).vector]]

/** What the compiled module gives to JavaScript. */
type Loaded = {
  /** Number of threads, weights, inputs, outputs. 0 where one of them is no typed array. */
  run(threads: number, ...ports: readonly ArrayBufferView[]): number
  step(i: number): number
  misalignment(bytes: Uint8Array): number
}

export const c: Target = {
  name: 'c',
  doc: "C made by the compiler of this package, built by the system's gcc or clang",
  variants: [
    { name: '', options: {} },
    // For another processor of the same kind, as far as this one can run it.
    { name: 'avx512', options: { vector: 'avx512' }, onRequest: true },
    { name: 'avx2', options: { vector: 'avx2' }, onRequest: true },
    // C99 without vectors, what `convert` writes for any processor.
    { name: 'portable', options: { vector: 'none' }, onRequest: true },
  ],
  presence: async (options = {}) => {
    const { vector } = optionsOf(options)
    if (!hasVector(vector)) return { present: false, reason: `this processor has no ${vector}.` }
    const compiler = findCompiler()
    return compiler
      ? { present: true, version: compiler.version }
      : { present: false, reason: 'no C compiler found. Install gcc or clang, or set $CC.' }
  },
  async compile(graph, options): Promise<Artifact> {
    const chosen = optionsOf(options)
    // Open shapes are fixed by the first inputs that come: see `load`.
    return { target: 'c', options, ...(await import('./c/source.ts')).compileC(graph, chosen) }
  },
  async load({ graph, options, piece }): Promise<Executable> {
    if (piece) return openModule(graph, options, sourceOf(piece))
    const chosen = optionsOf(options)
    const [{ fixedC }, { perShape }] = await Promise.all([import('./c/source.ts'), import('./shapes.ts')])
    return perShape(graph, facts(chosen, needCompiler()), (fixed) =>
      openModule(fixed, options, sourceOf(fixedC(fixed, chosen))),
    )
  },
}

const flagsFor = (o: COptionsChosen): string[] => [...baseFlags, ...flagsOf[o.vector]]
const facts = (o: COptionsChosen, compiler: Compiler): NonNullable<Executable['facts']> => ({
  compiler: compiler.version,
  flags: flagsFor(o).join(' '),
  vector: o.vector,
  vectorBits: vectorBits[o.vector],
  processor: probeProcessor().name ?? 'unknown',
  threads: o.threads,
  ...scheduleFacts(o),
})

function needCompiler(): Compiler {
  const compiler = findCompiler()
  if (!compiler) throw new InputError('c: no C compiler found. Install gcc or clang, or set $CC.')
  return compiler
}

async function loadModule(job: Job): Promise<Loaded> {
  for (let again = false; ; again = true) {
    const path = await build(job)
    const module = { exports: {} as Loaded }
    try {
      process.dlopen(module, path)
      return module.exports
    } catch (e) {
      // Another process may have cleared the cache just then.
      if (again || existsSync(path))
        throw new InputError(`${path}: the compiled model does not load: ${(e as Error).message}`)
    }
  }
}

/** Loads what was compiled. Of the graph, only types of inputs and outputs are looked at; weights are read straight into place. */
export async function openModule(graph: Graph, options: TargetOptions, source: Source): Promise<Executable> {
  const compiler = needCompiler()
  const head = readHead(source, magic, 'c artifact') as Head
  const chosen = { ...optionsOf(options), vector: head.vector }
  if (!hasVector(head.vector))
    throw new InputError(
      `c: compiled for ${head.vector}, which this processor hasn't got. Compile again here.`,
    )
  const { outputs } = graph
  const files = take(source, head.filesBytes)
  const exports = await loadModule({
    compiler,
    files: () => {
      if (digest(files) !== head.filesDigest) throw new InputError('c artifact: damaged. Compile again.')
      return JSON.parse(new TextDecoder().decode(files)) as Record<string, string>
    },
    digest: head.filesDigest,
    sources: head.sources,
    flags: flagsFor(chosen),
    linkFlags: ['-shared', '-lm', '-lpthread'],
    output: 'model.node',
    limit: compileLimit,
  })
  const weights = aligned(head.weightBytes, exports)
  source.read(weights)
  source.end?.()
  const types = outputs.map((v) => {
    const { type } = graph.values[v]!
    if (type.kind !== 'tensor' || !isStatic(type.shape) || type.dtype === 'string')
      throw new BugError('c: an output without a static shape')
    return { dtype: type.dtype, shape: type.shape }
  })
  /** Runs once; the arrays stay alive as long as the result does. */
  const go = (
    inputs: readonly Datum[],
    into?: readonly Tensor[],
  ): { results: readonly Datum[]; ports: ArrayBufferView[] } => {
    checkInputs(graph, inputs)
    if (into) checkOutputs(graph, into, inputs)
    const results = into ?? types.map((o) => ({ ...o, data: allocate(o.dtype, sizeOf(o.shape)) }))
    const ports = [...inputs, ...results].map((t) => {
      if (!isTensor(t) || t.dtype === 'string') throw new InputError('c: expected tensors of numbers')
      return raw(t.data as Float32Array)
    })
    if (exports.run(chosen.threads, weights, ...ports) !== 1)
      throw new BugError('c: a port is no typed array')
    return { results, ports }
  }
  return {
    facts: { ...facts(chosen, compiler), memoryBytes: head.arenaBytes + weights.length },
    amplification: head.amplification,
    run: async (inputs, into) => go(inputs, into).results,
    async profile(inputs) {
      const { ports } = go(inputs)
      const times = new Map<string, NodeTime>()
      head.steps.forEach((s, i) => {
        const ms = exports.step(i) * 1000
        const node = s.nodes[0] ?? s.name
        times.set(node, { node, ms: ms + (times.get(node)?.ms ?? 0), what: s.name })
      })
      // Steps work on the ports' memory, which must live until here.
      if (ports.length !== inputs.length + types.length) throw new BugError('c: ports changed')
      return [...times.values()]
    },
    dispose: async () => {},
  }
}

/** N-API knows no arrays of float16. */
const raw = (data: Float32Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** Room from a 64-byte boundary on, so that no vector of it lies in two cache lines. */
function aligned(bytes: number, at: Pick<Loaded, 'misalignment'>): Uint8Array {
  const room = new Uint8Array(bytes + 64)
  const start = (64 - at.misalignment(room)) % 64
  return room.subarray(start, start + bytes)
}
