// The Python runtimes as native targets: each runs files of its own formats as they are.

import { InputError } from '../../core/errors.ts'
import type { NativeOptions, NativeTarget, TargetOptions } from '../target.ts'
import { type EnvironmentName, findPython, presenceOf } from './environments.ts'
import { type Limits, openWorker } from './worker.ts'

const text = (options: TargetOptions | undefined, key: string): string | undefined => {
  const v = options?.[key]
  return typeof v === 'string' ? v : undefined
}
const count = (options: TargetOptions, key: string): number | undefined => {
  const v = options[key]
  if (v === undefined || v === null) return undefined
  if (typeof v !== 'number' || !(v > 0)) throw new InputError(`${key}: expected a positive number, got ${v}`)
  return v
}

/** Limits that a user set: `loadMs`, `runMs`, `memory` (bytes). */
export function limitsIn(options: TargetOptions): Limits {
  const [loadMs, runMs, memory] = [
    count(options, 'loadMs'),
    count(options, 'runMs'),
    count(options, 'memory'),
  ]
  return { ...(loadMs && { loadMs }), ...(runMs && { runMs }), ...(memory && { memory }) }
}

/** Frameworks that take tens of seconds to start on a busy machine. */
const heavy: ReadonlySet<EnvironmentName> = new Set(['tensorflow', 'torch'])

function pythonTarget(
  name: string,
  environment: EnvironmentName,
  formats: readonly string[],
  doc: string,
  variants: NativeTarget['variants'] = [{ name: '', options: {} }],
): NativeTarget {
  return {
    name,
    doc,
    variants,
    takes: (format) => formats.includes(format),
    presence: (options) => presenceOf(environment, text(options, 'python')),
    load: async (path: string, options: NativeOptions) => {
      const found = await findPython(environment, text(options, 'python'))
      if (found.python === undefined) throw new InputError(`${name}: ${found.reason}`)
      const executable = await openWorker({
        runtime: environment,
        python: found.python,
        path,
        options,
        limits: { loadMs: heavy.has(environment) ? 180_000 : 60_000, ...limitsIn(options) },
      })
      return { ...executable, facts: { version: found.version, ...executable.facts } }
    },
  }
}

export const nativeTargets: readonly NativeTarget[] = [
  pythonTarget('litert', 'litert', ['tflite'], "LiteRT, TensorFlow Lite's own runtime (ai-edge-litert)", [
    { name: 'default', options: { kernels: 'default' } },
    { name: 'builtin', options: { kernels: 'builtin' } },
    { name: 'reference', options: { kernels: 'reference' } },
  ]),
  pythonTarget(
    'tensorflow',
    'tensorflow',
    ['savedmodel', 'graphdef', 'hdf5', 'keras'],
    'TensorFlow and Keras: SavedModel folders, frozen graphs, .h5 and .keras files',
  ),
  pythonTarget(
    'torch',
    'torch',
    ['torchscript', 'pt2'],
    'PyTorch: TorchScript and exported programs (they hold code: needs --trust)',
  ),
  pythonTarget(
    'onnxruntime-python',
    'onnxruntime',
    ['onnx'],
    'onnxruntime for Python, on the ONNX file as it is',
    (['all', 'extended', 'basic', 'disabled'] as const).map((level) => ({ name: level, options: { level } })),
  ),
]
