// C made by the compiler of this package, built by the system's gcc or clang and called in this process.

import { compile } from '../compile/compile.ts'
import { type CFiles, type COptions, renderC } from '../compile/render/c/program.ts'
import { type Engine, engines } from '../compile/schedule.ts'
import { allocate } from '../core/dtype.ts'
import { BugError, InputError } from '../core/errors.ts'
import { sizeOf } from '../core/tensor.ts'
import { checkInputs } from '../ir/evaluate.ts'
import { type Datum, type Graph, isStatic, isTensor, printType } from '../ir/types.ts'
import { build, findCompiler } from './c/compiler.ts'
import { shimSource } from './c/shim.ts'
import { probeMachine } from './processor.ts'
import type { Artifact, Executable, NodeTime, Target, TargetOptions } from './target.ts'

/** Milliseconds that a compiler may take for one model. */
const compileLimit = 300_000

type Vector = 'avx512' | 'avx2' | 'neon' | 'none'

/** The widest vectors that this processor has. */
function bestVector(): Vector {
  const { features, architecture } = probeMachine().processor
  if (features?.includes('avx512f') && features.includes('avx512bw') && features.includes('avx512vl'))
    return 'avx512'
  if (features?.includes('avx2') && features.includes('fma')) return 'avx2'
  return architecture === 'arm64' ? 'neon' : 'none'
}

const engineOf: Readonly<Record<Vector, Engine['name']>> = {
  avx512: 'c-avx512',
  avx2: 'c-avx2',
  neon: 'c-neon',
  none: 'c-scalar',
}
const flagsOf: Readonly<Record<Vector, readonly string[]>> = {
  avx512: ['-march=native', '-mprefer-vector-width=512'],
  avx2: ['-march=native', '-mprefer-vector-width=256'],
  neon: ['-march=native'],
  none: [],
}

function optionsOf(o: TargetOptions): { vector: Vector; threads: number } {
  const vector = o.vector === undefined || o.vector === 'auto' ? bestVector() : o.vector
  if (vector !== 'avx512' && vector !== 'avx2' && vector !== 'neon' && vector !== 'none') {
    throw new InputError(`c: vector, expected auto, avx512, avx2, neon or none, got ${vector}`)
  }
  const threads = Number(o.threads ?? 1)
  if (!Number.isInteger(threads) || threads < 1 || threads > 256)
    throw new InputError(`c: threads, expected 1 to 256, got ${o.threads}`)
  return { vector, threads }
}

/** The library function behind `strata convert MODEL -o model.c`: portable C99 with the weights inside, unless told otherwise. */
export function graphToC(
  graph: Graph,
  options: Partial<COptions> & { readonly engine?: Engine['name'] } = {},
): CFiles {
  const dialect = options.dialect ?? 'c99'
  const program = compile(graph, {
    engine: engines[options.engine ?? (dialect === 'c99' ? 'c-scalar' : engineOf[bestVector()])],
  })
  const shapes = (ids: readonly number[]): string[] => ids.map((v) => printType(graph.values[v]!.type))
  return renderC(program, {
    name: 'model',
    weights: 'inside',
    ...options,
    dialect,
    shapes: { inputs: shapes(graph.inputs), outputs: shapes(graph.outputs) },
  })
}

type Loaded = {
  init(weights: Uint8Array): void
  run(...ports: ArrayBufferView[]): void
  step(i: number): number
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
    const { vector } = optionsOf(options)
    const program = compile(graph, { engine: engines[engineOf[vector]] })
    const files = renderC(program, {
      name: 'model',
      dialect: vector === 'none' ? 'c99' : 'gnu',
      weights: 'beside',
    })
    const steps = program.steps.map((s) => ({ nodes: s.nodes, name: program.kernels[s.kernel]!.name }))
    const text = new TextEncoder().encode(
      JSON.stringify({ source: files.source, header: files.header, arenaBytes: files.arenaBytes, steps }),
    )
    const bytes = new Uint8Array(8 + text.length + files.weights!.length)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
    bytes.set(text, 8)
    bytes.set(files.weights!, 8 + text.length)
    return { target: 'c', options, bytes, graph }
  },
  async load(artifact): Promise<Executable> {
    const { bytes, graph } = artifact
    if (!bytes) throw new BugError('c: an artifact without bytes')
    const compiler = findCompiler()
    if (!compiler) throw new InputError('c: no C compiler found. Install gcc or clang, or set $CC.')
    const { vector, threads } = optionsOf(artifact.options)
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
    const parts = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as {
      source: string
      header: string
      arenaBytes: number
      steps: { nodes: string[]; name: string }[]
    }
    const flags = [
      '-std=gnu11',
      '-O3',
      '-ffp-contract=off',
      '-fno-strict-aliasing',
      '-fno-math-errno',
      '-fno-trapping-math',
      ...flagsOf[vector],
      '-shared',
      '-fPIC',
      '-w',
    ]
    const path = await build({
      compiler,
      files: {
        'model.c': parts.source,
        'model.h': parts.header,
        'shim.c': shimSource('model', graph.inputs.length, graph.outputs.length, threads),
      },
      main: 'shim.c',
      flags,
      output: 'model.node',
      limit: compileLimit,
    })
    const module = { exports: {} as Loaded }
    process.dlopen(module, path)
    const weights = aligned(bytes.subarray(8 + length))
    const outputs = graph.outputs.map((v) => {
      const { type } = graph.values[v]!
      if (type.kind !== 'tensor' || !isStatic(type.shape))
        throw new BugError('c: an output without a static shape')
      return { dtype: type.dtype, shape: type.shape }
    })
    const go = (inputs: readonly Datum[]): Datum[] => {
      checkInputs(graph, inputs)
      const made = outputs.map((o) => ({ ...o, data: allocate(o.dtype, sizeOf(o.shape)) }))
      const ins = inputs.map((t) => {
        if (!isTensor(t) || t.dtype === 'string') throw new InputError('c: expected number tensors')
        return t.data as Float32Array
      })
      // Another executable of the same code shares its statics: the weights are given anew.
      module.exports.init(weights)
      module.exports.run(...ins, ...made.map((o) => o.data as Float32Array))
      return made
    }
    return {
      facts: {
        compiler: compiler.version,
        flags: flags.join(' '),
        vector,
        threads,
        memoryBytes: parts.arenaBytes + weights.length,
      },
      run: async (inputs) => go(inputs),
      async profile(inputs) {
        go(inputs)
        const times = new Map<string, NodeTime>()
        parts.steps.forEach((s, i) => {
          const ms = module.exports.step(i) * 1000
          const node = s.nodes[0] ?? s.name
          times.set(node, { node, ms: ms + (times.get(node)?.ms ?? 0), what: s.name })
        })
        return [...times.values()]
      },
      dispose: async () => {},
    }
  },
}

/** A copy whose first byte lies on a 64-byte boundary: vectors of weights are loaded whole lines at a time. */
function aligned(bytes: Uint8Array): Uint8Array {
  const room = new Uint8Array(new ArrayBuffer(bytes.length + 64))
  // V8 aligns large buffers to at least 16 bytes; where exactly can't be seen from here, so the copy only guards element alignment.
  room.set(bytes)
  return room.subarray(0, bytes.length)
}
