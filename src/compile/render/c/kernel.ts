// One kernel as a C function. It knows scalars, vectors, loops and stores; no operator.
//
// Values are the loops' compute types. Integer arithmetic wraps, so it goes through unsigned types; index arithmetic never
// overflows and stays plain, so that compilers see simple addresses.

import { type DType, isFloat } from '../../../core/dtype.ts'
import { BugError } from '../../../core/errors.ts'
import type { Expr, ScalarFn } from '../../../ir/scalar.ts'
import {
  type ComputeType,
  type Kernel,
  type LoopType,
  type Scope,
  type Statement,
  typeOf,
} from '../../loops.ts'
import { halfFunctions, type Prelude, storageType, valueType } from './types.ts'

const unsignedOf: Partial<Record<ComputeType, string>> = {
  int32: 'uint32_t',
  int64: 'uint64_t',
  uint32: 'uint32_t',
  uint64: 'uint64_t',
}
const infix: Partial<Record<ScalarFn, string>> = {
  add: '+', sub: '-', mul: '*', div: '/', eq: '==', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=',
  bitAnd: '&', bitOr: '|', bitXor: '^', shl: '<<', shr: '>>',
} // biome-ignore format: a table
const compares: ReadonlySet<string> = new Set(['eq', 'ne', 'lt', 'le', 'gt', 'ge'])
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

const isIntegerType = (t: ComputeType): boolean => !isFloat(t as DType) && t !== 'bool'

export class KernelWriter {
  private readonly scope: Scope
  private readonly locals = new Map<string, LoopType>()
  private readonly prelude: Prelude
  private readonly kernel: Kernel

  constructor(kernel: Kernel, prelude: Prelude) {
    this.kernel = kernel
    this.prelude = prelude
    this.scope = {
      locals: this.locals,
      buffers: new Map(kernel.parameters.map((p) => [p.name, p.dtype])),
      memo: new Map(),
    }
  }

  /** The whole function. A parallel kernel takes the range of its outer loop. */
  write(name: string): string {
    const { kernel } = this
    const parameters = kernel.parameters.map((p) => {
      const type = storageType[p.dtype as Exclude<DType, 'string'>]
      return `${p.access === 'read' ? 'const ' : ''}${type} *restrict ${id(p.name)}`
    })
    const [outer] = kernel.body
    const parallel = kernel.body.length === 1 && outer?.kind === 'for' && outer.mode === 'parallel'
    const body = parallel
      ? [{ ...outer, from: { kind: 'var', name: 'from' }, to: { kind: 'var', name: 'to' } } as Statement]
      : kernel.body
    const unused = parallel ? '' : '  (void)from; (void)to;\n'
    return `STRATA_KERNEL ${name}(${[...parameters, 'int32_t from', 'int32_t to'].join(', ')}) {\n${unused}${this.block(body, '  ')}}\n`
  }

  private block(body: readonly Statement[], indent: string): string {
    return body.map((s) => this.statement(s, indent)).join('')
  }

  private statement(s: Statement, indent: string): string {
    switch (s.kind) {
      case 'for': {
        const name = id(s.name)
        this.locals.set(s.name, { type: 'int32', lanes: 1 })
        const [from, to] = [this.index(s.from), this.index(s.to)]
        const step = s.step === 1 ? `${name}++` : `${name} += ${s.step}`
        return `${indent}for (int32_t ${name} = ${from}; ${name} < ${to}; ${step}) {\n${this.block(s.body, `${indent}  `)}${indent}}\n`
      }
      case 'let': {
        if (s.count !== undefined)
          throw new BugError(`C: kernel ${this.kernel.name}: array ${s.name} is not expanded`)
        const value = this.expr(s.value)
        this.locals.set(s.name, s.type)
        return `${indent}${this.prelude.value(s.type)} ${id(s.name)} = ${value};\n`
      }
      case 'assign':
        return `${indent}${id(s.name)} = ${this.expr(s.value)};\n`
      case 'store':
        return `${indent}${this.store(s.buffer, s.index, s.value)};\n`
      case 'if': {
        const other = s.otherwise.length ? ` else {\n${this.block(s.otherwise, `${indent}  `)}${indent}}` : ''
        return `${indent}if (${this.expr(s.condition)}) {\n${this.block(s.body, `${indent}  `)}${indent}}${other}\n`
      }
    }
  }

