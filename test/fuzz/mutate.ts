// Mutations for fuzzing: damage to the bytes, and what finds its way deeper into a format: parts of another real
// file, lengths as the format writes them, absurd numbers in text, and nesting without end.

import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Rng } from '../../src/core/rng.ts'
import { crc32, readZip, writeZip } from '../../src/core/zip.ts'
import { type ModelProto, ModelProtoSchema } from '../../src/formats/onnx/schema/onnx_pb.ts'
import { damaged } from './damage.ts'
import { mutateTree } from './tree.ts'

/** Makes a file nested `depth` deep: what a recursive reader overflows on. */
export type Nest = (depth: number) => Uint8Array

const text = new TextEncoder()

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

/** A piece of another file put into this one, over it or between. */
function spliced(bytes: Uint8Array, other: Uint8Array, r: Rng): Uint8Array {
  const from = r.below(other.length + 1)
  const piece = other.subarray(from, from + 1 + r.below(r.below(2) ? 64 : 4096))
  const at = r.below(bytes.length + 1)
  const over = r.below(2) ? Math.min(piece.length, bytes.length - at) : 0
  return joined(bytes.subarray(0, at), piece, bytes.subarray(at + over))
}

function withoutRun(bytes: Uint8Array, r: Rng): Uint8Array {
  const at = r.below(bytes.length + 1)
  return joined(bytes.subarray(0, at), bytes.subarray(at + 1 + r.below(r.below(2) ? 8 : 1024)))
}

const lengths = [
  0n,
  1n,
  0x7fn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
]

