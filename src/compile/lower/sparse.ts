// Sparse convolutions: filters as compressed rows (weights, and where each one's inputs start), pixels along the vectors. A tile of
// pixels stays in registers while all non-zeros of one filter, or of a block of two, are added; tiles are the outer, parallel loop. The
// three algorithms differ in where the inputs lie: `direct` reads them in place, `im2col` first lays every tap out as a row of all
// pixels, `spatialPack` lays one tile's rows out side by side, so that what is read again and again is close together.

import { numbers, sizeOf, type Tensor } from '../../core/tensor.ts'
import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { assign, declare, divided, element, loop, plus, repeat, type Statement, times } from '../loops.ts'
import { evenTiles, type Schedule } from '../schedule.ts'
import { collapse, type View } from '../view.ts'
import { copyLoops, type Lowering } from './lowering.ts'

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
  readonly out: View
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

/** How the pixels fall into tiles. Every tile is some vectors at fixed distances from its first element. */
type Tiles = {
  readonly lanes: number
  readonly tiles: number
  /** Vectors of a tile: the widest. */
  readonly most: number
  /** Code for tile `t`, from where it begins, in the dimensions that it is given; `at`: index in each of them of every vector. */
  write(
    t: Expr,
    body: (begin: readonly Expr[], at: readonly (readonly number[])[]) => Statement[],
  ): Statement[]
}

/** `shape`: of all pixels, as few dimensions as they lie in. `vectors`: wanted in a tile. */
function tilesOf(shape: readonly number[], vectors: number, most: number): Tiles {
  const rank = shape.length
  const width = shape[rank - 1]!
  let lanes = most
  while (lanes > width && lanes > 1) lanes = lanes > 4 ? lanes / 2 : 1
  const across = Math.ceil(width / lanes)
  // Pieces of a row, or whole rows.
  const along = across >= vectors || rank === 1 ? rank - 1 : rank - 2
  const [units, each] = along === rank - 1 ? [across, vectors] : [shape[along]!, Math.floor(vectors / across)]
  const { tiles, size, count } = evenTiles(units, each)
  const lead = shape.slice(0, along)
  const vectorsOf = (n: number): number[][] => {
    const zeros = lead.map(() => 0)
    // The last vector of a row ends where the row does.
    if (along === rank - 1)
      return Array.from({ length: n }, (_, v) => [...zeros, Math.min(v * lanes, width - lanes)])
    const row = Array.from({ length: across }, (_, v) => Math.min(v * lanes, width - lanes))
    return Array.from({ length: n }, (_, y) => row.map((x) => [...zeros, y, x])).flat()
  }
  return {
    lanes,
    tiles: sizeOf(lead) * tiles,
    most: along === rank - 1 ? size : size * across,
    write(t, body) {
      let [rest, unit] = divided(t, tiles)
      const index: Expr[] = []
      for (const n of [...lead].reverse()) {
        const [q, r] = divided(rest, n)
        index.unshift(r)
        rest = q
      }
      const form = (n: number, first: Expr): Statement[] => {
        const begin =
          along === rank - 1
            ? [...index, call('min', times(first, lanes), constant(Math.max(0, width - n * lanes)))]
            : [...index, first, constant(0)]
        return body(begin, vectorsOf(n))
      }
      if (count === tiles) return form(size, times(unit, size))
      return [
        {
          kind: 'if',
          condition: call('lt', unit, constant(count)),
          body: form(size, times(call('min', unit, constant(count - 1)), size)),
          otherwise: form(
            size - 1,
            plus(
              times(call('sub', call('max', unit, constant(count)), constant(count)), size - 1),
              count * size,
            ),
          ),
        },
      ]
    },
  }
}

