// The c target's options, and the head of what it stores of a model.

import type { Amplification } from '../../compile/loops.ts'
import type { ConvAlgorithm, Engine } from '../../compile/schedule.ts'
import { InputError } from '../../core/errors.ts'
import { probeProcessor } from '../processor.ts'
import type { TargetOptions } from '../target.ts'

export type Vector = 'vnni' | 'avx512' | 'avx2' | 'neon' | 'none'
const algorithms: readonly ConvAlgorithm[] = ['direct', 'im2col', 'spatialPack', 'winograd2', 'winograd4']

/** Whether this processor has the vectors. */
export function hasVector(vector: Vector): boolean {
  const { features, architecture } = probeProcessor()
  const needs = neededBy[vector]
  return vector === 'neon' ? architecture === 'arm64' : needs.every((n) => features?.includes(n))
}
const neededBy: Readonly<Record<Vector, readonly string[]>> = {
  vnni: ['avx512f', 'avx512bw', 'avx512vl', 'avx512_vnni'],
  avx512: ['avx512f', 'avx512bw', 'avx512vl'],
  avx2: ['avx2', 'fma'],
  neon: [],
  none: [],
}

let best: Vector | undefined
/** The widest vectors that this processor has. */
const bestVector = (): Vector =>
  (best ??= (['vnni', 'avx512', 'avx2', 'neon', 'none'] as const).find(hasVector)!)

export const engineOf: Readonly<Record<Vector, Engine['name']>> = {
  vnni: 'c-vnni',
  avx512: 'c-avx512',
  avx2: 'c-avx2',
  neon: 'c-neon',
  none: 'c-scalar',
}
export type COptionsChosen = {
  readonly vector: Vector
  readonly threads: number
  /** Plain JSON (compile/schedule.ts). */
  readonly schedule: string | undefined
}

export function optionsOf(o: TargetOptions): COptionsChosen {
  const vector = o.vector === undefined || o.vector === 'auto' ? bestVector() : o.vector
  if (vector !== 'vnni' && vector !== 'avx512' && vector !== 'avx2' && vector !== 'neon' && vector !== 'none')
    throw new InputError(`c: vector, expected auto, vnni, avx512, avx2, neon or none, got ${vector}`)
  const threads = Number(o.threads ?? 1)
  if (!Number.isInteger(threads) || threads < 1 || threads > 256)
    throw new InputError(`c: threads, expected 1 to 256, got ${o.threads}`)
  const algorithm = algorithms.find((a) => a === o.algorithm)
  if (o.algorithm !== undefined && o.algorithm !== 'auto' && !algorithm)
    throw new InputError(`c: algorithm, expected auto, ${algorithms.join(', ')}, got ${o.algorithm}`)
  if (algorithm && o.schedule != null)
    throw new InputError(
      'c: expected an algorithm or a schedule, got both. Name the algorithm in the schedule.',
    )
  const schedule = algorithm ? JSON.stringify({ '*': { algorithm } }) : o.schedule
  return { vector, threads, schedule: schedule == null ? undefined : String(schedule) }
}

export const magic = 0x43525453 // STRC

/** What is stored: this head, the C files (JSON: name → text), the weights. */
export type Head = {
  readonly vector: Vector
  /** Files that are compiled, side by side, and linked. */
  readonly sources: readonly string[]
  readonly filesBytes: number
  /** Of the files' bytes. */
  readonly filesDigest: string
  readonly arenaBytes: number
  readonly weightBytes: number
  readonly steps: readonly {
    readonly nodes: readonly string[]
    readonly name: string
  }[]
  readonly amplification: Amplification
}
