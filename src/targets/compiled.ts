// A compiled model as one file: what a process needs to run it, and nothing of the compiler or of the model's own format. Weights are
// read straight to where the code wants them. A file that is damaged, foreign or of another version is refused before any of it runs.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { InputError } from '../core/errors.ts'
import { readHead, type Source, wholeOf, withHead } from '../core/source.ts'
import type { Graph, Value, ValueId } from '../ir/types.ts'
import { packageVersion, writeWhole } from './cache.ts'
import type { Artifact, Executable, TargetOptions } from './target.ts'

const magic = 0x4d525453 // STRM

/** How each target's pieces are opened: modules that import no compiler. */
const openers: Readonly<
  Record<string, () => Promise<(graph: Graph, options: TargetOptions, source: Source) => Promise<Executable>>>
> = {
  wasm: async () => (await import('./wasm.ts')).openImage,
  c: async () => (await import('./c.ts')).openModule,
}

type About = {
  /** Of this package: what one version wrote is for that version. */
  readonly version: string
  readonly target: string
  readonly options: TargetOptions
  readonly name: string
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  /** Of the piece that follows, and its CRC-32. */
  readonly bytes: number
  readonly check: number
}
/** `check` is the CRC-32 of `about` as JSON. */
type Head = { readonly check: number; readonly about: About }

export type CompiledModel = Executable & {
  readonly name: string
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
}

const described = (graph: Graph, ids: readonly ValueId[]): Value[] =>
  ids.map((v) => {
    const { name, type, quantization } = graph.values[v]!
    return { name, type, ...(quantization && { quantization }) }
  })

/**
 * Writes what `wasm` or `c` compiled, for `openCompiled`; whole or not at all. Throws InputError where the shapes are open, for such
 * models are compiled when inputs come, and where the file can't be written.
 */
export function saveCompiled(path: string, { graph, target, options, piece }: Artifact): void {
  if (!piece || !Object.hasOwn(openers, target)) {
    const why = Object.hasOwn(openers, target)
      ? 'its shapes are open. Give sizes'
      : `${target} compiles nothing that can be kept`
    throw new InputError(`${path}: ${graph.name} can't be saved compiled: ${why}.`)
  }
  const bytes = wholeOf(piece)
  const about: About = {
    version: packageVersion(),
    target,
    options,
    name: graph.name,
    inputs: described(graph, graph.inputs),
    outputs: described(graph, graph.outputs),
    bytes: bytes.length,
    check: crc32(bytes),
  }
  const head: Head = { check: crc32(JSON.stringify(about)), about }
  try {
    writeWhole(path, 0o666, withHead(magic, head), bytes)
  } catch (e) {
    throw new InputError(
      `${path}: can't be written: ${(e as Error).message}. Free some space or choose another place.`,
    )
  }
}

/** The pieces of these are code that runs with all rights of the process; WebAssembly reaches its own memory only. */
const unconfined: ReadonlySet<string> = new Set(['c'])

/**
 * Opens a file that `saveCompiled` wrote. Throws InputError for anything else. `trust`: the file may hold C, which is compiled and run
 * here; without it such a file is refused, for its checksums tell of damage and not of who made it.
 */
export async function openCompiled(
  path: string,
  { trust = false }: { readonly trust?: boolean } = {},
): Promise<CompiledModel> {
  const where = `${path}: a compiled model`
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (e) {
    throw new InputError(`${path}: can't be opened: ${(e as Error).message}`)
  }
  try {
    const source = fileSource(file, path)
    const { check, about } = readHead(source, magic, where) as Head
    if (typeof about !== 'object' || crc32(JSON.stringify(about)) !== check) throw damaged(path)
    if (about.version !== packageVersion())
      throw new InputError(
        `${where}: expected one made by version ${packageVersion()}, got ${about.version}. Compile again.`,
      )
    const open = Object.hasOwn(openers, about.target) ? await openers[about.target]!() : undefined
    if (!open) throw new InputError(`${where} for ${about.target}, which runs no such files. Compile again.`)
    if (unconfined.has(about.target) && !trust)
      throw new InputError(
        `${where} for ${about.target}: holds code that would run unconfined. Pass { trust: true } if you know who made it.`,
      )
    const values = [...about.inputs, ...about.outputs]
    const graph: Graph = {
      name: about.name,
      values,
      nodes: [],
      inputs: about.inputs.map((_, i) => i),
      outputs: about.outputs.map((_, i) => about.inputs.length + i),
    }
    const executable = await open(graph, about.options, source.checked(about.bytes, about.check))
    return { ...executable, name: about.name, inputs: about.inputs, outputs: about.outputs }
  } catch (e) {
    if (e instanceof InputError) throw e
    // Whole by its checksums, and yet no such file: its sizes or its code contradict each other.
    throw new InputError(`${where}: can't be opened: ${(e as Error).message}. Compile again.`)
  } finally {
    closeSync(file)
  }
}

const damaged = (path: string): InputError =>
  new InputError(`${path}: a compiled model that is damaged. Compile again.`)

const chunk = 1 << 20

/** A file's bytes; `checked`: those that follow, held to their count and CRC-32. */
function fileSource(file: number, path: string): Source & { checked(bytes: number, check: number): Source } {
  let left = fstatSync(file).size
  const read = (to: Uint8Array): void => {
    if (to.length > left) throw damaged(path)
    for (let done = 0; done < to.length; ) {
      let n: number
      try {
        n = readSync(file, to, done, to.length - done, null)
      } catch (e) {
        throw new InputError(`${path}: can't be read: ${(e as Error).message}`)
      }
      if (n === 0) throw damaged(path)
      done += n
    }
    left -= to.length
  }
  return {
    read,
    left: () => left,
    checked(bytes, check) {
      if (left !== bytes) throw damaged(path)
      let sum = 0
      return {
        left: () => left,
        read(to) {
          // A piece at a time: what is read is still near when it is summed.
          for (let at = 0; at < to.length; at += chunk) {
            const part = to.subarray(at, at + chunk)
            read(part)
            sum = crc32(part, sum)
          }
        },
        end() {
          if (left !== 0 || sum !== check) throw damaged(path)
        },
      }
    },
  }
}
