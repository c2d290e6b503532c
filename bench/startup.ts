// From a cold process to the first answer of one thread, and from a graph in memory to code that is ready to run:
// `node bench/startup.ts [--model zoo:mobilenet-v2] [--compile zoo:resnet-50] [--targets c,wasm:fast,wasm:safe] [--sources]`.
//
// Start: Strata opens a file that `saveCompiled` wrote, as a user of a compiled model does, the object code of C and the answer of the
// self-test of wasm:fast in its cache from the run before; the peers open the ONNX file, with nothing of Strata loaded. Wall time from
// the start of the process to the first byte of its answer. Strata runs in its published form (dist/, built first) unless --sources;
// the child process is plain JavaScript for all.
//
// Compilation: a fresh process each time, with an empty cache. From the graph with its weights in memory to the code instantiated and
// the weights in its memory (`target.compile`, `target.load`), the import of the compiler's modules included, and for C gcc: its
// processor time is counted too.

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
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
import { saveCompiled } from '../src/targets/compiled.ts'
import { packedFile } from '../src/targets/packed.ts'
import { privateFolder, removeFolder } from '../src/targets/processes.ts'
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
    compile: { type: 'string', default: 'zoo:resnet-50' },
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

/** A script without types, where the peers' packages are found: stripping them would cost every child 20 ms. */
function plainScript(name: string): string {
  const place = join(root, 'node_modules/.cache/strata-bench')
  mkdirSync(place, { recursive: true })
  const path = join(place, `${name}.mjs`)
  writeFileSync(path, stripTypeScriptTypes(readFileSync(join(import.meta.dirname, `${name}.ts`), 'utf8')))
  return path
}

const model = await benchModel(values.model)
const input = model.inputs[0]!
const files = privateFolder()
const inputFile = join(files, 'input')
writeFileSync(inputFile, new Uint8Array((input.data as Float32Array).buffer))
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
    saveCompiled(file, await target.compile(model.graph, { ...options, threads: 1 }))
    starters.push({ name: subjectName(subject!), what: 'strata', file, starts: [] })
  } catch (e) {
    process.stderr.write(`${name}: ${(e as Error).message}\n`)
  }
}

/** Runs a script to its end: what it prints (JSON), and milliseconds to the first byte of that. */
function runOnce<T>(
  script: string,
  args: readonly string[],
  env = process.env,
): Promise<T & { wallMs: number }> {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const child = spawn(process.execPath, [script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 300_000,
      cwd: root,
      env,
    })
    let text = ''
    let wallMs = 0
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      wallMs ||= performance.now() - began
      text += part
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve({ wallMs, ...(JSON.parse(text) as T) })
      else reject(new Error(`${args[0]} ended with status ${code}`))
    })
  })
}

const startScript = plainScript('startup-child')
const startOnce = ({ what, file }: Starter): Promise<Start> =>
  runOnce(startScript, [
    what,
    file,
    inputFile,
    input.shape.join(),
    join(folder, `targets/compiled${extension}`),
  ])

const rounds = Number(values.repeats)
const broken = new Map<Starter, string>()
// The first start, which fills caches, doesn't count.
for (let round = 0; round <= rounds; round++) {
  for (const s of starters) {
    if (broken.has(s)) continue
    try {
      const start = await startOnce(s)
      if (round > 0) s.starts.push(start)
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

type Compiled = { wallMs: number; cpuMs: number; compilerMs: number; peakBytes: number }
const big = await benchModel(values.compile)
const compileScript = plainScript('compile-child')
using packed = packedFile(big.graph)
process.stdout.write(`
Compilation of ${big.name}, ${rounds} times in turn, from the graph in memory to code that is ready to run:

| | median | processor time | least | of gcc | peak memory |
| --- | ---: | ---: | ---: | ---: | ---: |
`)
const compilations = values.targets.split(',').map((name) => ({ name, times: [] as Compiled[] }))
for (let round = 0; round < rounds; round++)
  for (const { name, times } of compilations) {
    const { target, options } = benchSubjects([name])[0]!
    const cache = privateFolder()
    const args = [packed.path, target.name, JSON.stringify({ ...options, threads: 1 }), folder, extension]
    times.push(await runOnce(compileScript, args, { ...process.env, XDG_CACHE_HOME: cache }))
    removeFolder(cache)
  }
for (const { name, times } of compilations) {
  const all = (key: keyof Compiled): number[] => times.map((t) => t[key])
  const cells = [
    name,
    duration(median(all('wallMs'))),
    duration(median(all('cpuMs'))),
    duration(Math.min(...all('cpuMs'))),
    duration(median(all('compilerMs'))),
    bytes(median(all('peakBytes'))),
  ]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
}
process.stdout.write('\nGoal: WebAssembly under 1 s, C with gcc under 20 s.\n')
