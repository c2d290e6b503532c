// Two models' inputs and outputs brought together: order, layout and type differ between formats.

import { isInteger, rangeOf } from '../core/dtype.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../core/tensor.ts'
import { roundEven } from '../ir/scalar.ts'
import { type Datum, isStatic, isTensor, type Shape, type Value } from '../ir/types.ts'
import { align, inLayoutOf, permuted } from './align.ts'

/** The axes order that turns shape `from` into `to`, with open dimensions fitting anything; null where none of the usual does. */
export function layoutChange(from: readonly number[], to: Shape): readonly number[] | null {
  const axes = from.map((_, i) => i)
  if (to === null) return axes
  const fits = (p: readonly number[]): boolean =>
    p.length === to.length && p.every((axis, i) => typeof to[i] !== 'number' || to[i] === from[axis])
  const last = [0, ...axes.slice(2), 1]
  const first = [0, axes.length - 1, ...axes.slice(1, -1)]
  return [axes, ...(axes.length > 2 ? [last, first] : [])].find(fits) ?? null
}

/** A tensor as another model's input wants it: its layout, its type, quantised by its parameters. Null where it can't fit. */
export function asInput(t: Tensor, value: Value): Tensor | null {
  if (value.type.kind !== 'tensor') return null
  const change = layoutChange(t.shape, value.type.shape)
  let out = t
  if (change) out = change.some((axis, i) => axis !== i) ? permuted(t, change) : t
  else if (isStatic(value.type.shape) && sizeOf(value.type.shape) === t.data.length)
    out = { ...t, shape: value.type.shape }
  else return null
  const { dtype } = value.type
  if (out.dtype === dtype) return out
  const q = value.quantization
  if (q && isInteger(dtype) && !isInteger(out.dtype))
    return quantized(out, dtype, q.scale[0]!, q.zeroPoint[0] ?? 0)
  return tensorOf(dtype, out.shape, Array.from(numbers(out), Number))
}

function quantized(t: Tensor, dtype: Tensor['dtype'], scale: number, zeroPoint: number): Tensor {
  const [low, high] = rangeOf(dtype).map(Number) as [number, number]
  return tensorOf(
    dtype,
    t.shape,
    Array.from(numbers(t), (v) => Math.min(high, Math.max(low, roundEven(v / scale) + zeroPoint))),
  )
}

/**
 * For each output of a the output of b that stands for it, and how to lay it out: by position where the sizes fit, else the
 * closest of equal size.
 */
export function pairOutputs(
  a: readonly Datum[],
  b: readonly Datum[],
): { a: number; b: number; permutation: readonly number[] }[] {
  const free = new Set(b.keys())
  const pairs: { a: number; b: number; permutation: readonly number[] }[] = []
  a.forEach((x, i) => {
    if (!isTensor(x)) return
    let best: { j: number; error: number; permutation: readonly number[] } | null = null
    for (const j of free) {
      const y = b[j]
      if (!isTensor(y)) continue
      const found = align(y, x, 1e-6)
      if (!found) continue
      // Position breaks ties: a wrong model's outputs are still its outputs.
      const error = found.error * (i === j ? 0.5 : 1)
      if (!best || error < best.error) best = { j, error, permutation: found.permutation }
    }
    if (!best) return
    free.delete(best.j)
    pairs.push({ a: i, b: best.j, permutation: best.permutation })
  })
  return pairs
}

/** b's result in the layout of a's. */
export const laidOutLike = (b: Tensor, a: Tensor, permutation: readonly number[]): Tensor =>
  inLayoutOf(b, a.shape, { permutation, error: 0 })
