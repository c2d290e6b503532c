// ZIP archives, gzip and zlib as hostile input: sizes are checked against what the file can hold before
// anything is inflated, inflating stops at the declared size, and checksums are compared.
// Layout: APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 (ZIP64).

import { Inflate, zipSync } from 'fflate'
import { ByteReader } from './bytes.ts'
import { InputError } from './errors.ts'

/** DEFLATE can't expand more than this: a length code of 258 bytes costs at least 2 bits. */
const MAX_RATIO = 1032
/** Bytes that one file may inflate to, unless the caller says otherwise. */
export const inflateLimit = (fileBytes: number): number => 3 * fileBytes + 192 * 2 ** 20
const CHUNK = 65536

export type ZipEntry = {
  readonly name: string
  /** Bytes after inflating, as declared; `read` throws when the content is of another size. */
  readonly size: number
  /** The content. A stored entry is a view of the archive, not a copy. */
  read(): Uint8Array
}

/** Inflates raw DEFLATE data to exactly `size` bytes; throws InputError when it holds more or fewer. */
export function inflateRaw(deflated: Uint8Array, size: number, where: string): Uint8Array {
  if (size > deflated.length * MAX_RATIO + 64) {
    throw new InputError(
      `${where}: declares ${size} bytes, which ${deflated.length} compressed bytes cannot hold. Damaged or hostile file.`,
    )
  }
  const out = new Uint8Array(size)
  let at = 0
  const end = inflateChunks(deflated, where, (chunk) => {
    if (at + chunk.length > size) {
      throw new InputError(
        `${where}: inflates to more than the declared ${size} bytes. Damaged or hostile file.`,
      )
    }
    out.set(chunk, at)
    at += chunk.length
  })
  if (at !== size || !end) {
    throw new InputError(`${where}: truncated compressed data, expected ${size} bytes, got ${at}`)
  }
  return out
}

/** Inflates a zlib stream (RFC 1950) to exactly `size` bytes. */
export function inflateZlib(bytes: Uint8Array, size: number, where: string): Uint8Array {
  const head = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
  if ((head & 0x0f00) !== 0x0800 || head % 31 !== 0 || head & 0x20) {
    throw new InputError(
      `${where}: no zlib header, its first bytes are ${head.toString(16).padStart(4, '0')}`,
    )
  }
  return inflateRaw(bytes.subarray(2), size, where)
}

/** Inflates raw DEFLATE data of unknown size, at most `limit` bytes. */
function inflateUpTo(deflated: Uint8Array, limit: number, where: string): Uint8Array {
  const chunks: Uint8Array[] = []
  let total = 0
  const end = inflateChunks(deflated, where, (chunk) => {
    total += chunk.length
    if (total > limit) {
      throw new InputError(
        `${where}: inflates to more than ${limit} bytes. Decompress it first if that is meant.`,
      )
    }
    chunks.push(chunk)
  })
  if (!end) throw new InputError(`${where}: truncated compressed data after ${total} bytes`)
  const out = new Uint8Array(total)
  let at = 0
  for (const c of chunks) {
    out.set(c, at)
    at += c.length
  }
  return out
}

/** Feeds the data in small pieces, so that memory stays bounded whatever it expands to. True when the final block ended. */
function inflateChunks(deflated: Uint8Array, where: string, onChunk: (chunk: Uint8Array) => void): boolean {
  const inflate = new Inflate((chunk) => {
    if (chunk.length > 0) onChunk(chunk)
  })
  try {
    for (let i = 0; i < deflated.length && !ended(inflate); i += CHUNK) {
      inflate.push(deflated.subarray(i, i + CHUNK), i + CHUNK >= deflated.length)
    }
  } catch (e) {
    if (e instanceof InputError) throw e
    if (ended(inflate)) return true
    throw new InputError(`${where}: damaged compressed data (${e instanceof Error ? e.message : String(e)})`)
  }
  return ended(inflate)
}

