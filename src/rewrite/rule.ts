// Rules: rewrites that are rows with a name, both sides visible and a contract, and the one sweep that applies them.

import { BugError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import { GraphBuilder, prune } from '../ir/graph.ts'
import type { OpName } from '../ir/ops/index.ts'
import type { Attributes, Graph, Node, Type, ValueId } from '../ir/types.ts'

/** exact: the same bits. within: the same up to rounding, for the stated reason. breaks: meant to change results (mutations). */
export type Contract = 'exact' | { readonly within: string } | 'breaks'

/** What a pattern's names are bound to. */
export type Bindings = {
  /** The value bound to a name; BugError where the pattern has none. */
  value(name: string): ValueId
  /** Whether an optional name is bound. */
  has(name: string): boolean
  /** The constant bound to a name marked `!`. */
  constant(name: string): Tensor
  /** The n-th node of an operator in the pattern, from the root inwards. */
  node(op: OpName, n?: number): { readonly attributes: Attributes; readonly name: string }
  /** Type of a bound value. */
  type(name: string): Type
  /** Type of the root's first result. */
  readonly result: Type
}

export type Rule = {
  readonly name: string
  /** Both sides, for people: 'relu(relu(x)) → relu(x)'. */
  readonly says: string
  readonly contract: Contract
  /**
   * `batchNorm(conv2d(x, w!, b!?), scale!, bias!, mean!, variance!)`: operators with their inputs; a name binds any value,
   * `!` a constant only, `?` may be absent. A name that stands twice must be the same value.
   */
  readonly match: string
  /** The reason why the rule declines this match; null where it applies. */
  readonly unless?: (m: Bindings) => string | null
  /** Builds the right side and returns its value. */
  readonly rewrite: (m: Bindings, b: GraphBuilder) => ValueId
  /** Graphs in text form that the rule applies to, for the generic test. */
  readonly examples: readonly string[]
}

type Pattern = { readonly op: string; readonly args: readonly Argument[] }
type Argument =
  | { readonly pattern: Pattern }
  | { readonly name: string; readonly constant: boolean; readonly optional: boolean }

const parsed = new Map<string, Pattern>()

/** Parses a match text. */
export function pattern(text: string): Pattern {
  const known = parsed.get(text)
  if (known) return known
  const tokens = text.match(/\w+|[(),!?]/g) ?? []
  let i = 0
  const argument = (): Argument => {
    const word = tokens[i++]!
    if (tokens[i] === '(') {
      i++
      const args: Argument[] = []
      while (tokens[i] !== ')') {
        if (i >= tokens.length) throw new BugError(`rule pattern '${text}': expected )`)
        args.push(argument())
        if (tokens[i] === ',') i++
      }
      i++
      return { pattern: { op: word, args } }
    }
    let [constant, optional] = [false, false]
    for (; tokens[i] === '!' || tokens[i] === '?'; i++) {
      if (tokens[i] === '!') constant = true
      else optional = true
    }
    return { name: word, constant, optional }
  }
  const root = argument()
  if (!('pattern' in root)) throw new BugError(`rule pattern '${text}': expected an operator`)
  parsed.set(text, root.pattern)
  return root.pattern
}

/** One application of a rule, or its refusal. */
export type Change = { readonly rule: string; readonly node: string; readonly refused?: string }

export type SweepResult = { readonly graph: Graph; readonly changes: readonly Change[] }

/**
 * Applies rules in one sweep: the graph is built anew in order, and each node, once its inputs stand, is matched as a root
 * against what has been built. Inner nodes of a match must have no other reader. Every node made bears the rule's name.
 */
export function sweep(graph: Graph, rules: readonly Rule[]): SweepResult {
  const byRoot = new Map<string, Rule[]>()
  for (const r of rules) {
    const root = pattern(r.match).op
    byRoot.set(root, [...(byRoot.get(root) ?? []), r])
  }
  const b = new GraphBuilder(graph.name)
  const map = new Map<ValueId, ValueId>()
  const uses = new Map<ValueId, number>()
  const countUse = (v: ValueId, n: number): void => {
    uses.set(v, (uses.get(v) ?? 0) + n)
  }
  const readers = new Int32Array(graph.values.length)
  for (const n of graph.nodes) for (const v of n.inputs) if (v !== null) readers[v]!++
  for (const v of graph.outputs) readers[v]! += 2 // an output may never vanish into a match
  const bind = (from: ValueId, to: ValueId): void => {
    map.set(from, to)
    countUse(to, readers[from]!)
  }
  const to = (v: ValueId): ValueId => {
    const known = map.get(v)
    if (known !== undefined) return known
    const value = graph.values[v]!
    if (!value.constant) throw new BugError(`sweep: ${value.name} is used before it is made`)
    const id = b.constant(value.constant, value.name, value.quantization)
    bind(v, id)
    return id
  }
  for (const v of graph.inputs)
    bind(v, b.input(graph.values[v]!.name, graph.values[v]!.type, graph.values[v]!.quantization))
  const changes: Change[] = []
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((v) => (v === null ? null : to(v)))
    const made = b.nodeOutputs(node.op, inputs, node.attributes, {
      name: node.name,
      outputs: node.outputs.map((v) => graph.values[v]!.name),
      origin: node.origin,
      quantization: node.outputs.map((v) => graph.values[v]!.quantization),
    })
    made.forEach((v, k) => {
      b.refine(v, graph.values[node.outputs[k]!]!.type)
      bind(node.outputs[k]!, v)
    })
    let root = made[0]!
    // A rewritten root may be the root of another rule: until none applies.
    for (let again = true; again; ) {
      again = false
      const producer = b.producer(root)
      for (const rule of producer ? (byRoot.get(producer.op) ?? []) : []) {
        const m = matchAt(b, root, pattern(rule.match), uses)
        if (!m) continue
        const refused = rule.unless?.(m) ?? null
        if (refused !== null) {
          changes.push({ rule: rule.name, node: node.name, refused })
          continue
        }
        const before = b.size()
        const result = rule.rewrite(m, b)
        if (result === root) continue
        b.mark(before, [...m.origin, rule.name])
        changes.push({ rule: rule.name, node: node.name })
        map.set(node.outputs[0]!, result)
        const taken = result < before.values ? (uses.get(result) ?? 0) : 0
        for (let v = before.values; v < b.size().values; v++) uses.set(v, 1)
        uses.set(result, taken + readers[node.outputs[0]!]!)
        root = result
        again = true
        break
      }
    }
  }
  for (const v of graph.outputs) b.output(to(v))
  return { graph: keepOutputNames(graph, prune(b.finish())), changes }
}

