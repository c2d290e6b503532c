// Matrix products and convolutions as contractions, and depthwise convolution as loops of its own.

import { allocate, bytesOf, type DType, type TensorData } from '../../core/dtype.ts'
import { numbers, sizeOf, stridesOf, type Tensor } from '../../core/tensor.ts'
import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import { type KernelBuilder, vectorizes } from '../build.ts'
import { rounded, typedConstant } from '../formula.ts'
import { isWinograd } from '../layout.ts'
import {
  assign,
  type ComputeType,
  computeType,
  declare,
  element,
  type LoopType,
  loop,
  plus,
  repeat,
  type Statement,
  times,
} from '../loops.ts'
import type { Extent, Schedule } from '../schedule.ts'
import { broadcastTo, type Index, isContiguous, placeOf, type View } from '../view.ts'
import { type Contraction, contract, packPanels, panelsOf } from './contract.ts'
import { copyLoops, type Lower, type Lowering, NoLowering, orderFor } from './lowering.ts'
import { rowMajorCopy } from './movement.ts'
import { densityOf, sparseConv } from './sparse.ts'
import { winograd, winogradExtra } from './winograd.ts'

/** In what type a product is computed, and at what width. */
function arithmetic(x: Lowering): { type: ComputeType; lanes: number } {
  const { dtype } = x.types[0]!
  const type = computeType(dtype)
  if (type === 'bool') throw new NoLowering(`${x.op} of ${dtype}`)
  return { type, lanes: vectorizes(dtype) ? x.engine.lanes : 1 }
}
/** Columns of the register tile in whole vectors. */
const fitted = (s: Schedule, lanes: number): Schedule =>
  lanes > 1
    ? { ...s, columns: Math.max(lanes, Math.floor(s.columns / lanes) * lanes) }
    : { ...s, columns: Math.min(s.columns, 4) }

/** How many neighbours one `dot` takes: pairs of int16 where both sides have them in order. */
const pairOf = (x: Lowering, lanes: number, stride: number, extent: number): number =>
  lanes > 1 &&
  x.types[0]!.dtype === 'int32' &&
  x.inputs[0]!.dtype === 'int16' &&
  x.constants[1]?.dtype === 'int16' &&
  stride === 1 &&
  extent % 2 === 0
    ? 2
    : 1

/** Filters with one more channel, of zeros. */
function withZeroChannel(w: Tensor): Tensor {
  const [filters, channels] = w.shape as [number, number]
  const taps = sizeOf(w.shape.slice(2))
  const shape = [filters, channels + 1, ...w.shape.slice(2)]
  const data = allocate(w.dtype, sizeOf(shape)) as Int16Array
  const from = w.data as Int16Array
  for (let f = 0; f < filters; f++)
    data.set(from.subarray(f * channels * taps, (f + 1) * channels * taps), f * (channels + 1) * taps)
  return { dtype: w.dtype, shape, data }
}

type Right = {
  /** [groups…, taps, channels, columns], where the content lies. */
  readonly view: View
  readonly tensor: Tensor | undefined
}

/** A constant's elements as its compute type holds them. */
const widened = (t: Tensor): { data: TensorData } =>
  t.dtype === 'bfloat16' || t.dtype === 'float16'
    ? { data: Float32Array.from(numbers(t) as Float32Array) }
    : t

