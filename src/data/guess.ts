// A guess at a network's preprocessing from what its file shows. Files rarely say it, and a wrong one looks like a fault
// of a runtime, so a guess always carries its reason and is always printed.

import type { DType } from '../core/dtype.ts'
import type { Preprocessing, Step } from './preprocessing.ts'
import { type PresetName, preset } from './presets.ts'

export type InputHints = {
  inputName: string
  /** −1 for a dimension that the file leaves open. */
  shape: readonly number[]
  dtype: DType
  /** 'onnx', 'tflite', 'tfjs', 'keras', 'pytorch' … */
  format?: string
  /** What the file says of the program that wrote it, such as 'pytorch 2.1' or 'tf2onnx'. */
  producer?: string
  /** Name of the file or of the graph. */
  model?: string
  /** The quantisation of the input, where the format has it. */
  quantization?: { scale: number; zeroPoint: number }
  /** The data is sound, so that an input that could be a picture is a spectrogram. */
  sound?: boolean
  /** What the network's own first operators want (input-range.ts). */
  range?: 'bytes' | 'unit'
}

export type Guess = { preprocessing: Preprocessing; reason: string }

/** A guess, with its reason as a sentence. */
export function guessPreprocessing(h: InputHints): Guess {
  if (h.sound) return guessSound(h)
  const image = imageForm(h.shape)
  if (!image) {
    const reason = `the input ${h.inputName} [${h.shape.join(', ')}] is not a picture: the data is taken as it is`
    return { preprocessing: { name: 'none', steps: castSteps(h) }, reason }
  }
  const { name, why } = chooseRule(h, image)
  const { layout, size, channels } = image
  const base = preset(name, { size, layout, channels })
  const picture = `a ${layout} picture of ${size[1]}×${size[0]} with ${channels} channel${channels > 1 ? 's' : ''}`
  return {
    preprocessing: { name: `${name} (a guess)`, steps: [...base.steps, ...castSteps(h)] },
    reason: `a guess: ${h.inputName} is ${picture}, ${why}`,
  }
}

type ImageForm = { layout: 'NHWC' | 'NCHW'; size: [number, number]; channels: 1 | 3 }

/** Rank 4, or 3 without the batch, with 1 or 3 channels on one side; an open side counts as 224. */
function imageForm(shape: readonly number[]): ImageForm | undefined {
  const s = shape.length === 3 ? [1, ...shape] : shape
  if (s.length !== 4) return undefined
  const open = (d: number): number => (d > 0 ? d : 224)
  const isChannels = (d: number): d is 1 | 3 => d === 1 || d === 3
  const [, a, b, c] = s as [number, number, number, number]
  if (isChannels(c) && (!isChannels(a) || b > 3))
    return { layout: 'NHWC', size: [open(a), open(b)], channels: c }
  if (isChannels(a)) return { layout: 'NCHW', size: [open(b), open(c)], channels: a }
  return undefined
}

function chooseRule(h: InputHints, image: ImageForm): { name: PresetName; why: string } {
  const text = `${h.model ?? ''} ${h.inputName}`.toLowerCase()
  const producer = (h.producer ?? '').toLowerCase()
  if (h.dtype === 'uint8') return { name: 'raw', why: 'and takes bytes: the network scales them itself' }
  if (h.range === 'bytes') return { name: 'raw', why: 'and the network begins by scaling bytes itself' }
  if (h.range === 'unit')
    return { name: 'unit', why: 'and the network begins by doubling its input: 0 to 1 to −1 to 1' }
  const quantized = h.dtype === 'int8' && h.quantization ? quantizedRule(h.quantization) : undefined
  if (quantized) return quantized
  if (image.channels === 1) return { name: 'unit', why: 'gray, for which 0 to 1 is most common' }
  const fromTorch = h.format === 'pytorch' || /torch/.test(producer)
  const keras = /keras|tensorflow|tf2onnx|tflite|tfjs|toco|mlir/.test(`${producer} ${h.format ?? ''}`)
  if (keras && !fromTorch) {
    if (/resnet_?v2|resnet\d+v2/.test(text))
      return { name: 'signed', why: 'from TensorFlow, a ResNetV2: −1 to 1' }
    if (/vgg|resnet/.test(text))
      return { name: 'keras-caffe', why: "from TensorFlow, and ResNet and VGG use Keras' caffe mode" }
    if (/densenet/.test(text))
      return { name: 'keras-torch', why: "from TensorFlow, and DenseNet uses Keras' torch mode" }
    if (/efficientnet|mobilenet_?v3|convnext/.test(text) && !/lite/.test(text)) {
      return { name: 'raw', why: 'from TensorFlow, and this family scales its input itself' }
    }
    if (/nsfw/.test(text)) return { name: 'unit', why: 'and the nsfwjs networks take 0 to 1' }
    return { name: 'signed', why: 'from TensorFlow, where most networks take −1 to 1' }
  }
  if (fromTorch || image.layout === 'NCHW') {
    return {
      name: 'torchvision',
      why: `${fromTorch ? 'from PyTorch' : 'channels first as in PyTorch'}, where most take ImageNet's mean and deviation`,
    }
  }
  return { name: 'signed', why: 'channels last as in TensorFlow, where most networks take −1 to 1' }
}

