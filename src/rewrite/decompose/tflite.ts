// TensorFlow Lite's integer operators as plain integer operators: sums in int32 (int64 for 16-bit activations), fixed-point scaling
// by mulHigh and roundShift, limits, tables. Bit for bit what the operators themselves evaluate to.

import { sizeOf, tensorOf } from '../../core/tensor.ts'
import { numberOf, numbersOf, stringOf } from '../../ir/op.ts'
import { commonScale, spareBits } from '../../ir/ops/tflite-binary.ts'
import { type Multiplier, multiplierOf } from '../../ir/ops/tflite-fixed.ts'
import {
  activationRange,
  limitsOf,
  productMultipliers,
  roundingOf,
} from '../../ir/ops/tflite-quantization.ts'
import { integerTable, tfliteUnary } from '../../ir/ops/tflite-unary.ts'
import { meanMultiplier, resizePositions, resizePositionsReal } from '../../ir/ops/tflite-window.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter, open } from './fixed-point.ts'
import { tfliteHybridDecompositions } from './tflite-hybrid.ts'
import { tfliteLstm } from './tflite-lstm.ts'
import { tfliteL2Normalization, tfliteSoftmax } from './tflite-normalize.ts'

type Rule = (e: Emitter, inputs: readonly ValueId[], a: Attributes, bias: ValueId | null) => ValueId
const rule =
  (make: Rule): Decomposition =>
  (b, inputs, node) => [
    make(new Emitter(b, node.name), inputs as readonly ValueId[], node.attributes, inputs[2] ?? null),
  ]

const window = (a: Attributes): Attributes => ({
  strides: numbersOf(a, 'strides'),
  pads: numbersOf(a, 'pads'),
  dilations: numbersOf(a, 'dilations'),
  groups: numberOf(a, 'groups'),
  layout: 'channelsLast',
})

/** Accumulators of a product to the output's integers. */
function requantised(e: Emitter, sums: ValueId, a: Attributes, to: string, perChannel: boolean): ValueId {
  const dtype = to as 'int8'
  const zero = numberOf(a, 'outputZero')
  const range = activationRange(stringOf(a, 'activation'), dtype, numberOf(a, 'outputScale'), zero)
  let y: ValueId
  if (stringOf(a, 'scaling') === 'real') {
    const ratio = (f: number): number => (numberOf(a, 'inputScale') * f) / numberOf(a, 'outputScale')
    const factors = numbersOf(a, 'filterScales').map(ratio)
    const k = e.list('float64', factors, factors.length > 1 ? [factors.length] : [])
    y = e.cast(e.rounded(e.op('mul', [e.cast(sums, 'float64'), k])), 'int32')
  } else {
    const ms = productMultipliers(a, perChannel)
    y =
      stringOf(a, 'accumulator') === 'int64'
        ? e.scaledWide(e.cast(sums, 'int64'), ms)
        : e.scaled(sums, ms, roundingOf(a))
  }
  return e.finished(y, zero, range, dtype)
}

const accumulator = (a: Attributes): 'int32' | 'int64' => stringOf(a, 'accumulator') as 'int32'

/** Sums of 8-bit products, or of 16-bit ones in 64 bits. */
const conv: Rule = (e, [x, w], a, bias) => {
  const [xZero, wZero] = [numberOf(a, 'inputZero'), numberOf(a, 'filterZero')]
  let sums: ValueId
  if (e.dtype(x!) === 'int16') {
    const acc = accumulator(a)
    sums = e.op(
      'conv2d',
      [e.centred(x!, xZero, acc), e.centred(w!, wZero, acc), wide(e, bias, acc)],
      window(a),
    )
  } else {
    const zeros = [e.zeroPoint(x!, xZero), e.zeroPoint(w!, wZero)]
    sums = e.op('convInteger2d', [x!, w!, ...zeros], window(a))
    if (bias !== null) sums = e.op('add', [sums, bias])
  }
  return requantised(e, sums, a, e.dtype(x!), e.dtype(x!) !== 'uint8')
}

const wide = (e: Emitter, bias: ValueId | null, acc: 'int32' | 'int64'): ValueId | null =>
  bias === null ? null : e.centred(bias, 0, acc)

/** Integer sums of a matrix product. */
function matrixSums(e: Emitter, x: ValueId, y: ValueId, a: Attributes): ValueId {
  const [xZero, yZero] = [numberOf(a, 'inputZero'), numberOf(a, 'filterZero')]
  if (e.dtype(x) !== 'int16')
    return e.op('matMulInteger', [x, y, e.zeroPoint(x, xZero), e.zeroPoint(y, yZero)])
  const acc = accumulator(a)
  return e.op('matMul', [e.centred(x, xZero, acc), e.centred(y, yZero, acc)])
}

