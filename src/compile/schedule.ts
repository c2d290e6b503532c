// A schedule: every choice of a kernel's code as plain JSON, so that it can be searched, stored and replayed. The defaults here are
// measured: the best tile differs between engines by a factor of three.

import { InputError } from '../core/errors.ts'

/** What a kernel's code is for. `lanes`: float32 values to a vector. */
export type Engine = {
  readonly name: 'wasm-safe' | 'wasm-fast' | 'c-vnni' | 'c-avx512' | 'c-avx2' | 'c-neon' | 'c-scalar'
  readonly lanes: number
  /** Rows and columns of the register tile. */
  readonly tile: readonly [rows: number, columns: number]
  /** The same for integer products, which need a register more for each. */
  readonly integerTile: readonly [rows: number, columns: number]
  /** Reduction steps of integer products in one iteration of the innermost loop, where not 1. */
  readonly integerUnroll?: number
  /** Whether one instruction adds four products of uint8 and int8 to a sum of 32 bits; else pairs of int16 are multiplied. */
  readonly bytes?: boolean
  /** See `Schedule.ahead`. */
  readonly ahead?: boolean
  /** Tile of float products with few rows whose weights come from memory at every run: wide, so that they come in long pieces. */
  readonly streamTile?: readonly [rows: number, columns: number]
  /** Density below which a sparse convolution of many pixels is faster than the dense one (bench/sparse.ts, `break-even`). */
  readonly sparseBelow: number
}

const avx512: Engine = {
  name: 'c-avx512',
  lanes: 16,
  tile: [14, 32],
  integerTile: [10, 32],
  sparseBelow: 0.65,
  ahead: true,
}

export const engines: Readonly<Record<Engine['name'], Engine>> = {
  // V8 spills beyond 16 live vectors; 6×8 keeps 12 sums, 2 columns and a row.
  'wasm-safe': {
    name: 'wasm-safe',
    lanes: 4,
    tile: [6, 8],
    integerTile: [4, 8],
    integerUnroll: 4,
    sparseBelow: 0.65,
    ahead: true,
    streamTile: [2, 16],
  },
  // V8's revectorisation pairs adjacent 128-bit vectors: 6×16 is 12 sums of 256 bits.
  'wasm-fast': {
    name: 'wasm-fast',
    lanes: 8,
    tile: [6, 16],
    integerTile: [5, 16],
    integerUnroll: 2,
    sparseBelow: 0.65,
    streamTile: [2, 32],
  },
  'c-vnni': { ...avx512, name: 'c-vnni', integerTile: [14, 32], bytes: true },
  'c-avx512': avx512,
  'c-avx2': { name: 'c-avx2', lanes: 8, tile: [6, 16], integerTile: [6, 16], sparseBelow: 0.65, ahead: true },
  'c-neon': { name: 'c-neon', lanes: 4, tile: [6, 16], integerTile: [5, 16], sparseBelow: 0.3 },
  'c-scalar': { name: 'c-scalar', lanes: 1, tile: [4, 4], integerTile: [4, 4], sparseBelow: 0.5 },
}

export type ConvAlgorithm = 'direct' | 'im2col' | 'spatialPack' | 'winograd2' | 'winograd4'

/** Of a convolution or matrix product. */
export type Schedule = {
  readonly algorithm: ConvAlgorithm
  /** Only the filters' non-zeros are multiplied (`direct`, `im2col` and `spatialPack` alone). */
  readonly sparse: boolean
  /** Rows (pixels) and columns (filters) of the register tile. Sparse: vectors of pixels, and 1 or 2 filters with one pattern of zeros. */
  readonly rows: number
  readonly columns: number
  /**
   * Register tiles that share one pass over the packed weights, or go through Winograd's transforms together: their activations
   * should stay in the second-level cache. Sparse, packed: rows of the left side (channels × taps) that are multiplied at a time: they
   * should stay in the first-level cache.
   */
  readonly block: number
  /** Innermost reduction steps written out in one iteration. */
  readonly unroll: number
  /** Values of float32 to a vector: the engine's, or a half or a quarter of it down to 4. Integers keep the engine's. */
  readonly lanes: number
  /** Weights that come from memory are asked for a panel before they are multiplied; results that will leave the cache, with their tile. */
  readonly ahead: boolean
}

