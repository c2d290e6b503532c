// Every target there is. A new one is a line here.

import { InputError } from '../core/errors.ts'
import { c } from './c.ts'
import { devices } from './device.ts'
import { onnxruntime } from './onnxruntime.ts'
import { onnxruntimeWeb } from './onnxruntime-web.ts'
import { pythonPeers } from './python/peers.ts'
import { reference } from './reference.ts'
import type { Target, TargetOptions } from './target.ts'
import { tfjs } from './tfjs.ts'
import { wasm } from './wasm.ts'

export { nativeTargets } from './python/native.ts'

/** Targets that run a graph. */
export const targets: readonly Target[] = [
  reference,
  wasm,
  c,
  onnxruntime,
  onnxruntimeWeb,
  tfjs,
  ...pythonPeers,
  ...devices,
]

export type Chosen = { readonly target: Target; readonly variant: string; readonly options: TargetOptions }

/** The variants that `NAME` (all of that target) or `NAME:VARIANT` stands for. */
export function chooseTargets(text: string): Chosen[] {
  const [name, variant] = text.split(':')
  const target = targets.find((t) => t.name === name)
  if (!target) {
    throw new InputError(`target ${text}: no such target, expected ${targets.map((t) => t.name).join(', ')}`)
  }
  const chosen = target.variants.filter((v) => (variant === undefined ? !v.onRequest : v.name === variant))
  if (chosen.length === 0) {
    const names = target.variants.map((v) => v.name).filter(Boolean)
    throw new InputError(
      `target ${text}: ${name} has ${names.length ? `the variants ${names.join(', ')}` : 'no variants'}, got ${variant}`,
    )
  }
  return chosen.map((v) => ({ target, variant: v.name, options: v.options }))
}
