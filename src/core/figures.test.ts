import { expect, test } from 'vitest'
import { bytes, duration, percent, si, significant } from './figures.ts'

test('figures have three digits and a prefix', () => {
  expect([0, 7, 999, 1000, 2_617_000, 1e12].map((n) => si(n))).toEqual([
    '0',
    '7',
    '999',
    '1 k',
    '2.62 M',
    '1 T',
  ])
  expect(bytes(10_485_760)).toBe('10.5 MB')
})

test('a figure that rounds up to a thousand keeps its prefix', () => {
  expect(si(999_999)).toBe('1 M')
})

test('times go from microseconds to minutes', () => {
  expect([0.0123, 12.34, 1500, 61_000].map(duration)).toEqual(['12.3 µs', '12.3 ms', '1.5 s', '1 min 1 s'])
})

test('very small and very large figures have an exponent, others none', () => {
  expect([0, 0.012345, 1.2e-7, 3e9, -2.5e-5].map((x) => significant(x, 3))).toEqual([
    '0',
    '0.0123',
    '1.2e-7',
    '3e9',
    '-2.5e-5',
  ])
  expect(percent(0.12345)).toBe('12.3 %')
})
