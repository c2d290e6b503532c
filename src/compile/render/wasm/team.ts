// Several threads on one image. Every thread walks the same list of steps and takes chunks of each step's range; a step may start
// when all chunks of the one before are done, by whomever. So a thread that the system has put aside holds nobody up unless it holds
// a chunk. Waiting spins for a bounded time, then sleeps. Runs in Node and browsers; whoever makes the threads is elsewhere.
//
// Two words a step, `next` and `done`, each epoch · 2^16 + count: a straggler of the run before sees another epoch and leaves.

import type { Header, ImageStep } from './image.ts'
import type { Instance } from './run.ts'

/** Words of the control block at the start of memory. */
const epochWord = 0
const stopped = 1
const first = 16
export const next = (step: number): number => first + 2 * step
const done = (step: number): number => first + 2 * step + 1
export const controlBytes = (steps: number): number => 4 * (first + 2 * steps)

/** Loads between looks at the clock; with a few nanoseconds each, some tens of microseconds. */
const spins = 5000
/** Milliseconds after which a thread that doesn't come is taken for dead. */
const patience = 60_000

export const controlWords = (memory: WebAssembly.Memory, h: Header): Int32Array =>
  new Int32Array(memory.buffer, 0, controlBytes(h.steps.length) / 4)

/** Waits until word `i` satisfies `done`: spinning, then asleep. A browser's main thread may not sleep and goes on spinning. */
function waitFor(words: Int32Array, i: number, done: (v: number) => boolean, limit: number): boolean {
  for (let n = 0; n < spins; n++) if (done(Atomics.load(words, i))) return true
  const start = Date.now()
  for (;;) {
    const v = Atomics.load(words, i)
    if (done(v)) return true
    if (Date.now() - start > limit) return false
    try {
      Atomics.wait(words, i, v, 50)
    } catch {
      // Not allowed here.
    }
  }
}

/** Chunks of a step: some for every thread, so that a slow one gets fewer. */
function chunksOf(s: ImageStep, threads: number): { size: number; count: number } {
  const n = s.range[1] - s.range[0]
  const size = n <= 1 ? 1 : Math.max(1, Math.ceil(n / (threads * 4)))
  return { size, count: Math.max(1, Math.ceil(n / size)) }
}

/** One thread's part of a run. */
function walk(instance: Instance, words: Int32Array, epoch: number, limit = patience): void {
  const { threads, steps } = instance.header
  const mark = epoch << 16
  for (const [i, s] of steps.entries()) {
    const { size, count } = chunksOf(s, threads)
    for (;;) {
      const w = Atomics.load(words, next(i))
      if (w >> 16 !== epoch) return
      const chunk = w & 0xffff
      if (chunk >= count) break
      if (Atomics.compareExchange(words, next(i), w, w + 1) !== w) continue
      const from = s.range[0] + chunk * size
      instance.call(s, from, Math.min(from + size, s.range[1]))
      if (Atomics.add(words, done(i), 1) + 1 === mark + count) Atomics.notify(words, done(i))
    }
    const finished = (v: number): boolean => v === mark + count || v >> 16 !== epoch
    if (!waitFor(words, done(i), finished, limit))
      throw new Error('wasm: a thread stopped in the middle of a run. Load the model again.')
  }
}

/** The whole team runs once; called by thread 0. Throws where a thread holds work for `limit` milliseconds: it has died. */
export function runTeam(instance: Instance, words: Int32Array, limit = patience): void {
  const epoch = (Atomics.load(words, epochWord) + 1) & 0x3fff
  for (let i = 0; i < instance.header.steps.length; i++) {
    // `done` first: a straggler that still sees the old `next` finds no chunk there.
    Atomics.store(words, done(i), epoch << 16)
    Atomics.store(words, next(i), epoch << 16)
  }
  Atomics.store(words, epochWord, epoch)
  Atomics.notify(words, epochWord)
  walk(instance, words, epoch, limit)
}

/** The life of threads 1, 2, …: returns when the team is dismissed. */
export function serveTeam(instance: Instance, words: Int32Array): void {
  let seen = 0
  for (;;) {
    const last = seen
    waitFor(words, epochWord, (v) => v !== last || Atomics.load(words, stopped) === 1, Infinity)
    if (Atomics.load(words, stopped)) return
    seen = Atomics.load(words, epochWord)
    walk(instance, words, seen)
  }
}

export function dismissTeam(words: Int32Array): void {
  Atomics.store(words, stopped, 1)
  Atomics.notify(words, epochWord)
}
