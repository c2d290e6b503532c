// Graph to loops. The graph must be static (ir/specialize); operators without a lowering of their own are decomposed first.

import { isBig, isFloat } from '../core/dtype.ts'
import { BugError, UnsupportedError } from '../core/errors.ts'
import { numbers, sizeOf } from '../core/tensor.ts'
import { producers } from '../ir/graph.ts'
import type { Expr } from '../ir/scalar.ts'
import { type Graph, isStatic, type Node, type ValueId } from '../ir/types.ts'
import { ProgramBuilder, rowMajor } from './build.ts'
import { applyFormula, typedConstant } from './formula.ts'
import { fuse, type Group, isElementwise } from './fuse.ts'
import { layouts } from './layout.ts'
import { type Program, repeat } from './loops.ts'
import { takesBands } from './lower/bands.ts'
import { clearLoops, isPointwise, slabsAround } from './lower/border.ts'
import { convExtent } from './lower/conv.ts'
import { isDepthwise } from './lower/depthwise.ts'
import { expands } from './lower/expansion.ts'
import { loweringOf } from './lower/index.ts'
import { copyLoops, type Epilogue, type Lowering, NoLowering, type Pieces } from './lower/lowering.ts'
import { hasPlanes } from './lower/planes.ts'
import { alongPixels } from './neighbours.ts'
import { defaultSchedule, type Engine, type Extent, type Schedule, sparseBelow } from './schedule.ts'
import { broadcastTo, type View } from './view.ts'

export type CompileOptions = {
  readonly engine: Engine
  /** Chooses schedules; the default is `defaultSchedule`. Keys are node names. */
  readonly schedule?: (node: string, x: Extent) => Schedule
}

/** Compiles a static graph to a program. Throws UnsupportedError with everything that has no lowering. */
export function compile(graph: Graph, options: CompileOptions): Program {
  const compiler = new GraphCompiler(graph, options)
  return compiler.run()
}

/** Whether a value is bytes less a byte, as int16: what rewrite/integers.ts makes for products. */
function isCentred(graph: Graph, madeBy: Int32Array, v: ValueId): boolean {
  const of = (x: ValueId | null | undefined, op: string): Node | undefined => {
    const n = x == null || madeBy[x]! < 0 ? undefined : graph.nodes[madeBy[x]!]
    return n?.op === op ? n : undefined
  }
  const byte = (x: ValueId): boolean => {
    const { type } = graph.values[x]!
    return type.kind === 'tensor' && (type.dtype === 'uint8' || type.dtype === 'int8')
  }
  const less = (x: ValueId | null | undefined): ValueId | null | undefined => {
    const n = of(x, 'sub')
    const zero = n && graph.values[n.inputs[1]!]!.constant
    return zero && numbers(zero).every((z) => z >= -128 && z <= 255) ? n.inputs[0] : x
  }
  const widened = of(less(v), 'cast')
  const inner = widened && of(less(widened.inputs[0]), 'cast')
  return [widened, inner].some((n) => n?.inputs[0] != null && byte(n.inputs[0]))
}

/** A result that a reader computes as it goes: in which pieces, and whether others read it. */
type Wanted = { readonly kind: Pieces['kind']; readonly kept: boolean; readonly reader: Node }

class GraphCompiler {
  private readonly graph: Graph
  private readonly options: CompileOptions
  private readonly program = new ProgramBuilder()
  private readonly views = new Map<ValueId, View>()
  private readonly layout: ReturnType<typeof layouts>
  /** Convolutions that run along pixels: sparse ones where that pays off, and depthwise ones between them. */
  private along: ReadonlySet<string> = new Set()
  private readonly gaps = new Map<string, { count: number; reason: string }>()
  private readonly madeBy: Int32Array
  private readonly direct = new Map<ValueId, number>()
  /** Results that a reader computes as it goes, and those that have been given to it. */
  private wanted: ReadonlyMap<ValueId, Wanted> = new Map()
  private readonly given = new Map<ValueId, { readonly pieces: Pieces; readonly names: readonly string[] }>()

