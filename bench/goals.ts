// What every comparison of this folder shares: its options, goals beside what was reached, and files of the results.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { InputError } from '../src/core/errors.ts'
import { benchSubjects } from '../src/studies/bench.ts'
import type { BenchOptions, BenchSubject } from '../src/studies/bench-options.ts'
import { subjectName } from '../src/studies/bench-options.ts'
import { benchPlot } from '../src/studies/bench-plot.ts'
import { type BenchResult, speedOver } from '../src/studies/bench-result.ts'
import { benchMarkdown } from '../src/studies/bench-table.ts'

export type Arguments = {
  readonly models: readonly string[]
  readonly subjects: readonly BenchSubject[]
  readonly threads: readonly number[]
  /** Of the processor, where a comparison can hide what is newer. */
  readonly isa: string | undefined
  /** For results; nothing is written without it. */
  readonly out: string | undefined
  /** What goes to `bench` as it is. */
  readonly options: Pick<
    BenchOptions,
    'repeats' | 'sampleMs' | 'clock' | 'perNode' | 'referenceMacs' | 'progress' | 'signal'
  >
}

/**
 * `--models a,b --targets wasm:fast,c --threads 1,2 --repeats 15 --sample 100 --clock cpu --per-node --agree --allow mnn=1e-3 --out DIR`.
 * `--allow`: the largest error of a peer that is less accurate than is promised of ours.
 */
export function readArguments(defaults: {
  readonly models: readonly string[]
  readonly targets: readonly string[]
  readonly threads: readonly number[]
}): Arguments {
  const { values } = parseArgs({
    options: {
      models: { type: 'string', default: defaults.models.join(',') },
      targets: { type: 'string', default: defaults.targets.join(',') },
      threads: { type: 'string', default: defaults.threads.join(',') },
      isa: { type: 'string' },
      repeats: { type: 'string', default: '15' },
      sample: { type: 'string', default: '100' },
      clock: { type: 'string', default: 'wall' },
      'per-node': { type: 'boolean', default: false },
      agree: { type: 'boolean', default: false },
      allow: { type: 'string', default: '' },
      out: { type: 'string' },
    },
  })
  const list = (text: string): string[] => text.split(',').filter(Boolean)
  const allowed = new Map(list(values.allow).map(allowance))
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(new Error('stopped')))
  return {
    models: list(values.models),
    subjects: list(values.targets).flatMap((name) => {
      try {
        return benchSubjects([name]).map((s) => {
          const within = allowed.get(s.target.name)
          return within === undefined ? s : { ...s, within }
        })
      } catch (e) {
        // A target that isn't there costs its own rows only.
        process.stderr.write(`${(e as Error).message}\n`)
        return []
      }
    }),
    threads: list(values.threads).map(Number),
    isa: values.isa,
    out: values.out,
    options: {
      repeats: Number(values.repeats),
      sampleMs: Number(values.sample),
      clock: values.clock === 'cpu' ? 'cpu' : 'wall',
      perNode: values['per-node'],
      // Every output is held to the reference, unless agreement between the targets will do.
      referenceMacs: values.agree ? 8e9 : Infinity,
      signal: stop.signal,
      progress: (done, total, what) => {
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${done}/${total} ${what}`)
      },
    },
  }
}

/** `mnn=1e-3`. Throws an InputError for ours: what is promised of them holds at an error that isn't an option. */
function allowance(text: string): readonly [target: string, within: number] {
  const [name = '', share] = text.split('=')
  const within = Number(share)
  if (name === 'c' || name === 'wasm' || !(within > 0))
    throw new InputError(`--allow: expected PEER=ERROR, such as mnn=1e-3, got ${text}`)
  return [name, within]
}

/** One promise: the subject has at least `ratio` times the peer's throughput. */
export type Goal = {
  readonly model: string
  readonly threads: number
  readonly subject: string
  readonly peer: string
  readonly ratio: number
}

/** Goals beside what was reached, in Markdown. Those whose subject or peer has no time say so. */
export function goalsMarkdown(goals: readonly Goal[], result: BenchResult): string {
  const lines = goals.map((g) => {
    const got = speedOver(result, g.model, g.threads, g.subject, g.peer)
    const cells = got
      ? [
          got.ratio.toFixed(2),
          `${got.low.toFixed(2)} to ${got.high.toFixed(2)}`,
          got.ratio >= g.ratio ? 'met' : 'missed',
        ]
      : ['', '', 'not compared']
    return `| ${[g.model, g.threads, g.subject, g.peer, g.ratio, ...cells].join(' | ')} |`
  })
  return [
    '| model | threads | Strata | peer | goal | throughput ratio | interval | |',
    '| --- | ---: | --- | --- | ---: | ---: | --- | --- |',
    ...lines,
  ].join('\n')
}

/** The name by which a subject is known in ratios: `onnxruntime` was run as `onnxruntime:all`. */
export const knownAs = (subjects: readonly BenchSubject[], name: string): string =>
  subjects.map(subjectName).find((s) => s === name || s.split(':')[0] === name) ?? name

/** Several results of one machine as one. */
export const joined = (results: readonly BenchResult[]): BenchResult => ({
  ...results[0]!,
  rows: results.flatMap((r) => r.rows),
  ratios: results.flatMap((r) => r.ratios),
  groups: results.flatMap((r) => r.groups),
})

/** Prints the tables, unless there is more to come; with `out`, leaves JSON, Markdown and SVG there. */
export async function publish(
  name: string,
  result: BenchResult,
  out: string | undefined,
  extra = '',
  last = true,
): Promise<void> {
  const text = `${benchMarkdown(result)}${extra ? `\n${extra}\n` : ''}`
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  if (last) process.stdout.write(text)
  if (out === undefined) return
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, `${name}.json`), JSON.stringify(result, null, 2))
  writeFileSync(join(out, `${name}.md`), text)
  const svg = await benchPlot(result)
  if (svg !== null) writeFileSync(join(out, `${name}.svg`), svg)
}
