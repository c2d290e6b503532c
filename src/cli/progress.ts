// Progress on standard error, when it is a terminal; silent otherwise.

import type { Progress } from './verb.ts'

/** One line that is drawn over. It clears itself when all is done and when the process ends. */
export function progressBar(stream: NodeJS.WriteStream): Progress {
  if (!stream.isTTY) return () => {}
  let drawn = 0
  let shown = false
  const clear = (): void => {
    if (shown) stream.write('\r\x1b[K')
    shown = false
  }
  process.once('exit', clear)
  return (done, total, what) => {
    if (done >= total) return clear()
    const now = performance.now()
    if (now - drawn < 80) return
    drawn = now
    const cells = 24
    const full = Math.round((cells * done) / Math.max(1, total))
    const line = `${'█'.repeat(full)}${'░'.repeat(cells - full)} ${Math.floor((100 * done) / Math.max(1, total))} %  ${what}`
    stream.write(`\r\x1b[K${line.slice(0, (stream.columns ?? 80) - 1)}`)
    shown = true
  }
}
