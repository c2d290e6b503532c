// Keras' pooling layers.

import type { ValueId } from '../../ir/types.ts'
import { paddingOf } from '../padding.ts'
import {
  ending,
  input,
  type Layer,
  type LayerCall,
  layoutOf,
  shapeOf,
  spatialOf,
  tuple,
  where,
} from './call.ts'

/** `MaxPooling2D`, `AveragePooling2D` and their kin. Padding counts in neither the maximum nor the average. */
const pool = (kind: 'max' | 'average', rank: number): Layer =>
  ending((x) => {
    const v = input(x)
    const kernel = tuple(x, 'pool_size', rank, 2)
    const strides = x.config.has('strides') ? tuple(x, 'strides', rank) : kernel
    const layout = layoutOf(x)
    const spatial = spatialOf(shapeOf(x, v), layout)
    const padding = x.config.string('padding', 'valid')
    const pads = paddingOf(padding, spatial, kernel, strides, new Array<number>(rank).fill(1), where(x))
    return x.s.pool(kind, v, { kernel, strides, pads, layout })
  })

const spatialAxes = (x: LayerCall, rank: number): number[] =>
  Array.from({ length: rank }, (_, i) => i + (layoutOf(x) === 'channelsLast' ? 1 : 2))

const globalPool = (kind: 'max' | 'mean', rank: number): Layer =>
  ending((x) => {
    const v = input(x)
    const keep = x.config.boolean('keepdims', false)
    const mask = x.masks[0]
    if (kind === 'mean' && rank === 1 && mask != null) return maskedMean(x, v, mask, keep)
    return x.s.reduce(kind, v, spatialAxes(x, rank), keep)
  })

/** The mean over the steps that the mask keeps (GlobalAveragePooling1D). */
function maskedMean(x: LayerCall, v: ValueId, mask: ValueId, keep: boolean): ValueId {
  const { s } = x
  const axis = layoutOf(x) === 'channelsLast' ? 1 : 2
  const weight = s.unsqueeze(s.cast(mask, s.dtype(v), 'mask'), [axis === 1 ? 2 : 1], 'mask')
  const sum = s.reduce('sum', s.node('mul', [v, weight], {}, 'masked'), [axis], keep, 'sum')
  return s.node('div', [sum, s.reduce('sum', weight, [axis], keep, 'count')])
}

export const poolingLayers: Readonly<Record<string, Layer>> = {}
const table = poolingLayers as Record<string, Layer>
for (const rank of [1, 2, 3]) {
  for (const word of ['Pooling', 'Pool']) {
    table[`Max${word}${rank}D`] = pool('max', rank)
    table[`Average${word}${rank}D`] = pool('average', rank)
    table[`GlobalMax${word}${rank}D`] = globalPool('max', rank)
    table[`GlobalAverage${word}${rank}D`] = globalPool('mean', rank)
  }
}
