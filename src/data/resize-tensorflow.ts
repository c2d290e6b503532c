// TensorFlow's tf.image.resize (v2) and tf.compat.v1.image.resize_* kernels, and what Keras makes of them.
// Results are float32 whatever the input, except for nearest, which keeps the type.

import type { Pixels } from './pixels.ts'
import {
  cubic,
  gather,
  type Kernel,
  lanczos,
  makeTaps,
  pointTaps,
  separable,
  type Taps,
  triangle,
} from './resample.ts'

export const tensorflowMethods = [
  'bilinear',
  'nearest',
  'bicubic',
  'area',
  'lanczos3',
  'lanczos5',
  'gaussian',
  'mitchellcubic',
] as const
export type TensorflowMethod = (typeof tensorflowMethods)[number]

export type TensorflowOptions = {
  method: TensorflowMethod
  /** v2 only: smooth when shrinking. */
  antialias?: boolean
  /** v1 only; both false is v1's default, which shifts the image. v2 has half-pixel centres. */
  v1?: { alignCorners: boolean; halfPixelCenters: boolean }
}

/** Mitchell-Netravali, B = C = 1/3. */
const mitchell: Kernel = {
  radius: 2,
  at: (x) => {
    const t = Math.abs(x)
    if (t < 1) return ((7 * t - 12) * t * t) / 6 + 8 / 9
    return t < 2 ? (((-7 / 18) * t + 2) * t - 10 / 3) * t + 16 / 9 : 0
  },
}

/** σ = 0.5, cut at 1.5. */
const gaussian: Kernel = {
  radius: 1.5,
  at: (x) => (Math.abs(x) < 1.5 ? Math.exp(-(x * x) / (2 * 0.5 ** 2)) : 0),
}

/** Kernels of the ScaleAndTranslate operator. */
const kernels: Partial<Record<TensorflowMethod, Kernel>> = {
  bilinear: triangle,
  bicubic: cubic(-0.5),
  lanczos3: lanczos(3),
  lanczos5: lanczos(5),
  gaussian,
  mitchellcubic: mitchell,
}

/** How output positions map to the source, in float32 as the kernels compute it. */
type Grid = { scale: number; half: boolean; align: boolean }
const f = Math.fround

function grid(input: number, output: number, options: TensorflowOptions): Grid {
  const align = options.v1?.alignCorners === true && output > 1
  return {
    scale: f(align ? (input - 1) / (output - 1) : input / output),
    half: options.v1 === undefined || options.v1.halfPixelCenters,
    align: options.v1?.alignCorners === true,
  }
}

const position = (g: Grid, o: number): number => (g.half ? f(f(f(o + 0.5) * g.scale) - 0.5) : f(o * g.scale))

/** Resizes to height × width. */
export function resizeTensorflow(
  p: Pixels,
  height: number,
  width: number,
  options: TensorflowOptions,
): Pixels {
  const axes = (make: (input: number, g: Grid, output: number) => Taps): [Taps, Taps] => [
    make(p.height, grid(p.height, height, options), height),
    make(p.width, grid(p.width, width, options), width),
  ]
  const { method } = options
  if (method === 'nearest') return gather(p, ...axes(nearestTaps))
  const out = new Float32Array(height * width * p.channels)
  if (method === 'area') return separable(p, ...axes(areaTaps), out)
  const plain = options.antialias !== true
  if (plain && method === 'bilinear') return separable(p, ...axes(linearTaps), out)
  if (plain && method === 'bicubic') return separable(p, ...axes(cubicTaps), out)
  const kernel = kernels[method]!
  return separable(p, ...axes((input, _, output) => spanTaps(input, output, kernel, plain)), out)
}

/** ScaleAndTranslate (scale_and_translate_op). In float32, which decides whether a pixel at the very edge counts. */
function spanTaps(input: number, output: number, kernel: Kernel, plain: boolean): Taps {
  const step = f(1 / f(output / input))
  const stretch = plain ? 1 : Math.max(1, step)
  const shrink = f(1 / stretch)
  const radius = f(kernel.radius * stretch)
  return makeTaps(output, 2 * Math.ceil(radius) + 1, (o, put) => {
    const at = f(f(o + 0.5) * step)
    const first = Math.max(0, Math.ceil(f(f(at - radius) - 0.5)))
    const last = Math.min(input - 1, Math.floor(f(f(at + radius) - 0.5)))
    const weights: number[] = []
    let sum = 0
    for (let i = first; i <= last; i++) {
      const w = kernel.at(Math.abs(f(f(f(i + 0.5) - at) * shrink)))
      weights.push(w)
      sum += w
    }
    weights.forEach((w, k) => {
      put(first + k, w / sum)
    })
  })
}

/** resize_nearest_neighbor_op: no half is taken off, so half-pixel centres round to the nearest. */
function nearestTaps(input: number, g: Grid, output: number): Taps {
  return pointTaps(output, (o) => {
    const at = g.half ? f(f(o + 0.5) * g.scale) : f(o * g.scale)
    return Math.max(0, Math.min(input - 1, g.align ? Math.round(at) : Math.floor(at)))
  })
}

/** resize_bilinear_op. */
function linearTaps(input: number, g: Grid, output: number): Taps {
  return makeTaps(output, 2, (o, put) => {
    const at = position(g, o)
    const low = Math.floor(at)
    put(Math.max(0, low), 1 - (at - low))
    put(Math.min(input - 1, low + 1), at - low)
  })
}

/** resize_area_op: means over the source pixels that an output pixel covers, edges by their share. */
function areaTaps(input: number, g: Grid, output: number): Taps {
  return makeTaps(output, Math.ceil(g.scale) + 2, (o, put) => {
    const start = f(o * g.scale)
    const end = f((o + 1) * g.scale)
    for (let i = Math.floor(start); i < Math.ceil(end); i++) {
      const share = i < start ? (i + 1 > end ? g.scale : i + 1 - start) : i + 1 > end ? end - i : 1
      put(Math.min(input - 1, Math.max(0, i)), share / g.scale)
    }
  })
}

const TABLE = 1024

/**
 * resize_bicubic_op: weights from a table of 1024 steps. With half-pixel centres a = −0.5 and the weights inside the
 * image are scaled to sum to 1; without, a = −0.75 and the index is clamped.
 */
function cubicTaps(input: number, g: Grid, output: number): Taps {
  const kernel = cubic(g.half ? -0.5 : -0.75)
  return makeTaps(output, 4, (o, put) => {
    const at = position(g, o)
    const low = Math.floor(at)
    const step = Math.round((at - low) * TABLE) / TABLE
    const weights = [1 + step, step, 1 - step, 2 - step].map((x) => kernel.at(x))
    const index = [low - 1, low, low + 1, low + 2]
    const clamped = index.map((i) => Math.min(input - 1, Math.max(0, i)))
    if (g.half) {
      const inside = weights.map((w, k) => (clamped[k] === index[k] ? w : 0))
      const sum = inside.reduce((a, b) => a + b, 0)
      const scale = Math.abs(sum) >= 1000 * 1.17549435e-38 ? 1 / sum : 1
      inside.forEach((w, k) => {
        put(clamped[k]!, w * scale)
      })
    } else {
      weights.forEach((w, k) => {
        put(clamped[k]!, w)
      })
    }
  })
}