  constructor(graph: Graph, options: CompileOptions) {
    this.graph = graph
    this.madeBy = producers(graph)
    this.options = options
    this.along = alongPixels(graph, {
      saves: (n) => this.saves(n, { apart: false }),
      joins: (n) => this.saves(n, { joined: true }),
      planes: (n) => this.hasPlanes(n),
    })
    const planes = (n: Node): boolean => this.along.has(n.name) && this.hasPlanes(n)
    this.layout = layouts(
      graph,
      options.engine.tile[0],
      (n) => planes(n) || this.compressible(n, this.place(n.name))?.schedule.sparse === true,
      planes,
    )
  }

  run(): Program {
    const { graph, program } = this
    const inputs = graph.inputs.map((v) => {
      const t = this.typeOf(v)
      const id = program.buffer(graph.values[v]!.name, t.dtype, sizeOf(t.shape), 'input')
      this.views.set(v, rowMajor(id, t.dtype, t.shape))
      return id
    })
    const outputs = graph.outputs.map((v) => {
      const t = this.typeOf(v)
      const id = program.buffer(graph.values[v]!.name, t.dtype, sizeOf(t.shape), 'output')
      // The first output of a value whose own order is row-major is made in place.
      if (!this.views.has(v) && !this.direct.has(v) && this.isPlain(v)) this.direct.set(v, id)
      return id
    })
    const groups = fuse(graph)
    this.wanted = this.pieces(groups)
    for (const g of groups) this.group(g)
    if (this.gaps.size > 0)
      throw new UnsupportedError(
        'compile',
        [...this.gaps].map(([op, g]) => ({ op: `${op} (${g.reason})`, count: g.count })),
      )
    graph.outputs.forEach((v, i) => {
      const view = this.view(v)
      if (view.buffer === outputs[i]) return
      const t = this.typeOf(v)
      program.step([graph.values[v]!.name], 'output', (k) =>
        copyLoops(k, view, rowMajor(outputs[i]!, t.dtype, t.shape)),
      )
    })
    return program.finish(graph.name, inputs, outputs, {
      inputShapes: graph.inputs.map((v) => this.typeOf(v).shape),
      outputShapes: graph.outputs.map((v) => this.typeOf(v).shape),
    })
  }

  /** A convolution with constant filters that may be compressed: its extent and schedule. */
  private compressible(
    n: Node,
    where: Pick<Extent, 'apart' | 'joined'>,
  ): { extent: Extent; schedule: Schedule } | undefined {
    const filter = n.inputs[1] == null ? undefined : this.graph.values[n.inputs[1]]!.constant
    if (!/^conv\dd$/.test(n.op) || !filter) return undefined
    const t = this.typeOf(n.outputs[0]!)
    const extent = convExtent(n, t.dtype, filter, filter.shape, t.shape)
    if (extent.density === undefined) return undefined
    return { extent, schedule: this.schedule(n.name, extent, where) }
  }

  /** Products that a convolution saves by its sparse form, as long as it needn't change the memory order. */
  private saves(n: Node, where: Pick<Extent, 'apart' | 'joined'>): number | undefined {
    const found = this.compressible(n, where)
    if (!found?.schedule.sparse) return undefined
    const { rows, depth, columns, density } = found.extent
    return rows * depth * columns * (1 - density! / sparseBelow(found.extent, this.options.engine))
  }

  private isDepthwise(n: Node): boolean {
    const [input, filter] = n.inputs as [ValueId, ValueId]
    if (n.op !== 'conv2d' || this.typeOf(n.outputs[0]!).dtype !== 'float32') return false
    const channels = this.typeOf(input).shape[n.attributes.layout === 'channelsLast' ? 3 : 1]!
    return isDepthwise({ groups: n.attributes.groups as number }, this.typeOf(filter).shape, channels)
  }