export function sparseConv(x: Lowering, c: SparseConv, s: Schedule): void {
  const { from, out, filter } = c
  const [filters, channels] = filter.shape as [number, number]
  const kernel = filter.shape.slice(2)
  const rank = kernel.length
  const depthShape = [channels, ...kernel]
  const spatial = out.shape.slice(c.first, c.first + rank)
  const pixelShape = [out.shape[0]!, ...spatial]
  const pixelsOf = (v: View, steps: readonly number[] = spatial.map(() => 1)): View => ({
    ...v,
    shape: pixelShape,
    strides: [v.strides[0]!, ...spatial.map((_, d) => v.strides[c.first + d]! * steps[d]!)],
  })
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
  const { operands } = x.epilogue
  // Results are finished in place where they and all other operands run along the pixels.
  const along = (v: View): number => collapse([pixelsOf(v)])[0]!.strides.at(-1)!
  const pixels = sizeOf(pixelShape)
  const fused = (pixels === 1 || along(out) === 1) && operands.every((v) => along(v) === 0 || along(v) === 1)
  const sums = (): View => {
    const temp = x.program.temp(`${x.op}.result`, 'float32', [filters, ...pixelShape])
    const strides = out.shape.map(() => 0)
    strides[c.channel] = temp.strides[0]!
    strides[0] = temp.strides[1]!
    spatial.forEach((_, d) => void (strides[c.first + d] = temp.strides[2 + d]!))
    return { ...temp, shape: out.shape, strides }
  }
  const to = fused ? out : sums()
  const others = fused ? operands : []
  const inner = (v: View): View => ({ ...v, shape: pixelShape, strides: v.strides.slice(1 + rank) })
  const contiguous = collapse([inner(windows)])[0]!.strides.at(-1) === 1 || pixels === 1
  if (s.algorithm === 'im2col' || (s.algorithm === 'direct' && !contiguous)) {
    const temp = x.program.temp(`${x.op}.im2col`, 'float32', windows.shape)
    const all = windows
    x.step('im2col', (k) => copyLoops(k, all, temp))
    windows = temp
  }
  const packs = s.algorithm === 'spatialPack'
  const wholes = [to, ...others]
  const [source, ...finals] = collapse([inner(windows), ...wholes.map((v) => pixelsOf(v))])
  const tiles = tilesOf(source!.shape, s.rows, x.engine.lanes)
  const { lanes } = tiles
  const width = tiles.most * lanes
  // What one pass over the filters reads should stay in the first-level cache: a part of the channels at a time.
  // Every pass has code of its own: four at most.
  const fewest = Math.ceil(channels / 4)
  const each = packs ? Math.max(fewest, Math.min(channels, Math.floor(s.block / sizeOf(kernel)))) : channels
  const passes = evenTiles(channels, each)
  const scratch = (name: string, rows: number): number =>
    x.program.buffer(`${x.op}.${name}`, 'float32', rows * width, 'scratch')
  const packed = packs ? scratch('tile', passes.size * sizeOf(kernel)) : 0
  const partial = passes.tiles > 1 ? scratch('sums', filters) : 0
  const depthStrides = windows.strides.slice(0, 1 + rank)
  const size = Math.max(1, Math.min(s.columns, 2))
  const whole = filters - (filters % size)
  let channel = 0
  const parts = Array.from({ length: passes.tiles }, (_, pass) => {
    const from = channel
    channel += pass < passes.count ? passes.size : passes.size - 1
    const among = [from * sizeOf(kernel), channel * sizeOf(kernel)] as const
    const placeOf = (k: number): number => {
      if (packs) return (k - among[0]) * width
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
        const csr = compressed(filter, [a, b], among, size, s.unroll, true, placeOf)
        const hold = (name: keyof Compressed): View => {
          const data = csr[name]
          const dtype = data instanceof Float32Array ? 'float32' : 'int32'
          return x.program.constant({ dtype, shape: [data.length], data }, `${x.op}.${name}`)
        }
        return {
          size,
          blocks: csr.filters.length,
          weights: hold('weights'),
          places: hold('places'),
          starts: hold('starts'),
          filters: hold('filters'),
          products: csr.weights.length,
        }
      })
    return { from, to: channel, first: pass === 0, last: pass === passes.tiles - 1, blocks }
  })
  const offsetOf = (v: View, at: readonly number[]): number =>
    at.reduce((sum, i, d) => sum + i * v.strides[d]!, 0)
  const baseOf = (v: View, begin: readonly Expr[]): Expr =>
    begin.reduce((sum, i, d) => plus(sum, times(i, v.strides[d]!)), constant(v.offset) as Expr)
  const type = { type: 'float32', lanes } as const

  type Part = (typeof parts)[number]
  const pack = (
    k: KernelBuilder,
    part: Part,
    base: Expr,
    at: readonly (readonly number[])[],
  ): Statement[] => {
    const nest = (d: number, place: Expr, row: Expr): Statement[] =>
      d > rank
        ? at.map((index, v) =>
            k.storePlace(
              packed,
              plus(times(row, width), v * lanes),
              k.loadStrided(
                source!.buffer,
                plus(place, offsetOf(source!, index)),
                source!.strides.at(-1)!,
                lanes,
              ),
            ),
          )
        : loop(k.name('c'), 0, d === 0 ? part.to - part.from : depthShape[d]!, (i) =>
            nest(d + 1, plus(place, times(i, depthStrides[d]!)), plus(times(row, depthShape[d]!), i)),
          )
    return nest(0, plus(base, part.from * depthStrides[0]!), constant(0))
  }
  const products = (
    k: KernelBuilder,
    part: Part,
    p: Part['blocks'][number],
    at: readonly (readonly number[])[],
    base: Expr,
    bases: readonly Expr[],
  ): Statement[] =>
    loop(k.name('b'), 0, p.blocks, (b) => {
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
          ...at.flatMap((index, v) => {
            const input = packs
              ? k.loadPlace(packed, plus(variable(place), v * lanes), lanes)
              : k.loadPlace(
                  source!.buffer,
                  plus(plus(base, variable(place)), offsetOf(source!, index)),
                  lanes,
                )
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
      return [
        holdFilter,
        s0,
        s1,
        ...acc.flatMap((a, i) => {
          if (!part.first) {
            const zero = repeat(constant(0, 'float32'), lanes)
            return [
              declare(a, type, zero, at.length),
              ...at.map((_, v) =>
                assign(a, k.loadPlace(partial, plus(times(filterAt(i), width), v * lanes), lanes), v),
              ),
            ]
          }
          const start = c.bias
            ? k.loadPlace(c.bias.buffer, plus(times(filterAt(i), c.bias.strides[0]!), c.bias.offset))
            : constant(0, 'float32')
          return [declare(a, type, repeat(start, lanes), at.length)]
        }),
        ...loop(k.name('e'), e0, e1, (e) =>
          Array.from({ length: s.unroll }, (_, i) => step(plus(times(e, s.unroll), i))).flat(),
        ),
        ...acc.flatMap((a, i) => {
          if (!part.last)
            return at.map((_, v) =>
              k.storePlace(partial, plus(times(filterAt(i), width), v * lanes), element(a, v)),
            )
          const place = (n: number, index: readonly number[]): Expr =>
            plus(
              plus(bases[n]!, times(filterAt(i), wholes[n]!.strides[c.channel]!)),
              offsetOf(finals[n]!, index),
            )
          return at.map((index, v) => {
            const loads = others.map((_, n) =>
              k.loadStrided(
                finals[n + 1]!.buffer,
                place(n + 1, index),
                finals[n + 1]!.strides.at(-1)!,
                lanes,
              ),
            )
            const value = fused ? x.epilogue.apply(element(a, v), loads, lanes) : element(a, v)
            return k.storePlace(to.buffer, place(0, index), value)
          })
        }),
      ]
    })
  x.step(
    `sparse_${s.algorithm}`,
    (k) =>
      loop(
        k.name('t'),
        0,
        tiles.tiles,
        (t) =>
          tiles.write(t, (begin, at) => {
            const held = [source!, ...finals].map((v) => k.hold('base', 'int32', 1, baseOf(v, begin)))
            const [base, ...bases] = held.map(([, e]) => e)
            return [
              ...held.map(([statement]) => statement),
              ...parts.flatMap((part) => [
                ...(packs ? pack(k, part, base!, at) : []),
                ...part.blocks.flatMap((p) => products(k, part, p, at, base!, bases)),
              ]),
            ]
          }),
        { mode: 'parallel' },
      ),
    parts.flatMap((p) => p.blocks).reduce((n, b) => n + b.products, 0) * pixels,
  )
  if (fused) return
  x.step('finish', (k) =>
    k.nest(out.shape, 1, (index) => [
      k.store(
        out,
        index,
        x.epilogue.apply(
          k.load(to, index),
          operands.map((v) => k.load(v, index)),
          1,
        ),
      ),
    ]),
  )
}
