// Running error analysis of the scalar language: what rounding may do to a formula at one point.
// First-order propagation with one rounding a step (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.3).

import { BugError } from '../core/errors.ts'
import { type Expr, onNumbers, type ScalarFn } from '../ir/scalar.ts'

/** A value and a bound on its absolute error. */
type Pair = { v: number; e: number }

// Units in the last place that a runtime's elementary function may be off: vectorised polynomials give 1 to 4.
const elementaryUlps = 4
/**
 * Runtimes evaluate bounded functions by approximations of small absolute, not relative, error; and expm1 and log1p as
 * exp(x) − 1 and log(1 + x), which are off by a rounding of 1.
 */
const bounded: ReadonlySet<ScalarFn> = new Set([
  'tanh',
  'erf',
  'sin',
  'cos',
  'atan',
  'asin',
  'acos',
  'expm1',
  'log1p',
])

const derivative: Partial<Record<ScalarFn, (x: number, y: number) => number>> = {
  exp: (_x, y) => y,
  expm1: (_x, y) => y + 1,
  log: (x) => 1 / x,
  log1p: (x) => 1 / (1 + x),
  log2: (x) => Math.LOG2E / x,
  sqrt: (_x, y) => 0.5 / y,
  sin: (x) => Math.cos(x),
  cos: (x) => Math.sin(x),
  tan: (_x, y) => 1 + y * y,
  asin: (x) => 1 / Math.sqrt(1 - x * x),
  acos: (x) => 1 / Math.sqrt(1 - x * x),
  atan: (x) => 1 / (1 + x * x),
  sinh: (x) => Math.cosh(x),
  cosh: (x) => Math.sinh(x),
  tanh: (_x, y) => 1 - y * y,
  asinh: (x) => 1 / Math.sqrt(1 + x * x),
  acosh: (x) => 1 / Math.sqrt(x * x - 1),
  atanh: (x) => 1 / (1 - x * x),
  erf: (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x),
}

/** Compiles a formula to the bound on its absolute error at (x, y, z), each step rounded with unit roundoff u. */
export function errorFunction(
  formula: Expr,
  operands: readonly string[],
  u: number,
): (x: number, y: number, z: number) => number {
  const build = (e: Expr): ((a: readonly number[]) => Pair) => {
    if (e.kind === 'const') {
      const v = Number(e.value)
      // A runtime holds the constant in its own precision.
      const err = Number.isFinite(v) && !Number.isInteger(v) ? Math.abs(v) * u : 0
      return () => ({ v, e: err })
    }
    if (e.kind === 'var') {
      const i = operands.indexOf(e.name)
      return (a) => ({ v: a[i]!, e: 0 })
    }
    if (e.kind !== 'call') throw new BugError(`formula error: ${e.kind} has no place in a formula`)
    const args = e.args.map(build)
    const fn = e.fn
    return (a) =>
      step(
        fn,
        args.map((f) => f(a)),
        u,
      )
  }
  const root = build(formula)
  return (x, y, z) => root([x, y, z]).e
}

function step(fn: ScalarFn, p: readonly Pair[], u: number): Pair {
  const [a, b, c] = p as [Pair, Pair, Pair]
  const v = onNumbers[fn](a.v, b?.v ?? 0, c?.v ?? 0)
  const slope = derivative[fn]
  if (slope) {
    const inherited = a.e === 0 ? 0 : Math.abs(slope(a.v, v)) * a.e
    const own = bounded.has(fn) ? Math.max(Math.abs(v), 1) : Math.abs(v)
    return { v, e: inherited + elementaryUlps * 2 * u * own }
  }
  switch (fn) {
    case 'add':
    case 'sub':
      return { v, e: a.e + b.e + u * Math.abs(v) }
    case 'mul':
      return { v, e: Math.abs(a.v) * b.e + Math.abs(b.v) * a.e + u * Math.abs(v) }
    case 'div': {
      // Runtimes multiply by a reciprocal: two roundings.
      const inherited = a.e === 0 && b.e === 0 ? 0 : (a.e + Math.abs(v) * b.e) / Math.abs(b.v)
      return { v, e: inherited + 2 * u * Math.abs(v) }
    }
    case 'pow': {
      const inherited = a.e === 0 ? 0 : Math.abs(b.v * a.v ** (b.v - 1)) * a.e
      return {
        v,
        e:
          inherited +
          elementaryUlps * 2 * u * Math.abs(v) * (1 + Math.abs(b.v * Math.log(Math.abs(a.v) || 1))),
      }
    }
    case 'fma':
      return { v, e: Math.abs(a.v) * b.e + Math.abs(b.v) * a.e + c.e + 2 * u * Math.abs(v) }
    case 'min':
    case 'max':
      return { v, e: Math.max(a.e, b.e) }
    case 'select':
      return a.v ? { v, e: b.e } : { v, e: c.e }
    case 'neg':
    case 'abs':
    case 'trunc':
    case 'floor':
    case 'ceil':
    case 'round':
      return { v, e: a.e }
    case 'atan2':
      return { v, e: elementaryUlps * 2 * u * Math.PI }
    default:
      // Remainders, comparisons, logic and bits are exact on equal operands.
      return { v, e: 0 }
  }
}
