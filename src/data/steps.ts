// What each step of a preprocessing document does to a sample.

import { allocate, store } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { at, reshaped, sizeOf, type Tensor, tensor } from '../core/tensor.ts'
import { audioFeatures, featureDefaults } from './audio-features.ts'
import { resampleAudio } from './audio-resample.ts'
import type { Sample } from './dataset.ts'
import { decodeImage } from './images.ts'
import {
  applyOrientation,
  type Colours,
  type DecodedImage,
  type Pixels,
  pickChannels,
  samplesLike,
  toEightBits,
  toGray,
  toRgb,
} from './pixels.ts'
import type { Preprocessing, Step } from './preprocessing.ts'
import { roundEven } from './resample.ts'
import { cropTo, resizeStep } from './resize.ts'
import { decodeWav, isWav, type Sound, toMono } from './wav.ts'

/** Work in progress: a picture, a sound, or numbers with a shape. */
type State =
  | { kind: 'image'; image: Pixels; colours: Colours; orientation: number }
  | { kind: 'sound'; sound: Sound }
  | { kind: 'tensor'; tensor: Tensor }

/** The only input that a sample gives; a sample of several named inputs is an InputError (take its `tensors`). */
export function applyPreprocessing(p: Preprocessing, sample: Sample): Tensor {
  const where = sample.name
  // A tensor is the network's input already; only steps that change type or shape touch it.
  const given = sample.kind === 'tensor'
  let state = start(sample, p)
  for (const step of p.steps) {
    if (given && step.do !== 'cast' && step.do !== 'quantize' && step.do !== 'shape') continue
    state = apply(step, state, where)
  }
  return finish(state)
}

function start(sample: Sample, p: Preprocessing): State {
  switch (sample.kind) {
    case 'file': {
      if (isWav(sample.bytes)) return { kind: 'sound', sound: decodeWav(sample.bytes, sample.name) }
      const decode = p.steps.find((s) => s.do === 'decode')
      return fromImage(
        decodeImage(sample.bytes, sample.name, {
          idct: decode?.jpeg ?? 'accurate',
          fancy: decode?.fancy ?? true,
        }),
      )
    }
    case 'image':
      return fromImage(sample.image)
    case 'sound':
      return { kind: 'sound', sound: sample.sound }
    case 'tensor':
      return { kind: 'tensor', tensor: sample.tensor }
    case 'tensors':
      throw new InputError(
        `${sample.name}: ${sample.tensors.size} named inputs (${[...sample.tensors.keys()].join(', ')}), expected one`,
      )
  }
}

const fromImage = (image: DecodedImage): State => ({
  kind: 'image',
  image,
  colours: image.colours,
  orientation: image.orientation,
})

function apply(step: Step, s: State, where: string): State {
  switch (step.do) {
    case 'mono':
    case 'resample':
    case 'length':
    case 'features':
      if (s.kind === 'sound') return soundStep(step, s.sound)
      throw new InputError(`${where}: the step ${step.do} needs a sound, got ${describe(s)}`)
    case 'decode':
    case 'channels':
    case 'resize':
    case 'crop':
    case 'layout':
      if (s.kind === 'image') return imageStep(step, s)
      if (step.do === 'decode' && s.kind === 'sound') return s
      throw new InputError(`${where}: the step ${step.do} needs an image, got ${describe(s)}`)
    case 'scale':
    case 'divideByMax':
    case 'normalize':
    case 'standardize':
      return arithmeticStep(step, s, where)
    case 'cast':
      return { kind: 'tensor', tensor: cast(finish(s), step.dtype) }
    case 'quantize':
      return { kind: 'tensor', tensor: quantize(finish(s), step) }
    case 'shape':
      return { kind: 'tensor', tensor: reshape(finish(s), step.to, where) }
  }
}

const describe = (s: State): string =>
  s.kind === 'tensor' ? `a tensor [${s.tensor.shape}]` : `an ${s.kind}`.replace('an s', 'a s')

type Of<K extends Step['do']> = Extract<Step, { do: K }>

function imageStep(
  step: Of<'decode' | 'channels' | 'resize' | 'crop' | 'layout'>,
  s: Extract<State, { kind: 'image' }>,
): State {
  switch (step.do) {
    case 'decode':
      return step.upright ? { ...s, image: applyOrientation(s.image, s.orientation), orientation: 1 } : s
    case 'channels':
      return channels(step, s)
    case 'resize':
      return { ...s, image: resizeStep(s.image, step, s.colours === 'rgba' || s.colours === 'grayAlpha') }
    case 'crop':
      return { ...s, image: cropTo(s.image, step) }
    case 'layout':
      return { kind: 'tensor', tensor: laidOut(s.image, step.to) }
  }
}

