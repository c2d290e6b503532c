// One kernel to one WebAssembly function: (base address of each parameter…, begin, end of the parallel range) → nothing.
// Knows scalars, vectors of four 32-bit lanes, loops and stores; no operator.

import type { DType } from '../../../core/dtype.ts'
import { bytesOf } from '../../../core/dtype.ts'
import { BugError } from '../../../core/errors.ts'
import { constant, type Expr, type ScalarFn, variable } from '../../../ir/scalar.ts'
import { isNumber, limitsOf } from '../../limits.ts'
import { type Kernel, type LoopType, rangeOfBuffer, type Statement, typeOf } from '../../loops.ts'
import { Assembler, isFloating, isVector, wasmType, wide } from './assembler.ts'
import { type CodeFunction, f32, f64, i32, i64, v128 } from './encoder.ts'
import { loadOps, scalarOps, storeOps, vectorOps } from './opcodes.ts'
import { type Access, type Pointers, planPointers } from './pointers.ts'

export type EmitOptions = {
  /** Whether the engine has relaxed SIMD: fma is one instruction that rounds once. Else it is a product and a sum. */
  readonly relaxed: boolean
  /** Index of an imported function on float64 numbers, e.g. `exp`. */
  host(fn: ScalarFn): number
}

type Load = Extract<Expr, { kind: 'load' }>
type Call = Extract<Expr, { kind: 'call' }>

/** Renders an expanded kernel. */
export function emitKernel(kernel: Kernel, options: EmitOptions): CodeFunction {
  const [only] = kernel.body
  const parallel = only?.kind === 'for' && only.mode === 'parallel' ? only : undefined
  const ranged: Kernel = parallel
    ? {
        ...kernel,
        body: [{ ...parallel, mode: 'serial', from: variable('begin'), to: variable('end') }],
      }
    : kernel
  const emitter = new Emitter(ranged, options)
  return emitter.run()
}

class Emitter extends Assembler {
  private readonly kernel: Kernel
  private readonly options: EmitOptions
  private readonly pointers: Pointers
  private readonly types = new Map<string, LoopType>()
  private readonly dtypes: ReadonlyMap<string, DType>
  private readonly memo = new Map<Expr, LoopType>()
  private accesses: ReadonlyMap<Expr | Statement, Access> = new Map()

  constructor(kernel: Kernel, options: EmitOptions) {
    super(kernel.parameters.length + 2)
    this.kernel = kernel
    this.options = options
    this.pointers = planPointers(kernel)
    this.dtypes = new Map(kernel.parameters.map((p) => [p.name, p.dtype]))
    kernel.parameters.forEach((p, i) => void this.slots.set(`base ${p.name}`, i))
    for (const [i, name] of ['begin', 'end'].entries()) {
      this.slots.set(name, kernel.parameters.length + i)
      this.types.set(name, { type: 'int32', lanes: 1 })
    }
  }

  run(): CodeFunction {
    this.block(this.kernel.body)
    return {
      name: this.kernel.name,
      type: { parameters: new Array(this.kernel.parameters.length + 2).fill(i32), results: [] },
      locals: this.localTypes,
      code: this.out,
    }
  }

  private typeOf(e: Expr): LoopType {
    return typeOf(e, { locals: this.types, buffers: this.dtypes, memo: this.memo })
  }

  private block(body: readonly Statement[]): void {
    for (const s of body) {
      for (const p of this.pointers.before.get(s) ?? []) {
        this.get(this.slots.get(`base ${p.buffer}`)!)
        if (!(p.bytes.kind === 'const' && Number(p.bytes.value) === 0)) {
          this.expr(p.bytes)
          this.out.byte(0x6a)
        }
        this.set(this.slot(p.pointer, i32))
      }
      this.accesses = this.pointers.accesses.get(s) ?? new Map()
      this.statement(s)
    }
  }

