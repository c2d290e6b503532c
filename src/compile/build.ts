// Building a program: buffers, steps, and kernels that are shared wherever two steps have the same loops.

import { type DType, isBig, type TensorData } from '../core/dtype.ts'
import { productOf, sizeOf, type Tensor } from '../core/tensor.ts'
import { call, constant, type Expr, variable } from '../ir/scalar.ts'
import {
  type Buffer,
  computeType,
  declare,
  type Kernel,
  loadAt,
  loop,
  type Parameter,
  type Program,
  plus,
  prefetch,
  type Statement,
  type Step,
  store,
  times,
} from './loops.ts'
import { type Index, placeOf, type View } from './view.ts'

/** Elements that one parallel chunk of a plain loop should have at least. */
const grain = 4096

/** A value's border of `fill`: how wide, by logical dimension; the value's own offset and strides. */
export type Border = {
  readonly offset: number
  readonly strides: readonly number[]
  readonly before: readonly number[]
  readonly after: readonly number[]
  readonly fill: number
}

export class ProgramBuilder {
  /** By buffer. */
  readonly borders = new Map<number, Border>()
  /** Buffers of int16 that hold bytes less a zero point: within ±255. */
  readonly centred = new Set<number>()
  readonly buffers: Buffer[] = []
  readonly kernels: Kernel[] = []
  readonly steps: Step[] = []
  readonly amplification: Record<string, number> = {}
  private readonly known = new Map<string, number>()
  private readonly constants = new Map<TensorData | Tensor, number>()

  buffer(name: string, dtype: DType, length: number, role: Buffer['role'], data?: Buffer['data']): number {
    return this.buffers.push({ name, dtype, length: Math.max(length, 1), role, ...(data && { data }) }) - 1
  }

  /** A constant's row-major view; each tensor is stored once. */
  constant(t: Tensor, name: string): View {
    const later = productOf(t) !== undefined
    const key = later ? t : t.data
    let id = this.constants.get(key)
    if (id === undefined) {
      const data = later ? (to: TensorData) => (to as Float32Array).set(t.data as Float32Array) : t.data
      id = this.buffer(name, t.dtype, sizeOf(t.shape), 'constant', data)
      this.constants.set(key, id)
    }
    return rowMajor(id, t.dtype, t.shape)
  }

  temp(name: string, dtype: DType, shape: readonly number[]): View {
    return rowMajor(this.buffer(name, dtype, sizeOf(shape), 'temp'), dtype, shape)
  }

  /** Adds a step. Kernels with equal loops are one kernel. */
  step(nodes: readonly string[], name: string, write: (k: KernelBuilder) => Statement[], macs = 0): void {
    const k = new KernelBuilder(this.buffers)
    const body = write(k)
    if (body.length === 0) return
    const parameters = k.parameters()
    const key = JSON.stringify([parameters, body], (_k, v) =>
      typeof v === 'bigint'
        ? `${v}n`
        : typeof v === 'number' && !Number.isFinite(v)
          ? String(v)
          : Object.is(v, -0)
            ? '-0'
            : v,
    )
    let id = this.known.get(key)
    if (id === undefined) {
      id = this.kernels.push({ name: `${name}_${this.kernels.length}`, parameters, body }) - 1
      this.known.set(key, id)
    }
    this.steps.push({ kernel: id, buffers: k.used(), nodes, macs })
  }

  /** The program, without buffers that no step uses. */
  finish(
    name: string,
    inputs: readonly number[],
    outputs: readonly number[],
    shapes: Pick<Program, 'inputShapes' | 'outputShapes'>,
  ): Program {
    const used = new Set([...inputs, ...outputs, ...this.steps.flatMap((s) => s.buffers)])
    const index = new Map<number, number>()
    const buffers = this.buffers.filter((_, i) => {
      if (used.has(i)) index.set(i, index.size)
      return used.has(i)
    })
    const to = (i: number): number => index.get(i)!
    return {
      name,
      buffers,
      kernels: this.kernels,
      steps: this.steps.map((s) => ({ ...s, buffers: s.buffers.map(to) })),
      amplification: this.amplification,
      inputs: inputs.map(to),
      outputs: outputs.map(to),
      ...shapes,
    }
  }
}

export function rowMajor(buffer: number, dtype: DType, shape: readonly number[]): View {
  let n = 1
  const strides = new Array<number>(shape.length)
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = n
    n *= shape[d]!
  }
  return { buffer, dtype, shape, strides, offset: 0 }
}

/** One kernel in the making: names its parameters p0, p1, … in the order of first use, so that equal loops compare equal. */
export class KernelBuilder {
  private readonly buffers: readonly Buffer[]
  private readonly names = new Map<number, { name: string; reads: boolean; writes: boolean }>()
  private fresh = 0

  constructor(buffers: readonly Buffer[]) {
    this.buffers = buffers
  }

  /** A name that no other local of the kernel has. */
  name(hint: string): string {
    return `${hint}${this.fresh++}`
  }

  /** `write`: null for what neither reads nor writes. */
  private parameter(buffer: number, write: boolean | null): string {
    let p = this.names.get(buffer)
    if (!p) {
      p = { name: `p${this.names.size}`, reads: false, writes: false }
      this.names.set(buffer, p)
    }
    if (write) p.writes = true
    else if (write === false) p.reads = true
    return p.name
  }

