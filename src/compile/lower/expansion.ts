// A sparse pointwise convolution before a depthwise one, computed plane by plane where the depthwise one lays its images out: what
// it gives, often several times as much as it reads, never leaves the first-level cache.

import { call, constant, type Expr, variable } from '../../ir/scalar.ts'
import { assign, declare, element, loop, plus, repeat, type Statement, times } from '../loops.ts'
import type { Engine, Extent } from '../schedule.ts'
import type { View } from '../view.ts'
import type { Conv } from './border.ts'
import type { Lowering, Vectors } from './lowering.ts'
import { compressed } from './sparse.ts'

/** Values that should lie in a second-level cache while every plane is made from some of them. */
const most = 2 ** 18

/**
 * Whether the planes of a sparse pointwise convolution are better made where they are read. `x`: its extent, `width`: the length of a
 * row of pixels. Each input is read from where it lies, so few of them should be read for each result.
 */
export function expands(x: Extent, width: number, engine: Engine): boolean {
  const few = x.depth * (x.density ?? 1) <= 8
  return few && width > 3 * engine.lanes && x.rows * x.depth <= most
}

/** The planes' vectors; undefined where the input doesn't lie along the pixels, or results need other operands. */
export function expansionOf(x: Lowering, c: Conv, input: View, bias: View | undefined): Vectors | undefined {
  const filter = x.constants[1]!
  const { shape } = x.types[0]!
  const [height, width] = shape.slice(c.first, c.first + 2) as [number, number]
  const [sy, sx] = [input.strides[c.first]!, input.strides[c.first + 1]!]
  if (sx !== 1 || x.epilogue.operands.length > 0) return undefined
  const csr = compressed(
    filter,
    [0, filter.shape[0]!],
    [0, filter.shape[1]!],
    1,
    1,
    false,
    (i) => i * input.strides[c.channel]!,
  )
  const hold = (name: 'weights' | 'places' | 'starts'): View => {
    const data = csr[name]
    const dtype = data instanceof Float32Array ? 'float32' : 'int32'
    return x.program.constant({ dtype, shape: [data.length], data }, `${x.op}.${name}`)
  }
  const [weights, places, starts] = [hold('weights'), hold('places'), hold('starts')]
  let [base, from, to, first]: Expr[] = []
  return {
    kind: 'vectors',
    macs: csr.weights.length * height * width * shape[0]!,
    begin(k, n, ch) {
      const held = [
        k.hold('source', 'int32', 1, plus(times(n, input.strides[0]!), input.offset)),
        k.hold('from', 'int32', 1, k.load(starts, [ch])),
        k.hold('to', 'int32', 1, k.load(starts, [plus(ch, 1)])),
        k.hold(
          'bias',
          'float32',
          1,
          bias
            ? k.loadPlace(bias.buffer, plus(times(ch, bias.strides[0]!), bias.offset))
            : constant(0, 'float32'),
        ),
      ]
      ;[base, from, to, first] = held.map(([, e]) => e)
      return held.map(([s]) => s)
    },
    make(k, at, lanes) {
      const type = { type: 'float32', lanes } as const
      const [acc, weight, place] = [k.name('acc'), k.name('w'), k.name('place')]
      const int32 = { type: 'int32', lanes: 1 } as const
      const lines = new Map([...new Set(at.map(([y]) => y))].map((y) => [y, k.name('line')]))
      const body: Statement[] = [
        ...[...lines].map(([y, line]) => declare(line, int32, plus(base!, times(y, sy)))),
        declare(acc, type, repeat(first!, lanes), at.length),
        ...loop(k.name('e'), from!, to!, (e) => [
          declare(place, int32, k.load(places, [e])),
          declare(weight, type, repeat(k.load(weights, [e]), lanes)),
          ...at.map(([y, column], v) => {
            const from = plus(variable(place), variable(lines.get(y)!))
            const value = k.loadPlace(input.buffer, plus(from, column), lanes)
            return assign(acc, call('fma', value, variable(weight), element(acc, v)), v)
          }),
        ]),
      ]
      const results = at.map((_, v) => {
        const name = k.name('result')
        body.push(declare(name, type, x.epilogue.apply(element(acc, v), [], lanes)))
        return variable(name)
      })
      return [body, results]
    },
  }
}
