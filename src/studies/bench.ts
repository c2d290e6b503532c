// `bench`: models on targets, each in a process of its own, timed in turn. Nothing is timed whose outputs are wrong, and
// everybody has the same threads, warm-up, inputs and number of samples.

import { InputError } from '../core/errors.ts'
import { keepQuantised, specialize } from '../ir/specialize.ts'
import { packedFile } from '../targets/packed.ts'
import { measurePeak, type Peak } from '../targets/peak.ts'
import { probeMachine } from '../targets/processor.ts'
import { chooseTargets, targets } from '../targets/registry.ts'
import { type BenchModel, type BenchOptions, type BenchSubject, subjectName } from './bench-options.ts'
import type { BenchGroup, BenchRatio, BenchResult, BenchRow } from './bench-result.ts'
import { arithmeticOf, benchGroup, type Context } from './bench-run.ts'
import { randomInputs } from './inputs.ts'
import { openSource } from './models.ts'

const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const registry = new URL(`../targets/registry${extension}`, import.meta.url)

/** Times subjects on models. A subject that is absent, fails, hangs or answers wrongly is a row that says so. */
export async function bench(options: BenchOptions): Promise<BenchResult> {
  const { models, subjects, threads = [1], clock = 'wall', signal } = options
  if (subjects.length === 0) throw new InputError('bench: no targets to time')
  if (clock === 'cpu' && threads.some((t) => t !== 1)) {
    throw new InputError(
      'bench: processor time compares one thread with one thread, got more. Use the wall clock.',
    )
  }
  const names = subjects.map(subjectName)
  if (options.baseline !== undefined && !names.includes(options.baseline)) {
    throw new InputError(`bench: baseline: expected one of ${names.join(', ')}, got ${options.baseline}`)
  }
  const machine = probeMachine()
  const total = models.length * threads.length * (subjects.length + 3)
  let done = 0
  const peaks: Peak[] = []
  const kinds = new Set(models.map((m) => arithmeticOf(m.graph)))
  for (const t of options.peaks === false ? [] : threads) {
    for (const kind of kinds) {
      for (const engine of ['native', 'wasm-fast', 'wasm-safe'] as const) {
        signal?.throwIfAborted()
        options.progress?.(0, total, 'measuring the peak of the processor')
        const peak = await measurePeak(engine, t, kind)
        if (!('absent' in peak)) peaks.push(peak)
      }
    }
  }
  const context: Context = {
    repeats: options.repeats ?? 15,
    sampleMs: options.sampleMs ?? 100,
    warmupMs: options.warmupMs ?? 300,
    warmupRuns: options.warmupRuns ?? 3,
    referenceMacs: options.referenceMacs ?? 8e9,
    limitMs: options.limitMs ?? 300_000,
    confidence: options.confidence ?? 0.95,
    seed: options.seed ?? 1,
    clock,
    options,
    module: (options.targets ?? registry).href,
    peaks,
    references: new Map(),
    step: (what) => {
      signal?.throwIfAborted()
      options.progress?.(Math.min(done++, total), total, what)
    },
  }
  const rows: BenchRow[] = []
  const ratios: BenchRatio[] = []
  const groups: BenchGroup[] = []
  for (const model of models) {
    using file = packedFile({ graph: model.graph, inputs: model.inputs })
    for (const t of threads) {
      const part = await benchGroup(model, t, file.path, context)
      rows.push(...part.rows)
      ratios.push(...part.ratios)
      groups.push(part.group)
    }
  }
  return { machine, peaks, clock, confidence: context.confidence, rows, ratios, groups }
}

/**
 * Subjects by the names that users write: `onnxruntime:basic` is that variant, a plain `onnxruntime` its fastest. A plain `wasm` is
 * every engine, because engines are different machines. Without names: every target but the reference.
 */
export function benchSubjects(names?: readonly string[]): BenchSubject[] {
  const all = targets.map((t) => t.name).filter((n) => n !== 'reference')
  return (names ?? all).flatMap((name) => {
    const chosen = chooseTargets(name)
    if (name.includes(':') || chosen.every((c) => 'engine' in c.options)) return chosen
    const { fastest } = chosen[0]!.target
    return [chosen.find((c) => c.variant === fastest) ?? chosen[0]!]
  })
}

/** A model by path or zoo name, with `dims` for its named dimensions, 1 for any other that is open, and random inputs. */
export async function benchModel(
  source: string,
  dims: Readonly<Record<string, number>> = {},
  seed = 1,
): Promise<BenchModel> {
  const { name, graph } = await openSource(source)
  const fixed = specialize(graph, { dims, open: 1, keep: keepQuantised })
  return { name, graph: fixed, inputs: randomInputs(fixed, 1, seed)[0]! }
}
