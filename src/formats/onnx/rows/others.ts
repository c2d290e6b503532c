// Writing recurrent layers, quantisation, resizing, detection, signals, text, control flow and sequences.

import type { DType } from '../../../core/dtype.ts'
import { integers, tensorOf } from '../../../core/tensor.ts'
import { axisOf } from '../../../ir/op.ts'
import { type Graph, isStatic, type Type } from '../../../ir/types.ts'
import { NotWritable, typeProto, type Value, type WriteRow, type Written } from '../emit.ts'
import { bodyProto } from '../graph-proto.ts'
import { dtypeCodes } from '../tensors.ts'

/** onnxruntime has time first only: a batch in front is moved. */
const recurrent =
  (op: string, more: (n: Written) => Record<string, Value> = () => ({})): WriteRow =>
  (n) => {
    const alpha = n.a.activationAlpha as readonly number[] | undefined
    const beta = n.a.activationBeta as readonly number[] | undefined
    const hidden = n.type(2).shape?.at(-1)
    if (typeof hidden !== 'number') throw new NotWritable(`${n.node.op} of unknown size`)
    if (n.a.cellClip !== undefined) throw new NotWritable(`${n.node.op} with a limit on its cells`)
    const batchFirst = n.string('layout') === 'batchFirst'
    const swapped = (i: number): string =>
      batchFirst && n.has(i) ? n.mid('Transpose', [n.in(i)], { perm: [1, 0, 2] }) : n.in(i)
    const lengths = n.has(4) ? n.cast(n.in(4), n.dtype(4), 'int32') : ''
    const inputs = [swapped(0), n.in(1), n.in(2), n.in(3), lengths, swapped(5), swapped(6), n.in(7)]
    const attributes = {
      hidden_size: hidden,
      direction: n.string('direction'),
      activations: n.a.activations as Value,
      activation_alpha: alpha && { floats: alpha },
      activation_beta: beta && { floats: beta },
      clip: n.float('clip'),
      ...more(n),
    }
    if (!batchFirst) return n.emit(op, inputs, attributes)
    const made = n.outs().map((o) => n.e.fresh(`${o}/timeFirst`))
    n.e.add(op, inputs, made, attributes, n.node.name)
    made.forEach((m, i) => {
      n.e.add(
        'Transpose',
        [m],
        [n.out(i)],
        { perm: i === 0 ? [2, 0, 1, 3] : [1, 0, 2] },
        `${n.node.name}/Transpose${i}`,
      )
    })
  }

const words: Record<string, Record<string, string>> = {
  coordinates: {
    halfPixel: 'half_pixel',
    halfPixelSymmetric: 'half_pixel_symmetric',
    pytorchHalfPixel: 'pytorch_half_pixel',
    alignCorners: 'align_corners',
    asymmetric: 'asymmetric',
    tfHalfPixelForNN: 'tf_half_pixel_for_nn',
    tfCropAndResize: 'tf_crop_and_resize',
  },
  rounding: {
    roundPreferFloor: 'round_prefer_floor',
    roundPreferCeil: 'round_prefer_ceil',
    floor: 'floor',
    ceil: 'ceil',
  },
  aspect: { stretch: 'stretch', notLarger: 'not_larger', notSmaller: 'not_smaller' },
}

/** The sizes of all axes of a Resize that names some; undefined where they aren't known. */
function wholeSizes(n: Written, axes: readonly number[]): number[] | undefined {
  const sizes = n.constantOf(3)
  const { shape } = n.type(0)
  if (!sizes || n.has(1) || n.has(2) || !isStatic(shape)) return undefined
  const out = [...shape]
  integers(sizes).forEach((size, i) => {
    out[axisOf(axes[i]!, out.length)] = size
  })
  return out
}

const resize: WriteRow = (n) => {
  const coordinates = n.string('coordinates')
  const old = coordinates === 'tfHalfPixelForNN'
  const antialias = n.flag('antialias')
  const symmetric = coordinates === 'halfPixelSymmetric'
  // onnxruntime moves a transpose past a Resize without seeing its axes: where all sizes are known they are said.
  const axes = n.a.axes as readonly number[] | undefined
  const whole = axes && n.string('aspect') === 'stretch' ? wholeSizes(n, axes) : undefined
  if (antialias || (axes && !whole) || n.string('aspect') !== 'stretch') n.needs(18)
  if (symmetric) n.needs(19)
  // Opset 13 left tfHalfPixelForNN out; onnxruntime takes it in every version.
  n.emit('Resize', [n.in(0), n.in(1), n.in(2), whole ? n.int64(whole) : n.int64In(3)], {
    mode: n.string('mode'),
    coordinate_transformation_mode: words.coordinates![coordinates],
    nearest_mode: n.string('mode') === 'nearest' ? words.rounding![n.string('rounding')] : undefined,
    cubic_coeff_a: n.float('cubicA'),
    exclude_outside: n.flag('excludeOutside') || undefined,
    extrapolation_value: n.float('extrapolation'),
    antialias: antialias || undefined,
    axes: whole ? undefined : (axes as Value),
    keep_aspect_ratio_policy:
      old || n.string('aspect') === 'stretch' ? undefined : words.aspect![n.string('aspect')],
  })
}

