// How the pixels of images fall into tiles of vectors.

import { sizeOf } from '../../core/tensor.ts'
import { call, constant, type Expr } from '../../ir/scalar.ts'
import { divided, plus, type Statement, times } from '../loops.ts'
import { evenTiles } from '../schedule.ts'
import type { View } from '../view.ts'

/** How pixels fall into tiles. Every tile is some vectors at fixed distances from its first element. */
export type Tiling = {
  readonly lanes: number
  readonly tiles: number
  /** Vectors of a tile: the widest. */
  readonly most: number
  /** Code for tile `t`, from where it begins, in the dimensions that it is given; `at`: index in each of them of every vector. */
  write(
    t: Expr,
    body: (begin: readonly Expr[], at: readonly (readonly number[])[]) => Statement[],
  ): Statement[]
}

/** `shape`: of all pixels, as few dimensions as they lie in. `vectors`: wanted in a tile. */
export function tilesOf(shape: readonly number[], vectors: number, most: number): Tiling {
  const rank = shape.length
  const width = shape[rank - 1]!
  let lanes = most
  while (lanes > width && lanes > 1) lanes = lanes > 4 ? lanes / 2 : 1
  const across = Math.ceil(width / lanes)
  // Pieces of a row, or whole rows.
  const along = across >= vectors || rank === 1 ? rank - 1 : rank - 2
  const [units, each] = along === rank - 1 ? [across, vectors] : [shape[along]!, Math.floor(vectors / across)]
  const { tiles, size, count } = evenTiles(units, each)
  const lead = shape.slice(0, along)
  const vectorsOf = (n: number): number[][] => {
    const zeros = lead.map(() => 0)
    // The last vector of a row ends where the row does.
    if (along === rank - 1)
      return Array.from({ length: n }, (_, v) => [...zeros, Math.min(v * lanes, width - lanes)])
    const row = Array.from({ length: across }, (_, v) => Math.min(v * lanes, width - lanes))
    return Array.from({ length: n }, (_, y) => row.map((x) => [...zeros, y, x])).flat()
  }
  return {
    lanes,
    tiles: sizeOf(lead) * tiles,
    most: along === rank - 1 ? size : size * across,
    write(t, body) {
      let [rest, unit] = divided(t, tiles)
      const index: Expr[] = []
      for (const n of [...lead].reverse()) {
        const [q, r] = divided(rest, n)
        index.unshift(r)
        rest = q
      }
      const form = (n: number, first: Expr): Statement[] => {
        const begin =
          along === rank - 1
            ? [...index, call('min', times(first, lanes), constant(Math.max(0, width - n * lanes)))]
            : [...index, first, constant(0)]
        return body(begin, vectorsOf(n))
      }
      if (count === tiles) return form(size, times(unit, size))
      return [
        {
          kind: 'if',
          condition: call('lt', unit, constant(count)),
          body: form(size, times(call('min', unit, constant(count - 1)), size)),
          otherwise: form(
            size - 1,
            plus(
              times(call('sub', call('max', unit, constant(count)), constant(count)), size - 1),
              count * size,
            ),
          ),
        },
      ]
    },
  }
}

/** One tile in the making. */
export type Tile = {
  readonly lanes: number
  /** Its first element, and the distance of every vector from it, in the dimensions of `views`. */
  readonly begin: readonly Expr[]
  readonly at: readonly (readonly number[])[]
  /** What is read and written, along the pixels. */
  readonly views: readonly View[]
}
