// An elementwise operator's formula as a loop expression: constants get the operands' type and lanes.

import { type DType, isBig, isFloat, rangeOf } from '../core/dtype.ts'
import { BugError } from '../core/errors.ts'
import { boundFormula } from '../ir/ops/elementwise.ts'
import { opNamed } from '../ir/ops/index.ts'
import { call, cast, constant, type Expr, mapArguments } from '../ir/scalar.ts'
import type { Attributes } from '../ir/types.ts'
import { limitsOf } from './limits.ts'
import { computeType, repeat } from './loops.ts'

/** A constant of a dtype's compute type; integers are limited to its range. */
export function typedConstant(value: number | bigint, d: DType): Expr {
  const type = computeType(d) as DType
  if (type === 'bool') return constant(value ? 1 : 0, 'bool')
  if (isFloat(type)) return constant(Number(value), type)
  const [min, max] = rangeOf(type)
  let v =
    typeof value === 'bigint'
      ? value
      : value >= Number(max)
        ? max
        : value <= Number(min)
          ? min
          : BigInt(Math.trunc(value) || 0)
  v = v < min ? min : v > max ? max : v
  return constant(isBig(type) ? v : Number(v), type)
}

/** Whether a loaded value already is what its dtype holds: nothing to round after arithmetic. */
const isFull = (d: DType): boolean => computeType(d) === d

/** The value in a dtype's precision, in its compute type. */
export const rounded = (e: Expr, d: DType): Expr => (isFull(d) ? e : cast(d, e))

/** Applies an elementwise operator to operands of the given dtype; the result is of dtype `to`. */
export function applyFormula(
  op: string,
  attributes: Attributes,
  args: readonly Expr[],
  from: DType,
  to: DType,
  lanes: number,
): Expr {
  if (op === 'cast') return converted(args[0]!, from, to)
  const raw = opNamed(op)?.formula
  if (!raw) throw new BugError(`compile: ${op} has no formula`)
  const k = (v: number | bigint): Expr => repeat(typedConstant(v, from), lanes)
  if (op === 'isInf') {
    if (!isFloat(from)) return repeat(constant(0, 'bool'), lanes)
    // The row's product of a bool and a number, as logic.
    const x = args[0]!
    const [positive, negative] = [Number(attributes.positive ?? 1), Number(attributes.negative ?? 1)]
    if (positive && negative) return call('isInf', x)
    return positive || negative ? call('eq', x, k(positive ? Infinity : -Infinity)) : call('ne', k(0), k(0))
  }
  const build = (e: Expr): Expr => {
    if (e.kind === 'const') return k(e.value)
    if (e.kind === 'var') return args[['x', 'y', 'z'].indexOf(e.name)] ?? unbound(e.name)
    return mapArguments(e, build)
  }
  const result = settled(build(boundFormula(raw, attributes)))
  return rounded(result, to)
}

/** (x + a) − b of integer constants is one step, or none. */
function settled(e: Expr): Expr {
  const literal = (x: Expr | undefined): number | undefined => {
    const c = x?.kind === 'repeat' ? x.arg : x
    return c?.kind === 'const' && c.type === 'int32' ? Number(c.value) : undefined
  }
  if (e.kind !== 'call' || e.fn !== 'sub') return e
  const [sum, b] = e.args as [Expr, Expr]
  if (sum.kind !== 'call' || sum.fn !== 'add') return e
  const [x, a] = sum.args as [Expr, Expr]
  return literal(a) !== undefined && literal(a) === literal(b) ? x : e
}

/** Of what lies within a narrow integer's range nothing is left to wrap. */
function converted(x: Expr, from: DType, to: DType): Expr {
  const type = computeType(to)
  if (type !== 'int32') return cast(to, x)
  if (to === 'int32') return computeType(from) === 'int32' ? x : cast(to, x)
  const [[low, high], [min, max]] = [limitsOf(x), rangeOf(to).map(Number) as [number, number]]
  if (!(low >= min && high <= max)) return cast(to, x)
  return computeType(from) === 'int32' ? x : cast('int32', x)
}

function unbound(name: string): never {
  throw new BugError(`compile: formula names ${name}`)
}
