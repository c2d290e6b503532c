// The text form of the scalar language: `x * max(0, min(1, alpha * x + beta))`. Prints and parses back.

import { BugError } from '../core/errors.ts'
import { call, constant, type Expr, type ScalarFn, scalarArity, variable } from './scalar.ts'

const infix: Record<string, { fn: ScalarFn; level: number }> = {
  '==': { fn: 'eq', level: 1 },
  '!=': { fn: 'ne', level: 1 },
  '<': { fn: 'lt', level: 1 },
  '<=': { fn: 'le', level: 1 },
  '>': { fn: 'gt', level: 1 },
  '>=': { fn: 'ge', level: 1 },
  '+': { fn: 'add', level: 2 },
  '-': { fn: 'sub', level: 2 },
  '*': { fn: 'mul', level: 3 },
  '/': { fn: 'div', level: 3 },
}
const symbolOf = new Map(Object.entries(infix).map(([symbol, { fn, level }]) => [fn, { symbol, level }]))

/** Parses a formula. Names that are not functions become variables. */
export function formula(text: string): Expr {
  const tokens = text.match(/\d+(?:\.\d+)?(?:e[+-]?\d+)?n?|[A-Za-z_]\w*|[<>=!]=|[-+*/<>(),]/g) ?? []
  let i = 0
  const fail = (expected: string): never => {
    throw new BugError(`formula '${text}': expected ${expected}, got ${tokens[i] ?? 'the end'}`)
  }
  const primary = (): Expr => {
    const t = tokens[i++]
    if (t === undefined) return fail('an operand')
    if (t === '-') {
      const arg = primary()
      return arg.kind === 'const' ? constant(-arg.value) : call('neg', arg)
    }
    if (t === '(') {
      const e = expression(0)
      if (tokens[i++] !== ')') fail(')')
      return e
    }
    if (/^\d/.test(t)) return constant(t.endsWith('n') ? BigInt(t.slice(0, -1)) : Number(t))
    if (!/^[A-Za-z_]/.test(t)) return fail('an operand')
    if (tokens[i] !== '(') {
      if (t === 'inf') return constant(Infinity)
      if (t === 'nan') return constant(NaN)
      return variable(t)
    }
    if (!(t in scalarArity)) fail(`a function (${t} is none)`)
    i++
    const args: Expr[] = []
    while (tokens[i] !== ')') {
      args.push(expression(0))
      if (tokens[i] === ',') i++
      else if (tokens[i] !== ')') fail(', or )')
    }
    i++
    return call(t as ScalarFn, ...args)
  }
  const expression = (level: number): Expr => {
    let left = primary()
    for (;;) {
      const op = infix[tokens[i] ?? '']
      if (!op || op.level <= level) return left
      i++
      left = call(op.fn, left, expression(op.level))
    }
  }
  const e = expression(0)
  if (i !== tokens.length) fail('the end')
  return e
}

const printConstant = (v: number | bigint): string =>
  typeof v === 'bigint'
    ? `${v}n`
    : Number.isNaN(v)
      ? 'nan'
      : Number.isFinite(v)
        ? String(v)
        : v > 0
          ? 'inf'
          : '-inf'

/** Prints an expression so that `formula` reads it back (loads and casts print for people only). */
export function printFormula(e: Expr, level = 0): string {
  switch (e.kind) {
    case 'const':
      return printConstant(e.value)
    case 'var':
      return e.name
    case 'load':
      return `${e.buffer}[${printFormula(e.index)}${e.width && e.width > 1 ? `:${e.width}` : ''}]`
    case 'element':
      return `${e.name}[${printFormula(e.index)}]`
    case 'repeat':
      return `repeat${e.times}(${printFormula(e.arg)})`
    case 'lanes':
      return `lanes(${e.args.map((a) => printFormula(a)).join(', ')})`
    case 'pick':
      return `pick[${e.lanes.join(' ')}](${printFormula(e.a)}, ${printFormula(e.b)})`
    case 'lane':
      return `lane${e.lane}(${printFormula(e.arg)})`
    case 'across':
      return `across_${e.fn}(${printFormula(e.arg)})`
    case 'bits':
      return `bits_${e.type}(${printFormula(e.arg)})`
    case 'dot':
      return `dot(${printFormula(e.acc)}, ${printFormula(e.a)}, ${printFormula(e.b)})`
    case 'cast':
      return `${e.type}(${printFormula(e.arg)})`
    case 'call': {
      const op = symbolOf.get(e.fn)
      if (!op) return `${e.fn}(${e.args.map((a) => printFormula(a)).join(', ')})`
      const text = `${printFormula(e.args[0]!, op.level - 1)} ${op.symbol} ${printFormula(e.args[1]!, op.level)}`
      return op.level <= level ? `(${text})` : text
    }
  }
}
