// Recurrent layers with ONNX's semantics: rnn, gru, lstm. States are carried in float64 and rounded where they leave.

import { store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { integers, numbers, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import {
  type AttributeSpec,
  booleanOf,
  type Cost,
  type Evaluate,
  type Infer,
  inputType,
  type Op,
  product,
  stringOf,
} from '../op.ts'
import { type Attributes, type Datum, type Dim, tensorType } from '../types.ts'
import { optionalTensor, outputType, tensorAt } from './elements.ts'

type Activation = (x: number) => number

/** ONNX's activations by name, with their default alpha and beta. */
const activations: Record<string, (alpha: number | undefined, beta: number | undefined) => Activation> = {
  Relu: () => (x) => Math.max(0, x),
  Tanh: () => Math.tanh,
  Sigmoid: () => (x) => 1 / (1 + Math.exp(-x)),
  Affine:
    (a = 1, b = 0) =>
    (x) =>
      a * x + b,
  LeakyRelu:
    (a = 0.01) =>
    (x) =>
      x < 0 ? a * x : x,
  ThresholdedRelu:
    (a = 1) =>
    (x) =>
      x > a ? x : 0,
  ScaledTanh:
    (a = 1, b = 1) =>
    (x) =>
      a * Math.tanh(b * x),
  HardSigmoid:
    (a = 0.2, b = 0.5) =>
    (x) =>
      Math.min(1, Math.max(0, a * x + b)),
  Elu:
    (a = 1) =>
    (x) =>
      x < 0 ? a * Math.expm1(x) : x,
  Softsign: () => (x) => x / (1 + Math.abs(x)),
  Softplus: () => (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
}
const takesAlpha = new Set(['Affine', 'LeakyRelu', 'ThresholdedRelu', 'ScaledTanh', 'HardSigmoid', 'Elu'])
const takesBeta = new Set(['Affine', 'ScaledTanh', 'HardSigmoid'])

/** The activations of every direction in turn; alphas and betas go to those that take one, in order. */
function activationsOf(
  a: Attributes,
  each: number,
  directions: number,
  defaults: readonly string[],
): Activation[][] {
  const given = (a.activations as readonly string[] | undefined) ?? []
  const names = given.length ? given : Array.from({ length: directions }, () => defaults).flat()
  if (names.length !== each * directions)
    throw new InputError(`expected ${each * directions} activations, got [${names}]`)
  const alphas = [...((a.activationAlpha as readonly number[] | undefined) ?? [])]
  const betas = [...((a.activationBeta as readonly number[] | undefined) ?? [])]
  const fns = names.map((name) => {
    const key = Object.keys(activations).find((k) => k.toLowerCase() === name.toLowerCase())
    if (!key) throw new InputError(`no activation ${name}. Known: ${Object.keys(activations).join(', ')}`)
    return activations[key]!(
      takesAlpha.has(key) ? alphas.shift() : undefined,
      takesBeta.has(key) ? betas.shift() : undefined,
    )
  })
  return Array.from({ length: directions }, (_, d) => fns.slice(d * each, (d + 1) * each))
}

const directionsOf = (a: Attributes): number => (stringOf(a, 'direction') === 'bidirectional' ? 2 : 1)

const recurrentAttributes: Record<string, AttributeSpec> = {
  direction: { kind: 'string', oneOf: ['forward', 'reverse', 'bidirectional'], default: 'forward' },
  activations: { kind: 'strings', default: null },
  activationAlpha: { kind: 'numbers', default: null },
  activationBeta: { kind: 'numbers', default: null },
  /** Limit on the magnitude of what goes into an activation. */
  clip: { kind: 'number', default: null },
  /** timeFirst: x [T, N, I], y [T, D, N, H], states [D, N, H]; batchFirst: [N, T, I], [N, T, D, H], [N, D, H]. */
  layout: { kind: 'string', oneOf: ['timeFirst', 'batchFirst'], default: 'timeFirst' },
}

function inferRecurrent(x: Infer, states: number) {
  const t = inputType(x, 0)
  const hidden: Dim = inputType(x, 2).shape?.at(-1) ?? null
  const directions = directionsOf(x.attributes)
  const first = stringOf(x.attributes, 'layout') === 'batchFirst'
  const [time, batch]: [Dim, Dim] = t.shape
    ? first
      ? [t.shape[1]!, t.shape[0]!]
      : [t.shape[0]!, t.shape[1]!]
    : [null, null]
  const y = first ? [batch, time, directions, hidden] : [time, directions, batch, hidden]
  const state = first ? [batch, directions, hidden] : [directions, batch, hidden]
  return [tensorType(t.dtype, y), ...Array.from({ length: states }, () => tensorType(t.dtype, state))]
}

/** Products with the weights of input and state, at every step of every batch entry. */
function recurrentCost(x: Infer): Cost {
  const [steps, weights, states] = [
    inputType(x, 0).shape?.slice(0, 2),
    inputType(x, 1).shape,
    inputType(x, 2).shape,
  ]
  const [n, w, r] = [steps && product(steps), weights && product(weights), states && product(states)]
  return { macs: (n ?? 0) * ((w ?? 0) + (r ?? 0)) }
}

/** One direction of one layer: everything as float64 rows. */
type Cell = {
  /** Projections of x (with no bias) for this time step, gates × hidden. */
  readonly input: Float64Array
  readonly recurrent: Float64Array
  readonly inputBias: Float64Array
  readonly recurrentBias: Float64Array
  readonly peepholes: Float64Array | null
  readonly weights: ArrayLike<number>
  readonly weightsOffset: number
  readonly hidden: number
  readonly activations: readonly Activation[]
  readonly clip: (x: number) => number
  /** h, and for lstm c. */
  readonly state: Float64Array[]
}

/** Runs `step` over time for every direction and batch entry, and gathers y and the last states. */
function run(
  inputs: readonly (Datum | undefined)[],
  x: Evaluate,
  gates: number,
  states: number,
  fns: Activation[][],
  step: (cell: Cell) => void,
): Tensor[] {
  const input = tensorAt(inputs, 0)
  const [w, r] = [tensorAt(inputs, 1), tensorAt(inputs, 2)]
  const bias = optionalTensor(inputs, 3)
  const lengths = optionalTensor(inputs, 4)
  const initial = Array.from({ length: states }, (_, i) => optionalTensor(inputs, 5 + i))
  const peepholes = states === 2 ? optionalTensor(inputs, 7) : undefined
  const first = stringOf(x.attributes, 'layout') === 'batchFirst'
  const [time, batch] = first ? [input.shape[1]!, input.shape[0]!] : [input.shape[0]!, input.shape[1]!]
  const size = input.shape[2]!
  const hidden = r.shape.at(-1)!
  const directions = directionsOf(x.attributes)
  const limit = x.attributes.clip as number | undefined
  const clip = limit === undefined ? (v: number) => v : (v: number) => Math.min(limit, Math.max(-limit, v))
  const xs = numbers(input)
  const [ws, rs] = [numbers(w), numbers(r)]
  const bs = bias && numbers(bias)
  const lens = lengths ? integers(lengths) : new Array<number>(batch).fill(time)
  const y = zeros(input.dtype, outputType(x, 0).shape)
  const last = Array.from({ length: states }, (_, i) => zeros(input.dtype, outputType(x, 1 + i).shape))
  const rows = gates * hidden
  const slot = (d: number, n: number): number =>
    first ? (n * directions + d) * hidden : (d * batch + n) * hidden
  for (let d = 0; d < directions; d++) {
    const backward = d === 1 || stringOf(x.attributes, 'direction') === 'reverse'
    const part = (from: number): Float64Array =>
      bs
        ? Float64Array.from({ length: rows }, (_, i) => bs[d * 2 * rows + from + i]!)
        : new Float64Array(rows)
    for (let n = 0; n < batch; n++) {
      const state = initial.map((t) => {
        const s = new Float64Array(hidden)
        if (t) for (let i = 0; i < hidden; i++) s[i] = numbers(t)[slot(d, n) + i]!
        return s
      })
      const cell: Cell = {
        input: new Float64Array(rows),
        recurrent: new Float64Array(rows),
        inputBias: part(0),
        recurrentBias: part(rows),
        peepholes: peepholes
          ? Float64Array.from({ length: 3 * hidden }, (_, i) => numbers(peepholes)[d * 3 * hidden + i]!)
          : null,
        weights: rs,
        weightsOffset: d * rows * hidden,
        hidden,
        activations: fns[d]!,
        clip,
        state,
      }
      const steps = Math.min(lens[n]!, time)
      for (let k = 0; k < steps; k++) {
        const t = backward ? steps - 1 - k : k
        const from = first ? (n * time + t) * size : (t * batch + n) * size
        for (let g = 0; g < rows; g++) {
          let sum = 0
          const row = (d * rows + g) * size
          for (let i = 0; i < size; i++) sum += ws[row + i]! * xs[from + i]!
          cell.input[g] = sum
          sum = 0
          const back = (d * rows + g) * hidden
          for (let i = 0; i < hidden; i++) sum += rs[back + i]! * state[0]![i]!
          cell.recurrent[g] = sum
        }
        step(cell)
        const to = first
          ? ((n * time + t) * directions + d) * hidden
          : ((t * directions + d) * batch + n) * hidden
        for (let i = 0; i < hidden; i++) store(y.dtype, y.data, to + i, state[0]![i]!)
      }
      last.forEach((t, i) => {
        for (let h = 0; h < hidden; h++) store(t.dtype, t.data, slot(d, n) + h, state[i]![h]!)
      })
    }
  }
  return [y, ...last].slice(0, Math.max(x.outputs, 1))
}

const simpleExample = (gates: number) => ({
  inputs: [
    tensorOf('float32', [2, 1, 2], [1, -1, 0.5, 2]),
    tensorOf(
      'float32',
      [1, gates * 2, 2],
      Array.from({ length: gates * 4 }, (_, i) => ((i * 5) % 7) / 7 - 0.4),
    ),
    tensorOf(
      'float32',
      [1, gates * 2, 2],
      Array.from({ length: gates * 4 }, (_, i) => ((i * 3) % 5) / 5 - 0.3),
    ),
  ],
})

const doc = (what: string): string =>
  `${what}: inputs x, weights [D, gates · H, I], recurrent weights [D, gates · H, H], bias [D, 2 · gates · H]?, lengths [N]?, initial h?`

export const recurrent = {
  rnn: {
    cost: recurrentCost,
    doc: `${doc('Plain recurrent layer h = f(W x + R h + b)')}; gives y and the last h`,
    inputs: [3, 6],
    outputs: [1, 2],
    attributes: recurrentAttributes,
    infer: (x) => inferRecurrent(x, 1),
    evaluate: (inputs, x) =>
      run(inputs, x, 1, 1, activationsOf(x.attributes, 1, directionsOf(x.attributes), ['Tanh']), (c) => {
        const [f] = c.activations
        for (let i = 0; i < c.hidden; i++)
          c.state[0]![i] = f!(c.clip(c.input[i]! + c.recurrent[i]! + c.inputBias[i]! + c.recurrentBias[i]!))
      }),
    examples: () => [simpleExample(1)],
  },
  gru: {
    cost: recurrentCost,
    doc: `${doc('Gated recurrent unit, gates in the order z, r, h')}; gives y and the last h`,
    inputs: [3, 6],
    outputs: [1, 2],
    attributes: { ...recurrentAttributes, linearBeforeReset: { kind: 'boolean', default: false } },
    infer: (x) => inferRecurrent(x, 1),
    evaluate(inputs, x) {
      const linear = booleanOf(x.attributes, 'linearBeforeReset')
      const fns = activationsOf(x.attributes, 2, directionsOf(x.attributes), ['Sigmoid', 'Tanh'])
      return run(inputs, x, 3, 1, fns, (c) => {
        const [f, g] = c.activations
        const H = c.hidden
        const h = c.state[0]!
        const gate = (k: number): number =>
          f!(c.clip(c.input[k]! + c.recurrent[k]! + c.inputBias[k]! + c.recurrentBias[k]!))
        const z = Float64Array.from({ length: H }, (_, i) => gate(i))
        const r = Float64Array.from({ length: H }, (_, i) => gate(H + i))
        const candidate = Float64Array.from({ length: H }, (_, i) => {
          const k = 2 * H + i
          if (linear)
            return g!(c.clip(c.input[k]! + c.inputBias[k]! + r[i]! * (c.recurrent[k]! + c.recurrentBias[k]!)))
          let sum = 0
          for (let j = 0; j < H; j++) sum += c.weights[c.weightsOffset + k * H + j]! * r[j]! * h[j]!
          return g!(c.clip(c.input[k]! + sum + c.inputBias[k]! + c.recurrentBias[k]!))
        })
        for (let i = 0; i < H; i++) h[i] = (1 - z[i]!) * candidate[i]! + z[i]! * h[i]!
      })
    },
    examples: () => [simpleExample(3)],
  },
  lstm: {
    cost: recurrentCost,
    doc: `${doc('Long short-term memory, gates in the order i, o, f, c')}, initial c?, peepholes [D, 3 · H]? (i, o, f); gives y, the last h and c`,
    inputs: [3, 8],
    outputs: [1, 3],
    attributes: {
      ...recurrentAttributes,
      inputForget: { kind: 'boolean', default: false },
      /** Limit on the magnitude of the cell state c (TensorFlow Lite; ONNX has none). */
      cellClip: { kind: 'number', default: null },
    },
    infer: (x) => inferRecurrent(x, 2),
    evaluate(inputs, x) {
      const cellLimit = (x.attributes.cellClip as number | undefined) ?? Infinity
      const coupled = booleanOf(x.attributes, 'inputForget')
      const fns = activationsOf(x.attributes, 3, directionsOf(x.attributes), ['Sigmoid', 'Tanh', 'Tanh'])
      return run(inputs, x, 4, 2, fns, (cell) => {
        const [f, g, h] = cell.activations
        const H = cell.hidden
        const [hs, cs] = cell.state as [Float64Array, Float64Array]
        const p = cell.peepholes
        const sum = (k: number): number =>
          cell.input[k]! + cell.recurrent[k]! + cell.inputBias[k]! + cell.recurrentBias[k]!
        for (let i = 0; i < H; i++) {
          const before = cs[i]!
          const input = f!(cell.clip(sum(i) + (p ? p[i]! * before : 0)))
          const forget = coupled
            ? 1 - input
            : f!(cell.clip(sum(2 * H + i) + (p ? p[2 * H + i]! * before : 0)))
          const candidate = g!(cell.clip(sum(3 * H + i)))
          cs[i] = Math.min(cellLimit, Math.max(-cellLimit, forget * before + input * candidate))
          const output = f!(cell.clip(sum(H + i) + (p ? p[H + i]! * cs[i]! : 0)))
          hs[i] = output * h!(cs[i]!)
        }
      })
    },
    examples: () => [simpleExample(4)],
  },
} satisfies Record<string, Op>
