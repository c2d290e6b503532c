// More products: transposed convolutions, gemm, einsum, determinants.

import { allocate, isBig, store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { numbers, sizeOf, stridesOf, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import {
  booleanOf,
  broadcastShapes,
  type Infer,
  inputType,
  numberOf,
  numbersOf,
  type Op,
  product,
  stringOf,
} from '../op.ts'
import { type Dim, isStatic, type Shape, tensorType } from '../types.ts'
import { optionalTensor, outputType, strided, tensorAt, transposed } from './elements.ts'
import { broadcastStrides } from './elementwise.ts'
import {
  activationStrides,
  joinShape,
  layoutAttribute,
  matMulSums,
  placeSums,
  splitShape,
  windowAttributes,
  windowOf,
} from './linear.ts'

function convTransposeShape(x: Infer, rank: number): Shape {
  const [input, filter] = [inputType(x, 0).shape, inputType(x, 1).shape]
  if (!input || !filter) return null
  if (input.length !== rank + 2 || filter.length !== rank + 2)
    throw new InputError(
      `transposed convolution: expected rank ${rank + 2}, got ${input.length} and ${filter.length}`,
    )
  const layout = stringOf(x.attributes, 'layout')
  const { batch, spatial } = splitShape(input, layout)
  const w = windowOf(x.attributes, rank)
  const extra = numbersOf(x.attributes, 'outputPadding')
  const perGroup = filter[1]!
  const channels = typeof perGroup === 'number' ? perGroup * numberOf(x.attributes, 'groups') : null
  const out = spatial.map((size, i): Dim => {
    const k = filter[i + 2]!
    if (typeof size !== 'number' || typeof k !== 'number') return null
    const n =
      (size - 1) * w.strides[i]! + w.dilations[i]! * (k - 1) + 1 + extra[i]! - w.pads[i]! - w.pads[i + rank]!
    if (n < 0) throw new InputError(`transposed convolution: pads [${w.pads}] leave nothing of ${size}`)
    return n
  })
  return joinShape(batch, channels, out, layout)
}

/** y[n, o, p·stride + k·dilation − pad] += x[n, c, p] · w[c, o, k], sums in [N, O, pixels] order. */
function convTransposeSums(
  x: Tensor,
  w: Tensor,
  layout: string,
  groups: number,
  window: ReturnType<typeof windowOf>,
  spatialOut: readonly number[],
): Float64Array {
  const rank = spatialOut.length
  const { batch, channels, spatial } = splitShape(x.shape, layout)
  const kernel = w.shape.slice(2)
  const perGroupOut = w.shape[1]!
  if (w.shape[0] !== channels || channels % groups !== 0)
    throw new InputError(`transposed convolution: filter [${w.shape}] doesn't fit ${channels} channels`)
  const [taps, pixels, pixelsOut] = [sizeOf(kernel), sizeOf(spatial), sizeOf(spatialOut)]
  const input = activationStrides(x.shape, layout)
  // For each input pixel and tap: the output pixel, or −1 outside.
  const targets = new Int32Array(pixels * taps)
  const offsets = new Int32Array(pixels)
  for (let p = 0; p < pixels; p++) {
    for (let d = rank - 1, r = p; d >= 0; d--) {
      offsets[p]! += (r % spatial[d]!) * input.spatial[d]!
      r = Math.floor(r / spatial[d]!)
    }
    for (let t = 0; t < taps; t++) {
      let [target, stride] = [0, 1]
      for (let d = rank - 1, rp = p, rt = t; d >= 0; d--) {
        const o =
          (rp % spatial[d]!) * window.strides[d]! + (rt % kernel[d]!) * window.dilations[d]! - window.pads[d]!
        rp = Math.floor(rp / spatial[d]!)
        rt = Math.floor(rt / kernel[d]!)
        if (o < 0 || o >= spatialOut[d]!) {
          target = -1
          break
        }
        target += o * stride
        stride *= spatialOut[d]!
      }
      targets[p * taps + t] = target
    }
  }
  const xs = numbers(x)
  const ws = numbers(w)
  const outChannels = perGroupOut * groups
  const perGroupIn = channels / groups
  const sums = new Float64Array(batch * outChannels * pixelsOut)
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      const g = Math.floor(c / perGroupIn)
      const from = n * input.batch + c * input.channel
      for (let o = 0; o < perGroupOut; o++) {
        const to = (n * outChannels + g * perGroupOut + o) * pixelsOut
        const filter = (c * perGroupOut + o) * taps
        for (let p = 0; p < pixels; p++) {
          const v = xs[from + offsets[p]!]!
          for (let t = 0; t < taps; t++) {
            const target = targets[p * taps + t]!
            if (target >= 0) sums[to + target]! += v * ws[filter + t]!
          }
        }
      }
    }
  }
  return sums
}

