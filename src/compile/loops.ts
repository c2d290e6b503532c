// Loops: the only road from graph to code. A program is a list of calls of kernels over flat buffers; a kernel is a loop nest
// over scalar and vector expressions (src/ir/scalar.ts). It knows no operator, no tensor shape and no machine. The interpreter
// (interpret.ts) is the definition of meaning; `checkLoops` (bounds.ts) proves that no access leaves its buffer; renderers turn
// the form that `expand` (expand.ts) gives into code.
//
// Types. A buffer holds elements of any dtype. A value in flight has a compute type and a number of lanes: loading widens
// (float16, bfloat16 → float32; int4 … int16, uint4 … uint16 → int32; bool → bool), storing rounds or wraps to the buffer's
// dtype. Arithmetic is in the compute type: float32 rounds after every operation, integers wrap; `fma`
// may round once or twice, as the machine does it. All arguments of a
// call have the same type and lanes, except the condition of `select`, which is bool of the same lanes. Comparisons give bool.
// A constant without a type is int32. Indices count elements and are int32.
// Casts: float to integer truncates and saturates (NaN gives 0), to a narrow integer wraps afterwards; to float16 or bfloat16
// rounds and stays in float32; to bool is ≠ 0.

import { allocate, type DType, isBig, isFloat, rangeOf, type TensorData } from '../core/dtype.ts'
import { BugError } from '../core/errors.ts'
import { call, constant, type Expr, type ScalarFn, variable } from '../ir/scalar.ts'

/** The last three are raw: what a load that doesn't widen gives; they may be held, repeated and given to `dot`, nothing else. */
export type ComputeType =
  | 'float32'
  | 'float64'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool'
  | 'int16'
  | 'int8'
  | 'uint8'
export type LoopType = { readonly type: ComputeType; readonly lanes: number }

export type ForMode =
  | 'serial'
  /** Bounds are constants; `expand` writes the iterations out. */
  | 'unrolled'
  /** Iterations are independent. Only as the sole statement of a kernel's body; targets call the kernel on a range of it. */
  | 'parallel'

export type Statement =
  | {
      readonly kind: 'for'
      readonly name: string
      readonly from: Expr
      /** Exclusive. */
      readonly to: Expr
      readonly step: number
      readonly mode: ForMode
      readonly body: readonly Statement[]
    }
  /**
   * Declares a local, seen until the end of its block: a value, or an array of `count` values (a register tile; its indices must be
   * constants once loops are unrolled), every one set to `value`. Names are unique in a kernel.
   */
  | {
      readonly kind: 'let'
      readonly name: string
      readonly type: LoopType
      readonly count?: number
      readonly value: Expr
    }
  | { readonly kind: 'assign'; readonly name: string; readonly index?: Expr; readonly value: Expr }
  /** Stores all lanes of the value from `index` on. */
  | { readonly kind: 'store'; readonly buffer: string; readonly index: Expr; readonly value: Expr }
  /** Brings the cache line of an element nearer: into the first-level cache, or (2) the second. Changes no value. */
  | { readonly kind: 'prefetch'; readonly buffer: string; readonly index: Expr; readonly level: 1 | 2 }
  | {
      readonly kind: 'if'
      readonly condition: Expr
      readonly body: readonly Statement[]
      readonly otherwise: readonly Statement[]
    }

/** A buffer as a kernel sees it. Buffers of one kernel don't overlap, except that one may be given for both of two read-only ones. */
export type Parameter = {
  readonly name: string
  readonly dtype: DType
  /** Elements. */
  readonly length: number
  readonly access: 'read' | 'write' | 'update'
  /** Every element lies in this range, none is NaN: known of small constants. Of floats roughly, so that kernels are shared. */
  readonly range?: readonly [min: number, max: number]
  /** Private to whoever runs part of the parallel range; every iteration finds it with undefined content. */
  readonly scratch?: boolean
}

export type Kernel = {
  readonly name: string
  readonly parameters: readonly Parameter[]
  readonly body: readonly Statement[]
}

export type Buffer = {
  readonly name: string
  readonly dtype: DType
  /** Elements. */
  readonly length: number
  /** `scratch`: one for every thread. */
  readonly role: 'input' | 'output' | 'constant' | 'temp' | 'scratch'
  /** Of constants, in storage form (see dtype.ts): as it is, or what writes it into zeros where it will lie. */
  readonly data?: TensorData | ((to: TensorData) => void)
}

/** Writes a constant's content into `to`, which holds zeros. */
export function writeContent(b: Buffer, to: TensorData): void {
  if (typeof b.data === 'function') b.data(to)
  else if (b.data) (to as Float32Array).set(b.data as Float32Array)
}

/** A constant's content. */
export function contentOf(b: Buffer): TensorData | undefined {
  if (typeof b.data !== 'function') return b.data
  const to = allocate(b.dtype, b.length)
  b.data(to)
  return to
}

