import { afterAll, expect, test } from 'vitest'
import { rng } from '../core/rng.ts'
import { wholeOf } from '../core/source.ts'
import { type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
import type { Graph } from '../ir/types.ts'
import { wasm } from '../targets/wasm.ts'
import { checkLoops } from './bounds.ts'
import { compile } from './compile.ts'
import { interpret } from './interpret.ts'
import { planMemory } from './plan.ts'
import { prepare } from './prepare.ts'
import { type ConvAlgorithm, defaultSchedule, engines, parseSchedules } from './schedule.ts'

const random = rng(11)
const normal = (shape: readonly number[]): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
  )
const float = (shape: readonly number[]) => ({ kind: 'tensor', dtype: 'float32', shape }) as const

/** Strided, grouped, depthwise and pointwise convolutions, a residual sum, pooling, concatenation and a classifier. */
function smallNetwork(layout: 'channelsFirst' | 'channelsLast'): { graph: Graph; inputs: Tensor[] } {
  const b = new GraphBuilder('small')
  const last = layout === 'channelsLast'
  const shape = last ? [2, 13, 11, 3] : [2, 3, 13, 11]
  const x = b.input('x', float(shape))
  const conv = (v: number, o: number, i: number, k: number, attributes = {}): number =>
    b.node('conv2d', [v, b.constant(normal([o, i, k, k])), b.constant(normal([o]))], {
      layout,
      ...attributes,
    })
  const pads = [1, 1, 1, 1]
  const first = b.node('relu', [conv(x, 10, 3, 3, { pads, strides: [2, 2] })])
  const depthwise = b.node('clamp', [conv(first, 10, 1, 3, { pads, groups: 10 })], { low: 0, high: 6 })
  const sum = b.node('add', [conv(depthwise, 10, 10, 1), first])
  const grouped = b.node('sigmoid', [conv(sum, 12, 5, 3, { pads, groups: 2 })])
  const pooled = b.node('maxPool2d', [sum], { kernel: [3, 3], strides: [1, 1], pads, layout })
  const joined = b.node('concat', [grouped, pooled], { axis: last ? 3 : 1 })
  const axes = b.constant(tensorOf('int64', [2], last ? [1n, 2n] : [2n, 3n]))
  const mean = b.node('reduceMean', [joined, axes], { keepDims: false })
  b.output(b.node('softmax', [b.node('matMul', [mean, b.constant(normal([22, 5]))])]))
  b.output(depthwise)
  return { graph: b.finish(), inputs: [normal(shape)] }
}

const worst = (got: ArrayLike<number | bigint | string>, want: Tensor): number => {
  const top = Math.max(...Array.from(want.data as Float32Array, Math.abs))
  return Math.max(...Array.from(want.data as Float32Array, (w, i) => Math.abs(w - Number(got[i])))) / top
}

const teams: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const dispose of teams) await dispose()
})

test.for([
  ['channelsFirst', 'safe', 1],
  ['channelsLast', 'fast', 1],
  ['channelsFirst', 'fast', 2],
] as const)(
  'a small network, %s, agrees with the reference on wasm %s with %d threads',
  async ([layout, engine, threads]) => {
    const { graph, inputs } = smallNetwork(layout)
    const executable = await wasm.load(await wasm.compile(graph, { engine, threads }))
    teams.push(() => executable.dispose())
    const want = evaluate(graph, inputs) as Tensor[]
    for (let again = 0; again < 3; again++) {
      const got = (await executable.run(inputs)) as Tensor[]
      want.forEach((w, i) => {
        expect(worst(got[i]!.data, w)).toBeLessThan(1e-5)
      })
    }
  },
)

test('the same graph gives the same bytes', async () => {
  const { graph } = smallNetwork('channelsFirst')
  const [a, b] = await Promise.all([1, 2].map(() => wasm.compile(graph, { engine: 'safe' })))
  expect(wholeOf(a!.piece!)).toEqual(wholeOf(b!.piece!))
})

