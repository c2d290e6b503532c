// A float network as onnxruntime's static quantiser leaves it (`quantize_static`, QDQ form, per channel): QuantizeLinear and
// DequantizeLinear around every activation, int8 filters with a scale a filter, biases in int32 in the scale of the sums, and a relu
// that a zero point of 0 makes needless left out. Scales come from one forward pass on random images, by the reference: the same
// everywhere.

import { specializeTo } from '../src/compile/prepare.ts'
import { rng } from '../src/core/rng.ts'
import { numbers, type Tensor, tensorOf } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { consumers, GraphBuilder } from '../src/ir/graph.ts'
import { type Graph, isTensor, type Node, type ValueId } from '../src/ir/types.ts'
import { optimizeRules } from '../src/rewrite/optimize.ts'
import { applyRules } from '../src/rewrite/pass.ts'
import type { Rule } from '../src/rewrite/rule.ts'
import { randomInputs } from '../src/studies/inputs.ts'

/** Of uint8 or int8 values: 0 is one of them. */
type Scale = { readonly scale: number; readonly zero: number }

/** Operators that take their operands in integers; all others stay float. */
const quantised: ReadonlySet<string> = new Set([
  'conv2d', 'add', 'maxPool2d', 'averagePool2d', 'reduceMean', 'gemm', 'matMul', 'relu', 'clamp', 'flatten', 'reshape', 'concat',
]) // biome-ignore format: a list
/** Operators that pass values on as they are: their result keeps its operand's scale. */
const passing: ReadonlySet<string> = new Set(['maxPool2d', 'flatten', 'reshape'])

/** A dense layer is one operator, as torch exports it. */
const asGemm: Rule = {
  name: 'product-as-gemm',
  says: 'add(matMul(x, w), b) → gemm(x, w, b)',
  contract: { within: 'it is the same sum' },
  match: 'add(matMul(x, w!), b!)',
  rewrite: (m, b) => b.node('gemm', [m.value('x'), m.value('w'), m.value('b')]),
  examples: [],
}

/** Height and width of the images that scales come from. */
const calibrated = 96

