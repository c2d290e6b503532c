// Convolutions, matrix products, pooling and resizing of real numbers.

import { type Dim, isStatic, type ValueId } from '../../../ir/types.ts'
import { paddingOf } from '../../padding.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'

const channelsLast = { layout: 'channelsLast' } as const

/** The spatial dimensions of input i, as far as they are known. */
export function spatialOf(x: Operation, i: number, rank = 2): readonly Dim[] {
  const shape = x.shapeOf(x.input(i))
  if (!shape) return new Array<null>(rank).fill(null)
  if (shape.length !== rank + 2) x.fail(`expected rank ${rank + 2}, got [${shape}]`)
  return shape.slice(1, -1)
}

/** Strides, dilations and padding of a window, in numbers. */
export function windowOf(
  x: Operation,
  input: number,
  kernel: readonly number[],
): { strides: number[]; dilations: number[]; pads: number[] } {
  const axes = kernel.length === 3 ? ['d', 'h', 'w'] : ['h', 'w']
  const strides = axes.map((a) => x.number(`stride_${a}`))
  const dilations = axes.map((a) => x.number(`dilation_${a}_factor`) || 1)
  if (strides.some((s) => s < 1) || dilations.some((d) => d < 1) || kernel.some((k) => k < 1))
    x.fail(`strides [${strides}], dilations [${dilations}], kernel [${kernel}]`)
  const padding = x.number('padding') === 0 ? 'same' : 'valid'
  return {
    strides,
    dilations,
    pads: paddingOf(padding, spatialOf(x, input, kernel.length), kernel, strides, dilations, x.at),
  }
}

/** Rank-checked shape of a filter. */
export function filterShape(x: Operation, i: number, rank: number): readonly number[] {
  const shape = x.tensor(i).shape
  if (shape.length !== rank) x.fail(`filter, expected rank ${rank}, got [${shape}]`)
  return shape
}

export function channelsOf(x: Operation, i: number): number {
  const c = x.dim(i, -1) ?? x.tensor(i).shape.at(-1)
  return typeof c === 'number' ? c : x.fail('the number of channels is open')
}

/** Groups of a convolution by its channels and those of one filter. */
export function groupsOf(x: Operation, channels: number, perGroup: number): number {
  if (perGroup < 1 || channels % perGroup !== 0) x.fail(`filters of ${perGroup} channels for ${channels}`)
  return channels / perGroup
}

const conv: Row = (x) => {
  const [, kh, kw, perGroup] = filterShape(x, 1, 4) as [number, number, number, number]
  x.activated('conv2d', [x.input(0), x.reordered(1, [0, 3, 1, 2]), x.optional(2)], {
    ...windowOf(x, 0, [kh, kw]),
    groups: groupsOf(x, channelsOf(x, 0), perGroup),
    ...channelsLast,
  })
}

const depthwise: Row = (x) => {
  const [one, kh, kw] = filterShape(x, 1, 4) as [number, number, number, number]
  if (one !== 1) x.fail(`filter [${x.tensor(1).shape}], expected 1 first`)
  x.activated('conv2d', [x.input(0), x.reordered(1, [3, 0, 1, 2]), x.optional(2)], {
    ...windowOf(x, 0, [kh, kw]),
    groups: channelsOf(x, 0),
    ...channelsLast,
  })
}

const conv3d: Row = (x) => {
  const [kd, kh, kw, perGroup] = filterShape(x, 1, 5) as [number, number, number, number, number]
  x.activated('conv3d', [x.input(0), x.reordered(1, [4, 3, 0, 1, 2]), x.optional(2)], {
    ...windowOf(x, 0, [kd, kh, kw]),
    groups: groupsOf(x, channelsOf(x, 0), perGroup),
    ...channelsLast,
  })
}

/**
 * Where a transposed convolution's output begins: the forward convolution from the output's size would have padded so much.
 * The stated size may cut or extend the end.
 */
function transposedWindow(
  x: Operation,
  input: number,
  size: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  same: boolean,
): { strides: number[]; pads: number[]; outputPadding: number[] } {
  const spatial = spatialOf(x, input, kernel.length)
  const ones = kernel.map(() => 1)
  const padding = paddingOf(same ? 'same' : 'valid', size, kernel, strides, ones, x.at)
  const before = padding.slice(0, kernel.length)
  const ends = size.map((s, i) => {
    const d = spatial[i]!
    if (typeof d !== 'number') throw new NotSupported(`${x.op} over open spatial dimensions`)
    return (d - 1) * strides[i]! + kernel[i]! - before[i]! - s
  })
  return {
    strides: [...strides],
    pads: [...before, ...ends.map((e) => Math.max(e, 0))],
    outputPadding: ends.map((e) => Math.max(-e, 0)),
  }
}

/** The spatial size that TRANSPOSE_CONV states: by its constant, else by the output's shape in the file. */
export function transposedSize(x: Operation): [number, number] {
  if (x.constant(0)) {
    const [, h, w] = x.integers(0, 'output shape')
    return [h!, w!]
  }
  const s = x.output().signature
  const [h, w] = [s?.[1], s?.[2]]
  if (typeof h !== 'number' || typeof w !== 'number')
    throw new NotSupported('TRANSPOSE_CONV with a computed output size')
  return [h, w]
}

