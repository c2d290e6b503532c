// From any graph to one that the compiler takes: shapes fixed, operators without a lowering decomposed, batch normalisation and the
// like folded into weights.

import { isBig } from '../core/dtype.ts'
import type { Unsupported } from '../core/errors.ts'
import { sizeOf, type Tensor } from '../core/tensor.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { keepQuantised, specialize } from '../ir/specialize.ts'
import { type Datum, type Graph, isStatic, isTensor, type ValueId } from '../ir/types.ts'
import { decompose } from '../rewrite/decompose/decompose.ts'
import { integerProductDecompositions } from '../rewrite/decompose/integer-products.ts'
import { lossDecompositions } from '../rewrite/decompose/loss.ts'
import { normalizeDecompositions } from '../rewrite/decompose/normalize.ts'
import { productDecompositions } from '../rewrite/decompose/products.ts'
import { qlinearDecompositions } from '../rewrite/decompose/qlinear.ts'
import { quantizeDecompositions } from '../rewrite/decompose/quantize.ts'
import { recurrentDecompositions } from '../rewrite/decompose/recurrent.ts'
import { tfliteDecompositions } from '../rewrite/decompose/tflite.ts'
import { bytesRules, centreRules, dequantizedApart, quantisedRules, readWide } from '../rewrite/integers.ts'
import { optimizeRules } from '../rewrite/optimize.ts'
import { applyRules } from '../rewrite/pass.ts'
import { unroll } from '../rewrite/unroll.ts'
import { loweringOf } from './lower/index.ts'
import type { Engine } from './schedule.ts'

const table = {
  ...lossDecompositions,
  ...recurrentDecompositions,
  ...normalizeDecompositions,
  ...productDecompositions,
  ...quantizeDecompositions,
  ...qlinearDecompositions,
  ...tfliteDecompositions,
  ...integerProductDecompositions,
}

/** Whether every value has a static shape: the graph can be compiled once for all runs. */
export const isStaticGraph = (graph: Graph): boolean =>
  [...graph.inputs, ...graph.nodes.flatMap((n) => n.outputs)].every((v) => {
    const { type } = graph.values[v]!
    return type.kind === 'tensor' && isStatic(type.shape)
  })

/**
 * A graph whose dequantised products are products of integers: what exact integer arithmetic gives is what `evaluate` gives for it, and
 * every target of ours bit for bit.
 */
export const integerForm = (graph: Graph): Graph =>
  applyRules(dequantizedApart(specialize(graph, { keep: keepQuantised })), quantisedRules).graph

/** The graph for the compiler and an engine (one that multiplies int16, unless given). Shapes must be known. */
export function prepare(graph: Graph, engine?: Engine): Graph {
  // What becomes of a node says so by its name.
  const named = { ...graph, nodes: graph.nodes.map((n) => ({ ...n, origin: [n.name] })) }
  // Quantised products first, before their weights become real numbers; then folding, before batchNorm is taken apart.
  const folded = applyRules(specialize(integerForm(named)), optimizeRules).graph
  const plain = decompose(folded, table, (op) => {
    const l = loweringOf(op)
    return l !== undefined && !('gap' in l)
  })
  const products = specialize(applyRules(plain, engine?.bytes ? bytesRules : centreRules).graph)
  return engine?.bytes ? products : readWide(products)
}

/** The graph with its shapes and its control flow as far as they are known before running. */
export const settle = (graph: Graph): Graph =>
  unroll(specialize(graph, { keep: keepQuantised }), { keep: keepQuantised })

/** Operators of the graph that have neither a lowering nor a decomposition, with the reason. */
export function uncompilable(graph: Graph): Unsupported[] {
  const found = new Map<string, Unsupported>()
  // What follows from constants and the inputs that decide shapes is computed before compiling.
  const known = new Set([...shapeInputs(graph)].filter((v) => isSmall(graph, v)))
  const isKnown = (v: ValueId): boolean => known.has(v) || graph.values[v]!.constant !== undefined
  for (const n of graph.nodes) {
    if (n.inputs.every((v) => v === null || isKnown(v))) {
      for (const v of n.outputs) known.add(v)
      continue
    }
    // Its body is chosen once the inputs that decide it are known.
    const decides = n.op === 'if' ? [0] : n.op === 'loop' ? [0, 1] : []
    if (decides.length > 0 && decides.every((k) => n.inputs[k] === null || isKnown(n.inputs[k]!))) continue
    const l = loweringOf(n.op)
    const strings = [...n.inputs, ...n.outputs].some((v) => v !== null && isStrings(graph, v))
    if (!strings && ((l && !('gap' in l)) || n.op in table)) continue
    const op = strings ? `${n.op} (strings)` : l && 'gap' in l ? `${n.op} (${l.gap})` : n.op
    found.set(op, { op, count: (found.get(op)?.count ?? 0) + 1 })
  }
  return [...found.values()]
}