  /** Elements of a buffer. */
  lengthOf(buffer: number): number {
    return this.buffers[buffer]!.length
  }
  loadPlace(buffer: number, place: Index, width = 1): Expr {
    return loadAt(this.parameter(buffer, false), place, width)
  }
  prefetchPlace(buffer: number, place: Index, level: 1 | 2): Statement {
    return prefetch(this.parameter(buffer, null), place, level)
  }
  storePlace(buffer: number, place: Index, value: Expr): Statement {
    return store(this.parameter(buffer, true), place, value)
  }
  load(v: View, index: readonly Index[]): Expr {
    return this.loadPlace(v.buffer, placeOf(v, index))
  }
  /** `width` elements along the last index: a vector load, one value repeated, or single loads, as the stride says. */
  loadVector(v: View, index: readonly Index[], width: number): Expr {
    const place = placeOf(v, index)
    return this.loadStrided(v.buffer, place, v.strides.at(-1) ?? 0, width)
  }
  loadStrided(buffer: number, place: Expr, stride: number, width: number): Expr {
    if (width === 1) return this.loadPlace(buffer, place)
    if (stride === 1) return this.loadPlace(buffer, place, width)
    if (stride === 0) return { kind: 'repeat', times: width, arg: this.loadPlace(buffer, place) }
    if (stride === 2 && width >= 4 && this.buffers[buffer]!.dtype === 'float32') {
      // Of two vectors that reach from the first element wanted to the last.
      const lanes = Array.from({ length: width }, (_, i) => 2 * i + (2 * i < width ? 0 : 1))
      const [a, b] = [0, width - 1].map((at) => this.loadPlace(buffer, plus(place, at), width))
      return { kind: 'pick', lanes, a: a!, b: b! }
    }
    return {
      kind: 'lanes',
      args: Array.from({ length: width }, (_, i) => this.loadPlace(buffer, plus(place, i * stride))),
    }
  }
  store(v: View, index: readonly Index[], value: Expr): Statement {
    return this.storePlace(v.buffer, placeOf(v, index), value)
  }

  parameters(): Parameter[] {
    return [...this.names].map(([id, p]) => ({
      name: p.name,
      dtype: this.buffers[id]!.dtype,
      length: this.buffers[id]!.length,
      access: p.reads && p.writes ? 'update' : p.writes ? 'write' : 'read',
      ...(this.buffers[id]!.role === 'scratch' && { scratch: true }),
      ...rangeOfConstant(this.buffers[id]!),
    }))
  }
  used(): number[] {
    return [...this.names.keys()]
  }

  /**
   * Loops over a shape, row-major, the body called with an index and the number of lanes (1, or `width` along the last dimension).
   * The outermost loop is parallel where there is enough to do.
   */
  nest(
    shape: readonly number[],
    width: number,
    body: (index: readonly Expr[], lanes: number) => Statement[],
  ): Statement[] {
    if (shape.includes(0)) return []
    const inner = shape.at(-1) ?? 1
    const rest = shape.slice(0, -1)
    const outer = rest.findIndex((n) => n > 1)
    const row = (index: readonly Expr[], vectors: [Index, Index], withTail: boolean): Statement[] => {
      const full = Math.floor(inner / width)
      return [
        ...(width === 1
          ? []
          : loop(this.name('v'), ...vectors, (v) => body([...index, times(v, width)], width))),
        ...(width === 1
          ? loop(this.name('i'), ...vectors, (i) => body([...index, i], 1))
          : withTail
            ? loop(this.name('i'), full * width, inner, (i) => body([...index, i], 1))
            : []),
      ]
    }
    const full = Math.floor(inner / width)
    const from = (d: number, index: readonly Expr[]): Statement[] =>
      d === rest.length
        ? row(index, [0, full], true)
        : loop(this.name('i'), 0, rest[d]!, (i) => from(d + 1, [...index, i]), {
            mode: d === outer ? 'parallel' : 'serial',
          })
    if (outer >= 0) return from(0, [])
    // One long row: chunks of it are the parallel range.
    const zeros = rest.map(() => constant(0))
    const each = Math.max(1, Math.floor(grain / width))
    const chunks = Math.ceil(full / each)
    if (chunks < 2) return row(zeros, [0, full], true)
    const tail = inner % width !== 0
    return loop(
      this.name('c'),
      0,
      chunks,
      (c) => [
        ...row(zeros, [times(c, each), call('min', plus(times(c, each), each), constant(full))], false),
        ...(tail
          ? [
              {
                kind: 'if',
                condition: call('eq', c, constant(chunks - 1)),
                body: loop(this.name('i'), full * width, inner, (i) => body([...zeros, i], 1)),
                otherwise: [],
              } as const,
            ]
          : []),
      ],
      { mode: 'parallel' },
    )
  }

  /** Holds a value in a local. */
  hold(hint: string, dtype: DType, lanes: number, value: Expr): [Statement, Expr] {
    const name = this.name(hint)
    return [declare(name, { type: computeType(dtype), lanes }, value), variable(name)]
  }
}

/** Tables of indices tell their range; biases and scales the powers of 2^32 that they lie between. */
function rangeOfConstant(b: Buffer): Pick<Parameter, 'range'> {
  if (b.role !== 'constant' || !b.data || typeof b.data === 'function') return {}
  if (b.dtype !== 'int32' && !(b.dtype === 'float32' && b.length <= 65536)) return {}
  const integer = b.dtype === 'int32'
  let [min, max] = integer ? [0, 0] : [Infinity, -Infinity]
  for (const v of b.data as Int32Array) {
    if (!Number.isFinite(v)) return {}
    if (v < min) min = v
    if (v > max) max = v
  }
  if (integer) return { range: [min, max] }
  const largest = 2 ** (32 * Math.ceil(Math.log2(Math.max(-min, max, 2 ** -32)) / 32))
  return { range: [min > 2 ** -126 ? 2 ** (32 * Math.floor(Math.log2(min) / 32)) : -largest, largest] }
}

/** Whether values of a dtype go four to a vector register. */
export const vectorizes = (d: DType): boolean => !isBig(d) && d !== 'float64' && d !== 'string'
