// The product of two 512 × 512 matrices of float32, the second constant (as a layer's weights are) or not: `node bench/gemm.ts`.

import { rng } from '../src/core/rng.ts'
import { tensor } from '../src/core/tensor.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { tensorType } from '../src/ir/types.ts'
import { bench } from '../src/studies/bench.ts'
import type { BenchModel } from '../src/studies/bench-options.ts'
import { type BenchResult, rowName } from '../src/studies/bench-result.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import type { PeakEngine } from '../src/targets/peak.ts'
import { publish, readArguments } from './goals.ts'

const n = 512
const type = tensorType('float32', [n, n])

function product(name: string, constant: boolean): BenchModel {
  const b = new GraphBuilder(name)
  const { next } = rng(7)
  const x = b.input('x', type)
  const w = constant
    ? b.constant(
        tensor(
          'float32',
          [n, n],
          Float32Array.from({ length: n * n }, () => 2 * next() - 1),
        ),
        'w',
      )
    : b.input('w', type)
  b.output(b.node('matMul', [x, w]))
  const graph = b.finish()
  return { name, graph, inputs: randomInputs(graph, 1, 1)[0]! }
}

/** Least share of the measured peak of the engine: C of the native one, WebAssembly of its own. */
const promised: readonly (readonly [string, PeakEngine, number])[] = [
  ['c', 'native', 0.9],
  ['wasm:fast', 'native', 0.85],
  ['wasm:safe', 'wasm-safe', 0.9],
]

function sharesMarkdown(result: BenchResult): string {
  const lines = result.rows.flatMap((row) => {
    const goal = promised.find(([name]) => name === rowName(row) || name === row.target)
    const peak = goal && result.peaks.find((p) => p.engine === goal[1] && p.threads === row.threads)
    if (!goal || !peak || row.gflops === null) return []
    // By processor time where there is one thread: neighbours don't count.
    const ms = row.threads === 1 ? row.cpuMs! : row.medianMs!
    const share = (2 * n ** 3) / ms / 1e6 / peak.gops
    const cells = [row.model, row.threads, rowName(row), peak.engine, goal[2], share.toFixed(3)]
    return [`| ${[...cells, share >= goal[2] ? 'met' : 'missed'].join(' | ')} |`]
  })
  return [
    '| model | threads | target | peak of | goal | share | |',
    '| --- | ---: | --- | --- | ---: | ---: | --- |',
    ...lines,
  ].join('\n')
}

const { subjects, threads, out, options } = readArguments({
  models: [],
  targets: ['c', 'wasm:fast', 'wasm:safe', 'onnxruntime', 'onnxruntime-web', 'tfjs'],
  threads: [1, 2],
})
const models = [product('gemm-512', true), product('gemm-512 (both given)', false)]
const result = await bench({ ...options, models, subjects, threads })
await publish('gemm', result, out, sharesMarkdown(result))
