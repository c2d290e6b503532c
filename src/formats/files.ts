// The model's files on disk. One of the few readers that touch Node.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { InputError } from '../core/errors.ts'
import type { ModelFiles } from './detect.ts'

/** A path on disk as `ModelFiles`. Files beside it are read only when asked for. */
export function filesAt(path: string): ModelFiles {
  let folder: boolean
  try {
    folder = statSync(path).isDirectory()
  } catch {
    throw new InputError(`${path}: no such file. Check the path, or use zoo:NAME (strata zoo lists them).`)
  }
  const base = folder ? path : dirname(path)
  return {
    where: path,
    ...(!folder && { file: readFileSync(path) }),
    list: () => readdirSync(base),
    read: (name) => {
      try {
        return readFileSync(join(base, name))
      } catch {
        return undefined
      }
    },
  }
}

export const isThere = (path: string): boolean => existsSync(path)
