// A quantised network against the peers: `node bench/int8.ts`. ResNet-50 as onnxruntime's static quantiser leaves it. What exact integer
// arithmetic gives is found first; ours must equal it bit for bit. The peers' kernels round in other places (a residual sum rescales
// both sides in float32), so theirs may be some steps of the output's scale away: how many values are equal stands in the table.
// `--models resnet-50-int8`: signed activations. `--isa avx2`: our code for AVX2 against a peer to which newer instructions are hidden.
// On a machine that isn't quiet: --threads 1 --clock cpu.

import { integerForm } from '../src/compile/prepare.ts'
import { numbers, type Tensor } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { specialize } from '../src/ir/specialize.ts'
import type { Graph } from '../src/ir/types.ts'
import { bench, benchSubjects } from '../src/studies/bench.ts'
import type { BenchModel, BenchSubject } from '../src/studies/bench-options.ts'
import { type BenchResult, rowName } from '../src/studies/bench-result.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { openSource } from '../src/studies/models.ts'
import { c } from '../src/targets/c.ts'
import { probeProcessor } from '../src/targets/processor.ts'
import { avx2Peer } from './avx2-peer.ts'
import { type Goal, goalsMarkdown, joined, knownAs, publish, readArguments } from './goals.ts'
import { quantisedNetwork } from './quantised.ts'

/** Without VNNI onnxruntime's sums of two products saturate at 16 bits, and ResNet-50 goes astray by up to this many steps. */
const peerSteps = 32

/** The scale of the output's last quantizeLinear: one step. */
function stepOf(graph: Graph): number {
  const last = graph.nodes.findLast((n) => n.op === 'dequantizeLinear')!
  return numbers(graph.values[last.inputs[1]!]!.constant!)[0]!
}

async function quantisedModel(name: string): Promise<BenchModel> {
  const activation = name.endsWith('-int8') ? 'int8' : 'uint8'
  const { graph } = await openSource(`zoo:${name.replace(/-u?int8$/, '')}`)
  const made = quantisedNetwork(specialize(graph, { open: 1 }), activation)
  const inputs = randomInputs(made, 1, 1)[0]!
  const outputs = evaluate(integerForm(made), inputs) as Tensor[]
  // Half a step more, for the product of step and integer is rounded.
  const allowed = (peerSteps + 0.5) * stepOf(made)
  const bounds = (target: string): number[] => [target === 'c' || target === 'wasm' ? 0 : allowed]
  return { name, graph: made, inputs, expected: { outputs, bounds } }
}

function stop(why: string): never {
  process.stderr.write(`bench/int8: ${why}\n`)
  process.exit(2)
}

function answersMarkdown(results: readonly BenchResult[]): string {
  const lines = results.flatMap((r) =>
    r.rows.map((row) => {
      const far = row.error === null ? '' : `${(100 * row.error).toFixed(1)} %`
      return `| ${[row.model, row.threads, rowName(row), row.says, far].join(' | ')} |`
    }),
  )
  return [
    '| model | threads | target | against exact integers | largest error of the largest value |',
    '| --- | ---: | --- | --- | ---: |',
    ...lines,
  ].join('\n')
}

const {
  models,
  subjects: chosen,
  threads,
  isa,
  out,
  options,
} = readArguments({
  models: ['resnet-50-uint8'],
  targets: ['c', 'wasm:fast', 'wasm:safe', 'onnxruntime', 'onnxruntime-web'],
  threads: [1, 2],
})
const vnni = probeProcessor().features?.includes('avx512_vnni') ?? false
const [avx2] = benchSubjects(['c:avx2']) as [BenchSubject]
let subjects: readonly BenchSubject[]
let targets: URL | undefined
/** Throughput against the peer, as the project promises it. */
let promised: readonly (readonly [subject: string, peer: string, ratio: number])[]
if (isa === undefined) {
  // Where both are there, the code for processors without VNNI runs beside the other.
  subjects = chosen.flatMap((s) => (vnni && s.target === c ? [s, avx2] : [s]))
  promised = [
    ['c', 'onnxruntime', vnni ? 1 : 0.9],
    ['wasm:fast', 'onnxruntime-web', 2.5],
  ]
} else {
  if (isa !== 'avx2') stop(`--isa: expected avx2, got ${isa}`)
  const found = await avx2Peer().catch((e: Error) => stop(e.message))
  subjects = [avx2, { target: found.peer, variant: '', options: { level: 'all' } }]
  targets = found.targets
  promised = [['c:avx2', found.peer.name, 0.9]]
}

const results: BenchResult[] = []
const goals: Goal[] = []
for (const name of models) {
  const model = await quantisedModel(name)
  results.push(await bench({ ...options, models: [model], subjects, threads, ...(targets && { targets }) }))
  for (const t of threads)
    for (const [subject, peer, ratio] of promised)
      goals.push({
        model: name,
        threads: t,
        subject: knownAs(subjects, subject),
        peer: knownAs(subjects, peer),
        ratio,
      })
}
const result = joined(results)
await publish('int8', result, out, `${answersMarkdown(results)}\n\n${goalsMarkdown(goals, result)}`)
