// The one scalar language of Strata. An elementwise operator is a formula in it; a loop nest's stores are expressions in it;
// evaluation, derivatives and the code of every language follow from it. Knows no operator and no buffer layout.

import type { DType } from '../core/dtype.ts'
import { BugError } from '../core/errors.ts'

/**
 * Arithmetic on one element. `div` and `rem` truncate toward zero on integers (`div` is true division on floats);
 * `floorDiv` and `mod` round toward minus infinity. `round` takes halves to even. Comparisons and logic give bool (0 or 1).
 * `fma(a, b, c)` = a·b + c rounded once. `select(c, a, b)` = c ? a : b.
 * `mulHigh(a, b)` = saturating rounding doubling high half of an int32 product (gemmlowp); `roundShift(a, n)` = rounding
 * right shift by n, halves away from zero (gemmlowp RoundingDivideByPOT).
 */
export const scalarArity = {
  neg: 1, abs: 1, sign: 1, floor: 1, ceil: 1, round: 1, trunc: 1, sqrt: 1, exp: 1, expm1: 1, log: 1, log1p: 1, log2: 1,
  sin: 1, cos: 1, tan: 1, asin: 1, acos: 1, atan: 1, sinh: 1, cosh: 1, tanh: 1, asinh: 1, acosh: 1, atanh: 1, erf: 1,
  isNaN: 1, isInf: 1, not: 1, bitNot: 1,
  add: 2, sub: 2, mul: 2, div: 2, floorDiv: 2, rem: 2, mod: 2, pow: 2, min: 2, max: 2, atan2: 2,
  eq: 2, ne: 2, lt: 2, le: 2, gt: 2, ge: 2, and: 2, or: 2, xor: 2,
  bitAnd: 2, bitOr: 2, bitXor: 2, shl: 2, shr: 2, mulHigh: 2, roundShift: 2,
  select: 3, fma: 3,
} as const // biome-ignore format: a table
export type ScalarFn = keyof typeof scalarArity

/** `type` is the dtype that the value has (and is rounded to) at run time; formulas leave it out and take their operands'. */
export type Expr =
  | { readonly kind: 'const'; readonly value: number | bigint; readonly type?: DType }
  /** An operand (`x`, `y`), an attribute (`alpha`), a loop variable or a local. */
  | { readonly kind: 'var'; readonly name: string }
  /** `width` (default 1) consecutive elements of a buffer. Loads and the forms below belong to loops (src/compile/loops.ts). */
  | {
      readonly kind: 'load'
      readonly buffer: string
      readonly index: Expr
      readonly width?: number
      /** Not widened: for `dot` alone. */
      readonly raw?: boolean
    }
  | { readonly kind: 'call'; readonly fn: ScalarFn; readonly args: readonly Expr[] }
  | { readonly kind: 'cast'; readonly type: DType; readonly arg: Expr }
  /** An element of a local array. */
  | { readonly kind: 'element'; readonly name: string; readonly index: Expr }
  /** A vector: the argument's lanes, `times` times over. */
  | { readonly kind: 'repeat'; readonly times: number; readonly arg: Expr }
  /** A vector of these single values. */
  | { readonly kind: 'lanes'; readonly args: readonly Expr[] }
  | { readonly kind: 'lane'; readonly lane: number; readonly arg: Expr }
  /** Lanes of two vectors of one type, those of `b` counted on from those of `a`. */
  | { readonly kind: 'pick'; readonly lanes: readonly number[]; readonly a: Expr; readonly b: Expr }
  /** All lanes combined to one by an associative function (add, min, max). */
  | { readonly kind: 'across'; readonly fn: ScalarFn; readonly arg: Expr }
  /** The same bits read as another type of the same size. */
  | { readonly kind: 'bits'; readonly type: DType; readonly arg: Expr }
  /** acc[i] + Σ_j a[g·i + j] · b[g·i + j] in exact int32, where a and b have g times the lanes of acc (integer products). */
  | { readonly kind: 'dot'; readonly acc: Expr; readonly a: Expr; readonly b: Expr }

export const constant = (value: number | bigint, type?: DType): Expr =>
  type ? { kind: 'const', value, type } : { kind: 'const', value }
