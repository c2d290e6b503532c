// What the page's script draws from, as columns: a check of ten thousand nodes on ten targets stays a few megabytes.

import type { CheckResult } from '../../check-result.ts'
import { layout, nodeHeight, nodeWidth } from '../layout.ts'

/** A number of the page: four digits; NaN and infinities as strings, as everywhere in JSON. */
type Figure = number | string | null

export type PageTarget = {
  readonly name: string
  readonly verdict: string
  /** By node of the graph; null where the target gave no value. */
  readonly injected: readonly Figure[]
  readonly inherited: readonly Figure[]
  readonly total: readonly Figure[]
  readonly bound: readonly Figure[]
  readonly excess: readonly Figure[]
  readonly magnitude: readonly Figure[]
  /** The element that is furthest beyond its bound, by node: what was got and expected. */
  readonly worst: readonly (readonly [got: Figure, expected: Figure] | null)[]
  /** How the bound was found, by node, as an index into `hows`. */
  readonly how: readonly number[]
  readonly blamed: readonly number[]
}

export type PageData = {
  readonly nodes: readonly {
    readonly name: string
    readonly op: string
    readonly shape: string
    readonly attributes: string
  }[]
  readonly drawing: {
    readonly x: readonly number[]
    readonly y: readonly number[]
    readonly edges: readonly (readonly number[])[]
    readonly width: number
    readonly height: number
    readonly nodeWidth: number
    readonly nodeHeight: number
  }
  readonly histograms: readonly (readonly [low: Figure, high: Figure, counts: readonly number[]])[]
  readonly hows: readonly string[]
  readonly targets: readonly PageTarget[]
}

const short = (x: number): Figure => (Number.isFinite(x) ? Number(x.toPrecision(4)) : String(x))

export function pageData(result: CheckResult): PageData {
  const { graph } = result
  const drawn = layout(graph.map((n) => n.from))
  const hows: string[] = []
  const howIndex = (how: string): number => {
    const at = hows.indexOf(how)
    return at < 0 ? hows.push(how) - 1 : at
  }
  const targets = result.targets
    .filter((t) => t.nodes.length > 0)
    .map((t): PageTarget => {
      const byNode = new Map(t.nodes.map((n) => [n.index, n]))
      const column = (f: 'injected' | 'inherited' | 'total' | 'bound' | 'excess' | 'magnitude'): Figure[] =>
        graph.map((_, i) => {
          const n = byNode.get(i)
          return n ? short(n[f]) : null
        })
      return {
        name: t.target,
        verdict: t.verdict,
        injected: column('injected'),
        inherited: column('inherited'),
        total: column('total'),
        bound: column('bound'),
        excess: column('excess'),
        magnitude: column('magnitude'),
        worst: graph.map((_, i) => {
          const w = byNode.get(i)?.worst
          return w ? [short(w.got), short(w.expected)] : null
        }),
        how: graph.map((_, i) => {
          const n = byNode.get(i)
          return n ? howIndex(n.how) : -1
        }),
        blamed: t.nodes.filter((n) => n.verdict === 'different').map((n) => n.index),
      }
    })
  return {
    nodes: graph.map(({ node, op, shape, attributes }) => ({
      name: node,
      op,
      shape,
      // A scale for each channel says little to a reader.
      attributes: attributes.replace(/\[([^\]]*)\]/g, (all, list: string) => {
        const items = list.split(', ')
        return items.length > 5 ? `[${items.slice(0, 3).join(', ')}, … ${items.length} in all]` : all
      }),
    })),
    drawing: {
      x: drawn.x.map(Math.round),
      y: drawn.y.map(Math.round),
      edges: drawn.edges.map((e) => e.points.map(Math.round)),
      width: drawn.width,
      height: drawn.height,
      nodeWidth,
      nodeHeight,
    },
    histograms: result.histograms.map((h) => [short(h.low), short(h.high), h.counts]),
    hows,
    targets,
  }
}
