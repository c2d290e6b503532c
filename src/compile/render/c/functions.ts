// Scalar functions on plain values and on vectors as C expressions, with the inline functions that they need.

import { type DType, isFloat } from '../../../core/dtype.ts'
import { BugError } from '../../../core/errors.ts'
import type { Expr, ScalarFn } from '../../../ir/scalar.ts'
import type { ComputeType, LoopType } from '../../loops.ts'
import { instructions } from './instructions.ts'
import { type Prelude, valueType } from './types.ts'

const unsignedOf: Partial<Record<ComputeType, string>> = {
  int32: 'uint32_t',
  int64: 'uint64_t',
  uint32: 'uint32_t',
  uint64: 'uint64_t',
}
export const infix: Partial<Record<ScalarFn, string>> = {
  add: '+', sub: '-', mul: '*', div: '/', eq: '==', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=',
  bitAnd: '&', bitOr: '|', bitXor: '^', shl: '<<', shr: '>>',
} // biome-ignore format: a table
export const compares: ReadonlySet<string> = new Set(['eq', 'ne', 'lt', 'le', 'gt', 'ge'])
const logic: Partial<Record<ScalarFn, string>> = { and: '&', or: '|', xor: '^' }

/** Functions of the C library, computed in double and rounded once where the value is a float. */
const library: Partial<Record<ScalarFn, string>> = {
  exp: 'exp', expm1: 'expm1', log: 'log', log1p: 'log1p', log2: 'log2', sin: 'sin', cos: 'cos', tan: 'tan', asin: 'asin', acos: 'acos',
  atan: 'atan', sinh: 'sinh', cosh: 'cosh', tanh: 'tanh', asinh: 'asinh', acosh: 'acosh', atanh: 'atanh', erf: 'erf', pow: 'pow',
  rem: 'fmod', atan2: 'atan2',
} // biome-ignore format: a table
/** Functions that are exact, so that the float form serves. */
const exactLibrary: Partial<Record<ScalarFn, string>> = {
  abs: 'fabs',
  floor: 'floor',
  ceil: 'ceil',
  trunc: 'trunc',
  round: 'rint',
  sqrt: 'sqrt',
}

export const isIntegerType = (t: ComputeType): boolean => !isFloat(t as DType) && t !== 'bool'

/** A constant that is no NaN, also spread over lanes. */
const isLiteral = (e: Expr | undefined): boolean => {
  const c = e?.kind === 'repeat' ? e.arg : e
  return c?.kind === 'const' && !Number.isNaN(Number(c.value))
}

export class Functions {
  private readonly prelude: Prelude

  constructor(prelude: Prelude) {
    this.prelude = prelude
  }

  /** A function that works lane by lane where C has no vector form; compilers vectorise what they can. */
  lanewise(
    name: string,
    result: string,
    lanes: number,
    parameters: readonly string[],
    body: string,
    forms: readonly { readonly when: string; readonly value: string }[] = [],
  ): string {
    const names = ['a', 'b', 'c'].slice(0, parameters.length)
    const loop = `  ${result} r;\n  for (int i = 0; i < ${lanes}; i++) r[i] = ${body};\n  return r;`
    const choices = forms.map((f, i) => `#${i ? 'elif' : 'if'} ${f.when}\n  return ${f.value};\n`).join('')
    const text = forms.length ? `${choices}#else\n${loop}\n#endif` : loop
    return this.prelude.add(
      name,
      `static inline ${result} ${name}(${parameters.map((p, i) => `${p} ${names[i]}`).join(', ')}) {\n${text}\n}`,
    )
  }

  /** A call on plain values; `exprs`: what the arguments are, where that is known. */
  scalar(fn: ScalarFn, t: ComputeType, args: readonly string[], exprs: readonly Expr[] = []): string {
    const [a, b, c] = args as [string, string, string]
    const integer = isIntegerType(t)
    if (fn === 'select') return `(${a} ? ${b} : ${c})`
    if (fn === 'not') return `(!${a})`
    if (logic[fn]) return `((${a} != 0) ${logic[fn]} (${b} != 0))`
    if (compares.has(fn)) return `(${a} ${infix[fn]} ${b})`
    const u = unsignedOf[t]
    if (integer) {
      const signed = valueType({ type: t, lanes: 1 })
      if (fn === 'add' || fn === 'sub' || fn === 'mul')
        return `((${signed})((${u})${a} ${infix[fn]} (${u})${b}))`
      if (fn === 'shl') return `((${signed})((${u})${a} << ${b}))`
      if (fn === 'neg') return `((${signed})(0 - (${u})${a}))`
      if (fn === 'rem') return `(${a} % ${b})`
      if (fn === 'fma') return `((${signed})((${u})${a} * (${u})${b} + (${u})${c}))`
      if (fn === 'min') return `(${a} < ${b} ? ${a} : ${b})`
      if (fn === 'max') return `(${a} > ${b} ? ${a} : ${b})`
      if (fn === 'abs') return `(${a} < 0 ? (${signed})(0 - (${u})${a}) : ${a})`
      if (infix[fn]) return `(${a} ${infix[fn]} ${b})`
      throw new BugError(`C: ${fn} of ${t} has no form`)
    }
    const suffix = t === 'float32' ? 'f' : ''
    if (fn === 'neg') return `(-${a})`
    if (fn === 'fma') return `${this.product(t)}(${a}, ${b}, ${c})`
    if (fn === 'min' || fn === 'max') return this.extremum(fn, t, args, exprs)
    if (infix[fn]) return `(${a} ${infix[fn]} ${b})`
    if (exactLibrary[fn]) return `${exactLibrary[fn]}${suffix}(${a})`
    if (library[fn]) {
      const wide = args.map((x) => (t === 'float32' ? `(double)${x}` : x))
      return t === 'float32'
        ? `((float)${library[fn]}(${wide.join(', ')}))`
        : `${library[fn]}(${wide.join(', ')})`
    }
    throw new BugError(`C: ${fn} of ${t} has no form`)
  }

