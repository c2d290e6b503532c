// The public API, written by hand. What isn't here may change without notice.

import type { CFiles } from './compile/render/c/program.ts'
import * as figures from './core/figures.ts'
import type { Graph } from './ir/types.ts'
import type { Registry } from './studies/subjects.ts'
import type { graphToC } from './targets/c/source.ts'

// Tensors and errors

export type { DType } from './core/dtype.ts'
export { BugError, InputError, type Unsupported, UnsupportedError } from './core/errors.ts'
export { numbers, type Tensor, tensorOf } from './core/tensor.ts'
export { readNpy, writeNpy } from './data/npy.ts'
export { readNpz, writeNpz } from './data/npz.ts'

// Graphs

export { evaluate } from './ir/evaluate.ts'
export { parseGraph, printGraph } from './ir/text.ts'
export type { Graph, Node, Value } from './ir/types.ts'
export { verify } from './ir/verify.ts'

// Models

export type { Model } from './formats/open.ts'
export { type Inspection, inspectModel, openSource, withDimensions } from './studies/models.ts'
export { listZoo, openZoo, type ZooEntry } from './zoo/zoo.ts'

/** The graph as a file that onnxruntime and others read. */
export async function onnxBytes(graph: Graph): Promise<Uint8Array> {
  const { writeOnnx } = await import('./formats/onnx/write.ts')
  const { portable } = await import('./rewrite/decompose/portable.ts')
  return writeOnnx(portable(graph))
}

/** A graph as one C file and its header, with the weights inside or in a file beside: see `graphToC`. */
export async function cFiles(graph: Graph, options: Parameters<typeof graphToC>[1] = {}): Promise<CFiles> {
  return (await import('./targets/c/source.ts')).graphToC(graph, options)
}

// Data

export { type DataSet, type FileSystem, type Sample, subset } from './data/dataset.ts'
export { nodeFiles } from './data/files.ts'
export { guessPreprocessing } from './data/guess.ts'
export { openData } from './data/open.ts'
export { describePreprocessing, type Preprocessing, parsePreprocessing } from './data/preprocessing.ts'
export { preset } from './data/presets.ts'
export { applyPreprocessing } from './data/steps.ts'
export { type SampleOptions, samplesFor } from './studies/samples.ts'

// Targets

export { type OpenSide, openSide, type SideOptions } from './studies/sides.ts'
export { apart, type Registry, subjectsFor } from './studies/subjects.ts'
export { type CompiledModel, openCompiled, saveCompiled } from './targets/compiled.ts'
export { probeMachine, sayMachine } from './targets/processor.ts'
export { environmentNames, peersAdd } from './targets/python/environments.ts'
export type { Executable, NativeTarget, Target } from './targets/target.ts'

/** Every target that Strata knows. Loads them when asked. */
export const registry = async (): Promise<Registry> => await import('./targets/registry.ts')

// What the verbs of the command line do

export { bench, benchModel, benchSubjects } from './studies/bench.ts'
export { benchPlot } from './studies/bench-plot.ts'
export { type BenchResult, rowName } from './studies/bench-result.ts'
export { benchMarkdown } from './studies/bench-table.ts'
export { type CheckData, type CheckOptions, check, graphFor } from './studies/check.ts'
export type { CheckResult, TargetResult } from './studies/check-result.ts'
export { type CompareResult, compare, type Side } from './studies/compare.ts'
export { type RunResult, runModel } from './studies/run.ts'
export { openTuning, type Tuning, type TuningRecord } from './studies/store-tuning.ts'
export {
  algorithmName,
  kernelWords,
  type TunedKernel,
  type TuneOptions,
  type TuneResult,
  tune,
  withTuned,
} from './studies/tune.ts'

// Reports

export { table } from './core/table.ts'
export { htmlReport } from './studies/report/html.ts'
export { type CheckDocument, checkDocument, compareDocument, jsonText } from './studies/report/json.ts'
export { junitReport } from './studies/report/junit.ts'
export { markdownReport } from './studies/report/markdown.ts'
export { checkSummary } from './studies/report/summary.ts'

/** Figures as Strata prints them. */
export { figures }
