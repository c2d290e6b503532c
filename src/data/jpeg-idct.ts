// Inverse cosine transforms of 8×8 blocks in the integer arithmetic of libjpeg (jidctint.c, jidctfst.c), so that the
// samples equal those of the libraries built on it, bit for bit.

/** 13 fractional bits, as FIX() in jidctint.c. */
const F = {
  '0.298631336': 2446,
  '0.390180644': 3196,
  '0.541196100': 4433,
  '0.765366865': 6270,
  '0.899976223': 7373,
  '1.175875602': 9633,
  '1.501321110': 12299,
  '1.847759065': 15137,
  '1.961570560': 16069,
  '2.053119869': 16819,
  '2.562915447': 20995,
  '3.072711026': 25172,
} as const

const work = new Int32Array(64)

/** One dimension of the accurate transform over eight values `step` apart, in place, scaled by 2^13 and shifted down. */
function accurate8(w: Int32Array, at: number, step: number, shift: number): void {
  const i0 = w[at]!
  const i1 = w[at + step]!
  const i2 = w[at + 2 * step]!
  const i3 = w[at + 3 * step]!
  const i4 = w[at + 4 * step]!
  const i5 = w[at + 5 * step]!
  const i6 = w[at + 6 * step]!
  const i7 = w[at + 7 * step]!
  const even = (i2 + i6) * F['0.541196100']
  const e2 = even - i6 * F['1.847759065']
  const e3 = even + i2 * F['0.765366865']
  const e0 = (i0 + i4) * 8192
  const e1 = (i0 - i4) * 8192
  const a0 = e0 + e3
  const a3 = e0 - e3
  const a1 = e1 + e2
  const a2 = e1 - e2
  const z5 = (i7 + i3 + i5 + i1) * F['1.175875602']
  const z1 = (i7 + i1) * -F['0.899976223']
  const z2 = (i5 + i3) * -F['2.562915447']
  const z3 = (i7 + i3) * -F['1.961570560'] + z5
  const z4 = (i5 + i1) * -F['0.390180644'] + z5
  const o0 = i7 * F['0.298631336'] + z1 + z3
  const o1 = i5 * F['2.053119869'] + z2 + z4
  const o2 = i3 * F['3.072711026'] + z2 + z3
  const o3 = i1 * F['1.501321110'] + z1 + z4
  const round = 1 << (shift - 1)
  w[at] = (a0 + o3 + round) >> shift
  w[at + 7 * step] = (a0 - o3 + round) >> shift
  w[at + step] = (a1 + o2 + round) >> shift
  w[at + 6 * step] = (a1 - o2 + round) >> shift
  w[at + 2 * step] = (a2 + o1 + round) >> shift
  w[at + 5 * step] = (a2 - o1 + round) >> shift
  w[at + 3 * step] = (a3 + o0 + round) >> shift
  w[at + 4 * step] = (a3 - o0 + round) >> shift
}

/** One dimension of the fast transform (Arai, Agui, Nakajima) with 8 fractional bits and no rounding. */
function fast8(w: Int32Array, at: number, step: number): void {
  const t10 = w[at]! + w[at + 4 * step]!
  const t11 = w[at]! - w[at + 4 * step]!
  const t13 = w[at + 2 * step]! + w[at + 6 * step]!
  const t12 = (((w[at + 2 * step]! - w[at + 6 * step]!) * 362) >> 8) - t13
  const e0 = t10 + t13
  const e3 = t10 - t13
  const e1 = t11 + t12
  const e2 = t11 - t12
  const z13 = w[at + 5 * step]! + w[at + 3 * step]!
  const z10 = w[at + 5 * step]! - w[at + 3 * step]!
  const z11 = w[at + step]! + w[at + 7 * step]!
  const z12 = w[at + step]! - w[at + 7 * step]!
  const o7 = z11 + z13
  const z5 = ((z10 + z12) * 473) >> 8
  const o6 = ((z10 * -669) >> 8) + z5 - o7
  const o5 = (((z11 - z13) * 362) >> 8) - o6
  const o4 = ((z12 * 277) >> 8) - z5 + o5
  w[at] = e0 + o7
  w[at + 7 * step] = e0 - o7
  w[at + step] = e1 + o6
  w[at + 6 * step] = e1 - o6
  w[at + 2 * step] = e2 + o5
  w[at + 5 * step] = e2 - o5
  w[at + 4 * step] = e3 + o4
  w[at + 3 * step] = e3 - o4
}

/** Scale factors of the fast transform: 1, or √2·cos(kπ/16), in 14 fractional bits (jddctmgr.c, aanscales). */
const aan = Float64Array.from({ length: 8 }, (_, k) =>
  k === 0 ? 1 : Math.SQRT2 * Math.cos((k * Math.PI) / 16),
)

/** The `fast` transform's multipliers for a quantisation table in natural order: 2 fractional bits. */
export const fastMultipliers = (table: Uint16Array): Int32Array =>
  Int32Array.from(table, (q, i) => (q * Math.round(aan[i >> 3]! * aan[i & 7]! * 16384) + 2048) >> 12)

export type Idct = 'accurate' | 'fast'

/** Transforms the block of coefficients at `at` into 8×8 samples at `to` of a plane `stride` wide. */
export function inverseDct(
  kind: Idct,
  coefficients: Int16Array,
  at: number,
  multipliers: ArrayLike<number>,
  plane: Uint8Array,
  to: number,
  stride: number,
): void {
  for (let i = 0; i < 64; i++) work[i] = coefficients[at + i]! * multipliers[i]!
  if (kind === 'accurate') {
    for (let x = 0; x < 8; x++) accurate8(work, x, 8, 11)
    for (let y = 0; y < 64; y += 8) accurate8(work, y, 1, 18)
  } else {
    for (let x = 0; x < 8; x++) fast8(work, x, 8)
    for (let y = 0; y < 64; y += 8) fast8(work, y, 1)
  }
  const shift = kind === 'accurate' ? 0 : 5
  for (let i = 0; i < 64; i++) {
    const s = (work[i]! >> shift) + 128
    plane[to + (i >> 3) * stride + (i & 7)] = s < 0 ? 0 : s > 255 ? 255 : s
  }
}
