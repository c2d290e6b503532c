// Entropy-coded JPEG data: Huffman tables, and the baseline and progressive scans that fill coefficient blocks
// (ITU-T T.81, annexes F and G).

import { InputError } from '../core/errors.ts'

export type Component = {
  id: number
  /** Sampling factors and the quantisation table's number. */
  h: number
  v: number
  table: number
  /** Blocks that the picture needs, and that whole MCUs store. */
  blocksWide: number
  blocksHigh: number
  storedWide: number
  /** storedWide × storedHigh blocks of 64 coefficients in natural (not zigzag) order. */
  coefficients: Int16Array
  /** DC prediction. */
  last: number
}

export type HuffmanTable = {
  /** By the next 8 bits: code length × 256 + symbol, or 0 for longer codes. */
  fast: Uint16Array
  /** By code length: the largest code, and what to add to a code to get the symbol's index. */
  largest: Int32Array
  offset: Int32Array
  symbols: Uint8Array
}

/** Builds decoding tables from a DHT entry: how many codes of each length 1 to 16, then the symbols (annex C). */
export function huffmanTable(counts: Uint8Array, symbols: Uint8Array, where: string): HuffmanTable {
  const fast = new Uint16Array(256)
  const largest = new Int32Array(18).fill(-1)
  const offset = new Int32Array(17)
  let code = 0
  let k = 0
  for (let length = 1; length <= 16; length++) {
    offset[length] = k - code
    for (let n = 0; n < counts[length - 1]!; n++, code++, k++) {
      if (length > 8) continue
      const first = code << (8 - length)
      fast.fill((length << 8) | symbols[k]!, first, first + (1 << (8 - length)))
    }
    if (code > 1 << length) throw new InputError(`${where}: impossible Huffman table`)
    if (counts[length - 1]! > 0) largest[length] = code - 1
    code <<= 1
  }
  return { fast, largest, offset, symbols }
}

/** Natural position of the k-th coefficient in zigzag order; 16 spare entries catch runs beyond the end. */
export const zigzag = Uint8Array.of(
  ...[
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14,
  ],
  ...[
    21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
    53,
  ],
  ...[60, 61, 54, 47, 55, 62, 63],
  ...new Array<number>(16).fill(63),
)

/** Bits of entropy-coded data, most significant first; a zero byte after FF is stuffing, anything else a marker. */
class Bits {
  private held = 0
  private count = 0
  readonly bytes: Uint8Array
  readonly where: string
  at: number

  constructor(bytes: Uint8Array, at: number, where: string) {
    this.bytes = bytes
    this.at = at
    this.where = where
  }

  /** Makes at least `n` ≤ 16 bits available. At the end of the data zeros are offered to `peek`, never consumed. */
  private fill(n: number): void {
    while (this.count < n) {
      const byte = this.bytes[this.at]
      const next = this.bytes[this.at + 1]
      if (byte === undefined || (byte === 0xff && next !== 0)) {
        throw new InputError(
          `${this.where}: JPEG picture data ends early at byte ${this.at} of ${this.bytes.length}. Truncated or damaged file.`,
        )
      }
      this.at += byte === 0xff ? 2 : 1
      this.held = ((this.held & 0xffff) << 8) | byte
      this.count += 8
    }
  }

  take(n: number): number {
    if (n === 0) return 0
    this.fill(n)
    this.count -= n
    return (this.held >> this.count) & ((1 << n) - 1)
  }

  /** A coefficient of `n` bits (F.2.2.1, EXTEND): values below half the range are negative. */
  signed(n: number): number {
    if (n === 0) return 0
    const v = this.take(n)
    return v < 1 << (n - 1) ? v - (1 << n) + 1 : v
  }

  symbol(table: HuffmanTable): number {
    if (this.count >= 8) {
      const entry = table.fast[(this.held >> (this.count - 8)) & 255]!
      if (entry > 0) {
        this.count -= entry >> 8
        return entry & 255
      }
    }
    let code = 0
    for (let length = 1; length <= 16; length++) {
      code = (code << 1) | this.take(1)
      if (code <= table.largest[length]!) return table.symbols[code + table.offset[length]!]!
    }
    throw new InputError(`${this.where}: unknown Huffman code near byte ${this.at}. Damaged file.`)
  }

  /** Drops the bits left of the current byte and steps over the restart marker that must follow. */
  restart(): void {
    this.count = 0
    const marker = this.bytes[this.at + 1]
    if (this.bytes[this.at] !== 0xff || marker === undefined || marker < 0xd0 || marker > 0xd7) {
      throw new InputError(`${this.where}: expected a JPEG restart marker at byte ${this.at}. Damaged file.`)
    }
    this.at += 2
  }
}

export type Scan = {
  parts: { component: Component; dc: HuffmanTable | undefined; ac: HuffmanTable | undefined }[]
  progressive: boolean
  /** Spectral band, and the bit positions before and after (successive approximation). */
  start: number
  end: number
  high: number
  low: number
  /** MCUs between restart markers; 0 for none. */
  restart: number
  mcusWide: number
  mcusHigh: number
}

