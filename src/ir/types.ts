// What flows along the edges of a graph, and the graph itself. Plain immutable data; knows no file format and no machine.

import type { DType } from '../core/dtype.ts'
import type { Tensor } from '../core/tensor.ts'

/** A dimension: a number, a symbol that the file names (`batch`), or null where nothing is known. */
export type Dim = number | string | null
/** null: even the rank is unknown until run time. */
export type Shape = readonly Dim[] | null

export type TensorType = { readonly kind: 'tensor'; readonly dtype: DType; readonly shape: Shape }
export type Type =
  | TensorType
  | { readonly kind: 'sequence'; readonly element: Type }
  | { readonly kind: 'optional'; readonly element: Type }

/** What a value holds at run time: a tensor, a sequence, or an absent optional. */
export type Datum = Tensor | readonly Datum[] | null

export type ValueId = number

/**
 * Affine quantisation that a file states of a value: real = scale · (q − zeroPoint), per tensor (one entry) or per channel
 * along `axis`. A note for reports and readers: the operators' own inputs and attributes carry what the arithmetic uses.
 */
export type Quantization = {
  readonly scale: readonly number[]
  readonly zeroPoint: readonly number[]
  readonly axis: number
}

export type Value = {
  readonly name: string
  readonly type: Type
  /** Present on constants: weights, shared by reference. */
  readonly constant?: Tensor
  readonly quantization?: Quantization
}

export type Attribute =
  | number
  | bigint
  | string
  | boolean
  | readonly number[]
  | readonly string[]
  | Tensor
  | Graph
export type Attributes = Readonly<Record<string, Attribute>>

export type Node = {
  readonly op: string
  /** The node's name in the file, else one made from the operator and its place. */
  readonly name: string
  /** null: an optional input that is absent. */
  readonly inputs: readonly (ValueId | null)[]
  readonly outputs: readonly ValueId[]
  readonly attributes: Attributes
  /** Where the node comes from: names of the file's nodes and of the rules that made it. */
  readonly origin: readonly string[]
}

/**
 * Values and nodes are named by their index. Nodes stand in an order in which every value is made before it is used.
 * Bodies of `if`, `loop` and `scan` are closed graphs in attributes: whatever they use from outside is an input of the node.
 */
export type Graph = {
  readonly name: string
  readonly values: readonly Value[]
  readonly nodes: readonly Node[]
  readonly inputs: readonly ValueId[]
  readonly outputs: readonly ValueId[]
}

export const tensorType = (dtype: DType, shape: Shape): TensorType => ({ kind: 'tensor', dtype, shape })
export const typeOf = (t: Tensor): TensorType => tensorType(t.dtype, t.shape)

/** A shape with every dimension a number. */
export const isStatic = (shape: Shape): shape is readonly number[] =>
  shape?.every((d) => typeof d === 'number') ?? false

export const isTensor = (d: Datum | undefined): d is Tensor => d != null && !Array.isArray(d)
export const isGraph = (a: Attribute): a is Graph => typeof a === 'object' && 'nodes' in a
export const isTensorAttribute = (a: Attribute): a is Tensor => typeof a === 'object' && 'dtype' in a

export function printType(t: Type): string {
  if (t.kind !== 'tensor') return `${t.kind}<${printType(t.element)}>`
  return t.shape ? `${t.dtype}[${t.shape.map((d) => d ?? '?').join(', ')}]` : `${t.dtype}[*]`
}
