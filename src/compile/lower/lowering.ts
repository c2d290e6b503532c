// What a lowering sees: one node with its operands and results as views, and the elementwise nodes fused behind it.

import type { DType } from '../../core/dtype.ts'
import type { Tensor } from '../../core/tensor.ts'
import type { Expr } from '../../ir/scalar.ts'
import type { Attributes } from '../../ir/types.ts'
import type { KernelBuilder, ProgramBuilder } from '../build.ts'
import type { Statement } from '../loops.ts'
import type { Engine, Extent, Schedule } from '../schedule.ts'
import type { View } from '../view.ts'

/** The elementwise nodes behind an anchor: applied to each of its results before it is stored. */
export type Epilogue = {
  /** Other operands, broadcast to the result's shape. */
  readonly operands: readonly View[]
  /** `value` is the anchor's result in the compute type, `operands` the loaded operands, all of `lanes`. */
  apply(value: Expr, operands: readonly Expr[], lanes: number): Expr
}

/** Rows of the one image of a result whose only reader asks for them as it goes. */
export type Rows = {
  readonly macs: number
  /** Computes rows `from` … `from` + count − 1 into `to`, whose row 0 is the first of them. */
  make(k: KernelBuilder, from: Expr, count: number, to: View): Statement[]
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
  /** Present where the only reader of result 0 takes it by rows: nothing is computed but what it asks for, and no output is made. */
  readonly defer?: ((rows: Rows) => void) | undefined
  /** Present where input 0 is such a result: its view has a shape and no memory. */
  readonly rows?: Rows | undefined
  /** Adds a step that computes this node. */
  step(name: string, write: (k: KernelBuilder) => Statement[], macs?: number, amplification?: number): void
  schedule(x: Extent): Schedule
  /** A depthwise convolution whose neighbours run along pixels does too. */
  readonly planes: boolean
  /** A pointwise convolution that is computed with it, plane by plane: its result is the first input, which isn't stored. */
  readonly before?: Lowering
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
