import { expect, test } from 'vitest'
import { distance } from '../../../test/op-examples.ts'
import { rng } from '../../core/rng.ts'
import { type Tensor, tensorOf } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder, withOutputs } from '../../ir/graph.ts'
import { tensorType } from '../../ir/types.ts'
import { pythonPeers } from './peers.ts'

test.for(pythonPeers.map((p) => [p.name, p] as const))(
  '%s gives the reference answers, inner values too',
  async ([name, peer], context) => {
    const presence = await peer.presence()
    if (!presence.present) context.skip(`${name}: ${presence.reason}`)
    const random = rng(5)
    const normal = (shape: number[]): Tensor =>
      tensorOf('float32', shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, random.normal))
    const b = new GraphBuilder('small')
    const x = b.input('x', tensorType('float32', ['batch', 3, 8, 8]))
    const c = b.node('conv2d', [x, b.constant(normal([4, 3, 3, 3])), b.constant(normal([4]))])
    b.output(b.node('tanh', [b.node('relu', [c])]))
    const graph = withOutputs(b.finish(), [c])
    const inputs = [normal([2, 3, 8, 8])]
    const executable = await peer.load(await peer.compile(graph, {}))
    const got = (await executable.run(inputs)) as Tensor[]
    // Timed where it ran: there is no way there that takes no processor time.
    expect(executable.lastMs!()).toBeGreaterThan(0)
    expect(executable.lastCpuMs!()).toBeGreaterThan(0)
    await executable.dispose()
    const expected = evaluate(graph, inputs) as Tensor[]
    // 27 products of normal values: a few float32 roundings of sums below 32.
    expected.forEach((t, i) => {
      expect(distance(got[i]!, t)).toBeLessThan(1e-5)
    })
  },
)

test('ncnn names the operators that it has no layer for', async (context) => {
  const ncnn = pythonPeers.find((p) => p.name === 'ncnn')!
  const presence = await ncnn.presence()
  if (!presence.present) context.skip(`ncnn: ${presence.reason}`)
  const b = new GraphBuilder('indices')
  b.output(b.node('nonZero', [b.input('x', tensorType('float32', [2, 3]))]))
  await expect(ncnn.load(await ncnn.compile(b.finish(), {}))).rejects.toThrow('ncnn: not supported: NonZero')
})
