// IDX files, the format of MNIST and its relatives: two zero bytes, a type, a rank, big-endian dimensions, elements.

import { ByteReader } from '../core/bytes.ts'
import { bytesOf, type DType, viewBytes } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { sizeOf, type Tensor, tensor } from '../core/tensor.ts'
import { gunzip, isGzip } from '../core/zip.ts'

const types: Record<number, Exclude<DType, 'string'>> = {
  8: 'uint8',
  9: 'int8',
  11: 'int16',
  12: 'int32',
  13: 'float32',
  14: 'float64',
}

/** Recognises IDX by its first bytes (gzip is looked into by `readIdx` only). */
export const isIdx = (b: Uint8Array): boolean =>
  b.length >= 8 && b[0] === 0 && b[1] === 0 && types[b[2]!] !== undefined && b[3]! >= 1 && b[3]! <= 8

/** Reads an IDX file, gzipped or not. */
export function readIdx(bytes: Uint8Array, where: string): Tensor {
  const plain = isGzip(bytes) ? gunzip(bytes, where) : bytes
  if (!isIdx(plain)) throw new InputError(`${where}: not an IDX file`)
  const dtype = types[plain[2]!]!
  const r = new ByteReader(plain, where)
  r.offset = 4
  const shape = Array.from({ length: plain[3]! }, () => r.u32(false))
  const width = bytesOf(dtype)
  const count = sizeOf(shape)
  if (!Number.isSafeInteger(count) || r.offset + count * width !== plain.length) {
    throw new InputError(
      `${where}: expected ${shape.join('×')} elements of ${width} bytes, got ${plain.length - r.offset} bytes. Truncated?`,
    )
  }
  // A copy in the machine's order; single bytes stay a view.
  const body = r.slice(count * width)
  if (width === 1) return tensor(dtype, shape, viewBytes(dtype, body, count))
  const swapped = new Uint8Array(body)
  for (let i = 0; i < swapped.length; i += width) swapped.subarray(i, i + width).reverse()
  return tensor(dtype, shape, viewBytes(dtype, swapped, count))
}
