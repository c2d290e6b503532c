// TensorFlow Lite's integer operators of one operand: a function of each element's integer alone. Eight bits mean a table of 256;
// decompositions read the tables.

import { allocate, type DType } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { sizeOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import { type AttributeSpec, inputType, numberOf, type Op, stringOf } from '../op.ts'
import { erf } from '../scalar.ts'
import { type Attributes, tensorType } from '../types.ts'
import {
  inverseSquareRoot,
  multiplierOf,
  roundAway,
  scaled,
  shiftRight,
  sigmoidTable,
} from './tflite-fixed.ts'
import {
  activationRange,
  affineAttributes,
  clampTo,
  limitsOf,
  roundingAttribute,
  roundingOf,
} from './tflite-quantization.ts'

const f = Math.fround
type Function1 = (x: number) => number
/** The map from an input integer to an output integer. */
type IntegerMap = (a: Attributes, from: DType, to: DType) => Function1

/**
 * A real function through a table as the runtime fills it (LUTPopulate): float32 throughout. 16 bits: 513 entries, each moved by
 * half the error at the middle of its step, and interpolation by the low 7 bits.
 */
const byTable =
  (fn: (x: number, a: Attributes, to: DType) => number): IntegerMap =>
  (a, from, to) => {
    const [inScale, inZero] = [numberOf(a, 'inputScale'), numberOf(a, 'inputZero')]
    const [outScale, outZero] = [numberOf(a, 'outputScale'), numberOf(a, 'outputZero')]
    const real: Function1 = (x) => f(fn(x, a, to))
    if (from !== 'int16') {
      const inverse = f(1 / outScale)
      const clamp = clampTo(to)
      return (q) => clamp(Math.trunc(f(roundAway(f(real(f(inScale * (q - inZero))) * inverse)) + outZero)))
    }
    const table = wideTable(
      real,
      [f(inScale * (-32768 - inZero)), f(inScale * (32767 - inZero))],
      [f(outScale * (-32768 - outZero)), f(outScale * (32767 - outZero))],
      f,
    )
    return (q) => lookup(table, q)
  }

/** 513 entries of a function over [in₀, in₁], in units that spread [out₀, out₁] over 16 bits. `round` is fround or the identity. */
export function wideTable(
  fn: Function1,
  input: readonly [number, number],
  output: readonly [number, number],
  round: Function1,
): Int16Array {
  const r = round
  const step = r(r(input[1] - input[0]) / 512)
  const half = r(step / 2)
  const inverse = r(65536 / r(output[1] - output[0]))
  const clamp = (x: number): number => Math.min(32767, Math.max(-32768, x))
  const table = new Int16Array(513)
  for (let i = 0; i < 512; i++) {
    const x = r(input[0] + r(i * step))
    const value = roundAway(r(fn(x) * inverse))
    const middle = roundAway(r(fn(r(x + half)) * inverse))
    const next = r(fn(r(input[0] + r((i + 1) * step))) * inverse)
    const bias = roundAway(r(r(roundAway(r(r(next + value) / 2)) - middle) / 2))
    table[i] = clamp(r(value - bias))
  }
  table[512] = clamp(roundAway(r(fn(input[1]) * inverse)))
  return table
}

/** Interpolated entry of a 513-entry table at a 16-bit integer. */
export function lookup(table: Int16Array, q: number): number {
  const i = 256 + (q >> 7)
  const base = table[i]!
  return ((base + (((table[i + 1]! - base) * (q & 0x7f) + 64) >> 7)) << 16) >> 16
}

/** log2 of a scale where it is a power of two to within a thousandth of the exponent, else null (CheckedLog2). */
function powerOfTwo(scale: number): number | null {
  const log = f(f(Math.log(scale)) * f(1 / f(Math.log(2))))
  const whole = roundAway(log)
  return Math.abs(f(log - whole)) < 1e-3 ? whole : null
}

/** 16-bit logistic and tanh: |x| · 3 · 4096 in Q9 or Q8 into the table of sigmoid(i / 24), interpolated. */
const bySigmoidTable =
  (tanh: boolean): IntegerMap =>
  (a) => {
    const scale = numberOf(a, 'inputScale')
    const log = powerOfTwo(scale)
    let shift = log === null ? -1 : 12 + log
    let multiplier: number
    if (shift === 0 || (tanh && shift === 1)) {
      multiplier = 3 << shift
      shift = 0
    } else {
      let m = f(f(scale * 4096) * 3)
      for (shift = 0; m <= 32767 / 2 && shift <= 30; shift++) m *= 2
      multiplier = Math.trunc(m)
    }
    const round = shift > 0 ? 1 << (shift - 1) : 0
    const low = tanh ? 8 : 9
    return (q) => {
      const x = (q * multiplier + round) >> shift
      const u = Math.abs(x)
      const i = u >> low
      let y = tanh ? 0xffff << 8 : 0x7fff << 10
      if (i < 255) {
        const at = sigmoidTable[i]!
        y = (at << low) + (u & ((1 << low) - 1)) * (sigmoidTable[i + 1]! - at)
      }
      if (tanh) return (x >= 0 ? y - (1 << 23) + (1 << 7) : -y + (1 << 23) + (1 << 7) - 1) >> 8
      return (x >= 0 ? y + (1 << 9) : (1 << 25) - y + (1 << 9) - 1) >>> 10
    }
  }

const byWidth =
  (narrow: IntegerMap, wide: IntegerMap): IntegerMap =>
  (a, from, to) =>
    (from === 'int16' ? wide : narrow)(a, from, to)

/** x · inputScale / outputScale in fixed point, then the limits of an activation. */
const rescale: IntegerMap = (a, _from, to) => {
  // The runtime divides the float32 scales in float32 for RELU, in float64 for QUANTIZE.
  const ratio = numberOf(a, 'inputScale') / numberOf(a, 'outputScale')
  const m = multiplierOf(a.exact === true ? ratio : f(ratio), roundingOf(a))
  const [inZero, outZero, rounding] = [numberOf(a, 'inputZero'), numberOf(a, 'outputZero'), roundingOf(a)]
  const activation = typeof a.activation === 'string' ? a.activation : 'none'
  const [low, high] = activationRange(activation, to, numberOf(a, 'outputScale'), outZero)
  return (q) => Math.min(high, Math.max(low, scaled(q - inZero, m, rounding) + outZero))
}

/** As the concatenation of uint8 parts on different scales: in float32. */
const rescaleReal: IntegerMap = (a, _from, to) => {
  const scale = f(numberOf(a, 'inputScale') * f(1 / numberOf(a, 'outputScale')))
  const bias = f(-numberOf(a, 'inputZero') * scale)
  const [outZero, clamp] = [numberOf(a, 'outputZero'), clampTo(to)]
  return (q) => clamp(roundAway(f(f(q * scale) + bias)) + outZero)
}

const leaky: IntegerMap = (a, _from, to) => {
  const rounding = roundingOf(a)
  const [inScale, outScale] = [numberOf(a, 'inputScale'), numberOf(a, 'outputScale')]
  const alpha = f(f(inScale * numberOf(a, 'alpha')) / outScale)
  const identity = multiplierOf(f(inScale / outScale), rounding)
  const slope = multiplierOf(Math.abs(alpha), rounding)
  const [inZero, outZero, clamp] = [numberOf(a, 'inputZero'), numberOf(a, 'outputZero'), clampTo(to)]
  return (q) => {
    const x = q - inZero
    const y = x >= 0 ? scaled(x, identity, rounding) : scaled(x, slope, rounding) * (alpha < 0 ? -1 : 1)
    return clamp(y + outZero)
  }
}

const absolute: IntegerMap = (a, _from, to) => {
  const [inScale, outScale, rounding] = [numberOf(a, 'inputScale'), numberOf(a, 'outputScale'), roundingOf(a)]
  const m = multiplierOf(f(inScale / outScale), rounding)
  const [inZero, outZero, clamp] = [numberOf(a, 'inputZero'), numberOf(a, 'outputZero'), clampTo(to)]
  return (q) => {
    const x = Math.abs(q - inZero)
    return clamp((inScale === outScale ? x : scaled(x, m, rounding)) + outZero)
  }
}

/** 8-bit reciprocal square root by Newton's method in fixed point; 0 gives the largest integer. */
const inverseRoot: IntegerMap = (a, _from, to) => {
  const rounding = roundingOf(a)
  const real = 1 / f(f(Math.sqrt(numberOf(a, 'inputScale'))) * numberOf(a, 'outputScale'))
  const m = multiplierOf(real, rounding)
  const [inZero, outZero, clamp] = [numberOf(a, 'inputZero'), numberOf(a, 'outputZero'), clampTo(to)]
  return (q) => {
    const x = q - inZero
    // The runtime stops at negative numbers; a table has to hold something: what zero gives.
    if (x <= 0) return limitsOf(to)[1]
    const root = inverseSquareRoot(x)
    const data = scaled(1, { multiplier: root.multiplier, shift: root.shift + 20 }, rounding)
    return clamp(scaled(data, { multiplier: m.multiplier, shift: m.shift - 20 }, rounding) + outZero)
  }
}

const root: IntegerMap = (a, _from, to) => {
  const clamp = clampTo(to)
  return (q) => {
    const x = f(numberOf(a, 'inputScale') * (q - numberOf(a, 'inputZero')))
    const y = Math.trunc(f(f(Math.sqrt(Math.max(x, 0))) / numberOf(a, 'outputScale')))
    return clamp(y + numberOf(a, 'outputZero'))
  }
}

const to16 = (x: number): number => (x << 16) >> 16
const saturate16 = (x: number): number => Math.min(32767, Math.max(-32768, x))
const highMul16 = (a: number, b: number): number =>
  a === -32768 && b === -32768 ? 32767 : Math.floor((a * b + 16384) / 32768)

/** x · relu6(x + 3) / 6 on 16-bit fixed point, 7 bits of the input's integer below the point. */
const hardSwish: IntegerMap = (a, _from, to) => {
  const hires = f(f(1 / 128) * numberOf(a, 'inputScale'))
  const cut = (m: number): number => (m >= 2147483647 - 32768 ? 32767 : (m + 32768) >> 16)
  const output = multiplierOf(f(hires / numberOf(a, 'outputScale')))
  const reluish = multiplierOf(f(hires / f(3 / 32768)))
  const [outM, reluM] = [cut(output.multiplier), cut(reluish.multiplier)]
  const [inZero, outZero, clamp] = [numberOf(a, 'inputZero'), numberOf(a, 'outputZero'), clampTo(to)]
  return (q) => {
    const x = to16((q - inZero) * 128)
    const onOutput = highMul16(x, outM)
    let r = x
    if (reluish.shift > 0) r = saturate16(r * 2 ** (reluish.shift - 1))
    r = highMul16(r, reluM)
    if (reluish.shift > 0) r = saturate16(r * 2)
    if (reluish.shift < 0) r = shiftRight(r, -reluish.shift)
    r = (r + 32768) >> 1
    const product = r === -32768 && onOutput === -32768 ? 32767 : Math.trunc((r * onOutput) / 32768)
    return clamp(to16(shiftRight(product, -output.shift) + outZero))
  }
}

const exp = (x: number): number => f(Math.exp(x))
const gelu = (x: number, a: Attributes): number =>
  a.approximate
    ? f(f(0.5 * x) * f(1 + f(Math.tanh(f(f(0.7978845608028654) * f(x + f(f(f(f(0.044715) * x) * x) * x)))))))
    : 0.5 * x * (1 + erf(f(x * f(Math.SQRT1_2))))
const log = (x: number, a: Attributes, to: DType): number =>
  x <= 0 ? f((limitsOf(to)[0] - numberOf(a, 'outputZero')) * numberOf(a, 'outputScale')) : Math.log(x)
const rsqrt = (x: number, a: Attributes): number =>
  x <= 0 ? f(32767 * numberOf(a, 'outputScale')) : f(1 / f(Math.sqrt(x)))

const maps = new Map<string, IntegerMap>()

function unary(
  name: string,
  doc: string,
  map: IntegerMap,
  attributes: Readonly<Record<string, AttributeSpec>> = {},
  sample: Attributes = {},
): Op {
  maps.set(name, map)
  const outputType = (a: Attributes, from: DType): DType => (a.to ? (stringOf(a, 'to') as DType) : from)
  return {
    doc: `TensorFlow Lite ${doc}`,
    inputs: [1, 1],
    attributes: { ...affineAttributes('input', 'output'), ...attributes, rounding: roundingAttribute },
    infer(x) {
      const t = inputType(x, 0)
      if (!['int8', 'uint8', 'int16', 'int32'].includes(t.dtype))
        throw new InputError(`expected quantised integers, got ${t.dtype}`)
      return [tensorType(outputType(x.attributes, t.dtype), t.shape)]
    },
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const to = outputType(x.attributes, input.dtype)
      const fn = map(x.attributes, input.dtype, to)
      const n = sizeOf(input.shape)
      const data = allocate(to, n) as Int32Array
      const from = input.data as Int32Array
      const done = new Map<number, number>()
      for (let i = 0; i < n; i++) {
        let y = done.get(from[i]!)
        if (y === undefined) done.set(from[i]!, (y = fn(from[i]!)))
        data[i] = y
      }
      return [{ dtype: to, shape: input.shape, data }]
    },
    examples: () => [
      {
        inputs: [tensorOf('int8', [2, 4], [-128, -90, -12, 2, 4, 30, 100, 127])],
        attributes: { inputScale: 0.05, inputZero: 3, outputScale: 0.04, outputZero: -2, ...sample },
      },
    ],
  }
}

