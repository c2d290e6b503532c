// Elementwise operators of ONNX.

import { type DType, isFloat, isInteger, rangeOf } from '../../../core/dtype.ts'
import { at, type Tensor } from '../../../core/tensor.ts'
import type { Attributes, ValueId } from '../../../ir/types.ts'
import type { Call, Row } from '../call.ts'

/** The same operator under our name. */
const as =
  (op: string, attributes?: (c: Call) => Attributes): Row =>
  (c) =>
    c.out(op, c.inputs, attributes?.(c) ?? {})

/** A variadic whose last step carries the file's output name. */
const chain =
  (op: string): Row =>
  (c) => {
    const ids = c.inputs.map((_, i) => c.in(i))
    if (ids.length < 2) return c.out('identity')
    const tail = ids.pop()!
    return c.out(op, [ids.reduce((a, b) => c.mid(op, [a, b])), tail])
  }

const scalarOf = (t: Tensor): number | undefined => (t.data.length === 1 ? at(t, 0) : undefined)

/** Clip: limits as attributes (before opset 11) or inputs; constant ones become attributes. */
const clip: Row = (c) => {
  if (c.opset < 11)
    return c.out('clamp', [c.in(0)], { low: c.float('min', -Infinity), high: c.float('max', Infinity) })
  const limits = [1, 2].map((i) => {
    if (c.get(i) === null) return i === 1 ? -Infinity : Infinity
    const t = c.constant(i)
    const dtype = c.type(i).dtype
    // 64-bit limits may not fit a plain number.
    return t && !dtype.endsWith('64') ? scalarOf(t) : t && dtype === 'float64' ? scalarOf(t) : undefined
  })
  const { dtype } = c.type(0)
  const [low, high] = limits
  if (low !== undefined && high !== undefined) {
    if (isFloat(dtype)) return c.out('clamp', [c.in(0)], { low, high })
    if (isInteger(dtype) && !dtype.endsWith('64')) {
      const [least, most] = rangeOf(dtype).map(Number) as [number, number]
      return c.out('clamp', [c.in(0)], { low: Math.max(low, least), high: Math.min(high, most) })
    }
  }
  const steps: { op: string; id: ValueId }[] = []
  if (c.get(1) !== null) steps.push({ op: 'max', id: c.in(1) })
  if (c.get(2) !== null) steps.push({ op: 'min', id: c.in(2) })
  const end = steps.pop()
  if (!end) return c.out('identity', [c.in(0)])
  const x = steps.reduce((v, s) => c.mid(s.op, [v, s.id]), c.in(0))
  return c.out(end.op, [x, end.id])
}

/** Pow allows an exponent of another type. The power is taken in float64 where the types differ. */
const pow: Row = (c) => {
  const [x, y] = [c.type(0).dtype, c.type(1).dtype]
  if (x === y) return c.out('pow')
  if (isFloat(x)) return c.out('pow', [c.in(0), c.mid('cast', [c.in(1)], { to: x })])
  const wide = [0, 1].map((i) => c.mid('cast', [c.in(i)], { to: 'float64' }))
  return c.out('cast', [c.mid('pow', wide)], { to: x })
}

const mod: Row = (c) => c.out(c.flag('fmod') ? 'rem' : 'mod')

/** Adds what a binary operator before opset 7 meant by `broadcast` and `axis`. */
const binary =
  (op: string): Row =>
  (c) => {
    if (!c.flag('broadcast') || !c.has('axis')) return c.out(op)
    const [a, b] = [c.rank(0), c.rank(1)]
    const trailing = a - c.axis(c.int('axis'), a) - b
    if (trailing <= 0) return c.out(op)
    const axes = Array.from({ length: trailing }, (_, i) => b + i)
    return c.out(op, [c.in(0), c.mid('unsqueeze', [c.in(1)], { axes })])
  }

/** A slope with one entry a channel, as before opset 7. */
const prelu: Row = (c) => {
  const [x, slope] = [c.rank(0), c.shape(1)]
  if (c.opset < 7 && slope?.length === 1 && slope[0] !== 1 && x > 2) {
    const axes = Array.from({ length: x - 2 }, (_, i) => i + 1)
    return c.out('prelu', [c.in(0), c.mid('unsqueeze', [c.in(1)], { axes })])
  }
  return c.out('prelu')
}

