// Pillow's Image.resize and Image.reduce (Resample.c, Reduce.c, Geometry.c): 8-bit images in integer arithmetic with
// 22 fractional bits, rounded between the two passes; 16-bit, 32-bit and float images in floating point.

import { InputError } from '../core/errors.ts'
import { mulDiv255, type Pixels, type Samples, samplesLike } from './pixels.ts'
import {
  clip8,
  cubic,
  gather,
  horizontal,
  type Kernel,
  kernelTaps,
  lanczos,
  mapWeights,
  pointTaps,
  type Taps,
  triangle,
  vertical,
} from './resample.ts'

export const pillowFilters = ['nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'] as const
export type PillowFilter = (typeof pillowFilters)[number]

/** Left, top, right, bottom in source pixels. */
export type Box = readonly [number, number, number, number]

export type PillowOptions = {
  filter: PillowFilter
  /** The part of the image to resize. */
  box?: Box
  /** Shrink first by whole factors, leaving at least this ratio to the filter. */
  reducingGap?: number
  /** The last channel is alpha: colours are premultiplied for a filtered resize and divided again after it. */
  alpha?: boolean
  /** Pillow 12 and before always begin with the width; 13 begins with the height where that saves much. */
  widthFirst?: boolean
}

const hamming: Kernel = {
  radius: 1,
  at: (x) => {
    const t = Math.abs(x)
    if (t === 0) return 1
    return t < 1 ? (Math.sin(Math.PI * t) / (Math.PI * t)) * (0.54 + 0.46 * Math.cos(Math.PI * t)) : 0
  },
}

