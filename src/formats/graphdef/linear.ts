// TensorFlow's convolutions, matrix products and their fused forms.

import { InputError } from '../../core/errors.ts'
import type { Dim, ValueId } from '../../ir/types.ts'
import { paddingOf } from '../padding.ts'
import { permuted } from '../sketch.ts'
import { addBias } from './elementwise.ts'
import { type Handler, input, type NodeCall, tensorItem } from './scope.ts'

export const layoutOf = (x: NodeCall): 'channelsFirst' | 'channelsLast' =>
  x.a.string('data_format', 'NHWC').startsWith('NC') ? 'channelsFirst' : 'channelsLast'

/** The spatial entries of a list with one entry a dimension (strides, dilations, kernel sizes). */
export function spatial(x: NodeCall, list: readonly number[], rank: number): number[] {
  if (list.length === 0) return new Array<number>(rank).fill(1)
  if (list.length === rank) return [...list]
  const out = layoutOf(x) === 'channelsLast' ? list.slice(1, -1) : list.slice(2)
  if (out.length !== rank) throw new InputError(`expected ${rank + 2} entries, got [${list}]`)
  return out
}

export const spatialShape = (x: NodeCall, v: ValueId, rank: number): readonly Dim[] => {
  const shape = x.s.shape(v)
  if (shape?.length !== rank + 2)
    throw new InputError(`expected an input of rank ${rank + 2}, got ${shape?.length ?? 'unknown'}`)
  return layoutOf(x) === 'channelsLast' ? shape.slice(1, -1) : shape.slice(2)
}

/** [begin…, end…] of `padding` for windows over `v`. */
export function pads(
  x: NodeCall,
  size: readonly Dim[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): number[] {
  const padding = x.a.string('padding')
  if (padding !== 'EXPLICIT') {
    return paddingOf(padding.toLowerCase(), size, kernel, strides, dilations, x.def.where)
  }
  const list = x.a.ints('explicit_paddings')
  const pairs = Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i]!, list[2 * i + 1]!])
  const own = layoutOf(x) === 'channelsLast' ? pairs.slice(1, -1) : pairs.slice(2)
  return [...own.map((p) => p[0]!), ...own.map((p) => p[1]!)]
}

/** A filter with its axes reordered and reshaped for the graph: a constant becomes one, once for all its uses. */
function filterOf(
  x: NodeCall,
  v: ValueId,
  permutation: readonly number[],
  shape?: readonly number[],
): ValueId {
  const t = x.s.b.constantOf(v)
  if (t) {
    const moved = permuted(t, permutation)
    return x.s.weight(shape ? { ...moved, shape } : moved, x.s.b.nameOf(v), `${v} ${permutation} ${shape}`)
  }
  const moved = x.s.transpose(v, permutation, 'filter')
  return shape ? x.s.reshape(moved, shape, 'filter/reshape') : moved
}

function filterShape(x: NodeCall, i: number, rank: number): readonly number[] {
  const shape = x.s.shape(input(x, i))
  if (shape?.length !== rank + 2 || !shape.every((d) => typeof d === 'number'))
    throw new InputError(`expected a filter of known shape and rank ${rank + 2}`)
  return shape as number[]
}

const axes = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/** Filter [spatial…, input, output] → [output, input, spatial…]. */
function convolution(x: NodeCall, rank: number, suffix: string): ValueId {
  const v = input(x, 0)
  const shape = filterShape(x, 1, rank)
  const kernel = shape.slice(0, rank)
  const strides = spatial(x, x.a.ints('strides'), rank)
  const dilations = spatial(x, x.a.ints('dilations', []), rank)
  const full = x.s.shape(v)
  const channels = layoutOf(x) === 'channelsLast' ? full?.at(-1) : full?.[1]
  const groups = typeof channels === 'number' ? channels / shape[rank]! : 1
  if (!Number.isInteger(groups) || groups < 1)
    throw new InputError(`a filter for ${shape[rank]} channels over ${channels}`)
  return x.s.node(
    `conv${rank}d`,
    [v, filterOf(x, input(x, 1), [rank + 1, rank, ...axes(rank)])],
    {
      strides,
      dilations,
      pads: pads(x, spatialShape(x, v, rank), kernel, strides, dilations),
      groups,
      layout: layoutOf(x),
    },
    suffix,
  )
}

