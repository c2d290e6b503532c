// Running an image on one thread: an instance over its memory, the steps called in order. Many short calls, because an engine only
// moves to better code between calls. Runs in Node and browsers.

import { bytesOf, type TensorData, viewBytes } from '../../../core/dtype.ts'
import type { Source } from '../../../core/source.ts'
import { sizeOf, type Tensor } from '../../../core/tensor.ts'
import { onNumbers } from '../../../ir/scalar.ts'
import type { Header, ImageStep, Port } from './image.ts'

export type Instance = {
  readonly header: Header
  readonly memory: WebAssembly.Memory
  /** Runs part of a step's range. */
  call(step: ImageStep, from: number, to: number): void
}

const pageBytes = 65536

/** What a module of write-image.ts imports: the math library beside the memory. */
const wasmImports = (memory: WebAssembly.Memory): WebAssembly.Imports => ({
  env: { memory },
  math: onNumbers as unknown as WebAssembly.ModuleImports,
})
type WasmKernel = (...args: number[]) => void

/** Memory for an image, the constants read from the source into their place. */
export function imageMemory(header: Header, constants: Source, shared = header.shared): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({
    initial: header.pages,
    ...(header.shared && { maximum: header.pages, shared }),
  })
  constants.read(new Uint8Array(memory.buffer, header.base, header.constants))
  return memory
}

/** An instance for one thread: scratch buffers are that thread's own. */
export function instantiate(
  header: Header,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  worker = 0,
): Instance {
  const { exports } = new WebAssembly.Instance(module, wasmImports(memory))
  const kernels: WasmKernel[] = []
  for (const s of header.steps) kernels[s.kernel] ??= exports[`k${s.kernel}`] as WasmKernel
  const addresses = new Map(
    header.steps.map((s) => [s, s.addresses.map((a, i) => a + worker * s.perThread[i]!)]),
  )
  return {
    header,
    memory,
    call: (s, from, to) => {
      kernels[s.kernel]!(...addresses.get(s)!, from, to)
    },
  }
}

const view = (memory: WebAssembly.Memory, p: Port): TensorData =>
  viewBytes(
    p.dtype as 'float32',
    new Uint8Array(memory.buffer, p.offset, p.length * bytesOf(p.dtype)),
    p.length,
  )

/** A port's own place, as a tensor. */
export const placeOf = (memory: WebAssembly.Memory, p: Port): Tensor => ({
  dtype: p.dtype,
  shape: p.shape,
  data: (view(memory, p) as Float32Array).subarray(0, sizeOf(p.shape)),
})

const isInPlace = (memory: WebAssembly.Memory, p: Port, data: TensorData): boolean =>
  ArrayBuffer.isView(data) && data.buffer === memory.buffer && data.byteOffset === p.offset

export function writeInput(memory: WebAssembly.Memory, p: Port, data: TensorData): void {
  if (!isInPlace(memory, p, data)) (view(memory, p) as Float32Array).set(data as Float32Array)
}

/** A copy of an output, in `into` where that is given. */
export function readOutput(memory: WebAssembly.Memory, p: Port, into?: Tensor): Tensor {
  const place = placeOf(memory, p)
  // A typed array made of another isn't cleared first.
  if (!into)
    return {
      ...place,
      data: new (place.data.constructor as Float32ArrayConstructor)(place.data as Float32Array),
    }
  if (!isInPlace(memory, p, into.data)) (into.data as Float32Array).set(place.data as Float32Array)
  return into
}

export function runSteps(instance: Instance): void {
  for (const s of instance.header.steps) instance.call(s, s.range[0], s.range[1])
}

export const megabytes = (h: Header): number => (h.pages * pageBytes) / 2 ** 20
