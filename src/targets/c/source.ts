// From a graph to C: the part of the c target that needs the compiler of this package.

import { availableParallelism } from 'node:os'
import { compile } from '../../compile/compile.ts'
import { isStaticGraph, prepare, settle, shapeInputs, uncompilable } from '../../compile/prepare.ts'
import { type CFiles, type COptions, renderC, renderUnits } from '../../compile/render/c/program.ts'
import { type Engine, engines } from '../../compile/schedule.ts'
import { bytesOf } from '../../core/dtype.ts'
import { InputError, UnsupportedError } from '../../core/errors.ts'
import { digest } from '../../core/hash.ts'
import { type Piece, withHead } from '../../core/source.ts'
import { type Graph, printType } from '../../ir/types.ts'
import { schedulesFor } from '../schedules.ts'
import type { Artifact } from '../target.ts'
import { type COptionsChosen, engineOf, type Head, magic, type Vector } from './options.ts'
import { shimSource } from './shim.ts'

/** Weights up to this many bytes go into the file, unless told otherwise. */
const insideBytes = 4 << 20

/**
 * The library function behind `strata convert MODEL -o model.c`: portable C99, or GNU C with the vectors of `vector`; small weights
 * inside the file and large ones beside it (`weights`), unless told otherwise. Throws UnsupportedError for operators that can't be
 * compiled, InputError for open shapes.
 */
export function graphToC(
  graph: Graph,
  options: Partial<Omit<COptions, 'dialect'>> & { readonly vector?: Vector } = {},
): CFiles {
  const { vector = 'none', ...rest } = options
  const fixed = settle(graph)
  const missing = uncompilable(fixed)
  if (missing.length > 0) throw new UnsupportedError('C', missing)
  if (!isStaticGraph(fixed)) {
    const inputs = fixed.inputs.map((v) => `${fixed.values[v]!.name}: ${printType(fixed.values[v]!.type)}`)
    throw new InputError(
      `${graph.name}: C needs fixed shapes, got ${inputs.join(', ')}. Give sizes, for example --dims batch=1.`,
    )
  }
  const engine = engines[engineOf[vector]]
  const program = compile(prepare(fixed, engine), { engine })
  const shapes = (ids: readonly number[]): string[] => ids.map((v) => printType(fixed.values[v]!.type))
  const weights = program.buffers.reduce(
    (n, b) => n + (b.role === 'constant' ? b.length * bytesOf(b.dtype) : 0),
    0,
  )
  return renderC(program, {
    name: 'model',
    weights: weights <= insideBytes ? 'inside' : 'beside',
    ...rest,
    dialect: vector === 'none' ? 'c99' : 'gnu',
    shapes: { inputs: shapes(fixed.inputs), outputs: shapes(fixed.outputs) },
  })
}

/**
 * The graph with what is known of it, and what is loaded later, but where shapes are open. Throws UnsupportedError for
 * operators that can't be compiled.
 */
export function compileC(given: Graph, o: COptionsChosen): Pick<Artifact, 'graph' | 'piece'> {
  const graph = settle(given)
  const missing = uncompilable(graph)
  if (missing.length > 0) throw new UnsupportedError('c', missing)
  return isStaticGraph(graph) && shapeInputs(graph).size === 0
    ? { graph, piece: fixedC(graph, o) }
    : { graph }
}

/** What is loaded later, of a graph whose shapes are fixed. */
export function fixedC(graph: Graph, o: COptionsChosen): Piece {
  const engine: Engine = engines[engineOf[o.vector]]
  const prepared = prepare(graph, engine)
  const chosen = schedulesFor(prepared, o)
  const program = compile(prepared, { engine, schedule: (node, x) => chosen(node, x, engine) })
  const dialect = o.vector === 'none' ? 'c99' : 'gnu'
  const rendered = renderUnits(
    program,
    { name: 'model', dialect, weights: 'beside', threads: o.threads },
    availableParallelism(),
  )
  const { header, main, units, arenaBytes, weightBytes } = rendered
  const shim = shimSource('model', 'main.c', graph.inputs.length, graph.outputs.length)
  const files = JSON.stringify({
    'model.h': header,
    'main.c': main,
    'shim.c': shim,
    ...Object.fromEntries(units.map((u, i) => [`unit${i}.c`, u])),
  })
  const filesBytes = new TextEncoder().encode(files)
  const head: Head = {
    vector: o.vector,
    sources: ['shim.c', ...units.map((_, i) => `unit${i}.c`)],
    filesBytes: filesBytes.length,
    filesDigest: digest(filesBytes),
    arenaBytes,
    weightBytes,
    steps: program.steps.map(({ nodes, kernel }) => ({
      nodes,
      name: program.kernels[kernel]!.name,
    })),
    amplification: program.amplification,
  }
  return {
    bytes: withHead(magic, head, filesBytes),
    rest: { length: weightBytes, write: rendered.writeWeights },
  }
}