/** Filter [height, width, channels, multiplier] → [channels · multiplier, 1, height, width]. */
function depthwise(x: NodeCall, suffix: string): ValueId {
  const v = input(x, 0)
  const [h, w, c, m] = filterShape(x, 1, 2) as [number, number, number, number]
  const strides = spatial(x, x.a.ints('strides'), 2)
  const dilations = spatial(x, x.a.ints('dilations', []), 2)
  return x.s.node(
    'conv2d',
    [v, filterOf(x, input(x, 1), [2, 3, 0, 1], [c * m, 1, h, w])],
    {
      strides,
      dilations,
      pads: pads(x, spatialShape(x, v, 2), [h, w], strides, dilations),
      groups: c,
      layout: layoutOf(x),
    },
    suffix,
  )
}

/** The gradient of a convolution: inputs sizes, filter [height, width, output, input], value. */
const backprop: Handler = (x) => {
  const v = input(x, 2)
  const kernel = filterShape(x, 1, 2).slice(0, 2)
  const strides = spatial(x, x.a.ints('strides'), 2)
  const dilations = spatial(x, x.a.ints('dilations', []), 2)
  const sizes = x.scope.follow(input(x, 0))
  const size = sizes && (layoutOf(x) === 'channelsLast' ? sizes.slice(1, -1) : sizes.slice(2))
  const from = spatialShape(x, v, 2)
  const begin: number[] = []
  const end: number[] = []
  const outputPadding: number[] = []
  kernel.forEach((k, i) => {
    const [n, stride] = [from[i], strides[i]!]
    const extent = dilations[i]! * (k - 1) + 1
    const out = size?.[i]
    if (typeof out !== 'number' || typeof n !== 'number')
      throw new InputError('a transposed convolution needs known sizes. Fix the model’s input shape.')
    // The padding that the forward convolution over `out` elements would have had.
    const total =
      x.a.string('padding') === 'VALID'
        ? 0
        : Math.max((Math.ceil(out / stride) - 1) * stride + extent - out, 0)
    begin.push(Math.floor(total / 2))
    const rest = (n - 1) * stride + extent - Math.floor(total / 2) - out
    end.push(Math.max(rest, 0))
    outputPadding.push(Math.max(-rest, 0))
  })
  return [
    tensorItem(
      x.s.node('convTranspose2d', [v, filterOf(x, input(x, 1), [3, 2, 0, 1])], {
        strides,
        dilations,
        pads: [...begin, ...end],
        outputPadding,
        layout: layoutOf(x),
      }),
    ),
  ]
}

/** A value with its last two axes swapped. */
function turned(x: NodeCall, v: ValueId, suffix: string): ValueId {
  const rank = x.s.rank(v)
  const order = [...axes(rank - 2), rank - 1, rank - 2]
  return x.s.b.constantOf(v) ? filterOf(x, v, order) : x.s.transpose(v, order, suffix)
}

function product(x: NodeCall, left: boolean, right: boolean, suffix: string): ValueId {
  const a = left ? turned(x, input(x, 0), 'left') : input(x, 0)
  const b = right ? turned(x, input(x, 1), 'right') : input(x, 1)
  return x.s.node('matMul', [a, b], {}, suffix)
}

