// Products, convolutions, pooling and normalisation in TensorFlow.js, which knows channels-last only: layouts are turned around
// the calls (see Cell).

import { InputError } from '../core/errors.ts'
import type { OpName } from '../ir/ops/index.ts'
import {
  asLayout,
  axisOf,
  channelsLast,
  flag,
  gap,
  type Kernel,
  type KernelCall,
  num,
  nums,
  type Row,
  spatialPairs,
  type T,
} from './tfjs-kernel.ts'

type Pair = [number, number]

/** The padding that TensorFlow.js calls 'same', where pads are that, 'valid' where there are none; else null. */
function namedPadding(
  sizes: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
  pads: readonly number[],
): 'valid' | 'same' | null {
  if (pads.every((p) => p === 0)) return 'valid'
  const rank = kernel.length
  const same = sizes.every((n, i) => {
    const extent = dilations[i]! * (kernel[i]! - 1) + 1
    const total = Math.max((Math.ceil(n / strides[i]!) - 1) * strides[i]! + extent - n, 0)
    return pads[i] === Math.floor(total / 2) && pads[i + rank] === total - Math.floor(total / 2)
  })
  return same ? 'same' : null
}

/** Inserts an axis of extent 1 before the others: one spatial dimension becomes two. */
const lifted = (x: KernelCall, t: T): T => x.tf.expandDims(t, 1)

/** Filter [o, i, spatial…] → [spatial…, i, o]. */
const turnedFilter = (x: KernelCall, w: T): T => {
  const rank = w.rank - 2
  return x.tf.transpose(w, [...Array.from({ length: rank }, (_, i) => i + 2), 1, 0])
}

/** One convolution without groups over a channels-last activation of two spatial dimensions. */
function plainConv2d(
  x: KernelCall,
  t: T,
  filter: T,
  strides: Pair,
  dilations: Pair,
  pads: readonly number[],
): T {
  const { tf } = x
  const kernel = filter.shape.slice(0, 2)
  const named = namedPadding(t.shape.slice(1, 3), kernel, strides, dilations, pads)
  const from = named ? t : tf.pad(t, spatialPairs(pads))
  return tf.conv2d(from as never, filter as never, strides, named ?? 'valid', 'NHWC', dilations)
}

const pair = (list: readonly number[], rank: number): Pair =>
  rank === 1 ? [1, list[0]!] : [list[0]!, list[1]!]

const conv =
  (rank: number): Kernel =>
  (x) => {
    const { tf } = x
    const groups = num(x, 'groups')
    let t = channelsLast(x)
    const shape = x.in(1).shape
    const channels = t.shape.at(-1)!
    const multiplier = shape[0]! / groups
    const pads = nums(x, 'pads')
    let out: T
    if (rank === 3) {
      if (groups !== 1) throw new InputError('tfjs: a three-dimensional convolution with groups')
      const filter = x.kept('filter', [1], () => turnedFilter(x, x.in(1)))
      const from = pads.every((p) => p === 0) ? t : tf.pad(t, spatialPairs(pads))
      out = tf.conv3d(
        from as never,
        filter as never,
        nums(x, 'strides') as [number, number, number],
        'valid',
        'NDHWC',
        nums(x, 'dilations') as [number, number, number],
      )
    } else {
      const strides = pair(nums(x, 'strides'), rank)
      const dilations = pair(nums(x, 'dilations'), rank)
      const around = rank === 1 ? [0, pads[0]!, 0, pads[1]!] : pads
      if (rank === 1) t = lifted(x, t)
      const w = (): T => (rank === 1 ? tf.expandDims(x.in(1), 2) : x.in(1))
      if (groups === 1) {
        out = plainConv2d(
          x,
          t,
          x.kept('filter', [1], () => turnedFilter(x, w())),
          strides,
          dilations,
          around,
        )
      } else if (groups === channels) {
        // [c · m, 1, h, w] → [h, w, c, m]
        const filter = x.kept('filter', [1], () => {
          const f = w()
          return tf.transpose(tf.reshape(f, [groups, multiplier, f.shape[2]!, f.shape[3]!]), [2, 3, 0, 1])
        })
        const named = namedPadding(t.shape.slice(1, 3), filter.shape.slice(0, 2), strides, dilations, around)
        const from = named ? t : tf.pad(t, spatialPairs(around))
        out = tf.depthwiseConv2d(from as never, filter as never, strides, named ?? 'valid', 'NHWC', dilations)
      } else {
        const filters = tf.split(
          x.kept('filter', [1], () => turnedFilter(x, w())),
          groups,
          3,
        )
        const parts = tf.split(t, groups, 3)
        out = tf.concat(
          parts.map((p, g) => plainConv2d(x, p, filters[g]!, strides, dilations, around)),
          3,
        )
      }
      if (rank === 1) out = tf.squeeze(out, [1])
    }
    if (x.has(2)) out = tf.add(out, x.in(2))
    return asLayout(x, out)
  }