/** A channels-first float graph of one image, its activations as `activation`. */
export function quantisedNetwork(given: Graph, activation: 'uint8' | 'int8' = 'uint8'): Graph {
  const graph = applyRules(given, [...optimizeRules, asGemm]).graph
  const low = activation === 'uint8' ? 0 : -128
  const ranges = activationRanges(graph)
  const scaleOf = (v: ValueId): Scale => {
    const [min, max] = ranges.get(v)!
    const scale = Math.fround((max - min) / 255) || 1
    return { scale, zero: Math.round(low - min / scale) }
  }
  const readers = consumers(graph)
  const b = new GraphBuilder(`${graph.name}-${activation}`)
  const float = new Map<ValueId, ValueId>()
  const scales = new Map<ValueId, Scale>()
  const scalar = (v: number, name: string): ValueId => b.constant(tensorOf('float32', [], [v]), name)

  /** Leaves a value quantised and dequantised. */
  const settle = (v: ValueId, made: ValueId, s: Scale): void => {
    const { name } = graph.values[v]!
    const scale = scalar(s.scale, `${name}_scale`)
    const zero = b.constant(tensorOf(activation, [], [s.zero]), `${name}_zero_point`)
    const q = b.node('quantizeLinear', [made, scale, zero], {}, { name: `${name}_QuantizeLinear` })
    float.set(v, b.node('dequantizeLinear', [q, scale, zero], {}, { name: `${name}_DequantizeLinear` }))
    scales.set(v, s)
  }
  /** Filters along their first axis, matrices along `axis`: largest magnitude 127. */
  const weights = (t: Tensor, axis: number, name: string): { value: ValueId; scales: number[] } => {
    const values = numbers(t)
    const count = t.shape[axis]!
    const inner = t.shape.slice(axis + 1).reduce((p, n) => p * n, 1)
    const of = (i: number): number => Math.floor(i / inner) % count
    const peaks = new Array<number>(count).fill(0)
    for (let i = 0; i < values.length; i++) peaks[of(i)] = Math.max(peaks[of(i)]!, Math.abs(values[i]!))
    const all = peaks.map((p) => Math.fround(p / 127) || 1)
    const q = tensorOf(
      'int8',
      t.shape,
      Array.from(values, (v, i) => Math.max(-127, Math.min(127, Math.round(v / all[of(i)]!)))),
    )
    const operands = [
      b.constant(q, `${name}_quantized`),
      b.constant(tensorOf('float32', [count], all), `${name}_scale`),
      b.constant(tensorOf('int8', [count], new Array(count).fill(0)), `${name}_zero_point`),
    ]
    const value = b.node('dequantizeLinear', operands, { axis }, { name: `${name}_DequantizeLinear` })
    return { value, scales: all }
  }
  const product = (n: Node): (ValueId | null)[] => {
    const [x, w, bias] = n.inputs as [ValueId, ValueId, ValueId | null | undefined]
    const t = graph.values[w]!.constant!
    const turned = n.op === 'gemm' && n.attributes.transposeB === true
    const axis = n.op === 'conv2d' || turned ? 0 : t.shape.length - 1
    const made = weights(t, axis, graph.values[w]!.name)
    if (bias == null) return [float.get(x)!, made.value]
    const { name, constant } = graph.values[bias]!
    const own = made.scales.map((s) => Math.fround(s * scales.get(x)!.scale))
    const q = Array.from(numbers(constant!), (v, i) => Math.round(v / own[i]!))
    const operands = [
      b.constant(tensorOf('int32', [own.length], q), `${name}_quantized`),
      b.constant(tensorOf('float32', [own.length], own), `${name}_scale`),
    ]
    const real = b.node('dequantizeLinear', operands, { axis: 0 }, { name: `${name}_DequantizeLinear` })
    return [float.get(x)!, made.value, real]
  }

  for (const v of graph.inputs) {
    const value = graph.values[v]!
    settle(v, b.input(value.name, value.type), scaleOf(v))
  }
  graph.nodes.forEach((n, i) => {
    const out = n.outputs[0]!
    if (n.op === 'relu' && n.inputs[0] !== null && float.has(out)) return
    const operands =
      /^(conv2d|gemm|matMul)$/.test(n.op) && graph.values[n.inputs[1]!]!.constant
        ? product(n)
        : n.inputs.map((v) => {
            if (v === null) return null
            const { constant, name } = graph.values[v]!
            return constant ? b.constant(constant, name) : float.get(v)!
          })
    const made = b.node(n.op, operands, n.attributes, { name: n.name, outputs: [graph.values[out]!.name] })
    const [next, ...others] = readers[out]!
    const relu = next !== undefined && others.length === 0 && graph.nodes[next]!.op === 'relu' && next > i
    if (!quantised.has(n.op)) float.set(out, made)
    else if (relu) {
      const after = graph.nodes[next]!.outputs[0]!
      settle(after, made, scaleOf(after))
    } else settle(out, made, passing.has(n.op) ? scales.get(n.inputs[0]!)! : scaleOf(out))
  })
  for (const v of graph.outputs) b.output(float.get(v)!)
  return b.finish()
}

/** Least and largest value of every activation, 0 among them, on random images of a reduced size. */
function activationRanges(graph: Graph): Map<ValueId, [min: number, max: number]> {
  const [image] = randomInputs(graph, 1, 5)[0]!
  const shape = [1, image!.shape[1]!, calibrated, calibrated]
  const { next } = rng(11)
  const pixels = shape.reduce((p, n) => p * n, 1)
  // Sums of uniform numbers are normal enough.
  const normal = (): number => Array.from({ length: 12 }, next).reduce((s, v) => s + v, -6)
  const x = tensorOf('float32', shape, Array.from({ length: pixels }, normal))
  const small = specializeTo(graph, [x])
  const names = new Map(small.nodes.flatMap((n) => n.outputs.map((v) => [small.values[v]!.name, v] as const)))
  const seen = new Map<ValueId, [number, number]>()
  const range = (t: Tensor): [number, number] => {
    let [min, max] = [0, 0]
    for (const v of numbers(t)) {
      if (v < min) min = v
      if (v > max) max = v
    }
    return [min, max]
  }
  evaluate(small, [x], {
    observe: (n, _i, out) =>
      n.outputs.forEach((v, k) => {
        const d = out[k]
        if (isTensor(d)) seen.set(v, range(d))
      }),
  })
  const ranges = new Map<ValueId, [number, number]>(graph.inputs.map((v) => [v, range(x)]))
  for (const n of graph.nodes)
    for (const v of n.outputs) {
      const at = names.get(graph.values[v]!.name)
      if (at !== undefined) ranges.set(v, seen.get(at)!)
    }
  return ranges
}
