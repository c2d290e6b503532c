// Keras' attention layers, spelled out as products and a softmax (keras.layers.MultiHeadAttention).

import type { ValueId } from '../../ir/types.ts'
import { type Argument, fixed, input, type Layer, type LayerCall, shapeOf, unsupported } from './call.ts'

const operandOf = (a: Argument | undefined): ValueId | null => (a?.kind === 'value' ? a.value : null)
const constantOf = (a: Argument | undefined): unknown => (a?.kind === 'constant' ? a.value : undefined)
const maskOf = (a: Argument | undefined): ValueId | null => (a?.kind === 'value' ? a.mask : null)

/** Most steps that a causal mask is drawn for: it has the square of them. */
const MAX_CAUSAL = 8192

/** What Keras adds to the score of a masked pair. */
const MASKED = -1e9

/**
 * query, value and key are projected to heads, softmax(q · kᵀ / √size) weighs the values, and one more projection joins the
 * heads. The weights are [features, heads, size] each and [heads, size, features] for the last.
 */
const multiHeadAttention: Layer = (x) => {
  const { s, config } = x
  const heads = config.count('num_heads', undefined, 1)
  const keySize = config.count('key_dim', undefined, 1)
  const valueSize = config.has('value_dim') ? config.count('value_dim', undefined, 1) : keySize
  const bias = config.boolean('use_bias', true)
  if (config.has('attention_axes') && String(config.raw('attention_axes')) !== '1')
    unsupported(x, `attention over axes ${JSON.stringify(config.raw('attention_axes'))}`)
  const argument = (position: number, name: string): Argument | undefined =>
    x.rest[position] ?? x.named.get(name)
  const query = input(x)
  const value = operandOf(argument(0, 'value')) ?? x.inputs[1] ?? query
  const key = operandOf(argument(1, 'key')) ?? x.inputs[2] ?? value

  const project = (v: ValueId, part: string, size: number): ValueId => {
    const shape = shapeOf(x, v)
    if (shape.length !== 3) unsupported(x, `attention over an input of rank ${shape.length}`)
    const features = fixed(x, shape[2], 'features')
    const w = x.weight(`${part}/kernel`, { shape: [features, heads, size] })
    const flat = s.weight({ ...w, shape: [features, heads * size] }, `${x.name}/${part}/kernel`, w)
    let out = s.node('matMul', [v, flat], {}, part)
    if (bias) {
      const b = x.weight(`${part}/bias`, { shape: [heads, size] })
      out = s.node(
        'add',
        [out, s.weight({ ...b, shape: [heads * size] }, `${x.name}/${part}/bias`, b)],
        {},
        `${part}/bias`,
      )
    }
    const split = s.reshape(out, [0, -1, heads, size], `${part}/heads`)
    return s.transpose(split, [0, 2, 1, 3], `${part}/transpose`)
  }

  const q = project(query, 'query', keySize)
  const k = project(key, 'key', keySize)
  const v = project(value, 'value', valueSize)
  const scaled = s.node('mul', [q, s.like(q, 1 / Math.sqrt(keySize))], {}, 'scale')
  let scores = s.node('matMul', [scaled, s.transpose(k, [0, 1, 3, 2], 'key/columns')], {}, 'scores')
  const mask = combinedMask(x, argument)
  if (mask !== null) {
    const float = s.cast(mask, s.dtype(scores), 'mask')
    const off = s.node(
      'mul',
      [s.node('sub', [s.like(float, 1), float], {}, 'masked'), s.like(float, MASKED)],
      {},
      'masked',
    )
    scores = s.node('add', [scores, off], {}, 'masked')
  }
  const weights = s.softmax(scores, -1, 'softmax')
  const mixed = s.transpose(s.node('matMul', [weights, v], {}, 'mix'), [0, 2, 1, 3], 'join/transpose')
  const joined = s.reshape(mixed, [0, -1, heads * valueSize], 'join')
  const w = x.weight('attention_output/kernel', { shape: [heads, valueSize, null] })
  const features = w.shape[2]!
  const flat = s.weight(
    { ...w, shape: [heads * valueSize, features] },
    `${x.name}/attention_output/kernel`,
    w,
  )
  let out = s.node('matMul', [joined, flat])
  if (bias) {
    const b = s.weight(
      x.weight('attention_output/bias', { shape: [features] }),
      `${x.name}/attention_output/bias`,
    )
    out = s.node('add', [out, b], {}, 'bias')
  }
  const both = constantOf(x.named.get('return_attention_scores')) === true
  return { outputs: both ? [out, weights] : [out] }
}

/** All masks that apply, broadcast to [batch, heads, query, key]; null where there is none. */
function combinedMask(
  x: LayerCall,
  argument: (position: number, name: string) => Argument | undefined,
): ValueId | null {
  const { s } = x
  const masks: ValueId[] = []
  const add = (m: ValueId | null, axes: readonly number[], name: string): void => {
    if (m !== null) masks.push(s.unsqueeze(m, axes, name))
  }
  add(x.masks[0] ?? null, [1, 3], 'mask/query')
  add(maskOf(argument(0, 'value')), [1, 2], 'mask/value')
  add(maskOf(argument(1, 'key')), [1, 2], 'mask/key')
  const given = operandOf(argument(2, 'attention_mask'))
  if (given !== null) {
    const rank = shapeOf(x, given).length
    add(
      s.dtype(given) === 'bool' ? given : s.cast(given, 'bool', 'mask'),
      rank === 3 ? [1] : [],
      'mask/given',
    )
  }
  if (constantOf(x.named.get('use_causal_mask')) === true) {
    const steps = fixed(x, shapeOf(x, input(x))[1], 'number of steps')
    if (steps > MAX_CAUSAL) unsupported(x, `a causal mask over ${steps} steps`)
    const data = Uint8Array.from({ length: steps * steps }, (_, i) =>
      i % steps <= Math.floor(i / steps) ? 1 : 0,
    )
    masks.push(s.weight({ dtype: 'bool', shape: [1, 1, steps, steps], data }, `${x.name}/causal`))
  }
  return masks.length ? masks.reduce((a, b) => s.node('and', [a, b], {}, 'mask')) : null
}

/** `Attention` (dot product) over [batch, steps, features]: query, value and optionally key. */
const attention: Layer = (x) => {
  const { s, config } = x
  if (config.string('score_mode', 'dot') !== 'dot') unsupported(x, 'score_mode other than dot')
  const q = input(x)
  const v = input(x, 1)
  const k = x.inputs[2] ?? v
  let scores = s.node('matMul', [q, s.transpose(k, [0, 2, 1], 'columns')], {}, 'scores')
  if (config.boolean('use_scale', false)) {
    scores = s.node('mul', [scores, s.weight(x.weight('scale'), `${x.name}/scale`)], {}, 'scale')
  }
  if (x.masks[1] != null) {
    const float = s.cast(s.unsqueeze(x.masks[1], [1], 'mask'), s.dtype(scores), 'mask')
    const off = s.node(
      'mul',
      [s.node('sub', [s.like(float, 1), float], {}, 'masked'), s.like(float, MASKED)],
      {},
      'masked',
    )
    scores = s.node('add', [scores, off], {}, 'masked')
  }
  return { outputs: [s.node('matMul', [s.softmax(scores, -1, 'softmax'), v])], mask: x.masks[0] ?? null }
}

export const attentionLayers: Readonly<Record<string, Layer>> = {
  MultiHeadAttention: multiHeadAttention,
  Attention: attention,
}
