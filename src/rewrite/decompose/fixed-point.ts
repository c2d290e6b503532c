// What the decompositions of TensorFlow Lite's integer operators share: constants, scaling by multipliers, rounding, limits.

import type { DType } from '../../core/dtype.ts'
import { UnsupportedError } from '../../core/errors.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import type { GraphBuilder } from '../../ir/graph.ts'
import { transposed } from '../../ir/ops/elements.ts'
import type { Multiplier, Rounding } from '../../ir/ops/tflite-fixed.ts'
import { type Attributes, isStatic, type ValueId } from '../../ir/types.ts'

/** What to throw where a decomposition needs a shape that isn't known. */
export const open = (op: string): UnsupportedError =>
  new UnsupportedError('decompose', [
    { op: `${op} of open shape`, count: 1, nearest: 'the same with fixed dimensions' },
  ])

/** Adds nodes for one operator. */
export class Emitter {
  readonly b: GraphBuilder
  readonly name: string

  constructor(b: GraphBuilder, name: string) {
    this.b = b
    this.name = name
  }

  op(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes = {}): ValueId {
    return this.b.node(op, inputs, attributes, { name: `${this.name}:${op}` })
  }

  scalar(dtype: DType, value: number): ValueId {
    return this.b.constant(tensorOf(dtype, [], [value]), `${this.name}:const`)
  }

  list(dtype: DType, values: readonly number[], shape: readonly number[] = [values.length]): ValueId {
    return this.b.constant(tensorOf(dtype, shape, values), `${this.name}:const`)
  }

  dtype(id: ValueId): DType {
    const t = this.b.type(id)
    return t.kind === 'tensor' ? t.dtype : 'float32'
  }

  /** The shape of a value; undefined where some dimension is open. */
  shape(id: ValueId): readonly number[] | undefined {
    const t = this.b.type(id)
    return t.kind === 'tensor' && isStatic(t.shape) ? t.shape : undefined
  }

  rank(id: ValueId): number | undefined {
    const t = this.b.type(id)
    return t.kind === 'tensor' ? t.shape?.length : undefined
  }

  cast(id: ValueId, to: DType): ValueId {
    return this.dtype(id) === to ? id : this.op('cast', [id], { to })
  }

  /** x op constant, of x's type. */
  with(op: string, x: ValueId, value: number): ValueId {
    return this.op(op, [x, this.scalar(this.dtype(x), value)])
  }

  /** x − zero as wide integers. Constants are computed here. */
  centred(x: ValueId, zero: number, to: DType): ValueId {
    if (zero === 0 && this.dtype(x) === to) return x
    const c = this.b.constantOf(x)
    if (c)
      return this.b.constant(
        tensorOf(
          to,
          c.shape,
          Array.from(c.data as ArrayLike<number | bigint>, (v) => Number(v) - zero),
        ),
        `${this.b.nameOf(x)}:wide`,
      )
    const wide = this.cast(x, to)
    return zero === 0 ? wide : this.with('sub', wide, zero)
  }

  /** A zero point as an input of the operators on 8-bit integers; null where it is 0. */
  zeroPoint(of: ValueId, zero: number): ValueId | null {
    return zero === 0 ? null : this.scalar(this.dtype(of), zero)
  }

  /** The matrix of a constant turned here, else by a node. */
  turned(x: ValueId): ValueId {
    const c = this.b.constantOf(x)
    if (c) return this.b.constant(transposed(c, [1, 0]), `${this.b.nameOf(x)}:turned`)
    return this.op('transpose', [x], { permutation: [1, 0] })
  }

  /** int32 x times the multipliers: one, or one for each index of the last axis. */
  scaled(x: ValueId, ms: readonly Multiplier[], rounding: Rounding): ValueId {
    const shape = ms.length > 1 ? [ms.length] : []
    if (rounding === 'single') {
      const [wide, m, half, n] = [
        this.cast(x, 'int64'),
        this.list(
          'int64',
          ms.map((k) => k.multiplier),
          shape,
        ),
        this.list(
          'int64',
          ms.map((k) => 2 ** (30 - k.shift)),
          shape,
        ),
        this.list(
          'int64',
          ms.map((k) => 31 - k.shift),
          shape,
        ),
      ]
      const product = this.op('add', [this.op('mul', [wide, m]), half])
      return this.cast(this.op('shiftRight', [product, n]), 'int32')
    }
    let y = x
    if (ms.some((m) => m.shift > 0))
      y = this.op('shiftLeft', [
        y,
        this.list(
          'int32',
          ms.map((m) => Math.max(m.shift, 0)),
          shape,
        ),
      ])
    y = this.op('mulHigh', [
      y,
      this.list(
        'int32',
        ms.map((m) => m.multiplier),
        shape,
      ),
    ])
    if (ms.some((m) => m.shift < 0))
      y = this.op('roundShift', [
        y,
        this.list(
          'int32',
          ms.map((m) => Math.max(-m.shift, 0)),
          shape,
        ),
      ])
    return y
  }

  /** int64 x times 15 bits of the multipliers, as int32. */
  scaledWide(x: ValueId, ms: readonly Multiplier[]): ValueId {
    const shape = ms.length > 1 ? [ms.length] : []
    const reduced = ms.map((m) => (m.multiplier < 0x7fff0000 ? (m.multiplier + 0x8000) >> 16 : 0x7fff))
    const product = this.op('mul', [x, this.list('int64', reduced, shape)])
    const half = this.list(
      'int64',
      ms.map((m) => 2 ** (14 - m.shift)),
      shape,
    )
    const n = this.list(
      'int64',
      ms.map((m) => 15 - m.shift),
      shape,
    )
    return this.cast(this.op('shiftRight', [this.op('add', [product, half]), n]), 'int32')
  }

  /** The nearest integer to a real number, halves away from zero. */
  rounded(x: ValueId): ValueId {
    const up = this.op('floor', [this.with('add', this.op('abs', [x]), 0.5)])
    return this.op('mul', [this.op('sign', [x]), up])
  }

  /** int32 x + zero within limits, as the output's type. */
  finished(x: ValueId, zero: number, [low, high]: readonly [number, number], to: DType): ValueId {
    const shifted = zero === 0 ? x : this.with('add', x, zero)
    return this.cast(this.op('clamp', [shifted], { low, high }), to)
  }

  /** Entries of a table (a constant of one axis) at int32 indices. */
  lookedUp(table: Tensor, index: ValueId): ValueId {
    return this.op('gather', [this.b.constant(table, `${this.name}:table`), index], { axis: 0 })
  }
}
