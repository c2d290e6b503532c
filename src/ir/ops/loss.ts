// Losses of classification.

import { store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { integers, numbers, sizeOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { type AttributeSpec, type Infer, inputType, type Op, stringOf } from '../op.ts'
import { type Attributes, tensorType } from '../types.ts'
import { optionalTensor, tensorAt } from './elements.ts'
import { logSoftmaxLine } from './normalize.ts'

const attributes: Record<string, AttributeSpec> = {
  reduction: { kind: 'string', oneOf: ['none', 'sum', 'mean'], default: 'mean' },
  /** A label that counts for nothing. */
  ignore: { kind: 'number', default: null },
}

const lossType = (x: Infer) =>
  tensorType(
    inputType(x, 0).dtype,
    stringOf(x.attributes, 'reduction') === 'none' ? inputType(x, 1).shape : [],
  )

/** −weight[label] · logProb[label] for each [N, …] of x [N, C, …]; the mean divides by the sum of weights. */
function likelihoodLoss(logs: Tensor, labels: Tensor, weight: Tensor | undefined, a: Attributes): Tensor {
  const classes = logs.shape[1]!
  const inner = sizeOf(logs.shape.slice(2))
  const xs = numbers(logs)
  const ws = weight && numbers(weight)
  const ignore = a.ignore as number | undefined
  const reduction = stringOf(a, 'reduction')
  const each = zeros(logs.dtype, labels.shape)
  let [sum, total] = [0, 0]
  integers(labels).forEach((label, i) => {
    if (label === ignore) return
    if (!(label >= 0 && label < classes))
      throw new InputError(`label ${label} lies outside ${classes} classes`)
    const w = ws ? ws[label]! : 1
    const loss = -w * xs[(Math.floor(i / inner) * classes + label) * inner + (i % inner)]!
    sum += loss
    total += w
    store(each.dtype, each.data, i, loss)
  })
  if (reduction === 'none') return each
  return tensorOf(logs.dtype, [], [reduction === 'sum' ? sum : sum / total])
}

/** log softmax along axis 1. */
function logProbabilities(t: Tensor): Tensor {
  const classes = t.shape[1]!
  const inner = sizeOf(t.shape.slice(2))
  const xs = numbers(t)
  const out = zeros(t.dtype, t.shape)
  const line = new Float64Array(classes)
  for (let i = 0; i < t.data.length / classes; i++) {
    const at = (c: number): number => (Math.floor(i / inner) * classes + c) * inner + (i % inner)
    for (let c = 0; c < classes; c++) line[c] = xs[at(c)]!
    logSoftmaxLine(line)
    for (let c = 0; c < classes; c++) store(t.dtype, out.data, at(c), line[c]!)
  }
  return out
}

export const loss = {
  negativeLogLikelihood: {
    doc: 'Negative log-likelihood: inputs log-probabilities [N, C, …], labels [N, …], weights [C]?',
    inputs: [2, 3],
    attributes,
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [-0.5, -1, -2, -0.25]), tensorOf('int64', [2], [0, 1])],
        outputs: [tensorOf('float32', [], [0.375])],
      },
    ],
    infer: (x) => [lossType(x)],
    evaluate: (inputs, x) => [
      likelihoodLoss(tensorAt(inputs, 0), tensorAt(inputs, 1), optionalTensor(inputs, 2), x.attributes),
    ],
  },
  softmaxCrossEntropy: {
    doc: 'Cross entropy of softmax: inputs scores [N, C, …], labels [N, …], weights [C]?; gives the loss and the log-probabilities',
    inputs: [2, 3],
    outputs: [1, 2],
    attributes,
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [1, 1, 2, 2]), tensorOf('int64', [2], [0, 1])],
      },
    ],
    infer: (x) => [lossType(x), inputType(x, 0)],
    evaluate(inputs, x) {
      const logs = logProbabilities(tensorAt(inputs, 0))
      return [likelihoodLoss(logs, tensorAt(inputs, 1), optionalTensor(inputs, 2), x.attributes), logs].slice(
        0,
        x.outputs,
      )
    },
  },
} satisfies Record<string, Op>
