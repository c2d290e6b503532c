import { expect, test } from 'vitest'
import { expectClose, goldenJson, goldenTest } from '../../test/golden.ts'
import { InputError } from '../core/errors.ts'
import {
  averagePrecision,
  brierScore,
  classify,
  cohenKappa,
  confusion,
  logLoss,
  rocAuc,
} from './classification.ts'

test('a confusion matrix counts truth down and prediction across', () => {
  expect(confusion([0, 0, 1, 2], [0, 1, 1, 1], 3)).toEqual([
    [1, 1, 0],
    [0, 1, 0],
    [0, 1, 0],
  ])
  expect(() => confusion([3], [0], 3)).toThrow(/labels from 0 to 2, got 3 and 0/)
  expect(() => confusion([0], [-1], 3)).toThrow(InputError)
  expect(() => confusion([0], [], 3)).toThrow(InputError)
})

test('a class that occurs nowhere counts nowhere', () => {
  const c = classify(confusion([0, 0, 1], [0, 1, 1], 9))!
  expect(c.classes.map((x) => x.class)).toEqual([0, 1])
  expect(c).toMatchObject({ total: 3, accuracy: 2 / 3, balancedAccuracy: 0.75, f1Macro: 2 / 3 })
})

test('nothing to judge is null, one class alone has no kappa', () => {
  expect(classify([[0]])).toBeNull()
  expect(cohenKappa([[5]])).toBeNull()
  expect(rocAuc([1, 2], [true, true])).toBeNull()
  expect(averagePrecision([1, 2], [false, false])).toBeNull()
})

test('scores in the right order are perfect, equal ones know nothing', () => {
  expect(rocAuc([0.1, 0.9], [false, true])).toBe(1)
  expect(rocAuc([0.5, 0.5], [false, true])).toBe(0.5)
  expect(averagePrecision([0.5, 0.5, 0.5, 0.5], [false, true, false, false])).toBe(0.25)
  expect(logLoss([1, 0], [true, true])).toBe(Infinity)
})

goldenTest('equal scikit-learn', () => {
  for (const c of goldenJson('statistics/agreement_classification.json').cases) {
    const matrix = confusion(c.a, c.b, Math.max(...c.a, ...c.b) + 1)
    expect(matrix).toEqual(c.confusion)
    expectClose(cohenKappa(matrix)!, c.kappa, 1e-10)
    expectClose(cohenKappa(matrix, 'linear')!, c.kappa_linear, 1e-10)
    expectClose(cohenKappa(matrix, 'quadratic')!, c.kappa_quadratic, 1e-10)
    const got = classify(matrix)!
    expectClose(got.mcc, c.mcc, 1e-10)
    expectClose(got.accuracy, c.f1_micro, 1e-10)
    expectClose(got.f1Macro, c.f1_macro, 1e-10)
    expectClose(got.f1Weighted, c.f1_weighted, 1e-10)
    expectClose(got.balancedAccuracy, c.balanced_accuracy, 1e-10)
    const positive = c.y.map(Boolean)
    expectClose(rocAuc(c.scores, positive)!, c.roc_auc, 1e-10)
    expectClose(averagePrecision(c.scores, positive)!, c.average_precision, 1e-10)
    const clipped = c.scores.map((s: number) => Math.min(0.999, Math.max(0.001, s)))
    expectClose(brierScore(c.scores, positive), c.brier, 1e-10)
    expectClose(logLoss(clipped, positive), c.log_loss, 1e-10)
  }
})
