// Convolutions, pooling and other products of ONNX.

import type { Dim } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'

type WindowOf = { strides: number[]; dilations: number[]; pads: number[] }

const ones = (n: number): number[] => new Array<number>(n).fill(1)

/** Strides, dilations and pads, with auto_pad resolved to numbers. */
export function windowFor(c: Call, spatial: readonly Dim[], kernel: readonly number[]): WindowOf {
  const rank = kernel.length
  const strides = c.ints('strides') ?? ones(rank)
  const dilations = c.ints('dilations') ?? ones(rank)
  const auto = c.string('auto_pad', 'NOTSET')
  if (auto === 'NOTSET' || auto === '')
    return { strides, dilations, pads: c.ints('pads') ?? new Array<number>(2 * rank).fill(0) }
  if (auto === 'VALID') return { strides, dilations, pads: new Array<number>(2 * rank).fill(0) }
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER')
    c.fail(`attribute auto_pad, expected SAME_UPPER | SAME_LOWER | VALID | NOTSET, got ${auto}`)
  const [begin, end]: [number[], number[]] = [[], []]
  kernel.forEach((k, i) => {
    const extent = dilations[i]! * (k - 1) + 1
    const size = spatial[i]!
    // With stride 1 the size doesn't matter.
    let total = extent - 1
    if (strides[i]! > 1) {
      if (typeof size !== 'number') c.open('auto_pad SAME over an unknown extent')
      total = Math.max(0, (Math.ceil(size / strides[i]!) - 1) * strides[i]! + extent - size)
    }
    const small = Math.floor(total / 2)
    begin.push(auto === 'SAME_UPPER' ? small : total - small)
    end.push(auto === 'SAME_UPPER' ? total - small : small)
  })
  return { strides, dilations, pads: [...begin, ...end] }
}

/** The spatial rank, which names the operator. */
function spatialRank(c: Call, i = 0): number {
  const n = (c.shape(i)?.length ?? c.rank(0)) - 2
  if (n < 1 || n > 3) throw new NotSupported(`${c.op} over ${n} spatial dimensions`, '1 to 3')
  return n
}

const spatialOf = (c: Call, rank: number): readonly Dim[] =>
  c.shape(0)?.slice(2) ?? new Array<Dim>(rank).fill(null)

function kernelFrom(c: Call, filter: number, rank: number): number[] {
  const given = c.ints('kernel_shape')
  if (given) return given
  return c.fixed(c.shape(filter)?.slice(2) ?? new Array<Dim>(rank).fill(null), 'a kernel')
}

export function convRow(op: string, filter = 1): Row {
  return (c) => {
    const rank = spatialRank(c, filter)
    const window = windowFor(c, spatialOf(c, rank), kernelFrom(c, filter, rank))
    return c.out(`${op}${rank}d`, c.inputs, { ...window, groups: c.int('group', 1) })
  }
}

const convTranspose: Row = (c) => {
  const rank = spatialRank(c, 1)
  const kernel = kernelFrom(c, 1, rank)
  const strides = c.ints('strides') ?? ones(rank)
  const dilations = c.ints('dilations') ?? ones(rank)
  const outputPadding = c.ints('output_padding') ?? new Array<number>(rank).fill(0)
  const wanted = c.ints('output_shape')
  const auto = c.string('auto_pad', 'NOTSET')
  let pads = c.ints('pads') ?? new Array<number>(2 * rank).fill(0)
  if (wanted || auto.startsWith('SAME')) {
    const sizes = wanted ? c.fixed(spatialOf(c, rank), 'output_shape over an axis') : null
    const [begin, end]: [number[], number[]] = [[], []]
    kernel.forEach((k, i) => {
      const extent = dilations[i]! * (k - 1) + 1
      // Without output_shape, SAME means that the output is stride times the input.
      const total = sizes
        ? strides[i]! * (sizes[i]! - 1) + outputPadding[i]! + extent - wanted![wanted!.length - rank + i]!
        : outputPadding[i]! + extent - strides[i]!
      const [small, large] = [Math.floor(total / 2), total - Math.floor(total / 2)]
      // As ONNX has it, the odd one stands at the end for SAME_UPPER and at the beginning otherwise.
      begin.push(auto === 'SAME_UPPER' ? small : large)
      end.push(auto === 'SAME_UPPER' ? large : small)
    })
    pads = [...begin, ...end]
  }
  return c.out(`convTranspose${rank}d`, c.inputs, {
    strides,
    dilations,
    pads,
    outputPadding,
    groups: c.int('group', 1),
  })
}

function poolAttributes(c: Call, rank: number) {
  const kernel = c.ints('kernel_shape') ?? c.fail('attribute kernel_shape is missing')
  return { kernel, ...windowFor(c, spatialOf(c, rank), kernel), ceil: c.flag('ceil_mode') }
}

