// Operators that move, select, repeat or count elements, and the shapes that they take.

import type { ValueId } from '../../../ir/types.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'

const reshape: Row = (x) => {
  const option = x.options.new_shape as Int32Array | undefined
  // The input wins; old files have the option alone, or a vector of one zero for a scalar.
  let shape: ValueId
  if (x.has(1)) shape = x.int64(1)
  else if (option) shape = x.int64s(...(option.length === 1 && option[0] === 0 ? [] : option))
  else shape = x.int64s(...x.output().shape)
  x.result('reshape', [x.input(0), shape], { allowZero: true })
}

/** The file's int32 (or int64) of a node that gives int64. */
const integerResult = (x: Operation, id: ValueId, output = 0): void => {
  const to = x.output(output).dtype!
  if (to === 'int64') x.is(id, output)
  else x.resultAt(output, 'cast', [id], { to })
}

/** Ends that mean "to the end" and "to before the start". */
const far = 2 ** 31 - 1

/** STRIDED_SLICE: each entry of begin, end, strides is a range, an index, a new axis, or (once) all axes not mentioned. */
const stridedSlice: Row = (x) => {
  const shape = x.shapeOf(x.input(0))
  const rank = shape?.length ?? x.tensor(0).shape.length
  const [beginMask, endMask, ellipsis, newAxis, shrink] = [
    'begin_mask', 'end_mask', 'ellipsis_mask', 'new_axis_mask', 'shrink_axis_mask',
  ].map((m) => x.number(m)) as [number, number, number, number, number] // biome-ignore format: a list
  const strides = x.integers(3, 'strides')
  const begin = x.constant(1) ? x.integers(1, 'begin') : undefined
  const end = x.constant(2) ? x.integers(2, 'end') : undefined
  const count = strides.length
  if (strides.some((s) => s === 0)) x.fail('a stride of 0')
  if (x.boolean('offset')) throw new NotSupported('STRIDED_SLICE with ends as offsets')
  const computed = !begin || !end
  if (computed && (ellipsis || newAxis))
    throw new NotSupported('STRIDED_SLICE with computed bounds and new axes')
  const bit = (mask: number, i: number): boolean => ((mask >> i) & 1) === 1
  const mentioned = [...strides.keys()].filter((i) => !bit(newAxis, i) && !bit(ellipsis, i)).length
  const [starts, ends, axes, steps]: number[][] = [[], [], [], []]
  const [drop, add]: [number[], number[]] = [[], []]
  let axis = 0
  let out = 0
  for (let i = 0; i < count; i++) {
    if (bit(ellipsis, i)) {
      axis += rank - mentioned
      out += rank - mentioned
      continue
    }
    if (bit(newAxis, i)) {
      add.push(out++)
      continue
    }
    if (axis >= rank) x.fail(`more ranges than the ${rank} dimensions`)
    const step = bit(shrink, i) ? 1 : strides[i]!
    steps!.push(step)
    axes!.push(axis)
    const from = begin?.[i] ?? 0
    if (bit(shrink, i)) {
      starts!.push(from)
      ends!.push(from === -1 ? far : from + 1)
      drop.push(axis)
    } else {
      starts!.push(bit(beginMask, i) ? (step > 0 ? 0 : far) : from)
      ends!.push(bit(endMask, i) ? (step > 0 ? far : -far) : (end?.[i] ?? 0))
      out++
    }
    axis++
  }
  const bound = (input: number, values: number[], mask: number): ValueId => {
    if (x.constant(input)) return x.int64s(...values)
    if (mask) throw new NotSupported('STRIDED_SLICE with computed bounds and masks')
    return x.int64(input)
  }
  if (computed && shrink) throw new NotSupported('STRIDED_SLICE with computed bounds that drops axes')
  const inputs = [
    x.input(0),
    bound(1, starts!, beginMask),
    bound(2, ends!, endMask),
    x.int64s(...axes!),
    x.int64s(...steps!),
  ]
  if (!drop.length && !add.length) return x.result('slice', inputs)
  const sliced = x.node('slice', inputs)
  if (!add.length) return x.result('squeeze', [sliced], { axes: drop })
  const dropped = drop.length ? x.node('squeeze', [sliced], { axes: drop }) : sliced
  x.result('unsqueeze', [dropped], { axes: add })
}

/** SLICE: begin and sizes, −1 for the rest. */
const slice: Row = (x) => {
  const begin = x.constant(1)
  const size = x.constant(2)
  if (begin && size) {
    const from = x.integers(1, 'begin')
    const ends = x.integers(2, 'size').map((s, i) => (s === -1 ? far : from[i]! + s))
    return x.result('slice', [x.input(0), x.int64s(...from), x.int64s(...ends)])
  }
  const [from, count] = [x.int64(1), x.int64(2)]
  const open = x.node('equal', [count, x.scalar('int64', -1)])
  const ends = x.node('where', [open, x.scalar('int64', far), x.node('add', [from, count])])
  x.result('slice', [x.input(0), from, ends])
}

