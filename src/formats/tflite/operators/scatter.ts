// Operators that write parts of a tensor, or sum into it, by index.

import { sizeOf, tensorOf } from '../../../core/tensor.ts'
import type { ValueId } from '../../../ir/types.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'

const scatter: Row = (x) => {
  const shape = x.int64(2)
  const zeros = x.node('constantOfShape', [shape], { value: tensorOf(x.output().dtype!, [1], [0]) })
  x.result('scatterND', [zeros, x.node('cast', [x.input(0)], { to: 'int64' }), x.input(1)], {
    reduction: 'add',
  })
}

const sparseToDense: Row = (x) => {
  const rank = x.rankOf(0)
  const base = x.node('expand', [x.input(3), x.int64(1)])
  let indices = x.int64(0)
  if (rank < 2) indices = x.node('reshape', [indices, x.int64s(-1, 1)])
  const count = x.node('shape', [indices], { start: 0, end: 1 })
  const values = x.rankOf(2) === 0 ? x.node('expand', [x.input(2), count]) : x.input(2)
  x.result('scatterND', [base, indices, values])
}

/**
 * DYNAMIC_UPDATE_SLICE: the update lies at start, which is moved so that it fits. Trailing dimensions that the update fills are
 * written as wholes.
 */
const dynamicUpdateSlice: Row = (x) => {
  const [whole, part] = [x.shapeOf(x.input(0)), x.shapeOf(x.input(1))] as (number[] | null)[]
  if (![whole, part].every((s) => s?.every((d) => typeof d === 'number')) || !whole || !part)
    throw new NotSupported('DYNAMIC_UPDATE_SLICE of open shape')
  if (whole.length !== part.length || part.some((d, i) => d > whole[i]!)) x.fail(`[${part}] in [${whole}]`)
  let rank = whole.length
  while (rank > 1 && part[rank - 1] === whole[rank - 1]) rank--
  const outer = part.slice(0, rank)
  const n = sizeOf(outer)
  const places = Array.from({ length: n * rank }, (_, k) => {
    const axis = k % rank
    return Math.floor(Math.floor(k / rank) / sizeOf(outer.slice(axis + 1))) % outer[axis]!
  })
  const grid = x.b.constant(tensorOf('int64', [...outer, rank], places), `${x.name}:const`)
  const start = x.node('slice', [x.int64(2), x.int64s(0), x.int64s(rank)])
  const limit = x.int64s(...outer.map((d, i) => whole[i]! - d))
  const zero = x.scalar('int64', 0)
  const fitting = x.node('min', [x.node('max', [start, zero]), limit])
  x.result('scatterND', [x.input(0), x.node('add', [grid, fitting]), x.input(1)])
}

/** Sums of the rows that share a segment number. */
function segments(x: Operation, count: ValueId, reduction: string, initial: number): void {
  const inner = x.node('shape', [x.input(0)], { start: x.rankOf(1) })
  const shape = x.node('concat', [x.node('reshape', [count, x.int64s(1)]), inner], { axis: 0 })
  const dtype = x.output().dtype!
  const start = x.node('constantOfShape', [shape], { value: tensorOf(dtype, [1], [initial]) })
  const index = x.node('unsqueeze', [x.int64(1)], { axes: [-1] })
  x.result('scatterND', [start, index, x.input(0)], { reduction })
}

/** As many segments as the last number says, which is the largest. */
const segmentSum: Row = (x) => {
  const largest = x.node('reduceMax', [x.int64(1)], { keepDims: true })
  segments(x, x.node('add', [largest, x.scalar('int64', 1)]), 'add', 0)
}

export const scatterRows: Readonly<Record<string, Row>> = {
  SCATTER_ND: scatter,
  SPARSE_TO_DENSE: sparseToDense,
  DYNAMIC_UPDATE_SLICE: dynamicUpdateSlice,
  SEGMENT_SUM: segmentSum,
  UNSORTED_SEGMENT_SUM: (x) => segments(x, x.int64(2), 'add', 0),
  UNSORTED_SEGMENT_PROD: (x) => segments(x, x.int64(2), 'mul', 1),
}
