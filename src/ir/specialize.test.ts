import { describe, expect, test } from 'vitest'
import { tensorOf } from '../core/tensor.ts'
import { GraphBuilder } from './graph.ts'
import { specialize } from './specialize.ts'
import { parseGraph, printGraph } from './text.ts'
import { tensorType } from './types.ts'

const net = `graph net(x: float32[N, 2, 3], y: float32[N]) -> (z, y) {
  last: int64[1] = [-1]
  n: int64[1] = shape(x) {start: 0, end: 1} "n"
  to: int64[2] = concat(n, last) {axis: 0} "to"
  z: float32[*] = reshape(x, to) {allowZero: false} "z"
}`

describe('specialize', () => {
  test('a number for a symbol reaches every value, and computed shapes become constants', () => {
    const g = specialize(parseGraph(net), { dims: { N: 4 } })
    expect(g.nodes.map((n) => n.op)).toEqual(['reshape'])
    expect(printGraph(g)).toContain('z: float32[4, 6] = reshape')
  })
  test('a shape given for one input binds its symbols in the others', () => {
    expect(printGraph(specialize(parseGraph(net), { inputs: { x: [5, 2, 3] } }))).toContain('y: float32[5]')
  })
  test('two numbers for one symbol are an error that names both', () => {
    expect(() => specialize(parseGraph(net), { inputs: { x: [5, 2, 3], y: [4] } })).toThrow(
      'N is 5 already, got 4',
    )
  })
  test('a symbol that no input has is not guessed', () => {
    const inner = parseGraph(`graph g(x: float32[N, M], c: bool[N]) -> (y) {
      y: float32[K] = compress(x, c) {} "y"
    }`)
    expect(printGraph(specialize(inner, { open: 2 }))).toContain('y: float32[K]')
  })
  test('folding stops at the limit before it allocates', () => {
    const b = new GraphBuilder('huge')
    const shape = b.constant(tensorOf('int64', [2], [2 ** 20, 2 ** 20]), 'shape')
    b.output(b.node('reduceSum', [b.node('constantOfShape', [shape])]))
    expect(specialize(b.finish()).nodes.map((n) => n.op)).toEqual(['constantOfShape', 'reduceSum'])
  })
  test('the shape of a value whose shape is known needs no value', () => {
    const b = new GraphBuilder('shape')
    b.output(b.node('shape', [b.input('x', tensorType('float32', [2, 3]))]))
    const g = specialize(b.finish())
    expect(g.values[g.outputs[0]!]!.constant).toEqual(tensorOf('int64', [2], [2, 3]))
  })
})
