// Compiled code is for fixed shapes. A graph with open ones is compiled at the first run with each set of shapes.

import { specializationKey, specializeTo } from '../compile/prepare.ts'
import { checkInputs } from '../ir/inputs.ts'
import type { Datum, Graph } from '../ir/types.ts'
import type { Executable } from './target.ts'

/** `make` compiles and loads a graph whose shapes, and the inputs that decide shapes, are fixed. */
export function perShape(
  graph: Graph,
  facts: NonNullable<Executable['facts']>,
  make: (fixed: Graph) => Promise<Executable>,
): Executable {
  const known = new Map<string, Promise<Executable>>()
  const forInputs = (inputs: readonly Datum[]): Promise<Executable> => {
    checkInputs(graph, inputs)
    const key = specializationKey(graph, inputs)
    let made = known.get(key)
    if (!made) {
      made = make(specializeTo(graph, inputs))
      // A failure is the caller's to see, and no reason to refuse the next run.
      made.catch(() => known.delete(key))
      known.set(key, made)
    }
    return made
  }
  return {
    facts: { ...facts, shapes: 'fixed at the first run of each' },
    run: async (inputs, into) => (await forInputs(inputs)).run(inputs, into),
    profile: async (inputs) => (await forInputs(inputs)).profile!(inputs),
    dispose: async () => {
      for (const e of known.values()) await (await e).dispose()
    },
  }
}
