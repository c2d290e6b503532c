// Resizing along any axes, as ONNX Resize defines it. TensorFlow's variants are spelled exactly by the same options:
// half-pixel centres nearest = tfHalfPixelForNN + floor, align corners nearest = alignCorners + roundPreferCeil,
// the old default = asymmetric + floor; bilinear: halfPixel, alignCorners, asymmetric.

import { store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, stridesOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, booleanOf, type Infer, inputType, numberOf, type Op, stringOf } from '../op.ts'
import type { Attributes, Dim, Shape } from '../types.ts'
import {
  constantIntegers,
  mapped,
  optionalTensor,
  outputType,
  tensorAt,
  unknownDims,
  withShape,
} from './elements.ts'

/** What contributes to each output coordinate of an axis. */
type Taps = {
  readonly indices: Int32Array
  readonly weights: Float64Array
  /** Taps for each output coordinate. */
  readonly count: number
  /** Output coordinates whose source lies outside the input (cropping only). */
  readonly outside: Uint8Array | null
}

type Axis = {
  readonly size: number
  readonly out: number
  readonly scale: number
  readonly roi: readonly [number, number]
}

/** The coordinate in the input that output coordinate o looks at. */
function source(o: number, axis: Axis, coordinates: string): number {
  const { size, out, scale } = axis
  // ONNX reckons with the width before rounding down.
  const width = scale * size
  switch (coordinates) {
    case 'alignCorners':
      return width === 1 ? 0 : (o * (size - 1)) / (width - 1)
    case 'asymmetric':
      return o / scale
    case 'pytorchHalfPixel':
      return width === 1 ? 0 : (o + 0.5) / scale - 0.5
    case 'tfHalfPixelForNN':
      return (o + 0.5) / scale
    case 'halfPixelSymmetric':
      return (size / 2) * (1 - out / width) + (o + 0.5) / scale - 0.5
    case 'tfCropAndResize': {
      const [start, end] = axis.roi
      return out > 1
        ? start * (size - 1) + (o * (end - start) * (size - 1)) / (out - 1)
        : 0.5 * (start + end) * (size - 1)
    }
    default:
      return (o + 0.5) / scale - 0.5
  }
}

function nearestIndex(x: number, rounding: string): number {
  switch (rounding) {
    case 'floor':
      return Math.floor(x)
    case 'ceil':
      return Math.ceil(x)
    case 'roundPreferCeil':
      return Math.floor(x + 0.5)
    default:
      return Math.ceil(x - 0.5)
  }
}

/** Keys' cubic kernel with parameter a. */
function cubicKernel(t: number, a: number): number {
  const x = Math.abs(t)
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
}

function tapsOf(axis: Axis, a: Attributes): Taps {
  const mode = stringOf(a, 'mode')
  const coordinates = stringOf(a, 'coordinates')
  const { size, out } = axis
  const radius = mode === 'cubic' ? 2 : 1
  const kernel =
    mode === 'cubic'
      ? (t: number) => cubicKernel(t, numberOf(a, 'cubicA'))
      : (t: number) => Math.max(0, 1 - Math.abs(t))
  // Antialiasing widens the kernel when shrinking.
  const shrink = booleanOf(a, 'antialias') ? Math.min(1, axis.scale) : 1
  const first = Math.floor(-radius / shrink) + 1
  const count = mode === 'nearest' ? 1 : 2 * (1 - first)
  const indices = new Int32Array(out * count)
  const weights = new Float64Array(out * count)
  const outside = coordinates === 'tfCropAndResize' ? new Uint8Array(out) : null
  const inside = (i: number): number => Math.min(size - 1, Math.max(0, i))
  for (let o = 0; o < out; o++) {
    const x = source(o, axis, coordinates)
    if (outside && (x < 0 || x > size - 1)) outside[o] = 1
    if (mode === 'nearest') {
      indices[o] = inside(nearestIndex(x, stringOf(a, 'rounding')))
      weights[o] = 1
      continue
    }
    const base = Math.floor(x)
    let sum = 0
    for (let k = 0; k < count; k++) {
      const i = base + first + k
      const excluded = booleanOf(a, 'excludeOutside') && (i < 0 || i >= size)
      const w = excluded ? 0 : kernel((i - x) * shrink)
      indices[o * count + k] = inside(i)
      weights[o * count + k] = w
      sum += w
    }
    // Plain kernels already sum to one.
    if (shrink < 1 || booleanOf(a, 'excludeOutside'))
      for (let k = 0; k < count; k++) weights[o * count + k]! /= sum
  }
  return { indices, weights, count, outside }
}

