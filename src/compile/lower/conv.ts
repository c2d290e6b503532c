// Convolutions of any rank: which algorithm, and the plain ones as contractions.

import { allocate, type DType } from '../../core/dtype.ts'
import { sizeOf, stridesOf, type Tensor } from '../../core/tensor.ts'
import { call } from '../../ir/scalar.ts'
import { rounded } from '../formula.ts'
import { isWinograd } from '../layout.ts'
import type { Extent } from '../schedule.ts'
import { isContiguous, type View } from '../view.ts'
import { bandOf, inBands } from './bands.ts'
import { convOf, withBorder } from './border.ts'
import type { Contraction } from './contract.ts'
import { depthwise, isDepthwise } from './depthwise.ts'
import { expansionOf } from './expansion.ts'
import { copyLoops, type Lower, type Lowering } from './lowering.ts'
import { rowMajorCopy } from './movement.ts'
import { arithmetic, atWidth, centredOnly, contraction, fitted, packed, pairOf } from './panels.ts'
import { depthwisePlanes } from './planes.ts'
import { densityOf, sparseConv } from './sparse.ts'
import { integerWinograd, winograd, winogradExtra, winogradForm } from './winograd.ts'

/** What a convolution's schedule depends on. */
export function convExtent(
  n: Pick<Lowering, 'op' | 'attributes'>,
  dtype: DType,
  weights: Tensor | undefined,
  filter: readonly number[],
  out: readonly number[],
  centred = false,
): Extent {
  const groups = n.attributes.groups as number
  const strides = n.attributes.strides as readonly number[]
  const [channel, first] = n.attributes.layout === 'channelsLast' ? [out.length - 1, 1] : [1, 2]
  const spatial = out.slice(first, first + out.length - 2)
  const constant = dtype === 'float32' && weights !== undefined
  const pairs = centred && weights?.dtype === 'int16' && filter[1]! % 2 === 0 && integerWinograd(weights)
  return {
    integer: dtype !== 'float32',
    rows: out[0]! * sizeOf(spatial),
    depth: sizeOf(filter.slice(1)),
    fresh: filter[1]! * sizeOf(filter.slice(2).map((k, d) => Math.min(k, strides[d]!))),
    columns: out[channel]! / groups,
    winograd:
      (constant || pairs) && isWinograd(n, filter)
        ? { height: spatial[0]!, width: spatial[1]!, taps: filter[2]! }
        : undefined,
    ...(constant && groups === 1 && densityOf(weights)),
  }
}

/** Filters with more channels, of zeros: `to` in all. */
function withZeroChannels(w: Tensor, to: number): Tensor {
  const [filters, channels] = w.shape as [number, number]
  const taps = sizeOf(w.shape.slice(2))
  const shape = [filters, to, ...w.shape.slice(2)]
  const data = allocate(w.dtype, sizeOf(shape)) as Int16Array
  const from = w.data as Int16Array
  for (let f = 0; f < filters; f++)
    data.set(from.subarray(f * channels * taps, (f + 1) * channels * taps), f * to * taps)
  return { dtype: w.dtype, shape, data }
}

