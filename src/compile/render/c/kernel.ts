// One kernel as a C function. It knows scalars, vectors, loops and stores; no operator.
//
// Values are the loops' compute types. Integer arithmetic wraps, so it goes through unsigned types; index arithmetic never
// overflows and stays plain, so that compilers see simple addresses.

import { bytesOf, type DType, isFloat } from '../../../core/dtype.ts'
import { BugError } from '../../../core/errors.ts'
import type { Expr, ScalarFn } from '../../../ir/scalar.ts'
import { isNumber, limitsOf } from '../../limits.ts'
import {
  type ComputeType,
  type Kernel,
  type LoopType,
  rangeOfBuffer,
  type Scope,
  type Statement,
  typeOf,
} from '../../loops.ts'
import { compares, Functions, infix, isIntegerType } from './functions.ts'
import { dotInstructions, narrowingOf, wideningOf } from './instructions.ts'
import { halfFunctions, type Prelude, storageType, valueType } from './types.ts'

const placeOps: Partial<Record<ScalarFn, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  rem: '%',
  bitAnd: '&',
}

type Call = Extract<Expr, { kind: 'call' }>
const isCompare = (e: Expr): e is Call => e.kind === 'call' && compares.has(e.fn)

export type CFunction = { readonly prototype: string; readonly text: string }

export class KernelWriter {
  private readonly scope: Scope
  private readonly locals = new Map<string, LoopType>()
  /** Locals that hold places in buffers: loop variables and what is computed from them alone. */
  private readonly places = new Set<string>()
  private readonly prelude: Prelude
  private readonly functions: Functions
  private readonly kernel: Kernel

  constructor(kernel: Kernel, prelude: Prelude) {
    this.kernel = kernel
    this.prelude = prelude
    this.functions = new Functions(prelude)
    this.scope = {
      locals: this.locals,
      buffers: new Map(kernel.parameters.map((p) => [p.name, p.dtype])),
      memo: new Map(),
    }
  }

  /** The whole function. A parallel kernel takes the range of its outer loop. */
  write(name: string): CFunction {
    const { kernel } = this
    const parameters = kernel.parameters.map((p) => {
      const type = storageType[p.dtype as Exclude<DType, 'string'>]
      return `${p.access === 'read' ? 'const ' : ''}${type} *restrict ${bufferId(p.name)}`
    })
    const [outer] = kernel.body
    const parallel = kernel.body.length === 1 && outer?.kind === 'for' && outer.mode === 'parallel'
    const body = parallel
      ? [{ ...outer, from: { kind: 'var', name: 'from' }, to: { kind: 'var', name: 'to' } } as Statement]
      : kernel.body
    const unused = parallel ? '' : '  (void)from; (void)to;\n'
    const prototype = `STRATA_KERNEL ${name}(${[...parameters, 'int32_t from', 'int32_t to'].join(', ')})`
    return { prototype, text: `${prototype} {\n${unused}${this.block(body, '  ')}}\n` }
  }

  private block(body: readonly Statement[], indent: string): string {
    return body.map((s) => this.statement(s, indent)).join('')
  }

  private statement(s: Statement, indent: string): string {
    switch (s.kind) {
      case 'for': {
        const name = id(s.name)
        this.locals.set(s.name, { type: 'int32', lanes: 1 })
        this.places.add(s.name)
        const [from, to] = [this.index(s.from), this.index(s.to)]
        const step = s.step === 1 ? `${name}++` : `${name} += ${s.step}`
        return `${indent}for (int32_t ${name} = ${from}; ${name} < ${to}; ${step}) {\n${this.block(s.body, `${indent}  `)}${indent}}\n`
      }
      case 'let': {
        if (s.count !== undefined)
          throw new BugError(`C: kernel ${this.kernel.name}: array ${s.name} is not expanded`)
        const place = this.isPlace(s.value) && s.value.kind !== 'const'
        const value = place ? this.index(s.value) : this.expr(s.value)
        this.locals.set(s.name, s.type)
        if (place) this.places.add(s.name)
        return `${indent}${this.prelude.value(s.type)} ${id(s.name)} = ${value};\n`
      }
      case 'assign':
        return `${indent}${id(s.name)} = ${this.expr(s.value)};\n`
      case 'store':
        return `${indent}${this.store(s.buffer, s.index, s.value)};\n`
      case 'prefetch': {
        this.prelude.add(
          'prefetch',
          '#ifdef __GNUC__\n#define STRATA_PREFETCH(p, locality) __builtin_prefetch(p, 0, locality)\n#else\n#define STRATA_PREFETCH(p, locality) ((void)(p))\n#endif',
        )
        return `${indent}STRATA_PREFETCH(${bufferId(s.buffer)} + ${this.index(s.index)}, ${4 - s.level});\n`
      }
      case 'if': {
        const other = s.otherwise.length ? ` else {\n${this.block(s.otherwise, `${indent}  `)}${indent}}` : ''
        return `${indent}if (${this.condition(s.condition)}) {\n${this.block(s.body, `${indent}  `)}${indent}}${other}\n`
      }
    }
  }

