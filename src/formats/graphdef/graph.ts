// A TensorFlow GraphDef as plain data, from its protobuf JSON form (what TF.js writes; a .pb file parses to the same).

import type { DType } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import type { Dim } from '../../ir/types.ts'
import type { JsonObject } from '../json.ts'

/** DataType of tensorflow/core/framework/types.proto: by name and by number. */
const types: Readonly<Record<string, DType>> = {
  DT_FLOAT: 'float32',
  DT_DOUBLE: 'float64',
  DT_INT32: 'int32',
  DT_UINT8: 'uint8',
  DT_INT16: 'int16',
  DT_INT8: 'int8',
  DT_STRING: 'string',
  DT_INT64: 'int64',
  DT_BOOL: 'bool',
  DT_BFLOAT16: 'bfloat16',
  DT_UINT16: 'uint16',
  DT_HALF: 'float16',
  DT_UINT32: 'uint32',
  DT_UINT64: 'uint64',
  1: 'float32',
  2: 'float64',
  3: 'int32',
  4: 'uint8',
  5: 'int16',
  6: 'int8',
  7: 'string',
  9: 'int64',
  10: 'bool',
  14: 'bfloat16',
  17: 'uint16',
  19: 'float16',
  22: 'uint32',
  23: 'uint64',
}

/** The dtype of a DataType; undefined for resources, variants and complex numbers. */
export const dtypeOf = (raw: unknown): DType | undefined =>
  (typeof raw === 'string' || typeof raw === 'number') && Object.hasOwn(types, raw) ? types[raw] : undefined

const whole = (v: unknown): number | undefined => {
  const n = typeof v === 'string' && /^-?\d+$/.test(v) ? Number(v) : v
  return typeof n === 'number' && Number.isInteger(n) ? n : undefined
}

/** Bytes are base64 in protobuf's JSON, lists of codes in some old TF.js files. */
function text(v: unknown, where: string): string {
  if (Array.isArray(v)) return String.fromCharCode(...v.map(Number))
  if (typeof v !== 'string') throw new InputError(`${where}: expected a text, got ${JSON.stringify(v)}`)
  try {
    return atob(v)
  } catch {
    return v
  }
}

/** A TensorShapeProto: −1 is open; undefined where even the rank is. */
export function shapeProto(raw: unknown, where: string): (number | null)[] | undefined {
  const o = raw as { unknownRank?: unknown; dim?: unknown } | null | undefined
  if (o == null || o.unknownRank === true) return undefined
  const dims = o.dim ?? []
  if (!Array.isArray(dims)) throw new InputError(`${where}: expected a list of dimensions`)
  return dims.map((d: { size?: unknown }) => {
    const n = whole(d?.size ?? 0)
    if (n === undefined || n < -1)
      throw new InputError(`${where}: absurd dimension ${JSON.stringify(d?.size)}`)
    return n === -1 ? null : n
  })
}

export class NodeAttributes {
  private readonly attr: JsonObject | null
  private readonly where: string

  constructor(attr: JsonObject | null, where: string) {
    this.attr = attr
    this.where = where
  }

  private field(name: string, field: string): unknown {
    const v = this.attr?.raw(name)
    return typeof v === 'object' && v !== null ? (v as Record<string, unknown>)[field] : undefined
  }
  private list(name: string, field: string): unknown[] | undefined {
    const list = this.field(name, 'list')
    if (typeof list !== 'object' || list === null) return undefined
    const v = (list as Record<string, unknown>)[field]
    return Array.isArray(v) ? v : []
  }
  private missing(name: string, what: string): never {
    throw new InputError(
      `${this.where}: attribute ${name}, expected ${what}, got ${JSON.stringify(this.attr?.raw(name)) ?? 'nothing'}`,
    )
  }

  has(name: string): boolean {
    return this.attr?.has(name) ?? false
  }
  int(name: string, absent?: number): number {
    return (
      whole(this.field(name, 'i')) ?? (this.has(name) ? 0 : absent) ?? this.missing(name, 'a whole number')
    )
  }
  ints(name: string, absent?: readonly number[]): readonly number[] {
    const v = this.list(name, 'i')?.map((x) => whole(x) ?? this.missing(name, 'whole numbers'))
    return v ?? absent ?? this.missing(name, 'whole numbers')
  }
  float(name: string, absent?: number): number {
    const v = this.field(name, 'f') ?? this.field(name, 'i')
    const n = typeof v === 'string' ? Number(v) : v
    return (typeof n === 'number' ? n : this.has(name) ? 0 : absent) ?? this.missing(name, 'a number')
  }
  bool(name: string, absent = false): boolean {
    const v = this.field(name, 'b')
    return typeof v === 'boolean' ? v : this.has(name) ? false : absent
  }
  string(name: string, absent?: string): string {
    const v = this.field(name, 's')
    return v === undefined ? (absent ?? this.missing(name, 'a text')) : text(v, this.where)
  }
  strings(name: string): string[] {
    return (this.list(name, 's') ?? []).map((v) => text(v, this.where))
  }
  type(name: string): DType | undefined {
    return dtypeOf(this.field(name, 'type'))
  }
  shape(name: string): (number | null)[] | undefined {
    const v = this.field(name, 'shape')
    return v === undefined ? undefined : shapeProto(v, this.where)
  }
  /** The name of a function. */
  func(name: string): string {
    const f = this.field(name, 'func') as { name?: unknown } | undefined
    return typeof f?.name === 'string' ? f.name : this.missing(name, 'a function')
  }
}

