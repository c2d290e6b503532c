// Kernels that have a schedule, by shape: what is found for one convolution or product holds for every other of the same shape,
// whatever the node and the model are called.

import { BugError } from '../core/errors.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { type Graph, isStatic, type Node, type ValueId } from '../ir/types.ts'
import { compile } from './compile.ts'
import { densityOf } from './lower/sparse.ts'
import { defaultSchedule, type Engine, type Extent } from './schedule.ts'

const scheduled = /^(conv(Integer)?\dd|matMul(Integer)?)$/

/** The kernel's shape as one line of text; undefined for operators without a schedule. The graph must be static. */
function kernelKey(graph: Graph, n: Node): string | undefined {
  if (!scheduled.test(n.op)) return undefined
  const operand = (v: ValueId | null): string => {
    if (v === null) return 'none'
    const { type, constant } = graph.values[v]!
    if (type.kind !== 'tensor' || !isStatic(type.shape)) throw new BugError('kernel: an open shape')
    return `${type.dtype}[${type.shape.join('x')}]${constant ? '!' : ''}`
  }
  const words = [n.op, ...n.inputs.slice(0, 2).map(operand)]
  if (n.op.startsWith('conv')) {
    const { strides, pads, dilations, groups, layout } = n.attributes
    words.push(
      `strides ${strides}`,
      `pads ${pads}`,
      `dilations ${dilations}`,
      `groups ${groups}`,
      `${layout}`,
    )
    const filter = graph.values[n.inputs[1]!]!.constant
    const density = filter && filter.dtype === 'float32' ? densityOf(filter).density : 1
    if (density < 0.995) words.push(`density ${density.toFixed(2)}`)
  }
  return words.join(' ')
}

/** Shapes by node name. */
export function kernelKeys(graph: Graph): Map<string, string> {
  const keys = new Map<string, string>()
  for (const n of graph.nodes) {
    const key = kernelKey(graph, n)
    if (key !== undefined) keys.set(n.name, key)
  }
  return keys
}

export type Kernel = {
  readonly key: string
  /** Names of the nodes that it stands for. */
  readonly nodes: readonly string[]
  readonly extent: Extent
  /** Multiply-accumulates of one of them. */
  readonly macs: number
  /** One node called `kernel`, fed by a `relu` where that spares it the conversion of its input's memory order. */
  readonly graph: Graph
}

/** The kernels of a prepared graph that ask for a schedule, those of most work first. */
export function kernelsOf(graph: Graph, engine: Engine): Kernel[] {
  const extents = new Map<string, Extent>()
  compile(graph, {
    engine,
    schedule: (node, x) => {
      extents.set(node, x)
      return defaultSchedule(x, engine)
    },
  })
  const found = new Map<string, { nodes: Node[]; extent: Extent }>()
  for (const n of graph.nodes) {
    const [extent, key] = [extents.get(n.name), kernelKey(graph, n)]
    if (!extent || key === undefined) continue
    const known = found.get(key)
    if (known) known.nodes.push(n)
    else found.set(key, { nodes: [n], extent })
  }
  return [...found]
    .map(([key, { nodes, extent }]): Kernel => {
      const groups = Number(nodes[0]!.attributes.groups ?? 1)
      return {
        key,
        nodes: nodes.map((n) => n.name),
        extent,
        macs: extent.rows * extent.depth * extent.columns * groups,
        graph: alone(graph, nodes[0]!),
      }
    })
    .sort((a, b) => b.macs * b.nodes.length - a.macs * a.nodes.length)
}

function alone(graph: Graph, n: Node): Graph {
  const b = new GraphBuilder('kernel')
  const seen = new Map<ValueId, ValueId>()
  const inputs = n.inputs.map((v, i) => {
    if (v === null) return null
    let id = seen.get(v)
    if (id === undefined) {
      const { type, constant } = graph.values[v]!
      if (constant) id = b.constant(constant, `constant${i}`)
      else {
        id = b.input(`x${i}`, type)
        // Values between convolutions are kept in the order that the next one wants; a graph's inputs are row-major.
        if (i === 0 && n.op.startsWith('conv') && type.kind === 'tensor' && type.dtype === 'float32')
          id = b.node('relu', [id], {}, { name: 'before' })
      }
      seen.set(v, id)
    }
    return id
  })
  b.output(b.node(n.op, inputs, n.attributes, { name: 'kernel', outputs: ['y'] }))
  return b.finish()
}
