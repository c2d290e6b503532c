// Recurrent layers, quantisation, resizing, detection, signals and text of ONNX.

import type { DType } from '../../../core/dtype.ts'
import type { Call, Row } from '../call.ts'
import { convRow } from './windows.ts'

const recurrent =
  (op: string, more: (c: Call) => Record<string, boolean> = () => ({})): Row =>
  (c) => {
    const [activations, alpha, beta] = [
      c.strings('activations'),
      c.floats('activation_alpha'),
      c.floats('activation_beta'),
    ]
    return c.out(op, c.inputs, {
      direction: c.string('direction', 'forward'),
      layout: c.int('layout', 0) ? 'batchFirst' : 'timeFirst',
      ...(activations && { activations }),
      ...(alpha && { activationAlpha: alpha }),
      ...(beta && { activationBeta: beta }),
      ...(c.has('clip') && { clip: c.float('clip') }),
      ...more(c),
    })
  }

const quantizeLinear: Row = (c) => {
  const to: DType | undefined =
    c.has('output_dtype') && c.int('output_dtype') ? c.dtype('output_dtype') : undefined
  return c.out('quantizeLinear', c.inputs, {
    axis: c.int('axis', 1),
    block: c.int('block_size', 0),
    ...(to && { to }),
  })
}

const coordinateModes: Record<string, string> = {
  half_pixel: 'halfPixel',
  half_pixel_symmetric: 'halfPixelSymmetric',
  pytorch_half_pixel: 'pytorchHalfPixel',
  align_corners: 'alignCorners',
  asymmetric: 'asymmetric',
  tf_half_pixel_for_nn: 'tfHalfPixelForNN',
  tf_crop_and_resize: 'tfCropAndResize',
}
const roundings: Record<string, string> = {
  round_prefer_floor: 'roundPreferFloor',
  round_prefer_ceil: 'roundPreferCeil',
  floor: 'floor',
  ceil: 'ceil',
}
const aspects: Record<string, string> = {
  stretch: 'stretch',
  not_larger: 'notLarger',
  not_smaller: 'notSmaller',
}

/** The word of a table, or an error that lists them. */
function oneOf(c: Call, table: Record<string, string>, name: string, otherwise: string): string {
  const word = c.string(name, otherwise)
  return table[word] ?? c.fail(`attribute ${name}, expected ${Object.keys(table).join(' | ')}, got ${word}`)
}

/** An input that is given but empty counts as absent. */
function present(c: Call, i: number): number | null {
  const id = c.get(i)
  return id === null || c.typeOf(id).shape?.[0] === 0 ? null : id
}

const resize: Row = (c) => {
  const mode = c.string('mode', 'nearest')
  // Upsample and Resize of opset 10 had neither half pixels nor rounding.
  if (c.opset < 11 || c.op === 'Upsample') {
    const scales = c.floats('scales')
    const id = scales
      ? c.const({ dtype: 'float32', shape: [scales.length], data: Float32Array.from(scales) }, 'scales')
      : c.in(1)
    return c.out('resize', [c.in(0), null, id], {
      mode: mode === 'bilinear' ? 'linear' : mode,
      coordinates: 'asymmetric',
      rounding: 'floor',
    })
  }
  const axes = c.ints('axes')
  const coordinates = oneOf(c, coordinateModes, 'coordinate_transformation_mode', 'half_pixel')
  return c.out(
    'resize',
    [c.in(0), coordinates === 'tfCropAndResize' ? c.get(1) : null, present(c, 2), present(c, 3)],
    {
      mode,
      coordinates,
      rounding: oneOf(c, roundings, 'nearest_mode', 'round_prefer_floor'),
      cubicA: c.float('cubic_coeff_a', -0.75),
      excludeOutside: c.flag('exclude_outside'),
      extrapolation: c.float('extrapolation_value', 0),
      antialias: c.flag('antialias'),
      aspect: oneOf(c, aspects, 'keep_aspect_ratio_policy', 'stretch'),
      ...(axes && { axes }),
    },
  )
}

