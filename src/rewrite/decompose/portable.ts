// A graph in ONNX's terms: what only TensorFlow Lite has (its integer arithmetic, LSTMs with a limit on their cells) is written
// out. The bits stay.

import { type Attribute, type Graph, isGraph } from '../../ir/types.ts'
import { decompose } from './decompose.ts'
import { recurrentDecompositions } from './recurrent.ts'
import { tfliteDecompositions } from './tflite.ts'

/** The graph itself where it holds nothing of that kind, in its loops' bodies neither. */
export function portable(whole: Graph): Graph {
  const graph = withBodies(whole)
  const clipped = graph.nodes.some((n) => n.op === 'lstm' && n.attributes.cellClip !== undefined)
  const own = (op: string): boolean => op.startsWith('tflite') || (clipped && op === 'lstm')
  if (!graph.nodes.some((n) => own(n.op))) return graph
  return decompose(graph, { ...tfliteDecompositions, ...recurrentDecompositions }, (op) => !own(op))
}

function withBodies(graph: Graph): Graph {
  const has = (a: Attribute | undefined): a is Graph => a !== undefined && isGraph(a)
  if (!graph.nodes.some((n) => Object.values(n.attributes).some(has))) return graph
  const nodes = graph.nodes.map((n) => ({
    ...n,
    attributes: Object.fromEntries(
      Object.entries(n.attributes).map(([name, a]) => [name, has(a) ? portable(a) : a]),
    ),
  }))
  return { ...graph, nodes }
}
