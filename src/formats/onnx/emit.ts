// Building ONNX messages: a graph under construction, its names, and one node of ours as the row that writes it sees it.

import { create } from '@bufbuild/protobuf'
import { bitsOf, type DType } from '../../core/dtype.ts'
import { BugError } from '../../core/errors.ts'
import { bytesOfTensor, integers, type Tensor, tensorOf } from '../../core/tensor.ts'
import type { Attributes, Graph, Node, TensorType, Type, ValueId } from '../../ir/types.ts'
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  AttributeProto_AttributeType as Kind,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type TypeProto,
  TypeProtoSchema,
} from './schema/onnx_pb.ts'
import { dtypeCodes, int64s } from './tensors.ts'

/** A number is an integer unless wrapped: ONNX keeps the two apart. */
export type Value =
  | number
  | boolean
  | string
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | readonly number[]
  | readonly string[]
  | Tensor
  | { readonly graph: GraphProto }
  | { readonly type: TypeProto }
  | undefined

const utf8 = new TextEncoder()

/** The message of a tensor; its bytes are shared, not copied, but for 4-bit types. */
export function tensorProto(t: Tensor, name = ''): TensorProto {
  const base = { name, dims: t.shape.map(BigInt), dataType: dtypeCodes[t.dtype] }
  if (t.dtype === 'string')
    return create(TensorProtoSchema, { ...base, stringData: (t.data as string[]).map((s) => utf8.encode(s)) })
  if (bitsOf(t.dtype) === 4) {
    const packed = new Uint8Array(Math.ceil(t.data.length / 2))
    for (let i = 0; i < t.data.length; i++) packed[i >> 1]! |= (Number(t.data[i]) & 15) << (i % 2 ? 4 : 0)
    return create(TensorProtoSchema, { ...base, rawData: packed })
  }
  return create(TensorProtoSchema, { ...base, rawData: bytesOfTensor(t) })
}

export function typeProto(t: Type): TypeProto {
  if (t.kind !== 'tensor') {
    const elemType = typeProto(t.element)
    return create(TypeProtoSchema, {
      value:
        t.kind === 'sequence'
          ? { case: 'sequenceType', value: { elemType } }
          : { case: 'optionalType', value: { elemType } },
    })
  }
  const shape = t.shape && {
    dim: t.shape.map((d) => ({
      value:
        typeof d === 'number'
          ? ({ case: 'dimValue', value: BigInt(d) } as const)
          : d === null
            ? ({ case: undefined } as const)
            : ({ case: 'dimParam', value: d } as const),
    })),
  }
  return create(TypeProtoSchema, {
    value: { case: 'tensorType', value: { elemType: dtypeCodes[t.dtype], ...(shape && { shape }) } },
  })
}

function attributeProto(name: string, v: Exclude<Value, undefined>): AttributeProto {
  const make = (type: number, field: object): AttributeProto =>
    create(AttributeProtoSchema, { name, type: type as AttributeProto['type'], ...field })
  if (typeof v === 'number') return make(Kind.INT, { i: BigInt(v) })
  if (typeof v === 'boolean') return make(Kind.INT, { i: v ? 1n : 0n })
  if (typeof v === 'string') return make(Kind.STRING, { s: utf8.encode(v) })
  if (Array.isArray(v)) {
    return typeof v[0] === 'string'
      ? make(Kind.STRINGS, { strings: (v as string[]).map((s) => utf8.encode(s)) })
      : make(Kind.INTS, { ints: (v as number[]).map(BigInt) })
  }
  if ('float' in v) return make(Kind.FLOAT, { f: v.float })
  if ('floats' in v) return make(Kind.FLOATS, { floats: [...v.floats] })
  if ('graph' in v) return make(Kind.GRAPH, { g: v.graph })
  if ('type' in v) return make(Kind.TYPE_PROTO, { tp: v.type })
  if ('dtype' in v) return make(Kind.TENSOR, { t: tensorProto(v as Tensor) })
  throw new BugError(`attribute ${name}: no form for it`)
}

/** What all graphs of one model share. */
export type ModelState = {
  readonly names: Set<string>
  /** The operator set that rows may write for. */
  readonly target: number
  /** The lowest operator set of the standard domain that suffices. */
  opset: number
  microsoft: boolean
  readonly unsupported: Map<string, number>
}

/** A graph under construction. */
export class Emitter {
  readonly graph: Graph
  readonly state: ModelState
  readonly nodes: NodeProto[] = []
  readonly initializers: TensorProto[] = []
  private readonly valueNames = new Map<ValueId, string>()

  /** `given`: names for values that stand outside (a body's captured values). */
  constructor(graph: Graph, state: ModelState, given: ReadonlyMap<ValueId, string> = new Map()) {
    this.graph = graph
    this.state = state
    graph.values.forEach((v, i) => {
      this.valueNames.set(i, given.get(i) ?? this.fresh(v.name))
    })
  }

  fresh(name: string): string {
    let candidate = name
    for (let i = 2; this.state.names.has(candidate); i++) candidate = `${name}_${i}`
    this.state.names.add(candidate)
    return candidate
  }
  name(v: ValueId): string {
    return this.valueNames.get(v)!
  }
  add(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, Value>>,
    name: string,
    domain = '',
  ): void {
    const ins = [...inputs]
    while (ins.at(-1) === '') ins.pop()
    if (domain) this.state.microsoft = true
    this.nodes.push(
      create(NodeProtoSchema, {
        opType: op,
        domain,
        name,
        input: ins,
        output: [...outputs],
        attribute: Object.entries(attributes).flatMap(([k, v]) =>
          v === undefined ? [] : [attributeProto(k, v)],
        ),
      }),
    )
  }
  /** A constant that the writer needs. Not shared: optimisers of onnxruntime 1.30 that edit one in place crash on others. */
  constant(t: Tensor, name: string): string {
    const made = this.fresh(name)
    this.initializers.push(tensorProto(t, made))
    return made
  }
}

