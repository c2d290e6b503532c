// TensorFlow Lite's integer operators over windows and axes: average pooling, mean, sum, softmax, L2 normalisation, bilinear
// resizing.

import { allocate, bytesOf } from '../../core/dtype.ts'
import { numbers, sizeOf, stridesOf, type Tensor, tensorOf } from '../../core/tensor.ts'
import { axisOf, booleanOf, type Infer, inputType, numberOf, numbersOf, type Op, stringOf } from '../op.ts'
import { type Attributes, type Shape, tensorType } from '../types.ts'
import { strided } from './elements.ts'
import { windowAttributes, windowOf, windowOutput } from './linear.ts'
import {
  expOfNegative,
  highMul,
  inverseSquareRoot,
  type Multiplier,
  multiplierOf,
  reciprocal,
  roundAway,
  scaled,
  shiftRight,
} from './tflite-fixed.ts'
import {
  activationAttribute,
  activationRange,
  affineAttributes,
  clampTo,
  integerTensor,
  limitsOf,
  roundingAttribute,
  roundingOf,
  staticShape,
} from './tflite-quantization.ts'
import { lookup, wideTable } from './tflite-unary.ts'

const image = (): Tensor =>
  tensorOf(
    'int8',
    [1, 3, 3, 2],
    Array.from({ length: 18 }, (_, i) => ((i * 37) % 201) - 100),
  )

const sameType = (x: Infer) => [inputType(x, 0)]

/** The multiplier of MEAN: input scale over output scale, divided by the number of elements in integers. */
export function meanMultiplier(a: Attributes, count: number): Multiplier {
  const m = multiplierOf(numberOf(a, 'inputScale') / numberOf(a, 'outputScale'), roundingOf(a))
  const shift = Math.min(31 - Math.clz32(count), 32, 31 + m.shift)
  return { multiplier: Math.floor((m.multiplier * 2 ** shift) / count), shift: m.shift - shift }
}

/** Turns the sum of `count` integers into the output's integer, zero point included. */
type Finish = (a: Attributes, count: number) => (sum: number) => number

const mean: Finish = (a, count) => {
  const m = meanMultiplier(a, Math.max(count, 1))
  const [rounding, inZero, outZero] = [roundingOf(a), numberOf(a, 'inputZero'), numberOf(a, 'outputZero')]
  return (sum) => scaled((sum - inZero * count) | 0, m, rounding) + outZero
}

/** In float32, as the optimised kernel: the reference kernel keeps MEAN's division in current releases, and is wrong. */
const total: Finish = (a, count) => {
  const f = Math.fround
  const scale = f(numberOf(a, 'inputScale') / numberOf(a, 'outputScale'))
  const bias = f(f(-numberOf(a, 'inputZero') * scale) * count)
  return (sum) => roundAway(f(f(f(sum) * scale) + bias)) + numberOf(a, 'outputZero')
}

function reduction(doc: string, finish: Finish): Op {
  const goneOf = (a: Attributes, rank: number): Set<number> =>
    new Set(numbersOf(a, 'axes').map((axis) => axisOf(axis, rank)))
  return {
    doc: `TensorFlow Lite ${doc}`,
    inputs: [1, 1],
    attributes: {
      axes: { kind: 'numbers' },
      keepDims: { kind: 'boolean', default: false },
      ...affineAttributes('input', 'output'),
      rounding: roundingAttribute,
    },
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [t]
      const gone = goneOf(x.attributes, t.shape.length)
      const keep = booleanOf(x.attributes, 'keepDims')
      const shape: Shape = keep
        ? t.shape.map((d, i) => (gone.has(i) ? 1 : d))
        : t.shape.filter((_, i) => !gone.has(i))
      return [tensorType(t.dtype, shape)]
    },
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const a = x.attributes
      const gone = goneOf(a, input.shape.length)
      const axes = [...input.shape.keys()]
      const order = [...axes.filter((i) => !gone.has(i)), ...axes.filter((i) => gone.has(i))]
      const strides = stridesOf(input.shape)
      const rows = numbers(
        strided(
          input,
          order.map((i) => input.shape[i]!),
          order.map((i) => strides[i]!),
        ),
      )
      const count = sizeOf([...gone].map((i) => input.shape[i]!))
      const shape = staticShape(x)
      const last = finish(a, count)
      const clamp = clampTo(input.dtype)
      return [
        integerTensor(input.dtype, shape, sizeOf(shape), (i) => {
          let sum = 0
          for (let k = 0; k < count; k++) sum += rows[i * count + k]!
          return clamp(last(sum))
        }),
      ]
    },
    examples: () => [
      {
        inputs: [image()],
        attributes: { axes: [1, -2], inputScale: 0.05, inputZero: 3, outputScale: 0.1, outputZero: -7 },
      },
    ],
  }
}

