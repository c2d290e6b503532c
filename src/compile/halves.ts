// float16 and bfloat16 in memory for languages without them: buffers hold their bits, loads and stores convert by integer
// arithmetic at vector width, halves to even.

import type { DType } from '../core/dtype.ts'
import { call, constant, type Expr, mapArguments } from '../ir/scalar.ts'
import { type Kernel, type LoopType, repeat, type Statement, typeOf } from './loops.ts'

const isHalf = (d: DType | undefined): d is 'float16' | 'bfloat16' => d === 'float16' || d === 'bfloat16'
const bits = (type: DType, arg: Expr): Expr => ({ kind: 'bits', type, arg })

/** float32 from the bits of a half, as int32 lanes. */
function widen(d: 'float16' | 'bfloat16', h: Expr, lanes: number): Expr {
  const k = (n: number): Expr => repeat(constant(n, 'int32'), lanes)
  if (d === 'bfloat16') return bits('float32', call('shl', h, k(16)))
  const sign = call('shl', call('bitAnd', h, k(0x8000)), k(16))
  const magnitude = call('bitAnd', h, k(0x7fff))
  const shifted = call('shl', magnitude, k(13))
  // The exponent's bias differs by 112; a product keeps subnormals exact.
  const finite = bits(
    'int32',
    call('mul', bits('float32', shifted), repeat(constant(2 ** 112, 'float32'), lanes)),
  )
  const special = call('bitOr', shifted, k(0x7f800000))
  return bits(
    'float32',
    call('bitOr', sign, call('select', call('ge', magnitude, k(0x7c00)), special, finite)),
  )
}

/** Bits of the nearest half, as int32 lanes. */
function shorten(d: 'float16' | 'bfloat16', x: Expr, lanes: number): Expr {
  const k = (n: number): Expr => repeat(constant(n | 0, 'int32'), lanes)
  const i = bits('int32', x)
  const a = call('bitAnd', i, k(0x7fffffff))
  const sign = call('bitAnd', call('shr', i, k(16)), k(0x8000))
  const odd = (n: number): Expr => call('bitAnd', call('shr', a, k(n)), k(1))
  if (d === 'bfloat16') {
    const near = call('shr', call('add', a, call('add', k(0x7fff), odd(16))), k(16))
    return call('bitOr', sign, call('select', call('gt', a, k(0x7f800000)), k(0x7fc0), near))
  }
  const normal = call(
    'shr',
    call('sub', call('add', a, call('add', k(0xfff), odd(13))), k(0x38000000)),
    k(13),
  )
  // Adding 0.5 lines the last bit of a subnormal half up with that of the float.
  const half = repeat(constant(0.5, 'float32'), lanes)
  const subnormal = call('sub', bits('int32', call('add', bits('float32', a), half)), k(0x3f000000))
  const small = call('select', call('lt', a, k(0x38800000)), subnormal, normal)
  const large = call('select', call('gt', a, k(0x7f800000)), k(0x7e00), k(0x7c00))
  return call('bitOr', sign, call('select', call('ge', a, k(0x477ff000)), large, small))
}

/** The kernel with halves as their bits. */
export function convertHalves(kernel: Kernel): Kernel {
  const locals = new Map<string, LoopType>()
  const dtypes = new Map(kernel.parameters.map((p) => [p.name, p.dtype]))
  const scope = { locals, buffers: dtypes, memo: new Map<Expr, LoopType>() }
  const memo = new Map<Expr, Expr>()
  const go = (e: Expr): Expr => {
    const known = memo.get(e)
    if (known) return known
    let r = mapArguments(e, go)
    if (e.kind === 'load' && isHalf(dtypes.get(e.buffer)))
      r = widen(dtypes.get(e.buffer) as 'float16', r, e.width ?? 1)
    else if (e.kind === 'cast' && isHalf(e.type) && r.kind === 'cast') {
      const { lanes } = typeOf(e, scope)
      const single: Expr = typeOf(e.arg, scope).type === 'float32' ? r.arg : { ...r, type: 'float32' }
      r = widen(e.type, shorten(e.type, single, lanes), lanes)
    } else if (e.kind === 'const' && isHalf(e.type)) r = { ...e, type: 'float32' }
    memo.set(e, r)
    return r
  }
  const statement = (s: Statement): Statement => {
    switch (s.kind) {
      case 'for':
        locals.set(s.name, { type: 'int32', lanes: 1 })
        return { ...s, from: go(s.from), to: go(s.to), body: s.body.map(statement) }
      case 'let':
        locals.set(s.name, s.type)
        return { ...s, value: go(s.value) }
      case 'assign':
        return { ...s, value: go(s.value) }
      case 'prefetch':
        return { ...s, index: go(s.index) }
      case 'store': {
        const d = dtypes.get(s.buffer)
        const value = go(s.value)
        const stored = isHalf(d) ? shorten(d, value, typeOf(s.value, scope).lanes) : value
        return { ...s, index: go(s.index), value: stored }
      }
      case 'if':
        return {
          ...s,
          condition: go(s.condition),
          body: s.body.map(statement),
          otherwise: s.otherwise.map(statement),
        }
    }
  }
  return {
    ...kernel,
    body: kernel.body.map(statement),
    parameters: kernel.parameters.map((p) => (isHalf(p.dtype) ? { ...p, dtype: 'uint16' } : p)),
  }
}