const convTranspose: Rule = (e, [x, w], a, bias) => {
  const acc = accumulator(a)
  const [input, filter] = [e.shape(x!), e.shape(w!)]
  if (!input || !filter) throw open('tfliteTransposeConv2d')
  const [strides, pads, size] = ['strides', 'pads', 'size'].map((k) => numbersOf(a, k)) as [
    readonly number[],
    readonly number[],
    readonly number[],
  ]
  const ends = size.map((s, i) => (input[i + 1]! - 1) * strides[i]! + filter[i + 2]! - pads[i]! - s)
  const sums = e.op(
    'convTranspose2d',
    [e.centred(x!, numberOf(a, 'inputZero'), acc), e.centred(w!, 0, acc), wide(e, bias, acc)],
    {
      strides,
      pads: [...pads, ...ends.map((d) => Math.max(d, 0))],
      outputPadding: ends.map((d) => Math.max(-d, 0)),
      layout: 'channelsLast',
    },
  )
  return requantised(e, sums, a, e.dtype(x!), true)
}

const fullyConnected: Rule = (e, [x, w], a, bias) => {
  const depth = e.shape(w!)?.[1]
  if (depth === undefined) throw open('tfliteFullyConnected')
  const flat = !a.keepDims || e.rank(x!) === 1
  const rows = flat ? e.op('reshape', [x!, e.list('int64', [-1, depth])]) : x!
  let sums = matrixSums(e, rows, e.turned(w!), a)
  if (bias !== null) sums = e.op('add', [sums, wide(e, bias, e.dtype(sums) as 'int32')])
  return requantised(e, sums, a, e.dtype(x!), numbersOf(a, 'filterScales').length > 1)
}

const batchMatMul: Rule = (e, [x, y], a) => requantised(e, matrixSums(e, x!, y!, a), a, e.dtype(x!), false)

/** Functions of one integer: a table of all of them. */
const unary =
  (op: string): Rule =>
  (e, [x], a) => {
    const from = e.dtype(x!)
    const to = (a.to as typeof from | undefined) ?? from
    if (from === 'int32') {
      // Only requantising takes 32 bits: too many for a table.
      const m = multiplierOf(numberOf(a, 'inputScale') / numberOf(a, 'outputScale'), roundingOf(a))
      const y = e.scaled(e.centred(x!, numberOf(a, 'inputZero'), 'int32'), [m], roundingOf(a))
      return e.finished(y, numberOf(a, 'outputZero'), limitsOf(to), to)
    }
    const table = integerTable(op, a, from, to)
    return e.lookedUp(tensorOf(to, [table.length], table), e.centred(x!, limitsOf(from)[0], 'int32'))
  }

const rangeOf = (a: Attributes, dtype: 'int8'): [number, number] =>
  activationRange(
    typeof a.activation === 'string' ? a.activation : 'none',
    dtype,
    numberOf(a, 'outputScale'),
    numberOf(a, 'outputZero'),
  )

const f = Math.fround

const sum =
  (op: 'add' | 'sub'): Rule =>
  (e, [x, y], a) => {
    const dtype = e.dtype(x!) as 'int8'
    const rounding = roundingOf(a)
    if (a.powerOfTwo === true) {
      const log = (name: string): number => Math.round(Math.log2(numberOf(a, name)))
      const [p, q] = (['inputScale', 'otherScale'] as const).map((name, i) =>
        e.op('roundShift', [
          e.cast([x!, y!][i]!, 'int32'),
          e.scalar('int32', log('outputScale') - log(name)),
        ]),
      )
      const total = e.op('clamp', [e.op(op, [p!, q!])], { low: -32768, high: 32767 })
      return e.finished(total, 0, rangeOf(a, dtype), dtype)
    }
    const c = commonScale(a, spareBits(dtype), false)
    const term = (v: ValueId, zero: number, m: Multiplier): ValueId =>
      e.scaled(e.with('shiftLeft', e.centred(v, zero, 'int32'), c.left), [m], rounding)
    const total = e.op(op, [term(x!, numberOf(a, 'inputZero'), c.x), term(y!, numberOf(a, 'otherZero'), c.y)])
    return e.finished(e.scaled(total, [c.out], rounding), numberOf(a, 'outputZero'), rangeOf(a, dtype), dtype)
  }

