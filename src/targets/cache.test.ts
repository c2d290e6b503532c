import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { ownCache } from '../../test/own-cache.ts'
import { cacheFolder, prune, recall, remember, touch, writeWhole } from './cache.ts'

const room = ownCache()
const folder = join(room, 'strata', 'c')
beforeEach(() => rmSync(join(room, 'strata'), { recursive: true, force: true }))

const day = 24 * 3600_000
/** A file of a kilobyte that was used some days ago. */
function file(name: string, daysAgo: number): string {
  const path = join(folder, name)
  writeWhole(path, 0o600, new Uint8Array(1000))
  const then = new Date(Date.now() - daysAgo * day)
  utimesSync(path, then, then)
  return path
}
const left = (): string[] => readdirSync(folder).sort()

test('what was longest unused goes when there is too much', () => {
  for (const [name, days] of [
    ['a', 5],
    ['b', 3],
    ['c', 4],
    ['d', 1],
  ] as const)
    file(name, days)
  prune(folder, '', { bytes: 2500, ageMs: 10 * day })
  expect(left()).toEqual(['b', 'd'])
})

test('what is too old goes however little there is, but not what was just made', () => {
  file('old', 11)
  const kept = file('kept', 12)
  file('young', 2)
  prune(folder, kept, { bytes: 1e9, ageMs: 10 * day })
  expect(left()).toEqual(['kept', 'young'])
})

test('parts that a dead process left go after a day, those of a living one stay', () => {
  file('x.17.0.part', 2)
  file('y.18.0.part', 0)
  prune(folder, '', { bytes: 0, ageMs: 10 * day })
  expect(left()).toEqual(['y.18.0.part'])
})

test('a file that is used is young again', () => {
  const path = file('used', 20)
  touch(path)
  expect(Date.now() - statSync(path).mtimeMs).toBeLessThan(day)
  prune(folder, '', { bytes: 1e9, ageMs: 10 * day })
  expect(left()).toEqual(['used'])
})

test('a folder that is not there, or that others clear at the same time, is no error', () => {
  prune(join(room, 'absent'), '')
  for (let i = 0; i < 20; i++) file(`f${i}`, 30)
  prune(folder, '', { bytes: 0, ageMs: 0 })
  expect(left()).toEqual([])
})

test('an answer is remembered until what it is about changes; a damaged one is asked again', () => {
  expect(recall('compiler', ['gcc', '1'])).toBeUndefined()
  remember('compiler', ['gcc', '1'], 'gcc 12')
  expect(recall('compiler', ['gcc', '1'])).toBe('gcc 12')
  expect(recall('compiler', ['gcc', '2'])).toBeUndefined()
  const [name] = readdirSync(cacheFolder('facts'))
  writeFileSync(join(cacheFolder('facts'), name!), '{"about":["gcc"')
  expect(recall('compiler', ['gcc', '1'])).toBeUndefined()
})

test('a file that can not be written whole is not there at all', () => {
  const path = join(room, 'file')
  writeFileSync(path, '')
  expect(() => writeWhole(join(path, 'below'), 0o600, new Uint8Array(1))).toThrow('EEXIST')
  expect(existsSync(join(path, 'below'))).toBe(false)
})
