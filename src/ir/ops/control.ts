// Control flow. Bodies are closed graphs: what they use from outside is appended to the node's inputs and to theirs.

import { InputError } from '../../core/errors.ts'
import { at, type Tensor, tensorOf } from '../../core/tensor.ts'
import { axisOf, numberOf, numbersOf, type Op } from '../op.ts'
import {
  type Attributes,
  type Datum,
  type Dim,
  type Graph,
  isTensor,
  type Shape,
  type Type,
  tensorType,
} from '../types.ts'
import { concatTensors, sliceAxis } from './movement.ts'

/** What holds of both types. */
export function meet(a: Type, b: Type): Type {
  if (a.kind === 'tensor' && b.kind === 'tensor') {
    if (!a.shape || !b.shape || a.shape.length !== b.shape.length) return tensorType(a.dtype, null)
    return tensorType(
      a.dtype,
      a.shape.map((d, i) => (d === b.shape![i] ? d : null)),
    )
  }
  if (a.kind === 'optional' || b.kind === 'optional') {
    const [p, q] = [a.kind === 'optional' ? a.element : a, b.kind === 'optional' ? b.element : b]
    return { kind: 'optional', element: meet(p, q) }
  }
  if (a.kind === 'sequence' && b.kind === 'sequence')
    return { kind: 'sequence', element: meet(a.element, b.element) }
  throw new InputError(`expected one kind of value from both ways, got ${a.kind} and ${b.kind}`)
}

const graphOf = (a: Attributes, name: string): Graph => a[name] as Graph
const outputTypes = (g: Graph): Type[] => g.outputs.map((v) => g.values[v]!.type)
const truth = (d: Datum | undefined): boolean => isTensor(d) && at(d, 0) !== 0

const withAxis = (shape: Shape, axis: number, d: Dim): Shape =>
  shape ? [...shape.slice(0, axis), d, ...shape.slice(axis)] : null

/** Entry i of an axis, with the axis gone. */
function entry(t: Tensor, axis: number, i: number): Tensor {
  const part = sliceAxis(t, axis, i, 1)
  return { ...part, shape: t.shape.filter((_, d) => d !== axis) }
}

/** Tensors of one shape as entries of a new axis. */
function stack(parts: readonly Tensor[], axisGiven: number, empty: () => Tensor): Tensor {
  const first = parts[0]
  if (!first) return empty()
  const axis = axisOf(axisGiven, first.shape.length + 1)
  return concatTensors(
    parts.map((p) => ({ ...p, shape: [...p.shape.slice(0, axis), 1, ...p.shape.slice(axis)] })),
    axis,
  )
}

/** What a scan output is when no step was made: no entries of the body's own shape. */
const noEntries = (g: Graph, output: number, axis: number) => (): Tensor => {
  const type = g.values[g.outputs[output]!]!.type
  if (type.kind !== 'tensor') throw new InputError('scan outputs must be tensors')
  const shape = (type.shape ?? []).map((d) => (typeof d === 'number' ? d : 0))
  const k = axis < 0 ? axis + shape.length + 1 : axis
  return tensorOf(type.dtype, [...shape.slice(0, k), 0, ...shape.slice(k)], [])
}

