import { DOMParser } from 'linkedom'
import { expect, test } from 'vitest'
import { fixture } from '../../../test/report-fixture.ts'
import type { CheckResult } from '../check-result.ts'
import { htmlReport } from './html.ts'
import { checkDocument, jsonText } from './json.ts'
import { junitReport } from './junit.ts'
import { code, markdownReport } from './markdown.ts'
import { checkSummary } from './summary.ts'

const fail = fixture(30, true)
const hostile = '</script><img src=x onerror=alert(1)>|`"&'
const spoilt: CheckResult = {
  ...fail,
  says: hostile,
  model: { ...fail.model, name: hostile, source: hostile },
  graph: fail.graph.map((n) => ({ ...n, node: hostile })),
  targets: fail.targets.map((t) => ({ ...t, target: hostile, says: hostile })),
}

test('names in a model cannot become markup of the page', () => {
  const page = htmlReport(spoilt)
  expect(page).not.toContain('<img src=x')
  expect(page.split('</script>').length).toBe(3)
})

test('the page refers to nothing outside itself', () => {
  const page = htmlReport(fail).replaceAll('http://www.w3.org/2000/svg', '')
  expect(page.match(/(?:https?:)?\/\/[a-z]+\./g)).toBe(null)
})

test('JUnit has a case for each target, with the reason of every one that is not a pass', () => {
  const document = new DOMParser().parseFromString(junitReport(fail), 'text/xml')
  const cases = [...document.querySelectorAll('testcase')]
  expect(cases.map((c) => [c.getAttribute('name'), c.firstElementChild?.tagName])).toEqual([
    ['wasm', undefined],
    ['onnxruntime:none', undefined],
    ['onnxruntime:all', undefined],
    ['tfjs:wasm', 'failure'],
    ['litert', 'skipped'],
  ])
  expect(document.querySelector('testsuite')!.getAttribute('failures')).toBe('1')
  expect(document.querySelector('failure')!.getAttribute('message')).toBe(fail.targets[3]!.says)
})

test('JUnit of a check that no target could run fails', () => {
  const none = { ...fail, targets: fail.targets.slice(4) }
  expect(junitReport(none)).toContain('tests="2" failures="1"')
})

test('Markdown names the node to blame and how to reproduce', () => {
  const text = markdownReport(fail)
  expect(text).toContain('| tfjs:wasm 1.2.3 | differs | 186 of 200 |')
  expect(text).toContain(`- where: \`${fail.targets[3]!.first!.node}\``)
  expect(text).toContain('strata check mobilenet.onnx --data pictures --samples 200')
})

test('code in Markdown holds backticks and keeps to its line', () => {
  expect([code('a'), code('a`b'), code('`a``\nb')]).toEqual(['`a`', '``a`b``', '``` `a`` b ```'])
})

test('a row of the Markdown table stays a row whatever the names are', () => {
  const rows = markdownReport(spoilt)
    .split('\n')
    .filter((l) => l.startsWith('| '))
  expect(rows.length).toBe(6)
  expect(rows.every((l) => l.replaceAll('\\|', '').split('|').length === 10)).toBe(true)
})

test('the document of check has the promised keys, and NaN as text', () => {
  const document = checkDocument({ ...fail, report: 'report.html' })
  expect(Object.keys(document)).toEqual(['verdict', 'says', 'targets', 'report'])
  expect(document.targets[3]).toMatchObject({
    target: 'tfjs:wasm',
    present: true,
    verdict: 'different',
    labels: { total: 200, disagree: 14 },
    ms: 21.5,
  })
  expect(JSON.parse(jsonText({ a: Number.NaN, b: [-Infinity, 5n] }))).toEqual({
    a: 'NaN',
    b: ['-Infinity', '5'],
  })
})

const plain = (text: string): string => text
const styles = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain }

test('the summary says the verdict, a line a target, where the error is born, and what was not run', () => {
  const lines = checkSummary(fail, styles).split('\n')
  expect(lines.find((l) => l.startsWith('FAIL'))).toBe(`FAIL  ${fail.says}`)
  expect(lines.find((l) => l.startsWith('wasm'))).toMatch(
    /^wasm +within rounding +200 of 200 +90 % +2\.4e-7 +0\.0923 +9\.1 ms$/,
  )
  const { node, op } = fail.targets[3]!.first!
  expect(lines).toContain(`tfjs:wasm: the error is born at ${node} (${op})`)
  expect(lines).toContain('not run: litert')
})
