// Sums of products: matrix products and convolutions of any rank, grouped or batched, are one loop nest: for every group, block of
// rows, panel of columns and register tile, sum over the depth. Rows are pixels, columns filters. The right side is packed into
// panels [group][panel][depth][columns], so that the innermost loop reads it in order.

import type { TensorData } from '../../core/dtype.ts'
import { sizeOf } from '../../core/tensor.ts'
import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { typedConstant } from '../formula.ts'
import {
  assign,
  type ComputeType,
  declare,
  divided,
  element,
  type LoopType,
  loop,
  plus,
  repeat,
  type Statement,
  times,
} from '../loops.ts'
import { evenTiles, type Schedule } from '../schedule.ts'

/** A matrix inside a buffer, its rows (and groups, and depth) counted over several dimensions. */
export type Operand = {
  readonly buffer: number
  readonly offset: number
  readonly groups: readonly number[]
  readonly rows: readonly number[]
  /** Elements that are known only when the kernel runs, beyond the offset. */
  readonly base?: Expr
}

export type Contraction = {
  /** In which products and sums are computed. */
  readonly type: ComputeType
  /**
   * Neighbours of the innermost depth that one `dot` multiplies and adds (2: of int16, 4: of uint8 and int8); 1: plain products. The left side's innermost depth stride
   * is then 1 and its extent a multiple, and a panel holds them side by side: [depth / pair][columns][pair].
   */
  readonly pair?: number
  /** Columns that the last panel is a multiple of: the lanes, or half of them, which are then a vector of their own. */
  readonly grain?: number
  /** A scratch buffer for a tile's sums: they pass through it, so that whole vectors leave the inner loop (V8 pairs only those). */
  readonly spill?: number | undefined
  readonly groups: readonly number[]
  readonly rows: readonly number[]
  readonly depth: readonly number[]
  readonly columns: number
  readonly left: Operand & { readonly depth: readonly number[] }
  /** Packed panels; `groupStride` elements between groups, 0 where they share them. */
  readonly right: { readonly buffer: number; readonly groups: readonly number[] }
  /** Results and the epilogue's operands: strides of columns as well. */
  readonly out: Operand & { readonly column: number }
  readonly operands: readonly (Operand & { readonly column: number })[]
  /** Finishes a vector of sums. */
  finish(sum: Expr, operands: readonly Expr[], lanes: number): Expr
}

export type Panels = {
  readonly full: number
  readonly columns: number
  readonly tail: number
  readonly size: number
}

/** Panels of `columns` filters, then one tail of a multiple of the grain. `size`: elements of a group, padded. */
export function panelsOf(columns: number, depth: number, width: number, grain: number): Panels {
  const full = Math.floor(columns / width)
  const tail = Math.ceil((columns % width) / grain) * grain
  return { full, columns: width, tail, size: depth * (full * width + tail) }
}

/** A right side in memory: the depth counted over two dimensions (taps, channels), and the columns. */
export type Source = {
  readonly data: TensorData
  readonly offset: number
  readonly depth: readonly [outer: number, inner: number]
  readonly strides: readonly [outer: number, inner: number, column: number]
  readonly columns: number
  /** See `Contraction.pair`. */
  readonly pair?: number
  /** What the elements of the column that begins at a place are multiplied by. */
  readonly factor?: ((place: number) => number) | undefined
}

/** Packs one group into `to` from `start`. Padding columns stay zero. */
export function packPanels(p: Panels, from: Source, to: TensorData, start: number): void {
  const size = from.depth[0] * from.depth[1]
  const next = from.strides[2]
  const { factor } = from
  for (let first = 0; first < from.columns; first += p.columns) {
    const width = first / p.columns < p.full ? p.columns : p.tail
    const columns = Math.min(width, from.columns - first)
    const offset = from.offset + first * next
    const factors = factor && Float64Array.from({ length: columns }, (_, n) => factor(offset + n * next))
    packPanel({ ...from, offset, columns }, factors, width, to as Float32Array, start + first * size)
  }
}

