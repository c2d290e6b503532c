// TensorFlow's operators that move elements or speak of shapes. What is known of a shape is followed (Scope.follow).

import { InputError } from '../../core/errors.ts'
import { integers, tensorOf } from '../../core/tensor.ts'
import type { Dim, ValueId } from '../../ir/types.ts'
import { type Handler, input, type NodeCall, numbersAt, tensorItem } from './scope.ts'

const one =
  (f: (x: NodeCall) => ValueId): Handler =>
  (x) => [tensorItem(f(x))]

/** The type that TensorFlow gives shapes and indices: int32 unless asked for int64. */
const indexType = (x: NodeCall, attribute: string): 'int32' | 'int64' =>
  x.a.type(attribute) === 'int64' ? 'int64' : 'int32'

const noted = (x: NodeCall, v: ValueId, dims: readonly Dim[] | null): ValueId => {
  if (dims) x.scope.noteFollowed(v, dims)
  return v
}

/** A non-negative axis. */
const axisOf = (axis: number, rank: number): number => {
  const a = axis < 0 ? axis + rank : axis
  if (!(a >= 0 && a < rank)) throw new InputError(`axis ${axis} of a tensor of rank ${rank}`)
  return a
}

/** A shape operand as an int64 value: numbers where all but one entry are known, else what the graph computes. */
export function shapeOperand(x: NodeCall, i: number, from: readonly Dim[] | null): ValueId {
  const dims = x.scope.follow(input(x, i))
  if (dims) {
    // A symbol that the input has at the same place is copied (0); one more open entry is what is left (−1).
    const copied = dims.map((d, k) => (typeof d === 'string' && from?.[k] === d ? 0 : d))
    const open = copied.filter((d) => typeof d !== 'number')
    if (open.length === 0 && !dims.includes(0)) return x.s.ints(copied as number[])
    if (open.length === 1 && !dims.includes(-1) && !dims.includes(0))
      return x.s.ints(copied.map((d) => (typeof d === 'number' ? d : -1)))
  }
  return x.s.cast(input(x, i), 'int64', 'shape')
}

const shape: Handler = (x) =>
  x.items.map((_, i) => {
    const v = input(x, i)
    const type = indexType(x, 'out_type')
    const dims = x.s.shape(v)
    return tensorItem(noted(x, x.s.cast(x.s.node('shape', [v], {}, 'int64'), type, ''), dims))
  })

const reshape: Handler = one((x) => {
  const v = input(x, 0)
  const out = x.s.node('reshape', [v, shapeOperand(x, 1, x.s.shape(v))])
  return noted(x, out, (x.s.shape(out)?.length ?? 2) <= 1 ? x.scope.follow(v) : null)
})

const squeeze: Handler = one((x) => {
  const v = input(x, 0)
  const given = x.a.ints(x.a.has('squeeze_dims') ? 'squeeze_dims' : 'axis', [])
  const dims = x.s.shape(v)
  if (!dims) {
    if (given.length === 0) return x.s.node('squeeze', [v])
    if (given.some((a) => a < 0)) throw new InputError('squeeze of an unknown rank')
    return x.s.squeeze(v, given)
  }
  const axes = given.length
    ? given.map((a) => axisOf(a, dims.length))
    : dims.flatMap((d, i) => (d === 1 ? [i] : []))
  return noted(x, axes.length ? x.s.squeeze(v, axes) : v, x.scope.follow(v))
})

const expandDims: Handler = one((x) => {
  const v = input(x, 0)
  const [axis] = numbersAt(x, 1, 'axis')
  const rank = x.s.rank(v) + 1
  return noted(x, x.s.unsqueeze(v, [axisOf(axis!, rank)]), rank === 1 ? x.scope.follow(v) : null)
})

/** Joins tensors along an axis; scalars packed to a vector are followed. */
const pack: Handler = one((x) => {
  const values = x.items.map((_, i) => input(x, i))
  if (values.length === 0) throw new InputError('nothing to pack')
  const rank = x.s.rank(values[0]!) + 1
  const axis = axisOf(x.a.int('axis', 0), rank)
  const parts = values.map((v) => x.s.unsqueeze(v, [axis], 'element'))
  const out = parts.length === 1 ? parts[0]! : x.s.concat(parts, axis)
  const known = values.map((v) => x.scope.follow(v))
  return noted(x, out, rank === 1 ? known.flatMap((k): Dim[] => (k ? [k[0]!] : [null])) : null)
})