/** Panels of a right side: at compile time where its content is known, else by a step of their own. */
function packed(
  x: Lowering,
  right: Right,
  s: Schedule,
  pair = 1,
): { buffer: number; groups: readonly number[] } {
  const { view } = right
  const [taps, channels, columns] = view.shape.slice(-3) as [number, number, number]
  const depth = taps * channels
  const { type, lanes } = arithmetic(x)
  const p = panelsOf(columns, depth, s.columns, lanes)
  // Groups that are broadcast share their panels.
  const lead = view.shape.slice(0, -3).map((n, d) => (view.strides[d] === 0 ? 1 : n))
  const own = sizeOf(lead)
  const places = stridesOf(lead)
  const strides = places.map((n, d) => (lead[d] === 1 ? 0 : n * p.size))
  if (right.tensor) {
    const element = pair > 1 ? 'int16' : (type as DType)
    const to = allocate(element, own * p.size)
    const { data } = widened(right.tensor)
    for (let g = 0; g < own; g++) {
      let offset = view.offset
      lead.forEach((n, d) => {
        offset += (Math.floor(g / places[d]!) % n) * view.strides[d]!
      })
      const last = view.strides.slice(-3) as [number, number, number]
      packPanels(p, { data, offset, depth: [taps, channels], strides: last, columns, pair }, to, g * p.size)
    }
    return {
      buffer: x.program.buffer(`${x.op}.packed`, element, to.length, 'constant', to),
      groups: strides,
    }
  }
  const temp = x.program.buffer(`${x.op}.packed`, type as DType, own * p.size, 'temp')
  x.step('pack', (k) =>
    packLoops(
      k,
      { ...view, shape: [...lead, taps, channels, columns] },
      temp,
      p,
      strides,
      typedConstant(0, type),
    ),
  )
  return { buffer: temp, groups: strides }
}

function packLoops(
  k: KernelBuilder,
  from: View,
  to: number,
  p: ReturnType<typeof panelsOf>,
  strides: readonly number[],
  zero: Expr,
): Statement[] {
  const [taps, channels, columns] = from.shape.slice(-3) as [number, number, number]
  const depth = taps * channels
  return k.nest(from.shape.slice(0, -1), 1, (index) => {
    const lead = index.slice(0, -2)
    const d = plus(times(index.at(-2)!, channels), index.at(-1)!)
    let base: Expr = constant(0)
    lead.forEach((i, n) => {
      base = plus(base, times(i, strides[n]!))
    })
    const put = (panel: Index, width: number, valid: number): Statement[] => {
      const start = plus(plus(base, times(panel, p.columns * depth)), times(d, width))
      const column = times(panel, p.columns)
      return [
        ...loop(k.name('j'), 0, valid, (j) => [
          k.storePlace(to, plus(start, j), k.load(from, [...index, plus(column, j)])),
        ]),
        ...loop(k.name('j'), valid, width, (j) => [k.storePlace(to, plus(start, j), zero)]),
      ]
    }
    return [
      ...loop(k.name('p'), 0, p.full, (i) => put(i, p.columns, p.columns)),
      ...(p.tail ? put(p.full, p.tail, columns - p.full * p.columns) : []),
    ]
  })
}

export const matMul: Lower = (x) => {
  const { type, lanes } = arithmetic(x)
  const [a, b] = x.inputs as [View, View]
  const left = a.shape.length === 1 ? { ...a, shape: [1, ...a.shape], strides: [0, ...a.strides] } : a
  const right = b.shape.length === 1 ? { ...b, shape: [...b.shape, 1], strides: [...b.strides, 0] } : b
  const [m, depth, columns] = [left.shape.at(-2)!, left.shape.at(-1)!, right.shape.at(-1)!]
  const out = x.output(0)
  const lead = out.shape.slice(
    0,
    out.shape.length - (a.shape.length > 1 ? 1 : 0) - (b.shape.length > 1 ? 1 : 0),
  )
  const l = broadcastTo(left, [...lead, m, depth])
  const r = broadcastTo(right, [...lead, depth, columns])
  // A result as [lead…, m, columns], whatever dimensions the operands lacked.
  const full = (v: View): View => {
    const shape = [...lead, m, columns]
    const at = lead.length
    const strides = [
      ...v.strides.slice(0, at),
      a.shape.length > 1 ? v.strides[at]! : 0,
      b.shape.length > 1 ? v.strides.at(-1)! : 0,
    ]
    return { ...v, shape, strides }
  }
  // Where the right side is shared by all leading dimensions, they are rows too.
  const shared = lead.every((_, d) => r.strides[d] === 0)
  const n = lead.length
  const split = (v: View): { groups: number[]; rows: number[] } =>
    shared
      ? { groups: [], rows: v.strides.slice(0, n + 1) }
      : { groups: v.strides.slice(0, n), rows: [v.strides[n]!] }
  const s = fitted(
    x.schedule({
      integer: type !== 'float32',
      rows: (shared ? sizeOf(lead) : 1) * m,
      depth,
      columns,
      winograd: undefined,
    }),
    lanes,
  )
  const groups = shared ? [] : lead
  const pair = pairOf(x, lanes, l.strides.at(-1)!, depth)
  // The depth as one tap of many channels.
  const source = shared ? { ...r, shape: r.shape.slice(n), strides: r.strides.slice(n) } : r
  const at = source.shape.length - 2
  const panels = packed(
    x,
    {
      view: {
        ...source,
        shape: [...source.shape.slice(0, at), 1, ...source.shape.slice(at)],
        strides: [...source.strides.slice(0, at), 0, ...source.strides.slice(at)],
      },
      tensor: x.constants[1],
    },
    s,
    pair,
  )
  const result = full(out)
  contraction(x, s, {
    type,
    pair,
    groups,
    rows: shared ? [...lead, m] : [m],
    depth: [depth],
    columns,
    left: { buffer: l.buffer, offset: l.offset, ...split(l), depth: [l.strides.at(-1)!] },
    right: panels,
    out: { buffer: out.buffer, offset: out.offset, ...split(result), column: result.strides.at(-1)! },
    operands: x.epilogue.operands.map((o) => {
      const v = full(o)
      return { buffer: o.buffer, offset: o.offset, ...split(v), column: v.strides.at(-1)! }
    }),
    finish: (sum, operands, width) => x.epilogue.apply(rounded(sum, x.types[0]!.dtype), operands, width),
  })
}