/** What opset 13 has: bytes, float32 scales. Other floats came with 19; blocks and other widths with 21. */
const quantization =
  (op: string): WriteRow =>
  (n) => {
    const quantised = op === 'QuantizeLinear' ? n.outType().dtype : n.dtype()
    const plain = quantised === 'int8' || quantised === 'uint8' || quantised === 'int32'
    if (!plain || n.number('block') || (!n.has(2) && op === 'QuantizeLinear' && quantised !== 'uint8'))
      n.needs(21)
    else if (n.dtype(1) !== 'float32') n.needs(19)
    const scale = n.type(1).shape
    const one = scale?.length === 0 || (scale?.length === 1 && scale[0] === 1)
    n.emit(op, n.ins(), {
      axis: one ? undefined : n.number('axis'),
      block_size: n.number('block') || undefined,
      output_dtype: op === 'QuantizeLinear' && !n.has(2) ? dtypeCodes[n.string('to') as DType] : undefined,
    })
  }

const window: WriteRow = (n) => {
  const op = { hann: 'HannWindow', hamming: 'HammingWindow', blackman: 'BlackmanWindow' }[n.string('kind')]!
  n.needs(17)
  n.emit(op, n.ins(), {
    periodic: n.flag('periodic'),
    output_datatype: dtypeCodes[n.string('dtype') as DType],
  })
}

const body = (n: Written, name: string, formal: number): Value => ({
  graph: bodyProto(n.e, n.a[name] as Graph, formal, n.node.inputs),
})

const scan: WriteRow = (n) => {
  const [states, scanned] = [n.number('states'), n.number('scanned')]
  const list = (name: string): Value => n.a[name] as Value
  n.emit('Scan', n.ins().slice(0, states + scanned), {
    body: body(n, 'body', states + scanned),
    num_scan_inputs: scanned,
    scan_input_axes: list('inputAxes'),
    scan_input_directions: list('inputDirections'),
    scan_output_axes: list('outputAxes'),
    scan_output_directions: list('outputDirections'),
  })
}

const loop: WriteRow = (n) => {
  const states = n.number('states')
  bodies(n)
  n.emit('Loop', n.ins().slice(0, 2 + states), { body: body(n, 'body', 2 + states) })
}

/** Optionals in bodies came with opset 16. */
const bodies = (n: Written): void => {
  const optional = (v: number | null): boolean => v !== null && n.e.graph.values[v]!.type.kind === 'optional'
  if ([...n.node.inputs, ...n.node.outputs].some(optional)) n.needs(16)
}

const conditional: WriteRow = (n) => {
  bodies(n)
  n.emit('If', [n.in(0)], { then_branch: body(n, 'whenTrue', 0), else_branch: body(n, 'whenFalse', 0) })
}

const named =
  (op: string, opset = 0): WriteRow =>
  (n) => {
    n.needs(opset)
    n.emit(op)
  }

const averagePool: WriteRow = (n) =>
  n.emit(
    'QLinearAveragePool',
    n.ins(),
    {
      kernel_shape: n.numbers('kernel'),
      strides: n.numbers('strides'),
      pads: n.numbers('pads'),
      ceil_mode: n.flag('ceil'),
      count_include_pad: n.flag('countIncludePad'),
      channels_last: n.last,
    },
    'com.microsoft',
  )

const contributed =
  (op: string, attributes: (n: Written) => Record<string, Value> = () => ({})): WriteRow =>
  (n) =>
    n.emit(op, n.ins(), attributes(n), 'com.microsoft')

const optionalType = (n: Written): Type => {
  const element: Type = { kind: 'tensor', dtype: n.string('dtype') as DType, shape: null }
  return n.flag('sequence') ? { kind: 'sequence', element } : element
}

