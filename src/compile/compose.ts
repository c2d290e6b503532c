// Functions that machines don't have, as expressions of those they do: integer corner cases (division by zero gives 0, shift
// counts may reach the width), gemmlowp's products, rounding helpers; and, in float32, exp, log, tanh and erf as polynomials, so
// that they run at vector width in every language and give the same bits there. What stays without a row is the math
// library's of the language.

import { type DType, isFloat } from '../core/dtype.ts'
import { call, cast, constant, type Expr, mapArguments, type ScalarFn } from '../ir/scalar.ts'
import { type ComputeType, type Kernel, type LoopType, repeat, type Statement, typeOf } from './loops.ts'

/** `k` makes a constant of the arguments' type and lanes. What a row makes needs no further row. */
type Row = (k: (n: number | bigint) => Expr, args: readonly Expr[], t: LoopType) => Expr | undefined

const isInt = (t: ComputeType): boolean => !isFloat(t as DType) && t !== 'bool'
const bits = (type: DType, arg: Expr): Expr => ({ kind: 'bits', type, arg })
const add = (a: Expr, b: Expr): Expr => call('add', a, b)
const sub = (a: Expr, b: Expr): Expr => call('sub', a, b)
const mul = (a: Expr, b: Expr): Expr => call('mul', a, b)
const select = (c: Expr, a: Expr, b: Expr): Expr => call('select', c, a, b)
/** Horner: c[0] + x·(c[1] + x·(…)). */
const polynomial = (x: Expr, c: readonly Expr[]): Expr => c.reduceRight((s, k) => call('fma', s, x, k))

const constantDivisor = (e: Expr): boolean => {
  const c = e.kind === 'repeat' ? e.arg : e
  return c.kind === 'const' && Number(c.value) !== 0 && Number(c.value) !== -1
}

/** e^x = 2^n · e^r with |r| ≤ ln2/2, a polynomial of degree 7 in r (Cephes expf; error below 1 ulp). */
const exp: Row = (k, [x]) => {
  const limited = call('min', call('max', x!, k(-104)), k(89))
  const n = call('round', mul(limited, k(Math.LOG2E)))
  const r = call('fma', n, k(2.1219444e-4), call('fma', n, k(-0.693359375), limited))
  const p = polynomial(r, [5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4].map(k)) // biome-ignore format: a table
  const e = add(call('fma', mul(r, r), p, r), k(1))
  // 2^n in two factors, so that the ends of the range over- and underflow gradually.
  const half = call('floor', mul(n, k(0.5)))
  return mul(mul(e, power2(half, k)), power2(sub(n, half), k))
}
const power2 = (n: Expr, k: (n: number) => Expr): Expr => {
  const lanes = (x: Expr): number => (x.kind === 'repeat' ? x.times : 1)
  const int = (v: number): Expr => repeat(constant(v, 'int32'), lanes(k(0)))
  return bits('float32', call('shl', call('add', cast('int32', n), int(127)), int(23)))
}

/** log x = e·ln2 + log m with m in [√½, √2) (Cephes logf). */
const log: Row = (k, [x], t) => {
  const int = (v: number): Expr => repeat(constant(v, 'int32'), t.lanes)
  // Subnormals are scaled up first.
  const tiny = call('lt', x!, k(1.17549435e-38))
  const scaled = select(tiny, mul(x!, k(8388608)), x!)
  const i = bits('int32', scaled)
  const shifted = call('sub', i, int(0x3f3504f3))
  const e = call('add', call('shr', shifted, int(23)), int(0))
  const m = sub(bits('float32', call('sub', i, call('shl', e, int(23)))), k(1))
  const z = mul(m, m)
  const p = polynomial(m, [3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1, -1.2420140846e-1, 1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2].map(k)) // biome-ignore format: a table
  const exponent = sub(cast('float32', e), select(tiny, k(23), k(0)))
  const y = call('fma', exponent, k(-2.1219444e-4), mul(mul(m, z), p))
  const r = call('fma', exponent, k(0.693359375), add(m, call('fma', z, k(-0.5), y)))
  const special = select(call('lt', x!, k(0)), k(NaN), select(call('eq', x!, k(0)), k(-Infinity), x!))
  // NaN, infinity, zero and negatives answer for themselves.
  const normal = call('and', call('gt', x!, k(0)), call('lt', x!, k(Infinity)))
  return select(normal, r, special)
}

