// Rules that make a graph smaller without changing what it computes: what every runtime does before it runs a network.

import { isFloat } from '../core/dtype.ts'
import { numbers, scaledRows, type Tensor, tensorOf } from '../core/tensor.ts'
import type { GraphBuilder } from '../ir/graph.ts'
import { isStatic, type Type, type ValueId } from '../ir/types.ts'
import type { Bindings, Rule } from './rule.ts'

const shapeOf = (t: Type): readonly number[] | null =>
  t.kind === 'tensor' && isStatic(t.shape) ? t.shape : null
const dtypeOf = (t: Type): string => (t.kind === 'tensor' ? t.dtype : t.kind)
const sameType = (a: Type, b: Type): boolean =>
  dtypeOf(a) === dtypeOf(b) && shapeOf(a) !== null && shapeOf(a)!.join() === shapeOf(b)?.join()

/** The elements of a constant that broadcasts over channels, one a channel; null where it is anything else. */
function perChannel(t: Tensor, channels: number, rank: number, layout: unknown): Float64Array | null {
  if (t.data.length === 1) return new Float64Array(channels).fill(Number(numbers(t)[0]))
  if (t.data.length !== channels) return null
  const axis = layout === 'channelsLast' ? rank - 1 : 1
  const lead = rank - t.shape.length
  return t.shape.every((d, i) => d === 1 || (i + lead === axis && d === channels))
    ? Float64Array.from(numbers(t))
    : null
}

const convolutions = ['conv1d', 'conv2d', 'conv3d'] as const
const rounded = { within: 'weights are multiplied once, in advance' } as const

/** conv with new weights and a new bias, everything else as it was. */
function convLike(
  m: Bindings,
  b: GraphBuilder,
  op: (typeof convolutions)[number],
  w: Tensor,
  bias: ArrayLike<number>,
): ValueId {
  return b.node(
    op,
    [m.value('x'), b.constant(w, 'weights'), b.constant(tensorOf(w.dtype, [w.shape[0]!], bias), 'bias')],
    m.node(op).attributes,
  )
}
const biasOf = (m: Bindings): ArrayLike<number> =>
  m.has('b') ? numbers(m.constant('b')) : new Float64Array(m.constant('w').shape[0]!)

const image = 'x: float32[1, 2, 4, 4]'
const weights = 'w: float32[2, 2, 1, 1] = [1, 0.5, -0.25, 2]'

const foldBatchNorm = (op: (typeof convolutions)[number]): Rule => ({
  name: `fuse-${op}-batchNorm`,
  says: `batchNorm(${op}(x, w, b)) → ${op}(x, w·s, (b − mean)·s + bias), s = scale / √(variance + ε)`,
  contract: rounded,
  match: `batchNorm(${op}(x, w!, b!?), scale!, bias!, mean!, variance!)`,
  unless: (m) => (isFloat(m.constant('w').dtype) ? null : 'the weights are integers'),
  rewrite(m, b) {
    const epsilon = Number(m.node('batchNorm').attributes.epsilon)
    const [scale, bias, mean, variance] = ['scale', 'bias', 'mean', 'variance'].map((n) =>
      numbers(m.constant(n)),
    )
    const s = Float64Array.from(scale!, (v, i) => v / Math.sqrt(variance![i]! + epsilon))
    const old = biasOf(m)
    return convLike(
      m,
      b,
      op,
      scaledRows(m.constant('w'), s),
      s.map((f, i) => (old[i]! - mean![i]!) * f + bias![i]!),
    )
  },
  examples:
    op === 'conv2d'
      ? [
          `graph g(${image}) -> (y) {
  ${weights}
  s: float32[2] = [1.5, 0.5]
  b: float32[2] = [0.25, -1]
  m: float32[2] = [0.5, 0.125]
  v: float32[2] = [2, 0.5]
  c: float32[1, 2, 4, 4] = conv2d(x, w) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], groups: 1, layout: "channelsFirst"}
  y: float32[1, 2, 4, 4] = batchNorm(c, s, b, m, v) {epsilon: 0.001, layout: "channelsFirst"}
}`,
        ]
      : [],
})

