// OpenCV's cv::resize (imgproc/src/resize.cpp, held to 5.0). 8-bit LINEAR and LANCZOS4 in 11-bit fixed point,
// LINEAR_EXACT in 8 fractional bits, CUBIC and AREA in float32; 16-bit and float images in float. Only AREA smooths when
// it shrinks.

import { BugError } from '../core/errors.ts'
import { type Pixels, type Samples, samplesLike } from './pixels.ts'
import {
  clip8,
  cubic,
  gather,
  horizontal,
  lanczos,
  makeTaps,
  mapWeights,
  pointTaps,
  roundEven,
  separable,
  type Taps,
  vertical,
} from './resample.ts'

export const opencvMethods = [
  'nearest',
  'nearest-exact',
  'linear',
  'linear-exact',
  'area',
  'cubic',
  'lanczos4',
] as const
export type OpencvMethod = (typeof opencvMethods)[number]

export type OpencvOptions = {
  method: OpencvMethod
  /** cv::resize(fx, fy) without a size: the factors set the coordinates. */
  factors?: { fx: number; fy: number }
}

/** Source pixels for one output pixel, and its inverse. */
type Axis = { input: number; output: number; scale: number; inverse: number }

/** Resizes to height × width. */
export function resizeOpencv(p: Pixels, height: number, width: number, options: OpencvOptions): Pixels {
  const { method, factors } = options
  const axis = (input: number, output: number, factor: number | undefined): Axis => {
    const inverse = factor ?? output / input
    return { input, output, inverse, scale: 1 / inverse }
  }
  const rows = axis(p.height, height, factors?.fy)
  const columns = axis(p.width, width, factors?.fx)
  if (height === p.height && width === p.width) return p
  const bytes = p.data instanceof Uint8Array
  const real = p.data instanceof Float32Array
  switch (method) {
    case 'nearest':
      return gather(p, nearestTaps(rows), nearestTaps(columns))
    case 'nearest-exact':
      return gather(p, nearestExactTaps(rows), nearestExactTaps(columns))
    case 'linear-exact':
      return real ? floats(p, linearTaps(rows), linearTaps(columns)) : linearExact(p, rows, columns)
    case 'linear':
      // A shrink by exactly 2 in both directions becomes AREA.
      if (rows.scale === 2 && columns.scale === 2) return area(p, rows, columns)
      return bytes
        ? linear8(p, linearTaps(rows, true), linearTaps(columns))
        : floats(p, linearTaps(rows), linearTaps(columns))
    case 'area':
      if (rows.scale >= 1 && columns.scale >= 1) return area(p, rows, columns)
      return bytes
        ? linear8(p, areaLinearTaps(rows), areaLinearTaps(columns))
        : floats(p, areaLinearTaps(rows), areaLinearTaps(columns))
    case 'cubic':
      return floats(p, cubicTaps(rows), cubicTaps(columns))
    case 'lanczos4':
      return bytes
        ? fixed8(p, lanczosTaps(rows), lanczosTaps(columns))
        : floats(p, lanczosTaps(rows), lanczosTaps(columns))
  }
}

const clampTo = (i: number, size: number): number => Math.min(size - 1, Math.max(0, i))

const nearestTaps = (a: Axis): Taps =>
  pointTaps(a.output, (o) => Math.min(a.input - 1, Math.floor(o * a.scale)))

/** resizeNN_bitexact: 16 fractional bits, centres of odd sizes aligned. */
function nearestExactTaps(a: Axis): Taps {
  const step = Math.floor((a.input * 65536 + Math.floor(a.output / 2)) / a.output)
  const start = Math.floor(step / 2) - (a.input % 2)
  return pointTaps(a.output, (o) => clampTo(Math.floor((step * o + start) / 65536), a.input))
}

/** Source coordinate of the centre of output o, in float32. */
const center = (a: Axis, o: number): number => Math.fround((o + 0.5) * a.scale - 0.5)

/** Beyond the edge columns weigh their edge pixel once; rows (`split`) weigh it in two parts, each rounded for itself. */
function linearTaps(a: Axis, split = false): Taps {
  return makeTaps(a.output, 2, (o, put) => {
    const at = center(a, o)
    const low = Math.floor(at)
    const part = !split && (low < 0 || low >= a.input - 1) ? 0 : Math.fround(at - low)
    put(clampTo(low, a.input), Math.fround(1 - part))
    put(clampTo(low + 1, a.input), part)
  })
}

/** AREA when it enlarges: linear between pixel edges. */
function areaLinearTaps(a: Axis): Taps {
  return makeTaps(a.output, 2, (o, put) => {
    const low = Math.floor(o * a.scale)
    const over = Math.fround(o + 1 - (low + 1) * a.inverse)
    const part = low >= a.input - 1 || over <= 0 ? 0 : Math.fround(over - Math.floor(over))
    put(clampTo(low, a.input), Math.fround(1 - part))
    put(clampTo(low + 1, a.input), part)
  })
}

function cubicTaps(a: Axis): Taps {
  const kernel = cubic(-0.75)
  return makeTaps(a.output, 4, (o, put) => {
    const at = center(a, o)
    const low = Math.floor(at)
    for (let i = low - 1; i <= low + 2; i++) put(clampTo(i, a.input), Math.fround(kernel.at(at - i)))
  })
}