/** Applies taps along one axis of a float64 array. */
function alongAxis(xs: ArrayLike<number>, shape: readonly number[], axis: number, taps: Taps, out: number) {
  const outer = sizeOf(shape.slice(0, axis))
  const size = shape[axis]!
  const inner = sizeOf(shape.slice(axis + 1))
  const ys = new Float64Array(outer * out * inner)
  for (let o = 0; o < outer; o++) {
    for (let p = 0; p < out; p++) {
      const to = (o * out + p) * inner
      for (let k = 0; k < taps.count; k++) {
        const w = taps.weights[p * taps.count + k]!
        const from = (o * size + taps.indices[p * taps.count + k]!) * inner
        if (w !== 0) for (let i = 0; i < inner; i++) ys[to + i]! += w * xs[from + i]!
      }
    }
  }
  return ys
}

const axesOf = (a: Attributes, rank: number): number[] =>
  ((a.axes as readonly number[] | undefined) ?? Array.from({ length: rank }, (_, i) => i)).map((x) =>
    axisOf(x, rank),
  )

/** Output extents and scales of every axis. */
function extents(
  shape: readonly number[],
  a: Attributes,
  scales: readonly number[] | null,
  sizes: readonly number[] | null,
): { out: number; scale: number }[] {
  const each = shape.map((d) => ({ out: d, scale: 1 }))
  const axes = axesOf(a, shape.length)
  const given = sizes ?? scales
  if (!given || given.length !== axes.length)
    throw new InputError(`resize: expected ${axes.length} sizes or scales, got ${given?.length ?? 'none'}`)
  if (sizes) {
    const aspect = stringOf(a, 'aspect')
    const ratios = axes.map((axis, i) => sizes[i]! / shape[axis]!)
    const common = aspect === 'notLarger' ? Math.min(...ratios) : Math.max(...ratios)
    axes.forEach((axis, i) => {
      each[axis] =
        aspect === 'stretch'
          ? { out: sizes[i]!, scale: ratios[i]! }
          : { out: Math.floor(common * shape[axis]! + 0.5), scale: common }
    })
  } else {
    axes.forEach((axis, i) => {
      const scale = scales![i]!
      if (!(scale > 0)) throw new InputError(`resize: expected positive scales, got ${scale}`)
      each[axis] = { out: Math.floor(shape[axis]! * scale), scale }
    })
  }
  return each
}

function resizeShape(x: Infer): Shape {
  const t = inputType(x, 0)
  if (!t.shape) return null
  const scales = x.constants[2] ? Array.from(numbers(x.constants[2])) : null
  const sizes = x.inputs[3] == null ? null : constantIntegers(x, 3)
  if ((x.inputs[3] != null && !sizes) || (x.inputs[3] == null && !scales)) {
    if (x.attributes.axes === undefined) return unknownDims(t.shape.length)
    const open = new Set(axesOf(x.attributes, t.shape.length))
    return t.shape.map((d, i) => (open.has(i) ? null : d))
  }
  const known = t.shape.map((d) => (typeof d === 'number' ? d : 1))
  const each = extents(known, x.attributes, scales, sizes)
  const resized = new Set(axesOf(x.attributes, t.shape.length))
  const fixed = sizes !== null && stringOf(x.attributes, 'aspect') === 'stretch'
  return t.shape.map((d, i): Dim => {
    if (typeof d === 'number' || !resized.has(i)) return typeof d === 'number' ? each[i]!.out : d
    if (fixed) return each[i]!.out
    return !sizes && each[i]!.scale === 1 ? d : null
  })
}

