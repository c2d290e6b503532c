// Something that runs a model, by what the user calls it: `model.onnx` (the reference), `model.onnx@wasm` (a target),
// `model.tflite@litert` (its native runtime, which takes the file as it is, whether we have a reader or not).

import { InputError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import { detectFormat } from '../formats/detect.ts'
import { filesAt, isThere } from '../formats/files.ts'
import { type Model, readable } from '../formats/open.ts'
import { withOutputs } from '../ir/graph.ts'
import { type Datum, type Graph, isTensor, type Value } from '../ir/types.ts'
import type { Executable, NativeTarget, TargetOptions } from '../targets/target.ts'
import { graphFor, type Subject } from './check.ts'
import { referenceSide, type Side } from './compare.ts'
import { openSource, withDimensions } from './models.ts'
import { nameOf, type Registry, type SubjectOptions, subjectsFor } from './subjects.ts'

export type OpenSide = {
  readonly side: Side
  /** The model; where there is no reader its graph has inputs and outputs only. */
  readonly model: Model
  close(): Promise<void>
}

export type SideOptions = Omit<SubjectOptions, 'names'> & {
  readonly dims?: Readonly<Record<string, number>>
  /** Instead of the one that the name carries. */
  readonly target?: string
  /** The target's options for a graph with its shapes; the subject's own if absent. */
  readonly optionsFor?: (graph: Graph, subject: Subject) => TargetOptions
  /** Inner values to give besides the outputs, by name. */
  readonly values?: readonly string[]
}

/** Opens `MODEL` or `MODEL@TARGET`. */
export async function openSide(
  named: string,
  registry: Registry,
  options: SideOptions = {},
): Promise<OpenSide> {
  const { source, target } =
    options.target === undefined ? splitTarget(named, registry) : { source: named, target: options.target }
  const native = nativeFor(source, target, registry)
  if (native) return openNative(native, source, target, options)
  const model = withDimensions(await openSource(source), options.dims)
  const graph = withValues(model.graph, options.values ?? [])
  if (target === undefined) return { side: referenceSide(model.name, graph), model, close: async () => {} }
  const [subject] = subjectsFor(registry, model, { ...options, names: [target] })
  return targetSide({ ...model, graph }, subject!, options.optionsFor)
}

/** An @ that is part of the path stays there: what follows it must be a target's name. */
function splitTarget(named: string, registry: Registry): { source: string; target: string | undefined } {
  const at = named.lastIndexOf('@')
  if (at < 1 || isThere(named)) return { source: named, target: undefined }
  const target = named.slice(at + 1)
  const known = [...registry.targets, ...registry.nativeTargets].map((t) => t.name)
  if (!known.includes(target.split(':')[0]!))
    throw new InputError(`${named}: no such target ${target}, expected ${known.join(', ')}`)
  return { source: named.slice(0, at), target }
}

/** The native target that is asked for, or the only way to run a format that has no reader. */
function nativeFor(source: string, target: string | undefined, registry: Registry): NativeTarget | undefined {
  const { nativeTargets } = registry
  if (target !== undefined) return nativeTargets.find((n) => n.name === target.split(':')[0])
  if (source.startsWith('zoo:')) return undefined
  const format = detectFormat(filesAt(source))
  return readable.has(format) ? undefined : nativeTargets.find((n) => n.takes(format))
}

/** The graph with inner values as outputs too, by the name of the value or of the node that makes it. */
function withValues(graph: Graph, names: readonly string[]): Graph {
  const ids = names.map((name) => {
    const id = graph.values.findIndex((v) => v.name === name && v.constant === undefined)
    const made = id >= 0 ? id : graph.nodes.find((n) => n.name === name)?.outputs[0]
    if (made === undefined) throw new InputError(`--value ${name}: no such value or node in ${graph.name}`)
    return made
  })
  return withOutputs(graph, ids)
}

/** Compiles for the shapes of each sample that comes; what was compiled is kept. */
function targetSide(model: Model, subject: Subject, optionsFor: SideOptions['optionsFor']): OpenSide {
  const { graph } = model
  const made = new Map<string, Executable>()
  const side: Side = {
    name: `${model.name}@${nameOf(subject)}`,
    graph,
    inputs: graph.inputs.map((v) => graph.values[v]!),
    outputs: graph.outputs.map((v) => graph.values[v]!),
    async run(sample: readonly Tensor[]): Promise<readonly Datum[]> {
      const key = sample.map((t) => t.shape.join('x')).join(',')
      let executable = made.get(key)
      if (!executable) {
        const presence = await subject.target.presence(subject.options)
        if (!presence.present) throw new InputError(`${nameOf(subject)}: not here. ${presence.reason}`)
        const fixed = graphFor(graph, sample)
        const artifact = await subject.target.compile(fixed, optionsFor?.(fixed, subject) ?? subject.options)
        executable = await subject.target.load(artifact)
        made.set(key, executable)
      }
      return executable.run(sample)
    },
  }
  const close = async (): Promise<void> => {
    for (const e of made.values()) await e.dispose()
  }
  return { side, model, close }
}

async function openNative(
  native: NativeTarget,
  source: string,
  target: string | undefined,
  options: SideOptions,
): Promise<OpenSide> {
  const files = filesAt(source)
  const format = detectFormat(files)
  if (!native.takes(format)) throw new InputError(`${source}: ${native.name} runs no ${format} files`)
  const place = options.python === undefined ? {} : { python: options.python }
  const presence = await native.presence(place)
  if (!presence.present) throw new InputError(`${source}: ${native.name}: ${presence.reason}`)
  const wanted = target?.split(':')[1]
  const variant = native.variants.find((v) => v.name === wanted)
  if (wanted !== undefined && !variant)
    throw new InputError(
      `${target}: no such variant, expected ${native.variants.map((v) => v.name).join(', ')}`,
    )
  const values = options.values ?? []
  const executable = await native.load(source, {
    ...variant?.options,
    ...place,
    ...(values.length > 0 && { inner: true }),
    ...(options.trust && { trust: true }),
  })
  const extra = values.map((name) => {
    const found = executable.values.find((v) => v.name === name)
    if (!found) throw new InputError(`--value ${name}: ${native.name} gives no such value`)
    return found
  })
  const inputs: readonly Value[] = executable.inputs
  const outputs: readonly Value[] = [...executable.outputs, ...extra]
  const name = source.replace(/\/+$/, '').split('/').at(-1)!
  const side: Side = {
    name: `${name}@${target ?? native.name}`,
    graph: null,
    inputs,
    outputs,
    async run(sample) {
      if (!sample.every((t) => isTensor(t))) throw new InputError(`${native.name}: takes tensors only`)
      return executable.run(sample, values)
    },
  }
  const graph: Graph = { name, values: inputs, nodes: [], inputs: inputs.map((_, i) => i), outputs: [] }
  const model: Model = { name, source, format, bytes: files.file?.length ?? 0, digest: '', graph }
  return { side, model, close: () => executable.dispose() }
}
