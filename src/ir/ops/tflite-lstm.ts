// TensorFlow Lite's LSTM on integers: 8-bit activations and weights, 16-bit gates (Q3.12 before, Q0.15 behind their functions) and
// cell states. Source: LiteRT, tflite/kernels/lstm_eval.cc (LstmStepInteger8x8_16).

import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import { type Evaluate, inputType, numberOf, numbersOf, type Op, product, stringOf } from '../op.ts'
import { type Attributes, tensorType } from '../types.ts'
import { type Multiplier, multiplierOf, scaled, shiftRight } from './tflite-fixed.ts'
import { affineAttributes, number } from './tflite-quantization.ts'

const wrap = (x: number): number => (x << 16) >> 16
const clamp = (x: number): number => Math.min(32767, Math.max(-32768, x))
/** gemmlowp's SaturatingRoundingDoublingHighMul of 16 bits. */
const mul = (a: number, b: number): number =>
  a === -32768 && b === -32768 ? 32767 : (a * b + (1 << 14)) >> 15
const constant = (q31: number): number => shiftRight(q31, 16)
const one = 32767

/** exp(a) as Q0.15 of a negative number with `bits` integer bits. */
function expOfNegative(a: number, bits: number): number {
  if (a === 0) return one
  const fraction = 15 - bits
  if (bits > 5 && a < -(1 << (20 - bits))) return 0
  const quarter = 2 ** (fraction - 2)
  const part = (a & (quarter - 1)) - quarter
  const x = part * 2 ** bits + (1 << 12)
  const x2 = mul(x, x)
  const x3 = mul(x2, x)
  const x4 = mul(x2, x2)
  const tail = shiftRight(wrap(mul(shiftRight(x4, 2) + x3, constant(715827883)) + x2), 1)
  const first = constant(1895147668)
  let y = clamp(first + mul(first, wrap(x + tail)))
  const rest = wrap(part - a)
  const factors = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242]
  factors.forEach((m, i) => {
    const exponent = i - 2
    if (bits > exponent && rest & (1 << (fraction + exponent))) y = mul(y, constant(m))
  })
  return y
}

/** 1 / (½ + a / 2) as Q2.13 for a in [0, 1) as Q0.15: Newton's method. */
function reciprocalOfHalf(a: number): number {
  const half = Math.trunc((a + one + 1) / 2)
  let x = constant(1515870810) + mul(half, constant(-1010580540))
  for (let i = 0; i < 3; i++) x = wrap(x + clamp(mul(x, wrap((1 << 13) - mul(half, x))) * 4))
  return x
}

/** Logistic function of Q3.12 as Q0.15. */
export function logistic16(q: number): number {
  if (q === 0) return 1 << 14
  const y = clamp(reciprocalOfHalf(expOfNegative(-Math.abs(q), 3)) * 2)
  return q > 0 ? y : wrap(one - y)
}

/** Hyperbolic tangent of a number with `bits` integer bits as Q0.15. */
export function tanh16(q: number, bits: number): number {
  if (q === 0) return 0
  const y = clamp(wrap(reciprocalOfHalf(expOfNegative(q < 0 ? q : -q, bits + 1)) - (1 << 13)) * 4)
  return q < 0 ? wrap(-y) : y
}

/** The gates in the order of weights and scales. */
export const lstmGates = ['input', 'forget', 'cell', 'output'] as const

/** All the fixed-point numbers of one layer, as PopulateQuantizedLstmParams8x8_16 computes them (in float32). */
export function lstmParameters(a: Attributes): {
  readonly input: readonly Multiplier[]
  readonly recurrent: readonly Multiplier[]
  readonly hidden: Multiplier
  /** Bits in front of the point of the cell states, and shift of input · candidate into their scale. */
  readonly cellBits: number
  readonly cellShift: number
  /** Limit of the cell states; 0 for none. */
  readonly clip: number
} {
  const f = Math.fround
  const onto = (scale: number) => (w: number) => multiplierOf(f(f(w * scale) * 4096))
  const cellScale = numberOf(a, 'cellScale')
  const log = Math.round(Math.log2(cellScale))
  if (2 ** log !== cellScale || log < -15 || log > -9)
    throw new InputError(`cell states on scale ${cellScale}, expected a power of two from 2^-15 to 2^-9`)
  const clip = numberOf(a, 'cellClip')
  return {
    input: numbersOf(a, 'inputWeightScales').map(onto(numberOf(a, 'inputScale'))),
    recurrent: numbersOf(a, 'recurrentWeightScales').map(onto(numberOf(a, 'stateScale'))),
    hidden: multiplierOf(f(f(2 ** -15 / numberOf(a, 'hiddenScale')) * 2 ** -15)),
    cellBits: 15 + log,
    cellShift: 30 + log,
    clip: clip > 0 ? Math.trunc(clamp(f(clip / cellScale))) : 0,
  }
}

/** [time, batch, input, hidden], and whether time comes first. */
function extents(
  x: Evaluate,
  inputs: readonly Tensor[],
): { sizes: [number, number, number, number]; timeFirst: boolean } {
  const [data, weights, recurrent] = inputs as [Tensor, Tensor, Tensor]
  const timeFirst = stringOf(x.attributes, 'layout') === 'timeFirst'
  const [a, b, depth] = data.shape as [number, number, number]
  const hidden = weights.shape[1]!
  if (weights.shape[2] !== depth || recurrent.shape[1] !== hidden || recurrent.shape[2] !== hidden)
    throw new InputError(
      `weights [${weights.shape}] and [${recurrent.shape}] don't fit input [${data.shape}]`,
    )
  return { sizes: timeFirst ? [a, b, depth, hidden] : [b, a, depth, hidden], timeFirst }
}

