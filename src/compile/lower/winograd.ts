// Winograd's minimal filtering for 3×3 and 5×5 convolutions of stride 1 (Lavin and Gray, 2015): tiles of m×m results from n×n inputs,
// n = m + taps − 1. V = Bᵀ d B, then one product a position of the tile, then Y = Aᵀ M A. For 3×3 taps F(4×4) does 4 times fewer
// products than the direct form, F(2×2) 2.25 times fewer; for 5×5 F(2×2) 2.78 times fewer, on the inputs' transform of F(4×4, 3×3):
// both interpolate at 0, ±1, ±2 and ∞. The transforms amplify rounding, see `amplificationOf`.

import { numbers, productOf, type Tensor } from '../../core/tensor.ts'
import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { declare, divided, loop, plus, repeat, type Statement, times } from '../loops.ts'
import type { Schedule } from '../schedule.ts'
import type { View } from '../view.ts'
import { contract, type Operand, type Panels, packPanels, panelsOf } from './contract.ts'
import type { Lowering } from './lowering.ts'

/**
 * How much larger the error is than a direct sum's, measured on normal and on half-zero inputs (64 to 2304 products; the direct form
 * reached 3 to 4 units of u · Σ|x·w|, F(2×2) 2, F(4×4) 27 to 43). Inputs whose magnitudes differ by orders within one tile exceed it:
 * a tile's error goes with its largest input, which a result beside it may not contain.
 */
const amplificationOf = ({ n }: Winograd): number => (n === 4 ? 2 : 16)

/**
 * Integers are exact: F(2×2) with filters transformed by 2G, so that sums are four times the convolution's. All arithmetic is modulo
 * 2^32, so what comes out is right where four times the result fits.
 */
export const integerWinograd = (filters: Tensor): boolean => {
  const values = numbers(filters)
  const inner = values.length / filters.shape[0]!
  // Activations less their zero point lie within ±255, the transformed ones within ±1020.
  for (let f = 0; f < filters.shape[0]!; f++) {
    let sum = 0
    for (let i = f * inner; i < (f + 1) * inner; i++) sum += Math.abs(values[i]!)
    if (4 * 255 * sum >= 2 ** 31) return false
  }
  return values.every((v) => Math.abs(v) <= 255)
}

/** Tiles of m×m results of taps×taps filters, from n×n inputs. */
export type Winograd = { readonly m: 2 | 4; readonly taps: number; readonly n: number }
export const winogradForm = (m: 2 | 4, taps: number): Winograd => ({ m, taps, n: m + taps - 1 })

/** G of five taps that lie `apart` from `first` on; written at every `step`-th place from `at` on. */
function rowOfFiveTaps(
  from: ArrayLike<number>,
  first: number,
  apart: number,
  to: Float32Array | Float64Array,
  at: number,
  step: number,
): void {
  const a = from[first]!
  const b = from[first + apart]!
  const c = from[first + 2 * apart]!
  const d = from[first + 3 * apart]!
  const e = from[first + 4 * apart]!
  const even = (a + c + e) * (-1 / 6)
  const odd = (b + d) * (-1 / 6)
  const even2 = a * (1 / 24) + c * (1 / 6) + e * (2 / 3)
  const odd2 = b * (1 / 12) + d * (1 / 3)
  to[at] = a / 4
  to[at + step] = even + odd
  to[at + 2 * step] = even - odd
  to[at + 3 * step] = even2 + odd2
  to[at + 4 * step] = even2 - odd2
  to[at + 5 * step] = e
}

/** G of three taps for F(2×2), at every `step`-th place from `at` on. */
function rowOfFour(a: number, b: number, c: number, to: Float32Array, at: number, step: number): void {
  const even = (a + c) / 2
  const odd = b / 2
  to[at] = a
  to[at + step] = even + odd
  to[at + 2 * step] = even - odd
  to[at + 3 * step] = c
}

