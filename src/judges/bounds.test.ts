import { expect, test } from 'vitest'
import { numbers, tensorOf } from '../core/tensor.ts'
import { evaluateNode } from '../ir/evaluate.ts'
import type { Node } from '../ir/types.ts'
import { boundNode } from './bounds.ts'

const points = [-92, -20, -4, -1, 0, 0.5, 3, 40]
const x = tensorOf('float32', [points.length], points)
const node = (op: string, attributes: Node['attributes'] = {}): Node => ({
  op,
  name: op,
  inputs: [0],
  outputs: [1],
  attributes,
  origin: [],
})

/** How many times its bound each result is off. */
function excess(n: Node, compute: (x: number) => number): number[] {
  const results = evaluateNode(n, [x])
  const bound = boundNode(n, [x], results).outputs[0] as Float64Array
  const expected = numbers(results[0] as typeof x)
  return points.map((p, i) => {
    const d = Math.abs(Math.fround(compute(p)) - expected[i]!)
    return d === 0 ? 0 : d / bound[i]!
  })
}

test('a logistic function taken from tanh in float32 stays within its bound, far out too', () => {
  const half = (p: number): number => Math.fround(Math.tanh(Math.fround(0.5 * p)))
  const logistic = (p: number): number => Math.fround(0.5 * half(p)) + 0.5
  expect(Math.max(...excess(node('sigmoid'), logistic))).toBeLessThanOrEqual(1)
  expect(Math.max(...excess(node('silu', { alpha: 1 }), (p) => p * logistic(p)))).toBeLessThanOrEqual(1)
})

test('a piecewise linear stand-in for it does not', () => {
  const hard = (p: number): number => Math.min(1, Math.max(0, p / 6 + 0.5))
  expect(Math.max(...excess(node('sigmoid'), hard))).toBeGreaterThan(1000)
})

test('a result below the smallest normal number may be flushed to zero, a larger one may not', () => {
  const exp = node('exp')
  expect(excess(exp, (p) => (p === -92 ? 0 : Math.exp(p)))[0]).toBeLessThanOrEqual(1)
  expect(excess(exp, (p) => (p === -20 ? 0 : Math.exp(p)))[1]).toBeGreaterThan(1000)
})

test('products below the smallest normal number may be flushed or rounded to the spacing there, larger ones may not', () => {
  const product: Node = { ...node('matMul'), inputs: [0, 1], outputs: [2] }
  const bound = (tiny: number): number => {
    const a = tensorOf('float32', [1, 2], [tiny, tiny])
    const b = tensorOf('float32', [2, 1], [1e-9, 1e-9])
    const outputs = boundNode(product, [a, b], evaluateNode(product, [a, b])).outputs
    return (outputs[0] as Float64Array)[0]!
  }
  // 2e-39 and 2e-47 lie below 1.2e-38; 1.4e-45 is the spacing there. 2e-19 lies above.
  expect(bound(1e-30)).toBeGreaterThan(2e-39)
  expect(bound(1e-38)).toBeGreaterThan(1.4e-45)
  expect(bound(1e-38)).toBeLessThan(1e-44)
  expect(bound(1e-10)).toBeLessThan(1e-25)
})
