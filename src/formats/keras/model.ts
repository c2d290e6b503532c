// A Keras model (functional, sequential, nested, with shared layers) into a graph. Knows how layers are wired, not what they do
// (layers.ts) nor where weights lie (the caller's `weights`). Nothing from the file is ever executed.

import type { DType } from '../../core/dtype.ts'
import { InputError, type Unsupported, UnsupportedError } from '../../core/errors.ts'
import type { Tensor } from '../../core/tensor.ts'
import { GraphBuilder, prune } from '../../ir/graph.ts'
import { type Dim, type Graph, tensorType, type ValueId } from '../../ir/types.ts'
import { JsonObject } from '../json.ts'
import { permuted, Sketch } from '../sketch.ts'
import { activationName, activations } from './activations.ts'
import type { Argument, Layer, LayerResult, WeightOptions } from './call.ts'
import { layers } from './layers.ts'
import { operatorNamed } from './operators.ts'
import {
  type Call,
  type Given,
  type LayerRecord,
  type Ref,
  readLayers,
  readRefs,
  refsOf,
} from './topology.ts'

/** Where weights come from. `path` leads from the outermost model to the layer (and the part of a wrapper). */
export type KerasWeights = {
  find(path: readonly string[], name: string): Tensor | undefined
}

export type KerasOptions = {
  readonly where: string
  readonly weights: KerasWeights
  readonly kerasVersion: string
  /** Numbers for open dimensions by name (`batch`, `image_1`), where windows need them while reading. */
  readonly dims?: Readonly<Record<string, number>>
}

const modelClasses: ReadonlySet<string> = new Set(['Model', 'Functional', 'Sequential'])
/** Models nested deeper than this are refused. */
const MAX_NESTING = 32

const dtypes: Readonly<Record<string, DType>> = {
  float32: 'float32',
  float16: 'float16',
  float64: 'float64',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  bool: 'bool',
}

type Value = { readonly value: ValueId; readonly mask: ValueId | null }
type Site = { readonly path: readonly string[]; readonly depth: number }

const snake = (s: string): string => s.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase()

/** The layer's definition: by class, or for the operations of Keras 3 by module and class. */
function definitionOf(className: string, record: JsonObject | null): Layer | undefined {
  const module = record?.raw('module')
  if (typeof module === 'string' && /^keras\.src\.ops\./.test(module)) return operatorNamed(snake(className))
  return Object.hasOwn(layers, className) ? layers[className] : undefined
}

/** Reads `{ class_name, config }` of a model into a graph. */
export function readKeras(model: JsonObject, options: KerasOptions): Graph {
  refuseUnknown(model, options.where)
  const b = new GraphBuilder(modelConfig(model).string('name', 'model'))
  const reader = new Reader(new Sketch(b), options)
  for (const v of reader.model(model, null, { path: [], depth: 0 })) b.output(v.value)
  return prune(b.finish())
}

/** `config` of a model; in the oldest files of a sequential one it is the list of layers itself. */
const modelConfig = (model: JsonObject): JsonObject => {
  const raw = model.raw('config')
  return Array.isArray(raw)
    ? new JsonObject({ layers: raw }, `${model.where}.config`)
    : model.object('config')
}

/** Names every class and activation that isn't known, all at once. */
function refuseUnknown(model: JsonObject, where: string): void {
  const counts = new Map<string, number>()
  const count = (op: string): void => {
    counts.set(op, (counts.get(op) ?? 0) + 1)
  }
  const visit = (record: JsonObject, depth: number): void => {
    if (depth > MAX_NESTING) throw new InputError(`${record.where}: models nested deeper than ${MAX_NESTING}`)
    const className = record.string('class_name')
    if (modelClasses.has(className)) {
      for (const r of modelConfig(record).objects('layers')) visit(r, depth + 1)
      return
    }
    if (className === 'InputLayer') return
    const config = record.object('config')
    if (!definitionOf(className, record)) count(className === 'Lambda' ? 'Lambda (code)' : className)
    else if (className === 'TFOpLambda' && !operatorNamed(config.string('function')))
      count(config.string('function'))
    for (const key of ['activation', 'recurrent_activation']) {
      const name = activationName(config.raw(key))
      if (name !== null && name !== 'hard_sigmoid' && !Object.hasOwn(activations, name))
        count(`activation ${name}`)
    }
    for (const key of ['layer', 'backward_layer']) if (config.has(key)) visit(config.object(key), depth + 1)
  }
  visit(model, 0)
  if (counts.size) {
    const list: Unsupported[] = [...counts].map(([op, n]) => ({ op, count: n }))
    throw new UnsupportedError(where, list)
  }
}