export const control = {
  if: {
    doc: 'Runs the body whenTrue where the condition holds, else the body whenFalse: inputs condition, captured values…',
    inputs: [1, Infinity],
    outputs: [1, Infinity],
    attributes: { whenTrue: { kind: 'graph' }, whenFalse: { kind: 'graph' } },
    infer(x) {
      const [a, b] = [
        outputTypes(graphOf(x.attributes, 'whenTrue')),
        outputTypes(graphOf(x.attributes, 'whenFalse')),
      ]
      if (a.length !== b.length)
        throw new InputError(`if: the bodies give ${a.length} and ${b.length} outputs`)
      // A known condition decides.
      const known = x.constants[0]
      if (known) return truth(known) ? a : b
      return a.map((t, i) => meet(t, b[i]!))
    },
    evaluate(inputs, x) {
      const body = graphOf(x.attributes, truth(inputs[0]) ? 'whenTrue' : 'whenFalse')
      return x.run(
        body,
        inputs.slice(1).map((d) => d ?? null),
      )
    },
  },
  loop: {
    doc: 'Runs the body while it says so, at most `max` times: inputs max?, condition?, the states, captured values…; the body takes iteration, condition, states, captured values and gives condition, states, values to stack',
    inputs: [2, Infinity],
    outputs: [0, Infinity],
    attributes: { body: { kind: 'graph' }, states: { kind: 'number' } },
    infer(x) {
      const n = numberOf(x.attributes, 'states')
      const types = outputTypes(graphOf(x.attributes, 'body'))
      return types.slice(1).map((t, i) => {
        if (i < n) {
          const initial = x.inputs[2 + i]
          return initial ? meet(initial, t) : t
        }
        return t.kind === 'tensor' ? tensorType(t.dtype, withAxis(t.shape, 0, null)) : t
      })
    },
    evaluate(inputs, x) {
      const body = graphOf(x.attributes, 'body')
      const n = numberOf(x.attributes, 'states')
      const max = isTensor(inputs[0]) ? at(inputs[0], 0) : Infinity
      let go: Datum = isTensor(inputs[1]) ? inputs[1] : tensorOf('bool', [], [true])
      let states = inputs.slice(2, 2 + n).map((d) => d ?? null)
      const captured = inputs.slice(2 + n).map((d) => d ?? null)
      const scans: Tensor[][] = body.outputs.slice(1 + n).map(() => [])
      for (let i = 0; i < max && truth(go); i++) {
        const out = x.run(body, [tensorOf('int64', [], [i]), go, ...states, ...captured])
        go = out[0]!
        states = out.slice(1, 1 + n)
        scans.forEach((s, k) => {
          s.push(out[1 + n + k] as Tensor)
        })
      }
      return [...states, ...scans.map((s, k) => stack(s, 0, noEntries(body, 1 + n + k, 0)))]
    },
  },
  scan: {
    doc: 'Runs the body once for every entry of the scanned inputs: inputs states, scanned inputs, captured values…; the body takes states, entries, captured values and gives states, values to stack',
    inputs: [1, Infinity],
    outputs: [1, Infinity],
    attributes: {
      body: { kind: 'graph' },
      states: { kind: 'number' },
      scanned: { kind: 'number' },
      inputAxes: { kind: 'numbers', default: null },
      inputDirections: { kind: 'numbers', default: null },
      outputAxes: { kind: 'numbers', default: null },
      outputDirections: { kind: 'numbers', default: null },
    },
    infer(x) {
      const n = numberOf(x.attributes, 'states')
      const types = outputTypes(graphOf(x.attributes, 'body'))
      const scanned = x.inputs[n]
      const axis = (x.attributes.inputAxes as readonly number[] | undefined)?.[0] ?? 0
      const shape = scanned?.kind === 'tensor' ? scanned.shape : null
      const length: Dim = shape ? shape[axisOf(axis, shape.length)]! : null
      return types.map((t, i) => {
        if (i < n) return x.inputs[i] ? meet(x.inputs[i]!, t) : t
        const outAxis = (x.attributes.outputAxes as readonly number[] | undefined)?.[i - n] ?? 0
        return t.kind === 'tensor'
          ? tensorType(t.dtype, t.shape && withAxis(t.shape, axisOf(outAxis, t.shape.length + 1), length))
          : t
      })
    },
    evaluate(inputs, x) {
      const body = graphOf(x.attributes, 'body')
      const n = numberOf(x.attributes, 'states')
      const m = numberOf(x.attributes, 'scanned')
      const option = (name: string, i: number): number =>
        name in x.attributes ? (numbersOf(x.attributes, name)[i] ?? 0) : 0
      let states = inputs.slice(0, n).map((d) => d ?? null)
      const scanned = inputs.slice(n, n + m) as Tensor[]
      const captured = inputs.slice(n + m).map((d) => d ?? null)
      const axes = scanned.map((t, i) => axisOf(option('inputAxes', i), t.shape.length))
      const length = scanned[0]!.shape[axes[0]!]!
      if (scanned.some((t, i) => t.shape[axes[i]!] !== length))
        throw new InputError('scan: scanned inputs differ in length')
      const scans: Tensor[][] = body.outputs.slice(n).map(() => [])
      for (let i = 0; i < length; i++) {
        const entries = scanned.map((t, k) =>
          entry(t, axes[k]!, option('inputDirections', k) ? length - 1 - i : i),
        )
        const out = x.run(body, [...states, ...entries, ...captured])
        states = out.slice(0, n)
        scans.forEach((s, k) => {
          if (option('outputDirections', k)) s.unshift(out[n + k] as Tensor)
          else s.push(out[n + k] as Tensor)
        })
      }
      return [
        ...states,
        ...scans.map((s, k) =>
          stack(s, option('outputAxes', k), noEntries(body, n + k, option('outputAxes', k))),
        ),
      ]
    },
  },
} satisfies Record<string, Op>
