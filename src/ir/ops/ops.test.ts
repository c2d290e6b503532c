import { describe, expect, test } from 'vitest'
import { InputError } from '../../core/errors.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../evaluate.ts'
import { GraphBuilder } from '../graph.ts'
import type { Example, Op } from '../op.ts'
import { type Attributes, type Datum, type Graph, isTensor, type Type, tensorType } from '../types.ts'
import { verify } from '../verify.ts'
import { ops } from './index.ts'

/** A graph of one node; inputs that are true stand as constants. */
function single(
  op: string,
  types: readonly (Type | Tensor | null)[],
  attributes: Attributes = {},
  outputs = (ops as Record<string, Op>)[op]!.outputs?.[0] ?? 1,
): Graph {
  const b = new GraphBuilder(op)
  const inputs = types.map((t, i) =>
    t === null ? null : 'data' in t ? b.constant(t, `c${i}`) : b.input(`x${i}`, t),
  )
  const names = Array.from({ length: outputs }, (_, i) => `y${i}`)
  for (const v of b.nodeOutputs(op, inputs, attributes, { outputs: names })) b.output(v)
  return b.finish()
}

const f32 = (shape: readonly number[], values: readonly number[]): Tensor =>
  tensorOf('float32', shape, values)
const i64 = (...values: number[]): Tensor => tensorOf('int64', [values.length], values)
const run = (op: string, inputs: readonly (Tensor | null)[], attributes: Attributes = {}): Datum =>
  evaluate(single(op, inputs, attributes), [])[0]!
const shapeOf = (
  op: string,
  types: readonly (Type | Tensor | null)[],
  attributes: Attributes = {},
): unknown => {
  const g = single(op, types, attributes)
  const t = g.values[g.outputs[0]!]!.type
  return t.kind === 'tensor' ? t.shape : t.kind
}
const float = (...shape: (number | string | null)[]): Type => tensorType('float32', shape)

/** Operators on sequences, optionals and bodies: no tensors to show; ONNX's conformance data holds them. */
const withoutExamples = /^(if|loop|scan|optional|sequence|splitToSequence|concatFromSequence)/

describe('the operator table', () => {
  const examples = Object.entries(ops).flatMap(([name, op]: [string, Op]) =>
    (op.examples?.() ?? []).map((e, i): [string, string, Example] => [`${name} ${i}`, name, e]),
  )

  test('every operator has examples, but those on sequences and bodies', () => {
    const without = Object.entries(ops).filter(([, op]: [string, Op]) => !op.examples)
    expect(without.map(([name]) => name).filter((n) => !withoutExamples.test(n))).toEqual([])
  })

  test.each(examples)(
    'example %s: inference foretells the result, which is the literal one where given',
    (_, name, e) => {
      const types = e.inputs.map((t) => t && tensorType(t.dtype, t.shape))
      const count = Math.max((ops as Record<string, Op>)[name]!.outputs?.[0] ?? 1, e.outputs?.length ?? 0)
      const given = e.inputs.filter((t) => t !== null)
      const graph = single(name, types, e.attributes, count)
      expect(verify(graph)).toEqual([])
      const got = evaluate(graph, given)
      // The same with everything constant: then inference knows all that evaluation does.
      const known = single(name, e.inputs, e.attributes, count)
      got.forEach((t, i) => {
        if (!isTensor(t)) throw new Error('expected a tensor')
        const inferred = known.values[known.outputs[i]!]!.type
        if (inferred.kind !== 'tensor') throw new Error('expected a tensor type')
        expect(t.dtype).toBe(inferred.dtype)
        expect(
          t.shape.map((d, k) => (typeof inferred.shape?.[k] === 'number' ? inferred.shape[k] : d)),
        ).toEqual(t.shape)
        expect(t.data.length).toBe(t.shape.reduce((a, b) => a * b, 1))
      })
      e.outputs?.forEach((t, i) => {
        expect(got[i]).toEqual(t)
      })
    },
  )
})

