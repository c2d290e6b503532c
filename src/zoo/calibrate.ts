// Statistics for batch normalisation: one forward pass in training mode, on a few random images at a reduced size. A network
// with random weights and statistics 0 and 1 is degenerate (its output vanishes or explodes with depth); with these, every
// normalisation gives values of mean near 0 and variance near 1. Sums in float64 by a blocked product, so that it takes about a
// second; the numbers only have to be sensible and the same everywhere.

import { numbers, sizeOf, type Tensor } from '../core/tensor.ts'
import { evaluateNode } from '../ir/evaluate.ts'
import type { Datum, Graph, Node } from '../ir/types.ts'
import { normalWeights, type Statistics } from './net.ts'

/** Images that the statistics come from. */
const BATCH = 4

/**
 * The variance of a channel is drawn towards the layer's mean variance as if this many values more had been seen: a channel
 * that happens to vary little over the few pixels of a deep layer would explode on other images.
 */
const PRIOR = 32

/** Statistics of every batch normalisation of a channels-first graph of one image input, by node name. */
export function calibrate(graph: Graph): Map<string, Statistics> {
  const found = new Map<string, Statistics>()
  const data = new Array<Datum | undefined>(graph.values.length)
  for (const v of graph.inputs) {
    const { type, name } = graph.values[v]!
    if (type.kind !== 'tensor') continue
    const shape = (type.shape ?? []).map((d) => (typeof d === 'number' ? d : BATCH))
    data[v] = normalWeights(`${graph.name}/calibration/${name}`, shape, 1)
  }
  const last = new Int32Array(graph.values.length).fill(-1)
  graph.nodes.forEach((n, i) => {
    for (const v of n.inputs) if (v !== null) last[v] = i
  })
  graph.nodes.forEach((node, i) => {
    const inputs = node.inputs.map((v) => (v === null ? undefined : (graph.values[v]!.constant ?? data[v])))
    if (node.op === 'batchNorm') {
      const { statistics, out } = normalized(inputs[0] as Tensor, node.attributes.epsilon as number)
      found.set(node.name, statistics)
      data[node.outputs[0]!] = out
    } else if (node.op === 'conv2d') data[node.outputs[0]!] = convolved(node, inputs as Tensor[])
    else {
      evaluateNode(node, inputs).forEach((d, k) => {
        data[node.outputs[k]!] = d
      })
    }
    for (const v of node.inputs) if (v !== null && last[v] === i) data[v] = undefined
  })
  return found
}

/** A channel's mean and variance over the images and pixels, and the normalised activation (scale 1, bias 0). */
function normalized(x: Tensor, epsilon: number): { statistics: Statistics; out: Tensor } {
  const [n, c] = x.shape as [number, number]
  const pixels = sizeOf(x.shape.slice(2))
  const xs = x.data as Float32Array
  const out = new Float32Array(xs.length)
  const [mean, variance] = [new Float32Array(c), new Float32Array(c)]
  for (let k = 0; k < c; k++) {
    let sum = 0
    let squares = 0
    for (let b = 0; b < n; b++) {
      const from = (b * c + k) * pixels
      for (let i = from; i < from + pixels; i++) {
        sum += xs[i]!
        squares += xs[i]! * xs[i]!
      }
    }
    mean[k] = sum / (n * pixels)
    variance[k] = Math.max(squares / (n * pixels) - mean[k]! ** 2, 0)
  }
  const typical = variance.reduce((p, v) => p + v, 0) / c
  for (let k = 0; k < c; k++) {
    variance[k] = (n * pixels * variance[k]! + PRIOR * typical) / (n * pixels + PRIOR)
    const factor = 1 / Math.sqrt(variance[k]! + epsilon)
    for (let b = 0; b < n; b++) {
      const from = (b * c + k) * pixels
      for (let i = from; i < from + pixels; i++) out[i] = (xs[i]! - mean[k]!) * factor
    }
  }
  return { statistics: { mean, variance }, out: { ...x, data: out } }
}

/** An index beyond an edge comes in again at the other. */
const wrapped = (i: number, size: number): number => (i >= 0 && i < size ? i : ((i % size) + size) % size)

