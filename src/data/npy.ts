// NumPy's .npy files, versions 1.0 to 3.0 (numpy.lib.format). No object arrays: a pickle is never opened.
// bfloat16 is read and written as the two-byte void type '<V2', as the package ml_dtypes does;
// int4 and uint4 are written as int8 and uint8.

import { ByteReader } from '../core/bytes.ts'
import { allocate, bytesOf, type DType, type TensorData, viewBytes } from '../core/dtype.ts'
import { BugError, InputError } from '../core/errors.ts'
import { bytesOfTensor, sizeOf, type Tensor, tensor } from '../core/tensor.ts'

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
/** NumPy's own limit on the rank. */
const MAX_RANK = 64
const MAX_HEADER = 1 << 20

type FixedDType = Exclude<DType, 'string' | 'int4' | 'uint4'>

/** Type characters and sizes of numpy.dtype.str, without the byte order. */
const kinds: Record<string, FixedDType> = {
  f8: 'float64',
  f4: 'float32',
  f2: 'float16',
  V2: 'bfloat16',
  i8: 'int64',
  i4: 'int32',
  i2: 'int16',
  i1: 'int8',
  u8: 'uint64',
  u4: 'uint32',
  u2: 'uint16',
  u1: 'uint8',
  b1: 'bool',
}

export const isNpy = (bytes: Uint8Array): boolean => MAGIC.every((m, i) => bytes[i] === m)

/** The tensor in a .npy file. Elements are a view of `bytes` where alignment and byte order permit. */
export function readNpy(bytes: Uint8Array, where: string): Tensor {
  const r = new ByteReader(bytes, where)
  if (!isNpy(bytes)) throw new InputError(`${where}: not a .npy file, its first bytes are ${hex(bytes)}`)
  r.offset = 6
  const major = r.u8()
  r.u8()
  if (major < 1 || major > 3) throw new InputError(`${where}: .npy version ${major}, expected 1 to 3`)
  const headerLength = major === 1 ? r.u16() : r.u32()
  if (headerLength > MAX_HEADER) throw new InputError(`${where}: header of ${headerLength} bytes`)
  const header = parseHeader(r.text(headerLength), where)
  const { shape } = header
  if (shape.length > MAX_RANK)
    throw new InputError(`${where}: rank ${shape.length}, expected at most ${MAX_RANK}`)
  const length = sizeOf(shape)
  const left = bytes.length - r.offset
  const element = describe(header.descr, where)
  if (element.bytes === 0 && length > 0) throw new InputError(`${where}: text of width 0 (${header.descr})`)
  if (!Number.isSafeInteger(length) || (length > 0 && length * element.bytes > left)) {
    throw new InputError(
      `${where}: truncated, expected ${element.bytes} bytes for each of [${shape}] elements, got ${left} bytes in all`,
    )
  }
  const data = readElements(r.slice(length * element.bytes), length, element)
  return tensor(element.dtype, shape, header.fortran ? toRowMajor(data, shape, element.dtype) : data)
}

type Element = { dtype: FixedDType | 'string'; bytes: number; little: boolean; wide: boolean }

/** The element type of a numpy.dtype.str such as '<f4' or '<U12'. */
function describe(descr: string, where: string): Element {
  const m = /^([<>|=]?)([a-zA-Z?])(\d*)$/.exec(descr)
  const little = m?.[1] !== '>'
  if (m?.[2] === 'U' || m?.[2] === 'S' || m?.[2] === 'a') {
    const wide = m[2] === 'U'
    return { dtype: 'string', bytes: Number(m[3]) * (wide ? 4 : 1), little, wide }
  }
  const dtype = m?.[2] === '?' ? 'bool' : m ? kinds[m[2]! + m[3]!] : undefined
  if (dtype) return { dtype, bytes: bytesOf(dtype), little, wide: false }
  if (m?.[2] === 'O') {
    throw new InputError(
      `${where}: holds Python objects (pickle), which are never opened. Save a plain numeric array instead.`,
    )
  }
  throw new InputError(`${where}: element type ${descr} is not supported. Convert it with astype first.`)
}

function readElements(bytes: Uint8Array, length: number, e: Element): TensorData {
  if (e.dtype === 'string') return readStrings(bytes, length, e)
  if (!e.little && e.bytes > 1) return viewBytes(e.dtype, swapped(bytes, e.bytes), length)
  const data = viewBytes(e.dtype, bytes, length)
  return e.dtype === 'bool' ? (data as Uint8Array).map((x) => (x ? 1 : 0)) : data
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(bytes.length)
  for (let i = 0; i < bytes.length; i += size) {
    for (let k = 0; k < size; k++) out[i + k] = bytes[i + size - 1 - k]!
  }
  return out
}

