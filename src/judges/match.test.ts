import { expect, test } from 'vitest'
import { rng } from '../core/rng.ts'
import { numbers, type Tensor, tensorOf } from '../core/tensor.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { type Graph, tensorType } from '../ir/types.ts'
import { permuted } from './align.ts'
import { matchGraphs } from './match.ts'

const random = (shape: number[], seed: number): Tensor => {
  const r = rng(seed)
  const n = shape.reduce((a, b) => a * b, 1)
  return tensorOf(
    'float32',
    shape,
    Array.from({ length: n }, () => r.normal() / 3),
  )
}
const scaled = (t: Tensor, by: number): Tensor => ({
  ...t,
  data: (t.data as Float32Array).map((v) => v * by),
})

type Options = {
  last?: boolean
  second?: Tensor
  first?: Tensor
  unfolded?: boolean
  stride?: number
  pre?: number
}

/** conv → relu → conv → relu → conv, channels first or last, with a bias or with the bias as an addition of its own. */
function net(o: Options = {}): Graph {
  const b = new GraphBuilder('net')
  const layout = o.last ? 'channelsLast' : 'channelsFirst'
  let x = b.input('x', tensorType('float32', o.last ? [1, 12, 12, 3] : [1, 3, 12, 12]))
  if (o.pre) x = b.node('mul', [x, b.constant(tensorOf('float32', [1], [o.pre]))])
  const weights = [
    o.first ?? random([8, 3, 3, 3], 1),
    o.second ?? random([8, 8, 3, 3], 2),
    random([4, 8, 1, 1], 3),
  ]
  weights.forEach((w, i) => {
    const bias = random([w.shape[0]!], 10 + i)
    const strides = i === 1 && o.stride ? [o.stride, o.stride] : [1, 1]
    const pads = i === 1 && o.stride ? [1, 1, 1, 1] : [0, 0, 0, 0]
    if (o.unfolded) {
      x = b.node('conv2d', [x, b.constant(w)], { layout, strides, pads })
      x = b.node('add', [x, b.constant(o.last ? bias : { ...bias, shape: [w.shape[0]!, 1, 1] })])
    } else x = b.node('conv2d', [x, b.constant(w), b.constant(bias)], { layout, strides, pads })
    if (i < 2) x = b.node('relu', [x])
  })
  b.output(x)
  return b.finish()
}
const image = random([1, 3, 12, 12], 7)
const imageLast = permuted(image, [0, 2, 3, 1])
const options = { equal: 1e-4 }

test('the same network in another layout, with the bias unfolded, matches whole', () => {
  const m = matchGraphs(net(), net({ last: true, unfolded: true }), [image], [imageLast], options)
  expect(m.faults).toEqual([])
  expect(m.unmatchedA).toEqual([])
  expect(m.pairs.length).toBe(5)
})

test('one weight tensor scaled by 1 % is found in the unfolded, transposed network', () => {
  const wrong = scaled(random([8, 8, 3, 3], 2), 1.01)
  const m = matchGraphs(
    net(),
    net({ last: true, unfolded: true, second: wrong }),
    [image],
    [imageLast],
    options,
  )
  expect(m.faults.length).toBe(1)
  const b = net({ last: true, unfolded: true })
  expect(b.nodes[m.faults[0]!.blamed]!.op).toBe('conv2d')
  expect(m.faults[0]!.blamed).toBe(3)
  expect(m.faults[0]!.says[0]).toContain('scaled by 1.01')
})

test('two faults are both found', () => {
  const m = matchGraphs(
    net(),
    net({ first: scaled(random([8, 3, 3, 3], 1), 0.9), second: scaled(random([8, 8, 3, 3], 2), 1.1) }),
    [image],
    [image],
    options,
  )
  expect(m.faults.map((f) => f.blamed)).toEqual([0, 2])
})

test('reversed input channels are preprocessing', () => {
  const w = random([8, 3, 3, 3], 1)
  const v = numbers(w)
  const reversed = {
    ...w,
    data: Float32Array.from(v, (_, i) => v[i + (2 - 2 * (Math.floor(i / 9) % 3)) * 9]!),
  }
  const m = matchGraphs(net(), net({ first: reversed }), [image], [image], options)
  expect(m.faults.map((f) => f.kind)).toEqual(['preprocessing'])
  expect(m.faults[0]!.says[0]).toContain('BGR')
})

test('a scale on the input alone is preprocessing', () => {
  const m = matchGraphs(net(), net({ pre: 0.5 }), [image], [image], options)
  expect(m.faults.map((f) => f.kind)).toEqual(['preprocessing'])
})
