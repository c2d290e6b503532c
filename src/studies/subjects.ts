// Which targets a study runs: by the names that users write, `wasm`, `onnxruntime`, `onnxruntime:all`. A native target, which
// runs the file itself, is made to look like the others for one model.

import { InputError } from '../core/errors.ts'
import type { Model } from '../formats/open.ts'
import { type Datum, type Graph, isTensor, type ValueId } from '../ir/types.ts'
import { type Isolated, type IsolateOptions, isolated } from '../targets/isolate.ts'
import type { NativeExecutable, NativeTarget, Target, TargetOptions } from '../targets/target.ts'
import type { Subject } from './check.ts'

export type Registry = {
  readonly targets: readonly Target[]
  readonly nativeTargets: readonly NativeTarget[]
}

export type SubjectOptions = {
  /** As users write them; all that can be asked for this model where absent. */
  readonly names?: readonly string[]
  /** A native target may run code that the file holds. */
  readonly trust?: boolean
  /** The Python that native targets run in. */
  readonly python?: string
}

/** The targets to run a model on. Names that stand for nothing are an InputError that lists what there is. */
export function subjectsFor(registry: Registry, model: Model, options: SubjectOptions = {}): Subject[] {
  const native = registry.nativeTargets.filter((n) => model.format !== 'zoo' && n.takes(model.format))
  const all = [...registry.targets, ...native.map((n) => asTarget(n, model, options))].flatMap(variantsOf)
  if (options.names === undefined)
    return all.filter((s) => s.target.name !== 'reference' && !s.target.onRequest && !onRequest(s))
  const chosen = options.names.flatMap((name) => {
    const found = all.filter((s) => (s.target.name === name && !onRequest(s)) || nameOf(s) === name)
    if (found.length > 0) return found
    const elsewhere = registry.nativeTargets.find((n) => n.name === name.split(':')[0])
    if (elsewhere)
      throw new InputError(`--target ${name}: it runs files of its own formats, got ${model.format}`)
    throw new InputError(`--target ${name}: no such target, expected ${all.map(nameOf).join(', ')}`)
  })
  return [...new Map(chosen.map((s) => [nameOf(s), s])).values()]
}

/**
 * The same subjects, with runtimes of others in processes of their own, one a runtime, started at once: what crashes, hangs or eats
 * memory there is a line of the report. `end` ends them.
 */
export function apart(
  subjects: readonly Subject[],
  options: IsolateOptions = {},
): { readonly subjects: Subject[]; end(): void } {
  const made = new Map<Target, Isolated>()
  const moved = subjects.map((s) => {
    if (!s.target.foreign) return s
    const target = made.get(s.target) ?? isolated(s.target, options)
    if (!made.has(s.target)) target.begin(s.options)
    made.set(s.target, target)
    return { ...s, target }
  })
  return {
    subjects: moved,
    end: () => {
      for (const t of made.values()) t.end()
    },
  }
}

const variantsOf = (target: Target): Subject[] =>
  target.variants.length === 0
    ? [{ target, variant: '', options: {} }]
    : target.variants.map((v) => ({ target, variant: v.name, options: v.options }))

const onRequest = (s: Subject): boolean =>
  s.target.variants.find((v) => v.name === s.variant)?.onRequest === true

/** As users write it. */
export const nameOf = (s: Pick<Subject, 'target' | 'variant'>): string =>
  s.variant ? `${s.target.name}:${s.variant}` : s.target.name

/** A native target bound to a model's file: it runs the file whatever graph it is given, and gives inner values by name. */
function asTarget(native: NativeTarget, model: Model, options: SubjectOptions): Target {
  const place: TargetOptions = options.python === undefined ? {} : { python: options.python }
  return {
    name: native.name,
    doc: native.doc,
    variants: native.variants,
    presence: () => native.presence(place),
    compile: async (graph, chosen) => ({ target: native.name, options: chosen, graph }),
    async load({ graph, options: chosen }) {
      const inner = graph.outputs.length > model.graph.outputs.length
      const executable = await native.load(model.source, {
        ...chosen,
        ...place,
        inner,
        ...(options.trust && { trust: true }),
      })
      try {
        return bound(executable, graph, model.graph, native.name)
      } catch (e) {
        await executable.dispose()
        throw e
      }
    },
  }
}

function bound(executable: NativeExecutable, graph: Graph, file: Graph, name: string) {
  const order = matchByName(
    executable.inputs.map((v) => v.name),
    file.inputs.map((v) => file.values[v]!.name),
  )
  const outputs = matchByName(
    file.outputs.map((v) => file.values[v]!.name),
    executable.outputs.map((v) => v.name),
  )
  const known = new Set(executable.values.map((v) => v.name))
  const extra: readonly ValueId[] = graph.outputs.slice(file.outputs.length)
  const wanted = extra.map((v) => graph.values[v]!.name).filter((n) => known.has(n))
  return {
    facts: executable.facts,
    lastMs: executable.lastMs,
    lastCpuMs: executable.lastCpuMs,
    dispose: () => executable.dispose(),
    async run(inputs: readonly Datum[]): Promise<Datum[]> {
      const given = order.map((i) => inputs[i])
      if (!given.every((t) => isTensor(t))) throw new InputError(`${name}: takes tensors only`)
      const results = await executable.run(given, wanted)
      const own = results.slice(0, executable.outputs.length)
      const byName = new Map(wanted.map((n, i) => [n, results[executable.outputs.length + i]!]))
      // A value that the runtime hides is null.
      return [...outputs.map((i) => own[i]!), ...extra.map((v) => byName.get(graph.values[v]!.name) ?? null)]
    },
  }
}

/** For each name the place where it stands among `others`; by position where names don't tell. */
function matchByName(names: readonly string[], others: readonly string[]): number[] {
  if (names.length !== others.length)
    throw new InputError(
      `the runtime and the reader see different values: ${names.join(', ')} and ${others.join(', ')}`,
    )
  const found = names.map((n) => others.indexOf(n))
  return new Set(found).size === names.length && !found.includes(-1) ? found : names.map((_, i) => i)
}
