// TensorFlow.js models: model.json (a layers model or a graph model) and its weight shards. Decides which it is and hands the
// topology to the Keras or the GraphDef reader; neither executes anything that a file holds.

import { InputError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import type { Graph } from '../../ir/types.ts'
import { convertGraphDef } from '../graphdef/convert.ts'
import { parseGraphDef } from '../graphdef/graph.ts'
import { type JsonObject, parseJson } from '../json.ts'
import { readKeras } from '../keras/model.ts'
import { kerasWeights } from './names.ts'
import { readWeights } from './weights.ts'

export type TfjsOptions = {
  readonly where: string
  /** The bytes of a shard by its path in the manifest. */
  readonly shard: (path: string) => Uint8Array
  /** Numbers for open dimensions by name (`batch`, `image_1`): 'same' padding with a stride needs sizes while reading. */
  readonly dims?: Readonly<Record<string, number>>
}

/** Paths in a manifest are names beside model.json, never a way out of its folder or to a host. */
function checkedPath(path: string, where: string): string {
  if (
    path === '' ||
    path.startsWith('/') ||
    path.includes('\\') ||
    path.includes('\0') ||
    /^[A-Za-z][A-Za-z0-9+.-]*:/.test(path) ||
    path.split('/').includes('..')
  ) {
    throw new InputError(`${where}: a shard called ${JSON.stringify(path)}, expected a file beside the model`)
  }
  return path
}

/** Reads model.json and its shards into a graph. */
export function readTfjs(modelJson: Uint8Array, options: TfjsOptions): Graph {
  return readTfjsObject(parseJson(modelJson, options.where), options)
}

/** The same for a document that is parsed already. */
export function readTfjsObject(model: JsonObject, options: TfjsOptions): Graph {
  const { where } = options
  if (!model.has('modelTopology')) {
    throw new InputError(
      `${where}: not a TensorFlow.js model, expected the key modelTopology, got ${Object.keys(model.value).slice(0, 6).join(', ') || 'an empty object'}`,
    )
  }
  const topology = model.object('modelTopology')
  const manifest = model.has('weightsManifest') ? model.objects('weightsManifest') : []
  const weights = readWeights(manifest, (path) => options.shard(checkedPath(path, where)))
  if (topology.has('node')) return readGraphModel(topology, model, weights, options)
  // Python's converter wraps the model in `model_config`; tfjs's own `save` doesn't.
  const config = topology.has('model_config') ? topology.object('model_config') : topology
  return readKeras(config, {
    where,
    weights: kerasWeights(weights),
    kerasVersion: topology.string('keras_version', '2'),
    ...(options.dims && { dims: options.dims }),
  })
}

function readGraphModel(
  topology: JsonObject,
  model: JsonObject,
  weights: ReadonlyMap<string, Tensor>,
  { where, dims }: TfjsOptions,
): Graph {
  // Converters before version 2 kept the signature among the user's metadata.
  const metadata = model.has('userDefinedMetadata') ? model.object('userDefinedMetadata') : null
  const holder = model.has('signature') ? model : metadata?.has('signature') ? metadata : null
  const def = parseGraphDef(topology, holder ? holder.object('signature') : null)
  return convertGraphDef(def, { where, name: 'model', constants: weights, ...(dims && { dims }) })
}
