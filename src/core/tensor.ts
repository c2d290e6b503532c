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

/** Entries of the first dimension of `of`, each times its own factor; every product is rounded once. */
export type Product = { readonly of: Tensor; readonly by: Float64Array }
const products = new WeakMap<Tensor, Product>()
/** What a tensor of `scaledRows` is the product of. */
export const productOf = (t: Tensor): Product | undefined => products.get(t)

/** Beyond so many elements a second copy of weights is only made where somebody reads it. */
const copied = 65536

/** A product of weights. Large ones are made when they are first read: most are copied once more anyway, and multiplied on the way. */
export function scaledRows(of: Tensor, by: Float64Array): Tensor {
  const make = (): TensorData => {
    const values = numbers(of)
    const plain = of.dtype === 'float32' || of.dtype === 'float64' || of.dtype === 'float16'
    const to = plain ? (allocate(of.dtype, values.length) as typeof values) : new Float64Array(values.length)
    const per = values.length / of.shape[0]!
    for (let row = 0, i = 0; i < values.length; row++) {
      const f = by[row]!
      for (const end = i + per; i < end; i++) to[i] = values[i]! * f
    }
    return plain ? to : tensorOf(of.dtype, of.shape, to).data
  }
  if (of.dtype !== 'float32' || sizeOf(of.shape) <= copied) return tensor(of.dtype, of.shape, make())
  let made: TensorData | undefined
  const t: Tensor = {
    dtype: of.dtype,
    shape: of.shape,
    get data() {
      return (made ??= make())
    },
  }
  products.set(t, { of, by })
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
