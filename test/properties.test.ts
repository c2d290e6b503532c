import fc from 'fast-check'
import { expect, test } from 'vitest'
import { rng } from '../src/core/rng.ts'
import { numbers, type Tensor } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { parseGraph, printGraph, weightsOf } from '../src/ir/text.ts'
import type { Datum, ValueId } from '../src/ir/types.ts'
import { verify } from '../src/ir/verify.ts'
import { propagatedBound } from '../src/judges/attribute.ts'
import { optimizeRules } from '../src/rewrite/optimize.ts'
import { applyRules } from '../src/rewrite/pass.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { randomGraph } from './random-graph.ts'

const seeds = fc.integer({ min: 1, max: 1_000_000 })

test('any graph verifies, prints, parses back, and prints the same', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const g = randomGraph(seed)
      expect(verify(g)).toEqual([])
      const weights = weightsOf(g)
      const again = parseGraph(printGraph(g), { weights: (d) => weights.get(d) })
      expect(verify(again)).toEqual([])
      expect(printGraph(again)).toBe(printGraph(g))
    }),
    { numRuns: 60, seed: 1 },
  )
})

test('the optimising rules keep any graph within its rounding', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const g = randomGraph(seed)
      const { graph: after } = applyRules(g, optimizeRules)
      const [inputs] = randomInputs(g, 1, seed)
      const seen = new Map<ValueId, Datum>()
      const x = evaluate(g, inputs!, {
        observe: (n, _i, out) => n.outputs.forEach((v, k) => void seen.set(v, out[k]!)),
      })
      const y = evaluate(after, inputs!)
      const bounds = propagatedBound(g, inputs!, seen, 3, rng(seed).next)
      g.outputs.forEach((v, o) => {
        const [p, q] = [numbers(x[o] as Tensor), numbers(y[o] as Tensor)]
        expect(after.values[after.outputs[o]!]!.name).toBe(g.values[v]!.name)
        for (let i = 0; i < p.length; i++) expect(Math.abs(p[i]! - q[i]!)).toBeLessThanOrEqual(bounds.get(v)!)
      })
    }),
    { numRuns: 60, seed: 2 },
  )
})
