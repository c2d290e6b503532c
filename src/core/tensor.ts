// Tensors: a dtype, a shape and row-major elements. Treated as immutable once made.

import { allocate, bfloat16Value, bytesOf, type DType, isBig, store, type TensorData } from './dtype.ts'
import { BugError } from './errors.ts'

export type Tensor = {
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Row-major; length is the product of the shape. */
  readonly data: TensorData
}

export const sizeOf = (shape: readonly number[]): number => {
  let n = 1
  for (const d of shape) n *= d
  return n
}

/** Row-major strides in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length)
  let n = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = n
    n *= shape[i]!
  }
  return strides
}

export function tensor(dtype: DType, shape: readonly number[], data: TensorData): Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new BugError(`tensor: shape [${shape}] wants ${sizeOf(shape)} elements, got ${data.length}`)
  }
  return { dtype, shape, data }
}

export function zeros(dtype: DType, shape: readonly number[]): Tensor {
  return { dtype, shape, data: allocate(dtype, sizeOf(shape)) }
}

/** A tensor from plain numbers, bigints, booleans or strings, each rounded to the type. */
export function tensorOf(
  dtype: DType,
  shape: readonly number[],
  values: ArrayLike<number | bigint | boolean | string>,
): Tensor {
  const t = zeros(dtype, shape)
  if (values.length !== t.data.length) {
    throw new BugError(`tensorOf: shape [${shape}] wants ${t.data.length} values, got ${values.length}`)
  }
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!
    if (dtype === 'string') (t.data as string[])[i] = String(v)
    else store(dtype, t.data, i, typeof v === 'boolean' ? Number(v) : (v as number | bigint))
  }
  return t
}

export const scalar = (dtype: DType, value: number | bigint | boolean | string): Tensor =>
  tensorOf(dtype, [], [value])

/** The elements as numbers: the data itself where it already is an array of numbers, else a Float64Array copy (int64 beyond 2^53 is rounded). */
export function numbers(t: Tensor): Exclude<TensorData, BigInt64Array | BigUint64Array | string[]> {
  if (t.dtype === 'string') throw new BugError('numbers: got a string tensor')
  if (isBig(t.dtype)) return Float64Array.from(t.data as BigInt64Array, Number)
  if (t.dtype === 'bfloat16') return Float64Array.from(t.data as Uint16Array, bfloat16Value)
  return t.data as Float64Array
}

/** The elements as integers in a plain array: shapes, axes, indices. */
export const integers = (t: Tensor): number[] => Array.from(numbers(t), Number)

/** Element i as a number. */
export function at(t: Tensor, i: number): number {
  const v = t.data[i]!
  return t.dtype === 'bfloat16' ? bfloat16Value(v as number) : Number(v)
}

export const reshaped = (t: Tensor, shape: readonly number[]): Tensor => tensor(t.dtype, shape, t.data)

/** Bytes in memory. */
export const byteLength = (t: Tensor): number => t.data.length * bytesOf(t.dtype)

/** The bytes behind the elements (a view). Strings have none. */
export function bytesOfTensor(t: Tensor): Uint8Array {
  if (Array.isArray(t.data)) throw new BugError('bytesOfTensor: got a string tensor')
  return new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength)
}
