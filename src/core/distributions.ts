// Tails and quantiles of the distributions that intervals and tests need.
// Held to SciPy: 1e-8 relative, far tails included (a p-value of 1e-80 is computed, not 1 - 1).

import { gammaln } from 'simple-statistics'
import { BugError } from './errors.ts'

/** Natural logarithm of the gamma function of x > 0. */
export const logGamma = (x: number): number => (x === 1 || x === 2 ? 0 : gammaln(x))

/** Stirling's remainder: ln Γ(x) - ((x - ½) ln x - x + ½ ln 2π), for x ≥ 10 (DLMF 5.11.1). */
function stirlingRemainder(x: number): number {
  const y = 1 / (x * x)
  const series = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]
  return series.reduceRight((sum, c) => sum * y + c, 0) / x
}

/** ln B(a, b). The difference of three logarithms of Γ would lose the digits that large arguments share. */
function logBeta(a: number, b: number): number {
  if (a > b) return logBeta(b, a)
  if (b < 10) return logGamma(a) + logGamma(b) - logGamma(a + b)
  const share = Math.log1p(-a / (a + b))
  const remainder = stirlingRemainder(b) - stirlingRemainder(a + b)
  if (a < 10) return logGamma(a) + remainder + a - a * Math.log(a + b) + (b - 0.5) * share
  const whole = remainder + stirlingRemainder(a) + 0.5 * Math.log(2 * Math.PI)
  return whole - 0.5 * Math.log(b) + (a - 0.5) * Math.log(a / (a + b)) + b * share
}

const epsilon = 2 ** -53
/** Stands for zero in Lentz's continued fractions, which divide by their partial denominators. */
const tiny = 1e-300

/**
 * Lentz's evaluation of b₀ + a₁/(b₁ + a₂/(b₂ + …)), stopped when a term changes nothing.
 * Both fractions below converge in O(√max parameter) terms, so `limit` is reached only by a mistake of ours.
 */
function continuedFraction(b0: number, term: (i: number) => [a: number, b: number], limit = 100_000): number {
  let f = b0 || tiny
  let c = f
  let d = 0
  for (let i = 1; i <= limit; i++) {
    const [a, b] = term(i)
    d = 1 / (b + a * d || tiny)
    c = b + a / c || tiny
    const step = c * d
    f *= step
    if (Math.abs(step - 1) <= epsilon) return f
  }
  throw new BugError(`continuedFraction: no convergence in ${limit} terms`)
}

/** Upper regularised incomplete gamma function Q(a, x) = Γ(a, x) / Γ(a). */
export function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1
  if (x === Infinity) return 0
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a))
  if (x < a + 1) {
    // P(a, x) = x^a e^-x Σ x^n / Γ(a + n + 1)
    let sum = 1 / a
    for (let n = 1, t = sum; t > sum * epsilon; n++) sum += t *= x / (a + n)
    return 1 - scale * sum
  }
  return scale / continuedFraction(x + 1 - a, (i) => [-i * (i - a), x + 1 - a + 2 * i])
}

/** Regularised incomplete beta function I_x(a, b). */
export function betaCdf(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  // The fraction converges fast below the mean; above it, I_x(a, b) = 1 - I_(1-x)(b, a).
  if (x > (a + 1) / (a + b + 2)) return 1 - lowerBeta(1 - x, b, a, x)
  return lowerBeta(x, a, b, 1 - x)
}

/** ln x where x + y = 1: by the smaller of the two, which has more digits. */
const logOf = (x: number, y: number): number => (x < y ? Math.log(x) : Math.log1p(-y))

