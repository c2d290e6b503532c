// Changing the sample rate as torchaudio (windowed sinc), SciPy (polyphase, Fourier) and resampy (librosa's kaiser_best
// and kaiser_fast) do. librosa's default, soxr, is a library of its own and isn't rebuilt here.

import { InputError } from '../core/errors.ts'
import { fft } from './fft.ts'

export const resamplers = [
  'torchaudio',
  'torchaudio-kaiser',
  'scipy-poly',
  'scipy-fft',
  'kaiser_best',
  'kaiser_fast',
] as const
export type Resampler = (typeof resamplers)[number]

/** Filter tables beyond this are refused: rates such as 44100 → 44101 have no short period. */
const MAX_FILTER = 1 << 22

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Mono samples at `to` hertz instead of `from`; ⌈length·to/from⌉ of them. */
export function resampleAudio(
  x: ArrayLike<number>,
  from: number,
  to: number,
  method: Resampler,
): Float64Array {
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 1 || to < 1) {
    throw new InputError(`resample: rates ${from} and ${to} Hz, expected whole numbers above 0`)
  }
  if (from === to || x.length === 0) return Float64Array.from(x)
  const shared = gcd(from, to)
  const down = from / shared
  const up = to / shared
  const length = Math.ceil((x.length * up) / down)
  switch (method) {
    case 'torchaudio':
      return windowedSinc(x, down, up, length, 6, 0.99, hann)
    case 'torchaudio-kaiser':
      return windowedSinc(x, down, up, length, 64, 0.9475937167399596, kaiser(14.769656459379492))
    case 'scipy-poly':
      return polyphase(x, down, up, length)
    case 'scipy-fft':
      return fourier(x, length)
    case 'kaiser_best':
      return tabulated(x, down, up, length, 50, 13, 0.9173473712608761, 12.98458524704)
    case 'kaiser_fast':
      return tabulated(x, down, up, length, 24, 9, 0.8682120388377784, 9.9032244164553)
  }
}

/** A window over −1..1. */
type Window = (t: number) => number

const hann: Window = (t) => Math.cos((t * Math.PI) / 2) ** 2
const kaiser =
  (beta: number): Window =>
  (t) =>
    bessel(beta * Math.sqrt(Math.max(0, 1 - t * t))) / bessel(beta)

/** The modified Bessel function of the first kind and order 0, by its power series. */
function bessel(x: number): number {
  let sum = 1
  let term = 1
  for (let k = 1; term > 1e-18 * sum; k++) {
    term *= (x / (2 * k)) ** 2
    sum += term
  }
  return sum
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x))

function checkSize(taps: number, down: number, up: number): void {
  if (taps > MAX_FILTER) {
    throw new InputError(
      `resample: rates in the ratio ${down}:${up} need a filter of ${taps} taps. Use rates with a common divisor.`,
    )
  }
}

/** torchaudio.functional.resample: `zeros` crossings of a sinc below the lower rate, one kernel an output phase. */
function windowedSinc(
  x: ArrayLike<number>,
  down: number,
  up: number,
  length: number,
  zeros: number,
  rolloff: number,
  window: Window,
): Float64Array {
  const base = Math.min(down, up) * rolloff
  const width = Math.ceil((zeros * down) / base)
  const taps = 2 * width + down
  checkSize(taps * up, down, up)
  const kernels = Array.from({ length: up }, (_, phase) =>
    Float64Array.from({ length: taps }, (_, k) => {
      const t = Math.max(-zeros, Math.min(zeros, ((k - width) / down - phase / up) * base))
      return sinc(t) * window(t / zeros) * (base / down)
    }),
  )
  return Float64Array.from({ length }, (_, n) => {
    const kernel = kernels[n % up]!
    const start = Math.floor(n / up) * down - width
    let sum = 0
    for (let k = Math.max(0, -start); k < taps && start + k < x.length; k++) sum += kernel[k]! * x[start + k]!
    return sum
  })
}

/** scipy.signal.resample_poly: a Kaiser (β = 5) filter of 20·max(up, down) + 1 taps whose sum is `up`. */
function polyphase(x: ArrayLike<number>, down: number, up: number, length: number): Float64Array {
  const half = 10 * Math.max(up, down)
  checkSize(2 * half + 1, down, up)
  const window = kaiser(5)
  const filter = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    return sinc((i - half) / Math.max(up, down)) * window((i - half) / half)
  })
  const scale = up / filter.reduce((a, b) => a + b, 0)
  return Float64Array.from({ length }, (_, n) => {
    const center = n * down + half
    let sum = 0
    const last = Math.min(x.length - 1, Math.floor(center / up))
    for (let m = Math.max(0, Math.ceil((center - 2 * half) / up)); m <= last; m++)
      sum += filter[center - m * up]! * x[m]!
    return sum * scale
  })
}

/** scipy.signal.resample: the spectrum cut or filled with zeros; the highest bin is shared when its count is even. */
function fourier(x: ArrayLike<number>, length: number): Float64Array {
  const from = x.length
  const spectrum = fft({ re: Float64Array.from(x), im: new Float64Array(from) })
  const re = new Float64Array(length)
  const im = new Float64Array(length)
  const kept = Math.min(from, length)
  for (let k = 0; k <= Math.floor(kept / 2); k++) {
    const share = kept % 2 === 0 && k === kept / 2 ? (length < from ? 2 : 0.5) : 1
    const edge = 2 * k === length
    // A real signal: the bin and its mirror are conjugates; a bin that is its own mirror is real.
    re[k] = spectrum.re[k]! * share
    im[k] = edge ? 0 : spectrum.im[k]! * share
    if (k > 0 && !edge) {
      re[length - k] = re[k]!
      im[length - k] = -im[k]!
    }
  }
  return fft({ re, im }, true).re.map((v) => v / from)
}

/** resampy: a half filter tabulated at 2^precision points a zero crossing and read with linear interpolation. */
function tabulated(
  x: ArrayLike<number>,
  down: number,
  up: number,
  length: number,
  zeros: number,
  precision: number,
  rolloff: number,
  beta: number,
): Float64Array {
  const points = 2 ** precision
  const ratio = up / down
  const scale = Math.min(1, ratio)
  const window = kaiser(beta)
  const half = Float64Array.from({ length: zeros * points + 1 }, (_, i) => {
    const t = i / points
    return rolloff * sinc(rolloff * t) * window(t / zeros) * scale
  })
  const step = Math.trunc(scale * points)
  const read = (at: number, offset: number): number => {
    const a = half[at]!
    return a + offset * ((half[at + 1] ?? a) - a)
  }
  // resampy gives ⌊length·ratio⌋ samples, which librosa fills up with zeros.
  const valid = Math.floor((x.length * up) / down)
  return Float64Array.from({ length }, (_, n) => {
    if (n >= valid) return 0
    const time = n / ratio
    const whole = Math.trunc(time)
    let sum = 0
    const left = scale * (time - whole) * points
    let offset = Math.trunc(left)
    const leftCount = Math.min(whole + 1, Math.trunc((half.length - offset) / step))
    for (let i = 0; i < leftCount; i++) sum += read(offset + i * step, left - offset) * x[whole - i]!
    const right = (scale - scale * (time - whole)) * points
    offset = Math.trunc(right)
    const rightCount = Math.min(x.length - whole - 1, Math.trunc((half.length - offset) / step))
    for (let i = 0; i < rightCount; i++) sum += read(offset + i * step, right - offset) * x[whole + i + 1]!
    return sum
  })
}
