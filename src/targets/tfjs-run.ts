// Runs a graph eagerly in TensorFlow.js, node by node, as its own graph executor does. Values are freed after their last use.

import type * as Tf from '@tensorflow/tfjs'
import { type DType, isBig } from '../core/dtype.ts'
import { BugError, InputError } from '../core/errors.ts'
import { numbers, type Tensor, zeros } from '../core/tensor.ts'
import { checkInputs } from '../ir/evaluate.ts'
import { type Datum, type Graph, isTensor, type Node, type ValueId } from '../ir/types.ts'
import type { NodeTime } from './target.ts'
import { plain } from './tfjs-elementwise.ts'
import { type Cell, isCell, type KernelCall, type T } from './tfjs-kernel.ts'
import { type Backend, rowOf } from './tfjs-table.ts'

type Plan = {
  readonly graph: Graph
  /** Values that nothing needs after node i. */
  readonly freed: readonly (readonly ValueId[])[]
  readonly constants: Map<ValueId, T>
}

export class TfjsRun {
  private readonly tf: typeof Tf
  private readonly backend: Backend
  private readonly graph: Graph
  private readonly plans = new Map<Graph, Plan>()
  private readonly kept = new Map<Node, Map<string, T>>()

  constructor(tf: typeof Tf, backend: Backend, graph: Graph) {
    this.tf = tf
    this.backend = backend
    this.graph = graph
  }

  run(inputs: readonly Datum[], times?: NodeTime[]): Datum[] {
    checkInputs(this.graph, inputs)
    const { tf } = this
    tf.engine().startScope('run')
    try {
      const cells = inputs.map((d): Cell => ({ t: this.upload(d), last: false }))
      return this.runGraph(this.graph, cells, times).map((c, i) => {
        const { type } = this.graph.values[this.graph.outputs[i]!]!
        if (type.kind !== 'tensor') throw new BugError('tfjs: an output that is no tensor')
        return download(plain(tf, c), type.dtype)
      })
    } finally {
      tf.engine().endScope()
    }
  }

  dispose(): void {
    for (const plan of this.plans.values()) for (const t of plan.constants.values()) t.dispose()
    for (const tensors of this.kept.values()) for (const t of tensors.values()) t.dispose()
    this.plans.clear()
    this.kept.clear()
  }

  private upload(d: Datum): T {
    if (!isTensor(d)) throw new InputError('tfjs: expected a tensor')
    const { tf } = this
    const shape = [...d.shape]
    if (d.dtype === 'float32') return tf.tensor(d.data as Float32Array, shape, 'float32')
    if (d.dtype === 'bool') return tf.tensor(d.data as Uint8Array, shape, 'bool')
    const values = Int32Array.from(numbers(d), (v) => {
      // int64 goes as int32; the largest stands for "to the end" in slices.
      if (v > 2 ** 31 - 1) return 2 ** 31 - 1
      if (v < -(2 ** 31)) return -(2 ** 31)
      return v
    })
    return tf.tensor(values, shape, 'int32')
  }

  private planOf(graph: Graph): Plan {
    const known = this.plans.get(graph)
    if (known) return known
    const last = new Int32Array(graph.values.length).fill(-1)
    graph.nodes.forEach((n, i) => {
      for (const v of n.inputs) if (v !== null) last[v] = i
      // What nothing reads is freed at once.
      for (const v of n.outputs) if (last[v] === -1) last[v] = i
    })
    for (const v of graph.outputs) last[v] = graph.nodes.length
    const freed: ValueId[][] = graph.nodes.map(() => [])
    const inputs = new Set(graph.inputs)
    graph.values.forEach((v, i) => {
      if (last[i]! >= 0 && last[i]! < graph.nodes.length && !v.constant && !inputs.has(i))
        freed[last[i]!]!.push(i)
    })
    const plan: Plan = { graph, freed, constants: new Map() }
    this.plans.set(graph, plan)
    return plan
  }

