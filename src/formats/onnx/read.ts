// Reads an ONNX file into a graph. Old forms of operators are upgraded here; local functions are inlined; bodies are closed by
// turning what they use from outside into inputs. Knows no machine.
//
// Decoding measured on a 100 MB file: @bufbuild/protobuf hands out byte fields as views, so weights in raw_data are never copied
// unless their offset is odd for their type.

import { fromBinary } from '@bufbuild/protobuf'
import { InputError, type Unsupported, UnsupportedError } from '../../core/errors.ts'
import { GraphBuilder, prune } from '../../ir/graph.ts'
import type { Graph, Type, ValueId } from '../../ir/types.ts'
import { type Body, Call, NotSupported, type Surroundings } from './call.ts'
import { rowFor } from './operators/index.ts'
import {
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type OperatorSetIdProto,
  type SparseTensorProto,
  type TensorProto,
} from './schema/onnx_pb.ts'
import { type External, readSparse, readTensor, readType } from './tensors.ts'

export type ReadOptions = {
  /** The path or name that errors begin with. */
  readonly where: string
  /** Gives the bytes of a file beside the model, for external data. */
  readonly external?: (name: string) => Uint8Array | undefined
}

/** Most nodes that inlining functions may make of a file. */
const nodeLimit = 2 ** 20
const depthLimit = 64

const normalDomain = (d: string): string => (d === 'ai.onnx' ? '' : d)

/** Names of one graph of the file: what is made already, what can be made on first use, what stands outside. */
class Scope {
  readonly b: GraphBuilder
  readonly outer: Scope | null
  readonly values = new Map<string, ValueId>()
  readonly initializers = new Map<string, TensorProto | SparseTensorProto>()
  /** Values of the outer graph that became inputs. */
  readonly captured: ValueId[] = []
  /** Optional inputs of a function that its call leaves out. */
  readonly absent = new Set<string>()
  /** Values that follow from something unsupported. */
  readonly lost = new Set<string>()

  constructor(b: GraphBuilder, outer: Scope | null) {
    this.b = b
    this.outer = outer
  }
}

class Reader {
  readonly where: string
  readonly external: External
  private readonly functions = new Map<string, FunctionProto>()
  readonly unsupported = new Map<string, Unsupported>()
  private nodes = 0

  constructor(model: ModelProto, options: ReadOptions) {
    this.where = options.where
    const files = new Map<string, Uint8Array>()
    this.external = {
      where: options.where,
      file: (name) => {
        const bytes = files.get(name) ?? options.external?.(name)
        if (!bytes)
          throw new InputError(
            `${this.where}: its external data ${name} is missing. Put it beside the model.`,
          )
        files.set(name, bytes)
        return bytes
      },
    }
    for (const f of model.functions)
      this.functions.set(`${normalDomain(f.domain)}:${f.name}:${f.overload}`, f)
  }

  private note(op: string, nearest?: string): void {
    const had = this.unsupported.get(op)
    this.unsupported.set(op, {
      op,
      count: (had?.count ?? 0) + 1,
      ...(nearest && { nearest }),
    })
  }

  /** The value of a name: made already, an initializer, or captured from outside. */
  private lookup(scope: Scope, name: string): ValueId | undefined {
    const known = scope.values.get(name)
    if (known !== undefined) return known
    const proto = scope.initializers.get(name)
    if (proto) {
      const tensor =
        proto.$typeName === 'onnx.TensorProto'
          ? readTensor(proto, this.external)
          : readSparse(proto, this.external)
      const id = scope.b.constant(tensor, name)
      scope.values.set(name, id)
      return id
    }
    if (!scope.outer) return undefined
    const outside = this.lookup(scope.outer, name)
    if (outside === undefined) return undefined
    const constant = scope.outer.b.constantOf(outside)
    const id = constant
      ? scope.b.constant(constant, name)
      : scope.b.input(scope.outer.b.nameOf(outside), scope.outer.b.type(outside))
    if (!constant) scope.captured.push(outside)
    scope.values.set(name, id)
    return id
  }

