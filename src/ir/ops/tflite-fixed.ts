// The fixed-point arithmetic that TensorFlow Lite's reference kernels share: multipliers of 31 bits with a shift, and gemmlowp's
// functions on Q numbers. Every result is an int32 held in a number. Source of the behaviour and of the constants: LiteRT
// (tflite/kernels/internal/common.h, quantization_util.cc) and gemmlowp (fixedpoint/fixedpoint.h), followed bit for bit.

/**
 * How a product is brought back to 32 bits: 'double' rounds at the high half and again at the shift (the default build of the
 * runtime), 'single' once at the end (builds with TFLITE_SINGLE_ROUNDING: many microcontrollers).
 */
export type Rounding = 'double' | 'single'

/** real ≈ multiplier · 2^(shift − 31), multiplier in [2^30, 2^31). */
export type Multiplier = { readonly multiplier: number; readonly shift: number }

export const int32Max = 2147483647
const int32Min = -2147483648

/** Nearest integer, halves away from zero (C's round). */
export const roundAway = (x: number): number => (x < 0 ? -Math.floor(-x + 0.5) : Math.floor(x + 0.5))

/** Fraction in [0.5, 1) and exponent of a positive number. */
function fractionOf(x: number): [fraction: number, exponent: number] {
  let e = Math.floor(Math.log2(x)) + 1
  if (x / 2 ** e >= 1) e++
  else if (x / 2 ** e < 0.5) e--
  return [x / 2 ** e, e]
}

/** A positive real as multiplier and shift. Below 2^-31 it becomes zero. */
export function multiplierOf(real: number, rounding: Rounding = 'double'): Multiplier {
  if (!(real > 0)) return { multiplier: 0, shift: 0 }
  let [fraction, shift] = fractionOf(real)
  let q = roundAway(fraction * 2 ** 31)
  if (q === 2 ** 31) {
    q /= 2
    shift++
  }
  if (shift < -31) return { multiplier: 0, shift: 0 }
  if (rounding === 'single' && shift > 30) [shift, q] = [30, int32Max]
  return { multiplier: q, shift }
}

/** ⌊(a · b + 2^(n−1)) / 2^n⌋ for int32 a and b: exact though the product leaves 2^53. */
function roundedProduct(a: number, b: number, n: number): number {
  if (Math.abs(a) < 2 ** 21 && n < 52) return Math.floor((a * b + 2 ** (n - 1)) / 2 ** n)
  if (n < 16 || n > 48) {
    return Number((BigInt(a) * BigInt(b) + (1n << BigInt(n - 1))) >> BigInt(n))
  }
  const high = (a >> 16) * b
  const low = (a & 0xffff) * b
  const whole = Math.floor(high / 2 ** (n - 16))
  return whole + Math.floor(((high - whole * 2 ** (n - 16)) * 65536 + low + 2 ** (n - 1)) / 2 ** n)
}

/** gemmlowp's SaturatingRoundingDoublingHighMul: a · b / 2^31, rounded to nearest, halves up. */
export const highMul = (a: number, b: number): number =>
  a === int32Min && b === int32Min ? int32Max : roundedProduct(a, b, 31)

/** gemmlowp's RoundingDivideByPOT: x / 2^n, halves away from zero. */
export function shiftRight(x: number, n: number): number {
  if (n === 0) return x
  const mask = n >= 31 ? int32Max : (1 << n) - 1
  const remainder = x & mask
  const threshold = (mask >> 1) + (x < 0 ? 1 : 0)
  return (n > 31 ? (x < 0 ? -1 : 0) : x >> n) + (remainder > threshold ? 1 : 0)
}

/** x · 2^n, saturating. */
export const shiftLeft = (x: number, n: number): number => Math.max(int32Min, Math.min(int32Max, x * 2 ** n))

/** MultiplyByQuantizedMultiplier of an int32. */
export function scaled(x: number, m: Multiplier, rounding: Rounding = 'double'): number {
  if (rounding === 'single') return roundedProduct(x, m.multiplier, 31 - m.shift) | 0
  const left = m.shift > 0 ? m.shift : 0
  return shiftRight(highMul(left ? x << left : x, m.multiplier), left ? 0 : -m.shift)
}

