// Would 16-bit sums of two products overflow here? x86 processors without VNNI multiply u8 by s8 with `pmaddubsw`, which adds
// neighbouring products and saturates at ±32,767 before the 32-bit sum; runtimes that use it (onnxruntime among them) then give
// something else than the integer arithmetic of the model. Exact integer arithmetic tells which products reach that far.

import { numbers, type Tensor } from '../core/tensor.ts'
import { numberOf, stringOf } from '../ir/op.ts'
import { activationStrides, splitShape, windowOf } from '../ir/ops/linear.ts'
import { type Datum, type Graph, isTensor, type Node, type ValueId } from '../ir/types.ts'

export const pairLimit = 32767

export type PairPeak = {
  readonly node: string
  readonly index: number /** Largest |x₀·w₀ + x₁·w₁| seen. */
  readonly peak: number
}

/** Output positions looked at: enough to meet a large activation, few enough to be quick. */
const positions = 64

/** Which inputs of integer products are the activations and the weights. */
const integerOperands: Readonly<Record<string, readonly [x: number, w: number]>> = {
  matMulInteger: [0, 1],
  qlinearMatMul: [0, 3],
  qgemm: [0, 3],
}
const operandsOf = (op: string): readonly [number, number] | undefined =>
  integerOperands[op] ??
  (/^qlinearConv\dd$/.test(op) ? [0, 3] : /^convInteger\dd$/.test(op) ? [0, 1] : undefined)

/** The largest pair sums of every product of bytes, given every value of the graph. Products with unsigned weights can't saturate. */
export function pairPeaks(graph: Graph, values: ReadonlyMap<ValueId, Datum>): PairPeak[] {
  const made = new Map<ValueId, Node>()
  for (const n of graph.nodes) for (const v of n.outputs) made.set(v, n)
  const read = (v: ValueId | null | undefined): Tensor | undefined => {
    if (v == null) return undefined
    const d = graph.values[v]!.constant ?? values.get(v)
    return isTensor(d) ? d : undefined
  }
  /** The integers behind a float that was just dequantised: what a runtime's fused kernel multiplies. */
  const behind = (v: ValueId | null | undefined): Tensor | undefined => {
    const n = v == null ? undefined : made.get(v)
    return n?.op === 'dequantizeLinear' ? read(n.inputs[0]) : undefined
  }
  return graph.nodes.flatMap((node, index) => {
    const operands = operandsOf(node.op)
    const float = /^(conv\dd|matMul|gemm)$/.test(node.op)
    const x = operands ? read(node.inputs[operands[0]]) : float ? behind(node.inputs[0]) : undefined
    const w = operands ? read(node.inputs[operands[1]]) : float ? behind(node.inputs[1]) : undefined
    if (!x || w?.dtype !== 'int8' || (x.dtype !== 'uint8' && x.dtype !== 'int8')) return []
    const peak = /conv/i.test(node.op) ? convPeak(node, x, w) : matrixPeak(node, x, w)
    return [{ node: node.name, index, peak }]
  })
}

/** Kernels shift signed activations to unsigned ones. */
const unsignedOf = (t: Tensor): ((i: number) => number) => {
  const v = numbers(t)
  return t.dtype === 'int8' ? (i) => v[i]! + 128 : (i) => v[i]!
}

/** Largest sum of two neighbouring products. */
function pairs(row: Float64Array, w: ArrayLike<number>, base: number, stride: number): number {
  let peak = 0
  for (let k = 0; k + 1 < row.length; k += 2) {
    const s = Math.abs(row[k]! * w[base + k * stride]! + row[k + 1]! * w[base + (k + 1) * stride]!)
    if (s > peak) peak = s
  }
  return peak
}

function matrixPeak(node: Node, x: Tensor, w: Tensor): number {
  const k = x.shape.at(-1)!
  const transposed = node.attributes.transB === true || node.attributes.transB === 1
  const columns = transposed ? w.shape[0]! : w.shape.at(-1)!
  const at = unsignedOf(x)
  const ws = numbers(w)
  const rows = x.data.length / k
  const row = new Float64Array(k)
  let peak = 0
  for (let r = 0; r < rows; r += Math.max(1, Math.floor(rows / positions))) {
    for (let i = 0; i < k; i++) row[i] = at(r * k + i)
    for (let c = 0; c < columns; c++)
      peak = Math.max(peak, transposed ? pairs(row, ws, c * k, 1) : pairs(row, ws, c, columns))
  }
  return peak
}

function convPeak(node: Node, x: Tensor, w: Tensor): number {
  const rank = w.shape.length - 2
  const layout = stringOf(node.attributes, 'layout')
  const groups = numberOf(node.attributes, 'groups')
  const window = windowOf(node.attributes, rank)
  const { batch, spatial } = splitShape(x.shape, layout) as { batch: number; spatial: readonly number[] }
  const strides = activationStrides(x.shape, layout)
  const [filters, perGroup] = w.shape as [number, number]
  const kernel = w.shape.slice(2)
  const taps = kernel.reduce((a, b) => a * b, 1)
  const out = spatial.map((n, d) =>
    Math.max(
      1,
      Math.floor(
        (n + window.pads[d]! + window.pads[d + rank]! - window.dilations[d]! * (kernel[d]! - 1) - 1) /
          window.strides[d]!,
      ) + 1,
    ),
  )
  const pixels = out.reduce((a, b) => a * b, 1)
  const at = unsignedOf(x)
  const ws = numbers(w)
  const row = new Float64Array(perGroup * taps)
  const swapped = new Float64Array(perGroup * taps)
  const swappedWeights = new Float64Array(perGroup * taps)
  let peak = 0
  for (let n = 0; n < batch; n++) {
    for (let p = 0; p < pixels; p += Math.max(1, Math.floor(pixels / positions))) {
      for (let g = 0; g < groups; g++) {
        for (let t = 0; t < taps; t++) {
          let offset: number | null = 0
          for (let d = rank - 1, rp = p, rt = t; d >= 0; d--) {
            const i =
              (rp % out[d]!) * window.strides[d]! + (rt % kernel[d]!) * window.dilations[d]! - window.pads[d]!
            rp = Math.floor(rp / out[d]!)
            rt = Math.floor(rt / kernel[d]!)
            offset = offset === null || i < 0 || i >= spatial[d]! ? null : offset + i * strides.spatial[d]!
          }
          for (let c = 0; c < perGroup; c++) {
            const v =
              offset === null ? 0 : at(n * strides.batch + (g * perGroup + c) * strides.channel + offset)
            row[c * taps + t] = v
            swapped[t * perGroup + c] = v
          }
        }
        // Kernels walk a filter channel by channel or pixel by pixel: either order's neighbours count.
        for (let f = 0; f < filters / groups; f++) {
          const base = (g * (filters / groups) + f) * perGroup * taps
          peak = Math.max(peak, pairs(row, ws, base, 1))
          for (let c = 0; c < perGroup; c++)
            for (let t = 0; t < taps; t++) swappedWeights[t * perGroup + c] = ws[base + c * taps + t]!
          peak = Math.max(peak, pairs(swapped, swappedWeights, 0, 1))
        }
      }
    }
  }
  return peak
}
