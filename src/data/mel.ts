// Mel filter banks, [mel, frequency bin]: five libraries, five ways to place triangles.

import { type Matrix, matrix } from './spectrum.ts'

export type MelScale = 'slaney' | 'htk'

const LOG_STEP = Math.log(6.4) / 27

/** Hertz to mel. Slaney: linear below 1 kHz (200/3 Hz a mel), logarithmic above. HTK: 2595·log10(1 + f/700). */
export function toMel(hertz: number, scale: MelScale): number {
  if (scale === 'htk') return 2595 * Math.log10(1 + hertz / 700)
  return hertz < 1000 ? hertz / (200 / 3) : 15 + Math.log(hertz / 1000) / LOG_STEP
}

function fromMel(mel: number, scale: MelScale): number {
  if (scale === 'htk') return 700 * (10 ** (mel / 2595) - 1)
  return mel < 15 ? mel * (200 / 3) : 1000 * Math.exp(LOG_STEP * (mel - 15))
}

/** HTK's scale by natural logarithms, as TensorFlow and Kaldi write it. */
const mel1127 = (hertz: number): number => 1127 * Math.log(1 + hertz / 700)

const spaced = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1))

/** Triangles over `points` (mels + 2 of them) evaluated at each bin's `position`. */
function triangles(points: readonly number[], positions: readonly number[]): Matrix {
  const out = matrix(points.length - 2, positions.length)
  for (let m = 0; m < out.rows; m++) {
    const [left, middle, right] = [points[m]!, points[m + 1]!, points[m + 2]!]
    positions.forEach((p, bin) => {
      const w = Math.min((p - left) / (middle - left), (right - p) / (right - middle))
      out.data[m * out.columns + bin] = Math.max(0, w)
    })
  }
  return out
}

export type MelOptions = { rate: number; bins: number; mels: number; low: number; high: number }

/** librosa.filters.mel and torchaudio's melscale_fbanks: triangles in hertz; `area` divides by half their width. */
export function melFilters(o: MelOptions, scale: MelScale, area: boolean): Matrix {
  const points = spaced(toMel(o.low, scale), toMel(o.high, scale), o.mels + 2).map((m) => fromMel(m, scale))
  const out = triangles(points, spaced(0, o.rate / 2, o.bins))
  if (area) {
    for (let m = 0; m < o.mels; m++) {
      const factor = 2 / (points[m + 2]! - points[m]!)
      for (let k = 0; k < o.bins; k++) out.data[m * o.bins + k]! *= factor
    }
  }
  return out
}

/** tf.signal.linear_to_mel_weight_matrix: triangles in mel, nothing from the first (DC) bin. */
export function tensorflowMelFilters(o: MelOptions): Matrix {
  const points = spaced(mel1127(o.low), mel1127(o.high), o.mels + 2)
  const out = triangles(points, spaced(0, o.rate / 2, o.bins).map(mel1127))
  for (let m = 0; m < o.mels; m++) out.data[m * o.bins] = 0
  return out
}

/** Kaldi's get_mel_banks: triangles in mel, nothing from the last (Nyquist) bin. */
export function kaldiMelFilters(o: MelOptions): Matrix {
  const points = spaced(mel1127(o.low), mel1127(o.high), o.mels + 2)
  const out = triangles(points, spaced(0, o.rate / 2, o.bins).map(mel1127))
  for (let m = 0; m < o.mels; m++) out.data[(m + 1) * o.bins - 1] = 0
  return out
}

/**
 * TensorFlow's Mfcc operator (mfcc_mel_filterbank.cc): each bin between the limits is shared by two neighbours, its
 * weight linear in mel; bins are whole, from floor(1.5 + low/width) to floor(high/width).
 */
export function speechCommandsFilters(o: MelOptions): Matrix {
  const out = matrix(o.mels, o.bins)
  const low = mel1127(o.low)
  const spacing = (mel1127(o.high) - low) / (o.mels + 1)
  const centers = Array.from({ length: o.mels + 1 }, (_, i) => low + spacing * (i + 1))
  const width = (0.5 * o.rate) / (o.bins - 1)
  let channel = 0
  for (let k = Math.floor(1.5 + o.low / width); k <= Math.min(o.bins - 1, Math.floor(o.high / width)); k++) {
    const mel = mel1127(k * width)
    while (channel < o.mels && centers[channel]! < mel) channel++
    const below = channel === 0 ? low : centers[channel - 1]!
    const share = (centers[channel]! - mel) / (centers[channel]! - below)
    if (channel > 0) out.data[(channel - 1) * o.bins + k] = share
    if (channel < o.mels) out.data[channel * o.bins + k] = 1 - share
  }
  return out
}
