// A Keras topology as plain data: which layer is called on what. Reads the two ways in which Keras 2 and 3 write calls.

import { InputError } from '../../core/errors.ts'
import { JsonObject } from '../json.ts'

/** The k-th output of the n-th call of a layer. */
export type Ref = { readonly layer: string; readonly call: number; readonly tensor: number }

export type Given =
  | { readonly kind: 'ref'; readonly ref: Ref }
  | { readonly kind: 'constant'; readonly value: unknown }
  | { readonly kind: 'list'; readonly items: readonly Given[] }

export type Call = { readonly args: readonly Given[]; readonly named: ReadonlyMap<string, Given> }

export type LayerRecord = {
  readonly name: string
  readonly className: string
  readonly config: JsonObject
  readonly record: JsonObject
  readonly calls: readonly Call[]
}

const ref = (v: unknown, names: ReadonlySet<string>): Ref | null =>
  Array.isArray(v) &&
  v.length >= 3 &&
  typeof v[0] === 'string' &&
  names.has(v[0]) &&
  Number.isInteger(v[1]) &&
  Number.isInteger(v[2])
    ? { layer: v[0], call: v[1] as number, tensor: v[2] as number }
    : null

/** Deepest nesting of lists in a call's arguments. */
const MAX_DEPTH = 16

/** An argument of a call: a Keras 3 tensor object, a Keras 2 triple, a list of arguments, or a constant. */
function given(v: unknown, names: ReadonlySet<string>, where: string, depth = 0): Given {
  if (depth > MAX_DEPTH) throw new InputError(`${where}: arguments nested deeper than ${MAX_DEPTH}`)
  if (Array.isArray(v)) {
    const r = v.length === 3 ? ref(v, names) : null
    if (r) return { kind: 'ref', ref: r }
    if (v[0] === '_CONSTANT_VALUE') return { kind: 'constant', value: v[2] }
    return { kind: 'list', items: v.map((i) => given(i, names, where, depth + 1)) }
  }
  if (typeof v === 'object' && v !== null && 'class_name' in v && v.class_name === '__keras_tensor__') {
    const history = new JsonObject(v, where).object('config').list('keras_history')
    const r = ref(history, names)
    if (!r)
      throw new InputError(`${where}: refers to ${JSON.stringify(history)}, which is no layer of the model`)
    return { kind: 'ref', ref: r }
  }
  // The wrapper that Keras 3 puts around slices and constants.
  if (typeof v === 'object' && v !== null && 'class_name' in v && v.class_name === '__slice__') {
    return { kind: 'constant', value: (v as { config?: unknown }).config }
  }
  return { kind: 'constant', value: v }
}

/** Keras 2: a call is a list of [layer, call, tensor, named], or that quadruple itself where there is one tensor. */
function callOfList(node: readonly unknown[], names: ReadonlySet<string>, where: string): Call {
  const quadruples = (typeof node[0] === 'string' ? [node] : node) as readonly unknown[]
  const named = new Map<string, Given>()
  const items = quadruples.map((q): Given => {
    if (!Array.isArray(q))
      throw new InputError(`${where}: expected [layer, call, tensor], got ${JSON.stringify(q)}`)
    const extra = q[3]
    if (typeof extra === 'object' && extra !== null) {
      for (const [k, v] of Object.entries(extra)) named.set(k, given(v, names, `${where}.${k}`))
    }
    if (q[0] === '_CONSTANT_VALUE') return { kind: 'constant', value: q[2] }
    const r = ref(q, names)
    if (!r)
      throw new InputError(`${where}: refers to ${JSON.stringify(q[0])}, which is no layer of the model`)
    return { kind: 'ref', ref: r }
  })
  return { args: [items.length === 1 ? items[0]! : { kind: 'list', items }], named }
}

/** Keras 3: { args, kwargs }. */
function callOfObject(node: JsonObject, names: ReadonlySet<string>): Call {
  const named = new Map<string, Given>()
  if (node.has('kwargs')) {
    for (const [k, v] of Object.entries(node.object('kwargs').value))
      named.set(k, given(v, names, `${node.where}.kwargs.${k}`))
  }
  return { args: node.list('args').map((a, i) => given(a, names, `${node.where}.args[${i}]`)), named }
}

/** The layers of a functional model. */
export function readLayers(config: JsonObject): LayerRecord[] {
  const records = config.objects('layers')
  const nameOf = (r: JsonObject): string => r.string('name', r.object('config').string('name', ''))
  const names = new Set(records.map(nameOf))
  if (names.size !== records.length)
    throw new InputError(`${config.where}.layers: two layers have the same name`)
  return records.map((record) => ({
    name: nameOf(record),
    className: record.string('class_name'),
    config: record.object('config'),
    record,
    calls: (record.has('inbound_nodes') ? record.list('inbound_nodes') : []).map((node, i) => {
      const where = `${record.where}.inbound_nodes[${i}]`
      return Array.isArray(node)
        ? callOfList(node, names, where)
        : callOfObject(new JsonObject(node, where), names)
    }),
  }))
}

/** The tensors named by `input_layers` or `output_layers`: one triple, or lists and objects of them. */
export function readRefs(raw: unknown, names: ReadonlySet<string>, where: string, depth = 0): Ref[] {
  if (depth > MAX_DEPTH) throw new InputError(`${where}: nested deeper than ${MAX_DEPTH}`)
  const r = ref(raw, names)
  if (r) return [r]
  if (typeof raw === 'object' && raw !== null) {
    return Object.values(raw).flatMap((v) => readRefs(v, names, where, depth + 1))
  }
  throw new InputError(`${where}: expected [layer, call, tensor], got ${JSON.stringify(raw) ?? 'nothing'}`)
}

/** All references of a call. */
export function refsOf(call: Call): Ref[] {
  const refs: Ref[] = []
  const visit = (g: Given): void => {
    if (g.kind === 'ref') refs.push(g.ref)
    else if (g.kind === 'list') for (const i of g.items) visit(i)
  }
  for (const a of call.args) visit(a)
  for (const a of call.named.values()) visit(a)
  return refs
}
