// TensorFlow Lite's dynamic-range products: the quantisation of activations on the fly, spelled out.

import { numbers, tensor } from '../../core/tensor.ts'
import { numberOf, numbersOf, stringOf } from '../../ir/op.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter, open } from './fixed-point.ts'

type Quantised = { readonly values: ValueId; readonly scale: ValueId; readonly zero: ValueId | null }

/** Real numbers as 8-bit integers with one scale, and zero point (int32), along `axes`. */
function quantised(e: Emitter, x: ValueId, axes: readonly number[], asymmetric: boolean): Quantised {
  const along = e.list('int64', [...axes])
  const extreme = (op: string): ValueId => e.op(op, [x, along], { keepDims: true })
  const one = (v: ValueId, empty: ValueId): ValueId => e.op('where', [empty, e.scalar('float32', 1), v])
  if (!asymmetric) {
    const range = e.op('max', [e.op('abs', [extreme('reduceMin')]), e.op('abs', [extreme('reduceMax')])])
    const empty = e.with('equal', range, 0)
    const safe = one(range, empty)
    const steps = e.op('mul', [x, e.op('div', [e.scalar('float32', 127), safe])])
    const q = e.op('clamp', [e.rounded(e.cast(steps, 'float64'))], { low: -127, high: 127 })
    return {
      values: e.cast(q, 'int8'),
      scale: one(e.with('div', safe, 127), empty),
      zero: null,
    }
  }
  const min = e.with('min', e.cast(extreme('reduceMin'), 'float64'), 0)
  const max = e.with('max', e.cast(extreme('reduceMax'), 'float64'), 0)
  const empty = e.op('equal', [min, max])
  const span = e.op('where', [empty, e.scalar('float64', 255), e.op('sub', [max, min])])
  const exact = e.with('div', span, 255)
  const [low, high] = [e.op('div', [min, exact]), e.op('div', [max, exact])]
  const fromMin = e.op('sub', [e.scalar('float64', -128), low])
  const fromMax = e.op('sub', [e.scalar('float64', 127), high])
  const nearer = e.op('less', [
    e.with('add', e.op('abs', [low]), 128),
    e.with('add', e.op('abs', [high]), 127),
  ])
  const best = e.op('clamp', [e.op('where', [nearer, fromMin, fromMax])], { low: -128, high: 127 })
  const zero = e.op('where', [empty, e.scalar('float64', 0), e.rounded(best)])
  const scale = e.cast(exact, 'float32')
  const steps = e.op('mul', [x, e.op('div', [e.scalar('float32', 1), scale])])
  const placed = e.op('add', [e.cast(zero, 'float32'), steps])
  const q = e.op('clamp', [e.rounded(e.cast(placed, 'float64'))], { low: -128, high: 127 })
  return { values: e.cast(q, 'int8'), scale, zero: e.cast(zero, 'int32') }
}

/** Integer sums times the scales of activations and filters, plus bias, within the activation's limits. */
function finished(e: Emitter, sums: ValueId, scale: ValueId, bias: ValueId | null, a: Attributes): ValueId {
  const filters = numbersOf(a, 'filterScales')
  const both = e.op('mul', [scale, e.list('float32', filters, filters.length > 1 ? [filters.length] : [])])
  let y = e.op('mul', [e.cast(sums, 'float32'), both])
  if (bias !== null) y = e.op('add', [y, bias])
  const activation = stringOf(a, 'activation')
  if (activation === 'relu') return e.op('relu', [y])
  if (activation === 'relu6') return e.op('clamp', [y], { low: 0, high: 6 })
  if (activation === 'reluN1To1') return e.op('clamp', [y], { low: -1, high: 1 })
  return y
}

/** A zero point as a scalar of 8 bits. */
const one8 = (e: Emitter, zero: ValueId): ValueId =>
  e.op('reshape', [e.cast(zero, 'int8'), e.list('int64', [])])

/** Sums of a matrix over its rows, in int32. */
function columnSums(e: Emitter, m: ValueId): ValueId {
  const c = e.b.constantOf(m)
  if (!c) return e.op('reduceSum', [e.cast(m, 'int32'), e.list('int64', [0])], { keepDims: false })
  const [rows, columns] = c.shape as [number, number]
  const data = numbers(c)
  const sums = new Int32Array(columns)
  for (let i = 0; i < rows * columns; i++) sums[i % columns]! += data[i]!
  return e.b.constant(tensor('int32', [columns], sums), `${e.b.nameOf(m)}:sums`)
}

const conv: Decomposition = (b, inputs, node) => {
  const e = new Emitter(b, node.name)
  const [x, w] = inputs as [ValueId, ValueId]
  const a = node.attributes
  const q = quantised(e, x, [1, 2, 3], a.asymmetric === true)
  const window = {
    strides: numbersOf(a, 'strides'),
    pads: numbersOf(a, 'pads'),
    dilations: numbersOf(a, 'dilations'),
    groups: numberOf(a, 'groups'),
    layout: 'channelsLast',
  }
  // Products of bytes take one zero point for all images.
  const sums =
    q.zero === null || e.shape(x)?.[0] === 1
      ? e.op('convInteger2d', [q.values, e.centred(w, 0, 'int8'), q.zero && one8(e, q.zero), null], window)
      : e.op('conv2d', [e.op('sub', [e.cast(q.values, 'int32'), q.zero]), e.centred(w, 0, 'int32')], window)
  return [finished(e, sums, q.scale, inputs[2] ?? null, a)]
}

const fullyConnected: Decomposition = (b, inputs, node) => {
  const e = new Emitter(b, node.name)
  const [x, w] = inputs as [ValueId, ValueId]
  const a = node.attributes
  const depth = e.shape(w)?.[1]
  if (depth === undefined) throw open('tfliteHybridFullyConnected')
  const rows = !a.keepDims || e.rank(x) === 1 ? e.op('reshape', [x, e.list('int64', [-1, depth])]) : x
  const q = quantised(e, rows, [-1], a.asymmetric === true)
  // Without a zero point, onnxruntime 1.30 fuses product, cast and scales, and takes the first row's scale for all rows: of more than
  // one row it gets a plain product.
  const single = e.shape(rows)?.at(-2) === 1 && e.rank(rows) === 2
  const plain = q.zero === null && !single
  const weights = e.turned(e.centred(w, 0, plain ? 'int32' : 'int8'))
  let sums = plain
    ? e.op('matMul', [e.cast(q.values, 'int32'), weights])
    : e.op('matMulInteger', [q.values, weights, null, null])
  // Σ (q − zero) · w, the zero point one for each row.
  if (q.zero !== null) sums = e.op('sub', [sums, e.op('mul', [q.zero, columnSums(e, weights)])])
  return [finished(e, sums, q.scale, inputs[2] ?? null, a)]
}

export const tfliteHybridDecompositions: Decompositions = {
  tfliteHybridConv2d: conv,
  tfliteHybridFullyConnected: fullyConnected,
}
