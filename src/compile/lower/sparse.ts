// Sparse convolutions: filters as compressed rows (weights, and where each one's inputs start), pixels along the vectors. A tile of
// pixels stays in registers while all non-zeros of one filter, or of a block of two, are added; tiles are the outer, parallel loop. The
// three algorithms differ in where the inputs lie: `direct` reads them in place, `im2col` first lays every tap out as a row of all
// pixels, `spatialPack` lays one tile's rows out side by side, so that what is read again and again is close together. What a sparse
// convolution before gives lies so from the start: the two are computed together, tile by tile.

import { numbers, productOf, sizeOf, type Tensor } from '../../core/tensor.ts'
import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { assign, declare, element, loop, plus, repeat, type Statement, times } from '../loops.ts'
import { evenTiles, type Schedule } from '../schedule.ts'
import { collapse, type View } from '../view.ts'
import { copyLoops, type Lowering, type TiledResults } from './lowering.ts'
import { type Tile, tilesOf } from './tiles.ts'

const known = new WeakMap<object, { density: number; pairs: number }>()
/** Share of the places where one of two neighbouring filters isn't zero. */
function pairsOf(t: Tensor): number {
  const values = numbers(t)
  const [filters, size] = [t.shape[0]!, sizeOf(t.shape.slice(1))]
  let either = 0
  for (let f = 0; f < filters; f += 2) {
    const two = f + 1 < filters
    for (let i = f * size, end = i + size; i < end; i++)
      if (values[i] !== 0 || (two && values[i + size] !== 0)) either += two ? 2 : 1
  }
  return either / values.length
}

/** Share of a constant filter's elements that are not zero; and of those where one of two neighbouring filters has none. */
export function densityOf(t: Tensor): { density: number; pairs: number } {
  const product = productOf(t)
  // Rows times anything but zero keep theirs.
  if (product && !product.by.includes(0)) return densityOf(product.of)
  const had = known.get(t.data)
  if (had !== undefined) return had
  const values = numbers(t)
  const count = values.length
  let n = count
  // Most filters have no zero, which the engine's own search finds in a third of the time.
  if ((values as Float64Array).includes(0)) {
    n = 0
    for (let i = 0; i < count; i++) if (values[i] !== 0) n++
  }
  const found = { density: count ? n / count : 1, pairs: n < count ? pairsOf(t) : 1 }
  known.set(t.data, found)
  return found
}

export type SparseConv = {
  /** The input with its border. */
  readonly from: View
  /** [O, I, taps…]. */
  readonly filter: Tensor
  readonly bias: View | undefined
  readonly channel: number
  readonly first: number
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
}

type Compressed = {
  /** Of each non-zero: one weight for every filter of the block. */
  readonly weights: Float32Array
  readonly places: Int32Array
  /** Where each block's non-zeros begin, and where the last ends, in steps of `unroll`. */
  readonly starts: Int32Array
  /** First filter of each block. */
  readonly filters: Int32Array
}

/**
 * Compressed rows over (channel, tap) of blocks of `size` filters; `placeOf`: where the input of one (channel, tap) starts. Blocks of
 * equal length follow each other where they are `sorted`: the processor then foresees where the innermost loop ends. Lengths are filled up with zeros to
 * whole steps of `unroll`.
 */
export function compressed(
  w: Tensor,
  range: readonly [from: number, to: number],
  among: readonly [from: number, to: number],
  size: number,
  unroll: number,
  sorted: boolean,
  placeOf: (k: number) => number,
): Compressed {
  const values = numbers(w)
  const depth = sizeOf(w.shape.slice(1))
  const blocks: { filter: number; at: number[] }[] = []
  for (let filter = range[0]; filter < range[1]; filter += size) {
    const at: number[] = []
    for (let k = among[0]; k < among[1]; k++)
      for (let i = 0; i < size; i++)
        if (values[(filter + i) * depth + k] !== 0) {
          at.push(k)
          break
        }
    const last = at.at(-1)!
    while (at.length % unroll !== 0) at.push(-1 - last)
    blocks.push({ filter, at })
  }
  if (sorted) blocks.sort((a, b) => b.at.length - a.at.length)
  const [weights, places] = [[] as number[], [] as number[]]
  const starts = new Int32Array(blocks.length + 1)
  blocks.forEach(({ filter, at }, b) => {
    for (const k of at) {
      for (let i = 0; i < size; i++) weights.push(k < 0 ? 0 : values[(filter + i) * depth + k]!)
      places.push(placeOf(k < 0 ? -1 - k : k))
    }
    starts[b + 1] = places.length / unroll
  })
  return {
    weights: Float32Array.from(weights),
    places: Int32Array.from(places),
    starts,
    filters: Int32Array.from(blocks, (b) => b.filter),
  }
}

