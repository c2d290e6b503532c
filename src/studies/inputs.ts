// Inputs for a model whose user gave none: seeded, of the right types, with indices that fit what they index.

import { InputError } from '../core/errors.ts'
import { type Rng, rng } from '../core/rng.ts'
import { sizeOf, type Tensor, tensorOf } from '../core/tensor.ts'
import { consumers } from '../ir/graph.ts'
import { type Graph, isStatic, printType, type ValueId } from '../ir/types.ts'

/** Exclusive upper limit of an integer input that is used as an index (token ids), else a small default. */
function indexLimit(graph: Graph, input: ValueId, readers: readonly (readonly number[])[]): number {
  // Casts and reshapes stand between the input and the table it indexes.
  const queue = [input]
  for (let steps = 0; queue.length && steps < 64; steps++) {
    const v = queue.shift()!
    for (const i of readers[v]!) {
      const n = graph.nodes[i]!
      if ((n.op === 'gather' || n.op === 'embedding') && n.inputs[1] === v) {
        const table = graph.values[n.inputs[0]!]!.type
        const axis = Number(n.attributes.axis ?? 0)
        if (table.kind === 'tensor' && table.shape) {
          const rows = table.shape.at(axis)
          if (typeof rows === 'number' && rows > 0) return rows
        }
      }
      if (
        ['cast', 'reshape', 'identity', 'transpose', 'squeeze', 'unsqueeze', 'expand', 'clamp'].includes(n.op)
      )
        queue.push(...n.outputs)
    }
  }
  return 10
}

function values(
  r: Rng,
  dtype: Tensor['dtype'],
  n: number,
  limit: number,
): (number | bigint | string | boolean)[] {
  const draw = (): number | bigint | string | boolean => {
    switch (dtype) {
      case 'uint8':
        return r.below(256)
      case 'int8':
        return r.below(256) - 128
      case 'bool':
        return r.next() < 0.5
      case 'string':
        return 'strata'
      case 'int64':
      case 'uint64':
        return BigInt(r.below(limit))
      case 'float64':
      case 'float32':
      case 'float16':
      case 'bfloat16':
        return r.next() * 2 - 1
      default:
        return r.below(limit)
    }
  }
  return Array.from({ length: n }, draw)
}

/** `count` sets of inputs: floats uniform in [−1, 1), bytes over their whole range, indices below the size of what they index. */
export function randomInputs(graph: Graph, count: number, seed: number): Tensor[][] {
  const readers = consumers(graph)
  const r = rng(seed)
  return Array.from({ length: count }, () =>
    graph.inputs.map((v) => {
      const { name, type } = graph.values[v]!
      if (type.kind !== 'tensor' || !isStatic(type.shape)) {
        throw new InputError(
          `input ${name}: its shape ${printType(type)} is open. Give the data (--data) or its dimensions (--dims).`,
        )
      }
      return tensorOf(
        type.dtype,
        type.shape,
        values(r, type.dtype, sizeOf(type.shape), indexLimit(graph, v, readers)),
      )
    }),
  )
}