function contraction(x: Lowering, s: Schedule, c: Contraction): void {
  const narrow = bytesOf(x.program.buffers[c.out.buffer]!.dtype) < 4
  const lanes = arithmetic(x).lanes
  const spill =
    x.engine.name === 'wasm-fast' && narrow && lanes > 1
      ? x.program.buffer(
          `${x.op}.tile`,
          computeType(x.types[0]!.dtype) as DType,
          s.rows * s.columns,
          'scratch',
        )
      : undefined
  const macs = sizeOf(c.groups) * sizeOf(c.rows) * sizeOf(c.depth) * c.columns
  x.step(x.op, (k) => contract(k, { ...c, spill }, s, lanes), macs)
}

type Conv = {
  readonly rank: number
  readonly strides: readonly number[]
  readonly pads: readonly number[]
  readonly dilations: readonly number[]
  readonly groups: number
  readonly channel: number
  readonly first: number
}
function convOf(x: Lowering): Conv {
  const a = x.attributes
  const pads = a.pads as readonly number[]
  const last = a.layout === 'channelsLast'
  const rank = pads.length / 2
  return {
    rank,
    strides: a.strides as readonly number[],
    pads,
    dilations: a.dilations as readonly number[],
    groups: a.groups as number,
    channel: last ? rank + 1 : 1,
    first: last ? 1 : 2,
  }
}

/**
 * The input seen with its padding: dimension d of the result starts `pads[d]` before the image. The border is the input's own where
 * its buffer has one (layout.ts), else a padded copy is made.
 */
export function withBorder(
  x: Lowering,
  input: View,
  conv: Conv,
  channelsInner: boolean,
  extra: readonly number[] = [],
): View {
  // What whole tiles need beyond the padding counts as padding behind the image.
  const c = { ...conv, pads: conv.pads.map((p, i) => p + (extra[i - conv.rank] ?? 0)) }
  const padded = [...input.shape]
  let offset = input.offset
  for (let d = 0; d < c.rank; d++) {
    padded[c.first + d]! += c.pads[d]! + c.pads[d + c.rank]!
    offset -= c.pads[d]! * input.strides[c.first + d]!
  }
  const none = c.pads.every((p) => p === 0)
  const border = x.program.borders.get(input.buffer)
  const fits =
    none ||
    (border !== undefined &&
      input.offset === border.offset &&
      c.pads.every((p, i) => {
        const d = c.first + (i % c.rank)
        return p <= (i < c.rank ? border.before : border.after)[d]! && input.strides[d] === border.strides[d]
      }))
  if (fits && (!channelsInner || input.strides[c.channel] === 1 || input.shape[c.channel] === 1))
    return { ...input, shape: padded, offset }
  // [batch, spatial…, channels] in memory.
  const shape = [padded[0]!, ...padded.slice(c.first, c.first + c.rank), padded[c.channel]!]
  const temp = x.program.temp(`${x.op}.padded`, input.dtype, shape)
  const strides = padded.map((_, d) =>
    d === 0 ? temp.strides[0]! : d === c.channel ? 1 : temp.strides[1 + d - c.first]!,
  )
  const whole: View = { ...temp, shape: padded, strides }
  if (!none) x.step('clear', (k) => clearLoops(k, orderFor([whole])[0]!))
  const inside = c.pads.slice(0, c.rank).reduce((o, p, d) => o + p * strides[c.first + d]!, 0)
  x.step('pad', (k) => copyLoops(k, input, { ...whole, shape: input.shape, offset: inside }))
  return whole
}

