// Reads a TensorFlow Lite file into a graph: channels last, as the file has it; weights reordered to [O, I/groups, …]; integer
// models keep one integer operator for each of the file's. Knows no machine.

import { InputError, type Unsupported, UnsupportedError } from '../../core/errors.ts'
import { type Tensor, zeros } from '../../core/tensor.ts'
import { GraphBuilder, prune } from '../../ir/graph.ts'
import { type Dim, type Graph, type Shape, type Type, tensorType, type ValueId } from '../../ir/types.ts'
import { decodeFlatBuffer } from './flatbuffer.ts'
import { NotSupported, Operation, type Surroundings } from './operation.ts'
import { rowFor } from './operators/index.ts'
import { BuiltinOperator, type Model, type SubGraph, schema } from './schema/tables.ts'
import { bufferBytes, type TensorInfo, tensorInfo } from './tensors.ts'

/** Most operators that inlining the bodies of loops and conditions may make of a file. */
const operationLimit = 2 ** 18
/** Operators whose constant results are constants too: how converters store smaller weights. */
const folded = new Set(['DEQUANTIZE', 'DENSIFY'])

type Code = { readonly name: string; readonly custom: boolean }

class Reader {
  readonly model: Model
  readonly bytes: Uint8Array
  readonly where: string
  private readonly codes: readonly Code[]
  private readonly tables = new Map<number, readonly TensorInfo[]>()
  readonly unsupported = new Map<string, { count: number; nearest?: string }>()
  private open: number[] = []
  private operations = 0
  /** Whether some dimension is only known at run time: then stored shapes of inner tensors are guesses. */
  private dynamic = false

  constructor(bytes: Uint8Array, where: string) {
    this.bytes = bytes
    this.where = where
    if (bytes.length < 8 || new TextDecoder('latin1').decode(bytes.subarray(4, 8)) !== 'TFL3')
      throw new InputError(
        `${where}: not a TensorFlow Lite file, expected the identifier TFL3 at offset 4, got ${bytes.length} bytes that start with ${[...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, '0')).join(' ')}`,
      )
    this.model = decodeFlatBuffer(bytes, schema, 'Model', where) as Model
    if (this.model.version !== 3)
      throw new InputError(`${where}: schema version, expected 3, got ${this.model.version}`)
    this.codes = (this.model.operator_codes ?? []).map((c) => {
      // Codes above 127 don't fit the old field, which then holds a placeholder.
      const code = Math.max(c.deprecated_builtin_code, c.builtin_code)
      const name = BuiltinOperator[code] ?? `operator ${code}`
      return name === 'CUSTOM' ? { name: c.custom_code || 'CUSTOM', custom: true } : { name, custom: false }
    })
  }

  fail(what: string): never {
    throw new InputError(`${this.where}: ${what}`)
  }

  subgraph(index: number): SubGraph {
    const g = this.model.subgraphs?.[index]
    return g ?? this.fail(`subgraph ${index} doesn't exist`)
  }

  /** The tensors of a subgraph. */
  tensors(index: number): readonly TensorInfo[] {
    let infos = this.tables.get(index)
    if (!infos) {
      const buffers = this.model.buffers ?? []
      infos = (this.subgraph(index).tensors ?? []).map((t, i) => {
        if (t.external_buffer)
          this.fail(`tensor ${t.name} lies in another file. Files with external buffers aren't read yet.`)
        const buffer = t.buffer ? buffers[t.buffer] : undefined
        if (t.buffer && !buffer) this.fail(`tensor ${t.name}: buffer ${t.buffer} doesn't exist`)
        return tensorInfo(t, i, buffer && bufferBytes(buffer, this.bytes, this.where), this.where)
      })
      this.tables.set(index, infos)
    }
    return infos
  }

  note(what: string, nearest?: string): void {
    const had = this.unsupported.get(what)
    this.unsupported.set(what, { count: (had?.count ?? 0) + 1, ...(nearest && { nearest }) })
  }

  /** What the file says of a value's type. Symbols for open dimensions: `batch` first, else the name and place. */
  inputType(t: TensorInfo, alone: boolean): Type {
    const shape = t.signature?.map((d, i) =>
      d !== null ? d : i === 0 ? 'batch' : alone ? `dim${i}` : `${t.name}_${i}`,
    )
    return tensorType(t.dtype ?? 'float32', shape ?? null)
  }

