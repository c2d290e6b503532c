// Random numbers from a seed: the same on every machine, other than those of any runtime.

import { type DType, dtypes, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { type Rng, rng } from '../../core/rng.ts'
import { at, numbers, tensorOf, zeros } from '../../core/tensor.ts'
import { type AttributeSpec, inputType, numberOf, numbersOf, type Op, stringOf } from '../op.ts'
import { type Attributes, tensorType } from '../types.ts'
import { optionalTensor, outputType, tensorAt } from './elements.ts'

const seed: AttributeSpec = { kind: 'number', default: 0 }
/** Absent: the type of the input. */
const dtypeAttribute: AttributeSpec = { kind: 'string', oneOf: dtypes, default: null }
const shapeAttributes: Record<string, AttributeSpec> = {
  shape: { kind: 'numbers' },
  dtype: { kind: 'string', oneOf: dtypes, default: 'float32' },
}

const normal: Record<string, AttributeSpec> = {
  mean: { kind: 'number', default: 0 },
  deviation: { kind: 'number', default: 1 },
  seed,
}
const uniform: Record<string, AttributeSpec> = {
  low: { kind: 'number', default: 0 },
  high: { kind: 'number', default: 1 },
  seed,
}
const drawNormal = (a: Attributes, r: Rng): number =>
  numberOf(a, 'mean') + numberOf(a, 'deviation') * r.normal()
const drawUniform = (a: Attributes, r: Rng): number =>
  numberOf(a, 'low') + (numberOf(a, 'high') - numberOf(a, 'low')) * r.next()

function drawn(
  doc: string,
  attributes: Record<string, AttributeSpec>,
  draw: (a: Attributes, r: Rng) => number,
): Op {
  return {
    doc: `${doc}, of a shape`,
    inputs: [0, 0],
    attributes: { ...shapeAttributes, ...attributes },
    examples: () => [{ inputs: [], attributes: { shape: [2, 3] } }],
    infer: (x) => [tensorType(stringOf(x.attributes, 'dtype') as DType, numbersOf(x.attributes, 'shape'))],
    evaluate: (_inputs, x) => fill(x.attributes, outputType(x), draw),
  }
}

function drawnLike(
  doc: string,
  attributes: Record<string, AttributeSpec>,
  draw: (a: Attributes, r: Rng) => number,
): Op {
  return {
    doc: `${doc}, of the shape of the input`,
    inputs: [1, 1],
    attributes: { dtype: dtypeAttribute, ...attributes },
    examples: () => [{ inputs: [tensorOf('float32', [2], [0, 0])] }],
    infer(x) {
      const t = inputType(x, 0)
      return [tensorType((x.attributes.dtype as DType | undefined) ?? t.dtype, t.shape)]
    },
    evaluate: (_inputs, x) => fill(x.attributes, outputType(x), draw),
  }
}

function fill(
  a: Attributes,
  type: { dtype: DType; shape: readonly number[] },
  draw: (a: Attributes, r: Rng) => number,
) {
  const r = rng(numberOf(a, 'seed'))
  const out = zeros(type.dtype, type.shape)
  for (let i = 0; i < out.data.length; i++) store(type.dtype, out.data, i, draw(a, r))
  return [out]
}

export const random = {
  randomNormal: drawn('Normal random numbers', normal, drawNormal),
  randomNormalLike: drawnLike('Normal random numbers', normal, drawNormal),
  randomUniform: drawn('Uniform random numbers', uniform, drawUniform),
  randomUniformLike: drawnLike('Uniform random numbers', uniform, drawUniform),
  bernoulli: {
    doc: '1 with the probability that the input says, else 0',
    inputs: [1, 1],
    attributes: { dtype: dtypeAttribute, seed },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2], [0, 1])],
        outputs: [tensorOf('float32', [2], [0, 1])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      return [tensorType((x.attributes.dtype as DType | undefined) ?? t.dtype, t.shape)]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const r = rng(numberOf(x.attributes, 'seed'))
      const { dtype, shape } = outputType(x)
      const out = zeros(dtype, shape)
      for (let i = 0; i < out.data.length; i++) store(dtype, out.data, i, r.next() < at(t, i) ? 1 : 0)
      return [out]
    },
  },
  multinomial: {
    doc: 'Class indices drawn by the unnormalised log-probabilities of each row [N, classes]',
    inputs: [1, 1],
    attributes: {
      samples: { kind: 'number', default: 1 },
      dtype: { kind: 'string', oneOf: ['int32', 'int64'], default: 'int32' },
      seed,
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2], [0, -1000])],
        attributes: { samples: 3 },
        outputs: [tensorOf('int32', [1, 3], [0, 0, 0])],
      },
    ],
    infer: (x) => [
      tensorType(stringOf(x.attributes, 'dtype') as DType, [
        inputType(x, 0).shape?.[0] ?? null,
        numberOf(x.attributes, 'samples'),
      ]),
    ],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const r = rng(numberOf(x.attributes, 'seed'))
      const { dtype, shape } = outputType(x)
      const [rows, samples] = shape as [number, number]
      const classes = t.shape[1]!
      const xs = numbers(t)
      const out = zeros(dtype, shape)
      for (let n = 0; n < rows; n++) {
        const row = Float64Array.from(xs.subarray(n * classes, (n + 1) * classes))
        const m = row.reduce((a, b) => Math.max(a, b), -Infinity)
        let total = 0
        const upTo = row.map((v) => (total += Math.exp(v - m)))
        for (let s = 0; s < samples; s++) {
          const u = r.next() * total
          store(
            dtype,
            out.data,
            n * samples + s,
            Math.max(
              0,
              upTo.findIndex((v) => u < v),
            ),
          )
        }
      }
      return [out]
    },
  },
  dropout: {
    doc: 'In training, zeros with the probability ratio and the rest divided by 1 − ratio; else x. Gives the mask too. Inputs x, ratio? (0.5), training? (false)',
    inputs: [1, 3],
    outputs: [1, 2],
    attributes: { seed },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6])],
        outputs: [tensorOf('float32', [2, 3], [1, -2, 3, 4, 5, -6])],
      },
    ],
    infer: (x) => [inputType(x, 0), tensorType('bool', inputType(x, 0).shape)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const [ratioInput, training] = [optionalTensor(inputs, 1), optionalTensor(inputs, 2)]
      const ratio = ratioInput ? at(ratioInput, 0) : 0.5
      if (!(ratio >= 0 && ratio < 1))
        throw new InputError(`dropout: expected a ratio in [0, 1), got ${ratio}`)
      const active = training !== undefined && at(training, 0) !== 0
      const r = rng(numberOf(x.attributes, 'seed'))
      const y = zeros(t.dtype, t.shape)
      const mask = zeros('bool', t.shape)
      for (let i = 0; i < y.data.length; i++) {
        const kept = !active || r.next() >= ratio
        store('bool', mask.data, i, kept ? 1 : 0)
        store(t.dtype, y.data, i, kept ? (active ? at(t, i) / (1 - ratio) : at(t, i)) : 0)
      }
      return [y, mask].slice(0, x.outputs)
    },
  },
} satisfies Record<string, Op>
