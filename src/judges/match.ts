// Matching two graphs that claim to be the same network, and finding where the second leaves the first.
//
// Both run on one input. Graph b is evaluated node by node; whenever one of its values equals a value of a up to layout, the
// two are paired and b goes on with a's numbers, so that later values are compared on equal inputs: a fault shows only where
// it is made, and every fault shows. Values of b that equal nothing are pending: parts of a fused or decomposed form, which
// a later equal value settles, or a fault, which is settled when the next product (convolution, matrix product) of both
// graphs is recognised by its weights. Names are never needed.

import { isFloat } from '../core/dtype.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import { evaluateNode } from '../ir/evaluate.ts'
import { consumers } from '../ir/graph.ts'
import { type Datum, type Graph, isTensor, type Node, tensorType, type ValueId } from '../ir/types.ts'
import { type Alignment, align, fingerprint, inLayoutOf } from './align.ts'
import { boundNode } from './bounds.ts'
import { asInput } from './correspond.ts'
import { channelOrder, differences, realOf, weightsOf } from './differences.ts'

/** A node of b (by index) and the node of a that makes the same value. */
export type Pair = { readonly a: number; readonly b: number; readonly error: number }

/** A place where b, fed a's own numbers, gives something else. */
export type Fault = {
  /** Nodes of b between the last agreement and the disagreement; the last one's result is judged. */
  readonly b: readonly number[]
  readonly a: readonly number[]
  /** The node of b to blame: where an attribute or a weight differs, else the last. */
  readonly blamed: number
  /** Largest difference on equal inputs, what rounding allows there, and the reference's largest magnitude. */
  readonly injected: number
  readonly bound: number
  readonly magnitude: number
  /** What differs, in words: `strides [1, 1] against [2, 2]`, `weights scaled by 1.01`, … */
  readonly says: readonly string[]
  /**
   * `preprocessing`: only what is done to the input before the first product differs. `quantization`: b holds the same weights
   * in fewer bits, or integers where a has floats.
   */
  readonly kind: 'node' | 'preprocessing' | 'quantization'
}

export type Matching = {
  readonly pairs: readonly Pair[]
  readonly faults: readonly Fault[]
  /** Nodes of each graph without a partner. */
  readonly unmatchedA: readonly number[]
  readonly unmatchedB: readonly number[]
}

/** Whether any of the nodes computes in integers what a float network computes in floats. */
const integerRegion = (g: Graph, nodes: readonly number[]): boolean =>
  nodes.some((i) => /^(tflite|qLinear|dynamicQuantize)|Integer$/.test(g.nodes[i]!.op))

type Side = {
  readonly graph: Graph
  readonly data: Map<ValueId, Datum>
  readonly producer: Map<ValueId, number>
}

const read = (s: Side, v: ValueId | null): Datum | undefined =>
  v === null ? undefined : (s.graph.values[v]!.constant ?? s.data.get(v))

/** How likely two weight tensors are the same up to layout, scale, and a small fault: 0 none … 1 equal. */
function likeness(a: Tensor, b: Tensor): number {
  if (a.data.length !== b.data.length) return 0
  const [, , normA, topA] = fingerprint(a)
  const [, , normB, topB] = fingerprint(b)
  if (normA === normB && topA === topB) return 1
  if (normA === 0 || normB === 0) return 0.1
  // The shape of the distribution, whatever the scale.
  const shape = Math.abs(topA / normA - topB / normB) / (topA / normA)
  return Math.max(0.1, 0.9 - shape)
}

/**
 * Pairs the landmarks of both graphs in order: the alignment of the two sequences with the largest total likeness
 * (Needleman and Wunsch, 1970). Networks are near-chains, and converters keep the order of products.
 */
