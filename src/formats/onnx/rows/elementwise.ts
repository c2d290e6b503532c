// Writing elementwise operators. What ONNX lacks is spelled out.

import { bitsOf, isFloat, isUnsigned } from '../../../core/dtype.ts'
import type { WriteRow, Written } from '../emit.ts'
import { dtypeCodes } from '../tensors.ts'

const named =
  (op: string, opset = 0): WriteRow =>
  (n) => {
    if (opset) n.needs(opset)
    n.emit(op)
  }
/** Small integers came with opset 14. */
const arithmetic =
  (op: string): WriteRow =>
  (n) => {
    if (!isFloat(n.dtype()) && (op === 'Relu' || bitsOf(n.dtype()) < 32)) n.needs(14)
    n.emit(op)
  }
const withFloats =
  (op: string, attributes: Record<string, string>): WriteRow =>
  (n) =>
    n.emit(
      op,
      n.ins(),
      Object.fromEntries(Object.entries(attributes).map(([ours, theirs]) => [theirs, n.float(ours)])),
    )

const clamp: WriteRow = (n) => {
  const limit = (name: string): string => {
    const v = n.number(name)
    return Number.isFinite(v) ? n.scalar(v) : ''
  }
  n.emit('Clip', [n.in(0), limit('low'), limit('high')])
}

/** Toward minus infinity, also on integers, where ONNX truncates. */
const floorDiv: WriteRow = (n) => {
  if (isFloat(n.dtype())) n.emit('Floor', [n.mid('Div', n.ins())])
  else n.emit('Div', [n.mid('Sub', [n.in(0), n.mid('Mod', n.ins())]), n.in(1)])
}

/** ONNX has the sign of the divisor on integers only. */
const mod: WriteRow = (n) => {
  if (!isFloat(n.dtype())) n.emit('Mod')
  else {
    const r = n.mid('Mod', n.ins(), { fmod: 1 })
    const wrong = n.mid('And', [
      n.mid('Not', [n.mid('Equal', [r, n.scalar(0)])]),
      n.mid('Xor', [n.mid('Less', [r, n.scalar(0)]), n.mid('Less', [n.in(1), n.scalar(0)])]),
    ])
    n.emit('Where', [wrong, n.mid('Add', [r, n.in(1)]), r])
  }
}

/** atan(y / x), turned by half a turn where x is negative. */
const atan2: WriteRow = (n) => {
  const [y, x] = [n.in(0), n.in(1)]
  const zero = n.scalar(0)
  const half = n.scalar(Math.PI / 2)
  const turn = n.mid('Where', [n.mid('Less', [y, zero]), n.scalar(-Math.PI), n.scalar(Math.PI)])
  const angle = n.mid('Atan', [n.mid('Div', [y, x])])
  const turned = n.mid('Where', [n.mid('Less', [x, zero]), n.mid('Add', [angle, turn]), angle])
  const upright = n.mid('Mul', [n.mid('Sign', [y]), half])
  n.emit('Where', [n.mid('Equal', [x, zero]), upright, turned])
}

/** x as int64, and 2^n as int64 of a shift by n. */
const widened = (n: Written): { x: string; power: string; back: (v: string) => void } => {
  const to = { to: dtypeCodes[n.dtype()] }
  return {
    x: n.cast(n.in(0), n.dtype(), 'int64'),
    power: n.mid('Pow', [n.scalar(2, 'int64'), n.cast(n.in(1), n.dtype(1), 'int64')]),
    back: (v) => n.emit(n.dtype() === 'int64' ? 'Identity' : 'Cast', [v], n.dtype() === 'int64' ? {} : to),
  }
}

/** x / d rounded down, of integers, where ONNX truncates. */
const floored = (n: Written, x: string, d: string): string =>
  n.mid('Div', [n.mid('Sub', [x, n.mid('Mod', [x, d])]), d])

/** ONNX shifts unsigned integers only; signed ones are multiplied, or divided and rounded down. */
const shift =
  (direction: 'LEFT' | 'RIGHT'): WriteRow =>
  (n) => {
    if (isUnsigned(n.dtype())) return n.emit('BitShift', n.ins(), { direction })
    const { x, power, back } = widened(n)
    return back(direction === 'LEFT' ? n.mid('Mul', [x, power]) : floored(n, x, power))
  }

/** ⌊(x · y + 2^30) / 2^31⌋ in 64 bits, saturating where both are the least integer. */
const mulHigh: WriteRow = (n) => {
  const wide = (i: number): string => n.cast(n.in(i), n.dtype(i), 'int64')
  const product = n.mid('Add', [n.mid('Mul', [wide(0), wide(1)]), n.scalar(2 ** 30, 'int64')])
  const high = floored(n, product, n.scalar(2 ** 31, 'int64'))
  const limited = n.mid('Min', [high, n.scalar(2 ** 31 - 1, 'int64')])
  n.emit('Cast', [limited], { to: dtypeCodes[n.dtype()] })
}

