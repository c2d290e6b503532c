// Elementwise operators in TensorFlow.js: its own kernel where it has one, else the operator's formula, function by function.

import { BugError, InputError } from '../core/errors.ts'
import { boundFormula } from '../ir/ops/elementwise.ts'
import { type OpName, ops } from '../ir/ops/index.ts'
import type { Expr, ScalarFn } from '../ir/scalar.ts'
import {
  type Cell,
  gap,
  type Kernel,
  type KernelCall,
  num,
  type Row,
  type T,
  toFirst,
} from './tfjs-kernel.ts'

type Tf = KernelCall['tf']

/** Operands of one layout: channels-last ones stay so where all can. */
function operands(x: KernelCall): { ts: T[]; last: boolean } {
  const cells = x.cells.filter((c): c is Cell => c !== null)
  const rank = Math.max(...cells.map((c) => c.t.rank))
  const last = cells.some((c) => c.last)
  const can = cells.every((c) => (c.last && c.t.rank === rank) || c.t.size === 1)
  if (!last || !can) return { ts: cells.map((_, i) => x.in(i)), last: false }
  return { ts: cells.map((c) => (c.last ? c.t : x.tf.reshape(c.t, []))), last: true }
}

const elementwise =
  (f: (x: KernelCall, ...ts: T[]) => T): Kernel =>
  (x) => {
    const { ts, last } = operands(x)
    return { t: f(x, ...ts), last }
  }

/** Scalar functions as TensorFlow.js calls; null: it has none. */
const functions: Readonly<Record<ScalarFn, ((tf: Tf, ...ts: T[]) => T) | null>> = {
  neg: (tf, a) => tf.neg(a!),
  abs: (tf, a) => tf.abs(a!),
  sign: (tf, a) => tf.sign(a!),
  floor: (tf, a) => tf.floor(a!),
  ceil: (tf, a) => tf.ceil(a!),
  round: (tf, a) => tf.round(a!),
  trunc: (tf, a) => truncated(tf, a!),
  sqrt: (tf, a) => tf.sqrt(a!),
  exp: (tf, a) => tf.exp(a!),
  expm1: (tf, a) => tf.expm1(a!),
  log: (tf, a) => tf.log(a!),
  log1p: (tf, a) => tf.log1p(a!),
  log2: (tf, a) => tf.div(tf.log(a!), Math.LN2),
  sin: (tf, a) => tf.sin(a!),
  cos: (tf, a) => tf.cos(a!),
  tan: (tf, a) => tf.tan(a!),
  asin: (tf, a) => tf.asin(a!),
  acos: (tf, a) => tf.acos(a!),
  atan: (tf, a) => tf.atan(a!),
  sinh: (tf, a) => tf.sinh(a!),
  cosh: (tf, a) => tf.cosh(a!),
  tanh: (tf, a) => tf.tanh(a!),
  asinh: (tf, a) => tf.asinh(a!),
  acosh: (tf, a) => tf.acosh(a!),
  atanh: (tf, a) => tf.atanh(a!),
  erf: (tf, a) => tf.erf(a!),
  isNaN: (tf, a) => tf.isNaN(a!),
  isInf: (tf, a) => tf.isInf(a!),
  not: (tf, a) => tf.logicalNot(bool(a!)),
  bitNot: null,
  add: (tf, a, b) => tf.add(a!, b!),
  sub: (tf, a, b) => tf.sub(a!, b!),
  mul: (tf, a, b) => tf.mul(a!, b!),
  div: (tf, a, b) => divided(tf, a!, b!),
  // Its floorDiv gives integers, whatever it is given.
  floorDiv: (tf, a, b) => (a!.dtype === 'int32' ? tf.floorDiv(a!, b!) : tf.floor(tf.div(a!, b!))),
  rem: (tf, a, b) => tf.sub(a!, tf.mul(truncated(tf, divided(tf, a!, b!)), b!)),
  mod: (tf, a, b) => tf.mod(a!, b!),
  pow: (tf, a, b) => tf.pow(a!, b!),
  min: (tf, a, b) => tf.minimum(a!, b!),
  max: (tf, a, b) => tf.maximum(a!, b!),
  atan2: (tf, a, b) => tf.atan2(a!, b!),
  eq: (tf, a, b) => tf.equal(a!, b!),
  ne: (tf, a, b) => tf.notEqual(a!, b!),
  lt: (tf, a, b) => tf.less(a!, b!),
  le: (tf, a, b) => tf.lessEqual(a!, b!),
  gt: (tf, a, b) => tf.greater(a!, b!),
  ge: (tf, a, b) => tf.greaterEqual(a!, b!),
  and: (tf, a, b) => tf.logicalAnd(bool(a!), bool(b!)),
  or: (tf, a, b) => tf.logicalOr(bool(a!), bool(b!)),
  xor: (tf, a, b) => tf.notEqual(tf.cast(bool(a!), 'int32'), tf.cast(bool(b!), 'int32')),
  bitAnd: null,
  bitOr: null,
  bitXor: null,
  shl: null,
  shr: null,
  mulHigh: null,
  roundShift: null,
  select: (tf, c, a, b) => tf.where(bool(c!), a!, b!),
  fma: null,
}

const bool = (t: T): T => (t.dtype === 'bool' ? t : t.notEqual(t.zerosLike()))

/** Toward zero; integers are already. */
const truncated = (tf: Tf, a: T): T =>
  a.dtype === 'int32' ? a : tf.where(tf.less(a, 0), tf.ceil(a), tf.floor(a))

/** tf.div rounds integers down; the graph's `div` truncates them. */
function divided(tf: Tf, a: T, b: T): T {
  if (a.dtype !== 'int32' || b.dtype !== 'int32') return tf.div(a, b)
  const sign = tf.mul(tf.sign(a), tf.sign(b))
  return tf.mul(sign, tf.floorDiv(tf.abs(a), tf.abs(b)))
}

