import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Kernel, kernelsOf } from '../compile/kernels.ts'
import { prepare } from '../compile/prepare.ts'
import { defaultSchedule, type Schedule } from '../compile/schedule.ts'
import { rng } from '../core/rng.ts'
import { tensor } from '../core/tensor.ts'
import { GraphBuilder } from '../ir/graph.ts'
import { tensorType } from '../ir/types.ts'
import { privateFolder, removeFolder } from '../targets/processes.ts'
import { chooseTargets } from '../targets/registry.ts'
import { openTuning } from './store-tuning.ts'
import { kernelWords, type TuneOptions, tune, tuningPlace, withTuned } from './tune.ts'
import { type Device, deviceFor } from './tune-measure.ts'

const folder = privateFolder()
afterAll(() => removeFolder(folder))
let files = 0
const fresh = (): string => join(folder, `${++files}.jsonl`)

function network() {
  const b = new GraphBuilder('net')
  const r = rng(1)
  const filter = (o: number, i: number, k: number) =>
    b.constant(
      tensor(
        'float32',
        [o, i, k, k],
        Float32Array.from({ length: o * i * k * k }, () => r.next() - 0.5),
      ),
    )
  let x = b.input('x', tensorType('float32', [1, 8, 8, 8]))
  x = b.node('conv2d', [x, filter(16, 8, 3)], { pads: [1, 1, 1, 1] }, { name: 'first' })
  x = b.node('relu', [x])
  x = b.node('conv2d', [x, filter(16, 16, 1)], {}, { name: 'second' })
  b.output(b.node('conv2d', [x, filter(16, 16, 1)], {}, { name: 'third' }))
  return b.finish()
}
const graph = network()
const [subject] = chooseTargets('wasm:safe')

/** A device on which fewer rows are faster, whatever else; it notes what it was asked. */
function fake(change: Partial<Device> = {}): {
  device: (k: Kernel) => Device
  asked: Schedule[]
  confirmed: Schedule[]
} {
  const [asked, confirmed]: [Schedule[], Schedule[]] = [[], []]
  const device = (): Device => ({
    async measure(s) {
      asked.push(s)
      return { code: JSON.stringify(s), status: 'measured', ms: s.rows, defaultMs: 6 }
    },
    async confirm(s) {
      confirmed.push(s)
      const ratio = 6 / s.rows
      return { ratio, low: ratio * 0.9, high: ratio * 1.1, p: 0.001, defaultMs: 6, tunedMs: s.rows }
    },
    rest: () => {},
    close: () => {},
    ...change,
  })
  return { device, asked, confirmed }
}
const run = (path: string, more: Partial<TuneOptions> = {}) =>
  tune({ graph, subject: subject!, records: openTuning(path), trials: 12, ...more })

test('kernels of one shape are tuned once, those of most work first', async () => {
  const { device, asked } = fake()
  const result = await run(fresh(), { device })
  expect(result.kernels.map((k) => [kernelWords(k.kernel), k.nodes])).toEqual([
    ['conv2d [1x8x8x8] [16x8x3x3] pads 1,1,1,1', ['first']],
    ['conv2d [1x16x8x8] [16x16x1x1]', ['second', 'third']],
  ])
  expect(result.kernels.map((k) => k.trials)).toEqual([12, 12])
  expect(asked.length).toBe(24)
  for (const k of result.kernels) {
    expect(k.after.rows).toBeLessThan(6)
    expect(k.ratio).toBe(6 / k.after.rows)
    expect(k.curve.at(-1)!.ratio).toBeGreaterThanOrEqual(k.curve[0]!.ratio)
    expect(k.says).toBe('confirmed')
  }
})

test('a winner that a second measurement does not confirm leaves the default, at 1', async () => {
  const unsure = { ratio: 1.3, low: 0.9, high: 1.8, p: 0.4, defaultMs: 6, tunedMs: 5 }
  const { device } = fake({ confirm: async () => unsure })
  const [first] = (await run(fresh(), { device })).kernels
  expect(first).toMatchObject({ ratio: 1, says: 'the default stays: nothing faster was confirmed' })
  expect(first!.after).toEqual(first!.before)
})

