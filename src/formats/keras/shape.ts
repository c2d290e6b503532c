// Keras' layers that move elements: reshaping, padding, cropping, repeating. Element order is the layout's own.

import { InputError } from '../../core/errors.ts'
import type { Dim } from '../../ir/types.ts'
import {
  ending,
  fixed,
  input,
  type Layer,
  type LayerCall,
  layoutOf,
  passing,
  shapeOf,
  tuple,
  unsupported,
  where,
} from './call.ts'

/** Flattening a channels-first activation moves the channels to the end first, so that the order is channels-last's. */
const flatten: Layer = ending((x) => {
  let v = input(x)
  const shape = shapeOf(x, v)
  if (layoutOf(x) === 'channelsFirst' && shape.length > 2)
    v = x.s.transpose(v, [0, ...shape.slice(2).map((_, i) => i + 2), 1], 'transpose')
  const rest = shape.slice(1)
  const count = rest.every((d) => typeof d === 'number')
    ? (rest as number[]).reduce((a, b) => a * b, 1)
    : null
  return x.s.reshape(v, count === null ? [0, -1] : [-1, count])
})

const reshape: Layer = ending((x) => {
  const v = input(x)
  // TF.js writes null for the open dimension, Keras −1.
  const target = x.config.list('target_shape').map((d) => {
    if (d !== null && !Number.isSafeInteger(d))
      throw new InputError(`${where(x)}: target_shape, expected whole numbers, got ${JSON.stringify(d)}`)
    return (d as number | null) ?? -1
  })
  const rest = shapeOf(x, v).slice(1)
  const open = target.indexOf(-1)
  if (open === -1) return x.s.reshape(v, [-1, ...target])
  // −1 stands for what is left; known, it leaves −1 free for the batch.
  if (!rest.every((d) => typeof d === 'number')) return x.s.reshape(v, [0, ...target])
  const size = (rest as number[]).reduce((a, b) => a * b, 1)
  const known = target.reduce((n, d) => (d === -1 ? n : n * d), 1)
  return x.s.reshape(v, [-1, ...target.map((d) => (d === -1 ? size / known : d))])
})

const permute: Layer = ending((x) => x.s.transpose(input(x), [0, ...x.config.integers('dims')]))

/** [begin, end] for each spatial dimension, from a number, a list of numbers or a list of pairs. */
function pairs(x: LayerCall, key: string, rank: number): [number, number][] {
  const v = x.config.raw(key)
  const list = typeof v === 'number' ? new Array<unknown>(rank).fill(v) : v
  // ZeroPadding1D states its only pair as [begin, end].
  const per =
    rank === 1 && Array.isArray(list) && list.length === 2 && !Array.isArray(list[0]) ? [list] : list
  if (!Array.isArray(per) || per.length !== rank)
    throw new InputError(`${where(x)}: ${key}, expected ${rank} entries, got ${JSON.stringify(v)}`)
  return per.map((p) => {
    const [a, b] = Array.isArray(p) ? p : [p, p]
    if (!Number.isSafeInteger(a) || !Number.isSafeInteger(b) || a < 0 || b < 0)
      throw new InputError(`${where(x)}: ${key}, expected whole numbers, got ${JSON.stringify(v)}`)
    return [a, b]
  })
}

const firstSpatial = (x: LayerCall): number => (layoutOf(x) === 'channelsLast' ? 1 : 2)

const zeroPadding = (rank: number): Layer =>
  ending((x) => {
    const v = input(x)
    const n = shapeOf(x, v).length
    const [begin, end] = [new Array<number>(n).fill(0), new Array<number>(n).fill(0)]
    pairs(x, 'padding', rank).forEach(([a, b], i) => {
      begin[i + firstSpatial(x)] = a
      end[i + firstSpatial(x)] = b
    })
    return x.s.pad(v, [...begin, ...end])
  })

const cropping = (rank: number): Layer =>
  ending((x) => {
    let v = input(x)
    pairs(x, 'cropping', rank).forEach(([a, b], i) => {
      if (a || b) v = x.s.slice(v, i + firstSpatial(x), a, b ? -b : null)
    })
    return v
  })

