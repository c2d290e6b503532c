// Operators of ONNX that move, pick or make elements.

import type { DType } from '../../../core/dtype.ts'
import { type Tensor, tensorOf } from '../../../core/tensor.ts'
import type { ValueId } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'
import { readSparse } from '../tensors.ts'

/** A tensor of any of the forms that Constant has. */
function constantValue(c: Call): Tensor {
  if (c.has('value')) return c.tensor('value') ?? c.fail('attribute value, expected a tensor')
  if (c.has('value_float')) return tensorOf('float32', [], [c.float('value_float')])
  if (c.has('value_int')) return tensorOf('int64', [], [c.raw('value_int')!.i])
  if (c.has('value_string')) return tensorOf('string', [], [c.string('value_string')])
  const floats = c.floats('value_floats')
  if (floats) return tensorOf('float32', [floats.length], floats)
  if (c.has('value_ints')) {
    const { ints } = c.raw('value_ints')!
    return tensorOf('int64', [ints.length], ints)
  }
  const strings = c.strings('value_strings')
  if (strings) return tensorOf('string', [strings.length], strings)
  const sparse = c.raw('sparse_value')?.sparseTensor
  if (sparse) return readSparse(sparse, c.context.external)
  return c.fail('expected an attribute value, value_float, value_int, …')
}

/** Axes from the attribute (old opsets) or a constant input; null where given as neither. */
function staticAxes(c: Call, since: number, input = 1): number[] | 'all' | 'computed' {
  if (c.opset < since) return c.ints('axes') ?? 'all'
  if (c.get(input) === null) return 'all'
  return c.constantInts(input) ?? 'computed'
}

const countOf = (c: Call, i: number): number => {
  const n = c.shape(i)?.[0]
  return typeof n === 'number' && n <= 64 ? n : c.open('computed axes of unknown count')
}

/** Squeeze by computed axes: the shape without them, computed too. */
function squeezeComputed(c: Call): ValueId[] {
  const rank = c.rank(0)
  const k = countOf(c, 1)
  const keep = c.mid('scatterElements', [
    c.int64(new Array<number>(rank).fill(1)),
    c.in(1),
    c.int64(new Array<number>(k).fill(0)),
  ])
  const shape = c.mid('compress', [c.mid('shape', [c.in(0)]), c.cast(keep, 'bool')], { axis: 0 })
  return c.out('reshape', [c.in(0), shape], { allowZero: true })
}

function unsqueezeComputed(c: Call): ValueId[] {
  const rank = c.rank(0)
  const k = countOf(c, 1)
  const ones = c.int64(new Array<number>(rank + k).fill(1))
  const old = c.mid('scatterElements', [ones, c.in(1), c.int64(new Array<number>(k).fill(0))])
  const places = c.mid('reshape', [c.mid('nonZero', [old]), c.int64([rank])])
  const shape = c.mid('scatterElements', [ones, places, c.mid('shape', [c.in(0)])])
  return c.out('reshape', [c.in(0), shape], { allowZero: true })
}

const squeeze: Row = (c) => {
  const axes = staticAxes(c, 13)
  if (axes === 'computed') return squeezeComputed(c)
  return c.out('squeeze', [c.in(0)], axes === 'all' ? {} : { axes })
}

const unsqueeze: Row = (c) => {
  const axes = staticAxes(c, 13)
  if (axes === 'computed') return unsqueezeComputed(c)
  if (axes === 'all') c.fail('axes are missing')
  return c.out('unsqueeze', [c.in(0)], { axes })
}

const reshape: Row = (c) => {
  if (c.opset < 5)
    return c.out('reshape', [c.in(0), c.int64(c.ints('shape') ?? c.fail('attribute shape is missing'))])
  return c.out('reshape', [c.in(0), c.in(1)], { allowZero: c.flag('allowzero') })
}

const slice: Row = (c) => {
  if (c.opset >= 10) return c.out('slice')
  const [starts, ends] = [c.ints('starts') ?? [], c.ints('ends') ?? []]
  const axes = c.ints('axes')
  return c.out('slice', [c.in(0), c.int64(starts), c.int64(ends), axes ? c.int64(axes) : null])
}

