// Convolutions of types that ONNX's Conv hasn't (wide integers, float64), as what they consist of: a slice of the padded input for
// each tap, then products that runtimes have for every type.

import { sizeOf, type Tensor, zeros } from '../../../core/tensor.ts'
import { cells } from '../../../ir/ops/elements.ts'
import { isStatic } from '../../../ir/types.ts'
import { NotWritable, type Written } from '../emit.ts'

/** The filter's values in another order: `at(o, c, t)` says where filter o's value for channel c and tap t goes. */
function reordered(
  w: Tensor,
  shape: readonly number[],
  at: (o: number, c: number, t: number) => number,
): Tensor {
  const [filters, channels] = w.shape as [number, number]
  const taps = sizeOf(w.shape.slice(2))
  const out = zeros(w.dtype, shape)
  for (let o = 0; o < filters; o++) {
    for (let c = 0; c < channels; c++) {
      for (let t = 0; t < taps; t++)
        cells(out.data)[at(o, c, t)] = cells(w.data)[(o * channels + c) * taps + t]!
    }
  }
  return out
}

export function writeWideConv(n: Written): void {
  const w = n.constantOf(1)
  const { shape } = n.outType()
  const dims = shape && (n.last ? shape.slice(1, -1) : shape.slice(2))
  if (!w || !dims || !isStatic(dims))
    throw new NotWritable(`convolution of ${n.dtype()} with computed weights or open shape`)
  const [filters, perGroup, ...kernel] = w.shape as [number, number, ...number[]]
  const rank = kernel.length
  const taps = sizeOf(kernel)
  const groups = n.number('groups')
  const [strides, dilations, pads] = [n.numbers('strides'), n.numbers('dilations'), n.numbers('pads')]
  const spatial = Array.from({ length: rank }, (_, i) => i + 2)
  let x = n.first(0)
  if (pads.some((p) => p !== 0))
    x = n.mid('Pad', [x, n.int64([0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)])])
  /** The input as tap t of every output pixel sees it. */
  const seen = (from: string, t: number): string => {
    const start = new Array<number>(rank)
    for (let d = rank - 1, r = t; d >= 0; d--) {
      start[d] = (r % kernel[d]!) * dilations[d]!
      r = Math.floor(r / kernel[d]!)
    }
    const end = start.map((s, d) => s + (dims[d]! - 1) * strides[d]! + 1)
    return n.mid('Slice', [from, n.int64(start), n.int64(end), n.int64(spatial), n.int64(strides)])
  }
  const each = Array.from({ length: taps }, (_, t) => t)
  let sums: string
  if (perGroup === 1 && groups > 1) {
    // One channel a filter: products with a number a channel, added up.
    const times = filters / groups
    const repeat = n.int64(Array.from({ length: filters }, (_, o) => Math.floor(o / times)))
    const terms = each.map((t) => {
      const own = reordered(w, [taps, filters, ...kernel.map(() => 1)], (o, _c, k) => k * filters + o)
      const part: Tensor = {
        ...own,
        shape: own.shape.slice(1),
        data: own.data.slice(t * filters, (t + 1) * filters),
      }
      const channels = times === 1 ? seen(x, t) : n.mid('Gather', [seen(x, t), repeat], { axis: 1 })
      return n.mid('Mul', [channels, n.constant(part)])
    })
    sums = terms.reduce((a, b) => n.mid('Add', [a, b]))
  } else {
    // Taps and channels as rows of one matrix product for each group.
    const size = filters / groups
    const weights = reordered(w, [groups, size, taps * perGroup], (o, c, t) => (o * taps + t) * perGroup + c)
    const parts = Array.from({ length: groups }, (_, g) => {
      const own =
        groups === 1
          ? x
          : n.mid('Slice', [x, n.int64([g * perGroup]), n.int64([(g + 1) * perGroup]), n.int64([1])])
      const columns = each.map((t) => seen(own, t))
      const rows = columns.length === 1 ? columns[0]! : n.mid('Concat', columns, { axis: 1 })
      const length = size * taps * perGroup
      const matrix = {
        ...weights,
        shape: weights.shape.slice(1),
        data: weights.data.slice(g * length, (g + 1) * length),
      }
      return n.mid('MatMul', [
        n.constant(matrix),
        n.mid('Reshape', [rows, n.int64([0, taps * perGroup, -1])]),
      ])
    })
    const all = parts.length === 1 ? parts[0]! : n.mid('Concat', parts, { axis: 1 })
    sums = n.mid('Reshape', [all, n.int64([0, filters, ...dims])])
  }
  if (!n.has(2)) {
    n.emitFirst('Identity', [sums])
    return
  }
  const bias = n.mid('Reshape', [n.in(2), n.int64([filters, ...kernel.map(() => 1)])])
  n.emitFirst('Add', [sums, bias])
}
