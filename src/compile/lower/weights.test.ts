// What is made of weights before anything runs: bit for bit what the definitions say.

import { expect, test } from 'vitest'
import { rng } from '../../core/rng.ts'
import { productOf, scaledRows, sizeOf, type Tensor } from '../../core/tensor.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import { compile } from '../compile.ts'
import { contentOf } from '../loops.ts'
import { type ConvAlgorithm, defaultSchedule, engines } from '../schedule.ts'
import { packPanels, panelsOf } from './contract.ts'

test.for([
  ['filters one after another', [0, 1, 26], [1, 26], 1],
  ['taps between channels', [1, 9, 63], [9, 7], 1],
  ['filters side by side', [0, 21, 1], [1, 26], 1],
  ['pairs of neighbours', [0, 1, 26], [1, 26], 2],
  ['fours of neighbours', [1, 4, 48], [4, 12], 4],
] as const)('panels hold [depth / pair][columns][pair]: %s', ([, strides, depth, pair]) => {
  const [columns, offset, start] = [21, 3, 5]
  const size = depth[0] * depth[1]
  const data = Float32Array.from({ length: 2000 }, (_, i) => i + 1)
  const p = panelsOf(columns, size, 8, 4)
  expect(p).toMatchObject({ full: 2, tail: 8 })
  const expected = new Float32Array(start + p.size)
  for (let column = 0; column < columns; column++)
    for (let outer = 0; outer < depth[0]; outer++)
      for (let inner = 0; inner < depth[1]; inner++) {
        const k = outer * depth[1] + inner
        const within = Math.floor(k / pair) * 8 * pair + (column % 8) * pair + (k % pair)
        expected[start + Math.floor(column / 8) * 8 * size + within] =
          data[offset + outer * strides[0] + inner * strides[1] + column * strides[2]]!
      }
  const got = new Float32Array(start + p.size)
  packPanels(p, { data, offset, depth, strides, columns, pair }, got, start)
  expect(got).toEqual(expected)
})

/** Lavin and Gray's G for F(2×2, 3×3) and F(4×4, 3×3); for F(2×2, 5×5) the same points with five taps. */
const G = {
  '2 of 3': [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
  '4 of 3': [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]],
  '2 of 5': [[1 / 4, 0, 0, 0, 0], [-1 / 6, -1 / 6, -1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6, 1 / 3, 2 / 3], [1 / 24, -1 / 12, 1 / 6, -1 / 3, 2 / 3], [0, 0, 0, 0, 1]],
} as const // biome-ignore format: matrices

/** What a convolution of a form packs of its weights. */
function packedBy(algorithm: ConvAlgorithm, w: Tensor): ArrayLike<number> {
  const b = new GraphBuilder('g')
  const pads = new Array<number>(4).fill(w.shape[2]! >> 1)
  const x = b.input('x', { kind: 'tensor', dtype: 'float32', shape: [1, w.shape[1]!, 8, 8] })
  b.output(b.node('conv2d', [x, b.constant(w)], { pads }))
  const engine = engines['wasm-safe']
  const program = compile(b.finish(), {
    engine,
    schedule: (_, e) => ({ ...defaultSchedule(e, engine), algorithm, columns: 8 }),
  })
  return contentOf(
    program.buffers.find((buffer) => /^conv2d\.(winograd|packed)$/.test(buffer.name))!,
  ) as Float32Array
}

test.for(['2 of 3', '4 of 3', '2 of 5'] as const)(
  "filters for Winograd's algorithm are G g Gᵀ rounded once, in panels by position: F of %s",
  (form) => {
    const [m, taps] = [Number(form[0]), Number(form.at(-1))]
    const [channels, random] = [20, rng(7)]
    // Few digits: no result lies halfway between two of float32, where the order of the sums would decide.
    const digits = (): number => Math.floor(1024 * random.normal()) / 1024
    const data = Float32Array.from({ length: channels * channels * taps * taps }, digits)
    const w: Tensor = { dtype: 'float32', shape: [channels, channels, taps, taps], data }
    const got = packedBy(m === 2 ? 'winograd2' : 'winograd4', w)
    const g: readonly (readonly number[])[] = G[form]
    const size = channels * 20
    const expected = new Float32Array(g.length ** 2 * size)
    for (let o = 0; o < channels; o++)
      for (let c = 0; c < channels; c++)
        g.forEach((down, i) => {
          g.forEach((across, j) => {
            let sum = 0
            for (let y = 0; y < taps; y++)
              for (let x = 0; x < taps; x++)
                sum += down[y]! * data[((o * channels + c) * taps + y) * taps + x]! * across[x]!
            const panel = Math.floor(o / 8)
            const width = panel === 2 ? 4 : 8
            const at = panel * 8 * channels + c * width + (o % 8)
            expected[(i * g.length + j) * size + at] = sum
          })
        })
    expect(got).toEqual(expected)
  },
)

test.for([
  ['spatialPack', [260, 260, 1, 1]],
  ['spatialPack', [130, 57, 3, 3]],
  ['im2col', [130, 57, 3, 3]],
  ['winograd2', [130, 57, 3, 3]],
  ['winograd4', [130, 57, 3, 3]],
  ['winograd2', [70, 40, 5, 5]],
] as const)('%s packs filters of %j times factors as it packs their product', ([algorithm, shape]) => {
  const random = rng(3)
  const size = sizeOf(shape)
  const of: Tensor = { dtype: 'float32', shape, data: Float32Array.from({ length: size }, random.normal) }
  const product = scaledRows(of, Float64Array.from({ length: shape[0] }, random.normal))
  expect(productOf(product)?.of).toBe(of)
  // A copy has elements like any other.
  const plain = { ...product }
  expect(productOf(plain)).toBeUndefined()
  expect(packedBy(algorithm, product)).toEqual(packedBy(algorithm, plain))
})
