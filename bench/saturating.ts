// A quantised convolution whose sums of two neighbouring products pass 16 bits, where kernels for AVX2 saturate.

import { tensorOf } from '../src/core/tensor.ts'
import { GraphBuilder } from '../src/ir/graph.ts'
import { type Graph, tensorType, type ValueId } from '../src/ir/types.ts'

export const shape = [1, 64, 4, 4]
export const image = tensorOf('float32', shape, new Array(1024).fill(255))

/** 64 channels of 255 under filters of 100 and 127: two neighbouring products make 57,885. */
export function network(): Graph {
  const b = new GraphBuilder('saturation')
  const scalar = (dtype: 'float32' | 'uint8', v: number): ValueId => b.constant(tensorOf(dtype, [], [v]))
  const around = (v: ValueId, scale: number): ValueId => {
    const operands = [scalar('float32', scale), scalar('uint8', 0)]
    return b.node('dequantizeLinear', [b.node('quantizeLinear', [v, ...operands]), ...operands])
  }
  const x = around(b.input('x', tensorType('float32', shape)), 1)
  const filters = Array.from({ length: 32 * 576 }, (_, i) => (i % 2 ? 127 : 100))
  const w = b.node(
    'dequantizeLinear',
    [
      b.constant(tensorOf('int8', [32, 64, 3, 3], filters)),
      b.constant(tensorOf('float32', [32], new Array(32).fill(1))),
      b.constant(tensorOf('int8', [32], new Array(32).fill(0))),
    ],
    { axis: 0 },
  )
  b.output(around(b.node('conv2d', [x, w], { pads: [1, 1, 1, 1] }), 1e5))
  return b.finish()
}

/** The middle of the first filter's results: all taps lie in the image. */
export const middle = (values: ArrayLike<number>): number => values[5]!
