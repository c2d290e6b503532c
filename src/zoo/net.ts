// Building an architecture from our own operators: channels first, one line a layer. Weights are He-normal and the same on every
// machine; batch normalisation gets its statistics from calibrate.ts.

import { normalQuantile } from '../core/distributions.ts'
import { digestText } from '../core/hash.ts'
import { sizeOf, type Tensor, zeros } from '../core/tensor.ts'
import { Sketch } from '../formats/sketch.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { type Graph, tensorType, type ValueId } from '../ir/types.ts'

/** What calibration found for one batch normalisation. */
export type Statistics = { readonly mean: Float32Array; readonly variance: Float32Array }

/** Quantiles of the normal distribution at the middles of 2^12 equal shares: a weight is one of them, picked by 12 bits. */
let quantiles: Float32Array | undefined
function normalTable(): Float32Array {
  quantiles ??= Float32Array.from({ length: 4096 }, (_, i) => normalQuantile((i + 0.5) / 4096))
  return quantiles
}

/**
 * Normal values of a deviation, from a generator (xorshift32) seeded by a name. 138 million take a second: a table of quantiles
 * instead of Box and Muller's logarithms, and the same bits everywhere.
 */
export function normalWeights(name: string, shape: readonly number[], deviation: number): Tensor {
  const t = zeros('float32', shape)
  const data = t.data as Float32Array
  const table = normalTable().map((q) => q * deviation)
  let state = Number.parseInt(digestText(name).slice(0, 8), 16) | 1
  for (let i = 0; i < data.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    data[i] = table[state >>> 20]!
  }
  return t
}

export type ConvOptions = {
  readonly stride?: number | readonly [number, number]
  /** Each side: one number, [height, width], or [top, left, bottom, right]. Absent: half the kernel. */
  readonly pad?: number | readonly number[]
  readonly groups?: number
  readonly bias?: boolean
  readonly dilation?: number
}

export type Act = 'relu' | 'relu6' | 'silu' | 'none'

const pairOf = (v: number | readonly number[]): [number, number] =>
  typeof v === 'number' ? [v, v] : [v[0]!, v[1]!]

/** [top, left, bottom, right] of a padding. */
function padsOf(pad: number | readonly number[] | undefined, kernel: readonly number[]): number[] {
  if (pad === undefined) {
    const half = kernel.map((k) => Math.floor(k / 2))
    return [...half, ...half]
  }
  if (typeof pad === 'number') return [pad, pad, pad, pad]
  return pad.length === 2 ? [...pad, ...pad] : [...pad]
}

export class Net {
  readonly s: Sketch
  readonly b: GraphBuilder
  /** Elements of all weights that training would change; batch normalisation's statistics apart. */
  trainable = 0
  statistics = 0
  private readonly count = new Map<string, number>()
  private readonly known: ReadonlyMap<string, Statistics>
  private readonly cache: Map<string, Tensor>
  private readonly network: string

  private readonly outline: boolean

  /**
   * `cache` shares weights between the build that is calibrated and the one that is kept. An `outline` has zeros for weights:
   * shapes and costs at once, without making a hundred million numbers.
   */
  constructor(
    network: string,
    known: ReadonlyMap<string, Statistics>,
    cache: Map<string, Tensor>,
    outline = false,
  ) {
    this.network = network
    this.outline = outline
    this.known = known
    this.cache = cache
    this.b = new GraphBuilder(network)
    this.s = new Sketch(this.b)
  }

  private name(kind: string): string {
    const n = (this.count.get(kind) ?? 0) + 1
    this.count.set(kind, n)
    return `${kind}${n}`
  }

  private made(name: string, make: () => Tensor): Tensor {
    let t = this.cache.get(name)
    if (!t) {
      t = make()
      this.cache.set(name, t)
    }
    return t
  }

  weight(name: string, shape: readonly number[], deviation: number): ValueId {
    const t = this.made(name, () =>
      this.outline ? zeros('float32', shape) : normalWeights(`${this.network}/${name}`, shape, deviation),
    )
    this.trainable += sizeOf(shape)
    return this.b.constant(t, name)
  }
  filled(name: string, shape: readonly number[], value: number): ValueId {
    const t = this.made(name, () => {
      const z = zeros('float32', shape)
      ;(z.data as Float32Array).fill(value)
      return z
    })
    this.trainable += sizeOf(shape)
    return this.b.constant(t, name)
  }

  image(channels: number, height: number, width = height): ValueId {
    return this.b.input('image', tensorType('float32', ['batch', channels, height, width]))
  }

