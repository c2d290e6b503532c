// Pooling: loops over windows, cut to the image where there is padding; vectors run along the channels.

import type { DType } from '../../core/dtype.ts'
import { sizeOf } from '../../core/tensor.ts'
import { call, cast, constant, type Expr, variable } from '../../ir/scalar.ts'
import { vectorizes } from '../build.ts'
import { rounded, typedConstant } from '../formula.ts'
import { assign, computeType, declare, loop, plus, repeat, type Statement, times } from '../loops.ts'
import { memoryOrder, placeOf, type View } from '../view.ts'
import { type Lower, type Lowering, NoLowering } from './lowering.ts'

type Kind = 'max' | 'average' | 'lp'

type Axis = {
  readonly size: number
  readonly out: number
  readonly kernel: number
  readonly stride: number
  readonly dilation: number
  readonly before: number
  readonly after: number
}

/** Taps of a window that lie in the image (or, `padded`, in its padding as well): [from, to). */
function taps(a: Axis, o: Expr, padded: boolean): [from: Expr, to: Expr] {
  const [low, high] = padded ? [-a.before, a.size + a.after] : [0, a.size]
  const start = plus(times(o, a.stride), -a.before)
  const reach = (limit: number): Expr => {
    const distance = call('max', constant(0), call('sub', constant(limit), start))
    return a.dilation === 1 ? distance : call('div', plus(distance, a.dilation - 1), constant(a.dilation))
  }
  return [reach(low), call('min', constant(a.kernel), reach(high))]
}

const pool =
  (kind: Kind): Lower =>
  (x) => {
    const input = x.inputs[0]!
    const out = x.output(0)
    const a = x.attributes
    if (x.types.length > 1) throw new NoLowering('positions of the largest values')
    const pads = a.pads as readonly number[]
    const rank = pads.length / 2
    const first = a.layout === 'channelsLast' ? 1 : 2
    const axes = Array.from(
      { length: rank },
      (_, d): Axis => ({
        size: input.shape[first + d]!,
        out: out.shape[first + d]!,
        kernel: (a.kernel as readonly number[])[d]!,
        stride: (a.strides as readonly number[])[d]!,
        dilation: (a.dilations as readonly number[])[d]!,
        before: pads[d]!,
        after: pads[d + rank]!,
      }),
    )
    const inside = axes.every(
      (d) => d.before === 0 && (d.out - 1) * d.stride + (d.kernel - 1) * d.dilation < d.size,
    )
    fold(x, kind, input, out, axes, first, inside)
  }

function fold(
  x: Lowering,
  kind: Kind,
  input: View,
  out: View,
  axes: readonly Axis[],
  first: number,
  inside: boolean,
): void {
  const order = memoryOrder(out)
  const inner = order.at(-1)!
  const vector =
    (inner < first || inner >= first + axes.length) &&
    out.strides[inner] === 1 &&
    input.strides[inner] === 1 &&
    vectorizes(out.dtype)
  const type = computeType(out.dtype) as DType
  if (kind !== 'max' && type !== 'float32' && type !== 'float64')
    throw new NoLowering(`${x.op} of ${out.dtype}`)
  const p = Number(x.attributes.p ?? 2)
  x.step(
    x.op,
    (k) =>
      k.nest(
        order.map((d) => out.shape[d]!),
        vector ? x.engine.lanes : 1,
        (at, lanes) => {
          const index = out.shape.map((_, d) => at[order.indexOf(d)]!)
          const c = (v: number): Expr => repeat(typedConstant(v, out.dtype), lanes)
          const acc = k.name('acc')
          const start = declare(
            acc,
            { type: computeType(out.dtype), lanes },
            c(kind === 'max' ? -Infinity : 0),
          )
          const before: Statement[] = []
          const held = (e: Expr): Expr => {
            if (e.kind === 'const') return e
            const [s, v] = k.hold('n', 'int32', 1, e)
            before.push(s)
            return v
          }
          const ranges = axes.map((axis, d): [Expr, Expr] => {
            if (inside) return [constant(0), constant(axis.kernel)]
            const [from, to] = taps(axis, index[first + d]!, false)
            return [held(from), held(to)]
          })
          const visit = (d: number, place: readonly Expr[]): Statement[] => {
            if (d < axes.length) {
              const axis = axes[d]!
              const o = index[first + d]!
              return loop(k.name('t'), ranges[d]![0], ranges[d]![1], (t) => {
                const raw = plus(plus(times(o, axis.stride), times(t, axis.dilation)), -axis.before)
                // The range keeps it inside; the limit lets the verifier see so.
                const i = inside ? raw : call('max', constant(0), call('min', raw, constant(axis.size - 1)))
                return visit(d + 1, [...place, i])
              })
            }
            const from = index.map((i, n) => (n >= first && n < first + axes.length ? place[n - first]! : i))
            const value = k.loadPlace(input.buffer, placeOf(input, from), lanes)
            const term =
              kind === 'lp'
                ? p === 1
                  ? call('abs', value)
                  : p === 2
                    ? call('mul', value, value)
                    : call('pow', call('abs', value), c(p))
                : value
            return [assign(acc, call(kind === 'max' ? 'max' : 'add', variable(acc), term))]
          }
          const sums = visit(0, [])
          let result: Expr = variable(acc)
          if (kind === 'average') {
            let count: Expr | number = 1
            for (const [d, axis] of axes.entries()) {
              const [from, to] =
                x.attributes.countIncludePad && !inside ? taps(axis, index[first + d]!, true) : ranges[d]!
              count = times(call('sub', to, from), count)
            }
            const n = inside ? sizeOf(axes.map((d) => d.kernel)) : undefined
            result =
              n !== undefined
                ? call('div', result, c(n))
                : call('div', result, repeat(cast(type, count as Expr), lanes))
          }
          if (kind === 'lp' && p !== 1)
            result = p === 2 ? call('sqrt', result) : call('pow', result, c(1 / p))
          return [
            start,
            ...before,
            ...sums,
            k.storePlace(out.buffer, placeOf(out, index), rounded(result, out.dtype)),
          ]
        },
      ),
    sizeOf(out.shape) * sizeOf(axes.map((d) => d.kernel)),
  )
}

export const maxPool = pool('max')
export const averagePool = pool('average')
export const lpPool = pool('lp')
