// The reference: runs a graph node by node with each operator's own plain definition. Everything else is judged against it.

import { BugError, InputError } from '../core/errors.ts'
import { sizeOf } from '../core/tensor.ts'
import { inferNode } from './graph.ts'
import { checkInputs } from './inputs.ts'
import { opNamed } from './ops/index.ts'
import {
  type Datum,
  type Graph,
  isTensor,
  type Node,
  printType,
  type Type,
  typeOf,
  type ValueId,
} from './types.ts'

export { checkInputs }

export type EvaluateOptions = {
  /** Called with every node's outputs as they are made. */
  readonly observe?: (node: Node, index: number, outputs: readonly Datum[]) => void
  /** Largest number of elements that one value may have; guards against absurd files. Default 2^31. */
  readonly limit?: number
}

/** The type of a run-time value. An empty sequence says nothing of its elements. */
export function typeOfDatum(d: Datum): Type {
  if (d === null) return { kind: 'optional', element: { kind: 'tensor', dtype: 'float32', shape: null } }
  if (isTensor(d)) return typeOf(d)
  return {
    kind: 'sequence',
    element: d.length ? typeOfDatum(d[0]!) : { kind: 'tensor', dtype: 'float32', shape: null },
  }
}

/** Evaluates one node on the given inputs (absent ones null or undefined). */
export function evaluateNode(
  node: Node,
  inputs: readonly (Datum | undefined)[],
  options: EvaluateOptions = {},
): readonly Datum[] {
  const op = opNamed(node.op)
  if (!op) throw new BugError(`evaluate: no operator ${node.op}`)
  const types = inferNode(
    node.op,
    op,
    {
      inputs: inputs.map((d) => (d == null ? null : typeOfDatum(d))),
      constants: inputs.map((d) => (isTensor(d) ? d : null)),
      attributes: node.attributes,
      outputs: node.outputs.length,
    },
    `node ${node.name}`,
  )
  const limit = options.limit ?? 2 ** 31
  for (const t of types) {
    if (t.kind === 'tensor' && t.shape && sizeOf(t.shape as number[]) > limit) {
      throw new InputError(
        `node ${node.name} (${node.op}): result ${printType(t)} is larger than ${limit} elements`,
      )
    }
  }
  try {
    return op.evaluate(inputs, {
      attributes: node.attributes,
      types,
      outputs: node.outputs.length,
      run: (graph, args) => evaluate(graph, args, { limit }),
    })
  } catch (e) {
    if (e instanceof InputError) throw new InputError(`node ${node.name} (${node.op}): ${e.message}`)
    throw e
  }
}

/** Runs the graph. Values are freed after their last use. */
export function evaluate(graph: Graph, inputs: readonly Datum[], options: EvaluateOptions = {}): Datum[] {
  checkInputs(graph, inputs)
  const data = new Array<Datum | undefined>(graph.values.length)
  graph.inputs.forEach((v, i) => {
    data[v] = inputs[i]!
  })
  const lastUse = new Int32Array(graph.values.length).fill(-1)
  graph.nodes.forEach((n, i) => {
    for (const v of n.inputs) if (v !== null) lastUse[v] = i
  })
  for (const v of graph.outputs) lastUse[v] = graph.nodes.length
  const read = (v: ValueId | null): Datum | undefined =>
    v === null ? undefined : (graph.values[v]!.constant ?? data[v])
  graph.nodes.forEach((node, i) => {
    const outputs = evaluateNode(node, node.inputs.map(read), options)
    node.outputs.forEach((v, k) => {
      if (lastUse[v]! > i) data[v] = outputs[k]!
    })
    options.observe?.(node, i, outputs)
    for (const v of node.inputs) if (v !== null && lastUse[v] === i) data[v] = undefined
  })
  return graph.outputs.map((v) => read(v)!)
}
