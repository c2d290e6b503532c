// Reductions, normalisations and running sums of real numbers.

import type { ValueId } from '../../../ir/types.ts'
import type { Operation, Row } from '../operation.ts'

const reduction =
  (op: string): Row =>
  (x) =>
    x.result(op, [x.input(0), x.int64(1)], {
      keepDims: x.boolean('keep_dims'),
      // An empty list of axes means none.
      noopWithEmptyAxes: true,
    })

/** Any and all of truth values, by way of integers. */
const logicalReduction =
  (op: string): Row =>
  (x) => {
    const count = x.node('cast', [x.input(0)], { to: 'int32' })
    const attributes = { keepDims: x.boolean('keep_dims'), noopWithEmptyAxes: true }
    x.result('cast', [x.node(op, [count, x.int64(1)], attributes)], { to: 'bool' })
  }

const extreme =
  (op: string): Row =>
  (x) => {
    const id = x.node(op, [x.input(0)], { axis: x.integer(1, 'axis'), keepDims: false })
    x.result('cast', [id], { to: x.output().dtype! })
  }

const softmax: Row = (x) => {
  const beta = x.number('beta')
  const scaled: ValueId = beta === 1 ? x.input(0) : x.node('mul', [x.input(0), x.scalar('float32', beta)])
  x.result('softmax', [scaled], { axis: -1 })
}

/** x / √max(Σ x², 1e-6) along the last axis. */
const l2Normalization: Row = (x: Operation) => {
  const squares = x.node('reduceSumSquare', [x.input(0), x.int64s(-1)], { keepDims: true })
  const norm = x.node('sqrt', [x.node('max', [squares, x.scalar('float32', 1e-6)])])
  x.activated('div', [x.input(0), norm])
}

const localResponse: Row = (x) => {
  const radius = x.number('radius')
  const size = 2 * radius + 1
  // The graph's operator divides alpha by the window.
  x.result('lrn', [x.input(0)], {
    size,
    alpha: x.number('alpha') * size,
    beta: x.number('beta'),
    bias: x.number('bias'),
    layout: 'channelsLast',
  })
}

export const reduceRows: Readonly<Record<string, Row>> = {
  MEAN: reduction('reduceMean'),
  SUM: reduction('reduceSum'),
  REDUCE_MAX: reduction('reduceMax'),
  REDUCE_MIN: reduction('reduceMin'),
  REDUCE_PROD: reduction('reduceProd'),
  REDUCE_ANY: logicalReduction('reduceMax'),
  REDUCE_ALL: logicalReduction('reduceMin'),
  ARG_MAX: extreme('argMax'),
  ARG_MIN: extreme('argMin'),
  CUMSUM: (x) =>
    x.result('cumSum', [x.input(0), x.input(1)], {
      exclusive: x.boolean('exclusive'),
      reverse: x.boolean('reverse'),
    }),
  SOFTMAX: softmax,
  LOG_SOFTMAX: (x) => x.result('logSoftmax', [x.input(0)], { axis: -1 }),
  L2_NORMALIZATION: l2Normalization,
  LOCAL_RESPONSE_NORMALIZATION: localResponse,
}
