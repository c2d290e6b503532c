// Opening a model: detect, read, verify. Formats that only their own runtime can run have no graph here yet.

import { InputError, UnsupportedError } from '../core/errors.ts'
import { digest, digestText } from '../core/hash.ts'
import { parseGraph } from '../ir/text.ts'
import type { Graph } from '../ir/types.ts'
import { verify } from '../ir/verify.ts'
import { detectFormat, type Format, type ModelFiles } from './detect.ts'

export type Model = {
  readonly name: string
  /** The path or zoo name as the user gave it. */
  readonly source: string
  readonly format: Format | 'zoo'
  readonly bytes: number
  readonly digest: string
  readonly graph: Graph
}

/** Formats that have a reader; the others are run by their native target. */
export const readable: ReadonlySet<Format> = new Set(['onnx', 'tflite', 'tfjs', 'text'])

/** Why a format has no graph, and what to do. */
const nativeOnly: Partial<Record<Format, string>> = {
  hdf5: 'run it by its native target (--target tensorflow)',
  keras: 'run it by its native target (--target tensorflow)',
  savedmodel: 'run it by its native target (--target tensorflow)',
  graphdef: 'run it by its native target (--target tensorflow)',
  pytorch: 'export it to ONNX; weights alone hold no graph',
  torchscript: 'run it by its native target (--target torch)',
  pt2: 'run it by its native target (--target torch)',
  safetensors: 'weights alone hold no graph',
  gguf: 'language models have no reader yet',
}

/** A plain relative name inside the model's folder; InputError for anything that leaves it. */
export function safeName(name: string, where: string): string {
  if (
    name === '' ||
    name.startsWith('/') ||
    name.includes('\\') ||
    name.includes('\0') ||
    /^[A-Za-z]:/.test(name) ||
    name.split('/').includes('..')
  ) {
    throw new InputError(`${where}: refers to ${JSON.stringify(name)}, expected a file beside the model`)
  }
  return name
}

/** Reads a model into a verified graph. Readers load on demand. */
export async function openModel(files: ModelFiles): Promise<Model> {
  const format = detectFormat(files)
  const { where } = files
  // What the model is made of: its size and its digest count the weights beside it.
  const parts = new Map<string, Uint8Array>()
  const read = (name: string): Uint8Array => {
    const bytes = parts.get(name) ?? files.read(safeName(name, where))
    if (!bytes) throw new InputError(`${where}: its part ${name} is missing. Put it beside the model.`)
    parts.set(name, bytes)
    return bytes
  }
  let graph: Graph
  let main = files.file
  switch (format) {
    case 'onnx': {
      const { readOnnx } = await import('./onnx/read.ts')
      graph = readOnnx(main!, { where, external: read })
      break
    }
    case 'tflite': {
      const { readTflite } = await import('./tflite/read.ts')
      graph = readTflite(main!, { where })
      break
    }
    case 'tfjs': {
      const { readTfjs } = await import('./tfjs/read.ts')
      main ??= read('model.json')
      graph = readTfjs(main, { where, shard: read })
      break
    }
    case 'text':
      graph = parseGraph(new TextDecoder().decode(main))
      break
    default:
      throw new UnsupportedError(where, [
        { op: `format ${format}`, count: 1, nearest: nativeOnly[format] ?? 'ONNX' },
      ])
  }
  const problems = verify(graph)
  if (problems.length) {
    const shown = problems.slice(0, 5).map((p) => `${p.where}: ${p.what}`)
    throw new InputError(`${where}: the graph contradicts itself (${problems.length}): ${shown.join('; ')}`)
  }
  const name = where.replace(/\/+$/, '').split('/').at(-1)!
  if (files.file) parts.set('', files.file)
  const all = [...parts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part)
  return {
    name,
    source: where,
    format,
    bytes: all.reduce((n, part) => n + part.length, 0),
    digest: all.length === 1 ? digest(all[0]!) : digestText(all.map(digest).join(' ')),
    graph,
  }
}
