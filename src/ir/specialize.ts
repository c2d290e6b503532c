// Fixing shapes: symbols get numbers, types are inferred anew, and whatever depends on constants alone becomes a constant.

import { BugError, InputError } from '../core/errors.ts'
import { sizeOf, type Tensor } from '../core/tensor.ts'
import { evaluateNode } from './evaluate.ts'
import { GraphBuilder, inferNode, prune } from './graph.ts'
import { opNamed } from './ops/index.ts'
import {
  type Datum,
  type Dim,
  type Graph,
  isStatic,
  isTensor,
  type Node,
  printType,
  type Shape,
  type Type,
  tensorType,
  typeOf,
  type ValueId,
} from './types.ts'

export type SpecializeOptions = {
  /** Numbers for symbolic dimensions by name (`{ batch: 4 }`). */
  readonly dims?: Readonly<Record<string, number>>
  /** Types for inputs by name or position, instead of what the file says. */
  readonly inputs?: Readonly<Record<string, readonly number[]>>
  /** Number for every dimension still open. Absent: they stay open. */
  readonly open?: number
  /** Largest constant that folding may make, in elements. Default 2^22. */
  readonly foldLimit?: number
  /** Operators that folding leaves alone, e.g. dequantizeLinear. */
  readonly keep?: ReadonlySet<string>
}

/** For `keep`: weights that are stored as integers stay so, for those who multiply integers. */
export const keepQuantised: ReadonlySet<string> = new Set(['dequantizeLinear'])

const unfoldable = new Set([
  'if',
  'loop',
  'scan',
  'randomNormal',
  'randomUniform',
  'randomNormalLike',
  'randomUniformLike',
  'multinomial',
  'bernoulli',
  'dropout',
])

/** The graph for concrete input shapes. Folds `shape` of a static value and every node whose inputs are all constants. */
export function specialize(graph: Graph, options: SpecializeOptions = {}): Graph {
  const b = new GraphBuilder(graph.name)
  const map = new Int32Array(graph.values.length).fill(-1)
  const bound = new Map(Object.entries(options.dims ?? {}))
  const given = graph.inputs.map(
    (v, i) => options.inputs?.[graph.values[v]!.name] ?? options.inputs?.[String(i)],
  )
  const shapeAt = (v: ValueId): Shape => {
    const { type } = graph.values[v]!
    return type.kind === 'tensor' ? type.shape : null
  }
  // A shape that is given binds the symbols it stands for; what is still open then gets the one number.
  graph.inputs.forEach((v, i) => {
    const value = graph.values[v]!
    const [shape, want] = [shapeAt(v), given[i]]
    if (!shape || !want) return
    const fits = shape.length === want.length && shape.every((d, k) => typeof d !== 'number' || d === want[k])
    if (!fits)
      throw new InputError(`input ${value.name}: expected ${printType(value.type)}, got shape [${want}]`)
    shape.forEach((d, k) => {
      if (typeof d !== 'string') return
      const had = bound.get(d)
      if (had !== undefined && had !== want[k])
        throw new InputError(`input ${value.name}: ${d} is ${had} already, got ${want[k]}`)
      bound.set(d, want[k]!)
    })
  })
  if (options.open !== undefined)
    for (const v of graph.inputs)
      for (const d of shapeAt(v) ?? []) if (typeof d === 'string' && !bound.has(d)) bound.set(d, options.open)
  const bind = (d: Dim): Dim => (typeof d === 'string' ? (bound.get(d) ?? d) : d)
  // Inner symbols that no input has stay open until inference finds them.
  const bindType = (t: Type): Type =>
    t.kind === 'tensor' && t.shape ? tensorType(t.dtype, t.shape.map(bind)) : t
  graph.inputs.forEach((v, i) => {
    const { name, type, quantization } = graph.values[v]!
    const fixed =
      type.kind !== 'tensor'
        ? type
        : tensorType(type.dtype, given[i] ?? type.shape?.map((d) => bind(d) ?? options.open ?? null) ?? null)
    map[v] = b.input(name, fixed, quantization)
  })
  const to = (v: ValueId | null): ValueId | null => {
    if (v === null) return null
    if (map[v] === -1) {
      const value = graph.values[v]!
      if (!value.constant) throw new BugError(`specialize: value ${value.name} is used before it is made`)
      map[v] = b.constant(value.constant, value.name, value.quantization)
    }
    return map[v]!
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(to)
    const results = fold(b, node, inputs, options)
    if (results) {
      node.outputs.forEach((v, k) => {
        map[v] = b.constant(results[k]!, graph.values[v]!.name, graph.values[v]!.quantization)
      })
      continue
    }
    if (!opNamed(node.op)) throw new BugError(`specialize: no operator ${node.op}`)
    const made = b.nodeOutputs(node.op, inputs, node.attributes, {
      name: node.name,
      outputs: node.outputs.map((v) => graph.values[v]!.name),
      origin: node.origin,
      quantization: node.outputs.map((v) => graph.values[v]!.quantization),
    })
    made.forEach((v, k) => {
      const old = graph.values[node.outputs[k]!]!.type
      map[node.outputs[k]!] = v
      // The file may know more than inference does, but its symbols may be bound by now.
      b.refine(v, merge(b.type(v), bindType(old)))
    })
  }
  for (const v of graph.outputs) b.output(to(v)!)
  return prune(b.finish())
}

