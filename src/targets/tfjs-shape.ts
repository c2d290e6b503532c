// Operators that move elements, choose them or reduce them, in TensorFlow.js.

import { InputError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import type { OpName } from '../ir/ops/index.ts'
import { splitSizes } from '../ir/ops/movement.ts'
import { sliceRange } from '../ir/ops/slicing.ts'
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
  type T,
} from './tfjs-kernel.ts'

const ints32 = (x: KernelCall, values: readonly number[]): T => x.tf.tensor1d([...values], 'int32')

const reshape: Kernel = (x) => {
  const t = x.in(0)
  const target = x.ints(1).map((d, i) => (d === 0 && !flag(x, 'allowZero') ? t.shape[i]! : d))
  return x.tf.reshape(t, target)
}

const flatten: Kernel = (x) => {
  const t = x.in(0)
  const given = num(x, 'axis')
  const axis = given < 0 ? given + t.rank : given
  const rows = t.shape.slice(0, axis).reduce((a, b) => a * b, 1)
  return x.tf.reshape(t, [
    rows,
    t.size === 0 ? t.shape.slice(axis).reduce((a, b) => a * b, 1) : t.size / rows,
  ])
}

/** numpy's broadcasting to a shape, both ways. */
const expand: Kernel = (x) => {
  const t = x.in(0)
  const target = x.ints(1)
  const rank = Math.max(t.rank, target.length)
  const dim = (s: readonly number[], i: number): number => s[i - (rank - s.length)] ?? 1
  const out = Array.from({ length: rank }, (_, i) => {
    const [a, b] = [dim(t.shape, i), dim(target, i)]
    return a === 1 ? b : a
  })
  return x.tf.broadcastTo(t, out)
}

/**
 * The order along axes turned about. The wasm backend of TensorFlow.js 4.22 reverses bools as if each took four bytes: it reads
 * and writes past their end, and later kernels fail. As integers they are safe.
 */
function reversed(x: KernelCall, t: T, axes: number[]): T {
  const { tf } = x
  return t.dtype === 'bool' ? tf.cast(tf.reverse(tf.cast(t, 'int32'), axes), 'bool') : tf.reverse(t, axes)
}

const slice: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const [starts, ends] = [x.ints(1), x.ints(2)]
  const axes = x.has(3) ? x.ints(3) : starts.map((_, i) => i)
  const steps = x.has(4) ? x.ints(4) : starts.map(() => 1)
  const begin = t.shape.map(() => 0)
  const size = [...t.shape]
  const backward: number[] = []
  const strided: { axis: number; step: number }[] = []
  axes.forEach((a, i) => {
    const axis = axisOf(a, t.rank)
    const step = steps[i]!
    const { start, count } = sliceRange(starts[i]!, ends[i]!, step, t.shape[axis]!)
    const by = Math.abs(step)
    const span = count === 0 ? 0 : (count - 1) * by + 1
    // A backward cut is a forward one that is turned about.
    begin[axis] = step > 0 ? start : start - (span - 1)
    size[axis] = span
    if (count === 0) begin[axis] = 0
    if (step < 0) backward.push(axis)
    if (by > 1) strided.push({ axis, step: by })
  })
  let out: T = tf.slice(t, begin, size)
  if (backward.length) out = reversed(x, out, backward)
  for (const { axis, step } of strided) {
    const every = Array.from({ length: Math.ceil(out.shape[axis]! / step) }, (_, i) => i * step)
    out = tf.gather(out, ints32(x, every), axis)
  }
  return out
}

const split: Kernel = (x) => {
  const t = x.in(0)
  const axis = axisOf(num(x, 'axis'), t.rank)
  return x.tf.split(t, x.has(1) ? x.ints(1) : splitSizes(t.shape[axis]!, x.outputs), axis)
}

