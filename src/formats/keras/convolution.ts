// Keras' convolutions: kernels are [spatial…, input, output] in files and [output, input, spatial…] in the graph.

import type { ValueId } from '../../ir/types.ts'
import { paddingOf } from '../padding.ts'
import { activate } from './activations.ts'
import {
  fixed,
  input,
  type Layer,
  type LayerCall,
  layoutOf,
  passing,
  shapeOf,
  spatialOf,
  tuple,
  unsupported,
  where,
} from './call.ts'

const channelsOf = (x: LayerCall, v: ValueId): number => {
  const shape = shapeOf(x, v)
  return fixed(x, layoutOf(x) === 'channelsLast' ? shape.at(-1) : shape[1], 'number of channels')
}

const bias = (x: LayerCall, size: number | null = null): ValueId | null =>
  x.config.boolean('use_bias', true)
    ? x.s.weight(x.weight('bias', { shape: [size] }), `${x.name}/bias`)
    : null

const finish = (x: LayerCall, v: ValueId): ValueId =>
  activate(x.s, x.config.raw('activation'), v, where(x), x.kerasVersion)

/** Attributes that every window shares, with `padding` resolved for this input. */
function windowOf(x: LayerCall, v: ValueId, rank: number, kernel: readonly number[]) {
  const strides = tuple(x, 'strides', rank, 1)
  const dilations = tuple(x, 'dilation_rate', rank, 1)
  const layout = layoutOf(x)
  const spatial = spatialOf(shapeOf(x, v), layout)
  const pads = paddingOf(x.config.string('padding', 'valid'), spatial, kernel, strides, dilations, where(x))
  return { strides, dilations, pads, layout }
}

const spatialAxes = (rank: number): number[] => Array.from({ length: rank }, (_, i) => i)

/** `Conv1D`, `Conv2D`, `Conv3D`. */
const convolution = (rank: number): Layer =>
  passing((x) => {
    const v = input(x)
    const kernel = tuple(x, 'kernel_size', rank)
    const groups = x.config.count('groups', 1, 1)
    const channels = channelsOf(x, v)
    const filters = x.config.count('filters')
    const w = x.weight('kernel', {
      shape: [...kernel, channels / groups, filters],
      permute: [rank + 1, rank, ...spatialAxes(rank)],
    })
    const { strides, dilations, pads, layout } = windowOf(x, v, rank, kernel)
    return finish(
      x,
      x.s.node(`conv${rank}d`, [v, x.s.weight(w, `${x.name}/kernel`), bias(x, filters)], {
        strides,
        dilations,
        pads,
        groups,
        layout,
      }),
    )
  })

/**
 * A depthwise step: kernel [spatial…, channels, multiplier] becomes filters [channels · multiplier, 1, spatial…], the
 * multiplier varying fastest.
 */
function depthwiseStep(
  x: LayerCall,
  v: ValueId,
  rank: number,
  weight: string,
  withBias: ValueId | null,
  suffix = '',
): ValueId {
  const kernel = tuple(x, 'kernel_size', rank)
  const channels = channelsOf(x, v)
  // TF.js leaves the multiplier out when it saves a separable convolution: the kernel tells.
  const stated = x.config.has('depth_multiplier') ? x.config.count('depth_multiplier', 1, 1) : null
  const w = x.weight(weight, {
    shape: [...kernel, channels, stated],
    permute: [rank, rank + 1, ...spatialAxes(rank)],
  })
  const filter = { ...w, shape: [channels * w.shape[1]!, 1, ...kernel] }
  const { strides, dilations, pads, layout } = windowOf(x, v, rank, kernel)
  return x.s.node(
    `conv${rank}d`,
    [v, x.s.weight(filter, `${x.name}/${weight}`, w), withBias],
    { strides, dilations, pads, groups: channels, layout },
    suffix,
  )
}

/** `DepthwiseConv1D`, `DepthwiseConv2D`. Old files call the weight `kernel`. */
const depthwise = (rank: number): Layer =>
  passing((x) => {
    const weight = x.hasWeight('depthwise_kernel') ? 'depthwise_kernel' : 'kernel'
    return finish(x, depthwiseStep(x, input(x), rank, weight, bias(x)))
  })