/** The functions of a formula that TensorFlow.js lacks. */
function lacking(e: Expr): ScalarFn[] {
  if (e.kind !== 'call') return []
  return [...(functions[e.fn] === null ? [e.fn] : []), ...e.args.flatMap(lacking)]
}

/** The value of a formula over tensors; constants take the operands' type. */
function evaluated(tf: Tf, e: Expr, named: Readonly<Record<string, T>>, like: T): T {
  switch (e.kind) {
    case 'const':
      return tf.scalar(Number(e.value), like.dtype === 'bool' ? 'int32' : (like.dtype as 'float32' | 'int32'))
    case 'var': {
      const t = named[e.name]
      if (!t) throw new BugError(`tfjs: no operand ${e.name}`)
      return t
    }
    case 'call': {
      const args = e.args.map((a) => evaluated(tf, a, named, like))
      const f = functions[e.fn]
      if (!f) throw new InputError(`tfjs: no function ${e.fn}`)
      // Comparisons inside arithmetic count as 0 and 1.
      const numeric = ['add', 'sub', 'mul', 'div', 'min', 'max', 'neg'].includes(e.fn)
      return f(
        tf,
        ...args.map((t) => (numeric && t.dtype === 'bool' ? tf.cast(t, like.dtype as 'float32') : t)),
      )
    }
    default:
      throw new BugError(`tfjs: ${e.kind} in a formula`)
  }
}

const byFormula = (e: Expr): Kernel =>
  elementwise((x, ...ts) => {
    const like = ts.at(-1)!
    const named = Object.fromEntries(['x', 'y', 'z'].map((n, i) => [n, ts[i]!]))
    return evaluated(x.tf, boundFormula(e, x.a), named, like)
  })

/**
 * The wasm kernel takes any slope for one entry a last channel, and gives other numbers where it isn't: there the slope is
 * turned to the channels' place, or the formula is used.
 */
const prelu: Kernel = (x) => {
  const { tf } = x
  const [cell, slope] = [x.cells[0]!, x.in(1)]
  const channels = cell.t.shape.at(-1)!
  if (cell.last && slope.size === channels && slope.shape[slope.rank - cell.t.rank + 1] === channels)
    return { t: tf.prelu(cell.t, tf.reshape(slope, [channels])), last: true }
  const t = x.in(0)
  const along = slope.size === t.shape.at(-1) && slope.shape.at(-1) === slope.size
  if (along || tf.getBackend() !== 'wasm') return tf.prelu(t, slope)
  return tf.where(tf.less(t, 0), tf.mul(t, slope), t)
}

/** Activations and such that TensorFlow.js has a kernel of its own for. */
const own: Partial<Record<OpName, Kernel>> = {
  relu: elementwise((x, a) => x.tf.relu(a!)),
  clamp: elementwise((x, a) => {
    const [low, high] = [num(x, 'low'), num(x, 'high')]
    if (low === 0 && high === 6 && a!.dtype === 'float32') return x.tf.relu6(a!)
    if (low === -Infinity && high === Infinity) return x.tf.clone(a!)
    if (a!.dtype !== 'float32') return x.tf.minimum(x.tf.maximum(a!, bound(x, low)), bound(x, high))
    return x.tf.clipByValue(a!, low, high)
  }),
  leakyRelu: elementwise((x, a) => x.tf.leakyRelu(a!, num(x, 'alpha'))),
  elu: elementwise((x, a) =>
    num(x, 'alpha') === 1
      ? x.tf.elu(a!)
      : x.tf.where(x.tf.less(a!, 0), x.tf.mul(x.tf.elu(a!), num(x, 'alpha')), a!),
  ),
  selu: elementwise((x, a) => x.tf.selu(a!)),
  sigmoid: elementwise((x, a) => x.tf.sigmoid(a!)),
  softplus: elementwise((x, a) => x.tf.softplus(a!)),
  square: elementwise((x, a) => x.tf.square(a!)),
  rsqrt: elementwise((x, a) => x.tf.rsqrt(a!)),
  reciprocal: elementwise((x, a) => x.tf.reciprocal(a!)),
  squaredDifference: elementwise((x, a, b) => x.tf.squaredDifference(a!, b!)),
  prelu,
}

/** A bound of an integer clamp: infinities are none. */
const bound = (x: KernelCall, v: number): T =>
  x.tf.scalar(Math.min(Math.max(v, -(2 ** 31)), 2 ** 31 - 1), 'int32')

const standardSelu = (x: KernelCall): boolean =>
  Math.abs(num(x, 'alpha') - 1.6732632423543772) < 1e-6 &&
  Math.abs(num(x, 'gamma') - 1.0507009873554805) < 1e-6

/** Rows for every operator with a formula. */
export function elementwiseRows(): Partial<Record<OpName, Row>> {
  const rows: Partial<Record<OpName, Row>> = {}
  for (const [name, op] of Object.entries(ops)) {
    if (!('formula' in op) || !op.formula) continue
    const key = name as OpName
    const missing = [...new Set(lacking(op.formula))]
    const kernel = own[key]
    if (kernel) rows[key] = kernel
    else
      rows[key] = missing.length ? gap(`TensorFlow.js has no ${missing.join(', ')}`) : byFormula(op.formula)
  }
  const selu = rows.selu as Kernel
  const formula = byFormula(ops.selu.formula!)
  rows.selu = (x) => (standardSelu(x) ? selu(x) : formula(x))
  return rows
}

export const plain = (tf: Tf, c: Cell): T => (c.last ? tf.transpose(c.t, toFirst(c.t.rank)) : c.t)