const isStrings = (graph: Graph, v: ValueId): boolean => {
  const { type } = graph.values[v]!
  return type.kind === 'tensor' && type.dtype === 'string'
}

/** Inputs of more elements are never taken for constants, whatever they decide. */
const mostKnown = 4096

const isSmall = (graph: Graph, v: ValueId): boolean => {
  const { type } = graph.values[v]!
  return type.kind !== 'tensor' || !isStatic(type.shape) || sizeOf(type.shape) <= mostKnown
}

/** Operands that decide shapes: which inputs of which operators must be known before compiling. */
const shapeOperands: Readonly<Record<string, readonly number[]>> = {
  reshape: [1], expand: [1], slice: [1, 2, 3, 4], pad: [1, 3], tile: [1], split: [1], topK: [1], range: [0, 1, 2],
  constantOfShape: [0], oneHot: [1], resize: [1, 2, 3], cumSum: [1], trilu: [1], maxUnpool: [2],
  reduceSum: [1], reduceMean: [1], reduceMax: [1], reduceMin: [1], reduceProd: [1], reduceL1: [1], reduceL2: [1],
  reduceSumSquare: [1], reduceLogSum: [1], reduceLogSumExp: [1], affineGrid: [1], window: [0], dft: [1, 2], melWeightMatrix: [0, 1, 2, 3, 4],
  blackmanWindow: [0], squeeze: [1], unsqueeze: [1], loop: [0, 1], if: [0], stft: [1, 3],
} // biome-ignore format: a table

/** The inputs whose values, not only shapes, must be known: small ones that lead to an operand that decides a shape. */
export function shapeInputs(graph: Graph): Set<ValueId> {
  const needed = new Set<ValueId>()
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const n = graph.nodes[i]!
    const decides = n.outputs.some((v) => needed.has(v))
    n.inputs.forEach((v, k) => {
      if (v !== null && (decides || shapeOperands[n.op]?.includes(k))) needed.add(v)
    })
  }
  return new Set(graph.inputs.filter((v) => needed.has(v)))
}

/** The graph for these inputs: shapes bound, and the values of `shapeInputs` made constants (they stay inputs by name). */
export function specializeTo(graph: Graph, inputs: readonly Datum[]): Graph {
  const fixed = shapeInputs(graph)
  const b = new GraphBuilder(graph.name)
  const map = new Map<ValueId, ValueId>()
  graph.inputs.forEach((v, i) => {
    const value = graph.values[v]!
    const t = inputs[i]!
    if (!isTensor(t)) {
      map.set(v, b.input(value.name, value.type))
      return
    }
    const input = b.input(value.name, { kind: 'tensor', dtype: t.dtype, shape: t.shape })
    map.set(v, fixed.has(v) && sizeOf(t.shape) <= mostKnown ? b.constant(t, `${value.name}.value`) : input)
  })
  const to = (v: ValueId | null): ValueId | null => {
    if (v === null) return null
    if (!map.has(v)) map.set(v, b.constant(graph.values[v]!.constant!, graph.values[v]!.name))
    return map.get(v)!
  }
  for (const n of graph.nodes) {
    const made = b.nodeOutputs(n.op, n.inputs.map(to), n.attributes, {
      name: n.name,
      outputs: n.outputs.map((v) => graph.values[v]!.name),
      origin: n.origin,
    })
    made.forEach((v, k) => void map.set(n.outputs[k]!, v))
  }
  for (const v of graph.outputs) b.output(to(v)!)
  return settle(b.finish())
}

/** What a specialisation depends on: a key for caches. */
export function specializationKey(graph: Graph, inputs: readonly Datum[]): string {
  const fixed = shapeInputs(graph)
  return graph.inputs
    .map((v, i) => {
      const t = inputs[i]
      if (!isTensor(t)) return '?'
      const content = fixed.has(v) ? `=${contentOf(t)}` : ''
      return `${t.dtype}[${t.shape}]${content}`
    })
    .join(';')
}
const contentOf = (t: Tensor): string => (isBig(t.dtype) ? (t.data as BigInt64Array).join() : String(t.data))