/** One panel: a function of its own, because engines make better code of what is called often than of a loop that runs long. */
function packPanel(
  from: Source,
  factors: Float64Array | undefined,
  width: number,
  target: Float32Array,
  start: number,
): void {
  const data = from.data as Float32Array
  const { depth, offset, columns } = from
  const [taps, step, next] = from.strides
  const pair = from.pair ?? 1
  // Neighbours in the depth stand side by side.
  const after = (i: number): number => Math.floor(i / pair) * width * pair + (i % pair)
  const [one, two, three] = [after(1), after(2), after(3)]
  let at = start
  for (let outer = 0; outer < depth[0]; outer++) {
    let row = offset + outer * taps
    let inner = 0
    // Four steps at once take half the time.
    for (; inner + 4 <= depth[1]; inner += 4) {
      let place = row
      let to = at
      if (factors)
        for (let n = 0; n < columns; n++) {
          const f = factors[n]!
          target[to] = data[place]! * f
          target[to + one] = data[place + step]! * f
          target[to + two] = data[place + 2 * step]! * f
          target[to + three] = data[place + 3 * step]! * f
          to += pair
          place += next
        }
      else
        for (let n = 0; n < columns; n++) {
          target[to] = data[place]!
          target[to + one] = data[place + step]!
          target[to + two] = data[place + 2 * step]!
          target[to + three] = data[place + 3 * step]!
          to += pair
          place += next
        }
      row += 4 * step
      at += 4 * width
    }
    const rest = depth[1] - inner
    for (let i = 0; i < rest; i++) {
      for (let n = 0; n < columns; n++) {
        const value = data[row + n * next]!
        target[at + n * pair + after(i)] = factors ? value * factors[n]! : value
      }
      row += step
    }
    at += rest * width
  }
}

/**
 * Elements of a cache line; those beyond which packed weights are taken to come from memory at every run: 1 MB; and those from which
 * on results are taken to leave the second-level cache before they are used: half of it.
 */
const [line, streamed, distant] = [16, 2 ** 18, 2 ** 17]

/** Statements of 0 … n − 1, in a row. */
const each = (n: number, write: (i: number) => Statement[]): Statement[] =>
  Array.from({ length: n }, (_, i) => write(i)).flat()

/** Merges adjacent dimensions that every given list of strides walks as one. */
function merge(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const out = { shape: [] as number[], strides: strides.map(() => [] as number[]) }
  shape.forEach((n, d) => {
    if (n === 1) return
    const last = out.shape.length - 1
    if (last >= 0 && strides.every((s, i) => out.strides[i]![last] === s[d]! * n)) {
      out.shape[last]! *= n
      strides.forEach((s, i) => {
        out.strides[i]![last] = s[d]!
      })
    } else {
      out.shape.push(n)
      strides.forEach((s, i) => void out.strides[i]!.push(s[d]!))
    }
  })
  if (out.shape.length === 0) {
    out.shape.push(1)
    for (const s of out.strides) s.push(0)
  }
  return out
}

/** Σ position(d) · stride(d) of a number counted over several dimensions. */
function placeIn(i: Expr, shape: readonly number[], strides: readonly number[]): Expr {
  let e: Expr = constant(0)
  let rest = i
  for (let d = shape.length - 1; d >= 0; d--) {
    const [q, r] = d === 0 ? [rest, rest] : divided(rest, shape[d]!)
    if (strides[d] !== 0) e = plus(e, times(d === 0 ? rest : r, strides[d]!))
    rest = q
  }
  return e
}