export function sparseConv(x: Lowering, c: SparseConv, s: Schedule): void {
  const { from, filter } = c
  const [filters, channels] = filter.shape as [number, number]
  const kernel = filter.shape.slice(2)
  const rank = kernel.length
  const depthShape = [channels, ...kernel]
  const { shape } = x.types[0]!
  const spatial = shape.slice(c.first, c.first + rank)
  const pixelShape = [shape[0]!, ...spatial]
  const pixels = sizeOf(pixelShape)
  const pixelsOf = (v: View, steps: readonly number[] = spatial.map(() => 1)): View => ({
    ...v,
    shape: pixelShape,
    strides: [v.strides[0]!, ...spatial.map((_, d) => v.strides[c.first + d]! * steps[d]!)],
  })
  /** The convolution before, where its results come tile by tile. */
  const before = x.pieces?.kind === 'tiles' ? x.pieces : undefined
  /** Input of (channel, tap…, batch, pixel…). */
  let windows: View = {
    ...from,
    shape: [...depthShape, ...pixelShape],
    strides: [
      from.strides[c.channel]!,
      ...kernel.map((_, d) => from.strides[c.first + d]! * c.dilations[d]!),
      ...pixelsOf(from, c.strides).strides,
    ],
  }
  const inner = (v: View): View => ({ ...v, shape: pixelShape, strides: v.strides.slice(1 + rank) })
  const contiguous = collapse([inner(windows)])[0]!.strides.at(-1) === 1 || pixels === 1
  if (!before && (s.algorithm === 'im2col' || (s.algorithm === 'direct' && !contiguous))) {
    const temp = x.program.temp(`${x.op}.im2col`, 'float32', windows.shape)
    const all = windows
    x.step('im2col', (k) => copyLoops(k, all, temp))
    windows = temp
  }
  const packs = before !== undefined || s.algorithm === 'spatialPack'
  const sources = before?.views ?? [inner(windows)]
  const depthStrides = windows.strides.slice(0, 1 + rank)

  // Results are finished as they are summed where they and all other operands run along the pixels.
  const { operands } = x.epilogue
  const alongPixels = (v: View): boolean => [0, 1].includes(collapse([pixelsOf(v)])[0]!.strides.at(-1)!)
  const finishes = operands.every(alongPixels)
  const offered = x.defer?.kind === 'tiles' && finishes ? x.defer : undefined
  const kept = !offered || offered.kept ? x.output(0) : undefined
  /** Tiles of all that is computed together are pieces of one run of pixels. */
  const inOneRun = (views: readonly View[]): boolean => collapse(views)[0]!.shape.at(-1)! >= sizeOf(spatial)
  const written = kept ? [kept] : []
  const defer =
    written.every(alongPixels) && inOneRun([...sources, ...[...written, ...operands].map((v) => pixelsOf(v))])
      ? offered
      : undefined
  const out = kept ?? (defer ? undefined : x.output(0))
  const fused = finishes && (!out || alongPixels(out))
  const sums = (v: View): View => {
    const temp = x.program.temp(`${x.op}.result`, 'float32', [filters, ...pixelShape])
    const strides = v.shape.map(() => 0)
    strides[c.channel] = temp.strides[0]!
    strides[0] = temp.strides[1]!
    spatial.forEach((_, d) => void (strides[c.first + d] = temp.strides[2 + d]!))
    return { ...temp, shape: v.shape, strides }
  }
  const to = out && !fused ? sums(out) : out
  const others = fused ? operands : []
  const wholes = [...(to ? [to] : []), ...others]

  const views = [...sources, ...wholes.map((v) => pixelsOf(v))]
  const laid = collapse(views)
  const rows = Math.min(s.rows, before?.rows ?? s.rows)
  const tiling = tilesOf(laid[0]!.shape, rows, x.engine.lanes)
  const width = before?.width ?? tiling.most * tiling.lanes
  const taps = sizeOf(kernel)
  const size = Math.max(1, Math.min(s.columns, 2))
  const whole = filters - (filters % size)
  // What one pass over the filters reads should stay in the first-level cache: a part of the channels at a time.
  // Every pass has code of its own: four at most.
  const each = packs
    ? Math.max(Math.ceil(channels / 4), Math.min(channels, Math.floor(s.block / taps)))
    : channels
  const passes = evenTiles(channels, each)
  let channel = 0
  const parts = Array.from({ length: passes.tiles }, (_, pass) => {
    const from = channel
    channel += pass < passes.count ? passes.size : passes.size - 1
    const placeOf = (k: number): number => {
      if (packs) return (before ? k : k - from * taps) * width
      let [place, n] = [0, k]
      for (let d = rank; d >= 0; d--) {
        place += (n % depthShape[d]!) * depthStrides[d]!
        n = Math.floor(n / depthShape[d]!)
      }
      return place
    }
    const blocks = (
      [
        [0, whole, size],
        [whole, filters, 1],
      ] as const
    )
      .filter(([a, b]) => a < b)
      .map(([a, b, size]) => {
        const among = [from * taps, channel * taps] as const
        const csr = compressed(filter, [a, b], among, size, s.unroll, true, placeOf)
        const hold = (name: keyof Compressed): View => {
          const data = csr[name]
          const dtype = data instanceof Float32Array ? 'float32' : 'int32'
          return x.program.constant({ dtype, shape: [data.length], data }, `${x.op}.${name}`)
        }
        return {
          size,
          count: csr.filters.length,
          weights: hold('weights'),
          places: hold('places'),
          starts: hold('starts'),
          filters: hold('filters'),
          products: csr.weights.length,
        }
      })
    return { from, to: channel, first: pass === 0, last: pass === passes.tiles - 1, blocks }
  })
  type Part = (typeof parts)[number]
  const offsetOf = (v: View, at: readonly number[]): number =>
    at.reduce((sum, i, d) => sum + i * v.strides[d]!, 0)

  const pack = (
    k: KernelBuilder,
    part: Part,
    { lanes, at }: Tile,
    source: View,
    base: Expr,
    to: number,
  ): Statement[] => {
    const nest = (d: number, place: Expr, row: Expr): Statement[] =>
      d > rank
        ? at.map((index, v) => {
            const from = plus(place, offsetOf(source, index))
            const value = k.loadStrided(source.buffer, from, source.strides.at(-1)!, lanes)
            return k.storePlace(to, plus(times(row, width), v * lanes), value)
          })
        : loop(k.name('c'), 0, d === 0 ? part.to - part.from : depthShape[d]!, (i) =>
            nest(d + 1, plus(place, times(i, depthStrides[d]!)), plus(times(row, depthShape[d]!), i)),
          )
    return nest(0, plus(base, part.from * depthStrides[0]!), constant(0))
  }
  /**
   * Results of a tile whose input `read` gives: to memory, and to `results` where a reader takes them from there. Sums of the passes
   * before lie where results go.
   */
  const products = (
    k: KernelBuilder,
    part: Part,
    p: Part['blocks'][number],
    { lanes, at }: Tile,
    read: (place: Expr, v: number) => Expr,
    finals: readonly View[],
    bases: readonly Expr[],
    results: number,
  ): Statement[] =>
    loop(k.name('b'), 0, p.count, (b) => {
      const type = { type: 'float32', lanes } as const
      const acc = Array.from({ length: p.size }, () => k.name('acc'))
      const [holdFilter, first] = k.hold('filter', 'int32', 1, k.load(p.filters, [b]))
      const [s0, e0] = k.hold('from', 'int32', 1, k.load(p.starts, [b]))
      const [s1, e1] = k.hold('to', 'int32', 1, k.load(p.starts, [plus(b, 1)]))
      const filterAt = (i: number): Expr => plus(first, i)
      const step = (e: Expr): Statement[] => {
        const [weight, place] = [k.name('w'), k.name('place')]
        return [
          declare(place, { type: 'int32', lanes: 1 }, k.load(p.places, [e])),
          ...acc.map((_, i) =>
            declare(`${weight}_${i}`, type, repeat(k.load(p.weights, [plus(times(e, p.size), i)]), lanes)),
          ),
          ...at.flatMap((_, v) => {
            const input = read(variable(place), v)
            if (p.size === 1)
              return [assign(acc[0]!, call('fma', input, variable(`${weight}_0`), element(acc[0]!, v)), v)]
            const name = k.name('in')
            return [
              declare(name, type, input),
              ...acc.map((a, i) =>
                assign(a, call('fma', variable(name), variable(`${weight}_${i}`), element(a, v)), v),
              ),
            ]
          }),
        ]
      }
      const sumAt = (i: number, v: number): Expr => plus(times(filterAt(i), width), v * lanes)
      const result = (a: string, i: number, index: readonly number[], v: number): Statement[] => {
        if (!part.last) return [k.storePlace(results, sumAt(i, v), element(a, v))]
        const place = (n: number): Expr =>
          plus(
            plus(bases[n]!, times(filterAt(i), wholes[n]!.strides[c.channel]!)),
            offsetOf(finals[n]!, index),
          )
        const loads = others.map((_, i) => {
          const n = finals.length - others.length + i
          return k.loadStrided(finals[n]!.buffer, place(n), finals[n]!.strides.at(-1)!, lanes)
        })
        const [hold, value] = k.hold(
          'result',
          'float32',
          lanes,
          fused ? x.epilogue.apply(element(a, v), loads, lanes) : element(a, v),
        )
        return [
          hold,
          ...(to ? [k.storePlace(to.buffer, place(0), value)] : []),
          ...(defer ? [k.storePlace(results, sumAt(i, v), value)] : []),
        ]
      }
      return [
        holdFilter,
        s0,
        s1,
        ...acc.flatMap((a, i) => {
          if (!part.first)
            return [
              declare(a, type, repeat(constant(0, 'float32'), lanes), at.length),
              ...at.map((_, v) => assign(a, k.loadPlace(results, sumAt(i, v), lanes), v)),
            ]
          const start = c.bias
            ? k.loadPlace(c.bias.buffer, plus(times(filterAt(i), c.bias.strides[0]!), c.bias.offset))
            : constant(0, 'float32')
          return [declare(a, type, repeat(start, lanes), at.length)]
        }),
        ...loop(k.name('e'), e0, e1, (e) =>
          Array.from({ length: s.unroll }, (_, i) => step(plus(times(e, s.unroll), i))).flat(),
        ),
        ...acc.flatMap((a, i) => at.flatMap((index, v) => result(a, i, index, v))),
      ]
    })
  const made: TiledResults = {
    kind: 'tiles',
    macs: (before?.macs ?? 0) + parts.flatMap((p) => p.blocks).reduce((n, b) => n + b.products, 0) * pixels,
    rows: tiling.most,
    width,
    depth: Math.max(
      before?.depth ?? 0,
      packs ? passes.size * taps : 0,
      defer || parts.length > 1 ? filters : 0,
    ),
    views,
    make(k, tile, input, results) {
      const [theirs, finals] = [tile.views.slice(0, sources.length), tile.views.slice(sources.length)]
      const [source] = theirs as [View]
      const begins = [...(before ? [] : [source]), ...finals].map((v) => {
        const from = tile.begin.reduce((sum, i, d) => plus(sum, times(i, v.strides[d]!)), constant(v.offset))
        return k.hold('base', 'int32', 1, from)
      })
      const bases = begins.map(([, e]) => e)
      const base = before ? constant(0) : bases.shift()!
      const read = (place: Expr, v: number): Expr =>
        packs
          ? k.loadPlace(input, plus(place, v * tile.lanes), tile.lanes)
          : k.loadPlace(source.buffer, plus(plus(base, place), offsetOf(source, tile.at[v]!)), tile.lanes)
      return [
        ...(before?.make(k, { ...tile, views: theirs }, results, input) ?? []),
        ...begins.map(([hold]) => hold),
        ...parts.flatMap((part) => [
          ...(packs && !before ? pack(k, part, tile, source, base, input) : []),
          ...part.blocks.flatMap((p) => products(k, part, p, tile, read, finals, bases, results)),
        ]),
      ]
    },
  }
  if (defer) {
    defer.give(made)
    return
  }
  // Of those computed together, each but the first reads from one of two packed tiles and writes to the other.
  const [input, results] = [packs, before || parts.length > 1].map((wanted) =>
    wanted ? x.program.buffer(`${x.op}.tile`, 'float32', made.depth * width, 'scratch') : 0,
  )
  x.step(
    before ? 'sparse_tiles' : `sparse_${s.algorithm}`,
    (k) =>
      loop(
        k.name('t'),
        0,
        tiling.tiles,
        (t) =>
          tiling.write(t, (begin, at) =>
            made.make(k, { lanes: tiling.lanes, begin, at, views: laid }, input!, results!),
          ),
        { mode: 'parallel' },
      ),
    made.macs,
  )
  if (!out || fused) return
  x.step('finish', (k) =>
    k.nest(out.shape, 1, (index) => [
      k.store(
        out,
        index,
        x.epilogue.apply(
          k.load(to!, index),
          operands.map((v) => k.load(v, index)),
          1,
        ),
      ),
    ]),
  )
}
