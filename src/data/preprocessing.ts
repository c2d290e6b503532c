// Preprocessing as data: a JSON document of steps that take a sample to a network's input. What a step may say is
// checked here; what it does is in steps.ts; documents known by name are in presets.ts.

import { z } from 'zod'
import { dtypes } from '../core/dtype.ts'
import { InputError } from '../core/errors.ts'
import { conventions } from './audio-features.ts'
import { resamplers } from './audio-resample.ts'
import { opencvMethods } from './resize-opencv.ts'
import { pillowFilters } from './resize-pillow.ts'
import { tensorflowMethods } from './resize-tensorflow.ts'
import { torchModes } from './resize-torch.ts'
import { windows } from './spectrum.ts'

/** Sides of an image that a step may make; larger ones would only exhaust memory. */
const side = z.int().min(1).max(16384)
/** Height and width. */
const size = z.tuple([side, side])
const channelValues = z.array(z.number()).min(1).max(4)
const positive = z.int().min(1)

/** The target of a resize: both sides, or the shorter one with the longer in proportion (torchvision). */
const target = {
  size: size.optional(),
  short: side.optional(),
  /** With `short`: the longer side at most. */
  longest: side.optional(),
  /**
   * How `size` is reached when the proportions differ: `stretch`; `crop` the middle first (Keras,
   * crop_to_aspect_ratio); `pad` first (Keras) with `fill`; `letterbox` after (tf.image.resize_with_pad); `inside`
   * keeps the proportions and may be smaller (tf.image.resize, preserve_aspect_ratio).
   */
  fit: z.enum(['stretch', 'crop', 'pad', 'letterbox', 'inside']).optional(),
  fill: z.number().optional(),
}

const resize = z.discriminatedUnion('library', [
  z.strictObject({
    do: z.literal('resize'),
    library: z.literal('pillow'),
    filter: z.enum(pillowFilters),
    ...target,
    reducingGap: z.number().min(1).optional(),
    /** Pillow 12 and before: always the width first. */
    widthFirst: z.boolean().optional(),
  }),
  z.strictObject({
    do: z.literal('resize'),
    library: z.literal('opencv'),
    method: z.enum(opencvMethods),
    ...target,
  }),
  z.strictObject({
    do: z.literal('resize'),
    library: z.literal('tensorflow'),
    method: z.enum(tensorflowMethods),
    ...target,
    antialias: z.boolean().optional(),
    v1: z.strictObject({ alignCorners: z.boolean(), halfPixelCenters: z.boolean() }).optional(),
  }),
  z.strictObject({
    do: z.literal('resize'),
    library: z.literal('torch'),
    mode: z.enum(torchModes),
    ...target,
    antialias: z.boolean().optional(),
    alignCorners: z.boolean().optional(),
    integer: z.boolean().optional(),
  }),
])