  read(): Graph {
    const graph = this.subgraph(0)
    const tensors = this.tensors(0)
    const { inputs, outputs } = this.signatureNames()
    const b = new GraphBuilder(graph.name || 'main')
    const ins = this.indices(graph.inputs, tensors, 'inputs')
    const outs = this.indices(graph.outputs, tensors, 'outputs')
    if (outs.length === 0) this.fail('the graph has no outputs')
    this.dynamic = ins.some((i) => tensors[i]!.signature?.some((d) => d === null))
    const given = ins.map((i) => {
      const t = tensors[i]!
      if (!t.dtype) this.note(`tensor type ${t.typeName}`)
      return b.input(inputs.get(i) ?? t.name, this.inputType(t, ins.length === 1), t.quantization)
    })
    const made = this.inline(0, b, given, outputs)
    if (this.unsupported.size) {
      const list: Unsupported[] = [...this.unsupported].map(([op, u]) => ({ op, ...u }))
      throw new UnsupportedError(this.where, list)
    }
    for (const id of made) b.output(id)
    return prune(b.finish())
  }

  private indices(
    list: Int32Array | undefined,
    tensors: readonly TensorInfo[],
    what: string,
    optional = false,
  ): number[] {
    return Array.from(list ?? [], (i) => {
      if (optional && i === -1) return i
      if (i < 0 || i >= tensors.length) this.fail(`${what}: tensor ${i} doesn't exist`)
      return i
    })
  }

  /** Names that the signature gives to tensors of the main subgraph. */
  private signatureNames(): { inputs: Map<number, string>; outputs: Map<number, string> } {
    const s = this.model.signature_defs?.find((d) => d.subgraph_index === 0)
    const names = (maps: readonly { name: string | undefined; tensor_index: number }[] | undefined) =>
      new Map((maps ?? []).flatMap((m) => (m.name ? [[m.tensor_index, m.name]] : [])))
    return { inputs: names(s?.inputs), outputs: names(s?.outputs) }
  }

  /** Adds a subgraph's operators to a builder, and returns its outputs. */
  inline(
    index: number,
    b: GraphBuilder,
    inputs: readonly ValueId[],
    names: ReadonlyMap<number, string> = new Map(),
  ): ValueId[] {
    if (this.open.includes(index)) this.fail(`subgraph ${index} contains itself`)
    this.open.push(index)
    const graph = this.subgraph(index)
    const tensors = this.tensors(index).map((t) =>
      names.has(t.index) ? { ...t, name: names.get(t.index)! } : t,
    )
    const ins = this.indices(graph.inputs, tensors, 'inputs')
    const outs = this.indices(graph.outputs, tensors, 'outputs')
    if (ins.length !== inputs.length)
      this.fail(`subgraph ${index}, expected ${ins.length} inputs, got ${inputs.length}`)
    const context = new Context(this, b, tensors)
    ins.forEach((t, i) => {
      context.setValue(t, inputs[i]!)
    })
    ;(graph.operators ?? []).forEach((o, position) => {
      const code = this.codes[o.opcode_index] ?? this.fail(`operator code ${o.opcode_index} doesn't exist`)
      if (++this.operations > operationLimit) this.fail(`more than ${operationLimit} operators`)
      const at = `${code.name} ${position}`
      const operation = new Operation(
        context,
        code.name,
        position,
        o.builtin_options ?? o.builtin_options_2 ?? {},
        this.customOptions(o),
        this.indices(o.inputs, tensors, at, true),
        this.indices(o.outputs, tensors, at, true),
        this.indices(o.intermediates, tensors, at, true),
      )
      this.convert(context, operation, code)
    })
    this.open.pop()
    return outs.map((i) => context.value(i))
  }

  private customOptions(o: NonNullable<SubGraph['operators']>[number]): Uint8Array | undefined {
    if (o.large_custom_options_offset > 1)
      return bufferBytes(
        { data: undefined, offset: o.large_custom_options_offset, size: o.large_custom_options_size },
        this.bytes,
        this.where,
      )
    return o.custom_options
  }

  private convert(context: Context, x: Operation, code: Code): void {
    const types = [...x.inputs, ...x.outputs].flatMap((i) => (i < 0 ? [] : [context.tensors[i]!]))
    const odd = types.find((t) => !t.dtype)
    try {
      if (odd) throw new NotSupported(`${x.op} of ${odd.typeName}`)
      if (folded.has(x.op) && !code.custom && context.fold(x)) return
      const row = rowFor(x, code.custom)
      row(x)
    } catch (e) {
      if (!(e instanceof NotSupported)) throw e
      this.note(code.custom ? `custom ${e.message}` : e.message, e.nearest)
    }
    // What an operator that isn't supported would have made stands in, so that the rest can be looked at.
    for (const i of x.outputs) {
      if (i < 0) continue
      if (!context.made(i)) {
        const t = context.tensors[i]!
        context.setValue(i, x.b.input(t.name, tensorType(t.dtype ?? 'float32', null)))
      } else this.refine(x.b, context.value(i), context.tensors[i]!)
    }
  }

