// TensorFlow's control flow: version 1 (Switch, Merge, Enter, NextIteration, Exit), version 2 (While, If, calls of functions),
// and the TensorLists that loops fill. A list that a loop writes once a turn at its counter becomes a stacked output of the
// loop; a list that it only reads is a tensor whose axis 0 is the time.

import { InputError, UnsupportedError } from '../../core/errors.ts'
import { integers, type Tensor } from '../../core/tensor.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import { type Graph, type Type, tensorType, type ValueId } from '../../ir/types.ts'
import { Sketch } from '../sketch.ts'
import type { NodeDef } from './graph.ts'
import { parseRef } from './graph.ts'
import { type Handler, type Item, input, type NodeCall, type Scope, tensorItem } from './scope.ts'

const refuse = (scope: Scope, op: string): never => {
  throw new UnsupportedError(scope.rules.where, [{ op, count: 1 }])
}

// TensorLists

const reserve: Handler = (x) => {
  const n = x.def.op === 'TensorListReserve' ? x.scope.follow(input(x, 1)) : null
  return [{ kind: 'reserved', count: typeof n?.[0] === 'number' ? n[0] : null }]
}

const getItem: Handler = (x) => {
  const list = x.items[0]
  if (list?.kind !== 'stacked') return refuse(x.scope, `${x.def.op} of a list that isn't filled`)
  return [tensorItem(x.s.node('gather', [list.value, input(x, 1)], { axis: 0 }))]
}

const setItem: Handler = (x) => {
  const list = x.items[0]
  if (list?.kind !== 'carried') return refuse(x.scope, `${x.def.op} outside a loop, or twice in a turn`)
  return [{ kind: 'written', slot: list.slot, index: input(x, 1), value: input(x, 2) }]
}

const stackList: Handler = (x) => {
  const list = x.items[0]
  if (list?.kind !== 'stacked') return refuse(x.scope, `${x.def.op} of a list that isn't filled`)
  return [tensorItem(list.value)]
}

export const listHandlers: Readonly<Record<string, Handler>> = {
  TensorListReserve: reserve,
  EmptyTensorList: reserve,
  TensorListFromTensor: (x) => [{ kind: 'stacked', value: input(x, 0) }],
  TensorListGetItem: getItem,
  TensorListSetItem: setItem,
  TensorListStack: stackList,
}

// Loops, whichever way the file writes them

/** A loop: what its states start from, and how the condition and the next states follow from states. */
type Loop = {
  readonly name: string
  readonly initial: readonly Item[]
  /** Values that never change, as the body and the condition see them. */
  readonly fixed: readonly (readonly [string, Item])[]
  condition(
    s: Sketch,
    states: readonly Item[],
    fixed: readonly (readonly [string, Item])[],
  ): { item: Item; scope: Scope }
  next(
    s: Sketch,
    states: readonly Item[],
    fixed: readonly (readonly [string, Item])[],
  ): { items: readonly Item[]; scope: Scope }
}

