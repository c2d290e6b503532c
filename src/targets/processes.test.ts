import { expect, test } from 'vitest'
import { killGroup, peakResidentBytes, processorMs, spawnGroup } from './processes.ts'

test.skipIf(process.platform !== 'linux')(
  'memory and processor time of a process hold those of what it started',
  async () => {
    const busy = `const held = Buffer.alloc(2 ** 27, 1)
      while (process.cpuUsage().user < 3e5) {}
      console.log('ready')
      setTimeout(() => held, 60_000)`
    const shell = spawnGroup('sh', ['-c', `'${process.execPath}' -e "${busy}"; true`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await new Promise((resolve) => shell.stdout!.once('data', resolve))
    // The shell itself holds a few MB and has done nothing.
    expect(peakResidentBytes(shell.pid!)).toBeGreaterThan(2 ** 27)
    expect(processorMs(shell.pid!)).toBeGreaterThanOrEqual(300)
    killGroup(shell.pid!)
  },
)