  /** Comparisons of places are plain too. */
  private condition(e: Expr): string {
    if (isCompare(e) && e.args.every((a) => this.isPlace(a)))
      return `${this.index(e.args[0]!)} ${infix[e.fn]} ${this.index(e.args[1]!)}`
    return this.expr(e)
  }

  private type(e: Expr): LoopType {
    return typeOf(e, this.scope)
  }
  private dtype(buffer: string): Exclude<DType, 'string'> {
    const d = this.scope.buffers.get(buffer)
    if (!d || d === 'string') throw new BugError(`C: unbound buffer ${buffer}`)
    return d
  }

  /** Whether a value is computed from loop variables and constants alone: it stays far from the ends of int32. */
  private isPlace(e: Expr): boolean {
    if (e.kind === 'const') return e.type === undefined
    if (e.kind === 'var') return this.places.has(e.name)
    if (e.kind !== 'call') return false
    const [first, ...rest] = e.args as [Expr, ...Expr[]]
    if (e.fn === 'select') return isCompare(first) && [...first.args, ...rest].every((a) => this.isPlace(a))
    return (e.fn in placeOps || e.fn === 'min' || e.fn === 'max') && e.args.every((a) => this.isPlace(a))
  }

  /** Index arithmetic: plain signed integers. */
  private index(e: Expr): string {
    if (e.kind === 'call' && e.fn === 'select' && this.isPlace(e))
      return `(${this.condition(e.args[0]!)} ? ${this.index(e.args[1]!)} : ${this.index(e.args[2]!)})`
    if (e.kind === 'call' && e.args.length === 2) {
      const op = placeOps[e.fn]
      const [a, b] = e.args as [Expr, Expr]
      if (op) return `(${this.index(a)} ${op} ${this.index(b)})`
      if (e.fn === 'min' || e.fn === 'max') {
        const name = `${e.fn}_place`
        this.prelude.add(
          name,
          `static inline int32_t ${name}(int32_t a, int32_t b) {\n  return a ${e.fn === 'min' ? '<' : '>'} b ? a : b;\n}`,
        )
        return `${name}(${this.index(a)}, ${this.index(b)})`
      }
    }
    return this.expr(e)
  }

  private place(buffer: string, index: Expr): string {
    return `${bufferId(buffer)}[${this.index(index)}]`
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
    const at = `*(const ${from}_u *)(${bufferId(e.buffer)} + ${this.index(e.index)})`
    const t = this.type(e)
    const to = this.prelude.value(t)
    if (d === 'float16')
      return `${this.functions.lanewise(`load_half_x${width}`, to, width, [from], `${this.half('half_to_float')}(a[i])`)}(${at})`
    if (d === 'bfloat16') {
      const u = this.prelude.vector('uint32_t', width)
      return `((${to})(__builtin_convertvector(${at}, ${u}) << 16))`
    }
    if (d === 'bool') return `(-__builtin_convertvector(${at}, ${to}))`
    if (from === to) return `(${to})${at}`
    const widening = t.type === 'int32' ? wideningOf(storageType[d], width, to) : undefined
    if (!widening) return `__builtin_convertvector(${at}, ${to})`
    const name = `wide_${from}`
    this.prelude.add(
      name,
      `static inline ${to} ${name}(${from} a) {\n#if ${widening.when}\n  return ${widening.value};\n#else\n  return __builtin_convertvector(a, ${to});\n#endif\n}`,
    )
    return `${name}(${at})`
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
    const at = `*(${to}_u *)(${bufferId(buffer)} + ${this.index(index)})`
    const from = this.prelude.value(t)
    if (d === 'float16')
      return `${at} = ${this.functions.lanewise(`store_half_x${t.lanes}`, to, t.lanes, [from], `${this.half('float_to_half')}(a[i])`)}(${v})`
    if (d === 'bfloat16')
      return `${at} = ${this.functions.lanewise(`store_bfloat_x${t.lanes}`, to, t.lanes, [from], `${this.half('float_to_bfloat')}(a[i])`)}(${v})`
    if (d === 'int4') return `${at} = __builtin_convertvector(((${v}) << 28) >> 28, ${to})`
    if (d === 'uint4') return `${at} = __builtin_convertvector((${v}) & 15, ${to})`
    if (d === 'bool') return `${at} = __builtin_convertvector(-(${v}), ${to})`
    if (from === to) return `${at} = ${v}`
    const narrowing = t.type === 'int32' ? narrowingOf(storageType[d], t.lanes, to) : undefined
    if (!narrowing) return `${at} = __builtin_convertvector(${v}, ${to})`
    const name = `narrow_${to}`
    this.prelude.add(
      name,
      `static inline ${to} ${name}(${from} a) {\n#if ${narrowing.when}\n  return ${narrowing.value};\n#else\n  return __builtin_convertvector(a, ${to});\n#endif\n}`,
    )
    return `${at} = ${name}(${v})`
  }

