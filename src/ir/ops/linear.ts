// Products: matrix product and convolutions of one, two and three spatial dimensions. The loops are the plain definition:
// float64 (or exact integer) accumulation, one rounding at the end.

import { allocate, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import {
  type AttributeSpec,
  broadcastShapes,
  type Cost,
  type Example,
  type Infer,
  inputType,
  numberOf,
  numbersOf,
  type Op,
  product,
  stringOf,
} from '../op.ts'
import { type Attributes, type Dim, isStatic, type Shape, type Type, tensorType } from '../types.ts'
import { broadcastStrides } from './elementwise.ts'

/** Where the channels of activations stand: [N, C, …] or [N, …, C]. Filters are [O, I/groups, …] in both. */
export const layoutAttribute: AttributeSpec = {
  kind: 'string',
  oneOf: ['channelsFirst', 'channelsLast'],
  default: 'channelsFirst',
}

const ones = (n: number): readonly number[] => new Array<number>(n).fill(1)

/** The spatial extent of a window's output: floor((in + pads − dilated kernel) / stride) + 1. */
export function windowOutput(
  size: Dim,
  kernel: number,
  stride: number,
  dilation: number,
  padBegin: number,
  padEnd: number,
  ceil = false,
): Dim {
  if (typeof size !== 'number')
    return size === null || (kernel === 1 && stride === 1 && padBegin + padEnd === 0) ? size : null
  const span = size + padBegin + padEnd - (dilation * (kernel - 1) + 1)
  if (span < 0)
    throw new InputError(
      `window: kernel ${kernel} (dilation ${dilation}) is larger than the padded input ${size + padBegin + padEnd}`,
    )
  let n = (ceil ? Math.ceil(span / stride) : Math.floor(span / stride)) + 1
  // A window that would start in the end padding is dropped (ONNX and PyTorch agree).
  if (ceil && (n - 1) * stride >= size + padBegin) n--
  return n
}

export type Window = {
  readonly strides: readonly number[]
  readonly pads: readonly number[]
  readonly dilations: readonly number[]
}

/** `pads` is [begin…, end…] as in ONNX; formats with SAME padding resolve it to numbers on reading. */
export const windowAttributes = (rank: number): Record<string, AttributeSpec> => ({
  strides: { kind: 'numbers', default: ones(rank) },
  pads: { kind: 'numbers', default: new Array<number>(2 * rank).fill(0) },
  dilations: { kind: 'numbers', default: ones(rank) },
})

export function windowOf(a: Attributes, rank: number): Window {
  const w = {
    strides: numbersOf(a, 'strides'),
    pads: numbersOf(a, 'pads'),
    dilations: numbersOf(a, 'dilations'),
  }
  if (w.strides.length !== rank || w.dilations.length !== rank || w.pads.length !== 2 * rank) {
    throw new InputError(
      `window: expected ${rank} strides and dilations and ${2 * rank} pads, got ${w.strides.length}, ${w.dilations.length} and ${w.pads.length}`,
    )
  }
  if (w.strides.some((s) => !(s >= 1)) || w.dilations.some((s) => !(s >= 1)))
    throw new InputError('window: strides and dilations must be at least 1')
  return w
}

/** Splits an activation's shape into batch, channels and spatial dimensions. */
export function splitShape<D extends Dim>(
  shape: readonly D[],
  layout: string,
): { batch: D; channels: D; spatial: readonly D[] } {
  return layout === 'channelsLast'
    ? { batch: shape[0]!, channels: shape.at(-1)!, spatial: shape.slice(1, -1) }
    : { batch: shape[0]!, channels: shape[1]!, spatial: shape.slice(2) }
}
export const joinShape = (batch: Dim, channels: Dim, spatial: readonly Dim[], layout: string): Dim[] =>
  layout === 'channelsLast' ? [batch, ...spatial, channels] : [batch, channels, ...spatial]

/** Element strides of an activation as [batch, channel, spatial…], whatever its layout. */
export function activationStrides(
  shape: readonly number[],
  layout: string,
): { batch: number; channel: number; spatial: number[] } {
  const s = broadcastStridesOf(shape)
  return layout === 'channelsLast'
    ? { batch: s[0]!, channel: s.at(-1)!, spatial: s.slice(1, -1) }
    : { batch: s[0]!, channel: s[1]!, spatial: s.slice(2) }
}
function broadcastStridesOf(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length)
  let n = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    out[i] = n
    n *= shape[i]!
  }
  return out
}