/** The same for F(4×4). */
function rowOfSix(a: number, b: number, c: number, to: Float32Array, at: number, step: number): void {
  const even = (a + c) * (-1 / 6)
  const odd = b * (-1 / 6)
  const even2 = a * (1 / 24) + c * (1 / 6)
  const odd2 = b * (1 / 12)
  to[at] = a / 4
  to[at + step] = even + odd
  to[at + 2 * step] = even - odd
  to[at + 3 * step] = even2 + odd2
  to[at + 4 * step] = even2 - odd2
  to[at + 5 * step] = c
}

/**
 * G g Gᵀ of the 3×3 filter from place `i` on, each tap times a factor first; in doubles, rounded once. Written out, because a large
 * network has hundreds of thousands.
 */
function tileOf(
  n: number,
  g: ArrayLike<number>,
  i: number,
  factor: number,
  to: Float32Array,
  at: number,
  step: number,
): void {
  const a0 = Math.fround(g[i]! * factor)
  const a1 = Math.fround(g[i + 1]! * factor)
  const a2 = Math.fround(g[i + 2]! * factor)
  const b0 = Math.fround(g[i + 3]! * factor)
  const b1 = Math.fround(g[i + 4]! * factor)
  const b2 = Math.fround(g[i + 5]! * factor)
  const c0 = Math.fround(g[i + 6]! * factor)
  const c1 = Math.fround(g[i + 7]! * factor)
  const c2 = Math.fround(g[i + 8]! * factor)
  const down = n * step
  if (n === 4) {
    const even0 = (a0 + c0) / 2
    const even1 = (a1 + c1) / 2
    const even2 = (a2 + c2) / 2
    rowOfFour(a0, a1, a2, to, at, step)
    rowOfFour(even0 + b0 / 2, even1 + b1 / 2, even2 + b2 / 2, to, at + down, step)
    rowOfFour(even0 - b0 / 2, even1 - b1 / 2, even2 - b2 / 2, to, at + 2 * down, step)
    rowOfFour(c0, c1, c2, to, at + 3 * down, step)
    return
  }
  const even0 = (a0 + c0) * (-1 / 6)
  const even1 = (a1 + c1) * (-1 / 6)
  const even2 = (a2 + c2) * (-1 / 6)
  const odd0 = b0 * (-1 / 6)
  const odd1 = b1 * (-1 / 6)
  const odd2 = b2 * (-1 / 6)
  const far0 = a0 * (1 / 24) + c0 * (1 / 6)
  const far1 = a1 * (1 / 24) + c1 * (1 / 6)
  const far2 = a2 * (1 / 24) + c2 * (1 / 6)
  const near0 = b0 * (1 / 12)
  const near1 = b1 * (1 / 12)
  const near2 = b2 * (1 / 12)
  rowOfSix(a0 / 4, a1 / 4, a2 / 4, to, at, step)
  rowOfSix(even0 + odd0, even1 + odd1, even2 + odd2, to, at + down, step)
  rowOfSix(even0 - odd0, even1 - odd1, even2 - odd2, to, at + 2 * down, step)
  rowOfSix(far0 + near0, far1 + near1, far2 + near2, to, at + 3 * down, step)
  rowOfSix(far0 - near0, far1 - near1, far2 - near2, to, at + 4 * down, step)
  rowOfSix(c0, c1, c2, to, at + 5 * down, step)
}

/** Tiles of `count` filters that follow each other, `apart` in the results. */
function tilesOf(
  n: number,
  g: ArrayLike<number>,
  i: number,
  count: number,
  factor: number,
  to: Float32Array,
  at: number,
  apart: number,
  step: number,
): void {
  for (let k = 0; k < count; k++) tileOf(n, g, i + 9 * k, factor, to, at + k * apart, step)
}

/** The same of 5×5 filters for F(2×2). */
function fiveTapTilesOf(
  g: ArrayLike<number>,
  i: number,
  count: number,
  to: Float32Array,
  at: number,
  apart: number,
  step: number,
): void {
  for (let k = 0; k < count; k++) {
    for (let x = 0; x < 5; x++) rowOfFiveTaps(g, i + 25 * k + x, 5, half, x, 5)
    for (let y = 0; y < 6; y++) rowOfFiveTaps(half, y * 5, 1, to, at + k * apart + y * 6 * step, step)
  }
}
const half = new Float64Array(30)