/** fflate keeps its decoder state in `s`: `f` is set in the final block, `l` holds a block's table while it is open. */
const ended = (inflate: Inflate): boolean => {
  const s = (inflate as unknown as { s: { f?: number; l?: unknown } }).s
  return Boolean(s.f) && !s.l
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c
})

/** CRC-32 as in ZIP, gzip and PNG. */
export function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff
  for (let i = 0; i < bytes.length; i++) c = crcTable[(c ^ bytes[i]!) & 255]! ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

export const isZip = (b: Uint8Array): boolean =>
  b.length >= 22 &&
  b[0] === 0x50 &&
  b[1] === 0x4b &&
  ((b[2] === 3 && b[3] === 4) || (b[2] === 5 && b[3] === 6))
export const isGzip = (b: Uint8Array): boolean => b.length >= 18 && b[0] === 0x1f && b[1] === 0x8b

/** The content of a gzip file (one member), checked by its CRC; RFC 1952. */
export function gunzip(bytes: Uint8Array, where: string, limit = inflateLimit(bytes.length)): Uint8Array {
  const r = new ByteReader(bytes, where)
  if (!isGzip(bytes)) throw new InputError(`${where}: not a gzip file`)
  r.offset = 2
  if (r.u8() !== 8) throw new InputError(`${where}: unknown gzip compression method`)
  const flags = r.u8()
  r.offset = 10
  if (flags & 4) r.slice(r.u16())
  for (const bit of [8, 16]) if (flags & bit) while (r.u8() !== 0);
  if (flags & 2) r.u16()
  const body = bytes.subarray(r.offset, Math.max(r.offset, bytes.length - 8))
  const out = inflateUpTo(body, limit, where)
  r.offset = bytes.length - 8
  if (r.u32() !== crc32(out) || r.u32() !== out.length % 2 ** 32) {
    throw new InputError(
      `${where}: the gzip checksum does not match. Damaged, or several members in one file.`,
    )
  }
  return out
}

/**
 * The entries of a ZIP archive, from its central directory. Refuses overlapping entries, encryption, and a total
 * beyond `limit` bytes; nothing is inflated before `read`.
 */
export function readZip(bytes: Uint8Array, where: string, limit = inflateLimit(bytes.length)): ZipEntry[] {
  const dir = findDirectory(bytes, where)
  const r = new ByteReader(bytes, where)
  if (dir.count * 46 > bytes.length) {
    throw new InputError(
      `${where}: declares ${dir.count} entries, more than its ${bytes.length} bytes can hold`,
    )
  }
  r.offset = dir.offset
  const entries: ZipEntry[] = []
  const spans: [start: number, end: number, name: string][] = []
  let total = 0
  for (let n = 0; n < dir.count; n++) {
    const e = readDirectoryEntry(r)
    const at = `${where}: ${e.name}`
    const [start, end] = contentSpan(bytes, at, e.header, e.compressed)
    spans.push([e.header, end, e.name])
    total += e.size
    if (total > limit) {
      throw new InputError(
        `${where}: would inflate to more than ${limit} bytes. Unpack it first if that is meant.`,
      )
    }
    const body = bytes.subarray(start, end)
    entries.push({
      name: e.name,
      size: e.size,
      read: () => {
        if (e.encrypted) throw new InputError(`${at}: encrypted`)
        if (e.method !== 0 && e.method !== 8) {
          throw new InputError(`${at}: compression method ${e.method}, expected stored or deflate`)
        }
        if (e.method === 0 && e.size !== body.length) {
          throw new InputError(`${at}: stored, but its two sizes differ (${e.size} and ${body.length})`)
        }
        const out = e.method === 0 ? body : inflateRaw(body, e.size, at)
        if (crc32(out) !== e.crc) throw new InputError(`${at}: the checksum does not match. Damaged file.`)
        return out
      },
    })
  }
  spans.sort((a, b) => a[0] - b[0])
  for (let i = 1; i < spans.length; i++) {
    if (spans[i]![0] < spans[i - 1]![1]) {
      throw new InputError(`${where}: entries ${spans[i - 1]![2]} and ${spans[i]![2]} overlap. Hostile file.`)
    }
  }
  return entries
}

