// TensorFlow's elementwise operators.

import type { Dim, ValueId } from '../../ir/types.ts'
import { type Handler, input, type NodeCall, tensorItem } from './scope.ts'

const unary =
  (op: string, attributes: Record<string, number> = {}): Handler =>
  (x) => [tensorItem(x.s.node(op, [input(x, 0)], attributes))]

const binary =
  (op: string): Handler =>
  (x) => [tensorItem(x.s.node(op, [input(x, 0), input(x, 1)]))]

/** Integer arithmetic that shapes go through: followed where both sides are known. */
const followed =
  (op: string, f: (a: number, b: number) => number): Handler =>
  (x) => {
    const v = x.s.node(op, [input(x, 0), input(x, 1)])
    const [a, b] = [x.scope.follow(input(x, 0)), x.scope.follow(input(x, 1))]
    if (a && b && (a.length === b.length || a.length === 1 || b.length === 1)) {
      const n = Math.max(a.length, b.length)
      const at = (d: readonly Dim[], i: number): Dim => d[d.length === 1 ? 0 : i]!
      x.scope.noteFollowed(
        v,
        Array.from({ length: n }, (_, i) => {
          const [p, q] = [at(a, i), at(b, i)]
          return typeof p === 'number' && typeof q === 'number' ? f(p, q) : null
        }),
      )
    }
    return [tensorItem(v)]
  }

/** A bias of one entry a channel, or a whole tensor that broadcasts (TF.js fuses such sums into _FusedMatMul). */
export function addBias(x: NodeCall, v: ValueId, bias: ValueId, suffix: string): ValueId {
  const rank = x.s.rank(v)
  const first = x.a.string('data_format', 'NHWC').startsWith('NC') && rank > 2 && x.s.rank(bias) === 1
  const b = first
    ? x.s.unsqueeze(
        bias,
        Array.from({ length: rank - 2 }, (_, i) => i + 1),
        'bias',
      )
    : bias
  return x.s.node('add', [v, b], {}, suffix)
}

/** 0 where the divisor is 0. */
const divNoNan: Handler = (x) => {
  const [a, b] = [input(x, 0), input(x, 1)]
  const zero = x.s.node('equal', [b, x.s.like(b, 0)], {}, 'zero')
  const quotient = x.s.node('div', [a, b], {}, 'quotient')
  return [tensorItem(x.s.node('where', [zero, x.s.like(a, 0), quotient]))]
}

/** Version 1's condition may be a vector that picks rows. */
const select: Handler = (x) => {
  let condition = input(x, 0)
  const rank = x.s.rank(input(x, 1))
  if (x.def.op === 'Select' && x.s.rank(condition) === 1 && rank > 1)
    condition = x.s.unsqueeze(
      condition,
      Array.from({ length: rank - 1 }, (_, i) => i + 1),
      'rows',
    )
  return [tensorItem(x.s.node('where', [condition, input(x, 1), input(x, 2)]))]
}

export const elementwiseHandlers: Readonly<Record<string, Handler>> = {
  Abs: unary('abs'),
  Acos: unary('acos'),
  Acosh: unary('acosh'),
  Asin: unary('asin'),
  Asinh: unary('asinh'),
  Atan: unary('atan'),
  Atanh: unary('atanh'),
  Ceil: unary('ceil'),
  Cos: unary('cos'),
  Cosh: unary('cosh'),
  Elu: unary('elu'),
  Erf: unary('erf'),
  Exp: unary('exp'),
  Expm1: unary('expm1'),
  Floor: unary('floor'),
  Inv: unary('reciprocal'),
  IsNan: unary('isNaN'),
  IsInf: unary('isInf'),
  Log: unary('log'),
  Log1p: unary('log1p'),
  LogicalNot: unary('not'),
  Neg: unary('neg'),
  Reciprocal: unary('reciprocal'),
  Relu: unary('relu'),
  Relu6: unary('clamp', { low: 0, high: 6 }),
  Rint: unary('round'),
  Round: unary('round'),
  Rsqrt: unary('rsqrt'),
  Selu: unary('selu'),
  Sigmoid: unary('sigmoid'),
  Sign: unary('sign'),
  Sin: unary('sin'),
  Sinh: unary('sinh'),
  Softplus: unary('softplus'),
  Softsign: unary('softsign'),
  Sqrt: unary('sqrt'),
  Square: unary('square'),
  Tan: unary('tan'),
  Tanh: unary('tanh'),
  LeakyRelu: (x) => [tensorItem(x.s.node('leakyRelu', [input(x, 0)], { alpha: x.a.float('alpha', 0.2) }))],
  Prelu: binary('prelu'),
  ClipByValue: (x) => {
    const lower = x.s.node('max', [input(x, 0), input(x, 1)], {}, 'low')
    return [tensorItem(x.s.node('min', [lower, input(x, 2)]))]
  },
  Add: followed('add', (a, b) => a + b),
  AddV2: followed('add', (a, b) => a + b),
  Sub: followed('sub', (a, b) => a - b),
  Mul: followed('mul', (a, b) => a * b),
  FloorDiv: followed('floorDiv', (a, b) => Math.floor(a / b)),
  Maximum: followed('max', Math.max),
  Minimum: followed('min', Math.min),
  Div: binary('div'),
  RealDiv: binary('div'),
  DivNoNan: divNoNan,
  FloorMod: binary('mod'),
  Mod: binary('rem'),
  Pow: binary('pow'),
  SquaredDifference: binary('squaredDifference'),
  Atan2: binary('atan2'),
  Equal: binary('equal'),
  NotEqual: binary('notEqual'),
  Less: binary('less'),
  LessEqual: binary('lessEqual'),
  Greater: binary('greater'),
  GreaterEqual: binary('greaterEqual'),
  LogicalAnd: binary('and'),
  LogicalOr: binary('or'),
  LogicalXor: binary('xor'),
  BitwiseAnd: binary('bitAnd'),
  BitwiseOr: binary('bitOr'),
  BitwiseXor: binary('bitXor'),
  Invert: unary('bitNot'),
  AddN: (x) => [
    tensorItem(x.items.slice(1).reduce((a, _, i) => x.s.node('add', [a, input(x, i + 1)]), input(x, 0))),
  ],
  BiasAdd: (x) => [tensorItem(addBias(x, input(x, 0), input(x, 1), ''))],
  BiasAddV1: (x) => [tensorItem(addBias(x, input(x, 0), input(x, 1), ''))],
  Select: select,
  SelectV2: select,
}
