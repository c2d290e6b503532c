// The two sides of a product made ready: panels of the right side packed at compile time or by a step, and the step that computes it.

import { bytesOf, type DType, type TensorData } from '../../core/dtype.ts'
import { numbers, productOf, sizeOf, stridesOf, type Tensor } from '../../core/tensor.ts'
import { constant, type Expr } from '../../ir/scalar.ts'
import { type KernelBuilder, vectorizes } from '../build.ts'
import { typedConstant } from '../formula.ts'
import { type ComputeType, computeType, loop, plus, type Statement, times } from '../loops.ts'
import type { Schedule } from '../schedule.ts'
import type { Index, View } from '../view.ts'
import { type Contraction, contract, packPanels, panelsOf } from './contract.ts'
import { type Lower, type Lowering, NoLowering } from './lowering.ts'

/** In what type a product is computed, and at what width. */
export function arithmetic(x: Lowering): { type: ComputeType; lanes: number } {
  const { dtype } = x.types[0]!
  const type = computeType(dtype)
  if (type === 'bool') throw new NoLowering(`${x.op} of ${dtype}`)
  return { type, lanes: vectorizes(dtype) ? x.engine.lanes : 1 }
}
/** The lowering at the vector width of a schedule. Sparse neighbours share tiles, and so the engine's width. */
export const atWidth = (x: Lowering, s: Schedule): Lowering =>
  s.sparse || x.types[0]!.dtype !== 'float32' ? x : { ...x, engine: { ...x.engine, lanes: s.lanes } }

/** Columns of the register tile in whole vectors. */
export const fitted = (s: Schedule, lanes: number): Schedule =>
  lanes > 1
    ? { ...s, columns: Math.max(lanes, Math.floor(s.columns / lanes) * lanes) }
    : { ...s, columns: Math.min(s.columns, 4) }

/** Of the columns of float products: half a vector of 16 where a compiler takes both. */
export const grainOf = (x: Lowering, lanes: number): number =>
  x.engine.name.startsWith('c-') && lanes === 16 && x.types[0]!.dtype === 'float32' ? 8 : lanes

/** How many neighbours one `dot` takes where both sides have them in order: pairs of int16, or uint8 and int8 in fours. */
export function pairOf(x: Lowering, lanes: number, stride: number, extent: number): number {
  if (lanes === 1 || stride !== 1 || x.types[0]!.dtype !== 'int32') return 1
  const [left, right] = [x.inputs[0]!.dtype, x.constants[1]?.dtype]
  const pair =
    left === 'int16' && right === 'int16' ? 2 : x.engine.bytes && left === 'uint8' && right === 'int8' ? 4 : 1
  return extent % pair === 0 ? pair : 1
}

type Right = {
  /** [groups…, taps, channels, columns], where the content lies. */
  readonly view: View
  readonly tensor: Tensor | undefined
}

/** A constant's elements as its compute type holds them. */
const widened = (t: Tensor): { data: TensorData } =>
  t.dtype === 'bfloat16' || t.dtype === 'float16'
    ? { data: Float32Array.from(numbers(t) as Float32Array) }
    : t