  private statement(s: Statement): void {
    switch (s.kind) {
      case 'for': {
        this.types.set(s.name, { type: 'int32', lanes: 1 })
        const counter = this.slot(s.name, i32)
        this.expr(s.from)
        this.set(counter)
        let limit: number | undefined
        if (s.to.kind !== 'const') {
          limit = this.temporary(i32)
          this.expr(s.to)
          this.set(limit)
        }
        const end = (): void =>
          limit === undefined ? this.i32const(Number((s.to as { value: number }).value)) : this.get(limit)
        const never = s.from.kind === 'const' && s.to.kind === 'const' && s.from.value < s.to.value
        if (!never) {
          this.get(counter)
          end()
          this.out.byte(0x48, 0x04, 0x40) // if counter < end
        }
        this.out.byte(0x03, 0x40)
        this.block(s.body)
        for (const b of this.pointers.bumps.get(s) ?? []) {
          const p = this.slot(b.pointer, i32)
          this.get(p)
          this.i32const(b.bytes)
          this.out.byte(0x6a)
          this.set(p)
        }
        this.get(counter)
        this.i32const(s.step)
        this.out.byte(0x6a)
        this.tee(counter)
        end()
        this.out.byte(0x48, 0x0d, 0, 0x0b) // br_if counter < end
        if (!never) this.out.byte(0x0b)
        return
      }
      case 'let':
        this.expr(s.value)
        this.types.set(s.name, s.type)
        this.set(this.slot(s.name, wasmType(s.type)))
        return
      case 'assign':
        this.expr(s.value)
        this.set(this.slots.get(s.name)!)
        return
      case 'store':
        this.store(s)
        return
      // WebAssembly has no such instruction. A load that nothing uses does for what is needed later: engines must keep it, because it
      // could trap. For what is needed soon it would only wait.
      case 'prefetch': {
        if (s.level === 1) return
        const offset = this.address(s)
        this.out.byte(loadOps[this.dtypes.get(s.buffer) as keyof typeof loadOps], 0).u(offset)
        this.out.byte(0x1a)
        return
      }
      case 'if':
        this.expr(s.condition)
        this.out.byte(0x04, 0x40)
        this.block(s.body)
        if (s.otherwise.length) {
          this.out.byte(0x05)
          this.block(s.otherwise)
        }
        this.out.byte(0x0b)
    }
  }

  private address(key: Expr | Statement): number {
    const a = this.accesses.get(key)
    if (!a) throw new BugError(`wasm: kernel ${this.kernel.name}: an access has no pointer`)
    this.get(this.slot(a.pointer, i32))
    return a.offset
  }

  private store(s: Extract<Statement, { kind: 'store' }>): void {
    const t = this.typeOf(s.value)
    const d = this.dtypes.get(s.buffer)!
    const offset = this.address(s)
    this.expr(s.value)
    if (!isVector(t)) {
      this.narrow(d, t)
      this.out.byte(storeOps[d as keyof typeof storeOps], 0).u(offset)
      return
    }
    const size = bytesOf(d)
    if (size === 4) {
      this.simd(11)
      this.out.byte(0).u(offset)
      return
    }
    if (d === 'bool') this.lanewiseAnd(1)
    if (d === 'int4' || d === 'uint4') this.narrow(d, t)
    // The low bytes of every lane, side by side.
    const v = this.temporary(v128)
    this.tee(v)
    this.get(v)
    this.simd(13)
    for (let i = 0; i < 16; i++) this.out.byte(i < 4 * size ? Math.floor(i / size) * 4 + (i % size) : 0)
    this.simd(size === 1 ? 90 : 91)
    this.out.byte(0).u(offset).byte(0)
  }

