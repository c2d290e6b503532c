// torch's F.interpolate and torchvision's Resize of tensors (UpSampleKernel.cpp). Here images stay [height, width,
// channels]. float32 images give float32; uint8 images give uint8, either in float and rounded (torchvision's
// transforms), or in the 16-bit integers of torch's own uint8 kernel.

import { InputError } from '../core/errors.ts'
import { type Pixels, type Samples, samplesLike } from './pixels.ts'
import {
  clip8,
  cubic,
  gather,
  horizontal,
  kernelTaps,
  makeTaps,
  mapWeights,
  pointTaps,
  roundEven,
  type Taps,
  triangle,
  vertical,
} from './resample.ts'

export const torchModes = ['nearest', 'nearest-exact', 'bilinear', 'bicubic', 'area'] as const
export type TorchMode = (typeof torchModes)[number]

export type TorchOptions = {
  mode: TorchMode
  antialias?: boolean
  alignCorners?: boolean
  /** F.interpolate(scale_factor) without recompute_scale_factor: these factors, not the sizes, set the coordinates. */
  scaleFactor?: { height: number; width: number }
  /** uint8 images only: torch's integer kernel, not float and rounding. */
  integer?: boolean
}

/** Resizes to height × width. */
export function resizeTorch(p: Pixels, height: number, width: number, options: TorchOptions): Pixels {
  const factor = options.scaleFactor
  const rows = taps(p.height, height, factor?.height, options)
  const columns = taps(p.width, width, factor?.width, options)
  if (options.mode.startsWith('nearest')) return gather(p, rows, columns)
  if (p.data instanceof Uint8Array) {
    if (options.mode === 'area')
      throw new InputError('resize: torch has no area mode for 8-bit images. Scale it to float first.')
    if (options.integer) return integerResize(p, rows, columns)
    const out = new Uint8Array(height * width * p.channels)
    return float32Passes(p, rows, columns, out, (x) => clip8(roundEven(Math.fround(x))))
  }
  return float32Passes(p, rows, columns, new Float32Array(height * width * p.channels), (x) => x)
}

/** torch keeps float32 between the passes. */
function float32Passes(
  p: Pixels,
  rows: Taps,
  columns: Taps,
  out: Samples,
  finish: (x: number) => number,
): Pixels {
  const between = new Float32Array(p.height * columns.size * p.channels)
  return vertical(
    horizontal(p, columns, between, (x) => x),
    rows,
    out,
    finish,
  )
}

function taps(input: number, output: number, factor: number | undefined, options: TorchOptions): Taps {
  const { mode } = options
  const ratio = factor === undefined ? input / output : 1 / factor
  if (mode === 'nearest' || mode === 'nearest-exact') {
    // The scale is a float32, which decides ties.
    const scale = Math.fround(ratio)
    const shift = mode === 'nearest' ? 0 : 0.5
    return pointTaps(output, (o) => Math.min(input - 1, Math.floor(Math.fround((o + shift) * scale))))
  }
  if (mode === 'area') return poolTaps(input, output)
  const align = options.alignCorners === true
  const scale = align ? (output > 1 ? (input - 1) / (output - 1) : 0) : ratio
  if (options.antialias) {
    const round = options.integer ? (x: number): number => x : Math.fround
    const kernel = mode === 'bilinear' ? triangle : cubic(-0.5)
    return kernelTaps(input, output, kernel, round(scale), Math.max(1, round(scale)), 0, round)
  }
  return mode === 'bilinear'
    ? linearTaps(input, output, scale, align)
    : cubicTaps(input, output, scale, align)
}

/** Adaptive average pooling. */
function poolTaps(input: number, output: number): Taps {
  return makeTaps(output, Math.ceil(input / output) + 1, (o, put) => {
    const start = Math.floor((o * input) / output)
    const end = Math.ceil(((o + 1) * input) / output)
    for (let i = start; i < end; i++) put(i, 1 / (end - start))
  })
}

function linearTaps(input: number, output: number, scale: number, align: boolean): Taps {
  return makeTaps(output, 2, (o, put) => {
    const at = align ? o * scale : Math.max(0, (o + 0.5) * scale - 0.5)
    const low = Math.min(input - 1, Math.floor(at))
    const part = Math.min(1, at - low)
    put(low, 1 - part)
    put(Math.min(input - 1, low + 1), part)
  })
}

/** a = −0.75, index clamped. */
function cubicTaps(input: number, output: number, scale: number, align: boolean): Taps {
  const kernel = cubic(-0.75)
  return makeTaps(output, 4, (o, put) => {
    const at = align ? o * scale : (o + 0.5) * scale - 0.5
    const low = Math.floor(at)
    const t = at - low
    ;[1 + t, t, 1 - t, 2 - t].forEach((x, k) => {
      put(Math.min(input - 1, Math.max(0, low - 1 + k)), kernel.at(x))
    })
  })
}

/**
 * Weights as 16-bit integers with as many fractional bits as the largest allows, sums rounded and clipped after each
 * pass (upsample_avx_bilinear_bicubic_uint8, the same as Pillow-SIMD).
 */
function integerResize(p: Pixels, rows: Taps, columns: Taps): Pixels {
  const integers = (taps: Taps): { taps: Taps; finish: (sum: number) => number } => {
    const t = merged(taps)
    const largest = t.weight.reduce((a, b) => Math.max(a, b), 0)
    let bits = 0
    while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 1 << 15) bits++
    const weigh = (w: number): number => Math.trunc(w * 2 ** bits + (w < 0 ? -0.5 : 0.5))
    return {
      taps: mapWeights(t, weigh),
      finish: (sum) => clip8((sum + (bits > 0 ? 1 << (bits - 1) : 0)) >> bits),
    }
  }
  let now = p
  if (columns.size !== p.width) {
    const c = integers(columns)
    now = horizontal(now, c.taps, samplesLike(p.data, now.height * columns.size * p.channels), c.finish)
  }
  if (rows.size !== p.height) {
    const r = integers(rows)
    now = vertical(now, r.taps, samplesLike(p.data, rows.size * now.width * p.channels), r.finish)
  }
  return now
}

/** Adds up the weights that clamping gave to one edge pixel, before they are rounded. */
const merged = (t: Taps): Taps =>
  makeTaps(t.size, t.count, (o, put) => {
    const sums = new Map<number, number>()
    for (let k = o * t.count; k < (o + 1) * t.count; k++) {
      sums.set(t.index[k]!, (sums.get(t.index[k]!) ?? 0) + t.weight[k]!)
    }
    sums.forEach((w, i) => {
      put(i, w)
    })
  })
