// WebAssembly whose candidates misbehave by the height of their tile: 1 dies, 2 hangs, 3 answers wrongly, 4 is refused.

import type { Tensor } from '../src/core/tensor.ts'
import type { Target } from '../src/targets/target.ts'
import { wasm } from '../src/targets/wasm.ts'

const rowsOf = (schedule: unknown): number => JSON.parse(String(schedule ?? '{}')).kernel?.rows ?? 0

export const targets: readonly Target[] = [
  {
    ...wasm,
    async compile(graph, options) {
      if (rowsOf(options.schedule) === 4) throw new Error('no code for that')
      return wasm.compile(graph, options)
    },
    async load(artifact) {
      const rows = rowsOf(artifact.options.schedule)
      if (rows === 1) process.kill(process.pid, 'SIGSEGV')
      while (rows === 2) {}
      const loaded = await wasm.load(artifact)
      if (rows !== 3) return loaded
      return {
        ...loaded,
        async run(inputs) {
          const outputs = (await loaded.run(inputs)) as Tensor[]
          const data = Float32Array.from(outputs[0]!.data as Float32Array, (v) => v + 1)
          return [{ ...outputs[0]!, data }]
        },
      }
    },
  },
]