class Reader {
  private readonly s: Sketch
  private readonly options: KerasOptions
  /** Weights as the graph has them, by layer and name, so that shared layers share them. */
  private readonly tensors = new Map<string, Tensor>()

  constructor(s: Sketch, options: KerasOptions) {
    this.s = s
    this.options = options
  }

  /** Adds a model's layers; `inputs` null makes graph inputs. */
  model(model: JsonObject, inputs: readonly Value[] | null, site: Site): Value[] {
    if (site.depth > MAX_NESTING)
      throw new InputError(`${model.where}: models nested deeper than ${MAX_NESTING}`)
    const config = modelConfig(model)
    return model.string('class_name') === 'Sequential'
      ? this.sequential(config, inputs, site)
      : this.functional(config, inputs, site)
  }

  private graphInput(name: string, config: JsonObject): Value {
    const raw =
      config.raw('batch_shape') ?? config.raw('batch_input_shape') ?? batched(config.raw('input_shape'))
    if (!Array.isArray(raw)) throw new InputError(`${config.where}: input ${name} has no shape`)
    const shape = raw.map((d, i): Dim => {
      if (d === null) {
        const symbol = i === 0 ? 'batch' : `${name}_${i}`
        return this.options.dims?.[symbol] ?? symbol
      }
      if (!Number.isSafeInteger(d) || d < 0)
        throw new InputError(`${config.where}: input ${name} of absurd shape ${JSON.stringify(raw)}`)
      return d
    })
    const type = dtypeName(config.raw('dtype')) ?? 'float32'
    const dtype = Object.hasOwn(dtypes, type) ? dtypes[type] : undefined
    if (!dtype) throw new UnsupportedError(this.options.where, [{ op: `input of type ${type}`, count: 1 }])
    return { value: this.s.b.input(name, tensorType(dtype, shape)), mask: null }
  }

  private sequential(config: JsonObject, inputs: readonly Value[] | null, site: Site): Value[] {
    let at: Value[] | null = inputs ? [...inputs] : null
    for (const record of config.objects('layers')) {
      const settings = record.object('config')
      const className = record.string('class_name')
      const name = settings.string('name', record.string('name', className))
      if (className === 'InputLayer') {
        at ??= [this.graphInput(name, settings)]
        continue
      }
      if (!at) {
        const first = modelClasses.has(className) ? null : withShape(settings, config)
        at = first ? [this.graphInput(`${name}_input`, first)] : null
      }
      at = this.call(record, name, { args: at ?? [], rest: [], named: new Map() }, site)
    }
    if (!at) throw new InputError(`${config.where}: a model without layers`)
    return at
  }