/** Thrown by a row for what ONNX can't say; collected. */
export class NotWritable extends Error {}

/** One node of ours, as its row sees it. */
export class Written {
  readonly e: Emitter
  readonly node: Node
  private steps = 0

  constructor(e: Emitter, node: Node) {
    this.e = e
    this.node = node
  }

  get a(): Attributes {
    return this.node.attributes
  }
  number(name: string): number {
    return this.a[name] as number
  }
  numbers(name: string): readonly number[] {
    return this.a[name] as readonly number[]
  }
  string(name: string): string {
    return this.a[name] as string
  }
  flag(name: string): boolean {
    return this.a[name] === true
  }
  float(name: string): Value {
    return this.a[name] === undefined ? undefined : { float: this.number(name) }
  }

  get count(): number {
    return this.node.inputs.length
  }
  has(i: number): boolean {
    return this.node.inputs[i] != null
  }
  in(i: number): string {
    const v = this.node.inputs[i]
    return v == null ? '' : this.e.name(v)
  }
  ins(): string[] {
    return this.node.inputs.map((_, i) => this.in(i))
  }
  out(i = 0): string {
    const v = this.node.outputs[i]
    return v === undefined ? '' : this.e.name(v)
  }
  outs(): string[] {
    return this.node.outputs.map((_, i) => this.out(i))
  }
  typeOf(v: ValueId | null | undefined): TensorType {
    const t = v == null ? undefined : this.e.graph.values[v]?.type
    if (t?.kind !== 'tensor') throw new BugError(`write: ${this.node.name}: expected a tensor`)
    return t
  }
  type(i: number): TensorType {
    return this.typeOf(this.node.inputs[i])
  }
  outType(i = 0): TensorType {
    return this.typeOf(this.node.outputs[i])
  }
  dtype(i = 0): DType {
    return this.type(i).dtype
  }
  rank(i: number): number {
    const n = this.type(i).shape?.length
    if (n === undefined) throw new NotWritable(`${this.node.op} of unknown rank`)
    return n
  }
  constantOf(i: number): Tensor | undefined {
    const v = this.node.inputs[i]
    return v == null ? undefined : this.e.graph.values[v]?.constant
  }
  /** Says that the operators used need this operator set at least. */
  needs(opset: number): void {
    this.e.state.opset = Math.max(this.e.state.opset, opset)
  }

  /** The node that makes our node's outputs. */
  emit(
    op: string,
    inputs: readonly string[] = this.ins(),
    attributes: Readonly<Record<string, Value>> = {},
    domain = '',
  ): void {
    this.e.add(op, inputs, this.outs(), attributes, this.node.name, domain)
  }
  /** A node on the way; returns its output's name. */
  mid(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Value>> = {},
    domain = '',
  ): string {
    const name = this.e.fresh(`${this.node.name}/${op}${this.steps++ || ''}`)
    this.e.add(op, inputs, [name], attributes, name, domain)
    return name
  }
  constant(t: Tensor): string {
    return this.e.constant(t, `${this.node.name}/constant`)
  }
  int64(values: readonly number[]): string {
    return this.constant(int64s(values))
  }
  scalar(value: number, dtype: DType = this.dtype()): string {
    return this.constant(tensorOf(dtype, [], [value]))
  }
  cast(name: string, from: DType, to: DType): string {
    return from === to ? name : this.mid('Cast', [name], { to: dtypeCodes[to] })
  }

  /** Input i as int64 (and, where `list`, of one dimension): what ONNX wants of shapes, axes and indices. */
  int64In(i: number, list = true): string {
    const v = this.node.inputs[i]
    if (v == null) return ''
    const { dtype, shape } = this.type(i)
    const flat = !list || shape?.length === 1
    if (dtype === 'int64' && flat) return this.in(i)
    const known = this.constantOf(i)
    if (known && list) return this.int64(integers(known))
    const wide = this.cast(this.in(i), dtype, 'int64')
    return flat ? wide : this.mid('Reshape', [wide, this.int64([-1])])
  }

  // Layout

  get last(): boolean {
    return this.a.layout === 'channelsLast'
  }
  /** Input i with its channels first. */
  first(i: number): string {
    if (!this.last) return this.in(i)
    const rank = this.rank(i)
    return this.mid('Transpose', [this.in(i)], { perm: toFirst(rank) })
  }
  /** Makes output 0 from an operator that works with channels first. */
  emitFirst(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Value>> = {},
    domain = '',
  ): void {
    if (!this.last) {
      this.e.add(op, inputs, this.outs(), attributes, this.node.name, domain)
      return
    }
    const rank = this.outType().shape?.length ?? this.rank(0)
    const y = this.mid(op, inputs, attributes, domain)
    this.e.add('Transpose', [y], [this.out()], { perm: toLast(rank) }, this.node.name)
  }
}

export const toFirst = (rank: number): number[] => [
  0,
  rank - 1,
  ...Array.from({ length: rank - 2 }, (_, i) => i + 1),
]
export const toLast = (rank: number): number[] => [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1]

export type WriteRow = (n: Written) => void
