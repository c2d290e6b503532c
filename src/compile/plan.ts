// The memory plan: where every buffer of a program lies in one block. Constants, inputs and outputs keep their place; temporaries
// that are never alive at the same step share theirs.

import { bytesOf } from '../core/dtype.ts'
import type { Program } from './loops.ts'

export type Plan = {
  /** Byte offset of every buffer. */
  readonly offsets: readonly number[]
  /** Bytes in all. */
  readonly bytes: number
  /** Of these, temporaries; and what they would take without sharing. */
  readonly temporaries: number
  readonly unshared: number
}

/** Cache lines are 64 bytes; a line beyond the end keeps vector loads of tails inside. */
export const align = (n: number): number => Math.ceil(n / 64) * 64

/** Plans the memory from byte `start` on. A scratch buffer has a part for every thread, `align`ed. */
export function planMemory(program: Program, start = 0, threads = 1): Plan {
  const offsets = new Array<number>(program.buffers.length).fill(0)
  const sizes = program.buffers.map(
    (b) => align(b.length * bytesOf(b.dtype)) * (b.role === 'scratch' ? threads : 1),
  )
  let end = align(start)
  program.buffers.forEach((b, i) => {
    if (b.role === 'temp' || b.role === 'scratch') return
    offsets[i] = end
    end += sizes[i]!
  })
  const first = new Array<number>(offsets.length).fill(Infinity)
  const last = new Array<number>(offsets.length).fill(-1)
  program.steps.forEach((s, i) => {
    for (const b of s.buffers) {
      first[b] = Math.min(first[b]!, i)
      last[b] = i
    }
  })
  // Largest first, each at the lowest place that is free over its whole life.
  const temps = program.buffers
    .map((_, i) => i)
    .filter((i) => /temp|scratch/.test(program.buffers[i]!.role) && last[i]! >= 0)
    .sort((a, b) => sizes[b]! - sizes[a]! || a - b)
  const placed: number[] = []
  let top = end
  for (const i of temps) {
    const conflicts = placed
      .filter((j) => first[j]! <= last[i]! && first[i]! <= last[j]!)
      .sort((a, b) => offsets[a]! - offsets[b]!)
    let at = end
    for (const j of conflicts) {
      if (at + sizes[i]! <= offsets[j]!) break
      at = Math.max(at, offsets[j]! + sizes[j]!)
    }
    offsets[i] = at
    placed.push(i)
    top = Math.max(top, at + sizes[i]!)
  }
  return {
    offsets,
    bytes: top,
    temporaries: top - end,
    unshared: temps.reduce((n, i) => n + sizes[i]!, 0),
  }
}
