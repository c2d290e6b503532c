// The report's JUnit twin: a target is a test case, so that a CI job shows which one fell short.

import type { CheckResult } from '../check-result.ts'
import { escaped } from './markup.ts'
import { judged, wrong } from './words.ts'

export function junitReport(result: CheckResult): string {
  const { targets, model } = result
  const failed = targets.filter((t) => t.verdict === 'different').length
  const broken = targets.filter((t) => t.verdict === 'failed').length
  const skipped = targets.filter((t) => !judged(t) && !wrong(t)).length
  // Without a target there is no case that could fail, but the check did.
  const empty = targets.every((t) => !judged(t)) && broken === 0
  const cases = targets.map((t) => {
    const seconds = ((t.ms?.median ?? 0) / 1000).toFixed(6)
    const open = `    <testcase classname="${escaped(model.name)}" name="${escaped(t.target)}" time="${seconds}"`
    if (t.verdict === 'different')
      return `${open}>\n      <failure message="${escaped(t.says)}"/>\n    </testcase>`
    if (t.verdict === 'failed')
      return `${open}>\n      <error message="${escaped(t.says)}"/>\n    </testcase>`
    if (!judged(t))
      return `${open}>\n      <skipped message="${escaped(t.reason ?? t.says)}"/>\n    </testcase>`
    return `${open}/>`
  })
  if (empty)
    cases.push(
      `    <testcase classname="${escaped(model.name)}" name="any target" time="0">\n      <failure message="${escaped(result.says)}"/>\n    </testcase>`,
    )
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="strata check ${escaped(model.name)}" tests="${cases.length}" failures="${failed + Number(empty)}" errors="${broken}" skipped="${skipped}" timestamp="${escaped(result.created)}">
${cases.join('\n')}
  </testsuite>
</testsuites>
`
}
