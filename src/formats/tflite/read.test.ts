import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { encodeFlatBuffer } from '../../../test/flatbuffer.ts'
import { InputError, UnsupportedError } from '../../core/errors.ts'
import { numbers, type Tensor, tensorOf } from '../../core/tensor.ts'
import { readNpz } from '../../data/npz.ts'
import { evaluate, evaluateNode } from '../../ir/evaluate.ts'
import type { Datum, Graph } from '../../ir/types.ts'
import { verify } from '../../ir/verify.ts'
import { readTflite } from './read.ts'
import { schema } from './schema/tables.ts'

const asset = (name: string): Uint8Array =>
  readFileSync(new URL(`../../../test/assets/models/${name}`, import.meta.url))
const arrays = (name: string): Map<string, Tensor> => readNpz(asset(`${name}.npz`), name)
const read = (bytes: Uint8Array): Graph => readTflite(bytes, { where: 'model.tflite' })

/** A file of one subgraph (or more) in the words of the schema. */
const file = (content: Record<string, unknown>): Uint8Array =>
  encodeFlatBuffer(schema, 'Model', 'TFL3', { version: 3, ...content })

type FileTensor = Record<string, unknown>
const float = (name: string, ...shape: number[]): FileTensor => ({ name, shape, type: 0 })

/** One operator on tensors of a subgraph. */
const one = (
  code: number,
  tensors: FileTensor[],
  operator: Record<string, unknown>,
  more: Record<string, unknown> = {},
): Uint8Array =>
  file({
    operator_codes: [{ builtin_code: code, deprecated_builtin_code: Math.min(code, 127) }],
    subgraphs: [
      {
        tensors,
        inputs: [0],
        outputs: [tensors.length - 1],
        operators: [{ opcode_index: 0, inputs: [0], outputs: [tensors.length - 1], ...operator }],
      },
    ],
    buffers: [{}],
    ...more,
  })

const bytesOf = (...values: number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer)

describe('real files', () => {
  test('an int8 network gives the integers of the reference kernels', () => {
    const a = arrays('dscnn-int8')
    const graph = read(asset('dscnn-int8.tflite'))
    expect(verify(graph)).toEqual([])
    expect(evaluate(graph, [a.get('in0')!])[0]).toEqual(a.get('out0'))
  })

  test('one node stands for one operator, and names it', () => {
    const graph = read(asset('dscnn-int8.tflite'))
    expect(graph.nodes.slice(0, 3).map((n) => [n.op, n.name])).toEqual([
      ['tfliteConv2d', 'CONV_2D_0'],
      ['tfliteConv2d', 'DEPTHWISE_CONV_2D_1'],
      ['tfliteConv2d', 'CONV_2D_2'],
    ])
  })

  test('names come from the signature, open dimensions get symbols, scales are noted', () => {
    const graph = read(asset('dscnn-int8.tflite'))
    const input = graph.values[graph.inputs[0]!]!
    expect(input).toMatchObject({
      name: 'mfcc',
      type: { kind: 'tensor', dtype: 'int8', shape: ['batch', 49, 10, 1] },
      quantization: { scale: [0.0286764707416296], zeroPoint: [8] },
    })
    expect(graph.values[graph.outputs[0]!]!.name).toBe('output_0')
  })

  test('fused LSTMs and a WHILE loop give the runtime’s answers', () => {
    const a = arrays('lstm-f32')
    const graph = read(asset('lstm-f32.tflite'))
    expect(verify(graph)).toEqual([])
    const ids = a.get('in0')!
    for (let r = 0; r < 4; r++) {
      const tokens = tensorOf('int32', [1, 20], (ids.data as Int32Array).slice(20 * r, 20 * r + 20))
      const out = numbers(evaluate(graph, [tokens])[0] as Tensor)
      for (let i = 0; i < 4; i++) expect(out[i]).toBeCloseTo(Number(a.get('out0')!.data[4 * r + i]!), 5)
    }
  })

  test('a dynamic-range network gives the kernels’ answers up to rounding', () => {
    const a = arrays('transformer-drq')
    const graph = read(asset('transformer-drq.tflite'))
    expect(graph.nodes.filter((n) => n.op === 'tfliteHybridFullyConnected').length).toBe(12)
    const out = numbers(evaluate(graph, [a.get('in0')!, a.get('in1')!])[0] as Tensor)
    out.forEach((v, i) => {
      expect(v).toBeCloseTo(Number(a.get('out0')!.data[i]!), 5)
    })
  })

  // The runtime without delegates rounds some convolutions otherwise than its reference kernels do.
  test('every operator on the runtime’s own inner values is at most one integer from what it made of them', () => {
    const stored = arrays('odds-int8')
    const graph = read(asset('odds-int8.tflite'))
    const made = new Map<number, Datum>()
    const known = (v: number): Datum | undefined =>
      graph.values[v]!.constant ?? stored.get(graph.values[v]!.name.replaceAll('/', '|')) ?? made.get(v)
    let compared = 0
    for (const n of graph.nodes) {
      evaluateNode(
        n,
        n.inputs.map((v) => (v === null ? undefined : known(v))),
      ).forEach((d, k) => {
        const v = n.outputs[k]!
        made.set(v, d)
        const want = stored.get(graph.values[v]!.name.replaceAll('/', '|'))
        if (!want) return
        const got = d as Tensor
        expect(got.shape, n.name).toEqual(want.shape)
        const limit = got.dtype === 'int8' ? (n.op === 'tfliteConv2d' ? 1 : 0) : 1e-6
        got.data.forEach((q, i) => {
          expect(Math.abs(Number(q) - Number(want.data[i]!)), n.name).toBeLessThanOrEqual(limit)
        })
        compared++
      })
    }
    expect(compared).toBeGreaterThan(40)
  })
})

