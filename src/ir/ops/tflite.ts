// The integer arithmetic of TensorFlow Lite, one operator for each of its file format's, bit for bit as its reference kernels
// compute. Scales and zero points are attributes: the runtime fixes its multipliers from them before it runs.

import { tfliteBinary } from './tflite-binary.ts'
import { tfliteConvert } from './tflite-convert.ts'
import { tfliteHybrid } from './tflite-hybrid.ts'
import { tfliteLinear } from './tflite-linear.ts'
import { tfliteLstm } from './tflite-lstm.ts'
import { tfliteUnary } from './tflite-unary.ts'
import { tfliteWindow } from './tflite-window.ts'

export const tflite = {
  ...tfliteLinear,
  ...tfliteHybrid,
  ...tfliteBinary,
  ...tfliteUnary,
  ...tfliteWindow,
  ...tfliteConvert,
  ...tfliteLstm,
}
