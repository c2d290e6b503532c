// A thread of the wasm target in Node.

import { workerData } from 'node:worker_threads'
import type { Header } from '../compile/render/wasm/image.ts'
import { instantiate } from '../compile/render/wasm/run.ts'
import { controlWords, serveTeam } from '../compile/render/wasm/team.ts'

export type WorkerStart = {
  readonly header: Header
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  readonly worker: number
}

const { header, module, memory, worker } = workerData as WorkerStart
serveTeam(instantiate(header, module, memory, worker), controlWords(memory, header))
