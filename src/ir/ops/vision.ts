// Operators of detection and sampling: non-maximum suppression, region pooling, sampling at a grid.

import { store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, integers, numbers, stridesOf, tensorOf, zeros } from '../../core/tensor.ts'
import { booleanOf, inputType, numberOf, type Op, stringOf } from '../op.ts'
import { roundEven } from '../scalar.ts'
import { type Dim, tensorType } from '../types.ts'
import { constantIntegers, optionalTensor, outputType, tensorAt } from './elements.ts'

type Box = { y1: number; x1: number; y2: number; x2: number }

function overlap(a: Box, b: Box): number {
  const area = (q: Box): number => (q.y2 - q.y1) * (q.x2 - q.x1)
  const [areaA, areaB] = [area(a), area(b)]
  if (areaA <= 0 || areaB <= 0) return 0
  const height = Math.max(0, Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1))
  const width = Math.max(0, Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1))
  return (height * width) / (areaA + areaB - height * width)
}

/** Keys' cubic weights of the four taps around a position, with parameter −0.75. */
function cubicWeights(t: number): number[] {
  const a = -0.75
  return [t + 1, t, 1 - t, 2 - t].map((x) =>
    x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : (((x - 5) * x + 8) * x - 4) * a,
  )
}

/** Reflects x into [low, high]. */
function reflect(x: number, low: number, high: number): number {
  const range = high - low
  if (range === 0) return low
  const beyond = x < low ? low - x : x > high ? x - high : 0
  if (beyond === 0) return x
  const n = Math.floor(beyond / range)
  const r = beyond - n * range
  return x < low === (n % 2 === 0) ? low + r : high - r
}

