// Networks of TensorFlow Lite, their integer operators decomposed, on targets: the bits of the reference.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isFloat } from '../core/dtype.ts'
import { rng } from '../core/rng.ts'
import { numbers, type Tensor, tensorOf } from '../core/tensor.ts'
import { readNpz } from '../data/npz.ts'
import { readTflite } from '../formats/tflite/read.ts'
import { evaluate } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { specialize } from '../ir/specialize.ts'
import { type Graph, tensorType } from '../ir/types.ts'
import { onnxruntime } from './onnxruntime.ts'
import type { Target } from './target.ts'
import { wasm } from './wasm.ts'

async function compiled(
  graph: Graph,
  inputs: readonly Tensor[],
  target: Target = wasm,
): Promise<readonly unknown[]> {
  const executable = await target.load(await target.compile(graph, {}))
  try {
    return await executable.run(inputs)
  } finally {
    await executable.dispose()
  }
}

const asset = (name: string): Uint8Array =>
  readFileSync(new URL(`../../test/assets/models/${name}`, import.meta.url))

test('an int8 network gives the reference’s bits', async () => {
  const graph = specialize(readTflite(asset('dscnn-int8.tflite'), { where: 'dscnn' }), { dims: { batch: 4 } })
  const inputs = [readNpz(asset('dscnn-int8.npz'), 'dscnn').get('in0')!]
  expect(await compiled(graph, inputs)).toEqual(evaluate(graph, inputs))
})

test('an int8 network with many operators and float edges gives the reference’s bits', async () => {
  const graph = specialize(readTflite(asset('odds-int8.tflite'), { where: 'odds' }), { dims: { batch: 1 } })
  const arrays = readNpz(asset('odds-int8.npz'), 'odds')
  const inputs = graph.inputs.map((v) => arrays.get(graph.values[v]!.name)!)
  expect(await compiled(graph, inputs)).toEqual(evaluate(graph, inputs))
})

test.each(['mulHigh', 'roundShift'])('%s on vectors is exact to the ends of the range', async (op) => {
  const random = rng(5)
  const ends = [-(2 ** 31), -(2 ** 31) + 1, -1, 0, 1, 2 ** 30 - 1, 2 ** 30, 2 ** 31 - 1]
  const x = ends.flatMap((a) => ends.map(() => a))
  const y = ends.flatMap(() => ends)
  while (x.length < 4096) {
    x.push(Math.floor((random.next() - 0.5) * 2 ** 32))
    y.push(Math.floor((random.next() - 0.5) * 2 ** 32))
  }
  const b = new GraphBuilder(op)
  const [p, q] = [b.input('x', tensorType('int32', [4096])), b.input('y', tensorType('int32', [4096]))]
  b.output(b.node(op, [p, q]))
  const second = op === 'roundShift' ? y.map((v) => Math.abs(v) % 32) : y
  const inputs = [tensorOf('int32', [4096], x), tensorOf('int32', [4096], second)]
  const graph = b.finish()
  expect(await compiled(graph, inputs)).toEqual(evaluate(graph, inputs))
})

test.each([
  // The number of places that WHERE finds depends on the content.
  ['wasm', wasm, ['where']],
  // ONNX has no such cast, its runtime no one-hot of int32 and no integer convolution with a zero point for each image.
  [
    'onnxruntime',
    onnxruntime,
    ['bitcast', 'one_hot', 'one_hot_first', 'hybrid_conv_per_channel', 'hybrid_depthwise'],
  ],
])(
  'files of one operator give LiteRT’s answers on $0',
  async (_name, target, without) => {
    const arrays = readNpz(asset('operators.npz'), 'operators')
    const wrong: string[] = []
    for (const key of arrays.keys()) {
      const name = key.slice(0, -'.model'.length)
      if (!key.endsWith('.model') || without.includes(name)) continue
      const graph = readTflite(arrays.get(key)!.data as Uint8Array, { where: name })
      const inputs = graph.inputs.map((_, i) => arrays.get(`${name}.in${i}`)!)
      const outputs = (await compiled(graph, inputs, target)) as readonly Tensor[]
      outputs.forEach((t, k) => {
        const want = arrays.get(`${name}.out${k}`)!
        const [a, b] = [Array.from(numbers(t)), Array.from(numbers(want))]
        const limit = isFloat(t.dtype) ? 4e-6 : 0
        const at = b.findIndex((v, i) => !(Math.abs(a[i]! - v) <= limit * Math.max(1, Math.abs(v))))
        if (at >= 0) wrong.push(`${name}: output ${k}[${at}] is ${a[at]}, not ${b[at]}`)
      })
    }
    expect(wrong).toEqual([])
  },
  60_000,
)
