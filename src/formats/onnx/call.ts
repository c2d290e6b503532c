// One node of the file, as its row sees it: attributes with their defaults, input types and constants, ways to add nodes.

import type { DType } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { integers, type Tensor, tensorOf } from '../../core/tensor.ts'
import type { GraphBuilder } from '../../ir/graph.ts'
import type { Attributes, Dim, Graph, Shape, TensorType, Type, ValueId } from '../../ir/types.ts'
import type { AttributeProto, GraphProto, NodeProto } from './schema/onnx_pb.ts'
import { dtypeFrom, type External, int64s, readTensor } from './tensors.ts'

/** Thrown by a row for what it can't express; collected, so that everything is listed at once. */
export class NotSupported extends Error {
  readonly nearest: string | undefined
  constructor(what: string, nearest?: string) {
    super(what)
    this.nearest = nearest
  }
}

/** A body and the values of the surrounding graph that it uses, in the order of its extra inputs. */
export type Body = { readonly graph: Graph; readonly captured: readonly ValueId[] }

/** What a node needs of the file and of its graph. */
export type Surroundings = {
  readonly b: GraphBuilder
  readonly external: External
  /** Versions of the operator sets in force. */
  opset(domain: string): number
  /** Follows a reference to an attribute of the function that the node stands in. */
  resolve(a: AttributeProto): AttributeProto | undefined
  body(g: GraphProto, name: string, inputTypes?: readonly (Type | null)[]): Body
}

const utf8 = new TextDecoder('utf-8')

export class Call {
  readonly node: NodeProto
  readonly context: Surroundings
  readonly b: GraphBuilder
  readonly op: string
  readonly name: string
  readonly opset: number
  readonly inputs: readonly (ValueId | null)[]
  private readonly attributes = new Map<string, AttributeProto>()

  constructor(node: NodeProto, name: string, inputs: readonly (ValueId | null)[], context: Surroundings) {
    this.node = node
    this.context = context
    this.b = context.b
    this.op = node.opType
    this.name = name
    this.opset = context.opset(node.domain)
    this.inputs = inputs
    for (const a of node.attribute) {
      const resolved = a.refAttrName ? context.resolve(a) : a
      if (resolved) this.attributes.set(a.name, resolved)
    }
  }

  get where(): string {
    return `${this.context.external.where}: node ${this.name} (${this.op})`
  }

  fail(what: string): never {
    throw new InputError(`${this.where}: ${what}`)
  }

  // Attributes

  has(name: string): boolean {
    return this.attributes.has(name)
  }
  private attribute(name: string): AttributeProto {
    return this.attributes.get(name) ?? this.fail(`attribute ${name} is missing`)
  }
  int(name: string, otherwise?: number): number {
    if (otherwise !== undefined && !this.has(name)) return otherwise
    return Number(this.attribute(name).i)
  }
  flag(name: string, otherwise = false): boolean {
    return this.int(name, otherwise ? 1 : 0) !== 0
  }
  float(name: string, otherwise?: number): number {
    if (otherwise !== undefined && !this.has(name)) return otherwise
    return this.attribute(name).f
  }
  string(name: string, otherwise?: string): string {
    if (otherwise !== undefined && !this.has(name)) return otherwise
    return utf8.decode(this.attribute(name).s)
  }
  ints(name: string): number[] | undefined {
    return this.has(name) ? this.attribute(name).ints.map(Number) : undefined
  }
  floats(name: string): number[] | undefined {
    return this.has(name) ? this.attribute(name).floats : undefined
  }
  strings(name: string): string[] | undefined {
    return this.has(name) ? this.attribute(name).strings.map((s) => utf8.decode(s)) : undefined
  }
  tensor(name: string): Tensor | undefined {
    const t = this.attributes.get(name)?.t
    return t && readTensor(t, this.context.external)
  }
  raw(name: string): AttributeProto | undefined {
    return this.attributes.get(name)
  }
  graph(name: string): GraphProto {
    return this.attribute(name).g ?? this.fail(`attribute ${name}, expected a graph`)
  }
  /** The element type that an attribute names. */
  dtype(name: string, otherwise?: DType): DType {
    if (otherwise !== undefined && !this.has(name)) return otherwise
    return dtypeFrom(this.int(name), this.where)
  }