  private type(e: Expr): LoopType {
    return typeOf(e, this.scope)
  }
  private dtype(buffer: string): Exclude<DType, 'string'> {
    const d = this.scope.buffers.get(buffer)
    if (!d || d === 'string') throw new BugError(`C: unbound buffer ${buffer}`)
    return d
  }

  /** Index arithmetic: plain signed integers. */
  private index(e: Expr): string {
    if (e.kind === 'call' && e.args.length === 2) {
      const op = { add: '+', sub: '-', mul: '*', div: '/', rem: '%', bitAnd: '&' }[e.fn as string]
      if (op) return `(${this.index(e.args[0]!)} ${op} ${this.index(e.args[1]!)})`
    }
    return e.kind === 'var' && e.name !== 'from' && e.name !== 'to'
      ? id(e.name)
      : e.kind === 'var'
        ? e.name
        : this.expr(e)
  }

  private place(buffer: string, index: Expr): string {
    return `${id(buffer)}[${this.index(index)}]`
  }

  private load(e: Extract<Expr, { kind: 'load' }>): string {
    const d = this.dtype(e.buffer)
    const width = e.width ?? 1
    if (width === 1) {
      const at = this.place(e.buffer, e.index)
      if (d === 'float16') return `${this.half('half_to_float')}(${at})`
      if (d === 'bfloat16') return `${this.half('bfloat_to_float')}(${at})`
      return at
    }
    const from = this.prelude.vector(storageType[d], width)
    const at = `*(const ${from}_u *)(${id(e.buffer)} + ${this.index(e.index)})`
    const t = this.type(e)
    const to = this.prelude.value(t)
    if (d === 'float16')
      return `${this.lanewise(`load_half_x${width}`, to, width, [from], `${this.half('half_to_float')}(a[i])`)}(${at})`
    if (d === 'bfloat16') {
      const u = this.prelude.vector('uint32_t', width)
      return `((${to})(__builtin_convertvector(${at}, ${u}) << 16))`
    }
    if (d === 'bool') return `(-__builtin_convertvector(${at}, ${to}))`
    return from === to ? `(${to})${at}` : `__builtin_convertvector(${at}, ${to})`
  }

  private store(buffer: string, index: Expr, value: Expr): string {
    const d = this.dtype(buffer)
    const t = this.type(value)
    const v = this.expr(value)
    if (t.lanes === 1) {
      const at = this.place(buffer, index)
      if (d === 'float16') return `${at} = ${this.half('float_to_half')}(${v})`
      if (d === 'bfloat16') return `${at} = ${this.half('float_to_bfloat')}(${v})`
      if (d === 'int4') return `${at} = (int8_t)((int8_t)((uint32_t)(${v}) << 4) >> 4)`
      if (d === 'uint4') return `${at} = (uint8_t)(${v}) & 15`
      if (d === 'bool') return `${at} = (${v}) != 0`
      return `${at} = (${storageType[d]})(${v})`
    }
    const to = this.prelude.vector(storageType[d], t.lanes)
    const at = `*(${to}_u *)(${id(buffer)} + ${this.index(index)})`
    const from = this.prelude.value(t)
    if (d === 'float16')
      return `${at} = ${this.lanewise(`store_half_x${t.lanes}`, to, t.lanes, [from], `${this.half('float_to_half')}(a[i])`)}(${v})`
    if (d === 'bfloat16')
      return `${at} = ${this.lanewise(`store_bfloat_x${t.lanes}`, to, t.lanes, [from], `${this.half('float_to_bfloat')}(a[i])`)}(${v})`
    if (d === 'int4') return `${at} = __builtin_convertvector(((${v}) << 28) >> 28, ${to})`
    if (d === 'uint4') return `${at} = __builtin_convertvector((${v}) & 15, ${to})`
    if (d === 'bool') return `${at} = __builtin_convertvector(-(${v}), ${to})`
    return from === to ? `${at} = ${v}` : `${at} = __builtin_convertvector(${v}, ${to})`
  }

