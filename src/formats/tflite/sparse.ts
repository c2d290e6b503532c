// Sparse constants (TACO's format: each dimension, in a traversal order, is dense or compressed rows, with blocks inside), made
// dense on reading, as the operator DENSIFY would.

import { allocate, bytesOf, type DType, viewBytes } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { sizeOf, stridesOf, type Tensor } from '../../core/tensor.ts'
import type { DimensionMetadata, SparsityParameters } from './schema/tables.ts'

/** Most elements that a sparse tensor may grow to: its bytes say nothing of its size. */
const denseLimit = 2 ** 28

export function densify(
  s: SparsityParameters,
  dtype: DType,
  shape: readonly number[],
  bytes: Uint8Array,
  at: string,
): Tensor {
  const bad = (what: string): InputError => new InputError(`${at}: sparse, ${what}`)
  const fail = (what: string): never => {
    throw bad(what)
  }
  if (dtype === 'string' || dtype === 'int4' || dtype === 'uint4') return fail(`of ${dtype}`)
  const order = Array.from(s.traversal_order ?? [])
  const blocks = Array.from(s.block_map ?? [])
  const dims = s.dim_metadata ?? []
  const rank = shape.length
  if (order.length !== rank + blocks.length || dims.length !== order.length)
    fail(`expected ${rank + blocks.length} dimensions, got ${order.length} and ${dims.length}`)
  if ([...order].sort((a, b) => a - b).some((d, i) => d !== i)) fail(`traversal order [${order}]`)
  if (blocks.some((d) => d < 0 || d >= rank)) fail(`block map [${blocks}]`)
  if (sizeOf(shape) > denseLimit) fail(`more than ${denseLimit} elements once dense`)

  // Extents of the blocks, then of the outer dimensions that they divide.
  const extent = [...shape]
  blocks.forEach((d, k) => {
    const size = dims[order.indexOf(rank + k)]!.dense_size
    if (size < 1 || extent[d]! % size !== 0) fail(`a block of ${size} in dimension ${d} of [${shape}]`)
    extent[rank + k] = size
    extent[d] = extent[d]! / size
  })
  const count = Math.floor(bytes.length / bytesOf(dtype))
  const from = viewBytes(dtype, bytes, count) as Float64Array
  const data = allocate(dtype, sizeOf(shape)) as Float64Array
  const strides = stridesOf(shape)
  const index = new Array<number>(order.length).fill(0)
  let next = 0
  const place = (): number => {
    let offset = 0
    for (let d = 0; d < rank; d++) {
      let i = index[d]!
      blocks.forEach((b, k) => {
        if (b === d) i = i * extent[rank + k]! + index[rank + k]!
      })
      offset += i * strides[d]!
    }
    return offset
  }
  const visit = (level: number, position: number): void => {
    if (level === order.length) {
      if (next >= count) fail(`expected more than ${count} values`)
      data[place()] = from[next++]!
      return
    }
    const d = dims[level]!
    const dim = order[level]!
    if (d.format === 0) {
      if (d.dense_size !== extent[dim])
        fail(`dense dimension ${dim}: expected ${extent[dim]}, got ${d.dense_size}`)
      for (let i = 0; i < d.dense_size; i++) {
        index[dim] = i
        visit(level + 1, position * d.dense_size + i)
      }
      return
    }
    const { segments, indices } = compressed(d, fail)
    const [start, end] = [segments[position], segments[position + 1]]
    if (start === undefined || end === undefined || start < 0 || end < start || end > indices.length)
      throw bad(`segment ${position} of dimension ${dim}`)
    for (let i = start; i < end; i++) {
      const at = indices[i]!
      if (at < 0 || at >= extent[dim]!) fail(`index ${at} of dimension ${dim}`)
      index[dim] = at
      visit(level + 1, i)
    }
  }
  visit(0, 0)
  return { dtype, shape, data }
}

type Indices = Int32Array | Uint16Array | Uint8Array
function compressed(
  d: DimensionMetadata,
  fail: (what: string) => never,
): { segments: Indices; indices: Indices } {
  const segments = d.array_segments?.values
  const indices = d.array_indices?.values
  if (d.format !== 1 || !segments || !indices) return fail('a dimension neither dense nor compressed')
  return { segments, indices }
}
