// The other side of isolate.ts: holds one target's executables, by number.

import type { Datum } from '../ir/types.ts'
import { answerQuestions } from './answers.ts'
import { readPacked } from './packed.ts'
import type { Artifact, Executable, Presence, Target, TargetOptions } from './target.ts'

/** Questions and what is answered. `module` exports `targets`. */
export type Questions = {
  presence: (q: { module: string; target: string; options: TargetOptions }) => Presence
  /** `file` holds an artifact, packed. */
  load: (q: { module: string; file: string; id: number }) => Pick<Executable, 'facts' | 'amplification'>
  run: (q: { id: number; inputs: readonly Datum[] }) => { outputs: readonly Datum[]; ms: number }
  dispose: (q: { id: number }) => null
}
export type Question = { [K in keyof Questions]: { op: K } & Parameters<Questions[K]>[0] }[keyof Questions]

const executables = new Map<number, Executable>()

async function targetIn(module: string, name: string): Promise<Target> {
  const { targets } = (await import(module)) as { targets: readonly Target[] }
  const target = targets.find((t) => t.name === name)
  if (!target) throw new Error(`no target ${name}`)
  return target
}

async function answer(q: Question): Promise<ReturnType<Questions[keyof Questions]>> {
  switch (q.op) {
    case 'presence':
      return (await targetIn(q.module, q.target)).presence(q.options)
    case 'load': {
      const artifact = readPacked(q.file) as Artifact
      const made = await (await targetIn(q.module, artifact.target)).load(artifact)
      executables.set(q.id, made)
      const { facts, amplification } = made
      return { ...(facts && { facts }), ...(amplification && { amplification }) }
    }
    case 'run': {
      const start = performance.now()
      const outputs = await executables.get(q.id)!.run(q.inputs)
      return { outputs, ms: performance.now() - start }
    }
    case 'dispose':
      await executables.get(q.id)?.dispose()
      executables.delete(q.id)
      return null
  }
}

answerQuestions<Question>(answer)
