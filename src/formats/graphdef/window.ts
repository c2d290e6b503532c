// TensorFlow's pooling, reductions, softmax, resizing and selection.

import { InputError } from '../../core/errors.ts'
import type { Dim, ValueId } from '../../ir/types.ts'
import type { ReduceKind } from '../sketch.ts'
import { layoutOf, pads, spatial, spatialShape } from './linear.ts'
import { type Handler, input, type NodeCall, numbersAt, tensorItem } from './scope.ts'

const one =
  (f: (x: NodeCall) => ValueId): Handler =>
  (x) => [tensorItem(f(x))]

const pool = (kind: 'max' | 'average', rank: number): Handler =>
  one((x) => {
    const v = input(x, 0)
    const kernel = spatial(x, x.a.ints('ksize'), rank)
    const strides = spatial(x, x.a.ints('strides'), rank)
    const ones = new Array<number>(rank).fill(1)
    return x.s.pool(kind, v, {
      kernel,
      strides,
      pads: pads(x, spatialShape(x, v, rank), kernel, strides, ones),
      layout: layoutOf(x),
    })
  })

/** Axes to reduce; an empty list reduces nothing. */
const axesOf = (x: NodeCall): number[] => {
  const rank = x.s.rank(input(x, 0))
  return numbersAt(x, 1, 'axes').map((a) => (a < 0 ? a + rank : a))
}
const keep = (x: NodeCall): boolean => x.a.bool('keep_dims') || x.a.bool('keepdims')

const reduction = (kind: ReduceKind): Handler =>
  one((x) => {
    const v = input(x, 0)
    const out = x.s.reduce(kind, v, axesOf(x), keep(x))
    // The product of a shape is a shape's size.
    const known = kind === 'prod' && x.s.rank(v) === 1 ? x.scope.follow(v) : null
    if (known) {
      x.scope.noteFollowed(out, [
        known.reduce<Dim>((n, d) => (typeof n === 'number' && typeof d === 'number' ? n * d : null), 1),
      ])
    }
    return out
  })

/** All and Any as minimum and maximum of 0 and 1. */
const logical = (kind: ReduceKind): Handler =>
  one((x) =>
    x.s.cast(x.s.reduce(kind, x.s.cast(input(x, 0), 'int32', 'int'), axesOf(x), keep(x), kind), 'bool', ''),
  )

const argExtreme = (op: string): Handler =>
  one((x) => {
    const v = input(x, 0)
    const [axis] = numbersAt(x, 1, 'axis')
    const rank = x.s.rank(v)
    const index = x.s.node(op, [v], { axis: axis! < 0 ? axis! + rank : axis!, keepDims: false }, 'int64')
    return x.s.cast(index, x.a.type('output_type') ?? 'int64', '')
  })

const resize = (mode: 'nearest' | 'linear'): Handler =>
  one((x) => {
    const v = input(x, 0)
    if (x.s.rank(v) !== 4) throw new InputError('expected an image of rank 4')
    const sizes = x.scope.follow(input(x, 1))
    const known = sizes?.every((d) => typeof d === 'number')
    const half = x.a.bool('half_pixel_centers')
    const corners = x.a.bool('align_corners')
    const coordinates = corners
      ? 'alignCorners'
      : !half
        ? 'asymmetric'
        : mode === 'nearest'
          ? 'tfHalfPixelForNN'
          : 'halfPixel'
    return x.s.resize(
      v,
      {
        axes: [1, 2],
        sizes: known ? x.s.ints(sizes as number[], 'sizes') : x.s.cast(input(x, 1), 'int64', 'sizes'),
      },
      { mode, coordinates, ...(mode === 'nearest' && { rounding: corners ? 'roundPreferCeil' : 'floor' }) },
    )
  })

const topK: Handler = (x) => {
  const k = x.s.reshape(x.s.cast(input(x, 1), 'int64', 'k'), [1], 'k')
  const [values, indices] = x.s.nodes('topK', [input(x, 0), k], { sorted: x.a.bool('sorted', true) }, 2)
  return [tensorItem(values!), tensorItem(x.s.cast(indices!, 'int32', 'indices'))]
}

/** Only the positions of the true entries, as rows (the one-argument tf.where). */
const where: Handler = one((x) => x.s.transpose(x.s.node('nonZero', [input(x, 0)], {}, 'columns'), [1, 0]))

export const windowHandlers: Readonly<Record<string, Handler>> = {
  MaxPool: pool('max', 2),
  MaxPool3D: pool('max', 3),
  AvgPool: pool('average', 2),
  AvgPool3D: pool('average', 3),
  Mean: reduction('mean'),
  Sum: reduction('sum'),
  Max: reduction('max'),
  Min: reduction('min'),
  Prod: reduction('prod'),
  All: logical('min'),
  Any: logical('max'),
  ArgMax: argExtreme('argMax'),
  ArgMin: argExtreme('argMin'),
  Cumsum: one((x) =>
    x.s.node('cumSum', [input(x, 0), input(x, 1)], {
      exclusive: x.a.bool('exclusive'),
      reverse: x.a.bool('reverse'),
    }),
  ),
  Softmax: one((x) => x.s.softmax(input(x, 0), -1)),
  LogSoftmax: one((x) => x.s.node('logSoftmax', [input(x, 0)], { axis: -1 })),
  LRN: one((x) => {
    const radius = x.a.int('depth_radius', 5)
    const size = 2 * radius + 1
    // TensorFlow doesn't divide alpha by the window.
    return x.s.node('lrn', [input(x, 0)], {
      size,
      alpha: x.a.float('alpha', 1) * size,
      beta: x.a.float('beta', 0.5),
      bias: x.a.float('bias', 1),
      layout: 'channelsLast',
    })
  }),
  ResizeBilinear: resize('linear'),
  ResizeNearestNeighbor: resize('nearest'),
  TopKV2: topK,
  Where: where,
}
