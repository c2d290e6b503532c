// Elementwise operators: one row each, a formula over x, y, z and numeric attributes. Evaluation, derivative and code in every
// language follow from the formula.

import { type DType, isBig, isFloat, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, stridesOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { formula } from '../formula.ts'
import { broadcastShapes, inputType, type Op } from '../op.ts'
import { constant, type Expr, integerFunction, numberFunction, substitute } from '../scalar.ts'
import { type Attributes, type Datum, isStatic, tensorType } from '../types.ts'

const operands = ['x', 'y', 'z'] as const

/** Strides of a shape seen through broadcasting to `out`: 0 where a dimension is repeated. */
export function broadcastStrides(shape: readonly number[], out: readonly number[]): number[] {
  const strides = stridesOf(shape)
  const lead = out.length - shape.length
  return out.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : strides[i - lead]!))
}

/** A stretch of the output along which every input's offset advances evenly: a start and a step for each input. */
type Stretch = (i: number, count: number, starts: Float64Array, steps: readonly number[]) => void

/** Walks the output in row-major order by stretches as long as the inputs' strides allow. */
export function forEachStretch(
  shapes: readonly (readonly number[])[],
  out: readonly number[],
  visit: Stretch,
): void {
  // Neighbouring dimensions that all inputs walk alike are one.
  const dims: number[] = []
  const strides: number[][] = shapes.map(() => [])
  const own = shapes.map((s) => broadcastStrides(s, out))
  out.forEach((d, k) => {
    if (d === 1) return
    const last = dims.length - 1
    if (last >= 0 && own.every((s, t) => strides[t]![last] === s[k]! * d)) {
      dims[last]! *= d
      own.forEach((s, t) => {
        strides[t]![last] = s[k]!
      })
      return
    }
    dims.push(d)
    own.forEach((s, t) => {
      strides[t]!.push(s[k]!)
    })
  })
  const inner = dims.length - 1
  const count = inner < 0 ? 1 : dims[inner]!
  const steps = strides.map((s) => (inner < 0 ? 0 : s[inner]!))
  const index = new Array<number>(dims.length).fill(0)
  const starts = new Float64Array(shapes.length)
  const n = sizeOf(out)
  for (let i = 0; i < n; i += count) {
    visit(i, count, starts, steps)
    for (let d = inner - 1; d >= 0; d--) {
      index[d]!++
      for (let t = 0; t < strides.length; t++) starts[t]! += strides[t]![d]!
      if (index[d]! < dims[d]!) break
      for (let t = 0; t < strides.length; t++) starts[t]! -= strides[t]![d]! * dims[d]!
      index[d] = 0
    }
  }
}

/** Calls `visit(i, offsets)` for every element of `out` in row-major order, with each input's element offset. */
export function forEachBroadcast(
  shapes: readonly (readonly number[])[],
  out: readonly number[],
  visit: (i: number, offsets: Float64Array) => void,
): void {
  const offsets = new Float64Array(shapes.length)
  forEachStretch(shapes, out, (i, count, starts, steps) => {
    for (let k = 0; k < count; k++) {
      for (let s = 0; s < offsets.length; s++) offsets[s] = starts[s]! + k * steps[s]!
      visit(i + k, offsets)
    }
  })
}

/** A formula with its numeric attributes filled in. */
export const boundFormula = (e: Expr, attributes: Attributes): Expr =>
  substitute(e, (name) => {
    const v = attributes[name]
    return typeof v === 'number' || typeof v === 'bigint'
      ? constant(v)
      : typeof v === 'boolean'
        ? constant(v ? 1 : 0)
        : undefined
  })

/** Functions whose exact result on 32-bit integers may leave 2^53. */
const wide: ReadonlySet<string> = new Set(['mul', 'pow', 'fma', 'mulHigh', 'roundShift'])
const anyCall = (e: Expr, test: (fn: string) => boolean): boolean =>
  e.kind === 'call' && (test(e.fn) || e.args.some((a) => anyCall(a, test)))
const whole = (e: Expr): boolean =>
  e.kind === 'call' ? e.args.every(whole) : e.kind !== 'const' || Number.isInteger(Number(e.value))

/** Whether a formula is computed on exact integers: 64-bit ones always, 32-bit ones where products may leave 2^53. */
const exact = (d: DType, e: Expr): boolean =>
  whole(e) && (isBig(d) || ((d === 'int32' || d === 'uint32') && anyCall(e, (fn) => wide.has(fn))))

