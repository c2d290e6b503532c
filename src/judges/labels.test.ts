import { describe, expect, test } from 'vitest'
import { InputError } from '../core/errors.ts'
import { tensorOf } from '../core/tensor.ts'
import { accuracy, compareAccuracy, compareLabels, labelsOf, labelTally, rightAnswers } from './labels.ts'

const scores = (...rows: number[][]) => tensorOf('float32', [rows.length, rows[0]!.length], rows.flat())

describe('labels', () => {
  test('the share of inputs whose best class differs, and which', () => {
    const v = compareLabels(scores([1, 2, 3], [9, 1, 0], [0, 5, 4]), scores([1, 2, 3], [1, 9, 0], [0, 4, 5]))
    expect(v).toMatchObject({ total: 3, disagree: 2, share: 2 / 3, tiedDisagree: 0 })
    expect(v.disagreements).toEqual([
      { input: 1, got: 0, expected: 1, margin: 8 },
      { input: 2, got: 1, expected: 2, margin: 1 },
    ])
  })

  test('a tie goes to the lower class and is counted, and so is a disagreement that it explains', () => {
    const v = compareLabels(scores([5, 5, 0]), scores([4, 5, 0]))
    expect(v).toMatchObject({ disagree: 1, tiedDisagree: 1, ties: { got: 1, expected: 0 } })
    expect(compareLabels(scores([5, 5, 0]), scores([5, 4, 0]))).toMatchObject({
      disagree: 0,
      tiedDisagree: 0,
    })
  })

  test('a row with NaN has no class: it agrees only with another such row', () => {
    const v = compareLabels(scores([NaN, 1], [NaN, 1]), scores([0, 1], [1, NaN]))
    expect(v).toMatchObject({ disagree: 1, noLabel: { got: 2, expected: 1 } })
    expect(v.disagreements).toEqual([{ input: 0, got: null, expected: 1, margin: null }])
    expect(labelsOf(scores([NaN, 1], [0, 1]))).toEqual([null, 1])
  })

  test('the k best are compared as a set, in order and by rank', () => {
    const v = compareLabels(
      scores([9, 8, 7, 0, 0], [9, 8, 7, 0, 0]),
      scores([9, 8, 7, 0, 0], [8, 9, 0, 7, 0]),
      { k: 3 },
    )
    expect(v.topK).toMatchObject({ k: 3, sameSet: 1, sameOrder: 1 })
    expect(v.topK.overlap.least).toBe(2 / 3)
    expect(v.topK.overlap.mean).toBeCloseTo(5 / 6, 12)
    expect(v.topK.kendall.least).toBeCloseTo(2 / 6, 12)
    expect(v.topK.rankBiasedOverlap.p).toBe(0.8)
    expect(v.topK.rankBiasedOverlap.mean).toBeLessThan(1)
  })

  test('inputs are numbered through all that is added', () => {
    const tally = labelTally({ k: 1 })
    tally.add(scores([1, 2]), scores([1, 2]))
    tally.add(scores([1, 2]), scores([2, 1]))
    expect(tally.verdict().disagreements).toMatchObject([{ input: 1 }])
    // The first pair has one class on both sides: no order, so only the second counts.
    expect(tally.verdict().topK.kendall).toEqual({ mean: -1, least: -1 })
  })

  test('without inputs there is nothing to say', () => {
    expect(labelTally().verdict()).toMatchObject({ total: 0, disagree: 0, share: null })
    expect(compareLabels(tensorOf('float32', [0, 3], []), tensorOf('float32', [0, 3], [])).total).toBe(0)
  })

  test('axes of size 1 behind the classes are no classes, but one score an input is', () => {
    expect(labelsOf(tensorOf('float32', [2, 3, 1, 1], [1, 2, 3, 3, 2, 1]))).toEqual([2, 0])
    expect(labelsOf(tensorOf('float32', [2, 1], [5, 6]))).toEqual([0, 0])
  })

  test('scores of unequal shape are refused', () => {
    expect(() => compareLabels(scores([1, 2]), scores([1, 2, 3]))).toThrow(InputError)
    expect(() => compareLabels(tensorOf('float32', [], [1]), tensorOf('float32', [], [1]))).toThrow(
      InputError,
    )
  })

  test('survives JSON unchanged', () => {
    const v = compareLabels(scores([NaN, 1], [1, 0]), scores([0, 1], [0, 1]))
    expect(JSON.parse(JSON.stringify(v))).toEqual(v)
  })
})

describe('accuracy', () => {
  test('comes with the interval that the number of inputs leaves', () => {
    const a = accuracy([...Array(37).fill(true), ...Array(27).fill(false)], 0.95)
    expect(a).toMatchObject({ total: 64, correct: 37, value: 0.578125, method: 'wilson', confidence: 0.95 })
    expect(a.low).toBeCloseTo(0.45610031540082896, 12)
    expect(a.high).toBeCloseTo(0.6913021752565451, 12)
    const wide = accuracy(Array(10).fill(true), 0.95, 'clopper-pearson')
    expect(wide.low).toBeCloseTo(0.691503, 6)
    expect(wide.high).toBe(1)
    expect(accuracy([], 0.95)).toMatchObject({ value: null, low: 0, high: 1 })
  })

  test('the right class may be anywhere among the k best', () => {
    const s = scores([1, 2, 3], [3, 2, 1])
    expect(rightAnswers(s, [1, 0])).toEqual([false, true])
    expect(rightAnswers(s, [1, 0], 2)).toEqual([true, true])
    expect(() => rightAnswers(s, [1])).toThrow(/a label for each row of \[2,3\], got 1/)
    expect(() => rightAnswers(s, [1, 1, 1])).toThrow(InputError)
  })

  test('two classifiers are told apart by the inputs that only one gets right', () => {
    const first = [...Array(14).fill(true), ...Array(3).fill(false), true]
    const second = [...Array(14).fill(false), ...Array(3).fill(true), true]
    const c = compareAccuracy(first, second, 0.95)
    expect(c).toMatchObject({ onlyGot: 14, onlyExpected: 3, difference: 11 / 18 })
    expect(c.mcnemar.exact).toBeCloseTo(0.012725830078125, 12)
    expect(c.mcnemar.chiSquared).toBeCloseTo(0.015293371030198944, 12)
    expect(compareAccuracy(first, first, 0.95).mcnemar).toEqual({ exact: 1, chiSquared: 1 })
    expect(() => compareAccuracy(first, [true], 0.95)).toThrow(InputError)
  })
})
