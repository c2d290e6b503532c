// Which weight of a layers model belongs to which layer: their names carry the layer's, with or without the models around it,
// and for cells of recurrent layers some more.

import { InputError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import type { KerasWeights } from '../keras/model.ts'

/** Weights by the last part of their names. */
export function kerasWeights(weights: ReadonlyMap<string, Tensor>): KerasWeights {
  const parsed = [...weights].map(([name, tensor]) => ({
    name,
    tensor,
    parts: name.replace(/:\d+$/, '').split('/'),
  }))
  const byLayer = new Map<string, typeof parsed>()
  for (const w of parsed) {
    for (const part of new Set(w.parts.slice(0, -1))) {
      const list = byLayer.get(part)
      if (list) list.push(w)
      else byLayer.set(part, [w])
    }
  }
  return {
    find(path, name) {
      const suffix = name.split('/')
      // The layer, then a part of it (`forward_lstm`); models around them may be left out of the name.
      for (let depth = path.length; depth > 0; depth--) {
        const layer = path.slice(path.length - depth)
        const found = (byLayer.get(layer[0]!) ?? []).filter(
          (w) => endsWith(w.parts, suffix) && inOrder(w.parts.slice(0, -suffix.length), layer),
        )
        const exact = found.filter((w) => w.parts.length === layer.length + suffix.length)
        const hit = exact.length ? exact : found
        if (hit.length > 1)
          throw new InputError(
            `weights: ${hit.map((w) => w.name).join(' and ')} could all be ${[...path, name].join('/')}`,
          )
        if (hit.length === 1) return hit[0]!.tensor
      }
      return undefined
    },
  }
}

const endsWith = (parts: readonly string[], suffix: readonly string[]): boolean =>
  parts.length > suffix.length && suffix.every((s, i) => parts[parts.length - suffix.length + i] === s)

/** Whether `some` stand in `parts` in this order. */
function inOrder(parts: readonly string[], some: readonly string[]): boolean {
  let at = 0
  for (const p of parts) if (p === some[at]) at++
  return at === some.length
}