const cast: Row = (c) => {
  // Before opset 6 the type was named by a string.
  const to =
    c.raw('to')?.s.length && !c.raw('to')!.i ? (c.string('to').toLowerCase() as DType) : c.dtype('to')
  return c.out('cast', [c.in(0)], { to })
}

const gelu: Row = (c) => c.out(c.string('approximate', 'none') === 'tanh' ? 'geluTanh' : 'gelu', [c.in(0)])

const unary = (names: Record<string, string>): Record<string, Row> =>
  Object.fromEntries(Object.entries(names).map(([k, op]) => [k, ((c) => c.out(op, [c.in(0)])) as Row]))

export const elementwise: Record<string, Row> = {
  ...unary({
    Abs: 'abs', Acos: 'acos', Acosh: 'acosh', Asin: 'asin', Asinh: 'asinh', Atan: 'atan', Atanh: 'atanh', Ceil: 'ceil',
    Cos: 'cos', Cosh: 'cosh', Erf: 'erf', Exp: 'exp', Floor: 'floor', IsNaN: 'isNaN', Log: 'log', Neg: 'neg', Not: 'not',
    Reciprocal: 'reciprocal', Relu: 'relu', Round: 'round', Sigmoid: 'sigmoid', Sign: 'sign', Sin: 'sin', Sinh: 'sinh',
    Softplus: 'softplus', Softsign: 'softsign', Sqrt: 'sqrt', Tan: 'tan', Tanh: 'tanh', HardSwish: 'hardSwish', Mish: 'mish',
    BitwiseNot: 'bitNot',
  }), // biome-ignore format: a table
  Identity: (c) => c.out('identity', [c.in(0)]),
  Add: binary('add'),
  Sub: binary('sub'),
  Mul: binary('mul'),
  Div: binary('div'),
  And: binary('and'),
  Or: binary('or'),
  Xor: binary('xor'),
  Equal: binary('equal'),
  Less: binary('less'),
  Greater: binary('greater'),
  LessOrEqual: as('lessEqual'),
  GreaterOrEqual: as('greaterEqual'),
  BitwiseAnd: as('bitAnd'),
  BitwiseOr: as('bitOr'),
  BitwiseXor: as('bitXor'),
  Where: as('where'),
  Pow: pow,
  Mod: mod,
  BitShift: (c) => c.out(c.string('direction') === 'LEFT' ? 'shiftLeft' : 'shiftRight'),
  Sum: chain('add'),
  Max: chain('max'),
  Min: chain('min'),
  Mean: (c) => {
    const ids = c.inputs.map((_, i) => c.in(i))
    if (ids.length < 2) return c.out('identity')
    const sum = ids.reduce((a, b) => c.mid('add', [a, b]))
    return c.out('div', [sum, c.scalar(c.type(0).dtype, ids.length)])
  },
  Clip: clip,
  PRelu: prelu,
  Cast: cast,
  CastLike: (c) => c.out('cast', [c.in(0)], { to: c.type(1).dtype }),
  Elu: (c) => c.out('elu', [c.in(0)], { alpha: c.float('alpha', 1) }),
  Selu: (c) =>
    c.out('selu', [c.in(0)], {
      alpha: c.float('alpha', 1.6732631921768188),
      gamma: c.float('gamma', 1.0507010221481323),
    }),
  Celu: (c) => c.out('celu', [c.in(0)], { alpha: c.float('alpha', 1) }),
  LeakyRelu: (c) => c.out('leakyRelu', [c.in(0)], { alpha: c.float('alpha', 0.01) }),
  ThresholdedRelu: (c) => c.out('thresholdedRelu', [c.in(0)], { alpha: c.float('alpha', 1) }),
  HardSigmoid: (c) =>
    c.out('hardSigmoid', [c.in(0)], { alpha: c.float('alpha', 0.2), beta: c.float('beta', 0.5) }),
  Shrink: (c) => c.out('shrink', [c.in(0)], { bias: c.float('bias', 0), lambda: c.float('lambd', 0.5) }),
  Gelu: gelu,
  Swish: (c) => c.out('silu', [c.in(0)], { alpha: c.float('alpha', 1) }),
  IsInf: (c) =>
    c.out('isInf', [c.in(0)], {
      positive: c.int('detect_positive', 1),
      negative: c.int('detect_negative', 1),
    }),
  BitCast: (c) => c.out('bitCast', [c.in(0)], { to: c.dtype('to') }),
}
