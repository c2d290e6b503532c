// A layered drawing of a graph: nodes in rows by depth, rows cut into columns so that a network of hundreds of rows still
// fits a screen. Ordering by barycentres (Sugiyama, Tagawa, Toda 1981); x by least squares under the order of each row
// (pool adjacent violators), so that chains and branches stand straight. Linear in nodes and edges but for the sorting.

export type Drawn = {
  /** Centre of each node, in units where a node is `nodeWidth` × `nodeHeight`. */
  readonly x: readonly number[]
  readonly y: readonly number[]
  readonly edges: readonly {
    readonly from: number
    readonly to: number
    readonly points: readonly number[]
  }[]
  readonly width: number
  readonly height: number
}

export const nodeWidth = 112
export const nodeHeight = 30
const pitch = 52
const gap = 18
const gutter = 48
/** Bends of an edge take this much of a row. */
const bendWidth = 8
/** Longer edges run beside the nodes instead of through the rows. */
const longestBent = 24
const sweeps = 8
/** A network of fewer rows than this stays in one column. */
const fewestRows = 12

/** Rows: every node below all that feed it; a node that nothing feeds just above its first reader. */
function rowsOf(from: readonly (readonly number[])[]): Int32Array {
  const row = new Int32Array(from.length)
  const firstReader = new Int32Array(from.length).fill(2 ** 30)
  from.forEach((sources, i) => {
    for (const s of sources) row[i] = Math.max(row[i]!, row[s]! + 1)
  })
  for (let i = from.length - 1; i >= 0; i--) {
    if (from[i]!.length === 0 && firstReader[i]! < 2 ** 30) row[i] = Math.max(0, firstReader[i]! - 1)
    for (const s of from[i]!) firstReader[s] = Math.min(firstReader[s]!, row[i]!)
  }
  return row
}

type Cell = { readonly node: number; readonly row: number; up: number[]; down: number[]; x: number }

/** `from[i]`: the nodes that feed node i; all of them come before it. `aspect`: width over height to aim at. */
export function layout(from: readonly (readonly number[])[], aspect = 1.4): Drawn {
  const feeds = from.map((f, i) => [...new Set(f)].filter((s) => s >= 0 && s < i))
  const row = rowsOf(feeds)
  const cells: Cell[] = feeds.map((_, node) => ({ node, row: row[node]!, up: [], down: [], x: 0 }))
  const chains: { from: number; to: number; bends: number[] }[] = []
  const link = (a: number, b: number): void => {
    cells[a]!.down.push(b)
    cells[b]!.up.push(a)
  }
  feeds.forEach((sources, to) => {
    for (const s of sources) {
      const bends: number[] = []
      if (row[to]! - row[s]! <= longestBent) {
        let last = s
        for (let r = row[s]! + 1; r < row[to]!; r++) {
          cells.push({ node: -1, row: r, up: [], down: [], x: 0 })
          bends.push(cells.length - 1)
          link(last, cells.length - 1)
          last = cells.length - 1
        }
        link(last, to)
      }
      chains.push({ from: s, to, bends })
    }
  })
  const depth = cells.reduce((n, c) => Math.max(n, c.row + 1), 0)
  const rows: number[][] = Array.from({ length: depth }, () => [])
  cells.forEach((c, i) => {
    rows[c.row]!.push(i)
  })
  order(cells, rows)
  for (let s = 0; s < sweeps; s++) {
    const downwards = s % 2 === 0
    for (let k = 0; k < depth; k++) place(cells, rows[downwards ? k : depth - 1 - k]!, downwards)
  }
  return fold(cells, rows, chains, feeds.length, aspect)
}

/** Nodes stand straight; edges that pass them bend. */
const weightOf = (c: Cell): number => (c.node < 0 ? 0.1 : 1)
const widthOf = (c: Cell): number => (c.node < 0 ? bendWidth : nodeWidth)

/** Sorts every row by the mean position of its neighbours in the row before, down and up in turn. */
function order(cells: readonly Cell[], rows: number[][]): void {
  const position = new Float64Array(cells.length)
  const number = (r: readonly number[]): void => r.forEach((c, i) => void (position[c] = i - r.length / 2))
  rows.forEach(number)
  for (let s = 0; s < sweeps; s++) {
    const downwards = s % 2 === 0
    for (let k = 0; k < rows.length; k++) {
      const r = rows[downwards ? k : rows.length - 1 - k]!
      if (r.length < 2) continue
      const key = new Map(
        r.map((c) => {
          const near = downwards ? cells[c]!.up : cells[c]!.down
          return [c, near.length ? near.reduce((n, v) => n + position[v]!, 0) / near.length : position[c]!]
        }),
      )
      r.sort((a, b) => key.get(a)! - key.get(b)!)
      number(r)
    }
  }
}

/** Puts a row where its neighbours want it, in its order and without overlap: the least-squares answer. */
function place(cells: readonly Cell[], r: readonly number[], downwards: boolean): void {
  // With the smallest distances taken off, the condition is only that positions don't decrease.
  type Block = { sum: number; weight: number; size: number }
  const blocks: Block[] = []
  const offsets: number[] = []
  let offset = 0
  r.forEach((i, k) => {
    const c = cells[i]!
    if (k > 0) offset += (widthOf(cells[r[k - 1]!]!) + widthOf(c)) / 2 + gap
    offsets.push(offset)
    const near = downwards ? c.up : c.down
    const pull = near.reduce((n, v) => n + weightOf(cells[v]!), 0)
    const wish = near.length ? near.reduce((n, v) => n + weightOf(cells[v]!) * cells[v]!.x, 0) / pull : c.x
    const weight = near.length ? weightOf(c) : 0.01
    blocks.push({ sum: weight * (wish - offset), weight, size: 1 })
    while (blocks.length > 1) {
      const [a, b] = [blocks.at(-2)!, blocks.at(-1)!]
      if (a.sum / a.weight <= b.sum / b.weight) break
      blocks.splice(-2, 2, { sum: a.sum + b.sum, weight: a.weight + b.weight, size: a.size + b.size })
    }
  })
  let k = 0
  for (const b of blocks)
    for (let n = 0; n < b.size; n++, k++) cells[r[k]!]!.x = b.sum / b.weight + offsets[k]!
}

