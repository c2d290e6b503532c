import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { describe, expect, test } from 'vitest'
import { InputError, UnsupportedError } from '../../core/errors.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { printGraph } from '../../ir/text.ts'
import type { Graph } from '../../ir/types.ts'
import { verify } from '../../ir/verify.ts'
import { tensorProto, typeProto } from './emit.ts'
import { type ReadOptions, readOnnx } from './read.ts'
import {
  type AttributeProto,
  AttributeProtoSchema,
  type FunctionProto,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  SparseTensorProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from './schema/onnx_pb.ts'

// Small models, as the messages they are.

const f32 = (shape: readonly (number | string)[]) => typeProto({ kind: 'tensor', dtype: 'float32', shape })
const value = (name: string, type = f32([2])) => create(ValueInfoProtoSchema, { name, type })
const attribute = (name: string, v: MessageInitShape<typeof AttributeProtoSchema>): AttributeProto =>
  create(AttributeProtoSchema, { name, ...v })
const ints = (name: string, ...v: number[]): AttributeProto => attribute(name, { ints: v.map(BigInt) })
const node = (
  opType: string,
  input: string[],
  output: string[],
  more: { attribute?: AttributeProto[]; domain?: string; name?: string } = {},
): NodeProto => create(NodeProtoSchema, { opType, input, output, ...more })

type Parts = {
  nodes: NodeProto[]
  initializers?: TensorProto[]
  inputs?: string[]
  outputs?: string[]
  opset?: number
  functions?: FunctionProto[]
  graph?: MessageInitShape<typeof GraphProtoSchema>
}
const model = (p: Parts): ModelProto =>
  create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [
      { domain: '', version: BigInt(p.opset ?? 17) },
      { domain: 'own', version: 1n },
    ],
    functions: p.functions ?? [],
    graph: create(GraphProtoSchema, {
      name: 'net',
      node: p.nodes,
      initializer: p.initializers ?? [],
      input: (p.inputs ?? ['x']).map((n) => value(n)),
      output: (p.outputs ?? ['y']).map((n) => value(n)),
      ...p.graph,
    }),
  })
const bytesOf = (p: Parts): Uint8Array => toBinary(ModelProtoSchema, model(p))
const read = (p: Parts, options: Partial<ReadOptions> = {}): Graph =>
  readOnnx(bytesOf(p), { where: 'net.onnx', ...options })
const x: Tensor = tensorOf('float32', [2], [1, -2])
const run = (p: Parts, options: Partial<ReadOptions> = {}) => evaluate(read(p, options), [x])[0]
const two = (values: readonly number[], name: string): TensorProto =>
  tensorProto(tensorOf('float32', [2], values), name)

