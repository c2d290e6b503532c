// An input where exactness matters: `node bench/saturation.ts`. A quantised convolution whose sums of two neighbouring products pass
// 16 bits. Processors without VNNI multiply bytes by an instruction that saturates there, and onnxruntime uses it; ours is exact on
// all. What onnxruntime says on such a processor is asked of one that is emulated, where `qemu-x86_64` is installed.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { numbers, type Tensor } from '../src/core/tensor.ts'
import { writeOnnx } from '../src/formats/onnx/write.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import type { Graph } from '../src/ir/types.ts'
import { c } from '../src/targets/c.ts'
import { onnxruntime } from '../src/targets/onnxruntime.ts'
import { probeProcessor } from '../src/targets/processor.ts'
import type { Target, TargetOptions } from '../src/targets/target.ts'
import { wasm } from '../src/targets/wasm.ts'
import { image, middle, network, shape } from './saturating.ts'

async function answer(target: Target, options: TargetOptions, graph: Graph): Promise<string> {
  const { present } = await target.presence(options)
  if (!present) return 'absent'
  const executable = await target.load(await target.compile(graph, options))
  const [y] = (await executable.run([image])) as [Tensor]
  await executable.dispose()
  return String(middle(numbers(y)))
}

/** onnxruntime on an emulated processor of 2013, which has AVX2 and no more. */
function emulated(graph: Graph): string {
  const folder = mkdtempSync(join(tmpdir(), 'strata-'))
  try {
    const file = join(folder, 'model.onnx')
    writeFileSync(file, writeOnnx(graph))
    const script = `import ort from 'onnxruntime-node'
const session = await ort.InferenceSession.create(${JSON.stringify(file)})
const x = new ort.Tensor('float32', new Float32Array(1024).fill(255), [${shape}])
const y = await session.run({ [session.inputNames[0]]: x })
console.log(y[session.outputNames[0]].data[5])`
    const words = [
      '-cpu',
      'Haswell-noTSX',
      process.execPath,
      '--jitless',
      '--input-type=module',
      '-e',
      script,
    ]
    const cwd = fileURLToPath(new URL('.', import.meta.url))
    const { stdout, error } = spawnSync('qemu-x86_64', words, { cwd, encoding: 'utf8', timeout: 120_000 })
    return error ? 'not asked: qemu-x86_64 is not installed' : stdout.trim()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const graph = network()
const here = probeProcessor()
const [exact] = evaluate(graph, [image]) as [Tensor]
const rows: [string, string][] = [
  ['exact', String(middle(numbers(exact)))],
  ['C', await answer(c, {}, graph)],
  ...(here.features?.includes('avx2')
    ? [['C for AVX2', await answer(c, { vector: 'avx2' }, graph)] as [string, string]]
    : []),
  ['WebAssembly', await answer(wasm, { engine: 'safe' }, graph)],
  [`onnxruntime here (${here.features?.join(' ')})`, await answer(onnxruntime, {}, graph)],
  ['onnxruntime on an emulated Haswell (avx2)', emulated(graph)],
]
for (const [who, what] of rows) console.log(`${what.padStart(12)}  ${who}`)