  /**
   * Results that a reader is to compute as it goes. One that others read too is also stored: they must stand behind whoever stores it,
   * the last of those that are computed together.
   */
  private pieces(groups: readonly Group[]): Map<ValueId, Wanted> {
    const { graph } = this
    const readers = new Map<ValueId, number[]>()
    groups.forEach((g, at) => {
      for (const v of new Set(g.nodes.flatMap((i) => graph.nodes[i]!.inputs)))
        if (v !== null) readers.set(v, [...(readers.get(v) ?? []), at])
    })
    const wanted = new Map<ValueId, Wanted>()
    const stands = groups.map((_, at) => at)
    for (let at = groups.length - 1; at >= 0; at--) {
      const { root, nodes } = groups[at]!
      const all = readers.get(root) ?? []
      const kept = all.length > 1 || graph.outputs.includes(root)
      for (const r of all) {
        const reader = groups[r]!
        const then = graph.nodes[reader.nodes[0]!]!
        const once = reader.nodes.every(
          (i) => graph.nodes[i] === then || !graph.nodes[i]!.inputs.includes(root),
        )
        if (then.inputs[0] !== root || then.inputs.lastIndexOf(root) > 0 || !once) continue
        const kind = this.kindOf(graph.nodes[nodes[0]!]!, then, wanted.get(reader.root))
        if (!kind || (kept && kind !== 'tiles')) continue
        // Those computed together find it in memory too.
        if (all.some((o) => o <= stands[r]! && stands[o] !== stands[r])) continue
        wanted.set(root, { kind, kept, reader: then })
        stands[at] = stands[r]!
        break
      }
    }
    return wanted
  }

  /** The pieces of a node's result that suit its reader, whose own result goes on in pieces or not. */
  private kindOf(n: Node, reader: Node, then: Wanted | undefined): Pieces['kind'] | undefined {
    const filter = reader.inputs[1] == null ? undefined : this.graph.values[reader.inputs[1]]!.constant
    if (!/^conv\dd$/.test(n.op) || !filter || n.attributes.layout !== reader.attributes.layout)
      return undefined
    const { shape } = this.typeOf(n.outputs[0]!)
    if (this.isDepthwise(n)) {
      if (this.along.has(n.name) || this.along.has(reader.name)) return undefined
      if (!takesBands(reader, filter.shape, shape)) return undefined
      const t = this.typeOf(reader.outputs[0]!)
      const s = this.schedule(reader.name, convExtent(reader, t.dtype, filter, filter.shape, t.shape))
      return t.dtype === 'float32' && !s.sparse && s.algorithm === 'spatialPack' ? 'rows' : undefined
    }
    const made = this.compressible(n, this.place(n.name))
    if (made?.schedule.sparse !== true) return undefined
    if (this.along.has(reader.name) && this.hasPlanes(reader)) {
      const width = shape[n.attributes.layout === 'channelsLast' ? 2 : 3]!
      const expanded = isPointwise(n, this.typeOf(n.inputs[1]!).shape)
      return expanded && expands(made.extent, width, this.options.engine) ? 'vectors' : undefined
    }
    if (!isPointwise(reader, filter.shape) || then?.kind === 'vectors') return undefined
    const read = this.compressible(reader, this.place(reader.name))?.schedule
    return read?.sparse && read.algorithm === 'spatialPack' ? 'tiles' : undefined
  }

  private hasPlanes(n: Node): boolean {
    const [input, filter] = n.inputs as [ValueId, ValueId]
    if (n.op !== 'conv2d' || !this.graph.values[filter]!.constant) return false
    const t = this.typeOf(n.outputs[0]!)
    return t.dtype === 'float32' && hasPlanes(n, this.typeOf(filter).shape, this.typeOf(input).shape, t.shape)
  }

  private place(node: string): Pick<Extent, 'apart' | 'joined'> {
    return this.along.has(node) ? { joined: true } : { apart: true }
  }

