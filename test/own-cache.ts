// A cache folder of a test file's own: nothing of the user's is read or written.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'

/** Sets the cache's place to a new folder for all tests of the file that calls, and removes it after them. Gives the folder. */
export function ownCache(): string {
  const folder = mkdtempSync(join(tmpdir(), 'strata-test-'))
  const old = process.env.XDG_CACHE_HOME
  beforeAll(() => {
    process.env.XDG_CACHE_HOME = folder
  })
  afterAll(() => {
    if (old === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = old
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}
