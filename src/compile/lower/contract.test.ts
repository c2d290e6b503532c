import { expect, test } from 'vitest'
import { normalTensors } from '../../../test/tensors.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import { c } from '../../targets/c.ts'
import type { Target } from '../../targets/target.ts'
import { wasm } from '../../targets/wasm.ts'
import { checkLoops } from '../bounds.ts'
import { compile } from '../compile.ts'
import { visitStatements } from '../loops.ts'
import { prepare } from '../prepare.ts'
import { defaultSchedule, engines } from '../schedule.ts'
import { printKernel } from '../text.ts'

const normal = normalTensors(12)

test('large weights and results are asked for ahead, within their buffers, and the values stay the same', async () => {
  const b = new GraphBuilder('ahead')
  const [channels, filters, size] = [512, 780, 13]
  const x = b.input('x', { kind: 'tensor', dtype: 'float32', shape: [1, channels, size, size] })
  const weights = [b.constant(normal([filters, channels, 1, 1])), b.constant(normal([filters]))]
  b.output(b.node('relu', [b.node('conv2d', [x, ...weights])]))
  const graph = b.finish()
  for (const engine of [engines['wasm-safe'], engines['c-avx512']]) {
    const { kernels } = compile(graph, { engine })
    for (const k of kernels) expect(checkLoops(k)).toEqual([])
    const levels = new Set<number>()
    for (const k of kernels)
      visitStatements(k.body, (s) => {
        if (s.kind === 'prefetch') levels.add(s.level)
      })
    expect([...levels].sort()).toEqual([1, 2])
  }
  const inputs = [normal([1, channels, size, size])]
  const [want] = evaluate(graph, inputs) as [Tensor]
  const largest = (want.data as Float32Array).reduce((m, v) => Math.max(m, v), 0)
  const targets: [Target, object][] = [[wasm, { engine: 'safe' }]]
  if ((await c.presence()).present) targets.push([c, {}])
  for (const [target, options] of targets) {
    const session = await target.load(await target.compile(graph, { ...options, threads: 1 }))
    const [got] = (await session.run(inputs)) as [Tensor]
    await session.dispose()
    const far = (got.data as Float32Array).reduce(
      (m, v, i) => Math.max(m, Math.abs(v - Number(want.data[i]))),
      0,
    )
    expect(far / largest).toBeLessThan(1e-6)
  }
})

test('a schedule chooses narrower vectors, as far as the engine has them', async () => {
  const b = new GraphBuilder('narrow')
  const x = b.input('x', { kind: 'tensor', dtype: 'float32', shape: [1, 12, 9, 9] })
  const wide = b.node('conv2d', [x, b.constant(normal([20, 12, 3, 3]))], { pads: [1, 1, 1, 1] })
  const flat = b.node('reshape', [wide, b.constant(tensorOf('int64', [2], [20, 81]))])
  b.output(b.node('matMul', [flat, b.constant(normal([81, 24]))]))
  const graph = b.finish()
  const inputs = [normal([1, 12, 9, 9])]
  const [want] = evaluate(graph, inputs) as [Tensor]
  const largest = (want.data as Float32Array).reduce((m, v) => Math.max(m, Math.abs(v)), 0)
  for (const algorithm of ['spatialPack', 'im2col', 'winograd2'] as const) {
    const engine = engines['c-avx512']
    const { kernels } = compile(prepare(graph, engine), {
      engine,
      schedule: (_node, e) => ({ ...defaultSchedule(e, engine), algorithm, lanes: 4 }),
    })
    for (const k of kernels) {
      expect(checkLoops(k)).toEqual([])
      if (/conv2d|winograd|matMul/.test(k.name)) expect(printKernel(k)).not.toContain('float32x16')
    }
    if (!(await c.presence()).present) continue
    const schedule = JSON.stringify({ '*': { algorithm, lanes: 4 } })
    const session = await c.load(await c.compile(graph, { schedule }))
    const [got] = (await session.run(inputs)) as [Tensor]
    await session.dispose()
    const far = (got.data as Float32Array).reduce(
      (m, v, i) => Math.max(m, Math.abs(v - Number(want.data[i]))),
      0,
    )
    expect(far / largest).toBeLessThan(1e-5)
  }
  const wrong = wasm.compile(graph, { engine: 'safe', schedule: '{"*":{"lanes":8}}' })
  await expect(wrong).rejects.toThrow('lanes, expected 4 on wasm-safe, got 8')
})