type Row = readonly Expr[]
type Holder = { let(e: Expr): Expr; k(n: number): Expr }
/** In what a convolution is computed: transformed inputs are kept as `tile`. */
type Arithmetic = { readonly type: 'float32' | 'int32'; readonly tile: 'float32' | 'int16' }
const add = (a: Expr, b: Expr): Expr => call('add', a, b)
const sub = (a: Expr, b: Expr): Expr => call('sub', a, b)

/** Bᵀ d of one column. */
function inputTransform(n: number, d: Row, h: Holder): Row {
  if (n === 4) return [sub(d[0]!, d[2]!), add(d[1]!, d[2]!), sub(d[2]!, d[1]!), sub(d[1]!, d[3]!)]
  const times4 = (a: Expr, b: Expr): Expr => call('fma', h.k(-4), a, b)
  const times5 = (a: Expr, b: Expr): Expr => call('fma', h.k(-5), a, b)
  const even = h.let(times4(d[2]!, d[4]!))
  const odd = h.let(times4(d[1]!, d[3]!))
  const near = h.let(sub(d[4]!, d[2]!))
  const far = h.let(sub(d[3]!, d[1]!))
  return [
    call('fma', h.k(4), d[0]!, times5(d[2]!, d[4]!)),
    add(even, odd),
    sub(even, odd),
    call('fma', h.k(2), far, near),
    call('fma', h.k(-2), far, near),
    call('fma', h.k(4), d[1]!, times5(d[3]!, d[5]!)),
  ]
}

/** Aᵀ m of one column. */
function outputTransform({ m, n }: Winograd, d: Row, h: Holder): Row {
  if (n === 4) {
    return [add(add(d[0]!, d[1]!), d[2]!), sub(sub(d[1]!, d[2]!), d[3]!)]
  }
  const sum = h.let(add(d[1]!, d[2]!))
  const difference = h.let(sub(d[1]!, d[2]!))
  const sum2 = h.let(add(d[3]!, d[4]!))
  const difference2 = h.let(sub(d[3]!, d[4]!))
  const first = add(add(d[0]!, sum), sum2)
  if (m === 2) return [first, add(call('fma', h.k(2), difference2, difference), d[5]!)]
  return [
    first,
    call('fma', h.k(2), difference2, difference),
    call('fma', h.k(4), sum2, sum),
    add(call('fma', h.k(8), difference2, difference), d[5]!),
  ]
}

export type WinogradConv = {
  /** Input with its border, and enough of it for whole tiles. */
  readonly from: View
  readonly out: View
  readonly filter: Tensor
  readonly bias: View | undefined
  readonly channel: number
  readonly first: number
}

/** Pixels beyond the padded input that whole tiles of m×m results need, per spatial dimension. */
export const winogradExtra = (out: number, m: number): number => Math.ceil(out / m) * m - out

/** Writes G g Gᵀ of every filter as packed panels, one group a position of the tile. */
function transformFilters(w: Tensor, f: Winograd, p: Panels, to: Float32Array): void {
  const { n, taps } = f
  const [filters, channels] = w.shape as [number, number]
  const product = taps === 3 ? productOf(w) : undefined
  const data = numbers(product?.of ?? w)
  // Some rows of a panel for every position, before they are written where they belong in one piece: the positions lie powers of two
  // apart, which caches don't like.
  const block = 16
  const rows = new Float32Array(n * n * block * p.columns)
  for (let first = 0; first < filters; first += p.columns) {
    const width = first / p.columns < p.full ? p.columns : p.tail
    const count = Math.min(width, filters - first)
    for (let start = 0; start < channels; start += block) {
      const taken = Math.min(block, channels - start)
      const size = taken * width
      if (count < width) rows.fill(0)
      for (let column = 0; column < count; column++) {
        const g = ((first + column) * channels + start) * taps * taps
        const factor = product ? product.by[first + column]! : 1
        if (taps === 3) tilesOf(n, data, g, taken, factor, rows, column, width, size)
        else fiveTapTilesOf(data, g, taken, rows, column, width, size)
      }
      for (let position = 0; position < n * n; position++) {
        const from = position * size
        to.set(rows.subarray(from, from + size), position * p.size + first * channels + start * width)
      }
    }
  }
}

