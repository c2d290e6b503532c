// Files appear whole or not at all: written beside their place under another name, then renamed.

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Ctrl-C waits for the few milliseconds that a file takes. */
const ignore = (): void => {}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EEXIST: 'a file stands where a folder is needed',
  EISDIR: 'a folder of that name is there',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a file stands where a folder is needed',
  EROFS: 'the disk is read-only',
}

/** Writes a file, making its folder. What the disk refuses is the input's fault, not ours. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}.part`)
  process.on('SIGINT', ignore)
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(draft, content)
    renameSync(draft, path)
  } catch (e) {
    try {
      rmSync(draft, { force: true })
    } catch {
      // Its folder isn't there either.
    }
    const { code = '' } = e as NodeJS.ErrnoException
    const error = new Error(`${path}: can't be written: ${reasons[code] ?? code}`)
    error.name = 'InputError'
    throw error
  } finally {
    process.off('SIGINT', ignore)
  }
}