export type NodeDef = {
  readonly name: string
  readonly op: string
  /** `name`, `name:1`, `^name` (control); in functions also `name:output:0`. */
  readonly inputs: readonly string[]
  readonly attributes: NodeAttributes
  readonly where: string
}

export type FunctionDef = {
  readonly name: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** For each output the reference to its value. */
  readonly ret: ReadonlyMap<string, string>
  readonly nodes: ReadonlyMap<string, NodeDef>
}

export type Port = {
  readonly name: string
  readonly ref: string
  readonly dtype?: DType
  readonly shape?: readonly Dim[]
}

export type GraphDef = {
  readonly nodes: ReadonlyMap<string, NodeDef>
  readonly functions: ReadonlyMap<string, FunctionDef>
  /** Signature, where the file has one. */
  readonly inputs: readonly Port[] | null
  readonly outputs: readonly Port[] | null
}

function nodeDef(n: JsonObject): NodeDef {
  const name = n.string('name')
  const inputs = n.has('input') ? n.list('input') : []
  const where = `node ${name} (${n.string('op')})`
  return {
    name,
    op: n.string('op'),
    inputs: inputs.map((i) => {
      if (typeof i !== 'string')
        throw new InputError(`${where}: expected names of inputs, got ${JSON.stringify(i)}`)
      return i
    }),
    attributes: new NodeAttributes(n.has('attr') ? n.object('attr') : null, where),
    where,
  }
}

function nodeMap(list: readonly JsonObject[]): Map<string, NodeDef> {
  const nodes = new Map<string, NodeDef>()
  for (const n of list) {
    const def = nodeDef(n)
    if (nodes.has(def.name)) throw new InputError(`${n.where}: two nodes are called ${def.name}`)
    nodes.set(def.name, def)
  }
  return nodes
}

const argNames = (signature: JsonObject, key: string): string[] =>
  signature.has(key) ? signature.objects(key).map((a) => a.string('name')) : []

function functionDef(f: JsonObject): FunctionDef {
  const signature = f.object('signature')
  const ret = f.has('ret') ? f.object('ret').value : {}
  return {
    name: signature.string('name'),
    inputs: argNames(signature, 'inputArg'),
    outputs: argNames(signature, 'outputArg'),
    ret: new Map(Object.entries(ret).map(([k, v]) => [k, String(v)])),
    nodes: nodeMap(f.has('nodeDef') ? f.objects('nodeDef') : []),
  }
}

/** Ports of a signature, in the file's order. */
function ports(signature: JsonObject, key: string): Port[] | null {
  if (!signature.has(key)) return null
  const o = signature.object(key)
  return Object.keys(o.value).map((name) => {
    const p = o.object(name)
    const dtype = dtypeOf(p.raw('dtype'))
    const shape = shapeProto(p.raw('tensorShape') ?? { unknownRank: true }, p.where)
    return { name, ref: p.string('name', name), ...(dtype && { dtype }), ...(shape && { shape }) }
  })
}

/** `topology` holds the nodes and the function library, `signature` names inputs and outputs. */
export function parseGraphDef(topology: JsonObject, signature: JsonObject | null): GraphDef {
  const library = topology.has('library') ? topology.object('library') : null
  const functions = library?.has('function') ? library.objects('function').map(functionDef) : []
  return {
    nodes: nodeMap(topology.objects('node')),
    functions: new Map(functions.map((f) => [f.name, f])),
    inputs: signature ? ports(signature, 'inputs') : null,
    outputs: signature ? ports(signature, 'outputs') : null,
  }
}

/** A reference's node and output; null for a control input. */
export function parseRef(ref: string): { node: string; output: number; argument?: string } | null {
  if (ref.startsWith('^')) return null
  const parts = ref.split(':')
  if (parts.length === 1) return { node: parts[0]!, output: 0 }
  // In functions `node:argument:index`.
  if (parts.length === 3) return { node: parts[0]!, output: Number(parts[2]), argument: parts[1]! }
  return { node: parts.slice(0, -1).join(':'), output: Number(parts.at(-1)) }
}