/** (2G) g (2G)ᵀ of every filter of 3×3, as panels of neighbouring channels. */
function transformIntegerFilters(w: Tensor, p: Panels, pair: number, to: Int16Array): void {
  const [filters, channels] = w.shape as [number, number]
  const size = filters * channels
  const data = numbers(w)
  const all = new Float32Array(16 * size)
  for (let i = 0; i < size; i++) tileOf(4, data, 9 * i, 4, all, i, size)
  for (let position = 0; position < 16; position++) {
    const source = { data: all, offset: position * size, columns: filters, pair }
    packPanels(p, { ...source, depth: [1, channels], strides: [0, 1, channels] }, to, position * p.size)
  }
}

export function winograd(x: Lowering, c: WinogradConv, f: Winograd, s: Schedule): void {
  const { from, out } = c
  const integer = x.types[0]!.dtype === 'int32'
  const pair = integer && x.engine.lanes > 1 ? 2 : 1
  const a: Arithmetic = integer ? { type: 'int32', tile: 'int16' } : { type: 'float32', tile: 'float32' }
  const { m, n } = f
  const { lanes } = x.engine
  const channels = from.shape[c.channel]!
  const filters = out.shape[c.channel]!
  const [height, width] = out.shape.slice(c.first, c.first + 2) as [number, number]
  const [down, across] = [Math.ceil(height / m), Math.ceil(width / m)]
  const tiles = out.shape[0]! * down * across
  const panels = panelsOf(filters, channels, s.columns, lanes)
  const weights = x.program.buffer(`${x.op}.winograd`, a.tile, n * n * panels.size, 'constant', (to) =>
    integer
      ? transformIntegerFilters(c.filter, panels, pair, to as Int16Array)
      : transformFilters(c.filter, f, panels, to as Float32Array),
  )
  // Blocks of tiles that stay in the second-level cache from transform to transform, each in the caller's own scratch.
  const wanted = s.block * s.rows
  const blocks = Math.ceil(tiles / wanted)
  const fused = blocks >= 6
  const size = fused ? wanted : tiles
  const role = fused ? 'scratch' : 'temp'
  const V = x.program.buffer(`${x.op}.tiles`, a.tile, n * n * size * channels, role)
  const M = x.program.buffer(`${x.op}.sums`, a.type, n * n * size * filters, role)
  const operand = (buffer: number, depth: number): Operand => ({
    buffer,
    offset: 0,
    groups: [size * depth],
    rows: [depth],
  })
  const product = (k: KernelBuilder, parallel: boolean): Statement[] =>
    contract(
      k,
      {
        type: a.type,
        pair,
        groups: [n * n],
        rows: [size],
        depth: [channels],
        columns: filters,
        left: { ...operand(V, channels), depth: [1] },
        right: { buffer: weights, groups: [panels.size] },
        out: { ...operand(M, filters), column: 1 },
        operands: [],
        finish: (sum) => sum,
      },
      { ...s, block: Math.ceil(size / s.rows) },
      lanes,
      parallel,
    )
  const macs = n * n * tiles * channels * filters
  if (!integer) x.amplifies(amplificationOf(f))
  if (fused) {
    x.step(
      `winograd${m}`,
      (k) =>
        loop(
          k.name('block'),
          0,
          blocks,
          (b) => {
            // The last block overlaps the one before it: the same values once more.
            const [hold, start] = k.hold(
              'start',
              'int32',
              1,
              call('min', times(b, size), constant(tiles - size)),
            )
            return [
              hold,
              ...loop(k.name('t'), 0, size, (t) =>
                inputTile(k, a, c, f, plus(start, t), t, size, V, lanes, [down, across]),
              ),
              ...product(k, false),
              ...loop(k.name('t'), 0, size, (t) =>
                outputTile(k, x, c, f, plus(start, t), t, size, M, lanes, [down, across]),
              ),
            ]
          },
          { mode: 'parallel' },
        ),
      macs,
    )
    return
  }
  const over = (k: KernelBuilder, body: (t: Expr) => Statement[]): Statement[] =>
    loop(k.name('t'), 0, tiles, body, { mode: tiles > 1 ? 'parallel' : 'serial' })
  x.step(`winograd${m}_input`, (k) =>
    over(k, (t) => inputTile(k, a, c, f, t, t, size, V, lanes, [down, across])),
  )
  x.step(`winograd${m}_product`, (k) => product(k, true), macs)
  x.step(`winograd${m}_output`, (k) =>
    over(k, (t) => outputTile(k, x, c, f, t, t, size, M, lanes, [down, across])),
  )
}

