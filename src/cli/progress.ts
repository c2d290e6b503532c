// Progress on standard error, when it is a terminal; silent otherwise.

import type { Progress } from './verb.ts'

/** One line that is drawn over. `clear` takes it away, so that what is printed next stands alone. */
export function progressBar(stream: NodeJS.WriteStream): { show: Progress; clear: () => void } {
  if (!stream.isTTY) return { show: () => {}, clear: () => {} }
  let shown = false
  const clear = (): void => {
    if (shown) stream.write('\r\x1b[K')
    shown = false
  }
  process.once('exit', clear)
  const show: Progress = (done, total, what) => {
    if (done >= total) return clear()
    const cells = 24
    const share = done / Math.max(1, total)
    const full = Math.round(cells * share)
    const line = `${'█'.repeat(full)}${'░'.repeat(cells - full)} ${Math.floor(100 * share)} %  ${what}`
    stream.write(`\r\x1b[K${line.slice(0, (stream.columns || 80) - 1)}`)
    shown = true
  }
  return { show, clear }
}
