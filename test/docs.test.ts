// What the documentation shows is run: `sh` blocks of a page in order in one folder, `ts` blocks against the public API,
// `output` blocks compared with what the block above them printed, links followed.

import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { launcher, root, workFolder } from './command.ts'

type Block = {
  readonly language: string
  readonly info: string
  readonly text: string
  readonly line: number
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = []
  let open: { info: string; lines: string[]; line: number } | undefined
  for (const [i, line] of markdown.split('\n').entries()) {
    if (!line.startsWith('```')) open?.lines.push(line)
    else if (open) {
      const [language = ''] = open.info.split(' ')
      blocks.push({ language, info: open.info, text: open.lines.join('\n'), line: open.line })
      open = undefined
    } else open = { info: line.slice(3).trim(), lines: [], line: i + 1 }
  }
  return blocks
}

const pages = globSync('{*.md,docs/**/*.md}', { cwd: root }).sort()
const read = (page: string): string => readFileSync(join(root, page), 'utf8')

/** A folder like a checkout, in which `npx strata` is this one. */
function checkout(): { cwd: string; path: string } {
  const cwd = workFolder()
  const bin = join(cwd, '.bin')
  mkdirSync(bin)
  const npx = join(bin, 'npx')
  writeFileSync(
    npx,
    `#!/bin/sh\n[ "$1" = strata ] || exit 127\nshift\nexec '${process.execPath}' '${launcher}' "$@"\n`,
  )
  chmodSync(npx, 0o755)
  symlinkSync(join(root, 'examples'), join(cwd, 'examples'))
  return { cwd, path: `${bin}:${dirname(process.execPath)}:${process.env.PATH}` }
}

const languages = new Set(['sh', 'ts', 'json', 'text', 'output'])
/** A block that can't run in a test says why: `sh no-run: reason`. */
const runs = (b: Block): boolean => !/ no-run: \w/.test(b.info)

test.for(pages)('%s: code runs and prints what is shown', { timeout: 300_000 }, (page) => {
  const { cwd, path } = checkout()
  let printed = ''
  blocksOf(read(page)).forEach((b, i) => {
    const where = `${page}:${b.line}`
    expect(languages.has(b.language), `${where}: a code block of language ${b.language}`).toBe(true)
    if (b.language === 'json') JSON.parse(b.text)
    if (b.language === 'output') expect(printed.trimEnd(), where).toBe(b.text.trimEnd())
    if (!runs(b) || (b.language !== 'sh' && b.language !== 'ts')) return
    let command: [string, string[]] = ['bash', ['-euo', 'pipefail', '-c', b.text]]
    if (b.language === 'ts') {
      const file = join(cwd, `block${i}.ts`)
      writeFileSync(
        file,
        b.text
          .replaceAll("from 'strata'", `from '${pathToFileURL(join(root, 'src/index.ts'))}'`)
          .replaceAll(
            "from 'strata/compiled'",
            `from '${pathToFileURL(join(root, 'src/targets/compiled.ts'))}'`,
          ),
      )
      command = [process.execPath, [file]]
    }
    const { status, stdout, stderr } = spawnSync(...command, {
      cwd,
      env: { ...process.env, PATH: path },
      encoding: 'utf8',
      timeout: 200_000,
    })
    expect(status, `${where}\n${stdout}${stderr}`).toBe(0)
    printed = stdout
  })
})

/** Headings as the anchors that sites of repositories make of them. */
const anchorsOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map((m) =>
    m[1]!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )

test('links between pages lead somewhere', () => {
  const broken = pages.flatMap((page) => {
    const text = read(page).replace(/^```[\s\S]*?^```/gm, '')
    return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map((m) => m[1]!)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const target = path === '' ? page : join(dirname(page), path)
        if (!existsSync(join(root, target))) return true
        return anchor !== undefined && !anchorsOf(read(target)).includes(anchor)
      })
      .map((link) => `${page}: ${link}`)
  })
  expect(broken).toEqual([])
})

test('files that pages name are there', () => {
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/`((?:src|test|bin|docs|examples|bench)\/[\w./*-]+)`/g)].map(
      (m) => [page, m[1]!] as const,
    ),
  )
  expect(named.length).toBeGreaterThan(10)
  const absent = named.filter(([, path]) => globSync(path.replace(/\/$/, ''), { cwd: root }).length === 0)
  expect(absent.map(([page, path]) => `${page}: ${path}`)).toEqual([])
})

test('every page of docs is reached from the README', () => {
  const linked = [...read('README.md').matchAll(/\]\(([^)\s#]+)\)/g)].map((m) => m[1]!)
  expect(globSync('docs/*.md', { cwd: root }).filter((p) => !linked.includes(p))).toEqual([])
})

test('the page of the library names every function of the public API', () => {
  const api = read('docs/api.md')
  const source = readFileSync(join(root, 'src/index.ts'), 'utf8')
  const listed = [...source.matchAll(/^export \{([^}]+)\}/gm)].flatMap((m) =>
    m[1]!
      .split(',')
      .map((n) => n.trim())
      .filter((n) => n !== '' && !n.startsWith('type ')),
  )
  const declared = [...source.matchAll(/^export (?:async function|const) (\w+)/gm)].map((m) => m[1]!)
  expect(listed.length + declared.length).toBeGreaterThan(30)
  expect([...listed, ...declared].filter((name) => !api.includes(`\`${name}\``))).toEqual([])
})

test('no page and no source names a folder of this machine', () => {
  const files = globSync(
    '{*.md,package.json,tsconfig*.json,docs/**/*,src/**/*.{ts,py},test/**/*.ts,bin/*,.ci/*,examples/**/*.{ts,md}}',
    {
      cwd: root,
    },
  ).filter((f) => !/\.png$|\.tmp\.ts$/.test(f))
  // Spelled so that this file doesn't hold them.
  const folder = new RegExp(['/wo', 'rk/|/ro', 'ot/|/ho', 'me/\\w+/'].join(''))
  expect(files.filter((f) => folder.test(readFileSync(join(root, f), 'utf8')))).toEqual([])
})
