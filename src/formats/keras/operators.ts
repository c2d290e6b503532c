// Plain functions that a functional Keras model holds as layers: `TFOpLambda` and `SlicingOpLambda` of Keras 2, and the
// operations of keras.ops in Keras 3. Only functions of this table are known; nothing from a file is ever run.

import { InputError } from '../../core/errors.ts'
import type { ValueId } from '../../ir/types.ts'
import { type Argument, input, type Layer, type LayerCall, shapeOf, unsupported, where } from './call.ts'

/** Argument i, or the one of these names. */
function argument(x: LayerCall, i: number, ...names: string[]): Argument | undefined {
  if (i > 0 && x.rest[i - 1]) return x.rest[i - 1]
  for (const n of names) if (x.named.has(n)) return x.named.get(n)
  return undefined
}

const constantOf = (a: Argument | undefined): unknown =>
  a === undefined
    ? undefined
    : a.kind === 'constant'
      ? a.value
      : a.kind === 'list'
        ? a.items.map(constantOf)
        : undefined

/** The operand as a value; numbers take the type of the other operand. */
function operand(x: LayerCall, a: Argument | undefined, beside: ValueId): ValueId {
  if (a?.kind === 'value') return a.value
  const c = constantOf(a)
  if (typeof c === 'number') return x.s.like(beside, c)
  if (Array.isArray(c)) {
    const flat = c.flat(8)
    if (flat.every((n) => typeof n === 'number'))
      return x.s.constantLike(beside, shapeOfList(c), flat as number[])
  }
  throw new InputError(`${where(x)}: expected a tensor or numbers, got ${JSON.stringify(c) ?? 'nothing'}`)
}

const shapeOfList = (v: unknown): number[] => (Array.isArray(v) ? [v.length, ...shapeOfList(v[0])] : [])

/** The first operand may be the number and the second the tensor (`3 - x`). */
const binary =
  (op: string): Layer =>
  (x) => {
    const second = argument(x, 1, 'y', 'x2', 'b')
    const first = x.inputs[0]
    if (first !== undefined) {
      const other = x.inputs[1] ?? operand(x, second, first)
      return { outputs: [x.s.node(op, [first, other])] }
    }
    if (second?.kind !== 'value') throw new InputError(`${where(x)}: neither operand is a tensor`)
    const left = operand(x, argument(x, 0, 'x', 'x1', 'a') ?? x.named.get('0'), second.value)
    return { outputs: [x.s.node(op, [left, second.value])] }
  }

const unary =
  (op: string, attributes: Record<string, number> = {}): Layer =>
  (x) => ({ outputs: [x.s.node(op, [input(x)], attributes)] })

const axesOf = (x: LayerCall, i: number): number[] => {
  const rank = shapeOf(x, input(x)).length
  const raw = constantOf(argument(x, i, 'axis', 'axes')) ?? null
  const list = raw === null ? Array.from({ length: rank }, (_, k) => k) : Array.isArray(raw) ? raw : [raw]
  return list.map((a) => (Number(a) < 0 ? Number(a) + rank : Number(a)))
}

const reduction =
  (kind: 'mean' | 'sum' | 'max' | 'min' | 'prod'): Layer =>
  (x) => {
    const keep = constantOf(argument(x, 2, 'keepdims', 'keep_dims')) === true
    return { outputs: [x.s.reduce(kind, input(x), axesOf(x, 1), keep)] }
  }

const listOfNumbers = (x: LayerCall, a: Argument | undefined, what: string): number[] => {
  const c = constantOf(a)
  if (!Array.isArray(c) || !c.every((n) => typeof n === 'number'))
    throw new InputError(`${where(x)}: ${what}, expected numbers, got ${JSON.stringify(c) ?? 'nothing'}`)
  return c as number[]
}

/** x[a:b:c, …]: slices as {start, stop, step}, indices as numbers, `...` and new axes. */
const getItem: Layer = (x) => {
  const raw = constantOf(argument(x, 1, 'slice_spec', 'key'))
  const items = Array.isArray(raw) ? raw : [raw]
  let v = input(x)
  const rank = shapeOf(x, v).length
  const taking = items.filter((i) => i !== null && !isEllipsis(i)).length
  const drop: number[] = []
  const add: number[] = []
  let axis = 0
  let place = 0
  for (const item of items) {
    if (isEllipsis(item)) {
      axis += rank - taking
      place += rank - taking
    } else if (item === null) {
      add.push(place++)
    } else if (typeof item === 'number') {
      v = x.s.slice(v, axis, item, item === -1 ? null : item + 1, 1, `slice${axis}`)
      drop.push(axis++)
    } else {
      const { start, stop, step } = item as { start?: unknown; stop?: unknown; step?: unknown }
      const by = typeof step === 'number' ? step : 1
      if (typeof start === 'number' || typeof stop === 'number' || by !== 1) {
        if (by < 0) unsupported(x, 'slice with a negative step')
        v = x.s.slice(
          v,
          axis,
          typeof start === 'number' ? start : 0,
          typeof stop === 'number' ? stop : null,
          by,
          `slice${axis}`,
        )
      }
      axis++
      place++
    }
  }
  if (drop.length) v = x.s.squeeze(v, drop, 'squeeze')
  if (add.length) v = x.s.unsqueeze(v, add, 'unsqueeze')
  return { outputs: [v] }
}
const isEllipsis = (i: unknown): boolean =>
  i === '...' || (typeof i === 'object' && i !== null && (i as { type?: unknown }).type === 'ellipsis')

const dtypeNames: Readonly<Record<string, 'float32' | 'int32' | 'bool' | 'float16'>> = {
  float32: 'float32',
  int32: 'int32',
  bool: 'bool',
  float16: 'float16',
}

