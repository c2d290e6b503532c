// Moving elements about: strided copies, per-axis index maps, block copies. The families are written in terms of these.

import type { DType, TensorData } from '../../core/dtype.ts'
import { BugError, InputError } from '../../core/errors.ts'
import { integers, sizeOf, stridesOf, type Tensor, zeros } from '../../core/tensor.ts'
import type { Evaluate, Infer } from '../op.ts'
import { type Datum, type Dim, isStatic, type Shape, type TensorType } from '../types.ts'

/** Every storage read alike: a number, bigint or string array whose elements are moved, never computed with. */
export const cells = (data: TensorData): Float64Array => data as Float64Array

/** The content of an input that is a constant at inference, as plain integers; null where it isn't known. */
export const constantIntegers = (x: Infer, i: number): number[] | null => {
  const t = x.constants[i]
  return t ? integers(t) : null
}

/** Type of output i with every dimension known, as it is when an operator whose shape depends on no data runs. */
export function outputType(x: Evaluate, i = 0): { dtype: DType; shape: readonly number[] } {
  const t = x.types[i]
  if (t?.kind !== 'tensor' || !isStatic(t.shape)) throw new BugError('evaluate: the output shape is unknown')
  return { dtype: t.dtype, shape: t.shape }
}

/** Input i as a tensor; throws where it is absent or no tensor. */
export function tensorAt(inputs: readonly (Datum | undefined)[], i: number): Tensor {
  const d = inputs[i]
  if (d == null || Array.isArray(d)) throw new InputError(`input ${i}: expected a tensor`)
  return d as Tensor
}
export const optionalTensor = (inputs: readonly (Datum | undefined)[], i: number): Tensor | undefined =>
  inputs[i] == null ? undefined : tensorAt(inputs, i)

/** No tensor of a real network has a higher rank; a file that says so is not believed. */
const highestRank = 1024

/** How many entries a one-dimensional input has, if that is known: the rank of a shape, the number of axes. */
export function lengthOf(x: Infer, i: number): number | null {
  const t = x.inputs[i]
  const n = t?.kind === 'tensor' && t.shape?.length === 1 ? t.shape[0] : null
  return typeof n === 'number' && n <= highestRank ? n : null
}

export const unknownDims = (rank: number | null): Shape =>
  rank === null ? null : new Array<Dim>(rank).fill(null)

export const withShape = (t: TensorType, shape: Shape): TensorType => ({ ...t, shape })

/** out[i…] = t[offset + Σ i·strides]; strides may be zero or negative. */
export function strided(t: Tensor, shape: readonly number[], strides: readonly number[], offset = 0): Tensor {
  const out = zeros(t.dtype, shape)
  const from = cells(t.data)
  const to = cells(out.data)
  const rank = shape.length
  const inner = rank ? shape[rank - 1]! : 1
  const step = rank ? strides[rank - 1]! : 0
  const n = sizeOf(shape)
  const index = new Array<number>(rank).fill(0)
  let base = offset
  for (let i = 0; i < n; i += inner) {
    for (let k = 0, f = base; k < inner; k++, f += step) to[i + k] = from[f]!
    for (let d = rank - 2; d >= 0; d--) {
      index[d]!++
      base += strides[d]!
      if (index[d]! < shape[d]!) break
      base -= strides[d]! * shape[d]!
      index[d] = 0
    }
  }
  return out
}

export function transposed(t: Tensor, permutation: readonly number[]): Tensor {
  const strides = stridesOf(t.shape)
  return strided(
    t,
    permutation.map((p) => t.shape[p]!),
    permutation.map((p) => strides[p]!),
  )
}

/** out[i, j, …] = t[map0[i], map1[j], …], or `fill` where a map says −1. */
export function mapped(
  t: Tensor,
  maps: readonly ArrayLike<number>[],
  fill: number | bigint | string,
): Tensor {
  const shape = maps.map((m) => m.length)
  const out = zeros(t.dtype, shape)
  const from = cells(t.data)
  const to = cells(out.data)
  const strides = stridesOf(t.shape)
  let at = 0
  const visit = (d: number, base: number, inside: boolean): void => {
    const map = maps[d]!
    const stride = strides[d]!
    if (d === maps.length - 1) {
      for (let i = 0; i < map.length; i++) {
        const m = map[i]!
        to[at++] = (inside && m >= 0 ? from[base + m * stride] : fill) as number
      }
      return
    }
    for (let i = 0; i < map.length; i++) visit(d + 1, base + map[i]! * stride, inside && map[i]! >= 0)
  }
  if (maps.length === 0) to[0] = from[0]!
  else visit(0, 0, true)
  return out
}

/** Copies `count` elements. */
export function copyCells(from: TensorData, start: number, to: TensorData, at: number, count: number): void {
  if (Array.isArray(from)) for (let i = 0; i < count; i++) cells(to)[at + i] = cells(from)[start + i]!
  else cells(to).set(cells(from).subarray(start, start + count), at)
}

/** Splits a shape at an axis: how many blocks before, the extent, how many elements after. */
export function aroundAxis(
  shape: readonly number[],
  axis: number,
): { outer: number; size: number; inner: number } {
  return {
    outer: sizeOf(shape.slice(0, axis)),
    size: shape[axis]!,
    inner: sizeOf(shape.slice(axis + 1)),
  }
}

/** An index that may count from the end; throws where it lies outside. */
export function checkedIndex(i: number, size: number): number {
  const k = i < 0 ? i + size : i
  if (!(k >= 0 && k < size)) throw new InputError(`index: expected −${size}..${size - 1}, got ${i}`)
  return k
}