export function clearLoops(k: KernelBuilder, v: View): Statement[] {
  return k.nest(
    v.shape,
    v.strides.at(-1) === 1 && vectorizes(v.dtype) && v.dtype !== 'bool' ? 4 : 1,
    (index, lanes) => [k.store(v, index, repeat(typedConstant(0, v.dtype), lanes))],
  )
}

/** What a convolution's schedule depends on. */
export function convExtent(
  n: Pick<Lowering, 'op' | 'attributes'>,
  dtype: DType,
  weights: Tensor | undefined,
  filter: readonly number[],
  out: readonly number[],
): Extent {
  const groups = n.attributes.groups as number
  const [channel, first] = n.attributes.layout === 'channelsLast' ? [out.length - 1, 1] : [1, 2]
  const spatial = out.slice(first, first + out.length - 2)
  const constant = dtype === 'float32' && weights !== undefined
  return {
    integer: dtype !== 'float32',
    rows: out[0]! * sizeOf(spatial),
    depth: sizeOf(filter.slice(1)),
    columns: out[channel]! / groups,
    winograd: constant && isWinograd(n, filter) ? { height: spatial[0]!, width: spatial[1]! } : undefined,
    density: constant && groups === 1 ? densityOf(weights) : undefined,
  }
}

/** Exact integer products whose operands have no zero points left (rewrite/integers.ts). */
const centredOnly =
  (lower: Lower): Lower =>
  (x) => {
    if (x.inputs[2] || x.inputs[3]) throw new NoLowering('zero points of wide operands')
    lower(x)
  }

