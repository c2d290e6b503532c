// The public API, written by hand. What isn't here may change without notice.

import * as figures from './core/figures.ts'
import type { Registry } from './studies/subjects.ts'

export type { DType } from './core/dtype.ts'
export { BugError, InputError, type Unsupported, UnsupportedError } from './core/errors.ts'
export { table } from './core/table.ts'
export { numbers, type Tensor, tensorOf } from './core/tensor.ts'
export { nodeFiles } from './data/files.ts'
export type { Model } from './formats/open.ts'
export { printGraph } from './ir/text.ts'

import type { Graph } from './ir/types.ts'

export type { Graph } from './ir/types.ts'
export { type CheckData, type CheckOptions, check } from './studies/check.ts'
export type { CheckResult, TargetResult } from './studies/check-result.ts'
export { type Inspection, inspectModel, openSource, withDimensions } from './studies/models.ts'
export { htmlReport } from './studies/report/html.ts'
export { type CheckDocument, checkDocument, jsonText } from './studies/report/json.ts'
export { junitReport } from './studies/report/junit.ts'
export { markdownReport } from './studies/report/markdown.ts'
export { checkSummary } from './studies/report/summary.ts'
export { type SampleOptions, samplesFor } from './studies/samples.ts'
export { type Registry, subjectsFor } from './studies/subjects.ts'
export { probeMachine, sayMachine } from './targets/processor.ts'

/** Every target that Strata knows. Loads them when asked. */
export const registry = async (): Promise<Registry> => await import('./targets/registry.ts')

export { readNpy, writeNpy } from './data/npy.ts'
export { bench } from './studies/bench.ts'
export { type BenchResult, rowName } from './studies/bench-result.ts'
export { graphFor } from './studies/check.ts'
export { type CompareResult, compare } from './studies/compare.ts'
export { compareDocument } from './studies/report/json.ts'
export { type RunResult, runModel } from './studies/run.ts'
export { type OpenSide, openSide, type SideOptions } from './studies/sides.ts'
export { environmentNames, peersAdd } from './targets/python/environments.ts'
/** Figures as Strata prints them. */
export { figures }

/** The graph as a file that onnxruntime and others read. */
export async function onnxBytes(graph: Graph): Promise<Uint8Array> {
  const { writeOnnx } = await import('./formats/onnx/write.ts')
  return writeOnnx(graph)
}

export { listZoo, openZoo, type ZooEntry } from './zoo/zoo.ts'
