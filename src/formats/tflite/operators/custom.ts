// Custom operators: those of MediaPipe's models. Their options are the bytes of a C structure.

import { NotSupported, type Operation, type Row } from '../operation.ts'
import { filterShape, transposedWindow } from './products.ts'

/** Little-endian int32 fields of an options structure. */
function fields(x: Operation, count: number): number[] {
  const bytes = x.custom
  if (!bytes || bytes.length < 4 * count)
    return x.fail(`options, expected ${4 * count} bytes, got ${bytes?.length ?? 0}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true))
}

/** Transposed convolution with a bias; options are TfLiteTransposeConvParams: padding (1 same, 2 valid), stride width, height. */
const transposeConvBias: Row = (x) => {
  const [, kh, kw] = filterShape(x, 1, 4) as [number, number, number, number]
  const [padding, strideW, strideH] = fields(x, 3) as [number, number, number]
  if (strideW < 1 || strideH < 1 || (padding !== 1 && padding !== 2))
    x.fail(`padding ${padding}, strides ${strideH} × ${strideW}`)
  const [, h, w] = x.output().signature ?? []
  if (typeof h !== 'number' || typeof w !== 'number') throw new NotSupported(`${x.op} of an open size`)
  const window = transposedWindow(x, 0, [h, w], [kh, kw], [strideH, strideW], padding === 1)
  x.result('convTranspose2d', [x.input(0), x.reordered(1, [3, 0, 1, 2]), x.optional(2)], {
    ...window,
    layout: 'channelsLast',
  })
}

export const customRows: Readonly<Record<string, Row>> = {
  Convolution2DTransposeBias: transposeConvBias,
}
