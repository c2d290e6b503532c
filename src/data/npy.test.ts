import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dtypes } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { tensorOf } from '../core/tensor.ts'
import { readNpy, writeNpy } from './npy.ts'

/** A .npy file as NumPy would write it: header text, then bytes. */
function file(header: string, body: number[], version = 1): Uint8Array {
  const text = new TextEncoder().encode(header)
  const length = version === 1 ? [text.length & 255, text.length >> 8] : [text.length, 0, 0, 0]
  return Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, ...length, ...text, ...body])
}
const dict = (descr: string, shape: string, order = 'False'): string =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`

test('every type that NumPy has survives writing and reading', () => {
  for (const dtype of dtypes) {
    if (dtype === 'int4' || dtype === 'uint4') continue
    const values = dtype === 'string' ? ['a', '', 'käse', '🧀!', 'x', 'y'] : [0, 1, 2, 3, 100, 1]
    const t = tensorOf(dtype, [2, 3], values)
    expect(readNpy(writeNpy(t), 't')).toEqual(t)
  }
})

test('4-bit integers are written as 8-bit ones', () => {
  expect(readNpy(writeNpy(tensorOf('int4', [2], [-8, 7])), 't')).toEqual(tensorOf('int8', [2], [-8, 7]))
})

test('a scalar, an empty array and one axis keep their shapes', () => {
  for (const shape of [[], [0], [0, 3], [4]]) {
    const n = shape.reduce((a, b) => a * b, 1)
    expect(readNpy(writeNpy(tensorOf('float32', shape, new Array(n).fill(1))), 't').shape).toEqual(shape)
  }
})

test('the data starts at a multiple of 64 bytes', () => {
  const bytes = writeNpy(tensorOf('uint8', [3], [7, 8, 9]))
  expect((bytes.length - 3) % 64).toBe(0)
  expect([...bytes.subarray(-4)]).toEqual([10, 7, 8, 9])
})

test('big-endian numbers are swapped', () => {
  expect(readNpy(file(dict('>i2', '(2,)'), [1, 2, 0xff, 0xfe]), 't')).toEqual(
    tensorOf('int16', [2], [258, -2]),
  )
})

test('Fortran order becomes row-major', () => {
  const t = readNpy(file(dict('|u1', '(2, 3)', 'True'), [1, 4, 2, 5, 3, 6]), 't')
  expect(t).toEqual(tensorOf('uint8', [2, 3], [1, 2, 3, 4, 5, 6]))
})

test('byte strings, big-endian text, old long integers in the shape and version 2 are read', () => {
  expect(readNpy(file(dict('|S2', '(2L,)'), [97, 98, 99, 0]), 't')).toEqual(
    tensorOf('string', [2], ['ab', 'c']),
  )
  expect(readNpy(file(dict('>U1', '()'), [0, 0, 0, 65]), 't')).toEqual(tensorOf('string', [], ['A']))
  expect(readNpy(file(dict('|b1', '(2,)'), [0, 5], 2), 't')).toEqual(tensorOf('bool', [2], [0, 1]))
})

test('a file at an odd offset of a larger buffer is read', () => {
  const bytes = writeNpy(tensorOf('float64', [2], [1.5, -2]))
  for (const buffer of [Buffer.alloc(bytes.length + 3), new Uint8Array(bytes.length + 3)]) {
    buffer.set(bytes, 3)
    expect(readNpy(buffer.subarray(3), 't')).toEqual(tensorOf('float64', [2], [1.5, -2]))
  }
})

test.each([
  ['nothing', new Uint8Array(0), /t: not a \.npy file.*empty/],
  ['another file', new TextEncoder().encode('hello world'), /not a \.npy file, its first bytes are 68 65/],
  ['a pickle', file(dict('|O', '(2,)'), [0, 0]), /Python objects \(pickle\), which are never opened/],
  [
    'complex numbers',
    file(dict('<c8', '(1,)'), [0, 0, 0, 0, 0, 0, 0, 0]),
    /element type <c8 is not supported/,
  ],
  [
    'records',
    file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", [0, 0, 0, 0]),
    /record/,
  ],
  ['too few bytes', file(dict('<f4', '(2,)'), [0, 0, 0, 0]), /truncated, expected 4 bytes for each of \[2\]/],
  ['a shape beyond memory', file(dict('<f4', '(99999999, 99999999)'), []), /truncated/],
  ['an absurd dimension', file(dict('<f4', '(9999999999999999999,)'), []), /absurd dimension/],
  ['text of width 0', file(dict('<U0', '(99999999,)'), []), /width 0/],
  ['a negative dimension', file(dict('<f4', '(-1,)'), []), /no 'shape'/],
])('%s is an input error that says so', (_, bytes, message) => {
  expect(() => readNpy(bytes, 't')).toThrow(InputError)
  expect(() => readNpy(bytes, 't')).toThrow(message)
})

test('a damaged file gives a tensor or an input error, nothing else', () => {
  const good = writeNpy(tensorOf('float32', [2, 2], [1, 2, 3, 4]))
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, cut) => {
      const bad = good.slice(0, cut)
      if (at < cut) bad[at] = value
      try {
        readNpy(bad, 't')
      } catch (e) {
        expect(e).toBeInstanceOf(InputError)
      }
    }),
    { numRuns: 2000, seed: 1 },
  )
})
