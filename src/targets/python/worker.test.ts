import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { UnsupportedError } from '../../core/errors.ts'
import { tensorOf } from '../../core/tensor.ts'
import { openWorker, type WorkerOptions } from './worker.ts'

const folder = mkdtempSync(join(tmpdir(), 'fake-worker-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A fake runtime: a Node script that answers as it likes. `body` sees the request, `reply` and `folder`. */
function fake(
  name: string,
  body: string,
): { options: WorkerOptions; pids: () => number[]; temp: () => string } {
  const script = join(folder, `${name}.mjs`)
  const notes = join(folder, `${name}.json`)
  writeFileSync(
    script,
    `import { createInterface } from 'node:readline'
import { spawn } from 'node:child_process'
import { writeFileSync, writeSync } from 'node:fs'
const folder = process.argv[2]
const pids = [process.pid]
const note = () => writeFileSync(${JSON.stringify(notes)}, JSON.stringify({ pids, folder }))
note()
const reply = (r) => writeSync(3, JSON.stringify(r) + '\\n')
const loaded = () => reply({ inputs: [], outputs: [], values: [], facts: {} })
createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line)
  ${body}
})`,
  )
  const read = (): { pids: number[]; folder: string } => JSON.parse(readFileSync(notes, 'utf8'))
  return {
    options: { runtime: 'fake', python: process.execPath, script, path: 'model', options: {} },
    pids: () => read().pids,
    temp: () => read().folder,
  }
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // A killed process whose parent hasn't collected it yet is not alive.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Nothing is left: the processes end within two seconds, and the folder is gone. */
async function nothingLeft(f: { pids: () => number[]; temp: () => string }): Promise<void> {
  for (let i = 0; i < 40 && f.pids().some(alive); i++) await sleep(50)
  expect(f.pids().filter(alive)).toEqual([])
  expect(existsSync(f.temp())).toBe(false)
}

describe('a worker', () => {
  test('that answers is believed, whatever it prints besides', async () => {
    const f = fake(
      'noisy',
      `console.log('Welcome to the runtime!\\n{"error":"no"}'); console.error('W0000 warning')
       request.do === 'load' ? loaded() : reply({ outputs: [], ms: 2, cpuMs: 3 })`,
    )
    const model = await openWorker(f.options)
    expect(await model.run([tensorOf('float32', [1], [1])])).toEqual([])
    expect([model.lastMs(), model.lastCpuMs()]).toEqual([2, 3])
    expect(readdirSync(f.temp())).toEqual([])
    await model.dispose()
    await nothingLeft(f)
  })

  test('that refuses says why and ends', async () => {
    const f = fake('refusing', `reply({ error: 'no kernel for FOO', kind: 'failed' })`)
    await expect(openWorker(f.options)).rejects.toThrow('fake: no kernel for FOO')
    await nothingLeft(f)
  })

  test('that lacks operators names them all', async () => {
    const f = fake('lacking', `reply({ error: 'not supported', unsupported: { FOO: 2, BAR: 1 } })`)
    await expect(openWorker(f.options)).rejects.toThrow(
      new UnsupportedError('fake', [
        { op: 'FOO', count: 2 },
        { op: 'BAR', count: 1 },
      ]),
    )
    await nothingLeft(f)
  })

  test('that hangs is killed with what it started', async () => {
    const f = fake(
      'hanging',
      `process.on('SIGTERM', () => {}); pids.push(spawn('sleep', ['60']).pid); note(); for (;;);`,
    )
    await expect(openWorker({ ...f.options, limits: { loadMs: 1500 } })).rejects.toThrow(
      'fake: no answer within 1.5 s while loading model. Its process was killed',
    )
    expect(f.pids()).toHaveLength(2)
    await nothingLeft(f)
  })

  test('that hangs in a run is killed, and a later run says so at once', async () => {
    const f = fake('stuck', `if (request.do === 'load') loaded()`)
    const model = await openWorker({ ...f.options, limits: { runMs: 300 } })
    await expect(model.run([])).rejects.toThrow('no answer within 0.3 s while running')
    await expect(model.run([])).rejects.toThrow('no answer within 0.3 s while running')
    await nothingLeft(f)
  })

  test('that dies reports its last words', async () => {
    const f = fake('dying', `console.error('terminate called: bad_alloc'); process.abort()`)
    await expect(openWorker(f.options)).rejects.toThrow(/fake: its process died \(SIGABRT\)/)
    await nothingLeft(f)
  })

  test('that sends rubbish is ended', async () => {
    const f = fake('rubbish', `writeSync(3, 'Segmentation fault?\\n')`)
    await expect(openWorker(f.options)).rejects.toThrow(
      'sent rubbish instead of a reply: "Segmentation fault?"',
    )
    await nothingLeft(f)
  })

  test('that sends rubbish without end is ended', async () => {
    const f = fake('flood', `const b = Buffer.alloc(65536, 65); for (;;) writeSync(3, b)`)
    await expect(openWorker(f.options)).rejects.toThrow('sent rubbish instead of a reply')
    await nothingLeft(f)
  })

  test('that eats memory is killed', async () => {
    const f = fake('hungry', `const keep = []; for (;;) keep.push(Buffer.alloc(8 << 20, 1))`)
    await expect(openWorker({ ...f.options, limits: { memory: 2 ** 28 } })).rejects.toThrow(
      /took .* GB of memory, more than the limit of 0.3 GB/,
    )
    await nothingLeft(f)
  })

  test('may name only files that it wrote in its folder', async () => {
    for (const [name, output, message] of [
      ['outside', '../../etc/passwd', 'named an output "../../etc/passwd"'],
      ['missing', 'out1.npy', "promised the output out1.npy and didn't write it"],
    ] as const) {
      const f = fake(
        name,
        `request.do === 'load' ? loaded() : reply({ outputs: ['${output}'], ms: 1, cpuMs: 1 })`,
      )
      const model = await openWorker(f.options)
      await expect(model.run([])).rejects.toThrow(message)
      await nothingLeft(f)
    }
  })

  test('that describes an impossible value is refused', async () => {
    const f = fake(
      'odd',
      `reply({ inputs: [{ name: 'x', dtype: 'complex64', shape: [1] }], outputs: [], values: [] })`,
    )
    await expect(openWorker(f.options)).rejects.toThrow('value x has the unknown type complex64')
    await nothingLeft(f)
  })

  test('whose Python is missing is one line', async () => {
    const options = { runtime: 'fake', python: '/no/such/python', path: 'model', options: {} }
    await expect(openWorker(options)).rejects.toThrow('fake: there is no /no/such/python')
  })
})
