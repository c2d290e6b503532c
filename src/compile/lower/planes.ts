// Depthwise convolution between sparse neighbours, which keep the pixels of a channel together: vectors run along the rows of an image.
// Each channel's image is laid out with its padding in scratch memory first, the columns of a stride of two apart by parity, so that
// every tap of a vector of results is one vector; several rows of results share what they read.

import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import type { Node } from '../../ir/types.ts'
import type { KernelBuilder } from '../build.ts'
import { assign, declare, divided, element, loop, plus, repeat, type Statement, times } from '../loops.ts'
import { evenTiles } from '../schedule.ts'
import type { View } from '../view.ts'
import type { Conv } from './border.ts'
import { isDepthwise } from './depthwise.ts'
import type { Lowering, Vectors } from './lowering.ts'

/** Whether a depthwise convolution has a form along pixels. `input`, `filter`, `out`: shapes. */
export function hasPlanes(
  n: Pick<Node, 'op' | 'attributes'>,
  filter: readonly number[],
  input: readonly number[],
  out: readonly number[],
): boolean {
  const last = n.attributes.layout === 'channelsLast'
  const [stride, dilation] = [n.attributes.strides, n.attributes.dilations].map(
    (v) => (v as readonly number[]).at(-1)!,
  )
  return (
    n.op === 'conv2d' &&
    isDepthwise({ groups: n.attributes.groups as number }, filter, input[last ? 3 : 1]!) &&
    Math.min(out[last ? 2 : 3]!, input[last ? 2 : 3]!) >= 4 &&
    (stride === 1 || (stride === 2 && dilation === 1))
  )
}

/** Starts of vectors that cover 0..n; the last ends at n. */
const starts = (n: number, lanes: number): number[] =>
  Array.from({ length: Math.ceil(n / lanes) }, (_, i) => Math.min(i * lanes, n - lanes))

/** The widest vector that a row of n fills. */
function fitting(n: number, lanes: number): number {
  let l = lanes
  while (l > n && l > 1) l = l > 4 ? l / 2 : 1
  return l
}

