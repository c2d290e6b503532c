// The summary of a check in a terminal: verdict first, then one line a target.

import { bytes, duration, percent, si, significant } from '../../core/figures.ts'
import { table } from '../../core/table.ts'
import type { CheckResult, TargetResult } from '../check-result.ts'
import { errorOf, growthWords, labelsWords, verdictWords, wrong } from './words.ts'

export type Styles = Readonly<Record<'bold' | 'dim' | 'red' | 'green' | 'yellow', (text: string) => string>>

const figure = (x: number): string => significant(x, 3)

export function checkSummary(result: CheckResult, style: Styles): string {
  const { model, data, targets } = result
  const { bold, dim, red, green } = style
  const word = result.verdict === 'pass' ? green(bold('PASS')) : red(bold('FAIL'))
  const facts = [
    model.format,
    model.bytes > 0 && bytes(model.bytes),
    `${model.nodes} nodes`,
    `${si(model.parameters)} parameters`,
    `${si(model.macs)} multiply-accumulates a run`,
  ].filter(Boolean)
  const seed = data.seed === null ? '' : `, seed ${data.seed}`
  const lines = [
    table(
      [],
      [
        [dim('model'), `${bold(model.name)}: ${facts.join(', ')}`],
        [dim('data'), `${data.source}: ${data.samples} inputs${data.labelled ? ' with labels' : ''}${seed}`],
        [dim('prepared'), data.preprocessingSays.split('\n')[0]!.replace(/:$/, '')],
      ],
    ),
    '',
    `${word}  ${result.says}`,
    '',
    targetLines(result, style),
  ]
  if (targets.some((t) => t.verdict === 'rounding'))
    lines.push(
      '',
      dim('within rounding: no value, inner ones included, is further off than its arithmetic allows'),
    )
  for (const t of targets.filter((x) => wrong(x) && x.first)) lines.push('', ...finding(t, style))
  for (const t of targets) if (t.forms) lines.push('', `${bold(t.target)}: ${t.forms.says}`)
  // Variants of one target mostly fail for one reason.
  const unrun = Map.groupBy(
    targets.filter((t) => t.reason !== undefined),
    (t) => t.reason!,
  )
  for (const [reason, those] of unrun) {
    lines.push('', dim(`not run: ${those.map((t) => t.target).join(', ')}`), dim(`  ${shortened(reason)}`))
  }
  return lines.join('\n')
}

/** The report has the whole. */
const shortened = (text: string): string =>
  text.length > 160 ? `${text.slice(0, 150)}… (all in the report)` : text

function targetLines(result: CheckResult, { dim, red, green, yellow }: Styles): string {
  const shown = result.targets.filter((t) => t.verdict !== 'absent')
  if (shown.length === 0) return dim('no target is here')
  const labelled = shown.some((t) => t.labels)
  const truth = shown.find((t) => t.accuracy)?.accuracy?.expected.value
  const verdict = (t: TargetResult): string => {
    const words = verdictWords[t.verdict]
    return wrong(t) ? red(words) : t.verdict === 'unsupported' ? yellow(words) : green(words)
  }
  const head = [
    'target',
    'verdict',
    ...(labelled ? ['same label'] : []),
    ...(truth == null ? [] : ['accuracy']),
    'largest error',
    '× bound',
    'a run',
  ]
  const rows = shown.map((t) => {
    const e = errorOf(t)
    return [
      t.target,
      verdict(t),
      ...(labelled ? [t.labels ? labelsWords(t.labels) : ''] : []),
      ...(truth == null ? [] : [t.accuracy?.got.value == null ? '' : percent(t.accuracy.got.value)]),
      e ? figure(e.error) : '',
      e ? (e.error === 0 ? '0' : e.bound > 0 ? figure(e.error / e.bound) : '∞') : '',
      t.ms ? duration(t.ms.median) : '',
    ]
  })
  const reference = [
    dim('reference'),
    dim('the arbiter'),
    ...(labelled ? [''] : []),
    ...(truth == null ? [] : [dim(percent(truth))]),
    '',
    '',
    dim(duration(result.referenceMs)),
  ]
  return table(head, [...rows, reference])
}

function finding(t: TargetResult, { bold, dim }: Styles): string[] {
  const n = t.first!
  return [
    `${bold(t.target)}: the error is born at ${bold(n.node)} (${n.op})`,
    table(
      [],
      [
        [dim('  injected there'), `${figure(n.injected)}, where rounding may do ${figure(n.bound)}`],
        [dim('  inherited there'), figure(n.inherited)],
        ...(n.worst ? [[dim('  got, expected'), `${figure(n.worst.got)}, ${figure(n.worst.expected)}`]] : []),
        [dim('  growth'), growthWords[t.growth]],
      ],
    ),
  ]
}
