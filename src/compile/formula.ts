// An elementwise operator's formula as a loop expression: constants get the operands' type and lanes.

import { type DType, isBig, isFloat, rangeOf } from '../core/dtype.ts'
import { BugError } from '../core/errors.ts'
import { boundFormula } from '../ir/ops/elementwise.ts'
import { opNamed } from '../ir/ops/index.ts'
import { call, cast, constant, type Expr, mapArguments } from '../ir/scalar.ts'
import type { Attributes } from '../ir/types.ts'
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
  if (op === 'cast') return cast(to, args[0]!)
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
  const result = build(boundFormula(raw, attributes))
  return rounded(result, to)
}

function unbound(name: string): never {
  throw new BugError(`compile: formula names ${name}`)
}