/** The full transposed convolution, cropped by the pads, extended by the output padding. */
const convTranspose =
  (rank: number): Kernel =>
  (x) => {
    const { tf } = x
    const groups = num(x, 'groups')
    if (nums(x, 'dilations').some((d) => d !== 1))
      throw new InputError('tfjs: a transposed convolution with dilation')
    let t = channelsLast(x)
    if (rank === 1) t = lifted(x, t)
    const w = rank === 1 ? tf.expandDims(x.in(1), 2) : x.in(1)
    // [i, o / groups, h, w] → [h, w, o / groups, i]
    const filter = x.kept('filter', [1], () => tf.transpose(w, [2, 3, 1, 0]))
    const strides = pair(nums(x, 'strides'), rank)
    const [n, h, wide] = t.shape as [number, number, number]
    const [kh, kw, o] = filter.shape as [number, number, number]
    const full: [number, number] = [(h - 1) * strides[0] + kh, (wide - 1) * strides[1] + kw]
    const one = (part: T, f: T): T =>
      tf.conv2dTranspose(part as never, f as never, [n, full[0], full[1], o], strides, 'valid')
    let out =
      groups === 1
        ? one(t, filter)
        : tf.concat(
            tf.split(t, groups, 3).map((p, g) => one(p, tf.split(filter, groups, 3)[g]!)),
            3,
          )
    const pads = nums(x, 'pads')
    const extra = nums(x, 'outputPadding')
    const [begin, end] =
      rank === 1
        ? [
            [0, pads[0]!],
            [0, pads[1]! - extra[0]!],
          ]
        : [
            [pads[0]!, pads[1]!],
            [pads[2]! - extra[0]!, pads[3]! - extra[1]!],
          ]
    const grow = end.map((e) => Math.max(-e!, 0))
    if (grow.some((g) => g > 0))
      out = tf.pad(out, [
        [0, 0],
        [0, grow[0]!],
        [0, grow[1]!],
        [0, 0],
      ])
    const [oh, ow] = out.shape.slice(1, 3) as [number, number]
    const size = [oh - begin[0]! - Math.max(end[0]!, 0), ow - begin[1]! - Math.max(end[1]!, 0)]
    if (size[0] !== oh || size[1] !== ow)
      out = tf.slice(out, [0, begin[0]!, begin[1]!, 0], [n, size[0]!, size[1]!, out.shape[3]!])
    if (rank === 1) out = tf.squeeze(out, [1])
    if (x.has(2)) out = tf.add(out, x.in(2))
    return asLayout(x, out)
  }

type PoolPlan = { t: T; kernel: number[]; strides: number[]; pads: number[]; ceilEnd: number[] }

/** The window over two or three spatial dimensions; `ceilEnd` is what a rounded-up output reads beyond the pads. */
function poolPlan(x: KernelCall, rank: number): PoolPlan {
  if (nums(x, 'dilations').some((d) => d !== 1)) throw new InputError('tfjs: pooling with dilation')
  let t = channelsLast(x)
  let [kernel, strides] = [[...nums(x, 'kernel')], [...nums(x, 'strides')]]
  let pads = [...nums(x, 'pads')]
  if (rank === 1) {
    t = lifted(x, t)
    kernel = [1, ...kernel]
    strides = [1, ...strides]
    pads = [0, pads[0]!, 0, pads[1]!]
  }
  const dims = kernel.length
  const sizes = t.shape.slice(1, -1)
  const ceilEnd = kernel.map((k, i) => {
    if (!flag(x, 'ceil')) return 0
    const padded = sizes[i]! + pads[i]! + pads[i + dims]!
    let n = Math.ceil((padded - k) / strides[i]!) + 1
    if ((n - 1) * strides[i]! >= sizes[i]! + pads[i]!) n--
    return Math.max((n - 1) * strides[i]! + k - padded, 0)
  })
  return { t, kernel, strides, pads, ceilEnd }
}