  private half(name: string): string {
    return this.prelude.add(name, halfFunctions[name]!)
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
        if (t.lanes === 1) return this.expr(e.arg)
        const raw = this.spread(e.arg, t)
        if (raw !== undefined) return `((${type})${raw})`
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
      case 'pick':
        return `__builtin_shufflevector(${this.expr(e.a)}, ${this.expr(e.b)}, ${e.lanes.join(', ')})`
      case 'lane': {
        if (this.type(e.arg).lanes === 1) return this.expr(e.arg)
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

  /** Four bytes from memory in every 32 bits of a vector: compilers make one instruction of it. */
  private spread(e: Expr, t: LoopType): string | undefined {
    if (e.kind !== 'load' || !e.raw) return undefined
    const size = bytesOf(this.dtype(e.buffer))
    if (size * (e.width ?? 1) !== 4) return undefined
    this.prelude.add(
      'four_bytes',
      'static inline int32_t four_bytes(const void *p) {\n  int32_t v;\n  __builtin_memcpy(&v, p, 4);\n  return v;\n}',
    )
    const wide: LoopType = { type: 'int32', lanes: (t.lanes * size) / 4 }
    const value = `four_bytes(${bufferId(e.buffer)} + ${this.index(e.index)})`
    return this.splat(this.prelude.value(wide), wide, value)
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
    if (t.lanes === 1) return this.expr(e.arg)
    const [type, scalar] = [this.prelude.value(t), valueType({ ...t, lanes: 1 })]
    const name = `across_${e.fn}_${type}`
    // Halves are combined, as a tree: the order of the interpreter.
    const step = this.functions.scalar(e.fn, t.type, ['r[i]', 'r[i + n]'])
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
      [acc, a, this.type(e.b)].map((t) => this.prelude.value(t)),
      [e.acc, e.a, e.b].map((x) => this.expr(x)),
    ]
    const at = (v: string): string => (a.lanes === 1 ? v : `${v}[k]`)
    const name = `dot${g}_${types[0]}`
    const sum = acc.lanes === 1 ? 'r' : 'r[i]'
    const forms = dotInstructions(acc, a, types[0]!)
    this.prelude.add(
      name,
      `static inline ${types[0]} ${name}(${types[0]} r, ${types[1]} a, ${types[2]} b) {\n${forms.map((f) => `#if ${f.when}\n  return ${f.value};\n#endif\n`).join('')}  for (int i = 0; i < ${acc.lanes}; i++) for (int k = i * ${g}; k < (i + 1) * ${g}; k++) ${sum} = (int32_t)((uint32_t)${sum} + (uint32_t)${at('a')} * (uint32_t)${at('b')});\n  return r;\n}`,
    )
    return `${name}(${args.join(', ')})`
  }

  private cast(e: Extract<Expr, { kind: 'cast' }>): string {
    const [from, to] = [this.type(e.arg), this.type(e)]
    const x = this.expr(e.arg)
    const d = e.type as Exclude<DType, 'string'>
    let value: string
    const limited = this.castLimited(e.arg, from, to)
    if (limited !== undefined) return limited
    if (to.lanes > 1) value = this.castVector(x, from, to)
    else if (from.type === to.type) value = x
    else if (to.type === 'bool') value = `((${x}) != 0)`
    else if (isFloat(from.type as DType) && isIntegerType(to.type))
      value = this.truncate(x, from.type, to.type)
    else value = `((${valueType(to)})(${x}))`
    return this.narrow(value, d, to)
  }

  /** Floats that lie within int32 need no saturation, and rounding is part of the conversion where the machine has one. */
  private castLimited(arg: Expr, from: LoopType, to: LoopType): string | undefined {
    const [low, high] = limitsOf(arg)
    if (from.type !== 'float32' || to.type !== 'int32' || to.lanes === 1) return undefined
    if (!(low >= -(2 ** 31) && high < 2 ** 31)) return undefined
    const rounds = arg.kind === 'call' && arg.fn === 'round' && low > -(2 ** 22) && high < 2 ** 22
    const inner = rounds ? (arg.args[0] as Expr) : arg
    const [floats, ints] = [this.prelude.value(from), this.prelude.value(to)]
    const [width, when] =
      to.lanes === 16 ? ['512', 'defined(__AVX512F__)'] : [to.lanes === 8 ? '256' : '', 'defined(__FMA__)']
    const machine =
      to.lanes === 2
        ? ''
        : `#if ${when}\n  return (${ints})_mm${width}_cvt${rounds ? '' : 't'}ps_epi32((__m${width || '128'})a);\n#endif\n`
    const name = `${rounds ? 'nearest' : 'whole'}_${floats}`
    // Adding 1.5 · 2^23 leaves the nearest integer in the low bits.
    const plain = rounds ? `(${ints})(a + 0x1.8p+23f) - 0x4b400000` : `__builtin_convertvector(a, ${ints})`
    this.prelude.add(name, `static inline ${ints} ${name}(${floats} a) {\n${machine}  return ${plain};\n}`)
    const value = this.expr(inner)
    if (this.isNumber(inner)) return `${name}(${value})`
    // NaN gives 0.
    this.prelude.add(
      `number_${floats}`,
      `static inline ${floats} number_${floats}(${floats} a) {\n  return (${floats})((${ints})a & (a == a));\n}`,
    )
    return `${name}(number_${floats}(${value}))`
  }

  private isNumber(e: Expr): boolean {
    return isNumber(e, {
      range: (buffer) => rangeOfBuffer(this.kernel, buffer),
      isInteger: (x) => isIntegerType(this.type(x).type),
    })
  }

  private castVector(x: string, from: LoopType, to: LoopType): string {
    const type = this.prelude.value(to)
    if (from.type === to.type) return x
    if (to.type === 'bool') return `((${x}) != 0)`
    if (from.type === 'bool')
      return isFloat(to.type as DType) ? `__builtin_convertvector(-(${x}), ${type})` : `((${type})-(${x}))`
    if (isFloat(from.type as DType) && isIntegerType(to.type)) {
      if (from.type === 'float32' && to.type === 'int32') return `${this.truncateVector(from, type)}(${x})`
      const scalar = this.truncate('a[i]', from.type, to.type)
      return `${this.functions.lanewise(`truncate_${this.prelude.value(from)}_${type}`, type, to.lanes, [this.prelude.value(from)], scalar)}(${x})`
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

  private truncateVector(from: LoopType, type: string): string {
    const floats = this.prelude.value(from)
    const name = `truncate_${floats}_${type}`
    const body = `  ${type} number = a == a, high = a >= 0x1p31f, low = a < -0x1p31f;
  ${type} r = __builtin_convertvector((${floats})((${type})a & number & ~high & ~low), ${type});
  return (high & INT32_MAX) | (low & INT32_MIN) | r;`
    return this.prelude.add(name, `static inline ${type} ${name}(${floats} a) {\n${body}\n}`)
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
      return `${this.functions.lanewise(`round_${d}_${type}`, type, t.lanes, [type], round('a[i]'))}(${x})`
    }
    if (d === 'int4')
      return t.lanes === 1 ? `((int32_t)((uint32_t)(${x}) << 28) >> 28)` : `(((${x}) << 28) >> 28)`
    if (d === 'uint4') return `((${x}) & 15)`
    if (['int8', 'uint8', 'int16', 'uint16'].includes(d)) {
      if (t.lanes === 1) return `((int32_t)(${storage})(${x}))`
      const bits = d.endsWith('8') ? 8 : 16
      return d.startsWith('u') ? `((${x}) & ${2 ** bits - 1})` : `(((${x}) << ${32 - bits}) >> ${32 - bits})`
    }
    return x
  }

  private call(e: Extract<Expr, { kind: 'call' }>): string {
    const t = this.type(e.args.at(-1)!)
    const args = e.args.map((a) => this.expr(a))
    if (t.lanes === 1) return this.functions.scalar(e.fn, t.type, args, e.args)
    return this.functions.vector(e.fn, t, args, e.args)
  }
}

/** Identifiers of loops may hold characters that C's don't. */
export const id = (name: string): string => `v_${name.replace(/[^A-Za-z0-9_]/g, '_')}`

/** Buffers have names of their own: a local may be called the same. */
const bufferId = (name: string): string => `b_${name.replace(/[^A-Za-z0-9_]/g, '_')}`

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
