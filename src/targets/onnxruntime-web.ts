// onnxruntime for the browser, its WebAssembly build run in Node (package onnxruntime-web, optional): the same engine as
// onnxruntime, compiled by another compiler for another machine.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type * as Ort from 'onnxruntime-web'
import { InputError } from '../core/errors.ts'
import { compileOnnx, levelIn, openSession, sessionExecutable, threadsIn } from './ort.ts'
import { findPackage, loadPackage, type PackageFound, required } from './package.ts'
import type { Target } from './target.ts'

const name = 'onnxruntime-web'

/** The module's threads are started once for all sessions of a process. */
let started: { readonly threads: number; readonly found: Promise<PackageFound<typeof Ort>> } | undefined

function runtime(threads: number): Promise<PackageFound<typeof Ort>> {
  if (started && started.threads !== threads) {
    throw new InputError(
      `${name}: runs with ${started.threads} threads in this process, got ${threads}. Use one number of threads, or a process for each.`,
    )
  }
  started ??= { threads, found: loadPackage(name, () => start(threads)) }
  return started.found
}

async function start(threads: number): Promise<typeof Ort> {
  const ort = (await import('onnxruntime-web')) as typeof Ort
  ort.env.logLevel = 'fatal'
  ort.env.wasm.numThreads = threads
  // From the package's own folder: nothing is fetched.
  ort.env.wasm.wasmPaths = `${pathToFileURL(join(findPackage(name)!.folder, 'dist')).href}/`
  return ort
}

export const onnxruntimeWeb: Target = {
  name,
  foreign: true,
  doc: "onnxruntime's WebAssembly build; the graph written as ONNX",
  variants: [{ name: '', options: {} }],
  async presence() {
    const found = findPackage(name)
    if (!found) return { present: false, reason: `not installed. Install it with: npm install ${name}` }
    return { present: true, version: found.version }
  },
  compile: (graph, options) => compileOnnx(name, graph, options),
  async load(artifact) {
    const level = levelIn(name, artifact.options)
    const threads = threadsIn(name, artifact.options)
    const { module: ort, version } = required(name, await runtime(threads))
    const session = await openSession(name, artifact, (bytes) =>
      ort.InferenceSession.create(bytes, {
        graphOptimizationLevel: level,
        executionProviders: ['wasm'],
        logSeverityLevel: 4,
      }),
    )
    return sessionExecutable(name, ort, session, artifact.graph, { version, level, threads })
  },
}