describe('cost', () => {
  const macs = (op: string, types: readonly Type[], attributes: Attributes = {}): number | undefined => {
    const g = single(op, types, attributes)
    const node = g.nodes[0]!
    const x = { inputs: types, constants: types.map(() => null), attributes: node.attributes, outputs: 1 }
    return (ops as Record<string, Op>)[op]!.cost?.(
      x,
      node.outputs.map((v) => g.values[v]!.type),
    ).macs
  }
  test.each<[string, Type[], Attributes, number]>([
    ['matMul', [float(2, 3, 4), float(4, 5)], {}, 2 * 3 * 5 * 4],
    ['conv2d', [float(1, 4, 5, 5), float(8, 2, 3, 3)], { groups: 2 }, 8 * 3 * 3 * (2 * 3 * 3)],
    ['convTranspose2d', [float(1, 4, 5, 5), float(4, 8, 2, 2)], {}, 4 * 5 * 5 * (8 * 2 * 2)],
    ['gemm', [float(4, 3), float(5, 4)], { transposeA: true, transposeB: true }, 3 * 5 * 4],
    ['einsum', [float(2, 3), float(3, 4)], { equation: 'ij,jk->ik' }, 2 * 3 * 4],
    ['lstm', [float(7, 1, 2), float(1, 12, 2), float(1, 12, 3)], {}, 7 * (12 * 2 + 12 * 3)],
    ['conv2d', [float('N', 4, 5, 5), float(8, 4, 3, 3)], {}, 0],
  ])('%s', (op, types, attributes, expected) => {
    expect(macs(op, types, attributes)).toBe(expected)
  })
})

describe('shapes', () => {
  test('a reshape keeps the one symbol that is left over', () => {
    expect(shapeOf('reshape', [float('N', 3, 4), i64(-1, 12)])).toEqual(['N', 12])
    expect(shapeOf('reshape', [float('N', 3, 4), i64(0, 12)])).toEqual(['N', 12])
    expect(shapeOf('reshape', [float('N', 3, 4), i64(-1, 6)])).toEqual([null, 6])
  })
  test('a reshape to another number of elements is an error', () => {
    expect(() => shapeOf('reshape', [float(2, 3), i64(4)])).toThrow(InputError)
    expect(() => shapeOf('reshape', [float(2, 3), i64(4, -1)])).toThrow('6 elements')
  })
  test('a symbol passes through convolutions of one pixel and is open after others', () => {
    expect(shapeOf('conv2d', [float('N', 3, 'h', 'w'), float(8, 3, 1, 1)])).toEqual(['N', 8, 'h', 'w'])
    expect(shapeOf('conv2d', [float('N', 3, 'h', 9), float(8, 3, 3, 3)], { strides: [2, 2] })).toEqual([
      'N',
      8,
      null,
      4,
    ])
  })
  test('a slice to the end keeps a symbol; any other opens it', () => {
    expect(shapeOf('slice', [float('N', 8), i64(0, 2), i64(2 ** 40, 5)])).toEqual(['N', 3])
    expect(shapeOf('slice', [float('N', 8), i64(1), i64(3)])).toEqual([null, 8])
  })
  test('broadcasting a symbol against a number above 1 takes the number', () => {
    expect(shapeOf('add', [float('N', 1), float(4, 3)])).toEqual([4, 3])
    expect(() => shapeOf('add', [float(2), float(3)])).toThrow("don't broadcast")
  })
  test('a kernel larger than the padded input is an error', () => {
    expect(() => shapeOf('maxPool2d', [float(1, 1, 2, 2)], { kernel: [3, 3] })).toThrow(
      'larger than the padded input',
    )
  })
})

