import { describe, expect, test } from 'vitest'
import { UnsupportedError } from '../../core/errors.ts'
import { tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder, withOutputs } from '../../ir/graph.ts'
import type { Op } from '../../ir/op.ts'
import { ops } from '../../ir/ops/index.ts'
import { parseGraph, printGraph } from '../../ir/text.ts'
import { type Graph, tensorType } from '../../ir/types.ts'
import { decodeModel, readOnnx } from './read.ts'
import { writeRowFor } from './rows/index.ts'
import { writeOnnx } from './write.ts'

const opsOf = (g: Graph): string[] => decodeModel(writeOnnx(g), 'written').graph!.node.map((n) => n.opType)
const opsetOf = (g: Graph): number => Number(decodeModel(writeOnnx(g), 'written').opsetImport[0]!.version)
const again = (g: Graph): Graph => readOnnx(writeOnnx(g), { where: 'written' })

const net = parseGraph(`graph net(x: float32[N, 2]) -> (y) {
  w: float32[2, 2] = [1, 2, 3, 4]
  h: float32[N, 2] = matMul(x, w) {} "dense/MatMul"
  y: float32[N, 2] = relu(h) {} "act"
}`)

describe('writeOnnx', () => {
  test('what is read again prints the same: names, symbols, types', () => {
    expect(printGraph(again(net))).toBe(printGraph(net))
  })

  test('any inner value is an output by its own name', () => {
    const h = net.values.findIndex((v) => v.name === 'h')
    const model = decodeModel(writeOnnx(withOutputs(net, [h])), 'written')
    expect(model.graph!.output.map((o) => o.name)).toEqual(['y', 'h'])
  })

  test('a value that is an output twice is copied once', () => {
    const twice = { ...net, outputs: [...net.outputs, ...net.outputs] }
    const model = decodeModel(writeOnnx(twice), 'written')
    expect(model.graph!.output.map((o) => o.name)).toEqual(['y', 'y/output'])
  })

  test('channels last stands between transposes, and computes the same', () => {
    const b = new GraphBuilder('last')
    const x = b.input('x', tensorType('float32', [1, 3, 3, 2]))
    const w = b.constant(tensorOf('float32', [1, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]), 'w')
    b.output(b.node('conv2d', [x, w], { layout: 'channelsLast' }, { outputs: ['y'] }))
    const g = b.finish()
    expect(opsOf(g)).toEqual(['Transpose', 'Conv', 'Transpose'])
    const input = tensorOf(
      'float32',
      [1, 3, 3, 2],
      Array.from({ length: 18 }, (_, i) => i),
    )
    expect(evaluate(again(g), [input])).toEqual(evaluate(g, [input]))
  })

  test('the operator set is the lowest that suffices', () => {
    const one = (op: string, attributes = {}): Graph => {
      const b = new GraphBuilder(op)
      b.output(b.node(op, [b.input('x', tensorType('float32', [2, 3]))], attributes))
      return b.finish()
    }
    expect(opsetOf(one('relu'))).toBe(13)
    expect(opsetOf(one('hardSwish'))).toBe(14)
    expect(opsetOf(one('gelu'))).toBe(20)
  })

  test('integers of any width and float16 keep their bits', () => {
    for (const dtype of [
      'int4',
      'uint4',
      'int8',
      'uint16',
      'int64',
      'float16',
      'bfloat16',
      'bool',
      'float64',
    ] as const) {
      const b = new GraphBuilder(dtype)
      const c = b.constant(tensorOf(dtype, [3], [1, 0, 7]), 'c')
      b.output(b.node('identity', [c], {}, { outputs: ['y'] }))
      expect(evaluate(again(b.finish()), [])).toEqual([tensorOf(dtype, [3], [1, 0, 7])])
    }
  })

  test('a body takes what it captures from outside by name', () => {
    const body = (op: string): Graph =>
      parseGraph(`graph body(k: float32[2]) -> (r) {
  r: float32[2] = ${op}(k) {} "${op}"
}`)
    const b = new GraphBuilder('cond')
    const [c, x] = [b.input('c', tensorType('bool', [])), b.input('x', tensorType('float32', [2]))]
    b.output(b.node('if', [c, x], { whenTrue: body('neg'), whenFalse: body('exp') }, { outputs: ['y'] }))
    const g = b.finish()
    const branch = decodeModel(writeOnnx(g), 'written').graph!.node[0]!.attribute[0]!.g!
    expect([branch.input.length, branch.node[0]!.input[0]]).toEqual([0, 'x'])
    const inputs = [tensorOf('bool', [], [true]), tensorOf('float32', [2], [1, 2])]
    expect(evaluate(again(g), inputs)).toEqual([tensorOf('float32', [2], [-1, -2])])
  })

  test('convolutions of wide integers and float64 are spelled out in slices and products', () => {
    const values = (n: number): number[] => Array.from({ length: n }, (_, i) => ((i * 7) % 11) - 5)
    const cases: [groups: number, filters: number][] = [
      [1, 3],
      [4, 4],
      [4, 8],
      [2, 6],
    ]
    for (const dtype of ['int32', 'int64', 'float64'] as const) {
      for (const [groups, filters] of cases) {
        const per = 4 / groups
        const b = new GraphBuilder('wide')
        const x = b.input('x', tensorType(dtype, ['N', 5, 6, 4]))
        const w = b.constant(tensorOf(dtype, [filters, per, 3, 2], values(filters * per * 6)), 'w')
        const bias = b.constant(tensorOf(dtype, [filters], values(filters)), 'bias')
        const attributes = {
          groups,
          layout: 'channelsLast',
          strides: [1, 2],
          dilations: [2, 1],
          pads: [2, 0, 1, 1],
        }
        b.output(b.node('conv2d', [x, w, bias], attributes, { outputs: ['y'] }))
        const g = b.finish()
        expect(opsOf(g)).not.toContain('Conv')
        const input = tensorOf(dtype, [2, 5, 6, 4], values(240))
        expect(evaluate(again(g), [input])).toEqual(evaluate(g, [input]))
      }
    }
  })

  test('maxima of integers that ONNX’s MaxPool hasn’t go through floats that hold them', () => {
    for (const dtype of ['int16', 'int32'] as const) {
      const b = new GraphBuilder('pool')
      b.output(
        b.node('maxPool1d', [b.input('x', tensorType(dtype, [1, 1, 4]))], { kernel: [2], strides: [2] }),
      )
      const g = b.finish()
      expect(opsOf(g)).toEqual(['Cast', 'MaxPool', 'Cast'])
      const x = tensorOf(dtype, [1, 1, 4], [-32768, -32767, 32766, 32767])
      expect(evaluate(again(g), [x])).toEqual([tensorOf(dtype, [1, 1, 2], [-32767, 32767])])
    }
  })

  test('what ONNX can’t say is listed at once', () => {
    const b = new GraphBuilder('odd')
    const x = b.input('x', tensorType('float32', [1, 2, 2, 1]))
    const pooled = b.nodeOutputs(
      'maxPool2d',
      [x],
      { kernel: [2, 2], layout: 'channelsLast' },
      { outputs: ['y', 'at'] },
    )
    for (const v of [...pooled, b.node('bitCast', [x], { to: 'int32' })]) b.output(v)
    expect(() => writeOnnx(b.finish())).toThrow(UnsupportedError)
    expect(() => writeOnnx(b.finish())).toThrow('positions of maxPool with channels last; bitCast')
  })

  test('every operator but TensorFlow Lite’s integer ones has a row', () => {
    expect(Object.keys(ops).filter((op) => !op.startsWith('tflite') && !writeRowFor(op))).toEqual([])
  })

  test('what the rows spell out means the same: every example, written and read again', () => {
    const different: string[] = []
    for (const [name, op] of Object.entries(ops) as [string, Op][]) {
      if (name.startsWith('tflite') || name.startsWith('random') || name === 'bitCast') continue
      for (const [i, e] of (op.examples?.() ?? []).entries()) {
        const b = new GraphBuilder(name)
        const given = e.inputs.map((t, k) => (t ? b.input(`x${k}`, tensorType(t.dtype, t.shape)) : null))
        for (const v of b.nodeOutputs(name, given, e.attributes)) b.output(v)
        const g = b.finish()
        const inputs = e.inputs.filter((t) => t !== null)
        try {
          const [got, want] = [evaluate(again(g), inputs), evaluate(g, inputs)]
          const close = want.every((t, k) => {
            const [p, q] = [
              got[k] as typeof t & { data: ArrayLike<number> },
              t as { data: ArrayLike<number> },
            ]
            return Array.from(q.data, Number).every((v, j) => {
              const d = Math.abs(Number(p.data[j]) - v)
              return Object.is(Number(p.data[j]), v) || d <= 1e-6 * Math.max(1, Math.abs(v))
            })
          })
          if (!close) different.push(`${name} ${i}`)
        } catch (err) {
          different.push(`${name} ${i}: ${(err as Error).message}`)
        }
      }
    }
    expect(different).toEqual([])
  })
})
