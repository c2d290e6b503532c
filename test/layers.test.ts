// The folders' order (docs/architecture.md), read from the sources: a folder imports only what stands to its left.

import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/** What each folder may import, beside itself. */
const allowed: Readonly<Record<string, readonly string[]>> = (() => {
  const order: Record<string, string[]> = {
    core: [],
    ir: ['core'],
    formats: ['core', 'ir'],
    data: ['core', 'ir'],
    rewrite: ['core', 'ir'],
  }
  const left = Object.keys(order)
  for (const next of ['compile', 'targets', 'judges', 'search', 'studies']) {
    order[next] = [...left]
    left.push(next)
  }
  order.zoo = ['core', 'ir', 'formats']
  order.studies!.push('zoo')
  order['index.ts'] = [...left, 'zoo']
  order.cli = ['index.ts']
  order.server = ['index.ts']
  return order
})()

/** Node's own modules appear here only: the rest runs in a browser unchanged. */
const touchesNode: readonly (string | RegExp)[] = [
  /^src\/(cli|server)\//,
  /^src\/studies\/store\b/,
  // Files on disk.
  'src/formats/files.ts',
  /^src\/data\/files\b/,
  // Packages that carry models.
  /^src\/zoo\//,
  // Peers live in processes, in native libraries and in packages on disk.
  /^src\/targets\//,
]

type Import = { readonly file: string; readonly specifier: string; readonly type: boolean }

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  const found: Import[] = []
  const statement = /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^'";]*?\sfrom\s+)?'([^']+)'/gm
  for (const m of text.matchAll(statement)) found.push({ file, specifier: m[2]!, type: m[1] !== undefined })
  for (const m of text.matchAll(/\bimport\(\s*'([^']+)'/g))
    found.push({ file, specifier: m[1]!, type: false })
  return found
}

const sources = globSync('{src,examples}/**/*.ts', { cwd: root })
  .map((f) => f.replaceAll('\\', '/'))
  .filter((f) => !f.includes('/node_modules/'))
  .sort()
const product = sources.filter((f) => f.startsWith('src/') && !f.endsWith('.test.ts'))
const folderOf = (path: string): string => path.split('/')[1]!
const target = (i: Import): string => posix.normalize(posix.join(dirname(i.file), i.specifier))

test('a folder imports only what stands to its left', () => {
  const breaches = product
    .flatMap(importsOf)
    .filter((i) => i.specifier.startsWith('.'))
    .filter((i) => {
      const [from, to] = [folderOf(i.file), target(i)]
      if (from === folderOf(to)) return false
      return !to.startsWith('src/') || !(allowed[from] ?? []).includes(folderOf(to))
    })
    .map((i) => `${i.file} imports ${target(i)}`)
  expect(breaches).toEqual([])
})

test('every folder of src has its place in the order', () => {
  expect([...new Set(product.map(folderOf))].filter((f) => !(f in allowed))).toEqual([])
})

test('examples import only the public API', () => {
  const breaches = sources
    .filter((f) => f.startsWith('examples/'))
    .flatMap(importsOf)
    .filter((i) => i.specifier.startsWith('.') && !target(i).startsWith('examples/'))
    .filter((i) => target(i) !== 'src/index.ts')
    .map((i) => `${i.file} imports ${target(i)}`)
  expect(breaches).toEqual([])
})

test('only the places that must touch a process or a file import modules of Node', () => {
  const own = new Set(builtinModules)
  const breaches = product
    .flatMap(importsOf)
    .filter((i) => !i.type && (i.specifier.startsWith('node:') || own.has(i.specifier)))
    .filter((i) => !touchesNode.some((p) => (typeof p === 'string' ? p === i.file : p.test(i.file))))
    .map((i) => `${i.file} imports ${i.specifier}`)
  expect(breaches).toEqual([])
})

test('what the product imports is among its dependencies', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const known = { ...manifest.dependencies, ...manifest.optionalDependencies }
  const missing = product
    .flatMap(importsOf)
    .filter((i) => !i.type && !/^(\.|node:)/.test(i.specifier))
    .map((i) => ({
      ...i,
      name: i.specifier
        .split('/')
        .slice(0, i.specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    }))
    .filter((i) => !(i.name in known))
    .map((i) => `${i.file} imports ${i.name}`)
  expect(missing).toEqual([])
})

test('the reader of imports sees every form', () => {
  const found = importsOf('src/index.ts').map((i) => i.specifier)
  expect(found).toContain('./core/errors.ts')
  expect(importsOf('src/formats/open.ts').map((i) => i.specifier)).toContain('./onnx/read.ts')
})
