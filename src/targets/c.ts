// C made by the compiler of this package, built by the system's gcc or clang and called in this process.

import { availableParallelism } from 'node:os'
import { compile } from '../compile/compile.ts'
import { isStaticGraph, prepare, shapeInputs, uncompilable } from '../compile/prepare.ts'
import { type CFiles, type COptions, renderC, renderUnits } from '../compile/render/c/program.ts'
import { type ConvAlgorithm, type Engine, engines } from '../compile/schedule.ts'
import { allocate } from '../core/dtype.ts'
import { BugError, InputError, UnsupportedError } from '../core/errors.ts'
import { sizeOf } from '../core/tensor.ts'
import { checkInputs } from '../ir/inputs.ts'
import { specialize } from '../ir/specialize.ts'
import { type Datum, type Graph, isStatic, isTensor, printType } from '../ir/types.ts'
import { build, type Compiler, findCompiler } from './c/compiler.ts'
import { shimSource } from './c/shim.ts'
import { probeProcessor } from './processor.ts'
import { scheduleFacts, schedulesFor } from './schedules.ts'
import { perShape } from './shapes.ts'
import type { Artifact, Executable, NodeTime, Target, TargetOptions } from './target.ts'

/** Milliseconds that a compiler may take for one model. */
const compileLimit = 300_000

export type Vector = 'avx512' | 'avx2' | 'neon' | 'none'
const algorithms: readonly ConvAlgorithm[] = ['direct', 'im2col', 'spatialPack', 'winograd2', 'winograd4']

let best: Vector | undefined
/** The widest vectors that this processor has. */
function bestVector(): Vector {
  if (best) return best
  const { features, architecture } = probeProcessor()
  const has = (...names: string[]): boolean => names.every((n) => features?.includes(n))
  best = has('avx512f', 'avx512bw', 'avx512vl')
    ? 'avx512'
    : has('avx2', 'fma')
      ? 'avx2'
      : architecture === 'arm64'
        ? 'neon'
        : 'none'
  return best
}

const engineOf: Readonly<Record<Vector, Engine['name']>> = {
  avx512: 'c-avx512',
  avx2: 'c-avx2',
  neon: 'c-neon',
  none: 'c-scalar',
}
const vectorBits: Readonly<Record<Vector, number>> = { avx512: 512, avx2: 256, neon: 128, none: 0 }
const flagsOf: Readonly<Record<Vector, readonly string[]>> = {
  avx512: ['-march=native', '-mprefer-vector-width=512'],
  avx2: ['-march=native', '-mprefer-vector-width=256', '-mno-avx512f'],
  neon: ['-march=native'],
  none: [],
}
/** -O3 takes four times as long over a network and gives nothing: the loops are unrolled and vectors already. */
const baseFlags = [
  '-std=gnu11', '-O2', '-ffp-contract=off', '-fno-strict-aliasing', '-fno-math-errno', '-fno-trapping-math', '-fPIC', '-w',
] // biome-ignore format: a list

type COptionsChosen = {
  readonly vector: Vector
  readonly threads: number
  /** Plain JSON (compile/schedule.ts). */
  readonly schedule: string | undefined
}

function optionsOf(o: TargetOptions): COptionsChosen {
  const vector = o.vector === undefined || o.vector === 'auto' ? bestVector() : o.vector
  if (vector !== 'avx512' && vector !== 'avx2' && vector !== 'neon' && vector !== 'none')
    throw new InputError(`c: vector, expected auto, avx512, avx2, neon or none, got ${vector}`)
  const threads = Number(o.threads ?? 1)
  if (!Number.isInteger(threads) || threads < 1 || threads > 256)
    throw new InputError(`c: threads, expected 1 to 256, got ${o.threads}`)
  const algorithm = algorithms.find((a) => a === o.algorithm)
  if (o.algorithm !== undefined && o.algorithm !== 'auto' && !algorithm)
    throw new InputError(`c: algorithm, expected auto, ${algorithms.join(', ')}, got ${o.algorithm}`)
  if (algorithm && o.schedule != null)
    throw new InputError(
      'c: expected an algorithm or a schedule, got both. Name the algorithm in the schedule.',
    )
  const schedule = algorithm ? JSON.stringify({ '*': { algorithm } }) : o.schedule
  return { vector, threads, schedule: schedule == null ? undefined : String(schedule) }
}

