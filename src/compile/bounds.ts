// The verifier of loops: types fit, names are declared, and interval arithmetic proves every access inside its buffer. An index
// that depends on data must be clamped where it is made, so that the proof goes through.

import type { DType } from '../core/dtype.ts'
import { argumentsOf, type Expr } from '../ir/scalar.ts'
import { type Kernel, type LoopType, type Statement, typeOf, visitStatements } from './loops.ts'

/** Inclusive. */
type Interval = readonly [min: number, max: number]
const anything: Interval = [-Infinity, Infinity]

const intervalFns: Partial<Record<string, (a: Interval, b: Interval) => Interval>> = {
  add: (a, b) => [a[0] + b[0], a[1] + b[1]],
  sub: (a, b) => [a[0] - b[1], a[1] - b[0]],
  mul: (a, b) => {
    const p = [a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]].map((x) => (Number.isNaN(x) ? 0 : x))
    return [Math.min(...p), Math.max(...p)]
  },
  div: (a, b) => (b[0] === b[1] && b[0] > 0 ? [Math.trunc(a[0] / b[0]), Math.trunc(a[1] / b[0])] : anything),
  rem: (a, b) => {
    if (b[0] !== b[1] || b[0] <= 0) return anything
    if (a[0] >= 0 && a[1] < b[0]) return a
    return [a[0] < 0 ? 1 - b[0] : 0, b[0] - 1]
  },
  min: (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1])],
  max: (a, b) => [Math.max(a[0], b[0]), Math.max(a[1], b[1])],
  shr: (a, b) => (b[0] === b[1] ? [a[0] >> b[0], a[1] >> b[0]] : anything),
}

