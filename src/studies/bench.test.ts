import { expect, test } from 'vitest'
import { targets } from '../../test/bench-targets.ts'
import { parseGraph } from '../ir/text.ts'
import { bench, benchSubjects } from './bench.ts'
import { type BenchOptions, type BenchSubject, subjectName } from './bench-options.ts'
import { benchPlot } from './bench-plot.ts'
import { rowName, speedOver } from './bench-result.ts'
import { benchMarkdown } from './bench-table.ts'
import { randomInputs } from './inputs.ts'

const graph = parseGraph(`graph net(x: float32[1, 4]) -> (y) {
  w: float32[4, 4] = [1, 0.5, 0.25, -1, 0.125, 2, -0.5, 1, 1, 1, 0.75, 0.5, -0.25, 0.5, 1, 2]
  a: float32[1, 4] = matMul(x, w) {} "first"
  b: float32[1, 4] = tanh(a) {} "second"
  y: float32[1, 4] = matMul(b, w) {} "third"
}`)
const model = { name: 'net', graph, inputs: randomInputs(graph, 1, 1)[0]! }
const subjects = (...names: string[]): BenchSubject[] =>
  names.map((name) => ({ target: targets.find((t) => t.name === name)!, variant: '', options: {} }))

const run = (names: string[], more: Partial<BenchOptions> = {}) =>
  bench({
    models: [model],
    subjects: subjects(...names),
    targets: new URL('../../test/bench-targets.ts', import.meta.url),
    repeats: 6,
    sampleMs: 1,
    warmupMs: 0,
    peaks: false,
    ...more,
  })

const well = run(['right', 'slow', 'single'], { threads: [1, 2], perNode: true })

test('a document holds the machine, a row for each subject and the ratio of their times', async () => {
  const result = await well
  expect(result.machine.engine.node).toBe(process.versions.node)
  expect(result.rows.map((r) => [r.model, r.target, r.threads, r.verdict])).toEqual([
    ['net', 'right', 1, 'same'],
    ['net', 'slow', 1, 'same'],
    ['net', 'single', 1, 'same'],
    ['net', 'right', 2, 'same'],
    ['net', 'slow', 2, 'same'],
    ['net', 'single', 2, 'unsupported'],
  ])
  for (const row of result.rows.slice(0, 5)) {
    expect(row.medianMs).toBeGreaterThan(0)
    expect(row.p95Ms).toBeGreaterThanOrEqual(row.medianMs!)
    // 2 · 32 multiply-accumulates.
    expect(row.gflops).toBeCloseTo(64 / row.medianMs! / 1e6, 12)
    expect(row.startMs).toBeGreaterThan(row.compileMs! + row.loadMs! + row.firstMs!)
    expect(row.peakBytes).toBeGreaterThanOrEqual(row.baseBytes!)
  }
  const one = result.ratios.find((r) => r.faster === 'right' && r.slower === 'slow')
  expect(result.ratios.map((r) => r.threads)).toEqual([1, 1, 1, 2])
  expect(one!.low).toBeLessThanOrEqual(one!.ratio)
  expect(one!.high).toBeGreaterThanOrEqual(one!.ratio)
  // Three comparisons in six rounds: Holm's least p is 3 / 32. One comparison: 1 / 32.
  expect(result.ratios.map((r) => r.different)).toEqual([null, null, null, true])
  const speed = speedOver(result, 'net', 1, 'slow', 'right')!
  expect(speed.ratio).toBeCloseTo(1 / one!.ratio, 12)
  expect(speed.low).toBeCloseTo(1 / one!.high, 12)
  expect(result.groups).toMatchObject([
    { model: 'net', threads: 1, macs: 32, comparedWith: 'reference' },
    { model: 'net', threads: 2, macs: 32, comparedWith: 'reference' },
  ])
  expect(JSON.parse(JSON.stringify(result))).toEqual(result)
})

test('what answers wrongly gets a verdict and no time', async () => {
  const { rows, ratios } = await run(['right', 'wrong', 'drifts'])
  expect(rows.map((r) => [r.target, r.verdict])).toEqual([
    ['right', 'same'],
    ['wrong', 'different'],
    ['drifts', 'different'],
  ])
  for (const row of rows.slice(1)) {
    const { medianMs, p95Ms, gflops, startMs, firstMs } = row
    expect({ medianMs, p95Ms, gflops, startMs, firstMs }).toEqual({
      medianMs: null,
      p95Ms: null,
      gflops: null,
      startMs: null,
      firstMs: null,
    })
    expect(row.boundRatio).toBeGreaterThan(1)
  }
  expect(rows[1]!.says).toContain('beyond it')
  expect(rows[2]!.says).toContain('the last run answered otherwise than the first')
  expect(ratios).toEqual([])
})

