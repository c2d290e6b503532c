// Operators that look for, count or place single elements: positions of extremes, the k largest, running sums, scatter, one-hot.

import { type DType, isFloat } from '../../core/dtype.ts'
import { integers, type Tensor } from '../../core/tensor.ts'
import { call, cast, constant, type Expr, mapArguments, type ScalarFn, variable } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { rounded, typedConstant } from '../formula.ts'
import { assign, computeType, declare, loop, plus, type Statement } from '../loops.ts'
import type { View } from '../view.ts'
import { copyLoops, type Lower, type Lowering } from './lowering.ts'
import { constantOf, entry, fill, pull } from './movement.ts'

const axisOf = (x: Lowering, rank: number, given = x.attributes.axis as number): number =>
  given < 0 ? given + rank : given
const select = (c: Expr, a: Expr, b: Expr): Expr => call('select', c, a, b)
const int = { type: 'int32', lanes: 1 } as const

/** Loops over all dimensions but `axis`, row-major. */
const lines = (
  k: KernelBuilder,
  v: View,
  axis: number,
  body: (at: (i: Expr | number) => Expr[]) => Statement[],
): Statement[] => {
  const shape = v.shape.map((n, d) => (d === axis ? 1 : n))
  return k.nest(shape, 1, (index) =>
    body((i) => index.map((e, d) => (d === axis ? (typeof i === 'number' ? constant(i) : i) : e))),
  )
}

/** NaN counts as the largest, and the first of it wins. */
const extreme =
  (fn: 'gt' | 'lt'): Lower =>
  (x) => {
    const input = x.inputs[0]!
    const axis = axisOf(x, input.shape.length)
    const out = x.output(0)
    const keeps = out.shape.length === input.shape.length
    const type = { type: computeType(input.dtype), lanes: 1 }
    x.step(x.op, (k) =>
      lines(k, input, axis, (at) => {
        const [best, where, value] = ['best', 'where', 'value'].map((n) => k.name(n)) as [
          string,
          string,
          string,
        ]
        const to = at(0).filter((_, d) => keeps || d !== axis)
        const better = call(fn, variable(value), variable(best))
        const first = isFloat(input.dtype)
          ? call(
              'or',
              better,
              call(
                'and',
                call('ne', variable(value), variable(value)),
                call('eq', variable(best), variable(best)),
              ),
            )
          : better
        const wins = x.attributes.selectLast
          ? call('or', first, call('eq', variable(value), variable(best)))
          : first
        return [
          declare(best, type, k.load(input, at(0))),
          declare(where, int, constant(0)),
          ...loop(k.name('i'), 1, input.shape[axis]!, (i) => [
            declare(value, type, k.load(input, at(i))),
            {
              kind: 'if',
              condition: wins,
              body: [assign(best, variable(value)), assign(where, i)],
              otherwise: [],
            },
          ]),
          k.store(out, to, cast('int64', variable(where))),
        ]
      }),
    )
  }
export const argMax = extreme('gt')
export const argMin = extreme('lt')

/** Insertion into the k best of each line, which the results themselves hold. */
export const topK: Lower = (x) => {
  const input = x.inputs[0]!
  const axis = axisOf(x, input.shape.length)
  const [values, places] = [x.output(0), x.output(1)]
  const count = values.shape[axis]!
  if (count === 0) return
  const type = { type: computeType(input.dtype), lanes: 1 }
  const big = { type: 'int64', lanes: 1 } as const
  const fn: ScalarFn = x.attributes.largest ? 'gt' : 'lt'
  x.step(x.op, (k) =>
    lines(k, input, axis, (at) => {
      const [v, p, ov, op] = ['value', 'place', 'other', 'otherPlace'].map((n) => k.name(n)) as [
        string,
        string,
        string,
        string,
      ]
      // A value moves down the list until it meets a smaller one; that one moves on in its stead.
      const carry = (i: Expr, to: Expr | number): Statement[] => [
        declare(v, type, k.load(input, at(i))),
        declare(p, big, cast('int64', i)),
        ...loop(k.name('j'), 0, to, (j) => [
          declare(ov, type, k.load(values, at(j))),
          declare(op, big, k.load(places, at(j))),
          {
            kind: 'if',
            condition: call(
              'or',
              call(fn, variable(v), variable(ov)),
              // An entry that was pushed down stays before equal ones behind it.
              call('and', call('eq', variable(v), variable(ov)), call('lt', variable(p), variable(op))),
            ),
            body: [
              k.store(values, at(j), variable(v)),
              k.store(places, at(j), variable(p)),
              assign(v, variable(ov)),
              assign(p, variable(op)),
            ],
            otherwise: [],
          },
        ]),
      ]
      const second = (i: Expr): Statement[] => renamed(carry(i, count), k)
      return [
        ...loop(k.name('i'), 0, count, (i) => [
          ...carry(i, i),
          k.store(values, at(i), variable(v)),
          k.store(places, at(i), variable(p)),
        ]),
        ...loop(k.name('i'), count, input.shape[axis]!, second),
      ]
    }),
  )
}