/** Adds a `loop` node and returns the final states. */
function addLoop(outer: Scope, loop: Loop): readonly Item[] {
  const { s } = outer
  const b = new GraphBuilder(`${loop.name}/body`)
  const body = new Sketch(b)
  body.enter('iteration')
  b.input('iteration', tensorType('int64', []))
  b.input('condition', tensorType('bool', []))

  // States are tensors that change; lists and what stays the same are passed otherwise.
  const stateValues: ValueId[] = []
  const captured: ValueId[] = []
  const stateInputs: (ValueId | null)[] = []
  const states: Item[] = loop.initial.map((item, slot) => {
    if (item.kind === 'tensor') {
      stateValues.push(item.value)
      const v = b.input(`state${slot}`, s.b.type(item.value))
      stateInputs.push(v)
      return tensorItem(v)
    }
    stateInputs.push(null)
    if (item.kind === 'reserved') return { kind: 'carried', slot }
    return item
  })
  const capture = (item: Item): Item => {
    if (item.kind !== 'tensor' && item.kind !== 'stacked') return item
    const t = s.b.constantOf(item.value)
    if (t) return { kind: item.kind, value: b.constant(t, s.b.nameOf(item.value)) }
    captured.push(item.value)
    return { kind: item.kind, value: b.input(s.b.nameOf(item.value), s.b.type(item.value)) }
  }
  const inside = states.map((item) => (item.kind === 'stacked' ? capture(item) : item))
  const fixed = loop.fixed.map(([name, item]) => [name, capture(item)] as const)

  const turn = loop.next(body, inside, fixed)
  const next = turn.items
  const go = loop.condition(
    body,
    next.map((item, i) => (item.kind === 'written' ? inside[i]! : item)),
    fixed,
  )
  b.output(go.scope.asValue(go.item, `${loop.name}: condition`))
  for (let i = 0; i < next.length; i++) {
    const v = stateInputs[i]
    if (v !== null && v !== undefined) b.output(turn.scope.asValue(next[i], `${loop.name}: state ${i}`))
  }
  // Lists that the body writes: the values of all turns, stacked.
  const lists: { slot: number; last: boolean }[] = []
  next.forEach((item, slot) => {
    if (item.kind === 'carried' || inside[slot]!.kind === 'stacked') {
      const same = item.kind === 'carried' ? item.slot === slot : sameItem(item, inside[slot]!)
      if (!same) refuse(outer, `a loop that exchanges its lists (${loop.name})`)
      return
    }
    if (item.kind !== 'written') return
    const start = loop.initial[slot]!
    const count = start.kind === 'reserved' ? start.count : null
    const at = counterOf(turn.scope, item.index, inside, next, s, loop.initial)
    const single = count === 1 && constantNumber(b.constantOf(item.index)) === 0
    if (item.slot !== slot || !(at || single))
      refuse(outer, `a loop that writes its list elsewhere than at its counter (${loop.name})`)
    b.output(item.value)
    lists.push({ slot, last: single && !at })
  })
  const graph: Graph = b.finish()

  const first = loop.condition(s, loop.initial, loop.fixed)
  const trips = tripCount(outer, loop, first.scope, first.item)
  const before = s.enter(loop.name)
  const max =
    trips === null
      ? null
      : s.b.constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(trips)) }, 'trips')
  const outputs = s.nodes(
    'loop',
    [max, first.scope.asValue(first.item, `${loop.name}: condition`), ...stateValues, ...captured],
    { body: graph, states: stateValues.length },
    stateValues.length + lists.length,
  )
  const refined = (v: ValueId): ValueId => {
    const t: Type = s.b.type(v)
    if (trips !== null && t.kind === 'tensor' && t.shape)
      s.b.refine(v, tensorType(t.dtype, [trips, ...t.shape.slice(1)]))
    return v
  }
  let k = 0
  const out = loop.initial.map((item, i): Item => {
    if (stateInputs[i] !== null) return tensorItem(outputs[k++]!)
    return item
  })
  lists.forEach(({ slot, last }, i) => {
    const stacked = refined(outputs[stateValues.length + i]!)
    out[slot] = { kind: 'stacked', value: last ? s.slice(stacked, 0, -1, null, 1, 'last') : stacked }
  })
  s.enter(before)
  return out
}

const sameItem = (a: Item, b: Item): boolean =>
  a.kind === b.kind && 'value' in a && 'value' in b && a.value === b.value

const constantNumber = (t: Tensor | undefined): number | null =>
  t && t.data.length === 1 && /int/.test(t.dtype) ? integers(t)[0]! : null

/** Whether an index is a state that starts at 0 and grows by 1 a turn. */
function counterOf(
  scope: Scope,
  index: ValueId,
  inside: readonly Item[],
  next: readonly Item[],
  outer: Sketch,
  initial: readonly Item[],
): boolean {
  const slot = inside.findIndex((i) => i.kind === 'tensor' && i.value === index)
  if (slot === -1) return false
  const start = initial[slot]
  const step = next[slot]
  if (start?.kind !== 'tensor' || step?.kind !== 'tensor') return false
  return constantNumber(outer.b.constantOf(start.value)) === 0 && growsByOne(scope, step.value, index)
}

function growsByOne(scope: Scope, next: ValueId, state: ValueId): boolean {
  const maker = scope.makerOf(next)
  if (maker?.op !== 'AddV2' && maker?.op !== 'Add') return false
  const values = maker.items.map((i) => (i.kind === 'tensor' ? i.value : -1))
  const other = values[0] === state ? values[1]! : values[1] === state ? values[0]! : -1
  return other >= 0 && constantNumber(scope.s.b.constantOf(other)) === 1
}

/** How often the body runs, where the condition compares a counter from 0 with a known number. */
function tripCount(outer: Scope, loop: Loop, scope: Scope, condition: Item): number | null {
  if (condition.kind !== 'tensor') return null
  const maker = scope.makerOf(condition.value)
  if (maker?.op !== 'Less' || maker.items.length !== 2) return null
  const [left, right] = maker.items
  if (left?.kind !== 'tensor' || right?.kind !== 'tensor') return null
  const from = constantNumber(outer.s.b.constantOf(left.value))
  const limit = scope.follow(right.value) ?? outer.follow(right.value)
  const slot = loop.initial.findIndex((i) => i.kind === 'tensor' && i.value === left.value)
  return from === 0 && slot !== -1 && typeof limit?.[0] === 'number' && limit[0] >= 0 ? limit[0] : null
}

// Version 1

type Frame = {
  readonly merges: {
    readonly merge: NodeDef
    readonly enter: NodeDef
    readonly back: NodeDef
    readonly switches: string[]
    exit: NodeDef | null
  }[]
  readonly constants: readonly NodeDef[]
  readonly condition: NodeDef
}

