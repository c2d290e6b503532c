// Sparse convolutions: filters as compressed rows (weights, and where each one's input row starts), pixels along the vectors. A tile of
// pixels stays in registers while all non-zeros of one filter are added; tiles are the outer, parallel loop. The three algorithms
// differ in where the inputs lie: `direct` reads channels in place (pointwise convolutions), `im2col` first lays every tap out as a row
// of all pixels, `spatialPack` lays the rows out tile by tile, so that one tile's inputs are close together.

import { numbers, sizeOf, type Tensor } from '../../core/tensor.ts'
import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { assign, declare, element, loop, plus, repeat, type Statement, times } from '../loops.ts'
import type { Schedule } from '../schedule.ts'
import { permuted, reshapedView, type View } from '../view.ts'
import { copyLoops, type Lowering } from './lowering.ts'

const known = new WeakMap<object, number>()
/** Share of a constant's elements that are not zero. */
export function densityOf(t: Tensor): number {
  const had = known.get(t.data)
  if (had !== undefined) return had
  const values = numbers(t)
  let n = 0
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) n++
  const density = values.length ? n / values.length : 1
  known.set(t.data, density)
  return density
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

/** Compressed rows over (channel, tap). `stride`: elements from one input row to the next. */
function compressed(
  w: Tensor,
  stride: number,
): { weights: Float32Array; places: Int32Array; starts: Int32Array } {
  const values = numbers(w)
  const filters = w.shape[0]!
  const depth = sizeOf(w.shape.slice(1))
  const [weights, places, starts] = [[] as number[], [] as number[], new Int32Array(filters + 1)]
  for (let o = 0; o < filters; o++) {
    for (let k = 0; k < depth; k++) {
      const v = values[o * depth + k]!
      if (v === 0) continue
      weights.push(v)
      places.push(k * stride)
    }
    starts[o + 1] = weights.length
  }
  return { weights: Float32Array.from(weights), places: Int32Array.from(places), starts }
}