/** The output for every input integer of a narrow type, lowest first: what a decomposition gathers from. */
export function integerTable(opName: string, a: Attributes, from: DType, to: DType): Int32Array {
  const map = maps.get(opName)
  if (!map) throw new InputError(`${opName}: no function of one integer`)
  const [low, high] = limitsOf(from)
  const fn = map(a, from, to)
  return Int32Array.from({ length: high - low + 1 }, (_, i) => fn(low + i))
}

const integerTypes = ['int8', 'uint8', 'int16', 'int32'] as const
const exact =
  (map: IntegerMap): IntegerMap =>
  (a, from, to) =>
    map({ ...a, exact: true }, from, to)

export const tfliteUnary = {
  tfliteRequantize: unary(
    'tfliteRequantize',
    'QUANTIZE of integers: to another scale, zero point or type',
    exact(rescale),
    {
      to: { kind: 'string', oneOf: integerTypes },
    },
    { to: 'uint8', outputZero: 130 },
  ),
  tfliteRescale: unary('tfliteRescale', 'CONCATENATION of uint8: one part to the scale of all', rescaleReal),
  tfliteRelu: unary(
    'tfliteRelu',
    'RELU, RELU6, RELU_N1_TO_1 on integers',
    rescale,
    {
      activation: { kind: 'string', oneOf: ['relu', 'reluN1To1', 'relu6'] },
    },
    { activation: 'relu6' },
  ),
  tfliteLeakyRelu: unary(
    'tfliteLeakyRelu',
    'LEAKY_RELU on integers',
    leaky,
    { alpha: { kind: 'number' } },
    { alpha: 0.1 },
  ),
  tfliteAbs: unary('tfliteAbs', 'ABS on integers', absolute),
  tfliteLogistic: unary(
    'tfliteLogistic',
    'LOGISTIC on integers',
    byWidth(
      byTable((x) => f(1 / f(1 + exp(-x)))),
      bySigmoidTable(false),
    ),
    {},
    { outputScale: 1 / 256, outputZero: -128 },
  ),
  tfliteTanh: unary(
    'tfliteTanh',
    'TANH on integers',
    byWidth(
      byTable((x) => Math.tanh(x)),
      bySigmoidTable(true),
    ),
    {},
    { outputScale: 1 / 128, outputZero: 0 },
  ),
  tfliteExp: unary(
    'tfliteExp',
    'EXP on integers',
    byTable((x) => Math.exp(x)),
  ),
  tfliteLog: unary('tfliteLog', 'LOG on integers; the lowest integer below zero', byTable(log)),
  tfliteElu: unary(
    'tfliteElu',
    'ELU on integers',
    byTable((x) => (x < 0 ? Math.expm1(x) : x)),
  ),
  tfliteGelu: unary('tfliteGelu', 'GELU on integers', byTable(gelu), {
    approximate: { kind: 'boolean', default: false },
  }),
  tfliteRsqrt: unary('tfliteRsqrt', 'RSQRT on integers', byWidth(inverseRoot, byTable(rsqrt))),
  tfliteSqrt: unary('tfliteSqrt', 'SQRT on integers', root),
  tfliteHardSwish: unary('tfliteHardSwish', 'HARD_SWISH on integers', hardSwish),
} satisfies Record<string, Op>
