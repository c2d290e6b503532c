// What is known of a value from its expression alone.

import type { Expr } from '../ir/scalar.ts'

/** Between which numbers a value lies for certain, NaN aside. */
export function limitsOf(e: Expr): readonly [low: number, high: number] {
  if (e.kind === 'repeat') return limitsOf(e.arg)
  if (e.kind === 'const') return [Number(e.value), Number(e.value)]
  if (e.kind === 'cast' && e.type === 'int32') {
    const [low, high] = limitsOf(e.arg)
    return low >= -(2 ** 31) && high < 2 ** 31
      ? [Math.trunc(low), Math.trunc(high)]
      : [-(2 ** 31), 2 ** 31 - 1]
  }
  if (e.kind === 'call') {
    const [a, b] = e.args.map(limitsOf)
    // Of floats a sum may be rounded: only small whole limits stay limits.
    if (e.fn === 'add' && [...a!, ...b!].every((v) => Math.abs(v) < 2 ** 22))
      return [a![0] + b![0], a![1] + b![1]]
    if (e.fn === 'round') return [Math.floor(a![0]), Math.ceil(a![1])]
    if (e.fn === 'min') return [Math.min(a![0], b![0]), Math.min(a![1], b![1])]
    if (e.fn === 'max') return [Math.max(a![0], b![0]), Math.max(a![1], b![1])]
  }
  return [-Infinity, Infinity]
}

/** What a kernel knows of an expression's parts. */
export type Facts = {
  /** Whether all elements of a buffer are finite. */
  finite(buffer: string): boolean
  isInteger(e: Expr): boolean
}

function isFinite(e: Expr, facts: Facts): boolean {
  if (e.kind === 'const') return Number.isFinite(Number(e.value))
  if (e.kind === 'load') return facts.finite(e.buffer)
  if (e.kind === 'repeat') return isFinite(e.arg, facts)
  return e.kind === 'cast' && e.type === 'float32' && facts.isInteger(e.arg)
}

/** Whether a value is a number for certain, infinite ones among them: of limits, and of products of finite values. */
export function isNumber(e: Expr, facts: Facts): boolean {
  if (e.kind === 'call' && (e.fn === 'min' || e.fn === 'max' || e.fn === 'round'))
    return e.args.every((a) => isNumber(a, facts))
  if (e.kind === 'call' && e.fn === 'mul') return e.args.every((a) => isFinite(a, facts))
  return isFinite(e, facts)
}

/** The operand of max(0, x), of which NaN becomes 0 where NaN may as well be dropped. */
export function aboveZero(e: Expr): Expr | undefined {
  if (e.kind !== 'call' || e.fn !== 'max') return undefined
  const isZero = (x: Expr): boolean => String(limitsOf(x)) === '0,0'
  const [a, b] = e.args as [Expr, Expr]
  return isZero(a) ? b : isZero(b) ? a : undefined
}
