// The pretrained networks in the package `nsfwjs`: TensorFlow.js models whose topology and shards are bundles of JavaScript
// that export data. They are read as text; nothing of the package is run.

import { InputError } from '../core/errors.ts'
import { digest } from '../core/hash.ts'
import { JsonObject } from '../formats/json.ts'
import { readTfjsObject } from '../formats/tfjs/read.ts'
import type { Graph } from '../ir/types.ts'
import { exportedLiteral } from './literal.ts'

/** Labels of all three networks, in the order of their outputs. */
export const nsfwLabels = ['Drawing', 'Hentai', 'Neutral', 'Porn', 'Sexy'] as const

/** Reads a folder of the package. `read` gives the text of a file in it. */
export function readNsfw(
  where: string,
  read: (name: string) => string,
): { graph: Graph; bytes: number; digest: string } {
  const model = new JsonObject(exportedLiteral(read('model.min.js'), `${where}/model.min.js`), where)
  let bytes = 0
  const digests: string[] = []
  const graph = readTfjsObject(model, {
    where,
    shard: (path) => {
      const file = `${path.replace(/\.bin$/, '')}.min.js`
      const base64 = exportedLiteral(read(file), `${where}/${file}`)
      if (typeof base64 !== 'string') throw new InputError(`${where}/${file}: expected one base64 text`)
      const shard = new Uint8Array(Buffer.from(base64, 'base64'))
      bytes += shard.length
      digests.push(digest(shard))
      return shard
    },
  })
  return { graph, bytes, digest: digest(new TextEncoder().encode(digests.join())) }
}
