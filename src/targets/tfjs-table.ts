// Every operator of the graph as TensorFlow.js calls, or why it isn't: typed by the operator table, so that a new operator
// without a row doesn't compile.

import type { DType } from '../core/dtype.ts'
import type { Unsupported } from '../core/errors.ts'
import type { elementwise } from '../ir/ops/elementwise.ts'
import { type OpName, opNamed } from '../ir/ops/index.ts'
import { loss } from '../ir/ops/loss.ts'
import { qlinear } from '../ir/ops/qlinear.ts'
import { quantized } from '../ir/ops/quantized.ts'
import { random } from '../ir/ops/random.ts'
import { sequence } from '../ir/ops/sequence.ts'
import { signal } from '../ir/ops/signal.ts'
import { text } from '../ir/ops/text.ts'
import { tflite } from '../ir/ops/tflite.ts'
import { vision } from '../ir/ops/vision.ts'
import { type Graph, isGraph, type Node } from '../ir/types.ts'
import { controlRows } from './tfjs-control.ts'
import { elementwiseRows } from './tfjs-elementwise.ts'
import { type Gap, gap, type Row } from './tfjs-kernel.ts'
import { linearRows } from './tfjs-linear.ts'
import { nonMaxRow, selectRows } from './tfjs-select.ts'
import { shapeRows } from './tfjs-shape.ts'

const later = gap('not spelled in TensorFlow.js yet')

/** Whole families that have no row: each with one reason. */
const family = <F extends object>(ops: F, reason: string): Record<keyof F, Gap> =>
  Object.fromEntries(Object.keys(ops).map((k) => [k, gap(reason)])) as Record<keyof F, Gap>

const integer = 'TensorFlow.js computes in float32 and int32 only'
const gaps = {
  ...family(quantized, integer),
  ...family(qlinear, integer),
  ...family(tflite, integer),
  ...family(sequence, 'TensorFlow.js has no sequences'),
  ...family(text, 'texts are not computed with in TensorFlow.js'),
  ...family(random, 'random numbers differ from runtime to runtime'),
  ...family(loss, later.gap),
  ...family(signal, later.gap),
  ...family(vision, later.gap),
  nonMaxSuppression: nonMaxRow,
  maxUnpool: gap('TensorFlow.js has no positions of maxima without its GPU backends'),
  det: later,
}

const spelled = {
  ...linearRows,
  ...shapeRows,
  ...selectRows,
  ...controlRows,
  ...gaps,
} satisfies Record<Exclude<OpName, keyof typeof elementwise>, Row>

export const table: Readonly<Record<OpName, Row>> = {
  ...(elementwiseRows() as Record<keyof typeof elementwise, Row>),
  ...spelled,
}

export type Backend = 'cpu' | 'wasm'

/** The kernel of an operator, or why there is none. */
export const rowOf = (op: string): Row => table[op as OpName]

type Limit = (n: Node, attribute: (name: string) => unknown) => string | undefined
const list = (v: unknown): readonly number[] => (Array.isArray(v) ? v : [])

const convolution: Limit = (_, a) =>
  list(a('dilations')).some((d) => d > 1) && list(a('strides')).some((s) => s > 1)
    ? 'both a stride and a dilation'
    : undefined
const pooling: Limit = (n, a) =>
  list(a('dilations')).some((d) => d > 1)
    ? 'dilation'
    : n.outputs.length > 1
      ? 'the positions of the largest values'
      : undefined
const recurrent: Limit = (n, a) => {
  if (n.inputs[4] != null) return 'lengths'
  if (n.inputs[7] != null) return 'peepholes'
  if (a('clip') !== undefined || a('cellClip') !== undefined) return 'clipping'
  if (a('inputForget') === true) return 'coupled gates'
  const known = ['Relu', 'Tanh', 'Sigmoid', 'Softsign', 'Softplus', 'HardSigmoid']
  const other = (a('activations') as readonly string[] | undefined)?.find((n) => !known.includes(n))
  return other && `activation ${other}`
}

