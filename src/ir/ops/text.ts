// Operators on strings, as far as ONNX's conformance data has them.

import { store } from '../../core/dtype.ts'
import { InputError } from '../../core/errors.ts'
import { at, type Tensor, tensorOf, zeros } from '../../core/tensor.ts'
import { booleanOf, broadcastShapes, inputType, numberOf, numbersOf, type Op, stringOf } from '../op.ts'
import { type Attributes, tensorType } from '../types.ts'
import { outputType, strided, tensorAt } from './elements.ts'
import { broadcastStrides } from './elementwise.ts'

const texts = (t: Tensor): string[] => {
  if (t.dtype !== 'string') throw new InputError(`expected strings, got ${t.dtype}`)
  return t.data as string[]
}

/** The n-grams of a vocabulary: for each its length, its items and its output column. */
function vocabulary(a: Attributes): { items: (string | number)[]; column: number; weight: number }[] {
  const pool = (a.poolStrings ?? a.poolIntegers) as readonly (string | number)[] | undefined
  if (!pool) throw new InputError('tfIdfVectorizer: expected a pool of strings or integers')
  const counts = numbersOf(a, 'ngramCounts')
  const columns = numbersOf(a, 'ngramIndexes')
  const weights = a.weights as readonly number[] | undefined
  const grams: { items: (string | number)[]; column: number; weight: number }[] = []
  counts.forEach((start, n) => {
    const end = counts[n + 1] ?? pool.length
    for (let i = start; i < end; i += n + 1) {
      const k = grams.length
      grams.push({ items: pool.slice(i, i + n + 1), column: columns[k]!, weight: weights?.[k] ?? 1 })
    }
  })
  return grams
}

