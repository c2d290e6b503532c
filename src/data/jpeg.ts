// JPEG decoding: baseline, extended and progressive Huffman files of 8 bits (ITU-T T.81), in libjpeg's own integer
// arithmetic. No package decodes to the same samples as Pillow, OpenCV, torchvision and TensorFlow, and a difference of
// a few levels in the input would be mistaken for a fault of a runtime.

import { ByteReader } from '../core/bytes.ts'
import { InputError } from '../core/errors.ts'
import { fastMultipliers, type Idct, inverseDct } from './jpeg-idct.ts'
import {
  type Component,
  decodeScan,
  type HuffmanTable,
  huffmanTable,
  type Scan,
  zigzag,
} from './jpeg-scan.ts'
import { upsample, ycckToCmyk, yccToRgb } from './jpeg-upsample.ts'
import { checkDimensions, type DecodedImage } from './pixels.ts'

export type JpegOptions = {
  /** `accurate` is libjpeg's ISLOW (Pillow, OpenCV, torchvision); `fast` its IFAST (TensorFlow's default). */
  idct?: Idct
  /** Smooth enlarging of subsampled colour (libjpeg's default); off, it is repeated. */
  fancy?: boolean
}

/** Blocks that all scans together may visit: a file of many scans must not cost unbounded time. */
const MAX_VISITS = 2 ** 24

export const isJpeg = (b: Uint8Array): boolean => b[0] === 0xff && b[1] === 0xd8 && b[2] === 0xff

type Frame = {
  width: number
  height: number
  progressive: boolean
  components: Component[]
  hMax: number
  vMax: number
}

type State = {
  where: string
  tables: (Uint16Array | undefined)[]
  dc: (HuffmanTable | undefined)[]
  ac: (HuffmanTable | undefined)[]
  restart: number
  frame?: Frame
  visits: number
  jfif: boolean
  /** Colour transform of the Adobe marker: 0 none, 1 YCbCr, 2 YCCK. */
  adobe?: number
  orientation: number
}

/** Decodes a JPEG file to gray, RGB or CMYK (0 is no ink). */
export function decodeJpeg(bytes: Uint8Array, where: string, options: JpegOptions = {}): DecodedImage {
  if (!isJpeg(bytes)) throw new InputError(`${where}: not a JPEG file`)
  const s: State = { where, tables: [], dc: [], ac: [], restart: 0, visits: 0, jfif: false, orientation: 1 }
  const r = new ByteReader(bytes, where)
  r.offset = 2
  const seen = new Set<Component>()
  for (;;) {
    // A missing end marker is forgiven where nothing could be missing before it.
    if (r.offset === r.length && s.frame?.progressive === false) break
    const marker = nextMarker(r)
    if (marker === 0xd9) break
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue
    const length = r.u16(false)
    if (length < 2) throw new InputError(`${where}: JPEG segment of ${length} bytes`)
    const body = new ByteReader(r.slice(length - 2), where)
    if (marker === 0xda) {
      const scan = readScan(s, body)
      r.offset = decodeScan(bytes, r.offset, scan, where)
      for (const p of scan.parts) seen.add(p.component)
    } else readSegment(s, marker, body)
  }
  if (!s.frame?.components.every((c) => seen.has(c))) {
    throw new InputError(`${where}: JPEG file without a whole picture. Truncated?`)
  }
  return output(s, s.frame, options)
}

/** The next marker; stray bytes before it are skipped, as libjpeg does. */
function nextMarker(r: ByteReader): number {
  for (;;) {
    while (r.u8() !== 0xff);
    let code = r.u8()
    while (code === 0xff) code = r.u8()
    if (code !== 0) return code
  }
}

function readSegment(s: State, marker: number, body: ByteReader): void {
  if (marker === 0xdb) readQuantisation(s, body)
  else if (marker === 0xc4) readHuffman(s, body)
  else if (marker === 0xdd) s.restart = body.u16(false)
  else if (marker === 0xe0) s.jfif ||= ascii(body.bytes, 0, 5) === 'JFIF\0'
  else if (marker === 0xe1) s.orientation = exifOrientation(body.bytes) ?? s.orientation
  else if (marker === 0xee && body.length >= 12 && ascii(body.bytes, 0, 5) === 'Adobe')
    s.adobe = body.bytes[11]!
  else if (marker === 0xc0 || marker === 0xc1 || marker === 0xc2) readFrame(s, body, marker === 0xc2)
  else if (marker >= 0xc3 && marker <= 0xcf) {
    const kind =
      marker === 0xc9 || marker >= 0xcb ? 'arithmetic-coded or hierarchical' : 'lossless or hierarchical'
    throw new InputError(
      `${s.where}: ${kind} JPEG (marker ${marker.toString(16)}). Save it as a baseline JPEG.`,
    )
  }
}