/** Scale of SOFTMAX's differences: Q5.26, and the difference below which the exponential is nothing. */
export function softmaxScale(a: Attributes): { multiplier: Multiplier; least: number } {
  const real = Math.min(numberOf(a, 'beta') * numberOf(a, 'inputScale') * 2 ** 26, 2 ** 31 - 1)
  const multiplier = multiplierOf(real)
  return { multiplier, least: -Math.floor((31 * 2 ** 26) / 2 ** multiplier.shift) }
}

const scaledLeft = (x: number, m: Multiplier): number => highMul(x << m.shift, m.multiplier)

function softmaxRow8(
  row: ArrayLike<number>,
  start: number,
  depth: number,
  s: ReturnType<typeof softmaxScale>,
  bits: number,
  [low, high]: readonly [number, number],
  put: (i: number, q: number) => void,
): void {
  let max = -Infinity
  for (let c = 0; c < depth; c++) max = Math.max(max, row[start + c]!)
  let sum = 0
  for (let c = 0; c < depth; c++) {
    const d = row[start + c]! - max
    if (d >= s.least) sum = (sum + shiftRight(expOfNegative(scaledLeft(d, s.multiplier)), 12)) | 0
  }
  const { scale, over } = reciprocal(sum, 12)
  for (let c = 0; c < depth; c++) {
    const d = row[start + c]! - max
    let q = low
    if (d >= s.least) {
      const e = highMul(scale, expOfNegative(scaledLeft(d, s.multiplier)))
      q = Math.min(high, Math.max(low, shiftRight(e, over + 31 - bits) + low))
    }
    put(start + c, q)
  }
}

/** exp on [−10, 0] and 1 / (1 + x) on [0, 1], as 513-entry tables of 16 bits. */
let wideSoftmaxTables: { exp: Int16Array; reciprocal: Int16Array } | undefined
export function softmaxTables(): { exp: Int16Array; reciprocal: Int16Array } {
  const same = (v: number): number => v
  const out: [number, number] = [(2 / 65535) * -32768, (2 / 65535) * 32767]
  wideSoftmaxTables ??= {
    exp: wideTable(Math.exp, [(10 / 65535) * -65535, 0], out, same),
    reciprocal: wideTable((v) => 1 / (1 + v), [0, (1 / 65535) * 65535], out, same),
  }
  return wideSoftmaxTables
}

function softmaxRow16(
  row: ArrayLike<number>,
  start: number,
  depth: number,
  m: Multiplier,
  put: (i: number, q: number) => void,
): void {
  const tables = softmaxTables()
  let max = -Infinity
  for (let c = 0; c < depth; c++) max = Math.max(max, row[start + c]!)
  const e = new Int32Array(depth)
  let sum = 0
  for (let c = 0; c < depth; c++) {
    const d = scaled(row[start + c]! - max, m) + 32767
    e[c] = lookup(tables.exp, Math.min(32767, Math.max(-32768, d)))
    sum += e[c]!
  }
  const headroom = Math.clz32(sum)
  const shifted = Math.floor((sum * 2 ** (headroom - 1) + 8192) / 16384) - 98304
  const scale = lookup(tables.reciprocal, Math.min(32767, Math.max(-32768, shifted)))
  const right = 31 - headroom
  for (let c = 0; c < depth; c++) {
    const q = Math.floor((e[c]! * scale + 2 ** (right - 1)) / 2 ** right)
    put(start + c, Math.min(32767, Math.max(0, q)))
  }
}

/** Position and weights of integer bilinear resizing along one axis: 10 bits below the point. */
export function resizePositions(
  size: number,
  to: number,
  alignCorners: boolean,
  halfPixelCenters: boolean,
): { low: number; high: number; weight: number }[] {
  let scale = Math.trunc((1024 * size + Math.trunc(to / 2)) / to)
  if (alignCorners && to > 1) scale = Math.trunc((1024 * (size - 1) + Math.trunc((to - 1) / 2)) / (to - 1))
  return Array.from({ length: to }, (_, i) => {
    const at = halfPixelCenters ? i * scale + Math.trunc(scale / 2) - 512 : i * scale
    const low = Math.min(Math.max(Math.trunc(at / 1024), 0), size - 1)
    const high = Math.min(Math.trunc((at + 1023) / 1024), size - 1)
    return { low, high, weight: at - 1024 * low }
  })
}

