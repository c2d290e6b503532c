// Tensors and types of the file as ours. Raw bytes become typed views where their offset allows it, never copies of copies.

import { fromBinary } from '@bufbuild/protobuf'
import { allocate, bitsOf, bytesOf, type DType, store, type TensorData, viewBytes } from '../../core/dtype.ts'
import { InputError, UnsupportedError } from '../../core/errors.ts'
import { integers, sizeOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { type Dim, type Type, tensorType } from '../../ir/types.ts'
import {
  type SparseTensorProto,
  type StringStringEntryProto,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type TensorShapeProto,
  type TypeProto,
} from './schema/onnx_pb.ts'

/** ONNX's numbers for element types. */
export const dtypeCodes: Readonly<Record<DType, number>> = {
  float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, string: 8, bool: 9, float16: 10, float64: 11,
  uint32: 12, uint64: 13, bfloat16: 16, uint4: 21, int4: 22,
} // biome-ignore format: a table
const dtypeOfCode = new Map(Object.entries(dtypeCodes).map(([d, code]) => [code, d as DType]))
const otherTypes: Readonly<Record<number, string>> = {
  14: 'complex64', 15: 'complex128', 17: 'float8e4m3fn', 18: 'float8e4m3fnuz', 19: 'float8e5m2', 20: 'float8e5m2fnuz',
  23: 'float4e2m1', 24: 'float8e8m0', 25: 'uint2', 26: 'int2',
} // biome-ignore format: a table

export function dtypeFrom(code: number, where: string): DType {
  const d = dtypeOfCode.get(code)
  if (d) return d
  if (otherTypes[code])
    throw new UnsupportedError(where, [{ op: `element type ${otherTypes[code]}`, count: 1 }])
  throw new InputError(`${where}: element type, expected a known number, got ${code}`)
}

/** What a tensor whose bytes lie in other files needs. */
export type External = {
  readonly where: string
  file(name: string): Uint8Array
}

/** A plain relative name inside the model's folder. */
function safeName(name: string, where: string): string {
  const parts = name.replace(/^\.\//, '').split('/')
  if (!name || name.startsWith('/') || /[\\\0]|^[A-Za-z]:/.test(name) || parts.includes('..'))
    throw new InputError(
      `${where}: external data in ${JSON.stringify(name)}, expected a file beside the model. Move it there.`,
    )
  return parts.join('/')
}

const entryOf = (entries: readonly StringStringEntryProto[], key: string): string | undefined =>
  entries.find((e) => e.key === key)?.value

function externalBytes(t: TensorProto, needed: number, from: External, where: string): Uint8Array {
  const file = from.file(safeName(entryOf(t.externalData, 'location') ?? '', where))
  const offset = Number(entryOf(t.externalData, 'offset') ?? 0)
  const length = Number(entryOf(t.externalData, 'length') ?? needed)
  if (!(Number.isInteger(offset) && offset >= 0 && length >= 0 && offset + length <= file.length)) {
    throw new InputError(
      `${where}: external data, expected ${length} bytes at ${offset}, the file has ${file.length}`,
    )
  }
  return file.subarray(offset, offset + length)
}

/** Two 4-bit numbers a byte, the low half first. */
function unpack4(bytes: Uint8Array, dtype: DType, n: number): TensorData {
  const data = allocate(dtype, n)
  for (let i = 0; i < n; i++) store(dtype, data, i, i % 2 ? bytes[i >> 1]! >> 4 : bytes[i >> 1]! & 15)
  return data
}

export function dimsOf(dims: readonly bigint[], where: string): number[] {
  return dims.map((d) => {
    if (d < 0n || d > 2n ** 40n) throw new InputError(`${where}: dimension, expected 0 to 2^40, got ${d}`)
    return Number(d)
  })
}

const utf8 = new TextDecoder('utf-8')

/** The tensor of a TensorProto. */
export function readTensor(t: TensorProto, from: External): Tensor {
  const where = `${from.where}: tensor ${t.name || '(unnamed)'}`
  const dtype = dtypeFrom(t.dataType, where)
  const shape = dimsOf(t.dims, where)
  const n = sizeOf(shape)
  const expect = (got: number, unit = 'elements', wanted = n): void => {
    if (got !== wanted)
      throw new InputError(`${where}: shape [${shape}], expected ${wanted} ${unit}, got ${got}`)
  }
  if (dtype === 'string') {
    expect(t.stringData.length)
    return { dtype, shape, data: t.stringData.map((b) => utf8.decode(b)) }
  }
  const external = t.dataLocation === TensorProto_DataLocation.EXTERNAL
  // A shape that can't fit in the file is refused before anything is allocated.
  const bytes = Math.ceil((n * bitsOf(dtype)) / 8)
  if (external || t.rawData.length > 0 || n === 0) {
    const raw = n === 0 ? new Uint8Array(0) : external ? externalBytes(t, bytes, from, where) : t.rawData
    expect(raw.length, 'bytes', bytes)
    const data = bitsOf(dtype) === 4 ? unpack4(raw, dtype, n) : viewBytes(dtype, raw, n)
    return { dtype, shape, data }
  }
  return { dtype, shape, data: typedFields(t, dtype, n, expect) }
}

/** A packed field, which writers may have split. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    all.set(p, at)
    at += p.length
  }
  return all
}

function typedFields(t: TensorProto, dtype: DType, n: number, expect: (got: number) => void): TensorData {
  switch (dtype) {
    case 'float32':
    case 'float64': {
      const bytes = joined(dtype === 'float32' ? t.floatData : t.doubleData)
      expect(bytes.length / bytesOf(dtype))
      return viewBytes(dtype, bytes, n)
    }
    case 'int64':
      expect(t.int64Data.length)
      return BigInt64Array.from(t.int64Data)
    case 'uint64':
      expect(t.uint64Data.length)
      return BigUint64Array.from(t.uint64Data)
    case 'uint32':
      expect(t.uint64Data.length)
      return Uint32Array.from(t.uint64Data, Number)
    case 'float16':
      expect(t.int32Data.length)
      // The fields hold the bits.
      return new Float16Array(Uint16Array.from(t.int32Data).buffer)
    case 'bfloat16':
      expect(t.int32Data.length)
      return Uint16Array.from(t.int32Data)
    case 'int4':
    case 'uint4':
      return unpack4(Uint8Array.from(t.int32Data), dtype, n)
    default: {
      expect(t.int32Data.length)
      const data = allocate(dtype, n)
      for (let i = 0; i < n; i++) store(dtype, data, i, t.int32Data[i]!)
      return data
    }
  }
}

/** A sparse tensor written out: positions are flat [count] or tuples [count, rank]. */
export function readSparse(s: SparseTensorProto, from: External): Tensor {
  if (!s.values || !s.indices) throw new InputError(`${from.where}: sparse tensor without values or indices`)
  const where = `${from.where}: sparse tensor ${s.values.name}`
  const [values, positions] = [readTensor(s.values, from), readTensor(s.indices, from)]
  const shape = dimsOf(s.dims, where)
  // Sparse data may be far smaller than what it stands for.
  if (sizeOf(shape) > 2 ** 25) throw new InputError(`${where}: [${shape}] is too large to write out`)
  const out = zeros(values.dtype, shape)
  const at = integers(positions)
  const flat = positions.shape.length === 1
  const count = values.data.length
  if (at.length !== (flat ? count : count * shape.length))
    throw new InputError(`${where}: ${count} values, but positions [${positions.shape}]`)
  for (let i = 0; i < count; i++) {
    let offset = flat ? at[i]! : 0
    if (!flat) for (let d = 0; d < shape.length; d++) offset = offset * shape[d]! + at[i * shape.length + d]!
    if (!(offset >= 0 && offset < out.data.length))
      throw new InputError(`${where}: position ${offset} lies outside`)
    ;(out.data as Float64Array)[offset] = (values.data as Float64Array)[i]!
  }
  return out
}

function dimsFrom(shape: TensorShapeProto | undefined): readonly Dim[] | null {
  if (!shape) return null
  return shape.dim.map(({ value }): Dim => {
    if (value.case === 'dimParam') return value.value || null
    // Exporters write −1 and 0 for what they don't know.
    if (value.case === 'dimValue')
      return value.value >= 0n && value.value < 2n ** 40n ? Number(value.value) : null
    return null
  })
}

/** The type of a TypeProto; undefined where the file says nothing of it. */
export function readType(t: TypeProto | undefined, where: string): Type | undefined {
  if (!t) return undefined
  switch (t.value.case) {
    case 'tensorType': {
      if (!t.value.value.elemType) return undefined
      return tensorType(dtypeFrom(t.value.value.elemType, where), dimsFrom(t.value.value.shape))
    }
    case 'sequenceType':
    case 'optionalType': {
      const element = readType(t.value.value.elemType, where)
      return element && { kind: t.value.case === 'sequenceType' ? 'sequence' : 'optional', element }
    }
    case undefined:
      return undefined
    default:
      throw new UnsupportedError(where, [{ op: t.value.case.replace('Type', ' values'), count: 1 }])
  }
}

/** A tensor from the bytes of a single TensorProto (`.pb` files of test data). */
export const readTensorFile = (bytes: Uint8Array, where: string): Tensor =>
  readTensor(fromBinary(TensorProtoSchema, bytes), {
    where,
    file: (name) => {
      throw new InputError(`${where}: external data ${name} in a tensor file`)
    },
  })

/** The integers as an int64 tensor; what lies beyond its range (an end of 2^63 − 1 read as a float) becomes its limit. */
export const int64s = (values: readonly number[]): Tensor =>
  tensorOf(
    'int64',
    [values.length],
    values.map((v) => (v >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(v))),
  )
