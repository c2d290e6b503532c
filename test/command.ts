// Runs the command line as users do: the launcher in a process of its own, in a folder of its own.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export const root = join(import.meta.dirname, '..')
export const launcher = join(root, 'bin/strata.js')

/** A folder that is gone when the test is over. */
export function workFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'strata-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string }

export function strata(cwd: string, ...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, ...args], {
    cwd,
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 2 ** 28,
  })
  return { status, stdout, stderr }
}