/**
 * sums[to + i · step] = Σ row[k] · rows[from + i · length + k] for `count` rows, each in the order of k. Four rows at a time:
 * an addition waits for the one before it in the same sum only.
 */
function dots(
  row: Float64Array,
  rows: Float64Array,
  from: number,
  count: number,
  sums: Float64Array,
  to: number,
  step: number,
): void {
  const length = row.length
  let i = 0
  for (; i + 4 <= count; i += 4) {
    const a = from + i * length
    const b = a + length
    const c = b + length
    const d = c + length
    let [p, q, r, s] = [0, 0, 0, 0]
    for (let k = 0; k < length; k++) {
      const v = row[k]!
      p += v * rows[a + k]!
      q += v * rows[b + k]!
      r += v * rows[c + k]!
      s += v * rows[d + k]!
    }
    sums[to + i * step] = p
    sums[to + (i + 1) * step] = q
    sums[to + (i + 2) * step] = r
    sums[to + (i + 3) * step] = s
  }
  for (; i < count; i++) {
    const a = from + i * length
    let sum = 0
    for (let k = 0; k < length; k++) sum += row[k]! * rows[a + k]!
    sums[to + i * step] = sum
  }
}

/**
 * Accumulates a convolution in float64: y[n, o, p] = Σ x[n, c, p·stride + k·dilation − pad] · w[o, c, k].
 * Returns sums in [N, O, spatial…] order (channelsFirst) whatever the layout, for the caller to round or requantise.
 * `xZero` and `wZero` (one per output channel, or one for all) are subtracted first; padding counts as xZero.
 */
export function convSums(
  x: Tensor,
  w: Tensor,
  layout: string,
  groups: number,
  window: Window,
  spatialOut: readonly number[],
  xZero = 0,
  wZero: ArrayLike<number> = [0],
): Float64Array {
  const rank = w.shape.length - 2
  const { batch, channels, spatial } = splitShape(x.shape, layout)
  const [filters, perGroup] = w.shape as [number, number]
  if (perGroup * groups !== channels || filters % groups !== 0) {
    throw new InputError(
      `convolution: filter [${w.shape}] with ${groups} groups doesn't fit ${channels} channels`,
    )
  }
  const kernel = w.shape.slice(2)
  const taps = sizeOf(kernel)
  const pixels = sizeOf(spatialOut)
  const strides = activationStrides(x.shape, layout)
  const xs = numbers(x)
  const sums = new Float64Array(batch * filters * pixels)
  // For each output pixel and tap: the input offset, or −1 in the padding.
  const offsets = new Int32Array(pixels * taps)
  for (let p = 0; p < pixels; p++) {
    for (let t = 0; t < taps; t++) {
      let offset = 0
      for (let d = rank - 1, rp = p, rt = t; d >= 0; d--) {
        const i =
          (rp % spatialOut[d]!) * window.strides[d]! +
          (rt % kernel[d]!) * window.dilations[d]! -
          window.pads[d]!
        rp = Math.floor(rp / spatialOut[d]!)
        rt = Math.floor(rt / kernel[d]!)
        if (i < 0 || i >= spatial[d]!) {
          offset = -1
          break
        }
        offset += i * strides.spatial[d]!
      }
      offsets[p * taps + t] = offset
    }
  }
  const filtersPerGroup = filters / groups
  const length = perGroup * taps
  const row = new Float64Array(length)
  const ws = new Float64Array(filters * length)
  const raw = numbers(w)
  for (let o = 0; o < filters; o++) {
    const zero = wZero.length > 1 ? wZero[o]! : wZero[0]!
    for (let k = o * length; k < (o + 1) * length; k++) ws[k] = raw[k]! - zero
  }
  for (let n = 0; n < batch; n++) {
    for (let g = 0; g < groups; g++) {
      for (let p = 0; p < pixels; p++) {
        for (let c = 0; c < perGroup; c++) {
          const base = n * strides.batch + (g * perGroup + c) * strides.channel
          for (let t = 0; t < taps; t++) {
            const o = offsets[p * taps + t]!
            row[c * taps + t] = o < 0 ? 0 : xs[base + o]! - xZero
          }
        }
        const first = g * filtersPerGroup
        dots(row, ws, first * length, filtersPerGroup, sums, (n * filters + first) * pixels + p, pixels)
      }
    }
  }
  return sums
}