export const variable = (name: string): Expr => ({ kind: 'var', name })
export const load = (buffer: string, index: Expr): Expr => ({ kind: 'load', buffer, index })
export const cast = (type: DType, arg: Expr): Expr => ({ kind: 'cast', type, arg })
export function call(fn: ScalarFn, ...args: Expr[]): Expr {
  if (args.length !== scalarArity[fn])
    throw new BugError(`${fn}: expected ${scalarArity[fn]} arguments, got ${args.length}`)
  return { kind: 'call', fn, args }
}

/** erf to float64 accuracy (W. J. Cody, rational Chebyshev approximations, Math. Comp. 23, 1969). */
export function erf(x: number): number {
  const a = Math.abs(x)
  if (Number.isNaN(x)) return x
  if (a <= 0.46875) {
    const y = a > 1.11e-16 ? x * x : 0
    const p = [
      3.1611237438705656, 113.864154151050156, 377.485237685302021, 3209.37758913846947, 0.185777706184603153,
    ]
    const q = [23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062]
    let n = p[4]! * y
    let d = y
    for (let i = 0; i < 3; i++) {
      n = (n + p[i]!) * y
      d = (d + q[i]!) * y
    }
    return (x * (n + p[3]!)) / (d + q[3]!)
  }
  let result: number
  if (a <= 4) {
    const p = [
      0.564188496988670089, 8.88314979438837594, 66.1191906371416295, 298.635138197400131, 881.95222124176909,
      1712.04761263407058, 2051.07837782607147, 1230.33935479799725, 2.15311535474403846e-8,
    ]
    const q = [
      15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019, 3290.79923573345963,
      4362.61909014324716, 3439.36767414372164, 1230.33935480374942,
    ]
    let n = p[8]! * a
    let d = a
    for (let i = 0; i < 7; i++) {
      n = (n + p[i]!) * a
      d = (d + q[i]!) * a
    }
    result = (n + p[7]!) / (d + q[7]!)
  } else {
    const p = [
      0.305326634961232344, 0.360344899949804439, 0.125781726111229246, 0.0160837851487422766,
      6.58749161529837803e-4, 0.0163153871373020978,
    ]
    const q = [
      2.56852019228982242, 1.87295284992346725, 0.527905102951428412, 0.0605183413124413191,
      0.00233520497626869185,
    ]
    const y = 1 / (a * a)
    let n = p[5]! * y
    let d = y
    for (let i = 0; i < 4; i++) {
      n = (n + p[i]!) * y
      d = (d + q[i]!) * y
    }
    result = (y * (n + p[4]!)) / (d + q[4]!)
    result = (0.56418958354775628695 - result) / a
  }
  const t = Math.trunc(a * 16) / 16
  const del = (a - t) * (a + t)
  const tail = Math.exp(-t * t) * Math.exp(-del) * result
  return x < 0 ? tail - 1 : 1 - tail
}

/** Nearest integer, halves to even. */
export function roundEven(x: number): number {
  const r = Math.round(x)
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r
}

const int32Max = 2147483647n
/** gemmlowp SaturatingRoundingDoublingHighMul. */
function mulHigh(a: bigint, b: bigint): bigint {
  if (a === b && a === -int32Max - 1n) return int32Max
  const ab = a * b
  const nudge = ab >= 0n ? 1n << 30n : 1n - (1n << 30n)
  return (ab + nudge) / (1n << 31n)
}
function roundShift(x: bigint, n: bigint): bigint {
  if (n === 0n) return x
  const mask = (1n << n) - 1n
  const remainder = x & mask
  const threshold = (mask >> 1n) + (x < 0n ? 1n : 0n)
  return (x >> n) + (remainder > threshold ? 1n : 0n)
}

type NumberFn = (a: number, b: number, c: number) => number
const truth = (b: boolean): number => (b ? 1 : 0)

