// Two plain image formats: binary Netpbm (PGM P5, PPM P6) and uncompressed Windows bitmaps (8, 24 and 32 bits).

import { ByteReader } from '../core/bytes.ts'
import { InputError } from '../core/errors.ts'
import { checkDimensions, type DecodedImage } from './pixels.ts'

export const isNetpbm = (b: Uint8Array): boolean =>
  b[0] === 0x50 && (b[1] === 0x35 || b[1] === 0x36) && (b[2] ?? 0) <= 0x23
export const isBmp = (b: Uint8Array): boolean => b[0] === 0x42 && b[1] === 0x4d && b.length >= 54

/** Decodes a PGM or PPM file; a maximum above 255 gives 16-bit samples. Samples are not rescaled. */
export function decodeNetpbm(bytes: Uint8Array, where: string): DecodedImage {
  if (!isNetpbm(bytes)) throw new InputError(`${where}: not a binary PGM or PPM file`)
  const r = new ByteReader(bytes, where)
  r.offset = 2
  const [width, height, top] = [number(r), number(r), number(r)]
  if (top < 1 || top > 65535) throw new InputError(`${where}: largest sample ${top}, expected 1 to 65535`)
  const channels = bytes[1] === 0x36 ? 3 : 1
  checkDimensions(where, width, height, channels * 2)
  const count = width * height * channels
  const base = { width, height, channels, orientation: 1, colours: channels === 3 ? 'rgb' : 'gray' } as const
  if (top < 256) return { ...base, data: new Uint8Array(r.slice(count)) }
  r.need(2 * count)
  return { ...base, data: Uint16Array.from({ length: count }, () => r.u16(false)) }
}

/** A decimal number, after spaces and comments, with the one space behind it. */
function number(r: ByteReader): number {
  let c = r.u8()
  while (c === 0x23 || c <= 0x20) {
    if (c === 0x23) while (r.u8() !== 0x0a);
    c = r.u8()
  }
  let value = 0
  for (; c >= 0x30 && c <= 0x39 && value < 1e9; c = r.u8()) value = value * 10 + c - 0x30
  if (c > 0x20) throw new InputError(`${r.where}: expected a number in the header at byte ${r.offset - 1}`)
  return value
}

/** Decodes an uncompressed BMP file to RGB; the fourth byte of 32-bit pixels is ignored. */
export function decodeBmp(bytes: Uint8Array, where: string): DecodedImage {
  if (!isBmp(bytes)) throw new InputError(`${where}: not a BMP file`)
  const r = new ByteReader(bytes, where)
  r.offset = 10
  const start = r.u32()
  const headerSize = r.u32()
  const width = r.i32()
  const signedHeight = r.i32()
  r.u16()
  const depth = r.u16()
  const compression = r.u32()
  if (headerSize < 40 || compression !== 0 || ![8, 24, 32].includes(depth)) {
    throw new InputError(
      `${where}: BMP header of ${headerSize} bytes, ${depth} bits, compression ${compression}; ` +
        'expected an uncompressed 8, 24 or 32-bit bitmap. Save it as PNG.',
    )
  }
  const height = Math.abs(signedHeight)
  checkDimensions(where, width, height, 4)
  const stride = Math.ceil((width * depth) / 32) * 4
  r.need(stride * height, start)
  r.offset = 46
  const colours = r.u32() || 256
  const palette = 14 + headerSize
  if (depth === 8) r.need(4 * colours, palette)
  const data = new Uint8Array(3 * width * height)
  let o = 0
  for (let y = 0; y < height; y++) {
    // Rows go upwards unless the height is negative.
    const row = start + stride * (signedHeight < 0 ? y : height - 1 - y)
    for (let x = 0; x < width; x++) {
      let at = row + (x * depth) / 8
      if (depth === 8) {
        const index = bytes[at]!
        if (index >= colours)
          throw new InputError(`${where}: palette index ${index}, expected less than ${colours}`)
        at = palette + 4 * index
      }
      for (let c = 2; c >= 0; c--) data[o++] = bytes[at + c]!
    }
  }
  return { width, height, channels: 3, colours: 'rgb', orientation: 1, data }
}