  private at<T>(kind: string, make: (name: string) => T): T {
    const name = this.name(kind)
    const before = this.s.enter(name)
    const made = make(name)
    this.s.enter(before)
    return made
  }

  /** The extent of a dimension. */
  dim(v: ValueId, axis: number): number {
    return Sketch.fixed(this.s.shape(v)![axis], `${this.network}: axis ${axis}`)
  }

  conv(x: ValueId, filters: number, kernel: number | readonly number[], o: ConvOptions = {}): ValueId {
    return this.at('conv', (name) => {
      const k = pairOf(kernel)
      const groups = o.groups ?? 1
      const perGroup = this.dim(x, 1) / groups
      const fan = perGroup * k[0] * k[1]
      const w = this.weight(`${name}/weight`, [filters, perGroup, ...k], Math.sqrt(2 / fan))
      const bias = o.bias ? this.filled(`${name}/bias`, [filters], 0) : null
      return this.s.node('conv2d', [x, w, bias], {
        strides: pairOf(o.stride ?? 1),
        pads: padsOf(o.pad, k),
        groups,
        ...(o.dilation && { dilations: [o.dilation, o.dilation] }),
      })
    })
  }

  norm(x: ValueId, epsilon = 1e-5): ValueId {
    return this.at('norm', (name) => {
      const n = this.dim(x, 1)
      const found = this.known.get(name)
      const part = (suffix: string, data: Float32Array | undefined, value: number): ValueId =>
        this.b.constant(
          { dtype: 'float32', shape: [n], data: data ?? new Float32Array(n).fill(value) },
          `${name}/${suffix}`,
        )
      const [scale, bias] = [this.filled(`${name}/scale`, [n], 1), this.filled(`${name}/bias`, [n], 0)]
      this.statistics += 2 * n
      return this.s.node(
        'batchNorm',
        [x, scale, bias, part('mean', found?.mean, 0), part('variance', found?.variance, 1)],
        { epsilon },
      )
    })
  }

  act(x: ValueId, kind: Act = 'relu'): ValueId {
    if (kind === 'none') return x
    return this.at(kind, () =>
      kind === 'relu6' ? this.s.node('clamp', [x], { low: 0, high: 6 }) : this.s.node(kind, [x]),
    )
  }

  /** Convolution, batch normalisation, activation. */
  unit(
    x: ValueId,
    filters: number,
    kernel: number | readonly number[],
    o: ConvOptions & { readonly act?: Act; readonly epsilon?: number } = {},
  ): ValueId {
    return this.act(this.norm(this.conv(x, filters, kernel, o), o.epsilon), o.act)
  }

  add(a: ValueId, b: ValueId): ValueId {
    return this.at('add', () => this.s.node('add', [a, b]))
  }
  concat(parts: readonly ValueId[]): ValueId {
    return this.at('concat', () => this.s.concat(parts, 1))
  }
  pool(
    kind: 'max' | 'average',
    x: ValueId,
    kernel: number,
    stride: number,
    pad: number | readonly number[] = 0,
    options: { readonly ceil?: boolean; readonly countIncludePad?: boolean } = {},
  ): ValueId {
    return this.at(`${kind}Pool`, () =>
      this.s.node(`${kind}Pool2d`, [x], {
        kernel: [kernel, kernel],
        strides: [stride, stride],
        pads: padsOf(pad, [kernel, kernel]),
        ...options,
      }),
    )
  }
  /** The mean of every channel: [batch, channels], or with the pixels kept as 1 × 1. */
  mean(x: ValueId, keep = false): ValueId {
    return this.at('mean', () => this.s.reduce('mean', x, [2, 3], keep))
  }
  flatten(x: ValueId): ValueId {
    return this.at('flatten', () => this.s.node('flatten', [x], { axis: 1 }))
  }
  /** A fully connected layer over the last axis. */
  dense(x: ValueId, units: number, gain = 2): ValueId {
    return this.at('dense', (name) => {
      const size = Sketch.fixed(this.s.shape(x)!.at(-1), `${this.network}: ${name}`)
      const w = this.weight(`${name}/weight`, [size, units], Math.sqrt(gain / size))
      const product = this.s.node('matMul', [x, w], {}, 'product')
      return this.s.node('add', [product, this.filled(`${name}/bias`, [units], 0)])
    })
  }
  softmax(x: ValueId): ValueId {
    return this.at('softmax', () => this.s.softmax(x, -1))
  }

  finish(...outputs: readonly ValueId[]): Graph {
    for (const o of outputs) this.b.output(o)
    return this.b.finish()
  }
}