  private load(e: Load): void {
    const d = this.dtypes.get(e.buffer)!
    const width = e.width ?? 1
    const offset = this.address(e)
    const at = (op: number): void => void this.out.byte(0xfd).u(op).byte(0).u(offset)
    if (width === 1) {
      this.out.byte(loadOps[d as keyof typeof loadOps], 0).u(offset)
      return
    }
    const size = bytesOf(d)
    // Raw, for `dot`: a whole vector.
    if (e.raw && size * width === 16) at(0)
    else if (width !== 4) throw new BugError(`wasm: load of ${d}×${width}`)
    else if (size === 4) at(0)
    else if (size === 2) at(d === 'int16' ? 3 : 4)
    else if (size === 1) {
      const signed = d === 'int8' || d === 'int4'
      at(92)
      this.simd(signed ? 135 : 137)
      this.simd(signed ? 167 : 169)
      if (d === 'bool') {
        this.i32const(0)
        this.simd(17)
        this.simd(56)
      }
    } else throw new BugError(`wasm: load of ${d}×${width}`)
  }

  private expr(e: Expr): void {
    switch (e.kind) {
      case 'const': {
        const type = e.type ?? 'int32'
        if (type === 'float32') this.out.byte(0x43).f32(Number(e.value))
        else if (type === 'float64') this.out.byte(0x44).f64(Number(e.value))
        else if (type === 'int64' || type === 'uint64')
          this.out.byte(0x42).s(BigInt.asIntN(64, BigInt(e.value)))
        else this.i32const(Number(e.value) | 0)
        return
      }
      case 'var': {
        const slot = this.slots.get(e.name)
        if (slot === undefined) throw new BugError(`wasm: kernel ${this.kernel.name}: unbound ${e.name}`)
        this.get(slot)
        return
      }
      case 'load':
        this.load(e)
        return
      case 'repeat':
        this.repeat(e.arg)
        return
      case 'lanes': {
        const { type } = this.typeOf(e)
        if (type === 'bool') throw new BugError('wasm: lanes of bool')
        e.args.forEach((a, i) => {
          if (i === 0) this.repeat(a)
          else {
            this.expr(a)
            this.simd(type === 'float32' ? 32 : 28)
            this.out.byte(i)
          }
        })
        return
      }
      case 'pick':
        this.expr(e.a)
        this.expr(e.b)
        this.simd(13)
        for (const l of e.lanes) for (let i = 0; i < 4; i++) this.out.byte(4 * l + i)
        return
      case 'lane':
        this.expr(e.arg)
        this.extract(this.typeOf(e.arg).type, e.lane)
        return
      case 'across':
        this.across(e.fn, e.arg)
        return
      case 'cast':
        this.cast(e.type, e.arg)
        return
      case 'bits': {
        const t = this.typeOf(e.arg)
        this.expr(e.arg)
        if (isVector(t)) return
        const [from, to] = [wasmType(t), wasmType(this.typeOf(e))]
        if (from !== to) this.out.byte({ [f32]: 0xbc, [f64]: 0xbd, [i32]: 0xbe, [i64]: 0xbf }[from]!)
        return
      }
      case 'dot':
        this.expr(e.a)
        this.expr(e.b)
        this.simd(186)
        this.expr(e.acc)
        this.simd(174)
        return
      case 'call':
        this.call(e)
        return
      case 'element':
        throw new BugError('wasm: the kernel was not expanded')
    }
  }

  private repeat(arg: Expr): void {
    const t = this.typeOf(arg)
    if (arg.kind === 'load') {
      const d = this.dtypes.get(arg.buffer)!
      if (bytesOf(d) === 4 && t.lanes === 1) {
        const offset = this.address(arg)
        this.out.byte(0xfd).u(9).byte(0).u(offset)
        return
      }
      if (arg.raw && bytesOf(d) * t.lanes === 4) {
        const offset = this.address(arg)
        this.out.byte(0xfd).u(9).byte(0).u(offset)
        return
      }
    }
    if (arg.kind === 'const' && t.type !== 'bool') {
      // One constant for all uses: also what lets V8 pair vectors.
      this.simd(12)
      const bytes = new Uint8Array(
        t.type === 'float32'
          ? Float32Array.of(Number(arg.value)).buffer
          : Int32Array.of(Number(arg.value)).buffer,
      )
      for (let i = 0; i < 4; i++) this.out.bytes(bytes)
      return
    }
    this.expr(arg)
    if (t.type === 'bool') {
      // A mask has all bits set.
      this.i32const(0)
      this.i32constSubtract()
    }
    this.simd(t.type === 'float32' ? 19 : 17)
  }

