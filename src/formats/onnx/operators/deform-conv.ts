// DeformConv: a convolution whose taps each look where an offset says. Written out: every tap samples the image at its own grid,
// the samples become channels, and a convolution of one pixel weighs them.

import { type Tensor, tensorOf } from '../../../core/tensor.ts'
import type { ValueId } from '../../../ir/types.ts'
import { type Call, NotSupported, type Row } from '../call.ts'
import { windowFor } from './windows.ts'

/** (x, y) that each tap of each output pixel looks at without an offset: [1, taps, height, width, 2]. */
function restingPlaces(
  kernel: readonly number[],
  out: readonly number[],
  window: { strides: readonly number[]; dilations: readonly number[]; pads: readonly number[] },
): Tensor {
  const places: number[] = []
  for (let i = 0; i < kernel[0]!; i++) {
    for (let j = 0; j < kernel[1]!; j++) {
      for (let r = 0; r < out[0]!; r++) {
        for (let q = 0; q < out[1]!; q++) {
          places.push(q * window.strides[1]! - window.pads[1]! + j * window.dilations[1]!)
          places.push(r * window.strides[0]! - window.pads[0]! + i * window.dilations[0]!)
        }
      }
    }
  }
  return tensorOf('float32', [1, kernel[0]! * kernel[1]!, out[0]!, out[1]!, 2], places)
}

/** Entries `from` to `to` of an axis. */
const part = (c: Call, x: ValueId, axis: number, from: number, to: number): ValueId =>
  c.mid('slice', [x, c.int64([from]), c.int64([to]), c.int64([axis])])

export const deformConv: Row = (c) => {
  if (c.rank(0) !== 4) throw new NotSupported(`DeformConv of rank ${c.rank(0)}`, 'rank 4')
  const { dtype } = c.type(0)
  if (dtype !== 'float32') throw new NotSupported(`DeformConv of ${dtype}`, 'float32')
  const [channels, height, width] = c.fixed(c.shape(0)!.slice(1), 'an image') as [number, number, number]
  const [filters, perGroup, ...kernel] = c.fixed(c.shape(1) ?? [], 'a filter') as [
    number,
    number,
    number,
    number,
  ]
  const out = c.fixed(c.shape(2)?.slice(2) ?? [], 'the offsets')
  // Positions become shares of the extent, which must not be a single pixel.
  if (height < 2 || width < 2) throw new NotSupported('DeformConv of images of a single row or column')
  const window = windowFor(c, [height, width], kernel)
  const taps = kernel[0] * kernel[1]
  const groups = c.int('offset_group', 1)
  const places = c.const(restingPlaces(kernel, out, window), 'places')
  const scale = c.const(tensorOf('float32', [2], [2 / (width - 1), 2 / (height - 1)]), 'scale')
  const size = channels / groups
  const sampled = Array.from({ length: groups }, (_, g) => {
    const image = groups === 1 ? c.in(0) : part(c, c.in(0), 1, g * size, (g + 1) * size)
    const own = part(c, c.in(2), 1, g * taps * 2, (g + 1) * taps * 2)
    const pairs = c.mid('reshape', [own, c.int64([-1, taps, 2, ...out])])
    const points = c.mid('transpose', [pairs], { permutation: [0, 1, 3, 4, 2] })
    // Offsets stand as (y, x), grids as (x, y).
    const moved = c.mid('add', [c.mid('reverse', [points], { axes: [4] }), places])
    const shares = c.mid('sub', [c.mid('mul', [moved, scale]), c.scalar(dtype, 1)])
    const grid = c.mid('reshape', [shares, c.int64([-1, taps * out[0]!, out[1]!, 2])])
    const seen = c.mid('gridSample', [image, grid], { alignCorners: true })
    const each = c.mid('reshape', [seen, c.int64([-1, size, taps, ...out])])
    if (c.get(4) === null) return each
    const mask = c.mid('reshape', [
      part(c, c.in(4), 1, g * taps, (g + 1) * taps),
      c.int64([-1, 1, taps, ...out]),
    ])
    return c.mid('mul', [each, mask])
  })
  const all = sampled.length === 1 ? sampled[0]! : c.mid('concat', sampled, { axis: 1 })
  const columns = c.mid('reshape', [all, c.int64([-1, channels * taps, ...out])])
  const weights = c.mid('reshape', [c.in(1), c.int64([filters, perGroup * taps, 1, 1])])
  return c.out('conv2d', [columns, weights, c.get(3)], { groups: c.int('group', 1) })
}
