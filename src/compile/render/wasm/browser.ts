// Running an image in a web page. Threads need a page that is cross-origin isolated; elsewhere the same image runs on one.

import { BugError } from '../../../core/errors.ts'
import { sourceOf } from '../../../core/source.ts'
import type { Tensor } from '../../../core/tensor.ts'
import type { WorkerStart } from './browser-worker.ts'
import { type Header, readImage } from './image.ts'
import { imageMemory, instantiate, readOutput, runSteps, writeInput } from './run.ts'
import { controlWords, dismissTeam, runTeam } from './team.ts'

export type BrowserExecutable = {
  readonly threads: number
  /** Elements in the image's own order of inputs. */
  run(inputs: readonly Tensor[]): Tensor[]
  dispose(): void
}

/** The module's memory import without the shared bit: flag 3 (shared, with maximum) becomes 1 (with maximum). */
function unshared(module: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const name = [3, ...new TextEncoder().encode('env'), 6, ...new TextEncoder().encode('memory'), 2, 3]
  const at = module.findIndex((_, i) => name.every((b, k) => module[i + k] === b))
  if (at < 0) throw new BugError('wasm: the module imports no shared memory')
  const copy = module.slice()
  copy[at + name.length - 1] = 1
  return copy
}

/** Loads an artifact's bytes. `worker` is the address of browser-worker.js, as the page serves it. */
export async function openImage(bytes: Uint8Array, worker?: string | URL): Promise<BrowserExecutable> {
  const source = sourceOf({ bytes })
  const image = readImage(source)
  const shared = image.header.shared && globalThis.crossOriginIsolated && worker !== undefined
  const header: Header = shared ? image.header : { ...image.header, threads: 1 }
  const code = image.header.shared && !shared ? unshared(image.module) : image.module
  const memory = imageMemory(header, source, shared)
  const module = await WebAssembly.compile(code)
  const instance = instantiate(header, module, memory)
  const words = shared ? controlWords(memory, header) : undefined
  const workers = Array.from({ length: header.threads - 1 }, (_, i) => {
    const w = new Worker(worker!, { type: 'module' })
    w.postMessage({ header, module, memory, worker: i + 1 } satisfies WorkerStart)
    return w
  })
  return {
    threads: header.threads,
    run(inputs) {
      header.inputs.forEach((p, i) => {
        writeInput(memory, p, inputs[i]!.data)
      })
      if (words) runTeam(instance, words)
      else runSteps(instance)
      return header.outputs.map((p) => readOutput(memory, p))
    },
    dispose() {
      if (words) dismissTeam(words)
      for (const w of workers) w.terminate()
    },
  }
}
