// Spectrograms, log-mel and MFCC features as librosa, torchaudio, tf.signal, TensorFlow's Speech Commands operators and
// Kaldi compute them. In float64; the libraries use float32, so results agree to about 1e-4 of the largest value.

import { InputError } from '../core/errors.ts'
import { kaldiMelFilters, melFilters, speechCommandsFilters, tensorflowMelFilters } from './mel.ts'
import {
  cosineRows,
  frames,
  type Matrix,
  magnitude,
  matrix,
  orthonormal,
  stft,
  timesTransposed,
  transposed,
  type WindowName,
  windowOf,
} from './spectrum.ts'

export const conventions = ['librosa', 'torchaudio', 'tensorflow', 'speech-commands', 'kaldi'] as const
export type Convention = (typeof conventions)[number]

export type FeatureOptions = {
  convention: Convention
  /** `mel` is linear, `log-mel` in the library's own logarithm (decibels in librosa and torchaudio). */
  kind: 'spectrogram' | 'mel' | 'log-mel' | 'mfcc'
  /** Window, hop and transform length in samples. */
  window: number
  hop: number
  fft: number
  mels: number
  /** Hertz; a high of 0 or less counts from half the sample rate. */
  low: number
  high: number
  coefficients: number
  /** librosa, torchaudio. */
  center: boolean
  pad: 'zeros' | 'reflect'
  scale: 'slaney' | 'htk'
  area: boolean
  /** 1 magnitude, 2 power. */
  power: number
  /** librosa and torchaudio: decibels kept below the maximum; torchaudio's `log` is log(x + 1e-6) instead. */
  topDb: number
  logarithm: 'decibel' | 'log'
  /** librosa (0 none) and Kaldi (22). */
  lifter: number
  /** SciPy's unscaled cosine transform in librosa's mfcc(norm=None). */
  dct: 'ortho' | 'unscaled'
  /** tf.signal: log(mel + offset). */
  offset: number
  /** Kaldi. Dither is never added. */
  windowName: WindowName
  preEmphasis: number
  snipEdges: boolean
  useEnergy: boolean
}

const nextPower = (n: number): number => 2 ** Math.ceil(Math.log2(n))

/** The convention's own defaults, with what is given in their place. */
export function featureDefaults(
  given: Partial<FeatureOptions> & { convention: Convention },
  rate: number,
): FeatureOptions {
  const c = given.convention
  const ms = (n: number): number => Math.round((rate * n) / 1000)
  const kaldi = c === 'kaldi'
  const centered = c === 'librosa' || c === 'torchaudio'
  const window =
    given.window ?? given.fft ?? (c === 'librosa' ? 2048 : c === 'torchaudio' ? 400 : kaldi ? ms(25) : ms(30))
  const defaults: FeatureOptions = {
    convention: c,
    kind: 'log-mel',
    window,
    hop: c === 'librosa' ? 512 : c === 'torchaudio' ? Math.floor(window / 2) : kaldi ? ms(10) : ms(20),
    fft: centered ? window : nextPower(window),
    mels: c === 'librosa' || c === 'torchaudio' ? 128 : kaldi ? 23 : 40,
    low: centered ? 0 : 20,
    high: centered || kaldi ? 0 : 4000,
    coefficients: c === 'librosa' ? 20 : c === 'torchaudio' ? 40 : c === 'speech-commands' ? 10 : 13,
    center: centered,
    pad: c === 'librosa' ? 'zeros' : 'reflect',
    scale: c === 'librosa' ? 'slaney' : 'htk',
    area: c === 'librosa',
    power: c === 'tensorflow' ? 1 : 2,
    topDb: 80,
    logarithm: 'decibel',
    lifter: kaldi ? 22 : 0,
    dct: 'ortho',
    offset: 1e-6,
    windowName: kaldi ? 'povey' : 'hann',
    preEmphasis: 0.97,
    snipEdges: true,
    useEnergy: false,
  }
  return { ...defaults, ...given }
}

