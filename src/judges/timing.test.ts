import { describe, expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import { compareTimings, measure, ratioOfMedians, summarize, type Timing } from './timing.ts'

/** A clock that moves only when a subject says so. */
function fakeTime() {
  let now = 0
  const log: string[] = []
  const subject = (name: string, ms: (run: number) => number) => {
    let runs = 0
    return {
      name,
      run: () => {
        log.push(name)
        now += ms(runs++)
      },
    }
  }
  return { clock: () => now, subject, log }
}

const timing = (name: string, samplesMs: number[], failed: string | null = null): Timing => ({
  name,
  firstMs: null,
  warmupMs: [],
  samplesMs,
  runsPerSample: 1,
  failed,
})

const options = { confidence: 0.95, method: 'percentile', resamples: 500, seed: 1 } as const

describe('measuring', () => {
  test('warm-up runs are kept apart from the samples, the first run from both', async () => {
    const { clock, subject } = fakeTime()
    const [t] = await measure(
      [subject('a', (run) => (run === 0 ? 900 : 10 + run))],
      { warmup: 2, repeats: 3, seed: 1 },
      clock,
    )
    expect(t).toEqual({
      name: 'a',
      firstMs: 900,
      warmupMs: [900, 11],
      samplesMs: [12, 13, 14],
      runsPerSample: 1,
      failed: null,
    })
  })

  test('every round runs each subject once, in an order that changes and that the seed fixes', async () => {
    const orderOf = async (seed: number): Promise<string[]> => {
      const { clock, subject, log } = fakeTime()
      await measure(
        ['a', 'b', 'c'].map((name) => subject(name, () => 1)),
        { warmup: 0, repeats: 20, seed },
        clock,
      )
      return Array.from({ length: 20 }, (_, i) => log.slice(3 * i, 3 * i + 3).join(''))
    }
    const orders = await orderOf(1)
    expect(new Set(orders.map((o) => [...o].sort().join('')))).toEqual(new Set(['abc']))
    expect(new Set(orders).size).toBeGreaterThan(3)
    expect(await orderOf(1)).toEqual(orders)
    expect(await orderOf(2)).not.toEqual(orders)
  })

  test('a run that is a promise is awaited', async () => {
    let now = 0
    const run = () => Promise.resolve().then(() => (now += 5))
    const [t] = await measure([{ name: 'a', run }], { warmup: 1, repeats: 1, seed: 1 }, () => now)
    expect(t!.samplesMs).toEqual([5])
  })

  test('a sample of a fast subject repeats it, and reports one run', async () => {
    const { clock, subject } = fakeTime()
    const [t] = await measure([subject('a', () => 3)], { warmup: 1, repeats: 2, seed: 1, leastMs: 10 }, clock)
    expect(t).toMatchObject({ runsPerSample: 4, samplesMs: [3, 3] })
  })

  test('a subject that fails is dropped with its message, and the others go on', async () => {
    const { clock, subject } = fakeTime()
    const bad = { name: 'bad', run: () => Promise.reject(new Error('no such device')) }
    const [a, b] = await measure(
      [bad, subject('b', () => 2)],
      { warmup: 1, repeats: 2, seed: 1, leastMs: 1 },
      clock,
    )
    expect(a).toMatchObject({ failed: 'no such device', samplesMs: [], firstMs: null })
    expect(b).toMatchObject({ failed: null, samplesMs: [2, 2] })
    expect(summarize(a!)).toMatchObject({ medianMs: null, p95Ms: null, samples: 0 })
  })

  test('an abort between runs is thrown', async () => {
    const { clock, subject } = fakeTime()
    const stop = new AbortController()
    const plan = {
      warmup: 0,
      repeats: 9,
      seed: 1,
      signal: stop.signal,
      onRound: (r: number) => r === 1 && stop.abort(),
    }
    await expect(measure([subject('a', () => 1)], plan, clock)).rejects.toThrow('abort')
  })

  test('a plan without samples is refused', async () => {
    await expect(measure([], { warmup: 0, repeats: 0, seed: 1 }, () => 0)).rejects.toThrow(InputError)
    await expect(measure([], { warmup: 0.5, repeats: 1, seed: 1 }, () => 0)).rejects.toThrow(InputError)
  })

  test('a summary has the median and the 95th percentile', () => {
    const samples = Array.from({ length: 101 }, (_, i) => i + 1)
    expect(summarize(timing('a', samples))).toMatchObject({
      medianMs: 51,
      p95Ms: 96,
      leastMs: 1,
      samples: 101,
    })
  })
})

describe('comparing times', () => {
  test('the interval of a ratio of medians holds the ratio and excludes 1 where rounds agree', () => {
    const base = [10, 11, 10.5, 12, 10.2, 11.1, 10.9, 11.4]
    for (const method of ['percentile', 'bca'] as const) {
      const r = ratioOfMedians(
        base.map((x) => 1.5 * x),
        base,
        { ...options, method, paired: true },
      )
      expect(r.ratio).toBeCloseTo(1.5, 12)
      expect(r.low).toBeCloseTo(1.5, 12)
      expect(r.high).toBeCloseTo(1.5, 12)
      expect(r.p).toBe(2 / 256)
    }
    const apart = ratioOfMedians(
      base.map((x) => 1.5 * x),
      base,
      { ...options, paired: false },
    )
    expect(apart.low).toBeLessThan(1.5)
    expect(apart.low).toBeGreaterThan(1)
    expect(apart.high).toBeGreaterThan(1.5)
  })

  test('drift that strikes both alike widens an unpaired interval, not a paired one', () => {
    const drift = Array.from({ length: 30 }, (_, i) => 10 * 1.05 ** i)
    const slower = drift.map((x, i) => x * (1.1 + 0.01 * (i % 3)))
    const paired = ratioOfMedians(slower, drift, { ...options, paired: true })
    const unpaired = ratioOfMedians(slower, drift, { ...options, paired: false })
    expect(paired.low).toBeGreaterThan(1)
    expect(unpaired.low).toBeLessThan(1)
    expect(unpaired.high - unpaired.low).toBeGreaterThan(3 * (paired.high - paired.low))
  })

  test('every pair is compared, slower over faster, and p is corrected for their number', () => {
    const base = Array.from({ length: 12 }, (_, i) => 10 + (i % 5))
    const noisy = base.map((x, i) => x + (i % 2 === 0 ? 1e-3 : -2e-3))
    const rows = compareTimings(
      [
        timing(
          'slow',
          base.map((x) => 2 * x),
        ),
        timing('fast', base),
        timing('noisy', noisy),
      ],
      {
        ...options,
        correction: 'holm',
      },
    )
    expect(rows.map((r) => [r.faster, r.slower])).toEqual([
      ['fast', 'slow'],
      ['noisy', 'slow'],
      ['noisy', 'fast'],
    ])
    expect(rows.map((r) => r.different)).toEqual([true, true, false])
    expect(rows[0]).toMatchObject({ ratio: 2, low: 2, high: 2, p: 2 / 4096, adjusted: 6 / 4096 })
    for (const r of rows) expect(r.adjusted).toBeGreaterThanOrEqual(r.p)
  })

  test('with a baseline only its pairs are compared; a failed subject is left out', () => {
    const timings = [timing('a', [1, 2]), timing('b', [3, 4]), timing('c', [5, 6]), timing('d', [], 'broken')]
    const rows = compareTimings(timings, { ...options, correction: 'bonferroni', baseline: 'b' })
    expect(rows.map((r) => [r.faster, r.slower])).toEqual([
      ['a', 'b'],
      ['b', 'c'],
    ])
    expect(compareTimings(timings, { ...options, correction: 'holm', baseline: 'd' })).toEqual([])
    expect(() => compareTimings(timings, { ...options, correction: 'holm', baseline: 'x' })).toThrow(
      /one of a, b, c, d, got x/,
    )
  })

  test('a time that the clock could not see is refused with the remedy', () => {
    expect(() => ratioOfMedians([1, 0], [1, 2], { ...options, paired: true })).toThrow(/got 0.*Set leastMs/)
  })

  test('pairs need equal numbers, and there must be some', () => {
    expect(() => ratioOfMedians([1], [1, 2], { ...options, paired: true })).toThrow(InputError)
    expect(() => ratioOfMedians([], [], { ...options, paired: true })).toThrow(InputError)
  })
})