  private functional(config: JsonObject, inputs: readonly Value[] | null, site: Site): Value[] {
    const records = readLayers(config)
    const byName = new Map(records.map((r) => [r.name, r]))
    const names = new Set(byName.keys())
    const inputRefs = readRefs(config.raw('input_layers'), names, `${config.where}.input_layers`)
    const outputRefs = readRefs(config.raw('output_layers'), names, `${config.where}.output_layers`)
    const done = new Map<string, readonly Value[]>()
    if (inputs && inputs.length !== inputRefs.length)
      throw new InputError(
        `${config.where}: called with ${inputs.length} inputs, expected ${inputRefs.length}`,
      )
    inputRefs.forEach((r, i) => {
      const record = byName.get(r.layer)!
      done.set(keyOf(r), inputs ? [inputs[i]!] : [this.graphInput(r.layer, record.config)])
    })
    const offsets = callOffsets(records, outputRefs)
    for (const { record, index, call } of ordered(records, offsets, done)) {
      const at = (g: Given): Argument => argumentOf(g, done, config.where)
      const [first, ...rest] = call.args.map(at)
      const named = new Map([...call.named].map(([k, v]) => [k, at(v)] as const))
      const args = flatten(first)
      // A constant in the first place (`3 - x`) is the operand of that name.
      if (args.length === 0 && first?.kind === 'constant') named.set('0', first)
      done.set(
        keyOf({ layer: record.name, call: index }),
        this.call(record.record, record.name, { args, rest, named }, site),
      )
    }
    return outputRefs.map((r) => pick(done, r, config.where))
  }

  private call(
    record: JsonObject,
    name: string,
    given: { args: readonly Value[]; rest: readonly Argument[]; named: ReadonlyMap<string, Argument> },
    site: Site,
  ): Value[] {
    const className = record.string('class_name')
    const path = [...site.path, name]
    if (modelClasses.has(className)) return this.model(record, given.args, { path, depth: site.depth + 1 })
    const definition = definitionOf(className, record)
    if (!definition) throw new UnsupportedError(this.options.where, [{ op: className, count: 1 }])
    const before = this.s.enter(name)
    const result = definition({
      s: this.s,
      className,
      name,
      config: record.object('config'),
      kerasVersion: this.options.kerasVersion,
      inputs: given.args.map((a) => a.value),
      masks: given.args.map((a) => a.mask),
      rest: given.rest,
      named: given.named,
      weight: (weight, options = {}) => this.weight(path, weight, options),
      hasWeight: (weight, part) => this.find(path, weight, part) !== undefined,
      inner: (layer, inputs, masks = []): LayerResult => {
        const values = inputs.map((value, i) => ({ value, mask: masks[i] ?? null }))
        const out = this.call(
          layer,
          name,
          { args: values, rest: [], named: new Map() },
          { path: site.path, depth: site.depth + 1 },
        )
        return { outputs: out.map((o) => o.value), mask: out[0]?.mask ?? null }
      },
    })
    this.s.enter(before)
    const mask = result.mask === undefined ? (given.args[0]?.mask ?? null) : result.mask
    return result.outputs.map((value) => ({ value, mask }))
  }

  private find(path: readonly string[], name: string, part?: string): Tensor | undefined {
    return this.options.weights.find(part === undefined ? path : [...path, part], name)
  }

  private weight(path: readonly string[], name: string, options: WeightOptions): Tensor {
    const key = JSON.stringify([path, options.part, name, options.permute])
    const known = this.tensors.get(key)
    if (known) return known
    const t = this.find(path, name, options.part)
    const what = `${this.options.where}: layer ${path.at(-1)}: weight ${options.part ? `${options.part}/` : ''}${name}`
    if (!t)
      throw new InputError(`${what} is missing. The file's weights and its layers don't belong together.`)
    const { shape } = options
    if (shape && (shape.length !== t.shape.length || shape.some((d, i) => d !== null && d !== t.shape[i])))
      throw new InputError(`${what}: expected shape [${shape.map((d) => d ?? '?')}], got [${t.shape}]`)
    const made = options.permute ? permuted(t, options.permute) : t
    this.tensors.set(key, made)
    return made
  }
}

const batched = (shape: unknown): unknown => (Array.isArray(shape) ? [null, ...shape] : undefined)

/** Settings of a sequential model's first layer with a shape, from the layer or from how the model was built. */
function withShape(first: JsonObject, model: JsonObject): JsonObject | null {
  if (first.has('batch_input_shape') || first.has('batch_shape') || first.has('input_shape')) return first
  const built =
    model.raw('build_input_shape') ??
    (model.raw('build_config') as { input_shape?: unknown } | undefined)?.input_shape
  return Array.isArray(built)
    ? new JsonObject({ ...first.value, batch_input_shape: built }, first.where)
    : null
}