const split: Row = (c) => {
  const axis = c.int('axis', 0)
  const sizes = c.opset < 13 ? c.ints('split') : undefined
  const input = sizes ? c.int64(sizes) : c.opset < 13 ? null : c.get(1)
  return c.out('split', [c.in(0), input], { axis })
}

const padModes = ['constant', 'reflect', 'edge', 'wrap']

const pad: Row = (c) => {
  const mode = c.string('mode', 'constant')
  if (!padModes.includes(mode)) throw new NotSupported(`Pad with mode ${mode}`)
  if (c.opset >= 11) return c.out('pad', c.inputs, { mode })
  const pads = c.ints('pads') ?? c.ints('paddings') ?? c.fail('attribute pads is missing')
  const value = c.float('value', 0)
  return c.out('pad', [c.in(0), c.int64(pads), value === 0 ? null : c.scalar(c.type(0).dtype, value)], {
    mode,
  })
}

const topK: Row = (c) => {
  const k = c.opset < 10 ? c.int64([c.int('k')]) : c.in(1)
  const made = c.outs(2, 'topK', [c.in(0), k], {
    axis: c.int('axis', -1),
    largest: c.flag('largest', true),
    sorted: c.flag('sorted', true),
  })
  return made
}

const trilu: Row = (c) => c.out('trilu', c.inputs, { upper: c.flag('upper', true) })

const scatter: Row = (c) =>
  c.out('scatterElements', c.inputs, { axis: c.int('axis', 0), reduction: c.string('reduction', 'none') })

const dropout: Row = (c) => {
  const seed = c.int('seed', 0)
  const training = c.opset >= 12 && c.get(2) !== null && !(c.constant(2) && !c.constant(2)!.data[0])
  if (training) return c.out('dropout', c.inputs, { seed })
  if (c.outputCount < 2) return c.out('identity', [c.in(0)])
  const [y, mask] = c.outs(2, 'dropout', [c.in(0)], { seed })
  // Before opset 10 the mask had the type of the data.
  if (c.opset < 10) return [y!, c.mid('cast', [mask!], { to: c.type(0).dtype })]
  return [y!, mask!]
}

const randomShape = (c: Call): { shape: number[]; dtype: DType } => ({
  shape: c.ints('shape') ?? c.fail('attribute shape is missing'),
  dtype: c.dtype('dtype', 'float32'),
})
/** ONNX's seeds are floats; ours are integers. */
const seedOf = (c: Call): number => Math.trunc(c.float('seed', 0))
const likeType = (c: Call) => (c.has('dtype') ? { dtype: c.dtype('dtype') } : {})
const normalOf = (c: Call) => ({ mean: c.float('mean', 0), deviation: c.float('scale', 1), seed: seedOf(c) })
const uniformOf = (c: Call) => ({ low: c.float('low', 0), high: c.float('high', 1), seed: seedOf(c) })

/** CenterCropPad: crops or pads axes about the centre to a constant shape. */
const centerCropPad: Row = (c) => {
  const target = c.constantInts(1) ?? c.open('a computed shape')
  const shape = c.shape(0) ?? c.open('an input of unknown rank')
  const axes = (c.ints('axes') ?? shape.map((_, i) => i)).map((a) => c.axis(a, shape.length))
  const sizes = c.fixed(
    axes.map((a) => shape[a]!),
    'an axis',
  )
  const [starts, ends, begins, finishes]: number[][] = [[], [], [], []]
  sizes.forEach((size, i) => {
    const want = target[i]!
    const cut = Math.max(0, size - want)
    const add = Math.max(0, want - size)
    starts!.push(Math.floor(cut / 2))
    ends!.push(Math.floor(cut / 2) + Math.min(size, want))
    begins!.push(Math.floor(add / 2))
    finishes!.push(add - Math.floor(add / 2))
  })
  const cropped = c.mid('slice', [c.in(0), c.int64(starts!), c.int64(ends!), c.int64(axes)])
  return c.out('pad', [cropped, c.int64([...begins!, ...finishes!]), null, c.int64(axes)])
}