const dataInputs = (n: NodeDef): string[] => n.inputs.filter((i) => !i.startsWith('^'))
const firstInput = (n: NodeDef): string => {
  const first = dataInputs(n)[0]
  if (first === undefined) throw new InputError(`${n.where}: node ${n.name} (${n.op}) lacks its input`)
  return first
}
const nodeOf = (ref: string): string => parseRef(ref)?.node ?? ''

/** The loops of a set of nodes, by the names of their Exit nodes. */
export function findFrames(nodes: ReadonlyMap<string, NodeDef>, where: string): Map<string, Frame> {
  const byExit = new Map<string, Frame>()
  const enters = new Map<string, NodeDef[]>()
  const readers = new Map<string, NodeDef[]>()
  let any = false
  for (const n of nodes.values()) {
    if (n.op === 'Enter' || n.op === 'RefEnter') {
      any = true
      const frame = n.attributes.string('frame_name')
      enters.set(frame, [...(enters.get(frame) ?? []), n])
    }
  }
  if (!any) return byExit
  for (const n of nodes.values()) {
    for (const ref of dataInputs(n)) {
      const key = nodeOf(ref)
      const list = readers.get(key)
      if (list) list.push(n)
      else readers.set(key, [n])
    }
  }
  const readersOf = (name: string, ...ops: string[]): NodeDef[] =>
    (readers.get(name) ?? []).filter((n) => ops.includes(n.op))
  for (const [name, list] of enters) {
    const constants = list.filter((e) => e.attributes.bool('is_constant'))
    let condition: NodeDef | undefined
    const merges: Frame['merges'] = []
    for (const enter of list) {
      const merge = readersOf(enter.name, 'Merge')[0]
      if (!merge) {
        if (!constants.includes(enter)) constants.push(enter)
        continue
      }
      const back = dataInputs(merge)
        .map((r) => nodes.get(nodeOf(r)))
        .find((n) => n?.op === 'NextIteration')
      const switches = readersOf(merge.name, 'Switch')
      if (!back || switches.length === 0)
        throw new InputError(`${where}: loop ${name}: ${merge.name} has no way back`)
      condition ??= nodes.get(nodeOf(dataInputs(switches[0]!)[1] ?? ''))
      const exit = switches.flatMap((sw) => readersOf(sw.name, 'Exit'))[0] ?? null
      merges.push({ merge, enter, back, switches: switches.map((sw) => sw.name), exit })
    }
    if (condition?.op !== 'LoopCond') throw new InputError(`${where}: loop ${name} has no condition`)
    const frame: Frame = { merges, constants, condition }
    for (const m of merges) if (m.exit) byExit.set(m.exit.name, frame)
  }
  return byExit
}

/** The Exit nodes of one loop are made together. */
const finished = new WeakMap<Scope, Map<Frame, readonly Item[]>>()

/** How the end of a version-1 loop is made. */
export function exitRegion(
  def: NodeDef,
  frame: Frame,
  scope: Scope,
): { needs: readonly string[]; make: () => readonly Item[] } {
  const needs = [
    ...frame.merges.map((m) => firstInput(m.enter)),
    ...frame.constants.map((c) => firstInput(c)),
  ]
  return {
    needs,
    make: () => {
      const slot = frame.merges.findIndex((m) => m.exit?.name === def.name)
      const done = finished.get(scope) ?? new Map<Frame, readonly Item[]>()
      finished.set(scope, done)
      let items = done.get(frame)
      if (!items) {
        items = allItems(frame, scope, addLoop(scope, versionOne(def.name, frame, scope)))
        done.set(frame, items)
      }
      return [items[slot]!]
    },
  }
}

/** Whether a merge's next value is its own value: through Identity and Switch back to itself. */
function unchanged(m: Frame['merges'][number], nodes: ReadonlyMap<string, NodeDef>): boolean {
  let name = nodeOf(firstInput(m.back))
  for (let i = 0; i < 8; i++) {
    if (m.switches.includes(name)) return true
    const n = nodes.get(name)
    if (n?.op !== 'Identity') return false
    name = nodeOf(firstInput(n))
  }
  return false
}

