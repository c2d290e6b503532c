import { describe, expect, test } from 'vitest'
import { mutatedFile } from './child.ts'
import { fuzz } from './run.ts'
import { subjects } from './subjects.ts'

// The short form of bench/fuzz.ts.
describe('a reader of mutated files reads or refuses, soon and in bounded memory', () => {
  for (const subject of subjects) {
    test(subject.format, async (context) => {
      if (subject.seeds().length === 0) context.skip('no real files here: STRATA_ASSETS is unset')
      const { findings, read, refused } = await fuzz(subject.format, { count: 250, seed: 7 })
      expect(findings).toEqual([])
      expect(read + refused).toBe(250)
    })
  }

  test('the same number gives the same file', () => {
    const subject = subjects.find((s) => s.format === 'npy')!
    const [a, b] = [1, 2].map(() => mutatedFile(subject, subject.seeds(), 7, 42).bytes)
    expect(a).toEqual(b)
  })
})
