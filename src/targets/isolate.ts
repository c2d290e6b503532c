// A target run in a process of its own: a runtime that crashes, hangs or eats memory there is an error here, one line, and the
// rest goes on. The graph crosses once, in a packed file; inputs and outputs by the child's channel.

import { InputError } from '../core/errors.ts'
import type { Datum } from '../ir/types.ts'
import { type Child, ChildError, startChild } from './child.ts'
import type { Task } from './isolate-child.ts'
import { packedFile } from './packed.ts'
import type { Executable, Target } from './target.ts'

export type IsolateOptions = {
  /** Milliseconds for loading, which starts the process too. Default 120,000. */
  readonly loadMs?: number
  /** Milliseconds for one run. Default 120,000. */
  readonly runMs?: number
  /** Most bytes that the process and its children may hold. Default: no limit. */
  readonly memoryBytes?: number
  readonly signal?: AbortSignal
  /** The module whose `targets` the child looks the target up in. Default: the registry. */
  readonly module?: URL
}

const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const childModule = new URL(`./isolate-child${extension}`, import.meta.url)
const registry = new URL(`./registry${extension}`, import.meta.url)

/** The same target, each executable in its own process. Compiling stays here: it is ours. */
export function isolated(target: Target, options: IsolateOptions = {}): Target {
  return {
    ...target,
    async load(artifact) {
      const child = startChild(childModule, {
        ...(options.memoryBytes && { memoryBytes: options.memoryBytes }),
      })
      const ask = (question: object, limitMs: number): Promise<unknown> =>
        child.ask(question, limitMs, options.signal).catch((e: unknown) => {
          throw reason(target.name, e)
        })
      try {
        const task: Task = { module: (options.module ?? registry).href, artifact }
        using file = packedFile(task)
        const loaded = (await ask({ load: file.path }, options.loadMs ?? 120_000)) as Pick<
          Executable,
          'facts' | 'amplification'
        >
        return executable(child, loaded, (inputs) => ask({ run: inputs }, options.runMs ?? 120_000))
      } catch (e) {
        child.kill()
        throw e
      }
    },
  }
}

function executable(
  child: Child,
  loaded: Pick<Executable, 'facts' | 'amplification'>,
  run: (inputs: readonly Datum[]) => Promise<unknown>,
): Executable {
  return {
    ...loaded,
    run: async (inputs) => (await run(inputs)) as readonly Datum[],
    dispose: async () => child.kill(),
  }
}

/** What the child said, or how it ended, in the words of this process's errors. */
function reason(name: string, e: unknown): unknown {
  if (!(e instanceof ChildError)) return e
  if (e.kind !== 'refused') return new InputError(`${name}: ${e.message}`)
  const error = new Error(e.message)
  error.name = e.original
  return error
}