/** The loops of a contraction under a schedule: a kernel of its own, or (not `parallel`) part of one. */
export function contract(
  k: KernelBuilder,
  c: Contraction,
  s: Schedule,
  lanes: number,
  parallel = true,
): Statement[] {
  const outs = [c.out, ...c.operands]
  const rows = merge(c.rows, [c.left.rows, ...outs.map((o) => o.rows)])
  const depth = merge(c.depth, [c.left.depth])
  const total = sizeOf(c.rows)
  const size = sizeOf(c.depth)
  const groups = sizeOf(c.groups)
  const tiles = evenTiles(total, s.rows)
  const panels = panelsOf(c.columns, size, s.columns, c.grain ?? lanes)
  const panelCount = panels.full + (panels.tail ? 1 : 0)
  if (total === 0 || groups === 0 || c.columns === 0) return []
  // Blocks of tiles are the parallel range; with few tiles, panels are.
  // Panels are split first: a smaller block would read all the weights once more.
  const items = (tilesOfBlock: number): number => Math.ceil(tiles.tiles / tilesOfBlock) * groups
  const splits = parallel && items(s.block) < 8 ? Math.min(panelCount, Math.ceil(8 / items(s.block))) : 1
  const block =
    parallel && items(s.block) * splits < 8
      ? Math.max(1, Math.floor((tiles.tiles * groups * splits) / 8))
      : Math.min(s.block, tiles.tiles)
  const blocks = Math.ceil(tiles.tiles / block)
  const perSplit = Math.ceil(panelCount / splits)
  const flat = rows.shape.length === 1

  const body = (g: Expr, b: Expr, split: Expr): Statement[] => {
    const [gl, gr, ...go] = [c.left.groups, c.right.groups, ...outs.map((o) => o.groups)].map((strides) =>
      placeIn(g, c.groups, strides),
    ) as [Expr, Expr, ...Expr[]]
    outs.forEach((o, i) => {
      if (o.base) go[i] = plus(go[i]!, o.base)
    })
    const panel = (index: Expr, width: number): Statement[] => {
      const firstTile = times(b, block)
      const last = call('min', plus(firstTile, block), constant(tiles.tiles))
      const at = (t: Expr): Statement[] => tile(t, tiles.size, times(t, tiles.size), index, width)
      const lower = (t: Expr): Statement[] =>
        tile(t, tiles.size - 1, plus(times(t, tiles.size - 1), tiles.count), index, width)
      if (tiles.count === tiles.tiles) return loop(k.name('t'), firstTile, last, at)
      return [
        ...loop(k.name('t'), firstTile, call('min', last, constant(tiles.count)), at),
        ...loop(k.name('t'), call('max', firstTile, constant(tiles.count)), last, lower),
      ]
    }
    /** One register tile: `height` rows from row m, one panel. */
    const tile = (t: Expr, height: number, m: Expr, index: Expr, width: number): Statement[] => {
      const vectors = Math.floor(width / lanes)
      const [acc, half, row] = [k.name('acc'), k.name('half'), k.name('row')]
      // The vectors of a row: whole ones, then half a one if the panel ends so.
      const parts = Array.from({ length: Math.ceil(width / lanes) }, (_, v) => ({
        at: v * lanes,
        lanes: Math.min(lanes, width - v * lanes),
        sums: v < vectors ? acc : half,
        slot: (i: Expr): Expr => (v < vectors ? plus(times(i, vectors), v) : i),
      }))
      const rowsOf = (n: number, write: (i: Expr) => Statement[]): Statement[] =>
        loop(k.name('u'), 0, n, write, { mode: 'unrolled' })
      // Where rows lie evenly, a row's place is a constant distance from the first.
      const places: Statement[] = []
      const rowPlace = (list: number): ((i: Expr) => Expr) => {
        const strides = rows.strides[list]!
        if (flat) return (i) => times(plus(m, i), strides[0]!)
        const name = k.name(row)
        places.push(declare(name, { type: 'int32', lanes: 1 }, constant(0), height))
        places.push(...rowsOf(height, (i) => [assign(name, placeIn(plus(m, i), rows.shape, strides), i)]))
        return (i) => element(name, i)
      }
      const leftRow = rowPlace(0)
      const outRows = outs.map((_, i) => rowPlace(i + 1))
      const panelStart = plus(gr, times(index, size * s.columns))
      const pair = c.pair ?? 1
      const raw = (buffer: number, place: Expr, count: number): Expr =>
        pair === 1
          ? k.loadPlace(buffer, place, count)
          : { ...(k.loadPlace(buffer, place, count * pair) as Extract<Expr, { kind: 'load' }>), raw: true }
      const held = (byte: 'uint8' | 'int8', n: number): LoopType =>
        pair === 1 ? { type: c.type, lanes: n } : { type: pair === 4 ? byte : 'int16', lanes: n * pair }
      const sum = (depthIndex: Expr, depthPlace: Expr): Statement[] => {
        const [weights, value] = [k.name('w'), k.name('a')]
        return [
          ...parts.map((p, v) =>
            declare(
              `${weights}_${v}`,
              held('int8', p.lanes),
              raw(c.right.buffer, plus(plus(panelStart, times(depthIndex, width)), p.at * pair), p.lanes),
            ),
          ),
          ...rowsOf(height, (i) => {
            const left = raw(c.left.buffer, plus(plus(plus(gl, leftRow(i)), depthPlace), c.left.offset), 1)
            // One value for vectors of a width.
            const values = new Map(
              parts.map((p) => [p.lanes, p.lanes === parts[0]!.lanes ? value : `${value}_half`]),
            )
            return [
              ...[...values].map(([n, name]) => declare(name, held('uint8', n), repeat(left, n))),
              ...parts.map((p, v) => {
                const [a, b] = [variable(values.get(p.lanes)!), variable(`${weights}_${v}`)]
                const sums = element(p.sums, p.slot(i))
                const next: Expr = pair === 1 ? call('fma', a, b, sums) : { kind: 'dot', acc: sums, a, b }
                return assign(p.sums, next, p.slot(i))
              }),
            ]
          }),
        ]
      }
      // Streamed weights come from memory during a panel's first tile only, unless every tile touches its share of the next panel.
      const share = Math.ceil(width / Math.min(block, tiles.tiles))
      const touched = k.name('touched')
      const last = k.lengthOf(c.right.buffer) - size * share - line
      const asks = s.ahead && c.type === 'float32'
      const ahead = asks && last > streamed && block > 1 && tiles.tiles > 1
      if (ahead) {
        const next = plus(panelStart, size * width)
        const from = plus(next, times(divided(t, block)[1], size * share))
        places.push(declare(touched, { type: 'int32', lanes: 1 }, call('min', from, constant(last))))
      }
      const nest = (d: number, at: Expr, place: Expr): Statement[] => {
        if (d === depth.shape.length) return sum(at, place)
        const extent = depth.shape[d]!
        const inner = (i: Expr): Statement[] =>
          nest(d + 1, plus(times(at, extent), i), plus(place, times(i, depth.strides[0]![d]!)))
        if (d < depth.shape.length - 1) return loop(k.name('k'), 0, extent, inner)
        // Several reduction steps an iteration, where they divide the extent.
        const steps = extent % (s.unroll * pair) === 0 ? s.unroll : 1
        const several = (i: Expr): Statement[] => each(steps, (n) => inner(plus(i, n * pair)))
        if (!ahead) return loop(k.name('k'), 0, extent, several, { step: steps * pair })
        // One for each cache line.
        let group = steps
        while (group * 2 * share <= line && extent % (group * 2) === 0) group *= 2
        return loop(
          k.name('k'),
          0,
          extent,
          (i) => [
            ...each(Math.ceil((group * share) / line), (n) => {
              const place = plus(times(plus(times(at, extent), i), share), n * line)
              // Nearer they would push out what the next tile reads again.
              return [k.prefetchPlace(c.right.buffer, plus(variable(touched), place), 2)]
            }),
            ...(group <= 4
              ? each(group, (n) => inner(plus(i, n)))
              : loop(k.name('k'), i, plus(i, group), several, { step: steps })),
          ],
          { step: group },
        )
      }
      const column = times(index, s.columns)
      const resultPlace = (o: number, i: Expr): Expr => plus(plus(go[o]!, outRows[o]!(i)), outs[o]!.offset)
      const results = (i: Expr): Statement[] => {
        // All vectors of a row are finished, then stored side by side.
        const placeOf = (o: number, at: number): Expr =>
          plus(resultPlace(o, i), times(plus(column, at), outs[o]!.column))
        const out: Statement[] = []
        for (const p of parts) {
          const known =
            index.kind === 'const' && Number(index.value) === panels.full
              ? c.columns - panels.full * s.columns - p.at
              : p.lanes
          const valid = Math.min(p.lanes, known)
          const sums = (): Expr =>
            c.spill === undefined
              ? element(p.sums, p.slot(i))
              : k.loadPlace(c.spill, times(p.slot(i), lanes), lanes)
          if (valid === p.lanes && outs[0]!.column === 1 && outs.every((o) => o.column <= 1)) {
            const loads = c.operands.map((o, j) =>
              k.loadStrided(o.buffer, placeOf(j + 1, p.at), o.column, p.lanes),
            )
            out.push(k.storePlace(c.out.buffer, placeOf(0, p.at), c.finish(sums(), loads, p.lanes)))
            continue
          }
          for (let lane = 0; lane < valid; lane++) {
            const place = (o: number): Expr => plus(placeOf(o, p.at), lane * outs[o]!.column)
            const loads = c.operands.map((o, j) => k.loadPlace(o.buffer, place(j + 1)))
            const one: Expr = p.lanes === 1 ? sums() : { kind: 'lane', lane, arg: sums() }
            out.push(k.storePlace(c.out.buffer, place(0), c.finish(one, loads, 1)))
          }
        }
        return out
      }
      // Results and what they are finished with, where they come from beyond the second-level cache: while the sums are made.
      const near = outs.flatMap((o, n) =>
        asks && o.column === 1 && o.rows.some((r) => r !== 0) && k.lengthOf(o.buffer) >= distant
          ? rowsOf(height, (i) =>
              parts
                .filter((p) => p.at % line === 0)
                .map((p) => k.prefetchPlace(o.buffer, plus(resultPlace(n, i), plus(column, p.at)), 1)),
            )
          : [],
      )
      return [
        ...places,
        ...near,
        ...[...new Map(parts.map((p) => [p.sums, p.lanes]))].map(([name, n]) =>
          declare(
            name,
            { type: c.type, lanes: n },
            repeat(typedConstant(0, c.type), n),
            n === lanes ? height * vectors : height,
          ),
        ),
        ...nest(0, constant(0), constant(0)),
        ...(c.spill === undefined
          ? []
          : rowsOf(height * vectors, (i) => [k.storePlace(c.spill!, times(i, lanes), element(acc, i))])),
        ...rowsOf(height, results),
      ]
    }
    const full = loop(
      k.name('p'),
      times(split, perSplit),
      splits === 1 ? panels.full : call('min', plus(times(split, perSplit), perSplit), constant(panels.full)),
      (p) => panel(p, s.columns),
    )
    if (!panels.tail) return full
    const tail = panel(constant(panels.full), panels.tail)
    if (splits === 1) return [...full, ...tail]
    const owner = Math.floor(panels.full / perSplit)
    return [...full, { kind: 'if', condition: call('eq', split, constant(owner)), body: tail, otherwise: [] }]
  }
  const range = groups * blocks * splits
  if (range === 1) return body(constant(0), constant(0), constant(0))
  return loop(
    k.name('x'),
    0,
    range,
    (x) => {
      const [rest, split] = divided(x, splits)
      const [g, b] = divided(rest, blocks)
      const held = (hint: string, e: Expr, n: number): [Statement[], Expr] => {
        if (n === 1) return [[], constant(0)]
        const [s, v] = k.hold(hint, 'int32', 1, e)
        return [[s], v]
      }
      const [s0, sv] = held('split', split, splits)
      const [s1, bv] = held('block', b, blocks)
      const [s2, gv] = held('group', g, groups)
      return [...s0, ...s1, ...s2, ...body(gv, bv, sv)]
    },
    { mode: parallel ? 'parallel' : 'serial' },
  )
}
