import fc from 'fast-check'
import { zipSync } from 'fflate'
import { expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import { tensorOf, zeros } from '../core/tensor.ts'
import { writeNpy } from './npy.ts'
import { readNpz, writeNpz } from './npz.ts'

const arrays = new Map([
  ['first', tensorOf('float32', [2], [1, 2])],
  ['b/second', tensorOf('string', [1], ['word'])],
  ['large', zeros('int64', [40, 50])],
])

test('arrays come back by name and in order', () => {
  const back = readNpz(writeNpz(arrays), 't')
  expect([...back]).toEqual([...arrays])
})

test('the same arrays give the same bytes', () => {
  expect(writeNpz(arrays)).toEqual(writeNpz(arrays))
})

test('only the arrays asked for are read', () => {
  expect([...readNpz(writeNpz(arrays), 't', { only: (n) => n === 'first' }).keys()]).toEqual(['first'])
})

test('an archive that would inflate beyond its limit is refused before anything is inflated', () => {
  const bytes = writeNpz([['bomb', zeros('uint8', [1 << 22])]])
  expect(bytes.length).toBeLessThan(10000)
  expect(() => readNpz(bytes, 't', { limit: 1 << 20 })).toThrow(/t: would inflate to more than 1048576 bytes/)
})

test('an entry that inflates to more than it declares is refused', () => {
  const bytes = writeNpz([['bomb', zeros('uint8', [1 << 20])]])
  const view = new DataView(bytes.buffer)
  const directory = view.getUint32(bytes.length - 6, true)
  view.setUint32(directory + 24, 1000, true)
  expect(() => readNpz(bytes, 't')).toThrow(/inflates to more than the declared 1000 bytes/)
})

test('an entry that declares more than its bytes can hold is refused', () => {
  const bytes = writeNpz([['x', zeros('uint8', [8])]])
  const view = new DataView(bytes.buffer)
  const directory = view.getUint32(bytes.length - 6, true)
  view.setUint32(directory + 24, 150_000_000, true)
  expect(() => readNpz(bytes, 't')).toThrow(
    /declares 150000000 bytes, which \d+ compressed bytes cannot hold/,
  )
})

test('entries that share their bytes are refused', () => {
  const bytes = writeNpz([
    ['a', zeros('uint8', [8])],
    ['b', zeros('uint8', [8])],
  ])
  const view = new DataView(bytes.buffer)
  const directory = view.getUint32(bytes.length - 6, true)
  const second = directory + 46 + view.getUint16(directory + 28, true)
  view.setUint32(second + 42, 0, true)
  expect(() => readNpz(bytes, 't')).toThrow(/overlap/)
})

test('a changed byte in an array is noticed by the checksum', () => {
  const bytes = zipSync({ 'x.npy': [writeNpy(tensorOf('uint8', [4], [1, 2, 3, 4])), { level: 0 }] })
  const at = bytes.findIndex(
    (b, i) => b === 1 && bytes[i + 1] === 2 && bytes[i + 2] === 3 && bytes[i + 3] === 4,
  )
  bytes[at] = 9
  expect(() => readNpz(bytes, 't')).toThrow(/checksum does not match/)
})

test('an archive of other files is an input error', () => {
  expect(() => readNpz(zipSync({ 'a.txt': new Uint8Array(3) }), 't')).toThrow(
    /expected only \.npy entries, got "a.txt"/,
  )
})

test('a damaged archive gives arrays or an input error, nothing else', () => {
  const good = writeNpz(arrays)
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, cut) => {
      const bad = good.slice()
      bad[at] = value
      try {
        readNpz(cut % 3 === 0 ? bad.subarray(0, cut) : bad, 't')
      } catch (e) {
        expect(e).toBeInstanceOf(InputError)
      }
    }),
    { numRuns: 500, seed: 1 },
  )
})
