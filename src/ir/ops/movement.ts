// Operators that move whole blocks: concat, split, tile, reverse, space and depth.

import { InputError } from '../../core/errors.ts'
import { integers, sizeOf, stridesOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, inputType, numberOf, numbersOf, type Op, stringOf } from '../op.ts'
import type { Attributes, Dim, Shape, TensorType } from '../types.ts'
import {
  aroundAxis,
  constantIntegers,
  copyCells,
  outputType,
  strided,
  tensorAt,
  unknownDims,
  withShape,
} from './elements.ts'
import { layoutAttribute } from './linear.ts'

function concatShape(types: readonly TensorType[], axisGiven: number): Shape {
  const known = types.find((t) => t.shape)
  if (!known) return null
  const rank = known.shape!.length
  const axis = axisOf(axisGiven, rank)
  const out: Dim[] = [...known.shape!]
  for (const t of types) {
    if (t.shape && t.shape.length !== rank)
      throw new InputError(`concat: ranks ${rank} and ${t.shape.length}`)
    t.shape?.forEach((d, i) => {
      if (i === axis || d === out[i]) return
      if (typeof d === 'number' && typeof out[i] === 'number')
        throw new InputError(`concat: dimension ${i} is ${out[i]} and ${d}`)
      if (typeof d === 'number' || out[i] === null) out[i] = d
    })
  }
  out[axis] = types.reduce<Dim>((sum, t) => {
    const d = t.shape?.[axis]
    return typeof sum === 'number' && typeof d === 'number' ? sum + d : null
  }, 0)
  // One symbol among empty parts stays what it is.
  if (types.length === 1) out[axis] = types[0]!.shape?.[axis] ?? null
  return out
}

/** Tensors of one type put one after the other along an axis. */
export function concatTensors(parts: readonly Tensor[], axis: number): Tensor {
  const shape = [...parts[0]!.shape]
  shape[axis] = parts.reduce((n, p) => n + p.shape[axis]!, 0)
  const out = zeros(parts[0]!.dtype, shape)
  const { outer, size, inner } = aroundAxis(shape, axis)
  let before = 0
  for (const p of parts) {
    const block = p.shape[axis]! * inner
    for (let o = 0; o < outer; o++) copyCells(p.data, o * block, out.data, (o * size + before) * inner, block)
    before += p.shape[axis]!
  }
  return out
}

/** `count` entries of an axis from `start` on. */
export function sliceAxis(t: Tensor, axis: number, start: number, count: number): Tensor {
  const strides = stridesOf(t.shape)
  return strided(
    t,
    t.shape.map((d, i) => (i === axis ? count : d)),
    strides,
    start * strides[axis]!,
  )
}

/** Extents of a split into n parts: all equal but the last, which may be smaller. */
export function splitSizes(size: number, parts: number): number[] {
  const each = Math.ceil(size / parts)
  return Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(each, size - i * each)))
}

const blockAttributes = {
  block: { kind: 'number' },
  layout: layoutAttribute,
} as const

/** [batch, channels, height, width] of a four-dimensional shape, and how to put them back. */
function image(t: TensorType, a: Attributes): { dims: Dim[]; back: (d: Dim[]) => Dim[] } | null {
  if (!t.shape) return null
  if (t.shape.length !== 4) throw new InputError(`expected rank 4, got ${t.shape.length}`)
  const [n, p, q, r] = t.shape as [Dim, Dim, Dim, Dim]
  return stringOf(a, 'layout') === 'channelsLast'
    ? { dims: [n, r, p, q], back: ([b, c, h, w]) => [b!, h!, w!, c!] }
    : { dims: [n, p, q, r], back: (d) => d }
}
const times = (d: Dim, k: number): Dim => (typeof d === 'number' ? d * k : null)
function over(d: Dim, k: number): Dim {
  if (typeof d !== 'number') return null
  if (d % k !== 0) throw new InputError(`dimension ${d} doesn't divide by ${k}`)
  return d / k
}

