// Results of well-known libraries, in the folder that STRATA_ASSETS names. Absent, a test that needs them is a reported skip.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'

const assets = process.env.STRATA_ASSETS

/** A test that reads golden results; skipped, with the reason, where there are none. */
export function goldenTest(name: string, body: () => void | Promise<void>): void {
  test(name, (context: TestContext) => {
    if (!assets) context.skip('STRATA_ASSETS is unset')
    return body()
  })
}

export const goldenBytes = (path: string): Uint8Array => readFileSync(join(assets!, 'golden', path))

/** A JSON file of golden results; the strings "NaN", "Infinity" and "-Infinity" in it become numbers. */
// biome-ignore lint/suspicious/noExplicitAny: each file has its own form, and a test reads what it knows is there
export const goldenJson = (path: string): any =>
  JSON.parse(new TextDecoder().decode(goldenBytes(path)), (_, v) =>
    v === 'NaN' || v === 'Infinity' || v === '-Infinity' ? Number(v) : v,
  )

/** Equal within a share of the expected value; NaN and infinities only equal themselves, and 0 needs `absolute`. */
export function expectClose(got: number, expected: number, relative: number, absolute = 0): void {
  const close =
    Object.is(got, expected) ||
    got === expected ||
    Math.abs(got - expected) <= relative * Math.abs(expected) + absolute
  expect(close, `expected ${expected} within ${relative}, got ${got}`).toBe(true)
}