/** Paddings [n, 2] as all begins, then all ends. */
function pads(x: Operation): ValueId {
  if (x.constant(1)) {
    const p = x.integers(1, 'paddings')
    if (p.length % 2 !== 0) x.fail(`${p.length} paddings`)
    const at = (k: number): number[] => p.filter((_, i) => i % 2 === k)
    return x.int64s(...at(0), ...at(1))
  }
  const turned = x.node('transpose', [x.int64(1)], { permutation: [1, 0] })
  return x.node('reshape', [turned, x.int64s(-1)])
}

const pad: Row = (x) => {
  // Integers are padded by what stands for zero.
  const zero = x.tensor(0).quantization?.zeroPoint[0] ?? 0
  const value = x.has(2) ? x.input(2) : zero ? x.scalar(x.tensor(0).dtype!, zero) : null
  x.result('pad', [x.input(0), pads(x), value])
}

const mirrorPad: Row = (x) =>
  x.result('pad', [x.input(0), pads(x)], { mode: x.number('mode') === 0 ? 'reflect' : 'symmetric' })

const concat: Row = (x) => {
  if (x.activation() !== 'none') throw new NotSupported(`CONCATENATION with fused ${x.activation()}`)
  x.result(
    'concat',
    x.inputs.map((_, i) => x.input(i)),
    { axis: x.number('axis') },
  )
}

const pack: Row = (x) => {
  const rank = x.rankOf(0)
  const axis = x.number('axis') < 0 ? x.number('axis') + rank + 1 : x.number('axis')
  const parts = x.inputs.map((_, i) => x.node('unsqueeze', [x.input(i)], { axes: [axis] }))
  x.result('concat', parts, { axis })
}

const unpack: Row = (x) => {
  const axis = x.number('axis')
  const n = x.outputs.length
  if (n === 1) return x.result('squeeze', [x.input(0)], { axes: [axis] })
  x.nodes('split', [x.input(0)], { axis }, n).forEach((part, i) => {
    x.resultAt(i, 'squeeze', [part], { axes: [axis] })
  })
}

const split: Row = (x) => x.result('split', [x.input(1)], { axis: x.integer(0, 'axis') })

const splitV: Row = (x) => {
  const axis = x.integer(2, 'axis')
  const sizes = x.integers(1, 'sizes')
  const open = sizes.indexOf(-1)
  if (open >= 0) {
    const size = x.dim(0, axis)
    if (typeof size !== 'number') throw new NotSupported('SPLIT_V with an open size along an open dimension')
    sizes[open] = size - sizes.reduce((a, b) => a + b, 1)
  }
  x.result('split', [x.input(0), x.int64s(...sizes)], { axis })
}

const squeeze: Row = (x) => {
  const axes = Array.from((x.options.squeeze_dims as Int32Array | undefined) ?? [])
  x.result('squeeze', [x.input(0)], axes.length ? { axes } : {})
}

const gather: Row = (x) =>
  x.result('gather', [x.input(0), x.input(1)], {
    axis: x.number('axis'),
    batchDims: x.number('batch_dims'),
  })

const depthToSpace =
  (op: string): Row =>
  (x) =>
    x.result(op, [x.input(0)], { block: x.number('block_size'), layout: 'channelsLast' })

/** Spatial blocks into the batch: pad, split every blocked dimension, bring the block to the front. */
const spaceToBatch: Row = (x) => {
  const block = x.integers(1, 'block')
  const paddings = x.integers(2, 'paddings')
  const rank = x.rankOf(0)
  const m = block.length
  if (paddings.length !== 2 * m || rank < m + 1) x.fail(`block [${block}] for rank ${rank}`)
  const each = Array.from({ length: rank }, (_, i) =>
    i >= 1 && i <= m ? [paddings[2 * i - 2]!, paddings[2 * i - 1]!] : [0, 0],
  )
  const zero = x.tensor(0).quantization?.zeroPoint[0] ?? 0
  const padded = x.node('pad', [
    x.input(0),
    x.int64s(...each.map((p) => p[0]!), ...each.map((p) => p[1]!)),
    zero ? x.scalar(x.tensor(0).dtype!, zero) : null,
  ])
  const dims = (x.shapeOf(padded) ?? []).map((d, i) => {
    if (i > 0 && typeof d !== 'number') throw new NotSupported('SPACE_TO_BATCH_ND over open dimensions')
    return d as number
  })
  const inner = dims.slice(m + 1)
  const parts = block.flatMap((k, i) => [dims[i + 1]! / k, k])
  const split = x.node('reshape', [padded, x.int64s(-1, ...parts, ...inner)])
  const blocks = block.map((_, i) => 2 + 2 * i)
  const counts = block.map((_, i) => 1 + 2 * i)
  const rest = inner.map((_, i) => 1 + 2 * m + i)
  const moved = x.node('transpose', [split], { permutation: [...blocks, 0, ...counts, ...rest] })
  x.result('reshape', [moved, x.int64s(-1, ...block.map((k, i) => dims[i + 1]! / k), ...inner)])
}