/** conv followed by a product with, or a sum of, one constant a channel. */
const foldElementwise = (
  op: (typeof convolutions)[number],
  elementwise: 'mul' | 'add',
  constantFirst: boolean,
): Rule => ({
  name: `fuse-${op}-${elementwise}${constantFirst ? '-swapped' : ''}`,
  says:
    elementwise === 'mul'
      ? `${op}(x, w, b) · s → ${op}(x, w·s, b·s)`
      : `${op}(x, w, b) + c → ${op}(x, w, b + c)`,
  contract: rounded,
  match: constantFirst ? `${elementwise}(c!, ${op}(x, w!, b!?))` : `${elementwise}(${op}(x, w!, b!?), c!)`,
  unless: (m) => {
    const w = m.constant('w')
    if (!isFloat(w.dtype)) return 'the weights are integers'
    const n = m.node(op)
    const rank = shapeOf(m.result)?.length
    if (rank !== w.shape.length) return 'the constant raises the rank'
    return perChannel(m.constant('c'), w.shape[0]!, rank, n.attributes.layout)
      ? null
      : 'the constant is not one a channel'
  },
  rewrite(m, b) {
    const w = m.constant('w')
    const c = perChannel(m.constant('c'), w.shape[0]!, w.shape.length, m.node(op).attributes.layout)!
    const old = biasOf(m)
    return elementwise === 'mul'
      ? convLike(
          m,
          b,
          op,
          scaledRows(w, c),
          c.map((f, i) => f * old[i]!),
        )
      : convLike(
          m,
          b,
          op,
          w,
          c.map((f, i) => f + old[i]!),
        )
  },
  examples:
    op === 'conv2d'
      ? [
          `graph g(${image}) -> (y) {
  ${weights}
  s: float32[1, 2, 1, 1] = [1.5, 0.3]
  c: float32[1, 2, 4, 4] = conv2d(x, w) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], groups: 1, layout: "channelsFirst"}
  y: float32[1, 2, 4, 4] = ${constantFirst ? `${elementwise}(s, c)` : `${elementwise}(c, s)`} {}
}`,
        ]
      : [],
})

/** Zero padding before a convolution becomes its own. */
const foldPad = (op: (typeof convolutions)[number]): Rule => ({
  name: `fuse-pad-${op}`,
  says: `${op}(pad(x), w, b) → ${op}(x, w, b) with more pads`,
  contract: 'exact',
  match: `${op}(pad(x, p!, value!?), w, b?)`,
  unless: (m) => {
    const { attributes } = m.node('pad')
    if (attributes.mode !== 'constant') return `the padding is ${String(attributes.mode)}`
    if (m.has('value') && numbers(m.constant('value')).some((v: number) => v !== 0))
      return 'the padding is not zero'
    const p = spatialPads(m, op)
    return p ? null : 'batch or channels are padded, or the padding is negative'
  },
  rewrite(m, b) {
    const n = m.node(op)
    const [more, old] = [spatialPads(m, op)!, n.attributes.pads as readonly number[]]
    const inputs = [m.value('x'), m.value('w'), m.has('b') ? m.value('b') : null]
    return b.node(op, inputs, { ...n.attributes, pads: old.map((p, i) => p + more[i]!) })
  },
  examples:
    op === 'conv2d'
      ? [
          `graph g(${image}) -> (y) {
  w: float32[2, 2, 2, 2] = [1, 0.5, -0.25, 2, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
  p: int64[8] = [0, 0, 1, 0, 0, 0, 0, 1]
  q: float32[1, 2, 5, 5] = pad(x, p) {mode: "constant"}
  y: float32[1, 2, 4, 4] = conv2d(q, w) {strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], groups: 1, layout: "channelsFirst"}
}`,
        ]
      : [],
})

function spatialPads(m: Bindings, op: (typeof convolutions)[number]): number[] | null {
  const p = Array.from(numbers(m.constant('p')), Number)
  const rank = p.length / 2
  const last = m.node(op).attributes.layout === 'channelsLast'
  const outer = last ? [0, rank - 1] : [0, 1]
  if (
    rank !== Number(op[4]) + 2 ||
    outer.some((a) => p[a] !== 0 || p[a + rank] !== 0) ||
    p.some((v) => v < 0)
  )
    return null
  const spatial = [...Array(rank).keys()].filter((a) => !outer.includes(a))
  return [...spatial.map((a) => p[a]!), ...spatial.map((a) => p[a + rank]!)]
}

const vector = 'x: float32[2, 3]'

/** Rules for one operator that does nothing. */
const nothing = (
  name: string,
  match: string,
  says: string,
  example: string,
  unless?: (m: Bindings) => string | null,
): Rule => ({
  name,
  says,
  contract: 'exact',
  match,
  unless: unless ?? ((m) => (sameType(m.type('x'), m.result) ? null : 'it changes the type')),
  rewrite: (m) => m.value('x'),
  examples: [example],
})

