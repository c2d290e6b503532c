// Sparse weights against a dense peer: `node bench/sparse.ts`. A chain of eight pointwise convolutions 256 → 256 at 28 × 28, each followed by
// relu, whose weights are zero at random (unstructured) at several sparsities. The peer computes with the zeros; a chain, because a
// single convolution would charge the peer for bringing its data into its own layout.

import { rng } from '../src/core/rng.ts'
import { tensor } from '../src/core/tensor.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { tensorType } from '../src/ir/types.ts'
import { bench } from '../src/studies/bench.ts'
import type { BenchModel } from '../src/studies/bench-options.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { type Goal, goalsMarkdown, knownAs, publish, readArguments } from './goals.ts'

const [channels, size, length] = [256, 28, 8]

function chain(sparsity: number): BenchModel {
  const name = `pointwise, ${sparsity} % zeros`
  const b = new GraphBuilder(name)
  const { next } = rng(sparsity + 1)
  // Keeps the size of the activations from one convolution to the next: variance 2 / (inputs that count).
  const most = Math.sqrt(6 / (channels * (1 - sparsity / 100)))
  let x = b.input('x', tensorType('float32', [1, channels, size, size]))
  for (let i = 0; i < length; i++) {
    const draw = (): number => (next() < sparsity / 100 ? 0 : (2 * next() - 1) * most)
    const w = tensor(
      'float32',
      [channels, channels, 1, 1],
      Float32Array.from({ length: channels ** 2 }, draw),
    )
    x = b.node('relu', [b.node('conv2d', [x, b.constant(w, `w${i}`)])])
  }
  b.output(x)
  const graph = b.finish()
  return { name, graph, inputs: randomInputs(graph, 1, 1)[0]! }
}

const { models, subjects, threads, out, options } = readArguments({
  models: ['0', '50', '80', '90', '95'],
  targets: ['c', 'wasm:fast', 'wasm:safe', 'onnxruntime', 'onnxruntime-web'],
  threads: [1],
})
const promised: Readonly<Record<number, number>> = { 80: 2.5, 90: 5 }
const sparsities = models.map(Number)
const result = await bench({ ...options, models: sparsities.map(chain), subjects, threads })
const goals = sparsities.flatMap((s) =>
  threads.flatMap((t) =>
    ['c', 'wasm:fast'].map(
      (subject): Goal => ({
        model: chain(s).name,
        threads: t,
        subject: knownAs(subjects, subject),
        peer: knownAs(subjects, 'onnxruntime'),
        ratio: promised[s] ?? 1,
      }),
    ),
  ),
)
await publish('sparse', result, out, goalsMarkdown(goals, result))
