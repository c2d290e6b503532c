// What an operator is: everything that needs only its own inputs and attributes. What names another operator, a machine or
// a format (decomposition, gradient, lowering, spelling) lives in that layer's own table.

import { BugError, InputError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Expr } from './scalar.ts'
import type { Attributes, Datum, Dim, Graph, Shape, TensorType, Type } from './types.ts'

export type AttributeKind =
  | 'number'
  | 'numbers'
  | 'string'
  | 'strings'
  | 'boolean'
  | 'tensor'
  | 'graph'
  | 'scalar'
/** `scalar`: number or bigint. A missing default means that the attribute must be given, null that it may be absent. */
export type AttributeSpec = {
  readonly kind: AttributeKind
  readonly default?: unknown
  readonly oneOf?: readonly string[]
}

export type Infer = {
  /** Types of the inputs; null where absent. */
  readonly inputs: readonly (Type | null)[]
  /** The content of inputs that are constants. */
  readonly constants: readonly (Tensor | null)[]
  readonly attributes: Attributes
  readonly outputs: number
}

export type Evaluate = {
  readonly attributes: Attributes
  /** Types as inferred from the actual inputs. Shapes may be null where they depend on the data. */
  readonly types: readonly Type[]
  readonly outputs: number
  /** Runs a body. */
  run(graph: Graph, inputs: readonly Datum[]): Datum[]
}

export type Cost = { readonly macs: number }

export type Example = {
  readonly inputs: readonly (Tensor | null)[]
  readonly attributes?: Attributes
  /** Expected outputs, where a literal answer is known. */
  readonly outputs?: readonly Tensor[]
}

export type Op = {
  readonly doc: string
  readonly inputs: readonly [min: number, max: number]
  /** Defaults to one. */
  readonly outputs?: readonly [min: number, max: number]
  readonly attributes?: Readonly<Record<string, AttributeSpec>>
  infer(x: Infer): readonly Type[]
  evaluate(inputs: readonly (Datum | undefined)[], x: Evaluate): readonly Datum[]
  /** Defaults to no multiply-accumulates. */
  cost?(x: Infer, outputs: readonly Type[]): Cost
  examples?(): readonly Example[]
  /** Elementwise operators: the formula over x, y, z and the numeric attributes. */
  readonly formula?: Expr
  /** Elementwise operators: 'bool' for comparisons and logic, else the operands' own type. */
  readonly result?: 'same' | 'bool'
}

/** Checked access to attributes, with defaults already filled in by `completeAttributes`. */
export const numberOf = (a: Attributes, name: string): number => a[name] as number
export const numbersOf = (a: Attributes, name: string): readonly number[] => a[name] as readonly number[]
export const stringOf = (a: Attributes, name: string): string => a[name] as string
export const booleanOf = (a: Attributes, name: string): boolean => a[name] as boolean

/** Fills in defaults; throws on unknown, missing or mistyped attributes. */
export function completeAttributes(op: string, spec: Op['attributes'], given: Attributes): Attributes {
  const out: Record<string, Attributes[string]> = {}
  for (const [name, s] of Object.entries(spec ?? {})) {
    const v = given[name] ?? s.default
    if (v === undefined) throw new InputError(`${op}: attribute ${name} is missing, expected ${s.kind}`)
    if (v === null) continue
    if (!fits(v, s))
      throw new InputError(
        `${op}: attribute ${name}, expected ${s.oneOf?.join(' | ') ?? s.kind}, got ${describe(v)}`,
      )
    out[name] = v as Attributes[string]
  }
  for (const name of Object.keys(given)) {
    if (!(name in (spec ?? {}))) throw new BugError(`${op}: unknown attribute ${name}`)
  }
  return out
}

const describe = (v: unknown): string =>
  typeof v === 'object'
    ? JSON.stringify(v, (_k, x) => (typeof x === 'bigint' ? String(x) : x)).slice(0, 60)
    : String(v)

function fits(v: unknown, s: AttributeSpec): boolean {
  switch (s.kind) {
    case 'number':
      return typeof v === 'number'
    case 'scalar':
      return typeof v === 'number' || typeof v === 'bigint'
    case 'numbers':
      return Array.isArray(v) && v.every((x) => typeof x === 'number')
    case 'string':
      return typeof v === 'string' && (!s.oneOf || s.oneOf.includes(v))
    case 'strings':
      return Array.isArray(v) && v.every((x) => typeof x === 'string')
    case 'boolean':
      return typeof v === 'boolean'
    case 'tensor':
      return typeof v === 'object' && v !== null && 'dtype' in v
    case 'graph':
      return typeof v === 'object' && v !== null && 'nodes' in v
  }
}

// Shapes

/** The tensor type of input i; throws where the input is absent or no tensor. */
export function inputType(x: Infer, i: number): TensorType {
  const t = x.inputs[i]
  if (t?.kind !== 'tensor')
    throw new InputError(`input ${i}: expected a tensor, got ${t ? t.kind : 'nothing'}`)
  return t
}

/** One dimension after numpy broadcasting. */
function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === b) return a
  if (a === 1) return b
  if (b === 1) return a
  if (typeof a === 'number' && typeof b === 'number')
    throw new InputError(`shapes don't broadcast: ${a} against ${b}`)
  // A symbol against a number above 1: only the number (or 1) can be meant.
  return typeof a === 'number' ? a : typeof b === 'number' ? b : null
}

/** Numpy's multidirectional broadcasting. */
export function broadcastShapes(...shapes: Shape[]): Shape {
  let out: Dim[] = []
  for (const s of shapes) {
    if (s === null) return null
    const rank = Math.max(out.length, s.length)
    const previous = out
    out = Array.from({ length: rank }, (_, i) => {
      const a = i - (rank - previous.length)
      const b = i - (rank - s.length)
      return broadcastDim(a < 0 ? 1 : previous[a]!, b < 0 ? 1 : s[b]!)
    })
  }
  return out
}

/** A non-negative axis; throws where it lies outside. */
export function axisOf(axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(a) || a < 0 || a >= Math.max(rank, 1))
    throw new InputError(`axis: expected −${rank}..${rank - 1}, got ${axis}`)
  return a
}

/** The product of dimensions where all are numbers, else null. */
export const product = (dims: readonly Dim[]): number | null =>
  dims.reduce<number | null>((n, d) => (n === null || typeof d !== 'number' ? null : n * d), 1)
