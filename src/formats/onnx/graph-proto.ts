// Graphs as GraphProto: a model's own, and bodies, whose captured values keep their names from outside.

import { create } from '@bufbuild/protobuf'
import type { Graph, ValueId } from '../../ir/types.ts'
import { Emitter, NotWritable, tensorProto, typeProto, Written } from './emit.ts'
import { writeRowFor } from './rows/index.ts'
import {
  type GraphProto,
  GraphProtoSchema,
  type NodeProto,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './schema/onnx_pb.ts'

function info(e: Emitter, v: ValueId, name = e.name(v)): ValueInfoProto {
  return create(ValueInfoProtoSchema, { name, type: typeProto(e.graph.values[v]!.type) })
}

/** Whether the graph knows a value's shape: onnxruntime's optimisers can use it. */
function known(graph: Graph, v: ValueId): boolean {
  const { type } = graph.values[v]!
  return type.kind === 'tensor' && type.shape !== null
}

/** Names that nodes and their bodies read. */
function usedNames(nodes: readonly NodeProto[]): string[] {
  return nodes.flatMap((n) => [
    ...n.input,
    ...n.attribute.flatMap((a) => (a.g ? [...usedNames(a.g.node), ...a.g.output.map((o) => o.name)] : [])),
  ])
}

/** Writes all nodes; inputs beyond `formal` are captured and no inputs of the message. */
function finish(e: Emitter, formal: number, inner: boolean): GraphProto {
  const { graph } = e
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
  // What became an attribute is no initializer.
  const used = new Set([...usedNames(e.nodes), ...output.map((o) => o.name)])
  graph.values.forEach((v, i) => {
    if (v.constant && used.has(e.name(i))) e.initializers.push(tensorProto(v.constant, e.name(i)))
  })
  return create(GraphProtoSchema, {
    name: graph.name || 'graph',
    input: graph.inputs.slice(0, formal).map((v) => info(e, v)),
    output,
    node: e.nodes,
    initializer: e.initializers,
    valueInfo: graph.nodes.flatMap((n) =>
      n.outputs.filter((v) => known(graph, v) && !seen.has(v)).map((v) => info(e, v)),
    ),
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