const step = z.union([
  z.strictObject({
    do: z.literal('decode'),
    /** The cosine transform of libjpeg: `fast` is TensorFlow's default, `accurate` everyone else's. */
    jpeg: z.enum(['accurate', 'fast']).optional(),
    fancy: z.boolean().optional(),
    /** Turn the picture upright by its EXIF tag: OpenCV does, Pillow, torchvision and TensorFlow don't. */
    upright: z.boolean().optional(),
  }),
  z.strictObject({
    do: z.literal('channels'),
    order: z.enum(['rgb', 'bgr', 'gray']),
    /** Whose weights make gray, and whose rule turns CMYK and 16 bits into RGB. */
    library: z.enum(['pillow', 'opencv', 'tensorflow', 'torch']).optional(),
  }),
  resize,
  z.strictObject({
    do: z.literal('crop'),
    size: size.optional(),
    /** tf.image.central_crop: the middle part of each side. */
    fraction: z.number().gt(0).max(1).optional(),
    /** Where the middle is, and what an image too small becomes: padded with 0 (torch, tensorflow) or resized (keras). */
    library: z.enum(['torch', 'keras', 'tensorflow']).optional(),
  }),
  /** x / divide · multiply + add, in float32, in that order. */
  z.strictObject({
    do: z.literal('scale'),
    divide: z
      .number()
      .refine((x) => x !== 0, 'must not be 0')
      .optional(),
    multiply: z.number().optional(),
    add: z.number().optional(),
  }),
  /** x divided by the largest value of the image. */
  z.strictObject({ do: z.literal('divideByMax') }),
  /** (x − mean) / std for each channel, in float32. */
  z.strictObject({ do: z.literal('normalize'), mean: channelValues, std: channelValues }),
  /** tf.image.per_image_standardization. */
  z.strictObject({ do: z.literal('standardize') }),
  /** `NCWH` also swaps height and width: a mistake that is worth reproducing. */
  z.strictObject({ do: z.literal('layout'), to: z.enum(['NHWC', 'NCHW', 'NCWH']) }),
  z.strictObject({ do: z.literal('cast'), dtype: z.enum(dtypes).exclude(['string']) }),
  /** round(x / scale) + zeroPoint, halves to even, clipped to the type: a quantised network's input. */
  z.strictObject({
    do: z.literal('quantize'),
    dtype: z.enum(['int8', 'uint8', 'int16', 'uint16']),
    scale: z.number().gt(0),
    zeroPoint: z.int(),
  }),
  /** The same elements in another shape; −1 once, for what is left. */
  z.strictObject({ do: z.literal('shape'), to: z.array(z.int().min(-1)).max(8) }),
  z.strictObject({ do: z.literal('mono') }),
  z.strictObject({ do: z.literal('resample'), rate: positive.max(1e6), method: z.enum(resamplers) }),
  /** Cut or filled with zeros at the end to this many samples. */
  z.strictObject({ do: z.literal('length'), samples: positive.max(1e8) }),
  z.strictObject({
    do: z.literal('features'),
    convention: z.enum(conventions),
    kind: z.enum(['spectrogram', 'mel', 'log-mel', 'mfcc']),
    window: positive.max(1 << 20).optional(),
    hop: positive.optional(),
    fft: positive.max(1 << 20).optional(),
    mels: positive.max(4096).optional(),
    low: z.number().min(0).optional(),
    high: z.number().optional(),
    coefficients: positive.max(4096).optional(),
    center: z.boolean().optional(),
    pad: z.enum(['zeros', 'reflect']).optional(),
    scale: z.enum(['slaney', 'htk']).optional(),
    area: z.boolean().optional(),
    power: z.number().gt(0).optional(),
    topDb: z.number().gt(0).optional(),
    logarithm: z.enum(['decibel', 'log']).optional(),
    lifter: z.number().min(0).optional(),
    dct: z.enum(['ortho', 'unscaled']).optional(),
    offset: z.number().gt(0).optional(),
    windowName: z.enum(windows).optional(),
    preEmphasis: z.number().optional(),
    snipEdges: z.boolean().optional(),
    useEnergy: z.boolean().optional(),
  }),
])

const preprocessingSchema = z.strictObject({
  name: z.string().optional(),
  steps: z.array(step).max(64),
})

export type Step = z.infer<typeof step>
export type ResizeStep = z.infer<typeof resize>
export type Preprocessing = z.infer<typeof preprocessingSchema>

/** Checks a preprocessing document; throws InputError that names what is wrong and where. */
export function parsePreprocessing(document: unknown, where: string): Preprocessing {
  const result = preprocessingSchema.safeParse(document)
  if (result.success) return result.data
  const issues = result.error.issues.slice(0, 3).map((i) => {
    const at = i.path.length > 0 ? i.path.join('.') : 'the document'
    return `${at}: ${i.code === 'invalid_union' ? unionMessage(document, i.path) : i.message}`
  })
  throw new InputError(`${where}: not a preprocessing document: ${issues.join('; ')}`)
}

const table: Record<Step['do'], true> = {
  decode: true,
  channels: true,
  resize: true,
  crop: true,
  scale: true,
  divideByMax: true,
  normalize: true,
  standardize: true,
  layout: true,
  cast: true,
  quantize: true,
  shape: true,
  mono: true,
  resample: true,
  length: true,
  features: true,
}

/** Everything that a step can do. */
export const verbs: readonly string[] = Object.keys(table)