/** Types that an assignment to their array rounds and wraps as they should be. */
const plain = (d: DType): boolean => !isBig(d) && !['bfloat16', 'int4', 'uint4', 'bool', 'string'].includes(d)

/** Formulas on strings: only choices and comparisons have a meaning there. */
function evaluateText(e: Expr, inputs: readonly Tensor[], dtype: DType, shape: readonly number[]): Tensor {
  if (e.kind !== 'call' || !['eq', 'ne', 'select'].includes(e.fn))
    throw new InputError('expected numbers, got strings')
  const out = zeros(dtype, shape)
  const [a, b, c] = inputs.map((t) => t.data)
  const put = (i: number, p: number, q: number, r: number): void => {
    if (e.fn === 'select') (out.data as string[])[i] = (a![p] ? b![q] : c![r]) as string
    else store(dtype, out.data, i, (a![p] === b![q]) === (e.fn === 'eq') ? 1 : 0)
  }
  eachElement(inputs, shape, put)
  return out
}

/** Calls `put` with the output's index and each input's offset. */
function eachElement(
  inputs: readonly Tensor[],
  shape: readonly number[],
  put: (i: number, p: number, q: number, r: number) => void,
): void {
  forEachStretch(
    inputs.map((t) => t.shape),
    shape,
    (i, count, [p, q = 0, r = 0], [sp, sq = 0, sr = 0]) => {
      for (let k = 0; k < count; k++) put(i + k, p! + k * sp!, q + k * sq, r + k * sr)
    },
  )
}

/** Evaluates a formula over broadcast inputs: float64 (or exact integer) arithmetic, rounded once to `dtype`. */
export function evaluateFormula(
  e: Expr,
  inputs: readonly Tensor[],
  dtype: DType,
  shape: readonly number[],
): Tensor {
  const from = inputs.at(-1)!.dtype
  if (from === 'string') return evaluateText(e, inputs, dtype, shape)
  const out = zeros(dtype, shape)
  const names = operands.slice(0, inputs.length)
  if (exact(from, e)) {
    const f = integerFunction(e, names)
    const [a, b, c] = inputs.map((t) => Array.from(t.data as Int32Array, BigInt))
    eachElement(inputs, shape, (i, p, q, r) =>
      store(dtype, out.data, i, wrap(f(a![p]!, b ? b[q]! : 0n, c ? c[r]! : 0n), dtype)),
    )
    return out
  }
  const f = numberFunction(e, names, !isFloat(from))
  const [a, b, c] = inputs.map(numbers)
  if (!plain(dtype)) {
    eachElement(inputs, shape, (i, p, q, r) =>
      store(dtype, out.data, i, f(a![p]!, b ? b[q]! : 0, c ? c[r]! : 0)),
    )
    return out
  }
  const data = out.data as Float64Array
  forEachStretch(
    inputs.map((t) => t.shape),
    shape,
    (i, count, [p, q = 0, r = 0], [sp, sq = 0, sr = 0]) => {
      if (!b) for (let k = 0; k < count; k++) data[i + k] = f(a![p! + k * sp!]!, 0, 0)
      else if (!c) for (let k = 0; k < count; k++) data[i + k] = f(a![p! + k * sp!]!, b[q + k * sq]!, 0)
      else for (let k = 0; k < count; k++) data[i + k] = f(a![p! + k * sp!]!, b[q + k * sq]!, c[r + k * sr]!)
    },
  )
  return out
}

const wrap = (v: bigint, d: DType): bigint | number =>
  isBig(d)
    ? v
    : d === 'bool'
      ? v
        ? 1
        : 0
      : d === 'uint32'
        ? Number(BigInt.asUintN(32, v))
        : Number(BigInt.asIntN(32, v))

type RowOptions = {
  /** Numeric attributes and their defaults. */
  readonly attributes?: Readonly<Record<string, number | null>>
  readonly result?: 'same' | 'bool'
  /** Type of the operands of the example; bool operators have bool ones. */
  readonly example?: DType
}

/** Six values on both sides of every kink; y and z take them in another order. */
const exampleValues = [-2, -0.5, 0, 0.25, 1, 3]

function exampleOf(arity: number, dtype: DType): Tensor[] {
  const values = isFloat(dtype) ? exampleValues : dtype === 'bool' ? [0, 1, 1, 0, 1, 0] : [5, 1, 2, 3, 7, 4]
  return Array.from({ length: arity }, (_, k) =>
    tensorOf(
      dtype,
      [2, 3],
      values.map((_v, i) => values[(i * (k === 1 ? 5 : 1) + k) % 6]!),
    ),
  )
}

