// Keras' activation functions by name (keras.activations), version 2 and 3.

import { UnsupportedError } from '../../core/errors.ts'
import type { ValueId } from '../../ir/types.ts'
import type { Sketch } from '../sketch.ts'

type Activation = (s: Sketch, x: ValueId) => ValueId

const one =
  (op: string, attributes: Record<string, number> = {}): Activation =>
  (s, x) =>
    s.node(op, [x], attributes, op)

export const activations: Readonly<Record<string, Activation>> = {
  linear: (_, x) => x,
  relu: one('relu'),
  relu6: one('clamp', { low: 0, high: 6 }),
  leaky_relu: one('leakyRelu', { alpha: 0.2 }),
  elu: one('elu'),
  selu: one('selu'),
  celu: one('celu'),
  sigmoid: one('sigmoid'),
  tanh: one('tanh'),
  softplus: one('softplus'),
  softsign: one('softsign'),
  swish: one('silu'),
  silu: one('silu'),
  mish: one('mish'),
  gelu: one('gelu'),
  exponential: one('exp'),
  hard_silu: one('hardSwish'),
  hard_swish: one('hardSwish'),
  softmax: (s, x) => s.softmax(x, -1, 'softmax'),
  log_softmax: (s, x) => s.node('logSoftmax', [x], { axis: -1 }, 'logSoftmax'),
}

/** Slope of hard_sigmoid: 0.2 in Keras 2, 1/6 in Keras 3; each version writes the same name. */
export const hardSigmoidSlope = (kerasVersion: string): number => (/^[v ]*3/.test(kerasVersion) ? 1 / 6 : 0.2)

/** An activation's name, from a text or from Keras 3's object form; null for none. */
export function activationName(raw: unknown): string | null {
  if (raw == null) return null
  if (typeof raw === 'string') return raw
  const o = raw as { class_name?: unknown; config?: unknown }
  if (o.class_name === 'function' && typeof o.config === 'string') return o.config
  return String(o.class_name ?? 'unknown')
}

/** Applies an activation by its name in a configuration. */
export function activate(s: Sketch, raw: unknown, x: ValueId, at: string, kerasVersion: string): ValueId {
  const name = activationName(raw)
  if (name === null) return x
  if (name === 'hard_sigmoid')
    return one('hardSigmoid', { alpha: hardSigmoidSlope(kerasVersion), beta: 0.5 })(s, x)
  const f = Object.hasOwn(activations, name) ? activations[name] : undefined
  if (!f) throw new UnsupportedError(at, [{ op: `activation ${name}`, count: 1 }])
  return f(s, x)
}