const concatValues = (x: NodeCall, values: readonly ValueId[], axis: number): ValueId => {
  if (values.length === 0) throw new InputError('nothing to join')
  const rank = x.s.rank(values[0]!)
  const out = values.length === 1 ? values[0]! : x.s.concat(values, axisOf(axis, rank))
  if (rank !== 1) return out
  const parts = values.map((v): readonly Dim[] | null => {
    const n = x.s.shape(v)?.[0]
    return x.scope.follow(v) ?? (typeof n === 'number' && n <= 64 ? new Array<null>(n).fill(null) : null)
  })
  return noted(x, out, parts.every((p) => p !== null) ? (parts as Dim[][]).flat() : null)
}

/** How many parts a tensor is cut into: no more than it has entries. */
function partsOf(n: number, size: Dim | undefined): number {
  const most = typeof size === 'number' ? size : 65536
  if (!(n >= 1 && n <= most)) throw new InputError(`${n} parts of ${size ?? 'an open dimension'}`)
  return n
}

const unpack: Handler = (x) => {
  const v = input(x, 0)
  const rank = x.s.rank(v)
  const axis = axisOf(x.a.int('axis', 0), rank)
  const n = partsOf(x.a.int('num'), x.s.shape(v)?.[axis])
  const parts = n === 1 ? [v] : x.s.nodes('split', [v], { axis }, n, 'split')
  const known = rank === 1 ? x.scope.follow(v) : null
  return parts.map((p, i) => {
    const out = x.s.squeeze(p, [axis], 'element')
    return tensorItem(noted(x, out, known ? [known[i]!] : null))
  })
}

const split: Handler = (x) => {
  const v = input(x, 1)
  const [axis] = numbersAt(x, 0, 'axis')
  const n = partsOf(x.a.int('num_split'), x.s.shape(v)?.[axisOf(axis!, x.s.rank(v))])
  if (n === 1) return [tensorItem(v)]
  return x.s.nodes('split', [v], { axis: axisOf(axis!, x.s.rank(v)) }, n).map(tensorItem)
}

const splitV: Handler = (x) => {
  const v = input(x, 0)
  const axis = axisOf(numbersAt(x, 2, 'axis')[0]!, x.s.rank(v))
  const sizes = numbersAt(x, 1, 'sizes')
  const total = x.s.shape(v)?.[axis]
  const open = sizes.indexOf(-1)
  if (open !== -1) {
    if (typeof total !== 'number') throw new InputError('split into what is left of an open dimension')
    sizes[open] = total - sizes.reduce((n, s) => (s === -1 ? n : n + s), 0)
  }
  if (sizes.length === 1) return [tensorItem(v)]
  return x.s.nodes('split', [v, x.s.ints(sizes, 'sizes')], { axis }, sizes.length).map(tensorItem)
}

const fully = (dims: readonly Dim[] | null): dims is readonly number[] =>
  dims?.every((d) => typeof d === 'number') ?? false

/** begin and size; size −1 is all that is left. */
const slice: Handler = one((x) => {
  const v = input(x, 0)
  const [begin, size] = [x.scope.follow(input(x, 1)), x.scope.follow(input(x, 2))]
  if (!fully(begin) || !fully(size)) return computedSlice(x, v)
  const out = x.s.slices(
    v,
    begin.map((b, axis) => ({ axis, start: b, end: size[axis] === -1 ? TO_END : b + size[axis]!, step: 1 })),
  )
  const known = begin.length === 1 ? x.scope.follow(v) : null
  return noted(x, out, known?.slice(begin[0], size[0] === -1 ? undefined : begin[0]! + size[0]!) ?? null)
})
const TO_END = 2 ** 31 - 1

/** Bounds that the graph computes. */
function computedSlice(x: NodeCall, v: ValueId): ValueId {
  const { s } = x
  const begin = s.cast(input(x, 1), 'int64', 'begin')
  const size = s.cast(input(x, 2), 'int64', 'size')
  const open = s.node('less', [size, s.like(size, 0)], {}, 'open')
  const end = s.node(
    'where',
    [open, s.like(size, TO_END), s.node('add', [begin, size], {}, 'sum')],
    {},
    'end',
  )
  return s.node('slice', [v, begin, end])
}

const bit = (mask: number, i: number): boolean => ((mask >> i) & 1) === 1