/** A row: arity is the number of the operands x, y, z that the formula names. */
function row(doc: string, text: string, options: RowOptions = {}): Op {
  const e = formula(text)
  const arity = /\bz\b/.test(text) ? 3 : /\by\b/.test(text) ? 2 : 1
  const result = options.result ?? 'same'
  const attributes = Object.fromEntries(
    Object.entries(options.attributes ?? {}).map(([k, d]) => [
      k,
      d === null ? { kind: 'scalar' as const } : { kind: 'scalar' as const, default: d },
    ]),
  )
  return {
    doc: `${doc}: ${text}`,
    inputs: [arity, arity],
    attributes,
    formula: e,
    result,
    examples: () => {
      const operandsOf = exampleOf(arity, options.example ?? 'float32')
      return [{ inputs: arity === 3 ? [exampleOf(1, 'bool')[0]!, ...operandsOf.slice(1)] : operandsOf }]
    },
    infer(x) {
      const types = Array.from({ length: arity }, (_, i) => inputType(x, i))
      const last = types.at(-1)!.dtype
      // The condition of `where` is bool; everything else has one type.
      if (arity === 2 && types[0]!.dtype !== last)
        throw new InputError(`operands differ in type: ${types[0]!.dtype} and ${last}`)
      return [tensorType(result === 'bool' ? 'bool' : last, broadcastShapes(...types.map((t) => t.shape)))]
    },
    evaluate(inputs, x) {
      const type = x.types[0]!
      if (type.kind !== 'tensor' || !isStatic(type.shape)) throw new InputError('elementwise: shape unknown')
      return [
        evaluateFormula(boundFormula(e, x.attributes), inputs as readonly Tensor[], type.dtype, type.shape),
      ] as Datum[]
    },
  }
}

const bool = { result: 'bool' } as const
const logic = { result: 'bool', example: 'bool' } as const
const bits = { example: 'uint8' } as const
const fixed = { example: 'int32' } as const

