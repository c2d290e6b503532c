// The table of operators, by the names of the file format.

import { NotSupported, type Operation, type Row } from '../operation.ts'
import { controlRows } from './control.ts'
import { customRows } from './custom.ts'
import { suppressionRows } from './detection.ts'
import { elementwiseRows } from './elementwise.ts'
import { integerRows, isQuantised, neutral } from './integer.ts'
import { movementRows } from './movement.ts'
import { productRows } from './products.ts'
import { integerRecurrentRows, recurrentRows } from './recurrent.ts'
import { reduceRows } from './reduce.ts'
import { scatterRows } from './scatter.ts'

export const plainRows: Readonly<Record<string, Row>> = {
  ...elementwiseRows,
  ...movementRows,
  ...productRows,
  ...reduceRows,
  ...scatterRows,
  ...suppressionRows,
  ...controlRows,
  ...recurrentRows,
}

const own = (rows: Readonly<Record<string, Row>>, name: string): Row | undefined =>
  Object.hasOwn(rows, name) ? rows[name] : undefined

/** The row for an operation; throws NotSupported where there is none. */
export function rowFor(x: Operation, custom: boolean): Row {
  if (custom) {
    const row = own(customRows, x.op)
    if (row) return row
    throw new NotSupported(x.op)
  }
  if (isQuantised(x)) {
    const row =
      own(integerRows, x.op) ??
      own(integerRecurrentRows, x.op) ??
      (neutral.has(x.op) ? own(plainRows, x.op) : undefined)
    if (row) return row
    const t = [...x.inputs, ...x.outputs].map((i) => x.context.tensors[i]).find((t) => t?.quantization)
    throw new NotSupported(
      own(plainRows, x.op) ? `${x.op} on ${t?.dtype}` : x.op,
      own(plainRows, x.op) && `${x.op} on float32`,
    )
  }
  const row = own(plainRows, x.op)
  if (row) return row
  throw new NotSupported(x.op)
}