export const movement = {
  concat: {
    doc: 'Tensors one after the other along axis',
    inputs: [1, Infinity],
    attributes: { axis: { kind: 'number' } },
    infer(x) {
      const types = x.inputs.map((_, i) => inputType(x, i))
      for (const t of types)
        if (t.dtype !== types[0]!.dtype)
          throw new InputError(`concat: types ${types[0]!.dtype} and ${t.dtype}`)
      return [withShape(types[0]!, concatShape(types, numberOf(x.attributes, 'axis')))]
    },
    evaluate(inputs, x) {
      const parts = inputs.map((_, i) => tensorAt(inputs, i))
      return [concatTensors(parts, axisOf(numberOf(x.attributes, 'axis'), parts[0]!.shape.length))]
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2], [1, 2]), tensorOf('float32', [2, 2], [3, 4, 5, 6])],
        attributes: { axis: 0 },
        outputs: [tensorOf('float32', [3, 2], [1, 2, 3, 4, 5, 6])],
      },
    ],
  },
  split: {
    doc: 'Parts of x along axis: of the given sizes (int64), else equal (the last may be smaller)',
    inputs: [1, 2],
    outputs: [1, Infinity],
    attributes: { axis: { kind: 'number', default: 0 } },
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return Array.from({ length: x.outputs }, () => t)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const size = t.shape[axis]!
      const given = x.inputs[1] == null ? null : constantIntegers(x, 1)
      const sizes: Dim[] =
        given ??
        (typeof size === 'number' && x.inputs[1] == null
          ? splitSizes(size, x.outputs)
          : new Array<Dim>(x.outputs).fill(null))
      if (given && typeof size === 'number' && given.reduce((a, b) => a + b, 0) !== size)
        throw new InputError(`split: sizes [${given}] don't add up to ${size}`)
      return sizes.map((s) =>
        withShape(
          t,
          t.shape!.map((d, i) => (i === axis ? s : d)),
        ),
      )
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      let start = 0
      return x.types.map((_, i) => {
        const count = outputType(x, i).shape[axis]!
        start += count
        return sliceAxis(t, axis, start - count, count)
      })
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 3], [1, 2, 3]), tensorOf('int64', [2], [1, 2])],
        attributes: { axis: 1 },
      },
    ],
  },
  tile: {
    doc: 'x repeated along every axis (repeats: int64, one an axis)',
    inputs: [2, 2],
    infer(x) {
      const t = inputType(x, 0)
      const repeats = constantIntegers(x, 1)
      if (!t.shape) return [t]
      if (!repeats) return [withShape(t, unknownDims(t.shape.length))]
      if (repeats.length !== t.shape.length || repeats.some((r) => r < 0))
        throw new InputError(`tile: expected ${t.shape.length} repeats, got [${repeats}]`)
      return [
        withShape(
          t,
          t.shape.map((d, i) => (repeats[i] === 1 ? d : times(d, repeats[i]!))),
        ),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const repeats = integers(tensorAt(inputs, 1))
      const strides = stridesOf(t.shape)
      const tiled = strided(
        t,
        t.shape.flatMap((d, i) => [repeats[i]!, d]),
        strides.flatMap((s) => [0, s]),
      )
      return [{ ...tiled, shape: outputType(x).shape }]
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2], [1, 2]), tensorOf('int64', [2], [2, 2])],
        outputs: [tensorOf('float32', [2, 4], [1, 2, 1, 2, 1, 2, 1, 2])],
      },
    ],
  },
  reverse: {
    doc: 'x with the order along axes reversed',
    inputs: [1, 1],
    attributes: { axes: { kind: 'numbers' } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6])],
        attributes: { axes: [1] },
        outputs: [tensorOf('float32', [2, 3], [3, -2, 1, -6, 5, 4])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (t.shape) for (const a of numbersOf(x.attributes, 'axes')) axisOf(a, t.shape.length)
      return [t]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const axes = new Set(numbersOf(x.attributes, 'axes').map((a) => axisOf(a, t.shape.length)))
      const strides = stridesOf(t.shape)
      const offset = strides.reduce((o, s, i) => (axes.has(i) ? o + s * (t.shape[i]! - 1) : o), 0)
      return [
        strided(
          t,
          t.shape,
          strides.map((s, i) => (axes.has(i) ? -s : s)),
          offset,
        ),
      ]
    },
  },
  reverseSequence: {
    doc: 'x with the first lengths[b] entries of the time axis of each batch entry reversed',
    inputs: [2, 2],
    attributes: { batchAxis: { kind: 'number', default: 1 }, timeAxis: { kind: 'number', default: 0 } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [3, 2], [0, 1, 2, 3, 4, 5]), tensorOf('int64', [2], [3, 2])],
        outputs: [tensorOf('float32', [3, 2], [4, 3, 2, 1, 0, 5])],
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const lengths = integers(tensorAt(inputs, 1))
      const batch = axisOf(numberOf(x.attributes, 'batchAxis'), t.shape.length)
      const time = axisOf(numberOf(x.attributes, 'timeAxis'), t.shape.length)
      const strides = stridesOf(t.shape)
      const out = zeros(t.dtype, t.shape)
      for (let i = 0; i < sizeOf(t.shape); i++) {
        const b = Math.floor(i / strides[batch]!) % t.shape[batch]!
        const k = Math.floor(i / strides[time]!) % t.shape[time]!
        const from = k < lengths[b]! ? i + (lengths[b]! - 1 - 2 * k) * strides[time]! : i
        copyCells(t.data, from, out.data, i, 1)
      }
      return [out]
    },
  },
  spaceToDepth: {
    doc: 'Blocks of block × block pixels into channels: channel = (row in block, column in block, old channel)',
    inputs: [1, 1],
    attributes: blockAttributes,
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 1, 2, 2], [1, 2, 3, 4])],
        attributes: { block: 2 },
        outputs: [tensorOf('float32', [1, 4, 1, 1], [1, 2, 3, 4])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const i = image(t, x.attributes)
      const b = numberOf(x.attributes, 'block')
      if (!i) return [t]
      return [
        withShape(
          t,
          i.back([i.dims[0]!, times(i.dims[1]!, b * b), over(i.dims[2]!, b), over(i.dims[3]!, b)]),
        ),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { shape } = outputType(x)
      const b = numberOf(x.attributes, 'block')
      const s = stridesOf(t.shape) as [number, number, number, number]
      const last = stringOf(x.attributes, 'layout') === 'channelsLast'
      const moved = last
        ? strided(
            t,
            [shape[0]!, shape[1]!, shape[2]!, b, b, t.shape[3]!],
            [s[0], s[1] * b, s[2] * b, s[1], s[2], s[3]],
          )
        : strided(
            t,
            [shape[0]!, b, b, t.shape[1]!, shape[2]!, shape[3]!],
            [s[0], s[2], s[3], s[1], s[2] * b, s[3] * b],
          )
      return [{ ...moved, shape }]
    },
  },
  depthToSpace: {
    doc: 'Channels into blocks of pixels. Mode DCR: channel = (row, column, new channel); CRD: (new channel, row, column)',
    inputs: [1, 1],
    attributes: { ...blockAttributes, mode: { kind: 'string', oneOf: ['DCR', 'CRD'], default: 'DCR' } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 4, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])],
        attributes: { block: 2 },
        outputs: [tensorOf('float32', [1, 1, 4, 4], [0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const i = image(t, x.attributes)
      const b = numberOf(x.attributes, 'block')
      if (!i) return [t]
      return [
        withShape(
          t,
          i.back([i.dims[0]!, over(i.dims[1]!, b * b), times(i.dims[2]!, b), times(i.dims[3]!, b)]),
        ),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { shape } = outputType(x)
      const b = numberOf(x.attributes, 'block')
      const last = stringOf(x.attributes, 'layout') === 'channelsLast'
      const s = stridesOf(t.shape) as [number, number, number, number]
      const [batch, channel, row, column] = last ? [s[0], s[3], s[1], s[2]] : s
      const channels = shape[last ? 3 : 1]!
      const [height, width] = last ? [t.shape[1]!, t.shape[2]!] : [t.shape[2]!, t.shape[3]!]
      // Strides of (row in block, column in block, new channel) inside the old channel axis.
      const [r, q, c] = stringOf(x.attributes, 'mode') === 'DCR' ? [b * channels, channels, 1] : [b, 1, b * b]
      const moved = last
        ? strided(
            t,
            [shape[0]!, height, b, width, b, channels],
            [batch, row, r * channel, column, q * channel, c * channel],
          )
        : strided(
            t,
            [shape[0]!, channels, height, b, width, b],
            [batch, c * channel, row, r * channel, column, q * channel],
          )
      return [{ ...moved, shape }]
    },
  },
} satisfies Record<string, Op>