/** A node's results where its inputs, as `b` knows them, decide them and they are not too large to make; else undefined. */
export function fold(
  b: GraphBuilder,
  node: Node,
  inputs: readonly (ValueId | null)[],
  { keep, foldLimit: limit = 2 ** 22 }: Pick<SpecializeOptions, 'keep' | 'foldLimit'> = {},
): readonly Tensor[] | undefined {
  if (unfoldable.has(node.op) || keep?.has(node.op)) return undefined
  const constants = inputs.map((v) => (v === null ? undefined : b.constantOf(v)))
  const shapeOnly = node.op === 'shape' || node.op === 'size'
  const input = shapeOnly && inputs[0] != null ? b.type(inputs[0]) : undefined
  const known = input?.kind === 'tensor' && isStatic(input.shape)
  if (shapeOnly ? !known : inputs.length === 0 || inputs.some((v, i) => v !== null && !constants[i]))
    return undefined
  const args =
    known && !constants[0]
      ? [{ dtype: input.dtype, shape: input.shape as readonly number[], data: new Uint8Array(0) }]
      : constants
  const results = folded(node, args, limit)
  return results?.every((r): r is Tensor => isTensor(r) && sizeOf(r.shape) <= limit) ? results : undefined
}

/** A node's results on constants; undefined where they would be too large to make. */
function folded(
  node: Node,
  args: readonly (Tensor | undefined)[],
  limit: number,
): readonly Datum[] | undefined {
  const op = opNamed(node.op)
  if (!op) throw new BugError(`specialize: no operator ${node.op}`)
  const types = inferNode(
    node.op,
    op,
    {
      inputs: args.map((t) => (t ? typeOf(t) : null)),
      constants: args.map((t) => t ?? null),
      attributes: node.attributes,
      outputs: node.outputs.length,
    },
    `node ${node.name}`,
  )
  const large = types.some((t) => t.kind === 'tensor' && isStatic(t.shape) && sizeOf(t.shape) > limit)
  return large ? undefined : evaluateNode(node, args)
}

/** What inference found, completed by what the old type says where inference knows nothing. */
export function merge(found: Type, old: Type): Type {
  if (found.kind !== 'tensor' || old.kind !== 'tensor' || !old.shape) return found
  if (!found.shape) return { ...found, shape: old.shape }
  if (found.shape.length !== old.shape.length) return found
  return { ...found, shape: found.shape.map((d, i) => (d === null ? old.shape![i]! : d)) }
}
