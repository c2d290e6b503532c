import { expect, test } from 'vitest'
import { type Tensor, tensorOf } from '../core/tensor.ts'
import type { Model } from '../formats/open.ts'
import { evaluate } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { tensorType } from '../ir/types.ts'
import { devices } from '../targets/device.ts'
import type { Target } from '../targets/target.ts'
import { check } from './check.ts'

const wave = (shape: readonly number[], step: number): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * step)),
  )
const b = new GraphBuilder('net')
const x = b.input('x', tensorType('float32', [1, 3, 6, 6]))
const flat = b.node('relu', [x], {}, { name: 'plain' })
const conv = b.node('conv2d', [flat, b.constant(wave([4, 3, 3, 3], 0.7))], {}, { name: 'first' })
b.output(b.node('conv2d', [conv, b.constant(wave([4, 4, 3, 3], 1.3))], {}, { name: 'second' }))
const graph = b.finish()
const model: Model = { name: 'net', source: 'net', format: 'text', bytes: 0, digest: '', graph }

const run = (target: Target) =>
  check(
    model,
    { source: '', samples: [[wave([1, 3, 6, 6], 0.3)]], preprocessing: null, preprocessingSays: '', seed: 1 },
    {
      subjects: target.variants.map((v) => ({ target, variant: v.name, options: v.options })),
      command: '',
      machine: {},
      repeats: 0,
    },
  )

/** A device made of the reference, whose fused form adds `off` units in the last place to what `node` gives. */
const fake = (off: number, node: string): Target => ({
  name: 'board',
  doc: '',
  variants: [
    { name: '', options: {} },
    { name: 'unfused', options: { fused: false } },
  ],
  presence: async () => ({ present: true, version: '1' }),
  compile: async (g, options) => ({ target: 'board', options, graph: g }),
  load: async ({ graph: g, options }) => ({
    facts: { fused: options.fused !== false },
    run: async (inputs) => {
      const moved = g.nodes.findIndex((n) => n.name === node)
      if (options.fused === false || moved < 0) return evaluate(g, inputs)
      const values = new Map<number, unknown>()
      evaluate(g, inputs, { observe: (n, _i, out) => void values.set(n.outputs[0]!, out[0]) })
      const id = g.nodes[moved]!.outputs[0]!
      const t = values.get(id) as Tensor
      const data = (t.data as Float32Array).map((v) => v * (1 + off * 2 ** -23))
      const rest = { ...g, nodes: g.nodes.slice(moved + 1), inputs: [id] }
      const after = new Map<number, unknown>([[id, { ...t, data }]])
      evaluate({ ...rest, outputs: [] }, [{ ...t, data }], {
        observe: (n, _i, out) => void after.set(n.outputs[0]!, out[0]),
      })
      return g.outputs.map((v) => (after.get(v) ?? values.get(v)) as Tensor)
    },
    dispose: async () => {},
  }),
})

test('two forms of a device part at the first node that differs on equal inputs', async () => {
  const [fused, unfused] = (await run(fake(1, 'first'))).targets
  expect(fused!.forms).toMatchObject({
    unfused: 'board:unfused',
    nodes: { equal: 1, born: 1, inherited: 1 },
    first: { node: 'first', op: 'conv2d' },
  })
  const { difference, bounds } = fused!.forms!.first!
  expect(difference).toBeLessThan(bounds[0] + bounds[1])
  expect(bounds[0]).toBeLessThan(bounds[1])
  expect(fused!.forms!.says).toContain('products enter their sums unrounded')
  expect([fused!.verdict, unfused!.forms]).toEqual(['rounding', undefined])
})

test('a difference that rounding does not explain is said and fails', async () => {
  const r = await run(fake(1e5, 'first'))
  expect(r.targets[0]!.forms!.says).toContain('more than rounding allows both forms')
  expect([r.verdict, r.targets[0]!.first?.node]).toEqual(['fail', 'first'])
})

for (const [name, parts] of [
  ['cortex-m4', true],
  ['cortex-m3', false],
] as const) {
  const device = devices.find((d) => d.name === name)!
  const presence = await device.presence()
  test.skipIf(!presence.present)(
    `${name} ${parts ? 'parts from its unfused form at a product' : 'has no fused form'}${presence.present ? '' : `: ${presence.reason}`}`,
    { timeout: 60_000 },
    async () => {
      const [fused] = (await run(device)).targets
      expect(fused!.verdict).toBe('rounding')
      expect(fused!.forms!.first?.node).toBe(parts ? 'first' : undefined)
      expect(fused!.forms!.nodes).toEqual(
        parts ? { equal: 1, born: 1, inherited: 1 } : { equal: 3, born: 0, inherited: 0 },
      )
    },
  )
}
