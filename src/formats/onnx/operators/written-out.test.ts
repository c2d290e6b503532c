import { create, toBinary } from '@bufbuild/protobuf'
import { describe, expect, test } from 'vitest'
import { at, type Tensor, tensorOf } from '../../../core/tensor.ts'
import { evaluate } from '../../../ir/evaluate.ts'
import { isTensor, typeOf } from '../../../ir/types.ts'
import { verify } from '../../../ir/verify.ts'
import { typeProto } from '../emit.ts'
import { readOnnx } from '../read.ts'
import {
  type AttributeProto,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  ValueInfoProtoSchema,
} from '../schema/onnx_pb.ts'

// Operators that are written out when they are read, on inputs whose answer is plain.

const f32 = (shape: readonly number[], values: readonly number[]): Tensor =>
  tensorOf('float32', shape, values)
const int = (name: string, v: number): AttributeProto =>
  create(AttributeProtoSchema, { name, type: 2, i: BigInt(v) })

function run(
  opType: string,
  inputs: readonly (Tensor | null)[],
  attribute: AttributeProto[] = [],
  domain = '',
): Tensor {
  const given = inputs.flatMap((t, i) => (t ? [{ name: `x${i}`, t }] : []))
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [
      { domain: '', version: 23n },
      { domain: 'com.microsoft', version: 1n },
    ],
    graph: create(GraphProtoSchema, {
      name: 'net',
      node: [
        create(NodeProtoSchema, {
          opType,
          domain,
          name: 'node',
          input: inputs.map((t, i) => (t ? `x${i}` : '')),
          output: ['y'],
          attribute,
        }),
      ],
      input: given.map(({ name, t }) => create(ValueInfoProtoSchema, { name, type: typeProto(typeOf(t)) })),
      output: [create(ValueInfoProtoSchema, { name: 'y' })],
    }),
  })
  const graph = readOnnx(toBinary(ModelProtoSchema, model), { where: 'net.onnx' })
  expect(verify(graph)).toEqual([])
  const [y] = evaluate(
    graph,
    given.map(({ t }) => t),
  )
  if (!isTensor(y)) throw new Error('expected a tensor')
  return y
}
const rounded = (t: Tensor): number[] =>
  Array.from({ length: t.data.length }, (_, i) => Math.round(at(t, i) * 1e4) / 1e4 + 0)

describe('Attention', () => {
  const v = f32([1, 1, 2, 2], [2, 4, 6, 8])
  const zero = f32([1, 1, 2, 2], [0, 0, 0, 0])
  test('queries that match all keys alike get the mean of the values', () => {
    expect(rounded(run('Attention', [zero, zero, v]))).toEqual([4, 6, 4, 6])
  })
  test('causal: the first query sees the first key alone', () => {
    expect(rounded(run('Attention', [zero, zero, v], [int('is_causal', 1)]))).toEqual([2, 4, 4, 6])
  })
  test('a masked row gives zeros, not NaN', () => {
    const mask = tensorOf('bool', [2, 2], [0, 0, 0, 1])
    expect(rounded(run('Attention', [zero, zero, v, mask]))).toEqual([0, 0, 6, 8])
  })
  test('two heads of queries share one head of keys and values', () => {
    const y = run('Attention', [f32([1, 2, 1, 2], [0, 0, 0, 0]), zero, v])
    expect([y.shape, rounded(y)]).toEqual([
      [1, 2, 1, 2],
      [4, 6, 4, 6],
    ])
  })
})

test('RotaryEmbedding by a quarter turn swaps the halves, one of them negated', () => {
  const [cos, sin] = [f32([1, 1, 1], [0]), f32([1, 1, 1], [1])]
  expect(rounded(run('RotaryEmbedding', [f32([1, 1, 1, 2], [3, 5]), cos, sin]))).toEqual([-5, 3])
})

test('DeformConv without offsets is Conv, and an offset of a whole pixel looks there', () => {
  const x = f32([1, 1, 3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9])
  const w = f32([1, 1, 2, 2], [1, 0, 0, 1])
  const still = f32([1, 8, 2, 2], new Array<number>(32).fill(0))
  expect(rounded(run('DeformConv', [x, w, still]))).toEqual(rounded(run('Conv', [x, w])))
  // The first tap of every pixel one column to the right.
  const right = f32(
    [1, 8, 2, 2],
    Array.from({ length: 32 }, (_, i) => (i >= 4 && i < 8 ? 1 : 0)),
  )
  expect(rounded(run('DeformConv', [x, w, right]))).toEqual([7, 9, 13, 15])
})

describe("onnxruntime's fused operators", () => {
  test('SkipLayerNormalization normalises the sum of its inputs', () => {
    const y = run(
      'SkipLayerNormalization',
      [f32([1, 1, 2], [1, 0]), f32([1, 1, 2], [2, 1]), f32([2], [1, 1])],
      [],
      'com.microsoft',
    )
    expect(rounded(y)).toEqual([1, -1])
  })
  test('QGemm without a scale of the result gives floats', () => {
    const u8 = (shape: number[], v: number[]): Tensor => tensorOf('uint8', shape, v)
    const scalar = (v: number): Tensor => f32([], [v])
    const inputs = [u8([1, 2], [3, 5]), scalar(0.5), u8([], [1]), u8([2, 1], [2, 4]), scalar(2), u8([], [0])]
    expect(rounded(run('QGemm', inputs, [], 'com.microsoft'))).toEqual([20])
  })
})