describe('what a file may say', () => {
  test('bits of STRIDED_SLICE: begin and end left open, a dropped axis, a new one, the rest by an ellipsis', () => {
    const constant = (name: string, buffer: number): FileTensor => ({ name, shape: [4], type: 2, buffer })
    // x[1, newaxis, ..., ::-1]: a dropped axis, a new one, all between, the last reversed.
    const graph = read(
      one(
        45,
        [
          float('x', 2, 3, 4),
          constant('begin', 1),
          constant('end', 2),
          constant('strides', 3),
          float('y', 1, 3, 4),
        ],
        {
          inputs: [0, 1, 2, 3],
          builtin_options: {
            kind: 'StridedSliceOptions',
            begin_mask: 8,
            end_mask: 8,
            ellipsis_mask: 4,
            new_axis_mask: 2,
            shrink_axis_mask: 1,
          },
        },
        {
          buffers: [
            {},
            { data: bytesOf(1, 0, 0, 0) },
            { data: bytesOf(2, 0, 0, 0) },
            { data: bytesOf(1, 1, 1, -1) },
          ],
        },
      ),
    )
    const [y] = evaluate(graph, [
      tensorOf(
        'float32',
        [2, 3, 4],
        Array.from({ length: 24 }, (_, i) => i),
      ),
    ]) as [Tensor]
    expect(y.shape).toEqual([1, 3, 4])
    expect([...numbers(y)]).toEqual([15, 14, 13, 12, 19, 18, 17, 16, 23, 22, 21, 20])
  })

  test('IF runs the subgraph that the condition chooses', () => {
    const inner = (code: number) => ({
      tensors: [float('a', 2), float('b', 2)],
      inputs: [0],
      outputs: [1],
      operators: [{ opcode_index: code, inputs: [0], outputs: [1] }],
    })
    const graph = read(
      file({
        operator_codes: [
          { builtin_code: 118, deprecated_builtin_code: 118 },
          { builtin_code: 59, deprecated_builtin_code: 59 },
          { builtin_code: 92, deprecated_builtin_code: 92 },
        ],
        subgraphs: [
          {
            tensors: [{ name: 'c', shape: [], type: 6 }, float('x', 2), float('y', 2)],
            inputs: [0, 1],
            outputs: [2],
            operators: [
              {
                opcode_index: 0,
                inputs: [0, 1],
                outputs: [2],
                builtin_options: { kind: 'IfOptions', then_subgraph_index: 1, else_subgraph_index: 2 },
              },
            ],
          },
          inner(1),
          inner(2),
        ],
        buffers: [{}],
      }),
    )
    const x = tensorOf('float32', [2], [3, -4])
    const run = (c: boolean) => [...numbers(evaluate(graph, [tensorOf('bool', [], [c]), x])[0] as Tensor)]
    expect(run(true)).toEqual([-3, 4])
    expect(run(false)).toEqual([9, 16])
  })

  test('a composite operator is what its decomposition says', () => {
    const graph = read(
      file({
        operator_codes: [
          { builtin_code: 206, deprecated_builtin_code: 127 },
          { builtin_code: 59, deprecated_builtin_code: 59 },
        ],
        subgraphs: [
          {
            tensors: [float('x', 2), float('y', 2)],
            inputs: [0],
            outputs: [1],
            operators: [
              {
                opcode_index: 0,
                inputs: [0],
                outputs: [1],
                builtin_options_2: {
                  kind: 'StableHLOCompositeOptions',
                  name: 'odml.negated',
                  decomposition_subgraph_index: 1,
                },
              },
            ],
          },
          {
            tensors: [float('a', 2), float('b', 2)],
            inputs: [0],
            outputs: [1],
            operators: [{ opcode_index: 1, inputs: [0], outputs: [1] }],
          },
        ],
        buffers: [{}],
      }),
    )
    const y = evaluate(graph, [tensorOf('float32', [2], [3, -4])])[0] as Tensor
    expect([...numbers(y)]).toEqual([-3, 4])
  })

  test('sparse weights become dense: compressed rows with blocks of two', () => {
    // [[0, 0, 1, 2], [3, 4, 0, 0]] as blocks of 1 × 2: one block in each row.
    const sparsity = {
      traversal_order: [0, 1, 2],
      block_map: [1],
      dim_metadata: [
        { format: 0, dense_size: 2 },
        {
          format: 1,
          array_segments: { kind: 'Uint8Vector', values: [0, 1, 2] },
          array_indices: { kind: 'Uint8Vector', values: [1, 0] },
        },
        { format: 0, dense_size: 2 },
      ],
    }
    const weights = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
    const graph = read(
      file({
        operator_codes: [{ builtin_code: 0 }, { builtin_code: 124, deprecated_builtin_code: 124 }],
        subgraphs: [
          {
            tensors: [
              float('x', 2, 4),
              { ...float('w', 2, 4), buffer: 1, sparsity },
              float('d', 2, 4),
              float('y', 2, 4),
            ],
            inputs: [0],
            outputs: [3],
            operators: [
              { opcode_index: 1, inputs: [1], outputs: [2] },
              { opcode_index: 0, inputs: [0, 2], outputs: [3], builtin_options: { kind: 'AddOptions' } },
            ],
          },
        ],
        buffers: [{}, { data: weights }],
      }),
    )
    const y = evaluate(graph, [tensorOf('float32', [2, 4], new Array(8).fill(10))])[0] as Tensor
    expect([...numbers(y)]).toEqual([10, 10, 11, 12, 13, 14, 10, 10])
  })

  test('content behind the FlatBuffer, as files beyond 2 GB have it', () => {
    const content = (offset: number) =>
      one(
        0,
        [float('x', 2), { ...float('w', 2), buffer: 1 }, float('y', 2)],
        {
          inputs: [0, 1],
          builtin_options: { kind: 'AddOptions' },
        },
        { buffers: [{}, { offset, size: 8 }] },
      )
    const length = content(1000).length
    const bytes = new Uint8Array(length + 8)
    bytes.set(content(length))
    bytes.set(new Uint8Array(Float32Array.of(5, 7).buffer), length)
    const y = evaluate(read(bytes), [tensorOf('float32', [2], [1, 1])])[0] as Tensor
    expect([...numbers(y)]).toEqual([6, 8])
    expect(() => read(bytes.subarray(0, length + 4))).toThrow(/outside the file/)
  })

  test('all operators that aren’t supported are named at once', () => {
    const bytes = file({
      operator_codes: [
        { builtin_code: 32, deprecated_builtin_code: 32, custom_code: 'Mystery' },
        { builtin_code: 27, deprecated_builtin_code: 27 },
        { builtin_code: 0 },
      ],
      subgraphs: [
        {
          tensors: [float('x', 2), float('a', 2), float('b', 2), float('c', 2), float('y', 2)],
          inputs: [0],
          outputs: [4],
          operators: [
            { opcode_index: 0, inputs: [0], outputs: [1] },
            { opcode_index: 1, inputs: [1], outputs: [2] },
            { opcode_index: 0, inputs: [2], outputs: [3] },
            { opcode_index: 2, inputs: [3, 3], outputs: [4], builtin_options: { kind: 'AddOptions' } },
          ],
        },
      ],
      buffers: [{}],
    })
    try {
      read(bytes)
      expect.unreachable()
    } catch (e) {
      expect(e).toBeInstanceOf(UnsupportedError)
      expect((e as UnsupportedError).unsupported).toEqual([
        { op: 'custom Mystery', count: 2 },
        { op: 'SVDF', count: 1 },
      ])
    }
  })
})

