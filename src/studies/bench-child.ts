// Runs in a process of its own: one executable, asked in turn. Waits without using the processor between questions.

import type { Amplification } from '../compile/loops.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Datum, Graph, ValueId } from '../ir/types.ts'
import { answerQuestions } from '../targets/answers.ts'
import { readPacked } from '../targets/packed.ts'
import type { Executable, NodeTime, Target, TargetOptions } from '../targets/target.ts'

/** What the packed file holds. */
export type Task = { readonly graph: Graph; readonly inputs: readonly Datum[] }

/** Times in milliseconds. */
export type Opened = {
  readonly readMs: number
  readonly compileMs: number
  readonly loadMs: number
  readonly firstMs: number
  /** Resident before the target came. */
  readonly baseBytes: number
  readonly outputs: readonly Datum[]
  readonly facts: NonNullable<Executable['facts']>
  readonly amplification: Amplification
}
export type Ran = { readonly ms: readonly number[]; readonly cpuMs: number }
export type Referred = { readonly outputs: readonly Datum[]; readonly bounds: readonly number[] }

/** Questions and what is answered. */
export type Questions = {
  /** Compile, load, run once. `module` exports `targets`. */
  open: (q: { file: string; module: string; target: string; options: TargetOptions }) => Opened
  /** `reuse`: the outputs of the run before are written over; `place`: in the code's own memory, inputs too. Where the target can. */
  run: (q: { runs: number; outputs?: 'reuse' | 'place' }) => Ran
  /** Outputs of the last run. */
  outputs: (q: object) => readonly Datum[]
  /** null where the executable can't tell. */
  profile: (q: object) => readonly NodeTime[] | null
  /** The reference's outputs, and how far rounding may move each. */
  reference: (q: { file: string; trials: number; seed: number; amplification: Amplification }) => Referred
}
export type Question = { [K in keyof Questions]: { op: K } & Parameters<Questions[K]>[0] }[keyof Questions]

let executable: Executable | undefined
let inputs: readonly Datum[] = []
let last: readonly Datum[] = []

async function since<T>(work: () => T | Promise<T>): Promise<[T, number]> {
  const start = performance.now()
  const result = await work()
  return [result, performance.now() - start]
}

async function open(q: Parameters<Questions['open']>[0]): Promise<Opened> {
  const [task, readMs] = await since(() => readPacked(q.file) as Task)
  inputs = task.inputs
  const baseBytes = process.memoryUsage().rss
  const { targets } = (await import(q.module)) as { targets: readonly Target[] }
  const target = targets.find((t) => t.name === q.target)
  if (!target) throw new Error(`no target ${q.target}`)
  const [artifact, compileMs] = await since(() => target.compile(task.graph, q.options))
  const [loaded, loadMs] = await since(() => target.load(artifact))
  executable = loaded
  const [outputs, firstMs] = await since(() => loaded.run(inputs))
  last = outputs
  return {
    readMs,
    compileMs,
    loadMs,
    firstMs,
    baseBytes,
    outputs,
    facts: loaded.facts ?? {},
    amplification: loaded.amplification ?? {},
  }
}

async function run(runs: number, kind?: 'reuse' | 'place'): Promise<Ran> {
  const { places } = executable!
  let given = inputs
  let into = kind && (last as Tensor[])
  if (kind === 'place' && places) {
    places.inputs.forEach(
      (t, i) => void (t.data as Float32Array).set((inputs[i] as Tensor).data as Float32Array),
    )
    given = places.inputs
    into = places.outputs as Tensor[]
  }
  const ms: number[] = []
  const { lastMs, lastCpuMs } = executable!
  let elsewhere = 0
  const before = process.cpuUsage()
  for (let i = 0; i < runs; i++) {
    const start = performance.now()
    last = await executable!.run(given, into)
    // What runs in a process of its own isn't charged for the way there and back.
    ms.push(lastMs?.() ?? performance.now() - start)
    elsewhere += lastCpuMs?.() ?? 0
  }
  const { user, system } = process.cpuUsage(before)
  return { ms, cpuMs: lastCpuMs ? elsewhere : (user + system) / 1000 }
}

async function reference(q: Parameters<Questions['reference']>[0]): Promise<Referred> {
  // Loaded here only: a target's start-up doesn't pay for it.
  const [{ evaluate }, { propagatedBound }, { rng }] = await Promise.all([
    import('../ir/evaluate.ts'),
    import('../judges/attribute.ts'),
    import('../core/rng.ts'),
  ])
  const { graph, inputs } = readPacked(q.file) as Task
  const seen = new Map<ValueId, Datum>()
  const outputs = evaluate(graph, inputs, {
    observe: (n, _i, out) => n.outputs.forEach((v, o) => void seen.set(v, out[o]!)),
  })
  const noise = propagatedBound(graph, inputs, seen, q.trials, rng(q.seed).next, q.amplification)
  return { outputs, bounds: graph.outputs.map((v) => noise.get(v) ?? 0) }
}

async function answer(q: Question): Promise<ReturnType<Questions[keyof Questions]>> {
  switch (q.op) {
    case 'open':
      return open(q)
    case 'run':
      return run(q.runs, q.outputs)
    case 'outputs':
      return last
    case 'profile':
      return (await executable?.profile?.(inputs)) ?? null
    case 'reference':
      return reference(q)
  }
}

answerQuestions<Question>(answer)
