// Preprocessing known by name: what the families of published networks were trained with, and the rules that the
// differential-testing study DeltaNN applied (its section 2.7 in our notes), mistakes included.

import { InputError } from '../core/errors.ts'
import type { Preprocessing, Step } from './preprocessing.ts'

export type PresetOptions = {
  /** Height and width of the network's input. */
  size: readonly [height: number, width: number]
  layout: 'NHWC' | 'NCHW'
  channels?: 1 | 3
}

type Preset = { says: string; steps: (o: PresetOptions) => Step[] }

const imagenetMean = [0.485, 0.456, 0.406]
const imagenetStd = [0.229, 0.224, 0.225]

const decode: Step = { do: 'decode' }
const order = (o: PresetOptions): Step => ({ do: 'channels', order: o.channels === 1 ? 'gray' : 'rgb' })
const both = (o: PresetOptions): [number, number] => [o.size[0], o.size[1]]
const stretch = (o: PresetOptions, filter: 'bilinear' | 'bicubic' | 'nearest'): Step => ({
  do: 'resize',
  library: 'pillow',
  filter,
  size: both(o),
})
/** Shorter side by 256/224 of the input, then its middle: the usual evaluation on ImageNet. */
const shortThenMiddle = (o: PresetOptions): Step[] => [
  {
    do: 'resize',
    library: 'pillow',
    filter: 'bilinear',
    short: Math.round((Math.max(...o.size) * 256) / 224),
  },
  { do: 'crop', size: both(o) },
]
const layout = (o: PresetOptions): Step => ({ do: 'layout', to: o.layout })
const unit: Step = { do: 'scale', divide: 255 }
const signed: Step = { do: 'scale', divide: 127.5, add: -1 }
const imagenet: Step[] = [unit, { do: 'normalize', mean: imagenetMean, std: imagenetStd }]
const minus = (mean: number[]): Step => ({ do: 'normalize', mean, std: [1] })

/** DeltaNN opens a file with Pillow and resizes it with Pillow's default filter before any rule. */
const deltann = (o: PresetOptions, ...rule: Step[]): Step[] => [
  decode,
  order(o),
  stretch(o, 'bicubic'),
  ...rule,
  layout(o),
]
const deltannTorch = (o: PresetOptions): Step[] => [
  { do: 'resize', library: 'pillow', filter: 'bilinear', short: 256 },
  { do: 'crop', size: both(o) },
]

const table = {
  raw: {
    says: 'bytes as they are, resized to the input',
    steps: (o) => [decode, order(o), stretch(o, 'bilinear'), layout(o)],
  },
  unit: {
    says: 'values from 0 to 1',
    steps: (o) => [decode, order(o), stretch(o, 'bilinear'), unit, layout(o)],
  },
  signed: {
    says: "values from −1 to 1: Keras mode 'tf' (MobileNet, Inception, ResNetV2, Xception, NASNet) and TF-slim",
    steps: (o) => [decode, order(o), stretch(o, 'nearest'), signed, layout(o)],
  },
  torchvision: {
    says: 'torchvision evaluation: shorter side 256, middle 224, ImageNet mean and deviation',
    steps: (o) => [decode, order(o), ...shortThenMiddle(o), ...imagenet, layout(o)],
  },
  'keras-torch': {
    says: "Keras mode 'torch' (DenseNet): 0 to 1, then ImageNet mean and deviation",
    steps: (o) => [decode, order(o), stretch(o, 'nearest'), ...imagenet, layout(o)],
  },
  'keras-caffe': {
    says: "Keras mode 'caffe' (ResNet, VGG): BGR minus ImageNet's mean colour, not scaled",
    steps: (o) => [
      decode,
      { do: 'channels', order: 'bgr' },
      stretch(o, 'nearest'),
      minus([103.939, 116.779, 123.68]),
      layout(o),
    ],
  },
  mnist: {
    says: "MNIST by torch's example: 0 to 1, mean 0.1307, deviation 0.3081",
    steps: (o) => [
      decode,
      { do: 'channels', order: 'gray' },
      stretch(o, 'bilinear'),
      unit,
      { do: 'normalize', mean: [0.1307], std: [0.3081] },
      layout(o),
    ],
  },
  'deltann-keras': {
    says: "DeltaNN, Keras: the module's own rule, −1 to 1 for its three networks",
    steps: (o) => deltann(o, signed),
  },
  'deltann-torch': {
    says: 'DeltaNN, PyTorch: resized twice, then ImageNet mean and deviation',
    steps: (o) => deltann(o, ...deltannTorch(o), ...imagenet),
  },
  'deltann-mobilenet': {
    says: 'DeltaNN, TF, TFLite and ONNX, names with mobilenet or shufflenet: ImageNet mean and deviation',
    steps: (o) => deltann(o, ...imagenet),
  },
  'deltann-inception': {
    says: 'DeltaNN, TF, TFLite and ONNX, names with inceptionv3 or resnet: (x/255 − 0.5)·2',
    steps: (o) => deltann(o, { do: 'scale', divide: 255, add: -0.5 }, { do: 'scale', multiply: 2 }),
  },
  'deltann-googlenet': {
    says: 'DeltaNN, names with googlenet: minus the mean colour, then RGB to BGR',
    steps: (o) => [
      decode,
      { do: 'channels', order: 'bgr' },
      stretch(o, 'bicubic'),
      minus([103.939, 116.779, 123.68]),
      layout(o),
    ],
  },
  'deltann-densenet': {
    says: 'DeltaNN, names with densenet: resized and cropped as VGG, minus the mean colour',
    steps: (o) => deltann(o, ...deltannTorch(o), minus([123.68, 116.78, 103.94])),
  },
  'deltann-densenet-scaled': {
    says: "DeltaNN, densenet's other variant: also times 0.017",
    steps: (o) =>
      deltann(o, ...deltannTorch(o), minus([123.68, 116.78, 103.94]), { do: 'scale', multiply: 0.017 }),
  },
  'deltann-tflite-mobilenet': {
    says: 'DeltaNN, native TFLite path: divided by the largest value, then ImageNet mean and deviation',
    steps: (o) =>
      deltann(o, { do: 'divideByMax' }, { do: 'normalize', mean: imagenetMean, std: imagenetStd }),
  },
} satisfies Record<string, Preset>

export type PresetName = keyof typeof table
export const presets: Readonly<Record<PresetName, Preset>> = table

/** The preprocessing of that name for an input of the given size. */
export function preset(name: string, o: PresetOptions): Preprocessing {
  const found = Object.hasOwn(table, name) ? presets[name as PresetName] : undefined
  if (!found) {
    throw new InputError(
      `preprocessing ${JSON.stringify(name)}: not known, expected one of ${Object.keys(table).join(', ')}`,
    )
  }
  return { name, steps: found.steps(o) }
}

/** The rule that DeltaNN applies to a network: by the library it came from (a conversion's source) and its name. */
export function deltannPreset(
  library: 'keras' | 'torch' | 'tf' | 'tflite' | 'onnx',
  model: string,
): PresetName {
  if (library === 'keras') return 'deltann-keras'
  if (library === 'torch') return 'deltann-torch'
  if (/mobilenet|shufflenet/i.test(model)) return 'deltann-mobilenet'
  if (/inception_?v3|resnet/i.test(model)) return 'deltann-inception'
  if (/googlenet/i.test(model)) return 'deltann-googlenet'
  if (/densenet/i.test(model)) return 'deltann-densenet'
  throw new InputError(`DeltaNN has no preprocessing rule for ${library} ${model}`)
}