function pairLandmarks(
  a: readonly { node: number; weights: Tensor }[],
  b: readonly { node: number; weights: Tensor }[],
): Map<number, number> {
  const [n, m] = [a.length, b.length]
  const score = Array.from({ length: n + 1 }, () => new Float64Array(m + 1))
  const like = (i: number, j: number): number => likeness(a[i]!.weights, b[j]!.weights)
  const memo = Array.from({ length: n }, (_, i) => Float64Array.from({ length: m }, (_, j) => like(i, j)))
  for (let i = 1; i <= n; i++) {
    for (let j = 1; j <= m; j++) {
      const l = memo[i - 1]![j - 1]!
      score[i]![j] = Math.max(score[i - 1]![j]!, score[i]![j - 1]!, l > 0 ? score[i - 1]![j - 1]! + l : -1)
    }
  }
  const pairs = new Map<number, number>()
  for (let i = n, j = m; i > 0 && j > 0; ) {
    if (score[i]![j] === score[i - 1]![j]) i--
    else if (score[i]![j] === score[i]![j - 1]) j--
    else {
      pairs.set(b[j - 1]!.node, a[i - 1]!.node)
      i--
      j--
    }
  }
  return pairs
}

export type MatchOptions = {
  /** Largest difference, relative to the root mean square of the value, that still counts as equal. */
  readonly equal: number
}

