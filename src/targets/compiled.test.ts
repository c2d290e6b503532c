import { appendFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { ownCache } from '../../test/own-cache.ts'
import { randomGraph } from '../../test/random-graph.ts'
import { rng } from '../core/rng.ts'
import { wholeOf, withHead } from '../core/source.ts'
import { sizeOf, type Tensor, tensorOf } from '../core/tensor.ts'
import { parseGraph } from '../ir/text.ts'
import type { TensorType } from '../ir/types.ts'
import { findCompiler } from './c/compiler.ts'
import { c } from './c.ts'
import { openCompiled, saveCompiled } from './compiled.ts'
import { reference } from './reference.ts'
import type { Artifact } from './target.ts'
import { wasm } from './wasm.ts'

const room = ownCache()

const graph = randomGraph(1)
const shape = (graph.values[graph.inputs[0]!]!.type as TensorType).shape as number[]
const random = rng(1)
const input = tensorOf(
  'float32',
  shape,
  Array.from({ length: sizeOf(shape) }, () => random.normal()),
)

const cases: [string, typeof wasm, Record<string, string | number>][] = [
  ['wasm', wasm, {}],
  ['wasm on two threads', wasm, { threads: 2 }],
  ...(findCompiler() ? [['c', c, {}] as [string, typeof c, Record<string, string>]] : []),
]

test.for(cases)('%s gives the same bits from a file as from memory', async ([name, target, options]) => {
  const artifact = await target.compile(graph, options)
  const path = join(room, `${name}.strata`)
  saveCompiled(path, artifact)
  const [saved, direct] = [await openCompiled(path, { trust: true }), await target.load(artifact)]
  expect(saved.inputs.map((v) => v.type)).toEqual(graph.inputs.map((v) => graph.values[v]!.type))
  expect(await saved.run([input])).toEqual(await direct.run([input]))
  await expect(saved.run([tensorOf('float32', [1], [0])])).rejects.toThrow('expected float32')
  await saved.dispose()
  await direct.dispose()
})

test.for(cases)('%s writes its answer into tensors that it is given', async ([, target, options]) => {
  const executable = await target.load(await target.compile(graph, options))
  const want = (await executable.run([input])) as Tensor[]
  const into = want.map((t) => ({ ...t, data: (t.data as Float32Array).slice().fill(7) }))
  const got = await executable.run([input], into)
  expect(got).toEqual(want)
  got.forEach((t, i) => {
    expect((t as Tensor).data).toBe(into[i]!.data)
  })
  if (executable.places) {
    const { inputs, outputs } = executable.places
    ;(inputs[0]!.data as Float32Array).set(input.data as Float32Array)
    const inPlace = await executable.run(inputs, outputs)
    expect(inPlace[0]).toBe(outputs[0])
    expect([...((inPlace[0] as Tensor).data as Float32Array)]).toEqual([...(want[0]!.data as Float32Array)])
  } else expect(target.name).toBe('c')
  const wrong = { dtype: 'float32', shape: [3], data: new Float32Array(3) } as const
  await expect(executable.run([input], [wrong])).rejects.toThrow('expected float32')
  await expect(executable.run([input], [])).rejects.toThrow('outputs, got 0')
  const room = new Float32Array(input.data.length + into[0]!.data.length)
  room.set(input.data as Float32Array)
  const given = { ...input, data: room.subarray(0, input.data.length) }
  const lent = { ...into[0]!, data: room.subarray(input.data.length - 1, -1) }
  await expect(executable.run([given], [lent])).rejects.toThrow('memory of its own')
  await executable.dispose()
})

test.for(cases)('%s: a file with any part damaged is refused', async ([name, target, options]) => {
  const path = join(room, `${name}-damaged.strata`)
  saveCompiled(path, await target.compile(graph, options))
  const whole = readFileSync(path)
  const places = [
    0,
    5,
    100,
    2000,
    ...Array.from({ length: 12 }, (_, i) => Math.floor(((i + 1) * whole.length) / 13)),
  ]
  for (const at of [...places, whole.length - 1]) {
    const bytes = Uint8Array.from(whole)
    bytes[at]! ^= 0x10
    writeFileSync(path, bytes)
    await expect(openCompiled(path, { trust: true }), `byte ${at}`).rejects.toMatchObject({
      name: 'InputError',
    })
  }
  for (const length of [0, 7, 200, whole.length - 1]) {
    writeFileSync(path, whole)
    truncateSync(path, length)
    await expect(openCompiled(path, { trust: true }), `length ${length}`).rejects.toMatchObject({
      name: 'InputError',
    })
  }
  writeFileSync(path, Buffer.concat([whole, whole.subarray(0, 1)]))
  await expect(openCompiled(path, { trust: true })).rejects.toThrow('damaged')
})

test('a file of another kind or version is refused', async () => {
  const path = join(room, 'other.strata')
  writeFileSync(path, 'GIF89a, as it were')
  await expect(openCompiled(path)).rejects.toThrow('expected one made by this target, got something else')
  saveCompiled(path, await wasm.compile(graph, {}))
  const bytes = readFileSync(path)
  const length = bytes.readUInt32LE(4)
  const head = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as {
    check: number
    about: { version: string }
  }
  head.about.version = '9.9.9'
  head.check = crc32(JSON.stringify(head.about))
  writeFileSync(path, withHead(bytes.readUInt32LE(0), head))
  appendFileSync(path, bytes.subarray(8 + length))
  await expect(openCompiled(path)).rejects.toThrow('got 9.9.9. Compile again')
  await expect(openCompiled(join(room, 'absent'))).rejects.toThrow("can't be opened")
  await expect(openCompiled(room)).rejects.toMatchObject({ name: 'InputError' })
})

test.skipIf(!findCompiler())(
  'a file with C in it is refused unless it is trusted, before any of it is compiled',
  async () => {
    const path = join(room, 'stranger.strata')
    saveCompiled(path, await c.compile(graph, {}))
    await expect(openCompiled(path)).rejects.toThrow('Pass { trust: true } if you know who made it')
  },
)

test.for([
  ['more code than the file has', { moduleBytes: 2 ** 52 }],
  ['code of a negative size', { moduleBytes: -1 }],
  ['constants beyond its memory', { base: 2 ** 40 }],
  ['more memory than there is', { pages: 2 ** 31 }],
  ['steps that are none', { steps: 7 }],
  ['more threads than it was compiled for', { threads: 5000 }],
] as const)('a file whose checksums are right and whose head claims %s is refused', async ([, claims]) => {
  const path = join(room, 'hostile.strata')
  const artifact = await wasm.compile(graph, { engine: 'safe' })
  const view = Buffer.from(wholeOf(artifact.piece!))
  const length = view.readUInt32LE(4)
  const header = JSON.parse(view.toString('utf8', 8, 8 + length)) as object
  const head = withHead(view.readUInt32LE(0), { ...header, ...claims })
  saveCompiled(path, { ...artifact, piece: { bytes: Buffer.concat([head, view.subarray(8 + length)]) } })
  await expect(openCompiled(path)).rejects.toMatchObject({ name: 'InputError' })
})

test('what has open shapes or no code of ours is refused, with nothing written', async () => {
  const open = parseGraph('graph g(x: float32[n]) -> (y) {\n  y: float32[n] = relu(x) {}\n}')
  const path = join(room, 'nothing.strata')
  const artifacts: Artifact[] = [await wasm.compile(open, {}), await reference.compile(graph, {})]
  expect(() => saveCompiled(path, artifacts[0]!)).toThrow('its shapes are open')
  expect(() => saveCompiled(path, artifacts[1]!)).toThrow('compiles nothing that can be kept')
  expect(() => readFileSync(path)).toThrow('ENOENT')
  mkdirSync(path)
  const good = await wasm.compile(graph, {})
  expect(() => saveCompiled(path, good)).toThrow("can't be written")
})