/** The same for uint8, in float32: what the old kernels do. */
export function resizePositionsReal(
  size: number,
  to: number,
  alignCorners: boolean,
  halfPixelCenters: boolean,
): { low: number; high: number; weight: number }[] {
  const f = Math.fround
  const scale = alignCorners && to > 1 ? f((size - 1) / (to - 1)) : f(size / to)
  return Array.from({ length: to }, (_, i) => {
    const at = halfPixelCenters ? f(f(f(i + 0.5) * scale) - 0.5) : f(i * scale)
    const low = Math.max(Math.floor(at), 0)
    return { low, high: Math.min(Math.ceil(at), size - 1), weight: f(at - low) }
  })
}

type Position = ReturnType<typeof resizePositionsReal>[number]
/** Four weighted corners, each step rounded to float32, then halves up. */
function interpolated(at: (y: number, x: number) => number, y: Position, x: Position): number {
  const f = Math.fround
  const [y1, x1] = [f(1 - y.weight), f(1 - x.weight)]
  const corner = (v: number, wy: number, wx: number): number => f(f(v * wy) * wx)
  const upper = f(corner(at(y.low, x.low), y1, x1) + corner(at(y.high, x.low), y.weight, x1))
  const left = f(upper + corner(at(y.low, x.high), y1, x.weight))
  return Math.trunc(f(f(left + corner(at(y.high, x.high), y.weight, x.weight)) + 0.5))
}

