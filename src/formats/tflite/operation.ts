// One operator of the file, as its row sees it: its tensors, its options, and the ways to add nodes for it.

import { InputError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import { tensorOf } from '../../core/tensor.ts'
import type { GraphBuilder } from '../../ir/graph.ts'
import { transposed } from '../../ir/ops/elements.ts'
import type { Attributes, Dim, Shape, Type, ValueId } from '../../ir/types.ts'
import { ActivationFunctionType } from './schema/tables.ts'
import type { TensorInfo } from './tensors.ts'

/** Thrown by a row for what it can't express; collected, so that all is listed at once. */
export class NotSupported extends Error {
  readonly nearest: string | undefined
  constructor(what: string, nearest?: string) {
    super(what)
    this.nearest = nearest
  }
}

/** What an operation needs of its subgraph. */
export type Surroundings = {
  readonly b: GraphBuilder
  readonly tensors: readonly TensorInfo[]
  readonly where: string
  /** The value of a tensor; makes constants on first use. */
  value(index: number): ValueId
  /** The content of a tensor that doesn't change: in the file, or folded on reading. */
  constant(index: number): Tensor | undefined
  /** A layout of a constant, made once. */
  cached(index: number, form: string, make: (t: Tensor) => Tensor): ValueId
  setValue(index: number, id: ValueId): void
  /** Adds another subgraph's operators to a builder. */
  inline(index: number, b: GraphBuilder, inputs: readonly ValueId[]): ValueId[]
  subgraphInputs(index: number): readonly TensorInfo[]
}

export class Operation {
  readonly op: string
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
  readonly custom: Uint8Array | undefined
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  /** Tensors that only carry the scales of what is computed inside. */
  readonly intermediates: readonly number[]
  readonly context: Surroundings
  readonly b: GraphBuilder

  constructor(
    context: Surroundings,
    op: string,
    position: number,
    options: Readonly<Record<string, unknown>>,
    custom: Uint8Array | undefined,
    inputs: readonly number[],
    outputs: readonly number[],
    intermediates: readonly number[],
  ) {
    this.context = context
    this.b = context.b
    this.op = op
    this.name = `${op}_${position}`
    this.options = options
    this.custom = custom
    this.inputs = inputs
    this.outputs = outputs
    this.intermediates = intermediates
  }

  get at(): string {
    return `${this.context.where}: ${this.name}`
  }

  fail(what: string): never {
    throw new InputError(`${this.at}: ${what}`)
  }

  /** What the file says of input i. */
  tensor(i: number): TensorInfo {
    const t = this.context.tensors[this.inputs[i] ?? -1]
    return t ?? this.fail(`input ${i} is missing`)
  }

  output(i = 0): TensorInfo {
    const t = this.context.tensors[this.outputs[i] ?? -1]
    return t ?? this.fail(`output ${i} is missing`)
  }

  intermediate(i: number): TensorInfo {
    const t = this.context.tensors[this.intermediates[i] ?? -1]
    return t ?? this.fail(`intermediate tensor ${i} is missing`)
  }

  has(i: number): boolean {
    return (this.inputs[i] ?? -1) >= 0
  }

  input(i: number): ValueId {
    if (!this.has(i)) this.fail(`input ${i} is missing`)
    return this.context.value(this.inputs[i]!)
  }

  optional(i: number): ValueId | null {
    return this.has(i) ? this.input(i) : null
  }

  constant(i: number): Tensor | undefined {
    return this.has(i) ? this.context.constant(this.inputs[i]!) : undefined
  }

  /** The integers of an input that must not change: axes, sizes, paddings. */
  integers(i: number, what: string): number[] {
    const t = this.constant(i)
    if (!t) throw new NotSupported(`${this.op} with ${what} that is computed`)
    return Array.from(t.data as ArrayLike<number | bigint>, Number)
  }

  integer(i: number, what: string): number {
    return this.integers(i, what)[0] ?? this.fail(`${what} is empty`)
  }

  /** An input as int64, the type in which the graph's operators take shapes and axes. */
  int64(i: number): ValueId {
    const t = this.constant(i)
    if (!t) return this.node('cast', [this.input(i)], { to: 'int64' })
    return this.context.cached(this.inputs[i]!, 'int64', (c) =>
      tensorOf('int64', c.shape, c.data as Int32Array),
    )
  }

  /** A constant in another order of dimensions; a transpose where the input is computed. */
  reordered(i: number, permutation: readonly number[]): ValueId {
    if (this.constant(i))
      return this.context.cached(this.inputs[i]!, permutation.join(), (t) => {
        if (t.shape.length !== permutation.length)
          this.fail(`input ${i}, expected rank ${permutation.length}, got [${t.shape}]`)
        return transposed(t, permutation)
      })
    return this.node('transpose', [this.input(i)], { permutation })
  }

  int64s(...values: number[]): ValueId {
    return this.b.constant(tensorOf('int64', [values.length], values), `${this.name}:const`)
  }

  scalar(dtype: Tensor['dtype'], value: number): ValueId {
    return this.b.constant(tensorOf(dtype, [], [value]), `${this.name}:const`)
  }

  number(option: string): number {
    return Number(this.options[option] ?? 0)
  }

  boolean(option: string): boolean {
    return this.options[option] === true
  }

  shapeOf(id: ValueId): Shape {
    const t: Type = this.b.type(id)
    return t.kind === 'tensor' ? t.shape : null
  }

  rankOf(i: number): number {
    return this.shapeOf(this.input(i))?.length ?? this.tensor(i).shape.length
  }

  dim(i: number, axis: number): Dim {
    return this.shapeOf(this.input(i))?.at(axis) ?? null
  }

  /** Adds an inner node: one that makes none of the operator's own outputs. */
  node(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes = {}): ValueId {
    return this.b.node(op, inputs, attributes, { name: `${this.name}:${op}`, origin: [this.name] })
  }

  nodes(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes, count: number): ValueId[] {
    return this.b.nodeOutputs(op, inputs, attributes, {
      name: `${this.name}:${op}`,
      origin: [this.name],
      outputs: Array.from({ length: count }, (_, k) => `${this.name}:${op}:${k}`),
    })
  }

  /** Adds the node that makes the operator's outputs (the first ones, where there are fewer than the node has). */
  result(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes = {}): void {
    const infos = this.outputs.map((_, i) => this.output(i))
    const ids = this.b.nodeOutputs(op, inputs, attributes, {
      name: this.name,
      origin: [this.name],
      outputs: infos.map((t) => t.name),
      quantization: infos.map((t) => t.quantization),
    })
    ids.forEach((id, i) => {
      this.context.setValue(this.outputs[i]!, id)
    })
  }

  /** Adds the node that makes output i alone. */
  resultAt(i: number, op: string, inputs: readonly (ValueId | null)[], attributes: Attributes = {}): void {
    const t = this.output(i)
    const id = this.b.node(op, inputs, attributes, {
      name: i === 0 ? this.name : `${this.name}:${i}`,
      origin: [this.name],
      outputs: [t.name],
      quantization: [t.quantization],
    })
    this.context.setValue(this.outputs[i]!, id)
  }

  /** Names a value that already exists as output i. */
  is(id: ValueId, i = 0): void {
    this.resultAt(i, 'identity', [id])
  }

  /** The activation that the options fuse, by the names of the integer operators. */
  activation(): 'none' | 'relu' | 'reluN1To1' | 'relu6' | 'tanh' {
    const code = this.number('fused_activation_function')
    const names = {
      NONE: 'none',
      RELU: 'relu',
      RELU_N1_TO_1: 'reluN1To1',
      RELU6: 'relu6',
      TANH: 'tanh',
    } as const
    const name = names[ActivationFunctionType[code] as keyof typeof names]
    if (!name) throw new NotSupported(`${this.op} with fused ${ActivationFunctionType[code] ?? code}`)
    return name
  }

  /** As `result`, followed by the fused activation. */
  activated(op: string, inputs: readonly (ValueId | null)[], attributes: Attributes = {}): void {
    const last: Record<string, readonly [op: string, attributes?: Attributes]> = {
      relu: ['relu'],
      relu6: ['clamp', { low: 0, high: 6 }],
      reluN1To1: ['clamp', { low: -1, high: 1 }],
      tanh: ['tanh'],
    }
    const then = last[this.activation()]
    if (then) this.result(then[0], [this.node(op, inputs, attributes)], then[1])
    else this.result(op, inputs, attributes)
  }
}

export type Row = (x: Operation) => void