/** A protobuf varint or a little-endian length of 2, 4 or 8 bytes set to an extreme, or moved by a little. */
function withLength(bytes: Uint8Array, r: Rng): Uint8Array {
  const near = r.below(2) ? Math.min(bytes.length, 2048) : bytes.length
  const at = r.below(Math.max(1, near))
  const value = lengths[r.below(lengths.length)]!
  if (r.below(3) === 0) {
    // A varint takes as many bytes as it needs; the one in its place ends at the first byte below 0x80.
    let end = at
    while (end < bytes.length - 1 && bytes[end]! >= 0x80 && end < at + 9) end++
    const varint: number[] = []
    let rest = value
    while (rest >= 0x80n) {
      varint.push(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    varint.push(Number(rest))
    return joined(bytes.subarray(0, at), Uint8Array.from(varint), bytes.subarray(end + 1))
  }
  const out = new Uint8Array(bytes)
  const size = 2 << r.below(3)
  const place = at - (at % size)
  if (place + size > out.length) return out
  if (r.below(2)) for (let i = 0; i < size; i++) out[place + i] = Number((value >> BigInt(8 * i)) & 0xffn)
  else out[place] = (out[place]! + (r.below(2) ? 1 : 255)) & 255
  return out
}

const absurd = [
  '-1',
  '0',
  '1e999',
  '-0',
  '4294967296',
  '9007199254740993',
  '1e-999',
  'NaN',
  '99999999999999999999',
  '2.5',
  '""',
  '[]',
  '{}',
  'null',
]

/** A number of a text replaced by an absurd one. */
function withNumber(bytes: Uint8Array, r: Rng): Uint8Array {
  const start = r.below(bytes.length + 1)
  let at = start
  const digit = (i: number): boolean => bytes[i]! >= 48 && bytes[i]! <= 57
  while (at < bytes.length && at < start + 4096 && !digit(at)) at++
  let end = at
  while (end < bytes.length && digit(end)) end++
  return joined(bytes.subarray(0, at), text.encode(absurd[r.below(absurd.length)]!), bytes.subarray(end))
}

/** Mutates behind a checksum or a compression: gives the file with a part of it changed by `change` and all sums right. */
export type Within = (bytes: Uint8Array, change: (part: Uint8Array) => Uint8Array, r: Rng) => Uint8Array

/** One mutated file. The same for the same generator state. */
export function mutate(
  bytes: Uint8Array,
  other: Uint8Array,
  r: Rng,
  { nest, within }: { readonly nest?: Nest; readonly within?: Within } = {},
): Uint8Array {
  if (nest && r.below(200) === 0) return nest(10 ** (1 + r.below(5)))
  if (within && r.below(4)) return within(bytes, (part) => mutate(part, other, r), r)
  let out = bytes
  for (let k = 1 + r.below(3); k > 0; k--) {
    const kind = r.below(8)
    if (kind < 3) out = damaged(out, r)
    else if (kind === 3) out = spliced(out, other, r)
    else if (kind === 4) out = withoutRun(out, r)
    else if (kind === 5) out = withNumber(out, r)
    else out = withLength(out, r)
  }
  return out
}

/** A protobuf message holding itself through the given field path, innermost empty. */
export const nestProtobuf =
  (fields: readonly number[]): Nest =>
  (depth) => {
    // Built from the inside out into one buffer, from its end: every level adds a tag and a length.
    const out = new Uint8Array(depth * fields.length * 8 + 16)
    let at = out.length
    for (let d = 0; d < depth * fields.length; d++) {
      const field = fields[fields.length - 1 - (d % fields.length)]!
      let length = out.length - at
      const head: number[] = [field * 8 + 2]
      while (length >= 0x80) {
        head.push((length & 0x7f) | 0x80)
        length >>>= 7
      }
      head.push(length)
      at -= head.length
      out.set(head, at)
    }
    return out.subarray(at)
  }

/** Text with `open` repeated, as it stands or with its closing half. */
export const nestText =
  (before: string, open: string, close = '', after = ''): Nest =>
  (depth) =>
    text.encode(before + open.repeat(depth) + close.repeat(depth) + after)

/** Changes one entry of a ZIP archive. */
export const withinZip: Within = (bytes, change, r) => {
  const entries = readZip(bytes, 'seed').map((e): [string, Uint8Array] => [e.name, e.read()])
  const entry = entries[r.below(entries.length)]!
  entry[1] = change(entry[1])
  return writeZip(entries, r.below(4) ? 0 : 6)
}

export const withinGzip: Within = (bytes, change) => gzipSync(change(gunzipSync(bytes)))

/** Changes one chunk of a PNG: its pixels before compression, or the body of another chunk. */
export const withinPng: Within = (bytes, change, r) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const chunks: { at: number; length: number; pixels: boolean }[] = []
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at)
    chunks.push({ at, length, pixels: view.getUint32(at + 4) === 0x49444154 })
    at += 12 + length
  }
  const one = chunks.filter((c) => c.pixels).length === 1
  const { at, length, pixels } = chunks[r.below(chunks.length)]!
  const body = bytes.subarray(at + 8, at + 8 + length)
  const changed = pixels && one ? deflateSync(change(inflateSync(body))) : change(body)
  const out = joined(bytes.subarray(0, at + 8), changed, new Uint8Array(4), bytes.subarray(at + 12 + length))
  const to = new DataView(out.buffer)
  to.setUint32(at, changed.length)
  to.setUint32(at + 8 + changed.length, crc32(out.subarray(at + 4, at + 8 + changed.length)))
  return out
}

/** Small numbers of a binary table (indices, sizes, codes) set to other small numbers: the tables stay tables. */
export const withinWords: Within = (bytes, _change, r) => {
  const out = new Uint8Array(bytes)
  const view = new DataView(out.buffer)
  const small: number[] = []
  for (let at = 0; at + 4 <= out.length; at += 4) {
    const v = view.getInt32(at, true)
    if (v > -8 && v < 1024) small.push(at)
  }
  for (let k = 1 + r.below(4); k > 0 && small.length; k--) {
    const at = small[r.below(small.length)]!
    const v = view.getInt32(at, true)
    view.setInt32(
      at,
      [v + 1, v - 1, -1, r.below(160), r.below(8), 2 ** 31 - 1, -v, v << 8][r.below(8)]!,
      true,
    )
  }
  return out
}

/** Changes values of a decoded document, so that what comes out is well formed. */
const withinTree =
  (decode: (bytes: Uint8Array) => object, encode: (root: object) => Uint8Array): Within =>
  (bytes, _change, r) => {
    const root = decode(bytes)
    mutateTree(root, r)
    try {
      return encode(root)
    } catch {
      // A value that its field can't hold, or a document that holds itself.
      return bytes
    }
  }

export const withinJson = withinTree(
  (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
  (root) => text.encode(JSON.stringify(root)),
)

export const withinOnnx = withinTree(
  (bytes) => fromBinary(ModelProtoSchema, bytes),
  (root) => toBinary(ModelProtoSchema, root as ModelProto),
)
