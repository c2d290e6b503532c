// Every network on `wasm` (safe and fast) and `c` at one and two threads, held to the reference within the bounds that `check`
// prints: outputs always, every inner value where a network is small.
//
//   node bench/every-network.ts [--only PATTERN] [--skip PATTERN] [--minutes N] [--out FILE] [--again]
//
// Each network runs in a process of its own. What was judged stands in FILE (strata-report/every-network.jsonl), a line each; what was right
// isn't judged again unless --again is given.

import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { startChild } from '../src/targets/child.ts'
import { networks } from '../test/networks.ts'
import type { Row } from './every-network-child.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    skip: { type: 'string', default: '^$' },
    out: { type: 'string', default: 'strata-report/every-network.jsonl' },
    again: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '20' },
  },
})

mkdirSync(dirname(values.out), { recursive: true })

const good = (verdict: string): boolean => verdict === 'same' || verdict === 'rounding'

type Line = Row | { readonly name: string; readonly kind: string; readonly error: string }
const whole = (l: Line): boolean => !('error' in l) && l.subjects.every((s) => good(s.verdict))
const known = new Map<string, Line>()
if (existsSync(values.out) && !values.again)
  for (const text of readFileSync(values.out, 'utf8').split('\n').filter(Boolean)) {
    const line = JSON.parse(text) as Line
    if (whole(line)) known.set(line.name, line)
  }

async function judged(name: string, kind: string): Promise<Line> {
  const child = startChild(new URL('./every-network-child.ts', import.meta.url), { memoryBytes: 6 * 2 ** 30 })
  try {
    return (await child.ask({ name }, Number(values.minutes) * 60_000)) as Row
  } catch (e) {
    return { name, kind, error: (e as Error).message }
  } finally {
    child.kill()
  }
}

function say(line: Line): string {
  if ('error' in line) return `${line.name}: ${line.error}`
  const wrong = line.subjects.filter((s) => !good(s.verdict))
  const size = `${line.nodes} nodes, ${(line.macs / 1e6).toFixed(0)} M multiply-adds`
  const share = Math.max(...line.subjects.map((s) => s.share ?? 0))
  if (wrong.length === 0)
    return `${line.name}: ${size}; ${line.inner ? 'every value' : 'outputs'} within bounds, at most ${share.toPrecision(2)} of one`
  // What several say alike is said once.
  const said = Map.groupBy(wrong, (s) => `${s.verdict}: ${s.says}`)
  return `${line.name}: ${size}; ${[...said].map(([what, s]) => `${s.map((x) => x.subject).join('; ')}: ${what}`).join(' | ')}`
}

const lines: Line[] = []
for (const { name, kind } of networks()) {
  if (!new RegExp(values.only).test(name) || new RegExp(values.skip).test(name)) continue
  let line = known.get(name)
  if (!line) {
    line = await judged(name, kind)
    appendFileSync(values.out, `${JSON.stringify(line)}\n`)
  }
  lines.push(line)
  console.log(say(line))
}

console.log('\n| networks | total | on every form | not |')
console.log('| --- | --- | --- | --- |')
for (const kind of ['zoo', 'package', 'stored']) {
  const of = lines.filter((l) => l.kind === kind)
  console.log(
    `| ${kind} | ${of.length} | ${of.filter(whole).length} | ${of
      .filter((l) => !whole(l))
      .map((l) => l.name)
      .join(', ')} |`,
  )
}
