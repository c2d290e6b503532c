// From the loops that lowerings write to the loops that renderers read: unrolled loops are written out, local arrays become
// locals (acc[3] → acc_3), index arithmetic is folded, and an expression that is shared (the same object in several places of
// one statement) is computed once, in a `let`. The meaning stays; the interpreter runs both forms.

import { BugError } from '../core/errors.ts'
import { argumentsOf, constant, type Expr, mapArguments, variable } from '../ir/scalar.ts'
import {
  declare,
  type Kernel,
  type LoopType,
  plus,
  type Statement,
  times,
  typeOf,
  visitStatements,
} from './loops.ts'

const indexValue = (e: Expr): number | undefined =>
  e.kind === 'const' && !e.type ? Number(e.value) : undefined

/** Folds index arithmetic at the root; arguments are folded already. */
function fold(e: Expr): Expr {
  if (e.kind !== 'call') return e
  const [a, b] = e.args as [Expr, Expr]
  if (e.fn === 'add' && isIndex(a, b)) return plus(a, b)
  if (e.fn === 'mul' && isIndex(a, b)) return times(a, b)
  const [p, q] = [indexValue(a), b && indexValue(b)]
  if (p === undefined || q === undefined) return e
  if (e.fn === 'sub') return constant(p - q)
  if (e.fn === 'div' && q !== 0) return constant(Math.trunc(p / q))
  if (e.fn === 'rem' && q !== 0) return constant(p % q)
  if (e.fn === 'min') return constant(Math.min(p, q))
  if (e.fn === 'max') return constant(Math.max(p, q))
  return e
}
// An untyped constant is int32, and so is whatever it is combined with.
const isIndex = (a: Expr, b: Expr): boolean => indexValue(a) !== undefined || indexValue(b) !== undefined

/** Expands a kernel for rendering. */
export function expand(kernel: Kernel): Kernel {
  const arrays = new Map<string, number>()
  const arrayOf = (name: string): string => renamed.get(name) ?? name
  let constants = new Map<string, number>()
  let renamed = new Map<string, string>()

  const expression = (root: Expr): Expr => {
    const memo = new Map<Expr, Expr>()
    const go = (e: Expr): Expr => {
      const known = memo.get(e)
      if (known) return known
      let r: Expr
      if (e.kind === 'var') {
        const v = constants.get(e.name)
        const name = renamed.get(e.name)
        r = v !== undefined ? constant(v) : name ? variable(name) : e
      } else if (e.kind === 'element') {
        r = variable(elementName(e.name, go(e.index)))
      } else r = fold(mapArguments(e, go))
      memo.set(e, r)
      return r
    }
    return go(root)
  }
  const elementName = (name: string, index: Expr): string => {
    const array = arrayOf(name)
    const i = indexValue(index)
    const n = arrays.get(array)
    if (i === undefined || n === undefined || !(i >= 0 && i < n))
      throw new BugError(`expand: kernel ${kernel.name}: ${array} is indexed by no constant within 0..${n}`)
    return `${array}_${i}`
  }
  const block = (body: readonly Statement[]): Statement[] => body.flatMap(statement)
  const statement = (s: Statement): Statement[] => {
    switch (s.kind) {
      case 'for': {
        const [from, to] = [expression(s.from), expression(s.to)]
        if (s.mode !== 'unrolled') {
          const name = renamed.get(s.name) ?? s.name
          return [{ ...s, name, from, to, body: block(s.body) }]
        }
        const [p, q] = [indexValue(from), indexValue(to)]
        if (p === undefined || q === undefined)
          throw new BugError(`expand: kernel ${kernel.name}: unrolled loop ${s.name} has no constant bounds`)
        const out: Statement[] = []
        const inner = declaredIn(s.body)
        for (let i = p; i < q; i += s.step) {
          const [oldConstants, oldRenamed] = [constants, renamed]
          constants = new Map(constants).set(s.name, i)
          renamed = new Map(renamed)
          // Names stay unique: every iteration but the first has its own.
          for (const name of inner) renamed.set(name, `${oldRenamed.get(name) ?? name}_${s.name}${i}`)
          out.push(...block(s.body))
          constants = oldConstants
          renamed = oldRenamed
        }
        return out
      }
      case 'let': {
        const name = renamed.get(s.name) ?? s.name
        const value = expression(s.value)
        if (s.count === undefined) return [{ ...s, name, value }]
        arrays.set(name, s.count)
        return Array.from({ length: s.count }, (_, i) => declare(`${name}_${i}`, s.type, value))
      }
      case 'assign': {
        const value = expression(s.value)
        const name = s.index ? elementName(s.name, expression(s.index)) : (renamed.get(s.name) ?? s.name)
        return [{ kind: 'assign', name, value }]
      }
      case 'store':
        return [{ ...s, index: expression(s.index), value: expression(s.value) }]
      case 'prefetch':
        return [{ ...s, index: expression(s.index) }]
      case 'if': {
        const condition = expression(s.condition)
        const v = indexValue(condition)
        if (v !== undefined) return block(v ? s.body : s.otherwise)
        return [{ ...s, condition, body: block(s.body), otherwise: block(s.otherwise) }]
      }
    }
  }
  return shareExpressions({ ...kernel, body: assignOnce(block(kernel.body)) })
}

