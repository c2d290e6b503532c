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
import { type Datum, type Graph, isTensor, type Node, type ValueId } from '../ir/types.ts'
import { type Alignment, align, fingerprint, inLayoutOf } from './align.ts'
import { boundNode } from './bounds.ts'

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
  /** 'preprocessing' where only what is done to the input before the first product differs. */
  readonly kind: 'node' | 'preprocessing'
}

export type Matching = {
  readonly pairs: readonly Pair[]
  readonly faults: readonly Fault[]
  /** Nodes of each graph without a partner. */
  readonly unmatchedA: readonly number[]
  readonly unmatchedB: readonly number[]
}

const products: ReadonlySet<string> = new Set([
  'conv1d', 'conv2d', 'conv3d', 'convTranspose1d', 'convTranspose2d', 'convTranspose3d', 'matMul', 'matMulInteger', 'convInteger',
  'lstm', 'gru', 'rnn',
]) // biome-ignore format: a list

/** Whether a node is a product with constant weights: a landmark in both graphs. */
const weightsOf = (g: Graph, n: Node): Tensor | null => {
  if (!products.has(n.op) && !/conv|fullyConnected|matMul/i.test(n.op)) return null
  let best: Tensor | null = null
  for (const v of n.inputs) {
    const c = v === null ? undefined : g.values[v]!.constant
    if (c && c.dtype !== 'string' && (!best || c.data.length > best.data.length)) best = c
  }
  return best
}

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
      const print = fingerprint(t)
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

  const find = (t: Tensor): { value: ValueId; node: number; alignment: Alignment } | null => {
    const print = fingerprint(t)
    const slack = options.equal * 4 * (print[2]! || 1)
    let best: { value: ValueId; node: number; alignment: Alignment } | null = null
    for (const c of index.get(print[0]!) ?? []) {
      if (Math.abs(c.print[2]! - print[2]!) > slack || Math.abs(c.print[3]! - print[3]!) > 4 * slack) continue
      const alignment = align(sideA.data.get(c.value) as Tensor, t, options.equal)
      if (!alignment || alignment.error > options.equal) continue
      // Equal values are common (a value and its reshape): the first not yet used.
      if (!best || (usedA.has(best.node) && !usedA.has(c.node)))
        best = { value: c.value, node: c.node, alignment }
      if (!usedA.has(c.node)) break
    }
    return best
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

  /** b's value v should have been a's value w: blame what lies between, and go on with a's numbers. */
  const blame = (v: ValueId, w: ValueId): void => {
    const got = sideB.data.get(v)
    const want = sideA.data.get(w)
    if (!isTensor(got) || !isTensor(want)) return
    const alignment = align(want, got, 0) ?? { permutation: [], error: 1 }
    if (alignment.permutation.length === 0 && want.data.length !== got.data.length) return
    const expected = alignment.permutation.length ? inLayoutOf(want, got.shape, alignment) : want
    const [g, e] = [numbers(got), numbers(expected)]
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
    const firstProduct = !pairs.some((p) => weightsOf(b, b.nodes[p.b]!))
    const channel = channelOrder(a, nodesA, b, nodesB)
    if (channel) said.unshift({ node: channel.node, says: channel.says })
    const onlyInput =
      reachesInput && firstProduct && (channel !== null || said.every((s) => !weightsOf(b, b.nodes[s.node]!)))
    faults.push({
      b: nodesB,
      a: nodesA,
      blamed: said[0]?.node ?? last,
      injected,
      bound,
      magnitude,
      says: said.map((s) => s.says),
      kind: onlyInput ? 'preprocessing' : 'node',
    })
    settle(v, w)
    sideB.data.set(v, expected.dtype === got.dtype ? expected : got)
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
      const found = find(t)
      if (found && (isFloat(t.dtype) || t.data.length > 1)) {
        pairs.push({ a: found.node, b: i, error: found.alignment.error })
        usedA.add(found.node)
        const region = regionB(v)
        settle(v, found.value)
        for (const j of region) for (const u of b.nodes[j]!.outputs) pending.delete(u)
        const resync = inLayoutOf(sideA.data.get(found.value) as Tensor, t.shape, found.alignment)
        if (resync.dtype === t.dtype) sideB.data.set(v, resync)
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

type Said = { readonly node: number; readonly says: string }

/** What differs between two regions that should do the same: attributes and weights of nodes of the same operator. */
function differences(a: Graph, nodesA: readonly number[], b: Graph, nodesB: readonly number[]): Said[] {
  const out: Said[] = []
  const free = [...nodesA]
  for (const i of nodesB) {
    const n = b.nodes[i]!
    const at = free.findIndex((j) => a.nodes[j]!.op === n.op)
    if (at < 0) continue
    const m = a.nodes[free.splice(at, 1)[0]!]!
    for (const [key, value] of Object.entries(n.attributes)) {
      const other = m.attributes[key]
      const plain = (v: unknown): string => (Array.isArray(v) ? `[${v.join(', ')}]` : String(v))
      if (typeof value === 'object' && !Array.isArray(value)) continue
      if (['layout', 'permutation', 'axis', 'axes'].includes(key)) continue
      if (other !== undefined && plain(other) !== plain(value))
        out.push({ node: i, says: `${n.op} ${key} ${plain(value)} against ${plain(other)}` })
    }
    n.inputs.forEach((v, k) => {
      const w = m.inputs[k]
      const [cb, ca] = [
        v === null ? undefined : b.values[v]!.constant,
        w == null ? undefined : a.values[w]!.constant,
      ]
      if (!ca || !cb || ca.dtype === 'string' || cb.dtype === 'string') return
      const says = weightDifference(ca, cb)
      if (says)
        out.push({
          node: i,
          says: `${n.op} ${k === 1 ? 'weights' : k === 2 ? 'bias' : `input ${k}`} ${says}`,
        })
    })
  }
  return out
}

/** In words how weights b differ from a: scaled, partly changed, or another order; null where they are the same. */
function weightDifference(a: Tensor, b: Tensor): string | null {
  if (a.data.length !== b.data.length) return `of ${b.data.length} elements against ${a.data.length}`
  const alignment = align(a, b, 1e-6)
  if (!alignment || alignment.error <= 1e-6) return null
  const [x, y] = [numbers(inLayoutOf(a, b.shape, alignment)), numbers(b)]
  let [xx, xy, changed, top] = [0, 0, 0, 0]
  for (let i = 0; i < x.length; i++) {
    xx += x[i]! * x[i]!
    xy += x[i]! * y[i]!
    if (x[i] !== y[i]) changed++
    top = Math.max(top, Math.abs(x[i]!))
  }
  const scale = xx > 0 ? xy / xx : 1
  let rest = 0
  for (let i = 0; i < x.length; i++) rest = Math.max(rest, Math.abs(y[i]! - scale * x[i]!))
  if (Math.abs(scale - 1) > 1e-6 && rest <= 1e-3 * Math.abs(scale - 1) * top)
    return `scaled by ${scale.toPrecision(4)}`
  const [pa, pb] = [fingerprint(a), fingerprint(b)]
  if (Math.abs(pa[2] - pb[2]) <= 1e-6 * pa[2] && Math.abs(pa[1] - pb[1]) <= 1e-6 * pa[2])
    return 'in another order'
  return `differ in ${changed} of ${x.length}`
}

/** Whether the first product's weights are a's with the input channels reversed (BGR for RGB). */
function channelOrder(a: Graph, nodesA: readonly number[], b: Graph, nodesB: readonly number[]): Said | null {
  for (const i of nodesB) {
    const wb = weightsOf(b, b.nodes[i]!)
    if (!wb || wb.shape.length < 3) continue
    for (const j of nodesA) {
      const wa = weightsOf(a, a.nodes[j]!)
      if (!wa || wa.data.length !== wb.data.length || wa.shape[1] !== wb.shape[1] || (wa.shape[1] ?? 0) < 2)
        continue
      const channels = wa.shape[1]!
      const inner = wa.shape.slice(2).reduce((p, d) => p * d, 1)
      const [x, y] = [numbers(wa), numbers(wb)]
      let reversed = true
      for (let k = 0; k < x.length && reversed; k++) {
        const c = Math.floor(k / inner) % channels
        const mirror = k + (channels - 1 - 2 * c) * inner
        if (Math.abs(x[mirror]! - y[k]!) > 1e-6 * (Math.abs(y[k]!) + 1e-6)) reversed = false
      }
      if (reversed && x.some((v, k) => v !== y[k]))
        return { node: i, says: 'input channels in reversed order (BGR for RGB)' }
    }
  }
  return null
}
