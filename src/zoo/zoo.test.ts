// Architectures have the parameters and the work that were published for them; calibrated networks neither vanish nor explode.

import { describe, expect, test } from 'vitest'
import { at, type Tensor } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { costOf } from '../ir/inspect.ts'
import { specialize } from '../ir/specialize.ts'
import { verify } from '../ir/verify.ts'
import { architectures } from './architectures.ts'
import { normalWeights } from './net.ts'
import { listZoo, openZoo } from './zoo.ts'

describe('parameters and multiply-accumulates are the published ones', () => {
  for (const [name, a] of Object.entries(architectures)) {
    test(name, () => {
      const { graph, trainable } = a.build({ outline: true })
      expect(verify(graph)).toEqual([])
      expect(trainable).toBe(a.parameters)
      const { macs } = costOf(specialize(graph, { dims: { batch: 1 } }))
      // Publications round to three or four digits; some count the biases.
      if (a.macs !== null) expect(Math.abs(macs / a.macs - 1)).toBeLessThan(0.01)
      else expect(macs).toBeGreaterThan(0)
    })
  }
})

const spread = (t: Tensor): number => {
  let [sum, squares] = [0, 0]
  for (let i = 0; i < t.data.length; i++) {
    sum += at(t, i)
    squares += at(t, i) ** 2
  }
  return Math.sqrt(squares / t.data.length - (sum / t.data.length) ** 2)
}

test('a deep network with random weights tells inputs apart after calibration', () => {
  const { graph } = architectures['resnet-32']!.build()
  const image = normalWeights('two images', [2, 3, 32, 32], 1)
  const [logits] = evaluate(graph, [image]) as [Tensor]
  expect(logits.shape).toEqual([2, 10])
  expect(spread(logits)).toBeGreaterThan(0.1)
  expect(spread(logits)).toBeLessThan(10)
  const [first, second] = [0, 10].map((from) => [...(logits.data as Float32Array).subarray(from, from + 10)])
  expect(first).not.toEqual(second)
})

test('the same name makes the same weights, another name others', () => {
  const a = normalWeights('a', [1000], 2).data as Float32Array
  expect([...(normalWeights('a', [1000], 2).data as Float32Array)]).toEqual([...a])
  expect([...(normalWeights('b', [1000], 2).data as Float32Array)]).not.toEqual([...a])
})

test('weights have the deviation that was asked for', () => {
  const t = normalWeights('deviation', [100000], 0.5)
  expect(spread(t)).toBeGreaterThan(0.495)
  expect(spread(t)).toBeLessThan(0.505)
})

test('an unknown name is answered with near ones', async () => {
  await expect(openZoo('resnet')).rejects.toThrow(/zoo:resnet: no such network, perhaps resnet-8/)
})

test('every entry of the list has a licence and says what it takes', () => {
  for (const e of listZoo()) {
    expect(e.licence, e.name).not.toBe('')
    expect(e.input.says, e.name).not.toBe('')
    if (!e.present) expect(e.reason, e.name).toMatch(/npm install/)
  }
})
