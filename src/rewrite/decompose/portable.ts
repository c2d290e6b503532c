// A graph in ONNX's terms: what only TensorFlow Lite has (its integer arithmetic, LSTMs with a limit on their cells) is written
// out. The bits stay.

import type { Graph } from '../../ir/types.ts'
import { decompose } from './decompose.ts'
import { recurrentDecompositions } from './recurrent.ts'
import { tfliteDecompositions } from './tflite.ts'

/** The graph itself where it holds nothing of that kind. */
export function portable(graph: Graph): Graph {
  const clipped = graph.nodes.some((n) => n.op === 'lstm' && n.attributes.cellClip !== undefined)
  const own = (op: string): boolean => op.startsWith('tflite') || (clipped && op === 'lstm')
  if (!graph.nodes.some((n) => own(n.op))) return graph
  return decompose(graph, { ...tfliteDecompositions, ...recurrentDecompositions }, (op) => !own(op))
}