export function depthwisePlanes(
  x: Lowering,
  c: Conv,
  input: View,
  filter: View,
  bias: View | undefined,
): void {
  const out = x.output(0)
  const [kh, kw] = filter.shape.slice(2) as [number, number]
  const [sy, sx] = c.strides as [number, number]
  const [dy, dx] = c.dilations as [number, number]
  const [top, left] = c.pads as [number, number]
  const channels = input.shape[c.channel]!
  const [h, w] = input.shape.slice(c.first, c.first + 2) as [number, number]
  const [oh, ow] = out.shape.slice(c.first, c.first + 2) as [number, number]
  const { lanes: most } = x.engine
  const rows = (oh - 1) * sy + (kh - 1) * dy + 1
  const columns = (ow - 1) * sx + (kw - 1) * dx + 1
  // Element (y, x) of the padded image: part x mod sx, row y, column x div sx. Rows hold a whole vector at least.
  const pitch = Math.max(most, Math.ceil(columns / sx / 4) * 4)
  const image = x.program.buffer(`${x.op}.image`, 'float32', sx * rows * pitch, 'scratch')
  const place = (y: Expr | number, column: number): Expr =>
    plus(times(y, pitch), (column % sx) * rows * pitch + Math.floor(column / sx))
  const zero = (lanes: number): Expr => repeat(constant(0, 'float32'), lanes)
  const along = (v: View): number => v.strides[c.first + 1]!

  const cleared = (k: KernelBuilder, from: number, to: number): Statement[] =>
    loop(k.name('y'), from, to, (y) =>
      Array.from({ length: sx }, (_, part) =>
        starts(pitch, most).map((at) => k.storePlace(image, plus(place(y, part), at), zero(most))),
      ).flat(),
    )
  /** The pointwise convolution before, where its results come as they are laid out. */
  const expansion = x.pieces?.kind === 'vectors' ? x.pieces : undefined
  const used = Math.min(w, columns - left)
  /** Two vectors that lie side by side, from column `at` of the image on, to the parts of both parities. */
  const parted = (k: KernelBuilder, y: Expr, at: number, lanes: number, a: Expr, b: Expr): Statement[] =>
    [0, 1].map((parity) => {
      const picked = Array.from({ length: lanes }, (_, i) => 2 * i + parity)
      return k.storePlace(image, place(y, left + at + parity), { kind: 'pick', lanes: picked, a, b })
    })
  /** Zeros beside row `y` of the image. Written before the row, for they may reach into it. */
  const beside = (k: KernelBuilder, y: Expr): Statement[] => {
    const body: Statement[] = []
    for (let part = 0; part < sx; part++) {
      const first = left <= part ? 0 : Math.ceil((left - part) / sx)
      const end = Math.ceil((left + w - part) / sx)
      const zeros = new Set<number>()
      for (const [a, b] of [
        [0, first],
        [end, pitch],
      ] as const)
        for (let i = a; i < b; i += most) zeros.add(Math.min(i, pitch - most))
      for (const i of zeros) body.push(k.storePlace(image, plus(place(y, part), i), zero(most)))
    }
    return body
  }
  const lines = Math.max(0, Math.min(h, rows - top))
  const wide = fitting(Math.floor(used / sx), most)
  const pieces = starts(used, sx * wide)
  /** Rows made at a time, for as many sums as registers hold. */
  const together = expansion ? Math.max(1, Math.floor(8 / (pieces.length * sx))) : 1
  /** Rows of the image from `row` on, of results of the convolution before, go to theirs of the padded one. */
  const made = (k: KernelBuilder, e: Vectors, row: Expr): Statement[] => {
    const all = Array.from({ length: together }, (_, i) =>
      i === 0 ? row : call('min', plus(row, i), constant(lines - 1)),
    ).flatMap((y) => pieces.map((at) => ({ y, at })))
    const body = [...new Set(all.map(({ y }) => y))].flatMap((y) => beside(k, plus(y, top)))
    const each = Math.ceil(all.length / evenTiles(all.length * sx, 8).tiles)
    for (let i = 0; i < all.length; i += each) {
      const some = all.slice(i, i + each)
      const at = some.flatMap(({ y, at }) =>
        Array.from({ length: sx }, (_, part) => [y, at + part * wide] as const),
      )
      const [statements, values] = e.make(k, at, wide)
      body.push(...statements)
      some.forEach(({ y, at }, v) => {
        if (sx === 1) body.push(k.storePlace(image, place(plus(y, top), left + at), values[v]!))
        else body.push(...parted(k, plus(y, top), at, wide, values[2 * v]!, values[2 * v + 1]!))
      })
    }
    return body
  }
  /** A row of the image, at `from` (elements), goes to row `y` of the padded one. */
  const copied = (k: KernelBuilder, from: Expr, y: Expr): Statement[] => {
    const body = beside(k, y)
    const s = along(input)
    if (sx === 2 && s === 1 && used >= 8) {
      for (const at of pieces) {
        const [a, b] = [k.name('a'), k.name('b')]
        const type = { type: 'float32', lanes: wide } as const
        body.push(
          declare(a, type, k.loadPlace(input.buffer, plus(from, at), wide)),
          declare(b, type, k.loadPlace(input.buffer, plus(from, at + wide), wide)),
          ...parted(k, y, at, wide, variable(a), variable(b)),
        )
      }
      return body
    }
    for (let part = 0; part < sx; part++) {
      const n = Math.ceil((used - part) / sx)
      const lanes = fitting(n, most)
      for (const at of starts(n, lanes)) {
        const value = k.loadStrided(input.buffer, plus(from, (part + at * sx) * s), s * sx, lanes)
        body.push(k.storePlace(image, place(y, left + part + at * sx), value))
      }
    }
    return body
  }

  const { operands } = x.epilogue
  const vector = along(out) === 1 && operands.every((v) => along(v) === 0 || along(v) === 1)
  const lanes = vector ? fitting(ow, most) : 1
  /** Results of `count` rows from row `y0` on, at column `x0`. */
  const results = (
    k: KernelBuilder,
    weights: readonly (readonly string[])[],
    begin: Expr,
    bases: readonly Expr[],
    y0: Expr,
    count: number,
    x0: number | Expr,
  ): Statement[] => {
    const type = { type: 'float32', lanes } as const
    const acc = k.name('acc')
    const body: Statement[] = [declare(acc, type, repeat(begin, lanes), count)]
    const line = times(y0, sy)
    // Row by row of what is read: every value serves all rows of results that it counts for.
    const last = (count - 1) * sy + (kh - 1) * dy
    for (let r = 0; r <= last; r++) {
      for (let kx = 0; kx < kw; kx++) {
        const uses = Array.from({ length: kh }, (_, ky) => [ky, (r - ky * dy) / sy] as const).filter(
          ([, row]) => Number.isInteger(row) && row >= 0 && row < count,
        )
        if (uses.length === 0) continue
        const name = k.name('in')
        const at = plus(place(plus(line, r), kx * dx), x0)
        body.push(declare(name, type, k.loadPlace(image, at, lanes)))
        for (const [ky, row] of uses)
          body.push(
            assign(acc, call('fma', variable(name), variable(weights[ky]![kx]!), element(acc, row)), row),
          )
      }
    }
    for (let row = 0; row < count; row++) {
      const at = (v: View, n: number): Expr =>
        plus(plus(bases[n]!, times(plus(y0, row), v.strides[c.first]!)), times(x0, along(v)))
      const loads = operands.map((v, n) => k.loadStrided(v.buffer, at(v, n + 1), along(v), lanes))
      body.push(k.storePlace(out.buffer, at(out, 0), x.epilogue.apply(element(acc, row), loads, lanes)))
    }
    return body
  }

  x.step(
    expansion ? 'expansion_planes' : 'depthwise_planes',
    (k) =>
      loop(
        k.name('p'),
        0,
        input.shape[0]! * channels,
        (p) => {
          const body: Statement[] = []
          const [n, ch] = divided(p, channels)
          const held = (v: View): Expr => {
            const e = plus(plus(times(n, v.strides[0]!), times(ch, v.strides[c.channel]!)), v.offset)
            const [statement, base] = k.hold('base', 'int32', 1, e)
            body.push(statement)
            return base
          }
          const from = expansion ? constant(0) : held(input)
          if (expansion) body.push(...expansion.begin(k, n, ch))
          const bases = [out, ...operands].map(held)
          const weights = Array.from({ length: kh }, (_, ky) =>
            Array.from({ length: kw }, (_, kx) => {
              const name = k.name('w')
              const at = plus(times(ch, filter.strides[0]!), (ky * kw + kx) * filter.strides.at(-1)!)
              const value = k.loadPlace(filter.buffer, plus(at, filter.offset))
              body.push(declare(name, { type: 'float32', lanes }, repeat(value, lanes)))
              return name
            }),
          )
          const [hold, begin] = bias
            ? k.hold(
                'bias',
                'float32',
                1,
                k.loadPlace(bias.buffer, plus(times(ch, bias.strides[0]!), bias.offset)),
              )
            : [undefined, constant(0, 'float32')]
          if (hold) body.push(hold)
          body.push(...cleared(k, 0, top), ...cleared(k, top + lines, rows))
          body.push(
            ...loop(
              k.name('y'),
              0,
              lines,
              (y) =>
                expansion
                  ? made(k, expansion, y)
                  : copied(k, plus(from, times(y, input.strides[c.first]!)), plus(y, top)),
              { step: together },
            ),
          )
          const { tiles, size, count } = evenTiles(oh, most >= 16 ? 4 : 2)
          const across = (y0: Expr, n: number): Statement[] =>
            lanes === 1
              ? loop(k.name('x'), 0, ow, (x0) => results(k, weights, begin, bases, y0, n, x0))
              : starts(ow, lanes).flatMap((x0) => results(k, weights, begin, bases, y0, n, x0))
          body.push(
            ...loop(k.name('y'), 0, count, (t) => across(times(t, size), size)),
            ...loop(k.name('y'), 0, tiles - count, (t) =>
              across(plus(times(t, size - 1), count * size), size - 1),
            ),
          )
          return body
        },
        { mode: 'parallel' },
      ),
    out.shape[0]! * channels * oh * ow * kh * kw + (expansion?.macs ?? 0),
  )
}