const roiAlign: Row = (c) =>
  c.out('roiAlign', c.inputs, {
    height: c.int('output_height', 1),
    width: c.int('output_width', 1),
    mode: c.string('mode', 'avg') === 'max' ? 'max' : 'average',
    samplingRatio: c.int('sampling_ratio', 0),
    scale: c.float('spatial_scale', 1),
    halfPixel:
      c.string('coordinate_transformation_mode', c.opset >= 16 ? 'half_pixel' : 'output_half_pixel') ===
      'half_pixel',
  })

const gridModes: Record<string, string> = {
  bilinear: 'linear',
  linear: 'linear',
  nearest: 'nearest',
  bicubic: 'cubic',
  cubic: 'cubic',
}

const dft: Row = (c) => {
  const length = c.get(1)
  // Before opset 20 the axis was an attribute, and counted with the batch in front.
  const axis = c.opset < 20 ? c.int64([c.int('axis', 1)], 'axis') : c.get(2)
  return c.out('dft', [c.in(0), length, axis], { inverse: c.flag('inverse'), onesided: c.flag('onesided') })
}

const window =
  (kind: string): Row =>
  (c) =>
    c.out('window', [c.in(0)], {
      kind,
      periodic: c.flag('periodic', true),
      dtype: c.dtype('output_datatype', 'float32'),
    })

const tfIdf: Row = (c) => {
  const lists = {
    poolStrings: c.strings('pool_strings'),
    poolIntegers: c.ints('pool_int64s'),
    weights: c.floats('weights'),
  }
  return c.out('tfIdfVectorizer', c.inputs, {
    mode: c.string('mode'),
    minLength: c.int('min_gram_length'),
    maxLength: c.int('max_gram_length'),
    maxSkip: c.int('max_skip_count'),
    ngramCounts: c.ints('ngram_counts') ?? [],
    ngramIndexes: c.ints('ngram_indexes') ?? [],
    ...Object.fromEntries(Object.entries(lists).filter(([, v]) => v)),
  })
}

const nonMaxSuppression: Row = (c) =>
  c.out('nonMaxSuppression', c.inputs, { format: c.int('center_point_box', 0) ? 'centre' : 'corners' })

export const others: Record<string, Row> = {
  RNN: recurrent('rnn'),
  GRU: recurrent('gru', (c) => ({ linearBeforeReset: c.flag('linear_before_reset') })),
  LSTM: recurrent('lstm', (c) => ({ inputForget: c.flag('input_forget') })),
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: (c) =>
    c.out('dequantizeLinear', c.inputs, { axis: c.int('axis', 1), block: c.int('block_size', 0) }),
  DynamicQuantizeLinear: (c) => c.outs(3, 'dynamicQuantizeLinear', c.inputs),
  MatMulInteger: (c) => c.out('matMulInteger'),
  QLinearMatMul: (c) => c.out('qlinearMatMul'),
  QLinearConv: convRow('qlinearConv', 3),
  Resize: resize,
  Upsample: resize,
  NonMaxSuppression: nonMaxSuppression,
  RoiAlign: roiAlign,
  GridSample: (c) =>
    c.out('gridSample', c.inputs, {
      mode: oneOf(c, gridModes, 'mode', 'linear'),
      padding: c.string('padding_mode', 'zeros'),
      alignCorners: c.flag('align_corners'),
    }),
  AffineGrid: (c) => c.out('affineGrid', c.inputs, { alignCorners: c.flag('align_corners') }),
  DFT: dft,
  STFT: (c) => c.out('stft', c.inputs, { onesided: c.flag('onesided', true) }),
  HannWindow: window('hann'),
  HammingWindow: window('hamming'),
  BlackmanWindow: window('blackman'),
  MelWeightMatrix: (c) =>
    c.out('melWeightMatrix', c.inputs, { dtype: c.dtype('output_datatype', 'float32') }),
  StringNormalizer: (c) =>
    c.out('stringNormalizer', c.inputs, {
      change: c.string('case_change_action', 'NONE').toLowerCase(),
      caseSensitive: c.flag('is_case_sensitive'),
      stopwords: c.strings('stopwords') ?? [],
    }),
  StringConcat: (c) => c.out('stringConcat'),
  StringSplit: (c) =>
    c.outs(2, 'stringSplit', c.inputs, {
      delimiter: c.string('delimiter', ''),
      ...(c.has('maxsplit') && { most: c.int('maxsplit') }),
    }),
  TfIdfVectorizer: tfIdf,
}
