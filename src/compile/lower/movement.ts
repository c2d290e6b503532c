// Operators that move elements. Most are views and cost nothing; the rest are copies between views.

import { integers, sizeOf, type Tensor } from '../../core/tensor.ts'
import { call, cast, constant, type Expr } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { rowMajor, vectorizes } from '../build.ts'
import { typedConstant } from '../formula.ts'
import { plus, repeat, type Statement } from '../loops.ts'
import { broadcastTo, permuted, reshapedView, sliced, type View } from '../view.ts'
import { copyLoops, type Lower, type Lowering, NoLowering, orderFor } from './lowering.ts'

export const constantOf = (x: Lowering, i: number, what: string): Tensor => {
  const t = x.constants[i]
  if (!t) throw new NoLowering(`${what} that is computed`)
  return t
}

/** A row-major copy of a view in a buffer of its own. */
export function rowMajorCopy(x: Lowering, v: View): View {
  const temp = x.program.temp(`${x.op}.copy`, v.dtype, v.shape)
  x.step('copy', (k) => copyLoops(k, v, temp))
  return temp
}

/** The same elements in the result's shape: a view where that is possible. */
export const reshape: Lower = (x) => {
  const input = x.inputs[0]!
  const { shape } = x.types[0]!
  const view = reshapedView(input, shape)
  if (view) x.alias(0, view)
  else x.alias(0, { ...rowMajor(0, input.dtype, shape), buffer: rowMajorCopy(x, input).buffer })
}
export const identity: Lower = (x) => x.alias(0, x.inputs[0]!)

export const transpose: Lower = (x) => {
  const input = x.inputs[0]!
  const p = x.attributes.permutation as readonly number[] | undefined
  x.alias(0, permuted(input, p ?? input.shape.map((_, d) => input.shape.length - 1 - d)))
}

export const expand: Lower = (x) => x.alias(0, broadcastTo(x.inputs[0]!, x.types[0]!.shape))

export const reverse: Lower = (x) => {
  let v = x.inputs[0]!
  for (const a of x.attributes.axes as readonly number[]) {
    const d = a < 0 ? a + v.shape.length : a
    v = sliced(v, d, v.shape[d]! - 1, -1, v.shape[d]!)
  }
  x.alias(0, v)
}

export const split: Lower = (x) => {
  const input = x.inputs[0]!
  const axis = x.attributes.axis as number
  const d = axis < 0 ? axis + input.shape.length : axis
  let start = 0
  x.types.forEach((t, i) => {
    x.alias(i, sliced(input, d, start, 1, t.shape[d]!))
    start += t.shape[d]!
  })
}

export const slice: Lower = (x) => {
  let v = x.inputs[0]!
  const rank = v.shape.length
  const starts = integers(constantOf(x, 1, 'starts'))
  const axes = x.inputs[3] ? integers(constantOf(x, 3, 'axes')) : starts.map((_, i) => i)
  const steps = x.inputs[4] ? integers(constantOf(x, 4, 'steps')) : starts.map(() => 1)
  const { shape } = x.types[0]!
  axes.forEach((a, i) => {
    const d = a < 0 ? a + rank : a
    const n = v.shape[d]!
    const step = steps[i]!
    const raw = starts[i]! < 0 ? starts[i]! + n : starts[i]!
    const start = step > 0 ? Math.min(Math.max(raw, 0), n) : Math.min(Math.max(raw, 0), n - 1)
    v = sliced(v, d, shape[d] === 0 ? 0 : start, step, shape[d]!)
  })
  x.alias(0, v)
}

export const concat: Lower = (x) => {
  const out = x.output(0)
  const axis = x.attributes.axis as number
  const d = axis < 0 ? axis + out.shape.length : axis
  let start = 0
  for (const v of x.inputs) {
    const n = v!.shape[d]!
    const part = sliced(out, d, start, 1, n)
    if (n > 0 && v!.buffer !== out.buffer) x.step('concat', (k) => copyLoops(k, v!, part))
    start += n
  }
}

export function fill(x: Lowering, v: View, value: Expr): void {
  const [to] = orderFor([v]) as [View]
  const lanes = to.strides.at(-1) === 1 && vectorizes(to.dtype) && to.dtype !== 'bool' ? 4 : 1
  x.step('fill', (k) => k.nest(to.shape, lanes, (index, width) => [k.store(to, index, repeat(value, width))]))
}

