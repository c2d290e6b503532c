// The document of `bench` as a picture: a bar for each subject (the median) with a mark at the 95th percentile.

import { duration, significant } from '../core/figures.ts'
import { type BenchResult, rowName } from './bench-result.ts'

/** An SVG document; null where nothing was timed. Drawn without a browser. */
export async function benchPlot(result: BenchResult): Promise<string | null> {
  const timed = result.rows.filter((r) => r.medianMs !== null)
  if (timed.length === 0) return null
  const [Plot, { parseHTML }] = await Promise.all([import('@observablehq/plot'), import('linkedom')])
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const several = new Set(timed.map((r) => r.threads)).size > 1
  const bars = timed.map((r) => ({
    model: r.model,
    subject: several ? `${rowName(r)}, ${r.threads} thr.` : rowName(r),
    target: r.target,
    medianMs: r.medianMs!,
    p95Ms: r.p95Ms!,
    label: [duration(r.medianMs!), r.gflops !== null && `${significant(r.gflops, 3)} GFLOP/s`]
      .filter(Boolean)
      .join(' · '),
  }))
  const models = [...new Set(bars.map((b) => b.model))]
  const subjects = [...new Set(bars.map((b) => b.subject))]
  // Models differ by orders of magnitude, so each has a scale of its own: one plot a model, stacked.
  const heading = (model: string): string =>
    `<text x="8" y="14" text-anchor="start" font-size="13" font-weight="600">${escaped(model)}</text>`
  const longest = Math.max(...subjects.map((s) => s.length))
  const height = 50 + 24 * subjects.length
  const width = 760
  const drawn = models.map((model) => {
    const mine = bars.filter((b) => b.model === model)
    const svg = Plot.plot({
      document: document as unknown as Document,
      width,
      height,
      marginLeft: 20 + 6.5 * longest,
      marginRight: 170,
      marginTop: 24,
      x: {
        label: 'milliseconds: median, and 95th percentile of single runs',
        labelArrow: false,
        grid: true,
        domain: [0, Math.max(...mine.map((b) => b.p95Ms))],
      },
      y: { label: null, domain: subjects },
      color: { domain: [...new Set(bars.map((b) => b.target))], scheme: 'tableau10' },
      marks: [
        Plot.barX(mine, { y: 'subject', x: 'medianMs', fill: 'target' }),
        Plot.tickX(mine, { y: 'subject', x: 'p95Ms', strokeWidth: 1.5 }),
        Plot.text(mine, { y: 'subject', x: 'p95Ms', text: 'label', textAnchor: 'start', dx: 6 }),
        Plot.ruleX([0]),
      ],
    }) as unknown as { innerHTML: string }
    return svg.innerHTML
  })
  const body = drawn
    .map((inner, i) => `<g transform="translate(0 ${i * (height + 10)})">${heading(models[i]!)}${inner}</g>`)
    .join('\n')
  const total = models.length * (height + 10)
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${total}" viewBox="0 0 ${width} ${total}" font-family="system-ui, sans-serif" font-size="11" fill="currentColor" text-anchor="middle">\n<rect width="100%" height="100%" fill="white"/>\n${body}\n</svg>\n`
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