/** The size of what a schedule is for: rows × depth times depth × columns. */
export type Extent = {
  /** Share of non-zeros among a convolution's filters, where they are constants that may be compressed. */
  readonly density?: number | undefined
  /** The same of every two neighbouring filters taken together. */
  readonly pairs?: number
  /** A neighbour wants another memory order than a sparse convolution (neighbours.ts). */
  readonly apart?: boolean
  /** The neighbours are sparse: it is computed as they are, however few its zeros. */
  readonly joined?: boolean
  readonly integer: boolean
  readonly rows: number
  readonly depth: number
  readonly columns: number
  /** Elements of the left side that one more row reads: fewer than the depth where the windows of rows overlap. Default: the depth. */
  readonly fresh?: number
  /** The image, of a convolution that Winograd's algorithm could run: 3×3 or 5×5, stride 1. */
  readonly winograd: { readonly height: number; readonly width: number; readonly taps: number } | undefined
}

/** A quarter of a second-level cache of 1 MB, in float32 values. */
const blockElements = 65536
/** A first-level cache of 32 kB, in float32 values. */
const firstLevelElements = 8192

/** Measured on three engines: 64 tiles, fewer where their left side would leave the second-level cache. */
function blockOf(x: Extent, rows: number): number {
  const fitting = Math.floor((4 * blockElements) / (x.fresh ?? x.depth) / rows)
  return Math.max(1, Math.min(64, fitting))
}

/** The block that suits an algorithm. Of Winograd's: what goes through its transforms together. */
export function defaultBlock(x: Extent, algorithm: ConvAlgorithm, rows: number): number {
  if (algorithm !== 'winograd2' && algorithm !== 'winograd4') return blockOf(x, rows)
  const { positions, channels, weights } = winogradTiles(x, algorithm)
  const fitting = (2 * blockElements) / (positions * (channels + x.columns))
  // Measured: more than 4 MB of weights are read too often by blocks of fewer than 48 tiles.
  const least = weights > 16 * blockElements ? Math.ceil(48 / rows) : 4
  return Math.max(least, Math.floor(fitting / rows))
}

/** What Winograd's algorithm makes of a convolution: one product of tiles × channels × columns for each position of a tile. */
function winogradTiles(
  x: Extent,
  algorithm: 'winograd2' | 'winograd4',
): { positions: number; tiles: number; channels: number; weights: number } {
  // Any image: for a shape that Winograd's algorithm can't run only the sizes of a tile are asked.
  const { height, width, taps } = x.winograd ?? { height: 1, width: x.rows, taps: 3 }
  const m = algorithm === 'winograd2' ? 2 : 4
  const positions = (m + taps - 1) ** 2
  const tiles = (x.rows / (height * width)) * Math.ceil(height / m) * Math.ceil(width / m)
  const channels = x.depth / taps ** 2
  return { positions, tiles, channels, weights: positions * channels * x.columns }
}

/** `sparse`: whether the form is given; by default what is faster. */
export function defaultSchedule(x: Extent, engine: Engine, sparse = isSparse(x, engine)): Schedule {
  if (sparse && x.density !== undefined) return sparseSchedule(x, engine)
  const algorithm = algorithmFor(x, engine)
  const tile = x.integer ? engine.integerTile : engine.tile
  const [rows, columns] = (streams(x, algorithm, tile[0]) ? engine.streamTile : undefined) ?? tile
  const block = defaultBlock(x, algorithm, rows)
  const unroll = x.integer ? (engine.integerUnroll ?? 1) : 1
  const { lanes, ahead = false } = engine
  return { algorithm, sparse: false, rows, columns, block, unroll, lanes, ahead }
}