/** Every element of the result from its index. */
export function pull(
  x: Lowering,
  out: View,
  value: (k: KernelBuilder, index: readonly Expr[]) => Expr,
  name = x.op,
): void {
  x.step(name, (k) => k.nest(out.shape, 1, (index): Statement[] => [k.store(out, index, value(k, index))]))
}

export const pad: Lower = (x) => {
  const input = x.inputs[0]!
  const around = surrounded(x, input)
  if (around) {
    x.alias(0, around)
    return
  }
  const out = x.output(0)
  const rank = input.shape.length
  const given = integers(constantOf(x, 1, 'pads'))
  const axes = x.inputs[3]
    ? integers(constantOf(x, 3, 'axes')).map((a) => (a < 0 ? a + rank : a))
    : input.shape.map((_, d) => d)
  const before = input.shape.map((_, d) => (axes.includes(d) ? given[axes.indexOf(d)]! : 0))
  const mode = x.attributes.mode
  if (mode !== 'constant') {
    pull(x, out, (k, index) =>
      k.load(
        input,
        index.map((i, d) => folded(plus(i, -before[d]!), input.shape[d]!, String(mode))),
      ),
    )
    return
  }
  const value = x.inputs[2]
  if (value && !x.constants[2]) {
    const spread = broadcastTo({ ...value, shape: [], strides: [] }, out.shape)
    x.step('fill', (k) => copyLoops(k, spread, out))
  } else {
    const v = x.constants[2] ? x.constants[2].data[0]! : 0
    fill(x, out, typedConstant(v as number | bigint, out.dtype))
  }
  // Negative pads crop.
  let [from, to] = [input, out]
  input.shape.forEach((n, d) => {
    const cropBefore = Math.max(0, -before[d]!)
    const start = Math.max(0, before[d]!)
    const count = Math.min(n - cropBefore, out.shape[d]! - start)
    from = sliced(from, d, cropBefore, 1, Math.max(0, count))
    to = sliced(to, d, start, 1, Math.max(0, count))
  })
  if (sizeOf(from.shape) > 0) x.step('pad', (k) => copyLoops(k, from, to))
}

/** The input with its padding, where its buffer has that around it (layout.ts). */
function surrounded(x: Lowering, input: View): View | undefined {
  const border = x.program.borders.get(input.buffer)
  const [pads, value] = [x.constants[1], x.constants[2]]
  if (!border || !pads || x.inputs[3] || x.attributes.mode !== 'constant') return undefined
  if (border.fill !== (value ? Number(value.data[0]) : x.inputs[2] ? Number.NaN : 0)) return undefined
  const widths = integers(pads)
  const rank = input.shape.length
  const fits =
    input.offset === border.offset &&
    input.shape.every((_, d) => {
      const [b, a] = [widths[d]!, widths[d + rank]!]
      const inside = b >= 0 && a >= 0 && b <= border.before[d]! && a <= border.after[d]!
      return inside && input.strides[d] === border.strides[d]
    })
  if (!fits) return undefined
  return {
    ...input,
    shape: x.types[0]!.shape,
    offset: input.strides.reduce((o, s, d) => o - widths[d]! * s, input.offset),
  }
}

/** An index outside 0..n led back inside. */
function folded(i: Expr, n: number, mode: string): Expr {
  const limit = (e: Expr): Expr => call('max', constant(0), call('min', e, constant(n - 1)))
  if (mode === 'edge') return limit(i)
  const period = mode === 'wrap' ? n : mode === 'symmetric' ? 2 * n : Math.max(1, 2 * (n - 1))
  // A non-negative remainder.
  const r = call('rem', plus(call('rem', i, constant(period)), period), constant(period))
  if (mode === 'wrap') return limit(r)
  return limit(call('min', r, call('sub', constant(mode === 'symmetric' ? period - 1 : period), r)))
}

