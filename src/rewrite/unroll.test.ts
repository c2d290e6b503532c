import { expect, test } from 'vitest'
import { type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { type Graph, tensorType } from '../ir/types.ts'
import { verify } from '../ir/verify.ts'
import { unroll } from './unroll.ts'

const float = tensorType('float32', [2])
const ops = (g: Graph): string[] => [...new Set(g.nodes.map((n) => n.op))].sort()
const run = (g: Graph, ...inputs: Tensor[]): number[][] =>
  (evaluate(g, inputs) as Tensor[]).map((t) => Array.from(t.data as Float32Array))
const pair = (a: number, b: number): Tensor => tensorOf('float32', [2], [a, b])

/** x ← 2x + step while `again` says so, at most `max` times; every x is stacked too where `stacked`. */
function doubling(max: bigint | null, again: 'always' | 'small', stacked: boolean): Graph {
  const body = new GraphBuilder('body')
  const step = body.input('step', tensorType('int64', []))
  const go = body.input('go', tensorType('bool', []))
  const x = body.input('x', float)
  const two = body.constant(tensorOf('float32', [], [2]))
  const next = body.node('add', [body.node('mul', [x, two]), body.node('cast', [step], { to: 'float32' })])
  const largest = body.node('reduceMax', [next], { keepDims: false })
  const limit = body.constant(tensorOf('float32', [], [40]))
  body.output(again === 'always' ? go : body.node('less', [largest, limit]))
  body.output(next)
  if (stacked) body.output(next)
  const b = new GraphBuilder('doubling')
  const most = max === null ? null : b.constant(tensorOf('int64', [], [max]))
  const on = b.constant(tensorOf('bool', [], [true]))
  const outputs = stacked ? ['last', 'all'] : ['last']
  const made = b.nodeOutputs(
    'loop',
    [most, on, b.input('x', float)],
    { body: body.finish(), states: 1 },
    { outputs },
  )
  for (const v of made) b.output(v)
  return b.finish()
}

test('a loop of a known number of steps is written out, its stacked values too', () => {
  const loop = doubling(3n, 'always', true)
  const flat = unroll(loop)
  expect(verify(flat)).toEqual([])
  expect(ops(flat)).toEqual(['add', 'concat', 'mul', 'reshape'])
  expect(run(flat, pair(1, -1))).toEqual(run(loop, pair(1, -1)))
})

test('a loop that data end is written out to its most steps, and those after the end do not count', () => {
  const loop = doubling(8n, 'small', false)
  const flat = unroll(loop)
  expect(ops(flat)).not.toContain('loop')
  for (const x of [pair(1, 0), pair(30, 1), pair(-5, -5)]) expect(run(flat, x)).toEqual(run(loop, x))
})

test.for([
  ['that data end, without a most number of steps,', doubling(null, 'small', false)],
  ['that data end, with a stack of as many entries as steps were made,', doubling(8n, 'small', true)],
  ['longer than the limit', doubling(2_000_000n, 'always', false)],
] as const)('a loop %s stays', ([, loop]) => {
  expect(ops(unroll(loop, { limit: 100 }))).toEqual(['loop'])
})

test('a scan backwards is written out', () => {
  const body = new GraphBuilder('body')
  const sum = body.input('sum', float)
  const next = body.node('add', [sum, body.input('entry', float)])
  body.output(next)
  body.output(next)
  const b = new GraphBuilder('scan')
  const inputs = [b.input('start', float), b.input('rows', tensorType('float32', [2, 3]))]
  const attributes = {
    body: body.finish(), states: 1, scanned: 1, inputAxes: [1], inputDirections: [1], outputDirections: [1],
  } // biome-ignore format: a list
  for (const v of b.nodeOutputs('scan', inputs, attributes, { outputs: ['last', 'all'] })) b.output(v)
  const scan = b.finish()
  const flat = unroll(scan)
  expect(ops(flat)).not.toContain('scan')
  const given = [pair(1, 2), tensorOf('float32', [2, 3], [1, 2, 3, 40, 50, 60])]
  expect(run(flat, ...given)).toEqual(run(scan, ...given))
})

/** x doubled, or the other body's result. */
function branch(other: (b: GraphBuilder, x: number) => number): Graph {
  const body = (name: string, make: typeof other): Graph => {
    const g = new GraphBuilder(name)
    g.output(make(g, g.input('x', float)))
    return g.finish()
  }
  const b = new GraphBuilder('branch')
  const [c, x] = [b.input('c', tensorType('bool', [1])), b.input('x', float)]
  const whenTrue = body('double', (g, v) => g.node('add', [v, v]))
  b.output(b.node('if', [c, x], { whenTrue, whenFalse: body('other', other) }))
  return b.finish()
}

test('a branch that data decide becomes both and a choice, where both give one shape', () => {
  const both = branch((b, x) => b.node('neg', [x]))
  const flat = unroll(both)
  expect(ops(flat)).toEqual(['add', 'neg', 'reshape', 'where'])
  for (const c of [true, false]) {
    const given = [tensorOf('bool', [1], [c]), pair(1, -3)]
    expect(run(flat, ...given)).toEqual(run(both, ...given))
  }
  const shapes = branch((b, x) => b.node('concat', [x, x], { axis: 0 }))
  expect(ops(unroll(shapes))).toEqual(['if'])
})

test('a sequence inside the graph leaves no node', () => {
  const b = new GraphBuilder('sequence')
  const x = b.input('x', float)
  const list = b.node('sequenceConstruct', [x, b.node('neg', [x])])
  const longer = b.node('sequenceInsert', [
    list,
    b.node('add', [x, x]),
    b.constant(tensorOf('int64', [], [0n])),
  ])
  b.output(b.node('concatFromSequence', [longer], { axis: 0 }))
  b.output(b.node('sequenceAt', [longer, b.constant(tensorOf('int64', [], [-1n]))]))
  const graph = b.finish()
  const flat = unroll(graph)
  expect(ops(flat)).toEqual(['add', 'concat', 'neg'])
  expect(run(flat, pair(1, 2))).toEqual(run(graph, pair(1, 2)))
})
