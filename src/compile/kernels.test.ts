import { expect, test } from 'vitest'
import { parseGraph } from '../ir/text.ts'
import { kernelKeys, kernelsOf } from './kernels.ts'
import { prepare } from './prepare.ts'
import { defaultSchedule, engines, parseSchedules } from './schedule.ts'

const conv = (out: string, from: string, w: string) =>
  `${out}: float32[1, 4, 6, 6] = conv2d(${from}, ${w}) {pads: [1, 1, 1, 1]} "${out}"`
const ones = (n: number, last = 1) => [...new Array(n - 1).fill(1), last].join(', ')
const graph = prepare(
  parseGraph(`graph net(x: float32[1, 4, 6, 6]) -> (d) {
  v: float32[4, 4, 3, 3] = [${ones(144)}]
  w: float32[4, 4, 3, 3] = [${ones(144, 2)}]
  z: float32[4, 4, 3, 3] = [${new Array(144).fill('0').fill('1', 0, 36).join(', ')}]
  ${conv('a', 'x', 'v')}
  ${conv('b', 'a', 'w')}
  ${conv('c', 'b', 'z')}
  d: float32[1, 4, 6, 6] = relu(c) {} "d"
}`),
)

test('convolutions of one shape are one kernel, and zeros make another', () => {
  const keys = kernelKeys(graph)
  expect([...keys.keys()]).toEqual(['a', 'b', 'c'])
  expect(keys.get('a')).toBe(
    'conv2d float32[1x4x6x6] float32[4x4x3x3]! strides 1,1 pads 1,1,1,1 dilations 1,1 groups 1 channelsFirst',
  )
  expect(keys.get('b')).toBe(keys.get('a'))
  expect(keys.get('c')).toBe(`${keys.get('a')} density 0.25`)
})

test('a kernel is a graph of its own with its extent and its work', () => {
  const kernels = kernelsOf(graph, engines['wasm-safe'])
  expect(kernels.map((k) => [k.nodes, k.macs])).toEqual([
    [['a', 'b'], 5184],
    [['c'], 5184],
  ])
  expect(kernels[0]!.graph.nodes.map((n) => n.name)).toEqual(['before', 'kernel'])
  expect(kernels[1]!.extent).toMatchObject({ rows: 36, depth: 36, columns: 4, density: 0.25 })
  // A kernel alone has the shape that it had in the network.
  expect(kernelKeys(kernels[0]!.graph).get('kernel')).toBe(kernels[0]!.key)
})

test('a schedule given by shape holds for every node of that shape', () => {
  const engine = engines['wasm-safe']
  const keys = kernelKeys(graph)
  const chosen = parseSchedules(JSON.stringify({ [keys.get('a')!]: { rows: 3 } }), keys)
  const { extent } = kernelsOf(graph, engine)[0]!
  expect(chosen('b', extent, engine).rows).toBe(3)
  expect(chosen('c', extent, engine)).toEqual(defaultSchedule(extent, engine))
})

test('a tile that no processor could hold is refused', () => {
  const chosen = parseSchedules('{"*": {"rows": 64, "columns": 256}}')
  const { extent } = kernelsOf(graph, engines['wasm-safe'])[0]!
  expect(() => chosen('conv', extent, engines['wasm-safe'])).toThrow(
    'schedule of conv: a tile of 64 × 256, expected at most 256 vectors of 4',
  )
})
