// Operators that divide by a norm or a sum of their input: softmax and its kin, batch, layer, instance, group and local
// response normalisation.

import { type DType, dtypes, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, inputType, numberOf, type Op, stringOf } from '../op.ts'
import { tensorType } from '../types.ts'
import { aroundAxis, optionalTensor, tensorAt } from './elements.ts'
import { layoutAttribute } from './linear.ts'

/** Runs `body` on every line of an axis, in float64, and rounds the result once. */
function lines(t: Tensor, axis: number, body: (line: Float64Array) => void): Tensor {
  const { outer, size, inner } = aroundAxis(t.shape, axis)
  const xs = numbers(t)
  const out = zeros(t.dtype, t.shape)
  const line = new Float64Array(size)
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < inner; k++) {
      const base = o * size * inner + k
      for (let i = 0; i < size; i++) line[i] = xs[base + i * inner]!
      body(line)
      for (let i = 0; i < size; i++) store(t.dtype, out.data, base + i * inner, line[i]!)
    }
  }
  return out
}

function largestOf(line: Float64Array): number {
  let m = -Infinity
  for (const v of line) m = Math.max(m, v)
  return m
}

/** softmax of a line in place: exp(x − max) / Σ exp(x − max). */
export function softmaxLine(line: Float64Array): void {
  const m = largestOf(line)
  let sum = 0
  for (let i = 0; i < line.length; i++) sum += line[i] = Math.exp(line[i]! - m)
  for (let i = 0; i < line.length; i++) line[i]! /= sum
}

export function logSoftmaxLine(line: Float64Array): void {
  const m = largestOf(line)
  let sum = 0
  for (const v of line) sum += Math.exp(v - m)
  const log = Math.log(sum)
  for (let i = 0; i < line.length; i++) line[i] = line[i]! - m - log
}

function alongAxis(doc: string, body: (line: Float64Array) => void): Op {
  return {
    doc: `${doc} along axis`,
    inputs: [1, 1],
    attributes: { axis: { kind: 'number', default: -1 } },
    infer(x) {
      const t = inputType(x, 0)
      if (t.shape) axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      return [t]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      if (t.shape.length === 0) return [{ ...lines({ ...t, shape: [1] }, 0, body), shape: [] }]
      return [lines(t, axisOf(numberOf(x.attributes, 'axis'), t.shape.length), body)]
    },
    examples: () => [
      { inputs: [tensorOf('float32', [2, 3], [1, 2, 3, -1, 1000, 1])], attributes: { axis: 1 } },
    ],
  }
}

const epsilon = (value: number) => ({ kind: 'number', default: value }) as const

/** Where the channels of an activation stand, as blocks: [outer, channels, inner]. */
function channelsOf(t: Tensor, layout: string) {
  return aroundAxis(t.shape, layout === 'channelsLast' ? t.shape.length - 1 : Math.min(1, t.shape.length - 1))
}

/** Mean and 1/√(variance + ε) of a part of a line. */
function moments(line: Float64Array, eps: number): { mean: number; inverse: number } {
  let sum = 0
  for (const v of line) sum += v
  const mean = sum / line.length
  let squares = 0
  for (const v of line) squares += (v - mean) ** 2
  return { mean, inverse: 1 / Math.sqrt(squares / line.length + eps) }
}

/**
 * Normalises every (batch, group) over the group's channels and all pixels; scale and bias are per channel.
 * One group a channel: instance normalisation.
 */
function groupNormalised(
  t: Tensor,
  scale: Tensor,
  bias: Tensor,
  layout: string,
  groups: number | 'each',
  eps: number,
): Tensor {
  const last = layout === 'channelsLast'
  const channels = last ? t.shape.at(-1)! : t.shape[1]!
  const count = groups === 'each' ? channels : groups
  if (channels % count !== 0) throw new InputError(`${channels} channels don't divide into ${count} groups`)
  const pixels = sizeOf(last ? t.shape.slice(1, -1) : t.shape.slice(2))
  const perGroup = channels / count
  const xs = numbers(t)
  const [ss, bs] = [numbers(scale), numbers(bias)]
  const out = zeros(t.dtype, t.shape)
  const line = new Float64Array(perGroup * pixels)
  const offset = (n: number, c: number, p: number): number =>
    last ? (n * pixels + p) * channels + c : (n * channels + c) * pixels + p
  for (let n = 0; n < t.shape[0]!; n++) {
    for (let g = 0; g < count; g++) {
      for (let c = 0; c < perGroup; c++)
        for (let p = 0; p < pixels; p++) line[c * pixels + p] = xs[offset(n, g * perGroup + c, p)]!
      const { mean, inverse } = moments(line, eps)
      for (let c = 0; c < perGroup; c++) {
        const channel = g * perGroup + c
        // GroupNormalization of opset 18 gives one scale a group.
        const [s, b] = ss.length === channels ? [ss[channel]!, bs[channel]!] : [ss[g]!, bs[g]!]
        for (let p = 0; p < pixels; p++)
          store(t.dtype, out.data, offset(n, channel, p), (line[c * pixels + p]! - mean) * inverse * s + b)
      }
    }
  }
  return out
}

