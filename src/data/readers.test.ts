import { readFileSync } from 'node:fs'
import { gzipSync } from 'fflate'
import { expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import { type Rng, rng } from '../core/rng.ts'
import { tensorOf, zeros } from '../core/tensor.ts'
import { writeNpy } from './npy.ts'
import { writeNpz } from './npz.ts'
import { readers } from './readers.ts'

const asset = (name: string): Uint8Array => new Uint8Array(readFileSync(`test/assets/data/${name}`))

const bmp = (): Uint8Array => {
  const b = new Uint8Array(54 + 16)
  const view = new DataView(b.buffer)
  b.set([0x42, 0x4d])
  view.setUint32(10, 54, true)
  view.setUint32(14, 40, true)
  view.setInt32(18, 2, true)
  view.setInt32(22, 2, true)
  view.setUint16(28, 24, true)
  return b
}

/** A good file for each reader. */
const good: Record<string, Uint8Array[]> = {
  npy: [writeNpy(tensorOf('float32', [2, 2], [1, 2, 3, 4])), writeNpy(tensorOf('string', [2], ['a', 'bc']))],
  npz: [writeNpz([['x', zeros('float32', [30])]])],
  zip: [writeNpz([['x', zeros('uint8', [300])]])],
  gzip: [gzipSync(new Uint8Array(500).map((_, i) => i * i))],
  idx: [Uint8Array.of(0, 0, 11, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0, 2)],
  cifar: [new Uint8Array(3073)],
  jpeg: [asset('j420_q75.jpg'), asset('exif6.jpg')],
  png: [asset('small.png'), asset('palette.png')],
  bmp: [bmp()],
  netpbm: [new TextEncoder().encode('P5 2 2 255\nabcd')],
  image: [asset('exif6.jpg')],
  wav: [asset('ulaw8k.wav'), asset('double.wav')],
}

/** Changes a few bytes, cuts, or repeats a part. */
function mutated(bytes: Uint8Array, random: Rng): Uint8Array {
  const out = bytes.slice()
  for (let n = 1 + random.below(4); n > 0; n--) {
    // Headers matter most: half of the changes hit the first bytes.
    const at = random.below(random.below(2) ? Math.min(64, out.length) : out.length)
    out[at] = [0, 255, random.below(256), out[at]! ^ (1 << random.below(8))][random.below(4)]!
  }
  if (random.below(4) === 0) return out.subarray(0, random.below(out.length + 1))
  return out
}

/** Runs a reader and returns what was thrown. */
function thrown(read: (bytes: Uint8Array, where: string) => unknown, bytes: Uint8Array): unknown {
  try {
    read(bytes, 'file')
    return undefined
  } catch (e) {
    return e
  }
}

test('every reader has a good file here, and reads it', () => {
  expect(Object.keys(good)).toEqual(Object.keys(readers))
  for (const [name, read] of Object.entries(readers)) {
    for (const bytes of good[name]!) expect(thrown(read, bytes), name).toBeUndefined()
  }
})

test.each(Object.entries(readers))(
  '%s: random bytes and damaged files give a result or an InputError',
  (name, read) => {
    const random = rng(7)
    for (let i = 0; i < 400; i++) {
      const noise = Uint8Array.from({ length: random.below(200) }, () => random.below(256))
      const bytes = i % 8 === 0 ? noise : mutated(good[name]![i % good[name]!.length]!, random)
      const e = thrown(read, bytes)
      if (e !== undefined)
        expect(e, `${name} ${i}: ${e instanceof Error ? e.stack : e}`).toBeInstanceOf(InputError)
    }
  },
)

test('an image header that asks for more memory than decoding may take is refused at once', () => {
  const png = asset('small.png')
  new DataView(png.buffer).setUint32(16, 100_000)
  const withoutCheck = thrown(readers.png!, png)
  expect(withoutCheck).toBeInstanceOf(InputError)
  const jpeg = asset('j420_q75.jpg')
  const frame = jpeg.findIndex((b, i) => b === 0xff && jpeg[i + 1] === 0xc0)
  new DataView(jpeg.buffer).setUint32(frame + 5, 0xffffffff)
  expect(String(thrown(readers.jpeg!, jpeg))).toMatch(
    /an image of 65535×65535 pixels would take more than 240 MiB/,
  )
})

test('a baseline JPEG may lack its end marker, but not its picture', () => {
  const jpeg = asset('j420_q75.jpg')
  expect(thrown(readers.jpeg!, jpeg.subarray(0, -2))).toBeUndefined()
  expect(String(thrown(readers.jpeg!, jpeg.subarray(0, -10)))).toMatch(/picture data ends early/)
  const scan = jpeg.findIndex((b, i) => b === 0xff && jpeg[i + 1] === 0xda)
  expect(String(thrown(readers.jpeg!, jpeg.subarray(0, scan)))).toMatch(
    /without a whole picture. Truncated\?/,
  )
})
