// PNG decoding (W3C PNG, second edition). Our own, and not a package, because the inflated size must be checked against
// the header while inflating: a small file must not be able to take all memory.

import { ByteReader } from '../core/bytes.ts'
import { InputError } from '../core/errors.ts'
import { crc32, inflateZlib } from '../core/zip.ts'
import { type Colours, channelsOf, checkDimensions, type DecodedImage } from './pixels.ts'

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

export const isPng = (bytes: Uint8Array): boolean => SIGNATURE.every((b, i) => bytes[i] === b)

/** Allowed bit depths by colour type (section 11.2.2): grey, truecolour, indexed, grey with alpha, truecolour with alpha. */
const colourTypes: Record<number, { colours: Colours; depths: readonly number[] }> = {
  0: { colours: 'gray', depths: [1, 2, 4, 8, 16] },
  2: { colours: 'rgb', depths: [8, 16] },
  3: { colours: 'rgb', depths: [1, 2, 4, 8] },
  4: { colours: 'grayAlpha', depths: [8, 16] },
  6: { colours: 'rgba', depths: [8, 16] },
}

type Header = { width: number; height: number; depth: number; type: number; interlaced: boolean }

/**
 * Decodes a PNG file. Samples of 1, 2 and 4 bits are widened to 0..255, 16-bit ones stay 16 bits. A palette becomes
 * RGB, or RGBA where it has transparency; the transparent colour of other types (tRNS) is ignored, as Pillow's
 * convert('RGB') ignores it.
 */
export function decodePng(bytes: Uint8Array, where: string): DecodedImage {
  if (!isPng(bytes)) throw new InputError(`${where}: not a PNG file`)
  const r = new ByteReader(bytes, where)
  r.offset = 8
  let header: Header | undefined
  let palette: Uint8Array | undefined
  let alpha: Uint8Array | undefined
  const parts: Uint8Array[] = []
  for (;;) {
    const length = r.u32(false)
    const start = r.offset
    const kind = r.text(4)
    const body = r.slice(length)
    const critical = /^[A-Z]/.test(kind)
    if (r.u32(false) !== crc32(bytes.subarray(start, start + 4 + length)) && critical) {
      throw new InputError(
        `${where}: the checksum of the ${JSON.stringify(kind)} part does not match. Damaged file.`,
      )
    }
    if (!header && kind !== 'IHDR') throw new InputError(`${where}: PNG without IHDR first`)
    if (kind === 'IHDR') header = readHeader(body, where)
    else if (kind === 'PLTE') palette = body
    else if (kind === 'tRNS') alpha = body
    else if (kind === 'IDAT') parts.push(body)
    else if (kind === 'IEND') break
    else if (critical) throw new InputError(`${where}: unknown critical PNG part ${JSON.stringify(kind)}`)
  }
  const h = header!
  const samples = readSamples(h, joined(parts), where)
  const base = { width: h.width, height: h.height, orientation: 1 }
  if (h.type === 3) {
    if (!palette || palette.length % 3 !== 0) throw new InputError(`${where}: indexed PNG without a palette`)
    return { ...base, ...expandPalette(samples, palette, alpha, where) }
  }
  const { colours } = colourTypes[h.type]!
  if (h.depth < 8) {
    const step = 255 / (2 ** h.depth - 1)
    for (let i = 0; i < samples.length; i++) samples[i] = samples[i]! * step
  }
  return { ...base, channels: channelsOf[colours], colours, data: samples }
}

