// Conditions of TensorFlow's version 1: Switch sends a value one of two ways, Merge takes whichever arrives. A Merge becomes an
// `if` whose bodies hold what lies between the switches and it.

import { InputError, UnsupportedError } from '../../core/errors.ts'
import { GraphBuilder } from '../../ir/graph.ts'
import type { Graph, ValueId } from '../../ir/types.ts'
import { Sketch } from '../sketch.ts'
import { type NodeDef, parseRef } from './graph.ts'
import { type Item, type Scope, tensorItem } from './scope.ts'

const dataInputs = (n: NodeDef): string[] => n.inputs.filter((i) => !i.startsWith('^'))

/** The node that a reference comes from, seen through Identity. */
function sourceOf(ref: string, nodes: ReadonlyMap<string, NodeDef>): string {
  let name = parseRef(ref)?.node ?? ''
  for (let i = 0; i < 16; i++) {
    const n = nodes.get(name)
    if (n?.op !== 'Identity') return name
    name = parseRef(dataInputs(n)[0] ?? '')?.node ?? ''
  }
  return name
}

const predicateOf = (n: NodeDef, nodes: ReadonlyMap<string, NodeDef>): string =>
  sourceOf(dataInputs(n)[1] ?? '', nodes)

/** Switches that a value comes through first, with the side that it takes of each; control inputs count too. */
function switchesBehind(
  ref: string,
  nodes: ReadonlyMap<string, NodeDef>,
): { node: NodeDef; side: number; control: boolean }[] {
  const found: { node: NodeDef; side: number; control: boolean }[] = []
  const seen = new Set<string>()
  const path = [{ ref, control: false }]
  while (path.length) {
    const { ref: at, control } = path.pop()!
    const r = parseRef(at.replace(/^\^/, ''))
    if (!r || seen.has(`${r.node}:${r.output}`)) continue
    seen.add(`${r.node}:${r.output}`)
    const n = nodes.get(r.node)
    if (!n) continue
    if (n.op === 'Switch') found.push({ node: n, side: r.output, control })
    else for (const i of n.inputs) path.push({ ref: i, control: control || i.startsWith('^') })
  }
  return found
}

/** How a Merge that ends no loop is made. */
export function mergeRegion(
  def: NodeDef,
  scope: Scope,
): { needs: readonly string[]; make: () => readonly Item[] } {
  const { nodes } = scope
  const inputs = dataInputs(def)
  if (inputs.length !== 2 || inputs.some((i) => nodes.get(parseRef(i)?.node ?? '')?.op === 'NextIteration'))
    throw new InputError(`${scope.rules.where}: ${def.where}: expected two branches`)
  const behind = inputs.map((i) => switchesBehind(i, nodes))
  // The condition that both branches come through, one on each side.
  const all = behind.flat()
  const predicate = all
    .map((s) => predicateOf(s.node, nodes))
    .find((p) => {
      const sides = behind.map((list) => list.find((s) => predicateOf(s.node, nodes) === p)?.side)
      return sides[0] !== sides[1] && sides.some((s) => s !== undefined)
    })
  const first = all.find((s) => predicateOf(s.node, nodes) === predicate)?.node
  if (predicate === undefined || !first)
    throw new UnsupportedError(scope.rules.where, [{ op: `${def.op} without a Switch before it`, count: 1 }])
  const sideOf = (k: number): number | undefined =>
    behind[k]!.find((s) => predicateOf(s.node, nodes) === predicate)?.side
  const whenTrue = sideOf(0) === 1 || sideOf(1) === 0 ? 0 : 1
  const own = (k: number): NodeDef[] => [
    ...new Set(
      behind[k]!.filter((s) => !s.control && predicateOf(s.node, nodes) === predicate).map((s) => s.node),
    ),
  ]
  const used = [...new Set([...own(0), ...own(1)])]
  const condition = dataInputs(first)[1]!
  return {
    needs: [condition, ...used.map((n) => dataInputs(n)[0]!)],
    make: () => {
      const { s } = scope
      const captured: ValueId[] = used.map((n) => scope.value(dataInputs(n)[0]!))
      const bodyOf = (k: number): Graph => {
        const b = new GraphBuilder(`${def.name}/${k === whenTrue ? 'true' : 'false'}`)
        const bound = used.map((n, i): [string, readonly Item[]] => {
          const item = tensorItem(b.input(s.b.nameOf(captured[i]!), s.b.type(captured[i]!)))
          return [n.name, [item, item]]
        })
        const inner = scope.inner(new Sketch(b), nodes, bound)
        b.output(inner.value(inputs[k]!))
        return b.finish()
      }
      const before = s.enter(def.name)
      const out = s.node('if', [scope.value(condition), ...captured], {
        whenTrue: bodyOf(whenTrue),
        whenFalse: bodyOf(1 - whenTrue),
      })
      s.enter(before)
      return [tensorItem(out)]
    },
  }
}