/** All that is wrong with a kernel; empty when nothing is. */
export function checkLoops(kernel: Kernel): string[] {
  const problems: string[] = []
  const report = (what: string): void => {
    if (problems.length < 20) problems.push(`kernel ${kernel.name}: ${what}`)
  }
  const locals = new Map<string, LoopType>()
  const arrays = new Map<string, number>()
  const ranges = new Map<string, Interval>()
  const buffers = new Map<string, DType>(kernel.parameters.map((p) => [p.name, p.dtype]))
  const parameters = new Map(kernel.parameters.map((p) => [p.name, p]))
  const scope = { locals, buffers, memo: new Map<Expr, LoopType>() }

  const type = (e: Expr): LoopType | undefined => {
    try {
      return typeOf(e, scope)
    } catch (error) {
      report((error as Error).message)
      return undefined
    }
  }
  const access = (buffer: string, index: Expr, width: number, write: boolean | null): void => {
    const p = parameters.get(buffer)
    if (!p) {
      report(`no parameter ${buffer}`)
      return
    }
    if (write !== null && p.access === (write ? 'read' : 'write'))
      report(`${buffer} is ${write ? 'written' : 'read'} but declared ${p.access}`)
    const [min, max] = range(index)
    if (!(min >= 0 && max + width <= p.length))
      report(`${buffer}[${min}..${max}] of width ${width} may leave 0..${p.length}`)
  }
  const range = (e: Expr): Interval => {
    switch (e.kind) {
      case 'const':
        return [Number(e.value), Number(e.value)]
      case 'var':
      case 'element':
        return boundOf(e.name)
      case 'load':
        return parameters.get(e.buffer)?.range ?? anything
      case 'cast':
        return e.type === 'int32' ? range(e.arg) : anything
      case 'call': {
        if (e.fn === 'select') {
          const [a, b] = [range(e.args[1]!), range(e.args[2]!)]
          return [Math.min(a[0], b[0]), Math.max(a[1], b[1])]
        }
        const f = intervalFns[e.fn]
        return f ? f(range(e.args[0]!), range(e.args[1]!)) : anything
      }
      default:
        return anything
    }
  }
  // A name that is assigned takes the union of all its values: a first sweep finds it (what rests on another such name is
  // unbounded), a second one uses it.
  const unions = new Map<string, Interval>()
  let sweep = 1
  const names = new Set<string>()
  const assigned = new Set<string>()
  visitStatements(kernel.body, (x) => {
    if (x.kind === 'assign') assigned.add(x.name)
  })
  const extend = (name: string, value: Expr): void => {
    if (sweep === 2) return
    const [a, b] = [unions.get(name), locals.get(name)?.type === 'int32' ? range(value) : anything]
    unions.set(name, a ? [Math.min(a[0], b[0]), Math.max(a[1], b[1])] : b)
  }
  const boundOf = (name: string): Interval =>
    assigned.has(name) ? (sweep === 2 ? unions.get(name)! : anything) : (ranges.get(name) ?? anything)
  let seen = new Set<Expr>()
  const expression = (e: Expr): void => {
    if (seen.has(e)) return
    seen.add(e)
    if (e.kind === 'load') access(e.buffer, e.index, e.width ?? 1, false)
    if (e.kind === 'element') {
      const n = arrays.get(e.name)
      const [min, max] = range(e.index)
      if (n === undefined) report(`no local array ${e.name}`)
      else if (!(min >= 0 && max < n)) report(`${e.name}[${min}..${max}] may leave 0..${n}`)
    }
    for (const a of argumentsOf(e)) expression(a)
  }
  const declared = (name: string, t: LoopType): void => {
    if (names.has(name)) report(`${name} is declared twice`)
    names.add(name)
    locals.set(name, t)
  }
  const block = (body: readonly Statement[]): void => {
    for (const s of body) statement(s)
  }
  const statement = (s: Statement): void => {
    seen = new Set()
    switch (s.kind) {
      case 'for': {
        expression(s.from)
        expression(s.to)
        const [from, to] = [range(s.from), range(s.to)]
        if (s.mode === 'parallel' && (kernel.body.length !== 1 || kernel.body[0] !== s))
          report(`parallel loop ${s.name} is not the kernel's only statement`)
        if (!(s.step > 0)) report(`loop ${s.name}: step ${s.step}`)
        locals.set(s.name, { type: 'int32', lanes: 1 })
        // With constant bounds the last value is known exactly.
        const last =
          from[0] === from[1] && to[0] === to[1]
            ? from[0] + Math.max(0, Math.ceil((to[1] - from[0]) / s.step) - 1) * s.step
            : to[1] - 1
        if (to[1] <= from[0]) return
        ranges.set(s.name, [from[0], last])
        block(s.body)
        return
      }
      case 'let': {
        expression(s.value)
        const t = type(s.value)
        if (t && (t.type !== s.type.type || t.lanes !== s.type.lanes))
          report(`${s.name} is ${s.type.type}×${s.type.lanes}, its value ${t.type}×${t.lanes}`)
        declared(s.name, s.type)
        if (s.count !== undefined) arrays.set(s.name, s.count)
        if (assigned.has(s.name)) extend(s.name, s.value)
        else ranges.set(s.name, s.type.type === 'int32' ? range(s.value) : anything)
        return
      }
      case 'assign': {
        expression(s.value)
        const t = type(s.value)
        const want = locals.get(s.name)
        if (!want) report(`no local ${s.name}`)
        else if (t && (t.type !== want.type || t.lanes !== want.lanes))
          report(`${s.name} is ${want.type}×${want.lanes}, assigned ${t.type}×${t.lanes}`)
        extend(s.name, s.value)
        if (s.index) expression({ kind: 'element', name: s.name, index: s.index })
        return
      }
      case 'store': {
        expression(s.value)
        expression(s.index)
        const t = type(s.value)
        if (t) access(s.buffer, s.index, t.lanes, true)
        return
      }
      case 'prefetch':
        expression(s.index)
        access(s.buffer, s.index, 1, null)
        return
      case 'if':
        expression(s.condition)
        block(s.body)
        block(s.otherwise)
    }
  }
  block(kernel.body)
  if (assigned.size > 0) {
    problems.length = 0
    names.clear()
    sweep = 2
    block(kernel.body)
  }
  return problems
}
