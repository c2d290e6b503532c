// The report's Markdown twin: for a pull request or an issue.

import { bytes, duration, percent, si, significant } from '../../core/figures.ts'
import type { CheckResult, TargetResult } from '../check-result.ts'
import { errorOf, growthWords, labelsWords, verdictWords, wrong } from './words.ts'

const figure = (x: number): string => significant(x, 3)

/** A name as code that no Markdown in it can leave. */
export function code(text: string): string {
  const plain = text.replace(/\s+/g, ' ')
  const longest = Math.max(0, ...(plain.match(/`+/g) ?? []).map((run) => run.length))
  const fence = '`'.repeat(longest + 1)
  const pad = plain.startsWith('`') || plain.endsWith('`') ? ' ' : ''
  return `${fence}${pad}${plain}${pad}${fence}`
}

/** Running text on one line: what Markdown or HTML would read as markup is escaped. */
const prose = (text: string): string => text.replace(/\s+/g, ' ').replace(/[\\`*_{}[\]<>|#]/g, '\\$&')

export function markdownReport(result: CheckResult): string {
  const { model, data, targets } = result
  const lines = [
    `# ${result.verdict === 'pass' ? 'Pass' : 'Fail'}: ${prose(model.name)}`,
    '',
    prose(result.says),
    '',
    `${prose(model.format)}${model.bytes > 0 ? `, ${bytes(model.bytes)}` : ''}, ${model.nodes} nodes, ${si(model.parameters)} parameters, ${si(model.macs)} multiply-accumulates; ${data.samples} inputs.`,
    '',
    '| target | verdict | same label | accuracy | largest error | × bound | first to blame | time of a run |',
    '|---|---|---:|---:|---:|---:|---|---:|',
    ...targets.map(row),
    '',
  ]
  for (const t of targets.filter(wrong)) lines.push(...finding(t), '')
  for (const t of targets) if (t.forms) lines.push(`${prose(t.target)}: ${prose(t.forms.says)}`, '')
  lines.push(
    '## How to reproduce',
    '',
    '```sh',
    result.command.replaceAll('```', ''),
    '```',
    '',
    `Model digest ${code(model.digest)}; ${prose(data.source)}${data.seed === null ? '' : `, seed ${data.seed}`}; ${prose(data.preprocessingSays.split('\n')[0]!)}. ${prose(
      Object.entries(result.machine)
        .map(([k, v]) => `${k} ${v}`)
        .join(', '),
    )}.`,
    '',
  )
  return lines.join('\n')
}

function row(t: TargetResult): string {
  const e = errorOf(t)
  const cells = [
    prose(t.version ? `${t.target} ${t.version}` : t.target),
    verdictWords[t.verdict],
    t.labels ? labelsWords(t.labels) : '',
    t.accuracy?.got.value != null ? percent(t.accuracy.got.value) : '',
    e ? figure(e.error) : '',
    e && e.bound > 0 ? figure(e.error / e.bound) : '',
    t.first
      ? code(t.first.node)
      : t.fused
        ? `${code(t.fused.node)} when fused`
        : t.reason
          ? prose(t.reason)
          : '',
    t.ms ? duration(t.ms.median) : '',
  ]
  return `| ${cells.map((c) => c.replaceAll('|', '\\|').replaceAll('\\\\|', '\\|')).join(' | ')} |`
}

function finding(t: TargetResult): string[] {
  const n = t.first
  return [
    `## ${prose(t.target)}`,
    '',
    prose(t.says),
    ...(n
      ? [
          '',
          `- where: ${code(n.node)} (${n.op})`,
          `- injected there: ${figure(n.injected)}, where rounding may do ${figure(n.bound)}`,
          `- inherited there: ${figure(n.inherited)}`,
          ...(n.worst ? [`- got ${figure(n.worst.got)}, expected ${figure(n.worst.expected)}`] : []),
          `- growth: ${growthWords[t.growth]}`,
        ]
      : []),
  ]
}