/** Decodes one scan from `at` on and returns where its data ends. */
export function decodeScan(bytes: Uint8Array, at: number, scan: Scan, where: string): number {
  const bits = new Bits(bytes, at, where)
  const block = blockDecoder(scan, bits)
  const single = scan.parts.length === 1 ? scan.parts[0] : undefined
  const wide = single ? single.component.blocksWide : scan.mcusWide
  const high = single ? single.component.blocksHigh : scan.mcusHigh
  for (const p of scan.parts) p.component.last = 0
  for (let n = 0; n < wide * high; n++) {
    if (scan.restart > 0 && n > 0 && n % scan.restart === 0) {
      bits.restart()
      for (const p of scan.parts) p.component.last = 0
      block.restart()
    }
    const x = n % wide
    const y = Math.floor(n / wide)
    if (single) {
      block.decode(single, 64 * (y * single.component.storedWide + x))
      continue
    }
    for (const p of scan.parts) {
      const c = p.component
      for (let v = 0; v < c.v; v++) {
        for (let h = 0; h < c.h; h++) block.decode(p, 64 * ((y * c.v + v) * c.storedWide + x * c.h + h))
      }
    }
  }
  return bits.at
}

type BlockDecoder = { decode(part: Scan['parts'][number], at: number): void; restart(): void }

function blockDecoder(scan: Scan, bits: Bits): BlockDecoder {
  if (!scan.progressive) return { decode: (p, at) => baseline(bits, p, at), restart: () => {} }
  if (scan.start === 0) {
    return {
      decode:
        scan.high === 0
          ? (p, at) => dcFirst(bits, p, at, scan.low)
          : (p, at) => dcRefine(bits, p, at, scan.low),
      restart: () => {},
    }
  }
  // Blocks still to come of a run of blocks without further coefficients in this band.
  const run = { left: 0 }
  const restart = (): void => {
    run.left = 0
  }
  return scan.high === 0
    ? { decode: (p, at) => acFirst(bits, p, at, scan, run), restart }
    : { decode: (p, at) => acRefine(bits, p, at, scan, run), restart }
}

type Part = Scan['parts'][number]

function dcDifference(bits: Bits, part: Part): number {
  const size = bits.symbol(part.dc!)
  if (size > 15) throw new InputError(`${bits.where}: JPEG coefficient of ${size} bits. Damaged file.`)
  return (part.component.last += bits.signed(size))
}

function baseline(bits: Bits, part: Part, at: number): void {
  const out = part.component.coefficients
  out[at] = dcDifference(bits, part)
  for (let k = 1; k < 64; k++) {
    const rs = bits.symbol(part.ac!)
    const size = rs & 15
    if (size === 0) {
      if (rs !== 0xf0) return
      k += 15
      continue
    }
    k += rs >> 4
    out[at + zigzag[k]!] = bits.signed(size)
  }
}

function dcFirst(bits: Bits, part: Part, at: number, low: number): void {
  part.component.coefficients[at] = dcDifference(bits, part) << low
}

function dcRefine(bits: Bits, part: Part, at: number, low: number): void {
  if (bits.take(1)) part.component.coefficients[at]! |= 1 << low
}

function acFirst(bits: Bits, part: Part, at: number, scan: Scan, run: { left: number }): void {
  if (run.left > 0) {
    run.left--
    return
  }
  const out = part.component.coefficients
  for (let k = scan.start; k <= scan.end; k++) {
    const rs = bits.symbol(part.ac!)
    const r = rs >> 4
    const size = rs & 15
    if (size !== 0) {
      k += r
      out[at + zigzag[k]!] = bits.signed(size) << scan.low
    } else if (r === 15) k += 15
    else {
      run.left = (1 << r) - 1 + bits.take(r)
      return
    }
  }
}

/** One more bit of coefficients already known, and new ones of magnitude one (G.1.2.3). */
function acRefine(bits: Bits, part: Part, at: number, scan: Scan, run: { left: number }): void {
  const out = part.component.coefficients
  const bit = 1 << scan.low
  const refine = (i: number): void => {
    const v = out[i]!
    if (bits.take(1) && (v & bit) === 0) out[i] = v >= 0 ? v + bit : v - bit
  }
  let k = scan.start
  if (run.left === 0) {
    for (; k <= scan.end; k++) {
      const rs = bits.symbol(part.ac!)
      let zeros = rs >> 4
      let value = 0
      if ((rs & 15) !== 0) value = bits.take(1) ? bit : -bit
      else if (zeros < 15) {
        run.left = (1 << zeros) + bits.take(zeros)
        break
      }
      for (; k <= scan.end; k++) {
        const i = at + zigzag[k]!
        if (out[i] !== 0) refine(i)
        else if (zeros-- === 0) {
          if (value !== 0) out[i] = value
          break
        }
      }
    }
  }
  if (run.left > 0) {
    for (; k <= scan.end; k++) {
      const i = at + zigzag[k]!
      if (out[i] !== 0) refine(i)
    }
    run.left--
  }
}
