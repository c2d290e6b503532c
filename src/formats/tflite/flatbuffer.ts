// Reads a FlatBuffer into plain objects, by a schema that is data. Nothing in the bytes is trusted: every offset, length, vtable
// and string is checked before it is followed, and content that is reached more often than the file is long (offsets that
// overlap or meet) is refused, so that time and memory are bounded by the file's length.
// Layout: https://flatbuffers.dev/internals/

import { InputError } from '../../core/errors.ts'

/** `kind`: a scalar (`i32`), `string`, a table's name, any of them in brackets (a vector), or `union`. */
export type Field = {
  readonly name: string
  /** Place in the vtable; a union takes two: its type, its table. */
  readonly slot: number
  readonly kind: string
  readonly initial?: number
  readonly union?: string
}
export type Schema = {
  readonly tables: Readonly<Record<string, readonly Field[]>>
  readonly unions: Readonly<Record<string, readonly string[]>>
}

const sizes: Readonly<Record<string, number>> = {
  bool: 1, i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, i64: 8, u64: 8, f32: 4, f64: 8,
} // biome-ignore format: a table
const arrays = {
  bool: Uint8Array, i8: Int8Array, u8: Uint8Array, i16: Int16Array, u16: Uint16Array, i32: Int32Array, u32: Uint32Array,
  f32: Float32Array, f64: Float64Array,
} as const // biome-ignore format: a table

/** Most tables one file may have: far above any real model, and little enough memory (about 200 MB). */
const tableLimit = 1_000_000
/** What a table and an entry of a vector cost of the budget, in bytes of the file that they take at least. */
const tableCost = 8

class Decoder {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  private readonly schema: Schema
  private readonly where: string
  private readonly strings = new Map<number, string>()
  private readonly text = new TextDecoder('utf-8')
  private tables = 0
  /** Every byte may be read as content a few times over (shared strings, shared vectors), not more. */
  private budget: number

  constructor(bytes: Uint8Array, schema: Schema, where: string) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.schema = schema
    this.where = where
    this.budget = 4 * bytes.length + 1024
  }

  fail(what: string): never {
    throw new InputError(`${this.where}: not a sound TensorFlow Lite file: ${what}`)
  }

  private need(at: number, count: number, what: string): void {
    if (at < 0 || at + count > this.bytes.length)
      this.fail(
        `${what} at offset ${at}, expected ${count} bytes inside the file of ${this.bytes.length} bytes. It may be truncated.`,
      )
  }

  private spend(cost: number): void {
    this.budget -= cost
    if (this.budget < 0) this.fail('its parts overlap: they add up to more than the file is long')
  }

  /** The place that the offset stored at `at` leads to. */
  follow(at: number, what: string): number {
    this.need(at, 4, what)
    const offset = this.view.getUint32(at, true)
    if (offset < 4) this.fail(`${what}: offset ${offset} leads nowhere`)
    return at + offset
  }

  private scalar(kind: string, at: number): number {
    const v = this.view
    switch (kind) {
      case 'bool':
      case 'u8':
        return v.getUint8(at)
      case 'i8':
        return v.getInt8(at)
      case 'i16':
        return v.getInt16(at, true)
      case 'u16':
        return v.getUint16(at, true)
      case 'i32':
        return v.getInt32(at, true)
      case 'u32':
        return v.getUint32(at, true)
      case 'i64':
        return Number(v.getBigInt64(at, true))
      case 'u64':
        return Number(v.getBigUint64(at, true))
      case 'f32':
        return v.getFloat32(at, true)
      default:
        return v.getFloat64(at, true)
    }
  }

  private string(at: number, what: string): string {
    const have = this.strings.get(at)
    if (have !== undefined) return have
    this.need(at, 4, what)
    const length = this.view.getUint32(at, true)
    this.need(at + 4, length, what)
    this.spend(length)
    const s = this.text.decode(this.bytes.subarray(at + 4, at + 4 + length))
    this.strings.set(at, s)
    return s
  }

  private vector(kind: string, at: number, what: string): unknown {
    this.need(at, 4, what)
    const count = this.view.getUint32(at, true)
    const size = sizes[kind] ?? 4
    this.need(at + 4, count * size, `${what} (${count} entries)`)
    if (kind in arrays) {
      const A = arrays[kind as keyof typeof arrays]
      const start = this.bytes.byteOffset + at + 4
      if (start % size === 0) return new A(this.bytes.buffer as ArrayBuffer, start, count)
      this.spend(count * size)
      return new A(new Uint8Array(this.bytes.subarray(at + 4, at + 4 + count * size)).buffer)
    }
    this.spend(count * size)
    const out = new Array<unknown>(count)
    for (let i = 0; i < count; i++) {
      const p = at + 4 + i * size
      out[i] =
        kind === 'i64' || kind === 'u64'
          ? this.scalar(kind, p)
          : kind === 'string'
            ? this.string(this.follow(p, what), what)
            : this.table(kind, this.follow(p, what), what)
    }
    return out
  }

  table(name: string, at: number, what: string): Record<string, unknown> {
    this.spend(tableCost)
    if (++this.tables > tableLimit) this.fail(`more than ${tableLimit} tables`)
    this.need(at, 4, what)
    const vtable = at - this.view.getInt32(at, true)
    this.need(vtable, 4, `${what}: its field table`)
    const vtableSize = this.view.getUint16(vtable, true)
    const tableSize = this.view.getUint16(vtable + 2, true)
    if (vtableSize < 4 || vtableSize % 2 !== 0 || tableSize < 4)
      this.fail(`${what}: a field table of ${vtableSize} bytes for a table of ${tableSize}`)
    this.need(vtable, vtableSize, `${what}: its field table`)
    this.need(at, tableSize, what)
    const place = (slot: number, size: number): number => {
      const entry = 4 + 2 * slot
      const offset = entry + 2 <= vtableSize ? this.view.getUint16(vtable + entry, true) : 0
      if (offset === 0) return 0
      if (offset < 4 || offset + size > tableSize)
        this.fail(`${what}: field ${slot} of ${name} lies outside its table`)
      return at + offset
    }
    const out: Record<string, unknown> = {}
    for (const f of this.schema.tables[name]!) {
      const path = `${what}.${f.name}`
      if (f.union) {
        const type = place(f.slot, 1)
        const body = place(f.slot + 1, 4)
        const member = type && this.view.getUint8(type)
        // A member that this schema doesn't know is of a newer file: the operator that uses it decides.
        const table = member ? this.schema.unions[f.union]![member - 1] : undefined
        out[f.name] =
          table && body ? { kind: table, ...this.table(table, this.follow(body, path), path) } : undefined
      } else if (f.initial !== undefined) {
        const p = place(f.slot, sizes[f.kind]!)
        const v = p ? this.scalar(f.kind, p) : f.initial
        out[f.name] = f.kind === 'bool' ? v !== 0 : v
      } else {
        const p = place(f.slot, 4)
        if (!p) out[f.name] = undefined
        else {
          const to = this.follow(p, path)
          out[f.name] =
            f.kind === 'string'
              ? this.string(to, path)
              : f.kind.startsWith('[')
                ? this.vector(f.kind.slice(1, -1), to, path)
                : this.table(f.kind, to, path)
        }
      }
    }
    return out
  }
}

/** Decodes the root table. Vectors of small scalars are views of `bytes`; 64-bit integers become numbers. */
export function decodeFlatBuffer(
  bytes: Uint8Array,
  schema: Schema,
  root: string,
  where: string,
): Record<string, unknown> {
  const d = new Decoder(bytes, schema, where)
  return d.table(root, d.follow(0, root), root)
}
