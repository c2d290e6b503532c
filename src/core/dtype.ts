// Element types: their storage, range and reading as plain numbers.

export const dtypes = [
  'float64',
  'float32',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'int4',
  'uint64',
  'uint32',
  'uint16',
  'uint8',
  'uint4',
  'bool',
  'string',
] as const
export type DType = (typeof dtypes)[number]

export type NumericArray =
  | Float64Array
  | Float32Array
  | Float16Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array
export type BigArray = BigInt64Array | BigUint64Array
/** bfloat16 is stored as its bits in a Uint16Array; int4, uint4 and bool take one byte an element. */
export type TensorData = NumericArray | BigArray | string[]

const storage = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Float16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  int4: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  uint4: Uint8Array,
  bool: Uint8Array,
} as const

const floats: ReadonlySet<DType> = new Set(['float64', 'float32', 'float16', 'bfloat16'])
const bigs: ReadonlySet<DType> = new Set(['int64', 'uint64'])

export const isFloat = (d: DType): boolean => floats.has(d)
/** Held as bigint: int64 and uint64. */
export const isBig = (d: DType): boolean => bigs.has(d)
export const isInteger = (d: DType): boolean => d.startsWith('int') || d.startsWith('uint')
export const isUnsigned = (d: DType): boolean => d.startsWith('uint') || d === 'bool'

/** Bits of one element in a file; strings have none. */
export function bitsOf(d: DType): number {
  if (d === 'bool') return 8
  if (d === 'string') return 0
  return Number(/\d+$/.exec(d)![0])
}

/** Bytes of one element in memory. */
export function bytesOf(d: DType): number {
  return d === 'string' ? 8 : storage[d].BYTES_PER_ELEMENT
}

/** Smallest and largest value of an integer or bool type. */
export function rangeOf(d: DType): [min: bigint, max: bigint] {
  if (d === 'bool') return [0n, 1n]
  const bits = BigInt(bitsOf(d))
  return isUnsigned(d) ? [0n, (1n << bits) - 1n] : [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n]
}

/** Unit roundoff u: half the distance from 1 to the next larger value. 0 for exact types. */
export function unitRoundoff(d: DType): number {
  if (d === 'float64') return 2 ** -53
  if (d === 'float32') return 2 ** -24
  if (d === 'float16') return 2 ** -11
  if (d === 'bfloat16') return 2 ** -8
  return 0
}

export function allocate(d: DType, length: number): TensorData {
  return d === 'string' ? new Array<string>(length).fill('') : new storage[d](length)
}

/** A typed view of a byte range. The offset must be a multiple of the element size (else copy first). */
export function viewBytes(d: Exclude<DType, 'string'>, bytes: Uint8Array, length: number): TensorData {
  const A = storage[d]
  if (bytes.byteOffset % A.BYTES_PER_ELEMENT !== 0) {
    // Copied by the constructor: slice of Node's Buffer would be a view of the same odd offset.
    return new A(new Uint8Array(bytes.subarray(0, length * A.BYTES_PER_ELEMENT)).buffer, 0, length)
  }
  return new A(bytes.buffer as ArrayBuffer, bytes.byteOffset, length)
}

const word = new Float32Array(1)
const wordBits = new Uint32Array(word.buffer)

/** The value of a bfloat16 bit pattern. */
export function bfloat16Value(bits: number): number {
  wordBits[0] = bits << 16
  return word[0]!
}

/** The bfloat16 nearest to x, ties to even, rounded once from float64. */
export function bfloat16Bits(x: number): number {
  if (Number.isNaN(x)) return 0x7fc0
  word[0] = x
  // Rounding to float32 first would round twice: nudge a float32 that lies exactly on a tie back to x's side.
  let bits = wordBits[0]!
  if ((bits & 0xffff) === 0x8000 && word[0] !== x && Number.isFinite(word[0]!)) {
    const towardZero = Math.abs(x) < Math.abs(word[0]!)
    bits = towardZero ? bits - 1 : bits + 1
  }
  const rounded = bits + 0x7fff + ((bits >>> 16) & 1)
  return (rounded >>> 16) & 0xffff
}

/** Wraps an integer to a 4-bit type. */
const wrap4 = (x: number, signed: boolean): number => {
  const v = Math.trunc(x) & 15
  return signed && v > 7 ? v - 16 : v
}

/**
 * Stores x (rounded to the type; integers wrap modulo 2^bits; NaN becomes 0 in integers).
 * The caller keeps `data` and `d` consistent.
 */
export function store(d: DType, data: TensorData, i: number, x: number | bigint): void {
  switch (d) {
    case 'bfloat16':
      ;(data as Uint16Array)[i] = bfloat16Bits(Number(x))
      return
    case 'int4':
    case 'uint4':
      ;(data as Int8Array)[i] = wrap4(Number(x), d === 'int4')
      return
    case 'bool':
      ;(data as Uint8Array)[i] = x ? 1 : 0
      return
    case 'int64':
    case 'uint64':
      ;(data as BigInt64Array)[i] =
        typeof x === 'bigint' ? x : Number.isFinite(x) ? BigInt(Math.trunc(x)) : 0n
      return
    default:
      ;(data as Float64Array)[i] = Number(x)
  }
}