/** Applies `fused_ops` in order to a result; their operands follow the first two inputs. */
function fused(x: NodeCall, make: (suffix: string) => ValueId): ValueId {
  const ops = x.a.strings('fused_ops').filter((op) => op !== 'Linear')
  let v = make(ops.length ? 'product' : '')
  let next = 2
  ops.forEach((op, i) => {
    const suffix = i === ops.length - 1 ? '' : op
    if (op === 'BiasAdd') v = addBias(x, v, input(x, next++), suffix)
    else if (op === 'FusedBatchNorm') {
      v = x.s.node(
        'batchNorm',
        [v, input(x, next), input(x, next + 1), input(x, next + 2), input(x, next + 3)],
        { epsilon: x.a.float('epsilon', 1e-4), layout: layoutOf(x) },
        suffix,
      )
      next += 4
    } else if (op === 'Prelu') v = x.s.node('prelu', [v, input(x, next++)], {}, suffix)
    else if (op === 'Relu6') v = x.s.node('clamp', [v], { low: 0, high: 6 }, suffix)
    else if (op === 'LeakyRelu')
      v = x.s.node('leakyRelu', [v], { alpha: x.a.float('leakyrelu_alpha', 0.2) }, suffix)
    else {
      const name = Object.hasOwn(fusedActivations, op) ? fusedActivations[op] : undefined
      if (!name) throw new InputError(`unknown fused operator ${op}`)
      v = x.s.node(name, [v], {}, suffix)
    }
  })
  return v
}
const fusedActivations: Readonly<Record<string, string>> = {
  Relu: 'relu',
  Elu: 'elu',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
  GeluApproximate: 'geluTanh',
  GeluExact: 'gelu',
}

/** Only the inference form: four statistics, one output that anything reads. */
const batchNorm: Handler = (x) => {
  if (x.a.bool('is_training', false)) throw new InputError('batch normalisation in training mode')
  const y = x.s.node(
    'batchNorm',
    [0, 1, 2, 3, 4].map((i) => input(x, i)),
    { epsilon: x.a.float('epsilon', 1e-4), layout: layoutOf(x) },
  )
  return [tensorItem(y), ...x.items.slice(3, 5)]
}

const sized =
  (f: (x: NodeCall) => ValueId): Handler =>
  (x) => [tensorItem(f(x))]

export const linearHandlers: Readonly<Record<string, Handler>> = {
  Conv1D: sized((x) => convolution(x, 1, '')),
  Conv2D: sized((x) => convolution(x, 2, '')),
  Conv3D: sized((x) => convolution(x, 3, '')),
  _FusedConv2D: sized((x) => fused(x, (suffix) => convolution(x, 2, suffix))),
  DepthwiseConv2d: sized((x) => depthwise(x, '')),
  DepthwiseConv2dNative: sized((x) => depthwise(x, '')),
  FusedDepthwiseConv2dNative: sized((x) => fused(x, (suffix) => depthwise(x, suffix))),
  _FusedDepthwiseConv2dNative: sized((x) => fused(x, (suffix) => depthwise(x, suffix))),
  Conv2DBackpropInput: backprop,
  MatMul: sized((x) => product(x, x.a.bool('transpose_a'), x.a.bool('transpose_b'), '')),
  _FusedMatMul: sized((x) =>
    fused(x, (suffix) => product(x, x.a.bool('transpose_a'), x.a.bool('transpose_b'), suffix)),
  ),
  BatchMatMul: sized((x) => product(x, x.a.bool('adj_x'), x.a.bool('adj_y'), '')),
  BatchMatMulV2: sized((x) => product(x, x.a.bool('adj_x'), x.a.bool('adj_y'), '')),
  BatchMatMulV3: sized((x) => product(x, x.a.bool('adj_x'), x.a.bool('adj_y'), '')),
  Einsum: sized((x) =>
    x.s.node(
      'einsum',
      x.items.map((_, i) => input(x, i)),
      { equation: x.a.string('equation') },
    ),
  ),
  FusedBatchNorm: batchNorm,
  FusedBatchNormV2: batchNorm,
  FusedBatchNormV3: batchNorm,
}
