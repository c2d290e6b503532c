import { expect, test } from 'vitest'
import { far, normalTensors } from '../../../test/tensors.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import type { Graph, ValueId } from '../../ir/types.ts'
import { c } from '../../targets/c.ts'
import type { TargetOptions } from '../../targets/target.ts'
import { wasm } from '../../targets/wasm.ts'
import { checkLoops } from '../bounds.ts'
import { compile } from '../compile.ts'
import { interpret } from '../interpret.ts'
import { engines, parseSchedules } from '../schedule.ts'

const normal = normalTensors(11)

type Layout = 'channelsFirst' | 'channelsLast'
/** As networks of more filters have it. */
const schedule = '{"*": {"algorithm": "spatialPack", "sparse": true}}'
const scheduled = parseSchedules(schedule)

class Convolutions {
  readonly b = new GraphBuilder('convolutions')
  readonly layout: Layout
  constructor(layout: Layout = 'channelsFirst') {
    this.layout = layout
  }
  shape(batch: number, channels: number, size: readonly number[]): number[] {
    return this.layout === 'channelsFirst' ? [batch, channels, ...size] : [batch, ...size, channels]
  }
  input(batch: number, channels: number, size: readonly number[]): ValueId {
    return this.b.input('x', { kind: 'tensor', dtype: 'float32', shape: this.shape(batch, channels, size) })
  }
  /** A sparse convolution to `to` channels. */
  conv(
    x: ValueId,
    to: number,
    {
      filter = undefined as Tensor | undefined,
      kernel = 1,
      ...attributes
    }: Record<string, unknown> & { filter?: Tensor | undefined; kernel?: number } = {},
  ): ValueId {
    const type = this.b.type(x)
    const from = type.kind === 'tensor' ? Number(type.shape?.[this.layout === 'channelsFirst' ? 1 : 3]) : 0
    const weights = [
      this.b.constant(filter ?? normal([to, from, kernel, kernel], 0.15)),
      this.b.constant(normal([to])),
    ]
    return this.b.node('conv2d', [x, ...weights], { layout: this.layout, ...(attributes as object) })
  }
  relu6(x: ValueId): ValueId {
    return this.b.node('clamp', [x], { low: 0, high: 6 })
  }
}

/** Names of the kernels that compute sparse convolutions, after every engine's loops were verified and interpreted. */
function interpreted(graph: Graph, inputs: readonly Tensor[], schedules = scheduled): string[] {
  const want = evaluate(graph, inputs) as Tensor[]
  const names = (['c-avx512', 'wasm-fast', 'wasm-safe'] as const).map((name) => {
    const engine = engines[name]
    const program = compile(graph, { engine, schedule: (node, x) => schedules(node, x, engine) })
    for (const k of program.kernels) expect(checkLoops(k)).toEqual([])
    const got = interpret(
      program,
      inputs.map((t) => t.data),
    )
    want.forEach((w, i) => {
      expect(far(got[i]!, w)).toBeLessThan(4e-6)
    })
    return program.steps.map((s) => program.kernels[s.kernel]!.name.replace(/_\d+$/, '')).join(' ')
  })
  expect(new Set(names)).toEqual(new Set([names[0]]))
  return names[0]!.split(' ').filter((n) => n.startsWith('sparse'))
}

/** Three in a row, each of other channels, with activations between them. */
function row(batch: number, size: readonly number[], layout: Layout, filters = [19, 8, 13]) {
  const g = new Convolutions(layout)
  let x = g.input(batch, 8, size)
  for (const f of filters) x = g.relu6(g.conv(x, f))
  g.b.output(x)
  return { graph: g.b.finish(), inputs: [normal(g.shape(batch, 8, size))] }
}

test.for([
  ['a multiple of the tile', 1, [12, 16], 'channelsFirst'],
  ['no multiple of the tile', 1, [7, 29], 'channelsFirst'],
  ['channels last', 1, [9, 11], 'channelsLast'],
  ['two images', 2, [7, 13], 'channelsFirst'],
  ['three images, channels last', 3, [5, 9], 'channelsLast'],
  ['hardly more than two vectors', 1, [5, 7], 'channelsFirst'],
] as const)('sparse pointwise convolutions in a row are one step: %s', ([, batch, size, layout]) => {
  const { graph, inputs } = row(batch, size, layout)
  expect(interpreted(graph, inputs)).toEqual(['sparse_tiles'])
})

test('a value between them that others read too is computed once, and stored', () => {
  for (const output of [false, true]) {
    const g = new Convolutions()
    const x = g.input(1, 8, [9, 13])
    const first = g.relu6(g.conv(x, 12))
    const wide = g.relu6(g.conv(first, 24))
    const residual = g.b.node('add', [g.conv(wide, 12), first])
    g.b.output(g.conv(g.relu6(residual), 16))
    if (output) g.b.output(first)
    expect(interpreted(g.b.finish(), [normal([1, 8, 9, 13])])).toEqual(['sparse_tiles'])
  }
})

