// How each operator of control flow and of sequences is written out (unroll.ts).

import type { DType } from '../core/dtype.ts'
import { at, integers, scalar } from '../core/tensor.ts'
import { axisOf } from '../ir/op.ts'
import type { control } from '../ir/ops/control.ts'
import type { sequence } from '../ir/ops/sequence.ts'
import type { Attributes, Graph, ValueId } from '../ir/types.ts'
import type { Item, Unroller, Written } from './unroll.ts'

/** A node's results by values that exist; undefined where it must stay. */
type Row = (u: Unroller, a: Attributes, inputs: readonly Item[], name: string) => Written

/** The items where none is missing. */
const all = (items: readonly (Item | undefined)[]): Item[] | undefined =>
  items.includes(undefined) ? undefined : (items as Item[])

const rows: Readonly<Record<keyof typeof control | keyof typeof sequence, Row>> = {
  if(u, a, inputs, name) {
    const known = u.constant(inputs[0])
    const taken = (which: string): Item[] => u.body(a[which] as Graph, inputs.slice(1), `${name}.${which}/`)
    if (known) return taken(at(known, 0) !== 0 ? 'whenTrue' : 'whenFalse')
    const condition = u.scalarOf(inputs[0], name)
    if (condition === undefined) return undefined
    const otherwise = taken('whenFalse')
    return all(taken('whenTrue').map((x, i) => u.choice(condition, x, otherwise[i]!, name)))
  },

  loop(u, a, inputs, name) {
    const body = a.body as Graph
    const n = Number(a.states)
    const max = inputs[0] === null ? Infinity : u.whole(inputs[0])
    if (max === undefined) return undefined
    let go: Item = inputs[1] ?? u.b.constant(scalar('bool', true), 'go')
    let states = inputs.slice(2, 2 + n)
    const captured = inputs.slice(2 + n)
    const scans: Item[][] = body.outputs.slice(1 + n).map(() => [])
    for (let i = 0; i < max; i++) {
      u.begin(i)
      const known = u.constant(go)
      if (known && at(known, 0) === 0) break
      // Whether this step is made, only the run will tell: it is, and its results count or not.
      const condition: ValueId | undefined = known ? undefined : u.scalarOf(go, name)
      if (!known && (condition === undefined || max === Infinity || scans.length > 0)) return undefined
      const step = u.b.constant(scalar('int64', i), 'step')
      const out = u.body(body, [step, go, ...states, ...captured], `${name}.${i}/`)
      const next = [out[0]!, ...out.slice(1, 1 + n)]
      const kept: readonly Item[] | undefined =
        condition === undefined
          ? next
          : all(next.map((x, k) => u.choice(condition, x, k === 0 ? condition : states[k - 1]!, name)))
      if (!kept) return undefined
      go = kept[0]!
      states = kept.slice(1)
      scans.forEach((s, k) => void s.push(out[1 + n + k]!))
    }
    const stacked = scans.map((s, k) =>
      s.length > 0 ? u.stack(s, 0, name) : u.noEntries(body, 1 + n + k, 0),
    )
    return all([...states, ...stacked])
  },

  scan(u, a, inputs, name) {
    const body = a.body as Graph
    const [n, m] = [Number(a.states), Number(a.scanned)]
    const option = (key: string, i: number): number => (a[key] as readonly number[] | undefined)?.[i] ?? 0
    const scanned = inputs.slice(n, n + m)
    const shapes = scanned.map((x) => u.shape(x))
    if (shapes.includes(undefined)) return undefined
    const axes = shapes.map((s, i) => axisOf(option('inputAxes', i), s!.length))
    const length = shapes[0]![axes[0]!]!
    let states = inputs.slice(0, n)
    const captured = inputs.slice(n + m)
    const scans: Item[][] = body.outputs.slice(n).map(() => [])
    for (let i = 0; i < length; i++) {
      u.begin(i)
      const entries = scanned.map((x, k) => {
        const from = option('inputDirections', k) ? length - 1 - i : i
        return u.withoutAxis(u.slice(x as ValueId, axes[k]!, from, from + 1, name), axes[k]!, name)
      })
      const out = u.body(body, [...states, ...entries, ...captured], `${name}.${i}/`)
      states = out.slice(0, n)
      scans.forEach((s, k) => {
        if (option('outputDirections', k)) s.unshift(out[n + k]!)
        else s.push(out[n + k]!)
      })
    }
    const stacked = scans.map((s, k) => {
      const axis = option('outputAxes', k)
      return s.length > 0 ? u.stack(s, axis, name) : u.noEntries(body, n + k, axis)
    })
    return all([...states, ...stacked])
  },

  // Sequences and optionals are what they hold.
  sequenceMap(u, a, inputs, name) {
    const body = a.body as Graph
    const first = u.list(inputs[0])
    if (!first) return undefined
    const results: Item[][] = body.outputs.map(() => [])
    first.forEach((_, i) => {
      const args = inputs.map((x) => u.list(x)?.[i] ?? x)
      for (const [k, r] of u.body(body, args, `${name}.${i}/`).entries()) results[k]!.push(r)
    })
    return results
  },
  sequenceConstruct: (_u, _a, inputs) => [inputs],
  sequenceEmpty: (u, a) => [u.empty(a.dtype as DType)],
  sequenceAt(u, _a, inputs) {
    const [entries, i] = [u.list(inputs[0]), u.whole(inputs[1])]
    const found = i === undefined ? undefined : entries?.at(i)
    return found === undefined ? undefined : [found]
  },
  sequenceInsert(u, _a, inputs) {
    const entries = u.list(inputs[0])
    const i = inputs[2] == null ? entries?.length : u.whole(inputs[2])
    if (!entries || i === undefined || Math.abs(i) > entries.length) return undefined
    return [entries.toSpliced(i, 0, inputs[1]!)]
  },
  sequenceErase(u, _a, inputs) {
    const entries = u.list(inputs[0])
    const i = inputs[1] == null ? -1 : u.whole(inputs[1])
    if (!entries || i === undefined || entries.at(i) === undefined) return undefined
    return [entries.toSpliced(i, 1)]
  },
  sequenceLength(u, _a, inputs) {
    const entries = u.list(inputs[0])
    return entries && [u.b.constant(scalar('int64', entries.length), 'length')]
  },
  splitToSequence(u, a, inputs, name) {
    const [x, shape] = [inputs[0] as ValueId, u.shape(inputs[0])]
    if (!shape) return undefined
    const axis = axisOf(Number(a.axis), shape.length)
    const size = shape[axis]!
    const given = u.constant(inputs[1])
    if (inputs[1] != null && !given) return undefined
    const sizes = given ? integers(given).map(Number) : [1]
    const each = sizes[0]!
    const parts =
      given && given.shape.length > 0
        ? sizes
        : Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each))
    let start = 0
    return [
      parts.map((n) => {
        const part = u.slice(x, axis, start, start + n, name)
        start += n
        return given || a.keepDims ? part : u.withoutAxis(part, axis, name)
      }),
    ]
  },
  concatFromSequence(u, a, inputs, name) {
    const entries = u.list(inputs[0])
    const shapes = entries?.map((x) => u.shape(x))
    if (!entries?.length || !shapes || shapes.includes(undefined)) return undefined
    if (a.newAxis) return all([u.stack(entries, Number(a.axis), name)])
    const axis = axisOf(Number(a.axis), shapes[0]!.length)
    return [u.op('concat', entries as ValueId[], { axis }, `${name}.concat`)]
  },
  optional: (_u, _a, inputs) => (inputs[0] == null ? undefined : [inputs[0]]),
  optionalGetElement(u, _a, inputs) {
    return u.held(inputs[0]) ? [inputs[0]!] : undefined
  },
  optionalHasElement(u, _a, inputs) {
    return u.held(inputs[0]) ? [u.b.constant(scalar('bool', true), 'held')] : undefined
  },
}

export const rowOf = (op: string): Row | undefined =>
  Object.hasOwn(rows, op) ? rows[op as keyof typeof rows] : undefined
