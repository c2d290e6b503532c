import { expect, test } from 'vitest'
import { rng } from '../core/rng.ts'
import { type Complex, fft } from './fft.ts'

/** The definition. */
function slow(x: Complex, sign: number): Complex {
  const n = x.re.length
  const out = { re: new Float64Array(n), im: new Float64Array(n) }
  for (let k = 0; k < n; k++) {
    for (let i = 0; i < n; i++) {
      const turn = (sign * 2 * Math.PI * ((i * k) % n)) / n
      out.re[k]! += x.re[i]! * Math.cos(turn) - x.im[i]! * Math.sin(turn)
      out.im[k]! += x.re[i]! * Math.sin(turn) + x.im[i]! * Math.cos(turn)
    }
  }
  return out
}

const off = (a: Complex, b: Complex): number =>
  a.re.reduce((m, v, i) => Math.max(m, Math.abs(v - b.re[i]!), Math.abs(a.im[i]! - b.im[i]!)), 0)

test.each([1, 2, 3, 4, 7, 12, 30, 127, 400, 2 * 131, 257, 3 * 211])(
  'length %i agrees with the definition both ways',
  (n) => {
    const random = rng(n)
    const x = {
      re: Float64Array.from({ length: n }, () => random.normal()),
      im: Float64Array.from({ length: n }, () => random.normal()),
    }
    expect(off(fft(x), slow(x, -1))).toBeLessThan(1e-11)
    expect(off(fft(x, true), slow(x, 1))).toBeLessThan(1e-11)
  },
)

test('a long prime length comes back from its spectrum', () => {
  const n = 20_011
  const x = { re: Float64Array.from({ length: n }, (_, i) => Math.sin(i * i)), im: new Float64Array(n) }
  const back = fft(fft(x), true)
  expect(off({ re: back.re.map((v) => v / n), im: back.im.map((v) => v / n) }, x)).toBeLessThan(1e-9)
})

test('nothing has an empty spectrum', () => {
  expect(fft({ re: new Float64Array(0), im: new Float64Array(0) }).re).toHaveLength(0)
})
