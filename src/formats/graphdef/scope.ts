// Turning TensorFlow nodes into graph nodes, on demand: a value is made when something asks for it. Bodies of loops and
// branches are scopes of their own. Small integer vectors (shapes and what is computed from them) are followed while they are
// known, so that reshapes and windows get numbers where the batch alone is open.

import { InputError, UnsupportedError } from '../../core/errors.ts'
import { integers, type Tensor } from '../../core/tensor.ts'
import type { Dim, ValueId } from '../../ir/types.ts'
import type { Sketch } from '../sketch.ts'
import { type GraphDef, type NodeAttributes, type NodeDef, parseRef } from './graph.ts'

/** What a TensorFlow output becomes. A TensorList is no value of the graph: it is followed while reading. */
export type Item =
  | { readonly kind: 'tensor'; readonly value: ValueId }
  /** The elements lie along axis 0 of a tensor. */
  | { readonly kind: 'stacked'; readonly value: ValueId }
  /** Reserved and not written yet. */
  | { readonly kind: 'reserved'; readonly count: number | null }
  /** A list that a loop carries, as its body sees it. */
  | { readonly kind: 'carried'; readonly slot: number }
  /** The carried list after one element was set. */
  | { readonly kind: 'written'; readonly slot: number; readonly index: ValueId; readonly value: ValueId }

export type NodeCall = {
  readonly s: Sketch
  readonly scope: Scope
  readonly def: NodeDef
  readonly a: NodeAttributes
  readonly items: readonly Item[]
}

/** Turns one node into the items of its outputs. */
export type Handler = (x: NodeCall) => readonly Item[]

/** How a document's nodes are turned, whatever the scope. */
export type Rules = {
  readonly def: GraphDef
  readonly where: string
  /** Weights by the names of their Const nodes. */
  readonly constants: ReadonlyMap<string, Tensor>
  handler(op: string): Handler | undefined
  /** Nodes that stand for a whole region (the end of a loop): what they need first, and how they are made. */
  region(def: NodeDef, scope: Scope): { needs: readonly string[]; make: () => readonly Item[] } | null
}

/** Longest vector whose numbers are followed. */
const MAX_FOLLOWED = 64

export class Scope {
  readonly s: Sketch
  readonly rules: Rules
  readonly nodes: ReadonlyMap<string, NodeDef>
  private readonly made: Map<string, readonly Item[]>
  private readonly followed = new Map<ValueId, readonly Dim[]>()
  /** Which node made a value, and from what: to recognise counters. */
  private readonly makers = new Map<ValueId, { op: string; items: readonly Item[] }>()
  private readonly depth: number

  constructor(
    s: Sketch,
    rules: Rules,
    nodes: ReadonlyMap<string, NodeDef>,
    bound: Iterable<readonly [string, readonly Item[]]> = [],
    depth = 0,
  ) {
    // Control flow inside control flow: bodies are read recursively.
    if (depth > 16)
      throw new InputError(`${rules.where}: loops, branches and functions nested deeper than 16`)
    this.s = s
    this.rules = rules
    this.nodes = nodes
    this.made = new Map(bound)
    this.depth = depth
  }

  /** A scope inside this one. */
  inner(
    s: Sketch,
    nodes: ReadonlyMap<string, NodeDef>,
    bound: Iterable<readonly [string, readonly Item[]]>,
  ): Scope {
    return new Scope(s, this.rules, nodes, bound, this.depth + 1)
  }

  /** The item of a reference (`name`, `name:1`), made with all it needs. */
  resolve(ref: string): Item {
    const r = parseRef(ref)
    if (!r) throw new InputError(`${this.rules.where}: a control input where a value was expected: ${ref}`)
    this.make(r.node)
    const def = this.nodes.get(r.node)
    const base = r.argument && def ? outputOffset(def.op, r.argument) : 0
    const item = this.made.get(r.node)![base + r.output]
    if (!item) throw new InputError(`${this.rules.where}: node ${r.node} has no output ${r.output}`)
    return item
  }

  /** The value of a reference; throws where it is a list. */
  value(ref: string): ValueId {
    return this.asValue(this.resolve(ref), ref)
  }
  asValue(item: Item | undefined, what: string): ValueId {
    if (item?.kind !== 'tensor')
      throw new InputError(
        `${this.rules.where}: ${what}: expected a tensor, got ${item ? `a list (${item.kind})` : 'nothing'}`,
      )
    return item.value
  }