// F(2×2) and F(4×4) lose some precision to their transforms: see `amplificationOf` in lower/winograd.ts.
test.for([
  ['direct', 3, 1e-6],
  ['im2col', 3, 1e-6],
  ['spatialPack', 3, 1e-6],
  ['winograd2', 3, 2e-6],
  ['winograd4', 3, 2e-5],
  ['winograd2', 5, 2e-5],
] as const)(
  '%s convolutions of %i taps each way agree with the reference, whole tiles or not',
  ([algorithm, taps, limit]) => {
    for (const [h, w, channels, filters, layout] of [
      [8, 8, 5, 9, 'channelsFirst'],
      [9, 14, 8, 8, 'channelsLast'],
    ] as const) {
      const b = new GraphBuilder('conv')
      const shape = layout === 'channelsFirst' ? [1, channels, h, w] : [1, h, w, channels]
      const x = b.input('x', float(shape))
      const conv = (v: number, o: number, i: number, pads: number[]): number =>
        b.node('conv2d', [v, b.constant(normal([o, i, taps, taps])), b.constant(normal([o]))], {
          pads,
          layout,
        })
      b.output(
        conv(b.node('relu', [conv(x, filters, channels, [1, 2, 1, 2])]), filters, filters, [0, 1, 2, 1]),
      )
      const graph = b.finish()
      const inputs = [normal(shape)]
      const engine = engines['wasm-fast']
      const program = compile(graph, {
        engine,
        schedule: (_node, x) => ({ ...defaultSchedule(x, engine), algorithm: algorithm as ConvAlgorithm }),
      })
      for (const k of program.kernels) expect(checkLoops(k)).toEqual([])
      const [got] = interpret(
        program,
        inputs.map((t) => t.data),
      )
      expect(worst(got!, evaluate(graph, inputs)[0] as Tensor)).toBeLessThan(limit)
    }
  },
)

test.for([
  ['uint8', 'linear'],
  ['int8', 'cubic'],
  ['int32', 'linear'],
] as const)(
  '%s, interpolated %s to three times the size, is what the reference says',
  async ([dtype, mode]) => {
    const b = new GraphBuilder('enlarge')
    const shape = [1, 2, 5, 7]
    const x = b.input('x', { kind: 'tensor', dtype, shape })
    const sizes = b.constant(tensorOf('int64', [4], [1, 2, 15, 21]))
    b.output(b.node('resize', [x, null, null, sizes], { mode }))
    const graph = b.finish()
    // Thirds of whole numbers: a last bit decides what is cut off.
    const values = Array.from({ length: 70 }, (_, i) => (i % 9 < 4 ? 99 : (i * 31) % 120))
    const inputs = [tensorOf(dtype, shape, values)]
    const executable = await wasm.load(await wasm.compile(graph, { engine: 'safe' }))
    expect(await executable.run(inputs)).toEqual(evaluate(graph, inputs))
  },
)

test('what a transposed convolution is computed by tells how it rounds, by the node that it was', () => {
  const b = new GraphBuilder('up')
  const x = b.input('x', float([1, 8, 9, 9]))
  const up = b.node(
    'convTranspose2d',
    [x, b.constant(normal([8, 8, 3, 3]))],
    { strides: [2, 2] },
    { name: 'up' },
  )
  b.output(b.node('relu', [up]))
  const engine = engines['wasm-safe']
  const schedule = (algorithm: ConvAlgorithm) =>
    compile(prepare(b.finish(), engine), {
      engine,
      schedule: (_node, e) => ({ ...defaultSchedule(e, engine), algorithm }),
    })
  expect(schedule('winograd4').amplification).toMatchObject({ up: 16 })
  expect(schedule('direct').amplification).toEqual({})
})

test('filters that fill a panel and all but fill another are all there', () => {
  const b = new GraphBuilder('panels')
  const x = b.input('x', float([1, 3, 8, 8]))
  b.output(b.node('conv2d', [x, b.constant(normal([14, 3, 1, 1])), b.constant(normal([14]))]))
  const graph = b.finish()
  const inputs = [normal([1, 3, 8, 8])]
  const engine = engines['wasm-safe']
  const schedule = parseSchedules('{"*": {"algorithm": "spatialPack", "columns": 8, "rows": 4, "block": 1}}')
  const program = compile(graph, { engine, schedule: (node, e) => schedule(node, e, engine) })
  const [got] = interpret(
    program,
    inputs.map((t) => t.data),
  )
  expect(worst(got!, evaluate(graph, inputs)[0] as Tensor)).toBeLessThan(1e-6)
})