/** Each function on float64 numbers. On integer types (up to 32 bits) `div`, `rem` truncate. */
export const onNumbers: Record<ScalarFn, NumberFn> = {
  neg: (a) => -a,
  abs: (a) => Math.abs(a),
  sign: (a) => Math.sign(a),
  floor: (a) => Math.floor(a),
  ceil: (a) => Math.ceil(a),
  round: (a) => roundEven(a),
  trunc: (a) => Math.trunc(a),
  sqrt: (a) => Math.sqrt(a),
  exp: (a) => Math.exp(a),
  expm1: (a) => Math.expm1(a),
  log: (a) => Math.log(a),
  log1p: (a) => Math.log1p(a),
  log2: (a) => Math.log2(a),
  sin: (a) => Math.sin(a),
  cos: (a) => Math.cos(a),
  tan: (a) => Math.tan(a),
  asin: (a) => Math.asin(a),
  acos: (a) => Math.acos(a),
  atan: (a) => Math.atan(a),
  sinh: (a) => Math.sinh(a),
  cosh: (a) => Math.cosh(a),
  tanh: (a) => Math.tanh(a),
  asinh: (a) => Math.asinh(a),
  acosh: (a) => Math.acosh(a),
  atanh: (a) => Math.atanh(a),
  erf: (a) => erf(a),
  isNaN: (a) => truth(Number.isNaN(a)),
  isInf: (a) => truth(a === Infinity || a === -Infinity),
  not: (a) => truth(!a),
  bitNot: (a) => ~a,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  floorDiv: (a, b) => Math.floor(a / b),
  rem: (a, b) => a % b,
  mod: (a, b) => {
    const r = a % b
    return r !== 0 && r < 0 !== b < 0 ? r + b : r
  },
  pow: (a, b) => a ** b,
  // As ONNX and IEEE minimum: NaN wins.
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  atan2: (a, b) => Math.atan2(a, b),
  eq: (a, b) => truth(a === b),
  ne: (a, b) => truth(a !== b),
  lt: (a, b) => truth(a < b),
  le: (a, b) => truth(a <= b),
  gt: (a, b) => truth(a > b),
  ge: (a, b) => truth(a >= b),
  and: (a, b) => truth(!!a && !!b),
  or: (a, b) => truth(!!a || !!b),
  xor: (a, b) => truth(!!a !== !!b),
  bitAnd: (a, b) => a & b,
  bitOr: (a, b) => a | b,
  bitXor: (a, b) => a ^ b,
  shl: (a, b) => (b >= 32 ? 0 : a * 2 ** b),
  shr: (a, b) => Math.floor(a / 2 ** b),
  mulHigh: (a, b) => Number(mulHigh(BigInt(a), BigInt(b))),
  roundShift: (a, b) => Number(roundShift(BigInt(a), BigInt(b))),
  select: (a, b, c) => (a ? b : c),
  fma: (a, b, c) => a * b + c,
}

type BigFn = (a: bigint, b: bigint, c: bigint) => bigint
const bigTruth = (b: boolean): bigint => (b ? 1n : 0n)
const viaNumber =
  (fn: ScalarFn): BigFn =>
  (a, b, c) => {
    const r = onNumbers[fn](Number(a), Number(b), Number(c))
    return Number.isFinite(r) ? BigInt(Math.trunc(r)) : 0n
  }
const same: BigFn = (a) => a

/** Each function on exact integers; the caller wraps the result to its type. Division by zero gives 0. */
export const onIntegers: Record<ScalarFn, BigFn> = {
  ...(Object.fromEntries(Object.keys(scalarArity).map((fn) => [fn, viaNumber(fn as ScalarFn)])) as Record<
    ScalarFn,
    BigFn
  >),
  neg: (a) => -a,
  abs: (a) => (a < 0n ? -a : a),
  sign: (a) => (a > 0n ? 1n : a < 0n ? -1n : 0n),
  floor: same,
  ceil: same,
  round: same,
  trunc: same,
  isNaN: () => 0n,
  isInf: () => 0n,
  not: (a) => bigTruth(!a),
  bitNot: (a) => ~a,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => (b === 0n ? 0n : a / b),
  rem: (a, b) => (b === 0n ? 0n : a % b),
  floorDiv: (a, b) => (b === 0n ? 0n : a / b - (a % b !== 0n && a < 0n !== b < 0n ? 1n : 0n)),
  mod: (a, b) => {
    if (b === 0n) return 0n
    const r = a % b
    return r !== 0n && r < 0n !== b < 0n ? r + b : r
  },
  pow: (a, b) => (b < 0n ? (a === 1n ? 1n : a === -1n ? (b % 2n ? -1n : 1n) : 0n) : a ** b),
  min: (a, b) => (a < b ? a : b),
  max: (a, b) => (a > b ? a : b),
  eq: (a, b) => bigTruth(a === b),
  ne: (a, b) => bigTruth(a !== b),
  lt: (a, b) => bigTruth(a < b),
  le: (a, b) => bigTruth(a <= b),
  gt: (a, b) => bigTruth(a > b),
  ge: (a, b) => bigTruth(a >= b),
  and: (a, b) => bigTruth(!!a && !!b),
  or: (a, b) => bigTruth(!!a || !!b),
  xor: (a, b) => bigTruth(!!a !== !!b),
  bitAnd: (a, b) => a & b,
  bitOr: (a, b) => a | b,
  bitXor: (a, b) => a ^ b,
  shl: (a, b) => (b >= 64n ? 0n : a << b),
  shr: (a, b) => a >> (b >= 64n ? 64n : b),
  mulHigh,
  roundShift,
  select: (a, b, c) => (a ? b : c),
  fma: (a, b, c) => a * b + c,
}

