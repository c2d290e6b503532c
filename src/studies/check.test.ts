import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import type { Tensor } from '../core/tensor.ts'
import type { Model } from '../formats/open.ts'
import { evaluate } from '../ir/evaluate.ts'
import { parseGraph } from '../ir/text.ts'
import type { Graph } from '../ir/types.ts'
import type { Target } from '../targets/target.ts'
import { check } from './check.ts'
import { randomInputs } from './inputs.ts'
import { apart } from './subjects.ts'

const graph = parseGraph(`graph net(x: float32[1, 4]) -> (y) {
  w: float32[4, 4] = [1, 0.5, 0.25, -1, 0.125, 2, -0.5, 1, 1, 1, 0.75, 0.5, -0.25, 0.5, 1, 2]
  a: float32[1, 4] = matMul(x, w) {} "first"
  b: float32[1, 4] = tanh(a) {} "second"
  y: float32[1, 4] = matMul(b, w) {} "third"
}`)
const model: Model = { name: 'net', source: 'net', format: 'text', bytes: 0, digest: '', graph }

/** A runtime made of the reference, whose graph is first spoilt. */
const fake = (name: string, spoil: (g: Graph) => Graph): Target => ({
  name,
  doc: '',
  variants: [],
  presence: async () => ({ present: true, version: '1' }),
  compile: async (g, options) => ({ target: name, options, graph: spoil(g) }),
  load: async (a) => ({ run: async (inputs) => evaluate(a.graph, inputs), dispose: async () => {} }),
})
const swap =
  (from: string, to: string) =>
  (g: Graph): Graph => ({
    ...g,
    nodes: g.nodes.map((n) => (n.op === from ? { ...n, op: to } : n)),
  })
/** Wrong only while the inner values are not asked for, as a wrong fused kernel is. */
const fusing = (g: Graph): Graph => (g.outputs.length > 2 ? g : swap('tanh', 'erf')(g))

/** Off by a few roundings, and says so where its algorithm is known to be. */
const rounding = (share: number, amplification?: Record<string, number>): Target => {
  const exact = fake('rounding', (g) => g)
  const load: Target['load'] = async (a) => ({
    ...(await exact.load(a)),
    ...(amplification && { amplification }),
    run: async (inputs) =>
      (evaluate(a.graph, inputs) as Tensor[]).map((t) => ({
        ...t,
        data: (t.data as Float32Array).map((v) => v * (1 + share)),
      })),
  })
  return { ...exact, load }
}

const run = (...targets: Target[]) => runWith({}, ...targets)
const runWith = (options: { attribute?: number }, ...targets: Target[]) =>
  check(
    model,
    {
      source: 'random',
      samples: randomInputs(graph, 3, 1),
      preprocessing: null,
      preprocessingSays: '',
      seed: 1,
    },
    {
      subjects: targets.map((target) => ({ target, variant: '', options: {} })),
      command: '',
      machine: {},
      repeats: 1,
      ...options,
    },
  )

test('outputs have their bounds where no inner value is judged', async () => {
  const r = await runWith({ attribute: 0 }, rounding(1e-7))
  expect([r.targets[0]!.verdict, r.targets[0]!.nodes]).toEqual(['rounding', []])
  expect((await runWith({ attribute: 0 }, rounding(1e-3))).verdict).toBe('fail')
})

test('an algorithm that amplifies rounding has bounds of its own', async () => {
  const off = 1e-5
  expect((await runWith({ attribute: 0 }, rounding(off))).verdict).toBe('fail')
  expect((await runWith({ attribute: 0 }, rounding(off, { first: 50, third: 50 }))).verdict).toBe('pass')
})

test('a target that does as the reference does passes', async () => {
  const r = await run(fake('good', (g) => g))
  expect([r.verdict, r.targets[0]!.verdict, r.targets[0]!.nodes.length]).toEqual(['pass', 'same', 3])
})

test('a target with a wrong operator fails, and the node is named', async () => {
  const r = await run(fake('bad', swap('tanh', 'erf')))
  expect([r.verdict, r.targets[0]!.first?.node, r.targets[0]!.blamed]).toEqual(['fail', 'second', 1])
})

test('a fault that only the fused form has is found by bisection', async () => {
  const r = await run(fake('fusing', fusing))
  expect([r.verdict, r.targets[0]!.first, r.targets[0]!.fused?.node]).toEqual(['fail', null, 'second'])
})

test('a target that crashes is a row of the result, and the others are judged', async () => {
  const crash: Target = {
    ...fake('crash', (g) => g),
    load: async () => Promise.reject(new Error('boom\nstack')),
  }
  const r = await run(
    crash,
    fake('good', (g) => g),
  )
  expect(r.targets.map((t) => [t.verdict, t.reason])).toEqual([
    ['failed', 'boom'],
    ['same', undefined],
  ])
})

test('a runtime of others that ends its process is a row of the result, and its other forms are judged', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'strata-')), 'peer.mjs')
  writeFileSync(
    file,
    `export const targets = [{
      name: 'peer',
      presence: async () => ({ present: true, version: '1' }),
      load: async ({ options }) => ({
        run: async ([x]) => {
          if (options.crash) process.abort()
          if (options.hang) for (;;);
          return [x]
        },
        dispose: async () => {},
      }),
    }]`,
  )
  const target: Target = {
    ...fake('peer', (g) => g),
    foreign: true,
    load: () => Promise.reject(new Error('not here')),
  }
  const plain = parseGraph(`graph same(x: float32[1, 4]) -> (y) {
    y: float32[1, 4] = identity(x) {}
  }`)
  const forms = ['crash', 'hang', 'good'].map((variant) => ({
    target,
    variant,
    options: { [variant]: true },
  }))
  const { subjects, end } = apart(forms, { module: pathToFileURL(file), runMs: 500 })
  const data = {
    source: '',
    samples: randomInputs(plain, 2, 1),
    preprocessing: null,
    preprocessingSays: '',
    seed: 1,
  }
  const options = { subjects, command: '', machine: {}, repeats: 1 }
  const r = await check({ ...model, graph: plain }, data, options).finally(end)
  expect(r.targets.map((t) => [t.target, t.verdict, t.reason?.slice(0, 39)])).toEqual([
    ['peer:crash', 'failed', 'peer: its process was killed by SIGABRT'],
    ['peer:hang', 'failed', 'peer: no answer within 500 ms. It was s'],
    ['peer:good', 'same', undefined],
  ])
  rmSync(dirname(file), { recursive: true })
})

test('an absent target does not fail the check', async () => {
  const away: Target = {
    ...fake('away', (g) => g),
    presence: async () => ({ present: false, reason: 'npm i away' }),
  }
  const r = await run(
    away,
    fake('good', (g) => g),
  )
  expect([r.verdict, r.targets[0]!.verdict, r.targets[0]!.reason]).toEqual(['pass', 'absent', 'npm i away'])
})

test('another form of the same runtime that is right clears the model', async () => {
  const r = await check(
    model,
    {
      source: 'random',
      samples: randomInputs(graph, 2, 1),
      preprocessing: null,
      preprocessingSays: '',
      seed: 1,
    },
    {
      subjects: [
        { target: fake('lite', swap('tanh', 'erf')), variant: 'fast', options: {} },
        { target: fake('lite', (g) => g), variant: 'reference', options: {} },
      ],
      command: '',
      machine: {},
      repeats: 1,
    },
  )
  expect(r.targets[0]!.says).toContain(
    'lite:reference agrees with the reference: the fault lies in this form of lite',
  )
})