export const shapes: Record<string, Row> = {
  Constant: (c) => [c.b.constant(constantValue(c), c.node.output[0] || c.name)],
  ConstantOfShape: (c) => {
    const value = c.tensor('value')
    return c.out('constantOfShape', [c.in(0)], value ? { value } : {})
  },
  Shape: (c) =>
    c.out('shape', [c.in(0)], { start: c.int('start', 0), ...(c.has('end') && { end: c.int('end') }) }),
  Size: (c) => c.out('size', [c.in(0)]),
  Reshape: reshape,
  Flatten: (c) => c.out('flatten', [c.in(0)], { axis: c.int('axis', 1) }),
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: (c) => c.out('expand'),
  Transpose: (c) => {
    const permutation = c.ints('perm')
    return c.out('transpose', [c.in(0)], permutation ? { permutation } : {})
  },
  Concat: (c) => c.out('concat', c.inputs, { axis: c.int('axis', 1) }),
  Split: split,
  Slice: slice,
  Pad: pad,
  Tile: (c) => c.out('tile'),
  ReverseSequence: (c) =>
    c.out('reverseSequence', c.inputs, {
      batchAxis: c.int('batch_axis', 1),
      timeAxis: c.int('time_axis', 0),
    }),
  SpaceToDepth: (c) => {
    if (c.string('mode', 'DCR') !== 'DCR') throw new NotSupported('SpaceToDepth with mode CRD', 'DCR')
    return c.out('spaceToDepth', c.inputs, { block: c.int('blocksize') })
  },
  DepthToSpace: (c) =>
    c.out('depthToSpace', c.inputs, { block: c.int('blocksize'), mode: c.string('mode', 'DCR') }),
  Gather: (c) => c.out('gather', c.inputs, { axis: c.int('axis', 0) }),
  GatherElements: (c) => c.out('gatherElements', c.inputs, { axis: c.int('axis', 0) }),
  GatherND: (c) => c.out('gatherND', c.inputs, { batchDims: c.int('batch_dims', 0) }),
  Scatter: scatter,
  ScatterElements: scatter,
  ScatterND: (c) => c.out('scatterND', c.inputs, { reduction: c.string('reduction', 'none') }),
  OneHot: (c) => c.out('oneHot', c.inputs, { axis: c.int('axis', -1) }),
  TopK: topK,
  NonZero: (c) => c.out('nonZero'),
  Compress: (c) => c.out('compress', c.inputs, c.has('axis') ? { axis: c.int('axis') } : {}),
  Unique: (c) =>
    c.out('unique', c.inputs, {
      sorted: c.flag('sorted', true),
      ...(c.has('axis') && { axis: c.int('axis') }),
    }),
  Trilu: trilu,
  Range: (c) => c.out('range'),
  EyeLike: (c) =>
    c.out('eyeLike', c.inputs, { k: c.int('k', 0), ...(c.has('dtype') && { dtype: c.dtype('dtype') }) }),
  Dropout: dropout,
  RandomNormal: (c) => c.out('randomNormal', [], { ...randomShape(c), ...normalOf(c) }),
  RandomNormalLike: (c) => c.out('randomNormalLike', c.inputs, { ...likeType(c), ...normalOf(c) }),
  RandomUniform: (c) => c.out('randomUniform', [], { ...randomShape(c), ...uniformOf(c) }),
  RandomUniformLike: (c) => c.out('randomUniformLike', c.inputs, { ...likeType(c), ...uniformOf(c) }),
  Bernoulli: (c) => c.out('bernoulli', c.inputs, { ...likeType(c), seed: seedOf(c) }),
  Multinomial: (c) =>
    c.out('multinomial', c.inputs, {
      samples: c.int('sample_size', 1),
      dtype: c.dtype('dtype', 'int32'),
      seed: seedOf(c),
    }),
  CenterCropPad: centerCropPad,
}
