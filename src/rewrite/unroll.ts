// Control flow that is known before running becomes plain nodes: loops whose number of steps follows from constants are written out,
// a branch that is decided is put in place of its `if`, one that isn't becomes both and a choice. Sequences that stay inside
// the graph are lists of values here and leave no node. What depends on data stays as it is.

import type { DType } from '../core/dtype.ts'
import { BugError, InputError } from '../core/errors.ts'
import { integers, sizeOf, type Tensor, tensorOf } from '../core/tensor.ts'
import { GraphBuilder, prune } from '../ir/graph.ts'
import { axisOf } from '../ir/op.ts'
import { fold, merge } from '../ir/specialize.ts'
import { type Attributes, type Graph, isStatic, type Node, type Type, type ValueId } from '../ir/types.ts'
import { rowOf } from './unroll-rows.ts'

export type UnrollOptions = {
  /** Operators that folding leaves alone. */
  readonly keep?: ReadonlySet<string>
  /** Most nodes that one loop may become. Default 50,000. */
  readonly limit?: number
}

/** What a name of the graph stands for: a value, the entries of a sequence, or nothing. */
export type Item = ValueId | readonly Item[] | null
export type Written = readonly Item[] | undefined

/** Whether `unroll` may have something to do. */
const hasControl = (graph: Graph): boolean => graph.nodes.some((n) => rowOf(n.op))

/** The graph with its control flow written out as far as it is known; the same graph where there is none. */
export function unroll(graph: Graph, options: UnrollOptions = {}): Graph {
  return hasControl(graph) ? new Unroller(graph, options).run() : graph
}

/** A loop became too long. */
class TooLong extends Error {}

export class Unroller {
  private readonly graph: Graph
  private readonly options: UnrollOptions
  readonly b: GraphBuilder
  /** One value a constant, however often its body is written out. */
  private readonly constants = new Map<Tensor, ValueId>()
  private readonly empties = new Map<Item, DType>()
  private most = Infinity
  /** Most nodes, and most steps, of one loop. */
  private readonly limit: number

  constructor(graph: Graph, options: UnrollOptions) {
    this.graph = graph
    this.options = options
    this.limit = options.limit ?? 50_000
    this.b = new GraphBuilder(graph.name)
  }

  run(): Graph {
    const { graph, b } = this
    const inputs = graph.inputs.map((v) => {
      const { name, type, quantization } = graph.values[v]!
      return b.input(name, type, quantization)
    })
    const outputs = this.body(graph, inputs, '')
    outputs.forEach((item, i) => {
      const id = this.value(item, graph.values[graph.outputs[i]!]!.name)
      if (id === null) throw new BugError(`unroll: output ${i} of ${graph.name} is nothing`)
      b.output(id)
    })
    return prune(b.finish())
  }

  /** Writes a graph's nodes out on the given inputs; its results. */
  body(graph: Graph, inputs: readonly Item[], prefix: string): Item[] {
    const items = new Map<ValueId, Item>(graph.inputs.map((v, i) => [v, inputs[i] ?? null]))
    const to = (v: ValueId | null): Item => {
      if (v === null) return null
      const known = items.get(v)
      if (known !== undefined) return known
      const { constant, name, quantization } = graph.values[v]!
      if (!constant) throw new BugError(`unroll: value ${name} is used before it is made`)
      let id = this.constants.get(constant)
      if (id === undefined) {
        id = this.b.constant(constant, name, quantization)
        this.constants.set(constant, id)
      }
      items.set(v, id)
      return id
    }
    for (const node of graph.nodes) {
      const results = this.node(graph, node, node.inputs.map(to), prefix)
      node.outputs.forEach((v, k) => void items.set(v, results[k] ?? null))
    }
    return graph.outputs.map(to)
  }

  private node(graph: Graph, node: Node, inputs: readonly Item[], prefix: string): readonly Item[] {
    const { b } = this
    if (b.size().nodes > this.most) throw new TooLong()
    const name = `${prefix}${node.name}`
    const row = rowOf(node.op)
    const writtenOut = row && this.attempt(() => row(this, node.attributes, inputs, name))
    if (writtenOut) return writtenOut
    const args = inputs.map((item) => this.value(item, name))
    const names = node.outputs.map((v) => `${prefix}${graph.values[v]!.name}`)
    const results = fold(b, node, args, this.options)
    if (results) return results.map((t, k) => b.constant(t, names[k]!))
    const made = b.nodeOutputs(node.op, args, node.attributes, {
      name,
      outputs: names,
      origin: prefix === '' ? node.origin : [...node.origin, 'unroll'],
      quantization: node.outputs.map((v) => graph.values[v]!.quantization),
    })
    // The file may know more of its own values than inference does.
    if (prefix === '')
      made.forEach((v, k) => {
        b.refine(v, merge(b.type(v), graph.values[node.outputs[k]!]!.type))
      })
    return made
  }

