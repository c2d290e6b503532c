// Bounds-checked reading of hostile bytes: every read past the end is an InputError that says where.

import { InputError } from './errors.ts'

export class ByteReader {
  readonly bytes: Uint8Array
  readonly where: string
  private readonly view: DataView
  offset = 0

  constructor(bytes: Uint8Array, where: string) {
    this.bytes = bytes
    this.where = where
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get length(): number {
    return this.bytes.length
  }

  /** Throws unless `count` bytes are left at `at`. */
  need(count: number, at = this.offset): void {
    if (!(count >= 0) || at < 0 || at + count > this.bytes.length) {
      throw new InputError(
        `${this.where}: truncated, expected ${count} bytes at offset ${at}, got ${Math.max(0, this.bytes.length - at)}`,
      )
    }
  }

  private take(count: number): number {
    this.need(count)
    const at = this.offset
    this.offset += count
    return at
  }

  u8(): number {
    return this.view.getUint8(this.take(1))
  }
  u16(little = true): number {
    return this.view.getUint16(this.take(2), little)
  }
  u32(little = true): number {
    return this.view.getUint32(this.take(4), little)
  }
  i32(little = true): number {
    return this.view.getInt32(this.take(4), little)
  }
  u64(little = true): bigint {
    return this.view.getBigUint64(this.take(8), little)
  }
  f32(little = true): number {
    return this.view.getFloat32(this.take(4), little)
  }
  f64(little = true): number {
    return this.view.getFloat64(this.take(8), little)
  }
  /** A view, not a copy. */
  slice(count: number): Uint8Array {
    const at = this.take(count)
    return this.bytes.subarray(at, at + count)
  }
  text(count: number): string {
    return new TextDecoder('utf-8').decode(this.slice(count))
  }
}
