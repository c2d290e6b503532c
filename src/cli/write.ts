// Files appear whole or not at all: written beside their place under another name, then renamed.

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Ctrl-C waits for the few milliseconds that a file takes. */
const ignore = (): void => {}

/** Writes a file, making its folder. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}.part`)
  process.on('SIGINT', ignore)
  try {
    writeFileSync(draft, content)
    renameSync(draft, path)
  } finally {
    rmSync(draft, { force: true })
    process.off('SIGINT', ignore)
  }
}