/** What the options compile for. */
export const cEngine = (o: TargetOptions): Engine => engines[engineOf[optionsOf(o).vector]]

/** Weights up to this many bytes go into the file, unless told otherwise. */
const insideBytes = 4 << 20

/**
 * The library function behind `strata convert MODEL -o model.c`: portable C99, or GNU C with the vectors of `vector`; small weights
 * inside the file and large ones beside it (`weights`), unless told otherwise. Throws UnsupportedError for operators that can't be
 * compiled, InputError for open shapes.
 */
export function graphToC(
  graph: Graph,
  options: Partial<Omit<COptions, 'dialect'>> & { readonly vector?: Vector } = {},
): CFiles {
  const { vector = 'none', ...rest } = options
  const fixed = specialize(graph)
  const missing = uncompilable(fixed)
  if (missing.length > 0) throw new UnsupportedError('C', missing)
  if (!isStaticGraph(fixed)) {
    const inputs = fixed.inputs.map((v) => `${fixed.values[v]!.name}: ${printType(fixed.values[v]!.type)}`)
    throw new InputError(
      `${graph.name}: C needs fixed shapes, got ${inputs.join(', ')}. Give sizes, for example --dims batch=1.`,
    )
  }
  const program = compile(prepare(fixed), { engine: engines[engineOf[vector]] })
  const shapes = (ids: readonly number[]): string[] => ids.map((v) => printType(fixed.values[v]!.type))
  const weights = program.buffers.reduce((n, b) => n + (b.data ? (b.data as Uint8Array).byteLength : 0), 0)
  return renderC(program, {
    name: 'model',
    weights: weights <= insideBytes ? 'inside' : 'beside',
    ...rest,
    dialect: vector === 'none' ? 'c99' : 'gnu',
    shapes: { inputs: shapes(fixed.inputs), outputs: shapes(fixed.outputs) },
  })
}

/** What the compiled module gives to JavaScript. */
type Loaded = {
  /** Weights, inputs, outputs. 0 where one of them is no typed array. */
  run(...ports: readonly ArrayBufferView[]): number
  step(i: number): number
  misalignment(bytes: Uint8Array): number
}

/** An artifact's bytes: the length of this as JSON (8 bytes), it, the weights. */
type Parts = {
  readonly header: string
  readonly main: string
  readonly units: readonly string[]
  readonly arenaBytes: number
  readonly steps: readonly {
    readonly nodes: readonly string[]
    readonly name: string
    readonly amplification: number
  }[]
}

