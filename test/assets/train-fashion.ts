// Trains the small residual network of examples/fashion on Fashion-MNIST and writes it as a TensorFlow.js layers model, with 200
// test images beside it. Run: node test/assets/train-fashion.ts [data folder] [output folder] [epochs]
// The data are the four files of Fashion-MNIST (MIT licence); on Debian: apt-get install dataset-fashion-mnist.
//
// The wasm backend has no gradient of a convolution's filter: it is written here as a matrix product over shifted slices.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'

const [data = '/usr/share/datasets/fashion-mnist', output = 'examples/fashion', epochs = '3'] =
  process.argv.slice(2)
const BATCH = 128
const RATE = 4e-3
const IMAGES = 200
const EPSILON = 1e-3

const idx = (name: string): Uint8Array => gunzipSync(readFileSync(join(data, `${name}.gz`)))
const trainImages = idx('train-images-idx3-ubyte').subarray(16)
const trainLabels = idx('train-labels-idx1-ubyte').subarray(8)
const testImages = idx('t10k-images-idx3-ubyte')
const testLabels = idx('t10k-labels-idx1-ubyte')

const require = createRequire(import.meta.url)
setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`)
await tf.setBackend('wasm')

// A small generator (mulberry32): the same run twice gives the same network on the same machine.
let seed = 20240807
function random(): number {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

// The model as users get it. Widths 16, 16, 32, 48; the first convolution halves the image, then average pools do.
function build(): tf.LayersModel {
  const conv = (
    x: tf.SymbolicTensor,
    name: string,
    filters: number,
    kernelSize = 3,
    strides = 1,
  ): tf.SymbolicTensor =>
    tf.layers.conv2d({ name, filters, kernelSize, strides, padding: 'same', useBias: false }).apply(x) as never
  const norm = (x: tf.SymbolicTensor, name: string): tf.SymbolicTensor =>
    tf.layers.batchNormalization({ name, epsilon: EPSILON }).apply(x) as never
  const relu = (x: tf.SymbolicTensor, name: string): tf.SymbolicTensor =>
    tf.layers.reLU({ name }).apply(x) as never
  const pool = (x: tf.SymbolicTensor, name: string): tf.SymbolicTensor =>
    tf.layers.averagePooling2d({ name, poolSize: 2, strides: 2 }).apply(x) as never
  const input = tf.input({ shape: [28, 28, 1], name: 'image' })
  let x = relu(norm(conv(input, 'stem', 16, 3, 2), 'stem_norm'), 'stem_relu')
  for (const [i, filters] of [16, 32, 48].entries()) {
    const name = `block${i + 1}`
    if (i > 0) x = pool(x, `${name}_pool`)
    const a = relu(norm(conv(x, `${name}_a`, filters), `${name}_a_norm`), `${name}_a_relu`)
    const b = norm(conv(a, `${name}_b`, filters), `${name}_b_norm`)
    const beside = i === 0 ? x : norm(conv(x, `${name}_skip`, filters, 1), `${name}_skip_norm`)
    const sum = tf.layers.add({ name: `${name}_add` }).apply([b, beside]) as tf.SymbolicTensor
    x = relu(sum, `${name}_relu`)
  }
  const pooled = tf.layers.globalAveragePooling2d({ name: 'pool' }).apply(x) as tf.SymbolicTensor
  const logits = tf.layers.dense({ name: 'classes', units: 10, activation: 'softmax' }).apply(pooled)
  return tf.model({ inputs: input, outputs: logits as tf.SymbolicTensor, name: 'fashion' })
}

// The same network for training, on variables named like the model's weights.
const variables = new Map<string, tf.Variable>()
const averages = new Map<string, tf.Variable>()
function variable(name: string, make: () => tf.Tensor): tf.Variable {
  let v = variables.get(name)
  if (!v) {
    v = tf.variable(make(), true, `train/${name}`)
    variables.set(name, v)
  }
  return v
}

function normal(shape: readonly number[], deviation: number): tf.Tensor {
  const n = shape.reduce((a, b) => a * b, 1)
  const values = Float32Array.from(
    { length: n },
    () => deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  )
  return tf.tensor(values, shape as number[])
}

/** The 3×3 windows of every pixel beside one another: [n · h · w, 9 · c]. */
function columnsOf(x: tf.Tensor4D): tf.Tensor2D {
  const [n, h, w, c] = x.shape
  const padded = tf.pad(x, [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ])
  const shifted: tf.Tensor[] = []
  for (let dy = 0; dy < 3; dy++)
    for (let dx = 0; dx < 3; dx++) shifted.push(tf.slice(padded, [0, dy, dx, 0], [n, h, w, c]))
  return tf.concat(shifted, 3).reshape([n * h * w, 9 * c])
}

/** A convolution of stride 1 with the filter's gradient that the wasm backend lacks: columnsᵀ · dy. */
const convolve = tf.customGrad((...args) => {
  const [x, kernel, save] = args as unknown as [tf.Tensor4D, tf.Tensor4D, (saved: tf.Tensor[]) => void]
  save([x, kernel])
  return {
    value: tf.conv2d(x, kernel, 1, 'same'),
    gradFunc: (gradient: tf.Tensor, saved: tf.Tensor[]) => {
      const [from, filter, dy] = [saved[0], saved[1], gradient] as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D]
      const size = filter.shape[0]
      const columns =
        size === 3 ? columnsOf(from) : (from.reshape([-1, from.shape[3]]) as tf.Tensor2D)
      const rows = dy.reshape([-1, dy.shape[3]]) as tf.Tensor2D
      return [
        // The gradient of the input is a convolution with the filter turned about: faster here than the kernel made for it.
        tf.conv2d(dy, tf.transpose(tf.reverse(filter, [0, 1]), [0, 1, 3, 2]), 1, 'same'),
        tf.matMul(tf.transpose(columns), rows).reshape(filter.shape),
      ]
    },
  }
}) as (x: tf.Tensor, kernel: tf.Tensor) => tf.Tensor

function conv(x: tf.Tensor4D, name: string, filters: number, size = 3): tf.Tensor4D {
  const c = x.shape[3]
  const kernel = variable(`${name}/kernel`, () =>
    normal([size, size, c, filters], Math.sqrt(2 / (size * size * c))),
  )
  return convolve(x, kernel) as tf.Tensor4D
}

/** The first convolution, on the windows that it looks at: [n, 14, 14, 9]. */
function stem(windows: tf.Tensor4D): tf.Tensor4D {
  const kernel = variable('stem/kernel', () => normal([3, 3, 1, 16], Math.sqrt(2 / 9)))
  const n = windows.shape[0]
  return tf.matMul(windows.reshape([n * 196, 9]), kernel.reshape([9, 16])).reshape([n, 14, 14, 16])
}

function norm(x: tf.Tensor4D, name: string, momentum: number): tf.Tensor4D {
  const c = x.shape[3]
  const gamma = variable(`${name}/gamma`, () => tf.ones([c]))
  const beta = variable(`${name}/beta`, () => tf.zeros([c]))
  const mean = tf.mean(x, [0, 1, 2])
  const variance = tf.mean(tf.square(tf.sub(x, mean)), [0, 1, 2])
  for (const [key, value] of [
    ['moving_mean', mean],
    ['moving_variance', variance],
  ] as const) {
    const moving = averages.get(`${name}/${key}`)
    if (moving) moving.assign(tf.add(tf.mul(moving, momentum), tf.mul(value, 1 - momentum)))
    else averages.set(`${name}/${key}`, tf.variable(tf.keep(value.clone()), false, `train/${name}/${key}`))
  }
  const scale = tf.div(gamma, tf.sqrt(tf.add(variance, EPSILON)))
  return tf.add(tf.mul(tf.sub(x, mean), scale), beta) as tf.Tensor4D
}

/** The mean of every 2×2 block; an odd last row and column are left out, as a pool without padding does. */
function pool(x: tf.Tensor4D): tf.Tensor4D {
  const [n, h, w, c] = x.shape
  const [p, q] = [Math.floor(h / 2), Math.floor(w / 2)]
  const even = tf.slice(x, [0, 0, 0, 0], [n, 2 * p, 2 * q, c])
  return tf.mean(even.reshape([n, p, 2, q, 2 * c]), 2).reshape([n, p, q, 2, c]).mean(3) as tf.Tensor4D
}

function forward(windows: tf.Tensor4D, momentum: number): tf.Tensor2D {
  let x = tf.relu(norm(stem(windows), 'stem_norm', momentum))
  for (const [i, filters] of [16, 32, 48].entries()) {
    const name = `block${i + 1}`
    if (i > 0) x = pool(x)
    const a = tf.relu(norm(conv(x, `${name}_a`, filters), `${name}_a_norm`, momentum))
    const b = norm(conv(a, `${name}_b`, filters), `${name}_b_norm`, momentum)
    const beside = i === 0 ? x : norm(conv(x, `${name}_skip`, filters, 1), `${name}_skip_norm`, momentum)
    x = tf.relu(tf.add(b, beside)) as tf.Tensor4D
  }
  const pooled = tf.mean(x, [1, 2]) as tf.Tensor2D
  const kernel = variable('classes/kernel', () => normal([48, 10], Math.sqrt(1 / 48)))
  const bias = variable('classes/bias', () => tf.zeros([10]))
  return tf.add(tf.matMul(pooled, kernel as unknown as tf.Tensor2D), bias) as tf.Tensor2D
}

/** Pixels of some images in 0..1, some mirrored. */
function batchOf(images: Uint8Array, order: ArrayLike<number>, mirror: boolean): tf.Tensor4D {
  const out = new Float32Array(order.length * 784)
  for (let k = 0; k < order.length; k++) {
    const from = order[k]! * 784
    const flip = mirror && random() < 0.5
    for (let i = 0; i < 784; i++) {
      const column = i % 28
      out[k * 784 + i] = images[from + (flip ? i - column + 27 - column : i)]! / 255
    }
  }
  return tf.tensor4d(out, [order.length, 28, 28, 1])
}

/** The 3×3 windows at every second pixel; zeros beyond the last row and column ('same' with stride 2). */
function windowsOf(images: tf.Tensor4D): tf.Tensor4D {
  const from = images.dataSync()
  const n = images.shape[0]
  const out = new Float32Array(n * 196 * 9)
  for (let k = 0, to = 0; k < n; k++)
    for (let y = 0; y < 28; y += 2)
      for (let x = 0; x < 28; x += 2)
        for (let i = 0; i < 9; i++, to++) {
          const [row, column] = [y + Math.floor(i / 3), x + (i % 3)]
          if (row < 28 && column < 28) out[to] = from[k * 784 + row * 28 + column]!
        }
  return tf.tensor4d(out, [n, 14, 14, 9])
}

const steps = Math.floor(60000 / BATCH)
const optimizer = tf.train.adam(RATE)
const order = Uint32Array.from({ length: 60000 }, (_, i) => i)
// Variables are made by a first run; the averages start from its statistics.
tf.tidy(() => {
  forward(windowsOf(batchOf(trainImages, order.subarray(0, BATCH), false)), 0)
})
let done = 0
for (let epoch = 0; epoch < Number(epochs); epoch++) {
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  let total = 0
  for (let step = 0; step < steps; step++, done++) {
    // The rate falls along half a cosine.
    const share = done / (steps * Number(epochs))
    ;(optimizer as unknown as { learningRate: number }).learningRate =
      RATE * 0.5 * (1 + Math.cos(Math.PI * share)) + 1e-5
    const some = order.subarray(step * BATCH, (step + 1) * BATCH)
    total += tf.tidy(() => {
      const x = windowsOf(batchOf(trainImages, some, true))
      const y = tf.oneHot(
        tf.tensor1d(
          Array.from(some, (k) => trainLabels[k]!),
          'int32',
        ),
        10,
      )
      const loss = optimizer.minimize(
        () => tf.losses.softmaxCrossEntropy(y, forward(x, 0.98)) as tf.Scalar,
        true,
      )!
      return loss.dataSync()[0]!
    })
    if (step % 50 === 0) process.stderr.write(`epoch ${epoch} step ${step} loss ${(total / (step + 1)).toFixed(4)}\n`)
  }
}

const model = build()
model.setWeights(
  model.weights.map((w) => {
    const trained = variables.get(w.originalName) ?? averages.get(w.originalName)
    if (!trained) throw new Error(`no trained weight for ${w.originalName}`)
    return trained
  }),
)

let right = 0
for (let i = 0; i < 10000; i += 500) {
  right += tf.tidy(() => {
    const x = batchOf(testImages.subarray(16), Array.from({ length: 500 }, (_, k) => i + k), false)
    const labels = Array.from((model.predict(x) as tf.Tensor2D).argMax(1).dataSync())
    return labels.reduce((n, l, k) => n + Number(l === testLabels[8 + i + k]), 0)
  })
}
process.stderr.write(`test accuracy ${right / 10000}\n`)

mkdirSync(output, { recursive: true })
await model.save(
  tf.io.withSaveHandler(async (artifacts) => {
    const weights = new Uint8Array(artifacts.weightData as ArrayBuffer)
    writeFileSync(join(output, 'weights.bin'), weights)
    const document = {
      format: 'layers-model',
      generatedBy: artifacts.generatedBy,
      convertedBy: null,
      userDefinedMetadata: { testAccuracy: right / 10000, epochs: Number(epochs) },
      modelTopology: artifacts.modelTopology,
      weightsManifest: [{ paths: ['weights.bin'], weights: artifacts.weightSpecs }],
    }
    writeFileSync(join(output, 'model.json'), `${JSON.stringify(document)}\n`)
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } }
  }),
)

/** The first images of an IDX file, with its header corrected. */
function head(file: Uint8Array, header: number, size: number): Uint8Array {
  // A copy: slice of Node's Buffer would be a view into a shared pool.
  const out = new Uint8Array(file.subarray(0, header + IMAGES * size))
  new DataView(out.buffer).setUint32(4, IMAGES)
  return out
}
writeFileSync(join(output, 'images-idx3-ubyte.gz'), gzipSync(head(testImages, 16, 784), { level: 9 }))
writeFileSync(join(output, 'labels-idx1-ubyte.gz'), gzipSync(head(testLabels, 8, 1), { level: 9 }))
