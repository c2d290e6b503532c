// Keras' normalisations and the layers that only apply an activation.

import { InputError } from '../../core/errors.ts'
import { numbers, type Tensor, zeros } from '../../core/tensor.ts'
import type { ValueId } from '../../ir/types.ts'
import { activate } from './activations.ts'
import { fixed, input, type Layer, type LayerCall, passing, shapeOf, unsupported, where } from './call.ts'

const filled = (n: number, value: number): Tensor => {
  const t = zeros('float32', [n])
  ;(t.data as Float32Array).fill(value)
  return t
}

/** The one axis that `axis` names, not negative. */
function singleAxis(x: LayerCall, rank: number): number {
  const raw = x.config.raw('axis') ?? -1
  const list = Array.isArray(raw) ? raw : [raw]
  if (list.length !== 1) unsupported(x, `normalisation over axes [${list}]`)
  const axis = Number(list[0])
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new InputError(`${where(x)}: axis ${JSON.stringify(raw)} of an input of rank ${rank}`)
  return axis < 0 ? axis + rank : axis
}

const batchNormalization: Layer = passing((x) => {
  const { s, config } = x
  const v = input(x)
  const shape = shapeOf(x, v)
  const axis = singleAxis(x, shape.length)
  const n = fixed(x, shape[axis], 'number of channels')
  const part = (name: string, given: boolean, otherwise: number): ValueId =>
    s.weight(given ? x.weight(name, { shape: [n] }) : filled(n, otherwise), `${x.name}/${name}`)
  // Renormalisation acts in training only; fused, virtual batch and momentum settings don't matter here.
  // The statistics first: their shapes hold the number of channels against the file.
  const [mean, variance] = [part('moving_mean', true, 0), part('moving_variance', true, 1)]
  const inputs = [
    part('gamma', config.boolean('scale', true), 1),
    part('beta', config.boolean('center', true), 0),
    mean,
    variance,
  ]
  const epsilon = config.number('epsilon', 1e-3)
  const rank = shape.length
  if (axis === rank - 1) return s.node('batchNorm', [v, ...inputs], { epsilon, layout: 'channelsLast' })
  if (axis === 1) return s.node('batchNorm', [v, ...inputs], { epsilon, layout: 'channelsFirst' })
  unsupported(x, `batch normalisation over axis ${axis} of ${rank}`)
})

const layerNormalization: Layer = passing((x) => {
  const { s, config } = x
  const v = input(x)
  const shape = shapeOf(x, v)
  const rank = shape.length
  const raw = config.raw('axis') ?? -1
  const axes = (Array.isArray(raw) ? raw : [raw]).map((a) => (Number(a) < 0 ? Number(a) + rank : Number(a)))
  axes.sort((a, b) => a - b)
  if (axes.length === 0 || axes.some((a, i) => a !== rank - axes.length + i))
    unsupported(x, `layer normalisation over axes [${axes}]`)
  if (config.boolean('rms_scaling', false)) unsupported(x, 'rms_scaling')
  const dims = axes.map((a) => fixed(x, shape[a], 'normalised shape'))
  const gamma = config.boolean('scale', true)
    ? s.weight(x.weight('gamma', { shape: dims }), `${x.name}/gamma`)
    : null
  const beta = config.boolean('center', true)
    ? s.weight(x.weight('beta', { shape: dims }), `${x.name}/beta`)
    : null
  return s.node('layerNorm', [v, gamma, beta], {
    axis: axes[0]!,
    epsilon: config.number('epsilon', 1e-3),
  })
})

/** (x − mean) / max(√variance, ε), with statistics from the file's weights or settings; `invert` undoes it. */
const normalization: Layer = passing((x) => {
  const { s } = x
  const v = input(x)
  const statistic = (name: string): Tensor => {
    const raw = x.config.raw(name)
    if (typeof raw === 'number') return filled(1, raw)
    if (Array.isArray(raw)) {
      const flat = (raw as unknown[]).flat(8).map(Number)
      return { dtype: 'float32', shape: [flat.length], data: Float32Array.from(flat) }
    }
    return x.weight(name)
  }
  const mean = statistic('mean')
  const deviation = Float32Array.from(numbers(statistic('variance')), (d) =>
    Math.max(Math.sqrt(Math.fround(d)), 1e-7),
  )
  const m = s.weight({ ...mean, data: Float32Array.from(numbers(mean)) }, `${x.name}/mean`)
  const d = s.weight({ dtype: 'float32', shape: mean.shape, data: deviation }, `${x.name}/deviation`)
  if (x.config.boolean('invert', false)) return s.node('add', [s.node('mul', [v, d], {}, 'scale'), m])
  return s.node('div', [s.node('sub', [v, m], {}, 'center'), d])
})

