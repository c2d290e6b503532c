// Sequences and optionals, as ONNX has them.

import { type DType, dtypes } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { integers, scalar, type Tensor } from '../../core/tensor.ts'
import { axisOf, booleanOf, type Infer, inputType, numberOf, type Op, stringOf } from '../op.ts'
import { type Attributes, type Datum, type Dim, type Graph, type Type, tensorType } from '../types.ts'
import { meet } from './control.ts'
import { checkedIndex, constantIntegers, optionalTensor, tensorAt } from './elements.ts'
import { concatTensors, sliceAxis } from './movement.ts'

const sequenceOf = (element: Type): Type => ({ kind: 'sequence', element })

function elementType(x: Infer, i: number): Type {
  const t = x.inputs[i]
  if (t?.kind === 'optional' && t.element.kind === 'sequence') return t.element.element
  if (t?.kind !== 'sequence')
    throw new InputError(`input ${i}: expected a sequence, got ${t?.kind ?? 'nothing'}`)
  return t.element
}

function items(inputs: readonly (Datum | undefined)[], i: number): readonly Datum[] {
  const d = inputs[i]
  if (!Array.isArray(d)) throw new InputError(`input ${i}: expected a sequence`)
  return d as readonly Datum[]
}

/** Extents of consecutive pieces of `each`, the last one smaller where it must be. */
const pieces = (size: number, each: number): number[] =>
  Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each))

const openShape = (t: Type): Type => (t.kind === 'tensor' ? tensorType(t.dtype, null) : t)

const graphOf = (a: Attributes): Graph => a.body as Graph

