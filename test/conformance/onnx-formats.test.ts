// Every ONNX file of models/formats imports, verifies, and gives the answers that its own runtime gave, which stand beside it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { at, sizeOf, type Tensor, tensor } from '../../src/core/tensor.ts'
import { readNpz } from '../../src/data/npz.ts'
import { readOnnx } from '../../src/formats/onnx/read.ts'
import { evaluate } from '../../src/ir/evaluate.ts'
import { concatTensors } from '../../src/ir/ops/movement.ts'
import { type Datum, type Graph, isTensor } from '../../src/ir/types.ts'
import { verify } from '../../src/ir/verify.ts'

const assets = process.env.STRATA_ASSETS
const folder = join(assets ?? '', 'models', 'formats')

type Entry = {
  network: string
  file: string
  io: string
  inputs_file: string
  inputs: { src: number }[]
}

/** Files that differ more than their kind allows, each with the largest difference and its cause. */
const exceptions: Readonly<Record<string, [limit: number, reason: string]>> = {
  'dscnn/ort132-qdq-a16w8.onnx': [3e-4, '16-bit steps that float32 sums of the runtime round the other way'],
  'inception/ort132-qdq-pc-s8s8.onnx': [0.07, 'one step of one activation: the runtime sums in float32'],
  'unet/ort132-qdq-pc-s8s8.onnx': [0.01, 'one step of one activation: the runtime sums in float32'],
  'odds/ort132-fp16.onnx': [
    0.015,
    'the reference rounds to float16 after every operator, the runtime after some: both lie 0.012 from float32',
  ],
  'lstm/ort132-dynamic-u8.onnx': [0.17, "the runtime's u8×s8 sums saturate on a processor without VNNI"],
}

/** Largest difference allowed, as a share of the largest answer: float32 sums of a few thousand terms, or float16 values. */
function limitOf(name: string, expected: Tensor): number {
  const known = exceptions[name]
  if (known) return known[0]
  let largest = 1
  for (let i = 0; i < expected.data.length; i++) largest = Math.max(largest, Math.abs(at(expected, i)))
  if (name.includes('fp16')) return largest * 2 ** -8
  // Integer up to the last layer, which some have in floats.
  if (/-q(dq|op)-|int8\.onnx/.test(name)) return largest * 2 ** -22
  return largest * 2 ** -17
}

/** Rows `from` to `from + count` of the first dimension. */
function rows(t: Tensor, from: number, count: number): Tensor {
  const row = sizeOf(t.shape.slice(1))
  return tensor(t.dtype, [count, ...t.shape.slice(1)], t.data.slice(from * row, (from + count) * row))
}

/** Evaluates on all inputs; a model of batch one gets them one by one. */
function answers(graph: Graph, inputs: readonly Tensor[]): Datum[] {
  const type = graph.values[graph.inputs[0]!]!.type
  const batch = type.kind === 'tensor' ? type.shape?.[0] : null
  const count = inputs[0]!.shape[0]!
  if (batch !== 1 || count === 1) return evaluate(graph, inputs)
  const each = Array.from({ length: count }, (_, i) =>
    evaluate(
      graph,
      inputs.map((t) => rows(t, t.shape[0] === count ? i : 0, 1)),
    ),
  )
  return each[0]!.map((_, k) =>
    concatTensors(
      each.map((outputs) => outputs[k] as Tensor),
      0,
    ),
  )
}

describe('the ONNX files of models/formats (STRATA_ASSETS)', () => {
  const index = assets ? (JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Entry[]) : []
  const files = index.filter((e) => e.file.endsWith('.onnx'))

  test('there are as many as the index says', (context) => {
    if (!assets) context.skip('STRATA_ASSETS is unset')
    expect(files.length).toBeGreaterThanOrEqual(90)
  })

  for (const e of files) {
    const name = `${e.network}/${e.file}`
    test(`${name} gives its own runtime's answers`, () => {
      const read = (file: string): Uint8Array => readFileSync(join(folder, e.network, file))
      const graph = readOnnx(read(e.file), { where: name })
      expect(verify(graph)).toEqual([])
      const given = readNpz(read(e.inputs_file), e.inputs_file)
      const expected = readNpz(read(e.io), e.io)
      const got = answers(
        graph,
        e.inputs.map((i) => given.get(`in${i.src}`)!),
      )
      got.forEach((t, i) => {
        const want = expected.get(`out${i}`)!
        if (!isTensor(t)) throw new Error('expected a tensor')
        expect([t.dtype, t.shape]).toEqual([want.dtype, want.shape])
        let worst = 0
        for (let k = 0; k < want.data.length; k++) worst = Math.max(worst, Math.abs(at(t, k) - at(want, k)))
        expect(worst).toBeLessThanOrEqual(limitOf(name, want))
      })
    })
  }
})
