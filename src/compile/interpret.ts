// The meaning of loops: runs a program statement by statement. Slow, obvious; every renderer is judged against it.

import {
  allocate,
  bfloat16Value,
  type DType,
  rangeOf,
  store as storeElement,
  type TensorData,
} from '../core/dtype.ts'
import { BugError } from '../core/errors.ts'
import { type Expr, onIntegers, onNumbers } from '../ir/scalar.ts'
import {
  type ComputeType,
  computeType,
  contentOf,
  type Kernel,
  type LoopType,
  type Program,
  type Scope,
  type Statement,
  typeOf,
} from './loops.ts'

type Lane = number | bigint
type Lanes = readonly Lane[]
type Run<T> = (frame: Map<string, Lane[][]>) => T

/** Rounds or wraps to a dtype, in the representation of its compute type. */
function narrow(d: DType, x: Lane): Lane {
  const c = computeType(d)
  if (c === 'bool') return x ? 1 : 0
  if (c === 'int64') return BigInt.asIntN(64, toInteger(x, 'int64'))
  if (c === 'uint64') return BigInt.asUintN(64, toInteger(x, 'uint64'))
  if (c === 'float32' || c === 'float64') {
    const cell = allocate(d, 1)
    storeElement(d, cell, 0, Number(x))
    return d === 'bfloat16' ? bfloat16Value(cell[0] as number) : (cell[0] as number)
  }
  const [min, max] = rangeOf(d)
  const i = toInteger(x, c)
  const bits = max - min + 1n
  const r = (((i - min) % bits) + bits) % bits
  return Number(r + min)
}

/** Truncates toward zero and saturates at the compute type's range. */
function toInteger(x: Lane, c: ComputeType): bigint {
  if (typeof x === 'bigint') return x
  if (Number.isNaN(x)) return 0n
  if (Number.isInteger(x) && Math.abs(x) < 2 ** 53) return BigInt(x)
  const [min, max] = rangeOf(c as DType)
  return x <= Number(min) ? min : x >= Number(max) ? max : BigInt(Math.trunc(x))
}

const exactIntegers: ReadonlySet<ComputeType> = new Set(['int32', 'uint32', 'int64', 'uint64'])
const unsigned = (c: ComputeType): boolean => c.startsWith('u')

function apply(
  fn: Extract<Expr, { kind: 'call' }>['fn'],
  type: ComputeType,
  result: ComputeType,
  args: Lanes,
): Lane {
  if (exactIntegers.has(type)) {
    const [a, b, c] = args.map((x) => BigInt(x)) as [bigint, bigint, bigint]
    const big = type === 'int64' || type === 'uint64'
    // Shifts count modulo the bits only where the count is below them; a count at or above them gives 0 or the sign.
    const r = onIntegers[fn](a, b ?? 0n, c ?? 0n)
    if (result === 'bool') return r ? 1 : 0
    const bits = big ? 64 : 32
    const w = unsigned(type) ? BigInt.asUintN(bits, r) : BigInt.asIntN(bits, r)
    return big ? w : Number(w)
  }
  const [a, b, c] = args as [number, number, number]
  const r = onNumbers[fn](a, b, c)
  return result === 'float32' ? Math.fround(r) : r
}

class Compiler {
  private readonly locals = new Map<string, LoopType>()
  private readonly dtypes = new Map<string, DType>()
  private readonly data: Map<string, TensorData>
  private readonly scope: Scope = { locals: this.locals, buffers: this.dtypes, memo: new Map() }

  constructor(kernel: Kernel, data: Map<string, TensorData>) {
    for (const p of kernel.parameters) this.dtypes.set(p.name, p.dtype)
    this.data = data
  }

  private buffer(name: string): TensorData {
    const d = this.data.get(name)
    if (!d) throw new BugError(`interpret: no buffer ${name}`)
    return d
  }

  /** The first index of an access, checked. */
  private index(e: Expr, name: string, width: number): Run<number> {
    const index = this.expr(e)
    const length = this.buffer(name).length
    return (f) => {
      const i = Number(index(f)[0])
      if (i < 0 || i + width > length)
        throw new BugError(`interpret: ${name}[${i}] of width ${width} leaves 0..${length}`)
      return i
    }
  }

