// Every network on `wasm` (safe and fast) and `c` at one and two threads, held to the reference within the bounds that `check`
// prints: outputs always, every inner value of networks of up to N (50) million multiply-adds.
//
//   node bench/every-network.ts [--only PATTERN] [--skip PATTERN] [--minutes N] [--inner N] [--out FILE] [--again] [--summary]
//
// The networks run in a process of their own, one after another: its code is warm, and it is started anew where one ends it or takes much
// memory. What was judged stands in FILE (strata-report/every-network.jsonl), a line each, the last of a network counts; what was right or
// refused isn't judged again unless --again is given. --summary judges nothing and says what FILE holds.

import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { type Child, ChildError, startChild } from '../src/targets/child.ts'
import { networks } from '../test/networks.ts'
import type { Question, Row } from './every-network-child.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    skip: { type: 'string', default: '^$' },
    out: { type: 'string', default: 'strata-report/every-network.jsonl' },
    again: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '20' },
    inner: { type: 'string', default: '50' },
    summary: { type: 'boolean', default: false },
  },
})

mkdirSync(dirname(values.out), { recursive: true })

type Line =
  | Row
  | { readonly name: string; readonly kind: string; readonly error: string; readonly refused: boolean }

const good = (verdict: string): boolean => verdict === 'same' || verdict === 'rounding'
/** Right on every form; not read, or not compiled for any form, for a reason that it says; else it is wrong somewhere. */
function stateOf(l: Line): 'agrees' | 'refused' | 'wrong' {
  if ('error' in l) return l.refused ? 'refused' : 'wrong'
  if (l.subjects.every((s) => good(s.verdict))) return 'agrees'
  return l.subjects.every((s) => s.verdict === 'unsupported') ? 'refused' : 'wrong'
}

const known = new Map<string, Line>()
if (existsSync(values.out))
  for (const text of readFileSync(values.out, 'utf8').split('\n').filter(Boolean)) {
    const line = JSON.parse(text) as Line
    known.set(line.name, line)
  }

let child: Child | undefined
/** A process that once held more bytes than this isn't asked again. */
const mostKept = 1.5 * 2 ** 30

function end(): void {
  child?.kill()
  child = undefined
}

async function judged(name: string, kind: string): Promise<Line> {
  child ??= startChild(new URL('./every-network-child.ts', import.meta.url), { memoryBytes: 6 * 2 ** 30 })
  try {
    const question: Question = { name, mostInner: Number(values.inner) * 1e6 }
    return (await child.ask(question, Number(values.minutes) * 60_000)) as Row
  } catch (e) {
    if (!(e instanceof ChildError && e.kind === 'refused')) end()
    const refused = e instanceof ChildError && e.original === 'UnsupportedError'
    return { name, kind, error: (e as Error).message, refused }
  } finally {
    if ((child?.peakBytes() ?? 0) > mostKept) end()
  }
}

const percent = (share: number): string => `${(100 * share).toPrecision(2)} %`
/** Of an output's error in its bound. */
const largestShare = (row: Row): number => Math.max(...row.subjects.map((s) => s.share ?? 0))

function say(line: Line): string {
  if ('error' in line) return `${line.name}: ${line.error}`
  const wrong = line.subjects.filter((s) => !good(s.verdict))
  const size = `${line.nodes} nodes, ${(line.macs / 1e6).toFixed(0)} M multiply-adds`
  if (wrong.length === 0)
    return `${line.name}: ${size}; ${line.inner ? 'every value' : 'outputs'} within bounds, at most ${percent(largestShare(line))} of one`
  // What several say alike is said once.
  const said = Map.groupBy(wrong, (s) => `${s.verdict}: ${s.says}`)
  return `${line.name}: ${size}; ${[...said].map(([what, s]) => `${s.map((x) => x.subject).join('; ')}: ${what}`).join(' | ')}`
}

const all = networks().filter(
  ({ name }) => new RegExp(values.only).test(name) && !new RegExp(values.skip).test(name),
)
const lines: Line[] = []
for (const { name, kind } of all) {
  let line = known.get(name)
  if (!values.summary && (!line || values.again || stateOf(line) === 'wrong')) {
    line = await judged(name, kind)
    appendFileSync(values.out, `${JSON.stringify(line)}\n`)
    console.log(say(line))
  }
  if (line) lines.push(line)
}
end()

const titles = {
  zoo: 'built by the zoo',
  package: 'in npm packages',
  stored: 'stored files (`STRATA_ASSETS`)',
}
console.log(
  '\n| networks | judged | agree on all six forms | of these value by value | refused | disagree | largest share of a bound |',
)
console.log('| --- | --- | --- | --- | --- | --- | --- |')
for (const [kind, title] of Object.entries(titles)) {
  const of = lines.filter((l) => l.kind === kind)
  const count = (state: ReturnType<typeof stateOf>): number => of.filter((l) => stateOf(l) === state).length
  const total = all.filter((n) => n.kind === kind).length
  const judged = of.length === total ? total : `${of.length} of ${total}`
  const agree = of.filter((l) => stateOf(l) === 'agrees') as Row[]
  const inner = agree.filter((l) => l.inner).length
  const share = Math.max(0, ...agree.map(largestShare))
  console.log(
    `| ${title} | ${judged} | ${agree.length} | ${inner} | ${count('refused')} | ${count('wrong')} | ${percent(share)} |`,
  )
}
for (const [state, title] of [
  ['refused', 'Refused'],
  ['wrong', 'Disagree'],
] as const) {
  const of = lines.filter((l) => stateOf(l) === state)
  if (of.length > 0) console.log(`\n${title}:\n${of.map((l) => `- ${say(l)}`).join('\n')}`)
}