  private runGraph(graph: Graph, inputs: readonly Cell[], times?: NodeTime[]): Cell[] {
    const { tf } = this
    const plan = this.planOf(graph)
    const cells = new Array<Cell | undefined>(graph.values.length)
    graph.inputs.forEach((v, i) => {
      cells[v] = inputs[i]!
    })
    const read = (v: ValueId): Cell => {
      const constant = graph.values[v]!.constant
      if (!constant) return cells[v]!
      let t = plan.constants.get(v)
      if (!t) {
        t = tf.keep(this.upload(constant))
        plan.constants.set(v, t)
      }
      return { t, last: false }
    }
    graph.nodes.forEach((node, i) => {
      const start = performance.now()
      const from = node.inputs.map((v) => (v === null ? null : read(v)))
      const made = this.runNode(graph, node, from)
      node.outputs.forEach((v, k) => {
        cells[v] = made[k]!
      })
      times?.push({ node: node.name, ms: performance.now() - start })
      for (const v of plan.freed[i]!) {
        cells[v]?.t.dispose()
        cells[v] = undefined
      }
    })
    return graph.outputs.map(read)
  }

  private runNode(graph: Graph, node: Node, cells: readonly (Cell | null)[]): Cell[] {
    const { tf } = this
    const kernel = rowOf(node.op)
    if (typeof kernel !== 'function') throw new BugError(`tfjs: ${node.op} got past compile: ${kernel.gap}`)
    try {
      return tf.tidy(() => {
        const out = kernel(this.callOf(graph, node, cells))
        const list = Array.isArray(out) ? out : [out as T | Cell]
        return list.map((o): Cell => {
          const c = isCell(o) ? o : { t: o, last: false }
          // A result that is an input is another handle on the same data, so that each can be freed.
          return cells.some((f) => f?.t === c.t) ? { t: tf.clone(c.t), last: c.last } : c
        })
      })
    } catch (e) {
      const said = e instanceof Error ? e.message.split('\n')[0] : String(e)
      throw new InputError(`tfjs (${this.backend}): node ${node.name} (${node.op}): ${said}`)
    }
  }

  private callOf(graph: Graph, node: Node, cells: readonly (Cell | null)[]): KernelCall {
    const { tf } = this
    const cell = (i: number): Cell => {
      const c = cells[i]
      if (!c) throw new InputError(`input ${i} is absent`)
      return c
    }
    return {
      tf,
      a: node.attributes,
      cells,
      outputs: node.outputs.length,
      in: (i) => plain(tf, cell(i)),
      has: (i) => cells[i] != null,
      ints: (i) => {
        const v = node.inputs[i]
        const constant = v == null ? undefined : graph.values[v]!.constant
        return Array.from(constant ? numbers(constant) : cell(i).t.dataSync(), Number)
      },
      kept: (key, inputs, make) => {
        const constant = inputs.every((i) => {
          const v = node.inputs[i]
          return v != null && graph.values[v]!.constant
        })
        if (!constant) return make()
        let tensors = this.kept.get(node)
        if (!tensors) {
          tensors = new Map()
          this.kept.set(node, tensors)
        }
        let t = tensors.get(key)
        if (!t) {
          t = tf.keep(make())
          tensors.set(key, t)
        }
        return t
      },
      run: (body, inputs) =>
        this.runGraph(
          body,
          inputs.map((t) => ({ t, last: false })),
        ).map((c) => plain(tf, c)),
    }
  }
}

/** The tensor in the dtype that the graph states. */
function download(t: T, dtype: DType): Tensor {
  const values = t.dataSync()
  const out = zeros(dtype, [...t.shape])
  if (isBig(dtype))
    for (let i = 0; i < values.length; i++) (out.data as BigInt64Array)[i] = BigInt(values[i]!)
  else (out.data as Float32Array).set(values as Float32Array)
  return out
}
