import { expect, test } from 'vitest'
import { type Extent, engines, type Schedule } from '../compile/schedule.ts'
import { rng } from '../core/rng.ts'
import { tuner } from './tune.ts'
import { features, learn } from './tune-model.ts'
import { crossover, mutate, randomSchedule, scheduleKey, spaceOf } from './tune-space.ts'

const engine = engines['wasm-safe']
const extent: Extent = {
  integer: false,
  rows: 784,
  depth: 1152,
  columns: 128,
  density: 0.5,
  winograd: { height: 28, width: 28, taps: 3 },
}

/** A machine whose fastest schedule is known: winograd2, 4 rows, 2 vectors, blocks of 16, nothing unrolled or touched ahead. Times are no one's. */
const speed = (s: Schedule): number =>
  (s.algorithm === 'winograd2' ? 1.5 : s.algorithm === 'winograd4' ? 1.2 : 1) *
  (s.sparse ? 0.5 : 1) *
  2 ** (-Math.abs(s.rows - 4) / 8) *
  2 ** (-Math.abs(s.columns / 4 - 2) / 4) *
  2 ** (-Math.abs(Math.log2(s.block) - 4) / 8) *
  (s.unroll === 1 ? 1 : 0.9) *
  (s.ahead ? 0.9 : 1)

function search(trials: number, seed: number): { best: Schedule; asked: string[] } {
  const t = tuner(extent, engine, seed)
  const asked: string[] = []
  while (asked.length < trials) {
    const batch = t.ask(8)
    if (batch.length === 0) break
    for (const schedule of batch) {
      asked.push(scheduleKey(schedule))
      t.tell({ schedule, status: 'measured', ratio: speed(schedule) / speed(t.start) })
    }
  }
  return { best: t.best(1)[0]!.schedule, asked }
}

test('the search finds the fastest schedule of a known machine within 200 trials', () => {
  const { best } = search(200, 1)
  expect(best).toEqual({
    algorithm: 'winograd2',
    sparse: false,
    rows: 4,
    columns: 8,
    block: 16,
    unroll: 1,
    lanes: 4,
    ahead: false,
  })
})

test('guided search gets further than as many random trials', () => {
  const space = spaceOf(extent, engine)
  let better = 0
  for (const seed of [1, 2, 3, 4, 5]) {
    const r = rng(100 + seed)
    const random = Math.max(...Array.from({ length: 64 }, () => speed(randomSchedule(space, r))))
    if (speed(search(64, seed).best) > random) better++
  }
  expect(better).toBeGreaterThanOrEqual(4)
})

test('the same seed and answers lead to the same questions, and none is asked twice', () => {
  const [a, b] = [search(80, 7), search(80, 7)]
  expect(a.asked).toEqual(b.asked)
  expect(new Set(a.asked).size).toBe(a.asked.length)
  expect(search(80, 8).asked).not.toEqual(a.asked)
})

test('a schedule that was told before is not asked again', () => {
  const first = tuner(extent, engine, 3).ask(8)
  const resumed = tuner(extent, engine, 3)
  for (const schedule of first) resumed.tell({ schedule, status: 'failed', ratio: 0 })
  const keys = new Set(first.map(scheduleKey))
  expect(resumed.ask(8).filter((s) => keys.has(scheduleKey(s)))).toEqual([])
})

test('a schedule that fails is never among the best', () => {
  const t = tuner(extent, engine, 3)
  for (const schedule of t.ask(20)) t.tell({ schedule, status: 'failed', ratio: 0 })
  expect(t.best(3)).toEqual([])
})

test('a small space is used up', () => {
  const tiny: Extent = { integer: false, rows: 1, depth: 4, columns: 4, winograd: undefined }
  const t = tuner(tiny, engine, 1)
  let count = 0
  for (let batch = t.ask(8); batch.length > 0; batch = t.ask(8)) count += batch.length
  expect(count).toBeLessThanOrEqual(12)
  expect(count).toBeGreaterThan(2)
})

test('every schedule that moves lead to is legal', () => {
  const space = spaceOf(extent, engine)
  const r = rng(5)
  let s = randomSchedule(space, r)
  for (let i = 0; i < 500; i++) {
    s = r.next() < 0.5 ? mutate(s, space, r) : crossover(s, randomSchedule(space, r), space, r)
    expect(s.rows * (s.columns / 4)).toBeLessThanOrEqual(space.most)
    expect(s.sparse ? [1, 2] : space.columns).toContain(s.columns)
    expect(s.sparse && s.algorithm.startsWith('winograd')).toBe(false)
  }
})

test('an extent without zeros or windows has no sparse and no Winograd form', () => {
  const dense = spaceOf({ ...extent, density: 1, winograd: undefined }, engine)
  expect(dense.algorithms.map(([a]) => a)).toEqual(['spatialPack', 'direct', 'im2col'])
})

test('the learned model ranks schedules that it has not seen', () => {
  const space = spaceOf(extent, engine)
  const r = rng(11)
  const sample = (n: number) => Array.from({ length: n }, () => randomSchedule(space, r))
  const known = sample(150)
  const model = learn(
    known.map((s) => features(s, extent, engine)),
    known.map((s) => Math.log2(speed(s))),
  )
  const fresh = sample(200)
  let right = 0
  let pairs = 0
  for (let i = 1; i < fresh.length; i++) {
    const [a, b] = [fresh[i - 1]!, fresh[i]!]
    if (speed(a) === speed(b)) continue
    pairs++
    const predicted = model(features(a, extent, engine)) - model(features(b, extent, engine))
    if (predicted > 0 === speed(a) > speed(b)) right++
  }
  expect(right / pairs).toBeGreaterThan(0.8)
})

test('nothing to learn from predicts the mean', () => {
  expect(learn([[1]], [3])([7])).toBe(3)
  expect(learn([], [])([7])).toBe(0)
})
