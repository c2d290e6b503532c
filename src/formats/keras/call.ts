// What a Keras layer sees when it is called while a model is read, and the checked reading of the settings that layers share.

import { InputError, UnsupportedError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import type { Dim, ValueId } from '../../ir/types.ts'
import type { JsonObject } from '../json.ts'
import type { Sketch } from '../sketch.ts'

/** A value, or plain JSON, or a list of either, as layers are given them. */
export type Argument =
  | { readonly kind: 'value'; readonly value: ValueId; readonly mask: ValueId | null }
  | { readonly kind: 'constant'; readonly value: unknown }
  | { readonly kind: 'list'; readonly items: readonly Argument[] }

export type LayerCall = {
  readonly s: Sketch
  readonly className: string
  readonly name: string
  readonly config: JsonObject
  /** As the file states it, e.g. `2.15.0`; some defaults differ between 2 and 3. */
  readonly kerasVersion: string
  /** The tensors of the first argument. */
  readonly inputs: readonly ValueId[]
  /** For each input a bool value of shape [batch, time] that is false where a step is padding; null where there is none. */
  readonly masks: readonly (ValueId | null)[]
  /** Positional arguments after the first, and those given by name. */
  readonly rest: readonly Argument[]
  readonly named: ReadonlyMap<string, Argument>
  /** A weight by its name in the layer; `part` picks the layer inside a wrapper. Permuted once, shared by all calls. */
  weight(name: string, options?: WeightOptions): Tensor
  hasWeight(name: string, part?: string): boolean
  /** Calls a wrapped layer. */
  inner(layer: JsonObject, inputs: readonly ValueId[], masks?: readonly (ValueId | null)[]): LayerResult
}

export type WeightOptions = {
  readonly part?: string
  /** Order of the axes in the graph, e.g. [3, 2, 0, 1] for a kernel of height, width, input, output. */
  readonly permute?: readonly number[]
  /** The shape it must have in the file. */
  readonly shape?: readonly (number | null)[]
}

/** Outputs; the mask they carry on, null for none. Undefined: the first input's mask, unchanged. */
export type LayerResult = { readonly outputs: readonly ValueId[]; readonly mask?: ValueId | null }
export type Layer = (x: LayerCall) => LayerResult

/** A layer of one output that hands its input's mask on. */
export const passing =
  (f: (x: LayerCall) => ValueId): Layer =>
  (x) => ({ outputs: [f(x)] })

/** A layer of one output that uses up or drops the mask. */
export const ending =
  (f: (x: LayerCall) => ValueId): Layer =>
  (x) => ({ outputs: [f(x)], mask: null })

export const where = (x: LayerCall): string => `layer ${x.name} (${x.className})`

export function unsupported(x: LayerCall, what: string): never {
  throw new UnsupportedError(where(x), [{ op: what, count: 1 }])
}

export function input(x: LayerCall, i = 0): ValueId {
  const v = x.inputs[i]
  if (v === undefined)
    throw new InputError(`${where(x)}: expected at least ${i + 1} inputs, got ${x.inputs.length}`)
  return v
}

/** The input's shape; layers need to know its rank. */
export function shapeOf(x: LayerCall, value: ValueId): readonly Dim[] {
  const shape = x.s.shape(value)
  if (!shape) throw new InputError(`${where(x)}: the rank of its input is unknown`)
  return shape
}

/** A dimension that must be a number. */
export function fixed(x: LayerCall, d: Dim | undefined, what: string): number {
  if (typeof d !== 'number')
    throw new InputError(
      `${where(x)}: its ${what} must be known, got ${d ?? 'an open dimension'}. Fix the model's input shape.`,
    )
  return d
}

/** A setting of `rank` whole numbers, given as one number or a list. */
export function tuple(x: LayerCall, key: string, rank: number, absent?: number): number[] {
  const v = x.config.raw(key) ?? absent
  const list = typeof v === 'number' ? new Array<number>(rank).fill(v) : v
  if (!Array.isArray(list) || list.length !== rank || !list.every((n) => Number.isSafeInteger(n) && n >= 0))
    throw new InputError(`${where(x)}: ${key}, expected ${rank} whole numbers, got ${JSON.stringify(v)}`)
  return list
}

export const layoutOf = (x: LayerCall): 'channelsFirst' | 'channelsLast' =>
  x.config.string('data_format', 'channels_last') === 'channels_first' ? 'channelsFirst' : 'channelsLast'

/** The spatial dimensions of an activation. */
export const spatialOf = (shape: readonly Dim[], layout: string): readonly Dim[] =>
  layout === 'channelsLast' ? shape.slice(1, -1) : shape.slice(2)
