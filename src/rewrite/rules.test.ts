import { expect, test } from 'vitest'
import { rng } from '../core/rng.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import { evaluate } from '../ir/evaluate.ts'
import { parseGraph, printGraph } from '../ir/text.ts'
import type { Graph } from '../ir/types.ts'
import { verify } from '../ir/verify.ts'
import { propagatedBound } from '../judges/attribute.ts'
import { randomInputs } from '../studies/inputs.ts'
import { optimizeRules } from './optimize.ts'
import { applyRules } from './pass.ts'
import type { Rule } from './rule.ts'

const outputsOf = (g: Graph, inputs: Tensor[]): Tensor[] => evaluate(g, inputs) as Tensor[]

/** Every rule is held to its contract on each of its examples. */
for (const rule of optimizeRules satisfies readonly Rule[]) {
  for (const [i, text] of rule.examples.entries()) {
    test(`${rule.name}: ${rule.says} (example ${i + 1})`, () => {
      const before = parseGraph(text)
      expect(verify(before)).toEqual([])
      const { graph: after, changes } = applyRules(before, [rule])
      expect(changes.some((c) => c.rule === rule.name && !c.refused)).toBe(true)
      expect(verify(after)).toEqual([])
      const [inputs] = randomInputs(before, 1, 7)
      const [x, y] = [outputsOf(before, inputs!), outputsOf(after, inputs!)]
      if (rule.contract === 'exact') expect(y).toEqual(x)
      else {
        const seen = new Map(
          before.nodes
            .flatMap((n) => n.outputs)
            .map((v) => [v, evaluate({ ...before, outputs: [v] }, inputs!)[0]!]),
        )
        const bound = propagatedBound(before, inputs!, seen, 3, rng(1).next).get(before.outputs[0]!)!
        const [p, q] = [numbers(x[0]!), numbers(y[0]!)]
        for (let k = 0; k < p.length; k++) expect(Math.abs(p[k]! - q[k]!)).toBeLessThanOrEqual(bound)
      }
    })
  }
}

test('what a rule makes bears its name and the nodes it came from', () => {
  const fold = optimizeRules.find((r) => r.name === 'fuse-conv2d-batchNorm')!
  const { graph } = applyRules(parseGraph(fold.examples[0]!), [fold])
  expect(graph.nodes.map((n) => n.op)).toEqual(['conv2d'])
  expect(graph.nodes[0]!.origin).toEqual(['batchNorm_1', 'conv2d_0', 'fuse-conv2d-batchNorm'])
})

test('a value with a second reader is not folded away', () => {
  const g = parseGraph(`graph g(x: float32[2]) -> (y, r) {
  r: float32[2] = relu(x) {}
  y: float32[2] = relu(r) {}
}`)
  expect(printGraph(applyRules(g, optimizeRules).graph)).toBe(printGraph(g))
})
