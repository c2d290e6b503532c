import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { tensorOf } from '../core/tensor.ts'
import { parseGraph } from '../ir/text.ts'
import { isolated } from './isolate.ts'
import { reference } from './reference.ts'
import type { Target } from './target.ts'

const folder = mkdtempSync(join(tmpdir(), 'isolate-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const graph = parseGraph(`graph small(x: float16[2]) -> (y) {
  y: float16[2] = relu(x) {}
}`)
const x = tensorOf('float16', [2], [-1, 2])

/** A module with one target whose run is `body`. */
function faulty(name: string, body: string): { target: Target; module: URL } {
  const file = join(folder, `${name}.mjs`)
  writeFileSync(
    file,
    `export const targets = [{ name: '${name}', load: async () => ({ run: async (inputs) => { ${body} }, dispose: async () => {} }) }]`,
  )
  const target: Target = {
    ...reference,
    name,
    compile: async (g, options) => ({ target: name, options, graph: g }),
  }
  return { target, module: pathToFileURL(file) }
}

async function runFaulty(name: string, body: string, limits: object): Promise<unknown> {
  const { target, module } = faulty(name, body)
  const executable = await isolated(target, { module, ...limits }).load(await target.compile(graph, {}))
  try {
    return await executable.run([x])
  } finally {
    await executable.dispose()
  }
}

describe('an isolated target', () => {
  test('gives what it gives here', async () => {
    const executable = await isolated(reference).load(await reference.compile(graph, {}))
    expect(await executable.run([x])).toEqual([tensorOf('float16', [2], [0, 2])])
    expect(executable.facts).toEqual({ threads: 1 })
    await executable.dispose()
  })

  test('that throws is the same error', async () => {
    await expect(runFaulty('throwing', `throw new RangeError('bad axis')`, {})).rejects.toMatchObject({
      name: 'RangeError',
      message: 'bad axis',
    })
  })

  test('that crashes is one line', async () => {
    await expect(runFaulty('crashing', 'process.abort()', {})).rejects.toThrow(
      /^crashing: its process was killed by SIGABRT/,
    )
  })

  test('that crashes in one executable goes on with the others, in a new process', async () => {
    const { target, module } = faulty('fragile', 'if (inputs[0].data[0] < 0) process.abort(); return inputs')
    const apart = isolated(target, { module })
    const [one, two] = await Promise.all([1, 2].map(async () => apart.load(await target.compile(graph, {}))))
    const good = tensorOf('float16', [2], [1, 2])
    expect(await two!.run([good])).toEqual([good])
    await expect(one!.run([x])).rejects.toThrow(/^fragile: its process was killed by SIGABRT/)
    expect(await two!.run([good])).toEqual([good])
    await expect(one!.run([good])).rejects.toThrow(/SIGABRT/)
    for (const e of [one!, two!]) await e.dispose()
  })

  test('that hangs is stopped', async () => {
    await expect(runFaulty('hanging', 'for (;;);', { runMs: 500 })).rejects.toThrow(
      'hanging: no answer within 500 ms. It was stopped.',
    )
  })

  test.skipIf(process.platform !== 'linux')('that hangs is stopped with what it started', async () => {
    const file = join(folder, 'pid')
    const start = `const { spawn } = await import('node:child_process')
      const { writeFileSync } = await import('node:fs')
      writeFileSync(${JSON.stringify(file)}, String(spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).pid))
      for (;;);`
    await expect(runFaulty('starting', start, { runMs: 2000 })).rejects.toThrow('It was stopped.')
    // Gone, or dead and not yet collected by its new parent.
    const stat = `/proc/${readFileSync(file, 'utf8')}/stat`
    await expect.poll(() => existsSync(stat) && !/\) Z/.test(readFileSync(stat, 'utf8'))).toBe(false)
  })

  test('that eats memory is stopped', async () => {
    const body = 'const keep = []; for (;;) keep.push(Buffer.alloc(8 << 20, 1))'
    await expect(runFaulty('hungry', body, { memoryBytes: 2 ** 28 })).rejects.toThrow(
      /^hungry: held \d+ bytes/,
    )
  })
})
