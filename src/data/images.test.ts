import { readFileSync } from 'node:fs'
import { zlibSync } from 'fflate'
import { expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import { crc32 } from '../core/zip.ts'
import { decodeImage } from './images.ts'
import { cmykToRgb, pixels, toEightBits, toGray } from './pixels.ts'

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]))

function part(kind: string, body: Uint8Array): Uint8Array {
  const named = joined(text(kind), body)
  const ends = new DataView(new ArrayBuffer(8))
  ends.setUint32(0, body.length)
  ends.setUint32(4, crc32(named))
  const bytes = new Uint8Array(ends.buffer)
  return joined(bytes.subarray(0, 4), named, bytes.subarray(4))
}

/** A PNG file of the given filtered rows. */
function png(
  width: number,
  height: number,
  depth: number,
  type: number,
  rows: number[],
  interlace = 0,
  extra: Uint8Array = new Uint8Array(0),
) {
  const header = Uint8Array.of(0, 0, 0, width, 0, 0, 0, height, depth, type, 0, 0, interlace)
  const data = zlibSync(Uint8Array.from(rows))
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
  return joined(signature, part('IHDR', header), extra, part('IDAT', data), part('IEND', new Uint8Array(0)))
}

const samples = (bytes: Uint8Array): number[] => [...decodeImage(bytes, 'x').data]

test('the five row filters of PNG are undone', () => {
  const rows = [0, 10, 20, 30, 1, 5, 5, 5, 2, 1, 1, 1, 3, 2, 2, 2, 4, 1, 1, 1]
  expect(samples(png(3, 5, 8, 0, rows))).toEqual([10, 20, 30, 5, 10, 15, 6, 11, 16, 5, 10, 15, 6, 11, 16])
})

test('samples of 1, 2 and 4 bits are widened to 0..255, those of 16 bits kept', () => {
  expect(samples(png(3, 1, 1, 0, [0, 0b10100000]))).toEqual([255, 0, 255])
  expect(samples(png(3, 1, 2, 0, [0, 0b00011000]))).toEqual([0, 85, 170])
  expect(samples(png(2, 1, 4, 0, [0, 0x1f]))).toEqual([17, 255])
  expect(samples(png(2, 1, 16, 0, [0, 1, 2, 255, 254]))).toEqual([258, 65534])
})

test('an interlaced PNG gives the same picture', () => {
  // 5×5 with the value 10·y + x, in the order of the seven passes.
  const passes = [
    [[0], [0]],
    [[4], [0]],
    [[0, 4], [4]],
    [[2], [0, 4]],
    [[0, 2, 4], [2]],
    [
      [1, 3],
      [0, 2, 4],
    ],
    [
      [0, 1, 2, 3, 4],
      [1, 3],
    ],
  ]
  const rows = passes.flatMap(([xs, ys]) => ys!.flatMap((y) => [0, ...xs!.map((x) => 10 * y + x)]))
  expect(samples(png(5, 5, 8, 0, rows, 1))).toEqual(
    Array.from({ length: 25 }, (_, i) => 10 * Math.floor(i / 5) + (i % 5)),
  )
})

test('a palette becomes RGB, with transparency RGBA, and a wrong index is refused', () => {
  const palette = part('PLTE', Uint8Array.of(1, 2, 3, 4, 5, 6))
  expect(samples(png(2, 1, 8, 3, [0, 1, 0], 0, palette))).toEqual([4, 5, 6, 1, 2, 3])
  const clear = joined(palette, part('tRNS', Uint8Array.of(9)))
  expect(samples(png(2, 1, 8, 3, [0, 1, 0], 0, clear))).toEqual([4, 5, 6, 255, 1, 2, 3, 9])
  expect(() => samples(png(2, 1, 8, 3, [0, 2, 0], 0, palette))).toThrow(
    /palette index 2, expected less than 2/,
  )
})

test('PGM and PPM are read with comments, also of 16 bits', () => {
  expect(samples(joined(text('P5 # a comment\n2 1\n255\n'), Uint8Array.of(7, 8)))).toEqual([7, 8])
  expect(samples(joined(text('P6\n1 1 65535\n'), Uint8Array.of(1, 0, 0, 2, 0, 3)))).toEqual([256, 2, 3])
  expect(() => samples(text('P5 2 1 255\na'))).toThrow(/truncated/)
})

test('bitmaps of 24 bits are read from the bottom, of 8 bits through their palette', () => {
  const bitmap = (depth: number, height: number, colours: number, body: number[]): Uint8Array => {
    const head = new DataView(new ArrayBuffer(54))
    head.setUint16(0, 0x424d)
    head.setUint32(10, 54 + 4 * colours, true)
    head.setUint32(14, 40, true)
    head.setInt32(18, 1, true)
    head.setInt32(22, height, true)
    head.setUint16(28, depth, true)
    head.setUint32(46, colours, true)
    return joined(new Uint8Array(head.buffer), Uint8Array.from(body))
  }
  expect(samples(bitmap(24, 2, 0, [1, 2, 3, 0, 4, 5, 6, 0]))).toEqual([6, 5, 4, 3, 2, 1])
  expect(samples(bitmap(24, -2, 0, [1, 2, 3, 0, 4, 5, 6, 0]))).toEqual([3, 2, 1, 6, 5, 4])
  expect(samples(bitmap(8, 1, 2, [1, 2, 3, 0, 4, 5, 6, 0, 1, 0, 0, 0]))).toEqual([6, 5, 4])
})

test.each<[string, Uint8Array, RegExp]>([
  ['a GIF', text('GIF89a......'), /got a GIF\. Save it as PNG/],
  ['a WebP', text('RIFF....WEBPVP8 '), /got a WebP/],
  ['a page', text('<html>'), /text that starts with "<"/],
  ['nothing', new Uint8Array(0), /an empty file/],
  ['a PNG without its end', png(1, 1, 8, 0, [0, 1]).subarray(0, 50), /truncated/],
  ['a PNG of another depth', png(1, 1, 16, 3, [0, 1, 1]), /no such combination/],
  [
    'a PNG of more rows than it says',
    png(1, 1, 8, 0, [0, 1, 0, 1]),
    /inflates to more than the declared 2 bytes/,
  ],
])('%s is an input error that says so', (_, bytes, message) => {
  expect(() => decodeImage(bytes, 'x')).toThrow(InputError)
  expect(() => decodeImage(bytes, 'x')).toThrow(message)
})

test('a damaged PNG part is noticed by its checksum', () => {
  const bytes = new Uint8Array(readFileSync('test/assets/data/small.png'))
  bytes[60]! ^= 1
  expect(() => decodeImage(bytes, 'x')).toThrow(/checksum of the "IDAT" part does not match/)
})

test('gray, CMYK and 16 bits differ by library', () => {
  const one = pixels(1, 1, 3, Uint8Array.of(10, 200, 30))
  expect((['pillow', 'opencv', 'tensorflow', 'torch'] as const).map((l) => toGray(one, l).data[0])).toEqual([
    124, 124, 124, 123,
  ])
  const ink = pixels(1, 1, 4, Uint8Array.of(100, 0, 255, 30))
  expect([[...cmykToRgb(ink, 'pillow').data], [...cmykToRgb(ink, 'opencv').data]]).toEqual([
    [137, 225, 0],
    [138, 225, 1],
  ])
  const deep = pixels(1, 2, 1, Uint16Array.of(200, 0x1234))
  expect([[...toEightBits(deep, 'high').data], [...toEightBits(deep, 'clip').data]]).toEqual([
    [0, 18],
    [200, 255],
  ])
})
