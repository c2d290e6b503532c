// A thread of an image in a web page.

import type { Header } from './image.ts'
import { instantiate } from './run.ts'
import { controlWords, serveTeam } from './team.ts'

export type WorkerStart = {
  readonly header: Header
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  readonly worker: number
}

globalThis.onmessage = (e: MessageEvent<WorkerStart>): void => {
  const { header, module, memory, worker } = e.data
  serveTeam(instantiate(header, module, memory, worker), controlWords(memory, header))
}