/** One call of a kernel; `buffers[i]` is the index of the program's buffer for parameter i. */
export type Step = {
  readonly kernel: number
  readonly buffers: readonly number[]
  /** The graph's nodes whose work this is. */
  readonly nodes: readonly string[]
  /** Multiply-accumulates, for profiles. */
  readonly macs: number
}

/**
 * By name of the node of the graph that was given to the compiler, and of the rules that made others of it: how much more rounding than
 * a plain sum of products the algorithm costs, where it does.
 */
export type Amplification = Readonly<Record<string, number>>

/** Steps run in order. Inputs and outputs are buffers in the graph's order; elements are row-major in the graph's shapes. */
export type Program = {
  readonly name: string
  readonly buffers: readonly Buffer[]
  readonly kernels: readonly Kernel[]
  readonly steps: readonly Step[]
  readonly amplification: Amplification
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  readonly inputShapes: readonly (readonly number[])[]
  readonly outputShapes: readonly (readonly number[])[]
}

/** The type that a loaded element has in flight. */
export function computeType(d: DType): ComputeType {
  switch (d) {
    case 'float64':
    case 'float32':
    case 'int64':
    case 'uint64':
    case 'int32':
    case 'uint32':
    case 'bool':
      return d
    case 'float16':
    case 'bfloat16':
      return 'float32'
    case 'string':
      throw new BugError('loops: strings have no compute type')
    default:
      return 'int32'
  }
}

/** What names stand for at a place in a kernel. */
export type Scope = {
  readonly locals: ReadonlyMap<string, LoopType>
  readonly buffers: ReadonlyMap<string, DType>
  /** Types already found. Names are unique in a kernel, so a shared expression has one type wherever it stands. */
  readonly memo?: Map<Expr, LoopType>
}

const comparisons: ReadonlySet<ScalarFn> = new Set<ScalarFn>([
  'eq', 'ne', 'lt', 'le', 'gt', 'ge', 'and', 'or', 'xor', 'not', 'isNaN', 'isInf',
]) // biome-ignore format: a table

/** The type of an expression; throws a BugError where types don't fit. */
export function typeOf(e: Expr, scope: Scope): LoopType {
  const found = scope.memo?.get(e)
  if (found) return found
  const type = findType(e, scope)
  scope.memo?.set(e, type)
  return type
}

function findType(e: Expr, scope: Scope): LoopType {
  const fail = (what: string): never => {
    throw new BugError(`loops: ${what}`)
  }
  switch (e.kind) {
    case 'const':
      return { type: e.type ? computeType(e.type) : 'int32', lanes: 1 }
    case 'var':
    case 'element':
      return scope.locals.get(e.name) ?? fail(`unbound name ${e.name}`)
    case 'load':
      return {
        type: e.raw
          ? (scope.buffers.get(e.buffer) as ComputeType)
          : computeType(scope.buffers.get(e.buffer) ?? fail(`unbound buffer ${e.buffer}`)),
        lanes: e.width ?? 1,
      }
    case 'cast':
      return { type: computeType(e.type), lanes: typeOf(e.arg, scope).lanes }
    case 'bits':
      return { type: computeType(e.type), lanes: typeOf(e.arg, scope).lanes }
    case 'repeat': {
      const t = typeOf(e.arg, scope)
      return { type: t.type, lanes: t.lanes * e.times }
    }
    case 'lanes': {
      const types = e.args.map((a) => typeOf(a, scope))
      if (types.some((t) => t.type !== types[0]!.type || t.lanes !== 1)) fail('lanes of different types')
      return { type: types[0]!.type, lanes: types.length }
    }
    case 'pick': {
      const [a, b] = [typeOf(e.a, scope), typeOf(e.b, scope)]
      if (a.type !== b.type || a.lanes !== b.lanes) fail('lanes picked of different types')
      if (e.lanes.some((l) => l >= 2 * a.lanes)) fail('picked lanes that are not there')
      return { type: a.type, lanes: e.lanes.length }
    }
    case 'lane':
    case 'across':
      return { type: typeOf(e.arg, scope).type, lanes: 1 }
    case 'dot':
      return typeOf(e.acc, scope)
    case 'call': {
      const types = e.args.map((a) => typeOf(a, scope))
      const last = types.at(-1)!
      types.forEach((t, i) => {
        const condition = e.fn === 'select' && i === 0
        if (t.lanes !== last.lanes || (condition ? t.type !== 'bool' : t.type !== last.type))
          fail(
            `${e.fn}: argument ${i} is ${printType(t)}, expected ${condition ? 'bool' : last.type}×${last.lanes}`,
          )
      })
      return comparisons.has(e.fn) ? { type: 'bool', lanes: last.lanes } : last
    }
  }
}

export const printType = (t: LoopType): string => (t.lanes === 1 ? t.type : `${t.type}x${t.lanes}`)

// Writing loops. Index arithmetic folds as it is built, so that texts and code stay short.

