// Which instruction computes which scalar function on which type. Rows absent here are composed in emit.ts, or call the host.
// Numbers from the WebAssembly core specification 3.0, section 5.4 (SIMD and relaxed SIMD: prefix 0xfd).

import type { ScalarFn } from '../../../ir/scalar.ts'

type Row = Partial<Record<ScalarFn, number>>

const compareInteger = (eq: number, unsigned: boolean): Row =>
  unsigned
    ? { eq, ne: eq + 1, lt: eq + 3, gt: eq + 5, le: eq + 7, ge: eq + 9 }
    : { eq, ne: eq + 1, lt: eq + 2, gt: eq + 4, le: eq + 6, ge: eq + 8 }
const compareFloat = (eq: number): Row => ({ eq, ne: eq + 1, lt: eq + 2, gt: eq + 3, le: eq + 4, ge: eq + 5 })

const integer = (eq: number, add: number, unsigned: boolean): Row => ({
  ...compareInteger(eq, unsigned),
  add,
  sub: add + 1,
  mul: add + 2,
  bitAnd: add + 7,
  bitOr: add + 8,
  bitXor: add + 9,
})
const float = (eq: number, abs: number): Row => ({
  ...compareFloat(eq),
  abs,
  neg: abs + 1,
  ceil: abs + 2,
  floor: abs + 3,
  trunc: abs + 4,
  round: abs + 5,
  sqrt: abs + 6,
  add: abs + 7,
  sub: abs + 8,
  mul: abs + 9,
  div: abs + 10,
  min: abs + 11,
  max: abs + 12,
})

/** Instructions on one lane. */
export const scalarOps = {
  int32: integer(0x46, 0x6a, false),
  uint32: integer(0x46, 0x6a, true),
  int64: integer(0x51, 0x7c, false),
  uint64: integer(0x51, 0x7c, true),
  float32: float(0x5b, 0x8b),
  float64: float(0x61, 0x99),
  bool: { and: 0x71, or: 0x72, xor: 0x73, eq: 0x46, ne: 0x47, not: 0x45, min: 0x71, max: 0x72 },
} satisfies Record<string, Row>

const vectorInteger: Row = {
  neg: 161,
  abs: 160,
  add: 174,
  sub: 177,
  mul: 181,
  bitAnd: 78,
  bitOr: 80,
  bitXor: 81,
  bitNot: 77,
}

/** Instructions on four lanes of 32 bits. */
export const vectorOps: Partial<Record<string, Row>> = {
  int32: { ...vectorInteger, ...compareInteger(55, false), min: 182, max: 184 },
  uint32: { ...vectorInteger, ...compareInteger(55, true), min: 183, max: 185 },
  float32: {
    eq: 65, ne: 66, lt: 67, gt: 68, le: 69, ge: 70, ceil: 103, floor: 104, trunc: 105, round: 106, abs: 224, neg: 225, sqrt: 227,
    add: 228, sub: 229, mul: 230, div: 231, min: 232, max: 233,
  },
  bool: { and: 78, or: 80, xor: 81, not: 77, ne: 81, min: 78, max: 80 },
} // biome-ignore format: a table

export const loadOps = {
  float32: 0x2a, float64: 0x2b, int64: 0x29, uint64: 0x29, int32: 0x28, uint32: 0x28, int16: 0x2e, uint16: 0x2f, int8: 0x2c,
  uint8: 0x2d, int4: 0x2c, uint4: 0x2d, bool: 0x2d,
} as const // biome-ignore format: a table
export const storeOps = {
  float32: 0x38, float64: 0x39, int64: 0x37, uint64: 0x37, int32: 0x36, uint32: 0x36, int16: 0x3b, uint16: 0x3b, int8: 0x3a,
  uint8: 0x3a, int4: 0x3a, uint4: 0x3a, bool: 0x3a,
} as const // biome-ignore format: a table
