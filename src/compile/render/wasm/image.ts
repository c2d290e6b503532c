// A compiled program as one storable piece (core/source.ts): a header, the WebAssembly module, the constants as they lie in memory.
// Written by write-image.ts; what reads and runs it needs nothing of the compiler.

import type { DType } from '../../../core/dtype.ts'
import { readHead, type Source, take } from '../../../core/source.ts'
import type { Amplification } from '../../loops.ts'

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
  readonly amplification: Amplification
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly moduleBytes: number
}
export const magic = 0x41525453 // STRA

/** Reads an image up to its constants, which come next. */
export function readImage(source: Source): {
  readonly header: Header
  readonly module: Uint8Array<ArrayBuffer>
} {
  const header = readHead(source, magic, 'wasm artifact') as Header
  return { header, module: take(source, header.moduleBytes) }
}
