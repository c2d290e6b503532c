// Pooling over windows of one, two and three spatial dimensions, and unpooling by recorded positions.

import { allocate, isBig, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { integers, numbers, sizeOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import {
  type AttributeSpec,
  booleanOf,
  type Infer,
  inputType,
  numberOf,
  numbersOf,
  type Op,
  stringOf,
} from '../op.ts'
import { type Attributes, type Shape, tensorType } from '../types.ts'
import {
  cells,
  constantIntegers,
  optionalTensor,
  outputType,
  tensorAt,
  unknownDims,
  withShape,
} from './elements.ts'
import {
  activationStrides,
  joinShape,
  layoutAttribute,
  splitShape,
  type Window,
  windowAttributes,
  windowOf,
  windowOutput,
} from './linear.ts'

const poolAttributes = (rank: number): Record<string, AttributeSpec> => ({
  kernel: { kind: 'numbers' },
  ...windowAttributes(rank),
  ceil: { kind: 'boolean', default: false },
  layout: layoutAttribute,
})

function kernelOf(a: Attributes, rank: number): readonly number[] {
  const k = numbersOf(a, 'kernel')
  if (k.length !== rank || k.some((n) => !(n >= 1)))
    throw new InputError(`pooling: expected ${rank} kernel sizes, got [${k}]`)
  return k
}

function poolShape(x: Infer, rank: number): Shape {
  const shape = inputType(x, 0).shape
  if (!shape) return null
  if (shape.length !== rank + 2)
    throw new InputError(`pooling: expected rank ${rank + 2}, got ${shape.length}`)
  const layout = stringOf(x.attributes, 'layout')
  const { batch, channels, spatial } = splitShape(shape, layout)
  const kernel = kernelOf(x.attributes, rank)
  const w = windowOf(x.attributes, rank)
  const ceil = booleanOf(x.attributes, 'ceil')
  const out = spatial.map((size, i) =>
    windowOutput(size, kernel[i]!, w.strides[i]!, w.dilations[i]!, w.pads[i]!, w.pads[i + rank]!, ceil),
  )
  return joinShape(batch, channels, out, layout)
}

/** For each output pixel and tap the offset into the input's spatial part: −1 in the padding, −2 beyond it. */
function tapOffsets(
  spatial: readonly number[],
  strides: readonly number[],
  kernel: readonly number[],
  window: Window,
  spatialOut: readonly number[],
): Int32Array {
  const rank = spatial.length
  const taps = sizeOf(kernel)
  const pixels = sizeOf(spatialOut)
  const offsets = new Int32Array(pixels * taps)
  for (let p = 0; p < pixels; p++) {
    for (let t = 0; t < taps; t++) {
      let offset = 0
      for (let d = rank - 1, rp = p, rt = t; d >= 0; d--) {
        const i =
          (rp % spatialOut[d]!) * window.strides[d]! +
          (rt % kernel[d]!) * window.dilations[d]! -
          window.pads[d]!
        rp = Math.floor(rp / spatialOut[d]!)
        rt = Math.floor(rt / kernel[d]!)
        if (i >= spatial[d]! + window.pads[d + rank]!) offset = -2
        else if (i < 0 || i >= spatial[d]!) offset = Math.min(offset, -1)
        else if (offset >= 0) offset += i * strides[d]!
      }
      offsets[p * taps + t] = offset
    }
  }
  return offsets
}

/** Calls `fold(base, first tap)` for every output element and stores what it returns. */
function pool(
  t: Tensor,
  shape: readonly number[],
  a: Attributes,
  rank: number,
  fold: (base: number, offsets: Int32Array, from: number, to: number) => number,
): Tensor {
  const layout = stringOf(a, 'layout')
  const from = splitShape(t.shape, layout)
  const spatialOut = splitShape(shape, layout).spatial
  const input = activationStrides(t.shape, layout)
  const output = activationStrides(shape, layout)
  const kernel = kernelOf(a, rank)
  const taps = sizeOf(kernel)
  const pixels = sizeOf(spatialOut)
  const offsets = tapOffsets(from.spatial, input.spatial, kernel, windowOf(a, rank), spatialOut)
  const out = zeros(t.dtype, shape)
  const step = layout === 'channelsLast' ? from.channels : 1
  for (let n = 0; n < from.batch; n++) {
    for (let c = 0; c < from.channels; c++) {
      const base = n * input.batch + c * input.channel
      const to = n * output.batch + c * output.channel
      for (let p = 0; p < pixels; p++)
        store(t.dtype, out.data, to + p * step, fold(base, offsets, p * taps, (p + 1) * taps))
    }
  }
  return out
}

const image = (rank: number): Tensor => {
  const shape = [1, 1, ...new Array<number>(rank).fill(4)]
  return tensorOf(
    'float32',
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => (i * 7) % 11),
  )
}

const maxPool = (rank: number): Op => ({
  doc: `Largest value of each window over ${rank} spatial dimension${rank > 1 ? 's' : ''}; also gives its position in x as a flat index`,
  inputs: [1, 1],
  outputs: [1, 2],
  attributes: {
    ...poolAttributes(rank),
    /** Order in which the flat index counts the spatial dimensions. */
    order: { kind: 'string', oneOf: ['rowMajor', 'columnMajor'], default: 'rowMajor' },
  },
  infer(x) {
    const shape = poolShape(x, rank)
    return [tensorType(inputType(x, 0).dtype, shape), tensorType('int64', shape)]
  },
  evaluate(inputs, x) {
    const t = tensorAt(inputs, 0)
    const { shape } = outputType(x)
    const xs = numbers(t)
    const at = new Float64Array(sizeOf(shape))
    let k = 0
    const y = pool(t, shape, x.attributes, rank, (base, offsets, from, to) => {
      let best = -Infinity
      let where = -1
      for (let i = from; i < to; i++) {
        const o = offsets[i]!
        if (o < 0) continue
        const v = xs[base + o]!
        if (v > best || where < 0 || Number.isNaN(v)) {
          best = v
          where = base + o
          if (Number.isNaN(v)) break
        }
      }
      at[k++] = where
      return best
    })
    if (x.outputs < 2) return [y]
    const indices = zeros('int64', shape)
    const layout = stringOf(x.attributes, 'layout')
    const last = layout === 'channelsLast'
    const { channels, spatial } = splitShape(t.shape, layout)
    const { spatial: outSpatial } = splitShape(shape, layout)
    const pixels = sizeOf(outSpatial)
    for (let i = 0; i < at.length; i++) {
      // `pool` visits (n, c, p); the output of channelsLast stands as (n, p, c).
      const [n, c, p] = [Math.floor(i / pixels / channels), Math.floor(i / pixels) % channels, i % pixels]
      const to = last ? (n * pixels + p) * channels + c : i
      const index = stringOf(x.attributes, 'order') === 'columnMajor' ? columnMajor(at[i]!, spatial) : at[i]!
      ;(indices.data as BigInt64Array)[to] = BigInt(index)
    }
    return [y, indices]
  },
  examples: () => [{ inputs: [image(rank)], attributes: { kernel: new Array<number>(rank).fill(2) } }],
})

/** A flat index whose spatial part counts the first dimension fastest. */
function columnMajor(index: number, spatial: readonly number[]): number {
  const pixels = sizeOf(spatial)
  let rest = index % pixels
  const position = spatial.map(() => 0)
  for (let d = spatial.length - 1; d >= 0; d--) {
    position[d] = rest % spatial[d]!
    rest = Math.floor(rest / spatial[d]!)
  }
  let flat = 0
  for (let d = spatial.length - 1; d >= 0; d--) flat = flat * spatial[d]! + position[d]!
  return index - (index % pixels) + flat
}

const averagePool = (rank: number): Op => ({
  doc: `Mean of each window over ${rank} spatial dimension${rank > 1 ? 's' : ''}; padding counts as zeros only with countIncludePad`,
  inputs: [1, 1],
  attributes: { ...poolAttributes(rank), countIncludePad: { kind: 'boolean', default: false } },
  infer: (x) => [tensorType(inputType(x, 0).dtype, poolShape(x, rank))],
  evaluate(inputs, x) {
    const t = tensorAt(inputs, 0)
    const xs = numbers(t)
    const included = booleanOf(x.attributes, 'countIncludePad')
    return [
      pool(t, outputType(x).shape, x.attributes, rank, (base, offsets, from, to) => {
        let sum = 0
        let count = 0
        for (let i = from; i < to; i++) {
          const o = offsets[i]!
          if (o >= 0) {
            sum += xs[base + o]!
            count++
          } else if (included && o === -1) count++
        }
        return sum / count
      }),
    ]
  },
  examples: () => [
    {
      inputs: [image(rank)],
      attributes: { kernel: new Array<number>(rank).fill(3), pads: new Array<number>(2 * rank).fill(1) },
    },
  ],
})

const lpPool = (rank: number): Op => ({
  doc: `(Σ |x|^p)^(1/p) of each window over ${rank} spatial dimension${rank > 1 ? 's' : ''}`,
  inputs: [1, 1],
  attributes: { ...poolAttributes(rank), p: { kind: 'number', default: 2 } },
  examples: () => [{ inputs: [image(rank)], attributes: { kernel: new Array<number>(rank).fill(2) } }],
  infer: (x) => [tensorType(inputType(x, 0).dtype, poolShape(x, rank))],
  evaluate(inputs, x) {
    const t = tensorAt(inputs, 0)
    const xs = numbers(t)
    const p = numberOf(x.attributes, 'p')
    return [
      pool(t, outputType(x).shape, x.attributes, rank, (base, offsets, from, to) => {
        let sum = 0
        for (let i = from; i < to; i++) if (offsets[i]! >= 0) sum += Math.abs(xs[base + offsets[i]!]!) ** p
        return sum ** (1 / p)
      }),
    ]
  },
})

export const pooling = {
  maxPool1d: maxPool(1),
  maxPool2d: maxPool(2),
  maxPool3d: maxPool(3),
  averagePool1d: averagePool(1),
  averagePool2d: averagePool(2),
  averagePool3d: averagePool(3),
  lpPool1d: lpPool(1),
  lpPool2d: lpPool(2),
  lpPool3d: lpPool(3),
  maxUnpool: {
    doc: 'Zeros but for x at the flat indices that maxPool gave: inputs x, indices, output shape? (int64; larger: zeros at the ends)',
    inputs: [2, 3],
    attributes: {
      kernel: { kind: 'numbers' },
      strides: { kind: 'numbers', default: null },
      pads: { kind: 'numbers', default: null },
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 1, 1, 2], [5, 6]), tensorOf('int64', [1, 1, 1, 2], [1, 6])],
        attributes: { kernel: [2, 2], strides: [2, 2] },
        outputs: [tensorOf('float32', [1, 1, 2, 4], [0, 5, 0, 0, 0, 0, 6, 0])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      if (x.inputs[2] != null) {
        const given = constantIntegers(x, 2)
        return [withShape(t, given ?? unknownDims(t.shape?.length ?? null))]
      }
      return [withShape(t, unpooled(t.shape, x.attributes))]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const indices = integers(tensorAt(inputs, 1))
      const inner = unpooled(t.shape, x.attributes) as number[]
      const shape = optionalTensor(inputs, 2) ? outputType(x).shape : inner
      const data = allocate(t.dtype, sizeOf(shape))
      indices.forEach((index, i) => {
        // The index counts in the plain unpooled shape, which the wanted shape may exceed.
        let [rest, to, stride] = [index, 0, 1]
        for (let d = inner.length - 1; d >= 0; d--) {
          to += (rest % inner[d]!) * stride
          rest = Math.floor(rest / inner[d]!)
          stride *= shape[d]!
        }
        if (!(to >= 0 && to < data.length))
          throw new InputError(`maxUnpool: index ${index} lies outside [${shape}]`)
        if (isBig(t.dtype)) (data as BigInt64Array)[to] = t.data[i] as bigint
        else cells(data)[to] = cells(t.data)[i]!
      })
      return [{ dtype: t.dtype, shape, data }]
    },
  },
} satisfies Record<string, Op>

function unpooled(shape: Shape, a: Attributes): Shape {
  if (!shape) return null
  const kernel = numbersOf(a, 'kernel')
  const strides = (a.strides as readonly number[] | undefined) ?? kernel.map(() => 1)
  const pads = (a.pads as readonly number[] | undefined) ?? kernel.flatMap(() => [0, 0])
  return shape.map((d, i) => {
    const k = i - 2
    if (k < 0 || typeof d !== 'number') return d
    return (d - 1) * strides[k]! + kernel[k]! - pads[k]! - pads[k + kernel.length]!
  })
}