function versionOne(name: string, frame: Frame, outer: Scope): Loop {
  // What never changes goes in as a captured value, so that weights stay constants.
  const still = frame.merges.map((m) => unchanged(m, outer.nodes))
  const moving = frame.merges.filter((_, i) => !still[i])
  const initialOf = (m: Frame['merges'][number]): Item => outer.resolve(firstInput(m.enter))
  const fixed = [
    ...frame.constants.map((c) => [c.name, outer.resolve(firstInput(c))] as const),
    ...frame.merges.filter((_, i) => still[i]).map((m) => [m.merge.name, initialOf(m)] as const),
  ]
  const switchesOf = new Map(frame.merges.map((m) => [m.merge.name, m.switches]))
  const bindings = (
    states: readonly Item[],
    given: readonly (readonly [string, Item])[],
  ): [string, readonly Item[]][] => {
    const bound: [string, readonly Item[]][] = []
    const bind = (merge: string, item: Item): void => {
      bound.push([merge, [item]])
      for (const sw of switchesOf.get(merge) ?? []) bound.push([sw, [item, item]])
    }
    moving.forEach((m, i) => {
      bind(m.merge.name, states[i]!)
    })
    for (const [n, item] of given) bind(n, item)
    return bound
  }
  return {
    name,
    initial: moving.map(initialOf),
    fixed,
    condition(s, states, given) {
      const scope = outer.inner(s, outer.nodes, bindings(states, given))
      return { item: scope.resolve(firstInput(frame.condition)), scope }
    },
    next(s, states, given) {
      const scope = outer.inner(s, outer.nodes, bindings(states, given))
      return { items: moving.map((m) => scope.resolve(firstInput(m.back))), scope }
    },
  }
}

/** Items of all merges in the frame's order from those that move. */
function allItems(frame: Frame, outer: Scope, moved: readonly Item[]): readonly Item[] {
  let k = 0
  return frame.merges.map((m) =>
    unchanged(m, outer.nodes) ? outer.resolve(firstInput(m.enter)) : moved[k++]!,
  )
}

// Version 2

const functionOf = (x: NodeCall, attribute: string) => {
  const name = x.a.func(attribute)
  const f = x.scope.rules.def.functions.get(name)
  if (!f) throw new InputError(`function ${name} doesn't exist`)
  return f
}

/** Reads a function's body with the given arguments into a sketch. */
function callFunction(
  x: NodeCall,
  f: ReturnType<typeof functionOf>,
  s: Sketch,
  args: readonly Item[],
): { items: readonly Item[]; scope: Scope } {
  if (f.inputs.length !== args.length)
    throw new InputError(`function ${f.name} takes ${f.inputs.length} arguments, got ${args.length}`)
  const scope = x.scope.inner(
    s,
    f.nodes,
    f.inputs.map((n, i) => [n, [args[i]!]] as const),
  )
  const items = f.outputs.map((o) => scope.resolve(f.ret.get(o) ?? o))
  return { items, scope }
}

const whileLoop: Handler = (x) => {
  const [cond, body] = [functionOf(x, 'cond'), functionOf(x, 'body')]
  return addLoop(x.scope, {
    name: x.def.name,
    initial: x.items,
    fixed: [],
    condition: (s, states) => {
      const { items, scope } = callFunction(x, cond, s, states)
      return { item: items[0]!, scope }
    },
    next: (s, states) => callFunction(x, body, s, states),
  })
}

const branch: Handler = (x) => {
  const { s } = x
  const args = x.items.slice(1)
  const bodyOf = (attribute: string): { graph: Graph; count: number } => {
    const b = new GraphBuilder(`${x.def.name}/${attribute}`)
    const inner = args.map((item): Item => {
      const v = x.scope.asValue(item, `${x.def.where}: argument`)
      return tensorItem(b.input(s.b.nameOf(v), s.b.type(v)))
    })
    const { items, scope } = callFunction(x, functionOf(x, attribute), new Sketch(b), inner)
    for (const item of items) b.output(scope.asValue(item, `${x.def.where}: result`))
    return { graph: b.finish(), count: items.length }
  }
  const [yes, no] = [bodyOf('then_branch'), bodyOf('else_branch')]
  const condition =
    x.s.dtype(input(x, 0)) === 'bool' ? input(x, 0) : x.s.cast(input(x, 0), 'bool', 'condition')
  return s
    .nodes(
      'if',
      [condition, ...args.map((i) => x.scope.asValue(i, x.def.where))],
      { whenTrue: yes.graph, whenFalse: no.graph },
      yes.count,
    )
    .map(tensorItem)
}

const inline: Handler = (x) => callFunction(x, functionOf(x, 'f'), x.s, x.items).items

export const controlHandlers: Readonly<Record<string, Handler>> = {
  ...listHandlers,
  While: whileLoop,
  StatelessWhile: whileLoop,
  If: branch,
  StatelessIf: branch,
  PartitionedCall: inline,
  StatefulPartitionedCall: inline,
  TensorListLength: (x) => {
    const list = x.items[0]
    const n =
      list?.kind === 'stacked' ? x.s.shape(list.value)?.[0] : list?.kind === 'reserved' ? list.count : null
    if (typeof n !== 'number') return refuse(x.scope, x.def.op)
    return [tensorItem(x.s.b.constant({ dtype: 'int32', shape: [], data: Int32Array.of(n) }, x.def.name))]
  },
}
