// What is fuzzed: every reader of bytes, with real files to begin from. Files come from test/assets, from the folder that
// STRATA_ASSETS names, and, where a format has no small real file at hand, from our own writers.

import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { tensorOf } from '../../src/core/tensor.ts'
import { writeNpy } from '../../src/data/npy.ts'
import { readers } from '../../src/data/readers.ts'
import type { ModelFiles } from '../../src/formats/detect.ts'
import { openModel } from '../../src/formats/open.ts'
import {
  type Nest,
  nestProtobuf,
  nestText,
  type Within,
  withinGzip,
  withinJson,
  withinOnnx,
  withinPng,
  withinWords,
  withinZip,
} from './mutate.ts'

export type Seed = { readonly name: string; readonly bytes: Uint8Array; readonly folder?: string }

export type Subject = {
  readonly format: string
  seeds(): Seed[]
  /** Returns, or throws an InputError or UnsupportedError; anything else is a finding. */
  read(bytes: Uint8Array, seed: Seed): unknown
  readonly nest?: Nest
  readonly within?: Within
}

const root = join(import.meta.dirname, '..', '..')
/** Larger files are mostly weights, which mutations hit to no effect. */
const MAX_SEED = 400_000
/** Of an archive that is packed anew for each mutation. */
const SMALL = 60_000
/** Files of one format, spread over those there are. */
const MAX_SEEDS = 96

function filesOf(patterns: readonly string[], largest = MAX_SEED): Seed[] {
  const places = [join(root, 'test/assets')]
  const { STRATA_ASSETS } = process.env
  if (STRATA_ASSETS) places.push(join(STRATA_ASSETS, 'models/formats'))
  const seeds: Seed[] = []
  for (const place of places) {
    if (!existsSync(place)) continue
    for (const path of globSync(patterns as string[], { cwd: place }).sort()) {
      const bytes = readFileSync(join(place, path))
      if (bytes.length <= largest) seeds.push({ name: path, bytes, folder: dirname(join(place, path)) })
    }
  }
  const step = Math.max(1, seeds.length / MAX_SEEDS)
  return seeds.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step))
}

const made = (name: string, bytes: Uint8Array): Seed => ({ name, bytes })
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Reads a model as `strata inspect` does: detection, reader, verifier. */
async function readModel(bytes: Uint8Array, seed: Seed): Promise<void> {
  const name = basename(seed.name)
  const beside = (n: string): Uint8Array | undefined => {
    const path = seed.folder && join(seed.folder, basename(n))
    return path && existsSync(path) ? readFileSync(path) : undefined
  }
  const files: ModelFiles = { where: `fuzz/${name}`, file: bytes, list: () => [name], read: beside }
  await openModel(files)
}

const model = (
  format: string,
  patterns: readonly string[],
  more: Pick<Subject, 'nest' | 'within'> = {},
): Subject => ({
  format,
  seeds: () => filesOf(patterns),
  read: readModel,
  ...more,
})

const data = (format: string, seeds: () => Seed[], more: Pick<Subject, 'nest' | 'within'> = {}): Subject => ({
  format,
  seeds,
  read: (bytes) => readers[format]!(bytes, `fuzz.${format}`),
  ...more,
})

const image = tensorOf(
  'uint8',
  [5, 7, 3],
  Uint8Array.from({ length: 105 }, (_, i) => i * 2),
)
const header = (...words: number[]): Uint8Array => Uint8Array.from(words)

/** An uncompressed Windows bitmap of 24 bits, rows padded to 4 bytes. */
function bitmap(width: number, height: number): Uint8Array {
  const stride = Math.ceil((width * 3) / 4) * 4
  const out = Buffer.alloc(54 + stride * height, 0x80)
  out.write('BM')
  for (const [at, value] of [
    [2, out.length],
    [6, 0],
    [10, 54],
    [14, 40],
    [18, width],
    [22, height],
    [26, 1 | (24 << 16)],
    [30, 0],
    [34, 0],
    [38, 0],
    [42, 0],
    [46, 0],
    [50, 0],
  ] as const) {
    out.writeUInt32LE(value, at)
  }
  return out
}

const textGraph = `graph net(x: float32[batch, 3]) -> (y) {
  w: float32[3, 2] = [1, 2, 3, 4, 5, 6]
  t: float32[batch, 2] = matMul(x, w) {} "dense/MatMul"
  y: float32[batch, 2] = clamp(t) {low: 0, high: inf} "relu" from ["dense", "fuse"]
}`

/** A graph (7) in an attribute (5, 6) of a node (1) of a graph … */
const nestOnnx: Nest = (depth) => {
  const inner = nestProtobuf([1, 5, 6])(depth)
  return Buffer.concat([Buffer.from([8, 8, 0x3a]), varint(inner.length), inner])
}

function varint(value: number): Uint8Array {
  const out: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) out.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...out, rest])
}

export const subjects: readonly Subject[] = [
  model('onnx', ['**/*.onnx'], { nest: nestOnnx, within: withinOnnx }),
  model('tflite', ['**/*.tflite'], { within: withinWords }),
  model('tfjs', ['**/model.json'], {
    nest: nestText('{"format":"graph-model","modelTopology":', '[', ']', '}'),
    within: withinJson,
  }),
  {
    format: 'text',
    seeds: () => [made('net.txt', bytesOf(textGraph))],
    read: readModel,
    nest: nestText('graph g(x: ', 'sequence<'),
  },
  data(
    'npy',
    () => [
      made('f32.npy', writeNpy(tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 6]))),
      made('text.npy', writeNpy(tensorOf('string', [2], ['a', 'bc']))),
      made('i64.npy', writeNpy(tensorOf('int64', [3], [1, 2, 3]))),
      made('pixels.npy', writeNpy(image)),
    ],
    { nest: nestText("\x93NUMPY\x01\x00v\x00{'descr': ", '(') },
  ),
  data('npz', () => filesOf(['**/*.npz'], SMALL), { within: withinZip }),
  data('zip', () => filesOf(['**/*.npz', '**/*.keras', '**/*.pt'], SMALL), { within: withinZip }),
  data('gzip', () => [made('a.gz', gzipSync(Buffer.alloc(5000, 'strata')))], { within: withinGzip }),
  data('idx', () => [
    made(
      'images.idx',
      Buffer.concat([header(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4), Buffer.alloc(32, 7)]),
    ),
    made('labels.idx', Buffer.concat([header(0, 0, 8, 1, 0, 0, 0, 5), Buffer.alloc(5, 3)])),
  ]),
  data('jpeg', () => filesOf(['**/*.jpg'])),
  data('png', () => filesOf(['**/*.png']), { within: withinPng }),
  data('bmp', () => [made('a.bmp', bitmap(7, 5))]),
  data('netpbm', () => [
    made('a.ppm', Buffer.concat([bytesOf('P6\n7 5\n255\n'), image.data as Uint8Array])),
    made('a.pgm', Buffer.concat([bytesOf('P5 # grey\n7 5\n255\n'), Buffer.alloc(35, 9)])),
  ]),
  data('wav', () => filesOf(['**/*.wav'])),
]
