import { expect, test } from 'vitest'
import { table } from './table.ts'

test('a table aligns words to the left and numbers to the right, styles aside', () => {
  expect(
    table(
      ['op', 'n'],
      [
        ['conv2d', '7'],
        ['\x1b[1mrelu\x1b[22m', '12'],
      ],
    ),
  ).toBe('op       n\nconv2d   7\n\x1b[1mrelu\x1b[22m    12')
})
