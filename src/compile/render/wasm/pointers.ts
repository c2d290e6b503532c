// Address arithmetic. WebAssembly engines neither hoist nor strength-reduce it, so it is done here: every access becomes a
// pointer (a byte address in a local) and a constant offset; a pointer that moves with a loop is bumped at the loop's end.

import { bytesOf, type DType } from '../../../core/dtype.ts'
import { argumentsOf, constant, type Expr } from '../../../ir/scalar.ts'
import { type Kernel, plus, type Statement, times } from '../../loops.ts'

export type Access = { readonly pointer: string; readonly offset: number }
type For = Extract<Statement, { kind: 'for' }>

export type Pointers = {
  /** Pointers to compute right before a statement: parameter's base + bytes. */
  readonly before: ReadonlyMap<Statement, readonly { pointer: string; buffer: string; bytes: Expr }[]>
  /** Bytes to add at the end of each iteration. */
  readonly bumps: ReadonlyMap<For, readonly { pointer: string; bytes: number }[]>
  /** By statement, then by load expression (or the store statement itself). */
  readonly accesses: ReadonlyMap<Statement, ReadonlyMap<Expr | Statement, Access>>
}

/** index = Σ coefficient · term + constant. Terms are names, or whole expressions that are not affine. */
type Affine = { readonly terms: Map<string, { term: Expr; coefficient: number }>; constant: number }

function affine(e: Expr): Affine {
  const out: Affine = { terms: new Map(), constant: 0 }
  const add = (x: Expr, factor: number): void => {
    if (x.kind === 'const') {
      out.constant += Number(x.value) * factor
      return
    }
    if (x.kind === 'call') {
      const [a, b] = x.args as [Expr, Expr]
      if (x.fn === 'add') {
        add(a, factor)
        add(b, factor)
        return
      }
      if (x.fn === 'sub') {
        add(a, factor)
        add(b, -factor)
        return
      }
      if (x.fn === 'mul' && (a.kind === 'const' || b.kind === 'const')) {
        const [c, y] = a.kind === 'const' ? [a, b] : [b as Extract<Expr, { kind: 'const' }>, a]
        add(y, factor * Number(c.value))
        return
      }
    }
    const key =
      x.kind === 'var' ? x.name : JSON.stringify(x, (_k, v) => (typeof v === 'bigint' ? `${v}n` : v))
    const t = out.terms.get(key)
    if (t) t.coefficient += factor
    else out.terms.set(key, { term: x, coefficient: factor })
  }
  add(e, 1)
  for (const [k, t] of out.terms) if (t.coefficient === 0) out.terms.delete(k)
  return out
}

type Group = {
  pointer: string
  low: number
  wanted: { at: Map<Expr | Statement, Access>; key: Expr | Statement; constant: number }[]
}