describe('values', () => {
  test('integers are exact beyond 2^53', () => {
    const big = tensorOf('int64', [2], [2n ** 62n, -(2n ** 62n) + 1n])
    expect(run('add', [big, tensorOf('int64', [], [1])])).toEqual(
      tensorOf('int64', [2], [2n ** 62n + 1n, -(2n ** 62n) + 2n]),
    )
    expect(run('reduceSum', [big])).toEqual(tensorOf('int64', [1], [1]))
  })
  test('int32 products wrap as two’s complement does', () => {
    const x = tensorOf('int32', [1], [2 ** 30 + 1])
    expect(run('mul', [x, x])).toEqual(tensorOf('int32', [1], [Math.imul(2 ** 30 + 1, 2 ** 30 + 1)]))
  })
  test('NaN wins in max, relu and reduceMax, and argMax finds it', () => {
    const x = f32([3], [1, Number.NaN, 2])
    expect(run('relu', [x])).toEqual(x)
    expect(run('reduceMax', [x])).toEqual(f32([1], [Number.NaN]))
    expect(run('argMax', [x])).toEqual(i64(1))
  })
  test('a float16 sum is rounded once', () => {
    // 2048 + 1 + 1: rounding after each step would lose both ones.
    const x = tensorOf('float16', [3], [2048, 1, 1])
    expect(run('reduceSum', [x])).toEqual(tensorOf('float16', [1], [2050]))
  })
  test('strings compare and are chosen', () => {
    const [a, b] = [tensorOf('string', [2], ['x', 'y']), tensorOf('string', [2], ['x', 'z'])]
    expect(run('equal', [a, b])).toEqual(tensorOf('bool', [2], [1, 0]))
    expect(run('where', [tensorOf('bool', [2], [0, 1]), a, b])).toEqual(tensorOf('string', [2], ['x', 'y']))
    expect(() => run('add', [a, b])).toThrow('got strings')
  })
  test('a clamp without limits leaves integers as they are', () => {
    const x = tensorOf('int64', [2], [-5, 5])
    expect(run('clamp', [x])).toEqual(x)
  })
  test('depthToSpace undoes spaceToDepth in both layouts', () => {
    for (const layout of ['channelsFirst', 'channelsLast']) {
      const x = f32(
        [1, 4, 4, 4],
        Array.from({ length: 64 }, (_, i) => i),
      )
      const deep = run('spaceToDepth', [x], { block: 2, layout }) as Tensor
      expect(run('depthToSpace', [deep], { block: 2, layout })).toEqual(x)
    }
  })
  test('averages leave padding out unless told', () => {
    const x = f32([1, 1, 2, 2], [1, 2, 3, 4])
    const window = { kernel: [2, 2], pads: [1, 1, 0, 0] }
    expect(run('averagePool2d', [x], window)).toEqual(f32([1, 1, 2, 2], [1, 1.5, 2, 2.5]))
    expect(run('averagePool2d', [x], { ...window, countIncludePad: true })).toEqual(
      f32([1, 1, 2, 2], [0.25, 0.75, 1, 2.5]),
    )
  })
  test('positions of a channels-last maximum count in the input’s own order', () => {
    const x = f32([1, 2, 2, 2], [1, 8, 2, 7, 3, 6, 4, 5])
    const g = single('maxPool2d', [x], { kernel: [2, 2], layout: 'channelsLast' }, 2)
    expect(evaluate(g, [])).toEqual([f32([1, 1, 1, 2], [4, 8]), tensorOf('int64', [1, 1, 1, 2], [6, 1])])
  })
  test('quantised values are halves to even and saturate', () => {
    const x = f32([4], [0.5, 1.5, 2.5, 1000])
    expect(run('quantizeLinear', [x, f32([], [1]), tensorOf('int8', [], [0])])).toEqual(
      tensorOf('int8', [4], [0, 2, 2, 127]),
    )
  })
  test('a scale for each block of an axis', () => {
    const q = tensorOf('int4', [1, 4], [1, 2, 3, -4])
    expect(run('dequantizeLinear', [q, f32([1, 2], [1, 10])], { axis: 1, block: 2 })).toEqual(
      f32([1, 4], [1, 2, 30, -40]),
    )
  })
  test('an index outside is an error that names the range', () => {
    expect(() => run('gather', [f32([2], [1, 2]), i64(2)])).toThrow('expected −2..1, got 2')
  })
  test('random numbers are the same for the same seed', () => {
    const draw = (seed: number): Datum => run('randomNormal', [], { shape: [4], seed })
    expect(draw(1)).toEqual(draw(1))
    expect(draw(1)).not.toEqual(draw(2))
  })
})
