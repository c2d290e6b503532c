// Plain data with large arrays in one file, for another process: the arrays come back as views of the bytes that were read, so
// that the reader holds weights once. Layout: arrays, each at a multiple of 64; the skeleton (V8's serialisation, arrays
// replaced by their place); the skeleton's length as uint32.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import { BugError } from '../core/errors.ts'
import { privateFolder, removeFolder } from './processes.ts'

const alignment = 64
const views = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float16Array,
  Float32Array,
  Float64Array,
} as const
type ViewName = keyof typeof views

/** Writes a value of plain objects, arrays and typed arrays. Arrays shared by reference are stored once. */
export function writePacked(path: string, value: unknown): void {
  const file = openSync(path, 'w', 0o600)
  try {
    let offset = 0
    const put = (bytes: Uint8Array): void => {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
      offset += bytes.length
    }
    const made = new Map<object, unknown>()
    const pack = (x: unknown): unknown => {
      if (typeof x !== 'object' || x === null) return x
      const known = made.get(x)
      if (known !== undefined) return known
      let out: unknown
      if (ArrayBuffer.isView(x)) {
        const type = x.constructor.name === 'Buffer' ? 'Uint8Array' : x.constructor.name
        if (!(type in views)) throw new BugError(`packed: a ${type} can't be stored`)
        put(new Uint8Array((alignment - (offset % alignment)) % alignment))
        out = { packed: type, offset, bytes: x.byteLength }
        put(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
      } else if (Array.isArray(x)) out = x.map(pack)
      else out = { plain: Object.fromEntries(Object.entries(x).map(([k, v]) => [k, pack(v)])) }
      made.set(x, out)
      return out
    }
    const skeleton = serialize(pack(value))
    put(skeleton)
    put(new Uint8Array(Uint32Array.of(skeleton.length).buffer))
  } finally {
    closeSync(file)
  }
}

/** Reads what `writePacked` wrote. */
export function readPacked(path: string): unknown {
  const file = readFileSync(path)
  const size = file.readUInt32LE(file.length - 4)
  const skeleton = deserialize(file.subarray(file.length - 4 - size, file.length - 4))
  // Buffers of Node's pool need not start at a multiple of anything.
  const aligned = file.byteOffset % 8 === 0 ? file : new Uint8Array(file)
  const made = new Map<object, unknown>()
  type Packed = { packed: ViewName; offset: number; bytes: number } | { plain: Record<string, unknown> }
  const unpack = (x: unknown): unknown => {
    if (typeof x !== 'object' || x === null) return x
    const known = made.get(x)
    if (known !== undefined) return known
    let out: unknown
    if (Array.isArray(x)) out = x.map(unpack)
    else {
      const p = x as Packed
      if ('packed' in p) {
        const View = views[p.packed]
        out = new View(
          aligned.buffer as ArrayBuffer,
          aligned.byteOffset + p.offset,
          p.bytes / View.BYTES_PER_ELEMENT,
        )
      } else out = Object.fromEntries(Object.entries(p.plain).map(([k, v]) => [k, unpack(v)]))
    }
    made.set(x, out)
    return out
  }
  return unpack(skeleton)
}

/** A packed file in a folder of its own, gone when it is disposed of or when we end. */
export function packedFile(value: unknown): { readonly path: string } & Disposable {
  const folder = privateFolder()
  const path = join(folder, 'packed')
  writePacked(path, value)
  return { path, [Symbol.dispose]: () => removeFolder(folder) }
}
