// WAV decoding, features and resampling held to golden/audio.

import { expect } from 'vitest'
import { goldenBytes, goldenJson, goldenTest } from '../../test/golden.ts'
import type { Tensor } from '../core/tensor.ts'
import { audioFeatures, type FeatureOptions, featureDefaults } from './audio-features.ts'
import { type Resampler, resampleAudio } from './audio-resample.ts'
import { melFilters, tensorflowMelFilters } from './mel.ts'
import { readNpz } from './npz.ts'
import { type Matrix, stft, transposed, type WindowName, windowOf } from './spectrum.ts'
import { decodeWav } from './wav.ts'

type Case = {
  file: string
  key: string
  shape: number[]
  input: string
  op: string
  [option: string]: unknown
}

const casesOf = (folder: string, file: string): Case[] =>
  (goldenJson(`audio/${folder}/index.json`) as { cases: Case[] }).cases.filter((c) => c.file === file)
const files = new Map<string, Map<string, Tensor>>()
function arrays(folder: string, file: string): Map<string, Tensor> {
  const path = `audio/${folder}/${file}`
  if (!files.has(path)) files.set(path, readNpz(goldenBytes(path), path))
  return files.get(path)!
}
const samplesOf = (name: string) => decodeWav(goldenBytes(`audio/inputs/${name.split(' ')[0]}`), name).data

const largest = (x: ArrayLike<number | bigint | string>): number =>
  Array.from(x, Number).reduce((a, b) => Math.max(a, Math.abs(b)), 0)
function difference(got: ArrayLike<number>, want: ArrayLike<number | bigint | string>): number {
  expect(got.length).toBe(want.length)
  return largest(Array.from(got, (x, i) => x - Number(want[i])))
}
function expectNear(
  got: ArrayLike<number>,
  want: ArrayLike<number | bigint | string>,
  relative: number,
  name: string,
) {
  expect(difference(got, want), name).toBeLessThanOrEqual(relative * largest(want))
}

/** Bins, or for cepstra whole frames, whose mel energy is above 1e-6 of the largest: below it float32 rounding rules. */
function audible(
  mel: Matrix,
  power: number,
  featuresFirst: boolean,
  perFrame: boolean,
): (bin: number, frame: number) => boolean {
  const [bins, count] = featuresFirst ? [mel.rows, mel.columns] : [mel.columns, mel.rows]
  const at = (b: number, f: number): number => mel.data[featuresFirst ? b * count + f : f * bins + b]!
  const floor = 1e-6 ** (power / 2) * largest(mel.data)
  if (!perFrame) return (b, f) => at(b, f) > floor
  const whole = Array.from({ length: count }, (_, f) => {
    for (let b = 0; b < bins; b++) if (!(at(b, f) > floor)) return false
    return true
  })
  return (_, f) => whole[f]!
}

/** Compares logarithms or cepstra where they are meaningful and returns the share of values compared. */
function compareAudible(
  x: Float32Array,
  o: FeatureOptions,
  want: ArrayLike<number | bigint | string>,
  name: string,
): number {
  const got = audioFeatures(x, 16000, o)
  expect(got.data.length, name).toBe(want.length)
  const first = o.convention === 'librosa' || o.convention === 'torchaudio'
  const mel = audioFeatures(x, 16000, { ...o, kind: 'mel' })
  const counts = audible(mel, o.convention === 'speech-commands' ? 1 : o.power, first, o.kind === 'mfcc')
  const limit = o.kind === 'mfcc' ? 1e-4 * largest(want) : 1e-3
  const shift = o.useEnergy && o.kind === 'log-mel' ? 1 : 0
  let compared = 0
  for (let i = 0; i < got.data.length; i++) {
    const [row, column] = [Math.floor(i / got.columns), i % got.columns]
    const [bin, frame] = first ? [row, column] : [column, row]
    if (bin >= shift && !counts(bin - shift, frame)) continue
    compared++
    const off = Math.abs(got.data[i]! - Number(want[i]))
    if (!(off <= limit)) expect(off, `${name} [${bin}, ${frame}]`).toBeLessThanOrEqual(limit)
  }
  return compared / got.data.length
}

goldenTest('WAV files of every kind decode to the samples of libsndfile and TensorFlow', () => {
  let count = 0
  for (const c of casesOf('librosa', 'decoded.npz')) {
    count++
    const sound = decodeWav(goldenBytes(`audio/inputs/${c.input}`), c.input)
    expect([sound.data.length / sound.channels, sound.channels], c.key).toEqual(c.shape)
    expect(sound.rate, c.key).toBe(c.sample_rate)
    expect(sound.data, c.key).toEqual(arrays('librosa', 'decoded.npz').get(c.key)!.data)
  }
  expect(count).toBe(10)
  const tf = arrays('tensorflow', 'features.npz')
  expect(samplesOf('noise16k_16.wav')).toEqual(tf.get('noise16k_16.decode_wav')!.data)
})