/** Panels of a right side: at compile time where its content is known, else by a step of their own. */
export function packed(
  x: Lowering,
  right: Right,
  s: Schedule,
  pair = 1,
): { buffer: number; groups: readonly number[] } {
  const { view } = right
  const [taps, channels, columns] = view.shape.slice(-3) as [number, number, number]
  const depth = taps * channels
  const { type, lanes } = arithmetic(x)
  const p = panelsOf(columns, depth, s.columns, pair === 1 ? grainOf(x, lanes) : lanes)
  // Groups that are broadcast share their panels.
  const lead = view.shape.slice(0, -3).map((n, d) => (view.strides[d] === 0 ? 1 : n))
  const own = sizeOf(lead)
  const places = stridesOf(lead)
  const strides = places.map((n, d) => (lead[d] === 1 ? 0 : n * p.size))
  if (right.tensor) {
    const element = pair > 1 ? right.tensor.dtype : (type as DType)
    const { tensor } = right
    const write = (to: TensorData): void => {
      const product = productOf(tensor)
      const { data } = product?.of ?? widened(tensor)
      const per = sizeOf(tensor.shape.slice(1))
      const factor = product && ((place: number) => product.by[Math.floor(place / per)]!)
      for (let g = 0; g < own; g++) {
        let offset = view.offset
        lead.forEach((n, d) => {
          offset += (Math.floor(g / places[d]!) % n) * view.strides[d]!
        })
        const last = view.strides.slice(-3) as [number, number, number]
        const source = {
          data,
          offset,
          depth: [taps, channels],
          strides: last,
          columns,
          pair,
          factor,
        } as const
        packPanels(p, source, to, g * p.size)
      }
    }
    return {
      buffer: x.program.buffer(`${x.op}.packed`, element, own * p.size, 'constant', write),
      groups: strides,
    }
  }
  const temp = x.program.buffer(`${x.op}.packed`, type as DType, own * p.size, 'temp')
  x.step('pack', (k) =>
    packLoops(
      k,
      { ...view, shape: [...lead, taps, channels, columns] },
      temp,
      p,
      strides,
      typedConstant(0, type),
      lanes,
    ),
  )
  return { buffer: temp, groups: strides }
}

function packLoops(
  k: KernelBuilder,
  from: View,
  to: number,
  p: ReturnType<typeof panelsOf>,
  strides: readonly number[],
  zero: Expr,
  lanes: number,
): Statement[] {
  const [taps, channels, columns] = from.shape.slice(-3) as [number, number, number]
  const depth = taps * channels
  return k.nest(from.shape.slice(0, -1), 1, (index) => {
    const lead = index.slice(0, -2)
    const d = plus(times(index.at(-2)!, channels), index.at(-1)!)
    let base: Expr = constant(0)
    lead.forEach((i, n) => {
      base = plus(base, times(i, strides[n]!))
    })
    const put = (panel: Index, width: number, valid: number): Statement[] => {
      const start = plus(plus(base, times(panel, p.columns * depth)), times(d, width))
      const column = times(panel, p.columns)
      // Columns that are neighbours go as vectors.
      const vectors = from.strides.at(-1) === 1 ? Math.floor(valid / lanes) : 0
      return [
        ...Array.from({ length: vectors }, (_, v) =>
          k.storePlace(
            to,
            plus(start, v * lanes),
            k.loadVector(from, [...index, plus(column, v * lanes)], lanes),
          ),
        ),
        ...loop(k.name('j'), vectors * lanes, valid, (j) => [
          k.storePlace(to, plus(start, j), k.load(from, [...index, plus(column, j)])),
        ]),
        ...loop(k.name('j'), valid, width, (j) => [k.storePlace(to, plus(start, j), zero)]),
      ]
    }
    return [
      ...loop(k.name('p'), 0, p.full, (i) => put(i, p.columns, p.columns)),
      ...(p.tail ? put(p.full, p.tail, columns - p.full * p.columns) : []),
    ]
  })
}

export function contraction(x: Lowering, name: string, s: Schedule, c: Contraction): void {
  const narrow = bytesOf(x.program.buffers[c.out.buffer]!.dtype) < 4
  const lanes = arithmetic(x).lanes
  const spill =
    x.engine.name === 'wasm-fast' && narrow && lanes > 1
      ? x.program.buffer(
          `${x.op}.tile`,
          computeType(x.types[0]!.dtype) as DType,
          s.rows * s.columns,
          'scratch',
        )
      : undefined
  const macs = sizeOf(c.groups) * sizeOf(c.rows) * sizeOf(c.depth) * c.columns
  const grain = (c.pair ?? 1) === 1 ? grainOf(x, lanes) : lanes
  x.step(name, (k) => contract(k, { ...c, spill, grain }, s, lanes), macs)
}
/** Exact integer products whose operands have no zero points left (rewrite/integers.ts). */
export const centredOnly =
  (lower: Lower): Lower =>
  (x) => {
    if (x.inputs[2] || x.inputs[3]) throw new NoLowering('zero points of wide operands')
    lower(x)
  }
