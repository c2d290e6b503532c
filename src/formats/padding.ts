// Padding as TensorFlow, Keras and TensorFlow Lite write it: by a word, resolved to numbers when a file is read.

import { InputError } from '../core/errors.ts'
import type { Dim } from '../ir/types.ts'

/**
 * Padding as TensorFlow chooses it, [begin…, end…]: 'valid' none; 'same' so that the output has ⌈size / stride⌉ elements,
 * the odd one at the end; 'causal' all at the beginning.
 */
export function paddingOf(
  padding: string,
  spatial: readonly Dim[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
  at: string,
): number[] {
  const begin: number[] = []
  const end: number[] = []
  kernel.forEach((k, i) => {
    const extent = dilations[i]! * (k - 1) + 1
    const size = spatial[i]!
    if (padding === 'valid') {
      begin.push(0)
      end.push(0)
    } else if (padding === 'causal') {
      begin.push(extent - 1)
      end.push(0)
    } else if (padding === 'same') {
      // With stride 1, or a window no larger than a stride that divides nothing away, the size doesn't matter.
      let total = extent - 1
      if (strides[i]! > 1) {
        if (typeof size !== 'number') {
          if (extent > 1)
            throw new InputError(
              `${at}: 'same' padding with stride ${strides[i]} needs a known size, got ${size ?? 'an open dimension'}. Fix the model's input shape.`,
            )
          total = 0
        } else {
          total = Math.max((Math.ceil(size / strides[i]!) - 1) * strides[i]! + extent - size, 0)
        }
      }
      begin.push(Math.floor(total / 2))
      end.push(total - Math.floor(total / 2))
    } else {
      throw new InputError(`${at}: padding, expected valid | same | causal, got ${padding}`)
    }
  })
  return [...begin, ...end]
}
