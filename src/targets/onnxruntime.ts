// onnxruntime in Node (package onnxruntime-node, optional): the graph written as ONNX, at each of its four levels of
// optimisation. The levels are variants of one target: two that differ put the blame on the optimiser.

import type * as Ort from 'onnxruntime-node'
import { compileOnnx, levelIn, levels, openSession, sessionExecutable, threadsIn } from './ort.ts'
import { loadPackage, type PackageFound, required } from './package.ts'
import type { Target } from './target.ts'

export const onnxruntime = onnxruntimeOf('onnxruntime', () => loadPackage<typeof Ort>('onnxruntime-node'))

/** The target that runs on one copy of the package. */
export function onnxruntimeOf(name: string, runtime: () => Promise<PackageFound<typeof Ort>>): Target {
  return {
    name,
    foreign: true,
    doc: 'onnxruntime in Node, on the CPU; the graph written as ONNX',
    variants: [...levels].reverse().map((level) => ({ name: level, options: { level } })),
    async presence() {
      const found = await runtime()
      return 'version' in found
        ? { present: true, version: found.version }
        : { present: false, reason: found.reason }
    },
    compile: (graph, options) => compileOnnx(name, graph, options),
    async load(artifact) {
      const { module: ort, version } = required(name, await runtime())
      const level = levelIn(name, artifact.options)
      const threads = threadsIn(name, artifact.options)
      const session = await openSession(`${name} (${level})`, artifact, (bytes) =>
        ort.InferenceSession.create(bytes, {
          graphOptimizationLevel: level,
          intraOpNumThreads: threads,
          interOpNumThreads: 1,
          executionMode: 'sequential',
          executionProviders: ['cpu'],
          // What goes wrong is thrown; the log would say it twice.
          logSeverityLevel: 4,
        }),
      )
      return sessionExecutable(`${name} (${level})`, ort, session, artifact.graph, {
        version,
        level,
        threads,
      })
    },
  }
}
