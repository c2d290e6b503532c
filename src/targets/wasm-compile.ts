// From a graph to an image of WebAssembly: the part of the wasm target that needs the compiler.

import { compile } from '../compile/compile.ts'
import { isStaticGraph, prepare, settle, shapeInputs, uncompilable } from '../compile/prepare.ts'
import { encodeImage } from '../compile/render/wasm/write-image.ts'
import type { Engine } from '../compile/schedule.ts'
import { UnsupportedError } from '../core/errors.ts'
import type { Piece } from '../core/source.ts'
import type { Graph } from '../ir/types.ts'
import { wasmFeatures } from './processor.ts'
import { schedulesFor } from './schedules.ts'
import type { Artifact, TargetOptions } from './target.ts'

export type ImageOptions = {
  readonly engine: Engine
  readonly threads: number
  readonly schedule?: TargetOptions[string] | undefined
}

/**
 * The graph with what is known of it, and its image, but where shapes are open. Throws UnsupportedError for operators that can't be
 * compiled.
 */
export function compileImage(given: Graph, options: ImageOptions): Pick<Artifact, 'graph' | 'piece'> {
  const graph = settle(given)
  const missing = uncompilable(graph)
  if (missing.length > 0) throw new UnsupportedError('wasm', missing)
  const fixed = isStaticGraph(graph) && shapeInputs(graph).size === 0
  return fixed ? { graph, piece: fixedImage(graph, options) } : { graph }
}

/** The image of a graph whose shapes are fixed. */
export function fixedImage(graph: Graph, { engine, threads, schedule }: ImageOptions): Piece {
  const prepared = prepare(graph, engine)
  const chosen = schedulesFor(prepared, { schedule })
  const program = compile(prepared, { engine, schedule: (node, x) => chosen(node, x, engine) })
  return encodeImage(program, { relaxed: wasmFeatures().relaxedSimd, shared: threads > 1, threads })
}