export const conv: Lower = (x) => {
  const { type, lanes } = arithmetic(x)
  const { dtype } = x.types[0]!
  const c = convOf(x)
  const [input, given, bias] = x.inputs as [View, View, View | undefined]
  const filter = isContiguous(given) ? given : rowMajorCopy(x, given)
  const [filters, perGroup] = filter.shape as [number, number]
  const kernel = filter.shape.slice(2)
  const channels = input.shape[c.channel]!
  if (
    c.groups === channels &&
    filters === channels &&
    c.rank === 2 &&
    c.groups > 1 &&
    (dtype === 'float32' || dtype === 'int32')
  ) {
    depthwise(x, c)
    return
  }
  const { shape } = x.types[0]!
  const spatial = shape.slice(c.first, c.first + c.rank)
  const columns = filters / c.groups
  const extent = convExtent(x, dtype, x.constants[1], filter.shape, shape)
  const s = fitted(x.schedule(extent), lanes)
  if (s.sparse && extent.density !== undefined) {
    sparseConv(
      x,
      {
        from: withBorder(x, input, c, false),
        out: x.output(0),
        filter: x.constants[1]!,
        bias,
        channel: c.channel,
        first: c.first,
        strides: c.strides,
        dilations: c.dilations,
      },
      s,
    )
    return
  }
  if (s.algorithm === 'winograd2' || s.algorithm === 'winograd4') {
    const m = s.algorithm === 'winograd2' ? 2 : 4
    const extra = spatial.map((n) => winogradExtra(n, m))
    const tiled = withBorder(x, input, c, true, extra)
    const to = x.output(0)
    const { channel, first } = c
    winograd(x, { from: tiled, out: to, filter: x.constants[1]!, bias, channel, first }, m, s)
    return
  }
  const from = withBorder(x, input, c, false)
  const out = x.output(0)
  const step = (v: View, d: number): number => v.strides[c.first + d]!
  // A channel of zeros behind an odd number of them makes pairs (see layout.ts).
  const stepChannel = from.strides[c.channel]!
  const spare =
    c.groups === 1 && perGroup % 2 === 1 && (x.program.borders.get(from.buffer)?.after[c.channel] ?? 0) > 0
  const spared = spare && pairOf(x, lanes, stepChannel, perGroup + 1) === 2
  const tensor = spared ? withZeroChannel(x.constants[1]!) : x.constants[1]
  const inner = spared ? perGroup + 1 : perGroup
  const pair = pairOf(x, lanes, stepChannel, inner)
  // Filters [O, I, taps…] as [group, tap, channel, filter of the group].
  const taps = sizeOf(kernel)
  const f = spared ? stridesOf(tensor!.shape) : filter.strides
  const panels = packed(
    x,
    {
      view: {
        ...filter,
        shape: [c.groups, taps, inner, columns],
        strides: [columns * f[0]!, f.at(-1)!, f[1]!, f[0]!],
      },
      tensor,
    },
    s,
    pair,
  )
  const rows = (v: View): number[] => [v.strides[0]!, ...spatial.map((_, d) => step(v, d))]
  const column = (v: View): number => v.strides[c.channel]!
  const result = (v: View): Contraction['out'] => ({
    buffer: v.buffer,
    offset: v.offset,
    groups: [columns * column(v)],
    rows: rows(v),
    column: column(v),
  })
  const biasView: View | undefined = bias && {
    ...bias,
    shape: out.shape,
    strides: out.shape.map((_, d) => (d === c.channel ? bias.strides[0]! : 0)),
  }
  contraction(x, s, {
    type,
    pair,
    groups: [c.groups],
    rows: [out.shape[0]!, ...spatial],
    depth: [...kernel, inner],
    columns,
    left: {
      buffer: from.buffer,
      offset: from.offset,
      groups: [perGroup * column(from)],
      rows: [from.strides[0]!, ...spatial.map((_, d) => step(from, d) * c.strides[d]!)],
      depth: [...kernel.map((_, d) => step(from, d) * c.dilations[d]!), column(from)],
    },
    right: panels,
    out: result(out),
    operands: [...(biasView ? [biasView] : []), ...x.epilogue.operands].map(result),
    finish: (sum, operands, width) =>
      biasView
        ? x.epilogue.apply(rounded(call('add', sum, operands[0]!), dtype), operands.slice(1), width)
        : x.epilogue.apply(rounded(sum, dtype), operands, width),
  })
}