export const tile: Lower = (x) => {
  const input = x.inputs[0]!
  const out = x.output(0)
  // The result as [repeat, extent] pairs; the input doesn't move with the repeats.
  const shape = input.shape.flatMap((n, d) => [n === 0 ? 0 : out.shape[d]! / n, n])
  const to: View = {
    ...out,
    shape,
    strides: out.strides.flatMap((s, d) => [s * input.shape[d]!, s]),
  }
  const from: View = { ...input, shape, strides: input.strides.flatMap((s) => [0, s]) }
  x.step('tile', (k) => copyLoops(k, from, to))
}

/** Blocks of pixels to channels and back: one copy between two views of six dimensions. */
export const spaceToDepth: Lower = (x) => blocks(x, x.inputs[0]!, x.output(0), true)
export const depthToSpace: Lower = (x) => blocks(x, x.output(0), x.inputs[0]!, x.attributes.mode !== 'CRD')

function blocks(x: Lowering, space: View, depth: View, blockFirst: boolean): void {
  const b = x.attributes.block as number
  const last = x.attributes.layout === 'channelsLast'
  const [c, h] = last ? [3, 1] : [1, 2]
  const [height, width] = [depth.shape[h]!, depth.shape[h + 1]!]
  const channels = space.shape[c]!
  const n = space.shape[0]!
  const shape = [n, height, width, b, b, channels]
  const wide: View = {
    ...space,
    shape,
    strides: [
      space.strides[0]!,
      space.strides[h]! * b,
      space.strides[h + 1]! * b,
      space.strides[h]!,
      space.strides[h + 1]!,
      space.strides[c]!,
    ],
  }
  const s = depth.strides[c]!
  const deep: View = {
    ...depth,
    shape,
    strides: [
      depth.strides[0]!,
      depth.strides[h]!,
      depth.strides[h + 1]!,
      ...(blockFirst ? [b * channels * s, channels * s, s] : [b * s, s, b * b * s]),
    ],
  }
  x.step(x.op, (k) => (x.op === 'spaceToDepth' ? copyLoops(k, wide, deep) : copyLoops(k, deep, wide)))
}

/** An entry's number as int32, negative ones counted from the end, inside 0..n−1. */
export function entry(k: KernelBuilder, indices: View, at: readonly Expr[], n: number): Expr {
  const i = cast('int32', k.load(indices, at))
  const positive = call('select', call('lt', i, constant(0)), plus(i, n), i)
  return call('max', constant(0), call('min', positive, constant(Math.max(0, n - 1))))
}

export const gather: Lower = (x) => {
  const [data, indices] = x.inputs as [View, View]
  const out = x.output(0)
  const batch = x.attributes.batchDims as number
  const a = x.attributes.axis as number
  const axis = a < 0 ? a + data.shape.length : a
  const many = indices.shape.length - batch
  // Vectors run along what lies behind the gathered axis.
  const vector =
    axis < data.shape.length - 1 &&
    data.strides.at(-1) === 1 &&
    out.strides.at(-1) === 1 &&
    vectorizes(out.dtype)
  x.step('gather', (k) =>
    k.nest(out.shape, vector ? 4 : 1, (index, lanes) => {
      const at = [...index.slice(0, batch), ...index.slice(axis, axis + many)]
      const i = entry(k, indices, at, data.shape[axis]!)
      const from = [...index.slice(0, axis), i, ...index.slice(axis + many)]
      return [k.store(out, index, k.loadVector(data, from, lanes))]
    }),
  )
}

export const gatherElements: Lower = (x) => {
  const [data, indices] = x.inputs as [View, View]
  const a = x.attributes.axis as number
  const axis = a < 0 ? a + data.shape.length : a
  pull(x, x.output(0), (k, index) =>
    k.load(
      data,
      index.map((i, d) => (d === axis ? entry(k, indices, index, data.shape[axis]!) : i)),
    ),
  )
}

export const gatherND: Lower = (x) => {
  const [data, indices] = x.inputs as [View, View]
  const batch = x.attributes.batchDims as number
  const depth = indices.shape.at(-1)!
  const lead = indices.shape.length - 1
  pull(x, x.output(0), (k, index) =>
    k.load(data, [
      ...index.slice(0, batch),
      ...Array.from({ length: depth }, (_, j) =>
        entry(k, indices, [...index.slice(0, lead), constant(j)], data.shape[batch + j]!),
      ),
      ...index.slice(lead),
    ]),
  )
}
