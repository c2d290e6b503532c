// Whether V8's pass that pairs 128-bit vectors to 256 bits can be trusted here: a small network that uses every vector form of the
// compiler's kernels is run with and without it, and every bit must agree. The pass is experimental; a wrong answer is never worth it.

import { compile } from '../compile/compile.ts'
import { readImage } from '../compile/render/wasm/image.ts'
import { imageMemory, instantiate, readOutput, runSteps, writeInput } from '../compile/render/wasm/run.ts'
import { encodeImage } from '../compile/render/wasm/write-image.ts'
import { engines } from '../compile/schedule.ts'
import { sourceOf } from '../core/source.ts'
import type { Tensor } from '../core/tensor.ts'
import { GraphBuilder } from '../ir/graph.ts'
import type { Graph } from '../ir/types.ts'
import { wasmFeatures } from './processor.ts'

/** Convolutions by three algorithms, depthwise, pooling, residual sum, activations, a product, in sizes with and without tails. */
function probe(): { graph: Graph; input: Tensor } {
  const values = (shape: readonly number[]): Tensor => {
    const n = shape.reduce((a, b) => a * b, 1)
    const data = Float32Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + n) * 0.5)
    return { dtype: 'float32', shape, data }
  }
  const b = new GraphBuilder('self-test')
  const shape = [1, 12, 10, 8]
  const x = b.input('x', { kind: 'tensor', dtype: 'float32', shape })
  const conv = (v: number, o: number, i: number, k: number, groups = 1): number => {
    const p = k >> 1
    const attributes = { pads: [p, p, p, p], groups, layout: 'channelsLast' }
    return b.node('conv2d', [v, b.constant(values([o, i, k, k])), b.constant(values([o]))], attributes)
  }
  const wide = b.node('clamp', [conv(x, 32, 8, 1)], { low: 0, high: 6 })
  const deep = b.node('relu', [conv(wide, 32, 1, 3, 32)])
  const sum = b.node('add', [conv(deep, 32, 32, 3), wide])
  const pooled = b.node('averagePool2d', [b.node('sigmoid', [sum])], {
    kernel: [2, 2],
    strides: [2, 2],
    layout: 'channelsLast',
  })
  b.output(conv(pooled, 20, 32, 1))
  b.output(b.node('matMul', [pooled, b.constant(values([32, 13]))]))
  return { graph: b.finish(), input: values(shape) }
}

/** Runs the probe compiled each way; says what differs, or nothing. */
export function selfTest(
  compileModule: (bytes: Uint8Array<ArrayBuffer>, fast: boolean) => WebAssembly.Module,
): string | undefined {
  const { graph, input } = probe()
  const program = compile(graph, { engine: engines['wasm-fast'] })
  const image = encodeImage(program, { relaxed: wasmFeatures().relaxedSimd, shared: false, threads: 1 })
  const run = (fast: boolean): Tensor[] => {
    const source = sourceOf(image)
    const { header, module } = readImage(source)
    const memory = imageMemory(header, source)
    const instance = instantiate(header, compileModule(module, fast), memory)
    writeInput(memory, header.inputs[0]!, input.data)
    runSteps(instance)
    return header.outputs.map((p) => readOutput(memory, p))
  }
  const [safe, fast] = [run(false), run(true)]
  for (const [i, t] of safe.entries()) {
    const other = fast[i]!.data as Float32Array
    const at = (t.data as Float32Array).findIndex((v, k) => !Object.is(v, other[k]))
    if (at >= 0) return `output ${i}, element ${at}: ${t.data[at]} without pairing, ${other[at]} with it`
  }
  return undefined
}