/** What every axis of a resized tensor is made of; `touched` is false where it stays as it is. */
export function resizeTaps(
  from: readonly number[],
  to: readonly number[],
  a: Attributes,
  roi: Tensor | undefined,
  scales: Tensor | undefined,
  sizes: Tensor | undefined,
): (Taps & { readonly touched: boolean })[] {
  const list = (s: Tensor | undefined): number[] | null => (s ? Array.from(numbers(s), Number) : null)
  const each = extents(from, a, list(scales), list(sizes))
  const axes = axesOf(a, from.length)
  const corners = list(roi) ?? []
  return from.map((size, i) => {
    const k = axes.indexOf(i)
    const part: [number, number] =
      k >= 0 && corners.length ? [corners[k]!, corners[k + axes.length]!] : [0, 1]
    const touched =
      to[i] !== size ||
      each[i]!.scale !== 1 ||
      (axes.includes(i) && stringOf(a, 'coordinates') === 'tfCropAndResize')
    return { ...tapsOf({ size, ...each[i]!, roi: part }, a), touched }
  })
}

export const resize = {
  resize: {
    doc: 'Resamples along axes: inputs x, roi?, scales? (float), sizes? (int64); the options are those of ONNX Resize',
    inputs: [1, 4],
    attributes: {
      mode: { kind: 'string', oneOf: ['nearest', 'linear', 'cubic'], default: 'nearest' },
      coordinates: {
        kind: 'string',
        oneOf: [
          'halfPixel',
          'halfPixelSymmetric',
          'pytorchHalfPixel',
          'alignCorners',
          'asymmetric',
          'tfHalfPixelForNN',
          'tfCropAndResize',
        ],
        default: 'halfPixel',
      },
      rounding: {
        kind: 'string',
        oneOf: ['roundPreferFloor', 'roundPreferCeil', 'floor', 'ceil'],
        default: 'roundPreferFloor',
      },
      cubicA: { kind: 'number', default: -0.75 },
      antialias: { kind: 'boolean', default: false },
      excludeOutside: { kind: 'boolean', default: false },
      extrapolation: { kind: 'number', default: 0 },
      axes: { kind: 'numbers', default: null },
      aspect: { kind: 'string', oneOf: ['stretch', 'notLarger', 'notSmaller'], default: 'stretch' },
    },
    infer: (x) => [withShape(inputType(x, 0), resizeShape(x))],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { shape } = outputType(x)
      const [roi, scales, sizes] = [1, 2, 3].map((i) => optionalTensor(inputs, i))
      const all = resizeTaps(t.shape, shape, x.attributes, roi, scales, sizes)
      const touched = all.map((a) => a.touched)
      const identity = (d: number): number[] => Array.from({ length: d }, (_, i) => i)
      let out: Tensor
      if (stringOf(x.attributes, 'mode') === 'nearest') {
        out = mapped(
          t,
          all.map((taps, i) => (touched[i] ? taps.indices : identity(t.shape[i]!))),
          0,
        )
      } else {
        const dims = [...t.shape]
        let ys: ArrayLike<number> = numbers(t)
        all.forEach((taps, i) => {
          if (!touched[i]) return
          ys = alongAxis(ys, dims, i, taps, shape[i]!)
          dims[i] = shape[i]!
        })
        out = zeros(t.dtype, shape)
        for (let i = 0; i < out.data.length; i++) store(t.dtype, out.data, i, ys[i]!)
      }
      const strides = stridesOf(shape)
      all.forEach((taps, d) => {
        if (!taps.outside?.some((o) => o)) return
        for (let i = 0; i < out.data.length; i++)
          if (taps.outside[Math.floor(i / strides[d]!) % shape[d]!])
            store(t.dtype, out.data, i, numberOf(x.attributes, 'extrapolation'))
      })
      return [out]
    },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 1, 2, 2], [1, 2, 3, 4]),
          null,
          null,
          tensorOf('int64', [4], [1, 1, 4, 3]),
        ],
        attributes: { mode: 'linear' },
      },
    ],
  },
} satisfies Record<string, Op>
