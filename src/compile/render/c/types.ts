// C types and the prelude that a file's kernels need: vector types, loads, conversions, the few functions C doesn't have.

import type { DType } from '../../../core/dtype.ts'
import type { ComputeType, LoopType } from '../../loops.ts'

/** C99 for any compiler, or GNU C with vector extensions (gcc and clang). */
export type Dialect = 'c99' | 'gnu'

export const storageType: Readonly<Record<Exclude<DType, 'string'>, string>> = {
  float64: 'double',
  float32: 'float',
  float16: 'uint16_t',
  bfloat16: 'uint16_t',
  int64: 'int64_t',
  int32: 'int32_t',
  int16: 'int16_t',
  int8: 'int8_t',
  int4: 'int8_t',
  uint64: 'uint64_t',
  uint32: 'uint32_t',
  uint16: 'uint16_t',
  uint8: 'uint8_t',
  uint4: 'uint8_t',
  bool: 'uint8_t',
}

const scalarTypes: Readonly<Record<ComputeType, string>> = {
  float64: 'double',
  float32: 'float',
  int64: 'int64_t',
  uint64: 'uint64_t',
  int32: 'int32_t',
  uint32: 'uint32_t',
  bool: 'int32_t',
  int16: 'int16_t',
  int8: 'int8_t',
  uint8: 'uint8_t',
}

/** A vector of a storage type is named by its C type and count: `float_x8`. */
export const vectorName = (scalar: string, lanes: number): string => `${scalar.replace(/_t$/, '')}_x${lanes}`

/** The C type of a value in flight. Vectors of bool are masks: int32 lanes of 0 and −1. */
export const valueType = (t: LoopType): string =>
  t.lanes === 1 ? scalarTypes[t.type] : vectorName(scalarTypes[t.type], t.lanes)

const bytesOfScalar: Readonly<Record<string, number>> = {
  double: 8,
  float: 4,
  int64_t: 8,
  uint64_t: 8,
  int32_t: 4,
  uint32_t: 4,
  int16_t: 2,
  uint16_t: 2,
  int8_t: 1,
  uint8_t: 1,
}

/** Collects what a file's kernels use, and writes it as the prelude. */
export class Prelude {
  private readonly vectors = new Map<string, { scalar: string; lanes: number }>()
  private readonly functions = new Map<string, string>()

  /** Declares a vector type and its unaligned form; returns its name. */
  vector(scalar: string, lanes: number): string {
    const name = vectorName(scalar, lanes)
    this.vectors.set(name, { scalar, lanes })
    return name
  }

  value(t: LoopType): string {
    return t.lanes === 1 ? scalarTypes[t.type] : this.vector(scalarTypes[t.type], t.lanes)
  }

  /** Adds a function once. */
  add(name: string, body: string): string {
    this.functions.set(name, body)
    return name
  }

  toString(): string {
    const types = [...this.vectors].map(([name, { scalar, lanes }]) => {
      const bytes = bytesOfScalar[scalar]! * lanes
      return `typedef ${scalar} ${name} __attribute__((vector_size(${bytes})));
typedef ${scalar} ${name}_u __attribute__((vector_size(${bytes}), aligned(${bytesOfScalar[scalar]}), may_alias));`
    })
    return [...types, ...this.functions.values()].join('\n')
  }
}

/** IEEE half precision and bfloat16 by their bits: C99 has no type for them. */
export const halfFunctions: Readonly<Record<string, string>> = {
  half_to_float: `static inline float half_to_float(uint16_t h) {
  union { uint32_t u; float f; } v, m;
  m.u = 113u << 23;
  v.u = (uint32_t)(h & 0x7fff) << 13;
  uint32_t e = v.u & (0x7c00u << 13);
  v.u += (127 - 15) << 23;
  if (e == (0x7c00u << 13)) v.u += (128 - 16) << 23;
  else if (e == 0) { v.u += 1u << 23; v.f -= m.f; }
  v.u |= (uint32_t)(h & 0x8000) << 16;
  return v.f;
}`,
  // Ties to even, overflow to infinity, NaN stays NaN.
  float_to_half: `static inline uint16_t float_to_half(float f) {
  union { uint32_t u; float f; } v, m;
  v.f = f;
  uint32_t sign = (v.u >> 16) & 0x8000;
  v.u &= 0x7fffffffu;
  if (v.u >= (127u + 16) << 23) return (uint16_t)(sign | (v.u > 0x7f800000u ? 0x7e00 : 0x7c00));
  if (v.u < 113u << 23) {
    m.u = ((127u - 15) + (23 - 10) + 1) << 23;
    v.f += m.f;
    return (uint16_t)(sign | (v.u - m.u));
  }
  uint32_t odd = (v.u >> 13) & 1;
  v.u += ((uint32_t)(15 - 127) << 23) + 0xfff + odd;
  return (uint16_t)(sign | (v.u >> 13));
}`,
  bfloat_to_float: `static inline float bfloat_to_float(uint16_t h) {
  union { uint32_t u; float f; } v;
  v.u = (uint32_t)h << 16;
  return v.f;
}`,
  float_to_bfloat: `static inline uint16_t float_to_bfloat(float f) {
  union { uint32_t u; float f; } v;
  v.f = f;
  if (f != f) return 0x7fc0;
  v.u += 0x7fff + ((v.u >> 16) & 1);
  return (uint16_t)(v.u >> 16);
}`,
}
