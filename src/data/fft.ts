// The discrete Fourier transform of any length in float64: mixed radix over the factors of the length, so that the
// lengths of audio libraries (400, 480, 3000) need no padding that would change the result.

type Plan = {
  size: number
  factors: number[]
  cos: Float64Array
  sin: Float64Array
  /** Room for one butterfly; a recursion is done before its caller uses it. */
  re: Float64Array
  im: Float64Array
}

const plans = new Map<number, Plan>()

function planOf(size: number): Plan {
  let plan = plans.get(size)
  if (!plan) {
    const factors: number[] = []
    for (let n = size, f = 2; n > 1; f++) {
      for (; n % f === 0; n /= f) factors.push(f)
      if (f * f > n && n > 1) {
        factors.push(n)
        break
      }
    }
    const widest = factors.reduce((a, b) => Math.max(a, b), 1)
    const angle = (i: number): number => (2 * Math.PI * i) / size
    plan = {
      size,
      factors,
      cos: Float64Array.from({ length: size }, (_, i) => Math.cos(angle(i))),
      sin: Float64Array.from({ length: size }, (_, i) => Math.sin(angle(i))),
      re: new Float64Array(widest),
      im: new Float64Array(widest),
    }
    if (plans.size > 32) plans.clear()
    plans.set(size, plan)
  }
  return plan
}

export type Complex = { re: Float64Array; im: Float64Array }

/** X[k] = Σ x[n]·exp(−2πi·k·n/N); with `inverse` the conjugate, not divided by N. */
export function fft(x: Complex, inverse = false): Complex {
  const size = x.re.length
  const out = { re: new Float64Array(size), im: new Float64Array(size) }
  if (size > 0) step(planOf(size), x, out, 0, 1, 0, size, 0, inverse ? 1 : -1)
  return out
}

/** Transforms x[from], x[from + stride], … (`size` values) into out[to …]: decimation in time by the next factor. */
function step(
  plan: Plan,
  x: Complex,
  out: Complex,
  from: number,
  stride: number,
  to: number,
  size: number,
  level: number,
  sign: number,
): void {
  if (size === 1) {
    out.re[to] = x.re[from]!
    out.im[to] = x.im[from]!
    return
  }
  const radix = plan.factors[level]!
  const part = size / radix
  for (let r = 0; r < radix; r++) {
    step(plan, x, out, from + r * stride, stride * radix, to + r * part, part, level + 1, sign)
  }
  const unit = plan.size / size
  const { re, im } = plan
  for (let k = 0; k < part; k++) {
    for (let r = 0; r < radix; r++) {
      re[r] = out.re[to + r * part + k]!
      im[r] = out.im[to + r * part + k]!
    }
    for (let q = 0; q < radix; q++) {
      let sumRe = 0
      let sumIm = 0
      for (let r = 0; r < radix; r++) {
        const turn = ((r * (k + q * part)) % size) * unit
        const c = plan.cos[turn]!
        const s = sign * plan.sin[turn]!
        sumRe += re[r]! * c - im[r]! * s
        sumIm += re[r]! * s + im[r]! * c
      }
      out.re[to + q * part + k] = sumRe
      out.im[to + q * part + k] = sumIm
    }
  }
}
