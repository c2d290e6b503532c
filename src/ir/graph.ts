// Making graphs: a builder that infers types as it goes, and small views of a finished graph.

import { BugError, InputError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import { completeAttributes, type Infer, type Op } from './op.ts'
import { opNamed } from './ops/index.ts'
import {
  type Attributes,
  type Graph,
  type Node,
  type Quantization,
  type Type,
  typeOf,
  type Value,
  type ValueId,
} from './types.ts'

export type NodeOptions = {
  readonly name?: string
  /** Names for the outputs; made from the node's name where absent. Also says how many outputs there are. */
  readonly outputs?: readonly string[]
  readonly origin?: readonly string[]
  readonly quantization?: readonly (Quantization | undefined)[]
}

/** Infers a node's output types; errors name the operator and the node. */
export function inferNode(opName: string, op: Op, x: Infer, where: string): readonly Type[] {
  try {
    return op.infer(x)
  } catch (e) {
    if (e instanceof InputError) throw new InputError(`${where} (${opName}): ${e.message}`)
    throw e
  }
}

/** Builds a graph in order. Values are numbered as they are made; names are kept unique. */
export class GraphBuilder {
  readonly name: string
  private readonly values: Value[] = []
  private readonly nodes: Node[] = []
  private readonly inputs: ValueId[] = []
  private readonly outputs: ValueId[] = []
  /** Names that are taken, each with the number that the next of that name gets: a network may have thousands of one name. */
  private readonly names = new Map<string, number>()
  private readonly nodeNames = new Map<string, number>()
  private readonly producers = new Map<ValueId, number>()

  constructor(name: string) {
    this.name = name
  }

  private unique(name: string, taken: Map<string, number>): string {
    let candidate = name
    let next = taken.get(name) ?? 2
    while (taken.has(candidate)) candidate = `${name}_${next++}`
    taken.set(candidate, 2)
    if (candidate !== name) taken.set(name, next)
    return candidate
  }

  private add(value: Value): ValueId {
    this.values.push({ ...value, name: this.unique(value.name || 'value', this.names) })
    return this.values.length - 1
  }

  input(name: string, type: Type, quantization?: Quantization): ValueId {
    const id = this.add({ name, type, ...(quantization && { quantization }) })
    this.inputs.push(id)
    return id
  }

  constant(tensor: Tensor, name = 'constant', quantization?: Quantization): ValueId {
    return this.add({ name, type: typeOf(tensor), constant: tensor, ...(quantization && { quantization }) })
  }

  /** Adds a node and returns its outputs. */
  nodeOutputs(
    opName: string,
    inputs: readonly (ValueId | null | undefined)[],
    attributes: Attributes = {},
    options: NodeOptions = {},
  ): ValueId[] {
    const op = opNamed(opName)
    if (!op) throw new BugError(`graph: no operator ${opName}`)
    const name = this.unique(options.name || `${opName}_${this.nodes.length}`, this.nodeNames)
    const where = `node ${name}`
    const ids = inputs.map((i) => i ?? null)
    while (ids.length > op.inputs[0] && ids.at(-1) === null) ids.pop()
    if (ids.length < op.inputs[0] || ids.length > op.inputs[1]) {
      throw new InputError(
        `${where} (${opName}): expected ${op.inputs[0]} to ${op.inputs[1]} inputs, got ${ids.length}`,
      )
    }
    let complete: Attributes
    try {
      complete = completeAttributes(opName, op.attributes, attributes)
    } catch (e) {
      if (e instanceof InputError) throw new InputError(`${where}: ${e.message}`)
      throw e
    }
    const count = options.outputs?.length ?? op.outputs?.[0] ?? 1
    const types = inferNode(
      opName,
      op,
      {
        inputs: ids.map((i) => (i === null ? null : this.values[i]!.type)),
        constants: ids.map((i) => (i === null ? null : (this.values[i]!.constant ?? null))),
        attributes: complete,
        outputs: count,
      },
      where,
    )
    if (types.length < count)
      throw new InputError(`${where} (${opName}): expected at most ${types.length} outputs, got ${count}`)
    const outputs = Array.from({ length: count }, (_, i) =>
      this.add({
        name: options.outputs?.[i] || (count === 1 ? name : `${name}:${i}`),
        type: types[i]!,
        ...(options.quantization?.[i] && { quantization: options.quantization[i] }),
      }),
    )
    for (const v of outputs) this.producers.set(v, this.nodes.length)
    this.nodes.push({
      op: opName,
      name,
      inputs: ids,
      outputs,
      attributes: complete,
      origin: options.origin ?? [name],
    })
    return outputs
  }

  /** Adds a node of one output and returns it. */
  node(
    opName: string,
    inputs: readonly (ValueId | null | undefined)[],
    attributes: Attributes = {},
    options: NodeOptions = {},
  ): ValueId {
    return this.nodeOutputs(opName, inputs, attributes, options)[0]!
  }

  /** How many values and nodes there are so far. */
  size(): { readonly values: number; readonly nodes: number } {
    return { values: this.values.length, nodes: this.nodes.length }
  }

  /** States where the nodes made since `from` come from. */
  mark(from: { readonly nodes: number }, origin: readonly string[]): void {
    for (let i = from.nodes; i < this.nodes.length; i++) this.nodes[i] = { ...this.nodes[i]!, origin }
  }

  output(id: ValueId): void {
    this.outputs.push(id)
  }

  type(id: ValueId): Type {
    return this.values[id]!.type
  }

  /** The node that makes a value; undefined for inputs and constants. */
  producer(id: ValueId): Node | undefined {
    const i = this.producers.get(id)
    return i === undefined ? undefined : this.nodes[i]
  }

  constantOf(id: ValueId): Tensor | undefined {
    return this.values[id]!.constant
  }

  nameOf(id: ValueId): string {
    return this.values[id]!.name
  }

  /** Replaces what is known of a value's type (a file's own shape where inference knows less). */
  refine(id: ValueId, type: Type): void {
    this.values[id] = { ...this.values[id]!, type }
  }

  finish(): Graph {
    return {
      name: this.name,
      values: this.values,
      nodes: this.nodes,
      inputs: this.inputs,
      outputs: this.outputs,
    }
  }
}

/**
 * A copy of a graph in the making: inputs at once, constants when they are first asked for, nodes one by one, as they are or otherwise.
 * Into a builder that may hold more.
 */
export class GraphCopy {
  readonly b: GraphBuilder
  private readonly graph: Graph
  private readonly map = new Map<ValueId, ValueId>()

  constructor(graph: Graph, b = new GraphBuilder(graph.name)) {
    this.graph = graph
    this.b = b
    for (const v of graph.inputs) {
      const { name, type, quantization } = graph.values[v]!
      this.set(v, b.input(name, type, quantization))
    }
  }

  /** Says what stands for a value. */
  set(v: ValueId, copy: ValueId): void {
    this.map.set(v, copy)
  }

  /** What stands for a value. */
  to(v: ValueId): ValueId {
    const known = this.map.get(v)
    if (known !== undefined) return known
    const { name, constant, quantization } = this.graph.values[v]!
    if (!constant) throw new BugError(`copy of ${this.graph.name}: ${name} is used before it is made`)
    const made = this.b.constant(constant, name, quantization)
    this.set(v, made)
    return made
  }

  operands(n: Node): (ValueId | null)[] {
    return n.inputs.map((v) => (v === null ? null : this.to(v)))
  }

  /** The same node, with what the graph knows of its results. */
  node(n: Node, inputs: readonly (ValueId | null)[] = this.operands(n)): readonly ValueId[] {
    const values = n.outputs.map((v) => this.graph.values[v]!)
    const made = this.b.nodeOutputs(n.op, inputs, n.attributes, {
      name: n.name,
      outputs: values.map((v) => v.name),
      origin: n.origin,
      quantization: values.map((v) => v.quantization),
    })
    made.forEach((v, k) => {
      this.b.refine(v, values[k]!.type)
      this.set(n.outputs[k]!, v)
    })
    return made
  }

  /** Marks the outputs; the whole graph that the builder holds. */
  finish(): Graph {
    for (const v of this.graph.outputs) this.b.output(this.to(v))
    return this.b.finish()
  }
}

/** For each value the node that makes it, or −1. */
export function producers(graph: Graph): Int32Array {
  const by = new Int32Array(graph.values.length).fill(-1)
  graph.nodes.forEach((n, i) => {
    for (const o of n.outputs) by[o] = i
  })
  return by
}

/** For each value the nodes that read it, in order. */
export function consumers(graph: Graph): number[][] {
  const by: number[][] = graph.values.map(() => [])
  graph.nodes.forEach((n, i) => {
    for (const v of new Set(n.inputs)) if (v !== null) by[v]!.push(i)
  })
  return by
}

/** The same graph with the given values as outputs as well: how any inner value of any target is read. */
export function withOutputs(graph: Graph, extra: readonly ValueId[]): Graph {
  const have = new Set(graph.outputs)
  return { ...graph, outputs: [...graph.outputs, ...extra.filter((v) => !have.has(v))] }
}

/** The graph without nodes and values that no output needs. Inputs stay. */
export function prune(graph: Graph): Graph {
  const needed = new Set<ValueId>(graph.outputs)
  const keep = new Array<boolean>(graph.nodes.length).fill(false)
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const n = graph.nodes[i]!
    if (!n.outputs.some((o) => needed.has(o))) continue
    keep[i] = true
    for (const v of n.inputs) if (v !== null) needed.add(v)
    for (const v of n.outputs) needed.add(v)
  }
  for (const v of graph.inputs) needed.add(v)
  const index = new Int32Array(graph.values.length).fill(-1)
  const values: Value[] = []
  graph.values.forEach((v, i) => {
    if (needed.has(i)) index[i] = values.push(v) - 1
  })
  const to = (v: ValueId): ValueId => index[v]!
  return {
    ...graph,
    values,
    nodes: graph.nodes
      .filter((_, i) => keep[i])
      .map((n) => ({
        ...n,
        inputs: n.inputs.map((v) => (v === null ? null : to(v))),
        outputs: n.outputs.map(to),
      })),
    inputs: graph.inputs.map(to),
    outputs: graph.outputs.map(to),
  }
}
