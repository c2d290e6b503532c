// A small learned model of cost: gradient-boosted regression trees over features of a schedule, after those of TVM (Chen et al.,
// "Learning to Optimize Tensor Programs", 2018). It ranks candidates before they are measured; nothing is decided by it alone.

import { type Engine, type Extent, evenTiles, type Schedule } from '../compile/schedule.ts'

/** Numbers that say what a schedule costs: what it reuses, what it wastes, what it must hold. */
export function features(s: Schedule, x: Extent, engine: Engine): number[] {
  const { lanes } = engine
  const vectors = Math.ceil(s.columns / lanes)
  const tiles = evenTiles(Math.max(1, x.rows), s.rows)
  const columns = Math.ceil(x.columns / lanes) * lanes
  const log = (n: number): number => Math.log2(Math.max(1, n))
  return [
    ...(['direct', 'im2col', 'spatialPack', 'winograd2', 'winograd4'] as const).map((a) =>
      Number(s.algorithm === a && !s.sparse),
    ),
    Number(s.sparse),
    s.sparse ? (x.density ?? 1) : 1,
    s.rows,
    vectors,
    s.rows * vectors,
    // Loads for each multiply-add of a tile.
    1 / s.rows + 1 / vectors,
    // Share of the columns that the last panel leaves idle.
    (Math.ceil(x.columns / s.columns) * s.columns - x.columns) / columns,
    tiles.size - x.rows / tiles.tiles,
    log(s.block),
    // Bytes that a pass over the weights and a block of activations hold.
    log(4 * x.depth * s.columns),
    log(4 * x.depth * s.rows * s.block),
    s.unroll,
    s.lanes,
    Number(s.ahead),
    log(x.rows),
    log(x.depth),
    log(x.columns),
  ]
}

type Tree = { readonly value: number } | Split
type Split = { readonly feature: number; readonly limit: number; readonly low: Tree; readonly high: Tree }

const [trees, depth, rate, least] = [50, 3, 0.2, 3]

/** Fits trees to targets; returns what predicts one. The mean where there is too little to learn from. */
export function learn(
  rows: readonly (readonly number[])[],
  targets: readonly number[],
): (row: readonly number[]) => number {
  const mean = targets.reduce((a, b) => a + b, 0) / Math.max(1, targets.length)
  const rest = targets.map((t) => t - mean)
  const grown: Tree[] = []
  for (let t = 0; t < trees; t++) {
    const tree = grow(
      rows,
      rest,
      rows.map((_, i) => i),
      depth,
    )
    if ('value' in tree) break
    grown.push(tree)
    rows.forEach((row, i) => {
      rest[i] = rest[i]! - rate * valueAt(tree, row)
    })
  }
  return (row) => grown.reduce((sum, tree) => sum + rate * valueAt(tree, row), mean)
}

function valueAt(tree: Tree, row: readonly number[]): number {
  let at = tree
  while (!('value' in at)) at = row[at.feature]! <= at.limit ? at.low : at.high
  return at.value
}

/** The split that lowers the sum of squares most, and so on below it. */
function grow(
  rows: readonly (readonly number[])[],
  targets: readonly number[],
  members: readonly number[],
  levels: number,
): Tree {
  const total = members.reduce((s, i) => s + targets[i]!, 0)
  const leaf: Tree = { value: total / Math.max(1, members.length) }
  if (levels === 0 || members.length < 2 * least) return leaf
  let best: { gain: number; feature: number; limit: number } | undefined
  for (let f = 0; f < rows[0]!.length; f++) {
    const sorted = [...members].sort((a, b) => rows[a]![f]! - rows[b]![f]!)
    let sum = 0
    for (let n = 1; n < sorted.length; n++) {
      sum += targets[sorted[n - 1]!]!
      const [before, after] = [rows[sorted[n - 1]!]![f]!, rows[sorted[n]!]![f]!]
      if (before === after || n < least || sorted.length - n < least) continue
      const gain = sum ** 2 / n + (total - sum) ** 2 / (sorted.length - n) - total ** 2 / sorted.length
      if (gain > 1e-12 && gain > (best?.gain ?? 0)) best = { gain, feature: f, limit: (before + after) / 2 }
    }
  }
  if (!best) return leaf
  const { feature, limit } = best
  const side = (low: boolean): Tree =>
    grow(
      rows,
      targets,
      members.filter((i) => rows[i]![feature]! <= limit === low),
      levels - 1,
    )
  return { feature, limit, low: side(true), high: side(false) }
}
