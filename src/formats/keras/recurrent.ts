// Keras' recurrent layers. Without a mask, and with activations that ONNX's operators have, they become `lstm`, `gru` or `rnn`;
// else a `scan` over time, whose masked steps keep the state and repeat the output before (keras.backend.rnn).

import { InputError } from '../../core/errors.ts'
import { type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import { type Dim, tensorType, type ValueId } from '../../ir/types.ts'
import type { JsonObject } from '../json.ts'
import { permuted, Sketch } from '../sketch.ts'
import { activate, activationName, hardSigmoidSlope } from './activations.ts'
import {
  fixed,
  input,
  type Layer,
  type LayerCall,
  type LayerResult,
  shapeOf,
  unsupported,
  where,
} from './call.ts'

type Kind = 'LSTM' | 'GRU' | 'SimpleRNN'
const gates: Readonly<Record<Kind, number>> = { LSTM: 4, GRU: 3, SimpleRNN: 1 }

type Cell = {
  readonly kind: Kind
  readonly units: number
  readonly config: JsonObject
  readonly kernel: Tensor
  readonly recurrent: Tensor
  readonly bias: Tensor | null
  /** GRU: the reset gate acts after the product. */
  readonly resetAfter: boolean
}

function cellOf(x: LayerCall, kind: Kind, config: JsonObject, features: number, part?: string): Cell {
  const units = config.count('units', undefined, 1)
  const n = gates[kind] * units
  const options = part === undefined ? {} : { part }
  const resetAfter = kind === 'GRU' && config.boolean('reset_after', false)
  return {
    kind,
    units,
    config,
    resetAfter,
    kernel: x.weight('kernel', { ...options, shape: [features, n] }),
    recurrent: x.weight('recurrent_kernel', { ...options, shape: [units, n] }),
    bias: config.boolean('use_bias', true)
      ? x.weight('bias', { ...options, shape: resetAfter ? [2, n] : [n] })
      : null,
  }
}

type Sequence = {
  /** Outputs of all steps, [batch, time, units], in the order of time. */
  readonly all: ValueId
  readonly last: ValueId
  readonly states: readonly ValueId[]
}

/** ONNX's names of activations, and their parameters; null where it has none. */
function onnxActivation(raw: unknown, kerasVersion: string): { name: string; alpha?: number } | null {
  const name = activationName(raw) ?? 'linear'
  if (name === 'hard_sigmoid') return { name: 'HardSigmoid', alpha: hardSigmoidSlope(kerasVersion) }
  const known: Readonly<Record<string, string>> = {
    tanh: 'Tanh',
    sigmoid: 'Sigmoid',
    relu: 'Relu',
    softsign: 'Softsign',
    softplus: 'Softplus',
  }
  return Object.hasOwn(known, name) ? { name: known[name]! } : null
}

/** Columns of a kernel by gate, as rows in another order. */
function gateRows(t: Tensor, order: readonly number[], units: number): Tensor {
  const rows = permuted(t, [1, 0])
  const width = t.shape[0]!
  const out = zeros(t.dtype, [1, rows.shape[0]!, width])
  order.forEach((from, to) => {
    const block = (rows.data as Float32Array).subarray(from * units * width, (from + 1) * units * width)
    ;(out.data as Float32Array).set(block, to * units * width)
  })
  return out
}

/** The places of ONNX's gates in Keras' order: LSTM i, f, c, o → i, o, f, c. GRU has z, r, h in both. */
const gateOrder: Readonly<Record<Kind, readonly number[]>> = {
  LSTM: [0, 3, 1, 2],
  GRU: [0, 1, 2],
  SimpleRNN: [0],
}
const operator: Readonly<Record<Kind, string>> = { LSTM: 'lstm', GRU: 'gru', SimpleRNN: 'rnn' }

/** Runs a cell over time as one operator; null where the operator can't say it. */
function fused(
  x: LayerCall,
  cell: Cell,
  v: ValueId,
  initial: readonly ValueId[],
  backward: boolean,
  suffix: string,
): Sequence | null {
  const { s } = x
  const { kind, units } = cell
  const inner = onnxActivation(cell.config.raw('recurrent_activation') ?? 'sigmoid', x.kerasVersion)
  const outer = onnxActivation(cell.config.raw('activation') ?? 'tanh', x.kerasVersion)
  if (!outer || !inner) return null
  const used = kind === 'LSTM' ? [inner, outer, outer] : kind === 'GRU' ? [inner, outer] : [outer]
  const alphas = used.flatMap((a) => (a.alpha === undefined ? [] : [a.alpha]))
  const order = gateOrder[kind]
  const n = gates[kind] * units
  const biases = zeros('float32', [1, 2 * n])
  if (cell.bias) {
    const from = cell.bias.data as Float32Array
    const put = (source: number, target: number): void =>
      order.forEach((g, to) => {
        ;(biases.data as Float32Array).set(
          from.subarray(source + g * units, source + (g + 1) * units),
          target + to * units,
        )
      })
    put(0, 0)
    if (cell.resetAfter) put(n, n)
  }
  const name = suffix ? `${x.name}/${suffix}` : x.name
  const stacked = (state: ValueId): ValueId => s.unsqueeze(state, [1], 'initial')
  const [y, ...states] = s.nodes(
    operator[kind],
    [
      v,
      s.weight(gateRows(cell.kernel, order, units), `${name}/kernel`),
      s.weight(gateRows(cell.recurrent, order, units), `${name}/recurrent_kernel`),
      s.weight(biases, `${name}/bias`),
      null,
      ...initial.map(stacked),
    ],
    {
      layout: 'batchFirst',
      direction: backward ? 'reverse' : 'forward',
      activations: used.map((a) => a.name),
      ...(alphas.length && { activationAlpha: alphas, activationBeta: alphas.map(() => 0.5) }),
      ...(kind === 'GRU' && { linearBeforeReset: cell.resetAfter }),
    },
    kind === 'LSTM' ? 3 : 2,
    suffix,
  )
  const flat = states.map((h) => s.squeeze(h, [1], `${suffix}state`))
  return { all: s.squeeze(y!, [2], `${suffix}sequence`), last: flat[0]!, states: flat }
}

/** One step: the new states from the input of a step and the states before; the first is the output. */
function step(b: Sketch, x: LayerCall, cell: Cell, input: ValueId, states: readonly ValueId[]): ValueId[] {
  const { kind, units } = cell
  const at = where(x)
  const outer = (v: ValueId): ValueId =>
    activate(b, cell.config.raw('activation') ?? 'tanh', v, at, x.kerasVersion)
  const gate = (v: ValueId): ValueId =>
    activate(b, cell.config.raw('recurrent_activation') ?? 'sigmoid', v, at, x.kerasVersion)
  const add = (p: ValueId, q: ValueId): ValueId => b.node('add', [p, q], {}, 'add')
  const mul = (p: ValueId, q: ValueId): ValueId => b.node('mul', [p, q], {}, 'mul')
  const product = (v: ValueId, w: Tensor, name: string): ValueId =>
    b.node('matMul', [v, b.weight(w, name)], {}, name)
  const parts = (v: ValueId, n: number): ValueId[] => b.nodes('split', [v], { axis: 1 }, n, 'split')
  const columns = (t: Tensor, from: number, to: number): Tensor => {
    const width = t.shape.at(-1)!
    const rows = t.data.length / width
    const out = new Float32Array(rows * (to - from))
    for (let r = 0; r < rows; r++)
      out.set((t.data as Float32Array).subarray(r * width + from, r * width + to), r * (to - from))
    return { dtype: 'float32', shape: [...t.shape.slice(0, -1), to - from], data: out }
  }
  const biasRow = (row: number): Tensor => {
    const n = gates[kind] * units
    return {
      dtype: 'float32',
      shape: [n],
      data: (cell.bias!.data as Float32Array).slice(row * n, (row + 1) * n),
    }
  }
  const h = states[0]!
  let fromInput = product(input, cell.kernel, 'kernel')
  if (cell.bias) fromInput = add(fromInput, b.weight(biasRow(0), 'bias', 'input bias'))
  if (kind === 'SimpleRNN') return [outer(add(fromInput, product(h, cell.recurrent, 'recurrent_kernel')))]
  if (kind === 'LSTM') {
    const [i, f, c, o] = parts(add(fromInput, product(h, cell.recurrent, 'recurrent_kernel')), 4)
    const next = add(mul(gate(f!), states[1]!), mul(gate(i!), outer(c!)))
    return [mul(gate(o!), outer(next)), next]
  }
  const [xz, xr, xh] = parts(fromInput, 3)
  let candidate: ValueId
  let z: ValueId
  if (cell.resetAfter) {
    let fromState = product(h, cell.recurrent, 'recurrent_kernel')
    if (cell.bias) fromState = add(fromState, b.weight(biasRow(1), 'recurrent_bias', 'recurrent bias'))
    const [hz, hr, hh] = parts(fromState, 3)
    z = gate(add(xz!, hz!))
    candidate = outer(add(xh!, mul(gate(add(xr!, hr!)), hh!)))
  } else {
    const [hz, hr] = parts(product(h, columns(cell.recurrent, 0, 2 * units), 'recurrent_kernel'), 2)
    z = gate(add(xz!, hz!))
    const reset = mul(gate(add(xr!, hr!)), h)
    candidate = outer(
      add(xh!, product(reset, columns(cell.recurrent, 2 * units, 3 * units), 'recurrent_kernel_h')),
    )
  }
  const rest = b.node('sub', [b.like(z, 1), z], {}, 'rest')
  return [add(mul(z, h), mul(rest, candidate))]
}

/** Zeros of [batch, units] for the batch of v. */
function zeroState(x: LayerCall, v: ValueId, units: number): ValueId {
  const { s } = x
  const batch = shapeOf(x, v)[0]!
  const zero = s.b.constant(tensorOf('float32', [], [0]), `${x.name}/zero`)
  const size =
    typeof batch === 'number'
      ? s.ints([batch, units], 'state')
      : s.concat([s.node('shape', [v], { start: 0, end: 1 }, 'batch'), s.ints([units], 'units')], 0, 'state')
  const filled = s.node('expand', [zero, size], {}, 'zeros')
  s.b.refine(filled, tensorType('float32', [batch, units]))
  return filled
}

/** Runs a cell over time step by step. */
function scanned(
  x: LayerCall,
  cell: Cell,
  v: ValueId,
  mask: ValueId | null,
  initial: readonly ValueId[],
  backward: boolean,
  suffix: string,
): Sequence {
  const { s } = x
  const shape = shapeOf(x, v)
  const count = cell.kind === 'LSTM' ? 2 : 1
  const states = initial.length ? [...initial] : new Array<ValueId>(count).fill(zeroState(x, v, cell.units))
  // The output of a masked step is the one before; before the first step that is zero, whatever the initial state.
  const apart = mask !== null && initial.length > 0
  if (apart) states.push(zeroState(x, v, cell.units))
  const b = new GraphBuilder(`${x.name}/step`)
  const body = new Sketch(b)
  body.enter('step')
  const stateType = tensorType('float32', [shape[0]!, cell.units])
  const before = states.map((_, i) => b.input(`state${i}`, stateType))
  const entry = b.input('input', tensorType(s.dtype(v), [shape[0]!, ...shape.slice(2)]))
  const made = step(body, x, cell, entry, before.slice(0, count))
  let after: ValueId[] = made
  let output = made[0]!
  if (mask !== null) {
    const keeps = body.unsqueeze(b.input('mask', tensorType('bool', [shape[0]!])), [1], 'mask')
    after = made.map((m, i) => body.node('where', [keeps, m, before[i]!], {}, 'keep'))
    output = apart ? body.node('where', [keeps, made[0]!, before[count]!], {}, 'repeat') : after[0]!
    if (apart) after.push(output)
  }
  for (const a of after) b.output(a)
  // A value may leave a body once.
  b.output(body.node('identity', [output], {}, 'output'))
  const scannedInputs = mask === null ? [v] : [v, mask]
  const direction = backward ? 1 : 0
  const outputs = s.nodes(
    'scan',
    [...states, ...scannedInputs],
    {
      body: b.finish(),
      states: states.length,
      scanned: scannedInputs.length,
      inputAxes: scannedInputs.map(() => 1),
      inputDirections: scannedInputs.map(() => direction),
      outputAxes: [1],
      outputDirections: [direction],
    },
    states.length + 1,
    suffix,
  )
  return {
    all: outputs[states.length]!,
    last: apart ? outputs[count]! : outputs[0]!,
    states: outputs.slice(0, count),
  }
}

function sequence(
  x: LayerCall,
  cell: Cell,
  v: ValueId,
  mask: ValueId | null,
  initial: readonly ValueId[],
  backward: boolean,
  suffix = '',
): Sequence {
  const plain = mask === null ? fused(x, cell, v, initial, backward, suffix) : null
  return plain ?? scanned(x, cell, v, mask, initial, backward, suffix)
}

const kindOf = (x: LayerCall, className: string): Kind =>
  className in gates ? (className as Kind) : unsupported(x, `recurrent layer ${className}`)

const featuresOf = (x: LayerCall, v: ValueId): number => {
  const shape: readonly Dim[] = shapeOf(x, v)
  if (shape.length !== 3)
    throw new InputError(`${where(x)}: expected [batch, time, features], got rank ${shape.length}`)
  return fixed(x, shape[2], 'features')
}

function refuseTimeMajor(x: LayerCall, config: JsonObject): void {
  if (config.boolean('time_major', false)) unsupported(x, 'time_major')
}

const recurrent =
  (kind: Kind): Layer =>
  (x): LayerResult => {
    const v = input(x)
    refuseTimeMajor(x, x.config)
    const backward = x.config.boolean('go_backwards', false)
    const cell = cellOf(x, kind, x.config, featuresOf(x, v))
    const mask = x.masks[0] ?? null
    const run = sequence(x, cell, v, mask, x.inputs.slice(1), backward)
    const sequences = x.config.boolean('return_sequences', false)
    const all = sequences && backward ? x.s.node('reverse', [run.all], { axes: [1] }, 'reverse') : run.all
    const states = x.config.boolean('return_state', false) ? run.states : []
    return { outputs: [sequences ? all : run.last, ...states], mask: sequences ? mask : null }
  }

/** A layer over time in both directions; the second reads from the end, its outputs in the order of time. */
const bidirectional: Layer = (x) => {
  const { s } = x
  const v = input(x)
  const forward = x.config.object('layer')
  const config = forward.object('config')
  const kind = kindOf(x, forward.string('class_name'))
  refuseTimeMajor(x, config)
  const given = x.config.has('backward_layer') ? x.config.object('backward_layer').object('config') : null
  const features = featuresOf(x, v)
  const mask = x.masks[0] ?? null
  const name = config.string('name', '')
  const half = (x.inputs.length - 1) / 2
  const partOf = (prefix: 'forward' | 'backward', own: string): string => {
    const names = [`${prefix}_${own}`, own, `${prefix}_layer`]
    return names.find((n) => n && x.hasWeight('kernel', n)) ?? names[0]!
  }
  const there = sequence(
    x,
    cellOf(x, kind, config, features, partOf('forward', name)),
    v,
    mask,
    x.inputs.slice(1, 1 + half),
    false,
    'forward',
  )
  const back = sequence(
    x,
    cellOf(x, kind, given ?? config, features, partOf('backward', given?.string('name', '') ?? name)),
    v,
    mask,
    x.inputs.slice(1 + half),
    true,
    'backward',
  )
  const sequences = config.boolean('return_sequences', false)
  const [a, b] = sequences ? [there.all, back.all] : [there.last, back.last]
  const mode = x.config.raw('merge_mode')
  const merged = (): ValueId => {
    switch (mode) {
      case 'concat':
      case undefined:
        return s.concat([a, b], -1)
      case 'sum':
        return s.node('add', [a, b])
      case 'mul':
        return s.node('mul', [a, b])
      case 'ave':
        return s.node('mul', [s.node('add', [a, b], {}, 'sum'), s.like(a, 0.5)])
      default:
        return unsupported(x, `merge_mode ${JSON.stringify(mode)}`)
    }
  }
  const states = config.boolean('return_state', false) ? [...there.states, ...back.states] : []
  return { outputs: [...(mode === null ? [a, b] : [merged()]), ...states], mask: sequences ? mask : null }
}

export const recurrentLayers: Readonly<Record<string, Layer>> = {
  LSTM: recurrent('LSTM'),
  GRU: recurrent('GRU'),
  SimpleRNN: recurrent('SimpleRNN'),
  CuDNNLSTM: recurrent('LSTM'),
  Bidirectional: bidirectional,
}