  private schedule(node: string, given: Extent, where = this.place(node)): Schedule {
    const x = given.density !== undefined ? { ...given, ...where } : given
    return this.options.schedule?.(node, x) ?? defaultSchedule(x, this.options.engine)
  }

  private typeOf(v: ValueId): { dtype: View['dtype']; shape: readonly number[] } {
    const value = this.graph.values[v]!
    if (value.type.kind !== 'tensor' || !isStatic(value.type.shape))
      throw new UnsupportedError('compile', [
        { op: `${value.name}: a value without a static shape`, count: 1 },
      ])
    return { dtype: value.type.dtype, shape: value.type.shape }
  }

  private isPlain(v: ValueId): boolean {
    const l = this.layout[v]
    return !l || (l.order.every((d, i) => d === i) && [l.gap, ...l.before, ...l.after].every((n) => n === 0))
  }

  private view(v: ValueId): View {
    const known = this.views.get(v)
    if (known) return known
    if (this.given.has(v)) {
      // Nothing is stored: only the shape counts.
      const t = this.typeOf(v)
      return { buffer: -1, dtype: t.dtype, shape: t.shape, strides: t.shape.map(() => 0), offset: 0 }
    }
    const value = this.graph.values[v]!
    if (!value.constant) throw new BugError(`compile: ${value.name} is used before it is made`)
    const view = this.program.constant(value.constant, value.name)
    this.views.set(v, view)
    return view
  }

  /** Room for a value, in its layout; its border of zeros is written first. */
  private allocate(v: ValueId): View {
    const t = this.typeOf(v)
    const name = this.graph.values[v]!.name
    const out = this.direct.get(v)
    if (out !== undefined) return rowMajor(out, t.dtype, t.shape)
    const view = this.placed(v, t, name)
    if (t.dtype === 'int16' && isCentred(this.graph, this.madeBy, v)) this.program.centred.add(view.buffer)
    return view
  }

  private placed(v: ValueId, t: ReturnType<GraphCompiler['typeOf']>, name: string): View {
    const l = this.layout[v]
    if (!l || t.shape.length === 0) return this.program.temp(name, t.dtype, t.shape)
    const padded = t.shape.map((n, d) => n + l.before[d]! + l.after[d]!)
    const strides = new Array<number>(t.shape.length).fill(0)
    let n = 1
    for (const d of [...l.order].reverse()) {
      strides[d] = n
      n = n * padded[d]! + (n === 1 ? l.gap : 0)
    }
    const buffer = this.program.buffer(name, t.dtype, n, 'temp')
    const offset = l.before.reduce((o, b, d) => o + b * strides[d]!, 0)
    const view: View = { buffer, dtype: t.dtype, shape: t.shape, strides, offset }
    if (padded.some((p, d) => p !== t.shape[d])) {
      this.program.borders.set(buffer, { offset, strides, before: l.before, after: l.after, fill: l.fill })
      for (const slab of slabsAround(view, l.order, l.before, padded))
        this.program.step([name], 'border', (k) => clearLoops(k, slab, l.fill))
    }
    return view
  }

  private group(g: Group): void {
    const { graph } = this
    const first = graph.nodes[g.nodes[0]!]!
    const lower = loweringOf(first.op)
    if (!lower || 'gap' in lower) {
      this.refuse(first, lower ? lower.gap : 'no lowering')
      return
    }
    const anchored = !isElementwise(first.op)
    const fused = anchored ? g.nodes.slice(1) : g.nodes
    const lowering = this.lowering(
      first,
      g,
      fused.map((i) => graph.nodes[i]!),
      anchored,
    )
    try {
      lower(lowering)
    } catch (e) {
      if (!(e instanceof NoLowering)) throw e
      this.refuse(first, e.message)
    }
  }