function channels(step: Of<'channels'>, s: Extract<State, { kind: 'image' }>): State {
  const library = step.library ?? 'pillow'
  const wasGray = s.colours === 'gray'
  // Pillow clips 16-bit gray at 255 where everyone else takes the high byte.
  const how = library === 'pillow' && wasGray ? 'clip' : 'high'
  const narrow = s.image.data instanceof Uint16Array ? toEightBits(s.image, how) : s.image
  const image: DecodedImage = { ...narrow, colours: s.colours, orientation: s.orientation }
  if (step.order === 'gray') {
    const gray = s.colours === 'cmyk' ? toGray(toRgb(image), library) : toGray(image, library)
    return { ...s, image: gray, colours: 'gray' }
  }
  const rgb = toRgb(image, library === 'opencv' ? 'opencv' : 'pillow')
  return { ...s, image: step.order === 'bgr' ? pickChannels(rgb, [2, 1, 0]) : rgb, colours: 'rgb' }
}

/** An image as [1, …] in the given order of axes. */
function laidOut(p: Pixels, to: 'NHWC' | 'NCHW' | 'NCWH'): Tensor {
  const { height, width, channels: count } = p
  if (to === 'NHWC') return asTensor(p)
  const data = samplesLike(p.data, p.data.length)
  let o = 0
  for (let c = 0; c < count; c++) {
    for (let a = 0; a < (to === 'NCHW' ? height : width); a++) {
      for (let b = 0; b < (to === 'NCHW' ? width : height); b++) {
        const pixel = to === 'NCHW' ? a * width + b : b * width + a
        data[o++] = p.data[pixel * count + c]!
      }
    }
  }
  return asTensor({ data }, to === 'NCHW' ? [1, count, height, width] : [1, count, width, height])
}

function asTensor(p: Pixels): Tensor
function asTensor(p: { data: Pixels['data'] }, shape: number[]): Tensor
function asTensor(p: Pixels | { data: Pixels['data'] }, shape?: number[]): Tensor {
  const { data } = p
  const dtype =
    data instanceof Uint8Array
      ? 'uint8'
      : data instanceof Uint16Array
        ? 'uint16'
        : data instanceof Int32Array
          ? 'int32'
          : 'float32'
  return tensor(dtype, shape ?? [1, (p as Pixels).height, (p as Pixels).width, (p as Pixels).channels], data)
}

const f = Math.fround

/** Each result is rounded to float32, as the libraries that work on float32 arrays do. */
function arithmeticStep(
  step: Of<'scale' | 'divideByMax' | 'normalize' | 'standardize'>,
  s: State,
  where: string,
): State {
  if (s.kind === 'sound') {
    return {
      kind: 'sound',
      sound: { ...s.sound, data: computed(step, s.sound.data, s.sound.channels, where) },
    }
  }
  if (s.kind === 'image') {
    return { ...s, image: { ...s.image, data: computed(step, s.image.data, s.image.channels, where) } }
  }
  if (step.do === 'normalize' && step.mean.length > 1) {
    throw new InputError(
      `${where}: normalize by channel comes before the layout, got a tensor [${s.tensor.shape}]`,
    )
  }
  const values = Float32Array.from({ length: s.tensor.data.length }, (_, i) => at(s.tensor, i))
  return { kind: 'tensor', tensor: tensor('float32', s.tensor.shape, computed(step, values, 1, where)) }
}

