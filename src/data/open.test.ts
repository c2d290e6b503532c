import { readFileSync } from 'node:fs'
import { gzipSync } from 'fflate'
import { expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import { rng } from '../core/rng.ts'
import { tensorOf } from '../core/tensor.ts'
import { type Sample, subset } from './dataset.ts'
import { nodeFiles } from './files.ts'
import { memoryFiles } from './memory-files.ts'
import { writeNpy } from './npy.ts'
import { writeNpz } from './npz.ts'
import { openData } from './open.ts'

const asset = (name: string): Uint8Array => new Uint8Array(readFileSync(`test/assets/data/${name}`))
const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const png = asset('small.png')
const wav = asset('ulaw8k.wav')
const images = Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 10, 20, 30, 40)
const labels = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 7, 3)
const pixelsOf = (s: Sample): number[] => (s.kind === 'image' ? [...s.image.data] : [])

test('a .npy of floats gives its rows as inputs, each with a first axis of 1', async () => {
  const set = await openData(
    'x.npy',
    memoryFiles({ 'x.npy': writeNpy(tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 6])) }),
  )
  expect(set.size).toBe(2)
  expect(await set.item(1)).toEqual({
    kind: 'tensor',
    name: 'x.npy #1',
    tensor: tensorOf('float32', [1, 3], [4, 5, 6]),
  })
})

test('a .npy of bytes with three channels is a set of images', async () => {
  const array = writeNpy(tensorOf('uint8', [1, 1, 2, 3], [1, 2, 3, 4, 5, 6]))
  const item = await (await openData('x', memoryFiles({ x: array }))).item(0)
  expect(item).toMatchObject({ kind: 'image', image: { height: 1, width: 2, channels: 3, colours: 'rgb' } })
})

test('labels in a .npz are found by name, and the inputs that go with them', async () => {
  const npz = writeNpz([
    ['x_train', tensorOf('float32', [3, 1], [1, 2, 3])],
    ['x_test', tensorOf('float32', [2, 1], [4, 5])],
    ['y_test', tensorOf('int64', [2], [1, 0])],
  ])
  const set = await openData('d.npz', memoryFiles({ 'd.npz': npz }))
  expect([set.size, [...set.labels!]]).toEqual([2, [1, 0]])
  expect(await set.item(0)).toMatchObject({ tensor: { data: Float32Array.of(4) } })
})

test('a .npz of several inputs gives them by name', async () => {
  const npz = writeNpz([
    ['ids', tensorOf('int64', [2, 2], [1, 2, 3, 4])],
    ['mask', tensorOf('int64', [2, 2], [1, 1, 1, 0])],
  ])
  const item = await (await openData('d.npz', memoryFiles({ 'd.npz': npz }))).item(1)
  expect(item.kind === 'tensors' && [...item.tensors.keys()]).toEqual(['ids', 'mask'])
})

test('an IDX pair is found from either file and from its folder, gzipped or not', async () => {
  const fs = memoryFiles({
    'm/t10k-images-idx3-ubyte.gz': gzipSync(images),
    'm/t10k-labels-idx1-ubyte': labels,
  })
  for (const path of ['m', 'm/t10k-images-idx3-ubyte.gz', 'm/t10k-labels-idx1-ubyte']) {
    const set = await openData(path, fs)
    expect([set.size, [...set.labels!]], path).toEqual([2, [7, 3]])
    expect(pixelsOf(await set.item(1))).toEqual([30, 40])
  }
})

test('CIFAR batches become interleaved pictures with class names', async () => {
  const batch = new Uint8Array(2 * 3073)
  batch[0] = 9
  batch.set([1, 2], 3073 + 1)
  batch[3073 + 1 + 1024] = 5
  const set = await openData(
    'c',
    memoryFiles({ 'c/test_batch.bin': batch, 'c/data_batch_1.bin': new Uint8Array(3073) }),
  )
  expect([set.size, [...set.labels!], set.classes![9]]).toEqual([2, [9, 0], 'truck'])
  expect(pixelsOf(await set.item(1)).slice(0, 6)).toEqual([1, 5, 0, 2, 0, 0])
})

test('class folders give labels by the sorted names of the folders, empty ones left out', async () => {
  const fs = memoryFiles({
    'd/dog/b.png': png,
    'd/dog/deep/a.PNG': png,
    'd/cat/x.wav': wav,
    'd/none/readme.txt': text('x'),
  })
  const set = await openData('d', fs)
  expect(set.classes).toEqual(['cat', 'dog'])
  expect([...set.labels!]).toEqual([0, 1, 1])
  expect(await set.item(2)).toMatchObject({ kind: 'file', name: 'd/dog/deep/a.PNG' })
})

test('a folder of loose files has no labels, and hidden files are left out', async () => {
  const set = await openData('d', memoryFiles({ 'd/b.png': png, 'd/.a.png': png, 'd/a.png': png }))
  expect([set.size, set.labels]).toEqual([2, undefined])
})

