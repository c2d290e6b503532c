// From a cold process to the first answer of one thread: `node bench/startup.ts [--model zoo:mobilenet-v2] [--sources]`. Strata loads
// what it compiled before, as a user of a cached model does; the peers open the ONNX file, with nothing of Strata loaded. Strata runs
// in its published form (dist/, built first) unless --sources.

import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bytes, duration } from '../src/core/figures.ts'
import { median, quantile } from '../src/core/statistics.ts'
import { type Tensor, tensor } from '../src/core/tensor.ts'
import { writeOnnx } from '../src/formats/onnx/write.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { benchModel, benchSubjects } from '../src/studies/bench.ts'
import { estimatedBounds, judgeOutputs } from '../src/studies/bench-judge.ts'
import { subjectName } from '../src/studies/bench-options.ts'
import { writePacked } from '../src/targets/packed.ts'
import { privateFolder } from '../src/targets/processes.ts'
import { probeMachine, sayMachine } from '../src/targets/processor.ts'

type Start = { wallMs: number; cpuMs: number; peakBytes: number; output: number[] }
type Starter = {
  readonly name: string
  readonly what: string
  readonly file: string
  readonly starts: Start[]
}

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'zoo:mobilenet-v2' },
    targets: { type: 'string', default: 'c,wasm:fast,wasm:safe' },
    repeats: { type: 'string', default: '7' },
    sources: { type: 'boolean', default: false },
  },
})
const root = join(import.meta.dirname, '..')
const [folder, extension] = values.sources ? [join(root, 'src'), '.ts'] : [join(root, 'dist'), '.js']
if (
  !values.sources &&
  spawnSync(process.execPath, [join(root, 'test/build.ts')], { stdio: 'inherit' }).status !== 0
) {
  process.stderr.write('bench/startup: the build failed. Mend it, or measure --sources.\n')
  process.exit(2)
}

const model = await benchModel(values.model)
const input = model.inputs[0]!
const files = privateFolder()
const inputFile = join(files, 'input.json')
writeFileSync(inputFile, JSON.stringify({ shape: input.shape, data: [...(input.data as Float32Array)] }))
const onnx = join(files, 'model.onnx')
writeFileSync(onnx, writeOnnx(model.graph))
const starters: Starter[] = ['onnxruntime-node', 'onnxruntime-web'].map((what) => {
  return { name: what, what, file: onnx, starts: [] }
})
for (const name of values.targets.split(',')) {
  try {
    const [subject] = benchSubjects([name])
    const { target, options } = subject!
    const file = join(files, name.replace(':', '-'))
    writePacked(file, await target.compile(model.graph, { ...options, threads: 1 }))
    starters.push({ name: subjectName(subject!), what: 'strata', file, starts: [] })
  } catch (e) {
    process.stderr.write(`${name}: ${(e as Error).message}\n`)
  }
}

/** Wall time from the start of the process to the first byte of its answer. */
function startOnce({ what, file }: Starter): Promise<Start> {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'startup-child.ts'), what, file, inputFile, folder, extension],
      { stdio: ['ignore', 'pipe', 'inherit'], timeout: 120_000, cwd: root },
    )
    let text = ''
    let wallMs = 0
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      wallMs ||= performance.now() - began
      text += part
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve({ ...(JSON.parse(text) as Omit<Start, 'wallMs'>), wallMs })
      else reject(new Error(`${what} ended with status ${code}`))
    })
  })
}

const rounds = Number(values.repeats)
const broken = new Map<Starter, string>()
for (let round = 0; round < rounds; round++) {
  for (const s of starters) {
    if (broken.has(s)) continue
    try {
      s.starts.push(await startOnce(s))
    } catch (e) {
      broken.set(s, (e as Error).message)
    }
  }
}
const expected: Tensor = evaluate(model.graph, model.inputs)[0] as Tensor
const bounds = estimatedBounds(model.graph, [expected])
process.stdout.write(
  `${sayMachine(probeMachine())}.\n\nFrom a cold process to the first answer of ${model.name}, `,
)
process.stdout.write(`${rounds} starts in turn, Strata from ${values.sources ? 'its sources' : 'dist/'}:\n\n`)
process.stdout.write(
  '| | median | worst | processor time | peak memory | answer |\n| --- | ---: | ---: | ---: | ---: | --- |\n',
)
for (const s of starters) {
  if (broken.has(s)) {
    process.stdout.write(`| ${s.name} | | | | | ${broken.get(s)} |\n`)
    continue
  }
  const got = tensor('float32', expected.shape, Float32Array.from(s.starts[0]!.output))
  const { verdict, says } = judgeOutputs([got], [expected], bounds)
  const of = (f: (x: Start) => number): number[] => s.starts.map(f)
  const cells =
    verdict === 'different'
      ? ['', '', '', '', `different: ${says}`]
      : [
          duration(median(of((x) => x.wallMs))),
          duration(
            quantile(
              of((x) => x.wallMs),
              1,
            ),
          ),
          duration(median(of((x) => x.cpuMs))),
          bytes(median(of((x) => x.peakBytes))),
          says,
        ]
  process.stdout.write(`| ${[s.name, ...cells].join(' | ')} |\n`)
}
process.stdout.write('\nGoal: under 250 ms and 120 MB.\n')