goldenTest('windows and mel filter banks agree to 1e-6', () => {
  const filters = arrays('librosa', 'filters.npz')
  for (const [key, want] of filters) {
    const m = /^window_(.*)_(periodic|symmetric)_(\d+)$/.exec(key)
    if (m) expectNear(windowOf(m[1] as WindowName, Number(m[3]), m[2] === 'periodic'), want.data, 1e-6, key)
  }
  const bank = (
    key: string,
    bins: number,
    mels: number,
    low: number,
    high: number,
    scale: 'slaney' | 'htk',
    area: boolean,
  ) =>
    expectNear(
      melFilters({ rate: 16000, bins, mels, low, high }, scale, area).data,
      filters.get(key)!.data,
      1e-6,
      key,
    )
  bank('mel_slaney', 257, 40, 20, 4000, 'slaney', true)
  bank('mel_htk', 257, 40, 20, 4000, 'htk', false)
  bank('mel_power1_nocenter', 201, 32, 0, 8000, 'slaney', true)
  bank('mel_reflect_htk_slaneynorm', 201, 23, 100, 7600, 'htk', true)
  for (const c of casesOf('tensorflow', 'filters.npz')) {
    const options = {
      rate: c.sample_rate as number,
      bins: c.num_spectrogram_bins as number,
      mels: c.num_mel_bins as number,
      low: c.lower as number,
      high: c.upper as number,
    }
    const want = arrays('tensorflow', 'filters.npz').get(c.key)!.data
    // Computed in float32 by TensorFlow: narrow triangles amplify its rounding.
    expectNear(transposed(tensorflowMelFilters(options)).data, want, 1e-4, c.key)
  }
})

goldenTest('librosa: spectra, mel and decibels within the stated bounds, cepstra within 1e-4', () => {
  const want = arrays('librosa', 'features.npz')
  let given: Partial<FeatureOptions> = {}
  let count = 0
  let compared = 0
  for (const c of casesOf('librosa', 'features.npz')) {
    const x = samplesOf(c.input)
    const kind = c.key.split('.')[1]!
    const data = want.get(c.key)!.data
    if (kind === 'stft_re') {
      const s = stft(x, {
        fft: 512,
        hop: 320,
        window: windowOf('hann', 480, true),
        place: 'middle',
        center: 'zeros',
      })
      expectNear(transposed(s.re).data, data, 1e-4, c.key)
      expectNear(transposed(s.im).data, want.get(c.key.replace('_re', '_im'))!.data, 1e-4, c.key)
    }
    if (kind.startsWith('stft') || kind === 'delta') continue
    count++
    if (kind === 'mfcc_default') given = {}
    if (kind.startsWith('mel_')) {
      given = {
        window: c.win_length as number,
        hop: c.hop_length as number,
        fft: c.n_fft as number,
        mels: c.n_mels as number,
        low: c.fmin as number,
        high: c.fmax as number,
        scale: c.htk ? 'htk' : 'slaney',
        area: c.norm === 'slaney',
        power: c.power as number,
        center: c.center as boolean,
        pad: c.pad_mode === 'reflect' ? 'reflect' : 'zeros',
      }
    }
    const o = featureDefaults(
      {
        convention: 'librosa',
        ...given,
        kind: kind.startsWith('mel_') ? 'mel' : kind.startsWith('db_') ? 'log-mel' : 'mfcc',
        coefficients: 13,
        lifter: (c.lifter as number | undefined) ?? 0,
        dct: c.norm === null ? 'unscaled' : 'ortho',
      },
      16000,
    )
    expectNear(audioFeatures(x, 16000, o).data, data, 1e-4, c.key)
    if (o.kind === 'log-mel') compared += compareAudible(x, o, data, c.key)
  }
  expect([count, compared > 6]).toEqual([49, true])
})

goldenTest('TensorFlow: tf.signal and the Speech Commands operators, each with its own MFCC', () => {
  const want = arrays('tensorflow', 'features.npz')
  let compared = 0
  for (const c of casesOf('tensorflow', 'features.npz')) {
    const x = samplesOf(c.input)
    const data = want.get(c.key)!.data
    if (c.op.startsWith('tf.signal.stft')) {
      const s = stft(x, { fft: 512, hop: 320, window: windowOf('hann', 480, true), place: 'start' })
      expectNear(s.re.data, data, 1e-4, c.key)
      expectNear(s.im.data, want.get(c.key.replace('_re', '_im'))!.data, 1e-4, c.key)
    } else if (c.op.startsWith('AudioSpectrogram') || c.op.startsWith('Mfcc')) {
      const kind = c.op.startsWith('Mfcc') ? 'mfcc' : 'spectrogram'
      const coefficients = (c.dct_coefficient_count as number | undefined) ?? 13
      const o = featureDefaults({ convention: 'speech-commands', kind, coefficients }, 16000)
      expectNear(audioFeatures(x, 16000, o).data, data, 1e-4, c.key)
    } else if (c.op.startsWith('log') || c.op.includes('mfccs')) {
      const o = featureDefaults(
        {
          convention: 'tensorflow',
          kind: c.op.startsWith('log') ? 'log-mel' : 'mfcc',
          window: c.frame_length as number,
          hop: c.frame_step as number,
          fft: c.fft_length as number,
          mels: c.num_mel_bins as number,
          low: c.lower_edge_hertz as number,
          high: c.upper_edge_hertz as number,
          offset: c.log_offset as number,
        },
        16000,
      )
      compared += compareAudible(x, o, data, c.key)
    }
  }
  // Of 18 arrays: frames with silent bins are left out of the cepstra.
  expect(compared).toBeGreaterThan(7)
})

