// Mutations for fuzzing: what ../mutate.ts does to any bytes, and what finds its way deeper into a format: parts of another real
// file, lengths as the format writes them, absurd numbers in text, and nesting without end.

import type { Rng } from '../../src/core/rng.ts'
import { mutated } from '../mutate.ts'

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

/** One mutated file. The same for the same generator state. */
export function mutate(bytes: Uint8Array, other: Uint8Array, r: Rng, nest?: Nest): Uint8Array {
  if (nest && r.below(200) === 0) return nest(10 ** (1 + r.below(5)))
  let out = bytes
  for (let k = 1 + r.below(3); k > 0; k--) {
    const kind = r.below(8)
    if (kind < 3) out = mutated(out, r)
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
