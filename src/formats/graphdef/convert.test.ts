// Small graphs in protobuf's JSON form, written by hand: control flow of version 2, slices with masks, shapes that are followed.

import { describe, expect, test } from 'vitest'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { type Graph, printType } from '../../ir/types.ts'
import { verify } from '../../ir/verify.ts'
import { JsonObject } from '../json.ts'
import { convertGraphDef } from './convert.ts'
import { parseGraphDef } from './graph.ts'

type Attr = Record<string, unknown>
const int = (i: number): Attr => ({ i: String(i) })
const ints = (...i: number[]): Attr => ({ list: { i: i.map(String) } })
const type = (t: string): Attr => ({ type: t })
const shape = (...d: number[]): Attr => ({ shape: { dim: d.map((size) => ({ size: String(size) })) } })
const text = (s: string): Attr => ({ s: btoa(s) })
const func = (name: string): Attr => ({ func: { name } })
const node = (name: string, op: string, input: string[] = [], attr: Attr = {}) => ({ name, op, input, attr })
const placeholder = (name: string, dtype: string, ...d: number[]) =>
  node(name, 'Placeholder', [], { dtype: type(dtype), shape: shape(...d) })
const constant = (name: string) => node(name, 'Const')

function convert(
  nodes: readonly unknown[],
  constants: Readonly<Record<string, Tensor>> = {},
  library: readonly unknown[] = [],
): Graph {
  const def = parseGraphDef(new JsonObject({ node: nodes, library: { function: library } }, 'test'), null)
  const graph = convertGraphDef(def, {
    where: 'test',
    name: 'test',
    constants: new Map(Object.entries(constants)),
  })
  expect(verify(graph)).toEqual([])
  return graph
}
const run = (graph: Graph, ...inputs: Tensor[]): number[] =>
  Array.from((evaluate(graph, inputs)[0] as Tensor).data as Float32Array, Number)
const outputType = (g: Graph): string => printType(g.values[g.outputs[0]!]!.type)

describe('control flow of version 2', () => {
  const library = [
    {
      signature: { name: 'below', inputArg: [{ name: 'i' }, { name: 'x' }], outputArg: [{ name: 'go' }] },
      ret: { go: 'less:z:0' },
      nodeDef: [constant('limit'), node('less', 'Less', ['i', 'limit:output:0'])],
    },
    {
      signature: {
        name: 'double',
        inputArg: [{ name: 'i' }, { name: 'x' }],
        outputArg: [{ name: 'next' }, { name: 'twice' }],
      },
      ret: { next: 'add:z:0', twice: 'mul:z:0' },
      nodeDef: [
        constant('one'),
        constant('two'),
        node('add', 'AddV2', ['i', 'one:output:0']),
        node('mul', 'Mul', ['x', 'two:output:0']),
      ],
    },
    {
      signature: { name: 'negate', inputArg: [{ name: 'v' }], outputArg: [{ name: 'o' }] },
      ret: { o: 'neg:y:0' },
      nodeDef: [node('neg', 'Neg', ['v'])],
    },
    {
      signature: { name: 'same', inputArg: [{ name: 'v' }], outputArg: [{ name: 'o' }] },
      ret: { o: 'v' },
      nodeDef: [],
    },
  ]
  const constants = {
    zero: tensorOf('int32', [], [0]),
    one: tensorOf('int32', [], [1]),
    limit: tensorOf('int32', [], [5]),
    two: tensorOf('float32', [], [2]),
  }

  test('a While loop that doubles five times', () => {
    const graph = convert(
      [
        placeholder('x', 'DT_FLOAT', 2),
        constant('zero'),
        node('while', 'StatelessWhile', ['zero', 'x'], { cond: func('below'), body: func('double') }),
        node('out', 'Identity', ['while:1']),
      ],
      constants,
      library,
    )
    expect(run(graph, tensorOf('float32', [2], [1, -3]))).toEqual([32, -96])
  })

  test('an If that takes one of two functions', () => {
    const graph = convert(
      [
        placeholder('c', 'DT_BOOL'),
        placeholder('x', 'DT_FLOAT', 2),
        node('if', 'StatelessIf', ['c', 'x'], { then_branch: func('negate'), else_branch: func('same') }),
        node('out', 'Identity', ['if']),
      ],
      constants,
      library,
    )
    const x = tensorOf('float32', [2], [1, -3])
    expect(run(graph, tensorOf('bool', [], [true]), x)).toEqual([-1, 3])
    expect(run(graph, tensorOf('bool', [], [false]), x)).toEqual([1, -3])
  })

  test('a call of a function is drawn in place', () => {
    const graph = convert(
      [
        placeholder('x', 'DT_FLOAT', 2),
        node('call', 'PartitionedCall', ['x'], { f: func('negate') }),
        node('out', 'Identity', ['call']),
      ],
      constants,
      library,
    )
    expect(graph.nodes.map((n) => n.op)).toEqual(['neg'])
  })

  test('a function that calls itself is refused', () => {
    const endless = {
      signature: { name: 'endless', inputArg: [{ name: 'v' }], outputArg: [{ name: 'o' }] },
      ret: { o: 'again:output:0' },
      nodeDef: [node('again', 'PartitionedCall', ['v'], { f: func('endless') })],
    }
    expect(() =>
      convert(
        [
          placeholder('x', 'DT_FLOAT', 2),
          node('call', 'PartitionedCall', ['x'], { f: func('endless') }),
          node('out', 'Identity', ['call']),
        ],
        {},
        [endless],
      ),
    ).toThrow(/nested deeper than 16/)
  })
})

