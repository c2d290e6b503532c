// Drawing a graph in few words: what every reader (and the zoo) says again and again, on top of GraphBuilder. Knows no format.

import type { DType } from '../core/dtype.ts'
import { BugError, InputError } from '../core/errors.ts'
import { scalar, type Tensor, tensorOf } from '../core/tensor.ts'
import type { GraphBuilder } from '../ir/graph.ts'
import { transposed } from '../ir/ops/elements.ts'
import type { Attributes, Dim, Shape, TensorType, ValueId } from '../ir/types.ts'

/** The tensor with its axes reordered: axis i of the result is axis `permutation[i]`. */
export const permuted = transposed

/** An end beyond every dimension: a slice to the end. */
const TO_END = 2 ** 31 - 1

export type PoolOptions = {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly pads: readonly number[]
  readonly layout: string
  readonly dilations?: readonly number[]
}

export type ReduceKind = 'mean' | 'sum' | 'max' | 'min' | 'prod'
const reductions: Readonly<Record<ReduceKind, string>> = {
  mean: 'reduceMean',
  sum: 'reduceSum',
  max: 'reduceMax',
  min: 'reduceMin',
  prod: 'reduceProd',
}

/** Nodes are named after the part of the file they come from (`enter`), with a suffix for all but the main one. */
export class Sketch {
  readonly b: GraphBuilder
  private scope = ''
  private readonly weights = new Map<unknown, ValueId>()

  constructor(b: GraphBuilder) {
    this.b = b
  }

  /** Names what follows; returns the name before. */
  enter(name: string): string {
    const before = this.scope
    this.scope = name
    return before
  }

  node(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes = {}, suffix = ''): ValueId {
    return this.nodes(op, inputs, attributes, 1, suffix)[0]!
  }

  nodes(
    op: string,
    inputs: readonly (ValueId | null)[],
    attributes: Attributes,
    outputs: number,
    suffix = '',
  ): ValueId[] {
    const name = this.named(suffix)
    const names = Array.from({ length: outputs }, (_, i) => (outputs === 1 ? name : `${name}:${i}`))
    return this.b.nodeOutputs(op, inputs, attributes, { name, outputs: names, origin: [this.scope] })
  }

  private named(suffix: string): string {
    return suffix ? `${this.scope}/${suffix}` : this.scope
  }

  /** A weight, once for each tensor (or `key`), however often it is used. */
  weight(t: Tensor, name: string, key: unknown = t): ValueId {
    let v = this.weights.get(key)
    if (v === undefined) {
      v = this.b.constant(t, name)
      this.weights.set(key, v)
    }
    return v
  }

  ints(values: readonly number[], suffix = 'shape'): ValueId {
    return this.b.constant(tensorOf('int64', [values.length], values), this.named(suffix))
  }

  type(v: ValueId): TensorType {
    const t = this.b.type(v)
    if (t.kind !== 'tensor') throw new InputError(`${this.scope}: expected a tensor, got a ${t.kind}`)
    return t
  }
  shape(v: ValueId): Shape {
    return this.type(v).shape
  }
  dtype(v: ValueId): DType {
    return this.type(v).dtype
  }
  rank(v: ValueId): number {
    const s = this.shape(v)
    if (!s) throw new InputError(`${this.scope}: the rank of ${this.b.nameOf(v)} is unknown`)
    return s.length
  }

  /** A scalar of the same type as v. */
  like(v: ValueId, value: number): ValueId {
    return this.b.constant(scalar(this.dtype(v), value), this.named('constant'))
  }
  constantLike(v: ValueId, shape: readonly number[], values: readonly number[]): ValueId {
    return this.b.constant(tensorOf(this.dtype(v), shape, values), this.named('constant'))
  }

  cast(v: ValueId, to: DType, suffix = 'cast'): ValueId {
    return this.dtype(v) === to ? v : this.node('cast', [v], { to }, suffix)
  }
  transpose(v: ValueId, permutation: readonly number[], suffix = ''): ValueId {
    return permutation.every((p, i) => p === i) ? v : this.node('transpose', [v], { permutation }, suffix)
  }
  /** −1 takes what is left, 0 copies the dimension at its place. */
  reshape(v: ValueId, shape: readonly number[], suffix = ''): ValueId {
    return this.node('reshape', [v, this.ints(shape)], {}, suffix)
  }
  squeeze(v: ValueId, axes: readonly number[], suffix = ''): ValueId {
    return this.node('squeeze', [v], { axes }, suffix)
  }
  unsqueeze(v: ValueId, axes: readonly number[], suffix = ''): ValueId {
    return axes.length ? this.node('unsqueeze', [v], { axes }, suffix) : v
  }
  concat(values: readonly ValueId[], axis: number, suffix = ''): ValueId {
    return this.node('concat', values, { axis }, suffix)
  }
  softmax(v: ValueId, axis: number, suffix = ''): ValueId {
    return this.node('softmax', [v], { axis }, suffix)
  }
  reduce(kind: ReduceKind, v: ValueId, axes: readonly number[], keepDims: boolean, suffix = ''): ValueId {
    return axes.length ? this.node(reductions[kind], [v, this.ints(axes, 'axes')], { keepDims }, suffix) : v
  }
  /** Elements `start` to `end` (null: to the end) of one axis; negative bounds count from the end. */
  slice(v: ValueId, axis: number, start: number, end: number | null, step = 1, suffix = ''): ValueId {
    return this.slices(v, [{ axis, start, end: end ?? TO_END, step }], suffix)
  }
  slices(
    v: ValueId,
    cuts: readonly { axis: number; start: number; end: number; step: number }[],
    suffix = '',
  ): ValueId {
    const list = (key: 'axis' | 'start' | 'end' | 'step', name: string): ValueId =>
      this.ints(
        cuts.map((c) => c[key]),
        name,
      )
    const inputs = [v, list('start', 'starts'), list('end', 'ends'), list('axis', 'axes')]
    if (cuts.some((c) => c.step !== 1)) inputs.push(list('step', 'steps'))
    return this.node('slice', inputs, {}, suffix)
  }
  /** `pads`: [begin of every axis…, end of every axis…]; `value` defaults to 0. */
  pad(v: ValueId, pads: readonly number[], value?: ValueId, mode = 'constant', suffix = ''): ValueId {
    return this.node('pad', [v, this.ints(pads, 'pads'), value ?? null], { mode }, suffix)
  }
  /** Padding never counts: neither in the maximum nor in the average. */
  pool(kind: 'max' | 'average', v: ValueId, o: PoolOptions, suffix = ''): ValueId {
    return this.node(`${kind}Pool${o.kernel.length}d`, [v], { ...o }, suffix)
  }
  /** Dimensions as an error where they are open. */
  static fixed(d: Dim | undefined, what: string): number {
    if (typeof d !== 'number') throw new BugError(`${what}: expected a known dimension, got ${d}`)
    return d
  }
  /** Resamples some axes to whole sizes, or by scales. Coordinates and rounding as `resize` names them. */
  resize(
    v: ValueId,
    to: { axes: readonly number[]; sizes?: ValueId; scales?: readonly number[] },
    how: { mode: 'nearest' | 'linear'; coordinates: string; rounding?: string },
    suffix = '',
  ): ValueId {
    const scales = to.scales
      ? this.b.constant(tensorOf('float32', [to.scales.length], to.scales), this.named('scales'))
      : null
    return this.node('resize', [v, null, scales, to.sizes ?? null], { ...how, axes: to.axes }, suffix)
  }
}