const ascii = (b: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...b.subarray(from, to))

function readQuantisation(s: State, r: ByteReader): void {
  while (r.offset < r.length) {
    const head = r.u8()
    if ((head & 15) > 3 || head >> 4 > 1) throw new InputError(`${s.where}: JPEG quantisation table ${head}`)
    const table = new Uint16Array(64)
    for (let k = 0; k < 64; k++) table[zigzag[k]!] = head >> 4 ? r.u16(false) : r.u8()
    s.tables[head & 15] = table
  }
}

function readHuffman(s: State, r: ByteReader): void {
  while (r.offset < r.length) {
    const head = r.u8()
    if ((head & 15) > 3 || head >> 4 > 1) throw new InputError(`${s.where}: JPEG Huffman table ${head}`)
    const counts = r.slice(16)
    const total = counts.reduce((a, b) => a + b, 0)
    if (total > 256) throw new InputError(`${s.where}: JPEG Huffman table of ${total} symbols`)
    const into = head >> 4 ? s.ac : s.dc
    into[head & 15] = huffmanTable(counts, r.slice(total), s.where)
  }
}

function readFrame(s: State, r: ByteReader, progressive: boolean): void {
  if (s.frame) throw new InputError(`${s.where}: JPEG file with two frames`)
  const depth = r.u8()
  if (depth !== 8) throw new InputError(`${s.where}: JPEG of ${depth} bits a sample, expected 8`)
  const height = r.u16(false)
  const width = r.u16(false)
  const count = r.u8()
  if (count !== 1 && count !== 3 && count !== 4)
    throw new InputError(`${s.where}: JPEG of ${count} components`)
  const parts = Array.from({ length: count }, () => {
    const id = r.u8()
    const sampling = r.u8()
    const table = r.u8()
    const h = sampling >> 4
    const v = sampling & 15
    if (h < 1 || h > 4 || v < 1 || v > 4 || table > 3) {
      throw new InputError(`${s.where}: JPEG component ${id} with sampling ${h}×${v}, table ${table}`)
    }
    return { id, h, v, table }
  })
  const hMax = Math.max(...parts.map((p) => p.h))
  const vMax = Math.max(...parts.map((p) => p.v))
  // Two bytes a coefficient and one a sample of each plane, then the full planes and the result.
  const share = parts.reduce((n, p) => n + (3 * p.h * p.v) / (hMax * vMax), 0)
  checkDimensions(s.where, width, height, share + 2 * count)
  const mcusWide = Math.ceil(width / (8 * hMax))
  const mcusHigh = Math.ceil(height / (8 * vMax))
  const components = parts.map((p) => ({
    ...p,
    blocksWide: Math.ceil(Math.ceil((width * p.h) / hMax) / 8),
    blocksHigh: Math.ceil(Math.ceil((height * p.v) / vMax) / 8),
    storedWide: mcusWide * p.h,
    coefficients: new Int16Array(64 * mcusWide * p.h * mcusHigh * p.v),
    last: 0,
  }))
  s.frame = { width, height, progressive, components, hMax, vMax }
}

