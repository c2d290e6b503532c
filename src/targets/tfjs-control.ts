// Bodies and recurrent layers in TensorFlow.js, step by step: it has no operator for them that takes a graph.

import { InputError } from '../core/errors.ts'
import type { OpName } from '../ir/ops/index.ts'
import type { Graph } from '../ir/types.ts'
import { axisOf, flag, type Kernel, type KernelCall, num, type Row, type T } from './tfjs-kernel.ts'

const truth = (t: T): boolean => t.dataSync()[0] !== 0
const bodyOf = (x: KernelCall, name: string): Graph => x.a[name] as Graph
const all = (x: KernelCall, from: number, to?: number): T[] =>
  x.cells.slice(from, to).map((_, i) => x.in(from + i))

const branch: Kernel = (x) => x.run(bodyOf(x, truth(x.in(0)) ? 'whenTrue' : 'whenFalse'), all(x, 1))

/** Values of all turns stacked; without a turn there is no shape to stack. */
function stacked(x: KernelCall, turns: readonly T[], axis: number): T {
  if (turns.length === 0) throw new InputError('tfjs: a loop that stacks values and makes no turn')
  return x.tf.stack([...turns], axis)
}

const loop: Kernel = (x) => {
  const n = num(x, 'states')
  const body = bodyOf(x, 'body')
  const max = x.has(0) ? x.ints(0)[0]! : Infinity
  let go = x.has(1) ? x.in(1) : x.tf.scalar(true, 'bool')
  let states = all(x, 2, 2 + n)
  const captured = all(x, 2 + n)
  const scans: T[][] = body.outputs.slice(1 + n).map(() => [])
  for (let i = 0; i < max && truth(go); i++) {
    const out = x.run(body, [x.tf.scalar(i, 'int32'), go, ...states, ...captured])
    go = out[0]!
    states = out.slice(1, 1 + n)
    scans.forEach((s, k) => {
      s.push(out[1 + n + k]!)
    })
  }
  return [...states.map((s) => x.tf.clone(s)), ...scans.map((s) => stacked(x, s, 0))]
}

const scan: Kernel = (x) => {
  const { tf } = x
  const [n, m] = [num(x, 'states'), num(x, 'scanned')]
  const body = bodyOf(x, 'body')
  const option = (name: string, i: number): number => (x.a[name] as readonly number[] | undefined)?.[i] ?? 0
  let states = all(x, 0, n)
  const scanned = all(x, n, n + m)
  const captured = all(x, n + m)
  const entries = scanned.map((t, i) => tf.unstack(t, axisOf(option('inputAxes', i), t.rank)))
  const length = entries[0]!.length
  const scans: T[][] = body.outputs.slice(n).map(() => [])
  for (let i = 0; i < length; i++) {
    const now = entries.map((e, k) => e[option('inputDirections', k) ? length - 1 - i : i]!)
    const out = x.run(body, [...states, ...now, ...captured])
    states = out.slice(0, n)
    scans.forEach((s, k) => {
      if (option('outputDirections', k)) s.unshift(out[n + k]!)
      else s.push(out[n + k]!)
    })
  }
  const axis = (k: number): number => {
    const a = option('outputAxes', k)
    return a < 0 ? a + (scans[k]![0]?.rank ?? 0) + 1 : a
  }
  return [...states.map((s) => tf.clone(s)), ...scans.map((s, k) => stacked(x, s, axis(k)))]
}

type Step = (x: KernelCall, d: number, entry: T, states: T[]) => T[]

const activations: Readonly<
  Record<string, (x: KernelCall, t: T, a: number | undefined, b: number | undefined) => T>
> = {
  Relu: (x, t) => x.tf.relu(t),
  Tanh: (x, t) => x.tf.tanh(t),
  Sigmoid: (x, t) => x.tf.sigmoid(t),
  Softsign: (x, t) => x.tf.div(t, x.tf.add(x.tf.abs(t), 1)),
  Softplus: (x, t) => x.tf.softplus(t),
  HardSigmoid: (x, t, a = 0.2, b = 0.5) => x.tf.clipByValue(x.tf.add(x.tf.mul(t, a), b), 0, 1),
}

/** Activation k of a direction. Parameters go to those that take them, in order: only one kind is expected to. */
function activation(
  x: KernelCall,
  d: number,
  k: number,
  each: number,
  standard: readonly string[],
): (t: T) => T {
  const names = (x.a.activations as readonly string[] | undefined) ?? [...standard, ...standard]
  const name = names[(d * each + k) % names.length]!
  const f = activations[name]
  if (!f) throw new InputError(`tfjs: activation ${name} in a recurrent layer`)
  const takes = (n: string): boolean => n === 'HardSigmoid'
  const place = names.slice(0, d * each + k).filter(takes).length
  const parameter = (key: string): number | undefined =>
    takes(name) ? (x.a[key] as readonly number[] | undefined)?.[place] : undefined
  return (t) => f(x, t, parameter('activationAlpha'), parameter('activationBeta'))
}

/** Weights of a direction, [inputs, gates · hidden], turned once. */
const turned = (x: KernelCall, input: number, d: number): T =>
  x.kept(`weights${input} ${d}`, [input], () => {
    const w = x.tf.squeeze(x.tf.slice(x.in(input), [d, 0, 0], [1, -1, -1]), [0])
    return x.tf.transpose(w)
  })

