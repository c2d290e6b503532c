// Bytes read from first to last, and pieces of storage with a head: magic number (4 bytes), length of the head (4), head (JSON), parts,
// and a rest (weights, as a rule) from a multiple of 64 on. Whoever reads one puts the rest where it will stay, without a copy between.

import { BugError, InputError } from './errors.ts'

/** Of an array, a file, a stream. */
export type Source = {
  /** Fills `to` with the bytes that come next. Throws InputError where there are too few. */
  read(to: Uint8Array): void
  /** How many bytes come next. */
  left(): number
  /** Throws InputError unless all was read and is what was written. */
  end?(): void
}

/** Bytes, and what follows them in storage but is only made where it will stay: it would be held twice. */
export type Piece = {
  readonly bytes: Uint8Array
  readonly rest?: {
    readonly length: number
    /** Writes all of it into zeros. */
    write(to: Uint8Array): void
  }
}

/** A piece from its first byte to its last; the rest is read at once. */
export function sourceOf({ bytes, rest }: Piece): Source {
  let at = 0
  const length = bytes.length + (rest?.length ?? 0)
  return {
    left: () => length - at,
    read(to) {
      if (at + to.length > length)
        throw new InputError(
          `artifact: truncated, expected ${to.length} bytes at offset ${at}. Compile again.`,
        )
      const known = bytes.subarray(at, at + to.length)
      to.set(known)
      at += to.length
      if (known.length === to.length) return
      if (to.length - known.length !== rest!.length) throw new BugError('source: part of a rest is read')
      rest!.write(to.subarray(known.length))
    },
  }
}

/** All of a piece. */
export function wholeOf(piece: Piece): Uint8Array {
  const source = sourceOf(piece)
  return piece.rest ? take(source, source.left()) : piece.bytes
}

/** The next bytes, in room that is made only once they are known to be there. */
export function take(source: Source, length: number): Uint8Array<ArrayBuffer> {
  if (!(Number.isInteger(length) && length >= 0 && length <= source.left()))
    throw new InputError(
      `artifact: truncated, expected ${length} bytes, got ${source.left()}. Compile again.`,
    )
  const to = new Uint8Array(length)
  source.read(to)
  return to
}

export const boundary = 64

/** A piece up to its rest. */
export function withHead(
  magic: number,
  head: unknown,
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(head))
  const partBytes = parts.reduce((n, p) => n + p.length, 0)
  const end = Math.ceil((8 + text.length + partBytes) / boundary) * boundary
  const bytes = new Uint8Array(end)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, magic, true)
  view.setUint32(4, end - partBytes - 8, true)
  bytes.set(text, 8)
  // JSON may end in spaces.
  bytes.fill(0x20, 8 + text.length, end - partBytes)
  let at = end - partBytes
  for (const p of parts) {
    bytes.set(p, at)
    at += p.length
  }
  return bytes
}

/** A head takes some hundred bytes for every node. */
const longest = 2 ** 28

/** Reads the head; parts and rest come next. `what` names the piece in messages. */
export function readHead(source: Source, magic: number, what: string): unknown {
  const start = new DataView(take(source, 8).buffer)
  const length = start.getUint32(4, true)
  if (start.getUint32(0, true) === magic && length <= longest) {
    try {
      return JSON.parse(new TextDecoder().decode(take(source, length)))
    } catch (e) {
      if (e instanceof InputError) throw e
    }
  }
  throw new InputError(`${what}: expected one made by this target, got something else. Compile again.`)
}