  private refuse(n: Node, reason: string): void {
    const g = this.gaps.get(n.op)
    this.gaps.set(n.op, { count: (g?.count ?? 0) + 1, reason: g?.reason ?? reason })
    // The results get room, so that all other gaps are found too.
    for (const v of n.outputs) if (!this.views.has(v)) this.views.set(v, this.allocate(v))
  }

  /** The fused nodes as one expression of the anchor's value and the other operands. */
  private epilogue(fused: readonly Node[], start: ValueId | undefined): Epilogue {
    const values: ValueId[] = []
    // Zero points and the like stand in the code, where they say how large results can be; scales don't, so that kernels are shared.
    const literals = new Map<ValueId, Expr>()
    const literal = (v: ValueId): boolean => {
      const t = this.graph.values[v]!.constant
      if (t?.data.length !== 1 || t.dtype === 'string' || isFloat(t.dtype)) return false
      literals.set(v, typedConstant(isBig(t.dtype) ? (t.data as BigInt64Array)[0]! : numbers(t)[0]!, t.dtype))
      return true
    }
    const inside = new Set<ValueId>(fused.flatMap((n) => n.outputs))
    if (start !== undefined) inside.add(start)
    for (const n of fused)
      for (const v of n.inputs)
        if (v !== null && !inside.has(v) && !values.includes(v) && !literal(v)) values.push(v)
    const shape = fused.length ? this.typeOf(fused.at(-1)!.outputs[0]!).shape : []
    return {
      operands: values.map((v) => broadcastTo(this.view(v), shape)),
      apply: (value, operands, lanes) => {
        const at = new Map<ValueId, Expr>(values.map((v, i) => [v, operands[i]!]))
        for (const [v, e] of literals) at.set(v, repeat(e, lanes))
        if (start !== undefined) at.set(start, value)
        let result = value
        for (const n of fused) {
          const args = n.inputs.filter((v): v is ValueId => v !== null)
          const from = this.typeOf(args.at(-1)!).dtype
          const to = this.typeOf(n.outputs[0]!).dtype
          result = applyFormula(
            n.op,
            n.attributes,
            args.map((v) => at.get(v)!),
            from,
            to,
            lanes,
          )
          at.set(n.outputs[0]!, result)
        }
        return result
      },
    }
  }

  private lowering(first: Node, g: Group, fused: readonly Node[], anchored: boolean): Lowering {
    const { program, options, graph } = this
    const [input] = first.inputs
    const given =
      input != null && this.wanted.get(input)?.reader === first ? this.given.get(input) : undefined
    const names = [...new Set([...(given?.names ?? []), ...g.nodes.map((i) => graph.nodes[i]!.name)])]
    const wanted = this.wanted.get(g.root)
    const constants = first.inputs.map((v) => (v === null ? undefined : graph.values[v]!.constant))
    const self = this
    return {
      op: first.op,
      attributes: first.attributes,
      program,
      engine: options.engine,
      get inputs() {
        return first.inputs.map((v) => (v === null ? undefined : self.view(v)))
      },
      constants,
      types: first.outputs.map((v) => this.typeOf(v)),
      epilogue: this.epilogue(fused, anchored ? first.outputs[0]! : undefined),
      output: (i) => {
        const v = i === 0 ? g.root : first.outputs[i]!
        const known = this.views.get(v)
        if (known) return known
        const made = this.allocate(v)
        this.views.set(v, made)
        return made
      },
      alias: (i, view) => {
        this.views.set(first.outputs[i]!, view)
      },
      pieces: given?.pieces,
      defer: wanted && { ...wanted, give: (pieces) => void this.given.set(g.root, { pieces, names }) },
      step: (name, write, macs) => program.step(names, name, write, macs),
      amplifies: (factor) => {
        for (const o of first.origin)
          program.amplification[o] = Math.max(factor, program.amplification[o] ?? 1)
      },
      schedule: (x) => this.schedule(first.name, x),
      planes: this.along.has(first.name),
    }
  }
}
