// Search for a kernel's schedule, asked and told: it proposes batches, somebody measures them. Evolutionary: the fastest so far are
// crossed and mutated, a learned model (tune-model.ts) chooses which of the children are worth measuring, and some are random, because
// the model knows only what was measured. Pure and seeded: the same answers lead to the same questions.

import { defaultSchedule, type Engine, type Extent, type Schedule } from '../compile/schedule.ts'
import { type Rng, rng } from '../core/rng.ts'
import { features, learn } from './tune-model.ts'
import { crossover, firstSchedules, mutate, randomSchedule, scheduleKey, spaceOf } from './tune-space.ts'

/** What came of measuring one schedule. */
export type Trial = {
  readonly schedule: Schedule
  /**
   * `measured`; `same`: its code equals another's, whose ratio it has; `wrong`: its output isn't the default's; `failed`: it could not
   * be compiled, crashed or hung.
   */
  readonly status: 'measured' | 'same' | 'wrong' | 'failed'
  /** Time of the default over its own, measured in turn; 0 where it has none. */
  readonly ratio: number
}

export type Tuner = {
  readonly start: Schedule
  /** Up to n schedules that were never proposed or told; fewer when the space is used up. */
  ask(n: number): Schedule[]
  tell(trial: Trial): void
  /** The fastest that were measured and are faster than the default, best first. */
  best(n: number): Trial[]
}

/** Share of a batch that is random. */
const curious = 0.2
/** Measurements before the model is asked. */
const leastKnown = 12
const [parents, generations, children] = [16, 3, 64]

export function tuner(x: Extent, engine: Engine, seed: number): Tuner {
  const space = spaceOf(x, engine)
  const start = defaultSchedule(x, engine)
  const r: Rng = rng(seed)
  const seen = new Set<string>([scheduleKey(start)])
  const trials: Trial[] = [{ schedule: start, status: 'measured', ratio: 1 }]
  const ranked = (): Trial[] => trials.filter((t) => t.ratio > 0).sort((a, b) => b.ratio - a.ratio)

  /** Children of the fastest, by what the model expects of them. */
  function evolved(): Schedule[] {
    const model = learn(
      trials.map((t) => features(t.schedule, x, engine)),
      // A schedule that fails or is wrong is as good as one that takes eight times as long.
      trials.map((t) => Math.log2(t.ratio > 0 ? Math.max(t.ratio, 1 / 8) : 1 / 8)),
    )
    const score = new Map<string, readonly [number, Schedule]>()
    const add = (s: Schedule): void => {
      const key = scheduleKey(s)
      if (!score.has(key)) score.set(key, [model(features(s, x, engine)), s])
    }
    const fittest = (n: number): Schedule[] =>
      [...score.values()]
        .sort((a, b) => b[0] - a[0])
        .slice(0, n)
        .map(([, s]) => s)
    for (const t of ranked().slice(0, parents)) add(t.schedule)
    for (let i = 0; i < parents; i++) add(randomSchedule(space, r))
    for (let g = 0; g < generations; g++) {
      const pool = fittest(2 * parents)
      for (let i = 0; i < children; i++) {
        const [a, b] = [pool[r.below(pool.length)]!, pool[r.below(pool.length)]!]
        add(r.next() < 0.4 ? crossover(a, b, space, r) : mutate(a, space, r))
      }
    }
    return fittest(score.size)
  }

  return {
    start,
    ask(n) {
      const batch: Schedule[] = []
      const take = (s: Schedule): void => {
        const key = scheduleKey(s)
        if (batch.length >= n || seen.has(key)) return
        seen.add(key)
        batch.push(s)
      }
      for (const s of firstSchedules(start, space, x)) take(s)
      if (trials.length >= leastKnown) {
        const random = Math.max(1, Math.round(curious * n))
        for (const s of evolved()) if (batch.length < n - random) take(s)
      } else if (batch.length < n) for (let i = 0; i < n; i++) take(mutate(start, space, r))
      // Most random draws are new until the space is nearly used up.
      for (let i = 0; i < 50 * n && batch.length < n; i++) take(randomSchedule(space, r))
      return batch
    },
    tell(trial) {
      seen.add(scheduleKey(trial.schedule))
      trials.push(trial)
    },
    best: (n) =>
      ranked()
        .filter((t) => t.status === 'measured' && t.ratio > 1 && t.schedule !== start)
        .slice(0, n),
  }
}