/** Lanczos over 8 pixels, weights scaled to sum to 1. */
function lanczosTaps(a: Axis): Taps {
  const kernel = lanczos(4)
  return makeTaps(a.output, 8, (o, put) => {
    const at = center(a, o)
    const low = Math.floor(at)
    const weights = Array.from({ length: 8 }, (_, k) => kernel.at(at - (low - 3 + k)))
    const sum = weights.reduce((x, y) => x + y, 0)
    weights.forEach((w, k) => {
      put(clampTo(low - 3 + k, a.input), w / sum)
    })
  })
}

/** Rounding of a float sum to the element type: saturate_cast. */
function saturate(data: Samples): (x: number) => number {
  if (data instanceof Float32Array) return (x) => x
  const top = data instanceof Uint8Array ? 255 : data instanceof Uint16Array ? 65535 : undefined
  if (top === undefined) throw new BugError('resize: OpenCV has no 32-bit integer images')
  return (x) => Math.min(top, Math.max(0, roundEven(Math.fround(x))))
}

const floats = (p: Pixels, rows: Taps, columns: Taps): Pixels =>
  separable(p, rows, columns, samplesLike(p.data, rows.size * columns.size * p.channels), saturate(p.data))

const BITS = 11
const toFixed = (t: Taps): Taps => mapWeights(t, (w) => roundEven(Math.fround(w * (1 << BITS))))
const same = (x: number): number => x

/** 22 fractional bits, rounded at the end. */
function fixed8(p: Pixels, rows: Taps, columns: Taps): Pixels {
  const out = new Uint8Array(rows.size * columns.size * p.channels)
  return separable(p, toFixed(rows), toFixed(columns), out, (s) => clip8((s + (1 << 21)) >> 22))
}

/** VResizeLinear of 8-bit images: partial products are shifted one by one. */
function linear8(p: Pixels, rows: Taps, columns: Taps): Pixels {
  const wide = horizontal(p, toFixed(columns), new Float64Array(p.height * columns.size * p.channels), same)
  const r = toFixed(rows)
  const row = columns.size * p.channels
  const data = new Uint8Array(rows.size * row)
  for (let y = 0; y < rows.size; y++) {
    const a = r.index[2 * y]! * row
    const b = r.index[2 * y + 1]! * row
    const wa = r.weight[2 * y]!
    const wb = r.weight[2 * y + 1]!
    for (let i = 0; i < row; i++) {
      const sum = ((wa * (wide.data[a + i]! >> 4)) >> 16) + ((wb * (wide.data[b + i]! >> 4)) >> 16)
      data[y * row + i] = clip8((sum + 2) >> 2)
    }
  }
  return { height: rows.size, width: columns.size, channels: p.channels, data }
}

/** resize_bitExact: weights of 8 fractional bits (16 for 16-bit images), one rounding at the end. */
function linearExact(p: Pixels, rows: Axis, columns: Axis): Pixels {
  const one = p.data instanceof Uint8Array ? 256 : 65536
  const top = p.data instanceof Uint8Array ? 255 : 65535
  const taps = (a: Axis): Taps =>
    makeTaps(a.output, 2, (o, put) => {
      const at = a.scale * (o + 0.5) - 0.5
      const low = Math.floor(at)
      const part = low < 0 || low >= a.input - 1 ? 0 : roundEven((at - low) * one)
      put(clampTo(low, a.input), one - part)
      put(clampTo(low + 1, a.input), part)
    })
  const out = samplesLike(p.data, rows.output * columns.output * p.channels)
  const round = (s: number): number => Math.min(top, Math.floor((s + (one * one) / 2) / (one * one)))
  return separable(p, taps(rows), taps(columns), out, round)
}

/** AREA when it shrinks: means, by whole factors in integers, else weighted by the share of each pixel. */
function area(p: Pixels, rows: Axis, columns: Axis): Pixels {
  const whole = (x: number): boolean => Math.abs(x - Math.round(x)) < Number.EPSILON
  const out = samplesLike(p.data, rows.output * columns.output * p.channels)
  if (whole(rows.scale) && whole(columns.scale)) {
    const sx = Math.round(columns.scale)
    const sy = Math.round(rows.scale)
    const sums = (a: Axis, step: number): Taps =>
      makeTaps(a.output, step, (o, put) => {
        for (let k = 0; k < step; k++) put(clampTo(o * step + k, a.input), 1)
      })
    const finish = saturate(p.data)
    const share = Math.fround(1 / (sx * sy))
    const round =
      sx === 2 && sy === 2 && !(p.data instanceof Float32Array)
        ? (s: number): number => (s + 2) >> 2
        : (s: number): number => finish(s * share)
    return separable(p, sums(rows, sy), sums(columns, sx), out, round)
  }
  const wide = horizontal(
    p,
    areaTaps(columns),
    new Float32Array(p.height * columns.output * p.channels),
    same,
  )
  return vertical(wide, areaTaps(rows), out, saturate(p.data))
}

/** computeResizeAreaTab. */
function areaTaps(a: Axis): Taps {
  return makeTaps(a.output, Math.ceil(a.scale) + 2, (o, put) => {
    const start = o * a.scale
    const end = start + a.scale
    const cell = Math.min(a.scale, a.input - start)
    const last = Math.min(Math.floor(end), a.input - 1)
    const first = Math.min(Math.ceil(start), last)
    if (first - start > 1e-3) put(first - 1, Math.fround((first - start) / cell))
    for (let i = first; i < last; i++) put(i, Math.fround(1 / cell))
    if (end - last > 1e-3) put(last, Math.fround(Math.min(Math.min(end - last, 1), cell) / cell))
  })
}
