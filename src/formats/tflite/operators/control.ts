// Control flow and recurrent layers. Bodies are subgraphs that see nothing but their inputs; they become closed graphs.

import { sizeOf, type Tensor, tensor } from '../../../core/tensor.ts'
import { GraphBuilder } from '../../../ir/graph.ts'
import { type Dim, type Graph, type Type, tensorType, type ValueId } from '../../../ir/types.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'

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

/** Weights of gates as one tensor with a leading dimension of one direction. */
function stack(x: Operation, inputs: readonly number[]): Tensor {
  const parts = inputs.map((i) => {
    const t = x.constant(i)
    if (t?.dtype !== 'float32') throw new NotSupported(`${x.op} with weights other than constant float32`)
    return t
  })
  const shape = parts[0]!.shape
  if (parts.some((p) => p.shape.join() !== shape.join())) x.fail('weights of different shapes')
  const each = sizeOf(shape)
  const data = new Float32Array(each * parts.length)
  parts.forEach((p, i) => {
    data.set(p.data as Float32Array, i * each)
  })
  return tensor('float32', [1, shape[0]! * parts.length, ...shape.slice(1)], data)
}

/**
 * UNIDIRECTIONAL_SEQUENCE_LSTM. Inputs: x; weights of i, f, c, o; recurrent ones; peepholes of i, f, o; biases of i, f, c, o;
 * projection; states h and c; layer norm. The states are variables: here they start anew with every run.
 */
const sequenceLstm: Row = (x) => {
  if (x.tensor(0).dtype !== 'float32') throw new NotSupported(`${x.op} of ${x.tensor(0).dtype}`)
  if (x.has(16) || x.has(17)) throw new NotSupported(`${x.op} with a projection`)
  if ([20, 21, 22, 23].some((i) => x.has(i))) throw new NotSupported(`${x.op} with layer normalisation`)
  if (!x.has(1)) throw new NotSupported(`${x.op} with coupled input and forget gates`)
  if (x.boolean('diagonal_recurrent_tensors')) throw new NotSupported(`${x.op} with diagonal weights`)
  const activation = { none: 'Affine', relu: 'Relu', tanh: 'Tanh', relu6: '', reluN1To1: '' }[x.activation()]
  if (!activation) throw new NotSupported(`${x.op} with ${x.activation()}`)
  const constant = (t: Tensor, name: string): ValueId => x.b.constant(t, `${x.name}:${name}`)
  // i, f, c, o in the file; i, o, f, c in the graph.
  const weights = stack(x, [1, 4, 2, 3])
  const recurrent = stack(x, [5, 8, 6, 7])
  const hidden = recurrent.shape[2]!
  const bias = stack(x, [12, 15, 13, 14])
  const both = new Float32Array(8 * hidden)
  both.set(bias.data as Float32Array)
  const peepholes = x.has(9) ? constant(stack(x, [9, 11, 10]), 'peepholes') : null
  const timeFirst = x.boolean('time_major')
  const state = (i: number): ValueId => x.node('unsqueeze', [x.input(i)], { axes: [timeFirst ? 0 : 1] })
  const y = x.node(
    'lstm',
    [
      x.input(0),
      constant(weights, 'weights'),
      constant(recurrent, 'recurrent'),
      constant(tensor('float32', [1, 8 * hidden], both), 'bias'),
      null,
      state(18),
      state(19),
      peepholes,
    ],
    {
      layout: timeFirst ? 'timeFirst' : 'batchFirst',
      ...(x.number('cell_clip') > 0 && { cellClip: x.number('cell_clip') }),
      ...(activation !== 'Tanh' && { activations: ['Sigmoid', activation, activation] }),
    },
  )
  x.result('squeeze', [y], { axes: [timeFirst ? 1 : 2] })
}

export const controlRows: Readonly<Record<string, Row>> = {
  IF: conditional,
  WHILE: loop,
  CALL: (x) => inlined(x, x.number('subgraph')),
  // A named operator of a newer framework, with what it means beside it.
  STABLEHLO_COMPOSITE: (x) => inlined(x, x.number('decomposition_subgraph_index')),
  UNIDIRECTIONAL_SEQUENCE_LSTM: sequenceLstm,
}