export const text = {
  stringNormalizer: {
    doc: 'Strings [N] or [1, N] in another case, without stop words; one empty string where none is left',
    inputs: [1, 1],
    attributes: {
      change: { kind: 'string', oneOf: ['none', 'lower', 'upper'], default: 'none' },
      caseSensitive: { kind: 'boolean', default: false },
      stopwords: { kind: 'strings', default: [] },
    },
    examples: () => [
      {
        inputs: [tensorOf('string', [2], ['Mon', 'Tue'])],
        attributes: { change: 'upper', stopwords: ['tue'] },
        outputs: [tensorOf('string', [1], ['MON'])],
      },
    ],
    infer(x) {
      const rank = inputType(x, 0).shape?.length
      return [tensorType('string', rank === 2 ? [1, null] : rank === 1 ? [null] : null)]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const sensitive = booleanOf(x.attributes, 'caseSensitive')
      const fold = (s: string): string => (sensitive ? s : s.toLowerCase())
      const stop = new Set((x.attributes.stopwords as readonly string[]).map(fold))
      const change = stringOf(x.attributes, 'change')
      const kept = texts(t)
        .filter((s) => !stop.has(fold(s)))
        .map((s) => (change === 'lower' ? s.toLowerCase() : change === 'upper' ? s.toUpperCase() : s))
      const out = kept.length ? kept : ['']
      return [tensorOf('string', t.shape.length === 2 ? [1, out.length] : [out.length], out)]
    },
  },
  stringConcat: {
    doc: 'Strings joined pairwise, with broadcasting',
    inputs: [2, 2],
    examples: () => [
      {
        inputs: [tensorOf('string', [2], ['a', 'b']), tensorOf('string', [], ['c'])],
        outputs: [tensorOf('string', [2], ['ac', 'bc'])],
      },
    ],
    infer: (x) => [tensorType('string', broadcastShapes(inputType(x, 0).shape, inputType(x, 1).shape))],
    evaluate(inputs, x) {
      const { shape } = outputType(x)
      const [a, b] = [0, 1].map((i) => {
        const t = tensorAt(inputs, i)
        return texts(strided(t, shape, broadcastStrides(t.shape, shape)))
      })
      return [
        tensorOf(
          'string',
          shape,
          a!.map((s, i) => s + b![i]!),
        ),
      ]
    },
  },
  stringSplit: {
    doc: 'Strings cut at a delimiter (at white space where it is empty), padded with empty strings; and the count of each',
    inputs: [1, 1],
    outputs: [2, 2],
    attributes: { delimiter: { kind: 'string', default: '' }, most: { kind: 'number', default: null } },
    examples: () => [
      {
        inputs: [tensorOf('string', [2], ['a b', 'c'])],
        outputs: [tensorOf('string', [2, 2], ['a', 'b', 'c', '']), tensorOf('int64', [2], [2, 1])],
      },
    ],
    infer(x) {
      const shape = inputType(x, 0).shape
      return [tensorType('string', shape && [...shape, null]), tensorType('int64', shape)]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const delimiter = stringOf(x.attributes, 'delimiter')
      const most = (x.attributes.most as number | undefined) ?? Infinity
      const parts = texts(t).map((s) => {
        const all = delimiter === '' ? s.split(/\s+/).filter(Boolean) : s.split(delimiter)
        return all.length > most + 1 ? [...all.slice(0, most), all.slice(most).join(delimiter || ' ')] : all
      })
      const width = parts.reduce((n, p) => Math.max(n, p.length), 0)
      return [
        tensorOf(
          'string',
          [...t.shape, width],
          parts.flatMap((p) => [...p, ...new Array<string>(width - p.length).fill('')]),
        ),
        tensorOf(
          'int64',
          t.shape,
          parts.map((p) => p.length),
        ),
      ]
    },
  },
  tfIdfVectorizer: {
    doc: 'Counts of n-grams (TF), their presence (IDF) or both (TFIDF) times weights, in columns, for every row',
    inputs: [1, 1],
    attributes: {
      mode: { kind: 'string', oneOf: ['TF', 'IDF', 'TFIDF'] },
      minLength: { kind: 'number' },
      maxLength: { kind: 'number' },
      maxSkip: { kind: 'number' },
      ngramCounts: { kind: 'numbers' },
      ngramIndexes: { kind: 'numbers' },
      poolStrings: { kind: 'strings', default: null },
      poolIntegers: { kind: 'numbers', default: null },
      weights: { kind: 'numbers', default: null },
    },
    examples: () => [
      {
        inputs: [tensorOf('int32', [4], [2, 3, 2, 3])],
        attributes: {
          mode: 'TF',
          minLength: 1,
          maxLength: 2,
          maxSkip: 0,
          ngramCounts: [0, 1],
          ngramIndexes: [0, 1],
          poolIntegers: [3, 2, 3],
        },
        outputs: [tensorOf('float32', [2], [2, 2])],
      },
    ],
    infer(x) {
      const shape = inputType(x, 0).shape
      const columns = numbersOf(x.attributes, 'ngramIndexes').reduce((m, v) => Math.max(m, v + 1), 0)
      return [tensorType('float32', shape && (shape.length === 2 ? [shape[0]!, columns] : [columns]))]
    },
    evaluate(inputs, x) {
      const t = tensorAt(inputs, 0)
      const { shape } = outputType(x)
      const columns = shape.at(-1)!
      const rows = t.shape.length === 2 ? t.shape[0]! : 1
      const length = t.data.length / Math.max(rows, 1)
      const [low, high] = [numberOf(x.attributes, 'minLength'), numberOf(x.attributes, 'maxLength')]
      const skip = numberOf(x.attributes, 'maxSkip')
      const mode = stringOf(x.attributes, 'mode')
      const item = (i: number): string | number => (t.dtype === 'string' ? (t.data[i] as string) : at(t, i))
      const grams = vocabulary(x.attributes).filter((g) => g.items.length >= low && g.items.length <= high)
      const out = zeros('float32', shape)
      for (let r = 0; r < rows; r++) {
        for (const g of grams) {
          let count = 0
          // A single item is counted once: skipping has no meaning for it.
          for (let s = 0; s <= (g.items.length === 1 ? 0 : skip); s++) {
            for (let i = 0; i + (g.items.length - 1) * (s + 1) < length; i++)
              if (g.items.every((v, k) => item(r * length + i + k * (s + 1)) === v)) count++
          }
          const value = mode === 'TF' ? count : mode === 'IDF' ? (count ? g.weight : 0) : count * g.weight
          store('float32', out.data, r * columns + g.column, value)
        }
      }
      return [out]
    },
  },
} satisfies Record<string, Op>