/**
 * Features of mono samples: [bin, frame] for librosa and torchaudio, [frame, bin] for the others.
 * Kaldi's scale is that of 16-bit integers: the samples are multiplied by 32768 here.
 */
export function audioFeatures(samples: ArrayLike<number>, rate: number, options: FeatureOptions): Matrix {
  const high = options.high <= 0 ? rate / 2 + options.high : options.high
  const o = { ...options, high }
  if (o.window > o.fft || o.hop < 1 || o.mels < 1 || o.low >= high || high > rate / 2) {
    throw new InputError(
      `audio: window ${o.window} in a transform of ${o.fft}, hop ${o.hop}, ${o.mels} mels from ${o.low} to ${high} Hz ` +
        `at ${rate} Hz do not fit together`,
    )
  }
  const out = compute[o.convention](samples, rate, o)
  if (out.rows * out.columns === 0) {
    throw new InputError(`audio: ${samples.length} samples are fewer than one window of ${o.window}`)
  }
  return out
}

type Compute = (samples: ArrayLike<number>, rate: number, o: FeatureOptions) => Matrix

const mapped = (m: Matrix, f: (x: number) => number): Matrix => ({ ...m, data: m.data.map(f) })
const filterOptions = (o: FeatureOptions, rate: number) => ({
  rate,
  bins: Math.floor(o.fft / 2) + 1,
  mels: o.mels,
  low: o.low,
  high: o.high,
})

/** 10·log10 of power, floored at 1e-10 and at `topDb` below the largest. */
function decibels(m: Matrix, topDb: number): Matrix {
  const db = mapped(m, (x) => 10 * Math.log10(Math.max(1e-10, x)))
  const floor = db.data.reduce((a, b) => Math.max(a, b), -Infinity) - topDb
  return mapped(db, (x) => Math.max(floor, x))
}

/** librosa and torchaudio differ in defaults only, and in the order of windowing none. */
const centered: Compute = (samples, rate, o) => {
  const spectrum = stft(samples, {
    fft: o.fft,
    hop: o.hop,
    window: windowOf(o.windowName, o.window, true),
    place: 'middle',
    ...(o.center ? { center: o.pad } : {}),
  })
  const power = magnitude(spectrum, o.power)
  if (o.kind === 'spectrogram') return transposed(power)
  const mel = timesTransposed(power, melFilters(filterOptions(o, rate), o.scale, o.area))
  if (o.kind === 'mel') return transposed(mel)
  const log = o.logarithm === 'log' ? mapped(mel, (x) => Math.log(x + 1e-6)) : decibels(mel, o.topDb)
  if (o.kind === 'log-mel') return transposed(log)
  const scale = o.dct === 'ortho' ? orthonormal(o.mels) : () => 2
  return transposed(lifted(timesTransposed(log, cosineRows(o.coefficients, o.mels, scale)), o.lifter, 1))
}

/** Weighs coefficient k by 1 + (L/2)·sin(π·(k + first)/L): librosa begins with 1, Kaldi with 0. */
function lifted(m: Matrix, lifter: number, first: 0 | 1): Matrix {
  if (lifter === 0) return m
  const data = m.data.map(
    (x, i) => x * (1 + (lifter / 2) * Math.sin((Math.PI * ((i % m.columns) + first)) / lifter)),
  )
  return { ...m, data }
}

const tensorflow: Compute = (samples, rate, o) => {
  const window = windowOf(o.windowName, o.window, true)
  const spectrum = magnitude(stft(samples, { fft: o.fft, hop: o.hop, window, place: 'start' }), o.power)
  if (o.kind === 'spectrogram') return spectrum
  const mel = timesTransposed(spectrum, tensorflowMelFilters(filterOptions(o, rate)))
  if (o.kind === 'mel') return mel
  const log = mapped(mel, (x) => Math.log(x + o.offset))
  if (o.kind === 'log-mel') return log
  // Scaled by √(2/N) for every coefficient: the first is √2 larger than in the orthonormal form.
  return timesTransposed(
    log,
    cosineRows(o.coefficients, o.mels, () => Math.sqrt(2 / o.mels)),
  )
}