const convTranspose = (rank: number): Op => ({
  doc: `Transposed convolution over ${rank} spatial dimension${rank > 1 ? 's' : ''}: inputs x, the filter [I, O/groups, …] of the convolution that it transposes, bias [O]?`,
  inputs: [2, 3],
  attributes: {
    ...windowAttributes(rank),
    outputPadding: { kind: 'numbers', default: new Array<number>(rank).fill(0) },
    groups: { kind: 'number', default: 1 },
    layout: layoutAttribute,
  },
  infer: (x) => [tensorType(inputType(x, 0).dtype, convTransposeShape(x, rank))],
  evaluate(inputs, x) {
    const [input, filter] = [tensorAt(inputs, 0), tensorAt(inputs, 1)]
    const { dtype, shape } = outputType(x)
    const layout = stringOf(x.attributes, 'layout')
    const sums = convTransposeSums(
      input,
      filter,
      layout,
      numberOf(x.attributes, 'groups'),
      windowOf(x.attributes, rank),
      splitShape(shape, layout).spatial,
    )
    return [placeSums(sums, dtype, shape, layout, optionalTensor(inputs, 2))]
  },
  cost(x) {
    const [n, k] = [inputType(x, 0).shape, inputType(x, 1).shape].map((s) => s && product(s))
    const channels = inputType(x, 1).shape?.[0]
    return { macs: n && k && typeof channels === 'number' ? (n * k) / channels : 0 }
  },
  examples: () => [
    {
      inputs: [
        tensorOf(
          'float32',
          [1, 1, ...new Array<number>(rank).fill(2)],
          Array.from({ length: 2 ** rank }, (_, i) => i),
        ),
        tensorOf(
          'float32',
          [1, 2, ...new Array<number>(rank).fill(2)],
          Array.from({ length: 2 * 2 ** rank }, (_, i) => i - 2),
        ),
      ],
      attributes: { strides: new Array<number>(rank).fill(2) },
    },
  ],
})

type Term = { labels: string[] }

/** Labels of each term and of the result; `...` becomes one label a dimension (`.0`, `.1`, …, counted from the end). */
function einsumTerms(equation: string, ranks: readonly number[]): { terms: Term[]; result: string[] } {
  const [left, right] = equation.replace(/\s/g, '').split('->')
  const parts = left!.split(',')
  if (parts.length !== ranks.length)
    throw new InputError(`einsum: ${equation} has ${parts.length} terms, got ${ranks.length} inputs`)
  let dots = 0
  const expand = (text: string, rank: number | null): string[] => {
    const i = text.indexOf('...')
    if (i < 0) return [...text]
    const plain = text.length - 3
    const count = rank === null ? dots : rank - plain
    if (count < 0) throw new InputError(`einsum: ${text} has more letters than its input dimensions`)
    dots = Math.max(dots, count)
    return [
      ...text.slice(0, i),
      ...Array.from({ length: count }, (_, k) => `.${count - 1 - k}`),
      ...text.slice(i + 3),
    ]
  }
  const terms = parts.map((p, i) => {
    const labels = expand(p, ranks[i]!)
    if (labels.length !== ranks[i])
      throw new InputError(`einsum: ${p} names ${labels.length} dimensions, its input has ${ranks[i]}`)
    return { labels }
  })
  if (right !== undefined) return { terms, result: expand(right, null) }
  const all = terms.flatMap((t) => t.labels)
  const broadcast = Array.from({ length: dots }, (_, k) => `.${dots - 1 - k}`)
  const once = [...new Set(all)]
    .filter((l) => !l.startsWith('.') && all.indexOf(l) === all.lastIndexOf(l))
    .sort()
  return { terms, result: [...broadcast, ...once] }
}

/** The labels of every operand and of the result, dots as labels of their own. */
export function einsumLabels(
  equation: string,
  ranks: readonly number[],
): { terms: readonly (readonly string[])[]; result: readonly string[] } {
  const { terms, result } = einsumTerms(equation, ranks)
  return { terms: terms.map((t) => t.labels), result }
}

