// The verifier: a table of what must hold of every graph. Runs after every reader and between passes.

import { productOf, sizeOf } from '../core/tensor.ts'
import { inferNode } from './graph.ts'
import { opNamed } from './ops/index.ts'
import { type Graph, isGraph, printType, type Type } from './types.ts'

export type Problem = { readonly check: string; readonly where: string; readonly what: string }
type Check = (graph: Graph, report: (where: string, what: string) => void) => void

const inRange = (graph: Graph, v: number): boolean => Number.isInteger(v) && v >= 0 && v < graph.values.length

const checks: Record<string, Check> = {
  'every value that is named exists': (graph, report) => {
    for (const v of [...graph.inputs, ...graph.outputs])
      if (!inRange(graph, v)) report(graph.name, `value ${v} doesn't exist`)
    for (const n of graph.nodes) {
      for (const v of [...n.inputs, ...n.outputs])
        if (v !== null && !inRange(graph, v)) report(n.name, `value ${v} doesn't exist`)
    }
  },
  'every value is made once, before it is used': (graph, report) => {
    const made = new Set<number>(graph.inputs)
    graph.values.forEach((v, i) => {
      if (!v.constant) return
      if (made.has(i)) report(v.name, 'is both an input and a constant')
      made.add(i)
    })
    for (const n of graph.nodes) {
      for (const v of n.inputs)
        if (v !== null && !made.has(v)) report(n.name, `uses ${graph.values[v]?.name ?? v} before it is made`)
      for (const v of n.outputs) {
        if (made.has(v)) report(n.name, `makes ${graph.values[v]?.name ?? v} a second time`)
        made.add(v)
      }
    }
    for (const v of graph.outputs)
      if (!made.has(v)) report(graph.name, `output ${graph.values[v]?.name ?? v} is never made`)
  },
  'names are unique': (graph, report) => {
    for (const [what, names] of [
      ['value', graph.values.map((v) => v.name)],
      ['node', graph.nodes.map((n) => n.name)],
    ] as const) {
      const seen = new Set<string>()
      for (const n of names) {
        if (seen.has(n)) report(n, `two ${what}s have this name`)
        seen.add(n)
      }
    }
  },
  'constants fill their shapes': (graph, report) => {
    for (const v of graph.values) {
      const t = v.constant && (productOf(v.constant)?.of ?? v.constant)
      if (t && t.data.length !== sizeOf(t.shape))
        report(v.name, `shape [${t.shape}] but ${t.data.length} elements`)
    }
  },
  'operators are known and take what they are given': (graph, report) => {
    for (const n of graph.nodes) {
      const op = opNamed(n.op)
      if (!op) {
        report(n.name, `no operator ${n.op}`)
        continue
      }
      if (n.inputs.length < op.inputs[0] || n.inputs.length > op.inputs[1])
        report(n.name, `${n.op} takes ${op.inputs[0]} to ${op.inputs[1]} inputs, got ${n.inputs.length}`)
      for (const name of Object.keys(n.attributes))
        if (!(name in (op.attributes ?? {}))) report(n.name, `${n.op} has no attribute ${name}`)
    }
  },
  'types agree with inference': (graph, report) => {
    for (const n of graph.nodes) {
      const op = opNamed(n.op)
      if (
        !op ||
        n.inputs.some((v) => v !== null && !inRange(graph, v)) ||
        n.outputs.some((v) => !inRange(graph, v))
      )
        continue
      let types: readonly Type[]
      try {
        types = inferNode(
          n.op,
          op,
          {
            inputs: n.inputs.map((v) => (v === null ? null : graph.values[v]!.type)),
            constants: n.inputs.map((v) => (v === null ? null : (graph.values[v]!.constant ?? null))),
            attributes: n.attributes,
            outputs: n.outputs.length,
          },
          `node ${n.name}`,
        )
      } catch (e) {
        report(n.name, (e as Error).message)
        continue
      }
      n.outputs.forEach((v, i) => {
        const t = types[i]
        const have = graph.values[v]!.type
        if (!t) report(n.name, `has no output ${i}`)
        else if (!compatible(t, have))
          report(n.name, `output ${i}: inferred ${printType(t)}, the graph says ${printType(have)}`)
      })
    }
  },
  'bodies are valid': (graph, report) => {
    for (const n of graph.nodes) {
      for (const a of Object.values(n.attributes))
        if (isGraph(a)) for (const p of verify(a)) report(`${n.name}/${p.where}`, p.what)
    }
  },
}

/** Two statements about one value that don't contradict each other. */
function compatible(a: Type, b: Type): boolean {
  if (a.kind !== 'tensor' || b.kind !== 'tensor')
    return a.kind === b.kind || a.kind === 'optional' || b.kind === 'optional'
  if (a.dtype !== b.dtype) return false
  if (!a.shape || !b.shape) return true
  return (
    a.shape.length === b.shape.length &&
    a.shape.every((d, i) => typeof d !== 'number' || typeof b.shape![i] !== 'number' || d === b.shape![i])
  )
}

/** All that is wrong with the graph; empty when nothing is. */
export function verify(graph: Graph): Problem[] {
  const problems: Problem[] = []
  for (const [check, run] of Object.entries(checks))
    run(graph, (where, what) => problems.push({ check, where, what }))
  return problems
}
