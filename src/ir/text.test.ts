import { expect, test } from 'vitest'
import { tensorOf } from '../core/tensor.ts'
import { evaluate } from './evaluate.ts'
import { GraphBuilder } from './graph.ts'
import { parseGraph, printGraph, weightsOf } from './text.ts'
import { verify } from './verify.ts'

const dense = `graph net(x: float32[batch, 3]) -> (y) {
  w: float32[3, 2] = [1, 2, 3, 4, 5, 6]
  "t 1": float32[batch, 2] = matMul(x, w) {} "dense/MatMul"
  y: float32[batch, 2] = clamp("t 1") {low: 0, high: inf} "relu" from ["dense", "fuse"]
}`

test('a graph prints to the text it was parsed from', () => {
  expect(printGraph(parseGraph(dense))).toBe(dense)
})

test('a parsed graph verifies and evaluates', () => {
  const g = parseGraph(dense)
  expect(verify(g)).toEqual([])
  expect(evaluate(g, [tensorOf('float32', [1, 3], [1, -1, 1])])[0]).toEqual(
    tensorOf('float32', [1, 2], [3, 4]),
  )
})

test('large constants go by digest and come back', () => {
  const b = new GraphBuilder('big')
  const x = b.input('x', { kind: 'tensor', dtype: 'float32', shape: [100] })
  b.output(
    b.node('add', [
      x,
      b.constant(
        tensorOf(
          'float32',
          [100],
          Array.from({ length: 100 }, (_, i) => i / 3),
        ),
        'w',
      ),
    ]),
  )
  const g = b.finish()
  const weights = weightsOf(g)
  expect(weights.size).toBe(1)
  // Constants print before nodes, so value ids may be renumbered; the text is the same.
  const again = parseGraph(printGraph(g), { weights: (d) => weights.get(d) })
  expect(printGraph(again)).toBe(printGraph(g))
  expect(verify(again)).toEqual([])
})

test('a mistake in the text is named with its line', () => {
  expect(() => parseGraph('graph g(x: float32[2]) -> (y) {\n  y: float32[2] = relu(z)\n}')).toThrow(
    'line 2: expected a value made above (z is not)',
  )
})
