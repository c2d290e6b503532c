import { expect, test } from 'vitest'
import { compile } from '../compile/compile.ts'
import { interpret } from '../compile/interpret.ts'
import { defaultSchedule, engines } from '../compile/schedule.ts'
import { rng } from '../core/rng.ts'
import { numbers, type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluateNode } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
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

test.for(['channelsFirst', 'channelsLast'])(
  "Winograd's rounding leaks into results that see zeros only, within a tile and no further, %s",
  (layout) => {
    const random = rng(3)
    const normal = (n: number): number[] => Array.from({ length: n }, () => random.normal())
    const last = layout === 'channelsLast'
    const shape = last ? [1, 24, 24, 3] : [1, 3, 24, 24]
    const column = (i: number): number => (last ? Math.floor(i / 3) % 24 : i % 24)
    const bright = tensorOf(
      'float32',
      shape,
      normal(3 * 24 * 24).map((v, i) => (column(i) < 14 ? 0 : v)),
    )
    const b = new GraphBuilder('edge')
    const v = b.input('x', { kind: 'tensor', dtype: 'float32', shape })
    const filter = tensorOf('float32', [8, 3, 3, 3], normal(8 * 27))
    const attributes = { pads: [1, 1, 1, 1], layout }
    b.output(b.node('conv2d', [v, b.constant(filter)], attributes, { name: 'conv' }))
    const graph = b.finish()
    const engine = engines['wasm-safe']
    const program = compile(graph, {
      engine,
      schedule: (_node, e) => ({ ...defaultSchedule(e, engine), algorithm: 'winograd4' }),
    })
    const [got] = interpret(program, [bright.data])
    const [conv] = graph.nodes
    const want = evaluateNode(conv!, [bright, filter])
    const factor = program.amplification.conv!
    const bound = boundNode(conv!, [bright, filter], want, factor).outputs[0] as Float64Array
    const expected = numbers(want[0] as Tensor)
    const off = Array.from(expected, (e, i) => Math.abs(Number(got![i]) - e))
    const leaks = off.filter((d, i) => expected[i] === 0 && d > 0)
    expect(leaks.length).toBeGreaterThan(0)
    expect(off.every((d, i) => d <= bound[i]!)).toBe(true)
    // Columns from 13 on see what isn't zero; a tile is six inputs wide.
    const far = Array.from(bound).filter((_, i) => (last ? Math.floor(i / 8) % 24 : i % 24) < 13 - 5)
    expect(Math.max(...far)).toBe(0)
  },
)

test('a transposed convolution sums over its inputs and the taps that fall on one result', () => {
  const b = new GraphBuilder('up')
  const v = b.input('x', { kind: 'tensor', dtype: 'float32', shape: [1, 64, 3, 3] })
  const image = tensorOf('float32', [1, 64, 3, 3], new Array(576).fill(1))
  const filter = (taps: number): Tensor =>
    tensorOf('float32', [64, 2, taps, taps], new Array(128 * taps * taps).fill(1))
  const products = (taps: number, attributes: Node['attributes']): string => {
    b.node('convTranspose2d', [v, b.constant(filter(taps))], attributes)
    const made = b.finish().nodes.at(-1)!
    return boundNode(made, [image, filter(taps)], evaluateNode(made, [image, filter(taps)])).how
  }
  expect(products(2, { strides: [2, 2] })).toBe('65 products')
  expect(products(3, { strides: [2, 2] })).toBe('257 products')
  expect(products(3, { strides: [1, 1], groups: 2 })).toBe('289 products')
})
