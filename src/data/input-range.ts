// What a network's own first operators say about the values it wants: many networks scale their input themselves.

import { integers, numbers, type Tensor } from '../core/tensor.ts'
import { consumers } from '../ir/graph.ts'
import type { Graph, Node, ValueId } from '../ir/types.ts'

/** Operators that a picture passes unchanged on its way to the first arithmetic. */
const passes = new Set([
  'cast',
  'transpose',
  'reshape',
  'identity',
  'quantizeLinear',
  'dequantizeLinear',
  'squeeze',
  'unsqueeze',
])

/**
 * The range that an input must have for the arithmetic at its start to make sense: `bytes` (0 to 255) where it is first
 * multiplied by less than 1/25, divided by more than 25 or shifted by more than 25; `unit` (0 to 1) where it is doubled.
 * Undefined where the network begins otherwise.
 */
export function inputRange(graph: Graph, input: ValueId): 'bytes' | 'unit' | undefined {
  const users = consumers(graph)
  let value = input
  for (let steps = 0; steps < 8; steps++) {
    const next = users[value] ?? []
    const node = next.length === 1 ? graph.nodes[next[0]!] : undefined
    if (!node) return undefined
    const found = arithmetic(graph, node, value)
    if (found) return found
    if (!passes.has(node.op) || node.inputs[0] !== value) return undefined
    value = node.outputs[0]!
  }
  return undefined
}

function arithmetic(graph: Graph, node: Node, value: ValueId): 'bytes' | 'unit' | undefined {
  if (node.inputs.length !== 2 || node.inputs[0] === node.inputs[1]) return undefined
  const other = node.inputs[0] === value ? node.inputs[1] : node.inputs[0]
  const constant = other === null || other === undefined ? undefined : graph.values[other]?.constant
  const size = constant && largest(constant)
  if (size === undefined) return undefined
  switch (node.op) {
    case 'mul':
      return size < 1 / 25 ? 'bytes' : size === 2 ? 'unit' : undefined
    case 'div':
      return node.inputs[0] !== value ? undefined : size > 25 ? 'bytes' : size === 0.5 ? 'unit' : undefined
    case 'sub':
    case 'add':
      return size > 25 ? 'bytes' : undefined
    default:
      return undefined
  }
}

/** The largest magnitude of at most four numbers: one for all channels, or one a channel. */
function largest(t: Tensor): number | undefined {
  if (t.dtype === 'string' || t.data.length < 1 || t.data.length > 4) return undefined
  const values = t.dtype.startsWith('int') ? integers(t) : numbers(t)
  return Math.max(...Array.from(values, Math.abs))
}
