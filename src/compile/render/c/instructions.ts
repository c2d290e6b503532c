// Processors' own instructions as C intrinsics, each with the preprocessor's condition under which it is there.

import type { ScalarFn } from '../../../ir/scalar.ts'
import type { LoopType } from '../../loops.ts'

/**
 * The machine's own instruction for a whole vector of floats. Compilers find some behind a loop over lanes too, but take ten
 * times as long over a network. `max(limit, x)` of x86 gives x where x is NaN, as the loop does.
 */
export function instructions(fn: ScalarFn, t: LoopType, type: string): { when: string; value: string }[] {
  if (t.type !== 'float32') return []
  const [x86, vector, when] =
    t.lanes === 16
      ? ['_mm512', '__m512', 'defined(__AVX512F__)']
      : t.lanes === 8
        ? ['_mm256', '__m256', 'defined(__FMA__)']
        : t.lanes === 4
          ? ['_mm', '__m128', 'defined(__FMA__)']
          : ['', '', '']
  if (!x86) return []
  const on = (names: readonly string[], v: string): string => names.map((n) => `(${v})${n}`).join(', ')
  const round = rounding[fn]
  const form =
    fn === 'fma'
      ? `fmadd_ps(${on(['a', 'b', 'c'], vector)})`
      : fn === 'min' || fn === 'max'
        ? `${fn}_ps(${on(['a', 'b'], vector)})`
        : fn === 'sqrt'
          ? `sqrt_ps(${on(['a'], vector)})`
          : round !== undefined
            ? `${t.lanes === 16 ? 'roundscale' : 'round'}_ps(${on(['a'], vector)}, ${round})`
            : undefined
  if (form === undefined) return []
  const forms = [{ when, value: `(${type})${x86}_${form}` }]
  // NEON's maximum lets NaN win, so it has no form there.
  const neon =
    fn === 'fma'
      ? `vfmaq_f32(${on(['c', 'a', 'b'], 'float32x4_t')})`
      : fn === 'sqrt' || neonRounding[fn]
        ? `${neonRounding[fn] ?? 'vsqrtq_f32'}(${on(['a'], 'float32x4_t')})`
        : undefined
  if (t.lanes === 4 && neon)
    forms.push({ when: 'defined(__ARM_NEON) && defined(__aarch64__)', value: `(${type})${neon}` })
  return forms
}

/** x86's conversions between narrow integers in memory and 32-bit lanes: gcc 12 takes vectors apart for theirs. */
export function wideningOf(
  storage: string,
  lanes: number,
  to: string,
): { when: string; value: string } | undefined {
  const kind = { uint8_t: 'epu8', int8_t: 'epi8', uint16_t: 'epu16', int16_t: 'epi16' }[storage]
  const bytes = lanes * (kind?.endsWith('8') ? 1 : 2)
  const prefix = { 16: '_mm512', 8: '_mm256', 4: '_mm' }[lanes]
  if (!kind || !prefix) return undefined
  const when =
    lanes === 16 ? 'defined(__AVX512F__)' : 'defined(__AVX2__) && defined(__FMA__) && defined(__x86_64__)'
  const from =
    bytes === 4
      ? '_mm_cvtsi32_si128((int32_t)a)'
      : bytes === 8
        ? '_mm_cvtsi64_si128((int64_t)a)'
        : `(__m${8 * bytes}i)a`
  return { when, value: `(${to})${prefix}_cvt${kind}_epi32(${from})` }
}

export function narrowingOf(
  storage: string,
  lanes: number,
  to: string,
): { when: string; value: string } | undefined {
  const bytes = { uint8_t: 1, int8_t: 1, uint16_t: 2, int16_t: 2 }[storage]
  if (lanes !== 8 || bytes === undefined) return undefined
  const when = 'defined(__AVX2__) && defined(__FMA__) && defined(__x86_64__)'
  const masked = `_mm256_and_si256((__m256i)a, _mm256_set1_epi32(${2 ** (8 * bytes) - 1}))`
  const halves = `_mm_packus_epi32(_mm256_castsi256_si128(${masked}), _mm256_extracti128_si256(${masked}, 1))`
  if (bytes === 2) return { when, value: `(${to})${halves}` }
  return { when, value: `(${to})_mm_cvtsi128_si64(_mm_packus_epi16(${halves}, _mm_setzero_si128()))` }
}

/**
 * The machine's own products of neighbours, all exact: four of uint8 and int8 (AVX-512 VNNI doesn't saturate), or two of int16. `pmaddubsw`
 * has no place here: it saturates at 16 bits.
 */
export function dotInstructions(acc: LoopType, a: LoopType, type: string): { when: string; value: string }[] {
  const g = a.lanes / acc.lanes
  if (acc.lanes === 16) {
    const on = (name: string): string => `(${type})_mm512_${name}((__m512i)r, (__m512i)a, (__m512i)b)`
    if (g === 4 && a.type === 'uint8') return [{ when: 'defined(__AVX512VNNI__)', value: on('dpbusd_epi32') }]
    if (g === 2)
      return [
        { when: 'defined(__AVX512VNNI__)', value: on('dpwssd_epi32') },
        { when: 'defined(__AVX512BW__)', value: `r + (${type})_mm512_madd_epi16((__m512i)a, (__m512i)b)` },
      ]
  }
  if (g === 2 && acc.lanes === 8)
    return [
      {
        when: 'defined(__AVX2__) && defined(__FMA__)',
        value: `r + (${type})_mm256_madd_epi16((__m256i)a, (__m256i)b)`,
      },
    ]
  if (g === 2 && acc.lanes === 4)
    return [
      {
        when: 'defined(__AVX2__) && defined(__FMA__)',
        value: `r + (${type})_mm_madd_epi16((__m128i)a, (__m128i)b)`,
      },
      {
        when: 'defined(__ARM_NEON) && defined(__aarch64__)',
        value: `r + (${type})vpaddq_s32(vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b)), vmull_high_s16((int16x8_t)a, (int16x8_t)b))`,
      },
    ]
  return []
}

/** Rounding modes of x86, without the inexact flag; and NEON's instructions. */
const rounding: Partial<Record<ScalarFn, number>> = { round: 8, floor: 9, ceil: 10, trunc: 11 }
const neonRounding: Partial<Record<ScalarFn, string>> = {
  round: 'vrndnq_f32',
  floor: 'vrndmq_f32',
  ceil: 'vrndpq_f32',
  trunc: 'vrndq_f32',
}