export const normalize = {
  softmax: alongAxis('exp(x) / Σ exp(x)', softmaxLine),
  logSoftmax: alongAxis('Logarithm of softmax', logSoftmaxLine),
  hardmax: alongAxis('1 at the first largest value, 0 elsewhere', (line) => {
    const k = line.indexOf(largestOf(line))
    line.fill(0)
    if (k >= 0) line[k] = 1
  }),
  lpNorm: {
    doc: 'x divided by its L1 or L2 norm along axis; 0 where the norm is 0',
    inputs: [1, 1],
    attributes: {
      axis: { kind: 'number', default: -1 },
      p: { kind: 'number', default: 2 },
      epsilon: epsilon(0),
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2], [3, 4])],
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const p = numberOf(x.attributes, 'p')
      const eps = numberOf(x.attributes, 'epsilon')
      return [
        lines(t, axisOf(numberOf(x.attributes, 'axis'), t.shape.length), (line) => {
          let sum = 0
          for (const v of line) sum += p === 1 ? Math.abs(v) : v * v
          const norm = p === 1 ? Math.max(sum, eps) : Math.sqrt(Math.max(sum, eps))
          for (let i = 0; i < line.length; i++) line[i] = norm === 0 ? 0 : line[i]! / norm
        }),
      ]
    },
  },
  batchNorm: {
    doc: '(x − mean) / √(variance + ε) · scale + bias, one of each a channel: inputs x, scale, bias, mean, variance',
    inputs: [5, 5],
    attributes: { epsilon: epsilon(1e-5), layout: layoutAttribute },
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) => numbers(tensorAt(inputs, i)))
      const eps = numberOf(x.attributes, 'epsilon')
      const { outer, size, inner } = channelsOf(t, stringOf(x.attributes, 'layout'))
      const xs = numbers(t)
      const out = zeros(t.dtype, t.shape)
      for (let o = 0; o < outer; o++) {
        for (let c = 0; c < size; c++) {
          const factor = scale![c]! / Math.sqrt(variance![c]! + eps)
          const base = (o * size + c) * inner
          for (let i = base; i < base + inner; i++)
            store(t.dtype, out.data, i, (xs[i]! - mean![c]!) * factor + bias![c]!)
        }
      }
      return [out]
    },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 2, 1, 2], [1, 2, 3, 4]),
          tensorOf('float32', [2], [1, 2]),
          tensorOf('float32', [2], [0, 1]),
          tensorOf('float32', [2], [1, 2]),
          tensorOf('float32', [2], [1, 4]),
        ],
      },
    ],
  },
  instanceNorm: {
    doc: 'Every channel of every batch entry to mean 0 and variance 1 over its pixels, times scale plus bias',
    inputs: [3, 3],
    attributes: { epsilon: epsilon(1e-5), layout: layoutAttribute },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]),
          tensorOf('float32', [2], [1, 2]),
          tensorOf('float32', [2], [0, 1]),
        ],
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate: (inputs, x) => [
      groupNormalised(
        tensorAt(inputs, 0),
        tensorAt(inputs, 1),
        tensorAt(inputs, 2),
        stringOf(x.attributes, 'layout'),
        'each',
        numberOf(x.attributes, 'epsilon'),
      ),
    ],
  },
  groupNorm: {
    doc: 'Every group of channels of every batch entry to mean 0 and variance 1, times scale plus bias (a channel or a group)',
    inputs: [3, 3],
    attributes: { groups: { kind: 'number' }, epsilon: epsilon(1e-5), layout: layoutAttribute },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]),
          tensorOf('float32', [2], [1, 2]),
          tensorOf('float32', [2], [0, 1]),
        ],
        attributes: { groups: 1 },
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate: (inputs, x) => [
      groupNormalised(
        tensorAt(inputs, 0),
        tensorAt(inputs, 1),
        tensorAt(inputs, 2),
        stringOf(x.attributes, 'layout'),
        numberOf(x.attributes, 'groups'),
        numberOf(x.attributes, 'epsilon'),
      ),
    ],
  },
  layerNorm: {
    doc: 'Mean 0 and variance 1 over the dimensions from axis on, times scale plus bias; also gives mean and 1/deviation',
    inputs: [1, 3],
    outputs: [1, 3],
    attributes: {
      axis: { kind: 'number', default: -1 },
      epsilon: epsilon(1e-5),
      stash: { kind: 'string', oneOf: dtypes, default: 'float32' },
    },
    infer(x) {
      const t = inputType(x, 0)
      const axis = t.shape ? axisOf(numberOf(x.attributes, 'axis'), t.shape.length) : 0
      const side = tensorType(
        stringOf(x.attributes, 'stash') as DType,
        t.shape?.map((d, i) => (i < axis ? d : 1)) ?? null,
      )
      return [t, side, side]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const [scale, bias] = [optionalTensor(inputs, 1), optionalTensor(inputs, 2)].map((s) => s && numbers(s))
      const eps = numberOf(x.attributes, 'epsilon')
      const length = sizeOf(t.shape.slice(axis))
      const xs = numbers(t)
      const out = zeros(t.dtype, t.shape)
      const sideShape = t.shape.map((d, i) => (i < axis ? d : 1))
      const stash = stringOf(x.attributes, 'stash') as DType
      const [means, inverses] = [zeros(stash, sideShape), zeros(stash, sideShape)]
      const line = new Float64Array(length)
      for (let r = 0; r < means.data.length; r++) {
        for (let i = 0; i < length; i++) line[i] = xs[r * length + i]!
        const { mean, inverse } = moments(line, eps)
        store(stash, means.data, r, mean)
        store(stash, inverses.data, r, inverse)
        for (let i = 0; i < length; i++) {
          const s = scale ? scale[i % scale.length]! : 1
          const b = bias ? bias[i % bias.length]! : 0
          store(t.dtype, out.data, r * length + i, (line[i]! - mean) * inverse * s + b)
        }
      }
      return [out, means, inverses].slice(0, x.outputs)
    },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [2, 3], [1, 2, 3, 4, 6, 8]),
          tensorOf('float32', [3], [1, 2, 3]),
          tensorOf('float32', [3], [0, 1, 0]),
        ],
      },
    ],
  },
  rmsNorm: {
    doc: 'x / √(mean of squares + ε) over the dimensions from axis on, times scale',
    inputs: [1, 2],
    attributes: { axis: { kind: 'number', default: -1 }, epsilon: epsilon(1e-5) },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6]), tensorOf('float32', [3], [1, 2, 3])],
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const scaleTensor = optionalTensor(inputs, 1)
      const scale = scaleTensor && numbers(scaleTensor)
      const length = sizeOf(t.shape.slice(axis))
      const xs = numbers(t)
      const out = zeros(t.dtype, t.shape)
      for (let r = 0; r < out.data.length; r += length) {
        let squares = 0
        for (let i = 0; i < length; i++) squares += xs[r + i]! ** 2
        const inverse = 1 / Math.sqrt(squares / length + numberOf(x.attributes, 'epsilon'))
        for (let i = 0; i < length; i++)
          store(t.dtype, out.data, r + i, xs[r + i]! * inverse * (scale ? scale[i % scale.length]! : 1))
      }
      return [out]
    },
  },
  lrn: {
    doc: 'Local response: x / (bias + alpha / size · Σ x² over size neighbouring channels)^beta',
    inputs: [1, 1],
    attributes: {
      size: { kind: 'number' },
      alpha: { kind: 'number', default: 1e-4 },
      beta: { kind: 'number', default: 0.75 },
      bias: { kind: 'number', default: 1 },
      layout: layoutAttribute,
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 4, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])],
        attributes: { size: 3, alpha: 0.1 },
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const window = numberOf(x.attributes, 'size')
      const [alpha, beta, bias] = ['alpha', 'beta', 'bias'].map((k) => numberOf(x.attributes, k)) as [
        number,
        number,
        number,
      ]
      const axis = stringOf(x.attributes, 'layout') === 'channelsLast' ? t.shape.length - 1 : 1
      const before = Math.floor((window - 1) / 2)
      const after = Math.ceil((window - 1) / 2)
      const squares = new Float64Array(t.shape[axis]!)
      return [
        lines(t, axis, (line) => {
          for (let c = 0; c < line.length; c++) squares[c] = line[c]! ** 2
          for (let c = 0; c < line.length; c++) {
            let sum = 0
            for (let i = Math.max(0, c - before); i <= Math.min(line.length - 1, c + after); i++)
              sum += squares[i]!
            line[c]! /= (bias + (alpha / window) * sum) ** beta
          }
        }),
      ]
    },
  },
} satisfies Record<string, Op>
