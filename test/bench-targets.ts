// Runtimes for the tests of `bench`: the reference, and the reference with faults. A child process imports this module.

import { evaluate } from '../src/ir/evaluate.ts'
import type { Datum, Graph } from '../src/ir/types.ts'
import type { Executable, Target, TargetOptions } from '../src/targets/target.ts'

type Run = Executable['run']

const fake = (
  name: string,
  make: (graph: Graph, options: TargetOptions) => Partial<Executable> & { run: Run },
): Target => ({
  name,
  doc: '',
  variants: [],
  presence: async () => ({ present: true, version: '1' }),
  compile: async (graph, options) => ({ target: name, options, graph }),
  load: async ({ graph, options }) => ({
    facts: { threads: Number(options.threads ?? 1) },
    dispose: async () => {},
    ...make(graph, options),
  }),
})

/** From its `from`th run on, does something else. */
const turning = (from: number, graph: Graph, then: (inputs: readonly Datum[]) => Promise<Datum[]>): Run => {
  let runs = 0
  return async (inputs) => (++runs < from ? evaluate(graph, inputs) : then(inputs))
}

const busy = (ms: number): void => {
  const start = performance.now()
  while (performance.now() - start < ms);
}

const swapped = (graph: Graph): Graph => ({
  ...graph,
  nodes: graph.nodes.map((n) => (n.op === 'tanh' ? { ...n, op: 'erf' } : n)),
})

export const targets: readonly Target[] = [
  fake('right', (graph) => ({
    run: async (inputs) => evaluate(graph, inputs),
    profile: async () => graph.nodes.map((n) => ({ node: n.name, ms: 1 })),
  })),
  fake('slow', (graph) => ({
    run: async (inputs) => {
      busy(8)
      return evaluate(graph, inputs)
    },
  })),
  fake('wrong', (graph) => ({ run: async (inputs) => evaluate(swapped(graph), inputs) })),
  fake('drifts', (graph) => ({ run: turning(3, graph, async (inputs) => evaluate(swapped(graph), inputs)) })),
  fake('hangs', (graph) => ({
    run: turning(4, graph, () => new Promise(() => setInterval(() => {}, 1000))),
  })),
  fake('dies', (graph) => ({ run: turning(4, graph, async () => process.exit(3)) })),
  fake('throws', (graph) => ({
    run: turning(4, graph, async () => {
      throw new Error('the kernel gave up')
    }),
  })),
  fake('eats', (graph) => ({
    run: turning(2, graph, async () => {
      const held: Uint8Array[] = []
      for (;;) {
        held.push(new Uint8Array(32e6).fill(1))
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }),
  })),
  fake('single', (graph) => ({ run: async (inputs) => evaluate(graph, inputs), facts: { threads: 1 } })),
  {
    ...fake('absent', () => ({ run: async () => [] })),
    presence: async () => ({ present: false, reason: 'npm install absent' }),
  },
]
