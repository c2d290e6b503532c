// The other side of isolate.ts: loads one artifact, then runs it on the inputs it is sent.

import type { Datum } from '../ir/types.ts'
import type { Reply } from './child.ts'
import { readPacked } from './packed.ts'
import type { Artifact, Executable, Target } from './target.ts'

/** What the packed file holds. `module` exports `targets`. */
export type Task = { readonly module: string; readonly artifact: Artifact }

let executable: Executable | undefined

async function load(file: string): Promise<Pick<Executable, 'facts' | 'amplification'>> {
  const { module, artifact } = readPacked(file) as Task
  const { targets } = (await import(module)) as { targets: readonly Target[] }
  const target = targets.find((t) => t.name === artifact.target)
  if (!target) throw new Error(`no target ${artifact.target}`)
  executable = await target.load(artifact)
  const { facts, amplification } = executable
  return { ...(facts && { facts }), ...(amplification && { amplification }) }
}

process.on('message', async (question: { load: string } | { run: readonly Datum[] }) => {
  let reply: Reply
  try {
    reply = { ok: 'load' in question ? await load(question.load) : await executable!.run(question.run) }
  } catch (e) {
    const error = e instanceof Error ? e : new Error(String(e))
    reply = { error: error.message, name: error.name }
  }
  process.send!(reply)
})
// Whoever asked is gone.
process.on('disconnect', () => process.exit())
