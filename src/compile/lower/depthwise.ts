// Depthwise convolution: one filter a channel.

import { allocate } from '../../core/dtype.ts'
import { numbers, sizeOf } from '../../core/tensor.ts'
import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import type { KernelBuilder } from '../build.ts'
import { typedConstant } from '../formula.ts'
import {
  assign,
  computeType,
  declare,
  element,
  type LoopType,
  loop,
  plus,
  repeat,
  type Statement,
  times,
} from '../loops.ts'
import { type Index, isContiguous, placeOf, type View } from '../view.ts'
import { type Conv, withBorder } from './border.ts'
import { copyLoops, type Lowering } from './lowering.ts'
import { rowMajorCopy } from './movement.ts'

export const isDepthwise = (
  c: { readonly groups: number },
  filter: readonly number[],
  channels: number,
): boolean => c.groups > 1 && c.groups === channels && filter[0] === channels && filter.length === 4

/** One filter a channel: vectors run along the channels, a tile of pixels of one row shares the taps' weights. */
export function depthwise(x: Lowering, c: Conv): void {
  const [input, given, bias] = x.inputs as [View, View, View | undefined]
  const filter = isContiguous(given) ? given : rowMajorCopy(x, given)
  const from = withBorder(x, input, c, 'channels inner')
  const { shape } = x.types[0]!
  const [kh, kw] = filter.shape.slice(2) as [number, number]
  const channels = input.shape[c.channel]!
  const { lanes } = x.engine
  const [sy, sx] = c.strides as [number, number]
  const [dy, dx] = c.dilations as [number, number]
  // Weights as [tap, channel].
  const weights = (() => {
    const w = x.constants[1]
    if (w) {
      const data = allocate(w.dtype, w.data.length) as Float32Array
      const values = numbers(w)
      for (let t = 0; t < kh * kw; t++)
        for (let ch = 0; ch < channels; ch++) data[t * channels + ch] = values[ch * kh * kw + t]!
      return x.program.constant({ dtype: w.dtype, shape: [kh * kw, channels], data }, `${x.op}.weights`)
    }
    const temp = x.program.temp(`${x.op}.weights`, filter.dtype, [kh * kw, channels])
    x.step('filter', (k) =>
      copyLoops(
        k,
        { ...filter, shape: [kh * kw, channels], strides: [filter.strides.at(-1)!, filter.strides[0]!] },
        temp,
      ),
    )
    return temp
  })()
  const [oh, ow] = shape.slice(c.first, c.first + 2) as [number, number]
  const biasView: View | undefined = bias && {
    ...bias,
    shape,
    strides: shape.map((_, d) => (d === c.channel ? bias.strides[0]! : 0)),
  }
  const operands = [...(biasView ? [biasView] : []), ...x.epilogue.operands]
  const at = (v: View, n: Index, y: Index, xx: Index, ch: Index): Expr => {
    const index = new Array<Index>(4)
    index[0] = n
    index[c.first] = y
    index[c.first + 1] = xx
    index[c.channel] = ch
    return placeOf(v, index)
  }
  const width = Math.min(4, ow)
  /** One row of one image, y, into row outY of a view. */
  const rowLoops = (k: KernelBuilder, n: Expr, y: Expr, out: View, outY: Expr): Statement[] => {
    const contiguous = operands.every((v) => v.strides[c.channel]! <= 1) && out.strides[c.channel] === 1
    const step = contiguous ? lanes : 1
    const fullWidth = step === 1 ? 0 : Math.floor(channels / step) * step
    const tile = (n: Expr, y: Expr, x0: Expr, pixels: number, ch: Expr, vector: number): Statement[] => {
      const type: LoopType = { type: computeType(x.types[0]!.dtype), lanes: vector }
      const [acc, w, row] = [k.name('acc'), k.name('w'), k.name('row')]
      const span = (pixels - 1) * sx + 1
      const out1: Statement[] = [
        declare(acc, type, repeat(typedConstant(0, x.types[0]!.dtype), vector), pixels),
      ]
      for (let ky = 0; ky < kh; ky++) {
        const line = plus(times(y, sy), ky * dy)
        const value = (px: number): Expr =>
          k.loadPlace(from.buffer, at(from, n, line, plus(times(x0, sx), px), ch), vector)
        // Neighbouring taps share inputs: each is loaded once a row.
        const held = new Map<number, Expr>()
        for (let kx = 0; kx < kw; kx++) {
          for (let p = 0; p < pixels; p++) {
            const px = p * sx + kx * dx
            if (held.has(px) || (dx !== 1 && px < 0) || span < 0) continue
            const name = `${row}_${ky}_${px}`
            out1.push(declare(name, type, value(px)))
            held.set(px, variable(name))
          }
          const wn = `${w}_${ky}_${kx}`
          out1.push(
            declare(wn, type, k.loadPlace(weights.buffer, plus(ch, (ky * kw + kx) * channels), vector)),
          )
          for (let p = 0; p < pixels; p++)
            out1.push(assign(acc, call('fma', held.get(p * sx + kx * dx)!, variable(wn), element(acc, p)), p))
        }
      }
      for (let p = 0; p < pixels; p++) {
        const loads = operands.map((o) =>
          k.loadStrided(o.buffer, at(o, n, y, plus(x0, p), ch), o.strides[c.channel]!, vector),
        )
        const sum = biasView ? call('add', element(acc, p), loads.shift()!) : element(acc, p)
        out1.push(
          k.storePlace(out.buffer, at(out, n, outY, plus(x0, p), ch), x.epilogue.apply(sum, loads, vector)),
        )
      }
      return out1
    }
    const row = (n: Expr, y: Expr, x0: Expr, pixels: number): Statement[] => [
      ...(step > 1
        ? loop(k.name('c'), 0, fullWidth, (ch) => tile(n, y, x0, pixels, ch, step), { step })
        : []),
      ...loop(k.name('c'), fullWidth, channels, (ch) => tile(n, y, x0, pixels, ch, 1)),
    ]
    const full = Math.floor(ow / width) * width
    return [
      ...loop(k.name('x'), 0, full, (x0) => row(n, y, x0, width), { step: width }),
      ...(full < ow ? row(n, y, constant(full), ow - full) : []),
    ]
  }
  const macs = sizeOf(shape) * kh * kw
  if (x.defer?.kind === 'rows') {
    x.defer.give({
      kind: 'rows',
      macs,
      make: (k, from, count, to) =>
        loop(k.name('y'), 0, count, (i) => {
          const [hold, y] = k.hold('y', 'int32', 1, plus(from, i))
          return [hold, ...rowLoops(k, constant(0), y, to, i)]
        }),
    })
    return
  }
  const out = x.output(0)
  x.step(
    'depthwise',
    (k) =>
      loop(
        k.name('y'),
        0,
        shape[0]! * oh,
        (ny) => {
          const [n, y] =
            shape[0] === 1
              ? [constant(0), ny]
              : [call('div', ny, constant(oh)), call('rem', ny, constant(oh))]
          return rowLoops(k, n, y, out, y)
        },
        { mode: 'parallel' },
      ),
    macs,
  )
}