/** Fixed-width text padded with zeros: four bytes a code point ('U'), or one byte a character ('S'). */
function readStrings(bytes: Uint8Array, length: number, e: Element): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out: string[] = []
  for (let i = 0; i < length; i++) {
    let text = ''
    for (let k = i * e.bytes; k < (i + 1) * e.bytes; k += e.wide ? 4 : 1) {
      const code = e.wide ? view.getUint32(k, e.little) : bytes[k]!
      text += code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code)
    }
    out.push(text.replace(/\0+$/, ''))
  }
  return out
}

/** From first-index-fastest to row-major order. */
function toRowMajor(data: TensorData, shape: readonly number[], dtype: DType): TensorData {
  if (shape.length < 2) return data
  const out = allocate(dtype, data.length) as Float64Array
  const index = new Array<number>(shape.length).fill(0)
  const strides = shape.map((_, i) => sizeOf(shape.slice(0, i)))
  let from = 0
  for (let to = 0; to < data.length; to++) {
    out[to] = data[from] as number
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d]!
      if (++index[d]! < shape[d]!) break
      from -= strides[d]! * shape[d]!
      index[d] = 0
    }
  }
  return out
}

type Header = { descr: string; fortran: boolean; shape: number[] }

/** The header is a Python dictionary literal of three known keys. */
function parseHeader(text: string, where: string): Header {
  const fail = (what: string): never => {
    throw new InputError(
      `${where}: ${what} in the .npy header, got ${JSON.stringify(text.slice(0, 120).trim())}`,
    )
  }
  if (!/^\s*\{[^{}]*\}\s*$/.test(text)) fail('expected one dictionary')
  if (/'descr'\s*:\s*\[/.test(text))
    fail('structured (record) arrays are not supported: found a list of fields')
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1] ?? fail("no 'descr'")
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1] ?? fail("no 'fortran_order'")
  const dims = /'shape'\s*:\s*\(([\dL,\s]*)\)/.exec(text)?.[1] ?? fail("no 'shape'")
  const shape = dims
    .split(',')
    .map((d) => d.trim().replace(/L$/, ''))
    .filter((d) => d !== '')
    .map((d) => (/^\d{1,15}$/.test(d) ? Number(d) : fail(`absurd dimension ${d}`)))
  return { descr, fortran: order === 'True', shape }
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, 6), (b) => b.toString(16).padStart(2, '0')).join(' ') || '(empty)'

const descrs: Record<Exclude<DType, 'string'>, string> = {
  float64: '<f8',
  float32: '<f4',
  float16: '<f2',
  bfloat16: '<V2',
  int64: '<i8',
  int32: '<i4',
  int16: '<i2',
  int8: '|i1',
  int4: '|i1',
  uint64: '<u8',
  uint32: '<u4',
  uint16: '<u2',
  uint8: '|u1',
  uint4: '|u1',
  bool: '|b1',
}

/** A .npy file (version 1.0, little-endian, row-major) of the tensor. */
export function writeNpy(t: Tensor): Uint8Array {
  const text = t.dtype === 'string' ? codePoints(t.data as string[]) : undefined
  const descr = t.dtype === 'string' ? `<U${text!.width}` : descrs[t.dtype]
  const body = text?.bytes ?? bytesOfTensor(t)
  const shape = t.shape.length === 1 ? `${t.shape[0]},` : t.shape.join(', ')
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`
  // The data starts at a multiple of 64; the header ends with a newline.
  const padded = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10
  if (padded > 65535) throw new BugError(`writeNpy: header of ${padded} bytes`)
  const out = new Uint8Array(10 + padded + body.length)
  out.set(MAGIC)
  out.set([1, 0, padded & 255, padded >> 8], 6)
  out.set(new TextEncoder().encode(`${dictionary.padEnd(padded - 1)}\n`), 10)
  out.set(body, 10 + padded)
  return out
}

function codePoints(texts: readonly string[]): { bytes: Uint8Array; width: number } {
  const codes = texts.map((s) => Array.from(s, (c) => c.codePointAt(0)!))
  const width = codes.reduce((n, c) => Math.max(n, c.length), 1)
  const words = new Uint32Array(width * texts.length)
  codes.forEach((c, i) => {
    words.set(c, i * width)
  })
  return { bytes: new Uint8Array(words.buffer), width }
}