test('buffers that are alive together do not overlap, and others share', () => {
  const { graph } = smallNetwork('channelsFirst')
  const program = compile(prepare(graph), { engine: engines['wasm-safe'] })
  const plan = planMemory(program)
  expect(plan.temporaries).toBeLessThan(plan.unshared)
  const life = program.buffers.map((_, i) => {
    const steps = program.steps.flatMap((s, k) => (s.buffers.includes(i) ? [k] : []))
    return [Math.min(...steps), Math.max(...steps)] as const
  })
  const kept = (i: number): boolean => program.buffers[i]!.role !== 'temp'
  program.buffers.forEach((a, i) => {
    program.buffers.forEach((b, j) => {
      if (i >= j) return
      const together = kept(i) || kept(j) || (life[i]![0] <= life[j]![1] && life[j]![0] <= life[i]![1])
      if (!together) return
      const [p, q] = [plan.offsets[i]!, plan.offsets[j]!]
      expect(p + 4 * a.length <= q || q + 4 * b.length <= p).toBe(true)
    })
  })
})

/** A tensor whose elements are 0 but for a share. */
const sparseNormal = (shape: readonly number[], density: number): Tensor => {
  const t = normal(shape)
  const data = (t.data as Float32Array).map((v) => (random.next() < density ? v : 0))
  return { ...t, data }
}

test.for(['direct', 'im2col', 'spatialPack'] as const)(
  'sparse convolutions by %s agree with the reference',
  (algorithm) => {
    for (const [size, kernel, pad, stride, layout, name, s] of [
      [9, 1, 0, 1, 'channelsFirst', 'wasm-fast', { rows: 4, columns: 1, block: 64, unroll: 1 }],
      [11, 3, 1, 2, 'channelsLast', 'wasm-fast', { rows: 4, columns: 1, block: 64, unroll: 1 }],
      // Rows of pixels in whole and part tiles, blocks of two filters, channels in two passes, several non-zeros a step.
      [19, 1, 0, 1, 'channelsFirst', 'c-avx512', { rows: 3, columns: 2, block: 3, unroll: 2 }],
      [18, 3, 1, 1, 'channelsFirst', 'wasm-fast', { rows: 8, columns: 2, block: 27, unroll: 4 }],
      [7, 1, 0, 1, 'channelsFirst', 'c-avx512', { rows: 8, columns: 1, block: 1, unroll: 1 }],
      [3, 1, 0, 1, 'channelsFirst', 'wasm-safe', { rows: 8, columns: 1, block: 1, unroll: 1 }],
    ] as const) {
      const b = new GraphBuilder('sparse')
      const batch = size === 7 ? 1 : 2
      const shape = layout === 'channelsFirst' ? [batch, 5, size, size] : [batch, size, size, 5]
      const x = b.input('x', float(shape))
      const weights = [b.constant(sparseNormal([7, 5, kernel, kernel], 0.3)), b.constant(normal([7]))]
      const attributes = { pads: [pad, pad, pad, pad], strides: [stride, stride], layout }
      b.output(b.node('relu', [b.node('conv2d', [x, ...weights], attributes)]))
      const graph = b.finish()
      const inputs = [normal(shape)]
      const engine = engines[name]
      const program = compile(graph, {
        engine,
        schedule: (_node, e) => ({ ...defaultSchedule(e, engine), algorithm, sparse: true, ...s }),
      })
      for (const k of program.kernels) expect(checkLoops(k)).toEqual([])
      expect(program.kernels.some((k) => k.name.startsWith(`sparse_${algorithm}`))).toBe(true)
      const [got] = interpret(
        program,
        inputs.map((t) => t.data),
      )
      expect(worst(got!, evaluate(graph, inputs)[0] as Tensor)).toBeLessThan(1e-6)
    }
  },
)

