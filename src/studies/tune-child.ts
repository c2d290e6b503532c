// Runs in a process of its own: a kernel under its default schedule beside one candidate after another, judged, then timed in turn. A
// candidate may crash or hang here without harm.

import { digest } from '../core/hash.ts'
import { wholeOf } from '../core/source.ts'
import type { Datum, Graph } from '../ir/types.ts'
import { measure, type Timing } from '../judges/timing.ts'
import { answerQuestions } from '../targets/answers.ts'
import { readPacked } from '../targets/packed.ts'
import type { Artifact, Executable, Target, TargetOptions } from '../targets/target.ts'
import { estimatedBounds, type Judged, judgeOutputs } from './bench-judge.ts'

export type Task = { readonly graph: Graph; readonly inputs: readonly Datum[] }

/** Milliseconds, one a round. */
export type Timed = {
  readonly judged: Judged
  readonly candidate: readonly number[]
  readonly default: readonly number[]
}
export type TuneQuestions = {
  /** Compiles, loads and runs the default. `module` exports `targets`. Answers the digest of its code. */
  open: (q: { file: string; module: string; target: string; options: TargetOptions }) => string
  /** Compiles a candidate. Answers the digest of its code. */
  compile: (q: { schedule: string }) => string
  /** Loads, judges and times the candidate. */
  time: (q: { rounds: number; sampleMs: number; clock: 'wall' | 'cpu' }) => Timed
}
export type TuneQuestion = {
  [K in keyof TuneQuestions]: { op: K } & Parameters<TuneQuestions[K]>[0]
}[keyof TuneQuestions]

/** Of the largest output: how far a faster algorithm (Winograd) may be off, however large its own bound is. */
const within = 1e-4

let task: Task
let target: Target
let options: TargetOptions
let base: Executable
let expected: readonly Datum[]
let candidate: Artifact

const digestOf = (a: Artifact): string => (a.piece ? digest(wholeOf(a.piece)) : '')
const amplification = (e: Executable): number => Math.max(1, ...Object.values(e.amplification ?? {}))

async function open(q: Parameters<TuneQuestions['open']>[0]): Promise<string> {
  task = readPacked(q.file) as Task
  options = q.options
  const { targets } = (await import(q.module)) as { targets: readonly Target[] }
  target = targets.find((t) => t.name === q.target)!
  const artifact = await target.compile(task.graph, options)
  base = await target.load(artifact)
  expected = await base.run(task.inputs)
  return digestOf(artifact)
}

async function compile(schedule: string): Promise<string> {
  candidate = await target.compile(task.graph, { ...options, schedule })
  return digestOf(candidate)
}

/** Milliseconds of the kernel's own steps: what brings its input and takes its output is another kernel's in a network. */
async function kernelMs(e: Executable, clock: 'wall' | 'cpu'): Promise<number> {
  if (clock === 'cpu' || !e.profile) {
    const start = process.cpuUsage()
    const begun = performance.now()
    await e.run(task.inputs)
    const { user, system } = process.cpuUsage(start)
    return clock === 'cpu' ? (user + system) / 1000 : performance.now() - begun
  }
  const steps = await e.profile(task.inputs)
  return steps.filter((s) => s.node === 'kernel').reduce((sum, s) => sum + s.ms, 0)
}

async function time({ rounds, sampleMs, clock }: Parameters<TuneQuestions['time']>[0]): Promise<Timed> {
  const tried = await target.load(candidate)
  try {
    const outputs = await tried.run(task.inputs)
    const most = Math.max(amplification(base), amplification(tried))
    const bounds = estimatedBounds(task.graph, expected).map((b) => b * most)
    const judged = judgeOutputs(outputs, expected, bounds, within)
    if (judged.verdict === 'different') return { judged, candidate: [], default: [] }
    const once = await kernelMs(base, clock)
    // The least of several runs: what another process takes of a run only ever adds.
    const runs = Math.min(20, Math.max(2, Math.ceil(sampleMs / Math.max(once, 1e-3))))
    let elapsed = 0
    const sample = (e: Executable) => async (): Promise<void> => {
      let least = Infinity
      for (let i = 0; i < runs; i++) least = Math.min(least, await kernelMs(e, clock))
      // A clock may be too coarse for the smallest kernels.
      elapsed += Math.max(least, 1e-6)
    }
    const [a, b] = (await measure(
      [
        { name: 'default', run: sample(base) },
        { name: 'candidate', run: sample(tried) },
      ],
      { warmup: 1, repeats: rounds, seed: 1 },
      () => elapsed,
    )) as [Timing, Timing]
    const failed = a.failed ?? b.failed
    if (failed !== null) throw new Error(failed)
    return { judged, default: a.samplesMs, candidate: b.samplesMs }
  } finally {
    await tried.dispose()
  }
}

function answer(q: TuneQuestion): Promise<ReturnType<TuneQuestions[keyof TuneQuestions]>> {
  switch (q.op) {
    case 'open':
      return open(q)
    case 'compile':
      return compile(q.schedule)
    case 'time':
      return time(q)
  }
}

answerQuestions<TuneQuestion>(answer)
