// The report in a real browser: complete, without an error, without the network.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import type { CheckResult } from '../src/studies/check-result.ts'
import { htmlReport } from '../src/studies/report/html.ts'
import { browserTest } from './browser.ts'
import { root, strata, workFolder } from './command.ts'
import { fixture } from './report-fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'strata-report-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Opens the report; every complaint of the page and every request that leaves the file is collected. */
async function open(
  browser: Browser,
  result: CheckResult,
  width = 1280,
): Promise<{ page: Page; complaints: string[] }> {
  const path = join(folder, `${Math.random()}.html`)
  writeFileSync(path, htmlReport(result))
  return visit(browser, path, width)
}

async function visit(
  browser: Browser,
  path: string,
  width = 1280,
): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage({ viewport: { width, height: 900 } })
  const complaints: string[] = []
  page.on('console', (m) => {
    if (m.type() === 'error' || m.type() === 'warning') complaints.push(m.text())
  })
  page.on('pageerror', (e) => complaints.push(e.message))
  page.on('request', (r) => {
    if (!/^(file|data):/.test(r.url())) complaints.push(r.url())
  })
  await page.goto(`file://${path}`)
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')
  return { page, complaints }
}

/** How many colours a canvas shows: one would be an empty drawing. */
const colours = (page: Page, id: string): Promise<number> =>
  page.evaluate(`(() => {
    const c = document.getElementById('${id}')
    const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height)
    return new Set(new Uint32Array(data.buffer)).size
  })()`)

browserTest('a report is complete, draws its graph and curve, and complains of nothing', async (browser) => {
  const { page, complaints } = await open(browser, fixture(150, true))
  expect(await page.locator('#verdict').textContent()).toMatch(/^FAIL\s*tfjs:wasm/)
  expect(await page.locator('#targets tbody tr').count()).toBe(4)
  for (const section of ['findings', 'worst', 'timing', 'reproduce'])
    expect(await page.locator(`#${section}`).isVisible()).toBe(true)
  expect(await colours(page, 'graph')).toBeGreaterThan(8)
  expect(await colours(page, 'growth')).toBeGreaterThan(8)
  expect(complaints).toEqual([])
})

browserTest('the report of a real check shows its pictures, its graph and its verdict', async (browser) => {
  const cwd = workFolder()
  const example = join(root, 'examples/fashion')
  const targets = ['--target', 'onnxruntime:all,wasm', '--samples', '20']
  const ended = strata(cwd, 'check', example, '--data', example, ...targets)
  expect([ended.status, ended.stderr]).toEqual([0, ''])
  const { page, complaints } = await visit(browser, join(cwd, 'strata-report/report.html'))
  expect(await page.locator('#verdict').textContent()).toMatch(/^PASS/)
  const broken = '[...document.images].filter((i) => i.naturalWidth === 0).length'
  expect(await page.locator('#worst img').count()).toBeGreaterThan(0)
  expect(await page.evaluate(broken)).toBe(0)
  expect(await colours(page, 'graph')).toBeGreaterThan(8)
  expect(await page.locator('#panel code').textContent()).not.toBe('')
  expect(complaints).toEqual([])
})

browserTest('the node to blame is shown at once; a click on another shows that one', async (browser) => {
  const result = fixture(150, true)
  const { page, complaints } = await open(browser, result)
  expect(await page.locator('#panel code').textContent()).toBe(result.targets[3]!.first!.node)
  await page.locator('#growth').click({ position: { x: 55, y: 100 } })
  expect(await page.locator('#panel code').textContent()).toBe('stem/conv')
  // It was brought to the middle of the graph: a click there finds it again.
  await page.locator('#growth').click({ position: { x: 700, y: 100 } })
  const before = await page.locator('#panel code').textContent()
  const box = (await page.locator('#graph').boundingBox())!
  await page.locator('#graph').click({ position: { x: box.width / 2, y: box.height / 2 } })
  expect(await page.locator('#panel code').textContent()).toBe(before)
  expect(complaints).toEqual([])
})

browserTest('search finds nodes by name and operator', async (browser) => {
  const { page } = await open(browser, fixture(150, false))
  await page.locator('#search').fill('depthwise_relu clamp')
  expect(await page.locator('#matches').textContent()).toMatch(/^\d+ of 151$/)
  await page.locator('#search').press('Enter')
  expect(await page.locator('#panel code').textContent()).toBe('block_0/depthwise_relu')
})

browserTest('choosing another target recolours the graph and renews the panel', async (browser) => {
  const { page } = await open(browser, fixture(60, true))
  await page.locator('select.target').first().selectOption('0')
  expect(await page.locator('select.target').nth(1).inputValue()).toBe('0')
  expect(await page.locator('#panel tr[aria-current] td').first().textContent()).toBe('wasm')
  expect(await page.locator('#next').isVisible()).toBe(false)
})

browserTest('ten thousand nodes draw and answer a click', async (browser) => {
  const { page, complaints } = await open(browser, fixture(10_000, true))
  expect(await colours(page, 'graph')).toBeGreaterThan(8)
  await page.locator('#in').click()
  await page.locator('#next').click()
  expect(await page.locator('#panel h3').textContent()).toBe('conv2d')
  expect(complaints).toEqual([])
})

browserTest('at 400 pixels nothing is wider than the screen', async (browser) => {
  const { page } = await open(browser, fixture(150, true), 400)
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(400)
})

browserTest('a check that no target could run still has its report', async (browser) => {
  const result = fixture(20, false)
  const none = { ...result, targets: result.targets.slice(4), verdict: 'fail' as const }
  const { page, complaints } = await open(browser, none)
  expect(await page.locator('#verdict').isVisible()).toBe(true)
  expect(await page.locator('#reproduce').isVisible()).toBe(true)
  expect(complaints).toEqual([])
})
