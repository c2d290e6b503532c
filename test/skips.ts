// A vitest reporter: why tests were skipped, counted by reason, written for test/all.ts.

import { writeFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

export default class Skips implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const reasons: Record<string, number> = {}
    for (const m of modules) {
      for (const t of m.children.allTests('skipped')) {
        const result = t.result()
        const note = (result.state === 'skipped' && result.note) || 'no reason given'
        reasons[note] = (reasons[note] ?? 0) + 1
      }
    }
    if (process.env.STRATA_SKIPS) writeFileSync(process.env.STRATA_SKIPS, JSON.stringify(reasons))
  }
}