const convTranspose: Row = (x) => {
  const [, kh, kw] = filterShape(x, 1, 4) as [number, number, number, number]
  const strides = [x.number('stride_h'), x.number('stride_w')]
  const window = transposedWindow(x, 2, transposedSize(x), [kh, kw], strides, x.number('padding') === 0)
  x.activated('convTranspose2d', [x.input(2), x.reordered(1, [3, 0, 1, 2]), x.optional(3)], {
    ...window,
    ...channelsLast,
  })
}

/** CONV_3D_TRANSPOSE: filter [D, H, W, O, I]; the output's shape comes first. */
const conv3dTranspose: Row = (x) => {
  const kernel = filterShape(x, 1, 5).slice(0, 3)
  const shape = x.integers(0, 'output shape').slice(1, 4)
  const strides = ['d', 'h', 'w'].map((a) => x.number(`stride_${a}`))
  const window = transposedWindow(x, 2, shape, kernel, strides, x.number('padding') === 0)
  x.activated('convTranspose3d', [x.input(2), x.reordered(1, [4, 3, 0, 1, 2]), x.optional(3)], {
    ...window,
    ...channelsLast,
  })
}

/** Rows of the filter's depth; leading dimensions come back where the options keep them. */
const fullyConnected: Row = (x) => {
  const [, depth] = filterShape(x, 1, 2) as [number, number]
  if (x.number('weights_format') !== 0) throw new NotSupported('FULLY_CONNECTED with shuffled weights')
  const shape = x.shapeOf(x.input(0))
  let rows = x.input(0)
  const flat = shape?.length === 2 && shape[1] === depth
  if (!flat && !(x.boolean('keep_num_dims') && shape)) rows = x.node('reshape', [rows, x.int64s(-1, depth)])
  const bias = x.optional(2)
  const inputs = [rows, x.reordered(1, [1, 0])]
  if (bias === null) return x.activated('matMul', inputs)
  x.activated('add', [x.node('matMul', inputs), bias])
}

const batchMatMul: Row = (x) => {
  const turned = (i: number, on: boolean): ValueId => {
    if (!on) return x.input(i)
    const rank = x.rankOf(i)
    const p = Array.from({ length: rank }, (_, k) => k)
    ;[p[rank - 1], p[rank - 2]] = [rank - 2, rank - 1]
    return x.reordered(i, p)
  }
  x.result('matMul', [turned(0, x.boolean('adj_x')), turned(1, x.boolean('adj_y'))])
}

export const kernelOf = (x: Operation): number[] => [x.number('filter_height'), x.number('filter_width')]
export function poolAttributes(x: Operation): Record<string, number[] | string> {
  const kernel = kernelOf(x)
  const { strides, pads } = windowOf(x, 0, kernel)
  return { kernel, strides, pads, ...channelsLast }
}
const pool =
  (op: string): Row =>
  (x) =>
    x.activated(op, [x.input(0)], poolAttributes(x))

/** L2_POOL_2D: the root of the mean of squares. */
const l2Pool: Row = (x) => {
  const squares = x.node('square', [x.input(0)])
  x.activated('sqrt', [x.node('averagePool2d', [squares], poolAttributes(x))])
}

/** The target size of a resize. */
export function resizeSize(x: Operation): [number, number] {
  const [h, w] = x.integers(1, 'size')
  if (!(h! > 0 && w! > 0)) x.fail(`resize to ${h} × ${w}`)
  return [h!, w!]
}

const resize =
  (mode: 'linear' | 'nearest'): Row =>
  (x) => {
    const shape = x.shapeOf(x.input(0))
    const size = resizeSize(x)
    const alignCorners = x.boolean('align_corners')
    const halfPixel = x.boolean('half_pixel_centers')
    if (!shape || !isStatic(shape.slice(1))) throw new NotSupported(`${x.op} over open spatial dimensions`)
    // TensorFlow's nearest neighbour rounds aligned corners to the nearest, halves up, and everything else down.
    const nearest = mode === 'nearest'
    const half = nearest ? 'tfHalfPixelForNN' : 'halfPixel'
    x.result('resize', [x.input(0), null, null, x.int64s(...size)], {
      axes: [1, 2],
      mode,
      coordinates: alignCorners ? 'alignCorners' : halfPixel ? half : 'asymmetric',
      ...(nearest && { rounding: alignCorners ? 'roundPreferCeil' : 'floor' }),
    })
  }

export const productRows: Readonly<Record<string, Row>> = {
  CONV_2D: conv,
  DEPTHWISE_CONV_2D: depthwise,
  CONV_3D: conv3d,
  TRANSPOSE_CONV: convTranspose,
  CONV_3D_TRANSPOSE: conv3dTranspose,
  FULLY_CONNECTED: fullyConnected,
  BATCH_MATMUL: batchMatMul,
  AVERAGE_POOL_2D: pool('averagePool2d'),
  MAX_POOL_2D: pool('maxPool2d'),
  L2_POOL_2D: l2Pool,
  RESIZE_BILINEAR: resize('linear'),
  RESIZE_NEAREST_NEIGHBOR: resize('nearest'),
}