/** sign(x) · ⌊(|x| + 2^(n−1)) / 2^n⌋ in 64 bits. */
const roundShift: WriteRow = (n) => {
  const { x, power, back } = widened(n)
  const half = n.mid('Div', [power, n.scalar(2, 'int64')])
  const magnitude = n.mid('Div', [n.mid('Add', [n.mid('Abs', [x]), half]), power])
  back(n.mid('Mul', [n.mid('Sign', [x]), magnitude]))
}

const silu: WriteRow = (n) => {
  const alpha = n.number('alpha')
  const scaled = alpha === 1 ? n.in(0) : n.mid('Mul', [n.in(0), n.scalar(alpha)])
  n.emit('Mul', [n.in(0), n.mid('Sigmoid', [scaled])])
}

const gelu =
  (approximate: string): WriteRow =>
  (n) => {
    n.needs(20)
    n.emit('Gelu', n.ins(), { approximate })
  }

const plusOne = (n: Written, x: string): string => n.mid('Add', [x, n.scalar(1)])

export const elementwise = {
  add: arithmetic('Add'),
  sub: arithmetic('Sub'),
  mul: arithmetic('Mul'),
  div: arithmetic('Div'),
  floorDiv,
  mod,
  rem: (n) => n.emit('Mod', n.ins(), { fmod: 1 }),
  pow: named('Pow'),
  min: named('Min'),
  max: named('Max'),
  atan2,
  squaredDifference: (n) => {
    const d = n.mid('Sub', n.ins())
    n.emit('Mul', [d, d])
  },
  neg: named('Neg'),
  abs: named('Abs'),
  sign: named('Sign'),
  reciprocal: named('Reciprocal'),
  floor: named('Floor'),
  ceil: named('Ceil'),
  round: named('Round'),
  trunc: (n) => n.emit('Mul', [n.mid('Sign', [n.in(0)]), n.mid('Floor', [n.mid('Abs', [n.in(0)])])]),
  square: (n) => n.emit('Mul', [n.in(0), n.in(0)]),
  sqrt: named('Sqrt'),
  rsqrt: (n) => n.emit('Reciprocal', [n.mid('Sqrt', [n.in(0)])]),
  exp: named('Exp'),
  expm1: (n) => n.emit('Sub', [n.mid('Exp', [n.in(0)]), n.scalar(1)]),
  log: named('Log'),
  log1p: (n) => n.emit('Log', [plusOne(n, n.in(0))]),
  sin: named('Sin'),
  cos: named('Cos'),
  tan: named('Tan'),
  asin: named('Asin'),
  acos: named('Acos'),
  atan: named('Atan'),
  sinh: named('Sinh'),
  cosh: named('Cosh'),
  tanh: named('Tanh'),
  asinh: named('Asinh'),
  acosh: named('Acosh'),
  atanh: named('Atanh'),
  erf: named('Erf'),
  clamp,
  relu: arithmetic('Relu'),
  leakyRelu: withFloats('LeakyRelu', { alpha: 'alpha' }),
  prelu: named('PRelu'),
  elu: withFloats('Elu', { alpha: 'alpha' }),
  selu: withFloats('Selu', { alpha: 'alpha', gamma: 'gamma' }),
  celu: withFloats('Celu', { alpha: 'alpha' }),
  thresholdedRelu: withFloats('ThresholdedRelu', { alpha: 'alpha' }),
  sigmoid: named('Sigmoid'),
  hardSigmoid: withFloats('HardSigmoid', { alpha: 'alpha', beta: 'beta' }),
  hardSwish: named('HardSwish', 14),
  silu,
  mish: named('Mish', 18),
  softplus: named('Softplus'),
  softsign: named('Softsign'),
  gelu: gelu('none'),
  geluTanh: gelu('tanh'),
  shrink: withFloats('Shrink', { bias: 'bias', lambda: 'lambd' }),
  equal: named('Equal'),
  notEqual: (n) => n.emit('Not', [n.mid('Equal', n.ins())]),
  less: named('Less'),
  lessEqual: named('LessOrEqual'),
  greater: named('Greater'),
  greaterEqual: named('GreaterOrEqual'),
  and: named('And'),
  or: named('Or'),
  xor: named('Xor'),
  not: named('Not'),
  isNaN: named('IsNaN'),
  isInf: (n) =>
    n.emit('IsInf', n.ins(), {
      detect_positive: n.number('positive'),
      detect_negative: n.number('negative'),
    }),
  where: named('Where'),
  bitAnd: named('BitwiseAnd', 18),
  bitOr: named('BitwiseOr', 18),
  bitXor: named('BitwiseXor', 18),
  bitNot: named('BitwiseNot', 18),
  shiftLeft: shift('LEFT'),
  shiftRight: shift('RIGHT'),
  mulHigh,
  roundShift,
} satisfies Record<string, WriteRow>