  private isLost(scope: Scope | null, name: string): boolean {
    return scope !== null && (scope.lost.has(name) || this.isLost(scope.outer, name))
  }

  /** Reads a graph's inputs, initializers and nodes into a scope. */
  graph(
    g: GraphProto,
    scope: Scope,
    opsets: ReadonlyMap<string, number>,
    attributes: ReadonlyMap<string, AttributeProto>,
    depth: number,
    inputTypes: readonly (Type | null)[] = [],
  ): Graph {
    const where = `${this.where}: graph ${g.name}`
    for (const t of g.initializer) scope.initializers.set(t.name, t)
    for (const s of g.sparseInitializer) if (s.values) scope.initializers.set(s.values.name, s)
    let position = 0
    for (const v of g.input) {
      // Before IR version 4 every initializer had to be listed as an input too.
      if (scope.initializers.has(v.name) && !scope.outer) continue
      const given = inputTypes[position++]
      const type = readType(v.type, `${where}: input ${v.name}`)
      const known = given && type ? complete(given, type) : (given ?? type)
      if (!known) throw new InputError(`${where}: input ${v.name} has no type`)
      if (scope.values.has(v.name)) throw new InputError(`${where}: two inputs are named ${v.name}`)
      scope.initializers.delete(v.name)
      scope.values.set(v.name, scope.b.input(v.name, known))
    }
    const stated = new Map<string, Type>()
    for (const v of [...g.valueInfo, ...g.output]) {
      const type = readType(v.type, `${where}: value ${v.name}`)
      if (type) stated.set(v.name, type)
    }
    this.sequence(g.node, scope, opsets, attributes, depth, stated, '')
    for (const o of g.output) {
      if (this.isLost(scope, o.name)) continue
      const id = this.lookup(scope, o.name)
      if (id === undefined) throw new InputError(`${where}: output ${o.name} is never made`)
      scope.b.output(id)
    }
    return scope.b.finish()
  }

  /** Adds nodes in the file's order. */
  private sequence(
    nodes: readonly NodeProto[],
    scope: Scope,
    opsets: ReadonlyMap<string, number>,
    attributes: ReadonlyMap<string, AttributeProto>,
    depth: number,
    stated: ReadonlyMap<string, Type>,
    prefix: string,
  ): void {
    if (depth > depthLimit)
      throw new InputError(`${this.where}: functions or bodies nest more than ${depthLimit} deep`)
    for (const node of ordered(nodes, scope)) {
      if (++this.nodes > nodeLimit)
        throw new InputError(`${this.where}: more than ${nodeLimit} nodes after inlining`)
      const name = prefix + (node.name || node.output.find((o) => o) || node.opType)
      if (node.input.some((i) => i && this.isLost(scope, i))) {
        // Still looked up, so that all that is unsupported is listed.
        if (!rowFor(node) && !this.functionOf(node)) this.note(nameOf(node))
        for (const o of node.output) if (o) scope.lost.add(o)
        continue
      }
      const inputs = node.input.map((i) => {
        if (!i || scope.absent.has(i)) return null
        const id = this.lookup(scope, i)
        if (id === undefined)
          throw new InputError(
            `${this.where}: node ${name} (${node.opType}): input ${i} isn't made before it is used`,
          )
        return id
      })
      let made: ValueId[]
      try {
        made = this.node(node, name, inputs, scope, opsets, attributes, depth)
      } catch (e) {
        if (e instanceof InputError && !e.message.startsWith(this.where))
          throw new InputError(`${this.where}: ${e.message}`)
        if (!(e instanceof NotSupported)) throw e
        this.note(e.message, e.nearest)
        for (const o of node.output) if (o) scope.lost.add(o)
        continue
      }
      node.output.forEach((o, i) => {
        if (!o) return
        const id = made[i]
        if (id === undefined)
          throw new InputError(`${this.where}: node ${name} (${node.opType}): has no output ${i} (${o})`)
        if (scope.values.has(o)) throw new InputError(`${this.where}: ${o} is made twice`)
        scope.values.set(o, id)
        const more = stated.get(o)
        if (more && scope.b.constantOf(id) === undefined) scope.b.refine(id, complete(scope.b.type(id), more))
      })
    }
  }

