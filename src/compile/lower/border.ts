// A convolution's attributes, and its input with the padding around it.

import type { Node } from '../../ir/types.ts'
import { type KernelBuilder, vectorizes } from '../build.ts'
import { typedConstant } from '../formula.ts'
import { repeat, type Statement } from '../loops.ts'
import { memoryOrder, type View } from '../view.ts'
import { copyLoops, type Lowering } from './lowering.ts'

export type Conv = {
  readonly rank: number
  readonly strides: readonly number[]
  readonly pads: readonly number[]
  readonly dilations: readonly number[]
  readonly groups: number
  readonly channel: number
  readonly first: number
}
/** Whether a convolution takes every pixel by itself. */
export function isPointwise(n: Pick<Node, 'op' | 'attributes'>, filter: readonly number[]): boolean {
  const all = (list: unknown, value: number): boolean => (list as readonly number[]).every((v) => v === value)
  const { groups, strides, pads } = n.attributes
  return /^conv\dd$/.test(n.op) && groups === 1 && all(filter.slice(2), 1) && all(strides, 1) && all(pads, 0)
}

export function convOf(x: Lowering): Conv {
  const a = x.attributes
  const pads = a.pads as readonly number[]
  const last = a.layout === 'channelsLast'
  const rank = pads.length / 2
  return {
    rank,
    strides: a.strides as readonly number[],
    pads,
    dilations: a.dilations as readonly number[],
    groups: a.groups as number,
    channel: last ? rank + 1 : 1,
    first: last ? 1 : 2,
  }
}

/**
 * The input seen with its padding: dimension d of the result starts `pads[d]` before the image. The border is the input's own where
 * its buffer has one (layout.ts), else a padded copy is made: channels innermost, unless it is to lie as the input does.
 */
export function withBorder(
  x: Lowering,
  input: View,
  conv: Conv,
  order: 'channels inner' | 'any' | 'as it lies',
  extra: readonly number[] = [],
): View {
  // What whole tiles need beyond the padding counts as padding behind the image.
  const c = { ...conv, pads: conv.pads.map((p, i) => p + (extra[i - conv.rank] ?? 0)) }
  const padded = [...input.shape]
  let offset = input.offset
  for (let d = 0; d < c.rank; d++) {
    padded[c.first + d]! += c.pads[d]! + c.pads[d + c.rank]!
    offset -= c.pads[d]! * input.strides[c.first + d]!
  }
  const none = c.pads.every((p) => p === 0)
  const border = x.program.borders.get(input.buffer)
  const fits =
    none ||
    (border !== undefined &&
      border.fill === 0 &&
      input.offset === border.offset &&
      c.pads.every((p, i) => {
        const d = c.first + (i % c.rank)
        return p <= (i < c.rank ? border.before : border.after)[d]! && input.strides[d] === border.strides[d]
      }))
  if (fits && (order !== 'channels inner' || input.strides[c.channel] === 1 || input.shape[c.channel] === 1))
    return { ...input, shape: padded, offset }
  const inner = [0, ...Array.from({ length: c.rank }, (_, d) => c.first + d), c.channel]
  const dims = order === 'as it lies' ? memoryOrder(input) : inner
  const temp = x.program.temp(
    `${x.op}.padded`,
    input.dtype,
    dims.map((d) => padded[d]!),
  )
  const strides = padded.map((_, d) => temp.strides[dims.indexOf(d)]!)
  const whole: View = { ...temp, shape: padded, strides }
  const before = padded.map((_, d) => (d >= c.first && d < c.first + c.rank ? c.pads[d - c.first]! : 0))
  for (const slab of slabsAround({ ...whole, shape: input.shape }, dims, before, padded))
    x.step('border', (k) => clearLoops(k, slab))
  const inside = c.pads.slice(0, c.rank).reduce((o, p, d) => o + p * strides[c.first + d]!, 0)
  x.step('pad', (k) => copyLoops(k, input, { ...whole, shape: input.shape, offset: inside }))
  return whole
}

/**
 * What surrounds a value in a buffer from its first element on: for every dimension, from the outermost in memory on, the slabs before
 * and after its content.
 */
export function slabsAround(
  v: View,
  order: readonly number[],
  before: readonly number[],
  padded: readonly number[],
): View[] {
  const slabs: View[] = []
  const shape = [...padded]
  let offset = 0
  for (const d of order) {
    const b = before[d]!
    const a = padded[d]! - v.shape[d]! - b
    for (const [start, count] of [
      [0, b],
      [padded[d]! - a, a],
    ] as const) {
      if (count === 0) continue
      slabs.push({
        ...v,
        offset: offset + start * v.strides[d]!,
        shape: order.map((o) => (o === d ? count : shape[o]!)),
        strides: order.map((o) => v.strides[o]!),
      })
    }
    // Later slabs stay inside this dimension's content: no corner is written twice.
    offset += b * v.strides[d]!
    shape[d] = v.shape[d]!
  }
  return slabs
}

export function clearLoops(k: KernelBuilder, v: View, fill = 0): Statement[] {
  return k.nest(
    v.shape,
    v.strides.at(-1) === 1 && vectorizes(v.dtype) && v.dtype !== 'bool' ? 4 : 1,
    (index, lanes) => [k.store(v, index, repeat(typedConstant(fill, v.dtype), lanes))],
  )
}