/** I_x(a, b) for x below the mean, with y = 1 - x given so that nothing is lost when x is near 1 (DLMF 8.17.22). */
function lowerBeta(x: number, a: number, b: number, y: number): number {
  const front = Math.exp(a * logOf(x, y) + b * logOf(y, x) - logBeta(a, b)) / a
  const fraction = continuedFraction(1, (i) => {
    const m = i >> 1
    const numerator =
      i % 2 === 0
        ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
        : (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    return [numerator, 1]
  })
  return front / fraction
}

/** Upper tail 1 - I_x(a, b), with y = 1 - x. Small tails keep their digits. */
const upperBeta = (x: number, y: number, a: number, b: number): number =>
  y <= 0 ? 0 : x <= 0 ? 1 : y > (b + 1) / (a + b + 2) ? 1 - lowerBeta(x, a, b, y) : lowerBeta(y, b, a, x)

/** Quantile of the beta distribution: the x where I_x(a, b) = p. */
export function betaQuantile(p: number, a: number, b: number): number {
  if (p <= 0) return 0
  if (p >= 1) return 1
  // Newton's method inside a bracket that only shrinks; a step that leaves it is replaced by bisection.
  const scale = logBeta(a, b)
  let low = 0
  let high = 1
  let x = a / (a + b)
  for (let i = 0; i < 200; i++) {
    const error = betaCdf(x, a, b) - p
    if (error === 0) return x
    if (error > 0) high = x
    else low = x
    const density = Math.exp((a - 1) * Math.log(x) + (b - 1) * Math.log1p(-x) - scale)
    let next = x - error / density
    // Near 0 the bracket spans decades: halve its exponent, not its width.
    if (!(next > low && next < high)) next = low === 0 && high < 1e-3 ? high * 1e-2 : (low + high) / 2
    if (Math.abs(next - x) <= 2 * epsilon * x) return next
    x = next
  }
  return x
}

/** Complementary error function. */
export const erfc = (x: number): number => (x < 0 ? 2 - upperGamma(0.5, x * x) : upperGamma(0.5, x * x))

/** P(Z ≤ x) for a standard normal Z. */
export const normalCdf = (x: number): number => erfc(-x / Math.SQRT2) / 2

/** P(Z > x). */
export const normalTail = (x: number): number => erfc(x / Math.SQRT2) / 2

/** Quantile of the standard normal: Abramowitz & Stegun 26.2.23, then Halley's steps on the tail. */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) return p === 0 ? -Infinity : p === 1 ? Infinity : NaN
  if (p === 0.5) return 0
  if (p > 0.5) return -normalQuantile(1 - p)
  const t = Math.sqrt(-2 * Math.log(p))
  let x =
    (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
  for (let i = 0; i < 3; i++) {
    const step = ((normalCdf(x) - p) * Math.sqrt(2 * Math.PI)) / Math.exp((-x * x) / 2)
    x -= step / (1 + (x * step) / 2)
  }
  return x
}

/** P(X > x), X chi-squared with `df` degrees of freedom. */
export const chiSquaredTail = (x: number, df: number): number => upperGamma(df / 2, x / 2)

/** P(T > x), T Student's t with `df` degrees of freedom (any positive real). */
export function studentTail(x: number, df: number): number {
  const tail = x * x === Infinity ? 0 : upperBeta((x * x) / (df + x * x), df / (df + x * x), 0.5, df / 2) / 2
  return x > 0 ? tail : 1 - tail
}

/** P(F > x), F Fisher's with d1 and d2 degrees of freedom. */
export const fisherTail = (x: number, d1: number, d2: number): number =>
  x <= 0 ? 1 : upperBeta((d1 * x) / (d1 * x + d2), d2 / (d1 * x + d2), d1 / 2, d2 / 2)

/** P(X = k), X binomial with n trials. */
export function binomialMass(k: number, n: number, p: number): number {
  if (p === 0 || p === 1) return k === (p === 0 ? 0 : n) ? 1 : 0
  const choose = -Math.log(n + 1) - logBeta(k + 1, n - k + 1)
  return Math.exp(choose + k * Math.log(p) + (n - k) * Math.log1p(-p))
}

/** P(X ≤ k), X binomial with n trials. */
export const binomialCdf = (k: number, n: number, p: number): number =>
  k < 0 ? 0 : k >= n ? 1 : upperBeta(p, 1 - p, k + 1, n - k)

/** P(X ≥ k), X binomial with n trials. */
export const binomialTail = (k: number, n: number, p: number): number =>
  k <= 0 ? 1 : k > n ? 0 : betaCdf(p, k, n - k + 1)
