// Custom operators: those of MediaPipe's models, whose options are the bytes of a C structure (their behaviour: MediaPipe,
// mediapipe/util/tflite/operations), and the object detectors' last step.

import { tensorOf } from '../../../core/tensor.ts'
import type { ValueId } from '../../../ir/types.ts'
import { paddingOf } from '../../padding.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'
import { detectionPostProcess } from './detection.ts'
import { filterShape, spatialOf } from './products.ts'

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
  const [kernel, strides] = [
    [kh, kw],
    [strideH, strideW],
  ]
  const cut = spatialOf(x, 0).map((size, i) => {
    if (padding === 2) return 0
    if (typeof size !== 'number') throw new NotSupported(`${x.op} over open spatial dimensions`)
    return Math.max(0, kernel[i]! - ((size - 1) % strides[i]!) - 1)
  })
  x.result('convTranspose2d', [x.input(0), x.reordered(1, [3, 0, 1, 2]), x.optional(2)], {
    strides: strides as number[],
    pads: [...cut.map((c) => Math.floor(c / 2)), ...cut.map((c) => c - Math.floor(c / 2))],
    layout: 'channelsLast',
  })
}

/** TfLitePoolParams: padding (1 same, 2 valid), stride width, height, filter width, height, activation. */
function poolOptions(x: Operation): { kernel: number[]; strides: number[]; same: boolean } {
  const [padding, strideW, strideH, filterW, filterH, activation] = fields(x, 6) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  if ([strideW, strideH, filterW, filterH].some((v) => v < 1)) x.fail('a stride or filter below 1')
  if (activation !== 0) throw new NotSupported(`${x.op} with a fused activation`)
  return { kernel: [filterH, filterW], strides: [strideH, strideW], same: padding === 1 }
}

const staticImage = (x: Operation, i: number): [number, number, number, number] => {
  const shape = x.shapeOf(x.input(i))
  if (shape?.length !== 4 || shape.some((d) => typeof d !== 'number'))
    throw new NotSupported(`${x.op} of open shape`)
  return shape as [number, number, number, number]
}

/** 0, step, 2 · step, … along one axis of an image, as int64. */
const ramp = (x: Operation, n: number, step: number, from: number, axis: number): ValueId => {
  const shape = [1, 1, 1, 1].map((d, i) => (i === axis ? n : d))
  const values = Array.from({ length: n }, (_, i) => from + i * step)
  return x.b.constant(tensorOf('int64', shape, values), `${x.name}:const`)
}

/** Largest values, and where in its window each stood: row · width + column, as a float with 0.1 added. */
const maxPoolArgmax: Row = (x) => {
  const { kernel, strides, same } = poolOptions(x)
  const [, h, w, c] = staticImage(x, 0)
  const pads = paddingOf(same ? 'same' : 'valid', [h, w], kernel, strides, [1, 1], x.at)
  const attributes = { kernel, strides, pads, layout: 'channelsLast' }
  const [values, flat] = x.nodes('maxPool2d', [x.input(0)], attributes, 2)
  const [, oh, ow] = x.shapeOf(values!) as number[]
  const k = (v: number): ValueId => x.scalar('int64', v)
  const pixel = x.node('div', [flat!, k(c)])
  const column = x.node('sub', [x.node('mod', [pixel, k(w)]), ramp(x, ow!, strides[1]!, -pads[1]!, 2)])
  const row = x.node('mod', [x.node('div', [pixel, k(w)]), k(h)])
  const inside = x.node('sub', [row, ramp(x, oh!, strides[0]!, -pads[0]!, 1)])
  const place = x.node('add', [x.node('mul', [inside, k(kernel[1]!)]), column])
  x.is(values!, 0)
  x.is(x.node('add', [x.node('cast', [place], { to: 'float32' }), x.scalar('float32', 0.1)]), 1)
}

/** Zeros, but each value where its index says it stood in its window. */
const maxUnpool: Row = (x) => {
  const { kernel, strides, same } = poolOptions(x)
  const [n, h, w, c] = staticImage(x, 0)
  const [oh, ow] = [h * kernel[0]!, w * kernel[1]!]
  const pads = paddingOf(same ? 'same' : 'valid', [oh, ow], kernel, strides, [1, 1], x.at)
  const k = (v: number): ValueId => x.scalar('int64', v)
  const index = x.node('cast', [x.input(1)], { to: 'int64' })
  const column = x.node('add', [x.node('mod', [index, k(kernel[1]!)]), ramp(x, w, strides[1]!, -pads[1]!, 2)])
  const row = x.node('add', [x.node('div', [index, k(kernel[1]!)]), ramp(x, h, strides[0]!, -pads[0]!, 1)])
  const image = x.node('add', [x.node('mul', [ramp(x, n, 1, 0, 0), k(oh)]), row])
  const pixel = x.node('add', [x.node('mul', [image, k(ow)]), column])
  const flat = x.node('add', [x.node('mul', [pixel, k(c)]), ramp(x, c, 1, 0, 3)])
  const zeros = x.node('constantOfShape', [x.int64s(n * oh * ow * c)], {
    value: tensorOf('float32', [1], [0]),
  })
  const line = (v: ValueId): ValueId => x.node('reshape', [v, x.int64s(-1)])
  const filled = x.node('scatterElements', [zeros, line(flat), line(x.input(0))], { axis: 0 })
  x.result('reshape', [filled, x.int64s(n, oh, ow, c)])
}

export const customRows: Readonly<Record<string, Row>> = {
  Convolution2DTransposeBias: transposeConvBias,
  MaxPoolingWithArgmax2D: maxPoolArgmax,
  MaxUnpooling2D: maxUnpool,
  TFLite_Detection_PostProcess: detectionPostProcess,
}
