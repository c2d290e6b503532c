// Graphs as GraphProto: a model's own, and bodies, whose captured values keep their names from outside.

import { create } from '@bufbuild/protobuf'
import type { Graph, ValueId } from '../../ir/types.ts'
import { Emitter, NotWritable, tensorProto, typeProto, Written } from './emit.ts'
import { writeRowFor } from './rows/index.ts'
import {
  type GraphProto,
  GraphProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './schema/onnx_pb.ts'

function info(e: Emitter, v: ValueId, name = e.name(v)): ValueInfoProto {
  return create(ValueInfoProtoSchema, { name, type: typeProto(e.graph.values[v]!.type) })
}

/** Writes all nodes; inputs beyond `formal` are captured and no inputs of the message. */
function finish(e: Emitter, formal: number, inner: boolean): GraphProto {
  const { graph } = e
  const used = new Set<ValueId>(graph.outputs)
  for (const n of graph.nodes) for (const v of n.inputs) if (v !== null) used.add(v)
  graph.values.forEach((v, i) => {
    if (v.constant && used.has(i)) e.initializers.push(tensorProto(v.constant, e.name(i)))
  })
  for (const node of graph.nodes) {
    const row = writeRowFor(node.op)
    try {
      if (!row) throw new NotWritable(node.op)
      row(new Written(e, node))
    } catch (err) {
      if (!(err instanceof NotWritable)) throw err
      e.state.unsupported.set(err.message, (e.state.unsupported.get(err.message) ?? 0) + 1)
    }
  }
  const made = new Set(graph.nodes.flatMap((n) => n.outputs))
  const seen = new Set<ValueId>()
  const output = graph.outputs.map((v) => {
    // A body must make its outputs itself, and no graph may name one twice.
    if ((!inner || made.has(v)) && !seen.has(v)) {
      seen.add(v)
      return info(e, v)
    }
    const copy = e.fresh(`${e.name(v)}/output`)
    e.add('Identity', [e.name(v)], [copy], {}, copy)
    return info(e, v, copy)
  })
  return create(GraphProtoSchema, {
    name: graph.name || 'graph',
    input: graph.inputs.slice(0, formal).map((v) => info(e, v)),
    output,
    node: e.nodes,
    initializer: e.initializers,
  })
}

export const mainProto = (e: Emitter): GraphProto => finish(e, e.graph.inputs.length, false)

/** A body of a node with these inputs: the last ones are those that it captures. */
export function bodyProto(
  outer: Emitter,
  body: Graph,
  formal: number,
  nodeInputs: readonly (ValueId | null)[],
): GraphProto {
  const captured = body.inputs.slice(formal)
  const given = new Map(
    captured.map((v, i) => {
      const from = nodeInputs[nodeInputs.length - captured.length + i]
      return [v, from == null ? '' : outer.name(from)] as const
    }),
  )
  return finish(new Emitter(body, outer.state, given), formal, true)
}