const pad: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const pads = x.ints(1)
  const axes = x.has(3) ? x.ints(3).map((a) => axisOf(a, t.rank)) : t.shape.map((_, i) => i)
  const pairs = t.shape.map((): [number, number] => [0, 0])
  axes.forEach((a, i) => {
    pairs[a] = [pads[i]!, pads[i + axes.length]!]
  })
  let from: T = t
  if (pairs.some(([a, b]) => a < 0 || b < 0)) {
    const begin = pairs.map(([a]) => Math.max(-a, 0))
    from = tf.slice(
      t,
      begin,
      t.shape.map((d, i) => d - begin[i]! - Math.max(-pairs[i]![1], 0)),
    )
  }
  const grow = pairs.map(([a, b]): [number, number] => [Math.max(a, 0), Math.max(b, 0)])
  const mode = x.a.mode
  if (mode === 'constant') return tf.pad(from, grow, x.has(2) ? (x.in(2).dataSync()[0] as number) : 0)
  if (mode === 'reflect' || mode === 'symmetric') return tf.mirrorPad(from, grow, mode)
  throw new InputError(`tfjs: padding with mode ${String(mode)}`)
}

const gather: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const axis = axisOf(num(x, 'axis'), t.rank)
  // TensorFlow.js has no index that counts from the end.
  const indices = x.in(1)
  const size = t.shape[axis]!
  const safe = tf.where(tf.less(indices, 0), tf.add(indices, tf.scalar(size, 'int32')), indices)
  return tf.gather(t, safe as never, axis, num(x, 'batchDims'))
}

const gatherND: Kernel = (x) => {
  if (num(x, 'batchDims') !== 0) throw new InputError('tfjs: gatherND with batch dimensions')
  return x.tf.gatherND(x.in(0), x.in(1))
}

const scatterND: Kernel = (x) => {
  if (x.a.reduction !== 'none') throw new InputError(`tfjs: scatter with reduction ${String(x.a.reduction)}`)
  return x.tf.tensorScatterUpdate(x.in(0), x.in(1), x.in(2))
}

const oneHot: Kernel = (x) => {
  const { tf } = x
  const indices = x.in(0)
  const depth = x.ints(1)[0]!
  const values = x.in(2)
  const [off, on] = [tf.slice(values, [0], [1]), tf.slice(values, [1], [1])].map((v) => tf.reshape(v, []))
  const axis = axisOf(num(x, 'axis'), indices.rank + 1)
  const whole = tf.cast(indices, 'int32')
  const positive = tf.where(tf.less(whole, 0), tf.add(whole, tf.scalar(depth, 'int32')), whole)
  const hot = tf.cast(tf.oneHot(positive as never, depth), 'bool')
  const out = tf.where(hot, tf.broadcastTo(on!, hot.shape), tf.broadcastTo(off!, hot.shape))
  if (axis === indices.rank) return out
  const order = indices.shape.map((_, i) => i)
  order.splice(axis, 0, indices.rank)
  return tf.transpose(out, order)
}

const topK: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const axis = axisOf(num(x, 'axis'), t.rank)
  const order = t.shape.map((_, i) => i)
  order[axis] = t.rank - 1
  order[t.rank - 1] = axis
  const turned = tf.transpose(t, order)
  const largest = flag(x, 'largest')
  const { values, indices } = tf.topk(largest ? turned : tf.neg(turned), x.ints(1)[0]!, true)
  return [tf.transpose(largest ? values : tf.neg(values), order), tf.transpose(indices, order)]
}

type Reduce = (x: KernelCall, t: T, axes: number[], keep: boolean) => T
const reduction =
  (f: Reduce): Kernel =>
  (x) => {
    const t = x.in(0)
    const given = x.has(1) ? x.ints(1) : []
    if (given.length === 0 && flag(x, 'noopWithEmptyAxes')) return x.tf.clone(t)
    const axes = given.length ? given.map((a) => axisOf(a, t.rank)) : t.shape.map((_, i) => i)
    return f(x, t, axes, flag(x, 'keepDims'))
  }

const argExtreme =
  (kind: 'argMax' | 'argMin'): Kernel =>
  (x) => {
    const { tf } = x
    const t = x.in(0)
    const axis = axisOf(num(x, 'axis'), t.rank)
    const last = flag(x, 'selectLast')
    let out: T = tf[kind](last ? tf.reverse(t, axis) : t, axis)
    if (last) out = tf.sub(tf.scalar(t.shape[axis]! - 1, 'int32'), out)
    return flag(x, 'keepDims') ? tf.expandDims(out, axis) : out
  }