describe('custom operators', () => {
  test.each(['fast', 'regular', 'sparse', 'uint8'])(
    'TFLite_Detection_PostProcess, %s, gives the runtime’s detections',
    (name) => {
      const a = arrays('detection')
      const graph = read(asset(`detection-${name}.tflite`))
      expect(verify(graph)).toEqual([])
      const out = evaluate(graph, [a.get(`${name}.in0`)!, a.get(`${name}.in1`)!]) as Tensor[]
      const count = Number(a.get(`${name}.out3`)!.data[0])
      expect([...numbers(out[3]!)]).toEqual([count])
      out.slice(0, 3).forEach((t, k) => {
        const want = a.get(`${name}.out${k}`)!
        expect(t.shape).toEqual(want.shape)
        const each = k === 0 ? 4 : 1
        numbers(t).forEach((v, i) => {
          // Behind the detections the runtime leaves what was in memory, we zeros.
          const expected = i < count * each ? Number(want.data[i]!) : 0
          expect(v, `output ${k}[${i}]`).toBeCloseTo(expected, 6)
        })
      })
    },
  )

  const pool = (operator: string, inputs: FileTensor[], outputs: FileTensor[]): Graph =>
    read(
      file({
        operator_codes: [{ builtin_code: 32, deprecated_builtin_code: 32, custom_code: operator }],
        subgraphs: [
          {
            tensors: [...inputs, ...outputs],
            inputs: inputs.map((_, i) => i),
            outputs: outputs.map((_, i) => inputs.length + i),
            operators: [
              {
                opcode_index: 0,
                inputs: inputs.map((_, i) => i),
                outputs: outputs.map((_, i) => inputs.length + i),
                // Same padding, strides and filter of 2.
                custom_options: bytesOf(1, 2, 2, 2, 2, 0),
              },
            ],
          },
        ],
        buffers: [{}],
      }),
    )

  test('MaxPoolingWithArgmax2D tells the place in each window, MaxUnpooling2D puts values back there', () => {
    const image = tensorOf('float32', [1, 4, 2, 2], [1, 9, 5, 2, 3, 4, 8, 7, -1, -2, -3, -4, -5, -6, -7, -8])
    const forward = pool(
      'MaxPoolingWithArgmax2D',
      [float('x', 1, 4, 2, 2)],
      [float('y', 1, 2, 1, 2), float('where', 1, 2, 1, 2)],
    )
    const [y, where] = evaluate(forward, [image]) as [Tensor, Tensor]
    expect([...numbers(y)]).toEqual([8, 9, -1, -2])
    expect([...numbers(where)].map((v) => Math.round(v * 10) / 10)).toEqual([3.1, 0.1, 0.1, 0.1])
    const back = pool(
      'MaxUnpooling2D',
      [float('y', 1, 2, 1, 2), float('where', 1, 2, 1, 2)],
      [float('x', 1, 4, 2, 2)],
    )
    expect([...numbers(evaluate(back, [y, where])[0] as Tensor)]).toEqual([
      0, 9, 0, 0, 0, 0, 8, 0, -1, -2, 0, 0, 0, 0, 0, 0,
    ])
  })
})