/** What brings float values to the input's own type. */
function castSteps(h: InputHints): Step[] {
  if (h.dtype === 'float32' || h.dtype === 'string' || h.dtype === 'uint8') return []
  if (h.dtype === 'int8' && h.quantization) return [{ do: 'quantize', dtype: 'int8', ...h.quantization }]
  return [{ do: 'cast', dtype: h.dtype }]
}

/** Speech networks nearly always hear 16 kHz. */
const RATE = 16000

/** Samples themselves, or features [frames, bins] with 1s around them: the layouts of keyword spotting. */
function guessSound(h: InputHints): Guess {
  const sides = h.shape.slice(1).filter((d) => d !== 1)
  const listen: Step[] = [{ do: 'mono' }, { do: 'resample', rate: RATE, method: 'soxr_hq' }]
  const shape: Step = { do: 'shape', to: h.shape.map((d, i) => (d > 0 ? d : i === 0 ? 1 : -1)) }
  const done = (name: string, steps: Step[], why: string): Guess => ({
    preprocessing: { name: `${name} (a guess)`, steps: [...steps, ...castSteps(h)] },
    reason: `a guess: the data is sound, and ${h.inputName} [${h.shape.join(', ')}] ${why}`,
  })
  const open = h.shape.slice(1).filter((d) => d < 0).length
  if (sides.length === 1 && (sides[0]! < 0 || sides[0]! >= 4000)) {
    const cut: Step[] = sides[0]! > 0 ? [{ do: 'length', samples: sides[0]! }] : []
    return done('samples', [...listen, ...cut, shape], 'takes samples, most often at 16 kHz')
  }
  if (sides.length === 2 && open <= 1) {
    const [frames, bins] = sides as [number, number]
    // 98 to 101 frames a second are 10 ms steps; 49 are the 30 and 20 ms of Speech Commands.
    const short = frames >= 96 && frames <= 101
    const window = short ? 400 : 480
    const hop = short ? 160 : 320
    const cut: Step[] = frames > 0 ? [{ do: 'length', samples: window + (frames - 1) * hop }] : []
    const cepstra = bins > 0 && bins <= 20
    const features: Step = cepstra
      ? { do: 'features', convention: 'speech-commands', kind: 'mfcc', window, hop, coefficients: bins }
      : {
          do: 'features',
          convention: 'tensorflow',
          kind: 'log-mel',
          window,
          hop,
          ...(bins > 0 ? { mels: bins } : {}),
        }
    const what = cepstra ? `${bins} cepstral coefficients` : `${bins > 0 ? bins : 40} mel bands`
    return done(
      cepstra ? 'mfcc' : 'log-mel',
      [...listen, ...cut, features, shape],
      `has the form of ${what} a frame, as TensorFlow's keyword spotting makes them`,
    )
  }
  return done('none', [], 'has no form that is known: the samples are taken as they are')
}

/** The quantisation of an 8-bit input spans the values that the network was calibrated with. */
function quantizedRule(q: {
  scale: number
  zeroPoint: number
}): { name: PresetName; why: string } | undefined {
  const low = q.scale * (-128 - q.zeroPoint)
  const high = q.scale * (127 - q.zeroPoint)
  const spans = (a: number, b: number): boolean =>
    Math.abs(low - a) < 0.05 * (b - a) && Math.abs(high - b) < 0.05 * (b - a)
  const why = `quantised over ${Number(low.toFixed(3))} to ${Number(high.toFixed(3))}`
  if (spans(-1, 1)) return { name: 'signed', why }
  if (spans(0, 1)) return { name: 'unit', why }
  if (spans(0, 255)) return { name: 'raw', why }
  // (0 − 0.485) / 0.229 and (1 − 0.406) / 0.225 are the ends of ImageNet's normalisation.
  if (spans(-2.118, 2.64)) return { name: 'torchvision', why }
  return undefined
}