const speechCommands: Compute = (samples, rate, o) => {
  const window = windowOf('hann', o.window, true)
  const squares = magnitude(stft(samples, { fft: o.fft, hop: o.hop, window, place: 'start' }), 2)
  if (o.kind === 'spectrogram') return squares
  const mel = timesTransposed(mapped(squares, Math.sqrt), speechCommandsFilters(filterOptions(o, rate)))
  if (o.kind === 'mel') return mel
  const log = mapped(mel, (x) => Math.log(Math.max(1e-12, x)))
  if (o.kind === 'log-mel') return log
  return timesTransposed(
    log,
    cosineRows(o.coefficients, o.mels, () => Math.sqrt(2 / o.mels)),
  )
}

/** The smallest difference from 1 in float32: the floor of Kaldi's logarithms. */
const EPSILON = 2 ** -23

const kaldi: Compute = (samples, rate, o) => {
  const cut = kaldiFrames(samples, o)
  const n = o.window
  const window = windowOf(o.windowName, n, false)
  const energy = new Float64Array(cut.rows)
  for (let f = 0; f < cut.rows; f++) {
    const row = cut.data.subarray(f * n, (f + 1) * n)
    const mean = row.reduce((a, b) => a + b, 0) / n
    for (let i = 0; i < n; i++) row[i]! -= mean
    // Energy is floored at 1.
    energy[f] = Math.max(
      0,
      Math.log(
        Math.max(
          EPSILON,
          row.reduce((a, b) => a + b * b, 0),
        ),
      ),
    )
    for (let i = n - 1; i >= 0; i--)
      row[i] = (row[i]! - o.preEmphasis * row[Math.max(0, i - 1)]!) * window[i]!
  }
  const power = magnitude(
    stft(cut.data, { fft: o.fft, hop: n, window: windowOf('rectangular', n, false), place: 'start' }),
    o.power,
  )
  if (o.kind === 'spectrogram') return power
  const mel = timesTransposed(power, kaldiMelFilters(filterOptions(o, rate)))
  if (o.kind === 'mel') return mel
  const log = mapped(mel, (x) => Math.log(Math.max(EPSILON, x)))
  if (o.kind === 'log-mel') return o.useEnergy ? withEnergy(log, energy) : log
  const out = lifted(
    timesTransposed(log, cosineRows(o.coefficients, o.mels, orthonormal(o.mels))),
    o.lifter,
    0,
  )
  if (o.useEnergy) {
    energy.forEach((e, f) => {
      out.data[f * out.columns] = e
    })
  }
  return out
}

/** Frames as Kaldi cuts them: whole ones, or as many as hops with the edges mirrored (the edge sample repeated). */
function kaldiFrames(samples: ArrayLike<number>, o: FeatureOptions): Matrix {
  const scaled = Float64Array.from(samples, (x) => x * 32768)
  if (o.snipEdges) return frames(scaled, o.window, o.hop)
  const count = Math.floor((scaled.length + Math.floor(o.hop / 2)) / o.hop)
  const start = Math.floor(o.hop / 2) - Math.floor(o.window / 2)
  const length = scaled.length
  const out = matrix(count, o.window)
  for (let f = 0; f < count; f++) {
    for (let i = 0; i < o.window; i++) {
      let at = start + f * o.hop + i
      if (at < 0) at = -1 - at
      if (at >= length) at = 2 * length - 1 - at
      out.data[f * o.window + i] = scaled[at] ?? 0
    }
  }
  return out
}

/** The frame's energy as the first column. */
function withEnergy(m: Matrix, energy: Float64Array): Matrix {
  const out = matrix(m.rows, m.columns + 1)
  for (let f = 0; f < m.rows; f++) {
    out.data[f * out.columns] = energy[f]!
    out.data.set(m.data.subarray(f * m.columns, (f + 1) * m.columns), f * out.columns + 1)
  }
  return out
}

const compute: Record<Convention, Compute> = {
  librosa: centered,
  torchaudio: centered,
  tensorflow,
  'speech-commands': speechCommands,
  kaldi,
}