  // Inputs

  /** Input i; throws where it is absent. */
  in(i: number): ValueId {
    return this.inputs[i] ?? this.fail(`input ${i} is missing`)
  }
  get(i: number): ValueId | null {
    return this.inputs[i] ?? null
  }
  type(i: number): TensorType {
    return this.typeOf(this.in(i))
  }
  typeOf(id: ValueId): TensorType {
    const t = this.b.type(id)
    return t.kind === 'tensor' ? t : this.fail(`expected a tensor, got a ${t.kind}`)
  }
  shape(i: number): Shape {
    return this.type(i).shape
  }
  /** The rank of input i, which the row can't do without. */
  rank(i: number): number {
    return this.shape(i)?.length ?? this.open(`an input of unknown rank`)
  }
  open(what: string): never {
    throw new NotSupported(`${this.op} with ${what}`, 'a model with known shapes')
  }
  constant(i: number): Tensor | undefined {
    const id = this.inputs[i]
    return id == null ? undefined : this.b.constantOf(id)
  }
  constantInts(i: number): number[] | undefined {
    const t = this.constant(i)
    return t && integers(t)
  }

  // Making nodes

  /** How many outputs the file uses, counting up to the last that has a name. */
  get outputCount(): number {
    let n = this.node.output.length
    while (n > 0 && !this.node.output[n - 1]) n--
    return n
  }
  /** The node that gives the file's outputs, under the file's names. */
  out(op: string, inputs: readonly (ValueId | null)[] = this.inputs, attributes: Attributes = {}): ValueId[] {
    return this.b.nodeOutputs(op, inputs, defined(attributes), {
      name: this.name,
      outputs: this.node.output.slice(0, Math.max(1, this.outputCount)),
      origin: [this.name],
    })
  }
  /** The same where only the first `count` outputs come from this node. */
  outs(
    count: number,
    op: string,
    inputs: readonly (ValueId | null)[],
    attributes: Attributes = {},
  ): ValueId[] {
    return this.b.nodeOutputs(op, inputs, defined(attributes), {
      name: this.name,
      outputs: Array.from({ length: count }, (_, i) => this.node.output[i] ?? ''),
      origin: [this.name],
    })
  }
  /** A node on the way, named after this one. */
  mid(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes = {}): ValueId {
    return this.mids(1, op, inputs, attributes)[0]!
  }
  mids(
    count: number,
    op: string,
    inputs: readonly (ValueId | null)[],
    attributes: Attributes = {},
  ): ValueId[] {
    return this.b.nodeOutputs(op, inputs, defined(attributes), {
      name: `${this.name}/${op}`,
      outputs: new Array<string>(count).fill(''),
      origin: [this.name],
    })
  }
  const(t: Tensor, name = 'constant'): ValueId {
    return this.b.constant(t, `${this.name}/${name}`)
  }
  int64(values: readonly number[], name = 'constant'): ValueId {
    return this.const(int64s(values), name)
  }
  scalar(dtype: DType, value: number, shape: readonly number[] = []): ValueId {
    return this.const(tensorOf(dtype, shape, [value]))
  }
  cast(id: ValueId, to: DType): ValueId {
    return this.typeOf(id).dtype === to ? id : this.mid('cast', [id], { to })
  }
  /** An axis counted from the front. */
  axis(axis: number, rank: number): number {
    const a = axis < 0 ? axis + rank : axis
    if (!(a >= 0 && a < rank)) this.fail(`axis, expected −${rank}..${rank - 1}, got ${axis}`)
    return a
  }
  /** The dimensions of input i that are plain numbers from `start` on, or fails with what is open. */
  fixed(dims: readonly Dim[], what: string): number[] {
    return dims.map((d) => (typeof d === 'number' ? d : this.open(`${what} of unknown extent`)))
  }
}

/** Attributes without those left undefined. */
const defined = (a: Attributes): Attributes =>
  Object.fromEntries(Object.entries(a).filter(([, v]) => v !== undefined))

export type Row = (c: Call) => ValueId[]