/** Whether an algorithm reads more than 4 MB of weights for few rows of results, but more than one register tile has. */
function streams(x: Extent, algorithm: ConvAlgorithm, least: number): boolean {
  if (x.integer) return false
  const { tiles: rows, weights } =
    algorithm === 'winograd2' || algorithm === 'winograd4'
      ? winogradTiles(x, algorithm)
      : { tiles: x.rows, weights: x.depth * x.columns }
  return rows > least && rows <= 24 && weights >= 2 ** 20
}

const isSparse = (x: Extent, engine: Engine): boolean =>
  !x.apart &&
  x.density !== undefined &&
  (x.joined || x.density < sparseBelow(x, engine)) &&
  x.rows >= 2 * engine.lanes

/**
 * Sparse products pay off below a density that the engine's vector loads decide. Measured: what comes with each non-zero costs as much
 * as 32 pixels, so that at 7 × 7 they pay off from 0.4 on; against Winograd's fewer products from 0.16 to 0.24 on.
 */
export const sparseBelow = (x: Extent, engine: Engine): number =>
  engine.sparseBelow * (x.rows / (x.rows + 32)) * (x.winograd ? 0.27 : 1)

/**
 * What a pass reads again and again, a tile's row for every channel, should lie in a first-level cache: 64 pixels of a part of the
 * channels. A pass pays off from 20 non-zeros a filter on; where fewer passes have to do, tiles of 48 pixels are faster (measured on 64
 * to 512 channels). Packing costs a load and a store for each input, and saves where each is read several times.
 */
function sparseSchedule(x: Extent, engine: Engine): Schedule {
  const density = x.density ?? 1
  // Two filters share what they load, and multiply by the zeros of each other's pattern.
  const columns = (x.pairs ?? 1) < 1.1 * density ? 2 : 1
  const near = firstLevelElements / 64
  const passes = Math.max(1, Math.min(Math.ceil(x.depth / near), Math.floor((x.depth * density) / 20)))
  const block = Math.ceil(x.depth / passes)
  const rows = Math.min((block > near ? 48 : 64) / engine.lanes, 12 / columns)
  const algorithm = x.columns * density >= 6 ? 'spatialPack' : 'direct'
  return { algorithm, sparse: true, rows, columns, block, unroll: 1, lanes: engine.lanes, ahead: false }
}

/** Estimated cost in multiply-accumulates: products, plus the traffic of transforms and of weights. */
function algorithmFor(x: Extent, engine: Engine): ConvAlgorithm {
  if (!x.winograd) return 'spatialPack'
  const onC = engine.name.startsWith('c-')
  // Measured: a transformed value, written and read again, takes as long as this many products; so does a weight from beyond the
  // second-level cache. Both grow with the width of vectors, because products get faster and memory doesn't.
  const perValue = engine.lanes * (onC ? 0.6 : 1.5)
  const weight = (n: number): number => n * (onC ? engine.lanes * 0.5 : n > 2 ** 22 ? 2 * perValue : perValue)
  let best: [number, ConvAlgorithm] = [x.rows * x.depth * x.columns, 'spatialPack']
  best[0] += weight(x.depth * x.columns)
  const forms =
    x.winograd.taps === 3 && !x.integer ? (['winograd2', 'winograd4'] as const) : (['winograd2'] as const)
  for (const form of forms) {
    const { positions, tiles, channels, weights } = winogradTiles(x, form)
    // Measured: weights that pass by a single register tile come as fast as memory gives them.
    const single = !onC && engine.ahead === true && tiles <= engine.tile[0]
    const rows = onC || single ? tiles : Math.ceil(tiles / engine.tile[0]) * engine.tile[0]
    const products = positions * rows * channels * x.columns
    const transforms = positions * tiles * (channels + x.columns) * perValue
    const cost = products + transforms + (single ? 3.5 * weights : weight(weights))
    if (cost < best[0]) best = [cost, form]
  }
  return best[1]
}

/** Values to a vector that a schedule may choose. */
export const widths = ({ lanes }: Engine): number[] =>
  [lanes, lanes / 2, lanes / 4].filter((n) => n === lanes || n >= 4)