test('a moment in which the default was slow makes no candidate fast', async () => {
  let n = 0
  const { device } = fake({
    async measure(s) {
      const slow = ++n % 3 === 0 ? 10 : 1
      return { code: JSON.stringify(s), status: 'measured', ms: s.rows, defaultMs: 6 * slow }
    },
  })
  const [first] = (await run(fresh(), { device })).kernels
  expect(Math.max(...first!.curve.map((c) => c.ratio))).toBeLessThanOrEqual(6)
  expect(first!.ratio).toBe(6 / first!.after.rows)
})

test('candidates that fail or are wrong are records, and the search goes on', async () => {
  const path = fresh()
  let n = 0
  const { device } = fake({
    measure: async (s) => {
      const nothing = { code: null, ms: null, defaultMs: null }
      if (++n % 3 === 0) return { ...nothing, status: 'failed', says: 'its process was killed by SIGSEGV' }
      if (n % 3 === 1) return { ...nothing, status: 'wrong', says: 'output 0 differs' }
      return { code: JSON.stringify(s), status: 'measured', ms: s.rows, defaultMs: 6 }
    },
  })
  const { kernels } = await run(path, { device })
  expect(kernels.reduce((sum, k) => sum + k.failed + k.wrong, 0)).toBe(16)
  const statuses = readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((l) => JSON.parse(l).status)
  expect(statuses.filter((s) => s === 'failed').length).toBe(8)
})

test('a run that was stopped is taken up where it stopped, without repeating a measurement', async () => {
  const path = fresh()
  const stop = new AbortController()
  const first = fake()
  const interrupted: (k: Kernel) => Device = (k) => ({
    ...first.device(k),
    measure: async (s, known) => {
      if (first.asked.length === 5) stop.abort(new Error('stopped'))
      stop.signal.throwIfAborted()
      return first.device(k).measure(s, known)
    },
  })
  await expect(run(path, { device: interrupted, signal: stop.signal })).rejects.toThrow('stopped')
  const second = fake()
  const result = await run(path, { device: second.device })
  expect(first.asked.length).toBe(5)
  expect(second.asked.length).toBe(24 - 5)
  expect(result.kernels.map((k) => k.trials)).toEqual([12, 12])
  const third = fake()
  const again = await run(path, { device: third.device })
  expect(third.asked.length + third.confirmed.length).toBe(0)
  expect(again.kernels.map((k) => k.ratio)).toEqual(result.kernels.map((k) => k.ratio))
})

test('seconds are a budget of the search', async () => {
  let clock = 0
  const { device, asked } = fake()
  const slow: (k: Kernel) => Device = (k) => ({
    ...device(k),
    measure: (s, known) => {
      clock += 1
      return device(k).measure(s, known)
    },
  })
  await run(fresh(), { device: slow, seconds: 10, now: () => clock })
  expect(asked.length).toBe(10)
})

test('code that was measured before is not measured again and costs no trial', async () => {
  const { device } = fake({ measure: async () => ({ code: 'x', status: 'same', ms: null, defaultMs: null }) })
  const { kernels } = await run(fresh(), { device })
  expect(kernels.map((k) => [k.trials, k.ratio])).toEqual([
    [0, 1],
    [0, 1],
  ])
})

test('budgets and targets that make no sense are refused', async () => {
  await expect(run(fresh(), { trials: 0 })).rejects.toThrow('tune: trials, expected 1 to 100000, got 0')
  await expect(run(fresh(), { seconds: -1 })).rejects.toThrow('tune: seconds, expected more than 0, got -1')
  await expect(run(fresh(), { subject: chooseTargets('reference')[0]! })).rejects.toThrow(
    'tune: reference has no schedules, expected wasm:safe, wasm:fast or c',
  )
})

