// Parts and margins: slice and pad.

import { InputError } from '../../core/errors.ts'
import { integers, stridesOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { axisOf, type Infer, inputType, type Op, stringOf } from '../op.ts'
import type { Dim, Shape } from '../types.ts'
import {
  constantIntegers,
  mapped,
  optionalTensor,
  strided,
  tensorAt,
  unknownDims,
  withShape,
} from './elements.ts'

/** Start and extent of one sliced axis (ONNX Slice: out-of-range bounds are clamped). */
export function sliceRange(
  start: number,
  end: number,
  step: number,
  size: number,
): { start: number; count: number } {
  if (step === 0) throw new InputError('slice: expected a step other than 0')
  const clamp = (v: number, low: number, high: number): number => Math.min(Math.max(v, low), high)
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
  const s = clamp(start < 0 ? start + size : start, 0, step > 0 ? size : size - 1)
  const e = clamp(end < 0 ? end + size : end, low, high)
  return { start: s, count: Math.max(0, Math.ceil((e - s) / step)) }
}

type Cut = { start: number; count: number; step: number }

/** What a slice takes of each axis. */
function cuts(t: Tensor, inputs: readonly (Tensor | undefined)[]): Cut[] {
  const out: Cut[] = t.shape.map((d) => ({ start: 0, count: d, step: 1 }))
  const [starts, ends] = [integers(inputs[1]!), integers(inputs[2]!)]
  const axes = inputs[3] ? integers(inputs[3]) : starts.map((_, i) => i)
  const steps = inputs[4] ? integers(inputs[4]) : starts.map(() => 1)
  axes.forEach((a, i) => {
    const axis = axisOf(a, t.shape.length)
    out[axis] = { ...sliceRange(starts[i]!, ends[i]!, steps[i]!, t.shape[axis]!), step: steps[i]! }
  })
  return out
}

function sliceShape(x: Infer): Shape {
  const t = inputType(x, 0)
  if (!t.shape) return null
  const [starts, ends] = [constantIntegers(x, 1), constantIntegers(x, 2)]
  const axesGiven = x.inputs[3] != null
  const axes = axesGiven ? constantIntegers(x, 3) : (starts ?? ends)?.map((_, i) => i)
  const steps = x.inputs[4] != null ? constantIntegers(x, 4) : axes?.map(() => 1)
  if (!axes) return unknownDims(t.shape.length)
  const out: Dim[] = [...t.shape]
  axes.forEach((a, i) => {
    const axis = axisOf(a, t.shape!.length)
    const size = t.shape![axis]!
    if (starts && ends && steps) {
      const [s, e, step] = [starts[i]!, ends[i]!, steps[i]!]
      if (typeof size === 'number') out[axis] = sliceRange(s, e, step, size).count
      // From the start to the end, whatever the extent is.
      else if (!(s === 0 && e >= 2 ** 31 - 1 && step === 1)) out[axis] = null
    } else out[axis] = null
  })
  return out
}

/** For each output index of a padded axis: the input index, or −1 outside. */
function padMap(size: number, begin: number, end: number, mode: string): number[] {
  const n = size + begin + end
  if (mode !== 'constant' && size === 0 && n > 0) throw new InputError(`pad: mode ${mode} on an empty axis`)
  return Array.from({ length: Math.max(0, n) }, (_, o) => {
    const i = o - begin
    if (i >= 0 && i < size) return i
    switch (mode) {
      case 'edge':
        return i < 0 ? 0 : size - 1
      case 'reflect': {
        if (size === 1) return 0
        const period = 2 * (size - 1)
        const r = ((i % period) + period) % period
        return r < size ? r : period - r
      }
      case 'symmetric': {
        const r = ((i % (2 * size)) + 2 * size) % (2 * size)
        return r < size ? r : 2 * size - 1 - r
      }
      case 'wrap':
        return ((i % size) + size) % size
      default:
        return -1
    }
  })
}

/** [begin, end] for each axis. */
function padsOf(pads: readonly number[], axes: readonly number[] | null, rank: number): [number, number][] {
  const out = Array.from({ length: rank }, (): [number, number] => [0, 0])
  const which = axes ?? Array.from({ length: rank }, (_, i) => i)
  if (pads.length !== 2 * which.length)
    throw new InputError(`pad: expected ${2 * which.length} pads, got ${pads.length}`)
  which.forEach((a, i) => {
    out[axisOf(a, rank)] = [pads[i]!, pads[i + which.length]!]
  })
  return out
}

export const slicing = {
  slice: {
    doc: 'Part of x from starts to ends in steps along axes (int64 inputs; negative bounds count from the end)',
    inputs: [3, 5],
    infer: (x) => [withShape(inputType(x, 0), sliceShape(x))],
    evaluate(inputs) {
      const t = tensorAt(inputs, 0)
      const parts = cuts(
        t,
        inputs.map((_, i) => optionalTensor(inputs, i)),
      )
      const strides = stridesOf(t.shape)
      return [
        strided(
          t,
          parts.map((p) => p.count),
          parts.map((p, i) => p.step * strides[i]!),
          parts.reduce((o, p, i) => o + p.start * strides[i]!, 0),
        ),
      ]
    },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [5], [0, 1, 2, 3, 4]),
          tensorOf('int64', [1], [-1]),
          tensorOf('int64', [1], [0]),
          null,
          tensorOf('int64', [1], [-2]),
        ],
        outputs: [tensorOf('float32', [2], [4, 2])],
      },
    ],
  },
  pad: {
    doc: 'x with pads (int64, all begins then all ends; negative ones crop) of a value (0) along axes (all)',
    inputs: [2, 4],
    attributes: {
      mode: {
        kind: 'string',
        oneOf: ['constant', 'reflect', 'symmetric', 'edge', 'wrap'],
        default: 'constant',
      },
    },
    infer(x) {
      const t = inputType(x, 0)
      const pads = constantIntegers(x, 1)
      const axes = constantIntegers(x, 3)
      if (!t.shape) return [t]
      if (!pads || (x.inputs[3] != null && !axes)) return [withShape(t, unknownDims(t.shape.length))]
      const each = padsOf(pads, axes, t.shape.length)
      return [
        withShape(
          t,
          t.shape.map((d, i) => {
            const add = each[i]![0] + each[i]![1]
            return typeof d === 'number'
              ? Math.max(0, d + add)
              : each[i]![0] === 0 && each[i]![1] === 0
                ? d
                : null
          }),
        ),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const value = optionalTensor(inputs, 2)
      const axes = optionalTensor(inputs, 3)
      const each = padsOf(integers(tensorAt(inputs, 1)), axes ? integers(axes) : null, t.shape.length)
      const mode = stringOf(x.attributes, 'mode')
      const fill = value ? value.data[0]! : zeros(t.dtype, []).data[0]!
      // A scalar has nothing to pad.
      if (t.shape.length === 0) return [t]
      return [
        mapped(
          t,
          t.shape.map((d, i) => padMap(d, each[i]![0], each[i]![1], mode)),
          fill,
        ),
      ]
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [3], [1, 2, 3]), tensorOf('int64', [2], [2, 1])],
        attributes: { mode: 'reflect' },
        outputs: [tensorOf('float32', [6], [3, 2, 1, 2, 3, 2])],
      },
    ],
  },
} satisfies Record<string, Op>
