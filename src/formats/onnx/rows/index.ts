// How each operator of the graph is written. The table is typed by the operator table: a missing row is a compile error, except
// for TensorFlow Lite's integer operators, whose rows are made from their float forms.

import type { OpName } from '../../../ir/ops/index.ts'
import type { WriteRow } from '../emit.ts'
import { elementwise } from './elementwise.ts'
import { others } from './others.ts'
import { shapes } from './shapes.ts'
import { windows } from './windows.ts'

type TfliteName = Extract<OpName, `tflite${string}`>

const rows: Record<Exclude<OpName, TfliteName>, WriteRow> = {
  ...elementwise,
  ...shapes,
  ...windows,
  ...others,
}

export const writeRowFor = (op: string): WriteRow | undefined =>
  Object.hasOwn(rows, op) ? (rows as Record<string, WriteRow>)[op] : undefined
