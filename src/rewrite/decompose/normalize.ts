// Normalisations and what else is a few elementwise operators and reductions: softmax, norms by mean and variance, log-sum-exp.

import type { DType } from '../../core/dtype.ts'
import { sizeOf } from '../../core/tensor.ts'
import type { ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter } from './fixed-point.ts'

type Rule = (
  e: Emitter,
  inputs: readonly (ValueId | null)[],
  a: Parameters<Decomposition>[2]['attributes'],
  outputs: number,
) => readonly ValueId[]
const rule =
  (make: Rule): Decomposition =>
  (b, inputs, node) =>
    make(new Emitter(b, node.name), inputs, node.attributes, node.types.length)

const reduce = (e: Emitter, op: string, x: ValueId, axes: readonly number[]): ValueId =>
  e.op(op, [x, e.list('int64', axes)], { keepDims: true })
export const reshaped = (e: Emitter, x: ValueId, shape: readonly number[]): ValueId =>
  e.op('reshape', [x, e.list('int64', shape)], {})
const axisIn = (axis: unknown, rank: number): number => {
  const a = Number(axis)
  return a < 0 ? a + rank : a
}
const from = (axis: number, rank: number): number[] => Array.from({ length: rank - axis }, (_, i) => axis + i)

/** (x − mean) / √(variance + ε) over axes, with mean and inverse deviation. */
function standardised(
  e: Emitter,
  x: ValueId,
  axes: readonly number[],
  epsilon: number,
): [ValueId, ValueId, ValueId] {
  const mean = reduce(e, 'reduceMean', x, axes)
  const centred = e.op('sub', [x, mean])
  const variance = reduce(e, 'reduceMean', e.op('mul', [centred, centred]), axes)
  const inverse = e.op('rsqrt', [e.with('add', variance, epsilon)])
  return [e.op('mul', [centred, inverse]), mean, inverse]
}

/** A value a channel, shaped to broadcast against x. */
function perChannel(e: Emitter, v: ValueId, x: ValueId, layout: unknown): ValueId {
  const rank = e.rank(x)!
  const after = layout === 'channelsLast' ? 0 : Math.max(0, rank - 2)
  return after === 0 ? v : reshaped(e, v, [sizeOf(e.shape(v)!), ...new Array<number>(after).fill(1)])
}

const softmax: Rule = (e, [x], a) => {
  const axis = [axisIn(a.axis, e.rank(x!)!)]
  const exp = e.op('exp', [e.op('sub', [x!, reduce(e, 'reduceMax', x!, axis)])])
  return [e.op('div', [exp, reduce(e, 'reduceSum', exp, axis)])]
}

const logSoftmax: Rule = (e, [x], a) => {
  const axis = [axisIn(a.axis, e.rank(x!)!)]
  const shifted = e.op('sub', [x!, reduce(e, 'reduceMax', x!, axis)])
  return [e.op('sub', [shifted, e.op('log', [reduce(e, 'reduceSum', e.op('exp', [shifted]), axis)])])]
}

const hardmax: Rule = (e, [x], a) => {
  const shape = e.shape(x!)!
  const axis = axisIn(a.axis, shape.length)
  const best = e.op('argMax', [x!], { axis, keepDims: true })
  const n = shape[axis]!
  const positions = e.list(
    'int64',
    Array.from({ length: n }, (_, i) => i),
    shape.map((_, d) => (d === axis ? n : 1)),
  )
  return [e.cast(e.op('equal', [best, positions]), e.dtype(x!))]
}

const reduceLogSumExp: Rule = (e, [x, axes], a) => {
  const keep = { keepDims: true, noopWithEmptyAxes: a.noopWithEmptyAxes! }
  const most = e.op('reduceMax', [x!, axes ?? null], keep)
  // Infinite maxima answer for themselves: their difference with x would be NaN.
  const finite = e.op('where', [e.op('isInf', [most]), zeroLike(e, most), most])
  const sum = e.op('reduceSum', [e.op('exp', [e.op('sub', [x!, finite])]), axes ?? null], keep)
  const result = e.op('add', [e.op('log', [sum]), finite])
  if (a.keepDims) return [result]
  const shape = e.shape(e.op('reduceMax', [x!, axes ?? null], { ...keep, keepDims: false }))!
  return [reshaped(e, result, shape)]
}
const zeroLike = (e: Emitter, x: ValueId): ValueId => e.scalar(e.dtype(x), 0)

const lpNorm: Rule = (e, [x], a) => {
  const axis = [axisIn(a.axis, e.rank(x!)!)]
  const sum = a.p === 1 ? reduce(e, 'reduceL1', x!, axis) : reduce(e, 'reduceSumSquare', x!, axis)
  const limited = e.with('max', sum, Number(a.epsilon))
  const norm = a.p === 1 ? limited : e.op('sqrt', [limited])
  const none = e.with('equal', norm, 0)
  return [e.op('where', [none, zeroLike(e, x!), e.op('div', [x!, norm])])]
}

