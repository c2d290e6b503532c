// Writing operators that move, pick or make elements.

import type { DType } from '../../../core/dtype.ts'
import type { Tensor } from '../../../core/tensor.ts'
import { NotWritable, type Value, type WriteRow } from '../emit.ts'
import { dtypeCodes } from '../tensors.ts'

const named =
  (op: string, attributes: Readonly<Record<string, string>> = {}): WriteRow =>
  (n) =>
    n.emit(
      op,
      n.ins(),
      Object.fromEntries(Object.entries(attributes).map(([ours, theirs]) => [theirs, n.a[ours] as Value])),
    )

const random =
  (op: string, like: boolean, uniform: boolean): WriteRow =>
  (n) =>
    n.emit(op, like ? [n.in(0)] : [], {
      ...(uniform
        ? { low: n.float('low'), high: n.float('high') }
        : { mean: n.float('mean'), scale: n.float('deviation') }),
      seed: n.float('seed'),
      dtype: n.a.dtype === undefined ? undefined : dtypeCodes[n.string('dtype') as DType],
      shape: like ? undefined : n.numbers('shape'),
    })

/** Several axes at once by a chain of slices with steps of −1. */
const reverse: WriteRow = (n) => {
  const axes = n.numbers('axes')
  if (axes.length === 0) return n.emit('Identity')
  const each = (v: number): string => n.int64(axes.map(() => v))
  return n.emit('Slice', [n.in(0), each(-1), each(-(2 ** 62)), n.int64(axes), each(-1)])
}

/** A gather with shared batch dimensions: by tuples, whose first entries count the batch. */
const gather: WriteRow = (n) => {
  const shared = n.number('batchDims')
  if (shared === 0) return n.emit('Gather', n.ins(), { axis: n.number('axis') })
  const axis = n.number('axis') < 0 ? n.number('axis') + n.rank(0) : n.number('axis')
  if (axis !== shared) throw new NotWritable('gather whose axis lies behind the shared dimensions')
  // GatherND shares its batch dimensions too; each index is a tuple of one.
  const tuples = n.mid('Unsqueeze', [n.cast(n.in(1), n.dtype(1), 'int64'), n.int64([-1])])
  return n.emit('GatherND', [n.in(0), tuples], { batch_dims: shared })
}

/** ONNX's blocks are channels first, and its spaceToDepth orders channels as ours. */
const blocks =
  (op: string): WriteRow =>
  (n) =>
    n.emitFirst(op, [n.first(0)], {
      blocksize: n.number('block'),
      mode: op === 'DepthToSpace' ? n.string('mode') : undefined,
    })

/** ONNX has no symmetric mode: the edge rows are mirrored by slices, one axis after the other. */
const pad: WriteRow = (n) => {
  if (n.string('mode') !== 'symmetric') {
    if (n.has(3)) n.needs(18)
    if (n.string('mode') === 'wrap') n.needs(19)
    return n.emit('Pad', [n.in(0), n.int64In(1), n.in(2), n.int64In(3)], { mode: n.string('mode') })
  }
  const pads = n.constantOf(1)
  const rank = n.rank(0)
  if (!pads || n.has(3)) throw new NotWritable('symmetric pad of computed extents')
  const count = Array.from(pads.data as BigInt64Array, Number)
  let x = n.in(0)
  const axes = Array.from({ length: rank }, (_, i) => i).filter((i) => count[i] || count[i + rank])
  axes.forEach((axis, k) => {
    const parts: string[] = []
    const mirrored = (from: number, to: number): string =>
      n.mid('Slice', [x, n.int64([from]), n.int64([to]), n.int64([axis]), n.int64([-1])])
    if (count[axis]) parts.push(mirrored(count[axis]! - 1, -(2 ** 62)))
    parts.push(x)
    if (count[axis + rank]) parts.push(mirrored(-1, -count[axis + rank]! - 1))
    if (k === axes.length - 1) n.emit('Concat', parts, { axis })
    else x = n.mid('Concat', parts, { axis })
  })
  if (axes.length === 0) n.emit('Identity', [x])
}

/** Reductions came with opset 16, the largest and smallest with 18. */
const scatter =
  (op: string): WriteRow =>
  (n) => {
    const reduction = n.string('reduction')
    if (reduction !== 'none') n.needs(reduction === 'add' || reduction === 'mul' ? 16 : 18)
    n.emit(op, [n.in(0), n.int64In(1, false), n.in(2)], {
      axis: n.a.axis as Value,
      reduction: reduction === 'none' ? undefined : reduction,
    })
  }

