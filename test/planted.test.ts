// Faults planted in a file are found from the two files alone: a network of over a hundred nodes, written as ONNX, read back.

import { describe, expect, test } from 'vitest'
import { numbers, type Tensor, tensorOf } from '../src/core/tensor.ts'
import { readOnnx } from '../src/formats/onnx/read.ts'
import { writeOnnx } from '../src/formats/onnx/write.ts'
import { specialize } from '../src/ir/specialize.ts'
import type { Graph, Node } from '../src/ir/types.ts'
import { matchGraphs } from '../src/judges/match.ts'
import { randomInputs } from '../src/studies/inputs.ts'
import { openZoo } from '../src/zoo/zoo.ts'

const graph = specialize((await openZoo('nsfw-mobilenet-v2')).graph, { open: 1 })
const asFile = (g: Graph): Graph => readOnnx(writeOnnx(g), { where: 'written.onnx' })
const original = asFile(graph)
const sample = randomInputs(original, 1, 3)[0]!

/** The graph with one node changed. */
const changed = (g: Graph, node: Node, to: (n: Node) => Node): Graph => ({
  ...g,
  nodes: g.nodes.map((n) => (n === node ? to(n) : n)),
})
/** The graph with one constant changed. */
const reweighted = (g: Graph, value: number, to: (t: Tensor) => Tensor): Graph => ({
  ...g,
  values: g.values.map((v, i) => (i === value ? { ...v, constant: to(v.constant!) } : v)),
})
const nth = (op: string, n: number): Node => graph.nodes.filter((x) => x.op === op)[n]!
const scaled = (by: number) => (t: Tensor) =>
  tensorOf(
    t.dtype,
    t.shape,
    Array.from(numbers(t), (v) => v * by),
  )

/** What the two files alone tell: the file's node is named after the node that the fault was planted in. */
const faultsOf = (spoilt: Graph) => {
  const file = asFile(spoilt)
  return matchGraphs(original, file, sample, sample, { equal: 1e-4 }).faults.map((f) => ({
    node: file.nodes[f.blamed]!.name.split('/')[0],
    kind: f.kind,
    says: f.says.join('; '),
  }))
}

describe(`planted in ${graph.nodes.length} nodes`, () => {
  test('nothing planted, nothing found', () => {
    expect(graph.nodes.length).toBeGreaterThan(50)
    expect(faultsOf(graph)).toEqual([])
  })

  test('one weight tensor scaled by 1.02', () => {
    const node = nth('conv2d', 20)
    const found = faultsOf(reweighted(graph, node.inputs[1]!, scaled(1.02)))
    expect(found.map((f) => [f.node, f.kind])).toEqual([[node.name, 'node']])
    expect(found[0]!.says).toContain('scaled by 1.02')
  })

  test('one padding moved by a pixel', () => {
    const node = graph.nodes.find(
      (n) => n.op === 'conv2d' && (n.attributes.pads as number[]).every((p) => p === 1),
    )!
    const found = faultsOf(
      changed(graph, node, (n) => ({ ...n, attributes: { ...n.attributes, pads: [0, 1, 2, 1] } })),
    )
    expect(found.map((f) => [f.node, f.kind])).toEqual([[node.name, 'node']])
    expect(found[0]!.says).toContain('pads [0, 1, 2, 1] against [1, 1, 1, 1]')
  })

  test('a wrong epsilon', () => {
    const node = nth('batchNorm', 7)
    const found = faultsOf(
      changed(graph, node, (n) => ({ ...n, attributes: { ...n.attributes, epsilon: 0.1 } })),
    )
    expect(found.map((f) => [f.node, f.kind])).toEqual([[node.name, 'node']])
    expect(found[0]!.says).toContain('epsilon 0.1 against 0.001')
  })

  test('BGR for RGB is preprocessing', () => {
    const first = nth('conv2d', 0)
    const reversed = (t: Tensor): Tensor => {
      const v = numbers(t)
      const taps = t.shape[2]! * t.shape[3]!
      return tensorOf(
        t.dtype,
        t.shape,
        Array.from(v, (_, i) => v[i + (2 - 2 * (Math.floor(i / taps) % 3)) * taps]!),
      )
    }
    const found = faultsOf(reweighted(graph, first.inputs[1]!, reversed))
    expect(found.map((f) => f.kind)).toEqual(['preprocessing'])
    expect(found[0]!.says).toContain('BGR')
  })
})