/** Plain, depthwise and pointwise 8-bit convolutions; odd channel counts too. */
function quantisedNetwork(): { graph: Graph; inputs: Tensor[] } {
  const b = new GraphBuilder('quantised')
  const shape = [1, 3, 9, 9]
  let v = b.input('x', { kind: 'tensor', dtype: 'uint8', shape })
  let channels = 3
  const scalar = (dtype: 'float32' | 'uint8', value: number): number =>
    b.constant(tensorOf(dtype, [], [value]))
  for (const [filters, kernel, groups] of [
    [8, 3, 1],
    [8, 3, 8],
    [13, 1, 1],
    [6, 3, 1],
  ] as const) {
    const size = [filters, channels / groups, kernel, kernel] as const
    const n = size.reduce((p, q) => p * q, 1)
    const list = (make: () => number, count: number): number[] => Array.from({ length: count }, make)
    const w = tensorOf(
      'int8',
      size,
      list(() => random.below(255) - 127, n),
    )
    const scales = tensorOf(
      'float32',
      [filters],
      list(() => 0.002 + random.next() * 0.004, filters),
    )
    const bias = tensorOf(
      'int32',
      [filters],
      list(() => random.below(2000) - 1000, filters),
    )
    const p = kernel >> 1
    const operands = [v, scalar('float32', 0.02), scalar('uint8', 128), b.constant(w), b.constant(scales)]
    const zeros = b.constant(
      tensorOf(
        'int8',
        [filters],
        list(() => 0, filters),
      ),
    )
    const out = [
      scalar('float32', 0.02 * Math.sqrt(n / filters) * 0.5),
      scalar('uint8', 128),
      b.constant(bias),
    ]
    v = b.node('qlinearConv2d', [...operands, zeros, ...out], { pads: [p, p, p, p], groups })
    channels = filters
  }
  b.output(v)
  return {
    graph: b.finish(),
    inputs: [
      tensorOf(
        'uint8',
        shape,
        Array.from({ length: 243 }, () => random.below(256)),
      ),
    ],
  }
}

test.for(['safe', 'fast'] as const)(
  '8-bit convolutions on wasm %s equal the integer reference bit for bit',
  async (engine) => {
    const { graph, inputs } = quantisedNetwork()
    const executable = await wasm.load(await wasm.compile(graph, { engine }))
    const [got] = (await executable.run(inputs)) as Tensor[]
    const [want] = evaluate(graph, inputs) as Tensor[]
    expect(new Set(want!.data as Uint8Array).size).toBeGreaterThan(20)
    expect(got!.data).toEqual(want!.data)
  },
)

test('a schedule with a choice that does not exist is refused', () => {
  for (const [text, message] of [
    ['{', 'expected JSON'],
    ['{"conv": {"tile": 4}}', 'no such choice as tile'],
    ['{"conv": {"rows": 0}}', 'rows, expected 1 to 64, got 0'],
    ['{"*": {"algorithm": "fft"}}', 'algorithm, expected direct'],
  ] as const)
    expect(() => parseSchedules(text)).toThrow(message)
})

test('a schedule that only asks for the sparse form has its tile, whatever the default form is', () => {
  const x = {
    integer: false,
    rows: 784,
    depth: 256,
    columns: 256,
    winograd: undefined,
    density: 0.9,
    pairs: 0.99,
  }
  const engine = engines['c-avx512']
  expect(defaultSchedule(x, engine).sparse).toBe(false)
  const asked = parseSchedules('{"*": {"sparse": true}}')('any', x, engine)
  expect(asked).toEqual(defaultSchedule({ ...x, joined: true }, engine))
})

test('a sparse pointwise convolution is computed over its non-zeros unless a neighbour wants channels innermost', () => {
  const kernels = (dense: boolean): string[] => {
    const b = new GraphBuilder('pointwise')
    let v = b.input('x', float([1, 16, 12, 12]))
    const pads = [1, 1, 1, 1]
    if (dense) v = b.node('conv2d', [v, b.constant(normal([16, 16, 3, 3]))], { pads })
    v = b.node('relu', [b.node('conv2d', [v, b.constant(sparseNormal([16, 16, 1, 1], 0.1))])])
    b.output(b.node('conv2d', [v, b.constant(sparseNormal([16, 16, 1, 1], 0.1))]))
    return compile(b.finish(), { engine: engines['wasm-safe'] }).kernels.map((k) => k.name)
  }
  expect(kernels(false).filter((k) => k.startsWith('sparse'))).toHaveLength(2)
  expect(kernels(true).filter((k) => k.startsWith('sparse'))).toHaveLength(0)
})
