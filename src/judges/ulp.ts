// Distance in units in the last place: how many representable numbers apart two values are.

import { bfloat16Bits, type DType } from '../core/dtype.ts'
import { BugError } from '../core/errors.ts'

const doubles = new Float64Array(2)
const doubleWords = new Uint32Array(doubles.buffer)
const floats = new Float32Array(2)
const floatWords = new Int32Array(floats.buffer)
const halves = new Float16Array(2)
const halfWords = new Int16Array(halves.buffer)

/** A sign-and-magnitude bit pattern as an integer that grows with the value; +0 and -0 are both 0. */
const ordinal = (bits: number, sign: number): number => (bits < 0 ? sign - bits : bits)

/**
 * Steps between a and b, both rounded to the type: 0 between +0 and -0, 1 from the largest finite number to infinity.
 * Exact up to 2^53 (float64 can be farther apart). Meaningless for NaN.
 */
export function ulpDistance(dtype: DType, a: number, b: number): number {
  switch (dtype) {
    case 'float32':
      floats[0] = a
      floats[1] = b
      return Math.abs(ordinal(floatWords[0]!, -0x80000000) - ordinal(floatWords[1]!, -0x80000000))
    case 'float16':
      halves[0] = a
      halves[1] = b
      return Math.abs(ordinal(halfWords[0]!, -0x8000) - ordinal(halfWords[1]!, -0x8000))
    case 'bfloat16': {
      const [x, y] = [(bfloat16Bits(a) << 16) >> 16, (bfloat16Bits(b) << 16) >> 16]
      return Math.abs(ordinal(x, -0x8000) - ordinal(y, -0x8000))
    }
    case 'float64': {
      // Magnitudes of 63 bits don't fit a number: subtract high and low words apart, where the leading bits cancel.
      doubles[0] = Math.abs(a)
      doubles[1] = Math.abs(b)
      const opposite = a < 0 !== b < 0 ? -1 : 1
      const high = doubleWords[1]! - opposite * doubleWords[3]!
      return Math.abs(high * 2 ** 32 + (doubleWords[0]! - opposite * doubleWords[2]!))
    }
    default:
      throw new BugError(`ulpDistance: expected a floating-point type, got ${dtype}`)
  }
}
