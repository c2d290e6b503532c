// The model's files on disk. One of the few readers that touch Node.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { InputError } from '../core/errors.ts'
import type { ModelFiles } from './detect.ts'

/** Node reads no more into one buffer. */
const mostBytes = 2 ** 31 - 1

/** A path on disk as `ModelFiles`. Files beside it are read only when asked for. */
export function filesAt(path: string): ModelFiles {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat)
    throw new InputError(`${path}: no such file. Check the path, or use zoo:NAME (strata zoo lists them).`)
  const folder = stat.isDirectory()
  if (!folder && !stat.isFile()) throw new InputError(`${path}: neither a file nor a folder`)
  if (stat.size > mostBytes)
    throw new InputError(
      `${path}: ${stat.size} bytes, expected less than 2 GiB. Keep the weights in files beside the model (ONNX external data).`,
    )
  const base = folder ? path : dirname(path)
  return {
    where: path,
    ...(!folder && { file: readWhole(path) }),
    list: () => readdirSync(base),
    read: (name) => {
      const part = join(base, name)
      return statSync(part, { throwIfNoEntry: false })?.isFile() ? readWhole(part) : undefined
    },
  }
}

function readWhole(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException
    throw new InputError(`${path}: can't be read: ${code === 'EACCES' ? 'permission denied' : code}`)
  }
}

export const isThere = (path: string): boolean => existsSync(path)