export const others = {
  rnn: recurrent('RNN'),
  gru: recurrent('GRU', (n) => ({ linear_before_reset: n.flag('linearBeforeReset') })),
  lstm: recurrent('LSTM', (n) => ({ input_forget: n.flag('inputForget') || undefined })),
  resize,
  quantizeLinear: quantization('QuantizeLinear'),
  dequantizeLinear: quantization('DequantizeLinear'),
  dynamicQuantizeLinear: named('DynamicQuantizeLinear'),
  matMulInteger: named('MatMulInteger'),
  qlinearMatMul: (n) => {
    n.needs(21)
    n.emit('QLinearMatMul')
  },
  qlinearAdd: contributed('QLinearAdd'),
  qlinearMul: contributed('QLinearMul'),
  qlinearSigmoid: contributed('QLinearSigmoid'),
  qlinearLeakyRelu: contributed('QLinearLeakyRelu', (n) => ({ alpha: n.float('alpha') })),
  qlinearSoftmax: contributed('QLinearSoftmax', (n) => ({ axis: n.number('axis'), opset: 13 })),
  qlinearAveragePool1d: averagePool,
  qlinearAveragePool2d: averagePool,
  qlinearAveragePool3d: averagePool,
  qlinearGlobalAveragePool: contributed('QLinearGlobalAveragePool', (n) => ({ channels_last: n.last })),
  qlinearConcat: contributed('QLinearConcat', (n) => ({ axis: n.number('axis') })),
  qgemm: contributed('QGemm', (n) => ({
    alpha: n.float('alpha'),
    transA: n.flag('transposeA'),
    transB: n.flag('transposeB'),
  })),
  nonMaxSuppression: (n) =>
    n.emit('NonMaxSuppression', [n.in(0), n.in(1), n.int64In(2, false), n.in(3), n.in(4)], {
      center_point_box: n.string('format') === 'centre',
    }),
  roiAlign: (n) => {
    n.needs(16)
    n.emit('RoiAlign', [n.in(0), n.in(1), n.int64In(2)], {
      output_height: n.number('height'),
      output_width: n.number('width'),
      mode: n.string('mode') === 'max' ? 'max' : 'avg',
      sampling_ratio: n.number('samplingRatio'),
      spatial_scale: n.float('scale'),
      coordinate_transformation_mode: n.flag('halfPixel') ? 'half_pixel' : 'output_half_pixel',
    })
  },
  gridSample: (n) => {
    n.needs(20)
    n.emit('GridSample', n.ins(), {
      mode: n.string('mode'),
      padding_mode: n.string('padding'),
      align_corners: n.flag('alignCorners'),
    })
  },
  affineGrid: (n) => {
    n.needs(20)
    n.emit('AffineGrid', [n.in(0), n.int64In(1)], { align_corners: n.flag('alignCorners') })
  },
  dft: (n) => {
    n.needs(20)
    const axis = n.has(2) ? n.mid('Reshape', [n.in(2), n.constant(tensorOf('int64', [0], []))]) : ''
    n.emit('DFT', [n.in(0), n.in(1), axis], { inverse: n.flag('inverse'), onesided: n.flag('onesided') })
  },
  stft: (n) => {
    n.needs(17)
    n.emit('STFT', n.ins(), { onesided: n.flag('onesided') })
  },
  window,
  melWeightMatrix: (n) => {
    n.needs(17)
    n.emit('MelWeightMatrix', n.ins(), { output_datatype: dtypeCodes[n.string('dtype') as DType] })
  },
  stringNormalizer: (n) =>
    n.emit('StringNormalizer', n.ins(), {
      case_change_action: n.string('change').toUpperCase(),
      is_case_sensitive: n.flag('caseSensitive'),
      stopwords: (n.a.stopwords as readonly string[]).length ? (n.a.stopwords as Value) : undefined,
    }),
  stringConcat: (n) => {
    n.needs(20)
    n.emit('StringConcat')
  },
  stringSplit: (n) => {
    n.needs(20)
    n.emit('StringSplit', n.ins(), { delimiter: n.string('delimiter'), maxsplit: n.a.most as Value })
  },
  tfIdfVectorizer: (n) => {
    const weights = n.a.weights as readonly number[] | undefined
    n.emit('TfIdfVectorizer', n.ins(), {
      mode: n.string('mode'),
      min_gram_length: n.number('minLength'),
      max_gram_length: n.number('maxLength'),
      max_skip_count: n.number('maxSkip'),
      ngram_counts: n.numbers('ngramCounts'),
      ngram_indexes: n.numbers('ngramIndexes'),
      pool_strings: n.a.poolStrings as Value,
      pool_int64s: n.a.poolIntegers as Value,
      weights: weights && { floats: weights },
    })
  },
  if: conditional,
  loop,
  scan,
  sequenceMap: (n) => {
    n.needs(17)
    const whole = (n.a.body as Graph).inputs.length
    n.emit('SequenceMap', n.ins(), { body: body(n, 'body', whole) })
  },
  sequenceConstruct: named('SequenceConstruct'),
  sequenceEmpty: (n) => n.emit('SequenceEmpty', [], { dtype: dtypeCodes[n.string('dtype') as DType] }),
  sequenceAt: named('SequenceAt'),
  sequenceInsert: named('SequenceInsert'),
  sequenceErase: named('SequenceErase'),
  sequenceLength: named('SequenceLength'),
  splitToSequence: (n) =>
    n.emit('SplitToSequence', n.ins(), { axis: n.number('axis'), keepdims: n.flag('keepDims') }),
  concatFromSequence: (n) =>
    n.emit('ConcatFromSequence', n.ins(), { axis: n.number('axis'), new_axis: n.flag('newAxis') }),
  optional: (n) =>
    n.emit('Optional', n.ins(), n.has(0) ? {} : { type: { type: typeProto(optionalType(n)) } }),
  optionalGetElement: named('OptionalGetElement', 18),
  optionalHasElement: named('OptionalHasElement', 18),
} satisfies Record<string, WriteRow>