/** Compiles a formula over the named operands to a function on float64 numbers. `integer`: division truncates. */
export function numberFunction(e: Expr, operands: readonly string[], integer = false): NumberFn {
  const build = (x: Expr): NumberFn => {
    switch (x.kind) {
      case 'const': {
        const v = Number(x.value)
        return () => v
      }
      case 'var': {
        const i = operands.indexOf(x.name)
        if (i < 0) throw new BugError(`formula: unbound name ${x.name}`)
        return i === 0 ? (a) => a : i === 1 ? (_a, b) => b : (_a, _b, c) => c
      }
      case 'call': {
        const fn: NumberFn = integer && x.fn === 'div' ? (a, b) => Math.trunc(a / b) : onNumbers[x.fn]
        const [p, q, r] = x.args.map(build)
        if (!q) return (a, b, c) => fn(p!(a, b, c), 0, 0)
        if (!r) return (a, b, c) => fn(p!(a, b, c), q(a, b, c), 0)
        return (a, b, c) => fn(p!(a, b, c), q(a, b, c), r(a, b, c))
      }
      default:
        throw new BugError(`formula: ${x.kind} has no place in a formula`)
    }
  }
  return build(e)
}

/** The same on exact integers, for types whose products leave 2^53. */
export function integerFunction(e: Expr, operands: readonly string[]): BigFn {
  const build = (x: Expr): BigFn => {
    switch (x.kind) {
      case 'const': {
        const v = BigInt(x.value)
        return () => v
      }
      case 'var': {
        const i = operands.indexOf(x.name)
        if (i < 0) throw new BugError(`formula: unbound name ${x.name}`)
        return i === 0 ? (a) => a : i === 1 ? (_a, b) => b : (_a, _b, c) => c
      }
      case 'call': {
        const fn = onIntegers[x.fn]
        const [p, q, r] = x.args.map(build)
        return (a, b, c) => fn(p!(a, b, c), q ? q(a, b, c) : 0n, r ? r(a, b, c) : 0n)
      }
      default:
        throw new BugError(`formula: ${x.kind} has no place in a formula`)
    }
  }
  return build(e)
}

/** Replaces variables: attributes by constants, operands by loads. */
export function substitute(e: Expr, by: (name: string) => Expr | undefined): Expr {
  switch (e.kind) {
    case 'const':
      return e
    case 'var':
      return by(e.name) ?? e
    default:
      return mapArguments(e, (a) => substitute(a, by))
  }
}

/** The expressions that an expression is made of. */
export function argumentsOf(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case 'const':
    case 'var':
      return []
    case 'load':
    case 'element':
      return [e.index]
    case 'call':
    case 'lanes':
      return e.args
    case 'pick':
      return [e.a, e.b]
    case 'dot':
      return [e.acc, e.a, e.b]
    default:
      return [e.arg]
  }
}

/** The same expression with its arguments replaced; itself where none changes, so that sharing is kept. */
export function mapArguments(e: Expr, by: (a: Expr) => Expr): Expr {
  switch (e.kind) {
    case 'const':
    case 'var':
      return e
    case 'load':
    case 'element': {
      const index = by(e.index)
      return index === e.index ? e : { ...e, index }
    }
    case 'call':
    case 'lanes': {
      const args = e.args.map(by)
      return args.every((a, i) => a === e.args[i]) ? e : { ...e, args }
    }
    case 'pick': {
      const [a, b] = [by(e.a), by(e.b)]
      return a === e.a && b === e.b ? e : { ...e, a, b }
    }
    case 'dot': {
      const [acc, a, b] = [by(e.acc), by(e.a), by(e.b)]
      return acc === e.acc && a === e.a && b === e.b ? e : { ...e, acc, a, b }
    }
    default: {
      const arg = by(e.arg)
      return arg === e.arg ? e : { ...e, arg }
    }
  }
}