  expr(e: Expr): Run<Lanes> {
    switch (e.kind) {
      case 'const': {
        const type = e.type ?? 'int32'
        const v = [narrow(type, e.value)]
        return () => v
      }
      case 'var':
        return (f) => f.get(e.name)![0]!
      case 'element': {
        const index = this.expr(e.index)
        return (f) => f.get(e.name)![Number(index(f)[0])]!
      }
      case 'load': {
        const width = e.width ?? 1
        const data = this.buffer(e.buffer)
        const d = this.dtypes.get(e.buffer)!
        const index = this.index(e.index, e.buffer, width)
        return (f) => {
          const i = index(f)
          return Array.from({ length: width }, (_, k) => {
            const v = data[i + k] as Lane
            return d === 'bfloat16' ? bfloat16Value(v as number) : v
          })
        }
      }
      case 'repeat': {
        const arg = this.expr(e.arg)
        return (f) => {
          const v = arg(f)
          return Array.from({ length: v.length * e.times }, (_, i) => v[i % v.length]!)
        }
      }
      case 'lanes': {
        const args = e.args.map((a) => this.expr(a))
        return (f) => args.map((a) => a(f)[0]!)
      }
      case 'pick': {
        const [a, b] = [this.expr(e.a), this.expr(e.b)]
        return (f) => {
          const both = [...a(f), ...b(f)]
          return e.lanes.map((l) => both[l]!)
        }
      }
      case 'lane': {
        const arg = this.expr(e.arg)
        return (f) => [arg(f)[e.lane]!]
      }
      case 'across': {
        const arg = this.expr(e.arg)
        const { type } = typeOf(e.arg, this.scope)
        // Halves are folded onto each other, as vector code does.
        return (f) => {
          let v = [...arg(f)]
          while (v.length > 1) {
            const h = v.length / 2
            v = v.slice(0, h).map((a, i) => apply(e.fn, type, type, [a, v[i + h]!]))
          }
          return v
        }
      }
      case 'cast': {
        const arg = this.expr(e.arg)
        return (f) => arg(f).map((x) => narrow(e.type, x))
      }
      case 'bits': {
        const arg = this.expr(e.arg)
        const from = typeOf(e.arg, this.scope).type as DType
        return (f) =>
          arg(f).map((x) => {
            const cell = allocate(from, 1)
            storeElement(from, cell, 0, x)
            const bytes = (cell as Float32Array).buffer as ArrayBuffer
            const to = allocate(e.type, 0).constructor as Float32ArrayConstructor
            return new to(bytes)[0]!
          })
      }
      case 'dot': {
        const [acc, a, b] = [e.acc, e.a, e.b].map((x) => this.expr(x)) as [Run<Lanes>, Run<Lanes>, Run<Lanes>]
        return (f) => {
          const [p, q, r] = [acc(f), a(f), b(f)]
          const g = q.length / p.length
          return p.map((s, i) => {
            let t = Number(s)
            for (let j = 0; j < g; j++) t += Number(q[i * g + j]) * Number(r[i * g + j])
            return t | 0
          })
        }
      }
      case 'call': {
        const result = typeOf(e, this.scope).type
        const type = typeOf(e.args.at(-1)!, this.scope).type
        const args = e.args.map((a) => this.expr(a))
        return (f) => {
          const values = args.map((a) => a(f))
          return values[0]!.map((_, i) =>
            apply(
              e.fn,
              type,
              result,
              values.map((v) => v[i]!),
            ),
          )
        }
      }
    }
  }

  block(body: readonly Statement[]): Run<void> {
    const run = body.map((s) => this.statement(s))
    return (f) => {
      for (const r of run) r(f)
    }
  }

  private statement(s: Statement): Run<void> {
    switch (s.kind) {
      case 'for': {
        const [from, to] = [this.expr(s.from), this.expr(s.to)]
        this.locals.set(s.name, { type: 'int32', lanes: 1 })
        const body = this.block(s.body)
        return (f) => {
          const end = Number(to(f)[0])
          for (let i = Number(from(f)[0]); i < end; i += s.step) {
            f.set(s.name, [[i]])
            body(f)
          }
        }
      }
      case 'let': {
        const value = this.expr(s.value)
        this.locals.set(s.name, s.type)
        const count = s.count ?? 1
        return (f) => {
          const v = value(f)
          if (v.length !== s.type.lanes)
            throw new BugError(`interpret: ${s.name} wants ${s.type.lanes} lanes, got ${v.length}`)
          f.set(
            s.name,
            Array.from({ length: count }, () => [...v]),
          )
        }
      }
      case 'assign': {
        const value = this.expr(s.value)
        const index = s.index && this.expr(s.index)
        return (f) => {
          const i = index ? Number(index(f)[0]) : 0
          f.get(s.name)![i] = [...value(f)]
        }
      }
      case 'store': {
        const value = this.expr(s.value)
        const d = this.dtypes.get(s.buffer)!
        const data = this.buffer(s.buffer)
        const { lanes } = typeOf(s.value, this.scope)
        const index = this.index(s.index, s.buffer, lanes)
        return (f) => {
          const i = index(f)
          const v = value(f)
          for (let k = 0; k < v.length; k++) storeElement(d, data, i + k, narrow(d, v[k]!))
        }
      }
      case 'prefetch': {
        const index = this.index(s.index, s.buffer, 1)
        return (f) => void index(f)
      }
      case 'if': {
        const condition = this.expr(s.condition)
        const [yes, no] = [this.block(s.body), this.block(s.otherwise)]
        return (f) => (condition(f)[0] ? yes(f) : no(f))
      }
    }
  }
}

/** Runs one kernel on the given data, in the parameters' order. */
export function interpretKernel(kernel: Kernel, data: readonly TensorData[]): void {
  const byName = new Map(kernel.parameters.map((p, i) => [p.name, data[i]!]))
  new Compiler(kernel, byName).block(kernel.body)(new Map())
}

/** Runs a program; inputs and outputs in its own order. */
export function interpret(program: Program, inputs: readonly TensorData[]): TensorData[] {
  const data = program.buffers.map((b) => contentOf(b) ?? allocate(b.dtype, b.length))
  program.inputs.forEach((b, i) => {
    data[b] = inputs[i]!
  })
  for (const s of program.steps)
    interpretKernel(
      program.kernels[s.kernel]!,
      s.buffers.map((b) => data[b]!),
    )
  return program.outputs.map((b) => data[b]!)
}