function encode(graph: Graph, o: COptionsChosen): Uint8Array {
  const engine = engines[engineOf[o.vector]]
  const chosen = schedulesFor(graph, o)
  const program = compile(graph, { engine, schedule: (node, x) => chosen(node, x, engine) })
  const steps = program.steps.map(({ nodes, kernel, amplification }) => ({
    nodes,
    name: program.kernels[kernel]!.name,
    amplification,
  }))
  const { weights, ...files } = renderUnits(
    program,
    { name: 'model', dialect: o.vector === 'none' ? 'c99' : 'gnu', weights: 'beside', threads: o.threads },
    availableParallelism(),
  )
  const { header, main, units, arenaBytes } = files
  const parts: Parts = { header, main, units, arenaBytes, steps }
  const text = new TextEncoder().encode(JSON.stringify(parts))
  const bytes = new Uint8Array(8 + text.length + weights!.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
  bytes.set(text, 8)
  bytes.set(weights!, 8 + text.length)
  return bytes
}

export const c: Target = {
  name: 'c',
  doc: "C made by the compiler of this package, built by the system's gcc or clang",
  variants: [{ name: '', options: {} }],
  presence: async () => {
    const compiler = findCompiler()
    return compiler
      ? { present: true, version: compiler.version }
      : { present: false, reason: 'no C compiler found. Install gcc or clang, or set $CC.' }
  },
  async compile(graph, options): Promise<Artifact> {
    const chosen = optionsOf(options)
    const fixed = specialize(graph)
    const missing = uncompilable(fixed)
    if (missing.length > 0) throw new UnsupportedError('c', missing)
    // Open shapes are fixed by the first inputs that come: see `load`.
    if (!isStaticGraph(fixed) || shapeInputs(fixed).size > 0) return { target: 'c', options, graph }
    return { target: 'c', options, bytes: encode(prepare(fixed), chosen), graph }
  },
  async load({ graph, options, bytes }): Promise<Executable> {
    const compiler = findCompiler()
    if (!compiler) throw new InputError('c: no C compiler found. Install gcc or clang, or set $CC.')
    const chosen = optionsOf(options)
    if (bytes) return load(graph, bytes, chosen, compiler)
    return perShape(graph, facts(chosen, compiler), (fixed) =>
      load(fixed, encode(prepare(fixed), chosen), chosen, compiler),
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

async function load(
  graph: Graph,
  bytes: Uint8Array,
  chosen: COptionsChosen,
  compiler: Compiler,
): Promise<Executable> {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const parts = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Parts
  const { inputs, outputs } = graph
  const { units, main } = parts
  const path = await build({
    compiler,
    files: {
      'model.h': parts.header,
      'main.c': main,
      'shim.c': shimSource('model', 'main.c', inputs.length, outputs.length, chosen.threads),
      ...Object.fromEntries(units.map((u, i) => [`unit${i}.c`, u])),
    },
    sources: ['shim.c', ...units.map((_, i) => `unit${i}.c`)],
    flags: flagsFor(chosen),
    linkFlags: ['-shared', '-lm', '-lpthread'],
    output: 'model.node',
    limit: compileLimit,
  })
  const module = { exports: {} as Loaded }
  process.dlopen(module, path)
  const { exports } = module
  const weights = aligned(bytes.subarray(8 + length), exports)
  const types = outputs.map((v) => {
    const { type } = graph.values[v]!
    if (type.kind !== 'tensor' || !isStatic(type.shape) || type.dtype === 'string')
      throw new BugError('c: an output without a static shape')
    return { dtype: type.dtype, shape: type.shape }
  })
  /** Runs once; the arrays stay alive as long as the result does. */
  const go = (inputs: readonly Datum[]): { results: Datum[]; ports: ArrayBufferView[] } => {
    checkInputs(graph, inputs)
    const results = types.map((o) => ({ ...o, data: allocate(o.dtype, sizeOf(o.shape)) }))
    const ports = [...inputs, ...results].map((t) => {
      if (!isTensor(t) || t.dtype === 'string') throw new InputError('c: expected tensors of numbers')
      return raw(t.data as Float32Array)
    })
    if (exports.run(weights, ...ports) !== 1) throw new BugError('c: a port is no typed array')
    return { results, ports }
  }
  return {
    facts: { ...facts(chosen, compiler), memoryBytes: parts.arenaBytes + weights.length },
    amplification: Object.fromEntries(
      parts.steps.flatMap((s) => (s.amplification > 1 ? s.nodes.map((n) => [n, s.amplification]) : [])),
    ),
    run: async (inputs) => go(inputs).results,
    async profile(inputs) {
      const { ports } = go(inputs)
      const times = new Map<string, NodeTime>()
      parts.steps.forEach((s, i) => {
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

/** The weights from a 64-byte boundary on, so that no vector of them lies in two cache lines. Copied where they don't. */
function aligned(bytes: Uint8Array, at: Pick<Loaded, 'misalignment'>): Uint8Array {
  if (bytes.length > 0 && at.misalignment(bytes) === 0) return bytes
  const room = new Uint8Array(bytes.length + 64)
  const start = (64 - at.misalignment(room)) % 64
  room.set(bytes, start)
  return room.subarray(start, start + bytes.length)
}
