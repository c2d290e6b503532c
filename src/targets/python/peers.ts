// Python runtimes that a graph reaches through our ONNX writer.

import { InputError } from '../../core/errors.ts'
import { wholeOf } from '../../core/source.ts'
import { isTensor } from '../../ir/types.ts'
import { compileOnnx, threadsIn } from '../ort.ts'
import type { Target } from '../target.ts'
import { type EnvironmentName, findPython, presenceOf } from './environments.ts'
import { limitsIn } from './native.ts'
import { openWorker } from './worker.ts'

function onnxPeer(name: EnvironmentName, doc: string, more: Pick<Target, 'onRequest'> = {}): Target {
  const pythonIn = (python: unknown): string | undefined => (typeof python === 'string' ? python : undefined)
  return {
    name,
    doc,
    ...more,
    variants: [{ name: '', options: {} }],
    presence: (options) => presenceOf(name, pythonIn(options?.python)),
    compile: (graph, options) => compileOnnx(name, graph, options),
    async load({ piece, options, graph }) {
      const found = await findPython(name, pythonIn(options.python))
      if (found.python === undefined) throw new InputError(`${name}: ${found.reason}`)
      const executable = await openWorker({
        runtime: name,
        python: found.python,
        file: { name: 'model.onnx', bytes: wholeOf(piece!) },
        options: { ...options, threads: threadsIn(name, options) },
        // Converters take minutes over large networks on a busy machine.
        limits: { loadMs: 280_000, ...limitsIn(options) },
      })
      if (executable.outputs.length !== graph.outputs.length) {
        await executable.dispose()
        throw new InputError(
          `${name}: has ${executable.outputs.length} outputs for a graph of ${graph.outputs.length}. It dropped some.`,
        )
      }
      return {
        facts: { version: found.version, ...executable.facts },
        run: (inputs) => executable.run(inputs.filter(isTensor)),
        lastMs: executable.lastMs,
        lastCpuMs: executable.lastCpuMs,
        dispose: executable.dispose,
      }
    },
  }
}

export const pythonPeers: readonly Target[] = [
  onnxPeer('openvino', "OpenVINO's CPU plugin in float32; the graph written as ONNX (Python)"),
  // Both take fast algorithms (Winograd's large tiles, short polynomials for exponentials) for what they cost in accuracy.
  onnxPeer('mnn', "MNN's CPU backend in float32; the graph written as ONNX, through its converter (Python)", {
    onRequest: true,
  }),
  onnxPeer('ncnn', 'ncnn in float32; the graph written as ONNX, through its converter pnnx (Python)', {
    onRequest: true,
  }),
]
