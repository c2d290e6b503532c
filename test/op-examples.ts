// The operators' own examples as graphs of one node: what every target is held to.

import { isFloat } from '../src/core/dtype.ts'
import { at, type Tensor } from '../src/core/tensor.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import type { Op } from '../src/ir/op.ts'
import { ops } from '../src/ir/ops/index.ts'
import { type Graph, typeOf } from '../src/ir/types.ts'

type Example = ReturnType<NonNullable<Op['examples']>>[number]

/** Every operator that has examples. */
export const opsWithExamples = (Object.entries(ops) as [string, Op][]).filter(([, op]) => op.examples)

/** A graph of one node; inputs that aren't floats (shapes, axes, indices) are constants. */
export function exampleGraph(name: string, op: Op, example: Example): { graph: Graph; inputs: Tensor[] } {
  const b = new GraphBuilder(name)
  const inputs: Tensor[] = []
  const ids = example.inputs.map((t, i) => {
    if (!t) return null
    if (!isFloat(t.dtype)) return b.constant(t, `c${i}`)
    inputs.push(t)
    return b.input(`x${i}`, typeOf(t))
  })
  const count = name === 'split' ? example.inputs[1]!.data.length : Math.max(op.outputs?.[0] ?? 1, 1)
  const names = Array.from({ length: count }, (_, i) => `y${i}`)
  for (const y of b.nodeOutputs(name, ids, example.attributes ?? {}, { outputs: names })) b.output(y)
  return { graph: b.finish(), inputs }
}

/** What a few roundings of a result's own type come to, as `distance` counts; integers are exact. */
export const rounding: Readonly<Record<string, number>> = {
  float32: 2e-6,
  float64: 2e-6,
  float16: 2e-3,
  bfloat16: 2e-2,
}

/** The largest difference over max(1, |expected|); infinite where types, shapes, NaNs or infinities differ. */
export function distance(got: Tensor, expected: Tensor): number {
  if (got.dtype !== expected.dtype || String(got.shape) !== String(expected.shape)) return Infinity
  if (expected.dtype === 'string') return String(got.data) === String(expected.data) ? 0 : Infinity
  let most = 0
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [at(got, i), at(expected, i)]
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    const d = Math.abs(a - b) / Math.max(1, Math.abs(b))
    most = Math.max(most, Number.isNaN(d) ? Infinity : d)
  }
  return most
}
