import { expect, test } from 'vitest'
import { call, constant, type Expr, variable } from '../ir/scalar.ts'
import { checkLoops } from './bounds.ts'
import { expand } from './expand.ts'
import { interpretKernel } from './interpret.ts'
import {
  assign,
  declare,
  element,
  type Kernel,
  loadAt,
  loop,
  plus,
  repeat,
  type Statement,
  store,
  times,
} from './loops.ts'
import { printKernel } from './text.ts'

const float4 = { type: 'float32', lanes: 4 } as const

/** y[2×4] = a[2×k] · b[k×4], the register tile in a local array. */
function tile(k: number, aLength = 2 * k): Kernel {
  const rows = (body: (i: Expr) => Statement[]): Statement[] => loop('i', 0, 2, body, { mode: 'unrolled' })
  return {
    name: 'tile',
    parameters: [
      { name: 'a', dtype: 'float32', length: aLength, access: 'read' },
      { name: 'b', dtype: 'float32', length: k * 4, access: 'read' },
      { name: 'y', dtype: 'float32', length: 8, access: 'write' },
    ],
    body: [
      declare('acc', float4, repeat(constant(0, 'float32'), 4), 2),
      ...loop('k', 0, k, (l) => [
        declare('row', float4, loadAt('b', times(l, 4), 4)),
        ...rows((i) => [
          assign(
            'acc',
            call('fma', repeat(loadAt('a', plus(times(i, k), l)), 4), variable('row'), element('acc', i)),
            i,
          ),
        ]),
      ]),
      ...rows((i) => [store('y', times(i, 4), element('acc', i))]),
    ],
  }
}

test('the interpreter runs a register-tiled product, and its expanded form the same', () => {
  const a = Float32Array.of(1, 2, 3, 4, 5, 6)
  const b = Float32Array.from({ length: 12 }, (_, i) => i)
  for (const k of [tile(3), expand(tile(3))]) {
    const y = new Float32Array(8)
    interpretKernel(k, [a, b, y])
    expect([...y]).toEqual([32, 38, 44, 50, 68, 83, 98, 113])
  }
})

test('the verifier proves a good kernel and finds an access that may leave its buffer', () => {
  expect(checkLoops(tile(3))).toEqual([])
  expect(checkLoops(expand(tile(3)))).toEqual([])
  expect(checkLoops(tile(3, 5))).toEqual(['kernel tile: a[0..5] of width 1 may leave 0..5'])
})

test('an index that is assigned later is not taken for its first value', () => {
  const kernel: Kernel = {
    name: 'walk',
    parameters: [{ name: 'y', dtype: 'float32', length: 1, access: 'write' }],
    body: [
      declare('p', { type: 'int32', lanes: 1 }, constant(0)),
      ...loop('i', 0, 2, () => [
        store('y', variable('p'), constant(1, 'float32')),
        assign('p', plus(variable('p'), 4)),
      ]),
    ],
  }
  expect(checkLoops(kernel)[0]).toContain('may leave 0..1')
})

test('an expression that one statement uses twice is computed once', () => {
  const x = call('exp', loadAt('a', 0))
  const kernel: Kernel = {
    name: 'twice',
    parameters: [{ name: 'a', dtype: 'float32', length: 1, access: 'update' }],
    body: [store('a', 0, call('mul', x, x))],
  }
  expect(printKernel(expand(kernel))).toMatchInlineSnapshot(`
    "kernel twice(a: update float32[1]) {
      let shared_0: float32 = exp(a[0])
      a[0] <- shared_0 * shared_0
    }"
  `)
})

test('integers wrap when stored and casts saturate', () => {
  const kernel: Kernel = {
    name: 'narrow',
    parameters: [
      { name: 'x', dtype: 'float32', length: 3, access: 'read' },
      { name: 'y', dtype: 'int8', length: 3, access: 'write' },
      { name: 'z', dtype: 'int32', length: 3, access: 'write' },
    ],
    body: loop('i', 0, 3, (i) => [
      store('y', i, { kind: 'cast', type: 'int32', arg: loadAt('x', i) }),
      store('z', i, { kind: 'cast', type: 'int32', arg: loadAt('x', i) }),
    ]),
  }
  const [y, z] = [new Int8Array(3), new Int32Array(3)]
  interpretKernel(kernel, [Float32Array.of(200.7, -3.9, 1e20), y, z])
  expect([...y]).toEqual([-56, -3, -1])
  expect([...z]).toEqual([200, -3, 2147483647])
})