const squaredDifference: Rule = (e, [x, y], a) => {
  const dtype = e.dtype(x!) as 'int8'
  const rounding = roundingOf(a)
  const c = commonScale(a, 7, true)
  const term = (v: ValueId, zero: number, m: Multiplier): ValueId =>
    e.scaled(e.with('shiftLeft', e.centred(v, zero, 'int32'), 7), [m], rounding)
  const d = e.op('sub', [term(x!, numberOf(a, 'inputZero'), c.x), term(y!, numberOf(a, 'otherZero'), c.y)])
  const y2 = e.scaled(e.op('mul', [d, d]), [c.out], rounding)
  return e.finished(y2, numberOf(a, 'outputZero'), rangeOf(a, dtype), dtype)
}

const product: Rule = (e, [x, y], a) => {
  const dtype = e.dtype(x!) as 'int8'
  const real = f(f(numberOf(a, 'inputScale') * numberOf(a, 'otherScale')) / numberOf(a, 'outputScale'))
  const p = e.op('mul', [
    e.centred(x!, numberOf(a, 'inputZero'), 'int32'),
    e.centred(y!, numberOf(a, 'otherZero'), 'int32'),
  ])
  const m = multiplierOf(real, roundingOf(a))
  return e.finished(e.scaled(p, [m], roundingOf(a)), numberOf(a, 'outputZero'), rangeOf(a, dtype), dtype)
}

const prelu: Rule = (e, [x, y], a) => {
  const dtype = e.dtype(x!) as 'int8'
  const rounding = roundingOf(a)
  const [inScale, slopeScale, outScale] = ['inputScale', 'otherScale', 'outputScale'].map((k) =>
    numberOf(a, k),
  ) as [number, number, number]
  const p = e.centred(x!, numberOf(a, 'inputZero'), 'int32')
  const straight = e.scaled(p, [multiplierOf(f(inScale / outScale), rounding)], rounding)
  const slope = multiplierOf(f(f(inScale * slopeScale) / outScale), rounding)
  const bent = e.op('mul', [p, e.centred(y!, numberOf(a, 'otherZero'), 'int32')])
  const chosen = e.op('where', [e.with('less', p, 0), e.scaled(bent, [slope], rounding), straight])
  return e.finished(chosen, numberOf(a, 'outputZero'), limitsOf(dtype), dtype)
}

const compare: Rule = (e, [x, y], a) => {
  const rounding = roundingOf(a)
  const term = (v: ValueId, name: string): ValueId =>
    e.scaled(
      e.with('shiftLeft', e.centred(v, numberOf(a, `${name}Zero`), 'int32'), 8),
      [multiplierOf(numberOf(a, `${name}Scale`), rounding)],
      rounding,
    )
  return e.op(stringOf(a, 'relation'), [term(x!, 'input'), term(y!, 'other')])
}

const reduced = (e: Emitter, x: ValueId, a: Attributes): { sum: ValueId; count: number } => {
  const shape = e.shape(x)
  const axes = numbersOf(a, 'axes').map((k) => (k < 0 ? k + (e.rank(x) ?? 0) : k))
  const t = e.b.type(x)
  const dims = axes.map((k) => (t.kind === 'tensor' ? t.shape?.[k] : undefined))
  if (!shape && dims.some((d) => typeof d !== 'number')) throw open('tfliteMean')
  const sum = e.op('reduceSum', [e.cast(x, 'int32'), e.list('int64', axes)], {
    keepDims: a.keepDims === true,
    noopWithEmptyAxes: true,
  })
  return { sum, count: sizeOf(dims as number[]) }
}

const mean: Rule = (e, [x], a) => {
  const { sum, count } = reduced(e, x!, a)
  const centred = e.with('sub', sum, numberOf(a, 'inputZero') * count)
  const y = e.scaled(centred, [meanMultiplier(a, Math.max(count, 1))], roundingOf(a))
  return e.finished(y, numberOf(a, 'outputZero'), limitsOf(e.dtype(x!)), e.dtype(x!))
}

const total: Rule = (e, [x], a) => {
  const { sum, count } = reduced(e, x!, a)
  const scale = f(numberOf(a, 'inputScale') / numberOf(a, 'outputScale'))
  const bias = f(f(-numberOf(a, 'inputZero') * scale) * count)
  const real = e.with('add', e.with('mul', e.cast(sum, 'float32'), scale), bias)
  const y = e.cast(e.rounded(e.cast(real, 'float64')), 'int32')
  return e.finished(y, numberOf(a, 'outputZero'), limitsOf(e.dtype(x!)), e.dtype(x!))
}