/** The same statements with fresh names for their locals. */
function renamed(body: readonly Statement[], k: KernelBuilder): Statement[] {
  const names = new Map<string, string>()
  const name = (n: string): string => names.get(n) ?? n
  const collect = (list: readonly Statement[]): void => {
    for (const s of list) {
      if (s.kind === 'let' || s.kind === 'for') names.set(s.name, k.name(s.name))
      if (s.kind === 'for' || s.kind === 'if') collect(s.body)
    }
  }
  collect(body)
  const expr = (e: Expr): Expr => (e.kind === 'var' ? variable(name(e.name)) : mapArguments(e, expr))
  const go = (s: Statement): Statement => {
    switch (s.kind) {
      case 'for':
        return { ...s, name: name(s.name), from: expr(s.from), to: expr(s.to), body: s.body.map(go) }
      case 'if':
        return { ...s, condition: expr(s.condition), body: s.body.map(go), otherwise: s.otherwise.map(go) }
      case 'store':
        return { ...s, index: expr(s.index), value: expr(s.value) }
      case 'prefetch':
        return { ...s, index: expr(s.index) }
      default:
        return { ...s, name: name(s.name), value: expr(s.value) }
    }
  }
  return body.map(go)
}

export const cumSum: Lower = (x) => {
  const input = x.inputs[0]!
  const axis = axisOf(x, input.shape.length, integers(constantOf(x, 1, 'an axis'))[0]!)
  const out = x.output(0)
  const n = input.shape[axis]!
  const type = { type: computeType(input.dtype), lanes: 1 }
  x.step(x.op, (k) =>
    lines(k, input, axis, (at) => {
      const sum = k.name('sum')
      return [
        declare(sum, type, typedConstant(0, input.dtype)),
        ...loop(k.name('i'), 0, n, (i) => {
          const place = at(x.attributes.reverse ? call('sub', constant(n - 1), i) : i)
          const add = assign(sum, call('add', variable(sum), k.load(input, place)))
          const put = k.store(out, place, rounded(variable(sum), out.dtype))
          return x.attributes.exclusive ? [put, add] : [add, put]
        }),
      ]
    }),
  )
}

export const oneHot: Lower = (x) => {
  const [indices, , values] = x.inputs as [View, View, View]
  const out = x.output(0)
  const axis = axisOf(x, out.shape.length)
  const depth = out.shape[axis]!
  pull(x, out, (k, index) => {
    const raw = cast(
      'int32',
      k.load(
        indices,
        index.filter((_, d) => d !== axis),
      ),
    )
    const i = select(call('lt', raw, constant(0)), plus(raw, depth), raw)
    return select(call('eq', i, index[axis]!), k.load(values, [constant(1)]), k.load(values, [constant(0)]))
  })
}

/** Whether an element lies on the kept side of diagonal d: column − row ≥ d (upper) or ≤ d. */
export const trilu: Lower = (x) => {
  const input = x.inputs[0]!
  const d = x.inputs[1] ? integers(constantOf(x, 1, 'a diagonal'))[0]! : 0
  pull(x, x.output(0), (k, index) => {
    const distance = call('sub', index.at(-1)!, index.at(-2)!)
    const kept = call(x.attributes.upper ? 'ge' : 'le', distance, constant(d))
    return select(kept, k.load(input, index), typedConstant(0, input.dtype))
  })
}

