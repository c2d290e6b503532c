// Runs in the report's page: its source is put there as text, so it may use nothing from outside itself but types.

import type { PageData } from './data.ts'
import type { Level } from './graph-view.ts'

/** Fills the panel beside the graph with all that is known of a node. Names are put in as text, never as markup. */
export function nodePanel(
  panel: HTMLElement,
  data: PageData,
  level: Level,
  figure: (x: number) => string,
  node: number,
  target: number,
): void {
  const element = (name: string, text?: string, className?: string): HTMLElement => {
    const e = document.createElement(name)
    if (text !== undefined) e.textContent = text
    if (className) e.className = className
    return e
  }
  const show = (v: number | string | null | undefined): string =>
    v === null || v === undefined ? '–' : figure(Number(v))
  const { name, op, shape, attributes } = data.nodes[node]!
  panel.replaceChildren(element('h3', op), element('code', name))
  const facts = element('dl')
  const fact = (term: string, text: string): void => {
    if (text) facts.append(element('dt', term), element('dd', text))
  }
  fact('result', shape)
  fact('attributes', attributes)
  panel.append(facts)

  const histogram = data.histograms[node]
  if (histogram && histogram[2].length > 0) {
    const [low, high, counts] = histogram
    const top = Math.max(...counts)
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
    svg.setAttribute('viewBox', `0 0 ${counts.length * 10} 64`)
    svg.setAttribute('width', '100%')
    svg.setAttribute('role', 'img')
    svg.setAttribute('aria-label', `Histogram of the reference's values from ${show(low)} to ${show(high)}`)
    counts.forEach((c, i) => {
      // Square roots, so that few values are still seen beside many.
      const height = top > 0 ? Math.sqrt(c / top) * 60 : 0
      const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
      bar.setAttribute('x', String(i * 10 + 1))
      bar.setAttribute('y', String(62 - height))
      bar.setAttribute('width', '8')
      bar.setAttribute('height', String(height))
      bar.setAttribute('fill', 'var(--s3)')
      svg.append(bar)
    })
    const range = element('div', undefined, 'bar small muted')
    range.append(element('span', show(low)), element('span', show(high), 'push'))
    panel.append(element('div', "the reference's values", 'muted'), svg, range)
  }

  const table = element('table')
  const head = element('tr')
  for (const [text, title] of [
    ['target', ''],
    ['injected', 'this node differs when it is fed equal inputs'],
    ['bound', 'what rounding may inject here'],
    ['inherited', 'its inputs already differed'],
  ]) {
    const th = element('th', text, text === 'target' ? '' : 'n')
    if (title) th.title = title
    head.append(th)
  }
  table.append(head)
  data.targets.forEach((t, k) => {
    const row = element('tr')
    if (k === target) row.setAttribute('aria-current', 'true')
    const cell = element('td')
    const dot = element('i')
    const l = level(k, node)
    const colours = ['none', 'exact', 's1', 's2', 's3', 's4', 'b1', 'b2', 'b3', 'b4']
    dot.style.cssText = `display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px;background:var(--${colours[l + 1]})`
    cell.append(dot, t.name)
    row.append(cell)
    for (const column of [t.injected, t.bound, t.inherited])
      row.append(element('td', show(column[node]), 'n'))
    table.append(row)
  })
  const scroll = element('div', undefined, 'scroll')
  scroll.append(table)
  panel.append(scroll)

  const t = data.targets[target]
  const worst = t?.worst[node]
  const detail = element('dl')
  if (worst) {
    detail.append(element('dt', 'got'), element('dd', show(worst[0]), 'mono'))
    detail.append(element('dt', 'expected'), element('dd', show(worst[1]), 'mono'))
  }
  const excess = t?.excess[node]
  if (excess !== null && excess !== undefined && Number(excess) > 0) {
    const times = Number(excess)
    detail.append(
      element('dt', 'of its bound'),
      element('dd', Number.isFinite(times) ? `${figure(times)} times` : 'an exact operator: none is allowed'),
    )
  }
  const how = t && data.hows[t.how[node] ?? -1]
  if (how) detail.append(element('dt', 'the bound is'), element('dd', how))
  panel.append(detail)
}
