// The product of two 512 × 512 matrices of float32, the second constant (as a layer's weights are) or not, as a share of the peak that
// is measured in turn with it: `node bench/gemm.ts [--rounds 15]`; with `--peers` also against the peers, with the options of the other
// comparisons. What is timed is the executable's `run`, as users call it: inputs copied in, outputs allocated and copied out, or copied into the arrays of the run before, or nothing copied
// (`places`; C works on the arrays that it is given anyway).

import { parseArgs } from 'node:util'
import { rng } from '../src/core/rng.ts'
import { median, quantile } from '../src/core/statistics.ts'
import { type Tensor, tensor } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { tensorType } from '../src/ir/types.ts'
import { bench, benchSubjects } from '../src/studies/bench.ts'
import type { Questions } from '../src/studies/bench-child.ts'
import { estimatedBounds, judgeOutputs } from '../src/studies/bench-judge.ts'
import type { BenchModel } from '../src/studies/bench-options.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { type Child, startChild } from '../src/targets/child.ts'
import { packedFile } from '../src/targets/packed.ts'
import { measurePeakNow, type PeakEngine } from '../src/targets/peak.ts'
import { probeMachine, sayMachine } from '../src/targets/processor.ts'
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

/** Least share of the peak that is promised: C of the native one's multiply-adds, WebAssembly of its own. */
const promised: readonly (readonly [string, PeakEngine, number])[] = [
  ['c', 'native', 0.9],
  ['wasm:fast', 'native', 0.85],
  ['wasm:safe', 'wasm-safe', 0.9],
]

/**
 * Milliseconds of one window, and how many of them a turn takes. The best window counts, of the product as of the peak: a few runs that
 * no other process interrupted, for each interruption empties the caches, which the peak doesn't need.
 */
const [windowMs, windows] = [4, 24]
/** Milliseconds of a peak's eight windows. */
const peakMs = 80
const operations = 2 * n ** 3

const ways = ['new', 'reuse', 'place'] as const
type Way = (typeof ways)[number]
const called = { new: 'new ones', reuse: 'used again', place: 'in place' } as const
type Subject = {
  readonly name: string
  readonly engine: PeakEngine
  readonly goal: number
  readonly child: Child
  /** Runs that fill a window. */
  readonly runs: number
  /** Billions of operations a second of processor time, of `run` as it is, into outputs that are used again, and in place. */
  readonly rates: Record<Way, number[]>
  /** The same as shares of the peak of that turn. */
  readonly shares: Record<Way, number[]>
}

const ask = async <K extends keyof Questions>(
  child: Child,
  op: K,
  question: object,
): Promise<ReturnType<Questions[K]>> =>
  (await child.ask({ op, ...question }, 120_000)) as ReturnType<Questions[K]>

/** The best window of a turn, by processor time: what neighbours disturb least. */
async function rateOf({ child, runs }: Pick<Subject, 'child' | 'runs'>, way: Way): Promise<number> {
  let best = 0
  for (let i = 0; i < windows; i++) {
    const { cpuMs } = await ask(child, 'run', { runs, ...(way !== 'new' && { outputs: way }) })
    best = Math.max(best, (runs * operations) / cpuMs / 1e6)
  }
  return best
}

/** Every turn measures the peak, then the product, then the peak again: the host's own drift falls on both. */
async function measureShares(model: BenchModel, rounds: number): Promise<void> {
  using file = packedFile({ graph: model.graph, inputs: model.inputs })
  const expected = evaluate(model.graph, model.inputs) as Tensor[]
  const bounds = estimatedBounds(model.graph, expected)
  const subjects: Subject[] = []
  for (const [name, engine, goal] of promised) {
    const { target, options } = benchSubjects([name])[0]!
    const child = startChild(new URL('../src/studies/bench-child.ts', import.meta.url))
    try {
      const module = new URL('../src/targets/registry.ts', import.meta.url).href
      const question = { file: file.path, module, target: target.name, options: { ...options, threads: 1 } }
      const { outputs } = await ask(child, 'open', question)
      const { verdict, says } = judgeOutputs(outputs as Tensor[], expected, bounds)
      if (verdict === 'different') throw new Error(`different: ${says}`)
      // Long enough for V8's best code; then the windows are counted in runs.
      const { cpuMs } = await ask(child, 'run', { runs: 100 })
      const runs = Math.max(1, Math.round((100 * windowMs) / cpuMs))
      subjects.push({
        name,
        engine,
        goal,
        child,
        runs,
        rates: { new: [], reuse: [], place: [] },
        shares: { new: [], reuse: [], place: [] },
      })
    } catch (e) {
      child.kill()
      process.stdout.write(`${name}: ${(e as Error).message}\n`)
    }
  }
  const peaks = new Map<PeakEngine, number[]>()
  const peakNow = async (engine: PeakEngine): Promise<number> => {
    const peak = await measurePeakNow(engine, 1, 'float32', peakMs)
    if ('absent' in peak) throw new Error(peak.absent)
    peaks.set(engine, [...(peaks.get(engine) ?? []), peak.gops])
    return peak.gops
  }
  for (let round = 0; round < rounds; round++)
    for (const s of subjects) {
      let before = await peakNow(s.engine)
      for (const way of ways) {
        const rate = await rateOf(s, way)
        const after = await peakNow(s.engine)
        s.rates[way].push(rate)
        s.shares[way].push((2 * rate) / (before + after))
        before = after
      }
    }
  for (const s of subjects) s.child.kill()
  process.stdout.write(`\n${model.name}, 1 thread, ${rounds} turns of peak, product, peak (GFLOP/s of processor time):\n
| target | outputs | product | peak of | peak | share | quarter to quarter | goal | |
| --- | --- | ---: | --- | ---: | ---: | --- | ---: | --- |\n`)
  for (const s of subjects)
    for (const way of ways) {
      const share = median(s.shares[way])
      const cells = [
        s.name,
        called[way],
        median(s.rates[way]).toFixed(1),
        s.engine,
        median(peaks.get(s.engine)!).toFixed(1),
        share.toFixed(3),
        [0.25, 0.75].map((q) => quantile(s.shares[way], q).toFixed(3)).join(' to '),
        s.goal,
        share >= s.goal ? 'met' : 'missed',
      ]
      process.stdout.write(`| ${cells.join(' | ')} |\n`)
    }
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, peers: { type: 'boolean', default: false } },
  strict: false,
})
const models = [product('gemm-512', true), product('gemm-512 (both given)', false)]
process.stdout.write(`${sayMachine(probeMachine())}.\n`)
for (const model of models) await measureShares(model, Number(values.rounds))
if (values.peers) {
  const { subjects, threads, out, options } = readArguments({
    models: [],
    targets: ['c', 'wasm:fast', 'wasm:safe', 'onnxruntime', 'onnxruntime-web', 'tfjs'],
    threads: [1, 2],
  })
  const result = await bench({ ...options, models, subjects, threads })
  await publish('gemm', result, out)
}
