// Changing the sample rate as torchaudio (windowed sinc), SciPy (polyphase, Fourier), resampy (librosa's kaiser_best and
// kaiser_fast) and soxr at high quality (librosa's default) do.

import { InputError } from '../core/errors.ts'
import { fft } from './fft.ts'
import { roundEven } from './resample.ts'

export const resamplers = [
  'torchaudio',
  'torchaudio-kaiser',
  'scipy-poly',
  'scipy-fft',
  'kaiser_best',
  'kaiser_fast',
  'soxr_hq',
] as const
export type Resampler = (typeof resamplers)[number]

/** Filter tables beyond this are refused: rates such as 44100 → 44101 have no short period. */
const MAX_TAPS = 1 << 22

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
  const rates: Rates = { down: from / shared, up: to / shared }
  const length = Math.ceil((x.length * rates.up) / rates.down)
  switch (method) {
    case 'torchaudio':
      return torchaudio(x, rates, length, 6, 0.99, (t) => Math.cos((t * Math.PI) / 2) ** 2)
    case 'torchaudio-kaiser':
      return torchaudio(x, rates, length, 64, 0.9475937167399596, kaiser(14.769656459379492))
    case 'scipy-poly':
      return scipyPoly(x, rates, length)
    case 'scipy-fft':
      return scipyFft(x, length)
    case 'kaiser_best':
      return resampy(x, rates, length, 50, 8192, 0.9173473712608761, kaiser(12.98458524704))
    case 'kaiser_fast':
      return resampy(x, rates, length, 24, 512, 0.8682120388377784, kaiser(9.9032244164553))
    case 'soxr_hq':
      return soxr(x, rates, length)
  }
}

/** The ratio of the rates in lowest terms. */
type Rates = { down: number; up: number }

/** A window over −1..1. */
type Window = (t: number) => number

const kaiser = (beta: number): Window => {
  const scale = 1 / bessel(beta)
  return (t) => bessel(beta * Math.sqrt(Math.max(0, 1 - t * t))) * scale
}

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

/**
 * Output n is the sum of the input weighed by `kernel(distance)`, its centre at n·down/up and its reach in input samples.
 * Output phases repeat after `up` samples, so the weights are tabled.
 */
function filtered(
  x: ArrayLike<number>,
  { down, up }: Rates,
  length: number,
  reach: number,
  kernel: (distance: number) => number,
): Float64Array {
  const width = Math.ceil(reach)
  const taps = 2 * width + 2
  if (taps * up > MAX_TAPS) {
    throw new InputError(
      `resample: rates in the ratio ${down}:${up} need a filter of ${taps * up} taps. Use rates with a common divisor.`,
    )
  }
  const tables = new Map<number, Float64Array>()
  const tableOf = (phase: number): Float64Array => {
    const table = Float64Array.from({ length: taps }, (_, k) => {
      const distance = k - width - phase / up
      return Math.abs(distance) > reach ? 0 : kernel(distance)
    })
    tables.set(phase, table)
    return table
  }
  const out = new Float64Array(length)
  for (let n = 0; n < length; n++) {
    const phase = (n * down) % up
    const table = tables.get(phase) ?? tableOf(phase)
    const start = (n * down - phase) / up - width
    let sum = 0
    for (let k = Math.max(0, -start); k < taps && start + k < x.length; k++) sum += table[k]! * x[start + k]!
    out[n] = sum
  }
  return out
}

/** torchaudio.functional.resample: `zeros` crossings of a sinc below the lower rate. */
function torchaudio(
  x: ArrayLike<number>,
  rates: Rates,
  length: number,
  zeros: number,
  rolloff: number,
  window: Window,
): Float64Array {
  const cut = (Math.min(rates.down, rates.up) * rolloff) / rates.down
  return filtered(x, rates, length, zeros / cut, (d) => sinc(d * cut) * window((d * cut) / zeros) * cut)
}

