// Recurrent layers written out over time: all inputs are projected in one product, then one small product a step. For sequences of
// known length.

import { UnsupportedError } from '../../core/errors.ts'
import type { Attributes, ValueId } from '../../ir/types.ts'
import type { Decomposition, Decompositions } from './decompose.ts'
import { Emitter } from './fixed-point.ts'
import { asRows } from './loss.ts'
import { reshaped } from './normalize.ts'

type Activation = (x: ValueId) => ValueId
const takesAlpha = ['affine', 'leakyrelu', 'thresholdedrelu', 'scaledtanh', 'hardsigmoid', 'elu']
const takesBeta = ['affine', 'scaledtanh', 'hardsigmoid']

function activation(
  e: Emitter,
  name: string,
  alpha: number | undefined,
  beta: number | undefined,
): Activation {
  const plain: Readonly<Record<string, string>> = {
    relu: 'relu', tanh: 'tanh', sigmoid: 'sigmoid', softsign: 'softsign', softplus: 'softplus',
  } // biome-ignore format: a table
  const op = plain[name]
  if (op) return (x) => e.op(op, [x])
  switch (name) {
    case 'affine':
      return (x) => e.with('add', e.with('mul', x, alpha ?? 1), beta ?? 0)
    case 'scaledtanh':
      return (x) => e.with('mul', e.op('tanh', [e.with('mul', x, beta ?? 1)]), alpha ?? 1)
    case 'leakyrelu':
      return (x) => e.op('leakyRelu', [x], { alpha: alpha ?? 0.01 })
    case 'thresholdedrelu':
      return (x) => e.op('thresholdedRelu', [x], { alpha: alpha ?? 1 })
    case 'elu':
      return (x) => e.op('elu', [x], { alpha: alpha ?? 1 })
    case 'hardsigmoid':
      return (x) => e.op('hardSigmoid', [x], { alpha: alpha ?? 0.2, beta: beta ?? 0.5 })
    default:
      throw new UnsupportedError('recurrent layer', [{ op: `activation ${name}`, count: 1 }])
  }
}

type Step = {
  readonly e: Emitter
  readonly attributes: Attributes
  readonly f: readonly Activation[]
  /** Part k of this step's gates: projected input with its bias, and recurrent with its bias. */
  input(k: number): ValueId
  recurrent(k: number): ValueId
  /** A vector times the recurrent weights of gate k, with its bias. */
  back(h: ValueId, k: number): ValueId
  clip(x: ValueId): ValueId
  peephole(k: number): ValueId | null
}
type Cell = (s: Step, states: readonly ValueId[]) => ValueId[]