function readScan(s: State, r: ByteReader): Scan {
  const frame = s.frame
  if (!frame) throw new InputError(`${s.where}: JPEG scan before its frame`)
  const count = r.u8()
  if (count < 1 || count > 4) throw new InputError(`${s.where}: JPEG scan of ${count} components`)
  const chosen = Array.from({ length: count }, () => ({ id: r.u8(), tables: r.u8() }))
  const start = r.u8()
  const end = r.u8()
  const approximation = r.u8()
  const scan = frame.progressive
    ? { start, end, high: approximation >> 4, low: approximation & 15 }
    : { start: 0, end: 63, high: 0, low: 0 }
  if (
    scan.end > 63 ||
    scan.start > scan.end ||
    scan.low > 13 ||
    (frame.progressive && scan.start === 0 && scan.end > 0)
  ) {
    throw new InputError(`${s.where}: JPEG scan of coefficients ${start} to ${end}, bits ${approximation}`)
  }
  if (scan.start > 0 && count > 1) throw new InputError(`${s.where}: JPEG scan mixes components beyond DC`)
  const parts = chosen.map(({ id, tables }) => {
    const component = frame.components.find((c) => c.id === id)
    const dc = s.dc[tables >> 4]
    const ac = s.ac[tables & 15]
    const needsDc = scan.start === 0 && scan.high === 0
    const needsAc = scan.end > 0
    if (!component || (needsDc && !dc) || (needsAc && !ac)) {
      throw new InputError(`${s.where}: JPEG scan names component ${id} or a Huffman table that is not there`)
    }
    return { component, dc, ac }
  })
  if (new Set(parts.map((p) => p.component)).size < count)
    throw new InputError(`${s.where}: JPEG scan repeats a component`)
  s.visits += parts.reduce((n, p) => n + p.component.coefficients.length / 64, 0)
  if (s.visits > MAX_VISITS) throw new InputError(`${s.where}: JPEG file of too many scans. Hostile file?`)
  return {
    parts,
    progressive: frame.progressive,
    ...scan,
    restart: s.restart,
    mcusWide: Math.ceil(frame.width / (8 * frame.hMax)),
    mcusHigh: Math.ceil(frame.height / (8 * frame.vMax)),
  }
}

/** The orientation tag (0x0112) of an EXIF segment, where there is one between 1 and 8. */
function exifOrientation(segment: Uint8Array): number | undefined {
  if (segment.length < 20 || ascii(segment, 0, 6) !== 'Exif\0\0') return undefined
  const view = new DataView(segment.buffer, segment.byteOffset + 6, segment.byteLength - 6)
  const little = view.getUint16(0) === 0x4949
  const directory = view.getUint32(4, little)
  if (directory + 2 > view.byteLength) return undefined
  const count = view.getUint16(directory, little)
  for (let i = 0; i < count; i++) {
    const at = directory + 2 + 12 * i
    if (at + 12 > view.byteLength) return undefined
    if (view.getUint16(at, little) !== 0x0112) continue
    const value = view.getUint16(at + 8, little)
    return value >= 1 && value <= 8 ? value : undefined
  }
  return undefined
}

function output(s: State, frame: Frame, options: JpegOptions): DecodedImage {
  const { width, height, components } = frame
  const kind = options.idct ?? 'accurate'
  const planes = components.map((c) => {
    const table = s.tables[c.table]
    if (!table) throw new InputError(`${s.where}: JPEG without quantisation table ${c.table}`)
    const multipliers = kind === 'fast' ? fastMultipliers(table) : table
    const stride = 8 * c.storedWide
    const plane = new Uint8Array(c.coefficients.length)
    for (let at = 0; at < c.coefficients.length; at += 64) {
      const block = at / 64
      const to = Math.floor(block / c.storedWide) * 8 * stride + (block % c.storedWide) * 8
      inverseDct(kind, c.coefficients, at, multipliers, plane, to, stride)
    }
    const small = {
      data: plane,
      stride,
      width: Math.ceil((width * c.h) / frame.hMax),
      height: Math.ceil((height * c.v) / frame.vMax),
    }
    c.coefficients = new Int16Array(0)
    return upsample(small, width, height, frame.hMax / c.h, frame.vMax / c.v, options.fancy ?? true, s.where)
  })
  const base = { width, height, orientation: s.orientation }
  if (planes.length === 1) return { ...base, channels: 1, colours: 'gray', data: planes[0]! }
  const data = interleave(planes)
  if (planes.length === 3) {
    if (isYcc(s, components)) yccToRgb(data)
    return { ...base, channels: 3, colours: 'rgb', data }
  }
  if (s.adobe === 2) ycckToCmyk(data)
  // Adobe writes ink inverted: 255 is none.
  if (s.adobe !== undefined) for (let i = 0; i < data.length; i++) data[i] = 255 - data[i]!
  return { ...base, channels: 4, colours: 'cmyk', data }
}

function interleave(planes: readonly Uint8Array[]): Uint8Array {
  const n = planes.length
  const out = new Uint8Array(n * planes[0]!.length)
  planes.forEach((p, c) => {
    for (let i = 0; i < p.length; i++) out[i * n + c] = p[i]!
  })
  return out
}

/** Whether three components are luma and chroma: libjpeg's guess (jdapimin.c, default_decompress_parms). */
function isYcc(s: State, components: readonly Component[]): boolean {
  if (s.jfif) return true
  if (s.adobe !== undefined) return s.adobe !== 0
  const ids = String.fromCharCode(...components.map((c) => c.id))
  return ids !== 'RGB'
}
