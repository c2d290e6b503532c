// A GraphDef into a graph: inputs, outputs, and every node that an output needs. TF.js graph models come through here, and
// frozen .pb files can.

import { InputError, type Unsupported, UnsupportedError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import { GraphBuilder, prune } from '../../ir/graph.ts'
import { type Dim, type Graph, tensorType } from '../../ir/types.ts'
import { Sketch } from '../sketch.ts'
import { blockHandlers } from './blocks.ts'
import { mergeRegion } from './branch.ts'
import { controlHandlers, exitRegion, findFrames } from './control.ts'
import { elementwiseHandlers } from './elementwise.ts'
import type { GraphDef, NodeDef, Port } from './graph.ts'
import { parseRef } from './graph.ts'
import { linearHandlers } from './linear.ts'
import { type Handler, type Item, Scope, tensorItem } from './scope.ts'
import { shapeHandlers } from './shape.ts'
import { windowHandlers } from './window.ts'

/** Every TensorFlow operator that is known. */
export const handlers: Readonly<Record<string, Handler>> = {
  ...elementwiseHandlers,
  ...linearHandlers,
  ...shapeHandlers,
  ...windowHandlers,
  ...blockHandlers,
  ...controlHandlers,
}

/** Operators that are read as part of what surrounds them. */
const structural: ReadonlySet<string> = new Set([
  'Const',
  'Placeholder',
  'NoOp',
  'Enter',
  'RefEnter',
  'Exit',
  'Merge',
  'Switch',
  'NextIteration',
  'LoopCond',
])

export type ConvertOptions = {
  readonly where: string
  readonly name: string
  /** Tensors of Const nodes by name. */
  readonly constants: ReadonlyMap<string, Tensor>
  /** Numbers for open dimensions by name (`batch`, `image_1`), where windows need them while reading. */
  readonly dims?: Readonly<Record<string, number>>
}

const dimsOf = (
  name: string,
  shape: readonly (number | null)[] | undefined,
  known: Readonly<Record<string, number>> = {},
): readonly Dim[] | null =>
  shape
    ? shape.map((d, i): Dim => {
        const symbol = i === 0 ? 'batch' : `${name}_${i}`
        return d ?? known[symbol] ?? symbol
      })
    : null

/** Reads a GraphDef into a graph. */
export function convertGraphDef(def: GraphDef, options: ConvertOptions): Graph {
  const { where, constants } = options
  const outputs = outputsOf(def)
  const needed = reachable(
    def,
    outputs.map((o) => o.ref),
  )
  refuseUnknown(def, needed, where)
  const b = new GraphBuilder(options.name)
  const s = new Sketch(b)
  const frames = findFrames(def.nodes, where)
  const bound: [string, readonly Item[]][] = []
  for (const { name, node } of inputsOf(def, needed)) {
    const n = def.nodes.get(node)
    if (!n) throw new InputError(`${where}: input ${name} names node ${node}, which doesn't exist`)
    const port = def.inputs?.find((p) => p.name === name)
    const dtype = n.attributes.type('dtype') ?? port?.dtype
    if (!dtype) throw new UnsupportedError(where, [{ op: `input ${name} of an unknown type`, count: 1 }])
    const stated = n.attributes.shape('shape') ?? (port?.shape as (number | null)[] | undefined)
    bound.push([node, [tensorItem(b.input(name, tensorType(dtype, dimsOf(name, stated, options.dims))))]])
  }
  const scope = new Scope(
    s,
    {
      def,
      where,
      constants,
      handler: (op) => (op === 'Const' ? constant : Object.hasOwn(handlers, op) ? handlers[op] : undefined),
      region: (node, inside) => {
        if (node.op === 'Merge') return mergeRegion(node, inside)
        const frame = node.op === 'Exit' ? frames.get(node.name) : undefined
        return frame ? exitRegion(node, frame, inside) : null
      },
    },
    def.nodes,
    bound,
  )
  for (const o of outputs) b.output(scope.value(o.ref))
  return prune(b.finish())
}

const constant: Handler = (x) => {
  const t = x.scope.rules.constants.get(x.def.name)
  if (!t) throw new InputError(`the content of the constant is missing among the weights`)
  return [tensorItem(x.s.weight(t, x.def.name))]
}

/** The signature's outputs, else the nodes that nothing reads. */
function outputsOf(def: GraphDef): Port[] {
  if (def.outputs?.length) return [...def.outputs]
  const read = new Set<string>()
  for (const n of def.nodes.values()) for (const i of n.inputs) read.add(parseRef(i)?.node ?? i.slice(1))
  return [...def.nodes.values()]
    .filter((n) => !read.has(n.name) && n.op !== 'Const' && n.op !== 'Placeholder' && n.op !== 'NoOp')
    .map((n) => ({ name: n.name, ref: n.name }))
}

/** The signature's inputs, else the placeholders that the outputs need. */
function inputsOf(def: GraphDef, needed: ReadonlySet<string>): { name: string; node: string }[] {
  if (def.inputs?.length) {
    return def.inputs.map((p) => ({ name: p.name, node: parseRef(p.ref)?.node ?? p.ref }))
  }
  return [...def.nodes.values()]
    .filter((n) => n.op === 'Placeholder' && needed.has(n.name))
    .map((n) => ({ name: n.name, node: n.name }))
}

function reachable(def: GraphDef, refs: readonly string[]): Set<string> {
  const seen = new Set<string>()
  const path = refs.map((r) => parseRef(r)?.node ?? r)
  while (path.length) {
    const name = path.pop()!
    if (seen.has(name)) continue
    seen.add(name)
    for (const i of def.nodes.get(name)?.inputs ?? []) {
      const r = parseRef(i)
      if (r) path.push(r.node)
    }
  }
  return seen
}

/** Names every operator that isn't known, all at once, in the graph and in the functions that it calls. */
function refuseUnknown(def: GraphDef, needed: ReadonlySet<string>, where: string): void {
  const counts = new Map<string, number>()
  const see = (n: NodeDef): void => {
    if (!structural.has(n.op) && !Object.hasOwn(handlers, n.op)) counts.set(n.op, (counts.get(n.op) ?? 0) + 1)
  }
  for (const name of needed) {
    const n = def.nodes.get(name)
    if (n) see(n)
  }
  for (const f of def.functions.values()) for (const n of f.nodes.values()) see(n)
  const unknown: Unsupported[] = [...counts].map(([op, count]) => ({ op, count }))
  if (unknown.length) throw new UnsupportedError(where, unknown)
}