/** Puts sums of [N, O, pixels] order into a tensor of the wanted layout, adding a bias per channel. */
export function placeSums(
  sums: Float64Array,
  dtype: Tensor['dtype'],
  shape: readonly number[],
  layout: string,
  bias?: Tensor,
): Tensor {
  const { batch, channels, spatial } = splitShape(shape, layout)
  const pixels = sizeOf(spatial)
  const data = allocate(dtype, sums.length)
  const b = bias && numbers(bias)
  const last = layout === 'channelsLast'
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      const add = b ? b[c]! : 0
      for (let p = 0; p < pixels; p++) {
        store(
          dtype,
          data,
          last ? (n * pixels + p) * channels + c : (n * channels + c) * pixels + p,
          sums[(n * channels + c) * pixels + p]! + add,
        )
      }
    }
  }
  return { dtype, shape, data }
}

/** Output shape of a convolution. */
export function convShape(x: Infer, rank: number): Shape {
  const input = inputType(x, 0).shape
  const filter = inputType(x, 1).shape
  if (!input || !filter) return null
  if (input.length !== rank + 2 || filter.length !== rank + 2) {
    throw new InputError(
      `convolution: expected input and filter of rank ${rank + 2}, got ${input.length} and ${filter.length}`,
    )
  }
  const layout = stringOf(x.attributes, 'layout')
  const { batch, spatial } = splitShape(input, layout)
  const w = windowOf(x.attributes, rank)
  const out = spatial.map((size, i) => {
    const k = filter[i + 2]!
    return typeof k === 'number'
      ? windowOutput(size, k, w.strides[i]!, w.dilations[i]!, w.pads[i]!, w.pads[i + rank]!)
      : null
  })
  return joinShape(batch, filter[0]!, out, layout)
}

/** Counting numbers in a small range, as a tensor. */
export function counting(dtype: Tensor['dtype'], shape: readonly number[], low = -3): Tensor {
  return tensorOf(
    dtype,
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 5) % 7) + low),
  )
}

function convExamples(rank: number): Example[] {
  const [three, two] = [new Array<number>(rank).fill(3), new Array<number>(rank).fill(2)]
  const x = counting('float32', [1, 2, ...three])
  return [
    { inputs: [x, counting('float32', [4, 2, ...two]), counting('float32', [4])] },
    {
      inputs: [x, counting('float32', [4, 1, ...two])],
      attributes: { groups: 2, strides: two, pads: new Array<number>(2 * rank).fill(1) },
    },
    {
      inputs: [counting('float32', [1, ...three, 2]), counting('float32', [4, 2, ...two])],
      attributes: { layout: 'channelsLast', dilations: two },
    },
  ]
}

/** One multiply-accumulate for each output element and each weight of its filter. */
export function convCost(x: Infer, outputs: readonly Type[], filterInput = 1): Cost {
  const out = outputs[0]!
  const filter = inputType(x, filterInput).shape
  const n = out.kind === 'tensor' && out.shape ? product(out.shape) : null
  const k = filter ? product(filter.slice(1)) : null
  return { macs: (n ?? 0) * (k ?? 0) }
}

/** One for each output element and each element of the dimension that is summed over. */
export function matMulCost(x: Infer, outputs: readonly Type[]): Cost {
  const a = inputType(x, 0).shape
  const out = outputs[0]!
  const n = out.kind === 'tensor' && out.shape ? product(out.shape) : null
  const k = a?.at(-1)
  return { macs: (n ?? 0) * (typeof k === 'number' ? k : 0) }
}

const conv = (rank: number): Op => ({
  doc: `Convolution over ${rank} spatial dimension${rank > 1 ? 's' : ''}: inputs x, filter [O, I/groups, …], bias [O]?`,
  inputs: [2, 3],
  attributes: { ...windowAttributes(rank), groups: { kind: 'number', default: 1 }, layout: layoutAttribute },
  examples: () => convExamples(rank),
  infer: (x) => [tensorType(inputType(x, 0).dtype, convShape(x, rank))],
  evaluate(inputs, x) {
    const [input, filter, bias] = inputs as [Tensor, Tensor, Tensor | undefined]
    const type = x.types[0]!
    if (type.kind !== 'tensor' || !isStatic(type.shape)) throw new InputError('convolution: shape unknown')
    const layout = stringOf(x.attributes, 'layout')
    const spatial = splitShape(type.shape, layout).spatial
    const sums = convSums(
      input,
      filter,
      layout,
      numberOf(x.attributes, 'groups'),
      windowOf(x.attributes, rank),
      spatial,
    )
    return [placeSums(sums, type.dtype, type.shape, layout, bias ?? undefined)]
  },
  cost: (x, outputs) => convCost(x, outputs),
})