const recurrent =
  (count: number, step: Step): Kernel =>
  (x) => {
    const { tf } = x
    if (x.has(4)) throw new InputError('tfjs: a recurrent layer with lengths')
    if (x.has(7)) throw new InputError('tfjs: a recurrent layer with peepholes')
    if (x.a.clip !== undefined) throw new InputError('tfjs: a recurrent layer that clips')
    const batchFirst = x.a.layout === 'batchFirst'
    const input = batchFirst ? tf.transpose(x.in(0), [1, 0, 2]) : x.in(0)
    const [time, batch] = input.shape as [number, number]
    const hidden = x.in(2).shape.at(-1)!
    const directions = x.a.direction === 'bidirectional' ? 2 : 1
    const entries = tf.unstack(input, 0)
    const sequences: T[] = []
    const finals: T[][] = []
    for (let d = 0; d < directions; d++) {
      const backward = d === 1 || x.a.direction === 'reverse'
      let states = Array.from({ length: count }, (_, i): T => {
        if (!x.has(5 + i)) return tf.zeros([batch, hidden])
        return batchFirst
          ? tf.squeeze(tf.slice(x.in(5 + i), [0, d, 0], [-1, 1, -1]), [1])
          : tf.squeeze(tf.slice(x.in(5 + i), [d, 0, 0], [1, -1, -1]), [0])
      })
      const steps: T[] = []
      for (let k = 0; k < time; k++) {
        states = step(x, d, entries[backward ? time - 1 - k : k]!, states)
        if (backward) steps.unshift(states[0]!)
        else steps.push(states[0]!)
      }
      sequences.push(tf.stack(steps, batchFirst ? 1 : 0))
      finals.push(states)
    }
    // y is [time, directions, batch, hidden], or [batch, time, directions, hidden].
    const y = tf.stack(sequences, batchFirst ? 2 : 1)
    const last = Array.from({ length: count }, (_, i) =>
      tf.stack(
        finals.map((f) => f[i]!),
        batchFirst ? 1 : 0,
      ),
    )
    return [y, ...last].slice(0, x.outputs)
  }

/** x · W + b of a direction, and h · R + b: all gates beside one another. */
function sums(x: KernelCall, d: number, entry: T, h: T): { fromInput: T; fromState: T } {
  const { tf } = x
  let fromInput: T = tf.matMul(entry as never, turned(x, 1, d) as never)
  let fromState: T = tf.matMul(h as never, turned(x, 2, d) as never)
  if (x.has(3)) {
    const rows = fromInput.shape.at(-1)!
    const bias = tf.squeeze(tf.slice(x.in(3), [d, 0], [1, -1]), [0])
    fromInput = tf.add(fromInput, tf.slice(bias, [0], [rows]))
    fromState = tf.add(fromState, tf.slice(bias, [rows], [rows]))
  }
  return { fromInput, fromState }
}

const rnn = recurrent(1, (x, d, entry, [h]) => {
  const { fromInput, fromState } = sums(x, d, entry, h!)
  return [activation(x, d, 0, 1, ['Tanh'])(x.tf.add(fromInput, fromState))]
})

const gru = recurrent(1, (x, d, entry, [h]) => {
  const { tf } = x
  const f = activation(x, d, 0, 2, ['Sigmoid', 'Tanh'])
  const g = activation(x, d, 1, 2, ['Sigmoid', 'Tanh'])
  const { fromInput, fromState } = sums(x, d, entry, h!)
  const [xz, xr, xh] = tf.split(fromInput, 3, 1)
  const [hz, hr, hh] = tf.split(fromState, 3, 1)
  const z = f(tf.add(xz!, hz!))
  const r = f(tf.add(xr!, hr!))
  let fromReset: T
  if (flag(x, 'linearBeforeReset')) fromReset = tf.mul(r, hh!)
  else {
    const n = h!.shape[1]!
    const weights = tf.slice(turned(x, 2, d), [0, 2 * n], [-1, n])
    fromReset = tf.matMul(tf.mul(r, h!) as never, weights as never)
    if (x.has(3))
      fromReset = tf.add(
        fromReset,
        tf.slice(tf.reshape(tf.slice(x.in(3), [d, 0], [1, -1]), [-1]), [5 * n], [n]),
      )
  }
  const candidate = g(tf.add(xh!, fromReset))
  return [tf.add(tf.mul(tf.sub(1, z), candidate), tf.mul(z, h!))]
})

const lstm = recurrent(2, (x, d, entry, [h, c]) => {
  const { tf } = x
  if (flag(x, 'inputForget')) throw new InputError('tfjs: coupled input and forget gates')
  const [f, g, k] = [0, 1, 2].map((i) => activation(x, d, i, 3, ['Sigmoid', 'Tanh', 'Tanh']))
  const { fromInput, fromState } = sums(x, d, entry, h!)
  const [i, o, forget, cell] = tf.split(tf.add(fromInput, fromState), 4, 1)
  const next = tf.add(tf.mul(f!(forget!), c!), tf.mul(f!(i!), g!(cell!)))
  return [tf.mul(f!(o!), k!(next)), next]
})

export const controlRows = { if: branch, loop, scan, rnn, gru, lstm } satisfies Partial<Record<OpName, Row>>