/** Sums of one gate's products as 16 bits, on top of what is there. */
const added = (before: number, sum: number, m: Multiplier): number => clamp(scaled(sum | 0, m) + before)

const tables = new Map<number | 'logistic', Int16Array>()
/** The logistic function, or tanh of so many integer bits, at all 65536 integers, from the least. */
export function lstmTable(of: number | 'logistic'): Int16Array {
  let table = tables.get(of)
  if (!table) {
    table = Int16Array.from({ length: 65536 }, (_, i) =>
      of === 'logistic' ? logistic16(i - 32768) : tanh16(i - 32768, of),
    )
    tables.set(of, table)
  }
  return table
}

const some = (dtype: 'int8' | 'int32', shape: readonly number[], step: number): Tensor =>
  tensorOf(
    dtype,
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => ((i * step + 5) % 201) - 100),
  )
const layerOf = (hidden: number, depth: number): Tensor[] => [
  some('int8', [4, hidden, depth], 53),
  some('int8', [4, hidden, hidden], 71),
  tensorOf(
    'int32',
    [4, hidden],
    Array.from(some('int32', [4, hidden], 97).data as Int32Array, (v) => v * 40),
  ),
]
const sample = {
  inputScale: 0.03, inputZero: -7, stateScale: 0.0078125, stateZero: 5, hiddenScale: 0.0078125, hiddenZero: 5,
  inputWeightScales: [0.011, 0.012, 0.013, 0.01], recurrentWeightScales: [0.02, 0.021, 0.018, 0.022], cellScale: 2 ** -11,
} // biome-ignore format: a table

export const tfliteLstm: Record<'tfliteLstm', Op> = {
  tfliteLstm: {
    doc: 'TensorFlow Lite UNIDIRECTIONAL_SEQUENCE_LSTM on integers: inputs x [batch, time, I], weights [4, H, I] and recurrent weights [4, H, H] of the gates input, forget, cell, output, bias [4, H]. States start at zero',
    inputs: [4, 4],
    attributes: {
      ...affineAttributes('input', 'state', 'hidden'),
      inputWeightScales: { kind: 'numbers' },
      recurrentWeightScales: { kind: 'numbers' },
      cellScale: number,
      cellClip: { kind: 'number', default: 0 },
      layout: { kind: 'string', oneOf: ['batchFirst', 'timeFirst'], default: 'batchFirst' },
    },
    infer(x) {
      const [data, weights] = [inputType(x, 0), inputType(x, 1)]
      const hidden = weights.shape?.[1] ?? null
      return [tensorType('int8', data.shape && [...data.shape.slice(0, 2), hidden])]
    },
    evaluate(inputs, x) {
      const { sizes, timeFirst } = extents(x, inputs as Tensor[])
      const [time, batch, depth, hidden] = sizes
      const a = x.attributes
      const p = lstmParameters(a)
      const [xs, w, r, bias] = (inputs as Tensor[]).map((t) => Float64Array.from(numbers(t))) as [
        Float64Array,
        Float64Array,
        Float64Array,
        Float64Array,
      ]
      const [xZero, hZero, outZero] = ['inputZero', 'stateZero', 'hiddenZero'].map((n) => numberOf(a, n)) as [
        number,
        number,
        number,
      ]
      const [sigmoid, tanh, cellTanh] = [lstmTable('logistic'), lstmTable(3), lstmTable(p.cellBits)]
      const out = new Int8Array(time * batch * hidden)
      for (let n = 0; n < batch; n++) {
        let state = new Int8Array(hidden).fill(hZero)
        const cell = new Int16Array(hidden)
        for (let t = 0; t < time; t++) {
          const row = timeFirst ? t * batch + n : n * time + t
          const next = new Int8Array(hidden)
          for (let h = 0; h < hidden; h++) {
            const gate = (g: number): number => {
              const k = g * hidden + h
              let sum = bias[k]!
              for (let i = 0; i < depth; i++) sum += (xs[row * depth + i]! - xZero) * w[k * depth + i]!
              let back = 0
              for (let i = 0; i < hidden; i++) back += (state[i]! - hZero) * r[k * hidden + i]!
              return added(added(0, sum, p.input[g]!), back, p.recurrent[g]!) + 32768
            }
            const kept = shiftRight(sigmoid[gate(1)]! * cell[h]!, 15)
            const fresh = shiftRight(sigmoid[gate(0)]! * tanh[gate(2)]!, p.cellShift)
            let c = clamp(kept + wrap(fresh))
            if (p.clip > 0) c = Math.max(-p.clip, Math.min(p.clip, c))
            cell[h] = c
            const y = scaled(sigmoid[gate(3)]! * cellTanh[c + 32768]!, p.hidden) + outZero
            next[h] = Math.max(-128, Math.min(127, y))
          }
          state = next
          out.set(state, row * hidden)
        }
      }
      return [{ dtype: 'int8', shape: [...(inputs[0] as Tensor).shape.slice(0, 2), hidden], data: out }]
    },
    cost(x) {
      const [rows, w, r] = [inputType(x, 0).shape?.slice(0, 2), inputType(x, 1).shape, inputType(x, 2).shape]
      const [n, a, b] = [rows && product(rows), w && product(w), r && product(r)]
      return { macs: n && a && b ? n * (a + b) : 0 }
    },
    examples: () => [
      { inputs: [some('int8', [2, 4, 3], 37), ...layerOf(5, 3)], attributes: sample },
      {
        inputs: [some('int8', [4, 1, 3], 37), ...layerOf(2, 3)],
        attributes: { ...sample, layout: 'timeFirst', cellClip: 0.5, cellScale: 2 ** -12, hiddenZero: -9 },
      },
    ],
  },
}
