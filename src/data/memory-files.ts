// A file system in memory, for pages and tests.

import { InputError } from '../core/errors.ts'
import type { FileSystem } from './dataset.ts'

/** Files by path. */
export function memoryFiles(files: Readonly<Record<string, Uint8Array>>): FileSystem {
  return {
    read: async (path) => {
      const bytes = files[path]
      if (!bytes) throw new InputError(`${path}: no such file`)
      return bytes
    },
    list: async (path) => {
      const prefix = path === '.' || path === '' ? '' : `${path.replace(/\/$/, '')}/`
      const names = new Map<string, boolean>()
      for (const file of Object.keys(files)) {
        if (!file.startsWith(prefix) || file === path) continue
        const [name, ...rest] = file.slice(prefix.length).split('/')
        names.set(name!, rest.length > 0)
      }
      if (names.size === 0) return undefined
      return [...names].map(([name, folder]) => ({ name, folder })).sort((a, b) => (a.name < b.name ? -1 : 1))
    },
  }
}
