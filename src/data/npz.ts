// NumPy's .npz files: a ZIP archive of .npy files.

import { InputError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import { readZip, writeZip } from '../core/zip.ts'
import { readNpy, writeNpy } from './npy.ts'

/**
 * The arrays of a .npz file by name (without `.npy`), in the file's order. `only` picks names, so that a large
 * archive need not be inflated whole; `limit` is the number of bytes that the archive may inflate to.
 */
export function readNpz(
  bytes: Uint8Array,
  where: string,
  options: { only?: (name: string) => boolean; limit?: number } = {},
): Map<string, Tensor> {
  const arrays = new Map<string, Tensor>()
  for (const entry of readZip(bytes, where, options.limit)) {
    if (entry.name.endsWith('/')) continue
    if (!entry.name.endsWith('.npy')) {
      throw new InputError(`${where}: expected only .npy entries, got ${JSON.stringify(entry.name)}`)
    }
    const name = entry.name.slice(0, -4)
    if (options.only && !options.only(name)) continue
    if (arrays.has(name)) throw new InputError(`${where}: two arrays called ${JSON.stringify(name)}`)
    arrays.set(name, readNpy(entry.read(), `${where}: ${entry.name}`))
  }
  return arrays
}

/** A .npz file of the arrays, deflated. The same bytes for the same content. */
export function writeNpz(arrays: Iterable<readonly [name: string, array: Tensor]>): Uint8Array {
  return writeZip(Array.from(arrays, ([name, t]) => [`${name}.npy`, writeNpy(t)]))
}
