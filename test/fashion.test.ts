// The network that ships with the examples classifies its 200 images as well as it says.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { Tensor } from '../src/core/tensor.ts'
import { readTfjs } from '../src/formats/tfjs/read.ts'
import { evaluate } from '../src/ir/evaluate.ts'

const folder = join(import.meta.dirname, '../examples/fashion')
const read = (name: string): Uint8Array => readFileSync(join(folder, name))

test('the Fashion-MNIST network of the examples labels at least 170 of its 200 images right', () => {
  const graph = readTfjs(read('model.json'), { where: 'fashion', shard: read })
  const pixels = gunzipSync(read('images-idx3-ubyte.gz')).subarray(16)
  const labels = gunzipSync(read('labels-idx1-ubyte.gz')).subarray(8)
  expect(pixels.length).toBe(200 * 784)
  const images: Tensor = {
    dtype: 'float32',
    shape: [200, 28, 28, 1],
    data: Float32Array.from(pixels, (p) => p / 255),
  }
  const [scores] = evaluate(graph, [images]) as [Tensor]
  expect(scores.shape).toEqual([200, 10])
  let right = 0
  for (let i = 0; i < 200; i++) {
    const row = (scores.data as Float32Array).subarray(i * 10, i * 10 + 10)
    right += Number(row.indexOf(Math.max(...row)) === labels[i])
  }
  expect(right).toBeGreaterThanOrEqual(170)
  expect(graph.nodes.length).toBeGreaterThan(20)
})
