// What a target is. A target runs a graph; a native target runs a file as it is. Nothing here knows any particular runtime.

import type { Amplification } from '../compile/loops.ts'
import type { Piece } from '../core/source.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Datum, Graph, Value } from '../ir/types.ts'

/** Plain JSON: hashed, stored, printed and swept. */
export type TargetOptions = Readonly<Record<string, string | number | boolean | null>>

/** What compiling made: storable bytes and what determines them. */
export type Artifact = {
  readonly target: string
  readonly options: TargetOptions
  /** Opaque to everyone but the target; absent where the peer compiles at load. */
  readonly piece?: Piece
  readonly graph: Graph
}

export type Executable = {
  /**
   * Runs once. Inputs and outputs in the graph's own order. `into`, where the target can use it: tensors of the outputs' types that are
   * written and returned instead of new ones, which large outputs cost some percent of a run.
   */
  run(inputs: readonly Datum[], into?: readonly Tensor[]): Promise<readonly Datum[]>
  dispose(): Promise<void>
  /** Where the code itself reads and writes, if JavaScript may look there: a run with these as inputs or `into` copies nothing. */
  readonly places?: { readonly inputs: readonly Tensor[]; readonly outputs: readonly Tensor[] }
  /** Milliseconds of the last run where it was made, without the way there and back; absent where there is no way. */
  lastMs?(): number
  /** Processor time of that run, all threads, where it was made in another process than the one that asks. */
  lastCpuMs?(): number
  /** How much the algorithms chosen for nodes amplify rounding over a plain sum of products (Winograd). */
  readonly amplification?: Amplification
  /** Facts worth printing beside every figure: engine, instruction set, threads. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>
  /** One more run that is timed inside: milliseconds of each node, or of the first of a fused group, by node name. */
  profile?(inputs: readonly Datum[]): Promise<readonly NodeTime[]>
}

export type NodeTime = {
  readonly node: string
  readonly ms: number
  /** What ran: the kernel's or algorithm's name. */
  readonly what?: string
}

/** Whether a target can be used here; else one line that says how to get it. */
export type Presence =
  | { readonly present: true; readonly version: string }
  | { readonly present: false; readonly reason: string }

export type Target = {
  /** As users write it: `wasm`, `onnxruntime`, `tfjs`. */
  readonly name: string
  readonly doc: string
  /** Options may say where to look (`python`). */
  presence(options?: TargetOptions): Promise<Presence>
  /** Named variants that `check` runs side by side, e.g. onnxruntime's four optimisation levels; `onRequest`: only where it is named. */
  readonly variants: readonly {
    readonly name: string
    readonly options: TargetOptions
    readonly onRequest?: boolean
  }[]
  /** The variant that a comparison of speed takes when none is named. The first where absent. */
  readonly fastest?: string
  /** Not checked unless it is named: too slow (emulated machines), or made to be less accurate than its types (ncnn, MNN). */
  readonly onRequest?: boolean
  /** Somebody else's code, that would run in this process: a study runs it in another (isolate.ts). */
  readonly foreign?: boolean
  /** Throws UnsupportedError with all that this target can't run. */
  compile(graph: Graph, options: TargetOptions): Promise<Artifact>
  load(artifact: Artifact): Promise<Executable>
}

/** A runtime that takes the model file itself. */
export type NativeTarget = {
  readonly name: string
  readonly doc: string
  presence(options?: TargetOptions): Promise<Presence>
  /** Named variants that `check` runs side by side, e.g. LiteRT's sets of kernels. The first is the runtime's default. */
  readonly variants: readonly { readonly name: string; readonly options: TargetOptions }[]
  /** Whether this runtime is made for files of this format (`tflite`, `savedmodel`, `keras`, …). */
  takes(format: string): boolean
  load(path: string, options: NativeOptions): Promise<NativeExecutable>
}

export type NativeOptions = TargetOptions & {
  /** The file may run code. Without it a file that holds code, or what might be code, is refused. */
  readonly trust?: boolean
  /** Inner values will be asked for: where a runtime can give them, `values` lists them. */
  readonly inner?: boolean
  readonly threads?: number
}

export type NativeValue = Pick<Value, 'name' | 'type' | 'quantization'>

export type NativeExecutable = {
  readonly inputs: readonly NativeValue[]
  readonly outputs: readonly NativeValue[]
  /** Values that `run` can give besides the outputs; empty unless loaded with `inner`, or where the runtime hides them. */
  readonly values: readonly NativeValue[]
  /** Runs once. The outputs in the file's own order, then the values named in `wanted`. */
  run(inputs: readonly Tensor[], wanted?: readonly string[]): Promise<readonly Tensor[]>
  dispose(): Promise<void>
  /** Milliseconds of the last run in the runtime's own process, on the wall and of the processor, without the way there and back. */
  lastMs(): number
  lastCpuMs(): number
  readonly facts: Readonly<Record<string, string | number | boolean>>
}
