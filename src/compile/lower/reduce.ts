// Reductions along axes: where the innermost dimension in memory is kept, vectors run along it; else along the reduced one, and
// lanes are folded at the end.

import type { DType } from '../../core/dtype.ts'
import { isFloat } from '../../core/dtype.ts'
import { integers } from '../../core/tensor.ts'
import { call, cast, type Expr, type ScalarFn, variable } from '../../ir/scalar.ts'
import { vectorizes } from '../build.ts'
import { rounded, typedConstant } from '../formula.ts'
import { assign, computeType, declare, loop, plus, repeat, type Statement, times } from '../loops.ts'
import { collapse, memoryOrder, permuted, placeOf, type View } from '../view.ts'
import { type Lower, type Lowering, NoLowering } from './lowering.ts'

type Fold = {
  readonly start: number
  readonly fn: ScalarFn
  readonly map?: (e: Expr) => Expr
  readonly finish?: (e: Expr, count: Expr) => Expr
}

const folds = {
  reduceSum: { start: 0, fn: 'add' },
  reduceMean: { start: 0, fn: 'add', finish: (e, n) => call('div', e, n) },
  reduceMax: { start: -Infinity, fn: 'max' },
  reduceMin: { start: Infinity, fn: 'min' },
  reduceProd: { start: 1, fn: 'mul' },
  reduceL1: { start: 0, fn: 'add', map: (e) => call('abs', e) },
  reduceL2: { start: 0, fn: 'add', map: (e) => call('mul', e, e), finish: (e) => call('sqrt', e) },
  reduceSumSquare: { start: 0, fn: 'add', map: (e) => call('mul', e, e) },
  reduceLogSum: { start: 0, fn: 'add', finish: (e) => call('log', e) },
} satisfies Record<string, Fold>

export function axesOf(x: Lowering, rank: number): Set<number> {
  const given = x.inputs[1] ? x.constants[1] : undefined
  if (x.inputs[1] && !given) throw new NoLowering('axes that are computed')
  const axes = given ? integers(given) : []
  if (axes.length === 0)
    return new Set(x.attributes.noopWithEmptyAxes ? [] : Array.from({ length: rank }, (_, d) => d))
  return new Set(axes.map((a) => (a < 0 ? a + rank : a)))
}

export const reduce =
  (op: keyof typeof folds): Lower =>
  (x) => {
    const input = x.inputs[0]!
    const gone = axesOf(x, input.shape.length)
    const out = x.output(0)
    reduceTo(x, folds[op], input, gone, out)
  }

/** Reduces `input` over the dimensions `gone` into `out`, whose dimensions are the others (with or without ones between). */
export function reduceTo(x: Lowering, f: Fold, input: View, gone: ReadonlySet<number>, out: View): void {
  // The result seen with all dimensions, reduced ones of extent 1.
  let next = 0
  const keepsDims = out.shape.length === input.shape.length
  const strides = input.shape.map((_, d) => {
    if (gone.has(d)) return 0
    return out.strides[keepsDims ? d : next++]!
  })
  const order = memoryOrder(input)
  const kept = order.filter((d) => !gone.has(d))
  const lost = order.filter((d) => gone.has(d))
  const count = lost.reduce((n, d) => n * input.shape[d]!, 1)
  const [from, to] = collapse([
    permuted(input, kept),
    { ...out, shape: kept.map((d) => input.shape[d]!), strides: kept.map((d) => strides[d]!) },
  ]) as [View, View]
  const [inner] = collapse([permuted(input, lost)]) as [View]
  const integer = !isFloat(out.dtype)
  // Integer sums are exact in 64 bits and wrap once, when stored.
  const exact =
    integer && out.dtype !== 'bool' && (f.fn === 'add' || f.fn === 'mul') && out.dtype !== 'uint64'
  const work: DType = exact ? 'int64' : (computeType(out.dtype) as DType)
  const across = from.strides.at(-1) === 1 && to.strides.at(-1) === 1 && from.shape.at(-1)! >= 4
  const along = !across && inner.strides.at(-1) === 1 && inner.shape.at(-1)! >= 8
  const vector = vectorizes(out.dtype) && !exact && out.dtype !== 'bool'
  const { lanes: most } = x.engine
  const lanesOuter = vector && across ? most : 1
  const lanesInner = vector && along ? most : 1
  x.step(x.op, (k) =>
    k.nest(to.shape, lanesOuter, (index, width) => {
      const lanes = Math.max(width, lanesInner)
      const acc = k.name('acc')
      const place = placeOf(from, index)
      const value = (rest: readonly Expr[], w: number): Expr => {
        let p = place
        rest.forEach((i, d) => {
          p = plus(p, times(i, inner.strides[d]!))
        })
        const v = k.loadPlace(input.buffer, p, w)
        const raised = exact ? cast('int64', v) : v
        return f.map ? f.map(raised) : raised
      }
      const add = (e: Expr, name: string): Statement => assign(name, call(f.fn, variable(name), e))
      const nest = (d: number, rest: readonly Expr[]): Statement[] => {
        if (d < inner.shape.length - 1)
          return loop(k.name('r'), 0, inner.shape[d]!, (i) => nest(d + 1, [...rest, i]))
        const n = inner.shape[d]!
        if (lanesInner === 1 || width > 1)
          return loop(k.name('r'), 0, n, (i) => [add(value([...rest, i], width), acc)])
        const full = Math.floor(n / most)
        return [
          ...loop(k.name('r'), 0, full, (i) => [add(value([...rest, times(i, most)], most), acc)]),
          ...loop(k.name('r'), full * most, n, (i) => [add(value([...rest, i], 1), `${acc}_tail`)]),
        ]
      }
      const split = lanesInner > 1 && width === 1
      const start = typedConstant(f.start, work)
      const type = computeType(work)
      let result: Expr = variable(acc)
      if (split)
        result = call(f.fn, { kind: 'across', fn: f.fn, arg: variable(acc) }, variable(`${acc}_tail`))
      if (f.finish) result = f.finish(result, repeat(typedConstant(count, work), width))
      return [
        declare(
          acc,
          { type, lanes: split ? most : lanes === 1 ? 1 : width },
          repeat(start, split ? most : width),
        ),
        ...(split ? [declare(`${acc}_tail`, { type, lanes: 1 }, start)] : []),
        ...(count === 0 ? [] : nest(0, [])),
        k.store(to, index, exact ? cast(out.dtype, result) : rounded(result, out.dtype)),
      ]
    }),
  )
}