/** Rows at which a new column starts: about `perColumn` apart, where the fewest edges cross. */
function cuts(cells: readonly Cell[], rows: readonly (readonly number[])[], perColumn: number): number[] {
  const crossing = rows.map((r) => r.reduce((n, c) => n + cells[c]!.up.length, 0))
  const starts = [0]
  for (;;) {
    const aim = starts.at(-1)! + perColumn
    if (aim + perColumn * 0.3 >= rows.length) return starts
    let best = aim
    const reach = Math.floor(perColumn * 0.2)
    for (let d = 0; d <= reach; d++) {
      for (const at of [aim - d, aim + d]) if (crossing[at]! < crossing[best]!) best = at
    }
    starts.push(best)
  }
}

type Columns = {
  readonly starts: readonly number[]
  readonly columnOf: Int32Array
  /** Left and right ends of each column's rows. */
  readonly low: readonly number[]
  readonly high: readonly number[]
  readonly width: number
  readonly height: number
}

function columnsFor(
  cells: readonly Cell[],
  rows: readonly (readonly number[])[],
  extents: readonly (readonly [number, number])[],
  columns: number,
): Columns {
  const starts = cuts(cells, rows, Math.max(fewestRows, Math.ceil(rows.length / columns)))
  const columnOf = new Int32Array(rows.length)
  const low = starts.map(() => Infinity)
  const high = starts.map(() => -Infinity)
  extents.forEach(([a, b], r) => {
    const c = starts.findLastIndex((s) => s <= r)
    columnOf[r] = c
    low[c] = Math.min(low[c]!, a)
    high[c] = Math.max(high[c]!, b)
  })
  const tallest = starts.reduce((n, s, c) => Math.max(n, (starts[c + 1] ?? rows.length) - s), 0)
  const width = starts.reduce((n, _, c) => n + high[c]! - low[c]! + gutter, 0)
  return {
    starts,
    columnOf,
    low,
    high,
    width: width || nodeWidth + gutter,
    height: tallest * pitch + pitch / 2,
  }
}

function fold(
  cells: readonly Cell[],
  rows: readonly (readonly number[])[],
  chains: readonly { from: number; to: number; bends: readonly number[] }[],
  nodes: number,
  aspect: number,
): Drawn {
  const extents = rows.map((r) => {
    const [a, b] = [cells[r[0]!]!, cells[r.at(-1)!]!]
    return [a.x - widthOf(a) / 2, b.x + widthOf(b) / 2] as const
  })
  // More columns make it wider and lower; a few trials find the number.
  let columns = 1
  let folded = columnsFor(cells, rows, extents, columns)
  for (let trial = 0; trial < 6; trial++) {
    const next = Math.max(1, Math.round(columns * Math.sqrt((aspect * folded.height) / folded.width)))
    if (next === columns) break
    columns = next
    folded = columnsFor(cells, rows, extents, columns)
  }
  const { starts, columnOf, low, high } = folded
  // Each column moves to its place.
  const left: number[] = []
  for (let c = 0, x = 0; c < starts.length; c++) {
    left.push(x)
    x += high[c]! - low[c]! + gutter
  }
  const at = (i: number): [x: number, y: number] => {
    const { row, x } = cells[i]!
    const c = columnOf[row]!
    return [x - low[c]! + left[c]!, (row - starts[c]!) * pitch + nodeHeight / 2 + pitch / 2]
  }
  const edges = chains.map(({ from, to, bends }) => {
    const steps = [from, ...bends, to]
    const points: number[] = []
    steps.forEach((i, k) => {
      const [x, y] = at(i)
      const half = cells[i]!.node < 0 ? 0 : nodeHeight / 2
      if (k > 0) {
        const before = steps[k - 1]!
        const [a, b] = [columnOf[cells[before]!.row]!, columnOf[cells[i]!.row]!]
        const long = cells[i]!.row - cells[before]!.row > 1
        if (a !== b || long) {
          // Out below, along the gutter beside the column, over the top where columns lie between, in from above.
          const [y1, y2] = [at(before)[1] + pitch / 2 - 2, y - pitch / 2 + 2]
          const out = left[a]! + high[a]! - low[a]! + gutter / 2
          const back = a === b ? out : left[b]! - gutter / 2
          points.push(points.at(-2)!, y1, out, y1)
          if (back !== out) points.push(out, 4, back, 4)
          points.push(back, y2, x, y2)
        }
      }
      if (k > 0) points.push(x, y - half)
      if (k < steps.length - 1 && half) points.push(x, y + half)
    })
    return { from, to, points }
  })
  const xy = Array.from({ length: nodes }, (_, i) => at(i))
  return {
    x: xy.map(([x]) => x),
    y: xy.map(([, y]) => y),
    edges,
    width: folded.width - gutter,
    height: folded.height,
  }
}