const kernels: Record<Exclude<PillowFilter, 'nearest'>, Kernel> = {
  box: { radius: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: triangle,
  hamming,
  bicubic: cubic(-0.5),
  lanczos: lanczos(3),
}

/** Resizes to height × width as Pillow does; bit-exact for 8-bit images. */
export function resizePillow(p: Pixels, height: number, width: number, options: PillowOptions): Pixels {
  const { filter } = options
  // Pillow reads the box as four float32.
  const box = (options.box?.map(Math.fround) as Box | undefined) ?? [0, 0, p.width, p.height]
  checkBox(p, box)
  if (filter === 'nearest') return nearest(p, height, width, box)
  if (options.alpha) {
    return unpremultiply(resizePillow(premultiply(p), height, width, { ...options, alpha: false }))
  }
  const gap = options.reducingGap
  if (gap !== undefined) {
    const fx = Math.trunc((box[2] - box[0]) / width / gap) || 1
    const fy = Math.trunc((box[3] - box[1]) / height / gap) || 1
    if (fx > 1 || fy > 1) {
      const safe = safeBox(p, height, width, kernels[filter].radius, box)
      const small = reducePillow(p, fx, fy, safe)
      const inside: Box = [
        (box[0] - safe[0]) / fx,
        (box[1] - safe[1]) / fy,
        (box[2] - safe[0]) / fx,
        (box[3] - safe[1]) / fy,
      ]
      const { reducingGap: _, ...rest } = options
      return resizePillow(small, height, width, { ...rest, box: inside })
    }
  }
  return filtered(p, height, width, kernels[filter], box, options.widthFirst === true)
}

function checkBox(p: Pixels, b: Box): void {
  const fits = b[0] >= 0 && b[1] >= 0 && b[2] <= p.width && b[3] <= p.height && b[0] < b[2] && b[1] < b[3]
  if (!fits)
    throw new InputError(`resize: box [${b}] is not inside an image of ${p.width}×${p.height} pixels`)
}

/** The corner is advanced by repeated addition, as ImagingScaleAffine does. */
function nearest(p: Pixels, height: number, width: number, box: Box): Pixels {
  const axis = (output: number, input: number, start: number, end: number): Taps => {
    const step = (end - start) / output
    let at = start + step * 0.5
    return pointTaps(output, () => {
      const i = Math.min(input - 1, Math.trunc(at))
      at += step
      return i
    })
  }
  return gather(p, axis(height, p.height, box[1], box[3]), axis(width, p.width, box[0], box[2]))
}

/** The rounding of each storage type: sums of the weights as `weigh` stored them, to a sample. */
function arithmetic(data: Samples): { weigh: (w: number) => number; finish: (sum: number) => number } {
  const keep = (w: number): number => w
  // ROUND_UP of Resample.c: halves away from zero.
  const away = (x: number): number => (x >= 0 ? Math.floor(x + 0.5) : -Math.floor(Math.abs(x) + 0.5))
  if (data instanceof Uint8Array) {
    return {
      weigh: (w) => Math.trunc(w * (1 << 22) + (w < 0 ? -0.5 : 0.5)),
      finish: (sum) => clip8((sum + (1 << 21)) >> 22),
    }
  }
  if (data instanceof Uint16Array)
    return { weigh: keep, finish: (s) => Math.min(65535, Math.max(0, away(s))) }
  if (data instanceof Int32Array) return { weigh: keep, finish: away }
  return { weigh: keep, finish: keep }
}

function filtered(
  p: Pixels,
  height: number,
  width: number,
  kernel: Kernel,
  box: Box,
  widthFirst: boolean,
): Pixels {
  const { weigh, finish } = arithmetic(p.data)
  const axis = (input: number, output: number, start: number, end: number): Taps => {
    const scale = Math.fround(end - start) / output
    return mapWeights(kernelTaps(input, output, kernel, scale, Math.max(1, scale), start), weigh)
  }
  const alongWidth = (q: Pixels): Pixels => {
    if (width === p.width && box[0] === 0 && box[2] === width) return q
    const out = samplesLike(p.data, q.height * width * p.channels)
    return horizontal(q, axis(p.width, width, box[0], box[2]), out, finish)
  }
  const alongHeight = (q: Pixels): Pixels => {
    if (height === p.height && box[1] === 0 && box[3] === height) return q
    const out = samplesLike(p.data, height * q.width * p.channels)
    return vertical(q, axis(p.height, height, box[1], box[3]), out, finish)
  }
  // Checked against Pillow 13.0.0: the height goes first when it shrinks by more than twice what the width loses.
  const heightFirst = !widthFirst && height < p.height && p.height - height > 2 * (p.width - width)
  return heightFirst ? alongWidth(alongHeight(p)) : alongHeight(alongWidth(p))
}

/** Image._get_safe_box: the box and what the filter reaches around it, in whole pixels. */
function safeBox(p: Pixels, height: number, width: number, radius: number, box: Box): Box {
  const x = (radius - 0.5) * ((box[2] - box[0]) / width)
  const y = (radius - 0.5) * ((box[3] - box[1]) / height)
  return [
    Math.max(0, Math.trunc(box[0] - x)),
    Math.max(0, Math.trunc(box[1] - y)),
    Math.min(p.width, Math.ceil(box[2] + x)),
    Math.min(p.height, Math.ceil(box[3] + y)),
  ]
}

/** Image.reduce of an 8-bit image: means of fx × fy pixels, of what is left at the right and bottom edges. */
export function reducePillow(
  p: Pixels,
  fx: number,
  fy: number,
  box: Box = [0, 0, p.width, p.height],
): Pixels {
  const width = Math.ceil((box[2] - box[0]) / fx)
  const height = Math.ceil((box[3] - box[1]) / fy)
  const data = samplesLike(p.data, width * height * p.channels)
  for (let y = 0; y < height; y++) {
    const top = box[1] + y * fy
    const bottom = Math.min(top + fy, box[3])
    for (let x = 0; x < width; x++) {
      const left = box[0] + x * fx
      const right = Math.min(left + fx, box[2])
      const area = (bottom - top) * (right - left)
      for (let c = 0; c < p.channels; c++) {
        let sum = 0
        for (let v = top; v < bottom; v++) {
          for (let u = left; u < right; u++) sum += p.data[(v * p.width + u) * p.channels + c]!
        }
        data[(y * width + x) * p.channels + c] = mean(sum, area, p.data)
      }
    }
  }
  return { height, width, channels: p.channels, data }
}

/** 8-bit means by a multiplier of 24 fractional bits, rounded down (division_UINT32 of Reduce.c). */
function mean(sum: number, area: number, like: Samples): number {
  if (!(like instanceof Uint8Array)) return sum / area
  const multiplier = Math.floor(2 ** 32 / (256 * area))
  return Math.floor(((sum + Math.floor(area / 2)) * multiplier) / 2 ** 24)
}

function premultiply(p: Pixels): Pixels {
  const data = new Uint8Array(p.data)
  const n = p.channels
  for (let i = 0; i < data.length; i += n) {
    for (let c = 0; c < n - 1; c++) data[i + c] = mulDiv255(data[i + c]!, data[i + n - 1]!)
  }
  return { ...p, data }
}

function unpremultiply(p: Pixels): Pixels {
  const data = new Uint8Array(p.data)
  const n = p.channels
  for (let i = 0; i < data.length; i += n) {
    const a = data[i + n - 1]!
    if (a === 0 || a === 255) continue
    for (let c = 0; c < n - 1; c++) data[i + c] = clip8(Math.trunc((255 * data[i + c]!) / a))
  }
  return { ...p, data }
}