const padded = (x: KernelCall, t: T, pads: readonly number[], more: readonly number[], value: number): T => {
  const dims = more.length
  const all = [...pads.slice(0, dims), ...pads.slice(dims).map((p, i) => p + more[i]!)]
  return all.every((p) => p === 0) ? t : x.tf.pad(t, spatialPairs(all), value)
}

function rawPool(x: KernelCall, kind: 'max' | 'avg', t: T, p: PoolPlan, padding: 'valid' | 'same'): T {
  const { tf } = x
  const [k, s] = [p.kernel as [number, number], p.strides as [number, number]]
  if (p.kernel.length === 3) {
    const [k3, s3] = [p.kernel as [number, number, number], p.strides as [number, number, number]]
    return kind === 'max'
      ? tf.maxPool3d(t as never, k3, s3, padding)
      : tf.avgPool3d(t as never, k3, s3, padding)
  }
  return kind === 'max' ? tf.maxPool(t as never, k, s, padding) : tf.avgPool(t as never, k, s, padding)
}

const ones = (n: number): number[] => new Array<number>(n).fill(1)
const poolNamed = (p: PoolPlan): 'valid' | 'same' | null =>
  p.ceilEnd.every((e) => e === 0)
    ? namedPadding(p.t.shape.slice(1, -1), p.kernel, p.strides, ones(p.kernel.length), p.pads)
    : null
const unlifted = (x: KernelCall, t: T, rank: number): T => (rank === 1 ? x.tf.squeeze(t, [1]) : t)

const maxPool =
  (rank: number): Kernel =>
  (x) => {
    if (x.outputs > 1) throw new InputError('tfjs: the positions of the largest values')
    const p = poolPlan(x, rank)
    const named = poolNamed(p)
    const t = named ? p.t : padded(x, p.t, p.pads, p.ceilEnd, -Infinity)
    return asLayout(x, unlifted(x, rawPool(x, 'max', t, p, named ?? 'valid'), rank))
  }

/** Where padding doesn't count: the average of zeros and values over the average of zeros and ones. */
const averagePool =
  (rank: number): Kernel =>
  (x) => {
    const { tf } = x
    const p = poolPlan(x, rank)
    const counted = flag(x, 'countIncludePad')
    const named = poolNamed(p)
    if (named && (named === 'valid' || !counted))
      return asLayout(x, unlifted(x, rawPool(x, 'avg', p.t, p, named), rank))
    const sum = rawPool(x, 'avg', padded(x, p.t, p.pads, p.ceilEnd, 0), p, 'valid')
    const none = p.pads.map(() => 0)
    const base = tf.ones([1, ...p.t.shape.slice(1, -1), 1])
    const inside = counted
      ? padded(
          x,
          base,
          p.pads,
          p.ceilEnd.map(() => 0),
          1,
        )
      : base
    const share = counted ? padded(x, inside, none, p.ceilEnd, 0) : padded(x, inside, p.pads, p.ceilEnd, 0)
    return asLayout(x, unlifted(x, tf.div(sum, rawPool(x, 'avg', share, p, 'valid')), rank))
  }

const lpPool =
  (rank: number): Kernel =>
  (x) => {
    const { tf } = x
    const p = poolPlan(x, rank)
    const power = num(x, 'p')
    const raised = tf.pow(tf.abs(padded(x, p.t, p.pads, p.ceilEnd, 0)), power)
    const count = p.kernel.reduce((a, b) => a * b, 1)
    const sums = tf.mul(rawPool(x, 'avg', raised, p, 'valid'), count)
    return asLayout(x, unlifted(x, tf.pow(sums, 1 / power), rank))
  }

const float = (x: KernelCall, i: number): T => {
  const t = x.in(i)
  if (t.dtype !== 'float32') throw new InputError(`tfjs: a product of ${t.dtype}`)
  return t
}