export const elementwise = {
  // arithmetic
  add: row('Sum', 'x + y'),
  sub: row('Difference', 'x - y'),
  mul: row('Product', 'x * y'),
  div: row('Quotient; truncates on integers', 'x / y'),
  floorDiv: row('Quotient rounded down', 'floorDiv(x, y)'),
  mod: row('Remainder with the sign of the divisor', 'mod(x, y)'),
  rem: row('Remainder with the sign of the dividend (C fmod)', 'rem(x, y)'),
  pow: row('Power', 'pow(x, y)'),
  min: row('Smaller of two; NaN wins', 'min(x, y)'),
  max: row('Larger of two; NaN wins', 'max(x, y)'),
  atan2: row('Angle of the point (y, x)', 'atan2(x, y)'),
  squaredDifference: row('Squared difference', '(x - y) * (x - y)'),
  neg: row('Negative', '-x'),
  abs: row('Absolute value', 'abs(x)'),
  sign: row('Sign: −1, 0 or 1', 'sign(x)'),
  reciprocal: row('Reciprocal', '1 / x'),
  floor: row('Rounded down', 'floor(x)'),
  ceil: row('Rounded up', 'ceil(x)'),
  round: row('Nearest integer, halves to even', 'round(x)'),
  trunc: row('Rounded toward zero', 'trunc(x)'),
  square: row('Square', 'x * x'),
  sqrt: row('Square root', 'sqrt(x)'),
  rsqrt: row('Reciprocal square root', '1 / sqrt(x)'),
  exp: row('Exponential', 'exp(x)'),
  expm1: row('Exponential less one', 'expm1(x)'),
  log: row('Natural logarithm', 'log(x)'),
  log1p: row('Logarithm of one more', 'log1p(x)'),
  sin: row('Sine', 'sin(x)'),
  cos: row('Cosine', 'cos(x)'),
  tan: row('Tangent', 'tan(x)'),
  asin: row('Inverse sine', 'asin(x)'),
  acos: row('Inverse cosine', 'acos(x)'),
  atan: row('Inverse tangent', 'atan(x)'),
  sinh: row('Hyperbolic sine', 'sinh(x)'),
  cosh: row('Hyperbolic cosine', 'cosh(x)'),
  tanh: row('Hyperbolic tangent', 'tanh(x)'),
  asinh: row('Inverse hyperbolic sine', 'asinh(x)'),
  acosh: row('Inverse hyperbolic cosine', 'acosh(x)'),
  atanh: row('Inverse hyperbolic tangent', 'atanh(x)'),
  erf: row('Error function', 'erf(x)'),
  clamp: row('Limited to [low, high]', 'min(high, max(low, x))', {
    attributes: { low: -Infinity, high: Infinity },
  }),
  // activations
  relu: row('Rectified linear unit', 'max(x, 0)'),
  leakyRelu: row('Leaky rectifier', 'select(x < 0, alpha * x, x)', { attributes: { alpha: 0.01 } }),
  prelu: row('Leaky rectifier with a slope tensor', 'select(x < 0, x * y, x)'),
  elu: row('Exponential linear unit', 'select(x < 0, alpha * expm1(x), x)', { attributes: { alpha: 1 } }),
  selu: row('Scaled exponential linear unit', 'gamma * select(x > 0, x, alpha * expm1(x))', {
    attributes: { alpha: 1.6732632423543772, gamma: 1.0507009873554805 },
  }),
  celu: row('Continuous exponential linear unit', 'max(0, x) + min(0, alpha * expm1(x / alpha))', {
    attributes: { alpha: 1 },
  }),
  thresholdedRelu: row('Rectifier above a threshold', 'select(x > alpha, x, 0)', {
    attributes: { alpha: 1 },
  }),
  sigmoid: row('Logistic function', '1 / (1 + exp(-x))'),
  hardSigmoid: row('Piecewise linear logistic function', 'max(0, min(1, alpha * x + beta))', {
    attributes: { alpha: 0.2, beta: 0.5 },
  }),
  hardSwish: row('Piecewise linear swish', 'x * max(0, min(1, x / 6 + 0.5))'),
  silu: row('Swish', 'x / (1 + exp(-(alpha * x)))', { attributes: { alpha: 1 } }),
  mish: row('Mish', 'x * tanh(max(x, 0) + log1p(exp(-abs(x))))'),
  softplus: row('Smooth rectifier', 'max(x, 0) + log1p(exp(-abs(x)))'),
  softsign: row('x over one more than its magnitude', 'x / (1 + abs(x))'),
  gelu: row('Gaussian error linear unit', '0.5 * x * (1 + erf(x * 0.7071067811865476))'),
  geluTanh: row(
    'Gaussian error linear unit by tanh',
    '0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))',
  ),
  shrink: row(
    'Shrinks towards zero by bias outside ±lambda',
    'select(x < -lambda, x + bias, select(x > lambda, x - bias, 0))',
    {
      attributes: { bias: 0, lambda: 0.5 },
    },
  ),
  // comparison and logic
  equal: row('Equality', 'x == y', bool),
  notEqual: row('Inequality', 'x != y', bool),
  less: row('Strictly less', 'x < y', bool),
  lessEqual: row('Less or equal', 'x <= y', bool),
  greater: row('Strictly greater', 'x > y', bool),
  greaterEqual: row('Greater or equal', 'x >= y', bool),
  and: row('Logical and', 'and(x, y)', logic),
  or: row('Logical or', 'or(x, y)', logic),
  xor: row('Logical exclusive or', 'xor(x, y)', logic),
  not: row('Logical not', 'not(x)', logic),
  isNaN: row('Whether not a number', 'isNaN(x)', bool),
  isInf: row('Whether infinite, of the signs asked for', 'isInf(x) * select(x > 0, positive, negative)', {
    attributes: { positive: 1, negative: 1 },
    ...bool,
  }),
  where: row('y where x holds, else z', 'select(x, y, z)'),
  // bits
  bitAnd: row('Bitwise and', 'bitAnd(x, y)', bits),
  bitOr: row('Bitwise or', 'bitOr(x, y)', bits),
  bitXor: row('Bitwise exclusive or', 'bitXor(x, y)', bits),
  bitNot: row('Bitwise complement', 'bitNot(x)', bits),
  shiftLeft: row('Shift left', 'shl(x, y)', bits),
  shiftRight: row('Shift right; keeps the sign of signed types', 'shr(x, y)', bits),
  // fixed point
  mulHigh: row('Rounded, saturating high half of twice an int32 product (gemmlowp)', 'mulHigh(x, y)', fixed),
  roundShift: row('Shift right, halves away from zero (gemmlowp)', 'roundShift(x, y)', fixed),
} satisfies Record<string, Op>
