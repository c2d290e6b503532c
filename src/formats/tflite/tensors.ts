// The tensors of a TensorFlow Lite subgraph: types, shapes, quantisation, and the content of those that are constants. Content is
// a view of the file's bytes wherever its alignment allows.

import { allocate, bytesOf, type DType, viewBytes } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { sizeOf, type Tensor } from '../../core/tensor.ts'
import type { Quantization, Shape } from '../../ir/types.ts'
import { type Buffer, type Tensor as FileTensor, TensorType } from './schema/tables.ts'
import { densify } from './sparse.ts'

/** Largest number of elements a shape may claim: no file of this format holds more. */
const elementLimit = 2 ** 40

export type TensorInfo = {
  readonly index: number
  readonly name: string
  /** undefined: a type that the graph doesn't have (`typeName` says which). */
  readonly dtype: DType | undefined
  readonly typeName: string
  /** As stored: 1 stands where the converter didn't know. */
  readonly shape: readonly number[]
  /** What the file knows: null where a dimension, or the rank, is open. */
  readonly signature: Shape
  readonly quantization: Quantization | undefined
  /** Of a variable: state that lives between invocations. */
  readonly variable: boolean
  readonly constant: Tensor | undefined
}

const dtypeNames: Readonly<Record<string, DType>> = {
  FLOAT32: 'float32', FLOAT16: 'float16', INT32: 'int32', UINT8: 'uint8', INT64: 'int64', STRING: 'string', BOOL: 'bool',
  INT16: 'int16', INT8: 'int8', FLOAT64: 'float64', UINT64: 'uint64', UINT32: 'uint32', UINT16: 'uint16', INT4: 'int4',
  BFLOAT16: 'bfloat16', UINT4: 'uint4',
} // biome-ignore format: a table

/** The graph's type for a number of the file's TensorType; undefined where there is none. */
export const dtypeOf = (type: number): DType | undefined => dtypeNames[TensorType[type] ?? '']

/** The bytes of a buffer: in the FlatBuffer, or behind it in files that may exceed 2 GB. */
export function bufferBytes(buffer: Buffer, file: Uint8Array, where: string): Uint8Array | undefined {
  // Offsets of 0 and 1 say that the buffer lies inside.
  if (buffer.offset > 1) {
    const end = buffer.offset + buffer.size
    if (!Number.isSafeInteger(end) || end > file.length)
      throw new InputError(
        `${where}: a buffer of ${buffer.size} bytes at ${buffer.offset}, outside the file of ${file.length} bytes. It may be truncated.`,
      )
    return buffer.size ? file.subarray(buffer.offset, end) : undefined
  }
  return buffer.data?.length ? buffer.data : undefined
}

export function tensorInfo(
  t: FileTensor,
  index: number,
  bytes: Uint8Array | undefined,
  where: string,
): TensorInfo {
  const name = t.name || `tensor ${index}`
  const at = `${where}: tensor ${JSON.stringify(name)}`
  const typeName = TensorType[t.type] ?? `type ${t.type}`
  const dtype = dtypeOf(t.type)
  const shape = Array.from(t.shape ?? [])
  // Old converters wrote −1 into the shape itself.
  const open = shape.some((d) => d < 0)
  const given = t.shape_signature?.length ? Array.from(t.shape_signature) : open ? shape : undefined
  if (given && given.length !== shape.length)
    throw new InputError(`${at}: shape [${shape}] and signature [${given}] differ in rank`)
  const stored = shape.map((d) => (d < 0 ? 1 : d))
  if (sizeOf(stored) > elementLimit)
    throw new InputError(`${at}: shape [${shape}] has more than ${elementLimit} elements`)
  const signature = (given ?? stored).map((d) => (d < 0 ? null : d))
  return {
    index,
    name,
    dtype,
    typeName,
    shape: stored,
    signature,
    quantization: quantizationOf(t, at),
    variable: t.is_variable,
    constant: bytes && dtype && constantOf(t, dtype, stored, bytes, at),
  }
}

function quantizationOf(t: FileTensor, at: string): Quantization | undefined {
  const q = t.quantization
  if (!q?.scale?.length) return undefined
  const scale = Array.from(q.scale)
  const zeroPoint = Array.from(q.zero_point ?? [0])
  if (scale.some((s) => !Number.isFinite(s) || s < 0))
    throw new InputError(`${at}: a scale of ${scale.find((s) => !Number.isFinite(s) || s < 0)}`)
  if (zeroPoint.some((z) => !Number.isSafeInteger(z) || Math.abs(z) > 2 ** 31))
    throw new InputError(`${at}: a zero point outside 32 bits`)
  if (scale.length > 1) {
    const axis = q.quantized_dimension
    const size = t.shape?.[axis]
    if (size !== scale.length)
      throw new InputError(`${at}: ${scale.length} scales for axis ${axis} of [${t.shape ?? ''}]`)
    if (zeroPoint.length !== 1 && zeroPoint.length !== scale.length)
      throw new InputError(`${at}: ${scale.length} scales and ${zeroPoint.length} zero points`)
  }
  return { scale, zeroPoint, axis: q.quantized_dimension }
}

function constantOf(
  t: FileTensor,
  dtype: DType,
  shape: readonly number[],
  bytes: Uint8Array,
  at: string,
): Tensor {
  if (t.sparsity) return densify(t.sparsity, dtype, shape, bytes, at)
  const n = sizeOf(shape)
  if (dtype === 'string') return { dtype, shape, data: strings(bytes, n, at) }
  const packed = dtype === 'int4' || dtype === 'uint4'
  const want = packed ? Math.ceil(n / 2) : n * bytesOf(dtype)
  if (bytes.length < want)
    throw new InputError(`${at}: ${dtype}[${shape}], expected ${want} bytes, got ${bytes.length}`)
  if (packed) return { dtype, shape, data: unpack(bytes, n, dtype) }
  return { dtype, shape, data: viewBytes(dtype, bytes.subarray(0, want), n) }
}

/** Two 4-bit integers a byte, the lower half first. */
function unpack(bytes: Uint8Array, n: number, dtype: 'int4' | 'uint4'): Tensor['data'] {
  const data = allocate(dtype, n) as Int8Array
  for (let i = 0; i < n; i++) {
    const v = (bytes[i >> 1]! >> (4 * (i & 1))) & 15
    data[i] = dtype === 'int4' && v > 7 ? v - 16 : v
  }
  return data
}

/** A string tensor: the count, count + 1 offsets, the text. */
function strings(bytes: Uint8Array, n: number, at: string): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = bytes.length >= 4 ? view.getInt32(0, true) : -1
  if (count !== n || bytes.length < 8 + 4 * count)
    throw new InputError(`${at}: a string tensor, expected ${n} strings, got ${count}`)
  const text = new TextDecoder()
  return Array.from({ length: n }, (_, i) => {
    const [from, to] = [view.getInt32(4 + 4 * i, true), view.getInt32(8 + 4 * i, true)]
    if (from < 0 || to < from || to > bytes.length)
      throw new InputError(`${at}: string ${i} lies outside its buffer`)
    return text.decode(bytes.subarray(from, to))
  })
}
