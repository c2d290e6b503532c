// Every reader of bytes in this folder, by name: what a fuzzer feeds. Each returns, or throws InputError and nothing else.

import { gunzip, readZip } from '../core/zip.ts'
import { cifarClasses, readCifar } from './cifar.ts'
import { readIdx } from './idx.ts'
import { decodeImage } from './images.ts'
import { decodeJpeg } from './jpeg.ts'
import { decodeBmp, decodeNetpbm } from './netpbm.ts'
import { readNpy } from './npy.ts'
import { readNpz } from './npz.ts'
import { decodePng } from './png.ts'
import { decodeWav } from './wav.ts'

export const readers: Readonly<Record<string, (bytes: Uint8Array, where: string) => unknown>> = {
  npy: readNpy,
  npz: (bytes, where) => readNpz(bytes, where),
  zip: (bytes, where) => readZip(bytes, where).map((e) => e.read()),
  gzip: (bytes, where) => gunzip(bytes, where),
  idx: readIdx,
  cifar: (bytes, where) => (cifarClasses(bytes) ? readCifar(where, [bytes]) : undefined),
  jpeg: (bytes, where) => decodeJpeg(bytes, where),
  png: decodePng,
  bmp: decodeBmp,
  netpbm: decodeNetpbm,
  image: (bytes, where) => decodeImage(bytes, where),
  wav: decodeWav,
}
