// A depthwise convolution and the pointwise one behind it as one step: band by band of the image, so that what the first computes is
// still in the cache when the second reads it.

import { sizeOf } from '../../core/tensor.ts'
import { call, constant } from '../../ir/scalar.ts'
import type { Node } from '../../ir/types.ts'
import { loop, times } from '../loops.ts'
import type { Schedule } from '../schedule.ts'
import type { View } from '../view.ts'
import { type Conv, isPointwise } from './border.ts'
import { type Contraction, contract } from './contract.ts'
import type { Lowering, Rows } from './lowering.ts'
import { arithmetic, grainOf } from './panels.ts'

/** Of a band, in elements: 128 kB of float32, an eighth of a second-level cache of 1 MB. */
const bandElements = 32768
/** Results this small stay in the second-level cache by themselves. */
const small = 131072

/** Whether a depthwise result of this shape is worth making in bands for the pointwise convolution that reads it. */
export function takesBands(reader: Node, filter: readonly number[], shape: readonly number[]): boolean {
  return reader.op === 'conv2d' && isPointwise(reader, filter) && shape[0] === 1 && sizeOf(shape) > small
}

export type Band = {
  /** Rows of the image in a band, and of all bands. */
  readonly count: number
  readonly rows: number
  /** Scratch for the input's rows: each thread's own. */
  readonly view: View
  readonly rowDimension: number
}

/** Bands of a number of rows that divides the image's if one near the wanted does. */
export function bandOf(x: Lowering, input: View, c: Conv, [rows, width]: readonly number[]): Band {
  const channels = input.shape[c.channel]!
  const most = Math.max(1, Math.min(rows!, Math.floor(bandElements / (width! * channels))))
  let count = most
  while (count > most / 2 && rows! % count !== 0) count--
  if (rows! % count !== 0) count = most
  const buffer = x.program.buffer(`${x.op}.band`, input.dtype, count * width! * channels, 'scratch')
  const place = (row: number, column: number, channel: number): number[] => {
    const all = [0, 0, 0, 0]
    all[c.first] = row
    all[c.first + 1] = column
    all[c.channel] = channel
    return all
  }
  const shape = [1, ...place(count, width!, channels).slice(1)]
  const strides = place(width! * channels, channels, 1)
  return {
    count,
    rows: rows!,
    view: { buffer, dtype: input.dtype, shape, strides, offset: 0 },
    rowDimension: c.first,
  }
}

/** The product over all bands. The last one overlaps the one before it: the same values once more. */
export function inBands(x: Lowering, band: Band, first: Rows, product: Contraction, s: Schedule): void {
  const { count, rows } = band
  const { lanes } = arithmetic(x)
  const macs = first.macs + (rows / count) * sizeOf(product.rows) * sizeOf(product.depth) * product.columns
  x.step(
    'depthwise_pointwise',
    (k) =>
      loop(
        k.name('band'),
        0,
        Math.ceil(rows / count),
        (b) => {
          const [hold, from] = k.hold(
            'from',
            'int32',
            1,
            call('min', times(b, count), constant(rows - count)),
          )
          const at = <T extends Contraction['out']>(o: T): T => ({ ...o, base: times(from, o.rows[1]!) })
          const { out, operands } = product
          return [
            hold,
            ...first.make(k, from, count, band.view),
            ...contract(
              k,
              { ...product, grain: grainOf(x, lanes), out: at(out), operands: operands.map(at) },
              { ...s, block: sizeOf(product.rows) },
              lanes,
              false,
            ),
          ]
        },
        { mode: 'parallel' },
      ),
    macs,
  )
}
