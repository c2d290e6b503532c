// Headless Chromium for tests; a test that needs it is a reported skip where there is none.

import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, type TestContext, test } from 'vitest'

const paths = [process.env.STRATA_CHROMIUM, '/usr/bin/chromium', '/usr/bin/google-chrome']
const executable = paths.find((p) => p !== undefined && existsSync(p))

let launched: Promise<Browser> | undefined
afterAll(async () => (await launched)?.close())

export function browserTest(name: string, body: (browser: Browser) => Promise<void>): void {
  test(name, async (context: TestContext) => {
    if (!executable) return context.skip('no Chromium (apt-get install chromium)')
    launched ??= chromium.launch({
      executablePath: executable,
      args: [
        '--no-sandbox',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
    await body(await launched)
  })
}