  private functionOf(node: NodeProto): FunctionProto | undefined {
    return this.functions.get(`${normalDomain(node.domain)}:${node.opType}:${node.overload}`)
  }

  private node(
    node: NodeProto,
    name: string,
    inputs: readonly (ValueId | null)[],
    scope: Scope,
    opsets: ReadonlyMap<string, number>,
    attributes: ReadonlyMap<string, AttributeProto>,
    depth: number,
  ): ValueId[] {
    const fn = this.functionOf(node)
    if (fn) return this.inline(fn, node, name, inputs, scope, attributes, depth)
    const row = rowFor(node)
    if (!row) throw new NotSupported(nameOf(node))
    const context: Surroundings = {
      b: scope.b,
      external: this.external,
      opset: (domain) => opsets.get(normalDomain(domain)) ?? opsets.get('') ?? 1,
      resolve: (a) => attributes.get(a.refAttrName),
      body: (g, bodyName, inputTypes) =>
        this.body(g, bodyName, scope, opsets, attributes, depth + 1, inputTypes),
    }
    return row(new Call(node, name, inputs, context))
  }

  private body(
    g: GraphProto,
    name: string,
    outer: Scope,
    opsets: ReadonlyMap<string, number>,
    attributes: ReadonlyMap<string, AttributeProto>,
    depth: number,
    inputTypes?: readonly (Type | null)[],
  ): Body {
    const scope = new Scope(new GraphBuilder(g.name || name), outer)
    const before = this.unsupported.size
    const graph = this.graph(g, scope, opsets, attributes, depth, inputTypes)
    if (this.unsupported.size > before && graph.outputs.length < g.output.length)
      throw new NotSupported(`${name} (its body holds what isn't supported)`)
    return { graph: prune(graph), captured: scope.captured }
  }

  /** A local function's nodes in place of its call. */
  private inline(
    fn: FunctionProto,
    node: NodeProto,
    name: string,
    inputs: readonly (ValueId | null)[],
    outer: Scope,
    attributes: ReadonlyMap<string, AttributeProto>,
    depth: number,
  ): ValueId[] {
    const scope = new Scope(outer.b, null)
    fn.input.forEach((formal, i) => {
      const id = inputs[i]
      if (id != null) scope.values.set(formal, id)
      else scope.absent.add(formal)
    })
    const given = new Map<string, AttributeProto>()
    for (const a of fn.attributeProto) given.set(a.name, a)
    for (const a of node.attribute) {
      const resolved = a.refAttrName ? attributes.get(a.refAttrName) : a
      if (resolved) given.set(a.name, resolved)
    }
    const stated = new Map<string, Type>()
    this.sequence(fn.node, scope, opsetsOf(fn.opsetImport), given, depth + 1, stated, `${name}/`)
    for (const o of fn.output)
      if (scope.lost.has(o)) throw new NotSupported(`${nameOf(node)} (its function's body)`)
    return fn.output.slice(0, Math.max(node.output.length, 1)).map((o) => {
      const id = this.lookup(scope, o)
      if (id === undefined)
        throw new InputError(`${this.where}: function ${fn.name}: output ${o} is never made`)
      return id
    })
  }
}