/** tanh by Cephes' polynomial below 0.625, else 1 − 2/(e^2|x| + 1). */
const tanh: Row = (k, [x], t) => {
  const a = call('abs', x!)
  const z = mul(x!, x!)
  const p = polynomial(z, [-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3].map(k)) // biome-ignore format: a table
  const small = call('fma', mul(p, z), x!, x!)
  const large = sub(k(1), call('div', k(2), add(exp(k, [add(a, a)], t)!, k(1))))
  return select(call('lt', a, k(0.625)), small, select(call('lt', x!, k(0)), call('neg', large), large))
}

/** erf x: odd polynomial below 1; else 1 − e^(−x²)·q(|x|), Abramowitz and Stegun 7.1.26 is too coarse, so W. J. Cody's ratio. */
const erf: Row = (k, [x], t) => {
  const a = call('min', call('abs', x!), k(4))
  const z = mul(x!, x!)
  const ratio = (n: readonly number[], d: readonly number[], v: Expr): Expr =>
    call('div', polynomial(v, n.map(k)), polynomial(v, d.map(k)))
  const small = mul(
    x!,
    ratio(
      [
        3209.37758913846947, 377.485237685302021, 113.864154151050156, 3.1611237438705656,
        0.185777706184603153,
      ],
      [2844.23683343917062, 1282.61652607737228, 244.024637934444173, 23.6012909523441209, 1],
      z,
    ),
  )
  const tail = ratio(
    [1230.33935479799725, 2051.07837782607147, 1712.04761263407058, 881.95222124176909, 298.635138197400131, 66.1191906371416295, 8.88314979438837594, 0.564188496988670089, 2.15311535474403846e-8],
    [1230.33935480374942, 3439.36767414372164, 4362.61909014324716, 3290.79923573345963, 1621.38957456669019, 537.181101862009858, 117.693950891312499, 15.7449261107098347, 1],
    a,
  ) // biome-ignore format: a table
  const large = sub(k(1), mul(exp(k, [call('neg', mul(a, a))], t)!, tail))
  const r = select(
    call('lt', call('abs', x!), k(0.46875)),
    small,
    select(call('lt', x!, k(0)), call('neg', large), large),
  )
  return select(call('ne', x!, x!), x!, r)
}

const expm1: Row = (k, [x], t) => {
  // Near 0: x + x²/2 + … ; elsewhere the difference is harmless.
  const p = polynomial(x!, [0.5, 0.16666667, 0.041666668, 0.0083333338, 0.0013888889, 0.0001984127].map(k))
  const small = call('fma', mul(x!, x!), p, x!)
  return select(call('lt', call('abs', x!), k(0.5)), small, sub(exp(k, [x!], t)!, k(1)))
}

/** log1p x = log u · x/(u − 1) with u = 1 + x (Goldberg). */
const log1p: Row = (k, [x], t) => {
  const u = add(x!, k(1))
  const d = sub(u, k(1))
  const exact = call('or', call('eq', d, k(0)), call('eq', u, k(Infinity)))
  return select(exact, x!, mul(log(k, [u], t)!, call('div', x!, d)))
}

const floats: Partial<Record<ScalarFn, Row>> = {
  sign: (k, [x]) => select(call('gt', x!, k(0)), k(1), select(call('lt', x!, k(0)), k(-1), x!)),
  isNaN: (_k, [x]) => call('ne', x!, x!),
  isInf: (k, [x]) => call('eq', call('abs', x!), k(Infinity)),
  floorDiv: (_k, [x, y]) => call('floor', call('div', x!, y!)),
  mod: (k, [x, y]) => {
    const r = call('rem', x!, y!)
    const differ = call('xor', call('lt', r, k(0)), call('lt', y!, k(0)))
    return select(call('and', call('ne', r, k(0)), differ), add(r, y!), r)
  },
}
const float32s: Partial<Record<ScalarFn, Row>> = { exp, log, tanh, erf, expm1, log1p }