export const linear = {
  matMul: {
    doc: 'Matrix product with numpy semantics: vectors are promoted, leading dimensions broadcast',
    inputs: [2, 2],
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6]),
          tensorOf('float32', [3, 2], [1, 0, 0, 1, 2, 2]),
        ],
        outputs: [tensorOf('float32', [2, 2], [7, 4, -8, -7])],
      },
    ],
    infer(x) {
      const a = inputType(x, 0)
      const b = inputType(x, 1)
      return [tensorType(a.dtype, matMulShape(a.shape, b.shape))]
    },
    evaluate(inputs, x) {
      const [a, b] = inputs as [Tensor, Tensor]
      return [
        matMulSums(a, b, (sums, shape) => {
          const dtype = (x.types[0] as { dtype: Tensor['dtype'] }).dtype
          const data = allocate(dtype, sums.length)
          for (let i = 0; i < sums.length; i++) store(dtype, data, i, sums[i]!)
          return { dtype, shape, data }
        }),
      ]
    },
    cost: matMulCost,
  },
  conv1d: conv(1),
  conv2d: conv(2),
  conv3d: conv(3),
} satisfies Record<string, Op>

export function matMulShape(a: Shape, b: Shape): Shape {
  if (!a || !b) return null
  if (a.length === 0 || b.length === 0) throw new InputError('matMul: expected tensors, got a scalar')
  const left = a.length === 1 ? [1, ...a] : a
  const right = b.length === 1 ? [...b, 1] : b
  const [k, l] = [left.at(-1)!, right.at(-2)!]
  if (typeof k === 'number' && typeof l === 'number' && k !== l)
    throw new InputError(`matMul: inner dimensions differ, [${a}] · [${b}]`)
  const lead = broadcastShapes(left.slice(0, -2), right.slice(0, -2))!
  return [...lead, ...(a.length === 1 ? [] : [left.at(-2)!]), ...(b.length === 1 ? [] : [right.at(-1)!])]
}

/** Float64 sums of a matrix product, handed with the result's shape to `finish`. Zero points as in `convSums`. */
export function matMulSums<T>(
  a: Tensor,
  b: Tensor,
  finish: (sums: Float64Array, shape: readonly number[]) => T,
  aZero: (row: number) => number = () => 0,
  bZero: (column: number) => number = () => 0,
): T {
  const shape = matMulShape(a.shape, b.shape) as number[]
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape
  const [m, k, n] = [left.at(-2)!, left.at(-1)!, right.at(-1)!]
  const lead = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) as number[]
  const aStrides = broadcastStrides(left.slice(0, -2), lead).map((s) => s * m * k)
  const bStrides = broadcastStrides(right.slice(0, -2), lead).map((s) => s * k * n)
  const as = numbers(a)
  const bs = numbers(b)
  const batches = sizeOf(lead)
  const sums = new Float64Array(batches * m * n)
  const row = new Float64Array(k)
  // B by columns, for as long as batches share it.
  const columns = new Float64Array(n * k)
  let columnsOf = -1
  for (let batch = 0; batch < batches; batch++) {
    let [ao, bo] = [0, 0]
    for (let d = lead.length - 1, r = batch; d >= 0; d--) {
      ao += (r % lead[d]!) * aStrides[d]!
      bo += (r % lead[d]!) * bStrides[d]!
      r = Math.floor(r / lead[d]!)
    }
    if (columnsOf !== bo) {
      columnsOf = bo
      for (let j = 0; j < n; j++) {
        const zero = bZero(j)
        for (let l = 0; l < k; l++) columns[j * k + l] = bs[bo + l * n + j]! - zero
      }
    }
    for (let i = 0; i < m; i++) {
      const zero = aZero(i)
      for (let l = 0; l < k; l++) row[l] = as[ao + i * k + l]! - zero
      dots(row, columns, 0, n, sums, (batch * m + i) * n, 1)
    }
  }
  return finish(sums, shape)
}