/** One filter a channel: vectors run along the channels, a tile of pixels of one row shares the taps' weights. */
function depthwise(x: Lowering, c: Conv): void {
  const [input, given, bias] = x.inputs as [View, View, View | undefined]
  const filter = isContiguous(given) ? given : rowMajorCopy(x, given)
  const from = withBorder(x, input, c, true)
  const out = x.output(0)
  const [kh, kw] = filter.shape.slice(2) as [number, number]
  const channels = input.shape[c.channel]!
  const { lanes } = x.engine
  const [sy, sx] = c.strides as [number, number]
  const [dy, dx] = c.dilations as [number, number]
  // Weights as [tap, channel].
  const weights = (() => {
    const w = x.constants[1]
    if (w) {
      const data = allocate(w.dtype, w.data.length) as Float32Array
      const values = numbers(w)
      for (let t = 0; t < kh * kw; t++)
        for (let ch = 0; ch < channels; ch++) data[t * channels + ch] = values[ch * kh * kw + t]!
      return x.program.constant({ dtype: w.dtype, shape: [kh * kw, channels], data }, `${x.op}.weights`)
    }
    const temp = x.program.temp(`${x.op}.weights`, filter.dtype, [kh * kw, channels])
    x.step('filter', (k) =>
      copyLoops(
        k,
        { ...filter, shape: [kh * kw, channels], strides: [filter.strides.at(-1)!, filter.strides[0]!] },
        temp,
      ),
    )
    return temp
  })()
  const [oh, ow] = out.shape.slice(c.first, c.first + 2) as [number, number]
  const biasView: View | undefined = bias && {
    ...bias,
    shape: out.shape,
    strides: out.shape.map((_, d) => (d === c.channel ? bias.strides[0]! : 0)),
  }
  const operands = [...(biasView ? [biasView] : []), ...x.epilogue.operands]
  const at = (v: View, n: Index, y: Index, xx: Index, ch: Index): Expr => {
    const index = new Array<Index>(4)
    index[0] = n
    index[c.first] = y
    index[c.first + 1] = xx
    index[c.channel] = ch
    return placeOf(v, index)
  }
  const width = Math.min(4, ow)
  const contiguous =
    [out, ...operands].every((v) => v.strides[c.channel]! <= 1) && out.strides[c.channel] === 1
  const step = contiguous ? lanes : 1
  const fullWidth = step === 1 ? 0 : Math.floor(channels / step) * step
  x.step(
    'depthwise',
    (k) => {
      const tile = (n: Expr, y: Expr, x0: Expr, pixels: number, ch: Expr, vector: number): Statement[] => {
        const type: LoopType = { type: computeType(x.types[0]!.dtype), lanes: vector }
        const [acc, w, row] = [k.name('acc'), k.name('w'), k.name('row')]
        const span = (pixels - 1) * sx + 1
        const out1: Statement[] = [
          declare(acc, type, repeat(typedConstant(0, x.types[0]!.dtype), vector), pixels),
        ]
        for (let ky = 0; ky < kh; ky++) {
          const line = plus(times(y, sy), ky * dy)
          const value = (px: number): Expr =>
            k.loadPlace(from.buffer, at(from, n, line, plus(times(x0, sx), px), ch), vector)
          // Neighbouring taps share inputs: each is loaded once a row.
          const held = new Map<number, Expr>()
          for (let kx = 0; kx < kw; kx++) {
            for (let p = 0; p < pixels; p++) {
              const px = p * sx + kx * dx
              if (held.has(px) || (dx !== 1 && px < 0) || span < 0) continue
              const name = `${row}_${ky}_${px}`
              out1.push(declare(name, type, value(px)))
              held.set(px, variable(name))
            }
            const wn = `${w}_${ky}_${kx}`
            out1.push(
              declare(wn, type, k.loadPlace(weights.buffer, plus(ch, (ky * kw + kx) * channels), vector)),
            )
            for (let p = 0; p < pixels; p++)
              out1.push(
                assign(acc, call('fma', held.get(p * sx + kx * dx)!, variable(wn), element(acc, p)), p),
              )
          }
        }
        for (let p = 0; p < pixels; p++) {
          const loads = operands.map((o) =>
            k.loadStrided(o.buffer, at(o, n, y, plus(x0, p), ch), o.strides[c.channel]!, vector),
          )
          const sum = biasView ? call('add', element(acc, p), loads.shift()!) : element(acc, p)
          out1.push(
            k.storePlace(out.buffer, at(out, n, y, plus(x0, p), ch), x.epilogue.apply(sum, loads, vector)),
          )
        }
        return out1
      }
      const row = (n: Expr, y: Expr, x0: Expr, pixels: number): Statement[] => [
        ...(step > 1
          ? loop(k.name('c'), 0, fullWidth, (ch) => tile(n, y, x0, pixels, ch, step), { step })
          : []),
        ...loop(k.name('c'), fullWidth, channels, (ch) => tile(n, y, x0, pixels, ch, 1)),
      ]
      const full = Math.floor(ow / width) * width
      return loop(
        k.name('y'),
        0,
        out.shape[0]! * oh,
        (ny) => {
          const [n, y] =
            out.shape[0] === 1
              ? [constant(0), ny]
              : [call('div', ny, constant(oh)), call('rem', ny, constant(oh))]
          return [
            ...loop(k.name('x'), 0, full, (x0) => row(n, y, x0, width), { step: width }),
            ...(full < ow ? row(n, y, constant(full), ow - full) : []),
          ]
        },
        { mode: 'parallel' },
      )
    },
    sizeOf(out.shape) * kh * kw,
  )
}

export const convInteger = centredOnly(conv)
export const matMulInteger = centredOnly(matMul)