/** begin:end:stride of every axis, with masks for open ends, ellipsis, new and dropped axes (tf.strided_slice). */
const stridedSlice: Handler = one((x) => {
  const v = input(x, 0)
  const rank = x.s.rank(v)
  const strides = numbersAt(x, 3, 'strides')
  const [begins, ends] = [x.scope.follow(input(x, 1)), x.scope.follow(input(x, 2))]
  const mask = (name: string): number => x.a.int(name, 0)
  const [beginMask, endMask, ellipsisMask, newMask, shrinkMask] = [
    mask('begin_mask'),
    mask('end_mask'),
    mask('ellipsis_mask'),
    mask('new_axis_mask'),
    mask('shrink_axis_mask'),
  ]
  const n = strides.length
  const takes = strides.filter((_, i) => !bit(newMask, i) && !bit(ellipsisMask, i)).length
  const cuts: { axis: number; start: number; end: number; step: number }[] = []
  const drop: number[] = []
  const add: number[] = []
  let axis = 0
  let place = 0
  for (let i = 0; i < n; i++) {
    if (bit(ellipsisMask, i)) {
      axis += rank - takes
      place += rank - takes
      continue
    }
    if (bit(newMask, i)) {
      add.push(place++)
      continue
    }
    const step = strides[i]!
    const number = (d: Dim | undefined, what: string): number => {
      if (typeof d === 'number') return d
      // An end that is the dimension itself, as x[:, :shape(x)[1]] has, is no bound.
      if (what === 'end' && d != null && d === x.s.shape(v)?.[axis]) return 2 ** 31 - 1
      throw new InputError(`a slice with a computed ${what}`)
    }
    const open = step > 0 ? 2 ** 31 - 1 : -(2 ** 31) + 1
    if (bit(shrinkMask, i)) {
      const start = number(begins?.[i], 'index')
      cuts.push({ axis, start, end: start === -1 ? 2 ** 31 - 1 : start + 1, step: 1 })
      drop.push(axis++)
      continue
    }
    const start = bit(beginMask, i) ? (step > 0 ? 0 : 2 ** 31 - 1) : number(begins?.[i], 'begin')
    const end = bit(endMask, i) ? open : number(ends?.[i], 'end')
    if (start !== 0 || end !== 2 ** 31 - 1 || step !== 1) cuts.push({ axis, start, end, step })
    axis++
    place++
  }
  let out = v
  const last = drop.length ? 'drop' : add.length ? 'add' : 'slice'
  if (cuts.length) out = x.s.slices(out, cuts, last === 'slice' ? '' : 'slice')
  if (drop.length) out = x.s.squeeze(out, drop, last === 'drop' && !add.length ? '' : 'squeeze')
  if (add.length) out = x.s.unsqueeze(out, add)
  const known = rank === 1 && n === 1 && add.length === 0 ? x.scope.follow(v) : null
  return noted(x, out, known && taken(known, cuts[0]))
})

/** The entries of a followed vector that a cut takes. */
function taken(
  known: readonly Dim[],
  cut: { start: number; end: number; step: number } | undefined,
): readonly Dim[] | null {
  if (!cut) return known
  if (cut.step !== 1) return null
  return known.slice(cut.start, cut.end === 2 ** 31 - 1 ? undefined : cut.end)
}

/** x with pads from [[begin, end], …] for every dimension, as numbers or as the graph computes them. */
function padded(x: NodeCall, value?: ValueId, mode = 'constant'): ValueId {
  const { s } = x
  const t = s.b.constantOf(input(x, 1))
  if (t) {
    const list = integers(t)
    return s.pad(
      input(x, 0),
      [...list.filter((_, i) => i % 2 === 0), ...list.filter((_, i) => i % 2 === 1)],
      value,
      mode,
    )
  }
  const turned = s.transpose(input(x, 1), [1, 0], 'pads/transpose')
  const pads = s.cast(s.reshape(turned, [-1], 'pads/flat'), 'int64', 'pads')
  return s.node('pad', [input(x, 0), pads, value ?? null], { mode })
}

const gather: Handler = one((x) => {
  const v = input(x, 0)
  const axis = x.items.length > 2 ? numbersAt(x, 2, 'axis')[0]! : 0
  const out = x.s.node('gather', [v, input(x, 1)], {
    axis: axisOf(axis, x.s.rank(v)),
    batchDims: x.a.int('batch_dims', 0),
  })
  const [known, at] = [x.s.rank(v) === 1 ? x.scope.follow(v) : null, x.scope.follow(input(x, 1))]
  return noted(
    x,
    out,
    known && at?.every((i) => typeof i === 'number') ? at.map((i) => known[i as number] ?? null) : null,
  )
})

const fill: Handler = one((x) => {
  const dims = x.scope.follow(input(x, 0))
  const value = x.s.b.constantOf(input(x, 1))
  if (dims?.every((d) => typeof d === 'number') && value) {
    return x.s.node('expand', [input(x, 1), x.s.ints(dims as number[])])
  }
  return x.s.node('expand', [input(x, 1), x.s.cast(input(x, 0), 'int64', 'shape')])
})

