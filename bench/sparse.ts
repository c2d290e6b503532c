// Sparse weights against a dense peer: `node bench/sparse.ts`. A chain of eight pointwise convolutions 256 → 256 at 28 × 28, each followed by
// relu, whose weights are zero at random (unstructured) at several sparsities; and MobileNetV2, the smallest nine tenths of its pointwise
// weights zero. The peer computes with the zeros; a chain, because a single convolution would charge the peer for bringing its data into
// its own layout. `break-even` (one of --models) times the sparse form of each algorithm against its dense one on our targets, and says
// from which share of zeros on it is faster.

import { rng } from '../src/core/rng.ts'
import { numbers, type Tensor, tensor } from '../src/core/tensor.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { tensorType, type ValueId } from '../src/ir/types.ts'
import { bench, benchModel } from '../src/studies/bench.ts'
import { type BenchModel, subjectName } from '../src/studies/bench-options.ts'
import { type BenchResult, speedOver } from '../src/studies/bench-result.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { type Arguments, type Goal, goalsMarkdown, joined, knownAs, publish, readArguments } from './goals.ts'

const [channels, size] = [256, 28]

function chain(sparsity: number, length = 8): BenchModel {
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

/** A network whose pointwise convolutions keep their largest weights only. */
async function pruned(name: string, sparsity: number): Promise<BenchModel> {
  const { graph, inputs } = await benchModel(`zoo:${name}`)
  const filters = new Map<ValueId, Tensor>()
  for (const n of graph.nodes) {
    const v = n.inputs[1] ?? undefined
    const w = v === undefined ? undefined : graph.values[v]!.constant
    const pointwise =
      n.op === 'conv2d' && n.attributes.groups === 1 && w?.shape.slice(2).every((k) => k === 1)
    if (v === undefined || !w || !pointwise) continue
    const sizes = Float32Array.from(numbers(w), Math.abs).sort()
    const least = sizes[Math.floor((sizes.length * sparsity) / 100)]!
    const data = Float32Array.from(numbers(w), (x) => (Math.abs(x) < least ? 0 : x))
    filters.set(v, tensor('float32', w.shape, data))
  }
  const values = graph.values.map((value, v) =>
    filters.has(v) ? { ...value, constant: filters.get(v)! } : value,
  )
  return { name: `${name}, ${sparsity} % zeros`, graph: { ...graph, values }, inputs }
}

const algorithms = ['direct', 'im2col', 'spatialPack'] as const
const shares = [30, 50, 60, 70, 80, 90] as const

/** Where a curve through (share of zeros, speed relative to dense) comes to 1; between two points on a straight line of logarithms. */
function crossing(points: readonly (readonly [share: number, ratio: number])[]): string {
  let before: readonly [number, number] | undefined
  for (const [share, ratio] of points) {
    if (ratio >= 1) {
      if (!before) return `below ${share} %`
      const part = Math.log(1 / before[1]) / Math.log(ratio / before[1])
      return `${Math.round(before[0] + part * (share - before[0]))} %`
    }
    before = [share, ratio]
  }
  return `above ${before?.[0]} %`
}

/** Each algorithm's sparse form against its dense one and the fastest dense one, timed in turn on the chain above. */
async function breakEven(subjects: Arguments['subjects'], options: Arguments['options']): Promise<string> {
  const rows: string[][] = []
  for (const base of subjects.filter((s) => ['c', 'wasm'].includes(s.target.name))) {
    const variants = algorithms.flatMap((algorithm) =>
      [false, true].map((sparse) => ({
        ...base,
        variant: `${base.variant} ${algorithm}${sparse ? ' sparse' : ''}`.trim(),
        options: { ...base.options, schedule: JSON.stringify({ '*': { algorithm, sparse } }) },
      })),
    )
    const result = await bench({
      ...options,
      models: shares.map((share) => chain(share, 4)),
      subjects: variants,
      threads: [1],
    })
    const name = (algorithm: string, sparse: boolean): string =>
      subjectName(variants.find((v) => v.variant.endsWith(`${algorithm}${sparse ? ' sparse' : ''}`))!)
    for (const algorithm of algorithms) {
      const curve = (peers: readonly string[]): [number, number][] =>
        shares.flatMap((share) => {
          const ratios = peers.map(
            (p) => speedOver(result, chain(share).name, 1, name(algorithm, true), name(p, false))?.ratio,
          )
          const known = ratios.filter((r) => r !== undefined)
          return known.length === peers.length ? [[share, Math.min(...known)] as [number, number]] : []
        })
      const [own, best] = [curve([algorithm]), curve(algorithms)]
      const speeds = best.map(([share, ratio]) => `${share} %: ${ratio.toFixed(2)}`).join(', ')
      rows.push([subjectName(base), algorithm, crossing(own), crossing(best), speeds])
    }
  }
  return [
    '| Strata | algorithm | sparse is faster than its dense form from | than the fastest dense form from | speed relative to that, by zeros |',
    '| --- | --- | ---: | ---: | --- |',
    ...rows.map((r) => `| ${r.join(' | ')} |`),
  ].join('\n')
}

const { models, subjects, threads, out, options } = readArguments({
  models: ['0', '50', '80', '90', '95', 'mobilenet-v2', 'break-even'],
  targets: ['c', 'wasm:fast', 'wasm:safe', 'onnxruntime', 'onnxruntime-web'],
  threads: [1],
})
/** Throughput against the peer. */
const promised: Readonly<Record<string, readonly [c: number, wasmFast: number]>> = {
  80: [2.5, 2.5],
  90: [5, 5],
  'mobilenet-v2': [2.5, 1],
}
const results: BenchResult[] = []
const goals: Goal[] = []
const asked = models.filter((m) => m !== 'break-even')
let last = ''
for (const name of asked) {
  const model = /^\d+$/.test(name) ? chain(Number(name)) : await pruned(name, 90)
  results.push(await bench({ ...options, models: [model], subjects, threads }))
  for (const t of threads)
    for (const [i, subject] of (['c', 'wasm:fast'] as const).entries())
      goals.push({
        model: model.name,
        threads: t,
        subject: knownAs(subjects, subject),
        peer: knownAs(subjects, 'onnxruntime'),
        ratio: promised[name]?.[i] ?? 1,
      })
}
if (models.includes('break-even')) last = await breakEven(subjects, options)
if (results.length > 0) {
  const all = joined(results)
  await publish('sparse', all, out, [goalsMarkdown(goals, all), last].filter(Boolean).join('\n\n'))
} else process.stdout.write(`${last}\n`)