const resize: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const axes = ((x.a.axes as readonly number[] | undefined) ?? t.shape.map((_, i) => i)).map((a) =>
    axisOf(a, t.rank),
  )
  const size = [...t.shape]
  const scales = x.has(2) ? (Array.from(x.in(2).dataSync()) as number[]) : null
  const sizes = x.has(3) ? x.ints(3) : null
  axes.forEach((a, i) => {
    size[a] = sizes?.length ? sizes[i]! : Math.floor(t.shape[a]! * scales![i]!)
    if (scales?.length && size[a] !== t.shape[a]! * scales[i]!)
      throw new InputError('tfjs: a resize by a scale that gives no whole size')
  })
  const changed = t.shape.flatMap((d, i) => (size[i] === d ? [] : [i]))
  if (t.rank !== 4) throw new InputError('tfjs: a resize of other than an image')
  const first = changed.every((i) => i >= 2)
  if (!first && !changed.every((i) => i === 1 || i === 2)) throw new InputError('tfjs: a resize of channels')
  const { mode, coordinates, rounding } = x.a
  const corners = coordinates === 'alignCorners'
  const image = first ? tf.transpose(t, [0, 2, 3, 1]) : t
  const target: [number, number] = first ? [size[2]!, size[3]!] : [size[1]!, size[2]!]
  let out: T
  if (mode === 'linear' && (corners || coordinates === 'halfPixel' || coordinates === 'asymmetric')) {
    out = tf.image.resizeBilinear(image as never, target, corners, coordinates === 'halfPixel')
  } else if (
    mode === 'nearest' &&
    ((coordinates === 'asymmetric' && rounding === 'floor') ||
      (coordinates === 'tfHalfPixelForNN' && rounding === 'floor'))
  ) {
    out = tf.image.resizeNearestNeighbor(image as never, target, false, coordinates === 'tfHalfPixelForNN')
  } else {
    throw new InputError(
      `tfjs: a resize with mode ${String(mode)}, coordinates ${String(coordinates)}, rounding ${String(rounding)}`,
    )
  }
  return first ? tf.transpose(out, [0, 3, 1, 2]) : out
}

const cumSum: Kernel = (x) =>
  x.tf.cumsum(x.in(0), axisOf(x.ints(1)[0]!, x.in(0).rank), flag(x, 'exclusive'), flag(x, 'reverse'))

const depthToSpace: Kernel = (x) => {
  const { tf } = x
  const t = channelsLast(x)
  const block = num(x, 'block')
  const [n, h, w, c] = t.shape as [number, number, number, number]
  const out = c / (block * block)
  if (x.a.mode === 'CRD') {
    const split = tf.reshape(t, [n, h, w, out, block, block])
    const moved = tf.transpose(split, [0, 1, 4, 2, 5, 3])
    return asLayout(x, tf.reshape(moved, [n, h * block, w * block, out]))
  }
  return asLayout(x, tf.depthToSpace(t as never, block, 'NHWC'))
}

const spaceToDepth: Kernel = (x) => {
  const { tf } = x
  const t = channelsLast(x)
  const block = num(x, 'block')
  const [n, h, w, c] = t.shape as [number, number, number, number]
  const split = tf.reshape(t, [n, h / block, block, w / block, block, c])
  const moved = tf.transpose(split, [0, 1, 3, 2, 4, 5])
  return asLayout(x, tf.reshape(moved, [n, h / block, w / block, block * block * c]))
}

const constantOfShape: Kernel = (x) => {
  const value = x.a.value as Tensor
  const dtype = value.dtype === 'float32' ? 'float32' : value.dtype === 'bool' ? 'bool' : 'int32'
  return x.tf.fill(x.ints(0), Number(value.data[0]), dtype)
}

const shapeOp: Kernel = (x) => {
  const dims = x.cells[0]!.last ? x.in(0).shape : x.cells[0]!.t.shape
  const start = Math.max(-dims.length, num(x, 'start'))
  return ints32(x, dims.slice(start, x.a.end as number | undefined))
}

const castTo: Kernel = (x) => {
  const { tf } = x
  const t = x.in(0)
  const to = x.a.to as string
  if (to === 'bool') return t.dtype === 'bool' ? tf.clone(t) : tf.notEqual(t, tf.zerosLike(t))
  if (to === 'float32') return tf.cast(t, 'float32')
  if (to === 'int32' || to === 'int64') return tf.cast(t, 'int32')
  throw new InputError(`tfjs: a cast to ${to}`)
}