/** Matches b against a on one set of inputs (already in each graph's own layout and type). */
export function matchGraphs(
  a: Graph,
  b: Graph,
  inputsA: readonly Datum[],
  inputsB: readonly Datum[],
  options: MatchOptions,
): Matching {
  const sideA: Side = {
    graph: a,
    data: new Map(a.inputs.map((v, i) => [v, inputsA[i]!])),
    producer: new Map(),
  }
  const sideB: Side = {
    graph: b,
    data: new Map(b.inputs.map((v, i) => [v, inputsB[i]!])),
    producer: new Map(),
  }
  /** What a's values mean, dequantised. */
  const realA = new Map<ValueId, Tensor>()
  const index = new Map<number, { value: ValueId; node: number; print: readonly number[] }[]>()
  a.nodes.forEach((n, i) => {
    const out = evaluateNode(
      n,
      n.inputs.map((v) => read(sideA, v)),
    )
    n.outputs.forEach((v, k) => {
      sideA.data.set(v, out[k]!)
      sideA.producer.set(v, i)
      const t = out[k]
      if (!isTensor(t) || t.dtype === 'string') return
      const real = realOf(t, a.values[v]!)
      realA.set(v, real)
      const print = fingerprint(real)
      index.set(print[0]!, [...(index.get(print[0]!) ?? []), { value: v, node: i, print }])
    })
  })
  for (const [i, n] of b.nodes.entries()) for (const v of n.outputs) sideB.producer.set(v, i)

  const landmark = (g: Graph): { node: number; weights: Tensor }[] =>
    g.nodes.flatMap((n, node) => {
      const weights = weightsOf(g, n)
      return weights ? [{ node, weights }] : []
    })
  const landmarks = pairLandmarks(landmark(a), landmark(b))

  const readersB = consumers(b)
  const pairs: Pair[] = []
  const faults: Fault[] = []
  const usedA = new Set<number>()
  /** b's value → a's value known to stand for it. */
  const same = new Map<ValueId, ValueId>()
  /** Values of b that equal nothing yet. */
  const pending = new Set<ValueId>()
  b.inputs.forEach((v, i) => {
    if (a.inputs[i] !== undefined) same.set(v, a.inputs[i]!)
  })

  /** The value of a that b's value v, meaning t, equals; quantised values may be a step off. */
  const find = (t: Tensor, v: ValueId): { value: ValueId; node: number; alignment: Alignment } | null => {
    const print = fingerprint(t)
    const size = print[2]! || 1
    const stepB = Math.max(0, ...(b.values[v]!.quantization?.scale ?? []))
    let best: { value: ValueId; node: number; alignment: Alignment } | null = null
    for (const c of index.get(print[0]!) ?? []) {
      const step = Math.max(stepB, ...(a.values[c.value]!.quantization?.scale ?? []))
      const equal = Math.max(options.equal, (1.01 * step) / size)
      const slack = equal * 4 * size
      if (Math.abs(c.print[2]! - print[2]!) > slack || Math.abs(c.print[3]! - print[3]!) > slack) continue
      const alignment = align(realA.get(c.value)!, t, equal)
      if (!alignment || alignment.error > equal) continue
      // Equal values are common (a value and its reshape): the first not yet used.
      if (!best || (usedA.has(best.node) && !usedA.has(c.node)))
        best = { value: c.value, node: c.node, alignment }
      if (!usedA.has(c.node)) break
    }
    return best
  }

  /** b's value v goes on with a's numbers, in its own layout and type. */
  const resync = (v: ValueId, like: Tensor, from: Tensor, alignment: Alignment): void => {
    const value = b.values[v]!
    const moved = inLayoutOf(from, like.shape, alignment)
    sideB.data.set(v, asInput(moved, { ...value, type: tensorType(like.dtype, like.shape) }) ?? like)
  }

  /** The nodes behind `v` up to values that are settled. */
  const regionB = (v: ValueId): number[] => {
    const out = new Set<number>()
    const walk = (u: ValueId): void => {
      const p = sideB.producer.get(u)
      if (p === undefined || out.has(p) || (u !== v && !pending.has(u))) return
      out.add(p)
      for (const w of b.nodes[p]!.inputs) if (w !== null) walk(w)
    }
    walk(v)
    return [...out].sort((x, y) => x - y)
  }
  const settledA = new Set<ValueId>(a.inputs)
  const regionA = (v: ValueId): number[] => {
    const out = new Set<number>()
    const walk = (u: ValueId): void => {
      const p = sideA.producer.get(u)
      if (p === undefined || out.has(p) || (u !== v && settledA.has(u))) return
      out.add(p)
      for (const w of a.nodes[p]!.inputs) if (w !== null) walk(w)
    }
    walk(v)
    return [...out].sort((x, y) => x - y)
  }

  const settle = (v: ValueId, to: ValueId): void => {
    same.set(v, to)
    settledA.add(to)
    pending.delete(v)
  }

  /** The value of a in this stretch that comes closest to b's value u, made by the same operator where there is one. */
  const resyncInner = (u: ValueId, op: string, nodesA: readonly number[]): void => {
    const got = sideB.data.get(u)
    if (!isTensor(got)) return
    const real = realOf(got, b.values[u]!)
    let best: { value: ValueId; alignment: Alignment; rank: number } | null = null
    for (const j of nodesA) {
      for (const w of a.nodes[j]!.outputs) {
        const want = realA.get(w)
        const alignment = want && align(want, real, 0)
        if (!alignment) continue
        const rank = alignment.error + (a.nodes[j]!.op === op ? 0 : 1e6)
        if (!best || rank < best.rank) best = { value: w, alignment, rank }
      }
    }
    if (!best) return
    settle(u, best.value)
    resync(u, got, realA.get(best.value)!, best.alignment)
  }

  /** b's value v should have been a's value w: blame what lies between, and go on with a's numbers. */
  const blame = (v: ValueId, w: ValueId): void => {
    const got = sideB.data.get(v)
    const want = sideA.data.get(w)
    if (!isTensor(got) || !isTensor(want)) return
    const [realGot, realWant] = [realOf(got, b.values[v]!), realA.get(w) ?? want]
    const alignment = align(realWant, realGot, 0)
    if (!alignment) return
    const expected = inLayoutOf(realWant, got.shape, alignment)
    const [g, e] = [numbers(realGot), numbers(expected)]
    let [injected, magnitude] = [0, 0]
    for (let i = 0; i < g.length; i++) {
      injected = Math.max(injected, Math.abs(g[i]! - e[i]!))
      magnitude = Math.max(magnitude, Math.abs(e[i]!))
    }
    const nodesB = regionB(v)
    const nodesA = regionA(w)
    const last = nodesB.at(-1)
    if (last === undefined) return
    // What the whole stretch may round to: the largest of its nodes' bounds.
    let bound = 0
    for (const i of nodesB) {
      const n = b.nodes[i]!
      const results = n.outputs.map((u) => sideB.data.get(u)!)
      for (const limit of boundNode(
        n,
        n.inputs.map((u) => read(sideB, u)),
        results,
      ).outputs) {
        if (typeof limit === 'number') bound = Math.max(bound, limit)
        else for (const l of limit) if (l > bound) bound = l
      }
    }
    const said = differences(a, nodesA, b, nodesB)
    const reachesInput = nodesB.some((i) =>
      b.nodes[i]!.inputs.some((u) => u !== null && b.inputs.includes(u)),
    )
    const firstProduct = !pairs.some((p) => weightsOf(b, b.nodes[p.b]!)) && faults.length === 0
    const channel = channelOrder(a, nodesA, b, nodesB)
    if (channel) said.unshift(channel)
    const integer = integerRegion(b, nodesB) !== integerRegion(a, nodesA)
    // Something stands before the first product on one side only.
    const before = (g: Graph, nodes: readonly number[]): number =>
      nodes.findIndex((i) => weightsOf(g, g.nodes[i]!) !== null)
    const treated = before(b, nodesB) !== 0 || before(a, nodesA) !== 0
    const onlyInput =
      firstProduct &&
      (channel !== null || (reachesInput && treated && said.every((x) => !weightsOf(b, b.nodes[x.node]!))))
    const quantized = (integer || said.length > 0) && said.every((x) => x.coarser)
    faults.push({
      b: nodesB,
      a: nodesA,
      blamed: said[0]?.node ?? last,
      injected,
      bound,
      magnitude,
      says: said.map((s) => s.says),
      kind: onlyInput && !integer ? 'preprocessing' : quantized ? 'quantization' : 'node',
    })
    settle(v, w)
    resync(v, got, realWant, alignment)
    // Values inside the stretch that others read as well (a residual's start) go on with a's numbers too.
    for (const i of nodesB) {
      for (const u of b.nodes[i]!.outputs) {
        if (u !== v && readersB[u]!.some((r) => !nodesB.includes(r))) resyncInner(u, b.nodes[i]!.op, nodesA)
      }
    }
    for (const i of nodesB) for (const u of b.nodes[i]!.outputs) pending.delete(u)
  }

  b.nodes.forEach((n, i) => {
    // A landmark whose inputs are pending: settle them by what its partner in a reads.
    const partner = landmarks.get(i)
    if (partner !== undefined) {
      n.inputs.forEach((v, k) => {
        if (v === null || !pending.has(v)) return
        const w = counterpart(a, b, a.nodes[partner]!, n, k)
        if (w !== null && !settledA.has(w)) blame(v, w)
        else if (w !== null && sideA.data.has(w)) {
          // a's value is settled under another of b's: only b's detour to it is to blame.
          blame(v, w)
        }
      })
    }
    const out = evaluateNode(
      n,
      n.inputs.map((v) => read(sideB, v)),
    )
    n.outputs.forEach((v, k) => {
      sideB.data.set(v, out[k]!)
      const t = out[k]
      if (!isTensor(t) || t.dtype === 'string' || t.data.length === 0) return
      const found = find(realOf(t, b.values[v]!), v)
      if (found && (isFloat(t.dtype) || t.data.length > 1)) {
        pairs.push({ a: found.node, b: i, error: found.alignment.error })
        usedA.add(found.node)
        const region = regionB(v)
        settle(v, found.value)
        for (const j of region) for (const u of b.nodes[j]!.outputs) pending.delete(u)
        resync(v, t, realA.get(found.value)!, found.alignment)
        return
      }
      if (n.inputs.some((u) => u !== null && !b.values[u]!.constant)) pending.add(v)
    })
  })
  b.outputs.forEach((v, i) => {
    if (pending.has(v) && a.outputs[i] !== undefined) blame(v, a.outputs[i]!)
  })
  const matchedB = new Set(pairs.map((p) => p.b))
  for (const f of faults) for (const i of f.b) matchedB.add(i)
  for (const f of faults) for (const i of f.a) usedA.add(i)
  return {
    pairs,
    faults,
    unmatchedA: a.nodes.flatMap((_, i) => (usedA.has(i) ? [] : [i])),
    unmatchedB: b.nodes.flatMap((_, i) => (matchedB.has(i) ? [] : [i])),
  }
}

/** The value that landmark `na` reads where `nb` reads its k-th input: the k-th among inputs that are no constants. */
function counterpart(a: Graph, b: Graph, na: Node, nb: Node, k: number): ValueId | null {
  const place = nb.inputs.slice(0, k).filter((v) => v !== null && !b.values[v]!.constant).length
  const flowing = na.inputs.filter((v): v is ValueId => v !== null && !a.values[v]!.constant)
  return flowing[place] ?? null
}