goldenTest('torchaudio: MelSpectrogram, decibels, both MFCC logarithms, and the Kaldi features', () => {
  const want = arrays('torchaudio', 'features.npz')
  let given: Partial<FeatureOptions> = {}
  let compared = 0
  for (const c of casesOf('torchaudio', 'features.npz')) {
    const x = samplesOf(c.input)
    const kind = c.key.split('.')[1]!
    const data = want.get(c.key)!.data
    if (kind.startsWith('kaldi')) {
      const samples = (key: string): number => Math.round((c[key] as number) * 16)
      const o = featureDefaults(
        {
          convention: 'kaldi',
          kind: kind.includes('mfcc') ? 'mfcc' : 'log-mel',
          ...(c.num_mel_bins ? { mels: c.num_mel_bins as number } : {}),
          ...(c.frame_length ? { window: samples('frame_length'), hop: samples('frame_shift') } : {}),
          ...(c.window_type
            ? { windowName: c.window_type === 'hanning' ? 'hann' : (c.window_type as WindowName) }
            : {}),
          ...(c.low_freq ? { low: c.low_freq as number, high: c.high_freq as number } : {}),
          snipEdges: c.snip_edges !== false,
          useEnergy: c.use_energy === true,
        },
        16000,
      )
      compared += compareAudible(x, o, data, c.key)
      continue
    }
    if (c.op.startsWith('MelSpectrogram')) {
      given = {
        window: (c.win_length ?? c.n_fft) as number,
        hop: c.hop_length as number,
        fft: c.n_fft as number,
        mels: c.n_mels as number,
        low: (c.f_min as number | undefined) ?? 0,
        high: (c.f_max as number | undefined) ?? 0,
        scale: c.mel_scale === 'slaney' ? 'slaney' : 'htk',
        area: c.norm === 'slaney',
        power: (c.power as number | undefined) ?? 2,
        center: c.center !== false,
      }
    }
    const o = featureDefaults(
      {
        convention: 'torchaudio',
        ...given,
        kind: kind.startsWith('mel_') ? 'mel' : kind.startsWith('db_') ? 'log-mel' : 'mfcc',
        coefficients: 13,
        logarithm: c.log_mels ? 'log' : 'decibel',
      },
      16000,
    )
    if (o.kind !== 'log-mel') expectNear(audioFeatures(x, 16000, o).data, data, 1e-4, c.key)
    else compared += compareAudible(x, o, data, c.key)
  }
  expect(compared).toBeGreaterThan(14)
})

goldenTest(
  'resampling agrees to 1e-5 with torchaudio, SciPy and resampy, to 1e-4 with soxr but for its first samples',
  () => {
    const x = samplesOf('speech16k_16.wav').slice(2000, 5000)
    const methods: Record<string, Resampler> = {
      'torchaudio default': 'torchaudio',
      'torchaudio kaiser_best': 'torchaudio-kaiser',
      'librosa resample_poly': 'scipy-poly',
      'librosa fft': 'scipy-fft',
      'librosa librosa_polyphase': 'scipy-poly',
      'librosa librosa_fft': 'scipy-fft',
      'librosa librosa_kaiser_best': 'kaiser_best',
      'librosa librosa_kaiser_fast': 'kaiser_fast',
      'librosa librosa_soxr_hq': 'soxr_hq',
    }
    let count = 0
    for (const folder of ['torchaudio', 'librosa']) {
      for (const c of casesOf(folder, 'resample.npz')) {
        const method = methods[`${folder} ${c.key.replace(/_\d+$/, '')}`]
        if (!method) continue
        count++
        const got = resampleAudio(x, 16000, c.target as number, method)
        const want = arrays(folder, 'resample.npz').get(c.key)!.data as Float64Array
        const limit = method === 'soxr_hq' ? 1e-4 : 1e-5
        const skipped = method === 'soxr_hq' ? 3 : 0
        expect(difference(got.slice(skipped), want.slice(skipped)), c.key).toBeLessThan(limit)
        expect(difference(got, want), c.key).toBeLessThan(method === 'soxr_hq' ? 3e-4 : 1e-5)
      }
    }
    expect(count).toBe(29)
  },
)
