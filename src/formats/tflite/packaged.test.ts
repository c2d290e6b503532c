// Networks made by others: MediaPipe's, from its npm packages. Answers are those of ai-edge-litert 2.3.0's reference kernels for the
// same input; in the selfie network its custom operator was rewritten to TRANSPOSE_CONV for that.

import { describe, expect, test } from 'vitest'
import { packagedModels } from '../../../test/mediapipe.ts'
import { numbers, sizeOf, type Tensor, tensor } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import type { Graph } from '../../ir/types.ts'
import { verify } from '../../ir/verify.ts'
import { readTflite } from './read.ts'

const models = packagedModels()
const named = (name: string): Graph => {
  const m = models.find((p) => p.name.endsWith(name))!
  return readTflite(m.bytes, { where: m.name })
}

/** A fixed pattern in [0, 1). */
const pattern = (graph: Graph): Tensor[] =>
  graph.inputs.map((v) => {
    const type = graph.values[v]!.type
    const shape = type.kind === 'tensor' ? (type.shape as number[]) : []
    return tensor(
      'float32',
      shape,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 7919) % 1009) / 1009),
    )
  })

describe.skipIf(models.length === 0)('MediaPipe’s networks', () => {
  test('all 18 import and verify', () => {
    expect(models.length).toBe(18)
    for (const m of models) expect(verify(readTflite(m.bytes, { where: m.name })), m.name).toEqual([])
  })

  test.each([
    [
      'face_detection_short_range.tflite',
      [0.8076675, 3.563109, 0.163736, -23.41597],
      [-4.756228, -2.309627, -5.092683, -20.71338],
    ],
    [
      'face_detection_full_range_sparse.tflite',
      [-5.015802, -7.821366, -6.769543, -7.188262],
      [-9.426235, -15.1116, -11.72709, -40.09677],
    ],
  ])('%s agrees with LiteRT', (name, boxes, scores) => {
    const graph = named(name)
    const out = evaluate(graph, pattern(graph)) as Tensor[]
    for (const [t, want] of [
      [out[0]!, boxes],
      [out[1]!, scores],
    ] as const) {
      const y = numbers(t)
      const at = [0, Math.floor(y.length / 3), y.length / 2, y.length - 1]
      // Values of up to 100, float32 through some hundred layers.
      at.forEach((i, k) => {
        expect(y[i]).toBeCloseTo(want[k]!, 3)
      })
    }
  })

  test('the custom transposed convolution with a bias is TensorFlow’s with one', () => {
    const graph = named('selfie_segmentation.tflite')
    const y = numbers(evaluate(graph, pattern(graph))[0] as Tensor)
    const want = { 50176: 0.3605844, 64768: 0.3208113, 64512: 0.3187547, 64513: 0.2980547 }
    for (const [i, v] of Object.entries(want)) expect(y[Number(i)]).toBeCloseTo(v, 4)
  })
})