export const conv: Lower = (start) => {
  let x = start
  const { dtype } = x.types[0]!
  const c = convOf(x)
  const [input, given, bias] = x.inputs as [View, View, View | undefined]
  const filter = isContiguous(given) ? given : rowMajorCopy(x, given)
  const [filters, perGroup] = filter.shape as [number, number]
  const kernel = filter.shape.slice(2)
  const channels = input.shape[c.channel]!
  if (isDepthwise(c, filter.shape, channels) && (dtype === 'float32' || dtype === 'int32')) {
    if (x.planes) depthwisePlanes(x, c, input, filter, bias)
    else depthwise(x, c)
    return
  }
  const { shape } = x.types[0]!
  const spatial = shape.slice(c.first, c.first + c.rank)
  const columns = filters / c.groups
  const centred = x.program.centred.has(input.buffer)
  const extent = convExtent(x, dtype, x.constants[1], filter.shape, shape, centred)
  const chosen = x.schedule(extent)
  x = atWidth(x, chosen)
  const { type, lanes } = arithmetic(x)
  // The direct form takes one pixel and one vector of filters at a time.
  const s = fitted(
    chosen.algorithm === 'direct' && !chosen.sparse ? { ...chosen, rows: 1, columns: lanes } : chosen,
    lanes,
  )
  if (s.sparse && extent.density !== undefined) {
    const vectors = x.defer?.kind === 'vectors' ? expansionOf(x, c, input, bias) : undefined
    if (vectors) {
      x.defer!.give(vectors)
      return
    }
    sparseConv(
      x,
      {
        from: withBorder(x, input, c, 'as it lies'),
        filter: x.constants[1]!,
        bias,
        channel: c.channel,
        first: c.first,
        strides: c.strides,
        dilations: c.dilations,
      },
      chosen,
    )
    return
  }
  if (s.algorithm === 'winograd2' || s.algorithm === 'winograd4') {
    const m = s.algorithm === 'winograd4' && kernel[0] === 3 && dtype === 'float32' ? 4 : 2
    const extra = spatial.map((n) => winogradExtra(n, m))
    const tiled = withBorder(x, input, c, 'channels inner', extra)
    const to = x.output(0)
    const { channel, first } = c
    winograd(
      x,
      { from: tiled, out: to, filter: x.constants[1]!, bias, channel, first },
      winogradForm(m, kernel[0]!),
      s,
    )
    return
  }
  const before = x.pieces?.kind === 'rows' ? x.pieces : undefined
  const band = before && bandOf(x, input, c, spatial)
  const from = band?.view ?? withBorder(x, input, c, 'any')
  const out = x.output(0)
  const step = (v: View, d: number): number => v.strides[c.first + d]!
  // Channels of zeros behind the others fill a pair, or a four (see layout.ts).
  const stepChannel = from.strides[c.channel]!
  const spare = c.groups === 1 ? (x.program.borders.get(from.buffer)?.after[c.channel] ?? 0) : 0
  const spared = spare > 0 && pairOf(x, lanes, stepChannel, perGroup + spare) > 1
  const inner = spared ? perGroup + spare : perGroup
  const tensor = spared ? withZeroChannels(x.constants[1]!, inner) : x.constants[1]
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
  // Rows of the left side are the windows: where they lie, or copied out one after the other.
  const windows: Contraction['left'] = {
    buffer: from.buffer,
    offset: from.offset,
    groups: [perGroup * column(from)],
    rows: [from.strides[0]!, ...spatial.map((_, d) => step(from, d) * c.strides[d]!)],
    depth: [...kernel.map((_, d) => step(from, d) * c.dilations[d]!), column(from)],
  }
  const rowShape = [out.shape[0]!, ...(band ? [band.count, spatial[1]!] : spatial)]
  const depthShape = [...kernel, inner]
  const left =
    s.algorithm === 'im2col' && c.groups === 1 ? im2col(x, windows, from, rowShape, depthShape) : windows
  const product: Contraction = {
    type,
    pair,
    groups: [c.groups],
    rows: rowShape,
    depth: depthShape,
    columns,
    left,
    right: panels,
    out: result(out),
    operands: [...(biasView ? [biasView] : []), ...x.epilogue.operands].map(result),
    finish: (sum, operands, width) =>
      biasView
        ? x.epilogue.apply(rounded(call('add', sum, operands[0]!), dtype), operands.slice(1), width)
        : x.epilogue.apply(rounded(sum, dtype), operands, width),
  }
  if (band) inBands(x, band, before, product, s)
  else contraction(x, `${x.op}_${s.algorithm}`, s, product)
}

/** Every window as a row of its own. */
function im2col(
  x: Lowering,
  from: Contraction['left'],
  input: View,
  rows: readonly number[],
  depth: readonly number[],
): Contraction['left'] {
  const shape = [...rows, ...depth]
  const to = x.program.temp(`${x.op}.im2col`, input.dtype, shape)
  const windows: View = {
    ...to,
    buffer: from.buffer,
    offset: from.offset,
    strides: [...from.rows, ...from.depth],
  }
  x.step('im2col', (k) => copyLoops(k, windows, to))
  const at = rows.length
  return {
    buffer: to.buffer,
    offset: 0,
    groups: [0],
    rows: to.strides.slice(0, at),
    depth: to.strides.slice(at),
  }
}

export const convInteger = centredOnly(conv)
