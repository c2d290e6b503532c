// Separable resampling: a table of source indices and weights for each axis, applied horizontally, then vertically.
// The libraries differ in the tables and in how sums are rounded, which is all that their own files hold.

import type { Pixels, Samples } from './pixels.ts'

/** For each of `size` outputs, `count` sources: index and weight at [output × count + k]. Unused ones weigh 0. */
export type Taps = { size: number; count: number; index: Int32Array; weight: Float64Array }

/** Makes a table; `fill` puts at most `count` sources for each output. */
export function makeTaps(
  size: number,
  count: number,
  fill: (output: number, put: (index: number, weight: number) => void) => void,
): Taps {
  const index = new Int32Array(size * count)
  const weight = new Float64Array(size * count)
  for (let o = 0; o < size; o++) {
    let k = o * count
    fill(o, (i, w) => {
      index[k] = i
      weight[k++] = w
    })
    // Padding repeats a real index, so that no tap reads out of range.
    const spare = k > o * count ? index[k - 1]! : 0
    while (k < (o + 1) * count) index[k++] = spare
  }
  return { size, count, index, weight }
}

export const mapWeights = (t: Taps, f: (w: number) => number): Taps => ({ ...t, weight: t.weight.map(f) })

/** A kernel and the distance beyond which it is 0. */
export type Kernel = { radius: number; at: (x: number) => number }

const same = (x: number): number => x

/**
 * Taps of a kernel centred on `start + (o + 0.5)·scale` (in source pixels), stretched by `stretch` ≥ 1 when it must
 * also smooth; the weights inside the image are scaled to sum to 1. Pillow computes them in float64, torch rounds each
 * step to float32 (`round`).
 */
export function kernelTaps(
  input: number,
  output: number,
  kernel: Kernel,
  scale: number,
  stretch: number,
  start = 0,
  round: (x: number) => number = same,
): Taps {
  const support = round(kernel.radius * stretch)
  const shrink = round(1 / stretch)
  return makeTaps(output, Math.ceil(support) * 2 + 1, (o, put) => {
    const center = start + round((o + 0.5) * scale)
    const first = Math.max(0, Math.trunc(round(round(center - support) + 0.5)))
    const end = Math.min(input, Math.trunc(round(round(center + support) + 0.5)))
    const weights: number[] = []
    let sum = 0
    for (let i = first; i < end; i++) {
      const w = round(kernel.at(round(round(round(i - center) + 0.5) * shrink)))
      weights.push(w)
      sum = round(sum + w)
    }
    weights.forEach((w, k) => {
      put(first + k, sum === 0 ? w : round(w / sum))
    })
  })
}

/** One source for each output. */
export const pointTaps = (output: number, source: (o: number) => number): Taps =>
  makeTaps(output, 1, (o, put) => {
    put(source(o), 1)
  })

type Floats = Float32Array | Float64Array

/** Applies a table along the width of [height, width, channels]; `finish` rounds a sum for storing. */
export function horizontal<T extends Samples | Floats>(
  p: { height: number; width: number; channels: number; data: Samples | Floats },
  taps: Taps,
  out: T,
  finish: (sum: number) => number,
): { height: number; width: number; channels: number; data: T } {
  const { height, width, channels, data } = p
  const { size, count, index, weight } = taps
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0
        for (let k = x * count; k < (x + 1) * count; k++) {
          sum += data[(y * width + index[k]!) * channels + c]! * weight[k]!
        }
        out[(y * size + x) * channels + c] = finish(sum)
      }
    }
  }
  return { height, width: size, channels, data: out }
}

/** Applies a table along the height. */
export function vertical<T extends Samples | Floats>(
  p: { height: number; width: number; channels: number; data: Samples | Floats },
  taps: Taps,
  out: T,
  finish: (sum: number) => number,
): { height: number; width: number; channels: number; data: T } {
  const { width, channels, data } = p
  const { size, count, index, weight } = taps
  const row = width * channels
  for (let y = 0; y < size; y++) {
    for (let i = 0; i < row; i++) {
      let sum = 0
      for (let k = y * count; k < (y + 1) * count; k++) sum += data[index[k]! * row + i]! * weight[k]!
      out[y * row + i] = finish(sum)
    }
  }
  return { height: size, width, channels, data: out }
}

/** Both passes in float64. `finish` rounds the results into `out`. */
export function separable<T extends Samples>(
  p: Pixels,
  rows: Taps,
  columns: Taps,
  out: T,
  finish: (sum: number) => number = same,
): Pixels & { data: T } {
  const between = horizontal(p, columns, new Float64Array(p.height * columns.size * p.channels), same)
  return vertical(between, rows, out, finish)
}

/** Copies one source pixel for each output. */
export function gather(p: Pixels, rows: Taps, columns: Taps): Pixels {
  const data = new (p.data.constructor as new (n: number) => Samples)(rows.size * columns.size * p.channels)
  let o = 0
  for (let y = 0; y < rows.size; y++) {
    for (let x = 0; x < columns.size; x++) {
      const i = (rows.index[y]! * p.width + columns.index[x]!) * p.channels
      for (let c = 0; c < p.channels; c++) data[o++] = p.data[i + c]!
    }
  }
  return { height: rows.size, width: columns.size, channels: p.channels, data }
}

/** 1 − |x|. */
export const triangle: Kernel = { radius: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) }

/** Keys' cubic convolution with parameter a. */
export const cubic = (a: number): Kernel => ({
  radius: 2,
  at: (x) => {
    const t = Math.abs(x)
    if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1
    return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0
  },
})

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x))

/** Lanczos of `radius` lobes. */
export const lanczos = (radius: number): Kernel => ({
  radius,
  at: (x) => (x >= -radius && x < radius ? sinc(x) * sinc(x / radius) : 0),
})

export const clip8 = (x: number): number => (x < 0 ? 0 : x > 255 ? 255 : x)

/** Nearest integer, halves to even: C's rint, OpenCV's cvRound. */
export function roundEven(x: number): number {
  const r = Math.round(x)
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r
}