test('a Switch and a Merge of version 1 are an if, a constant on one side of it', () => {
  const graph = convert(
    [
      placeholder('c', 'DT_BOOL'),
      placeholder('x', 'DT_FLOAT', 2),
      node('switch', 'Switch', ['x', 'c']),
      node('pivot', 'Switch', ['c', 'c']),
      node('taken', 'Identity', ['pivot:1']),
      node('neg', 'Neg', ['switch']),
      node('k', 'Const', ['^taken']),
      node('merge', 'Merge', ['neg', 'k']),
      node('out', 'Identity', ['merge']),
    ],
    { k: tensorOf('float32', [2], [7, 8]) },
  )
  const x = tensorOf('float32', [2], [1, -3])
  expect(run(graph, tensorOf('bool', [], [false]), x)).toEqual([-1, 3])
  expect(run(graph, tensorOf('bool', [], [true]), x)).toEqual([7, 8])
})

describe('strided slices', () => {
  const sliced = (begin: number[], end: number[], strides: number[], masks: Attr = {}): Graph =>
    convert(
      [
        placeholder('x', 'DT_FLOAT', 2, 3, 4),
        constant('begin'),
        constant('end'),
        constant('strides'),
        node('out', 'StridedSlice', ['x', 'begin', 'end', 'strides'], masks),
      ],
      {
        begin: tensorOf('int32', [begin.length], begin),
        end: tensorOf('int32', [end.length], end),
        strides: tensorOf('int32', [strides.length], strides),
      },
    )
  const x = tensorOf(
    'float32',
    [2, 3, 4],
    Array.from({ length: 24 }, (_, i) => i),
  )

  test('x[1, ::-1, 1:3]', () => {
    const graph = sliced([1, 0, 1], [0, 0, 3], [1, -1, 1], {
      shrink_axis_mask: int(1),
      begin_mask: int(2),
      end_mask: int(2),
    })
    expect(outputType(graph)).toBe('float32[3, 2]')
    expect(run(graph, x)).toEqual([21, 22, 17, 18, 13, 14])
  })
  test('x[..., -1]', () => {
    const graph = sliced([0, -1], [0, 0], [1, 1], { ellipsis_mask: int(1), shrink_axis_mask: int(2) })
    expect(run(graph, x)).toEqual([3, 7, 11, 15, 19, 23])
  })
  test('x[:, newaxis, 0:1]', () => {
    const graph = sliced([0, 0, 0], [0, 0, 1], [1, 1, 1], {
      begin_mask: int(1),
      end_mask: int(1),
      new_axis_mask: int(2),
    })
    expect(outputType(graph)).toBe('float32[2, 1, 1, 4]')
  })
})

test('a shape that is taken apart and put together again stays known but for the batch', () => {
  const graph = convert(
    [
      placeholder('x', 'DT_FLOAT', -1, 3, 4),
      node('shape', 'Shape', ['x'], { out_type: type('DT_INT32') }),
      constant('zero'),
      constant('one'),
      constant('ones'),
      node('batch', 'StridedSlice', ['shape', 'zero', 'one', 'ones'], { shrink_axis_mask: int(1) }),
      constant('twelve'),
      node('target', 'Pack', ['batch', 'twelve'], { axis: int(0), N: int(2) }),
      node('out', 'Reshape', ['x', 'target']),
    ],
    {
      zero: tensorOf('int32', [1], [0]),
      one: tensorOf('int32', [1], [1]),
      ones: tensorOf('int32', [1], [1]),
      twelve: tensorOf('int32', [], [12]),
    },
  )
  expect(graph.nodes.map((n) => n.op)).toEqual(['reshape'])
  expect(outputType(graph)).toMatch(/^float32\[.*, 12\]$/)
})

test('space to batch, a valid convolution and batch to space are a dilated convolution', () => {
  const graph = convert(
    [
      placeholder('x', 'DT_FLOAT', 1, 6, 6, 1),
      constant('block'),
      constant('pads'),
      constant('crops'),
      constant('filter'),
      node('split', 'SpaceToBatchND', ['x', 'block', 'pads']),
      node('conv', 'Conv2D', ['split', 'filter'], { strides: ints(1, 1, 1, 1), padding: text('VALID') }),
      node('out', 'BatchToSpaceND', ['conv', 'block', 'crops']),
    ],
    {
      block: tensorOf('int32', [2], [2, 2]),
      pads: tensorOf('int32', [2, 2], [2, 2, 2, 2]),
      crops: tensorOf('int32', [2, 2], [0, 0, 0, 0]),
      filter: tensorOf('float32', [3, 3, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    },
  )
  const dilated = convert(
    [
      placeholder('x', 'DT_FLOAT', 1, 6, 6, 1),
      constant('filter'),
      node('out', 'Conv2D', ['x', 'filter'], {
        strides: ints(1, 1, 1, 1),
        dilations: ints(1, 2, 2, 1),
        padding: text('SAME'),
      }),
    ],
    { filter: tensorOf('float32', [3, 3, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9]) },
  )
  const x = tensorOf(
    'float32',
    [1, 6, 6, 1],
    Array.from({ length: 36 }, (_, i) => (i * 7) % 11),
  )
  expect(run(graph, x)).toEqual(run(dilated, x))
})

test('what a file lacks is said with the node’s name', () => {
  expect(() => convert([node('out', 'Relu', ['nothing'])])).toThrow(/node nothing doesn't exist/)
  expect(() => convert([constant('c'), node('out', 'Relu', ['c'])])).toThrow(
    /node c \(Const\): the content of the constant is missing/,
  )
  expect(() => convert([placeholder('x', 'DT_FLOAT', 2), node('out', 'Conv2D', ['x', 'x'], {})])).toThrow(
    /node out \(Conv2D\): expected a filter of known shape and rank 4/,
  )
})