const rescaling: Layer = passing((x) => {
  const { s, config } = x
  const v = s.dtype(input(x)) === 'float32' ? input(x) : s.cast(input(x), 'float32', 'cast')
  const constantOf = (key: string, absent: number): ValueId => {
    const raw = config.raw(key) ?? absent
    const list = Array.isArray(raw) ? raw.map(Number) : [Number(raw)]
    return s.weight(
      { dtype: 'float32', shape: list.length === 1 ? [] : [list.length], data: Float32Array.from(list) },
      `${x.name}/${key}`,
    )
  }
  return s.node('add', [s.node('mul', [v, constantOf('scale', 1)], {}, 'scale'), constantOf('offset', 0)])
})

const groupNormalization: Layer = passing((x) => {
  const { s, config } = x
  const v = input(x)
  const shape = shapeOf(x, v)
  const axis = singleAxis(x, shape.length)
  if (axis !== shape.length - 1) unsupported(x, `group normalisation over axis ${axis}`)
  const dims = shape.slice(1).map((d) => fixed(x, d, 'input shape'))
  const channels = dims.at(-1)!
  const groups = config.number('groups', 32) === -1 ? channels : config.count('groups', 32, 1)
  if (channels % groups !== 0) throw new InputError(`${where(x)}: ${groups} groups of ${channels} channels`)
  const split = s.reshape(v, [-1, ...dims.slice(0, -1), groups, channels / groups], 'split')
  const last = dims.length + 1
  const axes = [...dims.slice(0, -1).map((_, i) => i + 1), last]
  const centred = s.node('sub', [split, s.reduce('mean', split, axes, true, 'mean')], {}, 'center')
  const variance = s.reduce('mean', s.node('square', [centred], {}, 'square'), axes, true, 'variance')
  const shifted = s.node('add', [variance, s.like(variance, config.number('epsilon', 1e-3))], {}, 'shift')
  const scaled = s.node('mul', [centred, s.node('rsqrt', [shifted], {}, 'rsqrt')], {}, 'normalize')
  let out = s.reshape(scaled, [-1, ...dims], 'join')
  if (config.boolean('scale', true))
    out = s.node(
      'mul',
      [out, s.weight(x.weight('gamma', { shape: [channels] }), `${x.name}/gamma`)],
      {},
      'gamma',
    )
  if (config.boolean('center', true))
    out = s.node(
      'add',
      [out, s.weight(x.weight('beta', { shape: [channels] }), `${x.name}/beta`)],
      {},
      'beta',
    )
  return out
})

/** Layers made of one activation with settings of their own. */
const activation: Layer = passing((x) =>
  activate(x.s, x.config.raw('activation'), input(x), where(x), x.kerasVersion),
)

/** f(x) = max_value where x ≥ max_value, x where x ≥ threshold, else negative_slope · (x − threshold). */
const relu: Layer = passing((x) => {
  const { s, config } = x
  const v = input(x)
  const most = config.has('max_value') ? config.number('max_value') : null
  const slope = config.number('negative_slope', 0)
  const threshold = config.number('threshold', 0)
  if (threshold === 0) {
    if (slope === 0) return most === null ? s.node('relu', [v]) : s.node('clamp', [v], { low: 0, high: most })
    const leaky = s.node('leakyRelu', [v], { alpha: slope })
    return most === null ? leaky : s.node('clamp', [leaky], { high: most }, 'limit')
  }
  const above = s.node('greaterEqual', [v, s.like(v, threshold)], {}, 'above')
  const shifted = s.node('sub', [v, s.like(v, threshold)], {}, 'shift')
  const below = s.node('mul', [shifted, s.like(v, slope)], {}, 'below')
  const out = s.node('where', [above, v, below])
  return most === null ? out : s.node('clamp', [out], { high: most }, 'limit')
})

const alphaOf = (x: LayerCall, key: string, other: string, absent: number): number =>
  x.config.number(key, x.config.number(other, absent))

export const normalizationLayers: Readonly<Record<string, Layer>> = {
  BatchNormalization: batchNormalization,
  BatchNormalizationV1: batchNormalization,
  BatchNormalizationV2: batchNormalization,
  SyncBatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  Normalization: normalization,
  Rescaling: rescaling,
  Activation: activation,
  ReLU: relu,
  LeakyReLU: passing((x) =>
    x.s.node('leakyRelu', [input(x)], { alpha: alphaOf(x, 'negative_slope', 'alpha', 0.3) }),
  ),
  ELU: passing((x) => x.s.node('elu', [input(x)], { alpha: x.config.number('alpha', 1) })),
  ThresholdedReLU: passing((x) =>
    x.s.node('thresholdedRelu', [input(x)], { alpha: x.config.number('theta', 1) }),
  ),
  PReLU: passing((x) => x.s.node('prelu', [input(x), x.s.weight(x.weight('alpha'), `${x.name}/alpha`)])),
  Softmax: passing((x) => {
    const axis = x.config.raw('axis') ?? -1
    if (Array.isArray(axis) && axis.length !== 1) unsupported(x, `softmax over axes [${axis}]`)
    return x.s.softmax(input(x), Number(Array.isArray(axis) ? axis[0] : axis))
  }),
}
