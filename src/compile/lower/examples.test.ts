import { expect, test } from 'vitest'
import { distance, rounding } from '../../../test/op-examples.ts'
import { UnsupportedError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import type { Example, Op } from '../../ir/op.ts'
import { ops } from '../../ir/ops/index.ts'
import type { Graph } from '../../ir/types.ts'
import { wasm } from '../../targets/wasm.ts'
import { checkLoops } from '../bounds.ts'
import { compile } from '../compile.ts'
import { interpret } from '../interpret.ts'
import { isStaticGraph, prepare, specializeTo } from '../prepare.ts'
import { engines } from '../schedule.ts'

type Case = { readonly graph: Graph; readonly inputs: readonly Tensor[] }

/** One operator on an example's inputs; operands after the first as constants, or as inputs too. */
function caseOf(name: string, example: Example, constants: boolean): Case {
  const b = new GraphBuilder('example')
  const inputs: Tensor[] = []
  const ids = example.inputs.map((t, i) => {
    if (t === null) return null
    if (constants && i > 0) return b.constant(t)
    inputs.push(t)
    return b.input(`x${i}`, { kind: 'tensor', dtype: t.dtype, shape: t.shape })
  })
  for (const v of b.nodeOutputs(name, ids, example.attributes ?? {})) b.output(v)
  return { graph: b.finish(), inputs }
}

const withExamples = Object.entries(ops as Record<string, Op>).filter(([, op]) => op.examples)
test.for(withExamples.map(([name]) => name))(
  'wasm computes the examples of %s as the reference does',
  async (name) => {
    for (const example of (ops as Record<string, Op>)[name]!.examples!()) {
      for (const constants of [false, true]) {
        const { graph, inputs } = caseOf(name, example, constants)
        if (inputs.some((t) => t.dtype === 'string')) continue
        let got: readonly unknown[]
        try {
          const executable = await wasm.load(await wasm.compile(graph, { engine: 'safe' }))
          got = await executable.run(inputs)
        } catch (e) {
          // Gaps are listed in lower/index.ts with their reasons.
          if (e instanceof UnsupportedError) continue
          throw e
        }
        const want = evaluate(graph, inputs)
        want.forEach((w, i) => {
          const t = w as Tensor
          expect(distance(got[i] as Tensor, t), `output ${i}`).toBeLessThanOrEqual(rounding[t.dtype] ?? 0)
        })
      }
    }
  },
)

test('every access of every example stays in its buffer, and the interpreter agrees with the reference', () => {
  let programs = 0
  for (const [name, op] of withExamples) {
    for (const example of op.examples!()) {
      const { graph, inputs } = caseOf(name, example, false)
      let program: ReturnType<typeof compile>
      let fixed: Graph
      try {
        fixed = prepare(specializeTo(graph, inputs))
        if (!isStaticGraph(fixed)) continue
        program = compile(fixed, { engine: engines['wasm-fast'] })
      } catch (e) {
        if (e instanceof UnsupportedError) continue
        throw e
      }
      if (program.buffers.some((b) => b.dtype === 'string')) continue
      for (const k of program.kernels) expect(checkLoops(k), name).toEqual([])
      const data = interpret(
        program,
        inputs.map((t) => t.data),
      )
      evaluate(graph, inputs).forEach((w, i) => {
        const t = w as Tensor
        const got = { dtype: t.dtype, shape: t.shape, data: data[i]!.slice(0, t.data.length) } as Tensor
        expect(distance(got, t), `${name}, output ${i}`).toBeLessThanOrEqual(rounding[t.dtype] ?? 0)
      })
      programs++
    }
  }
  expect(programs).toBeGreaterThan(80)
})
