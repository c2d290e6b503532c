// Data sets: numbered samples with labels where there are any, decoded when asked for. Files are reached through a small
// interface, so that a page can serve them from memory.

import { InputError } from '../core/errors.ts'
import { digest, digestText } from '../core/hash.ts'
import type { Tensor } from '../core/tensor.ts'
import type { DecodedImage } from './pixels.ts'
import type { Sound } from './wav.ts'

/** One thing to show a network, before its preprocessing. */
export type Sample =
  /** An image or sound file as it is; preprocessing says how to decode it. */
  | { kind: 'file'; name: string; bytes: Uint8Array }
  | { kind: 'image'; name: string; image: DecodedImage }
  | { kind: 'sound'; name: string; sound: Sound }
  /** The network's input itself, with a first axis of 1. */
  | { kind: 'tensor'; name: string; tensor: Tensor }
  /** The inputs of a network with several, by name. */
  | { kind: 'tensors'; name: string; tensors: ReadonlyMap<string, Tensor> }

export type DataSet = {
  readonly name: string
  readonly size: number
  /** Class of each sample, where known. */
  readonly labels?: Int32Array
  /** Names of the classes, where known. */
  readonly classes?: readonly string[]
  /** Sample i, 0 ≤ i < size. Throws InputError when its file is damaged. */
  item(i: number): Promise<Sample>
  /** Changes when any sample, label or their order does. Reads everything once. */
  digest(): Promise<string>
}

/** What reading a data set needs of the world. Paths are separated by `/`. */
export type FileSystem = {
  /** The bytes of a file; throws InputError when there is none. */
  read(path: string): Promise<Uint8Array>
  /** The entries of a folder, sorted by name; undefined when the path is not a folder. */
  list(path: string): Promise<Entry[] | undefined>
}

export type Entry = { name: string; folder: boolean }

/** Throws unless i is the number of a sample. */
export function checkIndex(name: string, i: number, size: number): void {
  if (!Number.isInteger(i) || i < 0 || i >= size) {
    throw new InputError(`${name}: sample ${i}, expected 0 to ${size - 1}`)
  }
}

/** A digest of labels and of one part after another. */
export async function digestOf(parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, labels?: Int32Array) {
  const digests: string[] = labels
    ? [digest(new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength))]
    : []
  for await (const part of parts) digests.push(digest(part))
  return digestText(digests.join('\n'))
}

/** The chosen samples of a set, in the given order. */
export function subset(set: DataSet, indices: readonly number[]): DataSet {
  for (const i of indices) checkIndex(set.name, i, set.size)
  return {
    name: set.name,
    size: indices.length,
    ...(set.labels ? { labels: Int32Array.from(indices, (i) => set.labels![i]!) } : {}),
    ...(set.classes ? { classes: set.classes } : {}),
    item: async (i) => {
      checkIndex(set.name, i, indices.length)
      return set.item(indices[i]!)
    },
    digest: async () => digestText(`${await set.digest()}\n${indices.join(',')}`),
  }
}

/** A set of files that are read when asked for. */
export function fileSet(
  name: string,
  fs: FileSystem,
  paths: readonly string[],
  labels?: Int32Array,
  classes?: readonly string[],
): DataSet {
  return {
    name,
    size: paths.length,
    ...(labels ? { labels } : {}),
    ...(classes ? { classes } : {}),
    item: async (i) => {
      checkIndex(name, i, paths.length)
      return { kind: 'file', name: paths[i]!, bytes: await fs.read(paths[i]!) }
    },
    digest: () =>
      digestOf(
        (async function* () {
          for (const p of paths) yield await fs.read(p)
        })(),
        labels,
      ),
  }
}

/** Images that lie one behind another in memory: [count, height, width, channels] of bytes. */
export function imageSet(
  name: string,
  bytes: Uint8Array,
  form: { height: number; width: number; channels: 1 | 3 | 4 },
  labels?: Int32Array,
  classes?: readonly string[],
): DataSet {
  const each = form.height * form.width * form.channels
  const size = each === 0 ? 0 : Math.floor(bytes.length / each)
  if (labels && labels.length !== size) {
    throw new InputError(`${name}: ${size} images, but ${labels.length} labels`)
  }
  const colours = form.channels === 1 ? 'gray' : form.channels === 3 ? 'rgb' : 'rgba'
  return {
    name,
    size,
    ...(labels ? { labels } : {}),
    ...(classes ? { classes } : {}),
    item: async (i) => {
      checkIndex(name, i, size)
      const data = bytes.subarray(i * each, (i + 1) * each)
      return { kind: 'image', name: `${name} #${i}`, image: { ...form, colours, orientation: 1, data } }
    },
    digest: () => digestOf([bytes], labels),
  }
}
