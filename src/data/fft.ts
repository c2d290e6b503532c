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
      if (f === 2) for (; n % 4 === 0; n /= 4) factors.push(4)
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

/** Lengths with a larger prime factor go through Bluestein's convolution: the butterflies cost the square of it. */
const LARGEST_FACTOR = 128

/** X[k] = Σ x[n]·exp(−2πi·k·n/N); with `inverse` the conjugate, not divided by N. */
export function fft(x: Complex, inverse = false): Complex {
  const size = x.re.length
  if (hasLargeFactor(size)) return bluestein(x, inverse)
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
  if (radix === 4) {
    quarter(plan, out, to, part, unit, sign)
    return
  }
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

/** Joins four transforms of `part` values: multiplications by ±i only, after the twiddles. */
function quarter(plan: Plan, out: Complex, to: number, part: number, unit: number, sign: number): void {
  const { re, im } = out
  const { cos, sin } = plan
  for (let k = 0; k < part; k++) {
    const i0 = to + k
    const i1 = i0 + part
    const i2 = i1 + part
    const i3 = i2 + part
    const t = k * unit
    const s1 = sign * sin[t]!
    const s2 = sign * sin[2 * t]!
    const s3 = sign * sin[3 * t]!
    const b = re[i1]! * cos[t]! - im[i1]! * s1
    const bi = re[i1]! * s1 + im[i1]! * cos[t]!
    const c = re[i2]! * cos[2 * t]! - im[i2]! * s2
    const ci = re[i2]! * s2 + im[i2]! * cos[2 * t]!
    const d = re[i3]! * cos[3 * t]! - im[i3]! * s3
    const di = re[i3]! * s3 + im[i3]! * cos[3 * t]!
    const [e, ei, f, fi] = [re[i0]! + c, im[i0]! + ci, re[i0]! - c, im[i0]! - ci]
    const [g, gi, h, hi] = [b + d, bi + di, sign * (b - d), sign * (bi - di)]
    re[i0] = e + g
    im[i0] = ei + gi
    re[i1] = f - hi
    im[i1] = fi + h
    re[i2] = e - g
    im[i2] = ei - gi
    re[i3] = f + hi
    im[i3] = fi - h
  }
}

function hasLargeFactor(size: number): boolean {
  let n = size
  for (let f = 2; f <= LARGEST_FACTOR && n > 1; f++) while (n % f === 0) n /= f
  return n > 1
}

/** The transform as a convolution with the chirp exp(πi·n²/N), of a length that is a power of two. */
function bluestein(x: Complex, inverse: boolean): Complex {
  const size = x.re.length
  const padded = 2 ** Math.ceil(Math.log2(2 * size - 1))
  const sign = inverse ? 1 : -1
  const cos = new Float64Array(size)
  const sin = new Float64Array(size)
  for (let n = 0; n < size; n++) {
    // n² modulo 2N: the angle itself would lose its digits.
    const turn = (Math.PI * ((n * n) % (2 * size))) / size
    cos[n] = Math.cos(turn)
    sin[n] = sign * Math.sin(turn)
  }
  const a = { re: new Float64Array(padded), im: new Float64Array(padded) }
  const b = { re: new Float64Array(padded), im: new Float64Array(padded) }
  for (let n = 0; n < size; n++) {
    a.re[n] = x.re[n]! * cos[n]! - x.im[n]! * sin[n]!
    a.im[n] = x.re[n]! * sin[n]! + x.im[n]! * cos[n]!
    b.re[n] = b.re[(padded - n) % padded] = cos[n]!
    b.im[n] = b.im[(padded - n) % padded] = -sin[n]!
  }
  const fa = fft(a)
  const fb = fft(b)
  for (let k = 0; k < padded; k++) {
    const re = fa.re[k]! * fb.re[k]! - fa.im[k]! * fb.im[k]!
    fa.im[k] = fa.re[k]! * fb.im[k]! + fa.im[k]! * fb.re[k]!
    fa.re[k] = re
  }
  const c = fft(fa, true)
  const out = { re: new Float64Array(size), im: new Float64Array(size) }
  for (let k = 0; k < size; k++) {
    const [re, im] = [c.re[k]! / padded, c.im[k]! / padded]
    out.re[k] = re * cos[k]! - im * sin[k]!
    out.im[k] = re * sin[k]! + im * cos[k]!
  }
  return out
}