/** The rows that the product reads: a view [rows, tiles, pixels of a tile]. */
export function sparseConv(x: Lowering, c: SparseConv, s: Schedule): void {
  const { from, out, filter } = c
  const { lanes } = x.engine
  const [filters, channels] = filter.shape as [number, number]
  const kernel = filter.shape.slice(2)
  const taps = sizeOf(kernel)
  const spatial = out.shape.slice(c.first, c.first + kernel.length)
  const pixels = out.shape[0]! * sizeOf(spatial)
  const depth = channels * taps
  const rank = kernel.length
  // Input element of (channel, tap…, batch, pixel…), as a view.
  const step = (v: View, d: number): number => v.strides[c.first + d]!
  const windows: View = {
    ...from,
    shape: [channels, ...kernel, out.shape[0]!, ...spatial],
    strides: [
      from.strides[c.channel]!,
      ...kernel.map((_, d) => step(from, d) * c.dilations[d]!),
      from.strides[0]!,
      ...spatial.map((_, d) => step(from, d) * c.strides[d]!),
    ],
  }
  // Results as [filter, pixel].
  const results = (v: View): View | undefined => {
    const order = [c.channel, 0, ...spatial.map((_, d) => c.first + d)]
    return reshapedView(permuted(v, order), [filters, pixels])
  }
  const width = Math.max(1, Math.min(s.rows * lanes, 8 * lanes))
  const flat = taps === 1 ? reshapedView(windows, [depth, pixels]) : undefined
  let tileStride = width
  let rowStride: number
  let source: { buffer: number; offset: number }
  if (s.algorithm === 'spatialPack') {
    // [tile][row][pixel of the tile]; the last tile is filled up with what stands there.
    const tiles = Math.ceil(pixels / width)
    const rows = flat ?? im2col(x, windows, depth, pixels)
    const packed = x.program.temp(`${x.op}.tiles`, 'float32', [tiles, depth, width])
    const full = Math.floor(pixels / width)
    const part = (first: number, count: number, w: number): void => {
      if (count === 0) return
      const base = { offset: packed.offset + first * depth * width, shape: [count, depth, w] }
      const to: View = { ...packed, ...base, strides: [depth * width, width, 1] }
      const a: View = {
        ...rows,
        offset: rows.offset + first * width * rows.strides[1]!,
        shape: [count, depth, w],
        strides: [width * rows.strides[1]!, rows.strides[0]!, rows.strides[1]!],
      }
      x.step('tiles', (k) => copyLoops(k, a, to))
    }
    part(0, full, width)
    part(full, tiles - full, pixels - full * width)
    source = packed
    rowStride = width
    tileStride = depth * width
  } else {
    const rows = s.algorithm === 'direct' && flat?.strides[1] === 1 ? flat : im2col(x, windows, depth, pixels)
    source = rows
    rowStride = rows.strides[0]!
  }
  const csr = compressed(filter, rowStride)
  const hold = (name: string, data: Int32Array | Float32Array): View =>
    x.program.constant(
      { dtype: data instanceof Float32Array ? 'float32' : 'int32', shape: [data.length], data },
      `${x.op}.${name}`,
    )
  const [weights, places, starts] = [
    hold('weights', csr.weights),
    hold('places', csr.places),
    hold('starts', csr.starts),
  ]
  const operands = x.epilogue.operands
  const flatOut = results(out)
  const to =
    flatOut?.strides[1] === 1 ? flatOut : x.program.temp(`${x.op}.result`, 'float32', [filters, pixels])
  const direct = to === flatOut
  const flatOperands = direct ? operands.map((v) => results(v)) : []
  const fused = direct && flatOperands.every((v) => v !== undefined && v.strides[1]! <= 1)
  x.step(
    `sparse_${s.algorithm}`,
    (k) => {
      const tile = (base: Expr, outBase: Expr, vectors: number, w: number): Statement[] => {
        const type = { type: 'float32', lanes: w } as const
        return loop(k.name('o'), 0, filters, (o) => {
          const [acc, weight, place] = [k.name('acc'), k.name('w'), k.name('place')]
          const begin = c.bias
            ? k.loadPlace(c.bias.buffer, plus(times(o, c.bias.strides[0]!), c.bias.offset))
            : constant(0, 'float32')
          const u = (write: (v: Expr) => Statement[]): Statement[] =>
            loop(k.name('u'), 0, vectors, write, { mode: 'unrolled' })
          const [s0, e0] = k.hold('from', 'int32', 1, k.load(starts, [o]))
          const [s1, e1] = k.hold('to', 'int32', 1, k.load(starts, [plus(o, 1)]))
          return [
            declare(acc, type, repeat(begin, w), vectors),
            s0,
            s1,
            ...loop(k.name('e'), e0, e1, (e) => [
              declare(weight, type, repeat(k.load(weights, [e]), w)),
              declare(place, { type: 'int32', lanes: 1 }, k.load(places, [e])),
              ...u((v) => [
                assign(
                  acc,
                  call(
                    'fma',
                    k.loadPlace(
                      source.buffer,
                      plus(plus(plus(base, variable(place)), times(v, w)), source.offset),
                      w,
                    ),
                    variable(weight),
                    element(acc, v),
                  ),
                  v,
                ),
              ]),
            ]),
            ...u((v) => {
              const pixel = plus(outBase, times(v, w))
              const loads = fused
                ? flatOperands.map((p) =>
                    k.loadStrided(
                      p!.buffer,
                      plus(plus(times(o, p!.strides[0]!), times(pixel, p!.strides[1]!)), p!.offset),
                      p!.strides[1]!,
                      w,
                    ),
                  )
                : []
              const value = fused ? x.epilogue.apply(element(acc, v), loads, w) : element(acc, v)
              return [k.storePlace(to.buffer, plus(plus(times(o, to.strides[0]!), pixel), to.offset), value)]
            }),
          ]
        })
      }
      const full = Math.floor(pixels / width)
      const rest = pixels - full * width
      // What whole tiles leave over: fewer vectors, then single pixels.
      const vectors = Math.floor(rest / lanes)
      const tail = (at: number): Statement[] => [
        ...(vectors > 0 ? tile(constant(at), constant(full * width), vectors, lanes) : []),
        ...Array.from({ length: rest - vectors * lanes }, (_, i) =>
          tile(constant(at + vectors * lanes + i), constant(full * width + vectors * lanes + i), 1, 1),
        ).flat(),
      ]
      const tiles = full + (rest > 0 ? 1 : 0)
      return loop(
        k.name('t'),
        0,
        tiles,
        (t) => {
          const inside = call('min', t, constant(Math.max(0, full - 1)))
          const whole =
            full > 0 ? tile(times(inside, tileStride), times(inside, width), width / lanes, lanes) : []
          if (rest === 0) return whole
          if (full === 0) return tail(0)
          return [
            {
              kind: 'if',
              condition: call('lt', t, constant(full)),
              body: whole,
              otherwise: tail(full * tileStride),
            },
          ]
        },
        { mode: 'parallel' },
      )
    },
    csr.weights.length * pixels,
  )
  if (fused) return
  finish(x, c, to, out, rank)
}

/** Every (channel, tap) as a row of all pixels. */
function im2col(x: Lowering, windows: View, depth: number, pixels: number): View {
  const temp = x.program.temp(`${x.op}.im2col`, 'float32', windows.shape)
  x.step('im2col', (k: KernelBuilder) => copyLoops(k, windows, temp))
  return { ...temp, shape: [depth, pixels], strides: [pixels, 1] }
}

/** The epilogue, where results could not be finished in place. */
function finish(x: Lowering, c: SparseConv, sums: View, out: View, rank: number): void {
  const spatial = out.shape.slice(c.first, c.first + rank)
  const strides = out.shape.map(() => 0)
  let n = 1
  for (let d = rank - 1; d >= 0; d--) {
    strides[c.first + d] = n
    n *= spatial[d]!
  }
  strides[0] = n
  strides[c.channel] = sums.strides[0]!
  const from: View = { ...sums, shape: out.shape, strides }
  x.step('finish', (k) =>
    k.nest(out.shape, 1, (index) => [
      k.store(
        out,
        index,
        x.epilogue.apply(
          k.load(from, index),
          x.epilogue.operands.map((v) => k.load(v, index)),
          1,
        ),
      ),
    ]),
  )
}