const integers: Partial<Record<ScalarFn, Row>> = {
  neg: (k, [x], t) => (t.lanes === 1 ? sub(k(0), x!) : undefined),
  bitNot: (k, [x]) => call('bitXor', x!, k(-1)),
  sign: (k, [x]) => select(call('gt', x!, k(0)), k(1), select(call('lt', x!, k(0)), k(-1), k(0))),
  abs: (k, [x], t) => (t.lanes === 1 ? select(call('lt', x!, k(0)), sub(k(0), x!), x!) : undefined),
  min: (_k, [x, y], t) => (t.lanes === 1 ? select(call('lt', x!, y!), x!, y!) : undefined),
  max: (_k, [x, y], t) => (t.lanes === 1 ? select(call('gt', x!, y!), x!, y!) : undefined),
  floor: (_k, [x]) => x!,
  ceil: (_k, [x]) => x!,
  round: (_k, [x]) => x!,
  trunc: (_k, [x]) => x!,
  isNaN: (k) => call('ne', k(0), k(0)),
  isInf: (k) => call('ne', k(0), k(0)),
  div: (k, [x, y]) => {
    if (constantDivisor(y!)) return undefined
    const minus = call('eq', y!, k(-1))
    const zero = call('eq', y!, k(0))
    const safe = call('div', x!, select(call('or', zero, minus), k(1), y!))
    return select(zero, k(0), select(minus, sub(k(0), x!), safe))
  },
  rem: (k, [x, y]) => {
    if (constantDivisor(y!)) return undefined
    const odd = call('or', call('eq', y!, k(0)), call('eq', y!, k(-1)))
    return select(odd, k(0), call('rem', x!, select(odd, k(1), y!)))
  },
  floorDiv: (k, [x, y], t) => {
    const q = compose('div', k, [x!, y!], t)
    const r = compose('rem', k, [x!, y!], t)
    const down = call('and', call('ne', r, k(0)), call('xor', call('lt', x!, k(0)), call('lt', y!, k(0))))
    return sub(q, select(down, k(1), k(0)))
  },
  mod: (k, [x, y], t) => {
    const r = compose('rem', k, [x!, y!], t)
    const wrap = call('and', call('ne', r, k(0)), call('xor', call('lt', r, k(0)), call('lt', y!, k(0))))
    return add(r, select(wrap, y!, k(0)))
  },
  shl: (k, [x, n], t) => {
    if (constantDivisor(n!)) return undefined
    const width = k(t.type.endsWith('64') ? 64 : 32)
    return select(call('lt', n!, width), call('shl', x!, call('bitAnd', n!, sub(width, k(1)))), k(0))
  },
  shr: (k, [x, n], t) => {
    if (constantDivisor(n!)) return undefined
    const width = t.type.endsWith('64') ? 64 : 32
    const far = t.type[0] === 'u' ? k(0) : call('shr', x!, k(width - 1))
    return select(call('lt', n!, k(width)), call('shr', x!, call('bitAnd', n!, k(width - 1))), far)
  },
  pow: (_k, [x, y], t) =>
    t.lanes === 1 ? cast(t.type as DType, call('pow', cast('float64', x!), cast('float64', y!))) : undefined,
  mulHigh: (ks, [a, b], t) => {
    if (t.lanes > 1) return vectorMulHigh(ks, a!, b!)
    const k = (n: bigint): Expr => constant(n, 'int64')
    const p = mul(cast('int64', a!), cast('int64', b!))
    const nudge = select(call('ge', p, k(0n)), k(1n << 30n), k(1n - (1n << 30n)))
    const q = call('div', add(p, nudge), k(1n << 31n))
    return cast('int32', select(call('gt', q, k(2147483647n)), k(2147483647n), q))
  },
  roundShift: (k, [x, n], t) => {
    const mask = sub(compose('shl', k, [k(1), n!], t), k(1))
    const threshold = add(call('shr', mask, k(1)), select(call('lt', x!, k(0)), k(1), k(0)))
    const up = call('gt', call('bitAnd', x!, mask), threshold)
    return add(compose('shr', k, [x!, n!], t), select(up, k(1), k(0)))
  },
}