const upSampling = (rank: number): Layer =>
  ending((x) => {
    const v = input(x)
    const size = tuple(x, 'size', rank, 2)
    const method = x.config.string('interpolation', 'nearest')
    if (method !== 'nearest' && method !== 'bilinear') unsupported(x, `interpolation ${method}`)
    // Whole scales: nearest repeats, and bilinear samples at half-pixel centres (tf.image.resize of TensorFlow 2).
    return x.s.resize(
      v,
      { axes: size.map((_, i) => i + firstSpatial(x)), scales: size },
      method === 'nearest'
        ? { mode: 'nearest', coordinates: 'asymmetric', rounding: 'floor' }
        : { mode: 'linear', coordinates: 'halfPixel' },
    )
  })

const repeatVector: Layer = ending((x) => {
  const v = x.s.unsqueeze(input(x), [1], 'unsqueeze')
  return x.s.node('tile', [v, x.s.ints([1, x.config.count('n'), 1])])
})

/** Rows of a table by token; with `mask_zero`, token 0 is padding. */
const embedding: Layer = (x) => {
  const { s } = x
  const v = input(x)
  const table = x.weight('embeddings', { shape: [x.config.count('input_dim'), x.config.count('output_dim')] })
  const ids = s.dtype(v) === 'int32' ? v : s.cast(v, 'int32', 'ids')
  const rows = s.node('gather', [s.weight(table, `${x.name}/embeddings`), ids], { axis: 0 })
  const mask = x.config.boolean('mask_zero', false)
    ? s.node('notEqual', [ids, s.like(ids, 0)], {}, 'mask')
    : null
  return { outputs: [rows], mask }
}

/** Steps whose every feature equals `mask_value` are padding, and become zero. */
const masking: Layer = (x) => {
  const { s } = x
  const v = input(x)
  const differs = s.node('notEqual', [v, s.like(v, x.config.number('mask_value', 0))], {}, 'differs')
  const last = shapeOf(x, v).length - 1
  const any = s.reduce('max', s.cast(differs, s.dtype(v), 'differs'), [last], true, 'any')
  const kept = s.node('mul', [v, any])
  return { outputs: [kept], mask: s.cast(s.squeeze(any, [last], 'any'), 'bool', 'mask') }
}

/** Applies a layer to every step: steps join the batch, and leave it again. */
const timeDistributed: Layer = (x) => {
  const { s } = x
  const v = input(x)
  const shape = shapeOf(x, v)
  const steps = fixed(x, shape[1], 'number of steps')
  const rest = shape.slice(2).map((d) => fixed(x, d, 'input shape'))
  const flat = s.reshape(v, [-1, ...rest], 'join')
  const inner = x.inner(x.config.object('layer'), [flat]).outputs[0]!
  const out = (s.shape(inner) ?? []).slice(1).map((d: Dim) => fixed(x, d, 'output shape'))
  return { outputs: [s.reshape(inner, [-1, steps, ...out], 'split')] }
}

const identity: Layer = (x) => ({ outputs: x.inputs })

export const shapeLayers: Readonly<Record<string, Layer>> = {
  Flatten: flatten,
  Reshape: reshape,
  Permute: permute,
  ZeroPadding1D: zeroPadding(1),
  ZeroPadding2D: zeroPadding(2),
  ZeroPadding3D: zeroPadding(3),
  Cropping1D: cropping(1),
  Cropping2D: cropping(2),
  Cropping3D: cropping(3),
  UpSampling1D: upSampling(1),
  UpSampling2D: upSampling(2),
  UpSampling3D: upSampling(3),
  RepeatVector: repeatVector,
  Embedding: embedding,
  Masking: masking,
  TimeDistributed: passing((x) => timeDistributed(x).outputs[0]!),
  Identity: identity,
  // What acts only in training.
  Dropout: identity,
  SpatialDropout1D: identity,
  SpatialDropout2D: identity,
  SpatialDropout3D: identity,
  GaussianDropout: identity,
  GaussianNoise: identity,
  AlphaDropout: identity,
  ActivityRegularization: identity,
}
