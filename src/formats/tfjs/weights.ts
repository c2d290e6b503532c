// The weights of a TensorFlow.js model: groups of tensors packed one after another into shards, some stored as uint8, uint16
// or float16 (tfjs-core io_utils.decodeWeights: value = q · scale + min, computed in float64 and rounded once to float32).

import { type DType, viewBytes } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { sizeOf, type Tensor, tensor, zeros } from '../../core/tensor.ts'
import type { JsonObject } from '../json.ts'

/** Names in a file and the dtype in memory. int64 doesn't exist in TensorFlow.js. */
const dtypes: Readonly<Record<string, DType>> = {
  float32: 'float32',
  float16: 'float16',
  int32: 'int32',
  uint16: 'uint16',
  uint8: 'uint8',
  int8: 'int8',
  int16: 'int16',
  bool: 'bool',
  string: 'string',
}
const stored: Readonly<Record<string, { dtype: DType; bytes: number }>> = {
  uint8: { dtype: 'uint8', bytes: 1 },
  uint16: { dtype: 'uint16', bytes: 2 },
  float16: { dtype: 'float16', bytes: 2 },
}
const bytesOfDType: Partial<Record<DType, number>> = {
  float32: 4,
  int32: 4,
  float16: 2,
  uint16: 2,
  int16: 2,
  uint8: 1,
  int8: 1,
  bool: 1,
}

type Spec = {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly quantization?: { readonly dtype: DType; readonly scale: number; readonly min: number }
  /** Bytes in the shard; undefined for strings, which state their own lengths. */
  readonly bytes?: number
}

function spec(w: JsonObject): Spec {
  const name = w.string('name')
  const shape = w.integers('shape')
  const type = w.string('dtype')
  const dtype = Object.hasOwn(dtypes, type) ? dtypes[type]! : undefined
  if (!dtype)
    throw new InputError(
      `${w.where}: weight ${name} of type ${type}, expected ${Object.keys(dtypes).join(' | ')}`,
    )
  const count = sizeOf(shape)
  if (shape.some((d) => d < 0) || !Number.isSafeInteger(count))
    throw new InputError(`${w.where}: weight ${name} of absurd shape [${shape}]`)
  if (!w.has('quantization')) {
    return { name, shape, dtype, ...(dtype !== 'string' && { bytes: count * bytesOfDType[dtype]! }) }
  }
  const q = w.object('quantization')
  const as = q.string('dtype')
  const store = Object.hasOwn(stored, as) ? stored[as] : undefined
  if (!store || (dtype !== 'float32' && dtype !== 'int32') || (as === 'float16' && dtype !== 'float32'))
    throw new InputError(
      `${q.where}: ${type} stored as ${as}, expected float32 or int32 as uint8, uint16 or float16`,
    )
  const affine = as !== 'float16'
  return {
    name,
    shape,
    dtype,
    quantization: {
      dtype: store.dtype,
      scale: affine ? q.number('scale') : 1,
      min: affine ? q.number('min') : 0,
    },
    bytes: count * store.bytes,
  }
}

/**
 * All tensors of a weights manifest by name. `shard` gives a shard's bytes; it is asked for one group at a time, and every
 * shape is held against the bytes that are really there before anything is allocated.
 */
export function readWeights(
  manifest: readonly JsonObject[],
  shard: (path: string) => Uint8Array,
): Map<string, Tensor> {
  const weights = new Map<string, Tensor>()
  const seen = new Set<string>()
  for (const group of manifest) {
    const specs = group.objects('weights').map(spec)
    const paths = group.list('paths').map((p) => {
      if (typeof p !== 'string') throw new InputError(`${group.where}.paths: expected texts`)
      // The same shard a thousand times would be a thousand times its memory.
      if (seen.has(p)) throw new InputError(`${group.where}.paths: ${p} is listed twice`)
      seen.add(p)
      return p
    })
    const bytes = joined(paths.map(shard))
    let offset = 0
    for (const s of specs) {
      const left = bytes.length - offset
      if (s.bytes !== undefined && s.bytes > left) {
        throw new InputError(
          `${group.where}: weight ${s.name} of shape [${s.shape}] needs ${s.bytes} bytes, but only ${left} are left in ${paths.join(', ')}`,
        )
      }
      if (weights.has(s.name)) throw new InputError(`${group.where}: two weights are called ${s.name}`)
      if (s.bytes === undefined) {
        const { texts, next } = readTexts(bytes, offset, sizeOf(s.shape), `${group.where}: weight ${s.name}`)
        weights.set(s.name, tensor('string', s.shape, texts))
        offset = next
      } else {
        weights.set(s.name, decode(s, bytes.subarray(offset, offset + s.bytes)))
        offset += s.bytes
      }
    }
    if (offset !== bytes.length) {
      throw new InputError(
        `${group.where}: the weights take ${offset} bytes, but ${paths.join(', ') || 'no shard'} hold ${bytes.length}`,
      )
    }
  }
  return weights
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

function decode(s: Spec, bytes: Uint8Array): Tensor {
  const count = sizeOf(s.shape)
  const q = s.quantization
  if (!q) {
    const data = viewBytes(s.dtype as Exclude<DType, 'string'>, bytes, count)
    return tensor(s.dtype, s.shape, s.dtype === 'bool' ? (data as Uint8Array).map((x) => (x ? 1 : 0)) : data)
  }
  const from = viewBytes(q.dtype as Exclude<DType, 'string'>, bytes, count) as Uint8Array
  const out = zeros(s.dtype, s.shape)
  // Storing rounds the float64 value once: to float32, or (by Math.round, as tfjs does) to int32.
  const to = out.data as Float32Array
  if (s.dtype === 'int32') for (let i = 0; i < count; i++) to[i] = Math.round(from[i]! * q.scale + q.min)
  else for (let i = 0; i < count; i++) to[i] = from[i]! * q.scale + q.min
  return out
}

/** Texts, each after its length in bytes as uint32. */
function readTexts(
  bytes: Uint8Array,
  start: number,
  count: number,
  where: string,
): { texts: string[]; next: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts: string[] = []
  let at = start
  for (let i = 0; i < count; i++) {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : Number.POSITIVE_INFINITY
    if (at + 4 + length > bytes.length)
      throw new InputError(`${where}: text ${i} of ${count} runs past the end of its shard`)
    texts.push(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)))
    at += 4 + length
  }
  return { texts, next: at }
}