const castTo: Layer = (x) => {
  const name = String(constantOf(argument(x, 1, 'dtype')))
  const dtype = dtypeNames[name]
  if (!dtype) unsupported(x, `cast to ${name}`)
  return { outputs: [x.s.cast(input(x), dtype, '')] }
}

/** By the last part of the name, without the module: `math.multiply` → `multiply`. */
export const operatorTable: Readonly<Record<string, Layer>> = {
  add: binary('add'),
  subtract: binary('sub'),
  multiply: binary('mul'),
  divide: binary('div'),
  truediv: binary('div'),
  true_divide: binary('div'),
  maximum: binary('max'),
  minimum: binary('min'),
  pow: binary('pow'),
  power: binary('pow'),
  squared_difference: binary('squaredDifference'),
  greater: binary('greater'),
  greater_equal: binary('greaterEqual'),
  less: binary('less'),
  less_equal: binary('lessEqual'),
  equal: binary('equal'),
  not_equal: binary('notEqual'),
  matmul: binary('matMul'),
  negative: unary('neg'),
  abs: unary('abs'),
  absolute: unary('abs'),
  square: unary('square'),
  sqrt: unary('sqrt'),
  rsqrt: unary('rsqrt'),
  exp: unary('exp'),
  log: unary('log'),
  log1p: unary('log1p'),
  sin: unary('sin'),
  cos: unary('cos'),
  tanh: unary('tanh'),
  sigmoid: unary('sigmoid'),
  erf: unary('erf'),
  floor: unary('floor'),
  ceil: unary('ceil'),
  round: unary('round'),
  sign: unary('sign'),
  reciprocal: unary('reciprocal'),
  relu: unary('relu'),
  relu6: unary('clamp', { low: 0, high: 6 }),
  elu: unary('elu'),
  selu: unary('selu'),
  silu: unary('silu'),
  swish: unary('silu'),
  softplus: unary('softplus'),
  softsign: unary('softsign'),
  identity: (x) => ({ outputs: [input(x)] }),
  stop_gradient: (x) => ({ outputs: [input(x)] }),
  gelu: (x) => ({
    outputs: [x.s.node(constantOf(argument(x, 1, 'approximate')) === true ? 'geluTanh' : 'gelu', [input(x)])],
  }),
  leaky_relu: (x) => ({
    outputs: [
      x.s.node('leakyRelu', [input(x)], {
        alpha: Number(constantOf(argument(x, 1, 'alpha', 'negative_slope')) ?? 0.2),
      }),
    ],
  }),
  softmax: (x) => ({ outputs: [x.s.softmax(input(x), Number(constantOf(argument(x, 1, 'axis')) ?? -1))] }),
  reduce_mean: reduction('mean'),
  mean: reduction('mean'),
  reduce_sum: reduction('sum'),
  sum: reduction('sum'),
  reduce_max: reduction('max'),
  max: reduction('max'),
  reduce_min: reduction('min'),
  min: reduction('min'),
  reduce_prod: reduction('prod'),
  clip_by_value: (x) => ({
    outputs: [
      x.s.node('clamp', [input(x)], {
        low: Number(constantOf(argument(x, 1, 'clip_value_min'))),
        high: Number(constantOf(argument(x, 2, 'clip_value_max'))),
      }),
    ],
  }),
  reshape: (x) => ({
    outputs: [x.s.reshape(input(x), listOfNumbers(x, argument(x, 1, 'shape', 'newshape'), 'shape'))],
  }),
  transpose: (x) => {
    const given = argument(x, 1, 'perm', 'axes')
    const rank = shapeOf(x, input(x)).length
    const perm =
      constantOf(given) == null
        ? Array.from({ length: rank }, (_, i) => rank - 1 - i)
        : listOfNumbers(x, given, 'perm')
    return { outputs: [x.s.transpose(input(x), perm)] }
  },
  expand_dims: (x) => {
    const axis = Number(constantOf(argument(x, 1, 'axis')) ?? 0)
    const rank = shapeOf(x, input(x)).length
    return { outputs: [x.s.unsqueeze(input(x), [axis < 0 ? axis + rank + 1 : axis])] }
  },
  squeeze: (x) => ({ outputs: [x.s.squeeze(input(x), axesOf(x, 1))] }),
  concat: (x) => ({ outputs: [x.s.concat(x.inputs, Number(constantOf(argument(x, 1, 'axis')) ?? 0))] }),
  concatenate: (x) => ({ outputs: [x.s.concat(x.inputs, Number(constantOf(argument(x, 1, 'axis')) ?? 0))] }),
  stack: (x) => {
    const axis = Number(constantOf(argument(x, 1, 'axis')) ?? 0)
    const rank = shapeOf(x, input(x)).length + 1
    const at = axis < 0 ? axis + rank : axis
    return {
      outputs: [
        x.s.concat(
          x.inputs.map((v) => x.s.unsqueeze(v, [at], 'unsqueeze')),
          at,
        ),
      ],
    }
  },
  getitem: getItem,
  get_item: getItem,
  cast: castTo,
}

/** `TFOpLambda` names its function in its settings. */
const tfOpLambda: Layer = (x) => {
  const name = x.config.string('function')
  const f = operatorNamed(name)
  if (!f) unsupported(x, name)
  return f(x)
}

export function operatorNamed(name: string): Layer | undefined {
  const last = name.split('.').at(-1)!
  return Object.hasOwn(operatorTable, last) ? operatorTable[last] : undefined
}

export const operatorLayers: Readonly<Record<string, Layer>> = {
  TFOpLambda: tfOpLambda,
  SlicingOpLambda: tfOpLambda,
}
