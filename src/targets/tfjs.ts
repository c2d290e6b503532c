// TensorFlow.js as a target (packages @tensorflow/tfjs and @tensorflow/tfjs-backend-wasm, optional): the same graph built from
// its core operators, on its plain JavaScript backend and on its WebAssembly one.

import { join } from 'node:path'
import type * as Tf from '@tensorflow/tfjs'
import type * as Wasm from '@tensorflow/tfjs-backend-wasm'
import { InputError, UnsupportedError } from '../core/errors.ts'
import { findPackage, loadPackage, required } from './package.ts'
import type { NodeTime, Target, TargetOptions } from './target.ts'
import { TfjsRun } from './tfjs-run.ts'
import { type Backend, unsupportedIn } from './tfjs-table.ts'

const name = 'tfjs'
const main = '@tensorflow/tfjs'
const wasmPackage = '@tensorflow/tfjs-backend-wasm'

function backendIn(options: TargetOptions): Backend {
  const backend = options.backend ?? 'cpu'
  if (backend !== 'cpu' && backend !== 'wasm')
    throw new InputError(`${name}: backend, expected cpu | wasm, got ${String(backend)}`)
  return backend
}

let started: Promise<typeof Tf> | undefined

/** Loads TensorFlow.js once a process; the wasm backend beside it when asked for. */
async function runtime(backend: Backend): Promise<typeof Tf> {
  started ??= loadPackage<typeof Tf>(main, () => import('@tensorflow/tfjs')).then((found) => {
    const { module: tf } = required(main, found)
    tf.enableProdMode()
    return tf
  })
  const tf = await started
  if (backend === 'wasm') {
    const found = await loadPackage<typeof Wasm>(wasmPackage, () => import('@tensorflow/tfjs-backend-wasm'))
    const { module: wasm } = required(wasmPackage, found)
    if (tf.findBackend('wasm') === null) {
      // From the package's own folder: nothing is fetched.
      wasm.setWasmPaths(`${join(findPackage(wasmPackage)!.folder, 'dist')}/`)
    }
  }
  await choose(tf, backend)
  return tf
}

/** The backend is one for the whole process: chosen before each run, which then goes through without a pause. */
async function choose(tf: typeof Tf, backend: Backend): Promise<void> {
  while (tf.getBackend() !== backend) {
    if (!(await tf.setBackend(backend)))
      throw new InputError(`${name}: the ${backend} backend does not start here`)
  }
  // Its advertisement for a native package.
  if (backend === 'cpu') (tf.backend() as unknown as { firstUse: boolean }).firstUse = false
}

export const tfjs: Target = {
  name,
  foreign: true,
  doc: 'TensorFlow.js: the same graph built from its core operators',
  variants: [
    { name: 'cpu', options: { backend: 'cpu' } },
    { name: 'wasm', options: { backend: 'wasm' } },
  ],
  fastest: 'wasm',
  async presence(options = {}) {
    for (const p of options.backend === 'wasm' ? [main, wasmPackage] : [main]) {
      if (!findPackage(p))
        return { present: false, reason: `not installed. Install it with: npm install ${p}` }
    }
    return { present: true, version: findPackage(main)!.version }
  },
  async compile(graph, options) {
    const backend = backendIn(options)
    const unsupported = unsupportedIn(graph)
    if (unsupported.length) throw new UnsupportedError(`${name} (${backend})`, unsupported)
    return { target: name, options, graph }
  },
  async load(artifact) {
    const backend = backendIn(artifact.options)
    const tf = await runtime(backend)
    const run = new TfjsRun(tf, backend, artifact.graph)
    return {
      facts: { backend, version: tf.version.tfjs, threads: 1 },
      async run(inputs) {
        await choose(tf, backend)
        return run.run(inputs)
      },
      async profile(inputs) {
        await choose(tf, backend)
        const times: NodeTime[] = []
        run.run(inputs, times)
        return times
      },
      async dispose() {
        await choose(tf, backend)
        run.dispose()
      },
    }
  },
}