test('what was found goes to the target by shape, and the target says so', async () => {
  const path = fresh()
  const { device } = fake()
  await run(path, { device })
  const options = withTuned([graph], subject!, openTuning(path))
  expect(Object.keys(JSON.parse(String(options.schedule))).length).toBe(2)
  const { target } = subject!
  const [plain, tuned] = await Promise.all(
    [subject!.options, options].map(async (o) => target.load(await target.compile(graph, o))),
  )
  expect(plain!.facts!.schedules).toBeUndefined()
  expect(tuned!.facts!.schedules).toBe('2 given')
  // Records of another engine are none of this one.
  expect(withTuned([graph], chooseTargets('wasm:fast')[0]!, openTuning(path)).schedule).toBeUndefined()
})

test('records over a default that has changed since are neither resumed nor used', async () => {
  const path = fresh()
  await run(path, { device: fake().device })
  const old = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l))
  writeFileSync(
    path,
    old.map((r) => `${JSON.stringify({ ...r, before: { ...r.before, block: 3 } })}\n`).join(''),
  )
  expect(withTuned([graph], subject!, openTuning(path)).schedule).toBeUndefined()
  const { device, asked } = fake()
  await run(path, { device })
  expect(asked.length).toBe(24)
})

test('torn, foreign and absurd lines are passed over, and the next record is whole', async () => {
  const path = fresh()
  const { device } = fake()
  await run(path, { device, trials: 2 })
  const lines = readFileSync(path, 'utf8').trim().split('\n')
  const absurd = {
    ...JSON.parse(lines[0]!),
    schedule: { algorithm: 'fft', sparse: false, rows: 1e9, columns: 1, block: 1, unroll: 1 },
  }
  writeFileSync(path, [...lines, '{}', 'null', '[1', JSON.stringify(absurd), ''].join('\n'))
  appendFileSync(path, lines[0]!.slice(0, 40))
  const records = openTuning(path)
  const first = JSON.parse(lines[0]!)
  expect(records.trials(first.kernel, first).length).toBe(2)
  records.append(first)
  expect(openTuning(path).trials(first.kernel, first).length).toBe(3)
})

test('records that cannot be kept are an input error', () => {
  const blocked = join(folder, 'file')
  writeFileSync(blocked, '')
  expect(() => openTuning(join(blocked, 'x.jsonl'))).toThrow("the records can't be read")
})

test('a real kernel is measured on this machine, and its tuned form answers as the default does', async () => {
  const path = fresh()
  const result = await run(path, { trials: 4 })
  expect(result.kernels.map((k) => k.trials)).toEqual([4, 4])
  for (const k of result.kernels) {
    expect([k.failed, k.wrong]).toEqual([0, 0])
    expect(k.ratio).toBeGreaterThanOrEqual(1)
    expect(k.defaultMs).toBeGreaterThan(0)
  }
}, 60_000)

test('a candidate that dies, hangs, errs or is refused says so, and the next one is measured', async () => {
  const { code } = tuningPlace(subject!.target, subject!.options)
  const [kernel] = kernelsOf(prepare(graph), code)
  const device = deviceFor(kernel!, {
    ...subject!,
    targets: new URL('../../test/tune-targets.ts', import.meta.url),
    limitMs: 6000,
  })
  try {
    const start = defaultSchedule(kernel!.extent, code)
    const tried = async (rows: number) => {
      const m = await device.measure({ ...start, algorithm: 'spatialPack', rows }, new Set())
      return `${m.status}${m.says ? `: ${m.says}` : ''}`
    }
    expect(await tried(1)).toBe('failed: its process was killed by SIGSEGV')
    expect(await tried(2)).toBe('failed: no answer within 6000 ms. It was stopped.')
    expect(await tried(3)).toMatch(/^wrong: output 0 at/)
    expect(await tried(4)).toBe('failed: no code for that')
    expect(await tried(5)).toBe('measured')
  } finally {
    device.close()
  }
}, 60_000)
