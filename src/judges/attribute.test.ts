import { expect, test } from 'vitest'
import { rng } from '../core/rng.ts'
import { numbers, type Tensor, tensorOf } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { parseGraph } from '../ir/text.ts'
import type { Datum, Graph, ValueId } from '../ir/types.ts'
import { attribute, propagatedBound } from './attribute.ts'

const graph = parseGraph(`graph net(x: float32[1, 4]) -> (y) {
  w: float32[4, 4] = [1, 0.5, 0.25, -1, 0.125, 2, -0.5, 1, 1, 1, 0.75, 0.5, -0.25, 0.5, 1, 2]
  a: float32[1, 4] = matMul(x, w) {} "first"
  b: float32[1, 4] = tanh(a) {} "second"
  y: float32[1, 4] = matMul(b, w) {} "third"
}`)
const x = tensorOf('float32', [1, 4], [0.1, 0.7, -0.3, 0.9])

const values = (
  g: Graph,
  inputs: readonly Datum[],
  meddle: (node: string, t: Tensor) => Tensor = (_n, t) => t,
): Map<ValueId, Datum> => {
  const out = new Map<ValueId, Datum>()
  // A meddled value feeds what follows, as in a faulty runtime.
  let data: readonly Datum[] = inputs
  const byId = new Map<ValueId, Datum>(g.inputs.map((v, i) => [v, inputs[i]!]))
  for (const n of g.nodes) {
    const inner = {
      ...g,
      nodes: [n],
      inputs: n.inputs.filter((v): v is number => v !== null && !g.values[v]!.constant),
      outputs: n.outputs,
    }
    data = evaluate(
      inner,
      inner.inputs.map((v) => byId.get(v)!),
    )
    n.outputs.forEach((v, k) => {
      const t = meddle(n.name, data[k] as Tensor)
      byId.set(v, t)
      out.set(v, t)
    })
  }
  return out
}
const reference = values(graph, [x])

test('a node that multiplies wrongly is blamed, and what follows inherits', () => {
  const target = values(graph, [x], (n, t) =>
    n === 'first' ? { ...t, data: (t.data as Float32Array).map((v) => v * 1.01) } : t,
  )
  const [first, second, third] = attribute({ graph, reference, target, inputs: [x] })
  expect([first!.verdict, second!.verdict, third!.verdict]).toEqual(['different', 'same', 'same'])
  expect(first!.inherited).toBe(0)
  expect(second!.inherited).toBeGreaterThan(0)
})

test('one rounding more is rounding', () => {
  const target = values(graph, [x], (n, t) =>
    n === 'second' ? { ...t, data: (t.data as Float32Array).map((v) => v * (1 + 2 ** -23)) } : t,
  )
  expect(attribute({ graph, reference, target, inputs: [x] }).map((a) => a.verdict)).toEqual([
    'same',
    'rounding',
    'same',
  ])
})

test('a NaN where a number belongs is different', () => {
  const target = values(graph, [x], (n, t) =>
    n === 'third' ? { ...t, data: (t.data as Float32Array).map(() => Number.NaN) } : t,
  )
  const third = attribute({ graph, reference, target, inputs: [x] })[2]!
  expect([third.verdict, third.nonFinite]).toEqual(['different', 4])
})

test('the propagated bound covers float32 noise and nothing like a wrong weight', () => {
  const bound = propagatedBound(graph, [x], reference, 3, rng(1).next)
  const y = graph.outputs[0]!
  expect(bound.get(y)!).toBeGreaterThan(1e-8)
  expect(bound.get(y)!).toBeLessThan(1e-4)
  expect(Math.max(...Array.from(numbers(reference.get(y) as Tensor), Math.abs))).toBeGreaterThan(0.1)
})
