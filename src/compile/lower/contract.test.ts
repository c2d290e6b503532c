import { expect, test } from 'vitest'
import { rng } from '../../core/rng.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import { c } from '../../targets/c.ts'
import type { Target } from '../../targets/target.ts'
import { wasm } from '../../targets/wasm.ts'
import { checkLoops } from '../bounds.ts'
import { compile } from '../compile.ts'
import { visitStatements } from '../loops.ts'
import { engines } from '../schedule.ts'

const random = rng(12)
const normal = (shape: readonly number[]): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () => random.normal()),
  )

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