export const shapeRows = {
  identity: (x) => ({ t: x.tf.clone(x.cells[0]!.t), last: x.cells[0]!.last }),
  cast: castTo,
  bitCast: gap('TensorFlow.js has no bit cast'),
  shape: shapeOp,
  size: (x) => x.tf.scalar(x.cells[0]!.t.size, 'int32'),
  reshape,
  flatten,
  squeeze: (x) => {
    const t = x.in(0)
    const axes = x.a.axes as readonly number[] | undefined
    if (axes?.length === 0) return x.tf.clone(t)
    return x.tf.squeeze(
      t,
      axes?.map((a) => axisOf(a, t.rank)),
    )
  },
  unsqueeze: (x) => {
    const t = x.in(0)
    const axes = nums(x, 'axes')
    const rank = t.rank + axes.length
    const added = new Set(axes.map((a) => axisOf(a, rank)))
    const rest = t.shape.values()
    return x.tf.reshape(
      t,
      Array.from({ length: rank }, (_, i): number => (added.has(i) ? 1 : (rest.next().value as number))),
    )
  },
  expand,
  transpose: (x) => x.tf.transpose(x.in(0), x.a.permutation as number[] | undefined),
  concat: (x) => {
    const { tf } = x
    const cells = x.cells.map((c) => c!)
    const rank = cells[0]!.t.rank
    const axis = axisOf(num(x, 'axis'), rank)
    if (cells.every((c) => c.last)) {
      const at = axis === 0 ? 0 : axis === 1 ? rank - 1 : axis - 1
      return {
        t: tf.concat(
          cells.map((c) => c.t),
          at,
        ),
        last: true,
      }
    }
    return tf.concat(
      cells.map((_, i) => x.in(i)),
      axis,
    )
  },
  split,
  slice,
  pad,
  tile: (x) => x.tf.tile(x.in(0), x.ints(1)),
  reverse: (x) => {
    const t = x.in(0)
    return reversed(
      x,
      t,
      nums(x, 'axes').map((a) => axisOf(a, t.rank)),
    )
  },
  spaceToDepth,
  depthToSpace,
  gather,
  gatherND,
  scatterND,
  oneHot,
  topK,
  range: (x) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => x.in(i).dataSync()[0] as number)
    return x.tf.range(start!, limit!, delta!, x.in(0).dtype as 'float32' | 'int32')
  },
  constantOfShape,
  reduceSum: reduction((x, t, axes, keep) => x.tf.sum(t, axes, keep)),
  reduceMean: reduction((x, t, axes, keep) => x.tf.mean(t, axes, keep)),
  reduceMax: reduction((x, t, axes, keep) => x.tf.max(t, axes, keep)),
  reduceMin: reduction((x, t, axes, keep) => x.tf.min(t, axes, keep)),
  reduceProd: reduction((x, t, axes, keep) => x.tf.prod(t, axes, keep)),
  reduceL1: reduction((x, t, axes, keep) => x.tf.sum(x.tf.abs(t), axes, keep)),
  reduceL2: reduction((x, t, axes, keep) => x.tf.sqrt(x.tf.sum(x.tf.square(t), axes, keep))),
  reduceSumSquare: reduction((x, t, axes, keep) => x.tf.sum(x.tf.square(t), axes, keep)),
  reduceLogSum: reduction((x, t, axes, keep) => x.tf.log(x.tf.sum(t, axes, keep))),
  reduceLogSumExp: reduction((x, t, axes, keep) => x.tf.logSumExp(t, axes, keep)),
  argMax: argExtreme('argMax'),
  argMin: argExtreme('argMin'),
  cumSum,
  lpNorm: (x) => {
    const { tf } = x
    const t = x.in(0)
    const axis = axisOf(num(x, 'axis'), t.rank)
    const p = num(x, 'p')
    const sum = tf.sum(p === 1 ? tf.abs(t) : tf.square(t), axis, true)
    const least = tf.maximum(sum, num(x, 'epsilon'))
    return tf.divNoNan(t, p === 1 ? least : tf.sqrt(least))
  },
  resize,
} satisfies Partial<Record<OpName, Row>>