function computed(
  step: Of<'scale' | 'divideByMax' | 'normalize' | 'standardize'>,
  x: ArrayLike<number>,
  count: number,
  where: string,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(x.length)
  switch (step.do) {
    case 'scale': {
      const [divide, multiply, add] = [step.divide ?? 1, step.multiply ?? 1, step.add ?? 0].map(f) as [
        number,
        number,
        number,
      ]
      for (let i = 0; i < x.length; i++) out[i] = f(f(f(x[i]! / divide) * multiply) + add)
      return out
    }
    case 'divideByMax': {
      let max = -Infinity
      for (let i = 0; i < x.length; i++) max = Math.max(max, x[i]!)
      for (let i = 0; i < x.length; i++) out[i] = max === 0 ? 0 : x[i]! / max
      return out
    }
    case 'normalize': {
      if (![1, count].includes(step.mean.length) || ![1, count].includes(step.std.length)) {
        throw new InputError(
          `${where}: normalize by ${step.mean.length} means and ${step.std.length} deviations, expected 1 or ${count} channels`,
        )
      }
      const mean = Array.from({ length: count }, (_, c) => f(step.mean[c % step.mean.length]!))
      const std = Array.from({ length: count }, (_, c) => f(step.std[c % step.std.length]!))
      if (std.includes(0)) throw new InputError(`${where}: normalize by a deviation of 0`)
      for (let i = 0; i < x.length; i++) out[i] = f(x[i]! - mean[i % count]!) / std[i % count]!
      return out
    }
    case 'standardize': {
      let sum = 0
      for (let i = 0; i < x.length; i++) sum += x[i]!
      const mean = sum / x.length
      let squares = 0
      for (let i = 0; i < x.length; i++) squares += (x[i]! - mean) ** 2
      const deviation = Math.max(Math.sqrt(squares / x.length), 1 / Math.sqrt(x.length))
      for (let i = 0; i < x.length; i++) out[i] = (x[i]! - mean) / deviation
      return out
    }
  }
}

function soundStep(step: Of<'mono' | 'resample' | 'length' | 'features'>, sound: Sound): State {
  switch (step.do) {
    case 'mono':
      return { kind: 'sound', sound: toMono(sound) }
    case 'resample': {
      const parts = Array.from({ length: sound.channels }, (_, c) =>
        resampleAudio(channelOf(sound, c), sound.rate, step.rate, step.method),
      )
      const data = new Float32Array(parts[0]!.length * sound.channels)
      parts.forEach((p, c) => {
        for (let i = 0; i < p.length; i++) data[i * sound.channels + c] = p[i]!
      })
      return { kind: 'sound', sound: { rate: step.rate, channels: sound.channels, data } }
    }
    case 'length': {
      const data = new Float32Array(step.samples * sound.channels)
      data.set(sound.data.subarray(0, data.length))
      return { kind: 'sound', sound: { ...sound, data } }
    }
    case 'features': {
      const { do: _, ...rest } = step
      const given = Object.fromEntries(Object.entries(rest).filter(([, v]) => v !== undefined)) as typeof rest
      const options = featureDefaults(given as Parameters<typeof featureDefaults>[0], sound.rate)
      const m = audioFeatures(toMono(sound).data, sound.rate, options)
      return { kind: 'tensor', tensor: tensor('float32', [1, m.rows, m.columns], Float32Array.from(m.data)) }
    }
  }
}

const channelOf = (s: Sound, c: number): Float32Array =>
  Float32Array.from({ length: s.data.length / s.channels }, (_, i) => s.data[i * s.channels + c]!)

/** An image without a layout step is NHWC; a sound is [1, samples], or [1, samples, channels]. */
function finish(s: State): Tensor {
  if (s.kind === 'tensor') return s.tensor
  if (s.kind === 'image') return asTensor(s.image)
  const { data, channels: count } = s.sound
  return tensor(
    'float32',
    count === 1 ? [1, data.length] : [1, data.length / count, count],
    Float32Array.from(data),
  )
}

function cast(t: Tensor, dtype: Of<'cast'>['dtype']): Tensor {
  if (t.dtype === dtype) return t
  const data = allocate(dtype, t.data.length)
  for (let i = 0; i < t.data.length; i++) store(dtype, data, i, at(t, i))
  return tensor(dtype, t.shape, data)
}

const ranges = { int8: [-128, 127], uint8: [0, 255], int16: [-32768, 32767], uint16: [0, 65535] } as const

function quantize(t: Tensor, step: Of<'quantize'>): Tensor {
  const data = allocate(step.dtype, t.data.length)
  const [low, high] = ranges[step.dtype]
  const scale = f(step.scale)
  for (let i = 0; i < t.data.length; i++) {
    const q = roundEven(f(at(t, i) / scale)) + step.zeroPoint
    store(step.dtype, data, i, Math.min(high, Math.max(low, q)))
  }
  return tensor(step.dtype, t.shape, data)
}

function reshape(t: Tensor, to: readonly number[], where: string): Tensor {
  const known = to.reduce((n, d) => (d === -1 ? n : n * d), 1)
  const free = to.filter((d) => d === -1).length
  const shape = to.map((d) => (d === -1 ? t.data.length / known : d))
  if (free > 1 || !shape.every(Number.isInteger) || sizeOf(shape) !== t.data.length) {
    throw new InputError(`${where}: ${t.data.length} elements do not fit the shape [${to.join(', ')}]`)
  }
  return reshaped(t, shape)
}
