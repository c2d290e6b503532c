// Do two tensors hold the same numbers in different layouts? Shapes of converters differ by transposition and by 1s.

import { allocate } from '../core/dtype.ts'
import { numbers, sizeOf, stridesOf, type Tensor, tensor } from '../core/tensor.ts'

/** How b's elements are found in a: a transposition of a's axes (1s dropped), then a reshape. */
export type Alignment = { readonly permutation: readonly number[]; readonly error: number }

/** a with its axes in the given order. */
export function permuted(a: Tensor, permutation: readonly number[]): Tensor {
  const shape = permutation.map((p) => a.shape[p]!)
  const from = stridesOf(a.shape)
  const strides = permutation.map((p) => from[p]!)
  const data = allocate(a.dtype, sizeOf(shape))
  const index = new Array<number>(shape.length).fill(0)
  let offset = 0
  for (let i = 0; i < data.length; i++) {
    ;(data as Float32Array)[i] = (a.data as Float32Array)[offset]!
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]!++
      offset += strides[d]!
      if (index[d]! < shape[d]!) break
      offset -= strides[d]! * shape[d]!
      index[d] = 0
    }
  }
  return tensor(a.dtype, shape, data)
}

const squeezed = (shape: readonly number[]): number[] => shape.filter((d) => d !== 1)

/** The permutations of axes worth trying: all of up to four true axes, else the usual layouts. */
function candidates(shape: readonly number[]): number[][] {
  const axes = shape.map((_, i) => i)
  const identity = axes
  if (axes.length <= 1) return [identity]
  if (axes.length > 4) return [identity, [0, axes.length - 1, ...axes.slice(1, -1)], [0, ...axes.slice(2), 1]]
  const out: number[][] = []
  const walk = (chosen: number[]): void => {
    if (chosen.length === axes.length) out.push(chosen)
    else for (const a of axes) if (!chosen.includes(a)) walk([...chosen, a])
  }
  walk([])
  return out
}

/**
 * The layout change under which a comes closest to b: error is the largest difference relative to b's root mean square
 * (1 where nothing fits). Stops looking below `enough`. Null where the element counts differ.
 */
export function align(a: Tensor, b: Tensor, enough: number): Alignment | null {
  if (a.data.length !== b.data.length || a.dtype === 'string' || b.dtype === 'string') return null
  const small: Tensor = { ...a, shape: squeezed(a.shape) }
  const target = squeezed(b.shape)
  const e = numbers(b)
  let power = 0
  for (let i = 0; i < e.length; i++) power += e[i]! * e[i]!
  const scale = Math.sqrt(power / Math.max(1, e.length)) || 1
  let best: Alignment | null = null
  for (const p of candidates(small.shape)) {
    const shape = p.map((axis) => small.shape[axis]!)
    // The identity also stands for plain reshapes; a transposition must give b's very shape, or b flattened.
    const identity = p.every((axis, i) => axis === i)
    const fits = shape.length === target.length && shape.every((d, i) => d === target[i])
    if (!identity && !fits && target.length >= small.shape.length) continue
    const g = numbers(identity ? small : permuted(small, p))
    // A sample first: most candidates fail at once.
    const stride = Math.max(1, Math.floor(e.length / 64))
    let error = 0
    for (let i = 0; i < e.length; i += stride) error = Math.max(error, Math.abs(g[i]! - e[i]!))
    if (best && error / scale >= best.error) continue
    for (let i = 0; i < e.length; i++) {
      const d = Math.abs(g[i]! - e[i]!)
      if (d > error || Number.isNaN(d)) error = Number.isNaN(d) ? Infinity : d
    }
    if (!best || error / scale < best.error) best = { permutation: p, error: error / scale }
    if (best.error <= enough) break
  }
  return best
}

/** a in b's layout and shape by an alignment found for them. */
export function inLayoutOf(a: Tensor, shape: readonly number[], alignment: Alignment): Tensor {
  const small: Tensor = { ...a, shape: squeezed(a.shape) }
  return { ...permuted(small, alignment.permutation), shape }
}

/** Numbers about a tensor that no layout changes: for finding candidates quickly. */
export function fingerprint(t: Tensor): readonly [count: number, mean: number, norm: number, top: number] {
  const v = numbers(t)
  let [sum, squares, top] = [0, 0, 0]
  for (let i = 0; i < v.length; i++) {
    sum += v[i]!
    squares += v[i]! * v[i]!
    if (Math.abs(v[i]!) > top) top = Math.abs(v[i]!)
  }
  const n = Math.max(1, v.length)
  return [v.length, sum / n, Math.sqrt(squares / n), top]
}