export const sequence = {
  sequenceConstruct: {
    doc: 'A sequence of the inputs',
    inputs: [1, Infinity],
    infer(x) {
      const types = x.inputs.map((_, i): Type => inputType(x, i))
      return [sequenceOf(types.reduce(meet))]
    },
    evaluate: (inputs) => [inputs.map((d) => d ?? null)],
  },
  sequenceEmpty: {
    doc: 'A sequence of nothing, of tensors of a type',
    inputs: [0, 0],
    attributes: { dtype: { kind: 'string', oneOf: dtypes, default: 'float32' } },
    infer: (x) => [sequenceOf(tensorType(stringOf(x.attributes, 'dtype') as DType, null))],
    evaluate: () => [[]],
  },
  sequenceAt: {
    doc: 'The entry of a sequence at a position (int scalar; negative ones count from the end)',
    inputs: [2, 2],
    infer: (x) => [elementType(x, 0)],
    evaluate(inputs) {
      const s = items(inputs, 0)
      return [s[checkedIndex(integers(tensorAt(inputs, 1))[0]!, s.length)]!]
    },
  },
  sequenceInsert: {
    doc: 'The sequence with a tensor inserted before a position (at the end where none is given)',
    inputs: [2, 3],
    infer(x) {
      const element = elementType(x, 0)
      const added = x.inputs[1]
      return [sequenceOf(added ? meet(openShape(element), added) : element)]
    },
    evaluate(inputs) {
      const s = items(inputs, 0)
      const position = optionalTensor(inputs, 2)
      const i = position ? integers(position)[0]! : s.length
      const at = i < 0 ? i + s.length : i
      if (!(at >= 0 && at <= s.length)) throw new InputError(`position ${i} lies outside ${s.length} entries`)
      return [[...s.slice(0, at), inputs[1] ?? null, ...s.slice(at)]]
    },
  },
  sequenceErase: {
    doc: 'The sequence without the entry at a position (the last where none is given)',
    inputs: [1, 2],
    infer: (x) => [sequenceOf(elementType(x, 0))],
    evaluate(inputs) {
      const s = items(inputs, 0)
      const position = optionalTensor(inputs, 1)
      const at = checkedIndex(position ? integers(position)[0]! : -1, s.length)
      return [s.filter((_, i) => i !== at)]
    },
  },
  sequenceLength: {
    doc: 'The number of entries, an int64 scalar',
    inputs: [1, 1],
    infer: () => [tensorType('int64', [])],
    evaluate: (inputs) => [scalar('int64', items(inputs, 0).length)],
  },
  splitToSequence: {
    doc: 'Parts of x along axis as a sequence: of the given sizes (one number: of that size), else single entries',
    inputs: [1, 2],
    attributes: { axis: { kind: 'number', default: 0 }, keepDims: { kind: 'boolean', default: true } },
    infer(x) {
      const t = inputType(x, 0)
      if (!t.shape) return [sequenceOf(t)]
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const sizes = x.inputs[1] == null ? [1] : constantIntegers(x, 1)
      const each: Dim = sizes?.length === 1 && x.inputs[1] == null ? 1 : null
      const keep = x.inputs[1] != null || booleanOf(x.attributes, 'keepDims')
      return [
        sequenceOf(
          tensorType(
            t.dtype,
            keep ? t.shape.map((d, i) => (i === axis ? each : d)) : t.shape.filter((_, i) => i !== axis),
          ),
        ),
      ]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const given = optionalTensor(inputs, 1)
      const axis = axisOf(numberOf(x.attributes, 'axis'), t.shape.length)
      const size = t.shape[axis]!
      const sizes = !given
        ? new Array<number>(size).fill(1)
        : given.shape.length === 0
          ? pieces(size, integers(given)[0]!)
          : integers(given)
      const keep = given !== undefined || booleanOf(x.attributes, 'keepDims')
      let start = 0
      return [
        sizes.map((n) => {
          const part = sliceAxis(t, axis, start, n)
          start += n
          return keep ? part : { ...part, shape: part.shape.filter((_, i) => i !== axis) }
        }),
      ]
    },
  },
  concatFromSequence: {
    doc: 'The tensors of a sequence one after the other along axis, or as entries of a new axis',
    inputs: [1, 1],
    attributes: { axis: { kind: 'number' }, newAxis: { kind: 'boolean', default: false } },
    infer(x) {
      const e = elementType(x, 0)
      if (e.kind !== 'tensor') throw new InputError('expected a sequence of tensors')
      return [tensorType(e.dtype, null)]
    },
    evaluate(inputs, x) {
      const parts = items(inputs, 0) as readonly Tensor[]
      if (!parts.length) throw new InputError('expected at least one tensor in the sequence')
      const fresh = booleanOf(x.attributes, 'newAxis')
      const axis = axisOf(numberOf(x.attributes, 'axis'), parts[0]!.shape.length + (fresh ? 1 : 0))
      return [
        concatTensors(
          fresh
            ? parts.map((p) => ({ ...p, shape: [...p.shape.slice(0, axis), 1, ...p.shape.slice(axis)] }))
            : parts,
          axis,
        ),
      ]
    },
  },
  sequenceMap: {
    doc: 'Runs the body on every entry of the first sequence: other sequences give their entry, tensors go in whole; inputs sequences or tensors, captured values…',
    inputs: [1, Infinity],
    outputs: [1, Infinity],
    attributes: { body: { kind: 'graph' } },
    infer: (x) => graphOf(x.attributes).outputs.map((v) => sequenceOf(graphOf(x.attributes).values[v]!.type)),
    evaluate(inputs, x) {
      const body = graphOf(x.attributes)
      const results: Datum[][] = body.outputs.map(() => [])
      items(inputs, 0).forEach((_, i) => {
        const args = inputs.map((d) => (Array.isArray(d) ? (d[i] as Datum) : (d ?? null)))
        for (const [k, r] of x.run(body, args).entries()) results[k]!.push(r)
      })
      return results
    },
  },
  optional: {
    doc: 'An optional that holds the input, or nothing of the given type',
    inputs: [0, 1],
    attributes: {
      dtype: { kind: 'string', oneOf: dtypes, default: 'float32' },
      sequence: { kind: 'boolean', default: false },
    },
    infer(x) {
      const t: Type = x.inputs[0] ?? tensorType(stringOf(x.attributes, 'dtype') as DType, null)
      return [
        {
          kind: 'optional',
          element: !x.inputs[0] && booleanOf(x.attributes, 'sequence') ? sequenceOf(t) : t,
        },
      ]
    },
    evaluate: (inputs) => [inputs[0] ?? null],
  },
  optionalGetElement: {
    doc: 'What an optional holds',
    inputs: [1, 1],
    infer(x) {
      const t = x.inputs[0]
      if (!t) throw new InputError('expected an optional')
      return [t.kind === 'optional' ? t.element : t]
    },
    evaluate(inputs) {
      if (inputs[0] == null) throw new InputError('the optional is empty')
      return [inputs[0]]
    },
  },
  optionalHasElement: {
    doc: 'Whether an optional holds something',
    inputs: [0, 1],
    infer: () => [tensorType('bool', [])],
    evaluate: (inputs) => [scalar('bool', inputs[0] != null)],
  },
} satisfies Record<string, Op>
