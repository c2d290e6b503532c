// A compiled program as one storable piece: a JSON header, the WebAssembly module, the constants as they lie in memory.

import { bytesOf, type DType } from '../../../core/dtype.ts'
import { InputError } from '../../../core/errors.ts'
import type { Program } from '../../loops.ts'
import { parallelRange } from '../../loops.ts'
import { align, planMemory } from '../../plan.ts'
import { renderWasm } from './module.ts'
import { controlBytes } from './team.ts'

export type Port = {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly offset: number
  readonly length: number
}
export type ImageStep = {
  readonly kernel: number
  /** Byte addresses of the kernel's buffers. */
  readonly addresses: readonly number[]
  /** Bytes between the parts of two threads, for scratch buffers; else 0. */
  readonly perThread: readonly number[]
  /** Range of the parallel loop. */
  readonly range: readonly [from: number, to: number]
  readonly nodes: readonly string[]
  readonly name: string
  readonly macs: number
  readonly amplification: number
}
export type Header = {
  readonly version: 1
  readonly pages: number
  readonly shared: boolean
  readonly relaxed: boolean
  readonly threads: number
  /** Bytes of constants, from byte `base` of memory on. */
  readonly base: number
  readonly constants: number
  readonly temporaries: number
  readonly steps: readonly ImageStep[]
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly moduleBytes: number
}
export type Image = {
  readonly header: Header
  readonly module: Uint8Array<ArrayBuffer>
  readonly constants: Uint8Array
}

const magic = 0x41525453 // STRA
const page = 65536

export function buildImage(
  program: Program,
  options: { relaxed: boolean; shared: boolean; threads: number },
): Image {
  // Barriers and counters of threads (team.ts) live below the constants.
  const control = align(controlBytes(program.steps.length))
  const plan = planMemory(program, control, options.threads)
  // Vector loads of a tail may look at, never use, what lies just behind.
  const pages = Math.ceil((plan.bytes + 64) / page)
  const module = renderWasm(program.kernels, { ...options, pages })
  const constantEnd = program.buffers.reduce(
    (end, b, i) =>
      b.role === 'constant' ? Math.max(end, plan.offsets[i]! + b.length * bytesOf(b.dtype)) : end,
    control,
  )
  const constants = new Uint8Array(constantEnd - control)
  program.buffers.forEach((b, i) => {
    if (b.role !== 'constant') return
    const data = b.data as Float32Array
    constants.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), plan.offsets[i]! - control)
  })
  const port = (i: number, shape: readonly number[]): Port => {
    const b = program.buffers[i]!
    return { name: b.name, dtype: b.dtype, shape, offset: plan.offsets[i]!, length: b.length }
  }
  const header: Header = {
    version: 1,
    pages,
    ...options,
    base: control,
    constants: constants.length,
    temporaries: plan.temporaries,
    steps: program.steps.map((s) => ({
      kernel: s.kernel,
      addresses: s.buffers.map((b) => plan.offsets[b]!),
      perThread: s.buffers.map((b) => {
        const { role, length, dtype } = program.buffers[b]!
        return role === 'scratch' ? align(length * bytesOf(dtype)) : 0
      }),
      range: parallelRange(program.kernels[s.kernel]!),
      nodes: s.nodes,
      name: program.kernels[s.kernel]!.name,
      macs: s.macs,
      amplification: s.amplification,
    })),
    inputs: program.inputs.map((b, i) => port(b, program.inputShapes[i]!)),
    outputs: program.outputs.map((b, i) => port(b, program.outputShapes[i]!)),
    moduleBytes: module.length,
  }
  return { header, module, constants }
}

export function encodeImage(image: Image): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(image.header))
  const out = new Uint8Array(8 + json.length + image.module.length + image.constants.length)
  const view = new DataView(out.buffer)
  view.setUint32(0, magic, true)
  view.setUint32(4, json.length, true)
  out.set(json, 8)
  out.set(image.module, 8 + json.length)
  out.set(image.constants, 8 + json.length + image.module.length)
  return out
}

export function decodeImage(bytes: Uint8Array): Image {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 8 || view.getUint32(0, true) !== magic)
    throw new InputError(
      'wasm artifact: expected one made by this target, got something else. Compile again.',
    )
  const size = view.getUint32(4, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))) as Header
  const start = 8 + size
  const module = bytes.slice(start, start + header.moduleBytes) as Uint8Array<ArrayBuffer>
  return { header, module, constants: bytes.subarray(start + header.moduleBytes) }
}
