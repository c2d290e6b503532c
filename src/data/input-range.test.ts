import { expect, test } from 'vitest'
import { parseGraph } from '../ir/text.ts'
import { inputRange } from './input-range.ts'

/** A graph that begins with the given lines, from x to y. */
function rangeOf(...lines: string[]): ReturnType<typeof inputRange> {
  const g = parseGraph(
    `graph net(x: float32[1, 4, 4, 3]) -> (y) {\n${lines.map((l) => `  ${l}\n`).join('')}}`,
  )
  return inputRange(g, g.inputs[0]!)
}
const t = 'float32[1, 4, 4, 3]'

test('a product with 1/255, a quotient by 127.5 and a mean of 127 want bytes', () => {
  expect(rangeOf('c: float32[] = [0.00392157]', `y: ${t} = mul(x, c) {}`)).toBe('bytes')
  expect(rangeOf('c: float32[] = [0.00784314]', `y: ${t} = mul(c, x) {}`)).toBe('bytes')
  expect(rangeOf('c: float32[1] = [127.5]', `y: ${t} = div(x, c) {}`)).toBe('bytes')
  expect(rangeOf('c: float32[3] = [103.9, 116.8, 123.7]', `y: ${t} = sub(x, c) {}`)).toBe('bytes')
})

test('doubling wants 0 to 1', () => {
  expect(rangeOf('c: float32[] = [2]', `y: ${t} = mul(x, c) {}`)).toBe('unit')
})

test('it is found behind a transpose', () => {
  const c = 'c: float32[] = [255]'
  const turned = 'a: float32[1, 3, 4, 4] = transpose(x) {permutation: [0, 3, 1, 2]}'
  expect(rangeOf(c, turned, 'y: float32[1, 3, 4, 4] = div(a, c) {}')).toBe('bytes')
})

test('any other beginning says nothing', () => {
  expect(rangeOf(`y: ${t} = relu(x) {}`)).toBeUndefined()
  expect(rangeOf(`y: ${t} = mul(x, x) {}`)).toBeUndefined()
  expect(rangeOf('c: float32[] = [0.5]', `y: ${t} = mul(x, c) {}`)).toBeUndefined()
  expect(rangeOf('c: float32[] = [255]', `y: ${t} = div(c, x) {}`)).toBeUndefined()
})

test('a value that goes two ways is not followed', () => {
  expect(rangeOf('c: float32[] = [255]', `a: ${t} = div(x, c) {}`, `y: ${t} = add(a, x) {}`)).toBeUndefined()
})
