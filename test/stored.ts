// Small networks in many formats with the answers that their own runtimes gave (models/formats in the folder that
// STRATA_ASSETS names; its README describes them).

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DType } from '../src/core/dtype.ts'
import { at, type Tensor, tensor } from '../src/core/tensor.ts'
import { readNpz } from '../src/data/npz.ts'

export type StoredModel = {
  readonly network: string
  readonly file: string
  readonly io: string | null
  readonly inputs_file: string
  readonly runtime: string
  readonly inputs: readonly { name: string; shape: (number | null)[]; dtype: string; src?: number }[]
  readonly outputs: readonly { name: string; shape: (number | null)[]; dtype: string; ref?: number }[]
}

const folder = process.env.STRATA_ASSETS && join(process.env.STRATA_ASSETS, 'models', 'formats')

/** Every stored model with answers, or none when STRATA_ASSETS is unset. */
export function storedModels(filter: (m: StoredModel) => boolean = () => true): StoredModel[] {
  if (!folder) return []
  const all = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as StoredModel[]
  return all.filter((m) => m.io && filter(m))
}

export const storedPath = (m: StoredModel): string => join(folder!, m.network, m.file)

const arraysOf = (m: StoredModel, name: string): Map<string, Tensor> =>
  readNpz(readFileSync(join(folder!, m.network, name)), `${m.network}/${name}`)

/** The four rows that the model's runtime was given, in the file's own input order. */
export function storedInputs(m: StoredModel): Tensor[] {
  const arrays = arraysOf(m, m.inputs_file)
  const shared = m.inputs_file.startsWith('inputs-')
  return m.inputs.map((v, k) => arrays.get(`in${shared ? (v.src ?? k) : k}`)!)
}

/** The answers, in the file's own output order: `out` by its own runtime, `blt`, `ref` and `alt` as the README says. */
export function storedAnswers(
  m: StoredModel,
  kind: 'out' | 'blt' | 'ref' | 'alt' = 'out',
): Tensor[] | undefined {
  const arrays = arraysOf(m, m.io!)
  const found = m.outputs.map((_, k) => arrays.get(`${kind}${k}`))
  return found.includes(undefined) ? undefined : (found as Tensor[])
}

/** Rows of the first axis, as views. */
export const row = (t: Tensor, i: number, count = 1): Tensor => {
  const size = t.data.length / t.shape[0]!
  return tensor(
    t.dtype as DType,
    [count, ...t.shape.slice(1)],
    t.data.slice(i * size, (i + count) * size) as Tensor['data'],
  )
}

/** Largest absolute difference; infinite where the shapes differ. */
export function largestDifference(a: Tensor, b: Tensor): number {
  if (a.data.length !== b.data.length) return Infinity
  let largest = 0
  for (let i = 0; i < a.data.length; i++) {
    const d = Math.abs(at(a, i) - at(b, i))
    if (!(d <= largest)) largest = Number.isNaN(d) ? (at(a, i) === at(b, i) ? largest : Infinity) : d
  }
  return largest
}
