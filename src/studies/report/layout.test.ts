import { expect, test } from 'vitest'
import { rng } from '../../core/rng.ts'
import { layout, nodeHeight, nodeWidth } from './layout.ts'

/** A random network: chains with branches, joins and far skips. */
function network(nodes: number, seed: number): number[][] {
  const r = rng(seed)
  return Array.from({ length: nodes }, (_, i) => {
    if (i === 0) return []
    const from = [i - 1 - (r.next() < 0.2 ? r.below(Math.min(i, 6)) : 0)]
    if (r.next() < 0.15) from.push(r.below(i))
    return from
  })
}

test('a chain stands in a straight line', () => {
  const { x } = layout(Array.from({ length: 6 }, (_, i) => (i ? [i - 1] : [])))
  expect(new Set(x).size).toBe(1)
})

test('a node stands below all that feed it, within its column', () => {
  const { y } = layout([[], [0], [0], [1, 2], [3, 0]], 0.1)
  expect(y[1]).toBeGreaterThan(y[0]!)
  expect(y[3]).toBeGreaterThan(Math.max(y[1]!, y[2]!))
  expect(y[4]).toBeGreaterThan(y[3]!)
})

test('no two nodes overlap, and all lie inside the drawing', () => {
  for (const seed of [1, 2, 3]) {
    const { x, y, width, height } = layout(network(400, seed))
    const byRow = new Map<number, number[]>()
    x.forEach((v, i) => {
      expect(v).toBeGreaterThanOrEqual(nodeWidth / 2 - 1e-6)
      expect(v).toBeLessThanOrEqual(width - nodeWidth / 2 + 1e-6)
      expect(y[i]! + nodeHeight / 2).toBeLessThanOrEqual(height)
      byRow.set(y[i]!, [...(byRow.get(y[i]!) ?? []), v])
    })
    for (const row of byRow.values()) {
      row.sort((a, b) => a - b)
      row.slice(1).forEach((v, k) => void expect(v - row[k]!).toBeGreaterThanOrEqual(nodeWidth))
    }
  }
})

test('a deep network is cut into columns of about the wanted shape', () => {
  const { width, height } = layout(Array.from({ length: 600 }, (_, i) => (i ? [i - 1] : [])))
  expect(width / height).toBeGreaterThan(1)
  expect(width / height).toBeLessThan(3)
})

test('every edge runs from the lower side of one node to the upper side of the other', () => {
  const from = network(300, 4)
  const { x, y, edges } = layout(from)
  expect(edges.length).toBe(from.reduce((n, f) => n + new Set(f).size, 0))
  for (const e of edges) {
    expect(e.points.slice(0, 2)).toEqual([x[e.from], y[e.from]! + nodeHeight / 2])
    expect(e.points.slice(-2)).toEqual([x[e.to], y[e.to]! - nodeHeight / 2])
  }
})

test('nothing to draw is no error', () => {
  expect(layout([])).toMatchObject({ x: [], y: [], edges: [] })
})