export const eyeLike: Lower = (x) => {
  const { dtype } = x.types[0]!
  pull(x, x.output(0), (_k, index) => {
    const on = call('eq', call('sub', index[1]!, index[0]!), constant(x.attributes.k as number))
    return select(on, typedConstant(1, dtype), typedConstant(0, dtype))
  })
}

/** start + i · delta. */
export const range: Lower = (x) => {
  const [start, , delta] = x.inputs as [View, View, View]
  const { dtype } = x.types[0]!
  pull(x, x.output(0), (k, index) => {
    const i = computeType(dtype) === 'int32' ? index[0]! : cast(computeType(dtype) as DType, index[0]!)
    const step = call('mul', i, k.load({ ...delta, shape: [], strides: [] }, []))
    return rounded(call('add', k.load({ ...start, shape: [], strides: [] }, []), step), dtype)
  })
}

export const constantOfShape: Lower = (x) => {
  const value = x.attributes.value as Tensor
  fill(x, x.output(0), typedConstant(value.data[0] as number, x.types[0]!.dtype))
}

export const reverseSequence: Lower = (x) => {
  const [input, lengths] = x.inputs as [View, View]
  const [b, t] = [x.attributes.batchAxis as number, x.attributes.timeAxis as number]
  const n = input.shape[t]!
  pull(x, x.output(0), (k, index) => {
    const length = cast('int32', k.load(lengths, [index[b]!]))
    const turned = plus(call('sub', length, index[t]!), -1)
    const i = select(call('lt', index[t]!, length), turned, index[t]!)
    const inside = call('max', constant(0), call('min', i, constant(n - 1)))
    return k.load(
      input,
      index.map((e, d) => (d === t ? inside : e)),
    )
  })
}

const combine: Readonly<Record<string, ScalarFn>> = { add: 'add', mul: 'mul', max: 'max', min: 'min' }
const combined = (
  k: KernelBuilder,
  out: View,
  at: readonly Expr[],
  update: Expr,
  how: unknown,
): Statement => {
  const fn = combine[String(how)]
  return k.store(out, at, fn ? rounded(call(fn, k.load(out, at), update), out.dtype) : update)
}

/** Loops in order, on one thread: later updates win. */
function serial(
  k: KernelBuilder,
  shape: readonly number[],
  body: (index: readonly Expr[]) => Statement[],
): Statement[] {
  const from = (d: number, index: readonly Expr[]): Statement[] =>
    d === shape.length ? body(index) : loop(k.name('i'), 0, shape[d]!, (i) => from(d + 1, [...index, i]))
  return from(0, [])
}

export const scatterElements: Lower = (x) => {
  const [data, indices, updates] = x.inputs as [View, View, View]
  const axis = axisOf(x, data.shape.length)
  const out = x.output(0)
  x.step('copy', (k) => copyLoops(k, data, out))
  x.step(x.op, (k) =>
    serial(k, indices.shape, (index) => {
      const at = index.map((i, d) => (d === axis ? entry(k, indices, index, data.shape[axis]!) : i))
      return [combined(k, out, at, k.load(updates, index), x.attributes.reduction)]
    }),
  )
}

export const scatterND: Lower = (x) => {
  const [data, indices, updates] = x.inputs as [View, View, View]
  const out = x.output(0)
  const depth = indices.shape.at(-1)!
  const lead = indices.shape.length - 1
  x.step('copy', (k) => copyLoops(k, data, out))
  x.step(x.op, (k) =>
    serial(k, updates.shape, (index) => {
      const at = [
        ...Array.from({ length: depth }, (_, j) =>
          entry(k, indices, [...index.slice(0, lead), constant(j)], data.shape[j]!),
        ),
        ...index.slice(lead),
      ]
      return [combined(k, out, at, k.load(updates, index), x.attributes.reduction)]
    }),
  )
}

/** Another reading of the same bits; equal widths only. */
export const bitCast: Lower = (x) => {
  const input = x.inputs[0]!
  const to = x.types[0]!.dtype
  const [a, b] = [computeType(input.dtype), computeType(to)]
  pull(x, x.output(0), (k, index) => {
    const v = k.load(input, index)
    return a === b || a === 'bool' || b === 'bool' ? v : { kind: 'bits', type: b as DType, arg: v }
  })
}
