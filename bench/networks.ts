// Whole networks against the peers: `node bench/networks.ts`. Every output is held to the reference first, which takes minutes on
// the large ones; --agree compares them with each other instead. On a machine that isn't quiet: --threads 1 --clock cpu.

import { bench, benchModel } from '../src/studies/bench.ts'
import type { BenchResult } from '../src/studies/bench-result.ts'
import { type Goal, goalsMarkdown, joined, knownAs, publish, readArguments } from './goals.ts'

/** Throughput against the peer at one thread, as the project promises it; at two threads within a tenth. */
const promised: Readonly<Record<string, readonly [c: number, wasmFast: number, wasmSafe: number]>> = {
  'mobilenet-v2': [1.1, 0.85, 2.2],
  'resnet-18': [1.8, 1.35, 3.5],
  'resnet-50': [1.25, 1.05, 2.5],
  'inception-v3': [1.2, 1.05, 2.4],
  'vgg-16': [2.2, 1.7, 4.3],
}
const pairs = [
  ['c', 'onnxruntime'],
  ['wasm:fast', 'onnxruntime'],
  ['wasm:safe', 'onnxruntime-web'],
] as const
/** Peers with fast algorithms that cost accuracy (`--allow mnn=1e-3` times them all the same): ours is to be ahead at its own. */
const rivals = ['mnn', 'ncnn'] as const

const { models, subjects, threads, out, options } = readArguments({
  models: Object.keys(promised),
  targets: ['c', 'wasm:fast', 'wasm:safe', 'onnxruntime', 'onnxruntime-web', 'tfjs', ...rivals],
  threads: [1, 2],
})
const results: BenchResult[] = []
const goals: Goal[] = []
for (const name of models) {
  const model = { ...(await benchModel(/[./]/.test(name) ? name : `zoo:${name}`)), name }
  // The promises hold at an error of at most 1e-4 of the largest output.
  results.push(await bench({ ...options, models: [model], subjects, threads, within: 1e-4 }))
  for (const t of threads) {
    for (const [i, [subject, peer]] of pairs.entries()) {
      const ratio = promised[name]?.[i]
      if (ratio === undefined) continue
      goals.push({
        model: name,
        threads: t,
        subject: knownAs(subjects, subject),
        peer: knownAs(subjects, peer),
        ratio: t === 1 ? ratio : Number((ratio * 0.9).toFixed(2)),
      })
    }
    for (const peer of rivals) {
      if (subjects.some((s) => s.target.name === peer))
        goals.push({ model: name, threads: t, subject: knownAs(subjects, 'c'), peer, ratio: 1 })
    }
  }
  // After each, so that a run that is stopped has left what it found.
  const so = joined(results)
  await publish('networks', so, out, goalsMarkdown(goals, so), results.length === models.length)
}
