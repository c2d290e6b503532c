// Operators that make tensors from little: ranges, constants of a shape, triangles and diagonals.

import { isBig, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, integers, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { booleanOf, inputType, numberOf, type Op } from '../op.ts'
import { tensorType } from '../types.ts'
import {
  cells,
  constantIntegers,
  copyCells,
  lengthOf,
  optionalTensor,
  outputType,
  tensorAt,
  unknownDims,
} from './elements.ts'

export const generate = {
  trilu: {
    doc: 'The upper (or lower) triangle of the last two dimensions from diagonal k (an int64 scalar, 0) on; zeros elsewhere',
    inputs: [1, 2],
    attributes: { upper: { kind: 'boolean', default: true } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [1, 2, 3, 4])],
        outputs: [tensorOf('float32', [2, 2], [1, 2, 0, 4])],
      },
    ],
    infer: (x) => [inputType(x, 0)],
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const diagonal = optionalTensor(inputs, 1)
      const k = diagonal ? integers(diagonal)[0]! : 0
      const upper = booleanOf(x.attributes, 'upper')
      const [rows, columns] = [t.shape.at(-2)!, t.shape.at(-1)!]
      const out = zeros(t.dtype, t.shape)
      for (let i = 0; i < t.data.length; i++) {
        const [r, c] = [Math.floor(i / columns) % rows, i % columns]
        if (upper ? c - r >= k : c - r <= k) copyCells(t.data, i, out.data, i, 1)
      }
      return [out]
    },
  },
  range: {
    doc: 'start, start + delta, … short of limit: three scalars of one type',
    inputs: [3, 3],
    infer(x) {
      const [start, limit, delta] = [0, 1, 2].map((i) => x.constants[i])
      const dtype = inputType(x, 0).dtype
      if (!start || !limit || !delta) return [tensorType(dtype, [null])]
      const [s, l, d] = [at(start, 0), at(limit, 0), at(delta, 0)]
      if (d === 0) throw new InputError('range: expected a delta other than 0')
      return [tensorType(dtype, [Math.max(0, Math.ceil((l - s) / d))])]
    },
    evaluate(inputs, x) {
      const { dtype, shape } = outputType(x)
      const out = zeros(dtype, shape)
      const [start, delta] = [tensorAt(inputs, 0), tensorAt(inputs, 2)]
      for (let i = 0; i < out.data.length; i++) {
        if (isBig(dtype))
          store(dtype, out.data, i, (start.data[0] as bigint) + BigInt(i) * (delta.data[0] as bigint))
        else store(dtype, out.data, i, at(start, 0) + i * at(delta, 0))
      }
      return [out]
    },
    examples: () => [
      {
        inputs: [tensorOf('int64', [], [1]), tensorOf('int64', [], [8]), tensorOf('int64', [], [3])],
        outputs: [tensorOf('int64', [3], [1, 4, 7])],
      },
    ],
  },
  constantOfShape: {
    doc: 'One value (a tensor of one element) repeated to a shape (int64)',
    inputs: [1, 1],
    attributes: { value: { kind: 'tensor', default: tensorOf('float32', [1], [0]) } },
    examples: () => [
      {
        inputs: [tensorOf('int64', [2], [1, 2])],
        outputs: [tensorOf('float32', [1, 2], [0, 0])],
      },
    ],
    infer(x) {
      const { dtype } = x.attributes.value as Tensor
      return [tensorType(dtype, constantIntegers(x, 0) ?? unknownDims(lengthOf(x, 0)))]
    },
    evaluate(_inputs, x) {
      const { dtype, shape } = outputType(x)
      const out = zeros(dtype, shape)
      cells(out.data).fill(cells((x.attributes.value as Tensor).data)[0]!)
      return [out]
    },
  },
  eyeLike: {
    doc: 'A matrix of the shape (and the type, unless given) of the input with ones on diagonal k',
    inputs: [1, 1],
    attributes: { dtype: { kind: 'string', default: null }, k: { kind: 'number', default: 0 } },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 3], [0, 0, 0, 0, 0, 0])],
        attributes: { k: 1 },
        outputs: [tensorOf('float32', [2, 3], [0, 1, 0, 0, 0, 1])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      return [tensorType((x.attributes.dtype as typeof t.dtype | undefined) ?? t.dtype, t.shape)]
    },
    evaluate(_inputs, x) {
      const { dtype, shape } = outputType(x)
      const out = zeros(dtype, shape)
      const k = numberOf(x.attributes, 'k')
      for (let r = 0; r < shape[0]!; r++)
        if (r + k >= 0 && r + k < shape[1]!) store(dtype, out.data, r * shape[1]! + r + k, 1)
      return [out]
    },
  },
} satisfies Record<string, Op>