/** ⌊(a · b + 2^30) / 2^31⌋ of int32 lanes by 16-bit halves (Hacker's Delight 8-2), as no engine has 64-bit lane products. */
function vectorMulHigh(k: (n: number | bigint) => Expr, a: Expr, b: Expr): Expr {
  const low = (x: Expr): Expr => call('bitAnd', x, k(0xffff))
  const high = (x: Expr): Expr => call('shr', x, k(16))
  const [a0, a1, b0, b1] = [low(a), high(a), low(b), high(b)]
  const p00 = mul(a0, b0)
  const p10 = add(mul(a1, b0), low(high(p00)))
  const p01 = add(mul(a0, b1), low(p10))
  const top = add(add(mul(a1, b1), high(p10)), high(p01))
  const bottom = add(call('shl', p01, k(16)), low(p00))
  // Adding 2^30 carries where the two highest bits are set.
  const carry = select(call('eq', call('bitAnd', call('shr', bottom, k(30)), k(3)), k(3)), k(1), k(0))
  const lowest = call('bitAnd', call('shr', add(bottom, k(1 << 30)), k(31)), k(1))
  const rounded = add(call('shl', add(top, carry), k(1)), lowest)
  const least = k(-2147483648)
  return select(call('eq', a, least), select(call('eq', b, least), k(2147483647), rounded), rounded)
}

function rowOf(fn: ScalarFn, t: ComputeType): Row | undefined {
  if (isInt(t)) return integers[fn]
  if (t === 'bool') return undefined
  return floats[fn] ?? (t === 'float32' ? float32s[fn] : undefined)
}
const compose = (fn: ScalarFn, k: (n: number | bigint) => Expr, args: readonly Expr[], t: LoopType): Expr =>
  rowOf(fn, t.type)?.(k, args, t) ?? call(fn, ...args)

/** Replaces every call that has a row. */
export function composeFunctions(kernel: Kernel): Kernel {
  const locals = new Map<string, LoopType>()
  const scope = {
    locals,
    buffers: new Map(kernel.parameters.map((p) => [p.name, p.dtype])),
    memo: new Map<Expr, LoopType>(),
  }
  const memo = new Map<Expr, Expr>()
  const go = (e: Expr): Expr => {
    const known = memo.get(e)
    if (known) return known
    let r = mapArguments(e, go)
    if (r.kind === 'call') {
      const t = typeOf(r.args.at(-1)!, scope)
      const row = rowOf(r.fn, t.type)
      if (row) {
        const big = t.type === 'int64' || t.type === 'uint64'
        const k = (n: number | bigint): Expr =>
          repeat(
            t.type === 'int32' ? constant(Number(n)) : constant(big ? BigInt(n) : Number(n), t.type as DType),
            t.lanes,
          )
        r = row(k, r.args, t) ?? r
      }
    }
    memo.set(e, r)
    return r
  }
  const statement = (s: Statement): Statement => {
    switch (s.kind) {
      case 'for':
        locals.set(s.name, { type: 'int32', lanes: 1 })
        return { ...s, from: go(s.from), to: go(s.to), body: s.body.map(statement) }
      case 'let': {
        const value = go(s.value)
        locals.set(s.name, s.type)
        return { ...s, value }
      }
      case 'assign':
        return { ...s, value: go(s.value) }
      case 'store':
        return { ...s, index: go(s.index), value: go(s.value) }
      case 'prefetch':
        return { ...s, index: go(s.index) }
      case 'if':
        return {
          ...s,
          condition: go(s.condition),
          body: s.body.map(statement),
          otherwise: s.otherwise.map(statement),
        }
    }
  }
  return { ...kernel, body: kernel.body.map(statement) }
}