export const tfliteWindow = {
  tfliteAveragePool2d: {
    doc: 'TensorFlow Lite AVERAGE_POOL_2D on integers: mean of the window inside the input, halves away from zero',
    inputs: [1, 1],
    attributes: {
      kernel: { kind: 'numbers' },
      ...windowAttributes(2),
      layout: { kind: 'string', oneOf: ['channelsLast'], default: 'channelsLast' },
      ...affineAttributes('output'),
      activation: activationAttribute,
    },
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [t]
      const [n, h, w, c] = t.shape
      const k = numbersOf(x.attributes, 'kernel')
      const { strides, pads } = windowOf(x.attributes, 2)
      return [
        tensorType(t.dtype, [
          n!,
          windowOutput(h!, k[0]!, strides[0]!, 1, pads[0]!, pads[2]!),
          windowOutput(w!, k[1]!, strides[1]!, 1, pads[1]!, pads[3]!),
          c!,
        ]),
      ]
    },
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const a = x.attributes
      const shape = staticShape(x)
      const [, oh, ow, channels] = shape as [number, number, number, number]
      const [, h, w] = input.shape as [number, number, number]
      const k = numbersOf(a, 'kernel')
      const { strides, pads } = windowOf(a, 2)
      const xs = numbers(input)
      const [low, high] = activationRange(
        stringOf(a, 'activation'),
        input.dtype,
        numberOf(a, 'outputScale'),
        numberOf(a, 'outputZero'),
      )
      return [
        integerTensor(input.dtype, shape, sizeOf(shape), (i) => {
          const c = i % channels
          const ox = Math.floor(i / channels) % ow
          const oy = Math.floor(i / channels / ow) % oh
          const n = Math.floor(i / channels / ow / oh)
          const [y0, x0] = [oy * strides[0]! - pads[0]!, ox * strides[1]! - pads[1]!]
          let sum = 0
          let count = 0
          for (let y = Math.max(y0, 0); y < Math.min(y0 + k[0]!, h); y++)
            for (let xx = Math.max(x0, 0); xx < Math.min(x0 + k[1]!, w); xx++) {
              sum += xs[((n * h + y) * w + xx) * channels + c]!
              count++
            }
          const half = Math.trunc(count / 2)
          const mean = count ? Math.trunc((sum > 0 ? sum + half : sum - half) / count) : 0
          return Math.min(high, Math.max(low, mean))
        }),
      ]
    },
    examples: () => [
      {
        inputs: [image()],
        attributes: {
          kernel: [2, 2],
          strides: [2, 1],
          pads: [0, 0, 1, 1],
          outputScale: 0.05,
          outputZero: -3,
          activation: 'relu6',
        },
      },
    ],
  },
  tfliteMean: reduction('MEAN on integers', mean),
  tfliteSum: reduction('SUM on integers', total),
  tfliteSoftmax: {
    doc: 'TensorFlow Lite SOFTMAX on integers along the last axis, of beta · x',
    inputs: [1, 1],
    attributes: { ...affineAttributes('input'), beta: { kind: 'number', default: 1 } },
    infer: sameType,
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const n = sizeOf(input.shape)
      const depth = input.shape.at(-1) ?? 1
      const xs = numbers(input)
      const data = allocate(input.dtype, n) as Int32Array
      const put = (i: number, q: number): void => {
        data[i] = q
      }
      if (input.dtype === 'int16') {
        const scale = Math.fround(numberOf(x.attributes, 'inputScale') * numberOf(x.attributes, 'beta'))
        const m = multiplierOf(scale / (10 / 65535))
        for (let i = 0; i < n; i += depth) softmaxRow16(xs, i, depth, m, put)
      } else {
        const s = softmaxScale(x.attributes)
        const bits = 8 * bytesOf(input.dtype)
        const limits = limitsOf(input.dtype)
        for (let i = 0; i < n; i += depth) softmaxRow8(xs, i, depth, s, bits, limits, put)
      }
      return [{ dtype: input.dtype, shape: input.shape, data }]
    },
    examples: () => [
      { inputs: [image()], attributes: { inputScale: 0.03, beta: 1.5 } },
      {
        inputs: [tensorOf('int16', [2, 3], [-32768, 100, 30000, 5, 6, 7])],
        attributes: { inputScale: 0.0002 },
      },
    ],
  },
  tfliteL2Normalization: {
    doc: 'TensorFlow Lite L2_NORMALIZATION on integers along the last axis: the output has 7 bits below the point',
    inputs: [1, 1],
    attributes: { inputZero: { kind: 'number', default: 0 } },
    infer: sameType,
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const depth = input.shape.at(-1) ?? 1
      const zero = numberOf(x.attributes, 'inputZero')
      const xs = numbers(input)
      const clamp = clampTo(input.dtype)
      const middle = input.dtype === 'uint8' ? 128 : 0
      let norm: Multiplier = { multiplier: 0, shift: 0 }
      return [
        integerTensor(input.dtype, input.shape, sizeOf(input.shape), (i) => {
          if (i % depth === 0) {
            let sum = 0
            for (let c = 0; c < depth; c++) sum += (xs[i + c]! - zero) ** 2
            const root = inverseSquareRoot(sum | 0)
            norm = { multiplier: root.multiplier, shift: root.shift + 7 }
          }
          return clamp(scaled(xs[i]! - zero, norm) + middle)
        }),
      ]
    },
    examples: () => [
      { inputs: [image()], attributes: { inputZero: 5 } },
      { inputs: [tensorOf('int8', [2, 2], [5, 5, 6, 5])], attributes: { inputZero: 5 } },
    ],
  },
  tfliteResizeBilinear: {
    doc: 'TensorFlow Lite RESIZE_BILINEAR on integers, [N, H, W, C] to `size`: 10-bit positions, halves away from zero; uint8 in float32, halves up',
    inputs: [1, 1],
    attributes: {
      size: { kind: 'numbers' },
      alignCorners: { kind: 'boolean', default: false },
      halfPixelCenters: { kind: 'boolean', default: false },
    },
    infer(x) {
      const t = inputType(x, 0)
      const [h, w] = numbersOf(x.attributes, 'size')
      return [tensorType(t.dtype, [t.shape?.[0] ?? null, h!, w!, t.shape?.[3] ?? null])]
    },
    evaluate(inputs, x) {
      const [input] = inputs as [Tensor]
      const shape = staticShape(x)
      const [, oh, ow, channels] = shape as [number, number, number, number]
      const [, h, w] = input.shape as [number, number, number]
      const [align, half] = [
        booleanOf(x.attributes, 'alignCorners'),
        booleanOf(x.attributes, 'halfPixelCenters'),
      ]
      const real = input.dtype === 'uint8'
      const positions = real ? resizePositionsReal : resizePositions
      const ys = positions(h, oh, align, half)
      const xs = positions(w, ow, align, half)
      const v = numbers(input)
      return [
        integerTensor(input.dtype, shape, sizeOf(shape), (i) => {
          const c = i % channels
          const px = xs[Math.floor(i / channels) % ow]!
          const py = ys[Math.floor(i / channels / ow) % oh]!
          const n = Math.floor(i / channels / ow / oh)
          const at = (y: number, xx: number): number => v[((n * h + y) * w + xx) * channels + c]!
          if (real) return interpolated(at, py, px)
          const sum =
            at(py.low, px.low) * (1024 - py.weight) * (1024 - px.weight) +
            at(py.high, px.low) * py.weight * (1024 - px.weight) +
            at(py.low, px.high) * (1024 - py.weight) * px.weight +
            at(py.high, px.high) * py.weight * px.weight
          return Math.trunc((sum + (sum > 0 ? 524288 : -524288)) / 1048576)
        }),
      ]
    },
    examples: () => [
      { inputs: [image()], attributes: { size: [5, 4], halfPixelCenters: true } },
      {
        inputs: [tensorOf('uint8', [1, 2, 3, 1], [0, 255, 17, 100, 3, 250])],
        attributes: { size: [5, 4], alignCorners: true },
      },
    ],
  },
} satisfies Record<string, Op>
