// Which lowering each operator has. Typed by the operator table: an operator without a row doesn't compile.

import type { OpName } from '../../ir/ops/index.ts'
import { isElementwise } from '../fuse.ts'
import { elementwise } from './elementwise.ts'
import { conv, matMul } from './linear.ts'
import type { Gap, Lower } from './lowering.ts'

const rows: Partial<Record<OpName, Lower | Gap>> = {
  matMul,
  conv1d: conv,
  conv2d: conv,
  conv3d: conv,
}

export function loweringOf(op: string): Lower | Gap | undefined {
  if (isElementwise(op)) return elementwise
  return rows[op as OpName]
}
