// What is known of a value from its expression alone: where it lies, and that it is a number.

import type { Expr } from '../ir/scalar.ts'

export type Range = readonly [low: number, high: number]

/** What a kernel knows of an expression's parts. */
export type Facts = {
  /** Where all elements of a buffer lie; undefined where they may be anything. */
  range(buffer: string): Range | undefined
  isInteger(e: Expr): boolean
}

const int32: Range = [-(2 ** 31), 2 ** 31 - 1]

/** Between which numbers a value lies for certain, NaN aside. */
export function limitsOf(e: Expr): Range {
  if (e.kind === 'repeat') return limitsOf(e.arg)
  if (e.kind === 'const') return [Number(e.value), Number(e.value)]
  if (e.kind === 'cast' && e.type === 'int32') {
    const [low, high] = limitsOf(e.arg)
    return low >= int32[0] && high <= int32[1] ? [Math.trunc(low), Math.trunc(high)] : int32
  }
  if (e.kind === 'call') {
    const [a, b] = e.args.map(limitsOf) as [Range, Range]
    // Of floats a sum may be rounded: only small whole limits stay limits.
    if (e.fn === 'add' && [...a, ...b].every((v) => Math.abs(v) < 2 ** 22)) return [a[0] + b[0], a[1] + b[1]]
    if (e.fn === 'round') return [Math.floor(a[0]), Math.ceil(a[1])]
    if (e.fn === 'min') return [Math.min(a[0], b[0]), Math.min(a[1], b[1])]
    if (e.fn === 'max') return [Math.max(a[0], b[0]), Math.max(a[1], b[1])]
  }
  return [-Infinity, Infinity]
}

/** Whether a value is no NaN for certain. */
export const isNumber = (e: Expr, facts: Facts): boolean => finiteRange(e, facts) !== undefined

/** Where a value lies that is finite for certain. */
function finiteRange(e: Expr, facts: Facts): Range | undefined {
  const r = rangeOfExpr(e, facts)
  return r && Math.max(-r[0], r[1]) < 1e38 ? r : undefined
}

function rangeOfExpr(e: Expr, facts: Facts): Range | undefined {
  switch (e.kind) {
    case 'const':
      return [Number(e.value), Number(e.value)]
    case 'load':
      return facts.range(e.buffer)
    case 'repeat':
    case 'bits':
      return e.kind === 'repeat' ? finiteRange(e.arg, facts) : undefined
    case 'cast':
      return finiteRange(e.arg, facts) ?? (facts.isInteger(e.arg) ? int32 : undefined)
    case 'call':
      break
    default:
      return undefined
  }
  // Sums of integers wrap.
  if (facts.isInteger(e)) return int32
  const [a, b] = e.args.map((x) => finiteRange(x, facts)) as [Range | undefined, Range | undefined]
  if (e.fn === 'round') return a && [Math.floor(a[0]), Math.ceil(a[1])]
  if (!a || !b) return undefined
  const ends = (f: (x: number, y: number) => number): Range => {
    const all = a.flatMap((x) => b.map((y) => f(x, y)))
    return [Math.min(...all), Math.max(...all)]
  }
  switch (e.fn) {
    case 'add':
      return [a[0] + b[0], a[1] + b[1]]
    case 'sub':
      return [a[0] - b[1], a[1] - b[0]]
    case 'mul':
      return ends((x, y) => x * y)
    case 'div':
      return b[0] > 0 ? ends((x, y) => x / y) : undefined
    case 'min':
      return ends(Math.min)
    case 'max':
      return ends(Math.max)
    default:
      return undefined
  }
}
