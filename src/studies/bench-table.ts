// The document of `bench` for people: a Markdown table a model and number of threads, the ratios, and what to know about them.

import { bytes, duration, percent, significant } from '../core/figures.ts'
import { sayMachine } from '../targets/processor.ts'
import { type BenchGroup, type BenchResult, type BenchRow, rowName } from './bench-result.ts'

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`

/** A Markdown table; every column but the first is set to the right unless `left` names it. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  left: readonly string[],
): string {
  const rule = head.map((h, i) => (i === 0 || left.includes(h) ? '---' : '---:'))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/** The whole result in Markdown. */
export function benchMarkdown(result: BenchResult): string {
  const parts = [`${sayMachine(result.machine)}.`]
  if (result.peaks.length > 0) {
    const said = result.peaks.map(
      (p) =>
        `${p.engine} ${significant(p.gops, 3)} ${p.kind === 'int8' ? 'GOP/s' : 'GFLOP/s'} (${p.threads} thread${p.threads > 1 ? 's' : ''}, ${p.how})`,
    )
    parts.push(`Measured peak: ${said.join('; ')}. Shares are of the first at as many threads.`)
  }
  for (const group of result.groups) parts.push(...groupMarkdown(group, result))
  return `${parts.join('\n\n')}\n`
}

function groupMarkdown(group: BenchGroup, result: BenchResult): string[] {
  const mine = <T extends { model: string; threads: number }>(all: readonly T[]): T[] =>
    all.filter((r) => r.model === group.model && r.threads === group.threads)
  const rows = mine(result.rows)
  const timed = rows.filter((r) => r.medianMs !== null)
  const parts = [
    `## ${group.model}, ${group.threads} thread${group.threads > 1 ? 's' : ''} (${significant((2 * group.macs) / 1e9, 3)} GFLOP)`,
  ]
  if (timed.length > 0) {
    const head = ['target', 'engine', 'version', 'outputs', 'median', 'p95', 'processor time', 'GFLOP/s', 'of peak', 'memory', 'start-up'] // biome-ignore format: a row
    parts.push(table(head, timed.map(rowCells), ['engine', 'version', 'outputs']))
  }
  const without = rows.filter((r) => r.medianMs === null)
  if (without.length > 0)
    parts.push(without.map((r) => `- ${rowName(r)}: ${r.verdict}: ${r.says}`).join('\n'))
  const ratios = mine(result.ratios)
  if (ratios.length > 0) {
    const head = ['faster', 'slower', 'ratio', `${percent(result.confidence)} interval`]
    const cells = ratios.map((r) => [
      r.faster,
      r.slower,
      `${significant(r.ratio, 3)}${r.different === false ? ' (no sure difference)' : ''}`,
      `${significant(r.low, 3)} to ${significant(r.high, 3)}`,
    ])
    const by = result.clock === 'cpu' ? 'Ratios and GFLOP/s by processor time.' : ''
    parts.push(by + (by ? '\n\n' : '') + table(head, cells, ['slower']))
  }
  if (ratios.some((r) => r.different === null)) {
    parts.push('Too few rounds to call any difference sure. Raise the repeats.')
  }
  const profiles = timed.filter((r) => r.profile)
  for (const r of profiles) parts.push(profileMarkdown(r))
  parts.push(...notes(group))
  return parts
}

function rowCells(r: BenchRow): string[] {
  const ms = (x: number | null): string => (x === null ? '' : duration(x))
  return [
    rowName(r),
    r.engine,
    r.version ?? '',
    r.verdict === 'same'
      ? 'equal'
      : `${r.verdict}${r.error ? ` (${significant(r.error, 2)} of the largest${r.within === null ? '' : `, ${significant(r.within, 2)} allowed`})` : ''}`,
    ms(r.medianMs),
    ms(r.p95Ms),
    ms(r.cpuMs),
    r.gflops === null ? '' : significant(r.gflops, 3),
    r.share === null ? '' : percent(r.share),
    r.peakBytes === null ? '' : bytes(r.peakBytes),
    r.startCpuMs === null ? ms(r.startMs) : `${ms(r.startMs)} (processor ${ms(r.startCpuMs)})`,
  ]
}

/** The nodes that take most of the time, and the share of the rest. */
function profileMarkdown(r: BenchRow): string {
  const nodes = r.profile!.toSorted((a, b) => b.ms - a.ms)
  const total = nodes.reduce((s, n) => s + n.ms, 0) || 1
  const shown = nodes.slice(0, 20)
  const cells = shown.map((n) => [n.node, n.what ?? '', duration(n.ms), percent(n.ms / total)])
  const rest = nodes.slice(20)
  if (rest.length > 0) {
    const ms = rest.reduce((s, n) => s + n.ms, 0)
    cells.push([`${rest.length} more`, '', duration(ms), percent(ms / total)])
  }
  return `${rowName(r)} by node:\n\n${table(['node', 'what', 'time', 'share'], cells, ['what'])}`
}

function notes(group: BenchGroup): string[] {
  const out: string[] = []
  if (group.comparedWith === 'each other') {
    out.push(
      'The outputs were compared with each other (the reference would take too long), within an estimated bound.',
    )
  }
  const { othersCores, stealShare } = group
  if (othersCores !== null && othersCores > 0.1) {
    out.push(
      `Others used ${significant(othersCores, 2)} cores meanwhile: wall times are too long. Measure on a quiet machine, or by processor time.`,
    )
  }
  if (stealShare !== null && stealShare > 0.02) {
    out.push(`The host gave ${percent(stealShare)} of the time to other guests.`)
  }
  return out
}