/** float32 from 'float32', a Keras 3 policy object or a mixed-precision policy's variable type. */
function dtypeName(raw: unknown): string | null {
  if (raw == null) return null
  if (typeof raw === 'string') return raw
  const name = (raw as { config?: { name?: unknown } }).config?.name
  return typeof name === 'string' ? name : null
}

const keyOf = (r: { layer: string; call: number }): string => `${r.call} ${r.layer}`

function pick(done: ReadonlyMap<string, readonly Value[]>, r: Ref, where: string): Value {
  const v = done.get(keyOf(r))?.[r.tensor]
  if (!v)
    throw new InputError(`${where}: output ${r.tensor} of call ${r.call} of layer ${r.layer} doesn't exist`)
  return v
}

function argumentOf(g: Given, done: ReadonlyMap<string, readonly Value[]>, where: string): Argument {
  if (g.kind === 'ref') return { kind: 'value', ...pick(done, g.ref, where) }
  if (g.kind === 'list') return { kind: 'list', items: g.items.map((i) => argumentOf(i, done, where)) }
  return g
}

const flatten = (a: Argument | undefined): Value[] =>
  a === undefined || a.kind === 'constant' ? [] : a.kind === 'value' ? [a] : a.items.flatMap(flatten)

/** A model inside a model is numbered from 1: its call 0 is its own making (Keras 2 and 3 count it, tfjs doesn't always). */
function callOffsets(records: readonly LayerRecord[], outputs: readonly Ref[]): Map<string, number> {
  const least = new Map<string, number>()
  const see = (r: Ref): void => {
    least.set(r.layer, Math.min(least.get(r.layer) ?? Number.POSITIVE_INFINITY, r.call))
  }
  for (const r of records) for (const c of r.calls) refsOf(c).forEach(see)
  outputs.forEach(see)
  return new Map(
    records.map((r) => [r.name, modelClasses.has(r.className) && (least.get(r.name) ?? 0) >= 1 ? 1 : 0]),
  )
}

/** Calls in an order in which every input is made first. */
function* ordered(
  records: readonly LayerRecord[],
  offsets: ReadonlyMap<string, number>,
  done: ReadonlyMap<string, unknown>,
): Generator<{ record: LayerRecord; index: number; call: Call }> {
  const waiting = new Map<string, { left: number; next: string[] }>()
  const calls = new Map<string, { record: LayerRecord; index: number; call: Call }>()
  for (const record of records) {
    record.calls.forEach((call, i) => {
      const index = i + (offsets.get(record.name) ?? 0)
      const key = keyOf({ layer: record.name, call: index })
      if (!done.has(key)) calls.set(key, { record, index, call })
    })
  }
  const entry = (key: string): { left: number; next: string[] } => {
    let e = waiting.get(key)
    if (!e) {
      e = { left: 0, next: [] }
      waiting.set(key, e)
    }
    return e
  }
  const ready: string[] = []
  for (const [key, c] of calls) {
    const needs = new Set(
      refsOf(c.call)
        .map(keyOf)
        .filter((k) => !done.has(k)),
    )
    for (const k of needs) entry(k).next.push(key)
    entry(key).left = needs.size
    if (needs.size === 0) ready.push(key)
  }
  let count = 0
  for (let i = 0; i < ready.length; i++) {
    const key = ready[i]!
    count++
    yield calls.get(key)!
    for (const k of entry(key).next) if (--entry(k).left === 0) ready.push(k)
  }
  if (count < calls.size) {
    const stuck = [...calls.values()].find(
      (c) => entry(keyOf({ layer: c.record.name, call: c.index })).left > 0,
    )!
    throw new InputError(`layer ${stuck.record.name}: its inputs are never made, or depend on itself`)
  }
}
