// A model by what the user calls it: a path, or `zoo:NAME`.

import { InputError } from '../core/errors.ts'
import { filesAt } from '../formats/files.ts'
import { type Model, openModel } from '../formats/open.ts'
import { costOf, type Described, describeType } from '../ir/inspect.ts'
import { keepQuantised, specialize } from '../ir/specialize.ts'
import { type Graph, isStatic } from '../ir/types.ts'

/** Opens a path or a zoo name. Throws InputError for what isn't there, UnsupportedError with all that has no reader. */
export async function openSource(source: string): Promise<Model> {
  if (!source.startsWith('zoo:')) return openModel(filesAt(source))
  const { openZoo } = await import('../zoo/zoo.ts')
  return openZoo(source.slice('zoo:'.length))
}

/** The model with sizes for its named dimensions; unchanged where none are given. */
export const withDimensions = (model: Model, dims: Readonly<Record<string, number>> | undefined): Model =>
  dims && Object.keys(dims).length > 0
    ? { ...model, graph: specialize(model.graph, { dims, keep: keepQuantised }) }
    : model

/** The document of `inspect`. */
export type Inspection = {
  readonly format: string
  readonly inputs: readonly Described[]
  readonly outputs: readonly Described[]
  readonly nodes: number
  readonly ops: Readonly<Record<string, number>>
  readonly parameters: number
  /** Of the weights, as stored. */
  readonly bytes: number
  /** Of the file. */
  readonly fileBytes: number
  readonly digest: string
  /** Of one run, with every open dimension at 1; null where the graph can't be that small. */
  readonly macs: number | null
  readonly unsupported: readonly { readonly op: string; readonly count: number }[]
}

/** What a model is: the library function behind `strata inspect`. */
export function inspectModel(model: Model): Inspection {
  const { graph } = model
  const cost = costOf(graph)
  return {
    format: model.format,
    inputs: graph.inputs.map((v) => describeType(graph.values[v]!)),
    outputs: graph.outputs.map((v) => describeType(graph.values[v]!)),
    ...cost,
    macs: isOpen(graph) ? macsAtOne(graph) : cost.macs,
    fileBytes: model.bytes,
    digest: model.digest,
    unsupported: [],
  }
}

const isOpen = (graph: Graph): boolean =>
  graph.inputs.some((v) => {
    const { type } = graph.values[v]!
    return type.kind === 'tensor' && !isStatic(type.shape)
  })

function macsAtOne(graph: Graph): number | null {
  try {
    return costOf(specialize(graph, { open: 1 })).macs
  } catch (e) {
    if (e instanceof InputError) return null
    throw e
  }
}
