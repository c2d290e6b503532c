// A function's body in the making: locals, the instructions that everything is written with, conversions between types.

import type { DType } from '../../../core/dtype.ts'
import type { ComputeType, LoopType } from '../../loops.ts'
import { Bytes, f32, f64, i32, i64, v128 } from './encoder.ts'

export const isVector = (t: LoopType): boolean => t.lanes > 1
export const wide = (t: ComputeType): boolean => t === 'int64' || t === 'uint64'
export const isFloating = (t: ComputeType): boolean => t === 'float32' || t === 'float64'

export function wasmType(t: LoopType): number {
  if (isVector(t)) return v128
  if (t.type === 'float32') return f32
  if (t.type === 'float64') return f64
  return wide(t.type) ? i64 : i32
}

export class Assembler {
  protected readonly out = new Bytes()
  /** Index of every local by name. */
  protected readonly slots = new Map<string, number>()
  protected readonly localTypes: number[] = []
  private readonly parameters: number
  private temporaries = 0

  constructor(parameters: number) {
    this.parameters = parameters
  }

  protected slot(name: string, type: number): number {
    const known = this.slots.get(name)
    if (known !== undefined) return known
    const i = this.parameters + this.localTypes.push(type) - 1
    this.slots.set(name, i)
    return i
  }

  protected temporary(type: number): number {
    return this.slot(`temporary ${this.temporaries++}`, type)
  }

  protected get(slot: number): void {
    this.out.byte(0x20).u(slot)
  }

  protected set(slot: number): void {
    this.out.byte(0x21).u(slot)
  }

  protected tee(slot: number): void {
    this.out.byte(0x22).u(slot)
  }

  protected simd(op: number): void {
    this.out.byte(0xfd).u(op)
  }

  protected i32const(n: number | bigint): void {
    this.out.byte(0x41).s(n)
  }

  protected lanewiseAnd(n: number): void {
    this.i32const(n)
    this.simd(17)
    this.simd(78)
  }

  /** Wraps what is on the stack to a narrow storage type, in its compute type. Full-width types stay as they are. */
  protected narrow(d: DType, t: LoopType): void {
    const vector = isVector(t)
    if (d === 'uint8' || d === 'uint16' || d === 'uint4') {
      const mask = d === 'uint8' ? 255 : d === 'uint16' ? 65535 : 15
      if (vector) this.lanewiseAnd(mask)
      else {
        this.i32const(mask)
        this.out.byte(0x71)
      }
    } else if (d === 'int8' || d === 'int16' || d === 'int4') {
      const shift = d === 'int8' ? 24 : d === 'int16' ? 16 : 28
      for (const right of [false, true]) {
        this.i32const(shift)
        if (vector) this.simd(right ? 172 : 171)
        else this.out.byte(right ? 0x75 : 0x74)
      }
    }
  }

  /** Turns 0 or 1 (below a 0 on the stack) into 0 or −1: swaps by a temporary. */
  protected i32constSubtract(): void {
    const zero = this.temporary(i32)
    const v = this.temporary(i32)
    this.set(zero)
    this.set(v)
    this.get(zero)
    this.get(v)
    this.out.byte(0x6b)
  }

  protected extract(type: ComputeType, lane: number): void {
    this.simd(type === 'float32' ? 31 : 27)
    this.out.byte(lane)
    if (type === 'bool') {
      this.i32const(1)
      this.out.byte(0x71)
    }
  }

  /** Scalar conversion between compute types. */
  protected convert(a: ComputeType, b: ComputeType): void {
    if (a === b) return
    const unsigned = (t: ComputeType): boolean => t[0] === 'u' || t === 'bool'
    const out = this.out
    if (b === 'bool') {
      if (a === 'float32') out.byte(0x43).f32(0).byte(0x5c)
      else if (a === 'float64') out.byte(0x44).f64(0).byte(0x62)
      else if (wide(a)) out.byte(0x50, 0x45)
      else out.byte(0x45, 0x45)
    } else if (isFloating(b)) {
      if (isFloating(a)) out.byte(b === 'float32' ? 0xb6 : 0xbb)
      else out.byte((b === 'float32' ? 0xb2 : 0xb7) + (wide(a) ? 2 : 0) + (unsigned(a) ? 1 : 0))
    } else if (isFloating(a)) {
      out.byte(0xfc, (wide(b) ? 4 : 0) + (a === 'float64' ? 2 : 0) + (unsigned(b) ? 1 : 0))
    } else if (wide(b) && !wide(a)) out.byte(unsigned(a) ? 0xad : 0xac)
    else if (!wide(b) && wide(a)) out.byte(0xa7)
  }
}
