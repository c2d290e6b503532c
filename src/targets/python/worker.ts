// Our side of worker.py: one process for one model, JSON lines, tensors as .npy files in a private folder. However the process
// ends (an error, a crash, a hang, rubbish, too much memory), the caller gets one line, and no process and no file is left.

import type { ChildProcess } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DType, dtypes } from '../../core/dtype.ts'
import { InputError, UnsupportedError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import { readNpy, writeNpy } from '../../data/npy.ts'
import { type Dim, tensorType } from '../../ir/types.ts'
import { killGroup, privateFolder, removeFolder, spawnGroup, watchMemory } from '../processes.ts'
import type { NativeExecutable, NativeValue, TargetOptions } from '../target.ts'

/** Limits of one worker. */
export type Limits = {
  /** Milliseconds for starting the runtime and loading the file. Default 60,000. */
  readonly loadMs?: number
  /** Milliseconds for one run. Default 120,000. */
  readonly runMs?: number
  /** Resident bytes of the process and its children. Default: 8 GB, or three quarters of the machine's memory if that is less. */
  readonly memory?: number
}

export type WorkerOptions = {
  /** `litert`, `tensorflow`, …: the names in worker.py. */
  readonly runtime: string
  readonly python: string
  /** The model file as it is, or bytes that are put in the worker's folder. */
  readonly path?: string
  readonly file?: { readonly name: string; readonly bytes: Uint8Array }
  readonly options: TargetOptions
  readonly limits?: Limits
  /** Another script than worker.py, for tests of what a broken one does. */
  readonly script?: string
}

const script = fileURLToPath(new URL('./worker.py', import.meta.url))
/** Longest reply; beyond it the worker talks rubbish. */
const MAX_REPLY = 2 ** 26
const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GB`

type Reply = Record<string, unknown>

/** Starts a worker on a model file. Throws an UnsupportedError, or an InputError of one line, for whatever goes wrong there. */
export async function openWorker(o: WorkerOptions): Promise<NativeExecutable> {
  const memory = o.limits?.memory ?? Math.min(8 * 2 ** 30, 0.75 * totalmem())
  const connection = new Connection(o.runtime, o.python, o.script ?? script, memory)
  try {
    const path = o.file ? connection.put(o.file.name, o.file.bytes) : o.path
    const loaded = await connection.ask(
      { do: 'load', runtime: o.runtime, path, options: o.options },
      o.limits?.loadMs ?? 60_000,
      `loading ${o.path ?? 'the model'}`,
    )
    if (o.file) connection.drop(o.file.name)
    const list = (key: string): NativeValue[] => readValues(loaded[key], connection, key)
    const facts = (loaded.facts ?? {}) as NativeExecutable['facts']
    return {
      inputs: list('inputs'),
      outputs: list('outputs'),
      values: list('values'),
      facts,
      run: (inputs, wanted) => connection.run(inputs, wanted ?? [], o.limits?.runMs ?? 120_000),
      lastMs: () => connection.last.ms,
      lastCpuMs: () => connection.last.cpuMs,
      dispose: async () => connection.close(),
    }
  } catch (e) {
    connection.close()
    throw e
  }
}

function readValues(list: unknown, connection: Connection, key: string): NativeValue[] {
  if (!Array.isArray(list)) throw connection.fail(`sent no ${key}`)
  return list.map((v) => {
    if (typeof v?.name !== 'string' || !(v.shape === null || Array.isArray(v.shape))) {
      throw connection.fail(`described a value as ${JSON.stringify(v)?.slice(0, 100)}`)
    }
    if (!dtypes.includes(v.dtype)) throw connection.fail(`value ${v.name} has the unknown type ${v.dtype}`)
    const type = tensorType(v.dtype as DType, v.shape as Dim[] | null)
    return { name: v.name, type, ...(v.quantization && { quantization: v.quantization }) }
  })
}

class Connection {
  private readonly runtime: string
  private readonly folder = privateFolder()
  private readonly child: ChildProcess
  private readonly stopWatching: () => void
  /** Why nothing can be asked any more. */
  private ended: InputError | undefined
  private waiting: ((reply: Reply | InputError) => void) | undefined
  private busy: Promise<unknown> = Promise.resolve()
  private received: string[] = []
  private receivedLength = 0
  private complaints = ''
  private sent = 0
  /** Times of the last run, taken around the inference call. */
  last = { ms: 0, cpuMs: 0 }

  constructor(runtime: string, python: string, file: string, memory: number) {
    this.runtime = runtime
    this.child = spawnGroup(python, [file, this.folder], {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, PYTHONUNBUFFERED: '1', PYTHONIOENCODING: 'utf-8' },
    })
    const complain = (data: string): void => {
      this.complaints = (this.complaints + data).slice(-4000)
    }
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding('utf8').on('data', complain)
    const replies = this.child.stdio[3] as Socket
    replies.setEncoding('utf8').on('data', (data: string) => this.receive(data))
    // Writing to a process that has just died is reported by its exit.
    for (const stream of [this.child.stdin!, replies]) stream.on('error', () => {})
    this.child.once('error', (e: NodeJS.ErrnoException) =>
      this.end(e.code === 'ENOENT' ? `there is no ${python}` : `can't start ${python}: ${e.message}`),
    )
    this.child.once('close', (code, signal) => {
      const said = this.complaints.trim().split('\n').at(-1)!.trim().slice(0, 300)
      this.end(`its process died (${signal ?? `exit ${code}`})${said ? `: ${said}` : ''}`)
    })
    this.hold(false)
    this.stopWatching = watchMemory(this.child.pid ?? 0, memory, (bytes) =>
      this.end(`took ${gigabytes(bytes)} of memory, more than the limit of ${gigabytes(memory)}`),
    )
  }

  /** Only a request that waits keeps Node running; a model that nobody disposed of doesn't. */
  private hold(on: boolean): void {
    // A closed socket would wait for a connection to come.
    const open = (this.child.stdio as (Socket | null)[]).filter((x) => x && !x.destroyed)
    for (const x of [this.child, ...open]) {
      if (on) x?.ref()
      else x?.unref()
    }
  }

  private receive(data: string): void {
    this.received.push(data)
    this.receivedLength += data.length
    // A reply is one line, and the worker sends none unasked.
    if (!data.includes('\n')) {
      if (this.receivedLength > MAX_REPLY) this.end('sent rubbish instead of a reply')
      return
    }
    const line = this.received.join('').trimEnd()
    this.received = []
    this.receivedLength = 0
    let reply: unknown
    try {
      reply = JSON.parse(line)
    } catch {}
    if (typeof reply !== 'object' || reply === null || Array.isArray(reply) || !this.waiting) {
      this.end(`sent rubbish instead of a reply: ${JSON.stringify(line.slice(0, 80))}`)
      return
    }
    this.waiting(reply as Reply)
    this.waiting = undefined
  }

  /** Ends the process for a reason; the first reason counts. Returns the error. */
  fail(why: string): InputError {
    this.end(why)
    return this.ended!
  }

  private end(why: string): void {
    if (this.ended) return
    this.ended = new InputError(`${this.runtime}: ${why}`)
    this.stopWatching()
    if (this.child.pid !== undefined) killGroup(this.child.pid)
    removeFolder(this.folder)
    this.waiting?.(this.ended)
    this.waiting = undefined
  }

  close(): void {
    this.end('is closed')
  }

  /** One request at a time; a second one waits for the first. */
  ask(request: object, limitMs: number, doing: string): Promise<Reply> {
    const answer = this.busy.then(() => this.askNow(request, limitMs, doing))
    this.busy = answer.catch(() => {})
    return answer
  }

  private async askNow(request: object, limitMs: number, doing: string): Promise<Reply> {
    if (this.ended) throw this.ended
    this.hold(true)
    const reply = await new Promise<Reply | InputError>((resolve) => {
      const timer = setTimeout(
        () => this.end(`no answer within ${limitMs / 1000} s while ${doing}. Its process was killed`),
        limitMs,
      )
      this.waiting = (r) => {
        clearTimeout(timer)
        resolve(r)
      }
      this.child.stdin!.write(`${JSON.stringify(request)}\n`)
    })
    this.hold(false)
    if (reply instanceof InputError) throw reply
    if (reply.unsupported) {
      const counts = Object.entries(reply.unsupported as Record<string, number>)
      throw new UnsupportedError(
        this.runtime,
        counts.map(([op, count]) => ({ op, count })),
      )
    }
    if (typeof reply.error === 'string') throw new InputError(`${this.runtime}: ${reply.error}`)
    return reply
  }

  /** Writes a file into the worker's folder; its path. */
  put(name: string, bytes: Uint8Array): string {
    const path = join(this.folder, name)
    writeFileSync(path, bytes)
    return path
  }

  drop(name: string): void {
    rmSync(join(this.folder, name), { force: true })
  }

  async run(
    inputs: readonly Tensor[],
    fetch: readonly string[],
    limitMs: number,
  ): Promise<readonly Tensor[]> {
    if (this.ended) throw this.ended
    const names = inputs.map((t) => {
      const name = `in${this.sent++}.npy`
      this.put(name, writeNpy(t))
      return name
    })
    try {
      const reply = await this.ask({ do: 'run', inputs: names, fetch }, limitMs, 'running')
      const { outputs, ms, cpuMs } = reply
      if (!Array.isArray(outputs)) throw this.fail('sent no outputs')
      if (typeof ms !== 'number' || typeof cpuMs !== 'number') throw this.fail('sent no times')
      this.last = { ms, cpuMs }
      return outputs.map((name) => this.take(name))
    } finally {
      if (!this.ended) for (const name of names) this.drop(name)
    }
  }

  /** Reads an output and removes its file. */
  private take(name: unknown): Tensor {
    if (typeof name !== 'string' || !/^out\d+\.npy$/.test(name)) {
      throw this.fail(`named an output ${JSON.stringify(name)?.slice(0, 80)}`)
    }
    const file = join(this.folder, name)
    let bytes: Uint8Array
    try {
      bytes = readFileSync(file)
    } catch {
      throw this.fail(`promised the output ${name} and didn't write it`)
    }
    rmSync(file, { force: true })
    return readNpy(bytes, `${this.runtime}: ${name}`)
  }
}