/** Plans the pointers of an expanded kernel. */
export function planPointers(kernel: Kernel): Pointers {
  const dtypes = new Map<string, DType>(kernel.parameters.map((p) => [p.name, p.dtype]))
  const before = new Map<Statement, { pointer: string; buffer: string; bytes: Expr }[]>()
  const bumps = new Map<For, { pointer: string; bytes: number }[]>()
  const accesses = new Map<Statement, Map<Expr | Statement, Access>>()
  const assigned = new Set<string>()
  /** Depth of the block where a name lives: 0 outside all loops. A loop variable lives in its loop's body. */
  const depthOf = new Map<string, number>()
  const groups = new Map<string, Group>()
  const finish: (() => void)[] = []
  let fresh = 0

  /** `path[d]`: the loop that stands at depth d and holds the access. */
  const place = (
    buffer: string,
    index: Expr,
    key: Expr | Statement,
    statement: Statement,
    path: readonly For[],
    blockId: number,
  ): void => {
    const size = bytesOf(dtypes.get(buffer)!)
    const a = affine(index)
    // What a load gives may change with any store, an assigned local with any statement.
    const depthOfTerm = (term: Expr): number =>
      term.kind === 'load'
        ? Infinity
        : term.kind === 'var'
          ? assigned.has(term.name)
            ? Infinity
            : (depthOf.get(term.name) ?? 0)
          : Math.max(0, ...argumentsOf(term).map(depthOfTerm))
    const depths = new Map([...a.terms].map(([k, t]) => [k, depthOfTerm(t.term)]))
    const depth = Math.max(0, ...depths.values())
    const loop = path[depth - 1]
    const moving = loop && a.terms.get(loop.name)
    // The other terms must not change within the loop for the pointer to be bumped.
    const bumped = moving !== undefined && [...depths].every(([k, d]) => k === loop!.name || d < depth)
    // The statement before which the pointer is made. In one block the first that needs it makes it for all.
    const host: Statement = bumped ? loop! : (path[depth] ?? statement)
    const hostKey =
      depth === Infinity
        ? `statement ${fresh++}`
        : host === statement
          ? `block ${blockId}`
          : `loop ${loopId(host as For)} ${bumped}`
    let bytes: Expr = constant(0)
    const names: string[] = []
    for (const [k, { term, coefficient }] of a.terms) {
      names.push(`${k}*${coefficient}`)
      const start = bumped && k === loop!.name ? loop!.from : term
      bytes = plus(bytes, times(start, coefficient * size))
    }
    const id = `${hostKey}|${buffer}|${names.sort().join('+')}`
    let g = groups.get(id)
    if (!g) {
      const made: Group = { pointer: `pointer_${fresh++}`, low: a.constant, wanted: [] }
      g = made
      groups.set(id, made)
      if (!before.has(host)) before.set(host, [])
      const list = before.get(host)!
      const at = list.push({ pointer: made.pointer, buffer, bytes }) - 1
      // Offsets and addresses are unsigned: the group's lowest constant goes into the pointer when it is negative, and when a
      // negative term could lead the pointer below zero without it.
      const backwards = [...a.terms.values()].some((t) => t.coefficient < 0)
      finish.push(() => {
        const low = backwards ? made.low : Math.min(0, made.low)
        list[at] = { pointer: made.pointer, buffer, bytes: plus(bytes, low * size) }
        for (const w of made.wanted)
          w.at.set(w.key, { pointer: made.pointer, offset: (w.constant - low) * size })
      })
      if (bumped) {
        if (!bumps.has(loop!)) bumps.set(loop!, [])
        bumps.get(loop!)!.push({ pointer: made.pointer, bytes: moving.coefficient * loop!.step * size })
      }
    }
    g.low = Math.min(g.low, a.constant)
    if (!accesses.has(statement)) accesses.set(statement, new Map())
    g.wanted.push({ at: accesses.get(statement)!, key, constant: a.constant })
  }
  const loops = new Map<For, number>()
  const loopId = (l: For): number => {
    if (!loops.has(l)) loops.set(l, loops.size)
    return loops.get(l)!
  }

  const collect = (body: readonly Statement[]): void => {
    for (const s of body) {
      if (s.kind === 'assign') assigned.add(s.name)
      if (s.kind === 'for') collect(s.body)
      if (s.kind === 'if') {
        collect(s.body)
        collect(s.otherwise)
      }
    }
  }
  collect(kernel.body)

  let blocks = 0
  const block = (body: readonly Statement[], path: readonly For[]): void => {
    const blockId = blocks++
    for (const s of body) {
      const visit = (e: Expr): void => {
        for (const a of argumentsOf(e)) visit(a)
        if (e.kind === 'load') place(e.buffer, e.index, e, s, path, blockId)
      }
      switch (s.kind) {
        case 'for': {
          visit(s.from)
          visit(s.to)
          const inner = [...path, s]
          depthOf.set(s.name, inner.length)
          block(s.body, inner)
          break
        }
        case 'let':
          visit(s.value)
          depthOf.set(s.name, path.length)
          break
        case 'assign':
          visit(s.value)
          break
        case 'store':
          visit(s.value)
          visit(s.index)
          place(s.buffer, s.index, s, s, path, blockId)
          break
        case 'prefetch':
          if (s.level === 1) break
          visit(s.index)
          place(s.buffer, s.index, s, s, path, blockId)
          break
        case 'if':
          visit(s.condition)
          block(s.body, path)
          block(s.otherwise, path)
      }
    }
  }
  block(kernel.body, [])
  for (const f of finish) f()
  return { before, bumps, accesses }
}