  private half(name: string): string {
    return this.prelude.add(name, halfFunctions[name]!)
  }

  /** A function that works lane by lane where C has no vector form; compilers vectorise what they can. */
  private lanewise(
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

  private constant(value: number | bigint, type: DType | undefined): string {
    if (type === undefined) return String(value)
    if (type === 'int64') return value === -(2n ** 63n) ? 'INT64_MIN' : `INT64_C(${value})`
    if (type === 'uint64') return `UINT64_C(${value})`
    if (type === 'uint32') return `${Number(value)}u`
    if (!isFloat(type)) return Number(value) === -(2 ** 31) ? 'INT32_MIN' : `${Number(value)}`
    const v = Number(value)
    const double = type === 'float64'
    if (Number.isNaN(v)) return double ? '((double)NAN)' : 'NAN'
    if (!Number.isFinite(v)) return `(${v < 0 ? '-' : ''}${double ? '(double)' : ''}INFINITY)`
    return double ? hexFloat(v) : `${hexFloat(Math.fround(v))}f`
  }

  private expr(e: Expr): string {
    switch (e.kind) {
      case 'const':
        return this.constant(e.value, e.type)
      case 'var':
        return e.name === 'from' || e.name === 'to' ? e.name : id(e.name)
      case 'load':
        return this.load(e)
      case 'repeat': {
        const t = this.type(e)
        const inner = this.type(e.arg)
        const type = this.prelude.value(t)
        if (inner.lanes > 1) {
          const lanes = Array.from({ length: t.lanes }, (_, i) => i % inner.lanes)
          return `__builtin_shufflevector(${this.expr(e.arg)}, ${this.expr(e.arg)}, ${lanes.join(', ')})`
        }
        // A scalar operand is spread over a vector's lanes.
        const value = t.type === 'bool' ? `-(${this.expr(e.arg)} != 0)` : this.expr(e.arg)
        return this.splat(type, t, value)
      }
      case 'lanes': {
        const t = this.type(e)
        return `(${this.prelude.value(t)}){${e.args.map((a) => (t.type === 'bool' ? `-(${this.expr(a)})` : this.expr(a))).join(', ')}}`
      }
      case 'lane': {
        const value = `(${this.expr(e.arg)})[${e.lane}]`
        return this.type(e).type === 'bool' ? `(${value} != 0)` : value
      }
      case 'across':
        return this.across(e)
      case 'bits': {
        const [from, to] = [this.type(e.arg), this.type(e)]
        if (to.lanes > 1) return `((${this.prelude.value(to)})(${this.expr(e.arg)}))`
        const [a, b] = [valueType(from), valueType(to)]
        const name = `bits_${a}_${b}`
        this.prelude.add(
          name,
          `static inline ${b} ${name}(${a} x) {\n  union { ${a} a; ${b} b; } v;\n  v.a = x;\n  return v.b;\n}`,
        )
        return `${name}(${this.expr(e.arg)})`
      }
      case 'cast':
        return this.cast(e)
      case 'dot':
        return this.dot(e)
      case 'call':
        return this.call(e)
      case 'element':
        throw new BugError(`C: kernel ${this.kernel.name}: ${e.name} is not expanded`)
    }
  }

  private splat(type: string, t: LoopType, value: string): string {
    const scalar = valueType({ ...t, lanes: 1 })
    const name = `splat_${type}`
    this.prelude.add(
      name,
      `static inline ${type} ${name}(${scalar} x) {\n  return (${type}){${Array(t.lanes).fill('x').join(', ')}};\n}`,
    )
    return `${name}(${value})`
  }

  private across(e: Extract<Expr, { kind: 'across' }>): string {
    const t = this.type(e.arg)
    const [type, scalar] = [this.prelude.value(t), valueType({ ...t, lanes: 1 })]
    const name = `across_${e.fn}_${type}`
    // Halves are combined, as a tree: the order of the interpreter.
    const step = this.scalarCall(e.fn, t.type, ['r[i]', 'r[i + n]'])
    this.prelude.add(
      name,
      `static inline ${scalar} ${name}(${type} x) {\n  ${scalar} r[${t.lanes}];\n  for (int i = 0; i < ${t.lanes}; i++) r[i] = x[i];\n  for (int n = ${t.lanes} / 2; n > 0; n /= 2) for (int i = 0; i < n; i++) r[i] = ${step};\n  return r[0];\n}`,
    )
    return `${name}(${this.expr(e.arg)})`
  }

  private dot(e: Extract<Expr, { kind: 'dot' }>): string {
    const [acc, a] = [this.type(e.acc), this.type(e.a)]
    const g = a.lanes / acc.lanes
    const [types, args] = [
      [acc, a, a].map((t) => this.prelude.value(t)),
      [e.acc, e.a, e.b].map((x) => this.expr(x)),
    ]
    const at = (v: string): string => (a.lanes === 1 ? v : `${v}[k]`)
    const name = `dot${g}_${types[0]}`
    const sum = acc.lanes === 1 ? 'r' : 'r[i]'
    this.prelude.add(
      name,
      `static inline ${types[0]} ${name}(${types[0]} r, ${types[1]} a, ${types[2]} b) {\n  for (int i = 0; i < ${acc.lanes}; i++) for (int k = i * ${g}; k < (i + 1) * ${g}; k++) ${sum} = (int32_t)((uint32_t)${sum} + (uint32_t)${at('a')} * (uint32_t)${at('b')});\n  return r;\n}`,
    )
    return `${name}(${args.join(', ')})`
  }

  private cast(e: Extract<Expr, { kind: 'cast' }>): string {
    const [from, to] = [this.type(e.arg), this.type(e)]
    const x = this.expr(e.arg)
    const d = e.type as Exclude<DType, 'string'>
    let value: string
    if (to.lanes > 1) value = this.castVector(x, from, to)
    else if (from.type === to.type) value = x
    else if (to.type === 'bool') value = `((${x}) != 0)`
    else if (isFloat(from.type as DType) && isIntegerType(to.type))
      value = this.truncate(x, from.type, to.type)
    else value = `((${valueType(to)})(${x}))`
    return this.narrow(value, d, to)
  }

  private castVector(x: string, from: LoopType, to: LoopType): string {
    const type = this.prelude.value(to)
    if (from.type === to.type) return x
    if (to.type === 'bool') return `((${x}) != 0)`
    if (from.type === 'bool')
      return isFloat(to.type as DType) ? `__builtin_convertvector(-(${x}), ${type})` : `((${type})-(${x}))`
    if (isFloat(from.type as DType) && isIntegerType(to.type)) {
      const scalar = this.truncate('a[i]', from.type, to.type)
      return `${this.lanewise(`truncate_${this.prelude.value(from)}_${type}`, type, to.lanes, [this.prelude.value(from)], scalar)}(${x})`
    }
    return `__builtin_convertvector(${x}, ${type})`
  }

  /** Float to integer: toward zero, saturating, NaN gives 0. */
  private truncate(x: string, from: ComputeType, to: ComputeType): string {
    const name = `truncate_${from}_${to}`
    const [f, t] = [valueType({ type: from, lanes: 1 }), valueType({ type: to, lanes: 1 })]
    const bits = to.endsWith('64') ? 64 : 32
    const [low, high] = to.startsWith('u') ? ['0', `UINT${bits}_MAX`] : [`INT${bits}_MIN`, `INT${bits}_MAX`]
    const limit = 2 ** (to.startsWith('u') ? bits : bits - 1)
    const floor = to.startsWith('u') ? 0 : -limit
    this.prelude.add(
      name,
      `static inline ${t} ${name}(${f} x) {\n  if (x != x) return 0;\n  if (x <= ${hexFloat(floor)}) return ${low};\n  if (x >= ${hexFloat(limit)}) return ${high};\n  return (${t})x;\n}`,
    )
    return `${name}(${x})`
  }

  /** Rounds or wraps a value in flight to a narrower dtype, staying in its compute type. */
  private narrow(x: string, d: Exclude<DType, 'string'>, t: LoopType): string {
    const storage = storageType[d]
    if (d === 'float16' || d === 'bfloat16') {
      const [down, up] =
        d === 'float16' ? ['float_to_half', 'half_to_float'] : ['float_to_bfloat', 'bfloat_to_float']
      const round = (v: string): string => `${this.half(up)}(${this.half(down)}(${v}))`
      if (t.lanes === 1) return round(x)
      const type = this.prelude.value(t)
      return `${this.lanewise(`round_${d}_${type}`, type, t.lanes, [type], round('a[i]'))}(${x})`
    }
    if (d === 'int4')
      return t.lanes === 1 ? `((int32_t)((uint32_t)(${x}) << 28) >> 28)` : `(((${x}) << 28) >> 28)`
    if (d === 'uint4') return `((${x}) & 15)`
    if (['int8', 'uint8', 'int16', 'uint16'].includes(d)) {
      if (t.lanes === 1) return `((int32_t)(${storage})(${x}))`
      const type = this.prelude.value(t)
      return `__builtin_convertvector(__builtin_convertvector(${x}, ${this.prelude.vector(storage, t.lanes)}), ${type})`
    }
    return x
  }

  private call(e: Extract<Expr, { kind: 'call' }>): string {
    const t = this.type(e.args.at(-1)!)
    const args = e.args.map((a) => this.expr(a))
    if (t.lanes === 1) return this.scalarCall(e.fn, t.type, args, e.args)
    return this.vectorCall(e.fn, t, args, e.args)
  }

  private scalarCall(
    fn: ScalarFn,
    t: ComputeType,
    args: readonly string[],
    exprs: readonly Expr[] = [],
  ): string {
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
    if (fn === 'fma') return `fma${suffix}(${a}, ${b}, ${c})`
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
    const [x, y] = isNumber(exprs[0])
      ? [args[0], args[1]]
      : isNumber(exprs[1])
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

  /** Masks are all ones or all zeros in every lane. */
  private selectVector(t: LoopType, type: string, args: readonly string[]): string {
    const mask = this.prelude.vector('int32_t', t.lanes)
    const name = `select_${type}`
    this.prelude.add(
      name,
      `static inline ${type} ${name}(${mask} m, ${type} a, ${type} b) {\n  return (${type})((m & (${mask})a) | (~m & (${mask})b));\n}`,
    )
    return `${name}(${args.join(', ')})`
  }

  private vectorCall(fn: ScalarFn, t: LoopType, args: readonly string[], exprs: readonly Expr[]): string {
    const [a, b, c] = args as [string, string, string]
    const type = this.prelude.value(t)
    const integer = isIntegerType(t.type)
    // Comparisons of 32-bit lanes give int32 masks, which is what a vector of bool is.
    if (fn === 'select') return this.selectVector(t, type, args)
    if (fn === 'not') return `(~${a})`
    if (logic[fn]) return `(${a} ${logic[fn]} ${b})`
    if (fn === 'neg') return `(-${a})`
    if (fn === 'rem' && integer) return `(${a} % ${b})`
    if (infix[fn]) return `(${a} ${infix[fn]} ${b})`
    if (fn === 'fma') {
      if (integer) return `(${a} * ${b} + ${c})`
      const one = t.type === 'float32' ? '__builtin_fmaf' : '__builtin_fma'
      const name = this.lanewise(
        `fma_${type}`,
        type,
        t.lanes,
        [type, type, type],
        `${one}(a[i], b[i], c[i])`,
        instructions('fma', t, type),
      )
      return `${name}(${a}, ${b}, ${c})`
    }
    if (fn === 'min' || fn === 'max') {
      const op = fn === 'min' ? '<' : '>'
      if (integer || isNumber(exprs[0]) || isNumber(exprs[1])) {
        // With a number for certain on one side, one comparison lets the other's NaN through.
        const name = this.lanewise(
          `${fn}_limit_${type}`,
          type,
          t.lanes,
          [type, type],
          `a[i] ${op} b[i] ? a[i] : b[i]`,
        )
        return isNumber(exprs[1]) ? `${name}(${b}, ${a})` : `${name}(${a}, ${b})`
      }
      return `${this.lanewise(`${fn}_${type}`, type, t.lanes, [type, type], `a[i] ${op} b[i] || a[i] != a[i] ? a[i] : b[i]`)}(${a}, ${b})`
    }
    if (fn === 'abs' && !integer) {
      const mask = this.prelude.vector('int32_t', t.lanes)
      return `((${type})((${mask})${a} & 0x7fffffff))`
    }
    const scalars = ['a[i]', 'b[i]', 'c[i]'].slice(0, args.length)
    const name = this.lanewise(
      `${fn}_${type}`,
      type,
      t.lanes,
      Array<string>(args.length).fill(type),
      this.scalarCall(fn, t.type, scalars),
    )
    return `${name}(${args.join(', ')})`
  }
}

/**
 * The machine's own instruction for a whole vector of floats. Compilers find it behind a loop over lanes too, but take ten times
 * as long over a network. `max(limit, x)` of x86 gives x where x is NaN, as the loop does.
 */
function instructions(
  fn: 'fma' | 'min' | 'max',
  t: LoopType,
  type: string,
): { when: string; value: string }[] {
  if (t.type !== 'float32') return []
  const [x86, when] =
    t.lanes === 16
      ? ['_mm512', 'defined(__AVX512F__)']
      : t.lanes === 8
        ? ['_mm256', 'defined(__FMA__)']
        : t.lanes === 4
          ? ['_mm', 'defined(__FMA__)']
          : ['', '']
  if (!x86) return []
  const v = t.lanes === 4 ? '__m128' : `${x86.slice(1).replace('mm', '__m')}`
  const cast = (name: string): string => `(${v})${name}`
  const args = fn === 'fma' ? ['a', 'b', 'c'] : ['a', 'b']
  const forms = [
    { when, value: `(${type})${x86}_${fn === 'fma' ? 'fmadd' : fn}_ps(${args.map(cast).join(', ')})` },
  ]
  // NEON's maximum lets NaN win, so only the product has a form there.
  if (fn === 'fma' && t.lanes === 4)
    forms.push({
      when: 'defined(__ARM_NEON) && defined(__aarch64__)',
      value: `(${type})vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b)`,
    })
  return forms
}

/** A constant that is no NaN, also spread over lanes. */
const isNumber = (e: Expr | undefined): boolean => {
  const c = e?.kind === 'repeat' ? e.arg : e
  return c?.kind === 'const' && !Number.isNaN(Number(c.value))
}

/** Identifiers of loops may hold characters that C's don't. */
export const id = (name: string): string => `v_${name.replace(/[^A-Za-z0-9_]/g, '_')}`

/** A finite double exactly, in C99's hexadecimal form. */
export function hexFloat(v: number): string {
  if (v === 0) return Object.is(v, -0) ? '-0x0p+0' : '0x0p+0'
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, Math.abs(v))
  const bits = view.getBigUint64(0)
  const exponent = Number(bits >> 52n)
  const fraction = (bits & ((1n << 52n) - 1n)).toString(16).padStart(13, '0').replace(/0+$/, '')
  const [lead, e] = exponent === 0 ? ['0', -1022] : ['1', exponent - 1023]
  return `${v < 0 ? '-' : ''}0x${lead}${fraction ? `.${fraction}` : ''}p${e < 0 ? e : `+${e}`}`
}
