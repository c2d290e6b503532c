// Vectors wider than the machine's become several of its own, side by side: eight lanes are two of four. The halves of an operation
// stand next to each other and stores come in unbroken runs, which is what V8's revectorisation pairs back to 256 bits.

import { BugError } from '../core/errors.ts'
import { call, type Expr, variable } from '../ir/scalar.ts'
import { type Kernel, type LoopType, plus, type Statement, typeOf } from './loops.ts'

/** Splits an expanded kernel's vectors to at most `lanes`. */
export function splitVectors(kernel: Kernel, lanes: number): Kernel {
  const locals = new Map<string, LoopType>()
  const scope = {
    locals,
    buffers: new Map(kernel.parameters.map((p) => [p.name, p.dtype])),
    memo: new Map<Expr, LoopType>(),
  }
  // `lanes` counts 32-bit lanes; raw int16 go twice as many to a vector, raw bytes four times.
  const width = (t: LoopType): number =>
    t.type === 'int16' ? 2 * lanes : t.type === 'int8' || t.type === 'uint8' ? 4 * lanes : lanes
  const partsOf = (t: LoopType): number => (t.lanes > width(t) ? t.lanes / width(t) : 1)
  const partName = (name: string, part: number): string => `${name}_part${part}`
  let fresh = 0

  /** Part `i` of a wide expression. */
  const part = (e: Expr, i: number): Expr => {
    switch (e.kind) {
      case 'var':
        return variable(partName(e.name, i))
      case 'load': {
        const w = width(typeOf(e, scope))
        return { ...e, index: plus(narrow(e.index), i * w), width: w }
      }
      case 'repeat': {
        const inner = typeOf(e.arg, scope).lanes
        const w = width(typeOf(e, scope))
        if (w % inner !== 0) throw new BugError('split: a repeated vector that crosses parts')
        return { ...e, times: w / inner, arg: narrow(e.arg) }
      }
      case 'lanes':
        return { ...e, args: e.args.slice(i * lanes, (i + 1) * lanes).map(narrow) }
      case 'cast':
      case 'bits':
        return { ...e, arg: part(e.arg, i) }
      case 'call':
        return { ...e, args: e.args.map((a) => part(a, i)) }
      case 'pick': {
        // Which two parts of both vectors in a row this part's lanes come from.
        const n = partsOf(typeOf(e.a, scope))
        const wanted = e.lanes.slice(i * lanes, (i + 1) * lanes)
        const sources = [...new Set(wanted.map((l) => Math.floor(l / lanes)))]
        if (sources.length > 2) throw new BugError('split: lanes picked from more than two parts')
        const source = (s: number): Expr => part(s < n ? e.a : e.b, s % n)
        return {
          kind: 'pick',
          lanes: wanted.map((l) => sources.indexOf(Math.floor(l / lanes)) * lanes + (l % lanes)),
          a: source(sources[0]!),
          b: source(sources.at(-1)!),
        }
      }
      case 'dot':
        return { ...e, acc: part(e.acc, i), a: part(e.a, i), b: part(e.b, i) }
      default:
        throw new BugError(`split: ${e.kind} of ${typeOf(e, scope).lanes} lanes`)
    }
  }
  /** An expression whose own result is narrow; wide parts inside (lane, across) are led to their part. */
  const narrow = (e: Expr): Expr => {
    switch (e.kind) {
      case 'const':
      case 'var':
        return e
      case 'load':
        return { ...e, index: narrow(e.index) }
      case 'call':
      case 'lanes':
        return { ...e, args: e.args.map(narrow) }
      case 'lane': {
        const n = partsOf(typeOf(e.arg, scope))
        if (n === 1) return { ...e, arg: narrow(e.arg) }
        return { ...e, lane: e.lane % lanes, arg: part(e.arg, Math.floor(e.lane / lanes)) }
      }
      case 'across': {
        const n = partsOf(typeOf(e.arg, scope))
        let all = n === 1 ? narrow(e.arg) : part(e.arg, 0)
        for (let i = 1; i < n; i++) all = call(e.fn, all, part(e.arg, i))
        return { ...e, arg: all }
      }
      case 'dot':
        return e
      case 'pick':
        return { ...e, a: narrow(e.a), b: narrow(e.b) }
      case 'element':
        return { ...e, index: narrow(e.index) }
      default:
        return { ...e, arg: narrow(e.arg) }
    }
  }
  const statement = (s: Statement): Statement[] => {
    switch (s.kind) {
      case 'for':
        locals.set(s.name, { type: 'int32', lanes: 1 })
        return [{ ...s, from: narrow(s.from), to: narrow(s.to), body: s.body.flatMap(statement) }]
      case 'if':
        return [
          {
            ...s,
            condition: narrow(s.condition),
            body: s.body.flatMap(statement),
            otherwise: s.otherwise.flatMap(statement),
          },
        ]
      case 'let': {
        const n = partsOf(s.type)
        locals.set(s.name, s.type)
        if (n === 1) return [{ ...s, value: narrow(s.value) }]
        return Array.from({ length: n }, (_, i) => ({
          ...s,
          name: partName(s.name, i),
          type: { ...s.type, lanes: width(s.type) },
          value: part(s.value, i),
        }))
      }
      case 'assign': {
        const n = partsOf(locals.get(s.name)!)
        if (n === 1) return [{ ...s, value: narrow(s.value) }]
        return Array.from({ length: n }, (_, i) => ({
          ...s,
          name: partName(s.name, i),
          value: part(s.value, i),
        }))
      }
      case 'prefetch':
        return [{ ...s, index: narrow(s.index) }]
      case 'store': {
        const t = typeOf(s.value, scope)
        const n = partsOf(t)
        if (n === 1) return [{ ...s, index: narrow(s.index), value: narrow(s.value) }]
        const index = narrow(s.index)
        const names = Array.from({ length: n }, () => `stored_${fresh++}`)
        return [
          ...names.map(
            (name, i): Statement => ({
              kind: 'let',
              name,
              type: { ...t, lanes },
              value: part(s.value, i),
            }),
          ),
          // From the last to the first: in the other order V8 13.6 pairs them, and still stores every first half by itself too.
          ...names
            .map(
              (name, i): Statement => ({
                kind: 'store',
                buffer: s.buffer,
                index: plus(index, i * lanes),
                value: variable(name),
              }),
            )
            .reverse(),
        ]
      }
    }
  }
  return { ...kernel, body: kernel.body.flatMap(statement) }
}
