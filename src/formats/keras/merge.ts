// Keras' layers of several inputs. Missing leading axes are added after the batch, as keras' _Merge does.

import { InputError } from '../../core/errors.ts'
import type { ValueId } from '../../ir/types.ts'
import { input, type Layer, type LayerCall, type LayerResult, shapeOf, where } from './call.ts'

/** Inputs of one rank: [batch, a] beside [batch, b, c] becomes [batch, 1, a]. */
function aligned(x: LayerCall): readonly ValueId[] {
  const ranks = x.inputs.map((v) => shapeOf(x, v).length)
  const most = Math.max(...ranks)
  return x.inputs.map((v, i) =>
    ranks[i] === most
      ? v
      : x.s.unsqueeze(
          v,
          Array.from({ length: most - ranks[i]! }, (_, k) => k + 1),
          'align',
        ),
  )
}

/** A step is kept where every input that has a mask keeps it. */
function commonMask(x: LayerCall): ValueId | null {
  const masks = x.masks.filter((m): m is ValueId => m !== null)
  if (masks.length === 0 || masks.length < x.inputs.length) return null
  return masks.reduce((a, b) => (a === b ? a : x.s.node('and', [a, b], {}, 'mask')))
}

const fold =
  (op: string): Layer =>
  (x) => {
    if (x.inputs.length < 1) throw new InputError(`${where(x)}: no inputs`)
    return { outputs: [aligned(x).reduce((a, b) => x.s.node(op, [a, b]))], mask: commonMask(x) }
  }

const average: Layer = (x) => {
  const all = aligned(x)
  const sum = all.reduce((a, b) => x.s.node('add', [a, b], {}, 'sum'))
  return { outputs: [x.s.node('div', [sum, x.s.like(sum, all.length)])], mask: commonMask(x) }
}

const concatenate: Layer = (x): LayerResult => ({
  outputs: [x.s.concat(x.inputs, x.config.number('axis', -1))],
  mask: commonMask(x),
})

/** `Dot`: the sum over one axis of each of two inputs, batch by batch; `normalize` makes it the cosine. */
const dot: Layer = (x) => {
  const axes = x.config.raw('axes')
  const pair = typeof axes === 'number' ? [axes, axes] : (axes as number[])
  const { s } = x
  const sides = [input(x, 0), input(x, 1)].map((v, i) => {
    const rank = shapeOf(x, v).length
    const axis = pair[i]! < 0 ? pair[i]! + rank : pair[i]!
    if (rank > 3 || rank < 2 || !(axis >= 1 && axis < rank))
      throw new InputError(`${where(x)}: axis ${pair[i]} of an input of rank ${rank}`)
    let side = v
    if (x.config.boolean('normalize', false)) {
      const square = s.reduce('sum', s.node('square', [v], {}, 'square'), [axis], true, 'norm')
      const least = s.node('max', [square, s.like(square, 1e-12)], {}, 'norm')
      side = s.node('mul', [v, s.node('rsqrt', [least], {}, 'norm')], {}, 'normalized')
    }
    if (rank === 2) return i === 0 ? s.unsqueeze(side, [1], 'row') : s.unsqueeze(side, [2], 'column')
    // The summed axis goes last on the left and second on the right.
    if (i === 0) return axis === 2 ? side : s.transpose(side, [0, 2, 1], 'left')
    return axis === 1 ? side : s.transpose(side, [0, 2, 1], 'right')
  })
  const product = s.node('matMul', sides)
  const dropped = x.inputs.map((v) => shapeOf(x, v).length === 2)
  const axesOut = [...(dropped[0] ? [1] : []), ...(dropped[1] && !dropped[0] ? [2] : [])]
  return { outputs: [axesOut.length ? s.squeeze(product, axesOut, 'squeeze') : product], mask: null }
}

export const mergeLayers: Readonly<Record<string, Layer>> = {
  Add: fold('add'),
  Subtract: fold('sub'),
  Multiply: fold('mul'),
  Maximum: fold('max'),
  Minimum: fold('min'),
  Average: average,
  Concatenate: concatenate,
  Dot: dot,
}
