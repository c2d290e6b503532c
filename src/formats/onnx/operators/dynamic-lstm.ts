// DynamicQuantizeLSTM of onnxruntime: 8-bit weights; the input is quantised as a whole, the state anew at every step. Written out
// as a scan, so that every intermediate of it is there to be seen.

import { sizeOf, type Tensor, tensor } from '../../../core/tensor.ts'
import { GraphBuilder } from '../../../ir/graph.ts'
import { type Graph, tensorType, type ValueId } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'

/** Entry d of the first dimension. */
function entry(t: Tensor, d: number): Tensor {
  const shape = t.shape.slice(1)
  const n = sizeOf(shape)
  return tensor(t.dtype, shape, t.data.slice(d * n, (d + 1) * n))
}

type Weights = { readonly weights: Tensor; readonly scale: Tensor; readonly zero: Tensor }

/** float(x · weights in integers) · scales. `q`: the values, scale and zero point of x. */
function product(b: GraphBuilder, q: readonly ValueId[], w: Weights, name: string): ValueId {
  const [scale, zero] = [b.constant(w.scale, `${name}/scale`), b.constant(w.zero, `${name}/zero`)]
  const sums = b.node('matMulInteger', [q[0], b.constant(w.weights, `${name}/weights`), q[2], zero])
  return b.node('mul', [b.node('cast', [sums], { to: 'float32' }), b.node('mul', [q[1], scale])])
}

/** One step: states h and c, and the input's part of the gates, in the order i, o, f, c. */
function stepBody(name: string, recurrent: Weights): Graph {
  const hidden = recurrent.weights.shape[0]!
  const b = new GraphBuilder(name)
  const state = tensorType('float32', [null, hidden])
  const [h, c] = [b.input('h', state), b.input('c', state)]
  const x = b.input('x', tensorType('float32', [null, 4 * hidden]))
  const quantised = b.nodeOutputs('dynamicQuantizeLinear', [h], {}, { outputs: ['hq', 'hScale', 'hZero'] })
  const gates = b.node('add', [x, product(b, quantised, recurrent, 'recurrent')])
  const parts = b.nodeOutputs('split', [gates], { axis: 1 }, { outputs: ['i', 'o', 'f', 'g'] })
  const [input, output, forget] = parts.slice(0, 3).map((p) => b.node('sigmoid', [p]))
  const kept = b.node('mul', [forget, c])
  const cell = b.node('add', [kept, b.node('mul', [input, b.node('tanh', [parts[3]])])])
  const next = b.node('mul', [output, b.node('tanh', [cell])])
  for (const v of [next, cell, next]) b.output(v)
  return b.finish()
}

const constants = (c: Call, inputs: readonly number[]): Tensor[] =>
  inputs.map((i) => c.constant(i) ?? c.open(`a computed input ${i}`))

export const dynamicQuantizeLstm: Row = (c) => {
  if (c.get(4) !== null || c.get(7) !== null || c.has('clip') || c.flag('input_forget') || c.int('layout', 0))
    throw new NotSupported('DynamicQuantizeLSTM with lengths, peepholes, clip or another layout')
  const names = c.strings('activations') ?? []
  if (names.some((n, i) => n !== (i % 3 === 0 ? 'Sigmoid' : 'Tanh')))
    throw new NotSupported(`DynamicQuantizeLSTM with activations ${names}`, 'Sigmoid, Tanh, Tanh')
  const [w, r, wScale, wZero, rScale, rZero] = constants(c, [1, 2, 8, 9, 10, 11]) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ]
  const bias = c.get(3) === null ? undefined : constants(c, [3])[0]!
  const [directions, size] = w.shape as [number, number]
  const hidden = r.shape[1]!
  const batch = c.shape(0)?.[1] ?? null
  const quantised = c.mids(3, 'dynamicQuantizeLinear', [c.in(0)])
  const flat = c.mid('reshape', [quantised[0]!, c.int64([-1, size])])
  const shape = c.mid('shape', [c.in(0)])
  const gateShape = c.mid(
    'concat',
    [c.mid('slice', [shape, c.int64([0]), c.int64([2])]), c.int64([4 * hidden])],
    {
      axis: 0,
    },
  )
  const stateShape = c.mid(
    'concat',
    [c.mid('slice', [shape, c.int64([1]), c.int64([2])]), c.int64([hidden])],
    {
      axis: 0,
    },
  )
  const initial = (input: number, d: number): ValueId =>
    c.get(input) === null
      ? c.mid('constantOfShape', [stateShape])
      : c.mid('gather', [c.in(input), c.scalar('int64', d)], { axis: 0 })
  const results = Array.from({ length: directions }, (_, d) => {
    const part = (t: Tensor): Tensor => entry(t, d)
    const own = { weights: part(w), scale: part(wScale), zero: part(wZero) }
    let gates = product(c.b, [flat, quantised[1]!, quantised[2]!], own, `${c.name}/input${d}`)
    if (bias) {
      const both = part(bias).data as Float32Array
      const sum = Float32Array.from({ length: 4 * hidden }, (_, i) => both[i]! + both[4 * hidden + i]!)
      gates = c.mid('add', [gates, c.const(tensor('float32', [4 * hidden], sum), 'bias')])
    }
    const backward = d === 1 || c.string('direction', 'forward') === 'reverse'
    const body = stepBody(`${c.name}/step${d}`, { weights: part(r), scale: part(rScale), zero: part(rZero) })
    const [h, cell, y] = c.mids(
      3,
      'scan',
      [initial(5, d), initial(6, d), c.mid('reshape', [gates, gateShape])],
      {
        body,
        states: 2,
        scanned: 1,
        inputDirections: [backward ? 1 : 0],
        outputDirections: [backward ? 1 : 0],
      },
    )
    const lifted = (v: ValueId, axis: number): ValueId => c.mid('unsqueeze', [v], { axes: [axis] })
    return [lifted(y!, 1), lifted(h!, 0), lifted(cell!, 0)]
  })
  const outputs = [1, 0, 0].map((axis, k) =>
    c.b.node(
      'concat',
      results.map((p) => p[k]!),
      { axis },
      {
        name: k === 0 ? c.name : `${c.name}/state${k}`,
        outputs: [c.node.output[k] ?? ''],
        origin: [c.name],
      },
    ),
  )
  // The batch is what the input says, which a reshape by a computed shape has lost.
  if (batch !== null) {
    const known = [
      [null, directions, batch, hidden],
      [directions, batch, hidden],
      [directions, batch, hidden],
    ]
    outputs.forEach((v, k) => {
      c.b.refine(v, tensorType('float32', known[k]!))
    })
  }
  return outputs
}