export const optimizeRules: readonly Rule[] = [
  nothing(
    'drop-identity',
    'identity(x)',
    'identity(x) → x',
    `graph g(${vector}) -> (y) {
  i: float32[2, 3] = identity(x) {}
  y: float32[2, 3] = neg(i) {}
}`,
  ),
  nothing(
    'drop-cast',
    'cast(x)',
    'cast(x) → x, to its own type',
    `graph g(${vector}) -> (y) {
  i: float32[2, 3] = cast(x) {to: "float32"}
  y: float32[2, 3] = neg(i) {}
}`,
  ),
  nothing(
    'drop-reshape',
    'reshape(x, s!)',
    'reshape(x) → x, to its own shape',
    `graph g(${vector}) -> (y) {
  s: int64[2] = [2, 3]
  i: float32[2, 3] = reshape(x, s) {}
  y: float32[2, 3] = neg(i) {}
}`,
  ),
  nothing(
    'drop-transpose',
    'transpose(x)',
    'transpose(x) → x, where no axis moves',
    `graph g(${vector}) -> (y) {
  i: float32[2, 3] = transpose(x) {permutation: [0, 1]}
  y: float32[2, 3] = neg(i) {}
}`,
    (m) =>
      (m.node('transpose').attributes.permutation as readonly number[] | undefined)?.every((p, i) => p === i)
        ? null
        : 'axes move',
  ),
  {
    name: 'merge-transposes',
    says: 'transpose(transpose(x, p), q) → transpose(x, p∘q)',
    contract: 'exact',
    match: 'transpose(transpose(x))',
    unless: (m) =>
      [0, 1].every((i) => m.node('transpose', i).attributes.permutation) ? null : 'axes are reversed',
    rewrite(m, b) {
      const outer = m.node('transpose', 0).attributes.permutation as readonly number[]
      const inner = m.node('transpose', 1).attributes.permutation as readonly number[]
      const permutation = outer.map((p) => inner[p]!)
      return permutation.every((p, i) => p === i)
        ? m.value('x')
        : b.node('transpose', [m.value('x')], { permutation })
    },
    examples: [
      `graph g(x: float32[2, 3, 4]) -> (y) {
  t: float32[3, 4, 2] = transpose(x) {permutation: [1, 2, 0]}
  y: float32[4, 3, 2] = transpose(t) {permutation: [1, 0, 2]}
}`,
    ],
  },
  {
    name: 'merge-relus',
    says: 'relu(relu(x)) → relu(x)',
    contract: 'exact',
    match: 'relu(relu(x))',
    rewrite: (m, b) => b.node('relu', [m.value('x')]),
    examples: [
      `graph g(${vector}) -> (y) {
  r: float32[2, 3] = relu(x) {}
  y: float32[2, 3] = relu(r) {}
}`,
    ],
  },
  {
    name: 'merge-clamps',
    says: 'clamp(clamp(x, a, b), c, d) → clamp(x, max(a, c), min(b, d)), where the ranges overlap',
    contract: 'exact',
    match: 'clamp(clamp(x))',
    unless: (m) => {
      const [c, a] = [m.node('clamp', 0).attributes, m.node('clamp', 1).attributes]
      return Math.max(Number(a.low), Number(c.low)) <= Math.min(Number(a.high), Number(c.high))
        ? null
        : 'the ranges do not overlap'
    },
    rewrite(m, b) {
      const [c, a] = [m.node('clamp', 0).attributes, m.node('clamp', 1).attributes]
      return b.node('clamp', [m.value('x')], {
        low: Math.max(Number(a.low), Number(c.low)),
        high: Math.min(Number(a.high), Number(c.high)),
      })
    },
    examples: [
      `graph g(${vector}) -> (y) {
  r: float32[2, 3] = clamp(x) {low: -0.5, high: 2}
  y: float32[2, 3] = clamp(r) {low: 0, high: 0.75}
}`,
    ],
  },
  {
    name: 'merge-reshapes',
    says: 'reshape(reshape(x)) → reshape(x)',
    contract: 'exact',
    match: 'reshape(reshape(x, s!), t!)',
    unless: (m) => (shapeOf(m.result) ? null : 'the shape is open'),
    rewrite: (m, b) => {
      const shape = shapeOf(m.result)!
      return b.node('reshape', [
        m.value('x'),
        b.constant(tensorOf('int64', [shape.length], shape.map(BigInt)), 'shape'),
      ])
    },
    examples: [
      `graph g(${vector}) -> (y) {
  s: int64[1] = [6]
  t: int64[2] = [3, 2]
  r: float32[6] = reshape(x, s) {}
  y: float32[3, 2] = reshape(r, t) {}
}`,
    ],
  },
  ...convolutions.flatMap((op) => [
    foldBatchNorm(op),
    foldElementwise(op, 'mul', false),
    foldElementwise(op, 'mul', true),
    foldElementwise(op, 'add', false),
    foldElementwise(op, 'add', true),
    foldPad(op),
  ]),
]
