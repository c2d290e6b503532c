// Fixing shapes: symbols get numbers, types are inferred anew, and whatever depends on constants alone becomes a constant.

import { BugError, InputError } from '../core/errors.ts'
import { sizeOf } from '../core/tensor.ts'
import { evaluateNode } from './evaluate.ts'
import { GraphBuilder, prune } from './graph.ts'
import { opNamed } from './ops/index.ts'
import {
  type Dim,
  type Graph,
  isStatic,
  isTensor,
  printType,
  type Type,
  tensorType,
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
  const bind = (d: Dim): Dim =>
    typeof d === 'string' && options.dims?.[d] !== undefined
      ? options.dims[d]!
      : typeof d === 'number'
        ? d
        : (options.open ?? d)
  const bindType = (t: Type): Type =>
    t.kind === 'tensor' && t.shape ? tensorType(t.dtype, t.shape.map(bind)) : t
  graph.inputs.forEach((v, i) => {
    const value = graph.values[v]!
    const given = options.inputs?.[value.name] ?? options.inputs?.[String(i)]
    let type = bindType(value.type)
    if (given && value.type.kind === 'tensor') {
      const shape = value.type.shape
      if (
        shape &&
        (shape.length !== given.length || shape.some((d, k) => typeof d === 'number' && d !== given[k]))
      ) {
        throw new InputError(`input ${value.name}: expected ${printType(value.type)}, got shape [${given}]`)
      }
      type = tensorType(value.type.dtype, given)
    }
    map[v] = b.input(value.name, type, value.quantization)
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
  const limit = options.foldLimit ?? 2 ** 22
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(to)
    const constants = inputs.map((v) => (v === null ? undefined : b.constantOf(v)))
    const shapeOnly = node.op === 'shape' || node.op === 'size'
    const input = shapeOnly && inputs[0] != null ? b.type(inputs[0]) : undefined
    const known = input?.kind === 'tensor' && isStatic(input.shape)
    const foldable =
      !unfoldable.has(node.op) &&
      !options.keep?.has(node.op) &&
      (known || (inputs.length > 0 && inputs.every((v, i) => v === null || constants[i])))
    if (foldable && (!shapeOnly || known)) {
      const args =
        known && !constants[0]
          ? [{ dtype: input.dtype, shape: input.shape as readonly number[], data: new Uint8Array(0) }]
          : constants
      const results = evaluateNode(node, args)
      if (results.every((r) => isTensor(r) && sizeOf(r.shape) <= limit)) {
        node.outputs.forEach((v, k) => {
          const r = results[k]!
          if (isTensor(r)) map[v] = b.constant(r, graph.values[v]!.name, graph.values[v]!.quantization)
        })
        continue
      }
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

/** What inference found, completed by what the old type says where inference knows nothing. */
function merge(found: Type, old: Type): Type {
  if (found.kind !== 'tensor' || old.kind !== 'tensor' || !old.shape) return found
  if (!found.shape) return { ...found, shape: old.shape }
  if (found.shape.length !== old.shape.length) return found
  return { ...found, shape: found.shape.map((d, i) => (d === null ? old.shape![i]! : d)) }
}