/** Sizes of register tiles that cover n rows evenly: `count` of `size`, the others one smaller. */
export function evenTiles(n: number, most: number): { tiles: number; size: number; count: number } {
  const tiles = Math.ceil(n / most)
  const size = Math.ceil(n / tiles)
  return { tiles, size, count: n - (size - 1) * tiles }
}

const algorithms: readonly ConvAlgorithm[] = ['direct', 'im2col', 'spatialPack', 'winograd2', 'winograd4']
const limits = { rows: 64, columns: 256, block: 2 ** 20, unroll: 16, lanes: 16 } as const

/** Vectors of sums that a register tile may have: far more than any processor has registers, and few enough to compile. */
const mostSums = 256

/** What stands in for an algorithm that a convolution rules out. */
function possible(a: ConvAlgorithm, winograd: Extent['winograd']): ConvAlgorithm {
  if (!a.startsWith('winograd')) return a
  if (!winograd) return 'spatialPack'
  return winograd.taps === 3 ? a : 'winograd2'
}

/**
 * Schedules by node name or by shape (kernels.ts; `*`: all others) from their JSON text: parts of schedules that replace the
 * default's. `kernels` has the shapes of the nodes. Throws an InputError for names and values that no schedule has, and for tiles
 * that no processor could hold. An algorithm that a node's shape rules out falls back to another: `spatialPack`, F(2×2) for 5×5 taps.
 */
export function parseSchedules(
  text: string,
  kernels: ReadonlyMap<string, string> = new Map(),
): (node: string, x: Extent, engine: Engine) => Schedule {
  let all: unknown
  try {
    all = JSON.parse(text)
  } catch {
    throw new InputError(`schedule: expected JSON, got ${text.slice(0, 40)}`)
  }
  const given = new Map<string, Partial<Schedule>>()
  if (typeof all !== 'object' || all === null || Array.isArray(all))
    throw new InputError('schedule: expected an object of schedules by node name')
  for (const [node, s] of Object.entries(all)) {
    if (typeof s !== 'object' || s === null) throw new InputError(`schedule of ${node}: expected an object`)
    for (const [key, v] of Object.entries(s)) {
      if (key === 'algorithm') {
        if (!algorithms.includes(v as ConvAlgorithm))
          throw new InputError(`schedule of ${node}: algorithm, expected ${algorithms.join(' | ')}, got ${v}`)
        continue
      }
      if (key === 'sparse' || key === 'ahead') {
        if (typeof v !== 'boolean')
          throw new InputError(`schedule of ${node}: ${key}, expected true or false, got ${v}`)
        continue
      }
      const limit = Object.hasOwn(limits, key) ? limits[key as keyof typeof limits] : undefined
      if (limit === undefined) throw new InputError(`schedule of ${node}: no such choice as ${key}`)
      if (!(Number.isInteger(v) && (v as number) >= 1 && (v as number) <= limit))
        throw new InputError(`schedule of ${node}: ${key}, expected 1 to ${limit}, got ${v}`)
    }
    given.set(node, s as Partial<Schedule>)
  }
  return (node, x, engine) => {
    const changes = given.get(node) ?? given.get(kernels.get(node) ?? '') ?? given.get('*')
    let s = { ...defaultSchedule(x, engine, changes?.sparse), ...changes }
    if (changes?.algorithm && changes.block === undefined && !s.sparse)
      s = { ...s, block: defaultBlock(x, s.algorithm, s.rows) }
    if (!widths(engine).includes(s.lanes))
      throw new InputError(
        `schedule of ${node}: lanes, expected ${widths(engine).join(' or ')} on ${engine.name}, got ${s.lanes}`,
      )
    if (s.rows * Math.ceil(s.columns / s.lanes) > mostSums)
      throw new InputError(
        `schedule of ${node}: a tile of ${s.rows} × ${s.columns}, expected at most ${mostSums} vectors of ${s.lanes}`,
      )
    const sparse = s.sparse && x.density !== undefined
    const algorithm = possible(s.algorithm, sparse ? undefined : x.winograd)
    return { ...s, sparse, algorithm }
  }
}