const layer =
  (gates: number, count: number, defaults: readonly string[], cell: Cell): Decomposition =>
  (b, inputs, node) => {
    const e = new Emitter(b, node.name)
    const a = node.attributes
    const first = a.layout === 'batchFirst'
    const swap = (v: ValueId, permutation: readonly number[]): ValueId =>
      first ? e.op('transpose', [v], { permutation }) : v
    const x = swap(inputs[0]!, [1, 0, 2])
    const [time, batch] = e.shape(x)! as [number, number, number]
    const [w, r, bias, lengths, peepholes] = [inputs[1]!, inputs[2]!, inputs[3], inputs[4], inputs[7]]
    const hidden = e.shape(r)!.at(-1)!
    const directions = a.direction === 'bidirectional' ? 2 : 1
    const dtype = e.dtype(x)
    const part = (v: ValueId, axis: number, from: number, to: number): ValueId =>
      e.op('slice', [v, e.list('int64', [from]), e.list('int64', [to]), e.list('int64', [axis])])
    const given = (a.activations as readonly string[] | undefined) ?? []
    const names = given.length ? given : Array.from({ length: directions }, () => defaults).flat()
    const alphas = [...((a.activationAlpha as readonly number[] | undefined) ?? [])]
    const betas = [...((a.activationBeta as readonly number[] | undefined) ?? [])]
    const fns = names.map((n) => {
      const name = n.toLowerCase()
      const alpha = takesAlpha.includes(name) ? alphas.shift() : undefined
      return activation(e, name, alpha, takesBeta.includes(name) ? betas.shift() : undefined)
    })
    const clip = (v: ValueId): ValueId =>
      a.clip === undefined ? v : e.op('clamp', [v], { low: -Number(a.clip), high: Number(a.clip) })
    const outputs: ValueId[][] = []
    const lasts: ValueId[][] = []
    for (let d = 0; d < directions; d++) {
      const row = (v: ValueId, shape: readonly number[]): ValueId => reshaped(e, part(v, 0, d, d + 1), shape)
      const size = gates * hidden
      const turned = (v: ValueId, columns: number): ValueId =>
        e.op('transpose', [row(v, [size, columns])], { permutation: [1, 0] })
      const weights = turned(w, e.shape(w)!.at(-1)!)
      const recurrent = turned(r, hidden)
      const [wb, rb] =
        bias == null ? [null, null] : [0, size].map((o) => part(row(bias, [2 * size]), 0, o, o + size))
      const biased = (v: ValueId, k: ValueId | null | undefined): ValueId =>
        k == null ? v : e.op('add', [v, k])
      const projected = reshaped(e, biased(e.op('matMul', [asRows(e, x), weights]), wb), [time, batch, size])
      let states = Array.from({ length: count }, (_, i) => {
        const given0 = inputs[5 + i]
        if (given0 == null) return e.list(dtype, new Array<number>(batch * hidden).fill(0), [batch, hidden])
        return row(swap(given0, [1, 0, 2]), [batch, hidden])
      })
      const backward = d === 1 || a.direction === 'reverse'
      const made: ValueId[] = new Array(time)
      for (let k = 0; k < time; k++) {
        const t = backward ? time - 1 - k : k
        const now = reshaped(e, part(projected, 0, t, t + 1), [batch, size])
        const all = biased(e.op('matMul', [states[0]!, recurrent]), rb)
        const gate = (v: ValueId, g: number): ValueId => part(v, 1, g * hidden, (g + 1) * hidden)
        const step: Step = {
          e,
          attributes: a,
          f: fns.slice((d * names.length) / directions),
          input: (g) => gate(now, g),
          recurrent: (g) => gate(all, g),
          back: (h, g) => {
            const product = e.op('matMul', [h, gate(recurrent, g)])
            return rb == null ? product : e.op('add', [product, part(rb, 0, g * hidden, (g + 1) * hidden)])
          },
          clip,
          peephole: (g) =>
            peepholes == null ? null : part(row(peepholes, [3 * hidden]), 0, g * hidden, (g + 1) * hidden),
        }
        const next = cell(step, states)
        if (lengths == null) {
          states = next
          made[t] = next[0]!
          continue
        }
        // Beyond a sequence's end its states stand still and its results are 0.
        const on = e.op('unsqueeze', [e.op('greater', [lengths, e.scalar(e.dtype(lengths), t)])], {
          axes: [1],
        })
        made[t] = e.op('where', [on, next[0]!, e.scalar(dtype, 0)])
        states = next.map((v, i) => e.op('where', [on, v, states[i]!]))
      }
      outputs.push(made)
      lasts.push(states)
    }
    const stack = (parts: readonly ValueId[], axis: number): ValueId =>
      e.op(
        'concat',
        parts.map((v) => e.op('unsqueeze', [v], { axes: [axis] })),
        { axis },
      )
    // [T, D, N, H] and [D, N, H]; batch first: [N, T, D, H] and [N, D, H].
    const y = stack(
      Array.from({ length: time }, (_, t) =>
        stack(
          outputs.map((o) => o[t]!),
          0,
        ),
      ),
      0,
    )
    const results = [swap(y, [2, 0, 1, 3])]
    for (let i = 0; i < count; i++)
      results.push(
        swap(
          stack(
            lasts.map((s) => s[i]!),
            0,
          ),
          [1, 0, 2],
        ),
      )
    return results.slice(0, node.types.length)
  }

const sum = (e: Emitter, a: ValueId, b: ValueId): ValueId => e.op('add', [a, b])

const rnn: Cell = (s) => [s.f[0]!(s.clip(sum(s.e, s.input(0), s.recurrent(0))))]

const gru: Cell = (s, [h]) => {
  const { e } = s
  const [z, r] = [0, 1].map((g) => s.f[0]!(s.clip(sum(e, s.input(g), s.recurrent(g))))) as [ValueId, ValueId]
  const past = s.attributes.linearBeforeReset
    ? e.op('mul', [r, s.recurrent(2)])
    : s.back(e.op('mul', [r, h!]), 2)
  const candidate = s.f[1]!(s.clip(sum(e, s.input(2), past)))
  const kept = e.op('mul', [z, h!])
  return [sum(e, e.op('mul', [e.op('sub', [e.scalar(e.dtype(z), 1), z]), candidate]), kept)]
}

/** Gates i, o, f, c. */
const lstm: Cell = (s, [, c]) => {
  const { e, attributes: a } = s
  const gate = (g: number, cell: ValueId): ValueId => {
    const p = s.peephole(g)
    const v = sum(e, s.input(g), s.recurrent(g))
    return s.f[0]!(s.clip(p === null ? v : sum(e, v, e.op('mul', [p, cell]))))
  }
  const input = gate(0, c!)
  const forget = a.inputForget ? e.op('sub', [e.scalar(e.dtype(input), 1), input]) : gate(2, c!)
  const candidate = s.f[1]!(s.clip(sum(e, s.input(3), s.recurrent(3))))
  let next = sum(e, e.op('mul', [forget, c!]), e.op('mul', [input, candidate]))
  if (a.cellClip !== undefined)
    next = e.op('clamp', [next], { low: -Number(a.cellClip), high: Number(a.cellClip) })
  return [e.op('mul', [gate(1, next), s.f[2]!(next)]), next]
}

export const recurrentDecompositions: Decompositions = {
  rnn: layer(1, 1, ['Tanh'], rnn),
  gru: layer(3, 1, ['Sigmoid', 'Tanh'], gru),
  lstm: layer(4, 2, ['Sigmoid', 'Tanh', 'Tanh'], lstm),
}
