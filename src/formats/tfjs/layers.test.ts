// Layers one by one: models made, saved and run by TensorFlow.js itself, read and evaluated by us.

import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, test } from 'vitest'
import { at, type Tensor } from '../../core/tensor.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { verify } from '../../ir/verify.ts'
import { readTfjs } from './read.ts'

beforeAll(async () => {
  await tf.setBackend('cpu')
  ;(tf.backend() as unknown as { firstUse: boolean }).firstUse = false
})

// Values that differ from element to element and are the same in every run (a Weyl sequence).
const values = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => (((i + 1) * 0.618034 + seed * 0.7548777) % 1) * 2 - 1)

/** Gives every weight values of its own; variances are positive. */
function fill(model: tf.LayersModel): void {
  model.setWeights(
    model.weights.map((w, i) => {
      const shape = w.shape as number[]
      const data = values(
        shape.reduce((a, b) => a * b, 1),
        i,
      )
      const positive = /variance/.test(w.originalName)
      return tf.tensor(positive ? data.map((v) => v * v + 0.5) : data.map((v) => v * 0.5), shape)
    }),
  )
}

async function saved(model: tf.LayersModel): Promise<ReturnType<typeof readTfjs>> {
  let artifacts: tf.io.ModelArtifacts | undefined
  await model.save(
    tf.io.withSaveHandler(async (a) => {
      artifacts = a
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } }
    }),
  )
  const document = {
    format: 'layers-model',
    modelTopology: artifacts!.modelTopology,
    weightsManifest: [{ paths: ['weights.bin'], weights: artifacts!.weightSpecs }],
  }
  return readTfjs(new TextEncoder().encode(JSON.stringify(document)), {
    where: 'model.json',
    shard: () => new Uint8Array(artifacts!.weightData as ArrayBuffer),
  })
}

type Draw = (x: tf.SymbolicTensor) => tf.SymbolicTensor | tf.SymbolicTensor[]
type Case = { shape: number[]; draw: Draw; tokens?: number; zeros?: boolean }
const of =
  (layer: tf.layers.Layer): Draw =>
  (x) =>
    layer.apply(x) as tf.SymbolicTensor

async function expectAgreement(c: Case): Promise<void> {
  const input = tf.input({ shape: c.shape, dtype: c.tokens ? 'int32' : 'float32' })
  const model = tf.model({ inputs: input, outputs: c.draw(input) })
  fill(model)
  const graph = await saved(model)
  expect(verify(graph)).toEqual([])
  const shape = [2, ...c.shape]
  const n = shape.reduce((a, b) => a * b, 1)
  const floats = values(n, 99)
  // Steps of zeros are padding to a masking layer.
  if (c.zeros) {
    const step = c.shape[1]!
    for (let i = 0; i < n; i++) if (Math.floor(i / step) % 3 === 1) floats[i] = 0
  }
  const data = c.tokens ? Int32Array.from(floats, (v) => Math.floor(((v + 1) / 2) * c.tokens!)) : floats
  const dtype = c.tokens ? 'int32' : 'float32'
  const predicted = model.predict(tf.tensor(data, shape, dtype)) as tf.Tensor | tf.Tensor[]
  const expected = Array.isArray(predicted) ? predicted : [predicted]
  const got = evaluate(graph, [{ dtype, shape, data }]) as Tensor[]
  expect(got.map((t) => t.shape)).toEqual(expected.map((t) => t.shape))
  expected.forEach((e, i) => {
    const want = e.dataSync()
    for (let k = 0; k < want.length; k++) {
      const difference = Math.abs(at(got[i]!, k) - want[k]!)
      // float32 sums of at most a few hundred terms.
      expect(difference).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(want[k]!)))
    }
  })
  model.dispose()
}

const l = tf.layers
const series = [7, 3]
const image = [8, 7, 4]
const volume = [4, 5, 6, 2]