const split: WriteRow = (n) => {
  if (!n.has(1)) n.needs(18)
  n.emit('Split', [n.in(0), n.int64In(1)], {
    axis: n.number('axis'),
    num_outputs: n.has(1) ? undefined : n.node.outputs.length,
  })
}

export const shapes = {
  identity: (n) => {
    const kind = n.e.graph.values[n.node.inputs[0]!]!.type.kind
    if (kind !== 'tensor') n.needs(kind === 'sequence' ? 14 : 16)
    n.emit('Identity')
  },
  cast: (n) => n.emit('Cast', n.ins(), { to: dtypeCodes[n.string('to') as DType] }),
  bitCast: () => {
    throw new NotWritable('bitCast')
  },
  shape: (n) => {
    const whole = n.number('start') === 0 && n.a.end === undefined
    if (!whole) n.needs(15)
    n.emit('Shape', n.ins(), whole ? {} : { start: n.number('start'), end: n.a.end as Value })
  },
  size: named('Size'),
  reshape: (n) => {
    if (n.flag('allowZero')) n.needs(14)
    n.emit('Reshape', [n.in(0), n.int64In(1)], { allowzero: n.flag('allowZero') || undefined })
  },
  flatten: named('Flatten', { axis: 'axis' }),
  squeeze: (n) => n.emit('Squeeze', [n.in(0), n.a.axes === undefined ? '' : n.int64(n.numbers('axes'))]),
  unsqueeze: (n) => n.emit('Unsqueeze', [n.in(0), n.int64(n.numbers('axes'))]),
  expand: (n) => n.emit('Expand', [n.in(0), n.int64In(1)]),
  transpose: named('Transpose', { permutation: 'perm' }),
  concat: named('Concat', { axis: 'axis' }),
  split,
  slice: named('Slice'),
  pad,
  tile: (n) => n.emit('Tile', [n.in(0), n.int64In(1)]),
  reverse,
  reverseSequence: (n) =>
    n.emit('ReverseSequence', [n.in(0), n.int64In(1)], {
      batch_axis: n.number('batchAxis'),
      time_axis: n.number('timeAxis'),
    }),
  spaceToDepth: blocks('SpaceToDepth'),
  depthToSpace: blocks('DepthToSpace'),
  gather,
  gatherElements: named('GatherElements', { axis: 'axis' }),
  gatherND: (n) => n.emit('GatherND', [n.in(0), n.int64In(1, false)], { batch_dims: n.number('batchDims') }),
  scatterElements: scatter('ScatterElements'),
  scatterND: scatter('ScatterND'),
  oneHot: named('OneHot', { axis: 'axis' }),
  topK: (n) =>
    n.emit('TopK', [n.in(0), n.int64In(1)], {
      axis: n.number('axis'),
      largest: n.flag('largest'),
      sorted: n.flag('sorted'),
    }),
  nonZero: named('NonZero'),
  compress: named('Compress', { axis: 'axis' }),
  unique: (n) => n.emit('Unique', n.ins(), { axis: n.a.axis as Value, sorted: n.flag('sorted') }),
  trilu: (n) => {
    n.needs(14)
    n.emit('Trilu', [n.in(0), n.int64In(1, false)], { upper: n.flag('upper') })
  },
  range: named('Range'),
  constantOfShape: (n) => {
    const value = n.a.value as Tensor
    n.emit('ConstantOfShape', [n.int64In(0)], { value: { ...value, shape: [1] } })
  },
  eyeLike: (n) =>
    n.emit('EyeLike', n.ins(), {
      k: n.number('k'),
      dtype: n.a.dtype === undefined ? undefined : dtypeCodes[n.string('dtype') as DType],
    }),
  randomNormal: random('RandomNormal', false, false),
  randomNormalLike: random('RandomNormalLike', true, false),
  randomUniform: random('RandomUniform', false, true),
  randomUniformLike: random('RandomUniformLike', true, true),
  bernoulli: (n) => {
    n.needs(15)
    n.emit('Bernoulli', n.ins(), {
      seed: n.float('seed'),
      dtype: n.a.dtype === undefined ? undefined : dtypeCodes[n.string('dtype') as DType],
    })
  },
  multinomial: (n) =>
    n.emit('Multinomial', n.ins(), {
      seed: n.float('seed'),
      sample_size: n.number('samples'),
      dtype: dtypeCodes[n.string('dtype') as DType],
    }),
  dropout: (n) => n.emit('Dropout', n.ins(), { seed: n.number('seed') }),
} satisfies Record<string, WriteRow>