/** numpy's product: vectors become matrices and lose the axis again. */
const matMul: Kernel = (x) => {
  const { tf } = x
  const [a, b] = [float(x, 0), float(x, 1)]
  const left = a.rank === 1 ? tf.expandDims(a, 0) : a
  const right = b.rank === 1 ? tf.expandDims(b, 1) : b
  let out = tf.matMul(left, right)
  if (b.rank === 1) out = tf.squeeze(out, [out.rank - 1])
  if (a.rank === 1) out = tf.squeeze(out, [out.rank - (b.rank === 1 ? 1 : 2)])
  return out
}

const gemm: Kernel = (x) => {
  const { tf } = x
  let out = tf.matMul(float(x, 0), float(x, 1), flag(x, 'transposeA'), flag(x, 'transposeB'))
  if (num(x, 'alpha') !== 1) out = tf.mul(out, num(x, 'alpha'))
  if (!x.has(2)) return out
  const c = x.in(2)
  return tf.add(out, num(x, 'beta') === 1 ? c : tf.mul(c, num(x, 'beta')))
}

const batchNorm: Kernel = (x) => {
  const { tf } = x
  const t = channelsLast(x)
  const [scale, offset, mean, variance] = [1, 2, 3, 4].map((i) => x.in(i) as never)
  const out = tf.batchNorm(t as never, mean!, variance!, offset, scale, num(x, 'epsilon'))
  return asLayout(x, out)
}

/** Mean 0 and variance 1 over some axes. */
function centred(x: KernelCall, t: T, axes: number[]): { out: T; mean: T; inverse: T } {
  const { tf } = x
  const mean = tf.mean(t, axes, true)
  const difference = tf.sub(t, mean)
  const variance = tf.mean(tf.square(difference), axes, true)
  const inverse = tf.rsqrt(tf.add(variance, num(x, 'epsilon')))
  return { out: tf.mul(difference, inverse), mean, inverse }
}

const layerNorm: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const axis = axisOf(num(x, 'axis'), t.rank)
  const axes = Array.from({ length: t.rank - axis }, (_, i) => i + axis)
  const { out, mean, inverse } = centred(x, t, axes)
  const scaled = x.has(1) ? tf.mul(out, x.in(1)) : out
  return [x.has(2) ? tf.add(scaled, x.in(2)) : scaled, mean, inverse].slice(0, x.outputs)
}

const rmsNorm: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const axis = axisOf(num(x, 'axis'), t.rank)
  const axes = Array.from({ length: t.rank - axis }, (_, i) => i + axis)
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(t), axes, true), num(x, 'epsilon')))
  const out = tf.mul(t, inverse)
  return x.has(1) ? tf.mul(out, x.in(1)) : out
}

const instanceNorm: Kernel = (x) => {
  const { tf } = x
  const t = channelsLast(x)
  const { out } = centred(
    x,
    t,
    Array.from({ length: t.rank - 2 }, (_, i) => i + 1),
  )
  return asLayout(x, tf.add(tf.mul(out, x.in(1)), x.in(2)))
}

const groupNorm: Kernel = (x) => {
  const { tf } = x
  const t = channelsLast(x)
  const channels = t.shape.at(-1)!
  const groups = num(x, 'groups')
  const split = tf.reshape(t, [...t.shape.slice(0, -1), groups, channels / groups])
  const axes = [...Array.from({ length: t.rank - 2 }, (_, i) => i + 1), t.rank]
  const out = tf.reshape(centred(x, split, axes).out, t.shape)
  const each = (v: T): T =>
    v.size === channels ? v : tf.reshape(tf.tile(tf.expandDims(v, 1), [1, channels / groups]), [channels])
  return asLayout(x, tf.add(tf.mul(out, each(x.in(1))), each(x.in(2))))
}

const lrn: Kernel = (x) => {
  const { tf } = x
  const size = num(x, 'size')
  if (size % 2 === 0) throw new InputError('tfjs: local response over an even number of channels')
  const t = channelsLast(x)
  const out = tf.localResponseNormalization(
    t as never,
    (size - 1) / 2,
    num(x, 'bias'),
    num(x, 'alpha') / size,
    num(x, 'beta'),
  )
  return asLayout(x, out)
}

