// Figures for people: a summary, a report. Documents for programs have the plain numbers.

const prefixes = ['', 'k', 'M', 'G', 'T', 'P'] as const

/** Three significant digits with a decimal prefix: 2.62 M. */
export function si(n: number, unit = ''): string {
  if (!Number.isFinite(n)) return String(n)
  // Rounded first, so that 999,999 is 1 M.
  const rounded = n < 1000 ? n : Number(n.toPrecision(3))
  const i = rounded < 1000 ? 0 : Math.min(prefixes.length - 1, Math.floor(Math.log10(rounded) / 3 + 1e-9))
  const x = n / 1000 ** i
  const text = i === 0 && Number.isInteger(n) ? String(n) : significant(x, 3)
  return `${text} ${prefixes[i]}${unit}`.trimEnd()
}

export const bytes = (n: number): string => si(n, 'B')

export function duration(ms: number): string {
  if (ms < 1) return `${significant(ms * 1000, 3)} µs`
  if (ms < 1000) return `${significant(ms, 3)} ms`
  if (ms < 60_000) return `${significant(ms / 1000, 3)} s`
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}

export const percent = (share: number): string => `${significant(100 * share, 3)} %`

/** Without an exponent where a plain number is short enough to read. */
export function significant(x: number, digits: number): string {
  if (x === 0 || !Number.isFinite(x)) return String(x)
  const size = Math.floor(Math.log10(Math.abs(x)))
  if (size < -3 || size >= 6)
    return x
      .toExponential(digits - 1)
      .replace(/\.?0+e/, 'e')
      .replace('e+', 'e')
  return String(Number(x.toPrecision(digits)))
}
