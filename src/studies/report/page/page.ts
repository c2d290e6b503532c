// Runs in the report's page: its source is put there as text, so it may use nothing from outside itself but types and what it
// is given. Joins the graph, the growth curve and the panel: one target and one node are selected in all of them.

import type { PageData } from './data.ts'
import type { graphView } from './graph-view.ts'
import type { growthView } from './growth-view.ts'
import type { nodePanel } from './node-panel.ts'

export type Parts = {
  readonly graphView: typeof graphView
  readonly growthView: typeof growthView
  readonly nodePanel: typeof nodePanel
  readonly figure: (x: number) => string
}

export function page({ graphView, growthView, nodePanel, figure }: Parts): void {
  const data: PageData = JSON.parse(document.getElementById('data')!.textContent!)
  const find = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E
  let target = Math.max(
    0,
    data.targets.findIndex((t) => t.verdict === 'different'),
  )
  let selected: number | null = null

  /** Of the error injected against its bound: 1–4 by hundredfold steps below it, 5–8 by thirtyfold steps beyond it. */
  const level = (t: number, node: number): number => {
    const excess = data.targets[t]?.excess[node]
    if (excess === null || excess === undefined) return -1
    const e = Number(excess)
    if (e === 0) return 0
    const log = Math.log10(e)
    if (e <= 1) return log < -3 ? 1 : log < -2 ? 2 : log < -1 ? 3 : 4
    return log < 1 ? 5 : log < 2 ? 6 : log < 4 ? 7 : 8
  }
  const panel = find('panel')
  const readout = find('readout')
  const graph = graphView(find<HTMLCanvasElement>('graph'), data, level, (i) => select(i, false))
  const growth = growthView(find<HTMLCanvasElement>('growth'), data, level, read, (i) => select(i, true))

  function select(node: number | null, bring: boolean): void {
    selected = node
    graph.select(node, bring)
    growth.select(node)
    if (node !== null) nodePanel(panel, data, level, figure, node, target)
    read(node)
  }
  function read(node: number | null): void {
    const i = node ?? selected
    const t = data.targets[target]
    if (i === null || !t) {
      readout.textContent = 'Point at the curve to read it; click to see the node.'
      return
    }
    const show = (v: number | string | null | undefined): string =>
      v === null || v === undefined ? '–' : figure(Number(v))
    readout.textContent = `${data.nodes[i]!.op} ${data.nodes[i]!.name}: injected ${show(t.injected[i])}, inherited ${show(t.inherited[i])}, bound ${show(t.bound[i])}, largest value ${show(t.magnitude[i])}`
  }
  function show(t: number): void {
    target = t
    for (const s of document.querySelectorAll<HTMLSelectElement>('select.target')) s.value = String(t)
    graph.show(t)
    growth.show(t)
    if (selected !== null) nodePanel(panel, data, level, figure, selected, target)
    find('next').hidden = data.targets[t]!.blamed.length === 0
    read(null)
  }

  for (const s of document.querySelectorAll<HTMLSelectElement>('select.target'))
    s.addEventListener('change', () => show(Number(s.value)))
  find('in').addEventListener('click', () => graph.zoom(1.4))
  find('out').addEventListener('click', () => graph.zoom(1 / 1.4))
  find('fit').addEventListener('click', () => graph.whole())
  find('next').addEventListener('click', () => {
    const { blamed } = data.targets[target]!
    select(blamed.find((i) => selected === null || i > selected) ?? blamed[0]!, true)
  })
  const relative = find<HTMLInputElement>('relative')
  relative.addEventListener('change', () => growth.relative(relative.checked))

  // Search: every word must occur in the node's name, operator or shape.
  const search = find<HTMLInputElement>('search')
  let matches: number[] = []
  let shown = -1
  search.addEventListener('input', () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean)
    const texts = data.nodes.map((n) => `${n.op} ${n.name} ${n.shape}`.toLowerCase())
    matches = words.length
      ? texts.flatMap((text, i) => (words.every((w) => text.includes(w)) ? [i] : []))
      : []
    shown = -1
    graph.highlight(words.length ? new Set(matches) : null)
    find('matches').textContent = words.length ? `${matches.length} of ${data.nodes.length}` : ''
  })
  search.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || matches.length === 0) return
    shown = (shown + 1) % matches.length
    select(matches[shown]!, true)
  })

  // Links to nodes in the text above.
  document.addEventListener('click', (e) => {
    const link = (e.target as HTMLElement).closest<HTMLElement>('[data-node]')
    if (!link) return
    const t = Number(link.dataset.target)
    if (t >= 0) show(t)
    select(Number(link.dataset.node), true)
    find('graph').scrollIntoView({ block: 'center' })
  })
  if (data.targets.length > 0) {
    show(target)
    // The first to blame, else the one nearest to its bound.
    const { blamed, excess } = data.targets[target]!
    let [nearest, most] = [0, -1]
    excess.forEach((e, i) => {
      if (e !== null && Number(e) > most) [nearest, most] = [i, Number(e)]
    })
    select(blamed[0] ?? nearest, false)
  }
}