/** Outputs keep their names whatever was made of them. */
function keepOutputNames(before: Graph, after: Graph): Graph {
  const values = [...after.values]
  const inputs = new Set(after.inputs)
  after.outputs.forEach((v, i) => {
    const name = before.values[before.outputs[i]!]!.name
    if (values[v]!.name === name || inputs.has(v)) return
    const holder = values.findIndex((x) => x.name === name)
    if (holder >= 0) values[holder] = { ...values[holder]!, name: values[v]!.name }
    values[v] = { ...values[v]!, name }
  })
  return { ...after, values }
}

type Match = Bindings & { readonly origin: readonly string[] }

function matchAt(
  b: GraphBuilder,
  root: ValueId,
  p: Pattern,
  uses: ReadonlyMap<ValueId, number>,
): Match | null {
  const names = new Map<string, ValueId>()
  const nodes: Node[] = []
  const visit = (v: ValueId, q: Pattern, inner: boolean): boolean => {
    const n = b.producer(v)
    if (!n || n.op !== q.op || n.outputs[0] !== v) return false
    if (inner && (uses.get(v) ?? 0) > 1) return false
    nodes.push(n)
    if (n.inputs.length > q.args.length) return false
    return q.args.every((a, i) => {
      const input = n.inputs[i] ?? null
      if ('pattern' in a) return input !== null && visit(input, a.pattern, true)
      if (input === null) return a.optional
      if (a.constant && !b.constantOf(input)) return false
      const bound = names.get(a.name)
      if (bound !== undefined && bound !== input) return false
      names.set(a.name, input)
      return true
    })
  }
  if (!visit(root, p, false)) return null
  const value = (name: string): ValueId => {
    const v = names.get(name)
    if (v === undefined) throw new BugError(`rule: the pattern binds no ${name}`)
    return v
  }
  return {
    value,
    has: (name) => names.has(name),
    constant: (name) => {
      const t = b.constantOf(value(name))
      if (!t) throw new BugError(`rule: ${name} is no constant`)
      return t
    },
    node: (op, n = 0) => {
      const found = nodes.filter((x) => x.op === op)[n]
      if (!found) throw new BugError(`rule: the pattern has no ${op} number ${n}`)
      return found
    },
    type: (name) => b.type(value(name)),
    result: b.type(root),
    origin: [...new Set(nodes.flatMap((n) => n.origin))],
  }
}