  private across(fn: ScalarFn, arg: Expr): void {
    const t = this.typeOf(arg)
    const v = this.temporary(v128)
    this.expr(arg)
    this.set(v)
    const name = `across ${v}`
    this.slots.set(name, v)
    this.types.set(name, t)
    for (const half of [8, 4]) {
      const other = this.temporary(v128)
      this.get(v)
      this.get(v)
      this.simd(13)
      for (let i = 0; i < 16; i++) this.out.byte((i + half) % 16)
      this.set(other)
      const otherName = `across ${other}`
      this.slots.set(otherName, other)
      this.types.set(otherName, t)
      this.call({ kind: 'call', fn, args: [variable(name), variable(otherName)] })
      this.set(v)
    }
    this.get(v)
    this.extract(t.type, 0)
  }

  /** Floats that are small numbers for certain: adding 1.5 · 2^23 leaves the nearest integer in the low bits. */
  private castNearest(to: DType, arg: Expr): boolean {
    if (to !== 'int32' || arg.kind !== 'call' || arg.fn !== 'round') return false
    const [x] = arg.args as [Expr]
    const [low, high] = limitsOf(arg)
    const t = this.typeOf(x)
    if (t.type !== 'float32' || !(low > -(2 ** 22) && high < 2 ** 22)) return false
    const facts = {
      range: (buffer: string) => rangeOfBuffer(this.kernel, buffer),
      isInteger: (e: Expr) => !isFloating(this.typeOf(e).type) && this.typeOf(e).type !== 'bool',
    }
    if (!isNumber(x, facts)) return false
    const lanes = (e: Expr): Expr => (isVector(t) ? { kind: 'repeat', times: t.lanes, arg: e } : e)
    this.expr(x)
    this.expr(lanes(constant(1.5 * 2 ** 23, 'float32')))
    if (isVector(t)) this.simd(228)
    else this.out.byte(0x92, 0xbc)
    this.expr(lanes(constant(0x4b400000, 'int32')))
    if (isVector(t)) this.simd(177)
    else this.out.byte(0x6b)
    return true
  }

  private cast(to: DType, arg: Expr): void {
    if (this.castNearest(to, arg)) return
    const from = this.typeOf(arg)
    const target = this.typeOf({ kind: 'cast', type: to, arg })
    this.expr(arg)
    if (isVector(from)) {
      const [a, b] = [from.type, target.type]
      if (a === 'bool' && b !== 'bool') {
        this.lanewiseAnd(1)
        if (b === 'float32') this.simd(250)
      } else if (b === 'bool' && a !== 'bool') {
        this.i32const(0)
        this.simd(17)
        this.simd(a === 'float32' ? 66 : 56)
      } else if (a === 'float32' && b !== 'float32') this.simd(b === 'uint32' ? 249 : 248)
      else if (b === 'float32' && a !== 'float32') this.simd(a === 'uint32' ? 251 : 250)
    } else this.convert(from.type, target.type)
    this.narrow(to, target)
  }

  private call(e: Call): void {
    const { fn, args } = e
    const t = this.typeOf(args.at(-1)!)
    if (fn === 'select') {
      this.expr(args[1]!)
      this.expr(args[2]!)
      this.expr(args[0]!)
      if (isVector(t)) this.simd(82)
      else this.out.byte(0x1b)
      return
    }
    if (isVector(t)) this.vectorCall(e, t)
    else this.scalarCall(e, t)
  }