const filledLike = (value: number): Handler =>
  one((x) => {
    const v = input(x, 0)
    const dims = x.s.shape(v)
    const target = dims?.every((d) => typeof d === 'number')
      ? x.s.ints(dims as number[])
      : x.s.node('shape', [v], {}, 'shape')
    return x.s.node('expand', [x.s.like(v, value), target])
  })

const cast: Handler = one((x) => {
  const to = x.a.type('DstT')
  if (!to) throw new InputError('a cast to an unknown type')
  return noted(x, x.s.cast(input(x, 0), to, ''), x.scope.follow(input(x, 0)))
})

/** depth, on value, off value. */
const oneHot: Handler = one((x) => {
  const on = x.s.unsqueeze(input(x, 2), [0], 'on')
  const off = x.s.unsqueeze(input(x, 3), [0], 'off')
  const depth = x.s.cast(input(x, 1), 'int64', 'depth')
  const indices = input(x, 0)
  return x.s.node('oneHot', [indices, depth, x.s.concat([off, on], 0, 'values')], {
    axis: x.a.int('axis', -1),
  })
})

const spaceDepth = (op: string): Handler =>
  one((x) =>
    x.s.node(op, [input(x, 0)], {
      block: x.a.int('block_size'),
      layout: x.a.string('data_format', 'NHWC') === 'NCHW' ? 'channelsFirst' : 'channelsLast',
    }),
  )

const identity: Handler = (x) => x.items.slice(0, 1)
const identityAll: Handler = (x) => x.items

const list = (x: NodeCall, from: number, to: number): ValueId[] =>
  x.items.slice(from, to).map((_, i) => input(x, from + i))

export const shapeHandlers: Readonly<Record<string, Handler>> = {
  Identity: identity,
  StopGradient: identity,
  PreventGradient: identity,
  Snapshot: identity,
  CheckNumerics: identity,
  EnsureShape: identity,
  PlaceholderWithDefault: identity,
  IdentityN: identityAll,
  Shape: shape,
  ShapeN: shape,
  Rank: one((x) => {
    const rank = x.s.rank(input(x, 0))
    return x.s.b.constant(tensorOf('int32', [], [rank]), x.def.name)
  }),
  Size: one((x) => x.s.cast(x.s.node('size', [input(x, 0)], {}, 'int64'), indexType(x, 'out_type'), '')),
  Reshape: reshape,
  Squeeze: squeeze,
  ExpandDims: expandDims,
  Pack: pack,
  Unpack: unpack,
  ConcatV2: one((x) => {
    const n = x.items.length - 1
    return concatValues(x, list(x, 0, n), numbersAt(x, n, 'axis')[0]!)
  }),
  Concat: one((x) => concatValues(x, list(x, 1, x.items.length), numbersAt(x, 0, 'axis')[0]!)),
  Split: split,
  SplitV: splitV,
  Slice: slice,
  StridedSlice: stridedSlice,
  Transpose: one((x) => x.s.transpose(input(x, 0), numbersAt(x, 1, 'permutation'))),
  Pad: one((x) => padded(x)),
  PadV2: one((x) => padded(x, input(x, 2))),
  MirrorPad: one((x) => padded(x, undefined, x.a.string('mode') === 'SYMMETRIC' ? 'symmetric' : 'reflect')),
  Tile: one((x) => x.s.node('tile', [input(x, 0), x.s.cast(input(x, 1), 'int64', 'repeats')])),
  BroadcastTo: one((x) => x.s.node('expand', [input(x, 0), shapeOperand(x, 1, x.s.shape(input(x, 0)))])),
  Gather: gather,
  GatherV2: gather,
  GatherNd: one((x) => x.s.node('gatherND', [input(x, 0), input(x, 1)])),
  Fill: fill,
  ZerosLike: filledLike(0),
  OnesLike: filledLike(1),
  Cast: cast,
  OneHot: oneHot,
  Range: one((x) => x.s.node('range', [input(x, 0), input(x, 1), input(x, 2)])),
  ReverseV2: one((x) =>
    x.s.node('reverse', [input(x, 0)], {
      axes: numbersAt(x, 1, 'axes').map((a) => axisOf(a, x.s.rank(input(x, 0)))),
    }),
  ),
  ReverseSequence: one((x) =>
    x.s.node('reverseSequence', [input(x, 0), input(x, 1)], {
      batchAxis: x.a.int('batch_dim', 0),
      timeAxis: x.a.int('seq_dim'),
    }),
  ),
  DepthToSpace: spaceDepth('depthToSpace'),
  SpaceToDepth: spaceDepth('spaceToDepth'),
}