/** Attributes that TensorFlow.js has no call for. */
const limits: Partial<Record<OpName, Limit>> = {
  conv1d: convolution,
  conv2d: convolution,
  conv3d: (n, a) => (a('groups') === 1 ? convolution(n, a) : 'groups'),
  convTranspose1d: (_, a) => (list(a('dilations')).some((d) => d > 1) ? 'dilation' : undefined),
  convTranspose2d: (_, a) => (list(a('dilations')).some((d) => d > 1) ? 'dilation' : undefined),
  maxPool1d: pooling,
  maxPool2d: pooling,
  maxPool3d: pooling,
  averagePool1d: pooling,
  averagePool2d: pooling,
  averagePool3d: pooling,
  lpPool1d: pooling,
  lpPool2d: pooling,
  lpPool3d: pooling,
  rnn: recurrent,
  gru: recurrent,
  lstm: recurrent,
  lrn: (_, a) => (Number(a('size')) % 2 === 0 ? 'an even number of channels' : undefined),
  pad: (_, a) => (['edge', 'wrap'].includes(String(a('mode'))) ? `mode ${String(a('mode'))}` : undefined),
  scatterElements: (_, a) => (a('reduction') === 'none' ? undefined : `reduction ${String(a('reduction'))}`),
  nonMaxSuppression: (_, a) => (a('format') === 'corners' ? undefined : `format ${String(a('format'))}`),
  scatterND: (_, a) => (a('reduction') === 'none' ? undefined : `reduction ${String(a('reduction'))}`),
  gatherND: (_, a) => (a('batchDims') === 0 ? undefined : 'batch dimensions'),
  cast: (_, a) =>
    ['float32', 'int32', 'int64', 'bool'].includes(String(a('to'))) ? undefined : `to ${String(a('to'))}`,
  resize: (_, a) => {
    const [mode, coordinates, rounding] = [String(a('mode')), String(a('coordinates')), String(a('rounding'))]
    if (a('antialias') === true || a('excludeOutside') === true || a('aspect') !== 'stretch')
      return 'its options'
    if (mode === 'linear')
      return ['halfPixel', 'alignCorners', 'asymmetric'].includes(coordinates) ? undefined : coordinates
    if (
      mode === 'nearest' &&
      rounding === 'floor' &&
      ['asymmetric', 'tfHalfPixelForNN'].includes(coordinates)
    )
      return undefined
    return `${mode}, ${coordinates}, ${rounding}`
  },
}

const held: ReadonlySet<DType> = new Set(['float32', 'int32', 'int64', 'bool'])
/** Types that go through as int32, but are not computed with: their arithmetic wraps elsewhere. */
const carried: ReadonlySet<DType> = new Set(['uint8', 'int8', 'uint16', 'int16'])
const moving: ReadonlySet<string> = new Set<OpName>([
  'identity',
  'cast',
  'shape',
  'size',
  'reshape',
  'flatten',
  'squeeze',
  'unsqueeze',
  'expand',
  'transpose',
  'concat',
  'split',
  'slice',
  'tile',
  'reverse',
  'gather',
  'gatherND',
])

/** All that TensorFlow.js can't run of a graph, with reasons. */
export function unsupportedIn(graph: Graph): Unsupported[] {
  const counts = new Map<string, number>()
  const report = (what: string): void => {
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  const visit = (g: Graph): void => {
    for (const n of g.nodes) {
      const row = rowOf(n.op)
      if (typeof row !== 'function') report(`${n.op} (${row.gap})`)
      const spec = opNamed(n.op)?.attributes ?? {}
      const attribute = (name: string): unknown => n.attributes[name] ?? spec[name]?.default ?? undefined
      const limit = limits[n.op as OpName]?.(n, attribute)
      if (limit) report(`${n.op} with ${limit}`)
      for (const v of [...n.inputs, ...n.outputs]) {
        if (v === null) continue
        const { type } = g.values[v]!
        if (type.kind !== 'tensor') report(`a ${type.kind}`)
        else if (!held.has(type.dtype) && !(carried.has(type.dtype) && moving.has(n.op)))
          report(`${n.op} on ${type.dtype}`)
      }
      for (const a of Object.values(n.attributes)) if (isGraph(a)) visit(a)
    }
  }
  visit(graph)
  return [...counts].map(([op, count]) => ({ op, count }))
}