function declaredIn(body: readonly Statement[]): string[] {
  return body.flatMap((s) =>
    s.kind === 'let'
      ? [s.name]
      : s.kind === 'for'
        ? [s.name, ...declaredIn(s.body)]
        : s.kind === 'if'
          ? [...declaredIn(s.body), ...declaredIn(s.otherwise)]
          : [],
  )
}

/** A local whose one assignment follows its declaration in the same block, unread between, is declared there instead. */
function assignOnce(body: readonly Statement[]): readonly Statement[] {
  const assignments = new Map<string, number>()
  visitStatements(body, (s) => {
    if (s.kind === 'assign') assignments.set(s.name, (assignments.get(s.name) ?? 0) + 1)
  })
  const block = (list: readonly Statement[]): Statement[] => {
    const declared = new Map<string, number>()
    const gone = new Set<number>()
    const out = list.map((s, i): Statement => {
      if (s.kind === 'assign' && declared.has(s.name)) {
        const at = declared.get(s.name)!
        declared.delete(s.name)
        if (readsIn(s.value).has(s.name)) return s
        gone.add(at)
        return { ...(list[at] as Extract<Statement, { kind: 'let' }>), value: s.value }
      }
      // Anything that reads a name keeps its first value.
      if (declared.size > 0)
        visitStatements([s], (x) => {
          for (const name of readsOf(x)) declared.delete(name)
        })
      if (s.kind === 'let' && assignments.get(s.name) === 1) declared.set(s.name, i)
      if (s.kind === 'for') return { ...s, body: block(s.body) }
      if (s.kind === 'if') return { ...s, body: block(s.body), otherwise: block(s.otherwise) }
      return s
    })
    return out.filter((_, i) => !gone.has(i))
  }
  return block(body)
}

function readsIn(e: Expr, into = new Set<string>(), seen = new Set<Expr>()): Set<string> {
  if (seen.has(e)) return into
  seen.add(e)
  if (e.kind === 'var') into.add(e.name)
  for (const a of argumentsOf(e)) readsIn(a, into, seen)
  return into
}
function readsOf(s: Statement): Set<string> {
  const into = new Set<string>()
  if (s.kind === 'for') for (const e of [s.from, s.to]) readsIn(e, into)
  else if (s.kind === 'if') readsIn(s.condition, into)
  else if (s.kind !== 'prefetch') readsIn(s.value, into)
  if (s.kind === 'store' || s.kind === 'prefetch') readsIn(s.index, into)
  return into
}

/** Gives every expression object that one statement uses twice a local of its own. */
function shareExpressions(kernel: Kernel): Kernel {
  const locals = new Map<string, LoopType>()
  const scope = {
    locals,
    buffers: new Map(kernel.parameters.map((p) => [p.name, p.dtype])),
    memo: new Map<Expr, LoopType>(),
  }
  let fresh = 0
  const hoist = (roots: readonly Expr[], before: Statement[]): Expr[] => {
    const seen = new Set<Expr>()
    const shared = new Set<Expr>()
    const look = (e: Expr): void => {
      if (e.kind === 'const' || e.kind === 'var') return
      if (seen.has(e)) {
        shared.add(e)
        return
      }
      seen.add(e)
      for (const a of argumentsOf(e)) look(a)
    }
    for (const r of roots) look(r)
    if (shared.size === 0) return [...roots]
    const memo = new Map<Expr, Expr>()
    const go = (e: Expr): Expr => {
      const known = memo.get(e)
      if (known) return known
      let r = mapArguments(e, go)
      if (shared.has(e)) {
        const type = typeOf(r, scope)
        const name = `shared_${fresh++}`
        locals.set(name, type)
        before.push(declare(name, type, r))
        r = variable(name)
      }
      memo.set(e, r)
      return r
    }
    return roots.map(go)
  }
  const block = (body: readonly Statement[]): Statement[] => body.flatMap(statement)
  const statement = (s: Statement): Statement[] => {
    const before: Statement[] = []
    switch (s.kind) {
      case 'for':
        locals.set(s.name, { type: 'int32', lanes: 1 })
        return [{ ...s, body: block(s.body) }]
      case 'let': {
        const [value] = hoist([s.value], before)
        locals.set(s.name, s.type)
        return [...before, { ...s, value: value! }]
      }
      case 'assign': {
        const [value] = hoist([s.value], before)
        return [...before, { ...s, value: value! }]
      }
      case 'store': {
        const [value, index] = hoist([s.value, s.index], before)
        return [...before, { ...s, value: value!, index: index! }]
      }
      case 'prefetch': {
        const [index] = hoist([s.index], before)
        return [...before, { ...s, index: index! }]
      }
      case 'if': {
        const [condition] = hoist([s.condition], before)
        return [
          ...before,
          { ...s, condition: condition!, body: block(s.body), otherwise: block(s.otherwise) },
        ]
      }
    }
  }
  return { ...kernel, body: block(kernel.body) }
}