const batchNorm: Rule = (e, [x, scale, bias, mean, variance], a) => {
  const to = (v: ValueId): ValueId => e.cast(perChannel(e, v, x!, a.layout), e.dtype(x!))
  const factor = e.op('div', [scale!, e.op('sqrt', [e.with('add', variance!, Number(a.epsilon))])])
  return [e.op('add', [e.op('mul', [e.op('sub', [x!, to(mean!)]), to(factor)]), to(bias!)])]
}

const instanceNorm: Rule = (e, [x, scale, bias], a) => {
  const rank = e.rank(x!)!
  const axes = a.layout === 'channelsLast' ? from(1, rank - 1) : from(2, rank)
  const [y] = standardised(e, x!, axes, Number(a.epsilon))
  const to = (v: ValueId): ValueId => perChannel(e, v, x!, a.layout)
  return [e.op('add', [e.op('mul', [y, to(scale!)]), to(bias!)])]
}

const groupNorm: Rule = (e, [x, scale, bias], a) => {
  const shape = e.shape(x!)!
  const groups = Number(a.groups)
  const last = a.layout === 'channelsLast'
  const channels = last ? shape.at(-1)! : shape[1]!
  const split = last
    ? [...shape.slice(0, -1), groups, channels / groups]
    : [shape[0]!, groups, channels / groups, ...shape.slice(2)]
  const axes = split.map((_, d) => d).filter((d) => d !== 0 && d !== (last ? split.length - 2 : 1))
  const [y] = standardised(e, reshaped(e, x!, split), axes, Number(a.epsilon))
  // One scale a channel, or (opset 18) one a group.
  const to = (v: ValueId): ValueId => {
    const n = sizeOf(e.shape(v)!)
    const parts = n === channels ? [groups, channels / groups] : [n, 1]
    return reshaped(e, v, last ? parts : [...parts, ...shape.slice(2).map(() => 1)])
  }
  return [reshaped(e, e.op('add', [e.op('mul', [y, to(scale!)]), to(bias!)]), shape)]
}

const layerNorm: Rule = (e, [x, scale, bias], a, outputs) => {
  const rank = e.rank(x!)!
  const own = e.dtype(x!)
  const stash = a.stash as DType
  const [y, mean, inverse] = standardised(
    e,
    e.cast(x!, stash),
    from(axisIn(a.axis, rank), rank),
    Number(a.epsilon),
  )
  let out = e.cast(y, own)
  if (scale != null) out = e.op('mul', [out, scale])
  if (bias != null) out = e.op('add', [out, bias])
  return [out, mean, inverse].slice(0, outputs)
}

const rmsNorm: Rule = (e, [x, scale], a) => {
  const rank = e.rank(x!)!
  const axes = from(axisIn(a.axis, rank), rank)
  const square = reduce(e, 'reduceMean', e.op('mul', [x!, x!]), axes)
  const y = e.op('mul', [x!, e.op('rsqrt', [e.with('add', square, Number(a.epsilon))])])
  return [scale != null ? e.op('mul', [y, scale]) : y]
}

const lrn: Rule = (e, [x], a) => {
  const shape = e.shape(x!)!
  const size = Number(a.size)
  const axis = a.layout === 'channelsLast' ? shape.length - 1 : 1
  const before = Math.floor((size - 1) / 2)
  const pads = (n: number): number[] => shape.map((_, d) => (d === axis ? n : 0))
  const square = e.op('pad', [
    e.op('mul', [x!, x!]),
    e.list('int64', [...pads(before), ...pads(size - 1 - before)]),
  ])
  let sum: ValueId | undefined
  for (let i = 0; i < size; i++) {
    const part = e.op('slice', [
      square,
      e.list('int64', [i]),
      e.list('int64', [i + shape[axis]!]),
      e.list('int64', [axis]),
    ])
    sum = sum === undefined ? part : e.op('add', [sum, part])
  }
  const scaled = e.with('add', e.with('mul', sum!, Number(a.alpha) / size), Number(a.bias))
  return [e.op('div', [x!, e.with('pow', scaled, Number(a.beta))])]
}

export const normalizeDecompositions: Decompositions = {
  softmax: rule(softmax),
  logSoftmax: rule(logSoftmax),
  hardmax: rule(hardmax),
  reduceLogSumExp: rule(reduceLogSumExp),
  lpNorm: rule(lpNorm),
  batchNorm: rule(batchNorm),
  instanceNorm: rule(instanceNorm),
  groupNorm: rule(groupNorm),
  layerNorm: rule(layerNorm),
  rmsNorm: rule(rmsNorm),
  lrn: rule(lrn),
}