  /** a·b + c, rounded once only where the machine does so in one instruction: elsewhere the C library's fma takes hundreds. */
  private product(t: ComputeType): string {
    const [type, suffix, fast] =
      t === 'float32' ? ['float', 'f', 'STRATA_FMAF'] : ['double', '', 'STRATA_FMA']
    return this.prelude.add(
      `fma_${type}`,
      `static inline ${type} fma_${type}(${type} a, ${type} b, ${type} c) {\n#ifdef ${fast}\n  return fma${suffix}(a, b, c);\n#else\n  return a * b + c;\n#endif\n}`,
    )
  }

  /** NaN wins. One comparison where one side is a number for certain. */
  private extremum(
    fn: 'min' | 'max',
    t: ComputeType,
    args: readonly string[],
    exprs: readonly Expr[],
  ): string {
    const type = valueType({ type: t, lanes: 1 })
    const name = `${fn}_${type}`
    const op = fn === 'min' ? '<' : '>'
    this.prelude.add(
      name,
      `static inline ${type} ${name}(${type} a, ${type} b) {\n  return a ${op} b || a != a ? a : b;\n}`,
    )
    const [x, y] = isLiteral(exprs[0])
      ? [args[0], args[1]]
      : isLiteral(exprs[1])
        ? [args[1], args[0]]
        : [undefined, undefined]
    if (x === undefined) return `${name}(${args[0]}, ${args[1]})`
    const limited = `${fn}_limit_${type}`
    this.prelude.add(
      limited,
      `static inline ${type} ${limited}(${type} limit, ${type} x) {\n  return limit ${op} x ? limit : x;\n}`,
    )
    return `${limited}(${x}, ${y})`
  }

  /** Masks are all ones or all zeros in every lane, which is as wide as the value's. */
  private selectVector(t: LoopType, type: string, args: readonly string[]): string {
    const mask = this.prelude.vector(t.type.endsWith('64') ? 'int64_t' : 'int32_t', t.lanes)
    const name = `select_${type}`
    this.prelude.add(
      name,
      `static inline ${type} ${name}(${mask} m, ${type} a, ${type} b) {\n  return (${type})((m & (${mask})a) | (~m & (${mask})b));\n}`,
    )
    return `${name}(${args.join(', ')})`
  }

  /** The same on vectors. */
  vector(fn: ScalarFn, t: LoopType, args: readonly string[], exprs: readonly Expr[]): string {
    const [a, b, c] = args as [string, string, string]
    const type = this.prelude.value(t)
    const integer = isIntegerType(t.type)
    const apply = (name: string): string => `${name}(${args.join(', ')})`
    // Comparisons of 32-bit lanes give int32 masks, which is what a vector of bool is.
    if (fn === 'select') return this.selectVector(t, type, args)
    if (fn === 'not') return `(~${a})`
    if (logic[fn]) return `(${a} ${logic[fn]} ${b})`
    if (fn === 'neg') return `(-${a})`
    if (fn === 'rem' && integer) return `(${a} % ${b})`
    if (infix[fn]) return `(${a} ${infix[fn]} ${b})`
    if (fn === 'fma') {
      if (integer) return `(${a} * ${b} + ${c})`
      const once = t.type === 'float32' ? 'STRATA_FMAF' : 'STRATA_FMA'
      const two = { when: `!defined(${once})`, value: 'a * b + c' }
      const each = `${t.type === 'float32' ? '__builtin_fmaf' : '__builtin_fma'}(a[i], b[i], c[i])`
      const forms = [...instructions('fma', t, type), two]
      return apply(this.lanewise(`fma_${type}`, type, t.lanes, [type, type, type], each, forms))
    }
    if (fn === 'min' || fn === 'max') {
      const limit = this.limitVector(fn, t, type)
      // With a number for certain on one side, one comparison lets the other's NaN through.
      if (integer || isLiteral(exprs[0])) return apply(limit)
      if (isLiteral(exprs[1])) return `${limit}(${b}, ${a})`
      const choose = this.selectVector(t, type, ['a != a', 'a', `${limit}(a, b)`])
      const form = `static inline ${type} ${fn}_${type}(${type} a, ${type} b) {\n  return ${choose};\n}`
      return apply(this.prelude.add(`${fn}_${type}`, form))
    }
    if (fn === 'abs' && t.type === 'float32') {
      const mask = this.prelude.vector('int32_t', t.lanes)
      return `((${type})((${mask})${a} & 0x7fffffff))`
    }
    const scalars = ['a[i]', 'b[i]', 'c[i]'].slice(0, args.length)
    const parameters = Array<string>(args.length).fill(type)
    const each = this.scalar(fn, t.type, scalars)
    return apply(this.lanewise(`${fn}_${type}`, type, t.lanes, parameters, each, instructions(fn, t, type)))
  }

  /** a op b ? a : b in every lane. */
  private limitVector(fn: 'min' | 'max', t: LoopType, type: string): string {
    const choose = this.selectVector(t, type, [`a ${fn === 'min' ? '<' : '>'} b`, 'a', 'b'])
    const forms = instructions(fn, t, type)
    const choices = forms.map((f, i) => `#${i ? 'elif' : 'if'} ${f.when}\n  return ${f.value};\n`).join('')
    const text = forms.length ? `${choices}#else\n  return ${choose};\n#endif` : `  return ${choose};`
    return this.prelude.add(
      `${fn}_limit_${type}`,
      `static inline ${type} ${fn}_limit_${type}(${type} a, ${type} b) {\n${text}\n}`,
    )
  }
}