type DirectoryEntry = {
  name: string
  method: number
  encrypted: boolean
  crc: number
  compressed: number
  size: number
  header: number
}

function readDirectoryEntry(r: ByteReader): DirectoryEntry {
  if (r.u32() !== 0x02014b50) throw new InputError(`${r.where}: damaged central directory at ${r.offset - 4}`)
  r.slice(4)
  const flags = r.u16()
  const method = r.u16()
  r.slice(4)
  const crc = r.u32()
  let compressed = r.u32()
  let size = r.u32()
  const nameLength = r.u16()
  const extraLength = r.u16()
  const commentLength = r.u16()
  r.slice(8)
  let header = r.u32()
  const name = r.text(nameLength)
  const extra = new ByteReader(r.slice(extraLength), `${r.where}: ${name}`)
  r.slice(commentLength)
  while (extra.offset + 4 <= extra.length) {
    const id = extra.u16()
    const field = new ByteReader(extra.slice(extra.u16()), extra.where)
    if (id !== 1) continue
    if (size === 0xffffffff) size = Number(field.u64())
    if (compressed === 0xffffffff) compressed = Number(field.u64())
    if (header === 0xffffffff) header = Number(field.u64())
  }
  return { name, method, encrypted: (flags & 1) !== 0, crc, compressed, size, header }
}

/** Where an entry's content lies: its local header repeats the name and may hold other extra fields. */
function contentSpan(bytes: Uint8Array, where: string, header: number, compressed: number): [number, number] {
  const r = new ByteReader(bytes, where)
  r.need(30, header)
  r.offset = header
  if (r.u32() !== 0x04034b50) throw new InputError(`${where}: no local header at offset ${header}`)
  r.slice(22)
  const nameLength = r.u16()
  const start = r.offset + 2 + nameLength + r.u16()
  r.need(compressed, start)
  return [start, start + compressed]
}

function findDirectory(bytes: Uint8Array, where: string): { offset: number; count: number } {
  const r = new ByteReader(bytes, where)
  for (let at = bytes.length - 22; at >= 0 && at >= bytes.length - 22 - 65535; at--) {
    if (bytes[at] !== 0x50 || bytes[at + 1] !== 0x4b || bytes[at + 2] !== 5 || bytes[at + 3] !== 6) continue
    r.offset = at + 10
    const count = r.u16()
    r.offset = at + 16
    const offset = r.u32()
    const wide = count === 0xffff || offset === 0xffffffff
    if (!wide || at < 20) return { offset, count }
    r.offset = at - 20
    if (r.u32() !== 0x07064b50) return { offset, count }
    r.slice(4)
    const record = Number(r.u64())
    r.need(56, record)
    r.offset = record
    if (r.u32() !== 0x06064b50) throw new InputError(`${where}: no ZIP64 record at offset ${record}`)
    r.offset = record + 32
    const wideCount = Number(r.u64())
    r.slice(8)
    return { count: wideCount, offset: Number(r.u64()) }
  }
  throw new InputError(
    `${where}: not a ZIP archive, or truncated: no end of central directory in ${bytes.length} bytes`,
  )
}

/** A ZIP archive of the entries, in order, deflated unless `level` is 0. The same bytes for the same content. */
export function writeZip(
  entries: Iterable<readonly [name: string, bytes: Uint8Array]>,
  level: 0 | 6 = 6,
): Uint8Array {
  const files: Record<string, [Uint8Array, { level: 0 | 6; mtime: string }]> = {}
  for (const [name, bytes] of entries) files[name] = [bytes, { level, mtime: '1980-01-01T12:00:00' }]
  return zipSync(files)
}
