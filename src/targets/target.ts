// What a target is. A target runs a graph; a native target runs a file as it is. Nothing here knows any particular runtime.

import type { Tensor } from '../core/tensor.ts'
import type { Datum, Graph, Value } from '../ir/types.ts'

/** Plain JSON: hashed, stored, printed and swept. */
export type TargetOptions = Readonly<Record<string, string | number | boolean | null>>

/** What compiling made: storable bytes and what determines them. */
export type Artifact = {
  readonly target: string
  readonly options: TargetOptions
  /** Opaque to everyone but the target; absent where the peer compiles at load. */
  readonly bytes?: Uint8Array
  readonly graph: Graph
}

export type Executable = {
  /** Runs once. Inputs and outputs in the graph's own order. */
  run(inputs: readonly Datum[]): Promise<readonly Datum[]>
  dispose(): Promise<void>
  /** By node name: how much the algorithm chosen for it amplifies rounding over a plain sum of products (Winograd). Default 1. */
  readonly amplification?: Readonly<Record<string, number>>
  /** Facts worth printing beside every figure: engine, instruction set, threads. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>
}

/** Whether a target can be used here; else one line that says how to get it. */
export type Presence =
  | { readonly present: true; readonly version: string }
  | { readonly present: false; readonly reason: string }

export type Target = {
  /** As users write it: `wasm`, `onnxruntime`, `tfjs`. */
  readonly name: string
  readonly doc: string
  presence(): Promise<Presence>
  /** Named variants that `check` runs side by side, e.g. onnxruntime's four optimisation levels. */
  readonly variants: readonly { readonly name: string; readonly options: TargetOptions }[]
  /** Throws UnsupportedError with all that this target can't run. */
  compile(graph: Graph, options: TargetOptions): Promise<Artifact>
  load(artifact: Artifact): Promise<Executable>
}

/** A runtime that takes the model file itself. */
export type NativeTarget = {
  readonly name: string
  readonly doc: string
  presence(): Promise<Presence>
  /** Whether this runtime is made for files of this format (`tflite`, `savedmodel`, `keras`, …). */
  takes(format: string): boolean
  load(path: string, options: TargetOptions & { readonly trust?: boolean }): Promise<NativeExecutable>
}

export type NativeExecutable = {
  readonly inputs: readonly Pick<Value, 'name' | 'type'>[]
  readonly outputs: readonly Pick<Value, 'name' | 'type'>[]
  run(inputs: readonly Tensor[]): Promise<readonly Tensor[]>
  dispose(): Promise<void>
}
