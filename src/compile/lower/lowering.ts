// What a lowering sees: one node with its operands and results as views, and the elementwise nodes fused behind it.

import type { DType } from '../../core/dtype.ts'
import type { Tensor } from '../../core/tensor.ts'
import type { Expr } from '../../ir/scalar.ts'
import type { Attributes } from '../../ir/types.ts'
import type { KernelBuilder, ProgramBuilder } from '../build.ts'
import type { Statement } from '../loops.ts'
import type { Engine, Extent, Schedule } from '../schedule.ts'
import type { View } from '../view.ts'
import type { Tile } from './tiles.ts'

/** The elementwise nodes behind an anchor: applied to each of its results before it is stored. */
export type Epilogue = {
  /** Other operands, broadcast to the result's shape. */
  readonly operands: readonly View[]
  /** `value` is the anchor's result in the compute type, `operands` the loaded operands, all of `lanes`. */
  apply(value: Expr, operands: readonly Expr[], lanes: number): Expr
}

/** What a reader computes of a result as it goes, instead of reading it from memory. */
export type Pieces = Rows | Vectors | TiledResults

/** Rows of a result's one image. */
export type Rows = {
  readonly kind: 'rows'
  readonly macs: number
  /** Computes rows `from` … `from` + count − 1 into `to`, whose row 0 is the first of them. */
  make(k: KernelBuilder, from: Expr, count: number, to: View): Statement[]
}

/** Vectors along the rows of the image of one channel. */
export type Vectors = {
  readonly kind: 'vectors'
  readonly macs: number
  /** What all of channel `ch` of image `n` need. */
  begin(k: KernelBuilder, n: Expr, ch: Expr): Statement[]
  make(
    k: KernelBuilder,
    at: readonly (readonly [row: Expr, column: number])[],
    lanes: number,
  ): [Statement[], Expr[]]
}

/** All channels of a tile of pixels. */
export type TiledResults = {
  readonly kind: 'tiles'
  readonly macs: number
  /** Vectors of a tile, at most. */
  readonly rows: number
  /** Elements of a row of a tile in scratch memory, and the most rows (channels, or channels × taps) that one needs. */
  readonly width: number
  readonly depth: number
  /** What is read and written on the way, of shape [batch, pixel…]: how it lies decides on the tiles. */
  readonly views: readonly View[]
  /** Writes a tile of `views` to `results`, scratch memory; `input`: more of it. */
  make(k: KernelBuilder, tile: Tile, input: number, results: number): Statement[]
}

/** Says that the reader of result 0 computes pieces of it as it goes. */
export type Deferral = {
  readonly kind: Pieces['kind']
  /** Others read it too: whoever makes a piece stores it, as the output. Else there is none. */
  readonly kept: boolean
  give(pieces: Pieces): void
}

export type Lowering = {
  readonly op: string
  readonly attributes: Attributes
  readonly program: ProgramBuilder
  readonly engine: Engine
  /** Present inputs as views (constants too); undefined where absent. */
  readonly inputs: readonly (View | undefined)[]
  /** Content of inputs that are constants. */
  readonly constants: readonly (Tensor | undefined)[]
  /** Result types of the anchor itself. */
  readonly types: readonly { readonly dtype: DType; readonly shape: readonly number[] }[]
  readonly epilogue: Epilogue
  /** Where result k goes (after the epilogue, for k = 0). Allocates it. */
  output(k: number): View
  /** Says that result k is a view of a buffer that exists: nothing is computed. Only where nothing is fused. */
  alias(k: number, view: View): void
  /** A lowering that can gives what is wanted, and adds no step; else it goes its usual way. */
  readonly defer?: Deferral | undefined
  /** Input 0, where it comes in pieces: its view has a shape and, but where it is kept, no memory. */
  readonly pieces?: Pieces | undefined
  /** Adds a step that computes this node. */
  step(name: string, write: (k: KernelBuilder) => Statement[], macs?: number): void
  /** Says that the algorithm costs so many times the rounding of a plain sum of products. */
  amplifies(factor: number): void
  schedule(x: Extent): Schedule
  /** A depthwise convolution whose neighbours run along pixels does too. */
  readonly planes: boolean
}

/** Lowers a node, or says why it can't. */
export type Lower = (x: Lowering) => void
export type Gap = { readonly gap: string }
export const gap = (reason: string): Gap => ({ gap: reason })

/** Thrown by a lowering for a form of an operator that it doesn't cover. */
export class NoLowering extends Error {}

/** Copies a view into another of the same shape, converting between dtypes of one compute type. */
export function copy(x: Lowering, from: View, to: View, name = 'copy'): void {
  x.step(name, (k) => copyLoops(k, from, to))
}

export function copyLoops(k: KernelBuilder, from: View, to: View): Statement[] {
  const [a, b] = orderFor([to, from])
  const lanes = b!.strides.at(-1) === 1 && a!.strides.at(-1) === 1 ? vectorLanes([a!, b!]) : 1
  return k.nest(a!.shape, lanes, (index, width) => [k.store(a!, index, k.loadVector(b!, index, width))])
}

import { vectorizes } from '../build.ts'
import { collapse, memoryOrder, permuted } from '../view.ts'

/** Views of one shape, dimensions in the first one's memory order, merged where all allow it. */
export function orderFor(views: readonly View[]): View[] {
  const order = memoryOrder(views[0]!)
  return collapse(views.map((v) => permuted(v, order)))
}
const vectorLanes = (views: readonly View[]): number => (views.every((v) => vectorizes(v.dtype)) ? 4 : 1)
