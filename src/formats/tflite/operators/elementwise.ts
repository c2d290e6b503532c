// Elementwise operators of real numbers, integers and truth values.

import { tensorOf } from '../../../core/tensor.ts'
import { NotSupported, type Operation, type Row } from '../operation.ts'
import { dtypeOf } from '../tensors.ts'

const unary =
  (op: string): Row =>
  (x) =>
    x.result(op, [x.input(0)])
const binary =
  (op: string): Row =>
  (x) =>
    x.result(op, [x.input(0), x.input(1)])
/** Arithmetic that may fuse an activation. */
const arithmetic =
  (op: string): Row =>
  (x) =>
    x.activated(op, [x.input(0), x.input(1)])

/** SELECT with a condition of rank 1 chooses whole entries of the first dimension. */
const select: Row = (x) => {
  const rank = x.rankOf(1)
  let condition = x.input(0)
  if (x.op === 'SELECT' && x.rankOf(0) === 1 && rank > 1)
    condition = x.node('unsqueeze', [condition], { axes: Array.from({ length: rank - 1 }, (_, i) => i + 1) })
  x.result('where', [condition, x.input(1), x.input(2)])
}

/** PRELU's slopes broadcast against the input from the right. */
const prelu: Row = (x) => x.result('prelu', [x.input(0), x.input(1)])

const zerosLike = (x: Operation): void =>
  x.result('expand', [x.scalar(x.output().dtype!, 0), x.node('shape', [x.input(0)])])

const addN: Row = (x) => {
  const [first, ...rest] = x.inputs.map((_, i) => x.input(i))
  if (first === undefined) return x.fail('no inputs')
  const last = rest.pop()
  if (last === undefined) return x.is(first)
  x.result('add', [rest.reduce((sum, v) => x.node('add', [sum, v]), first), last])
}

const cast: Row = (x) => {
  const to = dtypeOf(x.number('out_data_type')) ?? x.output().dtype!
  // Old converters left the option at its default.
  x.result('cast', [x.input(0)], { to: x.output().dtype ?? to })
}

const bitcast: Row = (x) => x.result('bitCast', [x.input(0)], { to: x.output().dtype! })

const fakeQuantize: Row = (x) => {
  const [min, max] = [x.number('min'), x.number('max')]
  const bits = x.number('num_bits') || 8
  const low = x.boolean('narrow_range') ? 1 : 0
  const high = 2 ** bits - 1
  const f = Math.fround
  const scale = f(f(max - min) / f(high - low))
  const fromMin = f(low - f(min / scale))
  const zero = fromMin < low ? low : fromMin > high ? high : Math.floor(fromMin + 0.5)
  const [nudgedMin, nudgedMax] = [f(f(low - zero) * scale), f(f(high - zero) * scale)]
  const s = (v: number) => x.scalar('float32', v)
  const clamped = x.node('clamp', [x.input(0)], { low: nudgedMin, high: nudgedMax })
  const steps = x.node('mul', [x.node('sub', [clamped, s(nudgedMin)]), s(f(1 / scale))])
  const rounded = x.node('floor', [x.node('add', [steps, s(0.5)])])
  x.result('add', [x.node('mul', [rounded, s(scale)]), s(nudgedMin)])
}

export const elementwiseRows: Readonly<Record<string, Row>> = {
  ADD: arithmetic('add'),
  SUB: arithmetic('sub'),
  MUL: arithmetic('mul'),
  DIV: arithmetic('div'),
  MAXIMUM: binary('max'),
  MINIMUM: binary('min'),
  POW: binary('pow'),
  SQUARED_DIFFERENCE: binary('squaredDifference'),
  FLOOR_DIV: binary('floorDiv'),
  FLOOR_MOD: binary('mod'),
  ATAN2: binary('atan2'),
  ADD_N: addN,
  ABS: unary('abs'),
  NEG: unary('neg'),
  SIGN: unary('sign'),
  CEIL: unary('ceil'),
  FLOOR: unary('floor'),
  ROUND: unary('round'),
  EXP: unary('exp'),
  LOG: unary('log'),
  SQRT: unary('sqrt'),
  RSQRT: unary('rsqrt'),
  SQUARE: unary('square'),
  SIN: unary('sin'),
  COS: unary('cos'),
  TANH: unary('tanh'),
  LOGISTIC: unary('sigmoid'),
  RELU: unary('relu'),
  RELU6: (x) => x.result('clamp', [x.input(0)], { low: 0, high: 6 }),
  RELU_N1_TO_1: (x) => x.result('clamp', [x.input(0)], { low: -1, high: 1 }),
  RELU_0_TO_1: (x) => x.result('clamp', [x.input(0)], { low: 0, high: 1 }),
  LEAKY_RELU: (x) => x.result('leakyRelu', [x.input(0)], { alpha: x.number('alpha') }),
  ELU: unary('elu'),
  PRELU: prelu,
  HARD_SWISH: unary('hardSwish'),
  GELU: (x) => x.result(x.boolean('approximate') ? 'geluTanh' : 'gelu', [x.input(0)]),
  EQUAL: binary('equal'),
  NOT_EQUAL: binary('notEqual'),
  LESS: binary('less'),
  LESS_EQUAL: binary('lessEqual'),
  GREATER: binary('greater'),
  GREATER_EQUAL: binary('greaterEqual'),
  LOGICAL_AND: binary('and'),
  LOGICAL_OR: binary('or'),
  LOGICAL_NOT: unary('not'),
  BITWISE_XOR: binary('bitXor'),
  RIGHT_SHIFT: binary('shiftRight'),
  SELECT: select,
  SELECT_V2: select,
  CAST: cast,
  BITCAST: bitcast,
  ZEROS_LIKE: zerosLike,
  FAKE_QUANT: fakeQuantize,
  DEQUANTIZE: (x) => {
    if (x.tensor(0).dtype === 'float16' || x.tensor(0).dtype === 'bfloat16')
      return x.result('cast', [x.input(0)], { to: x.output().dtype! })
    const q = x.tensor(0).quantization
    if (!q) throw new NotSupported('DEQUANTIZE of a tensor without scales')
    x.result('tfliteDequantize', [x.input(0)], {
      scales: q.scale,
      zeros: q.zeroPoint,
      axis: q.scale.length > 1 ? q.axis : 0,
    })
  },
  RANK: (x) => x.is(x.b.constant(tensorOf('int32', [], [x.rankOf(0)]), `${x.name}:const`)),
}