/** scipy.signal.resample_poly: a Kaiser (β = 5) filter of 20·max(up, down) + 1 taps whose sum is `up`. */
function scipyPoly(x: ArrayLike<number>, rates: Rates, length: number): Float64Array {
  const { down, up } = rates
  const most = Math.max(up, down)
  const half = 10 * most
  const window = kaiser(5)
  const tap = (i: number): number => sinc(i / most) * window(i / half)
  let sum = 0
  for (let i = -half; i <= half; i++) sum += tap(i)
  return filtered(x, rates, length, half / up, (d) => (tap(d * up) * up) / sum)
}

/** scipy.signal.resample: the spectrum cut or filled with zeros; the highest bin is shared when its count is even. */
function scipyFft(x: ArrayLike<number>, length: number): Float64Array {
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

/**
 * resampy: a half filter tabulated at `points` a zero crossing, read with linear interpolation and a whole step. It gives
 * ⌊length·ratio⌋ samples, which librosa fills up with zeros.
 */
function resampy(
  x: ArrayLike<number>,
  { down, up }: Rates,
  length: number,
  zeros: number,
  points: number,
  rolloff: number,
  window: Window,
): Float64Array {
  const ratio = up / down
  const scale = Math.min(1, ratio)
  const half = Float64Array.from({ length: zeros * points + 1 }, (_, i) => {
    const t = i / points
    return rolloff * sinc(rolloff * t) * window(t / zeros) * scale
  })
  const step = Math.trunc(scale * points)
  const read = (at: number, part: number): number =>
    half[at]! + part * ((half[at + 1] ?? half[at]!) - half[at]!)
  const out = new Float64Array(length)
  for (let n = 0; n < Math.floor((x.length * up) / down); n++) {
    const time = n / ratio
    const whole = Math.trunc(time)
    let sum = 0
    const left = scale * (time - whole) * points
    let offset = Math.trunc(left)
    const before = Math.min(whole + 1, Math.trunc((half.length - offset) / step))
    for (let i = 0; i < before; i++) sum += read(offset + i * step, left - offset) * x[whole - i]!
    const right = (scale - scale * (time - whole)) * points
    offset = Math.trunc(right)
    const after = Math.min(x.length - whole - 1, Math.trunc((half.length - offset) / step))
    for (let i = 0; i < after; i++) sum += read(offset + i * step, right - offset) * x[whole + i + 1]!
    out[n] = sum
  }
  return out
}

/**
 * soxr at quality HQ, from its published design (20 bits, pass band to 0.913 of the lower Nyquist rate), the three
 * constants of each filter fitted to its output. On white noise of peak 0.8 it is within 9e-5 for whole ratios, else
 * within 2.5e-4 but for the first three samples: those ratios pass through twice the rate, which begins at time 0.
 */
function soxr(x: ArrayLike<number>, rates: Rates, length: number): Float64Array {
  const { down, up } = rates
  const lower = Math.min(1, up / down)
  const filter = (cut: number, reach: number, beta: number, scale: number) => {
    const window = kaiser(beta)
    return (d: number): number => cut * sinc(cut * d * scale) * window((d * scale) / reach) * scale
  }
  if (up === 1 || down === 1)
    return filtered(x, rates, length, 96.5 / lower, filter(0.9569, 96.5, 12.8414, lower))
  const steep = filter(0.95685, 98.705, 12.879, lower)
  const twice = filtered(x, { down: 1, up: 2 }, 2 * x.length + 16, 98.705 / lower, steep)
  const shared = gcd(2 * down, up)
  const rest = { down: (2 * down) / shared, up: up / shared }
  const out = new Float64Array(length)
  // librosa fills what soxr leaves out with zeros.
  const valid = Math.min(length, roundEven((x.length * up) / down))
  out.set(filtered(twice, rest, valid, 7.1744, filter(0.90507, 7.1744, 13.065, 1)))
  return out
}
