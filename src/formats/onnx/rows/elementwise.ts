// Writing elementwise operators. What ONNX lacks is spelled out.

import { isFloat, isUnsigned } from '../../../core/dtype.ts'
import { NotWritable, type WriteRow, type Written } from '../emit.ts'

const named =
  (op: string, opset = 0): WriteRow =>
  (n) => {
    if (opset) n.needs(opset)
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

/** ONNX shifts unsigned integers only. */
const shift =
  (direction: string): WriteRow =>
  (n) => {
    if (!isUnsigned(n.dtype())) throw new NotWritable(`${n.node.op} of signed integers`)
    n.emit('BitShift', n.ins(), { direction })
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
  add: named('Add'),
  sub: named('Sub'),
  mul: named('Mul'),
  div: named('Div'),
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
  relu: named('Relu'),
  leakyRelu: withFloats('LeakyRelu', { alpha: 'alpha' }),
  prelu: named('PRelu'),
  elu: withFloats('Elu', { alpha: 'alpha' }),
  selu: withFloats('Selu', { alpha: 'alpha', gamma: 'gamma' }),
  celu: withFloats('Celu', { alpha: 'alpha' }),
  thresholdedRelu: withFloats('ThresholdedRelu', { alpha: 'alpha' }),
  sigmoid: named('Sigmoid'),
  hardSigmoid: withFloats('HardSigmoid', { alpha: 'alpha', beta: 'beta' }),
  hardSwish: named('HardSwish'),
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
} satisfies Record<string, WriteRow>
