// Tensors for tests of compiled code, and how far an answer lies from the wanted one.

import { rng } from '../src/core/rng.ts'
import { type Tensor, tensorOf } from '../src/core/tensor.ts'

/** Makes tensors of normal numbers, zeros but for a share. */
export function normalTensors(seed: number): (shape: readonly number[], density?: number) => Tensor {
  const random = rng(seed)
  return (shape, density = 1) =>
    tensorOf(
      'float32',
      shape,
      Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () =>
        random.next() < density ? random.normal() : 0,
      ),
    )
}

/** The largest difference, as a share of the largest wanted value. */
export function far(got: ArrayLike<unknown>, want: Tensor): number {
  const data = Array.from(want.data as Float32Array)
  return Math.max(...data.map((w, i) => Math.abs(w - Number(got[i])))) / Math.max(...data.map(Math.abs))
}
