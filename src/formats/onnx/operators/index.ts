// How each operator of ONNX is read. A row adds nodes and returns the values of the node's outputs.

import type { Row } from '../call.ts'
import type { NodeProto } from '../schema/onnx_pb.ts'
import { attentions } from './attention.ts'
import { control } from './control.ts'
import { deformConv } from './deform-conv.ts'
import { elementwise } from './elementwise.ts'
import { contributed, microsoft } from './microsoft.ts'
import { others } from './others.ts'
import { reduce } from './reduce.ts'
import { shapes } from './shapes.ts'
import { training } from './training.ts'
import { windows } from './windows.ts'

const standard: Readonly<Record<string, Row>> = {
  ...elementwise,
  ...shapes,
  ...windows,
  ...reduce,
  ...control,
  ...others,
  ...attentions,
  DeformConv: deformConv,
  ...contributed,
}

/** Tables by operator set domain. */
const domains: Readonly<Record<string, Readonly<Record<string, Row>>>> = {
  '': standard,
  'ai.onnx': standard,
  'com.microsoft': microsoft,
  'ai.onnx.preview.training': training,
}

export const rowFor = (node: NodeProto): Row | undefined => {
  const table = domains[node.domain]
  return table && Object.hasOwn(table, node.opType) ? table[node.opType] : undefined
}