test('a child that hangs, dies, throws or is absent is a row, and the others are timed', async () => {
  const { rows, ratios } = await run(['hangs', 'right', 'dies', 'throws', 'absent', 'slow'], {
    limitMs: 4000,
  })
  expect(rows.map((r) => [rowName(r), r.verdict, r.medianMs === null])).toEqual([
    ['hangs', 'failed', true],
    ['right', 'same', false],
    ['dies', 'failed', true],
    ['throws', 'failed', true],
    ['absent', 'absent', true],
    ['slow', 'same', false],
  ])
  expect(rows[0]!.says).toContain('no answer within 4000 ms')
  expect(rows[2]!.says).toContain('ended with status 3')
  expect(rows[3]!.says).toBe('the kernel gave up')
  expect(rows[4]!.says).toBe('npm install absent')
  expect(ratios.map((r) => [r.faster, r.slower])).toEqual([['right', 'slow']])
})

test('a child that eats memory is stopped', async () => {
  const { rows } = await run(['eats'], { memoryBytes: 400e6 })
  expect(rows[0]).toMatchObject({ verdict: 'failed', medianMs: null })
  expect(rows[0]!.says).toContain('more than the 400000000 it may')
})

test('a subject with fewer threads than asked is not compared', async () => {
  const row = (await well).rows[5]!
  expect(row).toMatchObject({ verdict: 'unsupported', says: 'runs on 1 thread, 2 asked', medianMs: null })
})

test('a profile by node comes where the executable has one', async () => {
  const { rows } = await well
  expect(rows[0]!.profile).toEqual(['first', 'second', 'third'].map((node) => ({ node, ms: 1 })))
  expect(rows[1]!.profile).toBeNull()
})

test('a model too large for the reference is judged by agreement, and the odd one out gets no time', async () => {
  const { rows, groups } = await run(['right', 'wrong', 'slow'], { referenceMacs: 1 })
  expect(groups[0]!.comparedWith).toBe('each other')
  expect(rows.map((r) => [r.target, r.verdict, r.medianMs === null])).toEqual([
    ['right', 'same', false],
    ['wrong', 'different', true],
    ['slow', 'same', false],
  ])
  const alone = await run(['right', 'wrong'], { referenceMacs: 1 })
  expect(alone.groups[0]!.comparedWith).toBe('reference')
  expect(alone.rows[1]!.verdict).toBe('different')
})

test('an abort stops the run and every child', async () => {
  // Whose children would be counted.
  await well
  const stop = new AbortController()
  const running = run(['right', 'hangs'], {
    signal: stop.signal,
    warmupRuns: 1,
    progress: (_done, _total, what) => {
      if (what.includes('in turn')) setTimeout(() => stop.abort(new Error('stopped by the user')), 100)
    },
  })
  await expect(running).rejects.toThrow('stopped by the user')
  const children = () => process.getActiveResourcesInfo().filter((r) => r === 'ProcessWrap')
  await expect.poll(children).toEqual([])
})

test('processor time is refused for several threads', async () => {
  await expect(run(['right'], { clock: 'cpu', threads: [2] })).rejects.toThrow('Use the wall clock')
})

test('the tables and the picture show every row, with its time or why it has none', async () => {
  const result = await well
  const text = benchMarkdown(result)
  expect(text).toContain('## net, 2 threads')
  expect(text).toMatch(/\| right \|.*\| equal \| [\d.]+ (µs|ms|s) \|/)
  expect(text).toContain('- single: unsupported: runs on 1 thread, 2 asked')
  expect(text).toContain('right by node:')
  const svg = (await benchPlot(result))!
  expect(svg).toMatch(/^<svg xmlns/)
  expect(svg).toContain('slow, 2 thr.')
  expect(await benchPlot({ ...result, rows: [] })).toBeNull()
})

test('a plain name stands for the fastest setting of a target, or for each of its engines', () => {
  const names = (text: string) => benchSubjects([text]).map(subjectName)
  expect(names('onnxruntime')).toEqual(['onnxruntime:all'])
  expect(names('onnxruntime:basic')).toEqual(['onnxruntime:basic'])
  expect(names('tfjs')).toEqual(['tfjs:wasm'])
  expect(names('wasm')).toEqual(['wasm:safe', 'wasm:fast'])
})
