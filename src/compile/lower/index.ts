// Which lowering each operator has. Typed by the operator table: an operator without a row doesn't compile.

import type { OpName } from '../../ir/ops/index.ts'
import { isElementwise } from '../fuse.ts'
import { elementwise } from './elementwise.ts'
import { conv, matMul } from './linear.ts'
import type { Gap, Lower } from './lowering.ts'
import {
  concat,
  depthToSpace,
  expand,
  gather,
  gatherElements,
  gatherND,
  identity,
  pad,
  reshape,
  reverse,
  slice,
  spaceToDepth,
  split,
  tile,
  transpose,
} from './movement.ts'
import { reduce } from './reduce.ts'
import { resize } from './resize.ts'
import {
  argMax,
  argMin,
  constantOfShape,
  cumSum,
  eyeLike,
  oneHot,
  range,
  reverseSequence,
  scatterElements,
  scatterND,
  topK,
  trilu,
} from './search.ts'
import { averagePool, lpPool, maxPool } from './window.ts'

const rows: Partial<Record<OpName, Lower | Gap>> = {
  matMul,
  conv1d: conv,
  conv2d: conv,
  conv3d: conv,
  maxPool1d: maxPool,
  maxPool2d: maxPool,
  maxPool3d: maxPool,
  averagePool1d: averagePool,
  averagePool2d: averagePool,
  averagePool3d: averagePool,
  lpPool1d: lpPool,
  lpPool2d: lpPool,
  lpPool3d: lpPool,
  reduceSum: reduce('reduceSum'),
  reduceMean: reduce('reduceMean'),
  reduceMax: reduce('reduceMax'),
  reduceMin: reduce('reduceMin'),
  reduceProd: reduce('reduceProd'),
  reduceL1: reduce('reduceL1'),
  reduceL2: reduce('reduceL2'),
  reduceSumSquare: reduce('reduceSumSquare'),
  reduceLogSum: reduce('reduceLogSum'),
  identity,
  reshape,
  flatten: reshape,
  squeeze: reshape,
  unsqueeze: reshape,
  transpose,
  expand,
  reverse,
  split,
  slice,
  concat,
  pad,
  tile,
  spaceToDepth,
  depthToSpace,
  gather,
  gatherElements,
  gatherND,
  resize,
  argMax,
  argMin,
  cumSum,
  eyeLike,
  oneHot,
  reverseSequence,
  scatterElements,
  scatterND,
  topK,
  trilu,
  range,
  constantOfShape,
}

export function loweringOf(op: string): Lower | Gap | undefined {
  if (isElementwise(op)) return elementwise
  return rows[op as OpName]
}