/** MultiplyByQuantizedMultiplier of an int64 accumulator (16-bit activations): the multiplier is first cut to 15 bits. */
export function scaledWide(x: number, m: Multiplier): number {
  const reduced = m.multiplier < 0x7fff0000 ? (m.multiplier + 0x8000) >> 16 : 0x7fff
  const n = 15 - m.shift
  if (Math.abs(x) < 2 ** 36 && n < 52) return Math.floor((x * reduced + 2 ** (n - 1)) / 2 ** n) | 0
  return Number(BigInt.asIntN(32, (BigInt(x) * BigInt(reduced) + (1n << BigInt(n - 1))) >> BigInt(n)))
}

/** exp(x) as Q0.31 of a negative Q5.26: a polynomial on [−1/4, 0), then one factor for each bit of what is left. */
export function expOfNegative(x: number): number {
  if (x === 0) return int32Max
  const quarter = 1 << 24
  const part = (x & (quarter - 1)) - quarter
  // The Taylor polynomial of degree 4 around −1/8.
  const a = shiftLeft(part, 5) + (1 << 28)
  const a2 = highMul(a, a)
  const a3 = highMul(a2, a)
  const a4 = highMul(a2, a2)
  const tail = shiftRight((highMul(shiftRight(a4, 2) + a3, 715827883) + a2) | 0, 1)
  let result = (1895147668 + highMul(1895147668, (a + tail) | 0)) | 0
  const rest = (part - x) | 0
  // exp(−2^k) as Q0.31 for k = −2 … 4.
  const factors = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242]
  for (let k = 0; k < factors.length; k++) if (rest & (1 << (24 + k))) result = highMul(result, factors[k]!)
  return result
}

/** 1 / (1 + x) as Q0.31 for x in [0, 1) as Q0.31: Newton's method on Q2.29. */
function reciprocalOfOnePlus(x: number): number {
  const half = Math.trunc((x + int32Max + 1) / 2)
  let y = (1515870810 + highMul(half, -1010580540)) | 0
  for (let i = 0; i < 3; i++) {
    const error = ((1 << 29) - highMul(half, y)) | 0
    y = (y + shiftLeft(highMul(y, error), 2)) | 0
  }
  return shiftLeft(y, 1)
}

/** 1/x of a positive fixed-point number with `integerBits`, as Q0.31 shifted left by `over` bits. */
export function reciprocal(x: number, integerBits: number): { scale: number; over: number } {
  const headroom = Math.clz32(x)
  return { scale: reciprocalOfOnePlus(x * 2 ** headroom - 2 ** 31), over: integerBits - headroom }
}

/** 1/√x of a positive int32 as a multiplier: five Newton steps on Q3.28. */
export function inverseSquareRoot(x: number): Multiplier {
  if (x <= 1) return { multiplier: int32Max, shift: 0 }
  let shift = 11
  while (x >= 1 << 29) {
    x = Math.trunc(x / 4)
    shift++
  }
  const pairs = ((Math.clz32(x) - 1) >> 1) - 1
  shift -= pairs
  x <<= 2 * pairs
  const input = x >> 1
  const half = shiftRight(input, 1)
  let y = 1 << 28
  for (let i = 0; i < 5; i++) {
    const y3 = shiftLeft(highMul(highMul(y, y), y), 6)
    y = shiftLeft((highMul((1 << 28) + (1 << 27), y) - highMul(half, y3)) | 0, 3)
  }
  y = highMul(y, 1518500250)
  if (shift < 0) return { multiplier: y << -shift, shift: 0 }
  return { multiplier: y, shift: -shift }
}

/**
 * 65536 · sigmoid(i / 24), the table behind the 16-bit logistic and tanh. The runtime's table exceeds the rounded value by one at
 * these places.
 */
const tableExcess = new Set([
  4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46, 49, 50, 54,
  62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
]) // biome-ignore format: a table
export const sigmoidTable = Uint16Array.from(
  { length: 256 },
  (_, i) => Math.floor(65536 / (1 + Math.exp(-i / 24)) + 0.5) + (tableExcess.has(i) ? 1 : 0),
)
