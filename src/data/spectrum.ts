// Windows, framing, short-time spectra and cosine transforms, with the conventions that tell audio libraries apart.

import { InputError } from '../core/errors.ts'
import { fft } from './fft.ts'

export const windows = ['hann', 'hamming', 'blackman', 'povey', 'rectangular'] as const
export type WindowName = (typeof windows)[number]

/** A window of `length` points: `periodic` leaves out the last point of the symmetric one of length + 1. */
export function windowOf(name: WindowName, length: number, periodic: boolean): Float64Array {
  const n = periodic ? length : length - 1
  const turn = (i: number): number => Math.cos((2 * Math.PI * i) / n)
  const at: Record<WindowName, (i: number) => number> = {
    hann: (i) => 0.5 - 0.5 * turn(i),
    hamming: (i) => 0.54 - 0.46 * turn(i),
    blackman: (i) => 0.42 - 0.5 * turn(i) + 0.08 * turn(2 * i),
    povey: (i) => (0.5 - 0.5 * turn(i)) ** 0.85,
    rectangular: () => 1,
  }
  return Float64Array.from({ length }, (_, i) => (length === 1 ? 1 : at[name](i)))
}

/** A matrix of `rows` × `columns`, row-major. */
export type Matrix = { rows: number; columns: number; data: Float64Array }

export const matrix = (rows: number, columns: number): Matrix => ({
  rows,
  columns,
  data: new Float64Array(rows * columns),
})

export function transposed(m: Matrix): Matrix {
  const out = matrix(m.columns, m.rows)
  for (let i = 0; i < m.rows; i++) {
    for (let j = 0; j < m.columns; j++) out.data[j * m.rows + i] = m.data[i * m.columns + j]!
  }
  return out
}

/** a · bᵀ. */
export function timesTransposed(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows, b.rows)
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.rows; j++) {
      let sum = 0
      for (let k = 0; k < a.columns; k++) sum += a.data[i * a.columns + k]! * b.data[j * b.columns + k]!
      out.data[i * b.rows + j] = sum
    }
  }
  return out
}

/** Samples with `count` added at both ends: zeros, or mirrored without repeating the edge. */
export function padded(x: ArrayLike<number>, count: number, how: 'zeros' | 'reflect'): Float64Array {
  const out = new Float64Array(x.length + 2 * count)
  if (how === 'reflect' && count >= x.length) {
    throw new InputError(
      `audio: ${x.length} samples are too few to be mirrored by ${count}. Use a longer recording.`,
    )
  }
  for (let i = 0; i < out.length; i++) {
    let at = i - count
    if (how === 'reflect') {
      at = Math.abs(at)
      if (at >= x.length) at = 2 * x.length - 2 - at
    }
    out[i] = at >= 0 && at < x.length ? x[at]! : 0
  }
  return out
}

/** Overlapping frames of `length` samples, as many as fit; [frame, sample]. */
export function frames(x: ArrayLike<number>, length: number, hop: number): Matrix {
  const count = x.length < length ? 0 : 1 + Math.floor((x.length - length) / hop)
  const out = matrix(count, length)
  for (let f = 0; f < count; f++) {
    for (let i = 0; i < length; i++) out.data[f * length + i] = x[f * hop + i]!
  }
  return out
}

export type SpectrumOptions = {
  fft: number
  hop: number
  window: Float64Array
  /** Centre frame t on sample t·hop by padding half a transform at both ends. */
  center?: 'zeros' | 'reflect'
  /** Where a window shorter than the transform lies in it: `middle` for librosa and torch, `start` for TensorFlow. */
  place: 'middle' | 'start'
}

/** The short-time spectrum, [frame, fft/2 + 1] for each part. */
export function stft(x: ArrayLike<number>, o: SpectrumOptions): { re: Matrix; im: Matrix } {
  const source = o.center ? padded(x, Math.floor(o.fft / 2), o.center) : x
  const short = o.window.length
  const start = o.place === 'middle' ? Math.floor((o.fft - short) / 2) : 0
  // With the window at the start the frame need only hold the window; the transform is filled up with zeros.
  const cut = frames(source, o.place === 'middle' ? o.fft : short, o.hop)
  const bins = Math.floor(o.fft / 2) + 1
  const out = { re: matrix(cut.rows, bins), im: matrix(cut.rows, bins) }
  for (let f = 0; f < cut.rows; f++) {
    const re = new Float64Array(o.fft)
    for (let i = 0; i < short; i++) re[start + i] = cut.data[f * cut.columns + start + i]! * o.window[i]!
    const spectrum = fft({ re, im: new Float64Array(o.fft) })
    out.re.data.set(spectrum.re.subarray(0, bins), f * bins)
    out.im.data.set(spectrum.im.subarray(0, bins), f * bins)
  }
  return out
}

/** |X|^power of a short-time spectrum, in place of its real part. */
export function magnitude(s: { re: Matrix; im: Matrix }, power: number): Matrix {
  const out = matrix(s.re.rows, s.re.columns)
  for (let i = 0; i < out.data.length; i++) {
    const square = s.re.data[i]! ** 2 + s.im.data[i]! ** 2
    out.data[i] = power === 2 ? square : power === 1 ? Math.sqrt(square) : square ** (power / 2)
  }
  return out
}

/**
 * Rows of the type 2 cosine transform over `inputs` values: cos(π·k·(2n + 1)/2N) times `scale(k)`.
 * scale: 2 for SciPy's unscaled form; √(1/N) for k = 0 and √(2/N) for the rest in the orthonormal form.
 */
export function cosineRows(outputs: number, inputs: number, scale: (k: number) => number): Matrix {
  const out = matrix(outputs, inputs)
  for (let k = 0; k < outputs; k++) {
    for (let n = 0; n < inputs; n++) {
      out.data[k * inputs + n] = scale(k) * Math.cos((Math.PI * k * (2 * n + 1)) / (2 * inputs))
    }
  }
  return out
}

export const orthonormal =
  (n: number) =>
  (k: number): number =>
    Math.sqrt((k === 0 ? 1 : 2) / n)