/** Sums of windows as a convolution with ones, divided by how many elements of the window lie inside. */
const averagePool: Rule = (e, [x], a) => {
  const shape = e.b.type(x!)
  const dims = shape.kind === 'tensor' ? shape.shape : null
  const [h, w, c] = [dims?.[1], dims?.[2], dims?.[3]]
  if (typeof h !== 'number' || typeof w !== 'number' || typeof c !== 'number')
    throw open('tfliteAveragePool2d')
  const [kernel, strides, pads] = ['kernel', 'strides', 'pads'].map((k) => numbersOf(a, k)) as [
    readonly number[],
    readonly number[],
    readonly number[],
  ]
  const narrow = e.dtype(x!) !== 'int16'
  const one = narrow ? e.dtype(x!) : 'int32'
  const ones = e.list(one, new Array<number>(c * sizeOf(kernel)).fill(1), [c, 1, ...kernel])
  const attributes = { strides, pads, groups: c, layout: 'channelsLast' }
  const sums = narrow
    ? e.op('convInteger2d', [x!, ones], attributes)
    : e.op('conv2d', [e.cast(x!, 'int32'), ones], attributes)
  const inside = (size: number, k: number, stride: number, pad: number, end: number): number[] =>
    Array.from({ length: Math.floor((size + pad + end - k) / stride) + 1 }, (_, i) => {
      const from = i * stride - pad
      return Math.min(from + k, size) - Math.max(from, 0)
    })
  const rows = inside(h, kernel[0]!, strides[0]!, pads[0]!, pads[2]!)
  const columns = inside(w, kernel[1]!, strides[1]!, pads[1]!, pads[3]!)
  const counts = rows.flatMap((r) => columns.map((k) => Math.max(r * k, 1)))
  const place = [1, rows.length, columns.length, 1]
  const half = e.list(
    'int32',
    counts.map((n) => Math.trunc(n / 2)),
    place,
  )
  const away = e.op('where', [
    e.with('greater', sums, 0),
    e.op('add', [sums, half]),
    e.op('sub', [sums, half]),
  ])
  const dtype = e.dtype(x!) as 'int8'
  return e.finished(e.op('div', [away, e.list('int32', counts, place)]), 0, rangeOf(a, dtype), dtype)
}

/** Of uint8, in float32: the four corners weighted and added in the runtime's order. */
function resizeReal(
  e: Emitter,
  x: ValueId,
  from: readonly [number, number],
  to: readonly [number, number],
  align: boolean,
  half: boolean,
): ValueId {
  const [ys, xs] = [0, 1].map((k) => resizePositionsReal(from[k]!, to[k]!, align, half))
  const input = e.cast(x, 'float32')
  type Side = 'low' | 'high'
  const weights = (of: typeof ys, side: Side, shape: readonly number[]): ValueId => {
    const values = of!.map((p) => (side === 'low' ? f(1 - p.weight) : p.weight))
    return e.list('float32', values, shape)
  }
  const corner = (row: Side, column: Side): ValueId => {
    const rows = e.op(
      'gather',
      [
        input,
        e.list(
          'int64',
          ys!.map((p) => p[row]),
        ),
      ],
      { axis: 1 },
    )
    const both = e.op(
      'gather',
      [
        rows,
        e.list(
          'int64',
          xs!.map((p) => p[column]),
        ),
      ],
      { axis: 2 },
    )
    const down = e.op('mul', [both, weights(ys, row, [to[0], 1, 1])])
    return e.op('mul', [down, weights(xs, column, [to[1], 1])])
  }
  let sum = e.op('add', [corner('low', 'low'), corner('high', 'low')])
  sum = e.op('add', [sum, corner('low', 'high')])
  sum = e.op('add', [sum, corner('high', 'high')])
  return e.cast(e.with('add', sum, 0.5), 'uint8')
}