/** Where tile t of the image lies: batch, first row, first column. */
function tilePlace(t: Expr, m: number, [down, across]: readonly [number, number]): [Expr, Expr, Expr] {
  const [row, column] = divided(t, across)
  const [batch, y] = divided(row, down)
  return [batch, times(y, m), times(column, m)]
}

/** The lets of one tile; constants are repeated at the vector width. */
function holder(k: KernelBuilder, lanes: number, into: Statement[], type: Arithmetic['type']): Holder {
  return {
    let(e) {
      const name = k.name('d')
      into.push(declare(name, { type, lanes }, e))
      return variable(name)
    },
    k: (v) => repeat(constant(v, type), lanes),
  }
}

/** Loops over channels at vector width, then the rest one by one. */
function overChannels(
  k: KernelBuilder,
  count: number,
  lanes: number,
  body: (channel: Expr, width: number) => Statement[],
): Statement[] {
  const full = Math.floor(count / lanes) * lanes
  return [
    ...loop(k.name('c'), 0, full, (ch) => body(ch, lanes), { step: lanes }),
    ...(lanes === 1 ? [] : loop(k.name('c'), full, count, (ch) => body(ch, 1))),
  ]
}

function inputTile(
  k: KernelBuilder,
  a: Arithmetic,
  c: WinogradConv,
  f: Winograd,
  tile: Expr,
  slot: Expr,
  size: number,
  V: number,
  lanes: number,
  grid: readonly [number, number],
): Statement[] {
  const { m, n } = f
  const { from } = c
  const channels = from.shape[c.channel]!
  const [batch, y, xx] = tilePlace(tile, m, grid)
  const [sy, sx] = [from.strides[c.first]!, from.strides[c.first + 1]!]
  const place = plus(plus(times(batch, from.strides[0]!), plus(times(y, sy), times(xx, sx))), from.offset)
  const [hold, base] = k.hold('base', 'int32', 1, place)
  return [
    hold,
    ...overChannels(k, channels, lanes, (ch, width) => {
      const out: Statement[] = []
      const h = holder(k, width, out, a.type)
      const columns: Row[] = []
      for (let j = 0; j < n; j++) {
        const d = Array.from({ length: n }, (_, i) =>
          h.let(k.loadPlace(from.buffer, plus(plus(base, ch), i * sy + j * sx), width)),
        )
        columns.push(inputTransform(n, d, h).map((e) => h.let(e)))
      }
      for (let i = 0; i < n; i++) {
        const row = inputTransform(
          n,
          columns.map((col) => col[i]!),
          h,
        )
        row.forEach((e, j) => {
          const at = plus(plus(times(slot, channels), ch), (i * n + j) * size * channels)
          out.push(k.storePlace(V, at, e))
        })
      }
      return out
    }),
  ]
}

