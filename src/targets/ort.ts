// What onnxruntime's two JavaScript packages share: a graph becomes ONNX bytes, tensors change type names, sessions become
// executables, and their errors one clear line.

import type * as Ort from 'onnxruntime-common'
import type { DType, TensorData } from '../core/dtype.ts'
import { InputError, type Unsupported, UnsupportedError } from '../core/errors.ts'
import { wholeOf } from '../core/source.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { type Datum, type Graph, isTensor, printType, type Type, typeOf } from '../ir/types.ts'
import type { Artifact, Executable, TargetOptions } from './target.ts'

export const levels = ['disabled', 'basic', 'extended', 'all'] as const
export type Level = (typeof levels)[number]

export const levelIn = (where: string, options: TargetOptions): Level => {
  const level = options.level ?? 'all'
  if (!levels.includes(level as Level)) {
    throw new InputError(`${where}: level: expected ${levels.join(', ')}, got ${level}`)
  }
  return level as Level
}

export const threadsIn = (where: string, options: TargetOptions): number => {
  const threads = options.threads ?? 1
  if (typeof threads !== 'number' || !Number.isInteger(threads) || threads < 1) {
    throw new InputError(`${where}: threads: expected a positive whole number, got ${threads}`)
  }
  return threads
}

/** Types that no JavaScript array of onnxruntime's carries. */
const uncarried: ReadonlySet<DType> = new Set(['bfloat16', 'int4', 'uint4'])

/** Why a value can't cross into the runtime or out of it; undefined where it can. */
function uncrossable(type: Type): string | undefined {
  if (type.kind !== 'tensor') return `${type.kind} at the edge of the graph`
  return uncarried.has(type.dtype) ? `${type.dtype} at the edge of the graph` : undefined
}

/** Storable bytes of the graph. Throws UnsupportedError with every value that can't cross. */
export async function compileOnnx(name: string, graph: Graph, options: TargetOptions): Promise<Artifact> {
  const counts = new Map<string, number>()
  for (const v of [...graph.inputs, ...graph.outputs]) {
    const why = uncrossable(graph.values[v]!.type)
    if (why) counts.set(why, (counts.get(why) ?? 0) + 1)
  }
  if (counts.size) {
    const list = Array.from(
      counts,
      ([op, count]): Unsupported => ({ op, count, nearest: 'a cast to float32' }),
    )
    throw new UnsupportedError(name, list)
  }
  const { writeOnnx } = await import('../formats/onnx/write.ts')
  // TensorFlow Lite's integer operators have no ONNX name; their integer primitives have.
  const { portable } = await import('../rewrite/decompose/portable.ts')
  return { target: name, options, graph, piece: { bytes: writeOnnx(portable(graph)) } }
}

/** The tensor as the runtime takes it. Shares the elements. */
export function toOrt(ort: typeof Ort, t: Tensor): Ort.Tensor {
  if (t.dtype === 'float16') {
    // onnxruntime-node 1.30 reads the length of a Float16Array as 0, and its constructor makes one of bits: so bits, renamed.
    const d = t.data as Float16Array
    const bits = new ort.Tensor('uint16', new Uint16Array(d.buffer, d.byteOffset, d.length), t.shape)
    return Object.assign(bits, { type: 'float16' })
  }
  return new ort.Tensor(t.dtype as 'float32', t.data as Float32Array, t.shape)
}

export function fromOrt(t: Ort.Tensor): Tensor {
  const dtype = t.type as DType
  let data = t.data as TensorData | Uint16Array
  // float16 comes as bits from builds that don't know Float16Array.
  if (dtype === 'float16' && data instanceof Uint16Array) {
    data = new Float16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length)
  }
  return tensor(dtype, [...t.dims], data)
}

/** Both packages' sessions, as far as they are used here. */
type Session = Pick<Ort.InferenceSession, 'inputNames' | 'outputNames' | 'run' | 'release'>

/** Opens a session; what the runtime refuses is reported under `where`. */
export async function openSession(
  where: string,
  artifact: Artifact,
  create: (bytes: Uint8Array) => Promise<Session>,
): Promise<Session> {
  try {
    return await create(wholeOf(artifact.piece!))
  } catch (e) {
    throw refusal(where, e)
  }
}

/** An executable of a session: positional, in the graph's own order. */
export function sessionExecutable(
  where: string,
  ort: typeof Ort,
  session: Session,
  graph: Graph,
  facts: NonNullable<Executable['facts']>,
): Executable {
  let released = false
  return {
    facts,
    async run(inputs) {
      if (released) throw new InputError(`${where}: run after dispose`)
      const feeds: Record<string, Ort.Tensor> = {}
      graph.inputs.forEach((v, i) => {
        const value = graph.values[v]!
        feeds[session.inputNames[i]!] = toOrt(ort, fitting(where, value.name, value.type, inputs[i]))
      })
      let results: Ort.InferenceSession.OnnxValueMapType
      try {
        results = await session.run(feeds)
      } catch (e) {
        throw refusal(where, e)
      }
      return session.outputNames.map((n) => fromOrt(results[n] as Ort.Tensor))
    },
    async dispose() {
      if (released) return
      released = true
      await session.release()
    },
  }
}

/** The datum where it is a tensor of the type; the runtime's own complaints name neither value nor type. */
function fitting(where: string, name: string, type: Type, d: Datum | undefined): Tensor {
  const fits =
    isTensor(d) &&
    type.kind === 'tensor' &&
    d.dtype === type.dtype &&
    (type.shape === null ||
      (type.shape.length === d.shape.length &&
        type.shape.every((n, i) => typeof n !== 'number' || n === d.shape[i])))
  if (fits) return d
  const got = d === undefined ? 'nothing' : isTensor(d) ? printType(typeOf(d)) : 'no tensor'
  throw new InputError(`${where}: input ${name}: expected ${printType(type)}, got ${got}`)
}

/** One line for what the runtime says, without its source locations and status prefixes. */
export function refusal(where: string, error: unknown): InputError | UnsupportedError {
  const text = error instanceof Error ? error.message : String(error)
  const missing =
    /Could not find an implementation for (\S+) node/.exec(text) ??
    /Fatal error: (\S+) is not a registered function\/op/.exec(text) ??
    /No Op registered for (\S+)/.exec(text)
  if (missing) return new UnsupportedError(where, [{ op: missing[1]!, count: 1 }])
  const said = text
    .replace(
      /^\s*((failed to call OrtRun\(\)|Can't create a session|ERROR_CODE: \d+, ERROR_MESSAGE:)\W*)+/i,
      '',
    )
    .replace(/\/\S*\/([\w.-]+\.(cc|h|cpp|hpp)):\d+\s*/g, '')
    .replace(/\s+/g, ' ')
    .trim()
  return new InputError(`${where}: ${said.slice(0, 400)}`)
}