type Index = Expr | number
export const toExpr = (x: Index): Expr => (typeof x === 'number' ? constant(x) : x)
const known = (x: Index): number | undefined =>
  typeof x === 'number' ? x : x.kind === 'const' && !x.type ? Number(x.value) : undefined

/** a + b of indices. */
export function plus(a: Index, b: Index): Expr {
  const [p, q] = [known(a), known(b)]
  if (p !== undefined && q !== undefined) return constant(p + q)
  if (p === 0) return toExpr(b)
  if (q === 0) return toExpr(a)
  if (q !== undefined && typeof a === 'object' && a.kind === 'call' && a.fn === 'add') {
    const r = known(a.args[1]!)
    if (r !== undefined) return plus(a.args[0]!, r + q)
  }
  if (p !== undefined) return call('add', toExpr(b), constant(p))
  return call('add', toExpr(a), toExpr(b))
}
export const sum = (...terms: Index[]): Expr => terms.reduce<Expr>((s, t) => plus(s, t), constant(0))

/** a · n of an index. */
export function times(a: Index, n: Index): Expr {
  const [p, q] = [known(a), known(n)]
  if (p !== undefined && q !== undefined) return constant(p * q)
  if (p === 0 || q === 0) return constant(0)
  if (p === 1) return toExpr(n)
  if (q === 1) return toExpr(a)
  return call('mul', toExpr(a), toExpr(n))
}

/** Quotient and remainder of a non-negative index. */
export function divided(a: Index, n: number): [quotient: Expr, remainder: Expr] {
  const p = known(a)
  if (p !== undefined) return [constant(Math.floor(p / n)), constant(p % n)]
  if (n === 1) return [toExpr(a), constant(0)]
  return [call('div', toExpr(a), constant(n)), call('rem', toExpr(a), constant(n))]
}

/** `for name in from..to`; the body is built from the loop variable. An empty range gives nothing, a single iteration no loop. */
export function loop(
  name: string,
  from: Index,
  to: Index,
  body: (i: Expr) => readonly Statement[],
  options: { readonly step?: number; readonly mode?: ForMode } = {},
): Statement[] {
  const { step = 1, mode = 'serial' } = options
  const [p, q] = [known(from), known(to)]
  if (p !== undefined && q !== undefined && mode !== 'parallel') {
    if (p >= q) return []
    if (p + step >= q) return [...body(constant(p))]
  }
  return [{ kind: 'for', name, from: toExpr(from), to: toExpr(to), step, mode, body: body(variable(name)) }]
}

export const declare = (name: string, type: LoopType, value: Expr, count?: number): Statement => ({
  kind: 'let',
  name,
  type,
  value,
  ...(count !== undefined && { count }),
})
export const assign = (name: string, value: Expr, index?: Index): Statement => ({
  kind: 'assign',
  name,
  value,
  ...(index !== undefined && { index: toExpr(index) }),
})
export const store = (buffer: string, index: Index, value: Expr): Statement => ({
  kind: 'store',
  buffer,
  index: toExpr(index),
  value,
})
export const prefetch = (buffer: string, index: Index, level: 1 | 2): Statement => ({
  kind: 'prefetch',
  buffer,
  index: toExpr(index),
  level,
})
export const loadAt = (buffer: string, index: Index, width = 1): Expr =>
  width === 1
    ? { kind: 'load', buffer, index: toExpr(index) }
    : { kind: 'load', buffer, index: toExpr(index), width }
export const element = (name: string, index: Index): Expr => ({ kind: 'element', name, index: toExpr(index) })
export const repeat = (arg: Expr, lanes: number): Expr =>
  lanes === 1 ? arg : { kind: 'repeat', times: lanes, arg }

/** Calls `visit` on every statement, outer before inner. */
export function visitStatements(body: readonly Statement[], visit: (s: Statement) => void): void {
  for (const s of body) {
    visit(s)
    if (s.kind === 'for') visitStatements(s.body, visit)
    else if (s.kind === 'if') {
      visitStatements(s.body, visit)
      visitStatements(s.otherwise, visit)
    }
  }
}

/** Where the elements of a kernel's buffer lie: by what is known of it, or by its type. */
export function rangeOfBuffer(k: Kernel, buffer: string): readonly [number, number] | undefined {
  const p = k.parameters.find((q) => q.name === buffer)
  if (!p || p.range) return p?.range
  return isFloat(p.dtype) || p.dtype === 'string' || isBig(p.dtype)
    ? undefined
    : (rangeOf(p.dtype).map(Number) as [number, number])
}

/** The kernel's parallel range; [0, 1] where it has none. */
export function parallelRange(k: Kernel): [from: number, to: number] {
  const [s] = k.body
  if (k.body.length !== 1 || s?.kind !== 'for' || s.mode !== 'parallel') return [0, 1]
  return [known(s.from) ?? 0, known(s.to) ?? 1]
}