test('a CSV of paths and class names, quoted, with a header, relative to its folder', async () => {
  const csv = text('file,label\r\n"a, b.png",dog\nsub/c.png, cat \n\n')
  const set = await openData(
    'l/list.csv',
    memoryFiles({ 'l/list.csv': csv, 'l/a, b.png': png, 'l/sub/c.png': png }),
  )
  expect([set.classes, [...set.labels!]]).toEqual([
    ['cat', 'dog'],
    [1, 0],
  ])
  expect((await set.item(1)).name).toBe('l/sub/c.png')
})

test('class numbers in a CSV stay numbers, and one without labels has none', async () => {
  const fs = memoryFiles({ 'n.csv': text('a.png;281\nb.png;7'), 'p.csv': text('a.png\nb.png') })
  expect([...(await openData('n.csv', fs)).labels!]).toEqual([281, 7])
  expect((await openData('p.csv', fs)).labels).toBeUndefined()
})

test.each<[string, Record<string, Uint8Array>, RegExp]>([
  ['x', {}, /x: no such file/],
  ['x', { x: Uint8Array.of(1, 2, 3) }, /x: not a data set that can be read.*got the bytes 01 02 03/],
  ['x', { x: new Uint8Array(0) }, /an empty file/],
  ['d', { 'd/readme.txt': text('hello') }, /d: a folder without data.*such as readme\.txt/],
  ['l.csv', { 'l.csv': text('a.png,1\nnothing') }, /expected lines of a path and a label, got "nothing"/],
  ['l.csv', { 'l.csv': text('a.png,1\nb.png,') }, /b\.png has no label, but others have/],
  ['x-labels-idx1', { 'x-labels-idx1': labels }, /labels without their images/],
  ['x.npz', { 'x.npz': writeNpz([]) }, /no array of inputs/],
])('%s that cannot be read is an input error that says why', async (path, files, message) => {
  await expect(openData(path, memoryFiles(files))).rejects.toThrow(InputError)
  await expect(openData(path, memoryFiles(files))).rejects.toThrow(message)
})

test('labels of another number than images are refused', async () => {
  const fs = memoryFiles({
    'a-images-idx3': images,
    'a-labels-idx1': Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 7),
  })
  await expect(openData('a-images-idx3', fs)).rejects.toThrow(/2 samples, but 1 labels/)
})

test('the digest changes with a byte, a label, the order and the choice of samples', async () => {
  const open = (x: Uint8Array, list: string) =>
    openData('l.csv', memoryFiles({ 'l.csv': text(list), 'a.png': x, 'b.png': wav }))
  const list = 'a.png,1\nb.png,2'
  const one = await open(png, list)
  const others = [
    await open(wav, list),
    await open(png, 'a.png,1\nb.png,3'),
    await open(png, 'b.png,2\na.png,1'),
    subset(one, [0]),
  ]
  expect(await one.digest()).toBe(await (await open(png, list)).digest())
  for (const o of others) expect(await o.digest()).not.toBe(await one.digest())
})

test('a subset keeps labels and refuses samples that are not there', async () => {
  const set = await openData('n.csv', memoryFiles({ 'n.csv': text('a.png,4\nb.png,5'), 'b.png': png }))
  expect([...subset(set, [1, 1]).labels!]).toEqual([5, 5])
  expect((await subset(set, [1]).item(0)).name).toBe('b.png')
  expect(() => subset(set, [2])).toThrow(/sample 2, expected 0 to 1/)
  await expect(set.item(-1)).rejects.toThrow(InputError)
})

test('the file system of Node reads files and folders, and explains what is missing', async () => {
  const set = await openData('test/assets/data', nodeFiles)
  expect(set.size).toBe(6)
  expect((await set.item(0)).name).toBe('test/assets/data/double.wav')
  await expect(openData('test/assets/nothing', nodeFiles)).rejects.toThrow(
    /test\/assets\/nothing: no such file/,
  )
})

test('random bytes under any name open, or are an input error', async () => {
  const random = rng(5)
  for (let i = 0; i < 600; i++) {
    const starts = [
      [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1],
      [0, 0, 8, 3],
      [0x1f, 0x8b, 8],
      [0x50, 0x4b, 3, 4],
      [],
      [97, 44],
    ]
    const body = Array.from({ length: random.below(120) }, () => random.below(i % 3 ? 256 : 128))
    const name = ['x', 'd/images-idx3', 'd/train.bin', 'd/a.png'][random.below(4)]!
    const fs = memoryFiles({ [name]: Uint8Array.of(...starts[random.below(6)]!, ...body) })
    try {
      const set = await openData(random.below(2) ? name : name.split('/')[0]!, fs)
      for (let n = 0; n < Math.min(2, set.size); n++) await set.item(n)
    } catch (e) {
      expect(e, `${i}: ${e instanceof Error ? e.stack : e}`).toBeInstanceOf(InputError)
    }
  }
})