  private vectorCall(e: Call, t: LoopType): void {
    const { fn, args } = e
    if (t.type === 'float32') {
      if (fn === 'fma') {
        for (const a of args) if (this.options.relaxed || a !== args[2]) this.expr(a)
        if (this.options.relaxed) {
          this.simd(0x105)
        } else {
          this.simd(230)
          this.expr(args[2]!)
          this.simd(228)
        }
        return
      }
      // With a constant side the one-instruction forms keep NaN of the other: pmin(x, c) = c < x ? c : x.
      if (fn === 'min' || fn === 'max') {
        const isConstant = (x: Expr): boolean =>
          x.kind === 'repeat' && x.arg.kind === 'const' && !Number.isNaN(Number(x.arg.value))
        const [a, b] = args as [Expr, Expr]
        if (isConstant(a) || isConstant(b)) {
          this.expr(isConstant(b) ? a : b)
          this.expr(isConstant(b) ? b : a)
          this.simd(fn === 'min' ? 234 : 235)
          return
        }
      }
    } else if (fn === 'fma') {
      this.call({
        kind: 'call',
        fn: 'add',
        args: [{ kind: 'call', fn: 'mul', args: args.slice(0, 2) }, args[2]!],
      })
      return
    }
    if ((fn === 'shl' || fn === 'shr') && args[1]!.kind === 'repeat' && args[1]!.arg.kind === 'const') {
      this.expr(args[0]!)
      this.expr(args[1]!.arg)
      this.simd(fn === 'shl' ? 171 : t.type === 'uint32' ? 173 : 172)
      return
    }
    const op = vectorOps[t.type]?.[fn]
    if (op !== undefined) {
      for (const a of args) this.expr(a)
      this.simd(op)
      return
    }
    this.lanewise(e, t)
  }

  /** A vector function without an instruction, lane by lane. */
  private lanewise(e: Call, t: LoopType): void {
    const result = this.typeOf(e)
    const names = e.args.map((a) => {
      const v = this.temporary(v128)
      this.expr(a)
      this.set(v)
      const name = `lanes ${v}`
      this.slots.set(name, v)
      this.types.set(name, this.typeOf(a))
      return name
    })
    for (let lane = 0; lane < t.lanes; lane++) {
      const one: Expr = {
        kind: 'call',
        fn: e.fn,
        args: names.map((n) => ({ kind: 'lane', lane, arg: variable(n) }) as Expr),
      }
      if (lane === 0) this.repeat(one)
      else {
        this.expr(one)
        if (result.type === 'bool') {
          this.i32const(0)
          this.i32constSubtract()
        }
        this.simd(result.type === 'float32' ? 32 : 28)
        this.out.byte(lane)
      }
    }
  }

  private scalarCall(e: Call, t: LoopType): void {
    const { fn, args } = e
    const floating = isFloating(t.type)
    if (fn === 'fma') {
      if (t.type === 'float32' && this.options.relaxed) {
        for (const a of args) this.repeat(a)
        this.simd(0x105)
        this.extract('float32', 0)
        return
      }
      this.call({
        kind: 'call',
        fn: 'add',
        args: [{ kind: 'call', fn: 'mul', args: args.slice(0, 2) }, args[2]!],
      })
      return
    }
    const op = (scalarOps[t.type as keyof typeof scalarOps] as Partial<Record<ScalarFn, number>>)[fn]
    if (op !== undefined) {
      for (const a of args) this.expr(a)
      this.out.byte(op)
      return
    }
    if (floating) {
      for (const a of args) {
        this.expr(a)
        if (t.type === 'float32') this.out.byte(0xbb)
      }
      this.out.byte(0x10).u(this.options.host(fn))
      if (t.type === 'float32') this.out.byte(0xb6)
      return
    }
    if (fn === 'shl' || fn === 'shr') {
      // Counts are below the width: compose.ts sees to it.
      for (const a of args) this.expr(a)
      const big = wide(t.type)
      this.out.byte((big ? 0x86 : 0x74) + (fn === 'shl' ? 0 : t.type[0] === 'u' ? 2 : 1))
      return
    }
    if (fn === 'div' || fn === 'rem') {
      for (const a of args) this.expr(a)
      this.out.byte((wide(t.type) ? 0x7f : 0x6d) + (fn === 'rem' ? 2 : 0) + (t.type[0] === 'u' ? 1 : 0))
      return
    }
    throw new BugError(`wasm: ${fn} on ${t.type} has no code`)
  }
}