describe('readOnnx', () => {
  test('names of nodes and values are kept, and symbols of the file are the graph’s', () => {
    const p: Parts = { nodes: [node('Relu', ['x'], ['y'], { name: 'act' })] }
    p.graph = { input: [value('x', f32(['batch', 3]))], output: [value('y', f32(['batch', 3]))] }
    expect(printGraph(read(p))).toBe(`graph net(x: float32[batch, 3]) -> (y) {
  y: float32[batch, 3] = relu(x) {} "act"
}`)
  })

  test('weights are views of the file where their offset allows', () => {
    // Aligned by a name of the right length, tried in turn.
    const aligned = ['w', 'ww', 'www', 'wwww'].filter((name) => {
      const bytes = bytesOf({ nodes: [node('Add', ['x', name], ['y'])], initializers: [two([3, 4], name)] })
      const graph = readOnnx(bytes, { where: 'net.onnx' })
      const weight = graph.values.find((v) => v.constant)!.constant!
      expect(Array.from(weight.data as Float32Array)).toEqual([3, 4])
      return (weight.data as Float32Array).buffer === bytes.buffer
    })
    expect(aligned.length).toBeGreaterThan(0)
    expect(aligned.length).toBeLessThan(4)
  })

  test('weights in the typed fields are read, floats whole or in pieces', () => {
    const piece = (...v: number[]): Uint8Array => new Uint8Array(Float32Array.of(...v).buffer)
    for (const floatData of [[piece(3, 4)], [piece(3), piece(4)]]) {
      const w = create(TensorProtoSchema, { name: 'w', dims: [2n], dataType: 1, floatData })
      expect(run({ nodes: [node('Add', ['x', 'w'], ['y'])], initializers: [w] })).toEqual(
        tensorOf('float32', [2], [4, 2]),
      )
    }
    const h = create(TensorProtoSchema, { name: 'w', dims: [2n], dataType: 10, int32Data: [0x3c00, 0xc000] })
    const half = read({ nodes: [node('CastLike', ['x', 'w'], ['y'])], initializers: [h] })
    expect(half.values.at(-1)!.type).toEqual({ kind: 'tensor', dtype: 'float16', shape: [2] })
  })

  test('nodes may stand in any order', () => {
    expect(run({ nodes: [node('Neg', ['a'], ['y']), node('Relu', ['x'], ['a'])] })).toEqual(
      tensorOf('float32', [2], [-1, -0]),
    )
  })

  test('a cycle is an error that names where it is met', () => {
    const nodes = [node('Relu', ['b'], ['a']), node('Neg', ['a'], ['b']), node('Add', ['x', 'b'], ['y'])]
    expect(() => read({ nodes })).toThrow(/net\.onnx: node .*isn't made before it is used/)
  })

  test('everything that isn’t supported is listed at once, in bodies and behind other unsupported nodes too', () => {
    const nodes = [
      node('Spline', ['x'], ['a'], { domain: 'vendor' }),
      node('Wobble', ['a'], ['b']),
      node('Wobble', ['x'], ['c']),
      node('Sum', ['b', 'c'], ['y']),
    ]
    expect(() => read({ nodes })).toThrow(UnsupportedError)
    expect(() => read({ nodes })).toThrow('net.onnx: not supported: vendor.Spline; Wobble ×2')
  })

  test('local functions are inlined with their attributes, and absent inputs stay absent', () => {
    const alpha = create(AttributeProtoSchema, { name: 'alpha', type: 1, refAttrName: 'slope' })
    const fn = create(FunctionProtoSchema, {
      domain: 'own',
      name: 'Leak',
      input: ['a', 'limit'],
      output: ['b'],
      attribute: ['slope'],
      opsetImport: [{ domain: '', version: 17n }],
      node: [
        node('LeakyRelu', ['a'], ['t'], { attribute: [alpha], name: 'leak' }),
        node('Clip', ['t', '', 'limit'], ['b'], { name: 'clip' }),
      ],
    })
    const call = node('Leak', ['x'], ['y'], {
      domain: 'own',
      name: 'call',
      attribute: [attribute('slope', { type: 1, f: 0.5 })],
    })
    const graph = read({ nodes: [call], functions: [fn] })
    expect(graph.nodes.map((n) => n.name)).toEqual(['call/leak', 'call/clip'])
    expect(evaluate(graph, [x])[0]).toEqual(tensorOf('float32', [2], [1, -1]))
  })

  test('a function that calls itself is an error, not a hang', () => {
    const fn = create(FunctionProtoSchema, {
      domain: 'own',
      name: 'F',
      input: ['a'],
      output: ['b'],
      opsetImport: [{ domain: 'own', version: 1n }],
      node: [node('F', ['a'], ['b'], { domain: 'own' })],
    })
    expect(() => read({ nodes: [node('F', ['x'], ['y'], { domain: 'own' })], functions: [fn] })).toThrow(
      'nest more than 64',
    )
  })

  test('what a body uses from outside becomes inputs of the node and of both bodies', () => {
    const branch = (op: string, operand: string): GraphProto =>
      create(GraphProtoSchema, {
        name: op,
        node: [node(op, ['x', operand], [`${op}_out`])],
        output: [value(`${op}_out`)],
      })
    const attributes = [
      attribute('then_branch', { type: 5, g: branch('Add', 'k') }),
      attribute('else_branch', { type: 5, g: branch('Mul', 'm') }),
    ]
    const nodes = [
      node('Neg', ['x'], ['k']),
      node('Abs', ['x'], ['m']),
      node('ReduceSum', ['x'], ['s'], { attribute: [attribute('keepdims', { i: 0n })] }),
      node('Cast', ['s'], ['c'], { attribute: [attribute('to', { i: 9n })] }),
      node('If', ['c'], ['y'], { attribute: attributes }),
    ]
    const graph = read({ nodes })
    expect(verify(graph)).toEqual([])
    const conditional = graph.nodes.find((n) => n.op === 'if')!
    expect(conditional.inputs).toHaveLength(4)
    expect(evaluate(graph, [x])[0]).toEqual(tensorOf('float32', [2], [0, 0]))
    expect(evaluate(graph, [tensorOf('float32', [2], [3, -3])])[0]).toEqual(tensorOf('float32', [2], [9, -9]))
  })

  test('a sparse initializer is written out', () => {
    const sparse = create(SparseTensorProtoSchema, {
      values: tensorProto(tensorOf('float32', [1], [5]), 'w'),
      indices: tensorProto(tensorOf('int64', [1], [1])),
      dims: [2n],
    })
    const p: Parts = { nodes: [node('Add', ['x', 'w'], ['y'])], graph: { sparseInitializer: [sparse] } }
    expect(run(p)).toEqual(tensorOf('float32', [2], [1, 3]))
  })

  describe('older operator sets', () => {
    const steps: [string, number, NodeProto, number[]][] = [
      [
        'Clip by attributes',
        10,
        node('Clip', ['x'], ['y'], {
          attribute: [attribute('min', { f: -1 }), attribute('max', { f: 0.5 })],
        }),
        [0.5, -1],
      ],
      [
        'Pad by attributes',
        2,
        node('Pad', ['x'], ['y'], { attribute: [ints('pads', 1, 0), attribute('value', { f: 9 })] }),
        [9, 1, -2],
      ],
      [
        'Slice by attributes',
        9,
        node('Slice', ['x'], ['y'], { attribute: [ints('starts', -1), ints('ends', 99)] }),
        [-2],
      ],
      [
        'TopK by attribute',
        9,
        node('TopK', ['x'], ['y', 'i'], { attribute: [attribute('k', { i: 1n })] }),
        [1],
      ],
      ['Upsample', 9, node('Upsample', ['x', 's'], ['y']), [1, 1, -2, -2]],
      ['Dropout', 9, node('Dropout', ['x'], ['y']), [1, -2]],
      ['ReduceMax by attribute', 13, node('ReduceMax', ['x'], ['y'], { attribute: [ints('axes', 0)] }), [1]],
    ]
    test.each(steps)('%s', (_, opset, step, expected) => {
      const s = tensorProto(tensorOf('float32', [1], [2]), 's')
      const y = run({ nodes: [step], opset, initializers: [s] }) as Tensor
      expect(Array.from(y.data as Float32Array)).toEqual(expected)
    })

    test('softmax ran over all dimensions from its axis on', () => {
      const p: Parts = { nodes: [node('Softmax', ['x'], ['y'])], opset: 12 }
      p.graph = { input: [value('x', f32([1, 2, 2]))], output: [value('y', f32([1, 2, 2]))] }
      const y = evaluate(read(p), [tensorOf('float32', [1, 2, 2], [0, 0, 0, 0])])[0]
      expect(y).toEqual(tensorOf('float32', [1, 2, 2], [0.25, 0.25, 0.25, 0.25]))
    })
  })
})

describe('external data', () => {
  const outside = (location: string, more: Record<string, string> = {}): TensorProto =>
    create(TensorProtoSchema, {
      name: 'w',
      dims: [2n],
      dataType: 1,
      dataLocation: 1,
      externalData: Object.entries({ location, ...more }).map(([key, v]) => ({ key, value: v })),
    })
  const net = (t: TensorProto): Parts => ({ nodes: [node('Add', ['x', 'w'], ['y'])], initializers: [t] })
  const file = new Uint8Array(Float32Array.of(7, 8, 9).buffer)
  const external = (name: string): Uint8Array | undefined => (name === 'weights/w.bin' ? file : undefined)

  test('is a view of its file at the stated offset', () => {
    const graph = read(net(outside('weights/w.bin', { offset: '4', length: '8' })), { external })
    const weight = graph.values.find((v) => v.constant)!.constant!
    expect(Array.from(weight.data as Float32Array)).toEqual([8, 9])
    expect((weight.data as Float32Array).buffer).toBe(file.buffer)
  })
  test.each(['../w.bin', '/etc/passwd', 'a/../../w.bin', 'C:\\w.bin', ''])(
    'refuses to leave the folder: %j',
    (name) => {
      const asked: string[] = []
      const spy = (n: string): Uint8Array => {
        asked.push(n)
        return file
      }
      expect(() => read(net(outside(name)), { external: spy })).toThrow('expected a file beside the model')
      expect(asked).toEqual([])
    },
  )
  test('that is missing or too short is an error that names the file or the sizes', () => {
    expect(() => read(net(outside('gone.bin')), { external })).toThrow(
      'its external data gone.bin is missing',
    )
    expect(() => read(net(outside('weights/w.bin', { offset: '8' })), { external })).toThrow(
      'expected 8 bytes at 8, the file has 12',
    )
  })
})

describe('damaged files', () => {
  const whole = model({ nodes: [node('Add', ['x', 'w'], ['y'])], initializers: [two([3, 4], 'w')] })
  // One operator set: without the last field, the file would still be one.
  whole.opsetImport.length = 1
  const good = toBinary(ModelProtoSchema, whole)
  test('every truncation is an input error', () => {
    for (let n = 0; n < good.length; n++)
      expect(() => readOnnx(good.slice(0, n), { where: 'cut.onnx' })).toThrow(/^cut\.onnx: /)
  })
  test('another kind of file is called so', () => {
    const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10)
    expect(() => readOnnx(png, { where: 'a.png' })).toThrow('a.png: not an ONNX file')
  })
  test('a shape that can’t fit in the file is refused before anything is made', () => {
    const huge = create(TensorProtoSchema, {
      name: 'w',
      dims: [1n << 38n, 4n],
      dataType: 1,
      rawData: new Uint8Array(8),
    })
    const p: Parts = { nodes: [node('Add', ['x', 'w'], ['y'])], initializers: [huge] }
    expect(() => read(p)).toThrow(InputError)
    expect(() => read(p)).toThrow('bytes, got 8')
  })
  test('a value made twice is an error', () => {
    expect(() => read({ nodes: [node('Relu', ['x'], ['y']), node('Neg', ['x'], ['y'])] })).toThrow(
      'y is made twice',
    )
  })
})
