// The built-in architectures by name, with the published numbers that they are held to.

import type { Tensor } from '../core/tensor.ts'
import type { Graph } from '../ir/types.ts'
import { calibrate } from './calibrate.ts'
import { Net, type Statistics } from './net.ts'
import { densenet, inceptionV2, inceptionV3, unet } from './nets/branched.ts'
import { efficientnetB0, efficientnetLite4, mobilenetV1, mobilenetV2, shufflenetV2 } from './nets/mobile.ts'
import { alexnet, dsCnn, squeezenet, vgg16 } from './nets/plain.ts'
import { resnet, resnet8, resnet32 } from './nets/residual.ts'
import { bertTiny } from './nets/transformer.ts'
import type { InputHint } from './packages.ts'

export type Built = { readonly graph: Graph; readonly trainable: number; readonly statistics: number }

export type Architecture = {
  readonly doc: string
  readonly input: InputHint
  /** Published trainable parameters (batch normalisation's statistics apart) and multiply-accumulates of one input. */
  readonly parameters: number
  /** null: no figure was published for this size that counts what we count. */
  readonly macs: number | null
  /** The network with its weights; `outline`: with zeros for them and nothing calibrated, for shapes and costs. */
  build(options?: { readonly outline?: boolean }): Built
}

type Draw = (n: Net, size: number) => Graph
type Options = {
  readonly doc: string
  /** Height and width of the input. */
  readonly size: number
  /** Size at which batch normalisation is calibrated; absent: there is none. */
  readonly calibrated?: number
  readonly parameters: number
  readonly macs: number | null
  readonly input?: InputHint
}

const imageHint = (size: number): InputHint => ({
  order: 'RGB',
  says: `[batch, 3, ${size}, ${size}], each channel of mean 0 and deviation 1`,
})

function architecture(name: string, draw: Draw, o: Options): [string, Architecture] {
  return [
    name,
    {
      doc: o.doc,
      input: o.input ?? imageHint(o.size),
      parameters: o.parameters,
      macs: o.macs,
      build({ outline = false } = {}) {
        const weights = new Map<string, Tensor>()
        let known: ReadonlyMap<string, Statistics> = new Map()
        if (o.calibrated && !outline) {
          const small = draw(new Net(name, known, weights), o.calibrated)
          known = calibrate(small)
        }
        const net = new Net(name, known, weights, outline)
        const graph = draw(net, o.size)
        return { graph, trainable: net.trainable, statistics: net.statistics }
      },
    },
  ]
}

export const architectures: Readonly<Record<string, Architecture>> = Object.fromEntries([
  architecture('resnet-8', resnet8, {
    doc: 'ResNet-8 of MLPerf Tiny, 10 classes',
    size: 32,
    calibrated: 32,
    parameters: 78186,
    macs: 12.5e6,
  }),
  architecture('resnet-18', resnet([2, 2, 2, 2], false), {
    doc: 'ResNet-18',
    size: 224,
    calibrated: 96,
    parameters: 11689512,
    macs: 1.814e9,
  }),
  architecture('resnet-32', resnet32, {
    doc: 'ResNet-32 for CIFAR-10',
    size: 32,
    calibrated: 32,
    parameters: 464154,
    macs: 69e6,
  }),
  architecture('resnet-50', resnet([3, 4, 6, 3], true), {
    doc: 'ResNet-50',
    size: 224,
    calibrated: 64,
    parameters: 25557032,
    macs: 4.089e9,
  }),
  architecture('resnet-101', resnet([3, 4, 23, 3], true), {
    doc: 'ResNet-101',
    size: 224,
    calibrated: 64,
    parameters: 44549160,
    macs: 7.801e9,
  }),
  architecture('resnet-152', resnet([3, 8, 36, 3], true), {
    doc: 'ResNet-152',
    size: 224,
    calibrated: 64,
    parameters: 60192808,
    macs: 11.514e9,
  }),
  architecture('vgg-16', vgg16, { doc: 'VGG-16', size: 224, parameters: 138357544, macs: 15.47e9 }),
  architecture('alexnet', alexnet, { doc: 'AlexNet', size: 224, parameters: 61100840, macs: 0.714e9 }),
  architecture('squeezenet', squeezenet('1.0'), {
    doc: 'SqueezeNet 1.0',
    size: 224,
    parameters: 1248424,
    macs: 0.819e9,
  }),
  architecture('squeezenet-1.1', squeezenet('1.1'), {
    doc: 'SqueezeNet 1.1',
    size: 224,
    parameters: 1235496,
    macs: 0.349e9,
  }),
  architecture('mobilenet-v1', mobilenetV1, {
    doc: 'MobileNetV1',
    size: 224,
    calibrated: 96,
    parameters: 4231976,
    macs: 0.569e9,
  }),
  architecture('mobilenet-v2', mobilenetV2, {
    doc: 'MobileNetV2',
    size: 224,
    calibrated: 96,
    parameters: 3504872,
    macs: 0.301e9,
  }),
  architecture('inception-v2', inceptionV2, {
    doc: 'BN-Inception (Inception V2)',
    size: 224,
    calibrated: 96,
    parameters: 11295240,
    macs: 2.048e9,
  }),
  architecture('inception-v3', inceptionV3, {
    doc: 'Inception V3',
    size: 299,
    calibrated: 107,
    parameters: 23834568,
    macs: 5.713e9,
  }),
  architecture('densenet-121', densenet(32, 64, [6, 12, 24, 16]), {
    doc: 'DenseNet-121',
    size: 224,
    calibrated: 64,
    parameters: 7978856,
    macs: 2.834e9,
  }),
  architecture('densenet-161', densenet(48, 96, [6, 12, 36, 24]), {
    doc: 'DenseNet-161',
    size: 224,
    calibrated: 64,
    parameters: 28681000,
    macs: 7.728e9,
  }),
  architecture('efficientnet-b0', efficientnetB0, {
    doc: 'EfficientNet-B0',
    size: 224,
    calibrated: 96,
    parameters: 5288548,
    macs: 0.386e9,
  }),
  architecture('efficientnet-lite4', efficientnetLite4, {
    doc: 'EfficientNet-Lite4',
    size: 300,
    calibrated: 96,
    parameters: 13006568,
    macs: 2.554e9,
  }),
  architecture('shufflenet-v2', shufflenetV2, {
    doc: 'ShuffleNetV2, width 1',
    size: 224,
    calibrated: 96,
    parameters: 2278604,
    macs: 0.145e9,
  }),
  architecture('ds-cnn', dsCnn, {
    doc: 'DS-CNN of MLPerf Tiny: 12 keywords from 49 × 10 cepstral coefficients',
    size: 49,
    calibrated: 49,
    parameters: 23756,
    macs: 2.66e6,
    input: { says: '[batch, 1, 49, 10]: 49 frames of 10 MFCC' },
  }),
  architecture('unet', unet, {
    doc: 'U-Net with batch normalisation, 2 classes a pixel',
    size: 256,
    calibrated: 32,
    parameters: 31037698,
    macs: null,
  }),
  architecture('bert-tiny', bertTiny, {
    doc: 'BERT-Tiny: a transformer encoder, 2 layers of 128',
    size: 128,
    parameters: 4385920,
    macs: 59e6,
    input: { says: '128 tokens, segments and a mask of 1 and 0' },
  }),
])