describe('bad files', () => {
  const sound = asset('dscnn-int8.tflite')

  test.each([
    ['nothing', new Uint8Array(0), /expected the identifier TFL3/],
    ['text', new TextEncoder().encode('{"format": "layers-model"}'), /expected the identifier TFL3/],
    ['the first half', sound.subarray(0, sound.length >> 1), /truncated|overlap|outside|offset|expected/],
    ['a header alone', sound.subarray(0, 12), /truncated|expected \d+ bytes/],
  ])('%s is refused', (_what, bytes, message) => {
    expect(() => read(bytes)).toThrow(InputError)
    expect(() => read(bytes)).toThrow(message)
  })

  test('a subgraph that contains itself is refused', () => {
    const bytes = one(
      118,
      [
        { name: 'c', shape: [], type: 6 },
        { name: 'y', shape: [], type: 6 },
      ],
      {
        inputs: [0],
        builtin_options: { kind: 'IfOptions', then_subgraph_index: 0, else_subgraph_index: 0 },
      },
    )
    expect(() => read(bytes)).toThrow(/contains itself|expected 1 inputs/)
  })

  test('a shape that no file could fill is refused', () => {
    const big = { ...float('w', 65536, 65536, 65536), buffer: 1 }
    const bytes = one(
      0,
      [float('x', 1), big, float('y', 1)],
      { inputs: [0, 1], builtin_options: { kind: 'AddOptions' } },
      {
        buffers: [{}, { data: new Uint8Array(16) }],
      },
    )
    expect(() => read(bytes)).toThrow(/more than 1099511627776 elements/)
    const large = one(
      0,
      [float('x', 1), { ...float('w', 65536, 1024), buffer: 1 }, float('y', 1)],
      { inputs: [0, 1], builtin_options: { kind: 'AddOptions' } },
      {
        buffers: [{}, { data: new Uint8Array(16) }],
      },
    )
    expect(() => read(large)).toThrow(/expected 268435456 bytes, got 16/)
  })

  test('offsets that meet again and again are refused before they are unfolded', () => {
    // Ten thousand entries that all lead to one subgraph of ten thousand entries that all lead to one tensor.
    const n = 10_000
    const bytes = one(0, [float('x', 1), float('y', 1)], {})
    const bomb = new Uint8Array(bytes.length + 8 + 8 * n)
    bomb.set(bytes)
    const view = new DataView(bomb.buffer)
    const root = view.getUint32(0, true)
    const slot = (table: number, k: number): number =>
      table + view.getUint16(table - view.getInt32(table, true) + 4 + 2 * k, true)
    const target = (at: number): number => at + view.getUint32(at, true)
    const subgraph = target(target(slot(root, 2)) + 4)
    const tensor = target(target(slot(subgraph, 0)) + 4)
    const lists = [
      { field: slot(root, 2), to: subgraph },
      { field: slot(subgraph, 0), to: tensor },
    ]
    // Offsets lead forward only: the tables move behind the lists.
    let at = bytes.length
    for (const { field } of lists) {
      view.setUint32(field, at - field, true)
      view.setUint32(at, n, true)
      // Every entry leads to one place behind both lists: whatever is there, it may not be unfolded a hundred million times.
      for (let i = 0; i < n; i++) view.setUint32(at + 4 + 4 * i, bomb.length - 4 - (at + 4 + 4 * i), true)
      at += 4 + 4 * n
    }
    expect(() => read(bomb)).toThrow(InputError)
  })
})
