// The file system of Node as data sets see it: the only file here that knows Node.

import { readdir, readFile, stat } from 'node:fs/promises'
import { InputError } from '../core/errors.ts'
import type { FileSystem } from './dataset.ts'

const reasons: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'is a folder, expected a file',
  ERR_FS_FILE_TOO_LARGE: 'larger than 2 GiB',
}

const explain = (path: string, e: unknown): InputError => {
  const code = (e as NodeJS.ErrnoException).code ?? String(e)
  return new InputError(`${path}: ${reasons[code] ?? code}`)
}

export const nodeFiles: FileSystem = {
  read: async (path) => {
    try {
      const buffer = await readFile(path)
      return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    } catch (e) {
      throw explain(path, e)
    }
  },
  list: async (path) => {
    try {
      if (!(await stat(path)).isDirectory()) return undefined
      const entries = await readdir(path, { withFileTypes: true })
      const marked = await Promise.all(
        entries.map(async (e) => {
          const folder = e.isSymbolicLink() ? await isFolder(`${path}/${e.name}`) : e.isDirectory()
          return { name: e.name, folder }
        }),
      )
      return marked.sort((a, b) => (a.name < b.name ? -1 : 1))
    } catch (e) {
      throw explain(path, e)
    }
  },
}

const isFolder = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