/** Two rows and two columns gathered for each output, weighted in 20 bits below the point. */
const resizeBilinear: Rule = (e, [x], a) => {
  const t = e.b.type(x!)
  const dims = t.kind === 'tensor' ? t.shape : null
  const [h, w] = [dims?.[1], dims?.[2]]
  if (typeof h !== 'number' || typeof w !== 'number') throw open('tfliteResizeBilinear')
  const [oh, ow] = numbersOf(a, 'size') as [number, number]
  const [align, half] = [a.alignCorners === true, a.halfPixelCenters === true]
  if (e.dtype(x!) === 'uint8') return resizeReal(e, x!, [h, w], [oh, ow], align, half)
  const ys = resizePositions(h, oh, align, half)
  const xs = resizePositions(w, ow, align, half)
  const dtype = e.dtype(x!)
  const acc = dtype === 'int16' ? 'int64' : 'int32'
  const input = e.cast(x!, acc)
  const part = (v: ValueId, axis: 1 | 2, of: typeof ys, which: 'low' | 'high'): ValueId => {
    const taken = e.op(
      'gather',
      [
        v,
        e.list(
          'int64',
          of.map((p) => p[which]),
        ),
      ],
      { axis },
    )
    const weights = of.map((p) => (which === 'low' ? 1024 - p.weight : p.weight))
    return e.op('mul', [taken, e.list(acc, weights, axis === 1 ? [of.length, 1, 1] : [of.length, 1])])
  }
  const both = (v: ValueId, axis: 1 | 2, of: typeof ys): ValueId =>
    e.op('add', [part(v, axis, of, 'low'), part(v, axis, of, 'high')])
  const s = both(both(input, 1, ys), 2, xs)
  const nudged = e.op('where', [e.with('greater', s, 0), e.with('add', s, 524288), e.with('sub', s, 524288)])
  return e.cast(e.with('div', nudged, 1048576), dtype)
}

/** A per-axis constant in the shape that broadcasts against x. */
function perAxis(
  e: Emitter,
  x: ValueId,
  a: Attributes,
  values: readonly number[],
  dtype: 'float32' | 'int32',
): ValueId {
  if (values.length === 1) return e.scalar(dtype, values[0]!)
  const rank = e.rank(x) ?? 0
  const axis = numberOf(a, 'axis') < 0 ? numberOf(a, 'axis') + rank : numberOf(a, 'axis')
  return e.list(dtype, values, [values.length, ...new Array<number>(rank - axis - 1).fill(1)])
}
const zerosOf = (a: Attributes): readonly number[] => {
  const [scales, zeros] = [numbersOf(a, 'scales'), numbersOf(a, 'zeros')]
  return scales.map((_, i) => zeros[i] ?? zeros[0] ?? 0)
}

const quantize: Rule = (e, [x], a) => {
  const to = stringOf(a, 'to') as 'int8'
  const steps = e.op('div', [x!, perAxis(e, x!, a, numbersOf(a, 'scales'), 'float32')])
  // Clamped before the cast: what lies beyond 32 bits has no integer.
  const limits = { low: -(2 ** 31), high: 2 ** 31 - 1 }
  const whole = e.cast(e.op('clamp', [e.rounded(e.cast(steps, 'float64'))], limits), 'int64')
  const shifted = e.op('add', [whole, e.cast(perAxis(e, x!, a, zerosOf(a), 'int32'), 'int64')])
  const [low, high] = limitsOf(to)
  return e.cast(e.op('clamp', [shifted], { low, high }), to)
}

const dequantize: Rule = (e, [x], a) => {
  const centred = e.op('sub', [e.cast(x!, 'int32'), perAxis(e, x!, a, zerosOf(a), 'int32')])
  return e.op('mul', [e.cast(centred, 'float32'), perAxis(e, x!, a, numbersOf(a, 'scales'), 'float32')])
}

export const tfliteDecompositions: Decompositions = {
  tfliteConv2d: rule(conv),
  tfliteLstm,
  tfliteTransposeConv2d: rule(convTranspose),
  tfliteFullyConnected: rule(fullyConnected),
  tfliteBatchMatMul: rule(batchMatMul),
  tfliteAdd: rule(sum('add')),
  tfliteSub: rule(sum('sub')),
  tfliteMul: rule(product),
  tfliteSquaredDifference: rule(squaredDifference),
  tflitePrelu: rule(prelu),
  tfliteCompare: rule(compare),
  tfliteMean: rule(mean),
  tfliteSum: rule(total),
  tfliteAveragePool2d: rule(averagePool),
  tfliteResizeBilinear: rule(resizeBilinear),
  tfliteSoftmax: rule((e, [x], a) => tfliteSoftmax(e, x!, a)),
  tfliteL2Normalization: rule((e, [x], a) => tfliteL2Normalization(e, x!, a)),
  tfliteQuantize: rule(quantize),
  tfliteDequantize: rule(dequantize),
  ...Object.fromEntries(Object.keys(tfliteUnary).map((op) => [op, rule(unary(op))])),
  ...tfliteHybridDecompositions,
}