/**
 * A channels-first convolution: for each group the filters times the columns of windows. Padding wraps around instead of being
 * zero: in a reduced image most windows of the deep layers would lie in the padding, which halves their variance, layer upon
 * layer, against that of a whole image.
 */
function convolved(node: Node, [x, w, bias]: readonly (Tensor | undefined)[]): Tensor {
  const a = node.attributes as { strides: number[]; pads: number[]; dilations: number[]; groups: number }
  const [n, c, h, wide] = x!.shape as [number, number, number, number]
  const [filters, perGroup, kh, kw] = w!.shape as [number, number, number, number]
  const [sy, sx] = a.strides as [number, number]
  const [dy, dx] = a.dilations as [number, number]
  const oh = Math.floor((h + a.pads[0]! + a.pads[2]! - dy * (kh - 1) - 1) / sy) + 1
  const ow = Math.floor((wide + a.pads[1]! + a.pads[3]! - dx * (kw - 1) - 1) / sx) + 1
  const pixels = oh * ow
  const xs = x!.data as Float32Array
  const ws = Float64Array.from(w!.data as Float32Array)
  const bs = bias ? numbers(bias) : null
  const out = new Float32Array(n * filters * pixels)
  const perFilters = filters / a.groups
  const rows = perGroup * kh * kw
  // The windows of all images side by side: [channel and tap, image and pixel].
  const all = n * pixels
  const columns = new Float64Array(rows * all)
  const product = new Float64Array(perFilters * all)
  for (let g = 0; g < a.groups; g++) {
    for (let k = 0, r = 0; k < perGroup; k++) {
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++, r++) {
          for (let b = 0; b < n; b++) {
            const from = (b * c + g * perGroup + k) * h * wide
            for (let y = 0; y < oh; y++) {
              const row = wrapped(y * sy + i * dy - a.pads[0]!, h)
              const to = r * all + b * pixels + y * ow
              for (let p = 0; p < ow; p++) {
                const column = wrapped(p * sx + j * dx - a.pads[1]!, wide)
                columns[to + p] = xs[from + row * wide + column]!
              }
            }
          }
        }
      }
    }
    multiply(ws, g * perFilters * rows, columns, product, perFilters, rows, all)
    for (let f = 0; f < perFilters; f++) {
      for (let b = 0; b < n; b++) {
        const from = f * all + b * pixels
        out.set(product.subarray(from, from + pixels), (b * filters + g * perFilters + f) * pixels)
      }
    }
  }
  if (bs) {
    for (let i = 0; i < out.length; i++) out[i]! += bs[Math.floor(i / pixels) % filters]!
  }
  return { dtype: 'float32', shape: [n, filters, oh, ow], data: out }
}

/** Columns that are summed at once: four rows of them stay in the nearest cache. */
const BLOCK = 384

/** out[m, n] = a[m, k] · b[k, n], four rows and a block of columns at a time. */
function multiply(
  a: Float64Array,
  aFrom: number,
  b: Float64Array,
  out: Float64Array,
  m: number,
  k: number,
  n: number,
): void {
  const sums = [0, 1, 2, 3].map(() => new Float64Array(BLOCK)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  const [s0, s1, s2, s3] = sums
  for (let start = 0; start < n; start += BLOCK) {
    const width = Math.min(BLOCK, n - start)
    for (let i = 0; i < m; i += 4) {
      const count = Math.min(4, m - i)
      for (const s of sums) s.fill(0)
      for (let l = 0; l < k; l++) {
        const at = aFrom + i * k + l
        const w0 = a[at]!
        const w1 = count > 1 ? a[at + k]! : 0
        const w2 = count > 2 ? a[at + 2 * k]! : 0
        const w3 = count > 3 ? a[at + 3 * k]! : 0
        const from = l * n + start
        for (let j = 0; j < width; j++) {
          const v = b[from + j]!
          s0[j] = s0[j]! + w0 * v
          s1[j] = s1[j]! + w1 * v
          s2[j] = s2[j]! + w2 * v
          s3[j] = s3[j]! + w3 * v
        }
      }
      for (let r = 0; r < count; r++) out.set(sums[r]!.subarray(0, width), (i + r) * n + start)
    }
  }
}
