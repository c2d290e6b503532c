// A quantised network against the peers: `node bench/int8.ts`. ResNet-50 as onnxruntime's static quantiser leaves it. What exact integer
// arithmetic gives is found first; ours must equal it bit for bit. The peers' kernels round in other places (a residual sum rescales
// both sides in float32), so theirs may be some steps of the output's scale away: how many values are equal stands in the table.
// `--models resnet-50-int8`: signed activations. On a machine that isn't quiet: --threads 1 --clock cpu.

import { integerForm } from '../src/compile/prepare.ts'
import { numbers, type Tensor } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { specialize } from '../src/ir/specialize.ts'
import type { Graph } from '../src/ir/types.ts'
import { bench } from '../src/studies/bench.ts'
import type { BenchModel, BenchSubject } from '../src/studies/bench-options.ts'
import { type BenchResult, rowName } from '../src/studies/bench-result.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { openSource } from '../src/studies/models.ts'
import { probeProcessor } from '../src/targets/processor.ts'
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
  out,
  options,
} = readArguments({
  models: ['resnet-50-uint8'],
  targets: ['c', 'wasm:fast', 'wasm:safe', 'onnxruntime', 'onnxruntime-web'],
  threads: [1, 2],
})
const vnni = probeProcessor().features?.includes('avx512_vnni') ?? false
// Where both are there, the code for processors without VNNI runs beside the other.
const subjects = chosen.flatMap((s): BenchSubject[] =>
  vnni && s.target.name === 'c'
    ? [s, { target: s.target, variant: 'avx2', options: { ...s.options, vector: 'avx2' } }]
    : [s],
)
/** Throughput against the peer, as the project promises it. */
const promised = [
  ['c', 'onnxruntime', vnni ? 1 : 0.9],
  ['wasm:fast', 'onnxruntime-web', 2.5],
] as const

const results: BenchResult[] = []
const goals: Goal[] = []
for (const name of models) {
  results.push(await bench({ ...options, models: [await quantisedModel(name)], subjects, threads }))
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