function labelSizes(terms: readonly Term[], shapes: readonly (readonly Dim[])[]): Map<string, Dim> {
  const sizes = new Map<string, Dim>()
  terms.forEach((t, i) => {
    t.labels.forEach((label, k) => {
      const had = sizes.get(label)
      const d = shapes[i]![k]!
      if (had === undefined || had === 1 || (had === null && d !== 1)) sizes.set(label, d)
      else if (typeof had === 'number' && typeof d === 'number' && d !== had && d !== 1)
        throw new InputError(`einsum: ${label} is ${had} and ${d}`)
      else if (typeof d === 'number' && typeof had !== 'number' && d !== 1) sizes.set(label, d)
    })
  })
  return sizes
}

const side = (shape: Shape, transpose: boolean): Shape => (shape && transpose ? [...shape].reverse() : shape)

export const products = {
  convTranspose1d: convTranspose(1),
  convTranspose2d: convTranspose(2),
  convTranspose3d: convTranspose(3),
  gemm: {
    doc: 'alpha · A · B + beta · C of matrices, A and B transposed on demand; C broadcasts to the result',
    inputs: [2, 3],
    attributes: {
      alpha: { kind: 'number', default: 1 },
      beta: { kind: 'number', default: 1 },
      transposeA: { kind: 'boolean', default: false },
      transposeB: { kind: 'boolean', default: false },
    },
    infer(x) {
      const [a, b] = [inputType(x, 0), inputType(x, 1)]
      const left = side(a.shape, booleanOf(x.attributes, 'transposeA'))
      const right = side(b.shape, booleanOf(x.attributes, 'transposeB'))
      if ((left && left.length !== 2) || (right && right.length !== 2))
        throw new InputError(`gemm: expected matrices, got [${a.shape}] and [${b.shape}]`)
      const [k, l] = [left?.[1], right?.[0]]
      if (typeof k === 'number' && typeof l === 'number' && k !== l)
        throw new InputError(`gemm: inner dimensions differ, [${left}] · [${right}]`)
      return [tensorType(a.dtype, [left?.[0] ?? null, right?.[1] ?? null])]
    },
    evaluate(inputs, x) {
      const turn = (t: Tensor, on: boolean): Tensor => (on ? transposed(t, [1, 0]) : t)
      const a = turn(tensorAt(inputs, 0), booleanOf(x.attributes, 'transposeA'))
      const b = turn(tensorAt(inputs, 1), booleanOf(x.attributes, 'transposeB'))
      const c = optionalTensor(inputs, 2)
      const [alpha, beta] = [numberOf(x.attributes, 'alpha'), numberOf(x.attributes, 'beta')]
      return [
        matMulSums(a, b, (sums, shape) => {
          const data = allocate(a.dtype, sums.length)
          if (c) broadcastShapes(c.shape, shape)
          const bias = c && numbers(strided(c, shape, broadcastStrides(c.shape, shape)))
          for (let i = 0; i < sums.length; i++)
            store(a.dtype, data, i, alpha * sums[i]! + (bias ? beta * bias[i]! : 0))
          return { dtype: a.dtype, shape, data }
        }),
      ]
    },
    cost(x, outputs) {
      const out = outputs[0]!
      const n = out.kind === 'tensor' && out.shape ? product(out.shape) : null
      const k = side(inputType(x, 0).shape, booleanOf(x.attributes, 'transposeA'))?.[1]
      return { macs: (n ?? 0) * (typeof k === 'number' ? k : 0) }
    },
    examples: () => [
      {
        inputs: [
          tensorOf('float32', [2, 2], [1, 2, 3, 4]),
          tensorOf('float32', [2, 2], [5, 6, 7, 8]),
          tensorOf('float32', [2], [1, -1]),
        ],
        attributes: { alpha: 0.5, beta: 2, transposeB: true },
      },
    ],
  },
  einsum: {
    doc: 'Sum of products by Einstein’s convention, e.g. bij,bjk->bik',
    inputs: [1, Infinity],
    attributes: { equation: { kind: 'string' } },
    infer(x) {
      const types = x.inputs.map((_, i) => inputType(x, i))
      if (types.some((t) => !t.shape)) return [tensorType(types[0]!.dtype, null)]
      const shapes = types.map((t) => t.shape!)
      const { terms, result } = einsumTerms(
        stringOf(x.attributes, 'equation'),
        shapes.map((s) => s.length),
      )
      const sizes = labelSizes(terms, shapes)
      return [
        tensorType(
          types[0]!.dtype,
          result.map((l) => {
            const d = sizes.get(l)
            if (d === undefined) throw new InputError(`einsum: ${l} stands only in the result`)
            return d
          }),
        ),
      ]
    },
    evaluate(inputs, x) {
      const tensors = inputs.map((_, i) => tensorAt(inputs, i))
      const { dtype, shape } = outputType(x)
      const { terms, result } = einsumTerms(
        stringOf(x.attributes, 'equation'),
        tensors.map((t) => t.shape.length),
      )
      const sizes = labelSizes(
        terms,
        tensors.map((t) => t.shape),
      ) as Map<string, number>
      const summed = [...sizes.keys()].filter((l) => !result.includes(l))
      const labels = [...result, ...summed]
      const extents = labels.map((l) => sizes.get(l)!)
      // A label that stands twice in a term walks its diagonal: the strides add up.
      const strides = terms.map((t, i) => {
        const own = stridesOf(tensors[i]!.shape)
        return labels.map((l) =>
          t.labels.reduce((s, k, d) => (k === l && tensors[i]!.shape[d] !== 1 ? s + own[d]! : s), 0),
        )
      })
      const data = tensors.map(numbers)
      const out = zeros(dtype, shape)
      const inner = sizeOf(summed.map((l) => sizes.get(l)!))
      const index = new Array<number>(labels.length).fill(0)
      const offsets = new Float64Array(tensors.length)
      for (let o = 0; o < out.data.length; o++) {
        let sum = 0
        for (let k = 0; k < inner; k++) {
          let p = 1
          for (let i = 0; i < data.length; i++) p *= data[i]![offsets[i]!]!
          sum += p
          for (let d = labels.length - 1; d >= 0; d--) {
            index[d]!++
            for (let i = 0; i < data.length; i++) offsets[i]! += strides[i]![d]!
            if (index[d]! < extents[d]!) break
            for (let i = 0; i < data.length; i++) offsets[i]! -= strides[i]![d]! * extents[d]!
            index[d] = 0
          }
        }
        store(dtype, out.data, o, isBig(dtype) ? BigInt(Math.trunc(sum)) : sum)
      }
      return [out]
    },
    cost(x) {
      const types = x.inputs.map((_, i) => inputType(x, i))
      if (types.some((t) => !isStatic(t.shape))) return { macs: 0 }
      const shapes = types.map((t) => t.shape!)
      const { terms } = einsumTerms(
        stringOf(x.attributes, 'equation'),
        shapes.map((s) => s.length),
      )
      return { macs: product([...labelSizes(terms, shapes).values()]) ?? 0 }
    },
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [1, 2, 3, 4]), tensorOf('float32', [2, 2], [5, 6, 7, 8])],
        attributes: { equation: 'ij,jk->ik' },
        outputs: [tensorOf('float32', [2, 2], [19, 22, 43, 50])],
      },
    ],
  },
  det: {
    doc: 'Determinant of the last two dimensions',
    inputs: [1, 1],
    examples: () => [
      {
        inputs: [tensorOf('float32', [2, 2], [1, 2, 3, 4])],
        outputs: [tensorOf('float32', [], [-2])],
      },
    ],
    infer(x) {
      const t = inputType(x, 0)
      return [tensorType(t.dtype, t.shape?.slice(0, -2) ?? null)]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { dtype, shape } = outputType(x)
      const n = t.shape.at(-1)!
      const out = zeros(dtype, shape)
      const xs = numbers(t)
      for (let i = 0; i < out.data.length; i++)
        store(dtype, out.data, i, determinant(Float64Array.from(xs.subarray(i * n * n, (i + 1) * n * n)), n))
      return [out]
    },
  },
} satisfies Record<string, Op>

/** By elimination with row pivoting; destroys its argument. */
function determinant(a: Float64Array, n: number): number {
  let det = 1
  for (let c = 0; c < n; c++) {
    let pivot = c
    for (let r = c + 1; r < n; r++) if (Math.abs(a[r * n + c]!) > Math.abs(a[pivot * n + c]!)) pivot = r
    if (a[pivot * n + c] === 0) return 0
    if (pivot !== c) {
      det = -det
      for (let k = 0; k < n; k++) [a[c * n + k], a[pivot * n + k]] = [a[pivot * n + k]!, a[c * n + k]!]
    }
    det *= a[c * n + c]!
    for (let r = c + 1; r < n; r++) {
      const factor = a[r * n + c]! / a[c * n + c]!
      for (let k = c; k < n; k++) a[r * n + k]! -= factor * a[c * n + k]!
    }
  }
  return det
}
