// Views: how a graph's tensor lies in a flat buffer. Transposes, slices, splits, broadcasts and most reshapes are views of the
// same buffer and cost nothing; a value's memory order (channels last, with a border of padding) is its view's strides.

import type { DType } from '../core/dtype.ts'
import { BugError } from '../core/errors.ts'
import { stridesOf } from '../core/tensor.ts'
import type { Expr } from '../ir/scalar.ts'
import { plus, times, toExpr } from './loops.ts'

export type View = {
  /** Index of the program's buffer. */
  readonly buffer: number
  readonly dtype: DType
  readonly shape: readonly number[]
  /** In elements; 0 where a dimension is repeated, negative where it is reversed. */
  readonly strides: readonly number[]
  readonly offset: number
}

export type Index = Expr | number

/** The element's place in the buffer. */
export function placeOf(v: View, index: readonly Index[]): Expr {
  if (index.length !== v.shape.length)
    throw new BugError(`view: ${index.length} indices for rank ${v.shape.length}`)
  let e: Expr = toExpr(0)
  index.forEach((i, d) => {
    e = plus(e, times(i, v.strides[d]!))
  })
  return plus(e, v.offset)
}

/** Dimensions from the outermost in memory to the innermost. Repeated and single dimensions stay where they stand. */
export function memoryOrder(v: View): number[] {
  const dims = v.shape.map((_, d) => d)
  const real = dims.filter((d) => v.shape[d]! > 1 && v.strides[d] !== 0)
  const sorted = [...real].sort((a, b) => Math.abs(v.strides[b]!) - Math.abs(v.strides[a]!))
  let next = 0
  return dims.map((d) => (real.includes(d) ? sorted[next++]! : d))
}

export const permuted = (v: View, order: readonly number[]): View => ({
  ...v,
  shape: order.map((d) => v.shape[d]!),
  strides: order.map((d) => v.strides[d]!),
})

/** The view broadcast to a shape, as numpy does. */
export function broadcastTo(v: View, shape: readonly number[]): View {
  const lead = shape.length - v.shape.length
  return {
    ...v,
    shape,
    strides: shape.map((_, d) => (d < lead || v.shape[d - lead] === 1 ? 0 : v.strides[d - lead]!)),
  }
}

/** Part of dimension `axis`: `count` entries from `start` in steps. */
export const sliced = (v: View, axis: number, start: number, step: number, count: number): View => ({
  ...v,
  offset: v.offset + start * v.strides[axis]!,
  shape: v.shape.map((n, d) => (d === axis ? count : n)),
  strides: v.strides.map((s, d) => (d === axis ? s * step : s)),
})

/** The same elements in another shape, where that is a view; else undefined. */
export function reshapedView(v: View, shape: readonly number[]): View | undefined {
  // Dimensions of extent 1 say nothing; the rest is matched in runs that have equal products.
  const old = v.shape.map((n, d) => [n, v.strides[d]!] as const).filter(([n]) => n !== 1)
  if (v.shape.includes(0) || shape.includes(0)) return { ...v, shape, strides: stridesOf(shape) }
  const strides = new Array<number>(shape.length).fill(0)
  let i = 0
  for (let d = 0; d < shape.length; ) {
    if (shape[d] === 1) {
      d++
      continue
    }
    let [have, want] = [old[i]?.[0] ?? 1, shape[d]!]
    const [firstOld, firstNew] = [i, d]
    while (have !== want) {
      if (have < want) {
        const next = old[++i]
        if (!next) return undefined
        have *= next[0]
      } else want *= shape[++d] ?? Number.NaN
      if (Number.isNaN(want)) return undefined
    }
    for (let k = firstOld; k < i; k++) if (old[k]![1] !== old[k + 1]![1] * old[k + 1]![0]) return undefined
    let s = old[i]?.[1] ?? 0
    for (let k = d; k >= firstNew; k--) {
      strides[k] = s
      s *= shape[k]!
    }
    i++
    d++
  }
  return { ...v, shape, strides }
}

export const isContiguous = (v: View): boolean => {
  const want = stridesOf(v.shape)
  return v.shape.every((n, d) => n === 1 || v.strides[d] === want[d])
}

/** Adjacent dimensions that all views walk as one are merged. All views have one shape. */
export function collapse(views: readonly View[]): View[] {
  const shape = views[0]!.shape
  const keep: number[] = []
  const merged: { size: number; strides: number[] }[] = []
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] === 1) continue
    const last = merged.at(-1)
    const strides = views.map((v) => v.strides[d]!)
    if (last?.strides.every((s, i) => s === strides[i]! * shape[d]!)) {
      last.size *= shape[d]!
      last.strides = strides
    } else {
      merged.push({ size: shape[d]!, strides })
      keep.push(d)
    }
  }
  if (merged.length === 0) merged.push({ size: 1, strides: views.map(() => 0) })
  return views.map((v, i) => ({
    ...v,
    shape: merged.map((m) => m.size),
    strides: merged.map((m) => m.strides[i]!),
  }))
}