/** zod says only that no alternative fits: say which step is meant and what it may be. */
function unionMessage(document: unknown, path: readonly PropertyKey[]): string {
  const value = path.reduce(
    (v: unknown, key) => (v as Record<PropertyKey, unknown> | undefined)?.[key],
    document,
  )
  const verb = (value as { do?: unknown } | undefined)?.do
  if (typeof verb !== 'string' || !verbs.includes(verb)) {
    return `expected a step that does one of ${verbs.join(', ')}, got ${JSON.stringify(verb)}`
  }
  return `the options of ${verb} do not fit: ${JSON.stringify(value)}`
}

/** One line a step, in the order of work. */
export function describePreprocessing(p: Preprocessing): string {
  if (p.steps.length === 0) return `${p.name ?? 'preprocessing'}: none, the data is the input`
  return [`${p.name ?? 'preprocessing'}:`, ...p.steps.map((s, i) => `  ${i + 1}. ${describeStep(s)}`)].join(
    '\n',
  )
}

function describeStep(s: Step): string {
  switch (s.do) {
    case 'decode': {
      const how = [s.jpeg === 'fast' ? 'fast integer JPEG transform' : 'accurate integer JPEG transform']
      if (s.fancy === false) how.push('no smooth enlarging of colour')
      how.push(s.upright ? 'turned upright by EXIF' : 'as stored, EXIF ignored')
      return `decode (${how.join(', ')})`
    }
    case 'channels':
      return `channels in the order ${s.order}${s.order === 'gray' ? ` by the weights of ${s.library ?? 'pillow'}` : ''}`
    case 'resize':
      return `resize to ${describeTarget(s)} by ${s.library} ${describeMethod(s)}`
    case 'crop':
      return s.size
        ? `crop the middle ${s.size[0]}×${s.size[1]}`
        : `crop the middle ${s.fraction ?? 1} of each side`
    case 'scale': {
      const parts = ['x']
      if (s.divide !== undefined) parts.push(`/ ${s.divide}`)
      if (s.multiply !== undefined) parts.push(`· ${s.multiply}`)
      if (s.add !== undefined) parts.push(s.add < 0 ? `− ${-s.add}` : `+ ${s.add}`)
      return `scale: ${parts.join(' ')}`
    }
    case 'divideByMax':
      return 'divide by the largest value'
    case 'normalize':
      return `normalize: (x − [${s.mean.join(', ')}]) / [${s.std.join(', ')}]`
    case 'standardize':
      return 'standardize each image to mean 0 and deviation 1'
    case 'layout':
      return `layout ${s.to}${s.to === 'NCWH' ? ' (height and width swapped)' : ''}`
    case 'cast':
      return `cast to ${s.dtype}`
    case 'quantize':
      return `quantize to ${s.dtype}: round(x / ${s.scale}) + ${s.zeroPoint}`
    case 'shape':
      return `shape [${s.to.join(', ')}]`
    case 'mono':
      return 'mean of the sound channels'
    case 'resample':
      return `resample to ${s.rate} Hz by ${s.method}`
    case 'length':
      return `cut or fill with silence to ${s.samples} samples`
    case 'features': {
      const { do: _, convention, kind, ...rest } = s
      const given = Object.entries(rest).map(([k, v]) => `${k} ${v}`)
      return `${kind} as ${convention}${given.length > 0 ? ` (${given.join(', ')})` : ''}`
    }
  }
}

function describeTarget(s: ResizeStep): string {
  if (s.short !== undefined)
    return `a shorter side of ${s.short}${s.longest ? `, the longer at most ${s.longest}` : ''}`
  return s.size ? `${s.size[0]}×${s.size[1]}${s.fit && s.fit !== 'stretch' ? ` (${s.fit})` : ''}` : 'nothing'
}

function describeMethod(s: ResizeStep): string {
  switch (s.library) {
    case 'pillow':
      return (
        s.filter +
        (s.reducingGap ? `, reducing gap ${s.reducingGap}` : '') +
        (s.widthFirst ? ', width first' : '')
      )
    case 'opencv':
      return s.method
    case 'tensorflow':
      return (
        s.method +
        (s.antialias ? ', smoothed' : '') +
        (s.v1 ? ` (v1, corners ${s.v1.alignCorners}, half-pixel ${s.v1.halfPixelCenters})` : '')
      )
    case 'torch':
      return s.mode + (s.antialias ? ', smoothed' : '') + (s.alignCorners ? ', corners aligned' : '')
  }
}