/** TensorFlow.js takes the last axis only. */
const alongLast =
  (f: (x: KernelCall, t: T) => T): Kernel =>
  (x) => {
    const t = x.in(0)
    if (t.rank === 0) return x.tf.reshape(f(x, x.tf.reshape(t, [1])), [])
    const axis = axisOf(num(x, 'axis'), t.rank)
    if (axis === t.rank - 1) return f(x, t)
    const order = t.shape.map((_, i) => i)
    order[axis] = t.rank - 1
    order[t.rank - 1] = axis
    return x.tf.transpose(f(x, x.tf.transpose(t, order)), order)
  }

/** Two terms (or one) as transposes, one batched product and a reshape: what the wasm backend has no einsum for. */
const einsumByProduct: Kernel = (x) => {
  const { tf } = x
  const equation = (x.a.equation as string).replace(/\s+/g, '')
  const m = /^([a-zA-Z]+)(?:,([a-zA-Z]+))?->([a-zA-Z]*)$/.exec(equation)
  const terms = m ? [m[1]!, m[2]].filter((t): t is string => t !== undefined) : []
  if (!m || terms.length !== x.cells.length || terms.some((t) => new Set(t).size !== t.length))
    throw new InputError(`tfjs: the wasm backend has no einsum, and ${equation} is no product of two terms`)
  const result = [...m[3]!]
  const size = new Map<string, number>()
  const sides = terms.map((term, i) => {
    const t = x.in(i)
    const letters = [...term]
    letters.forEach((l, k) => {
      size.set(l, t.shape[k]!)
    })
    const lone = letters.filter((l) => !(terms[1 - i] ?? '').includes(l) && !result.includes(l))
    const sum = lone.length
      ? tf.sum(
          t,
          lone.map((l) => letters.indexOf(l)),
        )
      : t
    return { t: sum, letters: letters.filter((l) => !lone.includes(l)) }
  })
  const [a, b] = sides
  const turned = (side: { t: T; letters: string[] }, to: readonly string[]): T =>
    tf.transpose(
      side.t,
      to.map((l) => side.letters.indexOf(l)),
    )
  if (!b) return turned(a!, result)
  const both = (l: string): boolean => a!.letters.includes(l) && b.letters.includes(l)
  const batch = result.filter(both)
  const summed = a!.letters.filter((l) => both(l) && !result.includes(l))
  const left = a!.letters.filter((l) => !b.letters.includes(l))
  const right = b.letters.filter((l) => !a!.letters.includes(l))
  const extent = (letters: readonly string[]): number => letters.reduce((n, l) => n * size.get(l)!, 1)
  const dims = batch.map((l) => size.get(l)!)
  const product = tf.matMul(
    tf.reshape(turned(a!, [...batch, ...left, ...summed]), [...dims, extent(left), extent(summed)]),
    tf.reshape(turned(b, [...batch, ...summed, ...right]), [...dims, extent(summed), extent(right)]),
  )
  const made = [...batch, ...left, ...right]
  const shaped = tf.reshape(
    product,
    made.map((l) => size.get(l)!),
  )
  return turned({ t: shaped, letters: made }, result)
}

export const linearRows = {
  matMul,
  conv1d: conv(1),
  conv2d: conv(2),
  conv3d: conv(3),
  convTranspose1d: convTranspose(1),
  convTranspose2d: convTranspose(2),
  convTranspose3d: gap('not spelled in TensorFlow.js yet'),
  gemm,
  einsum: (x) =>
    x.tf.getBackend() === 'wasm'
      ? einsumByProduct(x)
      : x.tf.einsum(x.a.equation as string, ...x.cells.map((_, i) => x.in(i))),
  maxPool1d: maxPool(1),
  maxPool2d: maxPool(2),
  maxPool3d: maxPool(3),
  averagePool1d: averagePool(1),
  averagePool2d: averagePool(2),
  averagePool3d: averagePool(3),
  lpPool1d: lpPool(1),
  lpPool2d: lpPool(2),
  lpPool3d: lpPool(3),
  batchNorm,
  layerNorm,
  rmsNorm,
  instanceNorm,
  groupNorm,
  lrn,
  softmax: alongLast((x, t) => x.tf.softmax(t)),
  logSoftmax: alongLast((x, t) => x.tf.logSoftmax(t)),
  hardmax: alongLast((x, t) => {
    const depth = t.shape.at(-1)!
    return x.tf.cast(x.tf.oneHot(x.tf.argMax(t, -1), depth), 'float32')
  }),
} satisfies Partial<Record<OpName, Row>>
