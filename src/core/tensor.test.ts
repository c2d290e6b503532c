import { expect, test } from 'vitest'
import { rng } from './rng.ts'
import { productOf, scaledRows, type Tensor } from './tensor.ts'

test.for([
  ['float32', 2 ** 17, true],
  ['float32', 64, false],
  ['float64', 2 ** 17, false],
] as const)('rows of %s times factors are rounded once, %i elements', ([dtype, size, later]) => {
  const random = rng(5)
  const values = Array.from({ length: size }, random.normal)
  const data = dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values)
  const of: Tensor = { dtype, shape: [4, size / 4], data }
  const by = Float64Array.of(0.1, -3, 0, 1e-3)
  const product = scaledRows(of, by)
  expect(productOf(product) !== undefined).toBe(later)
  expect(product.data).toEqual(data.map((v, i) => v * by[Math.floor((4 * i) / size)]!))
  expect(product.data).toBe(product.data)
})
