// Says in a sentence what kind of difference it is, from the numbers alone.

import { isInteger } from '../core/dtype.ts'
import { numbers, type Tensor } from '../core/tensor.ts'
import type { Attribution } from './attribute.ts'

export type Kind =
  | 'NaN/Inf'
  | 'off-by-one'
  | 'permutation'
  | 'saturation'
  | 'scaled'
  | 'shifted'
  | 'different'

/** What kind of difference two tensors show. */
export function kindOfDifference(got: Tensor, expected: Tensor): Kind {
  const [g, e] = [numbers(got), numbers(expected)]
  let worst = 0
  let nonFinite = false
  for (let i = 0; i < g.length; i++) {
    if (!Number.isFinite(g[i]!) && Number.isFinite(e[i]!)) nonFinite = true
    else if (Number.isFinite(g[i]!) && Number.isFinite(e[i]!))
      worst = Math.max(worst, Math.abs(g[i]! - e[i]!))
  }
  if (nonFinite) return 'NaN/Inf'
  if (isInteger(got.dtype) && worst === 1) return 'off-by-one'
  const [a, b] = [Float64Array.from(g).sort(), Float64Array.from(e).sort()]
  if (a.length > 1 && a.every((v, i) => Math.abs(v - b[i]!) <= 1e-3 * worst)) return 'permutation'
  const [slope, offset, residual] = regress(g, e)
  if (residual < 0.02) {
    if (Math.abs(slope - 1) > 1e-4 && Math.abs(offset) <= 0.05 * worst) return 'scaled'
    if (Math.abs(slope - 1) <= 1e-4) return 'shifted'
  }
  // Many results at one extreme that the other side passes.
  const top = a.at(-1)!
  const atTop = a.reduce((n, v) => n + (v === top ? 1 : 0), 0)
  const beyond = b.reduce((n, v) => n + (v > top ? 1 : 0), 0)
  if (atTop > 1 && beyond >= atTop / 2 && beyond > 1) return 'saturation'
  return 'different'
}

/** Least squares got ≈ slope·expected + offset; residual relative to the plain difference. */
function regress(
  g: ArrayLike<number>,
  e: ArrayLike<number>,
): [slope: number, offset: number, residual: number] {
  const n = g.length
  let [sg, se, see, sge, plain] = [0, 0, 0, 0, 0]
  for (let i = 0; i < n; i++) {
    sg += g[i]!
    se += e[i]!
    see += e[i]! * e[i]!
    sge += g[i]! * e[i]!
    plain += (g[i]! - e[i]!) ** 2
  }
  const spread = n * see - se * se
  if (n < 3 || spread <= 0 || plain === 0) return [1, 0, 1]
  const slope = (n * sge - sg * se) / spread
  const offset = (sg - slope * se) / n
  let rest = 0
  for (let i = 0; i < n; i++) rest += (g[i]! - slope * e[i]! - offset) ** 2
  return [slope, offset, Math.sqrt(rest / plain)]
}

const kindSays: Readonly<Record<Kind, string>> = {
  'NaN/Inf': 'gives NaN or infinity where a number belongs',
  'off-by-one': 'is off by one integer step: a rounding rule differs',
  permutation: 'gives the right numbers in the wrong places: a layout or order differs',
  saturation: 'saturates: its largest results are cut off',
  scaled: 'is off by a constant factor: a weight, a scale or an epsilon differs',
  shifted: 'is off by a constant: a bias or a zero point differs',
  different: 'computes something else',
}

/** The kind in words. */
export const sayKind = (kind: Kind): string => kindSays[kind]

export type Growth = 'none' | 'spike' | 'drift' | 'permutation' | 'saturation' | 'NaN/Inf' | 'off-by-one'

/** How the total error grows along the graph: one node's doing, or many small ones adding up. */
export function growthOf(nodes: readonly Attribution[], kind: Kind | null): Growth {
  if (nodes.some((n) => n.nonFinite > 0)) return 'NaN/Inf'
  if (kind === 'permutation' || kind === 'saturation' || kind === 'off-by-one') return kind
  if (nodes.some((n) => n.verdict === 'different')) return 'spike'
  const relative = nodes.filter((n) => n.magnitude > 0).map((n) => n.total / n.magnitude)
  const last = relative.at(-1) ?? 0
  const early = relative.find((r) => r > 0) ?? 0
  return last > 4 * early && last > 0 ? 'drift' : 'none'
}