  /** Completes an inferred type by what the file knows. Stored shapes count only where nothing is open. */
  private refine(b: GraphBuilder, id: ValueId, t: TensorInfo): void {
    const type = b.type(id)
    if (type.kind !== 'tensor') return
    if (t.dtype && type.dtype !== t.dtype)
      this.fail(`tensor ${t.name}, expected ${type.dtype}, the file says ${t.typeName}`)
    // An empty shape is a scalar or says nothing.
    if (t.signature?.length === 0) return
    const known: Shape = this.dynamic && !t.signature?.includes(null) ? null : t.signature
    if (!known) return
    if (!type.shape) b.refine(id, tensorType(type.dtype, known))
    else if (type.shape.length === known.length)
      b.refine(
        id,
        tensorType(
          type.dtype,
          type.shape.map((d, i): Dim => d ?? known[i]!),
        ),
      )
  }
}

/** One subgraph on its way into a builder. */
class Context implements Surroundings {
  readonly b: GraphBuilder
  readonly tensors: readonly TensorInfo[]
  readonly where: string
  private readonly reader: Reader
  private readonly values = new Map<number, ValueId>()
  private readonly constants = new Map<number, Tensor>()
  private readonly forms = new Map<string, ValueId>()

  constructor(reader: Reader, b: GraphBuilder, tensors: readonly TensorInfo[]) {
    this.reader = reader
    this.b = b
    this.tensors = tensors
    this.where = reader.where
  }

  made(index: number): boolean {
    return this.values.has(index) || this.constants.has(index)
  }

  constant(index: number): Tensor | undefined {
    return this.constants.get(index) ?? (this.values.has(index) ? undefined : this.tensors[index]!.constant)
  }

  value(index: number): ValueId {
    const had = this.values.get(index)
    if (had !== undefined) return had
    const t = this.tensors[index]!
    const content = this.constant(index) ?? emptyOrState(t)
    if (!content) throw new InputError(`${this.where}: tensor ${t.name} is used but never made`)
    const id = this.b.constant(content, t.name, t.quantization)
    this.values.set(index, id)
    // The graph holds it as a constant now, and so it stays.
    this.constants.set(index, content)
    return id
  }

  cached(index: number, form: string, make: (t: Tensor) => Tensor): ValueId {
    const key = `${index}:${form}`
    let id = this.forms.get(key)
    if (id === undefined) {
      const t = this.tensors[index]!
      const content = make(this.constant(index)!)
      const q = t.quantization
      // Filters come with their output channels in front, whatever the file's order.
      id = this.b.constant(
        content,
        t.name,
        q && { ...q, axis: Math.max(0, content.shape.indexOf(q.scale.length)) },
      )
      this.forms.set(key, id)
    }
    return id
  }

  setValue(index: number, id: ValueId): void {
    if (this.made(index))
      throw new InputError(`${this.where}: tensor ${this.tensors[index]!.name} is made twice`)
    this.values.set(index, id)
  }

  inline(index: number, b: GraphBuilder, inputs: readonly ValueId[]): ValueId[] {
    return this.reader.inline(index, b, inputs)
  }

  subgraphInputs(index: number): readonly TensorInfo[] {
    const infos = this.reader.tensors(index)
    return Array.from(
      this.reader.subgraph(index).inputs ?? [],
      (i) => infos[i] ?? this.reader.fail(`tensor ${i} doesn't exist`),
    )
  }

  /** Smaller weights that an operator makes float32 again are constants. */
  fold(x: Operation): boolean {
    const from = x.constant(0)
    if (!from || x.outputs.length !== 1) return false
    const to = x.output().dtype
    let made: Tensor | undefined
    // A sparse tensor was made dense on reading.
    if (x.op === 'DENSIFY') made = from
    else if (from.dtype === 'float16' && to === 'float32')
      made = { ...from, dtype: 'float32', data: Float32Array.from(from.data as Float16Array) }
    if (!made) return false
    this.constants.set(x.outputs[0]!, made)
    return true
  }
}

/** A variable starts as zeros; a tensor without elements needs no buffer. */
function emptyOrState(t: TensorInfo): Tensor | undefined {
  if (!t.dtype || t.dtype === 'string') return undefined
  const size = t.shape.reduce((n, d) => n * d, 1)
  if (size !== 0 && !t.variable) return undefined
  return zeros(t.dtype, t.shape)
}

export type ReadOptions = {
  /** What the user named, for messages. */
  readonly where: string
}

/** The graph of a TensorFlow Lite file's first subgraph. InputError for bytes that are none; UnsupportedError lists all at once. */
export const readTflite = (bytes: Uint8Array, options: ReadOptions): Graph =>
  new Reader(bytes, options.where).read()
