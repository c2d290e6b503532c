// `npm test`: types, lint and tests. Ends with one plain line that a script can read: N passed, N failed[, N skipped].

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Assertion = {
  readonly status: string
  readonly fullName: string
  readonly failureMessages?: readonly string[] | null
}
type Results = {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly Assertion[]
  }[]
}

const root = join(import.meta.dirname, '..')
const bin = (name: string): string => join(root, 'node_modules/.bin', name)
const folder = mkdtempSync(join(tmpdir(), 'strata-test-'))
const results = join(folder, 'results.json')
const skips = join(folder, 'skips.json')

/** One whole check as one test: tsc and biome. */
function whole(name: string, command: string, args: readonly string[]): boolean {
  const ok = spawnSync(bin(command), args, { cwd: root, stdio: 'inherit' }).status === 0
  process.stdout.write(`${ok ? '✓' : '✗'} ${name}\n`)
  return ok
}

const checks = [
  whole('types (tsc)', 'tsc', ['-p', '.']),
  whole('lint and format (biome)', 'biome', ['check']),
]
const run = spawnSync(
  bin('vitest'),
  [
    'run',
    '--reporter=dot',
    '--reporter=json',
    `--outputFile.json=${results}`,
    `--reporter=${join(root, 'test/skips.ts')}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, STRATA_SKIPS: skips } },
)
let passed = checks.filter(Boolean).length
let failed = checks.length - passed
let skipped = 0
try {
  const report = JSON.parse(readFileSync(results, 'utf8')) as Results
  for (const file of report.testResults) {
    // A file that doesn't even load has no tests to count.
    if (file.status === 'failed' && file.assertionResults.every((a) => a.status !== 'failed')) failed++
    for (const a of file.assertionResults) {
      if (a.status === 'passed') passed++
      else if (a.status === 'failed') failed++
      else skipped++
    }
  }
  const reasons = JSON.parse(readFileSync(skips, 'utf8')) as Record<string, number>
  for (const [reason, n] of Object.entries(reasons)) process.stdout.write(`skipped ${n}: ${reason}\n`)
} catch (e) {
  process.stdout.write(`the tests gave no results: ${e instanceof Error ? e.message : e}\n`)
  failed++
}
if (run.status !== 0 && failed === 0) failed++
rmSync(folder, { recursive: true })
process.stdout.write(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}\n`)
process.exitCode = failed ? 1 : 0