const cases: Record<string, Case> = {
  'conv1d, same, dilated': {
    shape: series,
    draw: of(l.conv1d({ filters: 4, kernelSize: 3, padding: 'same', dilationRate: 2, activation: 'tanh' })),
  },
  'conv1d, same, stride 2': {
    shape: series,
    draw: of(l.conv1d({ filters: 4, kernelSize: 4, strides: 2, padding: 'same' })),
  },
  'conv2d, valid, uneven stride': {
    shape: image,
    draw: of(l.conv2d({ filters: 5, kernelSize: [3, 2], strides: [2, 1] })),
  },
  'conv2d, same, dilated, no bias': {
    shape: image,
    draw: of(l.conv2d({ filters: 5, kernelSize: 3, padding: 'same', dilationRate: 2, useBias: false })),
  },
  'conv2d, same, stride 2': {
    shape: image,
    draw: of(l.conv2d({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' })),
  },
  'conv2dTranspose, same': {
    shape: image,
    draw: of(l.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' })),
  },
  'conv2dTranspose, valid, stride over kernel': {
    shape: image,
    draw: of(l.conv2dTranspose({ filters: 3, kernelSize: 2, strides: 3, padding: 'valid' })),
  },
  'conv3d, same': { shape: volume, draw: of(l.conv3d({ filters: 3, kernelSize: 2, padding: 'same' })) },
  'depthwiseConv2d, multiplier 2': {
    shape: image,
    draw: of(l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same' })),
  },
  'separableConv2d, multiplier 2': {
    shape: image,
    draw: of(l.separableConv2d({ filters: 6, kernelSize: 3, depthMultiplier: 2, strides: 2 })),
  },
  cropping2D: {
    shape: image,
    draw: of(
      l.cropping2D({
        cropping: [
          [1, 2],
          [0, 3],
        ],
      }),
    ),
  },
  zeroPadding2d: {
    shape: image,
    draw: of(
      l.zeroPadding2d({
        padding: [
          [1, 2],
          [0, 3],
        ],
      }),
    ),
  },
  'upSampling2d, nearest': { shape: image, draw: of(l.upSampling2d({ size: [2, 3] })) },
  maxPooling1d: { shape: series, draw: of(l.maxPooling1d({ poolSize: 3, strides: 2, padding: 'same' })) },
  averagePooling1d: { shape: series, draw: of(l.averagePooling1d({ poolSize: 2 })) },
  'maxPooling2d, same': {
    shape: image,
    draw: of(l.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  },
  'averagePooling2d, same': {
    shape: image,
    draw: of(l.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  },
  averagePooling3d: { shape: volume, draw: of(l.averagePooling3d({ poolSize: 2 })) },
  maxPooling3d: { shape: volume, draw: of(l.maxPooling3d({ poolSize: 2, padding: 'same' })) },
  globalAveragePooling1d: { shape: series, draw: of(l.globalAveragePooling1d({})) },
  globalMaxPooling1d: { shape: series, draw: of(l.globalMaxPooling1d({})) },
  globalAveragePooling2d: { shape: image, draw: of(l.globalAveragePooling2d({})) },
  globalMaxPooling2d: { shape: image, draw: of(l.globalMaxPooling2d({})) },
  'dense over the last of three axes': { shape: series, draw: of(l.dense({ units: 5, activation: 'elu' })) },
  batchNormalization: { shape: image, draw: of(l.batchNormalization({ epsilon: 1e-2 })) },
  'batchNormalization, neither centre nor scale': {
    shape: image,
    draw: of(l.batchNormalization({ center: false, scale: false })),
  },
  layerNormalization: { shape: series, draw: of(l.layerNormalization({})) },
  flatten: { shape: image, draw: of(l.flatten({})) },
  permute: { shape: image, draw: of(l.permute({ dims: [3, 1, 2] })) },
  repeatVector: { shape: [5], draw: of(l.repeatVector({ n: 3 })) },
  'reshape with an open dimension': { shape: image, draw: of(l.reshape({ targetShape: [4, -1] })) },
  elu: { shape: [20], draw: of(l.elu({})) },
  leakyReLU: { shape: [20], draw: of(l.leakyReLU({ alpha: 0.2 })) },
  prelu: { shape: image, draw: of(l.prelu({ sharedAxes: [1, 2] })) },
  'reLU, limited': { shape: [20], draw: of(l.reLU({ maxValue: 0.5 })) },
  softmax: { shape: [20], draw: of(l.softmax({})) },
  thresholdedReLU: { shape: [20], draw: of(l.thresholdedReLU({ theta: 0.3 })) },
  dropout: { shape: [20], draw: of(l.dropout({ rate: 0.5 })) },
  'embedding, LSTM with a mask': {
    shape: [9],
    tokens: 4,
    draw: (x) =>
      l
        .lstm({ units: 3, returnSequences: true })
        .apply(l.embedding({ inputDim: 4, outputDim: 5, maskZero: true }).apply(x)) as tf.SymbolicTensor,
  },
  lstm: { shape: series, draw: of(l.lstm({ units: 4, recurrentActivation: 'sigmoid' })) },
  'lstm, hard sigmoid, backwards': {
    shape: series,
    draw: of(l.lstm({ units: 4, goBackwards: true, returnSequences: true })),
  },
  'lstm, states as outputs': {
    shape: series,
    draw: (x) => l.lstm({ units: 4, returnState: true }).apply(x) as tf.SymbolicTensor[],
  },
  gru: { shape: series, draw: of(l.gru({ units: 4, returnSequences: true })) },
  'gru with a mask': {
    shape: series,
    zeros: true,
    draw: (x) => l.gru({ units: 4 }).apply(l.masking({ maskValue: 0 }).apply(x)) as tf.SymbolicTensor,
  },
  simpleRNN: { shape: series, draw: of(l.simpleRNN({ units: 4, activation: 'relu' })) },
  ...Object.fromEntries(
    (['concat', 'sum', 'mul', 'ave'] as const).map((mergeMode) => [
      `bidirectional, ${mergeMode}`,
      {
        shape: series,
        draw: of(
          l.bidirectional({ layer: l.lstm({ units: 3, returnSequences: true }) as tf.RNN, mergeMode }),
        ),
      },
    ]),
  ),
  'timeDistributed dense': {
    shape: [3, 4, 5],
    draw: of(l.timeDistributed({ layer: l.dense({ units: 2 }) })),
  },
  'sums and products of two branches': {
    shape: [6],
    draw: (x) => {
      const [a, b] = [3, 3].map((units) => l.dense({ units }).apply(x) as tf.SymbolicTensor)
      const both = [a!, b!]
      return l
        .concatenate({})
        .apply([
          l.add({}).apply(both),
          l.multiply({}).apply(both),
          l.average({}).apply(both),
          l.maximum({}).apply(both),
          l.minimum({}).apply(both),
          l.dot({ axes: 1 }).apply(both),
          l.dot({ axes: 1, normalize: true }).apply(both),
        ] as tf.SymbolicTensor[]) as tf.SymbolicTensor
    },
  },
}

describe('layers as TensorFlow.js runs them', () => {
  for (const [name, c] of Object.entries(cases)) test(name, () => expectAgreement(c))
  for (const activation of [
    'elu',
    'hardSigmoid',
    'linear',
    'relu',
    'relu6',
    'selu',
    'sigmoid',
    'softmax',
    'softplus',
    'softsign',
    'tanh',
    'swish',
    'mish',
    'gelu',
  ] as const) {
    test(`activation ${activation}`, () =>
      expectAgreement({ shape: [20], draw: of(l.activation({ activation: activation as 'elu' })) }))
  }
})

test('a sequential model inside another, and a layer that is called twice', async () => {
  const inner = tf.sequential({
    layers: [l.dense({ units: 4, inputShape: [3], activation: 'tanh' }), l.dense({ units: 3 })],
  })
  const shared = l.dense({ units: 3 })
  await expectAgreement({
    shape: [3],
    draw: (x) => {
      const once = shared.apply(inner.apply(x)) as tf.SymbolicTensor
      return l.add({}).apply([once, shared.apply(x) as tf.SymbolicTensor]) as tf.SymbolicTensor
    },
  })
})
