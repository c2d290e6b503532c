import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseGraph } from '../ir/text.ts'
import { packedFile, readPacked } from './packed.ts'

test('plain data with arrays comes back equal, shared arrays once', () => {
  const shared = new Float32Array([1, 2, 3])
  const value = {
    list: [new Uint8Array([1]), shared, null, undefined, 'text', 10n, true],
    half: new Float16Array([0.5]),
    wide: new BigInt64Array([-(2n ** 60n)]),
    part: new Float64Array([9, 8, 7]).subarray(1),
    again: shared,
    nested: { empty: new Int32Array(0), nan: NaN },
  }
  using file = packedFile(value)
  const back = readPacked(file.path) as typeof value
  expect(back).toEqual(value)
  expect(back.again).toBe(back.list[1])
  // Views of one reading of the file.
  expect(back.half.buffer).toBe(back.again.buffer)
})

test('a graph comes back equal', () => {
  const graph = parseGraph(`graph net(x: float32[batch, 2]) -> (y) {
  w: float16[2, 2] = [1, 2, 3, 4]
  c: float32[2, 2] = cast(w) {to: "float32"}
  y: float32[batch, 2] = matMul(x, c) {} "product"
}`)
  using file = packedFile(graph)
  expect(readPacked(file.path)).toEqual(graph)
})

test('the file is gone when it is disposed of', () => {
  let path: string
  {
    using file = packedFile([1])
    path = file.path
    expect(existsSync(path)).toBe(true)
  }
  expect(existsSync(path)).toBe(false)
})
