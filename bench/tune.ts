// Five convolutions of the compared networks, tuned: `node bench/tune.ts --target wasm:fast --trials 200`. Prints where tuning is faster
// than the untuned default, and where the fastest algorithm changes: between untuned and tuned, and with the share of zeros (as DLAS
// observed). Records are kept (--records), so that a run that is stopped goes on.

import { parseArgs } from 'node:util'
import { rng } from '../src/core/rng.ts'
import { table } from '../src/core/table.ts'
import { tensor } from '../src/core/tensor.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { type Graph, tensorType } from '../src/ir/types.ts'
import { openTuning } from '../src/studies/store-tuning.ts'
import { algorithmName, type TunedKernel, tune } from '../src/studies/tune.ts'
import { probeMachine, sayMachine } from '../src/targets/processor.ts'
import { chooseTargets } from '../src/targets/registry.ts'

type Conv = { name: string; channels: number; filters: number; size: number; window: number; stride: number }
const convolutions: readonly Conv[] = [
  { name: 'ResNet-18 layer 2', channels: 128, filters: 128, size: 28, window: 3, stride: 1 },
  { name: 'ResNet-18 layer 4', channels: 512, filters: 512, size: 7, window: 3, stride: 1 },
  { name: 'ResNet-18 layer 3, down', channels: 128, filters: 256, size: 28, window: 3, stride: 2 },
  { name: 'MobileNetV2 expand', channels: 96, filters: 576, size: 14, window: 1, stride: 1 },
  { name: 'MobileNetV2 project', channels: 144, filters: 24, size: 56, window: 1, stride: 1 },
]

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'wasm:fast' },
    trials: { type: 'string', default: '200' },
    // Shares of zeros, with commas.
    sparsity: { type: 'string', default: '0' },
    // Which of the five, with commas; all if absent.
    only: { type: 'string' },
    cpu: { type: 'boolean', default: false },
    records: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})

function graphOf(c: Conv, sparsity: number): Graph {
  const b = new GraphBuilder(`${c.name}, ${sparsity} % zeros`)
  const { next } = rng(1)
  const shape = [c.filters, c.channels, c.window, c.window]
  const draw = (): number => (next() * 100 < sparsity ? 0 : next() - 0.5)
  const data = Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, draw)
  const x = b.input('x', tensorType('float32', [1, c.channels, c.size, c.size]))
  const pad = (c.window - 1) / 2
  const attributes = { pads: [pad, pad, pad, pad], strides: [c.stride, c.stride] }
  b.output(b.node('conv2d', [x, b.constant(tensor('float32', shape, data), 'w')], attributes))
  return b.finish()
}

const [subject] = chooseTargets(values.target)
const records = openTuning(values.records)
const chosen = values.only?.split(',').map(Number) ?? convolutions.map((_, i) => i)
const found: { readonly conv: Conv; readonly sparsity: number; readonly kernel: TunedKernel }[] = []
for (const i of chosen) {
  const conv = convolutions[i]!
  for (const sparsity of values.sparsity.split(',').map(Number)) {
    const result = await tune({
      graph: graphOf(conv, sparsity),
      subject: subject!,
      records,
      trials: Number(values.trials),
      seed: Number(values.seed),
      clock: values.cpu ? 'cpu' : 'wall',
      progress: (_done, _total, what) => {
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${conv.name}: ${what}`.slice(0, 120))
      },
    })
    found.push({ conv, sparsity, kernel: result.kernels[0]! })
  }
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
const best = (k: TunedKernel): string => algorithmName(k.after)
console.log(`${sayMachine(probeMachine())}\n${values.target}, ${values.trials} trials each\n`)
console.log(
  table(
    [
      'convolution',
      'zeros',
      'default',
      'tuned',
      'ratio',
      'interval',
      'before',
      'after',
      'best of each algorithm',
    ],
    found.map(({ conv, sparsity, kernel: k }) => [
      conv.name,
      `${sparsity} %`,
      `${k.defaultMs?.toFixed(3)} ms`,
      `${k.tunedMs?.toFixed(3)} ms`,
      k.ratio.toFixed(2),
      `${k.low.toFixed(2)} to ${k.high.toFixed(2)}`,
      `${algorithmName(k.before)} ${k.before.rows}×${k.before.columns}/${k.before.block}`,
      `${best(k)} ${k.after.rows}×${k.after.columns}/${k.after.block}`,
      k.algorithms.map((a) => `${a.algorithm} ${a.ratio.toFixed(2)}`).join(', '),
    ]),
  ),
)
const dense = found.filter((f) => f.sparsity === 0)
const names = (list: readonly { readonly conv: Conv }[]): string =>
  list.map((f) => f.conv.name).join(', ') || 'none'
const fast = dense.filter((f) => f.kernel.ratio >= 1.2)
console.log(`\nat least 1.2 × over the default: ${fast.length} of ${dense.length} (${names(fast)})`)
const changed = found.filter((f) => best(f.kernel) !== algorithmName(f.kernel.before))
console.log(
  `the algorithm changes with tuning: ${changed.map((f) => `${f.conv.name} at ${f.sparsity} % (${algorithmName(f.kernel.before)} → ${best(f.kernel)})`).join(', ') || 'nowhere'}`,
)
for (const i of chosen) {
  const rows = found.filter((f) => f.conv === convolutions[i])
  if (new Set(rows.map((f) => best(f.kernel))).size > 1)
    console.log(
      `and with zeros: ${rows[0]!.conv.name}: ${rows.map((f) => `${f.sparsity} % ${best(f.kernel)}`).join(', ')}`,
    )
}
