// The operator table: every operator of the graph, by family. Other layers' tables are typed by its names.

import type { Op } from '../op.ts'
import { control } from './control.ts'
import { elementwise } from './elementwise.ts'
import { generate } from './generate.ts'
import { indexing } from './indexing.ts'
import { linear } from './linear.ts'
import { loss } from './loss.ts'
import { movement } from './movement.ts'
import { normalize } from './normalize.ts'
import { pooling } from './pooling.ts'
import { products } from './products.ts'
import { qlinear } from './qlinear.ts'
import { quantized } from './quantized.ts'
import { random } from './random.ts'
import { recurrent } from './recurrent.ts'
import { reduce } from './reduce.ts'
import { resize } from './resize.ts'
import { sequence } from './sequence.ts'
import { shape } from './shape.ts'
import { signal } from './signal.ts'
import { slicing } from './slicing.ts'
import { text } from './text.ts'
import { tflite } from './tflite.ts'
import { vision } from './vision.ts'

export const ops = {
  ...elementwise,
  ...linear,
  ...shape,
  ...movement,
  ...slicing,
  ...indexing,
  ...generate,
  ...reduce,
  ...normalize,
  ...pooling,
  ...products,
  ...recurrent,
  ...resize,
  ...quantized,
  ...qlinear,
  ...control,
  ...sequence,
  ...loss,
  ...text,
  ...random,
  ...signal,
  ...vision,
  ...tflite,
} satisfies Record<string, Op>

export type OpName = keyof typeof ops

/** Looks an operator up by name; undefined where there is none. */
export const opNamed = (name: string): Op | undefined =>
  Object.hasOwn(ops, name) ? (ops as Record<string, Op>)[name] : undefined
