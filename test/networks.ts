// Every network that Strata is tried on: what the zoo builds, what npm packages carry, the stored files (STRATA_ASSETS).

import { numbers, type Tensor, tensorOf } from '../src/core/tensor.ts'
import { detectFormat } from '../src/formats/detect.ts'
import { filesAt } from '../src/formats/files.ts'
import { type Model, openModel, readable } from '../src/formats/open.ts'
import { readTflite } from '../src/formats/tflite/read.ts'
import { specialize } from '../src/ir/specialize.ts'
import { type Graph, type TensorType, typeOf } from '../src/ir/types.ts'
import { check, type Subject } from '../src/studies/check.ts'
import type { CheckResult } from '../src/studies/check-result.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { c } from '../src/targets/c.ts'
import { wasm } from '../src/targets/wasm.ts'
import { listZoo, openZoo } from '../src/zoo/zoo.ts'
import { packagedModels } from './mediapipe.ts'
import { row, storedInputs, storedModels, storedPath } from './stored.ts'

export type Network = {
  readonly name: string
  /** Where it comes from. */
  readonly kind: 'zoo' | 'package' | 'stored'
  open(): Promise<Model>
  /** One input of the right types; a graph's open dimensions get their size from it. */
  inputs(graph: Graph): Tensor[]
}

/** Sizes that networks with open ones are tried at; 1 for all others. */
const sizes: Readonly<Record<string, readonly number[]>> = {
  'human-handtrack': [1, 320, 320, 3],
  'ocr-detect': [1, 3, 96, 128],
  'ocr-recognise': [1, 3, 48, 160],
  'ocr-orient': [1, 3, 48, 192],
  'vad-legacy': [1, 1536],
  'vad-v5': [1, 512],
  'vad-v6': [1, 512],
  upscaler: [1, 32, 24, 3],
}

const random =
  (name: string) =>
  (graph: Graph): Tensor[] => {
    const fixed = specialize(graph, { ...(sizes[name] && { inputs: { 0: sizes[name] } }), open: 1 })
    return fixed.inputs.map((v, i) =>
      // The networks that hear speech know two rates only.
      fixed.values[v]!.name === 'sr' ? tensorOf('int64', [], [16000n]) : randomInputs(fixed, 1, 1)[0]![i]!,
    )
  }

function isReadable(path: string): boolean {
  try {
    return readable.has(detectFormat(filesAt(path)))
  } catch {
    return false
  }
}

/** All of them; the packages that aren't installed and the stored files of an unset folder are left out. */
export function networks(): Network[] {
  const zoo = listZoo()
    .filter((z) => z.present)
    .map(
      (z): Network => ({
        name: z.name,
        kind: z.kind === 'built' ? 'zoo' : 'package',
        open: () => openZoo(z.name),
        inputs: random(z.name),
      }),
    )
  const mediapipe = packagedModels()
    .filter((m) => m.name.includes(':'))
    .map(
      (m): Network => ({
        name: `mediapipe/${m.name}`,
        kind: 'package',
        open: async () => ({
          name: m.name,
          source: m.name,
          format: 'tflite',
          bytes: m.bytes.length,
          digest: '',
          graph: readTflite(m.bytes, { where: m.name }),
        }),
        inputs: random(m.name),
      }),
    )
  const stored = storedModels((m) => isReadable(storedPath(m))).map(
    (m): Network => ({
      name: `${m.network}/${m.file}`,
      kind: 'stored',
      open: () => openModel(filesAt(storedPath(m))),
      // The first of the four samples, or as many as a fixed batch wants; tokens of the type that the file takes.
      inputs: (graph) =>
        storedInputs(m).map((t, k) => {
          const { dtype, shape } = graph.values[graph.inputs[k]!]!.type as TensorType
          const first = row(t, 0, typeof shape?.[0] === 'number' ? Math.min(shape[0], t.shape[0]!) : 1)
          return dtype === typeOf(first).dtype || dtype === 'string'
            ? first
            : tensorOf(dtype, first.shape, Array.from(numbers(first)))
        }),
    }),
  )
  return [...zoo, ...mediapipe, ...stored]
}

/** Every form of what the compiler makes. */
export const everyForm: readonly Subject[] = [1, 2].flatMap((threads) => [
  { target: wasm, variant: `safe, ${threads}`, options: { engine: 'safe', threads } },
  { target: wasm, variant: `fast, ${threads}`, options: { engine: 'fast', threads } },
  { target: c, variant: `${threads}`, options: { threads } },
])

/** Judged as the command check does, with one input; `attribute`: 1 where its inner values are judged too. */
export const checkNetwork = (
  model: Model,
  sample: readonly Tensor[],
  subjects: readonly Subject[],
  attribute: number,
): Promise<CheckResult> =>
  check(
    model,
    { source: 'one input', samples: [sample], preprocessing: null, preprocessingSays: 'none', seed: 1 },
    { subjects, command: '', machine: {}, attribute, repeats: 0, trials: 1 },
  )
