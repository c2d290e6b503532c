// What a row of the tfjs table sees, and what both sides share: cells, layouts, operands that decide shapes.

import type * as Tf from '@tensorflow/tfjs'
import { InputError } from '../core/errors.ts'
import type { Attributes, Graph } from '../ir/types.ts'

export type T = Tf.Tensor

/**
 * A value as TensorFlow.js holds it. `last`: the graph says channels first, but the channels lie last here. TensorFlow.js
 * convolves channels-last only, so that a chain of convolutions stays that way until something needs the graph's own order.
 */
export type Cell = { readonly t: T; readonly last: boolean }

export type KernelCall = {
  readonly tf: typeof Tf
  readonly a: Attributes
  readonly cells: readonly (Cell | null)[]
  readonly outputs: number
  /** Input i in the graph's own order of axes. */
  in(i: number): T
  has(i: number): boolean
  /** Input i as integers. */
  ints(i: number): number[]
  /** A tensor made once from constant inputs and kept as long as the executable (filters in TensorFlow.js' order). */
  kept(key: string, inputs: readonly number[], make: () => T): T
  run(body: Graph, inputs: readonly T[]): T[]
}

/** One node: its outputs in the graph's own order of axes, or with the channels last where a Cell says so. */
export type Kernel = (x: KernelCall) => T | Cell | readonly (T | Cell)[]

/** A row for what TensorFlow.js can't do, or what isn't spelled in it yet. */
export type Gap = { readonly gap: string }
export const gap = (reason: string): Gap => ({ gap: reason })

export type Row = Kernel | Gap

export const isCell = (v: T | Cell): v is Cell => 'last' in v

/** [0, 2, 3, …, 1]: channels to the end; and back. */
export const toLast = (rank: number): number[] => [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1]
export const toFirst = (rank: number): number[] => [
  0,
  rank - 1,
  ...Array.from({ length: rank - 2 }, (_, i) => i + 1),
]

/** The activation with its channels last, whatever the layout says. */
export function channelsLast(x: KernelCall, i = 0): T {
  const c = x.cells[i]
  if (!c) throw new InputError(`input ${i}: expected a tensor`)
  if (x.a.layout === 'channelsLast' || c.last) return x.a.layout === 'channelsLast' ? x.in(i) : c.t
  return c.t.rank > 2 ? x.tf.transpose(c.t, toLast(c.t.rank)) : c.t
}

/** A result whose channels lie last, as the layout wants it. */
export const asLayout = (x: KernelCall, t: T): T | Cell =>
  x.a.layout === 'channelsLast' || t.rank <= 2 ? t : { t, last: true }

export const num = (x: KernelCall, name: string): number => x.a[name] as number
export const nums = (x: KernelCall, name: string): readonly number[] => x.a[name] as readonly number[]
export const flag = (x: KernelCall, name: string): boolean => x.a[name] === true

/** Pairs [before, after] for every dimension of a channels-last activation. */
export const spatialPairs = (pads: readonly number[]): [number, number][] => {
  const rank = pads.length / 2
  return [
    [0, 0],
    ...Array.from({ length: rank }, (_, i): [number, number] => [pads[i]!, pads[i + rank]!]),
    [0, 0],
  ]
}

export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)
