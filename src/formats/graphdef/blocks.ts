// TensorFlow's operators over blocks and selections: space and batch exchanged, sparse to dense, non-maximum suppression.

import { InputError } from '../../core/errors.ts'
import { integers } from '../../core/tensor.ts'
import type { Dim, ValueId } from '../../ir/types.ts'
import { constant, type Handler, input, type NodeCall, numbersAt, tensorItem } from './scope.ts'
import { shapeOperand } from './shape.ts'

/** Rows [begin, end] of a small constant matrix. */
function pairsAt(x: NodeCall, i: number, what: string): [number, number][] {
  const list = integers(constant(x, i, what))
  return Array.from({ length: list.length / 2 }, (_, k) => [list[2 * k]!, list[2 * k + 1]!])
}

function dimsOf(x: NodeCall, v: ValueId, blocks: number): readonly Dim[] {
  const dims = x.s.shape(v)
  if (!dims || dims.length < blocks + 1) throw new InputError('a tensor of too small or unknown rank')
  for (const d of dims.slice(1, blocks + 1))
    if (typeof d !== 'number') throw new InputError('blocks of an open size. Fix the model’s input shape.')
  return dims
}

/** The last dimensions as numbers, for a reshape that leaves only the batch open. */
const rest = (dims: readonly Dim[], from: number): number[] =>
  dims.slice(from).map((d) => {
    if (typeof d !== 'number') throw new InputError('blocks of an open size. Fix the model’s input shape.')
    return d
  })

/** [n, h, w, c] padded and cut into blocks, whose pixels become batches: [bh · bw · n, h / bh, w / bw, c]. */
const spaceToBatch: Handler = (x) => {
  const { s } = x
  const block = numbersAt(x, 1, 'block')
  const pads = pairsAt(x, 2, 'padding')
  const m = block.length
  let v = input(x, 0)
  const rank = s.rank(v)
  if (pads.some(([a, b]) => a || b)) {
    const all = Array.from({ length: rank }, (_, i): [number, number] => pads[i - 1] ?? [0, 0])
    v = s.pad(v, [...all.map((p) => p[0]), ...all.map((p) => p[1])], undefined, 'constant', 'pad')
  }
  const dims = dimsOf(x, v, m)
  const cut = block.flatMap((b, i) => [(dims[i + 1] as number) / b, b])
  if (!cut.every(Number.isInteger)) throw new InputError(`blocks of [${block}] of [${dims}]`)
  const tail = rest(dims, m + 1)
  const split = s.reshape(v, [-1, ...cut, ...tail], 'split')
  const order = [
    ...block.map((_, i) => 2 * i + 2),
    0,
    ...block.map((_, i) => 2 * i + 1),
    ...tail.map((_, i) => 2 * m + 1 + i),
  ]
  const moved = s.transpose(split, order, 'transpose')
  return [tensorItem(s.reshape(moved, [-1, ...block.map((_, i) => cut[2 * i]!), ...tail]))]
}

/** The other way about, and cropped. */
const batchToSpace: Handler = (x) => {
  const { s } = x
  const block = numbersAt(x, 1, 'block')
  const crops = pairsAt(x, 2, 'cropping')
  const m = block.length
  const v = input(x, 0)
  const dims = dimsOf(x, v, m)
  const sizes = dims.slice(1, m + 1) as number[]
  const tail = rest(dims, m + 1)
  const split = s.reshape(v, [...block, -1, ...sizes, ...tail], 'split')
  const order = [m, ...block.flatMap((_, i) => [m + 1 + i, i]), ...tail.map((_, i) => 2 * m + 1 + i)]
  const cropped = crops.some(([a, b]) => a || b)
  const joined = s.reshape(
    s.transpose(split, order, 'transpose'),
    [-1, ...sizes.map((n, i) => n * block[i]!), ...tail],
    cropped ? 'join' : '',
  )
  if (!cropped) return [tensorItem(joined)]
  const cuts = crops.flatMap(([a, b], i) =>
    a || b ? [{ axis: i + 1, start: a, end: sizes[i]! * block[i]! - b, step: 1 }] : [],
  )
  return [tensorItem(s.slices(joined, cuts))]
}

/** Values at index tuples of a tensor that holds a default elsewhere: indices, shape, values, default. */
const sparseToDense: Handler = (x) => {
  const { s } = x
  const target = shapeOperand(x, 1, null)
  const dense = s.node('expand', [input(x, 3), target], {}, 'default')
  let indices = s.cast(input(x, 0), 'int64', 'indices')
  let values = input(x, 2)
  // Indices may be a list of positions or one position.
  const rank = s.rank(indices)
  if (rank === 0) indices = s.unsqueeze(indices, [0, 1], 'tuples')
  else if (rank === 1) indices = s.unsqueeze(indices, [1], 'tuples')
  if (s.rank(values) === 0) {
    const count = s.node('shape', [indices], { start: 0, end: 1 }, 'count')
    values = s.node('expand', [values, count], {}, 'values')
  }
  return [tensorItem(s.node('scatterND', [dense, indices, values]))]
}

/** Boxes [n, 4] and scores [n] of one class; what is selected, the best first. */
function suppressed(x: NodeCall, threshold: boolean): ValueId {
  const { s } = x
  const selected = s.node(
    'nonMaxSuppression',
    [
      s.unsqueeze(input(x, 0), [0], 'boxes'),
      s.unsqueeze(input(x, 1), [0, 1], 'scores'),
      s.cast(input(x, 2), 'int64', 'most'),
      input(x, 3),
      threshold ? input(x, 4) : null,
    ],
    {},
    'selected',
  )
  return s.cast(s.squeeze(s.slice(selected, 1, 2, 3, 1, 'column'), [1], 'boxes'), 'int32', 'indices')
}

const suppression =
  (threshold: boolean): Handler =>
  (x) => [tensorItem(suppressed(x, threshold))]

/** Version 5 can lower scores instead of dropping boxes; only the plain form is known. */
const suppressionV5: Handler = (x) => {
  const sigma = x.s.b.constantOf(input(x, 5))
  if (!sigma || Number(sigma.data[0]) !== 0) throw new InputError('soft non-maximum suppression')
  if (x.a.bool('pad_to_max_output_size')) throw new InputError('padded non-maximum suppression')
  const indices = suppressed(x, true)
  const scores = x.s.node('gather', [input(x, 1), indices], { axis: 0 }, 'kept')
  const count = x.s.cast(x.s.node('size', [indices], {}, 'size'), 'int32', 'count')
  return [tensorItem(indices), tensorItem(scores), tensorItem(count)]
}

export const blockHandlers: Readonly<Record<string, Handler>> = {
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
  SparseToDense: sparseToDense,
  NonMaxSuppressionV2: suppression(false),
  NonMaxSuppressionV3: suppression(true),
  NonMaxSuppressionV5: suppressionV5,
}