function outputTile(
  k: KernelBuilder,
  x: Lowering,
  c: WinogradConv,
  f: Winograd,
  tile: Expr,
  slot: Expr,
  size: number,
  M: number,
  lanes: number,
  grid: readonly [number, number],
): Statement[] {
  const integer = x.types[0]!.dtype === 'int32'
  const { m, n } = f
  const { out } = c
  const filters = out.shape[c.channel]!
  const [height, width] = out.shape.slice(c.first, c.first + 2) as [number, number]
  const biasView: View | undefined = c.bias && {
    ...c.bias,
    shape: out.shape,
    strides: out.shape.map((_, d) => (d === c.channel ? c.bias!.strides[0]! : 0)),
  }
  const operands = [...(biasView ? [biasView] : []), ...x.epilogue.operands]
  const [batch, y, xx] = tilePlace(tile, m, grid)
  const lets: Statement[] = []
  const hold = (hint: string, e: Expr): Expr => {
    if (e.kind === 'const') return e
    const [s, v] = k.hold(hint, 'int32', 1, e)
    lets.push(s)
    return v
  }
  const [ny, nx] = [hold('y', y), hold('x', xx)]
  const vector = [out, ...operands].every((v) => v.strides[c.channel]! <= 1) && out.strides[c.channel] === 1
  const channelLoop = (rows: number, columns: number, row0: Expr, column0: Expr): Statement[] => {
    const outer: Statement[] = []
    const bases = [out, ...operands].map((v) => {
      const [y0, x0] = [times(row0, v.strides[c.first]!), times(column0, v.strides[c.first + 1]!)]
      const place = plus(plus(times(batch, v.strides[0]!), plus(y0, x0)), v.offset)
      const [s, e] = k.hold('base', 'int32', 1, place)
      outer.push(s)
      return e
    })
    const inner = overChannels(k, filters, vector ? lanes : 1, (ch, w) => {
      const body: Statement[] = []
      const h = holder(k, w, body, integer ? 'int32' : 'float32')
      const half: Row[] = []
      for (let j = 0; j < n; j++) {
        const d = Array.from({ length: n }, (_, i) =>
          h.let(k.loadPlace(M, plus(plus(times(slot, filters), ch), (i * n + j) * size * filters), w)),
        )
        half.push(outputTransform(f, d, h).map((e) => h.let(e)))
      }
      for (let i = 0; i < rows; i++) {
        const row = outputTransform(
          f,
          half.map((col) => col[i]!),
          h,
        )
        for (let j = 0; j < columns; j++) {
          const at = (v: View, b: number): Expr =>
            plus(
              plus(bases[b]!, times(ch, v.strides[c.channel]!)),
              i * v.strides[c.first]! + j * v.strides[c.first + 1]!,
            )
          const loads = operands.map((v, o) =>
            k.loadStrided(v.buffer, at(v, o + 1), v.strides[c.channel]!, w),
          )
          const exact = integer ? call('shr', row[j]!, h.k(2)) : row[j]!
          const sum = biasView ? call('add', exact, loads.shift()!) : exact
          body.push(k.storePlace(out.buffer, at(out, 0), x.epilogue.apply(sum, loads, w)))
        }
      }
      return body
    })
    return [...outer, ...inner]
  }
  // Tiles at the lower and right edge have fewer results. The limits say to the verifier what the conditions do.
  const split = (
    at: Expr,
    extent: number,
    write: (count: number, start: Expr) => Statement[],
  ): Statement[] => {
    const rest = extent % m
    if (rest === 0) return write(m, at)
    const edge = constant(extent - rest)
    if (extent < m) return write(rest, edge)
    const whole = write(m, call('min', at, constant(extent - rest - m)))
    return [{ kind: 'if', condition: call('eq', at, edge), body: write(rest, edge), otherwise: whole }]
  }
  return [
    ...lets,
    ...split(ny, height, (rows, y0) => split(nx, width, (columns, x0) => channelLoop(rows, columns, y0, x0))),
  ]
}