const batchToSpace: Row = (x) => {
  const block = x.integers(1, 'block')
  const crops = x.integers(2, 'crops')
  const shape = x.shapeOf(x.input(0))
  const m = block.length
  const dims = (shape ?? []).map((d, i) => {
    if (i > 0 && typeof d !== 'number') throw new NotSupported('BATCH_TO_SPACE_ND over open dimensions')
    return d as number
  })
  if (!shape) throw new NotSupported('BATCH_TO_SPACE_ND of unknown rank')
  const inner = dims.slice(m + 1)
  const outer = dims.slice(1, m + 1)
  const split = x.node('reshape', [x.input(0), x.int64s(...block, -1, ...outer, ...inner)])
  const order = [m, ...block.flatMap((_, i) => [m + 1 + i, i]), ...inner.map((_, i) => 2 * m + 1 + i)]
  const moved = x.node('transpose', [split], { permutation: order })
  const joined = x.node('reshape', [moved, x.int64s(-1, ...block.map((k, i) => outer[i]! * k), ...inner)])
  if (crops.every((c) => c === 0)) return x.is(joined)
  const axes = block.map((_, i) => i + 1)
  x.result('slice', [
    joined,
    x.int64s(...axes.map((i) => crops[2 * i - 2]!)),
    x.int64s(...axes.map((i) => outer[i - 1]! * block[i - 1]! - crops[2 * i - 1]!)),
    x.int64s(...axes),
  ])
}

const oneHot: Row = (x) => {
  const values = x.node(
    'concat',
    [x.node('unsqueeze', [x.input(3)], { axes: [0] }), x.node('unsqueeze', [x.input(2)], { axes: [0] })],
    { axis: 0 },
  )
  x.result('oneHot', [x.input(0), x.int64(1), values], { axis: x.number('axis') })
}

const topK: Row = (x) => {
  const [values, indices] = x.nodes('topK', [x.input(0), topKCount(x)], { axis: -1 }, 2)
  x.is(values!, 0)
  integerResult(x, indices!, 1)
}
const topKCount = (x: Operation): ValueId =>
  x.constant(1) ? x.int64s(x.integer(1, 'k')) : x.node('reshape', [x.int64(1), x.int64s(1)])

export const movementRows: Readonly<Record<string, Row>> = {
  RESHAPE: reshape,
  SQUEEZE: squeeze,
  EXPAND_DIMS: (x) => x.result('unsqueeze', [x.input(0)], { axes: [x.integer(1, 'axis')] }),
  TRANSPOSE: (x) => x.result('transpose', [x.input(0)], { permutation: x.integers(1, 'permutation') }),
  CONCATENATION: concat,
  PACK: pack,
  UNPACK: unpack,
  SPLIT: split,
  SPLIT_V: splitV,
  SLICE: slice,
  STRIDED_SLICE: stridedSlice,
  PAD: pad,
  PADV2: pad,
  MIRROR_PAD: mirrorPad,
  TILE: (x) => x.result('tile', [x.input(0), x.int64(1)]),
  BROADCAST_TO: (x) => x.result('expand', [x.input(0), x.int64(1)]),
  FILL: (x) => x.result('expand', [x.input(1), x.int64(0)]),
  RANGE: (x) => x.result('range', [x.input(0), x.input(1), x.input(2)]),
  SHAPE: (x) => integerResult(x, x.node('shape', [x.input(0)])),
  REVERSE_V2: (x) => x.result('reverse', [x.input(0)], { axes: x.integers(1, 'axes') }),
  REVERSE_SEQUENCE: (x) =>
    x.result('reverseSequence', [x.input(0), x.int64(1)], {
      timeAxis: x.number('seq_dim'),
      batchAxis: x.number('batch_dim'),
    }),
  GATHER: gather,
  GATHER_ND: (x) => x.result('gatherND', [x.input(0), x.int64(1)]),
  EMBEDDING_LOOKUP: (x) => x.result('gather', [x.input(1), x.input(0)], { axis: 0 }),
  DEPTH_TO_SPACE: depthToSpace('depthToSpace'),
  SPACE_TO_DEPTH: depthToSpace('spaceToDepth'),
  SPACE_TO_BATCH_ND: spaceToBatch,
  BATCH_TO_SPACE_ND: batchToSpace,
  ONE_HOT: oneHot,
  TOPK_V2: topK,
  WHERE: (x) => {
    if (x.inputs.length !== 1) throw new NotSupported('WHERE with values')
    const positions = x.node('transpose', [x.node('nonZero', [x.input(0)])], { permutation: [1, 0] })
    integerResult(x, positions)
  },
}
