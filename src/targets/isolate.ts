// A target run in a process of its own: a runtime that crashes, hangs or eats memory there is an error here, one line, and the rest
// goes on. One process holds all executables of the target; when it ends, the one that was running is broken, the others are
// loaded again in the next. A graph crosses in a packed file; inputs and outputs by the process's channel.

import { InputError } from '../core/errors.ts'
import { wholeOf } from '../core/source.ts'
import { type Child, ChildError, startChild } from './child.ts'
import type { Question, Questions } from './isolate-child.ts'
import { packedFile } from './packed.ts'
import type { Artifact, Executable, Presence, Target, TargetOptions } from './target.ts'

export type IsolateOptions = {
  /** Milliseconds for loading, which starts the process too. Default 120,000. */
  readonly loadMs?: number
  /** Milliseconds for one run. Default 600,000. */
  readonly runMs?: number
  /** Most bytes that the process and its children may hold. Default: no limit. */
  readonly memoryBytes?: number
  readonly signal?: AbortSignal
  /** The module whose `targets` the process looks the target up in. Default: the registry. */
  readonly module?: URL
}

export type Isolated = Target & {
  /** Starts the process and what it needs to load of the runtime, so that it is ready when it is asked. */
  begin(options: TargetOptions): void
  /** Ends the process. It also ends with its last executable. */
  end(): void
}

const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
const childModule = new URL(`./isolate-child${extension}`, import.meta.url)
const registry = new URL(`./registry${extension}`, import.meta.url)

/** The same target, its executables in a process of their own. Compiling stays here: it is ours. */
export function isolated(target: Target, options: IsolateOptions = {}): Isolated {
  const host = new Host(target, options)
  return {
    ...target,
    presence: (chosen = {}) => host.presence(chosen),
    load: (artifact) => host.load(artifact),
    begin: (chosen) => void host.presence(chosen),
    end: () => host.end(),
  }
}

type About = Pick<Executable, 'facts' | 'amplification'>
type Answer<K extends keyof Questions> = ReturnType<Questions[K]>

class Host {
  private readonly target: Target
  private readonly options: IsolateOptions
  private readonly module: string
  private child: Child | undefined
  /** One question at a time: the next waits for it. */
  private last: Promise<unknown> = Promise.resolve()
  private readonly presences = new Map<string, Promise<Presence>>()
  private ids = 0
  private live = 0

  constructor(target: Target, options: IsolateOptions) {
    this.target = target
    this.options = options
    this.module = (options.module ?? registry).href
  }

  presence(options: TargetOptions): Promise<Presence> {
    const key = JSON.stringify(options)
    let known = this.presences.get(key)
    if (!known) {
      const question = { op: 'presence', module: this.module, target: this.target.name, options } as const
      known = this.ask<'presence'>(question, this.loadMs).catch((e: Error) => ({
        present: false,
        reason: e.message,
      }))
      this.presences.set(key, known)
    }
    return known
  }

  async load(artifact: Artifact): Promise<Executable> {
    const id = this.ids++
    let { home, about } = await this.bring(artifact, id)
    let [ms, broken, disposed] = [0, undefined as unknown, false]
    this.live++
    return {
      ...about,
      run: async (inputs) => {
        if (broken) throw broken
        // Another executable ended the process that this one lived in.
        if (home !== this.child) ({ home, about } = await this.bring(artifact, id))
        try {
          const { outputs, ms: spent } = await this.ask<'run'>({ op: 'run', id, inputs }, this.runMs)
          ms = spent
          return outputs
        } catch (e) {
          if (home !== this.child) broken = e
          throw e
        }
      },
      lastMs: () => ms,
      dispose: async () => {
        if (disposed) return
        disposed = true
        if (home === this.child) await this.ask<'dispose'>({ op: 'dispose', id }, this.runMs).catch(() => {})
        if (--this.live === 0) this.end()
      },
    }
  }

  end(): void {
    this.child?.kill()
    this.child = undefined
  }

  private async bring(artifact: Artifact, id: number): Promise<{ home: Child | undefined; about: About }> {
    const piece = artifact.piece && { bytes: wholeOf(artifact.piece) }
    using file = packedFile({ ...artifact, piece })
    const question = { op: 'load', module: this.module, file: file.path, id } as const
    const about = await this.ask<'load'>(question, this.loadMs)
    return { home: this.child, about }
  }

  private ask<K extends keyof Questions>(
    question: Question & { op: K },
    limitMs: number,
  ): Promise<Answer<K>> {
    const asked = this.last.then(async () => {
      const { memoryBytes, signal } = this.options
      this.child ??= startChild(childModule, { ...(memoryBytes && { memoryBytes }) })
      const { child } = this
      try {
        return (await child.ask(question, limitMs, signal)) as Answer<K>
      } catch (e) {
        // After a refusal it lives on.
        if (!(e instanceof ChildError && e.kind === 'refused') && this.child === child) this.end()
        throw reason(this.target.name, e)
      }
    })
    this.last = asked.catch(() => {})
    return asked
  }

  private get loadMs(): number {
    return this.options.loadMs ?? 120_000
  }
  private get runMs(): number {
    return this.options.runMs ?? 600_000
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
