// Control flow. Bodies are subgraphs that see nothing but their inputs; they become closed graphs.

import { GraphBuilder } from '../../../ir/graph.ts'
import { type Dim, type Graph, type Type, tensorType, type ValueId } from '../../../ir/types.ts'
import type { Operation, Row } from '../operation.ts'

/** Types of a body's inputs: the file's, with dimensions open where what comes in says otherwise. */
function bodyTypes(x: Operation, subgraph: number, values: readonly ValueId[]): Type[] {
  const infos = x.context.subgraphInputs(subgraph)
  if (infos.length !== values.length)
    x.fail(`subgraph ${subgraph}, expected ${infos.length} inputs, got ${values.length}`)
  return infos.map((t, i) => {
    const given = x.b.type(values[i]!)
    if (given.kind !== 'tensor' || !t.dtype || given.dtype !== t.dtype)
      return x.fail(`input ${i} of subgraph ${subgraph}, expected ${t.typeName}`)
    if (!given.shape || !t.signature || given.shape.length !== t.signature.length)
      return tensorType(t.dtype, null)
    return tensorType(
      t.dtype,
      given.shape.map((d, k): Dim => (d === t.signature![k] ? d : null)),
    )
  })
}

function branch(x: Operation, subgraph: number, values: readonly ValueId[]): Graph {
  const b = new GraphBuilder(`${x.name}:${subgraph}`)
  const types = bodyTypes(x, subgraph, values)
  const inputs = types.map((t, i) => b.input(`in${i}`, t))
  for (const v of x.context.inline(subgraph, b, inputs)) b.output(v)
  return b.finish()
}

const conditional: Row = (x) => {
  const values = x.inputs.slice(1).map((_, i) => x.input(i + 1))
  x.result('if', [x.input(0), ...values], {
    whenTrue: branch(x, x.number('then_subgraph_index'), values),
    whenFalse: branch(x, x.number('else_subgraph_index'), values),
  })
}

/** The condition is asked before the first step, and at the end of every step. */
const loop: Row = (x) => {
  const [condition, body] = [x.number('cond_subgraph_index'), x.number('body_subgraph_index')]
  const values = x.inputs.map((_, i) => x.input(i))
  const first = x.context.inline(condition, x.b, values)[0]
  const b = new GraphBuilder(`${x.name}:${body}`)
  const types = bodyTypes(x, body, values)
  b.input('iteration', tensorType('int64', []))
  b.input('condition', tensorType('bool', []))
  const states = types.map((t, i) => b.input(`state${i}`, t))
  const next = x.context.inline(body, b, states)
  if (next.length !== states.length) x.fail(`the body gives ${next.length} of ${states.length} values`)
  const again = x.context.inline(condition, b, next)[0]
  if (first === undefined || again === undefined) return x.fail('the condition gives nothing')
  for (const v of [again, ...next]) b.output(v)
  x.result('loop', [null, first, ...values], { body: b.finish(), states: states.length })
}

/** Another subgraph's operators in place of this one. */
function inlined(x: Operation, subgraph: number): void {
  const made = x.context.inline(
    subgraph,
    x.b,
    x.inputs.map((_, i) => x.input(i)),
  )
  if (made.length < x.outputs.length) x.fail(`subgraph ${subgraph} gives ${made.length} values`)
  x.outputs.forEach((_, i) => {
    x.is(made[i]!, i)
  })
}

export const controlRows: Readonly<Record<string, Row>> = {
  IF: conditional,
  WHILE: loop,
  CALL: (x) => inlined(x, x.number('subgraph')),
  // A named operator of a newer framework, with what it means beside it.
  STABLEHLO_COMPOSITE: (x) => inlined(x, x.number('decomposition_subgraph_index')),
}