test('a value that is read before its convolution reader comes is made on its own', () => {
  const g = new Convolutions()
  const first = g.relu6(g.conv(g.input(1, 8, [12, 12]), 12))
  const axes = g.b.constant(tensorOf('int64', [2], [2n, 3n]))
  const sum = g.b.node('reduceSum', [first, axes], { keepDims: true })
  g.b.output(g.conv(g.b.node('mul', [first, sum]), 8))
  g.b.output(g.conv(first, 8))
  expect(interpreted(g.b.finish(), [normal([1, 8, 12, 12])])).not.toContain('sparse_tiles')
})

test('windows and steps of two are no pieces of one run of pixels: two steps', () => {
  for (const attributes of [{ kernel: 3, pads: [1, 1, 1, 1] }, { strides: [2, 2] }]) {
    const g = new Convolutions()
    const x = g.relu6(g.conv(g.input(2, 6, [16, 22]), 10, attributes))
    g.b.output(g.conv(x, 9))
    expect(interpreted(g.b.finish(), [normal([2, 6, 16, 22])])).toHaveLength(2)
  }
})

test('operands of every kind go into the epilogue of a tile', () => {
  const size = [8, 15] as const
  for (const [shape, steps] of [
    [[1, 10, 1, 1], 1],
    [[1, 10, ...size], 1],
    [[...size], 1],
    [[1, 1, 8, 1], 2],
  ] as const) {
    const g = new Convolutions()
    const first = g.conv(g.input(1, 6, size), 10)
    const x = g.b.node('add', [first, g.b.constant(normal(shape))])
    g.b.output(g.conv(g.relu6(x), 9))
    expect(interpreted(g.b.finish(), [normal([1, 6, ...size])])).toHaveLength(steps)
  }
})

test('a tile of whole rows is no wider than what the convolution before gives', () => {
  const g = new Convolutions()
  const x = g.relu6(g.conv(g.input(1, 6, [3, 32]), 10))
  g.b.output(g.b.node('add', [g.conv(x, 9), g.b.constant(normal([1, 1, 3, 1]))]))
  expect(interpreted(g.b.finish(), [normal([1, 6, 3, 32])])).toEqual(['sparse_tiles'])
})

test('pairs of filters with one pattern of zeros share what they read from a tile', () => {
  const g = new Convolutions()
  let x = g.input(1, 9, [10, 10])
  for (const [from, to] of [
    [9, 15],
    [15, 8],
  ] as const) {
    const pattern = normal([Math.ceil(to / 2), from, 1, 1], 0.2).data as Float32Array
    const data = Array.from(normal([to, from, 1, 1]).data as Float32Array, (w, i) => {
      const at = Math.floor(Math.floor(i / from) / 2) * from + (i % from)
      return pattern[at] === 0 ? 0 : w
    })
    x = g.relu6(g.conv(x, to, { filter: tensorOf('float32', [to, from, 1, 1], data) }))
  }
  g.b.output(x)
  expect(interpreted(g.b.finish(), [normal([1, 9, 10, 10])])).toEqual(['sparse_tiles'])
})

test('passes over parts of the channels add up, of every one in a row', () => {
  const { graph, inputs } = row(1, [8, 12], 'channelsFirst', [21, 17, 6])
  const passes = parseSchedules('{"*": {"algorithm": "spatialPack", "sparse": true, "block": 6}}')
  expect(interpreted(graph, inputs, passes)).toEqual(['sparse_tiles'])
})

test('a filter without any weight gives its bias', () => {
  const g = new Convolutions()
  const x = g.conv(g.input(1, 8, [8, 8]), 10, { filter: normal([10, 8, 1, 1], 0) })
  g.b.output(g.conv(x, 9))
  expect(interpreted(g.b.finish(), [normal([1, 8, 8, 8])])).toEqual(['sparse_tiles'])
})

const { present } = await c.presence({})
const runs: [string, TargetOptions][] = [
  ...(['safe', 'fast'] as const).flatMap((engine): [string, TargetOptions][] =>
    [1, 2].map((threads) => ['wasm', { engine, threads }]),
  ),
  ...(present ? [1, 2].map((threads): [string, TargetOptions] => ['c', { threads }]) : []),
]
test.for(runs)('%s %o computes convolutions in a row as the reference does', async ([name, options]) => {
  const target = name === 'c' ? c : wasm
  for (const [batch, size, layout] of [
    [1, [13, 17], 'channelsFirst'],
    [2, [6, 11], 'channelsLast'],
  ] as const) {
    const { graph, inputs } = row(batch, size, layout)
    const executable = await target.load(await target.compile(graph, { ...options, schedule }))
    for (let run = 0; run < 3; run++) {
      const [got] = (await executable.run(inputs)) as Tensor[]
      expect(far(got!.data, evaluate(graph, inputs)[0] as Tensor)).toBeLessThan(4e-6)
    }
    await executable.dispose()
  }
})