const maxPool: Row = (c) => {
  const rank = spatialRank(c)
  return c.out(`maxPool${rank}d`, [c.in(0)], {
    ...poolAttributes(c, rank),
    order: c.int('storage_order', 0) ? 'columnMajor' : 'rowMajor',
  })
}

const averagePool: Row = (c) => {
  const rank = spatialRank(c)
  return c.out(`averagePool${rank}d`, [c.in(0)], {
    ...poolAttributes(c, rank),
    countIncludePad: c.flag('count_include_pad'),
  })
}

const lpPool: Row = (c) => {
  const rank = spatialRank(c)
  return c.out(`lpPool${rank}d`, [c.in(0)], { ...poolAttributes(c, rank), p: c.int('p', 2) })
}

/**
 * Pooling over all spatial dimensions is a reduction. Its axes count from the end, those of a reduction in the file from the
 * front: so the writer tells the two apart, whose sums onnxruntime orders differently.
 */
const globalPool =
  (reduce: string): Row =>
  (c) => {
    const rank = c.rank(0)
    const axes = Array.from({ length: rank - 2 }, (_, i) => i + 2 - rank)
    return c.out(reduce, [c.in(0), c.int64(axes, 'axes')])
  }

const globalLpPool: Row = (c) => {
  const p = c.int('p', 2)
  if (p === 1 || p === 2) return globalPool(p === 1 ? 'reduceL1' : 'reduceL2')(c)
  throw new NotSupported(`GlobalLpPool with p = ${p}`, 'p = 1 or 2')
}

const maxUnpool: Row = (c) => {
  const kernel = c.ints('kernel_shape') ?? c.fail('attribute kernel_shape is missing')
  const [strides, pads] = [c.ints('strides'), c.ints('pads')]
  return c.out('maxUnpool', c.inputs, { kernel, ...(strides && { strides }), ...(pads && { pads }) })
}

const gemm: Row = (c) =>
  c.out('gemm', c.inputs, {
    alpha: c.float('alpha', 1),
    beta: c.float('beta', 1),
    transposeA: c.flag('transA'),
    transposeB: c.flag('transB'),
  })

/** A filter per channel of the image put back from its columns. */
const col2Im: Row = (c) => {
  const image = c.constantInts(1) ?? c.open('computed sizes')
  const block = c.constantInts(2) ?? c.open('computed sizes')
  const rank = block.length
  if (rank > 3) throw new NotSupported(`Col2Im over ${rank} spatial dimensions`, '1 to 3')
  const strides = c.ints('strides') ?? ones(rank)
  const dilations = c.ints('dilations') ?? ones(rank)
  const pads = c.ints('pads') ?? new Array<number>(2 * rank).fill(0)
  const taps = block.reduce((a, b) => a * b, 1)
  const spatial = image.map(
    (size, i) =>
      Math.floor((size + pads[i]! + pads[i + rank]! - dilations[i]! * (block[i]! - 1) - 1) / strides[i]!) + 1,
  )
  const batch = c.shape(0)?.[0]
  const [rows] = c.fixed([c.shape(0)?.[1] ?? null], 'channels') as [number]
  const channels = rows / taps
  // The filter is written out.
  if (rows * taps > 2 ** 24) throw new NotSupported(`Col2Im of ${rows} rows`, 'fewer channels')
  // A transposed convolution whose filter puts each tap in its place.
  const x = c.mid('reshape', [c.in(0), c.int64([typeof batch === 'number' ? batch : -1, rows, ...spatial])])
  const eye = new Float64Array(rows * taps)
  for (let r = 0; r < rows; r++) eye[r * taps + (r % taps)] = 1
  const { dtype } = c.type(0)
  const filter = c.const({ dtype: 'float64', shape: [rows, 1, ...block], data: eye }, 'filter')
  return c.out(`convTranspose${rank}d`, [x, c.cast(filter, dtype)], {
    strides,
    dilations,
    pads,
    groups: channels,
    outputPadding: image.map((size, i) => {
      const plain =
        (spatial[i]! - 1) * strides[i]! + dilations[i]! * (block[i]! - 1) + 1 - pads[i]! - pads[i + rank]!
      return size - plain
    }),
  })
}

export const windows: Record<string, Row> = {
  Conv: convRow('conv'),
  ConvInteger: convRow('convInteger'),
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  AveragePool: averagePool,
  LpPool: lpPool,
  GlobalAveragePool: globalPool('reduceMean'),
  GlobalMaxPool: globalPool('reduceMax'),
  GlobalLpPool: globalLpPool,
  MaxUnpool: maxUnpool,
  MatMul: (c) => c.out('matMul'),
  Gemm: gemm,
  Einsum: (c) => c.out('einsum', c.inputs, { equation: c.string('equation') }),
  Det: (c) => c.out('det'),
  Col2Im: col2Im,
}