/** `SeparableConv1D`, `SeparableConv2D`: depthwise, then one by one. */
const separable = (rank: number): Layer =>
  passing((x) => {
    const v = input(x)
    const filters = x.config.count('filters')
    const step = depthwiseStep(x, v, rank, 'depthwise_kernel', null, 'depthwise')
    const channels = channelsOf(x, step)
    const w = x.weight('pointwise_kernel', {
      shape: [...new Array<number>(rank).fill(1), channels, filters],
      permute: [rank + 1, rank, ...spatialAxes(rank)],
    })
    const point = x.s.node(
      `conv${rank}d`,
      [step, x.s.weight(w, `${x.name}/pointwise_kernel`), bias(x, filters)],
      {
        layout: layoutOf(x),
      },
    )
    return finish(x, point)
  })

/**
 * `Conv1DTranspose`, `Conv2DTranspose`, `Conv3DTranspose`: kernel [spatial…, output, input]. The output is
 * input · stride with 'same', (input − 1) · stride + kernel with 'valid' and no less than the stride asks for
 * (keras.utils.conv_utils.deconv_output_length).
 */
const transposed = (rank: number): Layer =>
  passing((x) => {
    const v = input(x)
    const kernel = tuple(x, 'kernel_size', rank)
    const strides = tuple(x, 'strides', rank, 1)
    const dilations = tuple(x, 'dilation_rate', rank, 1)
    const given = x.config.has('output_padding') ? tuple(x, 'output_padding', rank) : null
    const channels = channelsOf(x, v)
    const filters = x.config.count('filters')
    if (x.config.count('groups', 1, 1) !== 1) unsupported(x, 'transposed convolution with groups')
    const w = x.weight('kernel', {
      shape: [...kernel, filters, channels],
      permute: [rank + 1, rank, ...spatialAxes(rank)],
    })
    const same = x.config.string('padding', 'valid') === 'same'
    const begin: number[] = []
    const end: number[] = []
    const outputPadding: number[] = []
    kernel.forEach((k, i) => {
      const extent = dilations[i]! * (k - 1) + 1
      const stride = strides[i]!
      // The full result has (n − 1) · stride + extent elements; padding cuts it, output padding adds to its end.
      if (given) {
        // TensorFlow's SAME over an output of (n − 1) · stride + extent − 2 ⌊extent / 2⌋ + padding elements.
        const cut = same ? 2 * Math.floor(extent / 2) - given[i]! : -given[i]!
        begin.push(Math.floor(Math.max(cut, 0) / 2))
        end.push(Math.ceil(Math.max(cut, 0) / 2))
        outputPadding.push(Math.max(-cut, 0))
      } else if (same) {
        const cut = Math.max(extent - stride, 0)
        begin.push(Math.floor(cut / 2))
        end.push(cut - Math.floor(cut / 2))
        outputPadding.push(Math.max(stride - extent, 0))
      } else {
        begin.push(0)
        end.push(0)
        outputPadding.push(Math.max(stride - extent, 0))
      }
    })
    return finish(
      x,
      x.s.node(`convTranspose${rank}d`, [v, x.s.weight(w, `${x.name}/kernel`), bias(x, filters)], {
        strides,
        dilations,
        pads: [...begin, ...end],
        outputPadding,
        layout: layoutOf(x),
      }),
    )
  })

/** `Dense`: a product over the last axis. */
const dense: Layer = passing((x) => {
  const v = input(x)
  const units = x.config.count('units')
  const size = fixed(x, shapeOf(x, v).at(-1), 'last dimension')
  const w = x.s.weight(x.weight('kernel', { shape: [size, units] }), `${x.name}/kernel`)
  const product = x.s.node('matMul', [v, w])
  const b = bias(x, units)
  return finish(x, b === null ? product : x.s.node('add', [product, b], {}, 'bias'))
})

export const convolutionLayers: Readonly<Record<string, Layer>> = {
  Conv1D: convolution(1),
  Conv2D: convolution(2),
  Conv3D: convolution(3),
  Convolution2D: convolution(2),
  DepthwiseConv1D: depthwise(1),
  DepthwiseConv2D: depthwise(2),
  SeparableConv1D: separable(1),
  SeparableConv2D: separable(2),
  Conv1DTranspose: transposed(1),
  Conv2DTranspose: transposed(2),
  Conv3DTranspose: transposed(3),
  Dense: dense,
}
