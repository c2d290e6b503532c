// Text in columns, for a terminal.

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape that starts a style
const plain = (s: string): string => s.replace(/\x1b\[\d+m/g, '')
/** A number, perhaps with a unit; or nothing. */
const figure = /^([-−]?[\d.]+(e-?\d+)?( [a-zA-Zµ%/]+)?|[–∞])?$/

/** Columns aligned by spaces; numbers to the right. Cells may carry styles. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const length = (s: string): number => plain(s).length
  const all = head.some(Boolean) ? [head, ...rows] : rows
  const widths = (rows[0] ?? head).map((_, c) => Math.max(...all.map((r) => length(r[c] ?? ''))))
  const right = widths.map((_, c) => rows.every((r) => figure.test(plain(r[c] ?? ''))))
  return all
    .map((r) =>
      widths
        .map((w, c) => {
          const pad = ' '.repeat(w - length(r[c] ?? ''))
          return right[c] ? pad + (r[c] ?? '') : (r[c] ?? '') + pad
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
