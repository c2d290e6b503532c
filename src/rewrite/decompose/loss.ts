// Losses of classification by gather and reductions; dropout at inference is the identity.

import { UnsupportedError } from '../../core/errors.ts'
import { sizeOf } from '../../core/tensor.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter } from './fixed-point.ts'
import { reshaped } from './normalize.ts'

/** −weight[label] · logs[label]; an ignored label weighs nothing. */
function likelihood(
  e: Emitter,
  logs: ValueId,
  labels: ValueId,
  weight: ValueId | null,
  a: Attributes,
): ValueId {
  const dtype = e.dtype(logs)
  const at = e.cast(labels, 'int64')
  let safe = at
  let counts: ValueId | null = null
  if (a.ignore !== undefined) {
    const ignored = e.op('equal', [at, e.scalar('int64', Number(a.ignore))])
    safe = e.op('where', [ignored, e.scalar('int64', 0), at])
    counts = e.cast(e.op('not', [ignored]), dtype)
  }
  const picked = e.op('gatherElements', [logs, e.op('unsqueeze', [safe], { axes: [1] })], { axis: 1 })
  let loss = e.op('neg', [e.op('squeeze', [picked], { axes: [1] })])
  let weights = counts
  if (weight !== null) {
    const w = e.op('gather', [weight, safe], { axis: 0 })
    weights = counts === null ? w : e.op('mul', [w, counts])
  }
  if (weights !== null) loss = e.op('mul', [loss, weights])
  if (a.reduction === 'none') return loss
  const total = (v: ValueId): ValueId => e.op('reduceSum', [v, null], { keepDims: false })
  if (a.reduction === 'sum') return total(loss)
  const n = weights === null ? e.scalar(dtype, sizeOf(e.shape(labels)!)) : total(weights)
  return e.op('div', [total(loss), n])
}

const negativeLogLikelihood: Decomposition = (b, [logs, labels, weight], node) => [
  likelihood(new Emitter(b, node.name), logs!, labels!, weight ?? null, node.attributes),
]

const softmaxCrossEntropy: Decomposition = (b, [scores, labels, weight], node) => {
  const e = new Emitter(b, node.name)
  const logs = e.op('logSoftmax', [scores!], { axis: 1 })
  return [likelihood(e, logs, labels!, weight ?? null, node.attributes), logs]
}

/** Only where training is known to be off. */
const dropout: Decomposition = (b, [x, , training], node) => {
  const e = new Emitter(b, node.name)
  const on = training == null ? false : !(b.constantOf(training)?.data[0] === 0)
  if (on) throw new UnsupportedError('dropout', [{ op: 'dropout in training', count: 1 }])
  const shape = e.shape(x!) ?? []
  const ones = e.list('bool', new Array<number>(sizeOf(shape)).fill(1), shape)
  return [e.op('identity', [x!]), ones].slice(0, node.types.length)
}

export const lossDecompositions: Decompositions = { negativeLogLikelihood, softmaxCrossEntropy, dropout }

/** x in rows of its last dimension. */
export const asRows = (e: Emitter, x: ValueId): ValueId => {
  const shape = e.shape(x)!
  return reshaped(e, x, [sizeOf(shape.slice(0, -1)), shape.at(-1)!])
}
