// Writes a graph as an ONNX file that onnxruntime runs to the same bits as the file the graph came from. Graphs with channels last
// are written with transposes around what ONNX has channels first only. Every value keeps its name.

import { create, toBinary } from '@bufbuild/protobuf'
import { UnsupportedError } from '../../core/errors.ts'
import type { Graph } from '../../ir/types.ts'
import { Emitter, type ModelState } from './emit.ts'
import { mainProto } from './graph-proto.ts'
import { ModelProtoSchema } from './schema/onnx_pb.ts'

/** The oldest operator set that rows assume: what they emit without asking for more means the same since then. */
const lowestOpset = 13

/** Versions of the intermediate representation by operator set (ONNX's release table). */
const irVersion = (opset: number): number => (opset >= 21 ? 10 : opset >= 19 ? 9 : 8)

/**
 * Bytes of an ONNX model. Operators without an ONNX counterpart are written as what they consist of; throws UnsupportedError
 * with all that can't be.
 */
export function writeOnnx(graph: Graph): Uint8Array {
  const [first, needed] = written(graph, lowestOpset)
  // What one row needs changes how others are spelled.
  return needed === lowestOpset ? first() : written(graph, needed)[0]()
}

function written(graph: Graph, target: number): [bytes: () => Uint8Array, needed: number] {
  const state: ModelState = {
    names: new Set(),
    target,
    opset: target,
    microsoft: false,
    unsupported: new Map(),
  }
  const proto = mainProto(new Emitter(graph, state))
  if (state.unsupported.size) {
    throw new UnsupportedError(
      `${graph.name}: as ONNX`,
      [...state.unsupported].map(([op, count]) => ({ op, count })),
    )
  }
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(irVersion(state.opset)),
    producerName: 'strata',
    opsetImport: [
      { domain: '', version: BigInt(state.opset) },
      ...(state.microsoft ? [{ domain: 'com.microsoft', version: 1n }] : []),
    ],
    graph: proto,
  })
  return [() => toBinary(ModelProtoSchema, model), state.opset]
}
