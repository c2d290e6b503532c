// Operators of ai.onnx.preview.training: optimiser steps as arithmetic, and gradients of plain arithmetic.

import type { ValueId } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'

/** Arithmetic on values of one element type, with numbers on either side. */
function arithmetic(c: Call, like: ValueId) {
  const { dtype } = c.typeOf(like)
  const id = (v: ValueId | { number: number }): ValueId =>
    typeof v === 'number' ? v : c.scalar(dtype, v.number)
  const binary =
    (op: string) =>
    (a: ValueId | { number: number }, b: ValueId | { number: number }): ValueId =>
      c.mid(op, [id(a), id(b)])
  return {
    add: binary('add'),
    sub: binary('sub'),
    mul: binary('mul'),
    div: binary('div'),
    pow: binary('pow'),
    sqrt: (a: ValueId): ValueId => c.mid('sqrt', [a]),
    number: (v: number) => ({ number: v }),
    where: (condition: ValueId, a: ValueId, b: ValueId): ValueId => c.mid('where', [condition, a, b]),
  }
}

/** Splits inputs R, T, then `groups` lists of one tensor a parameter, and runs a step on each parameter. */
function optimiser(
  groups: number,
  step: (c: Call, rate: ValueId, count: ValueId, tensors: readonly ValueId[]) => ValueId[],
): Row {
  return (c) => {
    const n = (c.inputs.length - 2) / groups
    if (!Number.isInteger(n) || n < 1) c.fail(`expected 2 + ${groups} · n inputs, got ${c.inputs.length}`)
    const made = Array.from({ length: n }, (_, i) =>
      step(
        c,
        c.in(0),
        c.in(1),
        Array.from({ length: groups }, (_, g) => c.in(2 + g * n + i)),
      ),
    )
    // First all new parameters, then all new states of each kind.
    return made[0]!.flatMap((_, k) => made.map((m) => m[k]!))
  }
}

/** The gradient with the regularisation term. */
const regularised = (c: Call, x: ValueId, g: ValueId): ValueId => {
  const m = arithmetic(c, x)
  return m.add(m.mul(m.number(c.float('norm_coefficient', 0)), x), g)
}

const adagrad = optimiser(3, (c, rate, count, [x, g, h]) => {
  const m = arithmetic(c, x!)
  const decayed = m.add(
    m.number(1),
    m.mul(c.cast(count, c.typeOf(x!).dtype), m.number(c.float('decay_factor', 0))),
  )
  const gradient = regularised(c, x!, g!)
  const squares = m.add(h!, m.mul(gradient, gradient))
  const root = m.add(m.sqrt(squares), m.number(c.float('epsilon', 1e-6)))
  return [m.sub(x!, m.div(m.mul(m.div(rate, decayed), gradient), root)), squares]
})

/** Whether this is the first step. */
const first = (c: Call, count: ValueId): ValueId =>
  c.mid('equal', [count, c.scalar(c.typeOf(count).dtype, 0)])

const momentum = optimiser(3, (c, rate, count, [x, g, v]) => {
  const m = arithmetic(c, x!)
  const { dtype } = c.typeOf(x!)
  const gradient = regularised(c, x!, g!)
  const beta = m.where(first(c, count), c.scalar(dtype, 1), c.scalar(dtype, c.float('beta')))
  const alpha = m.number(c.float('alpha'))
  const moved = m.add(m.mul(alpha, v!), m.mul(beta, gradient))
  const step = c.string('mode') === 'nesterov' ? m.add(gradient, m.mul(alpha, moved)) : moved
  return [m.sub(x!, m.mul(rate, step)), moved]
})

const adam = optimiser(4, (c, rate, count, [x, g, v, h]) => {
  const m = arithmetic(c, x!)
  const { dtype } = c.typeOf(x!)
  const [alpha, beta] = [c.float('alpha', 0.9), c.float('beta', 0.999)]
  const gradient = regularised(c, x!, g!)
  const mean = m.add(m.mul(m.number(alpha), v!), m.mul(m.number(1 - alpha), gradient))
  const squares = m.add(m.mul(m.number(beta), h!), m.mul(m.number(1 - beta), m.mul(gradient, gradient)))
  const root = m.add(m.sqrt(squares), m.number(c.float('epsilon', 1e-6)))
  const steps = c.cast(count, dtype)
  const left = (decay: number): ValueId => m.sub(m.number(1), m.pow(m.number(decay), steps))
  const corrected = m.div(m.mul(rate, m.sqrt(left(beta))), left(alpha))
  const actual = m.where(first(c, count), rate, corrected)
  const moved = m.sub(x!, m.div(m.mul(actual, mean), root))
  return [m.mul(m.number(1 - c.float('norm_coefficient_post', 0)), moved), mean, squares]
})

/** What each input of a node adds to its gradient, given that of the output. */
const chainRules: Record<
  string,
  (m: ReturnType<typeof arithmetic>, g: ValueId, x: readonly ValueId[]) => ValueId[]
> = {
  identity: (_m, g) => [g],
  add: (_m, g) => [g, g],
  sub: (m, g) => [g, m.sub(m.number(0), g)],
  mul: (m, g, [a, b]) => [m.mul(g, b!), m.mul(g, a!)],
  div: (m, g, [a, b]) => [m.div(g, b!), m.sub(m.number(0), m.div(m.mul(g, a!), m.mul(b!, b!)))],
}

/** dy/dxs at the values that the graph itself computes, through operators of equal shapes. */
const gradient: Row = (c) => {
  const names = c.strings('xs') ?? c.fail('attribute xs is missing')
  const graph = c.b.finish()
  const byName = (name: string): ValueId => {
    const v = graph.values.findIndex((x) => x.name === name)
    return v >= 0 ? v : c.fail(`no value ${name}`)
  }
  const xs = names.map(byName)
  if (xs.some((v, i) => v !== c.in(i)))
    throw new NotSupported('Gradient at other values than the graph’s own')
  const y = byName(c.string('y'))
  const nodes = [...graph.nodes]
  const { dtype } = c.typeOf(y)
  const one = { dtype, shape: [1], data: Float32Array.of(1) }
  if (dtype !== 'float32') throw new NotSupported(`Gradient of ${dtype}`, 'float32')
  const ofY = c.mid('constantOfShape', [c.mid('shape', [y])], { value: one })
  const m = arithmetic(c, y)
  const gradients = new Map<ValueId, ValueId>([[y, ofY]])
  for (const node of nodes.reverse()) {
    const g = gradients.get(node.outputs[0]!)
    if (g === undefined || xs.includes(node.outputs[0]!)) continue
    const rule = chainRules[node.op]
    const inputs = node.inputs as readonly ValueId[]
    const same = inputs.every((v) => String(c.typeOf(v).shape) === String(c.typeOf(node.outputs[0]!).shape))
    if (!rule || !same)
      throw new NotSupported(`Gradient through ${node.op}`, Object.keys(chainRules).join(', '))
    rule(m, g, inputs).forEach((part, i) => {
      const had = gradients.get(inputs[i]!)
      gradients.set(inputs[i]!, had === undefined ? part : m.add(had, part))
    })
  }
  return xs.map((x) => gradients.get(x) ?? m.mul(x, m.number(0)))
}

export const training: Record<string, Row> = {
  Adagrad: adagrad,
  Adam: adam,
  Momentum: momentum,
  Gradient: gradient,
}
