// The sketch of schedules that a kernel may have: which algorithms, tiles, blocks and unrolling are legal for its extent on an engine;
// and the moves of an evolutionary search between them. Seeded, pure.

import {
  type ConvAlgorithm,
  defaultBlock,
  type Engine,
  type Extent,
  type Schedule,
  widths,
} from '../compile/schedule.ts'
import type { Rng } from '../core/rng.ts'

export type Space = {
  /** With whether each is the sparse form. */
  readonly algorithms: readonly (readonly [ConvAlgorithm, sparse: boolean])[]
  readonly rows: readonly number[]
  readonly columns: readonly number[]
  readonly blocks: readonly number[]
  readonly unrolls: readonly number[]
  readonly aheads: readonly boolean[]
  readonly widths: readonly number[]
  /** Vectors of sums in a register tile. */
  readonly most: number
  readonly lanes: number
}

/** Vectors of sums that are worth trying: what fits the registers, and a little beyond, where a compiler spills. */
const mostSums: Readonly<Record<Engine['name'], number>> = {
  'wasm-safe': 24,
  'wasm-fast': 24,
  'c-vnni': 30,
  'c-avx512': 30,
  'c-avx2': 15,
  'c-neon': 30,
  'c-scalar': 32,
}

const powersOfTwo = (most: number): number[] =>
  Array.from({ length: Math.floor(Math.log2(Math.max(1, most))) + 1 }, (_, i) => 2 ** i)

export function spaceOf(x: Extent, engine: Engine): Space {
  const dense: ConvAlgorithm[] = ['spatialPack', 'direct', 'im2col']
  if (x.winograd) dense.push('winograd2')
  if (x.winograd?.taps === 3) dense.push('winograd4')
  const sparse: ConvAlgorithm[] = (x.density ?? 1) < 0.9 ? ['direct', 'im2col', 'spatialPack'] : []
  // Integer sums are widened: two vectors for one of operands.
  const most = x.integer ? Math.floor(mostSums[engine.name] / 2) : mostSums[engine.name]
  const vectors = [1, 2, 3, 4].filter((v) => v === 1 || (v - 1) * engine.lanes < x.columns)
  const highest = Math.min(16, Math.max(1, x.rows), most)
  return {
    algorithms: [
      ...dense.map((a): [ConvAlgorithm, boolean] => [a, false]),
      ...sparse.map((a): [ConvAlgorithm, boolean] => [a, true]),
    ],
    rows: Array.from({ length: highest }, (_, i) => i + 1),
    columns: engine.lanes === 1 ? [1, 2, 4] : vectors.map((v) => v * engine.lanes),
    blocks: powersOfTwo(Math.min(4096, x.rows)),
    unrolls: x.depth < 32 ? [1] : [1, 2, 4],
    aheads: x.rows > 1 ? [false, true] : [false],
    widths: x.integer ? [engine.lanes] : widths(engine),
    most,
    lanes: engine.lanes,
  }
}

/** One text a schedule: equal where they are. */
export const scheduleKey = (s: Schedule): string =>
  [s.algorithm, s.sparse ? 'sparse' : 'dense', s.rows, s.columns, s.block, s.unroll, s.lanes, s.ahead].join(
    ' ',
  )

/** What a sparse product doesn't look at is one, so that no schedule has two names. */
function normal(s: Schedule, space: Space): Schedule {
  if (s.sparse) {
    // One or two filters to a block, by whether a dense tile would have an odd or an even number of vectors.
    const columns = s.columns <= 2 ? s.columns : (s.columns / space.lanes) % 2 === 0 ? 2 : 1
    const rows = Math.min(s.rows, 12)
    const block = s.algorithm === 'spatialPack' ? Math.max(s.block, 16) : 1
    return {
      ...s,
      rows: Math.min(rows, Math.floor(space.most / columns)),
      columns,
      block,
      unroll: 1,
      lanes: space.lanes,
      ahead: false,
    }
  }
  // A tile that fits: fewer rows.
  const { columns: all } = space
  const columns = all.includes(s.columns) ? s.columns : all[Math.min(s.columns, all.length) - 1]!
  const vectors = Math.ceil(columns / s.lanes)
  return { ...s, rows: Math.max(1, Math.min(s.rows, Math.floor(space.most / vectors))), columns }
}

const pick = <T>(r: Rng, all: readonly T[]): T => all[r.below(all.length)]!

export function randomSchedule(space: Space, r: Rng): Schedule {
  const [algorithm, sparse] = pick(r, space.algorithms)
  return normal(
    {
      algorithm,
      sparse,
      rows: pick(r, space.rows),
      columns: pick(r, space.columns),
      block: pick(r, space.blocks),
      unroll: pick(r, space.unrolls),
      lanes: pick(r, space.widths),
      ahead: pick(r, space.aheads),
    },
    space,
  )
}

/** The nearest entry of a list, moved by a step or two. */
function near(r: Rng, all: readonly number[], value: number): number {
  let at = 0
  all.forEach((v, i) => {
    if (Math.abs(v - value) < Math.abs(all[at]! - value)) at = i
  })
  const step = (1 + r.below(2)) * (r.next() < 0.5 ? -1 : 1)
  return all[Math.min(all.length - 1, Math.max(0, at + step))]!
}

/** One choice changed: mostly to a neighbour. */
export function mutate(s: Schedule, space: Space, r: Rng): Schedule {
  const choice = r.below(12)
  if (choice < 2) {
    const [algorithm, sparse] = pick(r, space.algorithms)
    return normal({ ...s, algorithm, sparse }, space)
  }
  if (choice < 5) return normal({ ...s, rows: near(r, space.rows, s.rows) }, space)
  if (choice < 7) return normal({ ...s, columns: near(r, space.columns, s.columns) }, space)
  if (choice < 9) return normal({ ...s, block: near(r, space.blocks, s.block) }, space)
  if (choice < 10) return normal({ ...s, unroll: near(r, space.unrolls, s.unroll) }, space)
  if (choice < 11) return normal({ ...s, ahead: pick(r, space.aheads) }, space)
  return normal({ ...s, lanes: pick(r, space.widths) }, space)
}

/** Each choice from one of two parents; the algorithm and its sparsity stay together. */
export function crossover(a: Schedule, b: Schedule, space: Space, r: Rng): Schedule {
  const from = (): Schedule => (r.next() < 0.5 ? a : b)
  const { algorithm, sparse } = from()
  return normal(
    {
      algorithm,
      sparse,
      rows: from().rows,
      columns: from().columns,
      block: from().block,
      unroll: from().unroll,
      lanes: from().lanes,
      ahead: from().ahead,
    },
    space,
  )
}

/** The default's neighbours in algorithm: each algorithm with the default's tile. */
export function firstSchedules(start: Schedule, space: Space, x: Extent): Schedule[] {
  const { rows, columns, lanes } = space
  const dense = start.sparse ? { rows: rows.at(-1)!, columns: columns[Math.min(1, columns.length - 1)]! } : {}
  const sparse = start.sparse ? {} : { rows: lanes >= 16 ? 4 : 8, columns: 1, block: 4096 }
  return space.algorithms.map(([algorithm, isSparse]) => {
    const s = { ...start, algorithm, sparse: isSparse, ...(isSparse ? sparse : dense) }
    const same = isSparse || algorithm === start.algorithm
    return normal(same ? s : { ...s, block: defaultBlock(x, algorithm, s.rows) }, space)
  })
}