/** Names that a node's bodies use and don't make themselves. */
function usedOutside(node: NodeProto): string[] {
  const out: string[] = []
  for (const a of node.attribute) {
    for (const g of a.g ? [a.g] : a.graphs) {
      const own = new Set([...g.input, ...g.initializer].map((v) => v.name))
      for (const n of g.node) for (const o of n.output) own.add(o)
      const names = [
        ...g.node.flatMap((n) => [...n.input, ...usedOutside(n)]),
        ...g.output.map((v) => v.name),
      ]
      out.push(...names.filter((n) => !own.has(n)))
    }
  }
  return out
}

/**
 * Nodes in an order in which everything is made before it is used: the file's own where it is one (as the format demands, but
 * converters append). What lies on a cycle comes last, where it is reported.
 */
function ordered(nodes: readonly NodeProto[], scope: Scope): readonly NodeProto[] {
  const maker = new Map<string, number>()
  nodes.forEach((n, i) => {
    for (const o of n.output) if (o) maker.set(o, i)
  })
  const needs = nodes.map((n) =>
    [...n.input, ...usedOutside(n)].flatMap((name) => {
      const by = scope.values.has(name) ? undefined : maker.get(name)
      return by === undefined ? [] : [by]
    }),
  )
  if (needs.every((list, i) => list.every((by) => by < i))) return nodes
  const out: NodeProto[] = []
  const state = new Uint8Array(nodes.length)
  for (let root = 0; root < nodes.length; root++) {
    const stack = [root]
    while (stack.length) {
      const i = stack.at(-1)!
      if (state[i] === 0) {
        state[i] = 1
        for (const by of needs[i]!) if (state[by] === 0) stack.push(by)
      } else {
        stack.pop()
        if (state[i] === 1) out.push(nodes[i]!)
        state[i] = 2
      }
    }
  }
  return out
}

const nameOf = (node: NodeProto): string =>
  normalDomain(node.domain) ? `${node.domain}.${node.opType}` : node.opType

const opsetsOf = (imports: readonly OperatorSetIdProto[]): Map<string, number> =>
  new Map(imports.map((o) => [normalDomain(o.domain), Number(o.version)]))

/** What inference found, completed by what the file says where inference knows nothing. */
function complete(found: Type, stated: Type): Type {
  if (found.kind === 'tensor' && stated.kind === 'tensor') {
    if (!stated.shape || found.dtype !== stated.dtype) return found
    if (!found.shape) return { ...found, shape: stated.shape }
    if (found.shape.length !== stated.shape.length) return found
    return { ...found, shape: found.shape.map((d, i) => (d === null ? stated.shape![i]! : d)) }
  }
  if (found.kind === 'sequence' && stated.kind === 'sequence')
    return { kind: 'sequence', element: complete(found.element, stated.element) }
  if (found.kind === 'optional')
    return stated.kind === 'optional'
      ? { kind: 'optional', element: complete(found.element, stated.element) }
      : complete(found.element, stated)
  return found
}

/** Decodes the protobuf. */
export function decodeModel(bytes: Uint8Array, where: string): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false })
  } catch (e) {
    throw new InputError(`${where}: not an ONNX file, or damaged: ${(e as Error).message}`)
  }
}

/**
 * Reads an ONNX model (opset 7 to 23; older ones as far as their operators still mean the same).
 * Throws InputError on damage and UnsupportedError with every operator that has no equivalent.
 */
export function readOnnx(bytes: Uint8Array, options: ReadOptions): Graph {
  const { where } = options
  const model = decodeModel(bytes, where)
  if (!model.graph) throw new InputError(`${where}: not an ONNX file: it holds no graph`)
  const opsets = opsetsOf(model.opsetImport)
  if (opsets.size === 0)
    throw new InputError(`${where}: names no operator set, expected at least one. The file may be cut short.`)
  const reader = new Reader(model, options)
  const scope = new Scope(new GraphBuilder(model.graph.name || 'graph'), null)
  const graph = reader.graph(model.graph, scope, opsets, new Map(), 0)
  if (reader.unsupported.size) throw new UnsupportedError(where, [...reader.unsupported.values()])
  return prune(graph)
}