  /** Makes a node and all it depends on, without recursion: chains may be long. */
  private make(name: string): void {
    const path = [name]
    const open = new Set<string>()
    while (path.length) {
      const top = path.at(-1)!
      if (this.made.has(top)) {
        path.pop()
        continue
      }
      const def = this.nodes.get(top)
      if (!def) throw new InputError(`${this.rules.where}: node ${top} doesn't exist`)
      const region = this.rules.region(def, this)
      const needs = region ? region.needs : def.inputs
      let waiting = false
      for (const ref of needs) {
        const r = parseRef(ref)
        if (!r || this.made.has(r.node)) continue
        if (open.has(r.node) || r.node === top)
          throw new InputError(`${this.rules.where}: node ${r.node} depends on itself`)
        path.push(r.node)
        waiting = true
      }
      if (waiting) {
        open.add(top)
        continue
      }
      this.made.set(top, region ? region.make() : this.turn(def))
      open.delete(top)
      path.pop()
    }
  }

  private turn(def: NodeDef): readonly Item[] {
    const handler = this.rules.handler(def.op)
    if (!handler) throw new UnsupportedError(this.rules.where, [{ op: def.op, count: 1 }])
    const items: Item[] = []
    for (const ref of def.inputs) {
      const r = parseRef(ref)
      if (r) items.push(this.resolve(ref))
    }
    const before = this.s.enter(def.name)
    let out: readonly Item[]
    try {
      out = handler({ s: this.s, scope: this, def, a: def.attributes, items })
    } catch (e) {
      if (e instanceof InputError && !e.message.includes(`node ${def.name}`))
        throw new InputError(`${this.rules.where}: ${def.where}: ${e.message}`)
      throw e
    }
    this.s.enter(before)
    for (const item of out) {
      if (item.kind === 'tensor' && !this.makers.has(item.value))
        this.makers.set(item.value, { op: def.op, items })
    }
    return out
  }

  /** What is known of a small integer tensor of rank 0 or 1: its numbers, symbols or null each; null where nothing is. */
  follow(v: ValueId): readonly Dim[] | null {
    const known = this.followed.get(v)
    if (known) return known
    const t = this.s.b.constantOf(v)
    if (!t || t.shape.length > 1 || t.data.length > MAX_FOLLOWED || !/int/.test(t.dtype)) return null
    return integers(t)
  }
  noteFollowed(v: ValueId, dims: readonly Dim[]): void {
    if (dims.length <= MAX_FOLLOWED) this.followed.set(v, dims)
  }
  makerOf(v: ValueId): { op: string; items: readonly Item[] } | undefined {
    return this.makers.get(v)
  }
}

/** Operators with several named outputs, for references in functions (`node:indices:0`). */
const outputNames: Readonly<Record<string, readonly string[]>> = {
  TopKV2: ['values', 'indices'],
  Switch: ['output_false', 'output_true'],
  FusedBatchNorm: ['y', 'batch_mean', 'batch_variance'],
  FusedBatchNormV2: ['y', 'batch_mean', 'batch_variance'],
  FusedBatchNormV3: ['y', 'batch_mean', 'batch_variance'],
  Unique: ['y', 'idx'],
  Merge: ['output', 'value_index'],
}
const outputOffset = (op: string, argument: string): number =>
  Math.max(0, Object.hasOwn(outputNames, op) ? outputNames[op]!.indexOf(argument) : 0)

export const tensorItem = (value: ValueId): Item => ({ kind: 'tensor', value })

/** Input i as a value. */
export function input(x: NodeCall, i: number): ValueId {
  return x.scope.asValue(x.items[i], `${x.def.where}: input ${i}`)
}

/** Input i as a constant; its content decides what is built. */
export function constant(x: NodeCall, i: number, what: string): Tensor {
  const t = x.s.b.constantOf(input(x, i))
  if (!t)
    throw new UnsupportedError(x.scope.rules.where, [{ op: `${x.def.op} with a computed ${what}`, count: 1 }])
  return t
}

/** Input i as known integers. */
export function numbersAt(x: NodeCall, i: number, what: string): number[] {
  const dims = x.scope.follow(input(x, i))
  if (dims?.every((d) => typeof d === 'number')) return dims as number[]
  throw new UnsupportedError(x.scope.rules.where, [{ op: `${x.def.op} with a computed ${what}`, count: 1 }])
}
