// The reference as a target: the plain evaluator that everything else is judged against.

import { evaluate } from '../ir/evaluate.ts'
import type { Target } from './target.ts'

export const reference: Target = {
  name: 'reference',
  doc: "Strata's reference: each operator's plain definition, sums in float64",
  variants: [{ name: '', options: {} }],
  presence: async () => ({ present: true, version: 'built in' }),
  compile: async (graph, options) => ({ target: 'reference', options, graph }),
  load: async ({ graph }) => ({
    facts: { threads: 1 },
    run: async (inputs) => evaluate(graph, inputs),
    dispose: async () => {},
  }),
}
