// What is published: licences that allow it, and a tarball that installs and runs.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { root, workFolder } from './command.ts'

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Licences that a program under Apache-2.0 may depend on. */
const allowed =
  /^\(?(MIT|ISC|BSD|BSD-2-Clause|BSD-3-Clause|Apache-2\.0|Unlicense|0BSD|CC0-1\.0|BlueOak-1\.0\.0|Python-2\.0|Zlib|MPL-2\.0|WTFPL)(?: (?:AND|OR) [\w.-]+)*\)?$/

test('every dependency has a licence that allows its use', () => {
  const names = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })
  const refused = names.flatMap((name) => {
    const path = join(root, 'node_modules', name, 'package.json')
    if (!existsSync(path)) return []
    const { license, licenses } = JSON.parse(readFileSync(path, 'utf8'))
    const text = typeof license === 'object' ? license.type : (license ?? licenses?.[0]?.type)
    return allowed.test(text ?? '') ? [] : [`${name}: ${text}`]
  })
  expect(refused).toEqual([])
})

test('every dependency has one exact version', () => {
  const versions = Object.entries({
    ...manifest.dependencies,
    ...manifest.optionalDependencies,
    ...manifest.devDependencies,
  }).filter(([, v]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(v as string))
  expect(versions).toEqual([])
})

test('the lock file names the public registry only', () => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8')
  const hosts = new Set([...lock.matchAll(/"resolved": "https?:\/\/([^/"]+)/g)].map((m) => m[1]))
  expect([...hosts].filter((h) => h !== 'registry.npmjs.org')).toEqual([])
})

/** Minutes of network and disk: only where STRATA_SLOW is set, as the CI does. */
test('the packed package installs elsewhere, runs there and has types', {
  timeout: 400_000,
}, (context: TestContext) => {
  if (!process.env.STRATA_SLOW) return context.skip('STRATA_SLOW is unset')
  const folder = workFolder()
  const npm = (cwd: string, ...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync('npm', args, { cwd, encoding: 'utf8', timeout: 390_000 })
    expect(status, stderr).toBe(0)
    return stdout
  }
  npm(root, 'run', 'build')
  npm(root, 'pack', '--pack-destination', folder)
  const tarball = readdirSync(folder).find((f) => f.endsWith('.tgz'))!
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  npm(folder, 'install', '--no-audit', '--no-fund', '--omit=optional', `./${tarball}`)
  const installed = join(folder, 'node_modules', manifest.name)
  expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'bin', 'dist', 'package.json'])
  writeFileSync(
    join(folder, 'net.txt'),
    'graph net(x: float32[2]) -> (y) {\n  y: float32[2] = tanh(x) {} "only"\n}',
  )
  const inspected = spawnSync(
    process.execPath,
    [join(folder, 'node_modules/.bin/strata'), 'check', 'net.txt', '--json', '--target', 'reference'],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  )
  expect(inspected.status, inspected.stderr).toBe(0)
  expect(JSON.parse(inspected.stdout).verdict).toBe('pass')
  writeFileSync(
    join(folder, 'use.ts'),
    `import { inspectModel, openSource, type Inspection } from '${manifest.name}'\nexport const facts: Inspection = inspectModel(await openSource('net.txt'))\n// @ts-expect-error: a wrong use is seen\nexport const wrong: number = facts.format\n`,
  )
  const checked = spawnSync(
    join(root, 'node_modules/.bin/tsc'),
    [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--skipLibCheck',
      '--lib',
      'es2024,dom,esnext',
      'use.ts',
    ],
    { cwd: folder, encoding: 'utf8' },
  )
  expect(checked.stdout).toBe('')
})
