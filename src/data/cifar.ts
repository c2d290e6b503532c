// The binary form of CIFAR-10 (and CIFAR-100): a label byte (two there) and a 32×32 picture as three planes a record.

import { InputError } from '../core/errors.ts'
import { type DataSet, imageSet } from './dataset.ts'

const PLANE = 32 * 32

const cifar10Classes = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const

/** The number of classes of a CIFAR file: whole records whose every label is possible; undefined for anything else. */
export function cifarClasses(bytes: Uint8Array): 10 | 100 | undefined {
  for (const classes of [10, 100] as const) {
    const head = classes === 10 ? 1 : 2
    const record = head + 3 * PLANE
    if (bytes.length === 0 || bytes.length % record !== 0) continue
    let possible = true
    for (let at = head - 1; at < bytes.length && possible; at += record) possible = bytes[at]! < classes
    if (possible) return classes
  }
  return undefined
}

/** Reads one or more CIFAR batches, in order. */
export function readCifar(
  name: string,
  batches: readonly Uint8Array[],
  classes?: readonly string[],
): DataSet {
  const kind = batches[0] && cifarClasses(batches[0])
  if (!kind || batches.some((b) => cifarClasses(b) !== kind)) {
    throw new InputError(
      `${name}: not CIFAR batches: expected whole records of 3073 or 3074 bytes with possible labels`,
    )
  }
  const head = kind === 10 ? 1 : 2
  const record = head + 3 * PLANE
  const count = batches.reduce((n, b) => n + b.length / record, 0)
  const pixels = new Uint8Array(count * 3 * PLANE)
  const labels = new Int32Array(count)
  let n = 0
  for (const b of batches) {
    for (let at = 0; at < b.length; at += record, n++) {
      labels[n] = b[at + head - 1]!
      for (let c = 0; c < 3; c++) {
        for (let i = 0; i < PLANE; i++) pixels[(n * PLANE + i) * 3 + c] = b[at + head + c * PLANE + i]!
      }
    }
  }
  const names = classes ?? (kind === 10 ? cifar10Classes : undefined)
  return imageSet(name, pixels, { height: 32, width: 32, channels: 3 }, labels, names)
}