function readHeader(body: Uint8Array, where: string): Header {
  const r = new ByteReader(body, `${where}: IHDR`)
  const width = r.u32(false)
  const height = r.u32(false)
  const depth = r.u8()
  const type = r.u8()
  const compression = r.u8()
  const filter = r.u8()
  const interlace = r.u8()
  if (!colourTypes[type]?.depths.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw new InputError(
      `${where}: PNG colour type ${type}, depth ${depth}, compression ${compression}, filter ${filter}, ` +
        `interlace ${interlace}: no such combination`,
    )
  }
  // Filtered rows, samples, and a palette's expansion live at the same time.
  checkDimensions(
    where,
    width,
    height,
    type === 3 ? 6 : (2 * channelsOf[colourTypes[type]!.colours] * depth) / 8 + 1,
  )
  return { width, height, depth, type, interlaced: interlace === 1 }
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

/** The seven passes of Adam7: first column and row, steps (section 8.2). */
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const

function readSamples(h: Header, compressed: Uint8Array, where: string): Uint8Array | Uint16Array {
  const channels = h.type === 3 ? 1 : channelsOf[colourTypes[h.type]!.colours]
  const passes = (h.interlaced ? adam7 : ([[0, 0, 1, 1]] as const)).map(([x0, y0, dx, dy]) => {
    const width = Math.max(0, Math.ceil((h.width - x0) / dx))
    const height = Math.max(0, Math.ceil((h.height - y0) / dy))
    const stride = Math.ceil((width * channels * h.depth) / 8)
    return { x0, y0, dx, dy, width, height: width === 0 ? 0 : height, stride }
  })
  const total = passes.reduce((n, p) => n + p.height * (p.stride + 1), 0)
  const raw = inflateZlib(compressed, total, `${where}: image data`)
  const count = h.width * h.height * channels
  const out = h.depth === 16 ? new Uint16Array(count) : new Uint8Array(count)
  const unit = Math.max(1, (channels * h.depth) >> 3)
  let at = 0
  for (const p of passes) {
    let above: Uint8Array = new Uint8Array(p.stride)
    for (let y = 0; y < p.height; y++) {
      const row = raw.subarray(at + 1, at + 1 + p.stride)
      unfilter(raw[at]!, row, above, unit, where)
      const line = (p.y0 + y * p.dy) * h.width + p.x0
      if (h.depth === 8 && p.dx === 1) out.set(row, line * channels)
      else
        for (let i = 0; i < p.width * channels; i++) {
          const to = (line + Math.floor(i / channels) * p.dx) * channels + (i % channels)
          out[to] = sampleOf(row, i, h.depth)
        }
      above = row
      at += p.stride + 1
    }
  }
  return out
}

function sampleOf(row: Uint8Array, i: number, depth: number): number {
  if (depth === 8) return row[i]!
  if (depth === 16) return (row[2 * i]! << 8) | row[2 * i + 1]!
  const bit = i * depth
  return (row[bit >> 3]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1)
}

/** Undoes a row's filter in place (section 9.2). */
function unfilter(kind: number, row: Uint8Array, above: Uint8Array, unit: number, where: string): void {
  if (kind > 4) throw new InputError(`${where}: unknown PNG row filter ${kind}`)
  if (kind === 0) return
  for (let i = 0; i < row.length; i++) {
    const a = i >= unit ? row[i - unit]! : 0
    const b = above[i]!
    const c = i >= unit ? above[i - unit]! : 0
    const guess = kind === 1 ? a : kind === 2 ? b : kind === 3 ? (a + b) >> 1 : paeth(a, b, c)
    row[i] = row[i]! + guess
  }
}

function paeth(a: number, b: number, c: number): number {
  const p = a + b - c
  const pa = Math.abs(p - a)
  const pb = Math.abs(p - b)
  const pc = Math.abs(p - c)
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c
}

function expandPalette(
  index: Uint8Array | Uint16Array,
  palette: Uint8Array,
  alpha: Uint8Array | undefined,
  where: string,
): { channels: number; colours: Colours; data: Uint8Array } {
  const channels = alpha ? 4 : 3
  const data = new Uint8Array(index.length * channels)
  for (let i = 0; i < index.length; i++) {
    const k = index[i]!
    if (3 * k >= palette.length) {
      throw new InputError(`${where}: palette index ${k}, expected less than ${palette.length / 3}`)
    }
    for (let c = 0; c < 3; c++) data[i * channels + c] = palette[3 * k + c]!
    if (alpha) data[i * channels + 3] = alpha[k] ?? 255
  }
  return { channels, colours: alpha ? 'rgba' : 'rgb', data }
}
