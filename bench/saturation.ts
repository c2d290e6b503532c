// An input where exactness matters: `node bench/saturation.ts`. A quantised convolution whose sums of two neighbouring products pass
// 16 bits. Processors without VNNI multiply bytes by an instruction that saturates there, and onnxruntime uses it; ours is exact on
// all. What onnxruntime says on such a processor is asked of one that is emulated, where `qemu-x86_64` is installed.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { numbers, type Tensor, tensorOf } from '../src/core/tensor.ts'
import { writeOnnx } from '../src/formats/onnx/write.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { type Graph, tensorType, type ValueId } from '../src/ir/types.ts'
import { c } from '../src/targets/c.ts'
import { onnxruntime } from '../src/targets/onnxruntime.ts'
import { probeProcessor } from '../src/targets/processor.ts'
import type { Target, TargetOptions } from '../src/targets/target.ts'
import { wasm } from '../src/targets/wasm.ts'

const shape = [1, 64, 4, 4]
const image = tensorOf('float32', shape, new Array(1024).fill(255))

/** 64 channels of 255 under filters of 100 and 127: two neighbouring products make 57,885. */
function network(): Graph {
  const b = new GraphBuilder('saturation')
  const scalar = (dtype: 'float32' | 'uint8', v: number): ValueId => b.constant(tensorOf(dtype, [], [v]))
  const around = (v: ValueId, scale: number): ValueId => {
    const operands = [scalar('float32', scale), scalar('uint8', 0)]
    return b.node('dequantizeLinear', [b.node('quantizeLinear', [v, ...operands]), ...operands])
  }
  const x = around(b.input('x', tensorType('float32', shape)), 1)
  const filters = Array.from({ length: 32 * 576 }, (_, i) => (i % 2 ? 127 : 100))
  const w = b.node(
    'dequantizeLinear',
    [
      b.constant(tensorOf('int8', [32, 64, 3, 3], filters)),
      b.constant(tensorOf('float32', [32], new Array(32).fill(1))),
      b.constant(tensorOf('int8', [32], new Array(32).fill(0))),
    ],
    { axis: 0 },
  )
  b.output(around(b.node('conv2d', [x, w], { pads: [1, 1, 1, 1] }), 1e5))
  return b.finish()
}

/** The middle of the first filter's results: all taps lie in the image. */
const middle = (values: ArrayLike<number>): number => values[5]!

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
