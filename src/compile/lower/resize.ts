// Resampling: one pass an axis, each result a weighted sum of a few entries whose places and weights are tables made at compile
// time.

import { type DType, isBig, isInteger } from '../../core/dtype.ts'
import { tensorOf } from '../../core/tensor.ts'
import { resizeTaps } from '../../ir/ops/resize.ts'
import { call, cast, type Expr } from '../../ir/scalar.ts'
import { vectorizes } from '../build.ts'
import { rounded, typedConstant } from '../formula.ts'
import { computeType, plus, repeat, times } from '../loops.ts'
import { memoryOrder, permuted, type View } from '../view.ts'
import { type Lower, NoLowering } from './lowering.ts'

export const resize: Lower = (x) => {
  const input = x.inputs[0]!
  for (const i of [1, 2, 3])
    if (x.inputs[i] && !x.constants[i]) throw new NoLowering('sizes that are computed')
  const out = x.output(0)
  const [roi, scales, sizes] = [x.constants[1], x.constants[2], x.constants[3]]
  const all = resizeTaps(input.shape, out.shape, x.attributes, roi, scales, sizes)
  if (all.some((t) => t.outside?.some((o) => o))) throw new NoLowering('extrapolation')
  const nearest = x.attributes.mode === 'nearest'
  if (!nearest && (isBig(out.dtype) || out.dtype === 'bool'))
    throw new NoLowering(`interpolation of ${out.dtype}`)
  // Integers are cut off at the end, so that the last bit counts: as the reference has it, in doubles and without fused products.
  const whole = !nearest && isInteger(out.dtype)
  const between: DType = whole ? 'float64' : out.dtype
  const touched = all.map((t, d) => (t.touched ? d : -1)).filter((d) => d >= 0)
  if (touched.length === 0) touched.push(0)
  let from = input
  touched.forEach((axis, step) => {
    const taps = all[axis]!
    const last = step === touched.length - 1
    const shape = from.shape.map((n, d) => (d === axis ? out.shape[d]! : n))
    const order = memoryOrder(out)
    const to = last
      ? out
      : inOrder(
          x.program.temp(
            `${x.op}.pass`,
            between,
            order.map((d) => shape[d]!),
          ),
          order,
          shape,
        )
    const places = x.program.constant(
      { dtype: 'int32', shape: [taps.indices.length], data: Int32Array.from(taps.indices) },
      `${x.op}.places`,
    )
    const weights = x.program.constant(
      tensorOf(whole ? 'float64' : 'float32', [taps.weights.length], taps.weights),
      `${x.op}.weights`,
    )
    const source = from
    const inner = order.at(-1)!
    const vector =
      inner !== axis &&
      to.strides[inner] === 1 &&
      source.strides[inner] === 1 &&
      !whole &&
      vectorizes(out.dtype)
    const size = source.shape[axis]!
    x.step(x.op, (k) => {
      const walked = permuted(to, order)
      return k.nest(walked.shape, vector ? x.engine.lanes : 1, (index, lanes) => {
        const at = (d: number): Expr => index[order.indexOf(d)]!
        let sum: Expr | undefined
        for (let t = 0; t < taps.count; t++) {
          const slot = plus(times(at(axis), taps.count), t)
          // The table's entries lie inside; the limit says so to the verifier.
          const place = call(
            'max',
            { kind: 'const', value: 0 },
            call('min', k.load(places, [slot]), { kind: 'const', value: size - 1 }),
          )
          const value = k.loadVector(
            permuted(source, order),
            order.map((d) => (d === axis ? place : at(d))),
            lanes,
          )
          if (nearest) {
            sum = value
            continue
          }
          const type = computeType(between)
          const loaded = k.load(weights, [slot])
          if (whole) {
            const product = call('mul', source.dtype === type ? value : cast(type, value), loaded)
            sum = sum ? call('add', sum, product) : product
            continue
          }
          const w = repeat(
            type === 'float32' ? loaded : { kind: 'cast', type: 'float64', arg: loaded },
            lanes,
          )
          sum = call('fma', value, w, sum ?? repeat(typedConstant(0, out.dtype), lanes))
        }
        const result = whole && last ? cast(out.dtype, sum!) : rounded(sum!, between)
        return [k.store(walked, index, result)]
      })
    })
    from = to
  })
}

const inOrder = (v: View, order: readonly number[], shape: readonly number[]): View => ({
  ...v,
  shape,
  strides: shape.map((_, d) => v.strides[order.indexOf(d)]!),
})
