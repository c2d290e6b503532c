import { expect, test } from 'vitest'
import { tensorOf } from '../core/tensor.ts'
import { parseGraph } from '../ir/text.ts'
import { type Answer, estimatedBounds, judgeOutputs, judgeTogether } from './bench-judge.ts'

const graph = parseGraph(`graph net(x: float32[1, 2]) -> (y) {
  w: float32[2, 2] = [1, 2, 3, 4]
  y: float32[1, 2] = matMul(x, w) {} "product"
}`)
const y = (...values: number[]) => tensorOf('float32', [1, values.length], values)
const answer = (target: string, ...values: number[]): Answer => ({
  target,
  outputs: [y(...values)],
  amplification: 1,
})

test('outputs are judged each by its own bound', () => {
  const judged = judgeOutputs([y(1, 2), y(1, 2.5)], [y(1, 2), y(1, 2)], [0, 1])
  expect(judged).toMatchObject({ verdict: 'rounding', error: 0.25, boundRatio: 0.5 })
  expect(judgeOutputs([y(1, 2), y(1, 2.5)], [y(1, 2), y(1, 2)], [1, 0.25]).verdict).toBe('different')
})

test('a promised accuracy is held to, whatever rounding could do', () => {
  const judge = (within: number) => judgeOutputs([y(1, 2.5)], [y(1, 2)], [1], within)
  expect(judge(0.25).verdict).toBe('rounding')
  expect(judge(0.2)).toMatchObject({
    verdict: 'different',
    says: 'error of 0.25 of the largest expected value, allowed 0.2',
  })
})

test('outputs that are missing or of another shape are different', () => {
  expect(judgeOutputs([], [y(1)], [1])).toMatchObject({ verdict: 'different' })
  expect(judgeOutputs([y(1, 2)], [y(1)], [1])).toMatchObject({
    verdict: 'different',
    says: 'shape: expected [1,1], got [1,2]',
  })
  expect(judgeOutputs([[y(1)]], [[y(1), y(2)]], [1])).toMatchObject({
    verdict: 'different',
    says: 'output 0: expected 2 tensors, got 1',
  })
})

test('NaN where a number is expected is different, however wide the bound', () => {
  expect(judgeOutputs([y(NaN)], [y(1)], [1e9]).verdict).toBe('different')
})

test('the estimated bound grows with the length of the sums and the size of the outputs', () => {
  // (2 products and their sum: K = 3) · u · peak
  expect(estimatedBounds(graph, [y(1, -8)])).toEqual([3 * 2 ** -24 * 8])
})

test('the majority of different targets is right', () => {
  const judged = judgeTogether(graph, [answer('a', 1, 2), answer('b', 1, 2.5), answer('c', 1, 2)])!
  expect(judged.map((j) => j.verdict)).toEqual(['same', 'different', 'same'])
  expect(judged[1]!.says).toMatch(/^against a: /)
})

test('an answer that is allowed a larger error is judged by the others and judges nobody', () => {
  const a = answer('a', 1, 2)
  const b = { ...answer('b', 1, 2), within: 1e-9 }
  const peer = { ...answer('peer', 1, 2 + 2 ** -22), within: 1e-6 }
  expect(judgeTogether(graph, [peer, { ...a, within: 1e-9 }, b])!.map((j) => j.verdict)).toEqual([
    'rounding',
    'same',
    'same',
  ])
  expect(judgeTogether(graph, [peer, b])).toBeNull()
  const strict = judgeTogether(graph, [{ ...peer, within: 1e-9 }, { ...a, within: 1e-9 }, b])!
  expect(strict.map((j) => j.verdict)).toEqual(['different', 'same', 'same'])
})

test('variants of one target do not vouch for each other', () => {
  expect(judgeTogether(graph, [answer('a', 1, 2), answer('a', 1, 2)])).toBeNull()
  expect(judgeTogether(graph, [answer('a', 1, 2), answer('b', 1, 3)])).toBeNull()
})
