// The report as one HTML file: no network, nothing beside it. The verdict and the tables are plain HTML; the page's script
// adds the graph and the growth curve.

import { bytes, duration, percent, si, significant } from '../../core/figures.ts'
import type { CheckResult, NodeResult, TargetResult } from '../check-result.ts'
import { embedded, html, type Markup, raw } from './markup.ts'
import { pageData } from './page/data.ts'
import { graphView } from './page/graph-view.ts'
import { growthView } from './page/growth-view.ts'
import { nodePanel } from './page/node-panel.ts'
import { page } from './page/page.ts'
import { styles } from './styles.ts'
import { errorOf, growthWords, judged, labelsWords, verdictWords, wrong } from './words.ts'

const figure = (x: number): string => significant(x, 3)

/** The whole page. */
export function htmlReport(result: CheckResult): string {
  const drawn = result.graph.length > 0 && result.targets.some((t) => t.nodes.length > 0)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>${result.verdict === 'pass' ? 'Pass' : 'Fail'}: ${result.model.name} · Strata</title>
<style>${raw(styles)}</style>
</head>
<body>
<main>
${head(result)}
${targetTable(result)}
${findings(result)}
${forms(result)}
${drawn && graphSection(result)}
${worstInputs(result)}
${timing(result)}
${setting(result)}
<footer>Made by Strata ${result.machine.strata ?? ''} on ${result.created.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}. This file needs no network.</footer>
</main>
${
  drawn &&
  html`<script type="application/json" id="data">${embedded(pageData(result))}</script>
<script>
(${raw(page.toString())})({
graphView: ${raw(graphView.toString())},
growthView: ${raw(growthView.toString())},
nodePanel: ${raw(nodePanel.toString())},
figure: (x) => (${raw(significant.toString())})(x, 3),
})
</script>`
}
</body>
</html>
`.text
}

function head({ model, data, verdict, says, targets }: CheckResult): Markup {
  const fact = (name: string, value: string): Markup => html`<span>${name} <b>${value}</b></span>`
  return html`<header>
<h1>${model.name}</h1>
<div class="verdict ${verdict}" id="verdict"><strong class="word">${verdict === 'pass' ? 'PASS' : 'FAIL'}</strong><p>${says}</p></div>
<div class="facts">
${fact('format', model.format)}${model.bytes > 0 && fact('file', bytes(model.bytes))}
${fact('nodes', String(model.nodes))}${fact('parameters', si(model.parameters))}${fact('multiply-accumulates', si(model.macs))}
${fact('inputs judged', `${data.samples}${data.labelled ? ', labelled' : ''}`)}${fact('targets run', String(targets.filter(judged).length))}
</div>
</header>`
}

function targetTable(result: CheckResult): Markup {
  const there = result.targets.filter((t) => judged(t) || wrong(t))
  // Variants of one target mostly fail for one reason.
  const unrun = Map.groupBy(
    result.targets.filter((t) => !there.includes(t)),
    (t) => t.reason ?? t.says,
  )
  const labelled = there.some((t) => t.accuracy)
  const scored = there.some((t) => t.labels)
  const blamed = there.some((t) => t.first || t.fused || t.reason)
  const cell = (label: string, value: string | Markup | null, number = false): Markup =>
    html`<td data-label="${label}" class="${number ? 'n' : ''}${value ? '' : ' empty'}">${value ?? ''}</td>`
  const row = (t: TargetResult): Markup => html`<tr>
${cell('target', html`<div><b>${t.target}</b><div class="muted small">${t.version ?? ''}</div></div>`)}
${cell('verdict', html`<span class="chip ${t.verdict}">${verdictWords[t.verdict]}</span>`)}
${scored && cell('same label', t.labels ? labelsWords(t.labels) : null, true)}
${labelled && cell('accuracy', t.accuracy?.got.value != null ? percent(t.accuracy.got.value) : null, true)}
${cell('largest error', errorCell(t), true)}
${blamed && cell('first to blame', blame(result, t))}
${cell('time of a run', t.ms ? duration(t.ms.median) : null, true)}
</tr>`
  return html`<section id="targets">
<h2>Targets</h2>
${
  there.length > 0 &&
  html`<table class="stack"><thead><tr><th>target</th><th>verdict</th>${scored && html`<th class="n">same label</th>`}${labelled && html`<th class="n">accuracy</th>`}<th class="n">largest error</th>${blamed && html`<th>first to blame</th>`}<th class="n">time of a run</th></tr></thead>
<tbody>${there.map(row)}</tbody></table>`
}
${
  labelled &&
  html`<p class="small muted">Accuracy of the reference: ${percent(there.find((t) => t.accuracy)!.accuracy!.expected.value ?? 0)}.</p>`
}
<p class="small muted">The largest error is that of the model's outputs against the float64 reference, beside what rounding alone may do to them. <b>Within rounding</b>: every value, inner ones too, differs by no more than its bound.</p>
${
  unrun.size > 0 &&
  html`<details><summary class="small">Not run: ${[...unrun.values()]
    .flat()
    .map((t) => t.target)
    .join(', ')}</summary>${[...unrun].map(
    ([reason, those]) => html`<p class="small"><b>${those.map((t) => t.target).join(', ')}</b> ${reason}</p>`,
  )}</details>`
}
</section>`
}

function errorCell(t: TargetResult): Markup | null {
  const e = errorOf(t)
  if (!e) return null
  if (e.error === 0) return html`<span>none</span>`
  const ratio = e.bound > 0 ? e.error / e.bound : Infinity
  const of = Number.isFinite(ratio) ? `${figure(ratio)} × bound` : 'none allowed'
  return html`<div>${figure(e.error)}<div class="muted small">${of}</div></div>`
}

function nodeLink(result: CheckResult, t: TargetResult, n: Pick<NodeResult, 'node' | 'index'>): Markup {
  const which = result.targets.filter((x) => x.nodes.length > 0).indexOf(t)
  return html`<button class="link" data-node="${n.index}" data-target="${which}">${n.node}</button>`
}

function blame(result: CheckResult, t: TargetResult): Markup | null {
  if (t.first) return nodeLink(result, t, t.first)
  if (t.fused) {
    const index = result.graph.findIndex((n) => n.node === t.fused!.node)
    return html`<div>${nodeLink(result, t, { node: t.fused.node, index })}<div class="muted small">when fused</div></div>`
  }
  return t.reason ? html`<span class="small">${t.reason}</span>` : null
}

function findings(result: CheckResult): Markup | null {
  const bad = result.targets.filter(wrong)
  if (bad.length === 0) return null
  const card = (t: TargetResult): Markup => {
    const n = t.first
    const item = (term: string, value: string | Markup): Markup => html`<dt>${term}</dt><dd>${value}</dd>`
    return html`<div class="finding"><h3>${t.target}</h3><p>${t.says}</p>
${
  n &&
  html`<dl>
${item('where', html`${nodeLink(result, t, n)} (${n.op})`)}
${item('injected there', `${figure(n.injected)}, where rounding may do ${figure(n.bound)}`)}
${item('inherited there', figure(n.inherited))}
${n.worst && item('got, expected', html`<code>${figure(n.worst.got)}</code>, <code>${figure(n.worst.expected)}</code>`)}
${t.blamed > 1 && item('nodes to blame', String(t.blamed))}
${item('growth', growthWords[t.growth])}
${n.origin.length > 0 && n.origin.join() !== n.node && item('made from', n.origin.join(', '))}
</dl>`
}</div>`
  }
  return html`<section id="findings"><h2>What is wrong</h2>${bad.map(card)}</section>`
}

function forms(result: CheckResult): Markup | null {
  const all = result.targets.flatMap((t) => (t.forms ? [{ target: t.target, says: t.forms.says }] : []))
  if (all.length === 0) return null
  return html`<section id="forms"><h2>Fused multiply-add</h2>${all.map(({ target, says }) => html`<p><strong>${target}</strong> ${says}</p>`)}</section>`
}

const legend = html`<div class="legend">
<span><i style="background:var(--exact)"></i>same bits</span>
<span><i style="background:linear-gradient(90deg,var(--s1),var(--s4))"></i>within the bound of rounding</span>
<span><i style="background:linear-gradient(90deg,var(--b1),var(--b4))"></i>beyond it</span>
<span><i style="background:var(--none)"></i>not seen</span>
</div>`

function graphSection(result: CheckResult): Markup {
  const seen = result.targets.filter((t) => t.nodes.length > 0)
  const choice = html`<label class="small">target <select class="target">${seen.map((t, i) => html`<option value="${i}">${t.target}: ${verdictWords[t.verdict]}</option>`)}</select></label>`
  return html`<section>
<h2>Where the error is born</h2>
<p class="small muted">Every node is coloured by the error that it injects when it is fed equal inputs, against what rounding may do there.</p>
<div class="bar">${choice}
<input type="search" id="search" placeholder="find a node" aria-label="find a node"><span class="small muted" id="matches"></span>
<span class="push"></span><button id="next">next to blame</button><button id="out" aria-label="zoom out">−</button><button id="in" aria-label="zoom in">+</button><button id="fit">fit</button></div>
<div class="graph"><canvas id="graph" tabindex="0" aria-label="The model's graph, ${String(result.graph.length)} nodes. Drag to move, Ctrl and wheel or + and - to zoom."></canvas>
<div class="panel" id="panel" aria-live="polite"><p class="muted">Click a node for its values. Drag to move; Ctrl and the wheel, a pinch, or + and − zoom; 0 fits.</p></div></div>
${legend}
</section>
<section>
<h2>How the error grows</h2>
<div class="bar">${choice}<label class="small"><input type="checkbox" id="relative" checked> relative to the largest value at the node</label></div>
<div class="chart"><canvas id="growth" aria-label="Error along the graph on a logarithmic scale"></canvas></div>
<p class="readout" id="readout"></p>
<div class="legend"><span><i style="background:var(--s4);border-radius:50%;width:10px"></i>injected, coloured as above</span><span><i style="background:var(--inherited);height:3px"></i>inherited</span><span><i style="background:repeating-linear-gradient(90deg,var(--bound) 0 4px,transparent 4px 7px);height:3px"></i>bound of rounding</span></div>
</section>`
}

function worstInputs(result: CheckResult): Markup | null {
  const shown = result.targets.filter((t) => t.worst.length > 0)
  if (shown.length === 0) return null
  // The targets that are wrong come first; the first is open.
  const sorted = [...shown].sort((a, b) => Number(wrong(b)) - Number(wrong(a)))
  return html`<section id="worst"><h2>Inputs with the largest error</h2>
${sorted.map(
  (t, i) =>
    html`<details${i === 0 ? raw(' open') : ''}><summary>${t.target}</summary><div class="cards">${t.worst.map(
      (w) =>
        html`<div class="card">${
          w.picture?.startsWith('data:image/') && html`<img src="${w.picture}" alt="input ${w.input}">`
        }<div class="muted">input ${w.input}</div>${
          w.got === w.expected
            ? html`<div>${w.got}</div>`
            : html`<div>got <b>${w.got}</b></div><div>expected <b>${w.expected}</b></div>`
        }<div class="muted">error ${figure(w.maxAbs)}</div></div>`,
    )}</div></details>`,
)}
</section>`
}

function timing(result: CheckResult): Markup | null {
  const timed = result.targets.filter((t) => t.ms)
  if (timed.length === 0) return null
  const most = Math.max(...timed.map((t) => Math.max(t.ms!.high, t.ms!.median)))
  const share = (ms: number): string => `${((100 * ms) / most).toFixed(2)}%`
  const sorted = [...timed].sort((a, b) => a.ms!.median - b.ms!.median)
  return html`<section id="timing"><h2>Time of a run</h2>
${sorted.map(({ target, ms }) => {
  const { median, low, high, p95 } = ms!
  return html`<div class="time"><span>${target}</span><span class="track"><i style="width:${share(median)}"></i><u style="left:${share(low)};width:${share(high - low)}"></u></span><span class="ms" title="95th percentile ${duration(p95)}">${duration(median)} <span class="muted">(${duration(low)} to ${duration(high)})</span></span></div>`
})}
<p class="small muted">Median with its 95 % interval (bootstrap, ${Math.min(...timed.map((t) => t.ms!.runs))} runs or more each). The runs of all targets took turns. For a comparison to rely on, use <code>strata bench</code>.</p>
</section>`
}

function setting(result: CheckResult): Markup {
  const { model, data, machine } = result
  const described = (all: CheckResult['model']['inputs']): string =>
    all.map((v) => `${v.name}: ${v.dtype}[${v.shape.map((d) => d ?? '?').join(', ')}]`).join('; ')
  const item = (term: string, value: string): Markup | false =>
    value !== '' && html`<dt>${term}</dt><dd>${value}</dd>`
  return html`<section id="reproduce"><h2>How to reproduce</h2>
<pre>${result.command}</pre>
<div class="finding" style="border-left-color:var(--line)"><dl style="margin:0">
${item('model', `${model.source}, digest ${model.digest}`)}
${item('inputs', described(model.inputs))}
${item('outputs', described(model.outputs))}
${item('data', `${data.source}, ${data.samples} inputs${data.seed === null ? '' : `, seed ${data.seed}`}`)}
${item('preprocessing', data.preprocessingSays)}
${item(
  'machine',
  Object.entries(machine)
    .map(([k, v]) => `${k} ${v}`)
    .join(', '),
)}
${result.targets
  .filter(judged)
  .map((t) =>
    item(
      t.target,
      [t.version ?? '', ...Object.entries(t.facts).map(([k, v]) => `${k} ${v}`)].filter(Boolean).join(', '),
    ),
  )}
</dl></div>
${
  data.preprocessing !== null &&
  html`<details><summary class="small">The preprocessing as JSON, for --preprocessing</summary><pre>${JSON.stringify(data.preprocessing, null, 2)}</pre></details>`
}
<details><summary class="small">Operators</summary><p class="small">${Object.entries(model.ops)
    .map(([op, n]) => `${op} ${n}`)
    .join(', ')}</p></details>
</section>`
}