export const vision = {
  nonMaxSuppression: {
    doc: 'Boxes that no better box of their class overlaps: inputs boxes [B, N, 4], scores [B, C, N], most a class?, overlap threshold?, score threshold?; gives [count, (batch, class, box)]',
    inputs: [2, 5],
    attributes: { format: { kind: 'string', oneOf: ['corners', 'centre'], default: 'corners' } },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 2, 4], [0, 0, 1, 1, 0, 0, 1, 0.9]),
          tensorOf('float32', [1, 1, 2], [0.5, 0.9]),
          tensorOf('int64', [], [2]),
          tensorOf('float32', [], [0.5]),
        ],
        outputs: [tensorOf('int64', [1, 3], [0, 0, 1])],
      },
    ],
    infer: () => [tensorType('int64', [null, 3])],
    evaluate(inputs, x) {
      const [boxes, scores] = [tensorAt(inputs, 0), tensorAt(inputs, 1)]
      const limit = (i: number): number | undefined => {
        const t = optionalTensor(inputs, i)
        return t && at(t, 0)
      }
      const [most, overlapLimit, scoreLimit] = [limit(2) ?? 0, limit(3) ?? 0, limit(4)]
      const bs = numbers(boxes)
      const ss = numbers(scores)
      const [batches, classes, count] = scores.shape as [number, number, number]
      const box = (b: number, i: number): Box => {
        const o = (b * count + i) * 4
        const [p, q, r, s] = [bs[o]!, bs[o + 1]!, bs[o + 2]!, bs[o + 3]!]
        if (stringOf(x.attributes, 'format') === 'centre')
          return { x1: p - r / 2, y1: q - s / 2, x2: p + r / 2, y2: q + s / 2 }
        return { y1: Math.min(p, r), x1: Math.min(q, s), y2: Math.max(p, r), x2: Math.max(q, s) }
      }
      const kept: number[] = []
      for (let b = 0; b < batches; b++) {
        for (let c = 0; c < classes; c++) {
          const score = (i: number): number => ss[(b * classes + c) * count + i]!
          const order = Array.from({ length: count }, (_, i) => i)
            .filter((i) => scoreLimit === undefined || score(i) > scoreLimit)
            .sort((i, j) => score(j) - score(i) || i - j)
          const chosen: number[] = []
          for (const i of order) {
            if (chosen.length >= most) break
            if (chosen.every((j) => overlap(box(b, i), box(b, j)) <= overlapLimit)) chosen.push(i)
          }
          for (const i of chosen) kept.push(b, c, i)
        }
      }
      return [tensorOf('int64', [kept.length / 3, 3], kept)]
    },
  },
  roiAlign: {
    doc: 'Bilinear pooling of regions: inputs x [N, C, H, W], regions [R, (x1, y1, x2, y2)], batch of each region [R]; gives [R, C, height, width]',
    inputs: [3, 3],
    attributes: {
      height: { kind: 'number', default: 1 },
      width: { kind: 'number', default: 1 },
      mode: { kind: 'string', oneOf: ['average', 'max'], default: 'average' },
      samplingRatio: { kind: 'number', default: 0 },
      scale: { kind: 'number', default: 1 },
      halfPixel: { kind: 'boolean', default: true },
    },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 4, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
          tensorOf('float32', [1, 4], [0, 0, 1, 1]),
          tensorOf('int64', [1], [0]),
        ],
        attributes: { height: 1, width: 2 },
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const regions = inputType(x, 1).shape?.[0] ?? null
      return [
        tensorType(t.dtype, [
          regions,
          t.shape?.[1] ?? null,
          numberOf(x.attributes, 'height'),
          numberOf(x.attributes, 'width'),
        ]),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const regions = numbers(tensorAt(inputs, 1))
      const batches = integers(tensorAt(inputs, 2))
      const { dtype, shape } = outputType(x)
      const [, channels, height, width] = t.shape as [number, number, number, number]
      const [R, , rows, columns] = shape as [number, number, number, number]
      const a = x.attributes
      const scale = numberOf(a, 'scale')
      const half = booleanOf(a, 'halfPixel')
      const average = stringOf(a, 'mode') === 'average'
      const xs = numbers(t)
      const out = zeros(dtype, shape)
      for (let r = 0; r < R; r++) {
        const [x1, y1, x2, y2] = [0, 1, 2, 3].map((k) => regions[r * 4 + k]! * scale - (half ? 0.5 : 0)) as [
          number,
          number,
          number,
          number,
        ]
        const [w, h] = half ? [x2 - x1, y2 - y1] : [Math.max(x2 - x1, 1), Math.max(y2 - y1, 1)]
        const [binH, binW] = [h / rows, w / columns]
        const ratio = numberOf(a, 'samplingRatio')
        const gridH = ratio > 0 ? ratio : Math.ceil(h / rows)
        const gridW = ratio > 0 ? ratio : Math.ceil(w / columns)
        for (let c = 0; c < channels; c++) {
          const base = (batches[r]! * channels + c) * height * width
          for (let p = 0; p < rows; p++) {
            for (let q = 0; q < columns; q++) {
              let sum = 0
              let largest = -Infinity
              for (let iy = 0; iy < gridH; iy++) {
                for (let ix = 0; ix < gridW; ix++) {
                  const y = y1 + p * binH + ((iy + 0.5) * binH) / gridH
                  const z = x1 + q * binW + ((ix + 0.5) * binW) / gridW
                  // ONNX takes the largest of the four weighted taps, not of the interpolated values.
                  const taps = bilinearTaps(xs, base, height, width, y, z)
                  for (const v of taps) sum += v
                  largest = Math.max(largest, ...taps)
                }
              }
              const value = average ? sum / Math.max(gridH * gridW, 1) : gridH * gridW === 0 ? 0 : largest
              store(dtype, out.data, ((r * channels + c) * rows + p) * columns + q, value)
            }
          }
        }
      }
      return [out]
    },
  },
  gridSample: {
    doc: 'x [N, C, …] at the positions of a grid [N, …, rank] of coordinates in [−1, 1], the last spatial dimension first',
    inputs: [2, 2],
    attributes: {
      mode: { kind: 'string', oneOf: ['linear', 'nearest', 'cubic'], default: 'linear' },
      padding: { kind: 'string', oneOf: ['zeros', 'border', 'reflection'], default: 'zeros' },
      alignCorners: { kind: 'boolean', default: false },
    },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [1, 1, 2, 2], [1, 2, 3, 4]),
          tensorOf('float32', [1, 1, 2, 2], [0, 0, -1, -1]),
        ],
        outputs: [tensorOf('float32', [1, 1, 1, 2], [2.5, 0.25])],
      },
    ],
    infer(x) {
      const [t, grid] = [inputType(x, 0), inputType(x, 1)]
      if (!t.shape || !grid.shape) return [tensorType(t.dtype, null)]
      return [tensorType(t.dtype, [t.shape[0]!, t.shape[1]!, ...grid.shape.slice(1, -1)])]
    },
    evaluate(inputs, x) {
      const [t, grid] = [tensorAt(inputs, 0), tensorAt(inputs, 1)]
      const { dtype, shape } = outputType(x)
      const spatial = t.shape.slice(2)
      const rank = spatial.length
      const strides = stridesOf(spatial)
      const pixels = spatial.reduce((a, b) => a * b, 1)
      const [batches, channels] = t.shape as [number, number]
      const points = grid.data.length / batches / rank
      const align = booleanOf(x.attributes, 'alignCorners')
      const mode = stringOf(x.attributes, 'mode')
      const padding = stringOf(x.attributes, 'padding')
      const xs = numbers(t)
      const gs = numbers(grid)
      const out = zeros(dtype, shape)
      /** Taps of one dimension: index (−1 outside) and weight. */
      const taps = (g: number, size: number): { index: number; weight: number }[] => {
        const [low, high] = align ? [0, size - 1] : [-0.5, size - 0.5]
        let c = align ? ((g + 1) / 2) * (size - 1) : ((g + 1) * size - 1) / 2
        if (mode === 'nearest') c = roundEven(c)
        if (c < low || c > high) {
          if (padding === 'border') c = Math.min(size - 1, Math.max(0, c))
          else if (padding === 'reflection') c = reflect(c, low, high)
        }
        const index = (i: number): number => {
          if (i >= 0 && i < size) return i
          if (padding === 'border') return Math.min(size - 1, Math.max(0, i))
          if (padding === 'reflection')
            return Math.min(size - 1, Math.max(0, Math.trunc(reflect(i, low, high))))
          return -1
        }
        if (mode === 'nearest') return [{ index: index(Math.trunc(c)), weight: 1 }]
        const base = Math.floor(c)
        const f = c - base
        if (mode === 'linear')
          return [
            { index: index(base), weight: 1 - f },
            { index: index(base + 1), weight: f },
          ]
        return cubicWeights(f).map((weight, k) => ({ index: index(base - 1 + k), weight }))
      }
      for (let n = 0; n < batches; n++) {
        for (let p = 0; p < points; p++) {
          const each = spatial.map((size, d) => taps(gs[(n * points + p) * rank + (rank - 1 - d)]!, size))
          let all: { offset: number; weight: number }[] = [{ offset: 0, weight: 1 }]
          each.forEach((list, d) => {
            all = all.flatMap((a) =>
              list.flatMap((b) =>
                b.index < 0
                  ? []
                  : [{ offset: a.offset + b.index * strides[d]!, weight: a.weight * b.weight }],
              ),
            )
          })
          for (let c = 0; c < channels; c++) {
            let sum = 0
            for (const { offset, weight } of all) sum += weight * xs[(n * channels + c) * pixels + offset]!
            store(dtype, out.data, (n * channels + c) * points + p, sum)
          }
        }
      }
      return [out]
    },
  },
  affineGrid: {
    doc: 'The grid that an affine map [N, rank, rank + 1] makes of an image of a size (int64: N, C, spatial…), for gridSample',
    inputs: [2, 2],
    attributes: { alignCorners: { kind: 'boolean', default: false } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [1, 2, 3], [1, 0, 0, 0, 1, 0]), tensorOf('int64', [4], [1, 1, 2, 2])],
        outputs: [tensorOf('float32', [1, 2, 2, 2], [-0.5, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      const size = constantIntegers(x, 1)
      const rank = t.shape?.[1]
      if (!size)
        return [tensorType(t.dtype, typeof rank === 'number' ? new Array<Dim>(rank + 2).fill(null) : null)]
      return [tensorType(t.dtype, [size[0]!, ...size.slice(2), size.length - 2])]
    },
    evaluate(inputs, x) {
      const theta = numbers(tensorAt(inputs, 0))
      const { dtype, shape } = outputType(x)
      const rank = shape.at(-1)!
      const spatial = shape.slice(1, -1)
      const align = booleanOf(x.attributes, 'alignCorners')
      const points = spatial.reduce((a, b) => a * b, 1)
      const out = zeros(dtype, shape)
      for (let n = 0; n < shape[0]!; n++) {
        for (let p = 0; p < points; p++) {
          // Coordinates with the last spatial dimension first, then 1.
          const coordinates: number[] = []
          for (let d = rank - 1, r = p; d >= 0; d--) {
            const size = spatial[d]!
            const i = r % size
            r = Math.floor(r / size)
            coordinates.push(align ? (size === 1 ? 0 : -1 + (2 * i) / (size - 1)) : -1 + (2 * i + 1) / size)
          }
          coordinates.push(1)
          for (let k = 0; k < rank; k++) {
            let sum = 0
            for (let j = 0; j <= rank; j++) sum += theta[(n * rank + k) * (rank + 1) + j]! * coordinates[j]!
            store(dtype, out.data, (n * points + p) * rank + k, sum)
          }
        }
      }
      return [out]
    },
  },
} satisfies Record<string, Op>

/** The four weighted neighbours of a point, none where it lies more than a pixel outside. */
function bilinearTaps(
  xs: ArrayLike<number>,
  base: number,
  height: number,
  width: number,
  y: number,
  x: number,
): number[] {
  if (y < -1 || y > height || x < -1 || x > width) return [0]
  const [cy, cx] = [Math.max(y, 0), Math.max(x, 0)]
  let [top, left] = [Math.floor(cy), Math.floor(cx)]
  let [fy, fx] = [cy - top, cx - left]
  if (top >= height - 1) [top, fy] = [height - 1, 0]
  if (left >= width - 1) [left, fx] = [width - 1, 0]
  const [bottom, right] = [Math.min(top + 1, height - 1), Math.min(left + 1, width - 1)]
  if (!Number.isFinite(fy) || !Number.isFinite(fx)) throw new InputError('roiAlign: a region is not finite')
  const v = (r: number, c: number): number => xs[base + r * width + c]!
  return [
    (1 - fy) * (1 - fx) * v(top, left),
    (1 - fy) * fx * v(top, right),
    fy * (1 - fx) * v(bottom, left),
    fy * fx * v(bottom, right),
  ]
}