  /** Nothing where it gets too long. */
  private attempt(row: () => Written): Written {
    const { most } = this
    const start = this.b.size().nodes
    this.most = Math.min(most, start + this.limit)
    try {
      return row()
    } catch (e) {
      // What was written so far is unused, and pruned. An outer loop that gets too long is the outer one's to give up; a branch whose
      // shapes contradict each other is one that isn't taken, which only the run knows.
      const outer = e instanceof TooLong && this.b.size().nodes > most
      if (outer || !(e instanceof TooLong || e instanceof InputError)) throw e
      return undefined
    } finally {
      this.most = most === Infinity ? most : most + this.b.size().nodes - start
    }
  }

  // What holds of an item

  constant(item: Item | undefined): Tensor | undefined {
    return typeof item === 'number' ? this.b.constantOf(item) : undefined
  }
  whole(item: Item | undefined): number | undefined {
    const t = this.constant(item)
    return t && Number(integers(t)[0])
  }
  shape(item: Item | undefined): readonly number[] | undefined {
    const type = typeof item === 'number' ? this.b.type(item) : undefined
    return type?.kind === 'tensor' && isStatic(type.shape) ? type.shape : undefined
  }
  list(item: Item | undefined): readonly Item[] | undefined {
    return Array.isArray(item) ? item : undefined
  }

  /** The item as one value: a list becomes a sequence again. */
  private value(item: Item, name: string): ValueId | null {
    if (typeof item === 'number' || item === null) return item
    if (item.length === 0) {
      const dtype = this.empties.get(item) ?? 'float32'
      return this.b.node('sequenceEmpty', [], { dtype }, { name: `${name}.empty` })
    }
    const entries = item.map((x) => this.value(x, name))
    return this.b.node('sequenceConstruct', entries, {}, { name: `${name}.list` })
  }

  /** Says that step i of a loop is being written out. */
  begin(i: number): void {
    if (i >= this.limit) throw new TooLong()
  }

  /** A list of nothing that remembers of what. */
  empty(dtype: DType): Item {
    const list: Item[] = []
    this.empties.set(list, dtype)
    return list
  }

  // Small pieces of graph

  op(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes, name: string): ValueId {
    return this.b.node(op, inputs, attributes, { name, origin: ['unroll'] })
  }
  numbers(values: readonly number[]): ValueId {
    return this.b.constant(tensorOf('int64', [values.length], values.map(BigInt)), 'at')
  }
  /** Entries `from` to `to` of an axis. */
  slice(x: ValueId, axis: number, from: number, to: number, name: string): ValueId {
    return this.op('slice', [x, ...[from, to, axis].map((n) => this.numbers([n]))], {}, `${name}.slice`)
  }
  withoutAxis(x: ValueId, axis: number, name: string): ValueId {
    const shape = this.shape(x)!.filter((_, d) => d !== axis)
    return this.op('reshape', [x, this.numbers(shape)], { allowZero: true }, `${name}.entry`)
  }
  /** Values of one shape as entries of a new axis; undefined where a shape is open. */
  stack(parts: readonly Item[], axisGiven: number, name: string): ValueId | undefined {
    const shapes = parts.map((p) => this.shape(p))
    const first = shapes[0]
    if (!first || shapes.some((s) => s?.join() !== first.join())) return undefined
    const axis = axisOf(axisGiven, first.length + 1)
    const wide = this.numbers([...first.slice(0, axis), 1, ...first.slice(axis)])
    const entries = parts.map((p) =>
      this.op('reshape', [p as ValueId, wide], { allowZero: true }, `${name}.entry`),
    )
    return entries.length === 1 ? entries[0]! : this.op('concat', entries, { axis }, `${name}.stack`)
  }
  /** No entries of what a body's output is. */
  noEntries(body: Graph, output: number, axis: number): ValueId | undefined {
    const { type } = body.values[body.outputs[output]!]!
    if (type.kind !== 'tensor') return undefined
    const shape = (type.shape ?? []).map((d) => (typeof d === 'number' ? d : 0))
    const k = axis < 0 ? axis + shape.length + 1 : axis
    return this.b.constant(tensorOf(type.dtype, [...shape.slice(0, k), 0, ...shape.slice(k)], []), 'none')
  }
  /** a where the condition holds, else b; undefined where they don't have one shape. */
  choice(condition: ValueId, a: Item, b: Item, name: string): Item | undefined {
    if (a === b) return a
    const [p, q] = [a, b].map((x) => (typeof x === 'number' ? this.b.type(x) : undefined))
    if (p?.kind !== 'tensor' || q?.kind !== 'tensor' || p.dtype !== q.dtype) return undefined
    const [s, t] = [this.shape(a), this.shape(b)]
    if (!s || s.join() !== t?.join()) return undefined
    return this.op('where', [condition, a as ValueId, b as ValueId], {}, `${name}.choice`)
  }
  /** A condition of one element as a scalar. */
  scalarOf(condition: Item | undefined, name: string): ValueId | undefined {
    const shape = this.shape(condition)
    if (!shape || sizeOf(shape) !== 1) return undefined
    const c = condition as ValueId
    return shape.length === 0 ? c : this.op('reshape', [c, this.numbers([])], {}, `${name}.condition`)
  }
  held(item: Item | undefined): boolean {
    if (this.list(item)) return true
    const type: Type | undefined = typeof item === 'number' ? this.b.type(item) : undefined
    return type !== undefined && type.kind !== 'optional'
  }
}
