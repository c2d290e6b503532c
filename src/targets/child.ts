// A process of our own that answers questions one at a time: what runs in it can hang, die or eat memory without harm. It
// waits without using the processor while it isn't asked, and is gone with its whole group when we are.

import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { killGroup, peakResidentBytes, processorMs, spawnGroup, watchMemory } from './processes.ts'

/** What the child says, or why it says nothing more. */
export type Reply = { readonly ok: unknown } | { readonly error: string; readonly name?: string }

export type ChildOptions = {
  /** Of Node: V8 flags. */
  readonly flags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Killed when its group holds more bytes than this. */
  readonly memoryBytes?: number
}

/** Why a child gave no answer. `kind` tells a refusal (the child lives on) from its end. */
export class ChildError extends Error {
  override name = 'ChildError'
  readonly kind: 'refused' | 'died' | 'late' | 'memory'
  /** Of the error that the child reports. */
  readonly original: string
  constructor(kind: ChildError['kind'], message: string, original = 'Error') {
    super(message)
    this.kind = kind
    this.original = original
  }
}

export type Child = {
  readonly pid: number
  /** Sends a message and waits for the reply, at most `limitMs`: then the child is killed. One question at a time. */
  ask(message: unknown, limitMs: number, signal?: AbortSignal): Promise<unknown>
  /** Most bytes ever resident, of the process and of those it started that still run; null where the system doesn't say. Memory that it shares counts. */
  peakBytes(): number | null
  /** Milliseconds of processor time of the same so far, all threads; null likewise. */
  cpuMs(): number | null
  kill(): void
}

/** Last characters of the standard error kept for the message when a child dies. */
const tailLength = 2000

/** Starts the module in a process; it answers each message it gets by `process.send` with a Reply. */
export function startChild(module: URL, options: ChildOptions = {}): Child {
  const child: ChildProcess = spawnGroup(
    process.execPath,
    [...(options.flags ?? []), fileURLToPath(module)],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
      env: options.env ?? process.env,
    },
  )
  const pid = child.pid ?? -1
  let tail = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-tailLength)
  })
  let ended: ChildError | null = null
  let settle: ((reply: Reply | ChildError) => void) | null = null
  const end = (error: ChildError): void => {
    ended ??= error
    stopWatching()
    settle?.(ended)
  }
  const stopWatching = options.memoryBytes
    ? watchMemory(pid, options.memoryBytes, (bytes) =>
        end(
          new ChildError(
            'memory',
            `held ${bytes} bytes, more than the ${options.memoryBytes} it may. It was stopped.`,
          ),
        ),
      )
    : () => {}
  child.on('message', (reply: Reply) => settle?.(reply))
  child.on('error', (e) => end(new ChildError('died', `did not start: ${e.message}`)))
  child.on('close', (code, signal) => {
    const said = lastLine(tail)
    const how = signal ? `was killed by ${signal}` : `ended with status ${code}`
    end(new ChildError('died', `its process ${how}${said ? `: ${said}` : ''}`))
  })

  const kill = (): void => {
    ended ??= new ChildError('died', 'its process was ended')
    stopWatching()
    if (pid > 0 && child.exitCode === null && child.signalCode === null) killGroup(pid)
  }

  return {
    pid,
    ask(message, limitMs, signal) {
      return new Promise((resolve, reject) => {
        if (ended) return reject(ended)
        if (signal?.aborted) {
          kill()
          return reject(signal.reason)
        }
        const onAbort = (): void => {
          kill()
          finish()
          reject(signal!.reason)
        }
        const timer = setTimeout(() => {
          const late = new ChildError('late', `no answer within ${Math.round(limitMs)} ms. It was stopped.`)
          ended ??= late
          kill()
          finish()
          reject(late)
        }, limitMs)
        const finish = (): void => {
          settle = null
          clearTimeout(timer)
          signal?.removeEventListener('abort', onAbort)
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        settle = (reply) => {
          finish()
          if (reply instanceof ChildError) reject(reply)
          else if ('ok' in reply) resolve(reply.ok)
          else reject(new ChildError('refused', reply.error, reply.name))
        }
        child.send(message as object, (e) => {
          if (e) end(new ChildError('died', `its process is gone: ${e.message}`))
        })
      })
    },
    peakBytes: () => peakResidentBytes(pid) || null,
    cpuMs: () => processorMs(pid) || null,
    kill,
  }
}

/** The line of a stack or log that says most: the last that isn't a frame. */
function lastLine(text: string): string {
  const lines = text.split('\n').filter((l) => l.trim() && !/^\s+at |^Node\.js v|^\s*\^|^\s*\d+: /.test(l))
  return (lines.find((l) => /^\w*Error: /.test(l)) ?? lines.at(-1) ?? '').slice(0, 300)
}
