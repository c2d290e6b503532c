// Enlarging of subsampled colour planes and conversion to RGB as in libjpeg(-turbo): jdsample.c, jdcolor.c.

import { InputError } from '../core/errors.ts'

export type Plane = { data: Uint8Array; stride: number; width: number; height: number }

/** A plane enlarged by whole factors to width × height, tightly packed. */
export function upsample(
  p: Plane,
  width: number,
  height: number,
  h: number,
  v: number,
  fancy: boolean,
  where: string,
): Uint8Array {
  if (h !== Math.floor(h) || v !== Math.floor(v)) {
    throw new InputError(`${where}: JPEG colour subsampled by ${h}×${v}, expected whole factors`)
  }
  const out = new Uint8Array(width * height)
  const smooth = fancy && ((h === 2 && v <= 2 && p.width > 2) || (h === 1 && v === 2))
  if (!smooth) {
    for (let y = 0; y < height; y++) {
      const row = Math.floor(y / v) * p.stride
      for (let x = 0; x < width; x++) out[y * width + x] = p.data[row + Math.floor(x / h)]!
    }
    return out
  }
  const line = new Uint16Array(p.width)
  for (let y = 0; y < height; y++) {
    const near = Math.floor(y / v)
    // Rows weigh 3:1 with the nearer neighbour, the edge rows with themselves; line holds 4 times the value when v is 2.
    const far = v === 1 ? near : Math.min(p.height - 1, Math.max(0, near + (y % 2 === 0 ? -1 : 1)))
    for (let x = 0; x < p.width; x++) {
      const a = p.data[near * p.stride + x]!
      line[x] = v === 1 ? a : 3 * a + p.data[far * p.stride + x]!
    }
    if (h === 1) verticalRow(line, out, y, width)
    else horizontalRow(line, out, y * width, width, v === 1 ? 1 : 4)
  }
  return out
}

/** h1v2_fancy_upsample: rounds down above, up below. */
function verticalRow(line: Uint16Array, out: Uint8Array, y: number, width: number): void {
  const bias = y % 2 === 0 ? 1 : 2
  for (let x = 0; x < width; x++) out[y * width + x] = (line[x]! + bias) >> 2
}

/**
 * h2v1_fancy_upsample (scale 1) and the row step of h2v2_fancy_upsample (scale 4): 3:1 with the nearer neighbour,
 * rounding down and up by turns, the edge columns as they are.
 */
function horizontalRow(line: Uint16Array, out: Uint8Array, to: number, width: number, scale: 1 | 4): void {
  const shift = scale === 1 ? 2 : 4
  const left = scale === 1 ? 1 : 8
  const right = scale === 1 ? 2 : 7
  const last = line.length - 1
  for (let x = 0; x < width; x++) {
    const i = x >> 1
    const v = line[i]!
    if (x % 2 === 0)
      out[to + x] =
        i === 0 ? (4 * v + (scale === 1 ? 0 : 8)) >> shift : (3 * v + line[i - 1]! + left) >> shift
    else
      out[to + x] =
        i === last ? (4 * v + (scale === 1 ? 0 : 7)) >> shift : (3 * v + line[i + 1]! + right) >> shift
  }
}

const clip = (x: number): number => (x < 0 ? 0 : x > 255 ? 255 : x)

/** Tables of 16 fractional bits (build_ycc_rgb_table). */
const tables = (() => {
  const fix = (x: number): number => Math.floor(x * 65536 + 0.5)
  const t = {
    rCr: new Int32Array(256),
    bCb: new Int32Array(256),
    gCr: new Int32Array(256),
    gCb: new Int32Array(256),
  }
  for (let i = 0; i < 256; i++) {
    const x = i - 128
    t.rCr[i] = (fix(1.402) * x + 32768) >> 16
    t.bCb[i] = (fix(1.772) * x + 32768) >> 16
    t.gCr[i] = -fix(0.71414) * x
    t.gCb[i] = -fix(0.34414) * x + 32768
  }
  return t
})()

/** YCbCr triples to RGB, in place. */
export function yccToRgb(data: Uint8Array, step = 3): void {
  for (let i = 0; i < data.length; i += step) {
    const y = data[i]!
    const cb = data[i + 1]!
    const cr = data[i + 2]!
    data[i] = clip(y + tables.rCr[cr]!)
    data[i + 1] = clip(y + ((tables.gCb[cb]! + tables.gCr[cr]!) >> 16))
    data[i + 2] = clip(y + tables.bCb[cb]!)
  }
}

/** YCCK to CMYK, in place: the colours are converted and inverted, black stays. */
export function ycckToCmyk(data: Uint8Array): void {
  yccToRgb(data, 4)
  for (let i = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++) data[i + c] = 255 - data[i + c]!
  }
}
