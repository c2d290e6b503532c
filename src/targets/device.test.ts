import { expect, test } from 'vitest'
import { ownCache } from '../../test/own-cache.ts'
import { type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { type Graph, tensorType } from '../ir/types.ts'
import { type Device, devices, deviceTable, deviceTarget } from './device.ts'

ownCache()

const wave = (shape: readonly number[], step: number): Tensor =>
  tensorOf(
    'float32',
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * step)),
  )

/** A convolution, an activation, a product, softmax; and 16-bit integers, whose bytes have an order too. */
function network(): { graph: Graph; inputs: Tensor[] } {
  const b = new GraphBuilder('device')
  const x = b.input('x', tensorType('float32', [1, 2, 5, 5]))
  const n = b.input('n', tensorType('int16', [3]))
  const conv = b.node('conv2d', [x, b.constant(wave([4, 2, 3, 3], 1)), b.constant(wave([4], 2))], {
    pads: [1, 1, 1, 1],
  })
  const flat = b.node('reshape', [b.node('tanh', [conv]), b.constant(tensorOf('int64', [2], [1n, 100n]))])
  b.output(b.node('softmax', [b.node('matMul', [flat, b.constant(wave([100, 6], 0.7))])], { axis: 1 }))
  b.output(b.node('mul', [n, b.constant(tensorOf('int16', [3], [3, 300, -2]))]))
  return { graph: b.finish(), inputs: [wave([1, 2, 5, 5], 0.3), tensorOf('int16', [3], [1000, 7, -5])] }
}

const presence = new Map(await Promise.all(devices.map(async (d) => [d.name, await d.presence()] as const)))
const bits = (t: Tensor): string => String(new Uint32Array((t.data as Float32Array).slice().buffer))
const answers = new Map<string, Tensor[]>()
const { graph, inputs } = network()

for (const d of devices) {
  const p = presence.get(d.name)!
  test.skipIf(!p.present)(
    `${d.name} answers as the reference, twice with the same number of instructions${p.present ? '' : `: ${p.reason}`}`,
    { timeout: 60_000 },
    async () => {
      const executable = await d.load(await d.compile(graph, { fused: false }))
      const got = (await executable.run(inputs)) as Tensor[]
      const count = executable.facts!.instructions
      evaluate(graph, inputs).forEach((w, i) => {
        const want = w as Tensor
        expect([got[i]!.dtype, got[i]!.shape]).toEqual([want.dtype, want.shape])
        const [a, b] = [got[i]!.data, want.data] as [Float32Array, Float32Array]
        expect(Math.max(...a.map((v, k) => Math.abs(v - b[k]!)))).toBeLessThan(1e-6)
      })
      await executable.run(inputs)
      expect(executable.facts!.instructions).toBe(count)
      if (deviceTable.find((x) => x.name === d.name)!.board) expect(count).toBeGreaterThan(1000)
      answers.set(d.name, got)
    },
  )
}

test('without fused products all devices but the x87 give the same bits', () => {
  const kept = [...answers].filter(([name]) => name !== 'i686').map(([, got]) => bits(got[0]!))
  expect(new Set(kept).size).toBeLessThanOrEqual(1)
})

test.skipIf(!presence.get('cortex-m4')!.present)(
  'a network larger than the board is refused before it is compiled',
  async () => {
    const b = new GraphBuilder('large')
    const x = b.input('x', tensorType('float32', [1, 5_000_000]))
    b.output(b.node('relu', [x]))
    const board = devices.find((d) => d.name === 'cortex-m4')!
    const artifact = await board.compile(b.finish(), {})
    await expect(board.load(artifact)).rejects.toThrow(/needs \d+ bytes of memory, the board has/)
  },
)

test.skipIf(!presence.get('aarch64')!.present)('a run beyond its time is stopped and says so', async () => {
  const device = devices.find((d) => d.name === 'aarch64')!
  const executable = await device.load(await device.compile(graph, { seconds: 0.001 }))
  await expect(executable.run(inputs)).rejects.toThrow('took longer than 0.001 s')
})

test('an absent compiler is no error: the packages to install are said', async () => {
  const away: Device = { ...deviceTable[0]!, compiler: 'no-such-gcc' }
  expect(await deviceTarget(away).presence()).toMatchObject({
    present: false,
    reason: expect.stringContaining('apt install gcc-aarch64-linux-gnu'),
  })
})
