// Control flow, sequences and optionals of ONNX.

import { tensorOf } from '../../../core/tensor.ts'
import type { Graph, Type, ValueId } from '../../../ir/types.ts'
import { type Body, type Call, NotSupported, type Row } from '../call.ts'
import { readType } from '../tensors.ts'

/** A body with its captured inputs in the order of `all`; those it doesn't use are added and ignored. */
function withCaptured(c: Call, body: Body, all: readonly ValueId[]): Graph {
  const formal = body.graph.inputs.length - body.captured.length
  const values = [...body.graph.values]
  const extra = all.map((v) => {
    const k = body.captured.indexOf(v)
    if (k >= 0) return body.graph.inputs[formal + k]!
    const taken = new Set(values.map((x) => x.name))
    let name = c.b.nameOf(v)
    while (taken.has(name)) name = `${name}_unused`
    values.push({ name, type: c.b.type(v) })
    return values.length - 1
  })
  return { ...body.graph, values, inputs: [...body.graph.inputs.slice(0, formal), ...extra] }
}

const conditional: Row = (c) => {
  const yes = c.context.body(c.graph('then_branch'), `${c.name}/then`)
  const no = c.context.body(c.graph('else_branch'), `${c.name}/else`)
  const captured = [...new Set([...yes.captured, ...no.captured])]
  return c.out('if', [c.in(0), ...captured], {
    whenTrue: withCaptured(c, yes, captured),
    whenFalse: withCaptured(c, no, captured),
  })
}

/** The type that holds whatever the shape turns out to be. */
const openShape = (t: Type): Type =>
  t.kind === 'tensor' ? { ...t, shape: t.shape?.map(() => null) ?? null } : t

const loop: Row = (c) => {
  const states = c.inputs.slice(2)
  const types: (Type | null)[] = [
    { kind: 'tensor', dtype: 'int64', shape: [] },
    { kind: 'tensor', dtype: 'bool', shape: [] },
    // A state may change its shape from step to step: only its rank is taken for known.
    ...states.map((id) => (id === null ? null : stateType(c.b.type(id)))),
  ]
  const body = c.context.body(c.graph('body'), `${c.name}/body`, types)
  return c.out('loop', [c.get(0), c.get(1), ...states, ...body.captured], {
    body: body.graph,
    states: states.length,
  })
}
/** Even the rank of a state may change; sequences stay what they are. */
const stateType = (t: Type): Type => (t.kind === 'tensor' ? { ...t, shape: null } : t)

const scan: Row = (c) => {
  const g = c.graph('body')
  const scanned = c.int('num_scan_inputs')
  // Opset 8 had a batch dimension and sequence lengths in front.
  if (c.opset < 9) return scanBatched(c, g, scanned)
  const states = c.inputs.length - scanned
  const types = c.inputs.map((_, i): Type | null => {
    const t = c.b.type(c.in(i))
    if (i < states || t.kind !== 'tensor' || !t.shape) return i < states ? openShape(t) : null
    const axis = c.ints('scan_input_axes')?.[i - states] ?? 0
    const gone = c.axis(axis, t.shape.length)
    return { ...t, shape: t.shape.filter((_, d) => d !== gone) }
  })
  const body = c.context.body(g, `${c.name}/body`, types)
  const lists = {
    inputAxes: c.ints('scan_input_axes'),
    inputDirections: c.ints('scan_input_directions'),
    outputAxes: c.ints('scan_output_axes'),
    outputDirections: c.ints('scan_output_directions'),
  }
  return c.out('scan', [...c.inputs, ...body.captured], {
    body: body.graph,
    states,
    scanned,
    ...Object.fromEntries(Object.entries(lists).filter(([, v]) => v)),
  })
}

/** Scan of opset 8 with a batch of one and no lengths: the batch dimension is taken off and put back. */
function scanBatched(c: Call, g: ReturnType<Call['graph']>, scanned: number): ValueId[] {
  if (c.get(0) !== null || c.ints('directions')?.some((d) => d))
    throw new NotSupported('Scan of opset 8 with lengths or directions', 'Scan of opset 9')
  const inputs = c.inputs.slice(1).map((_, i) => c.in(i + 1))
  for (const id of inputs)
    if (c.typeOf(id).shape?.[0] !== 1) throw new NotSupported('Scan of opset 8 over a batch', 'a batch of 1')
  const single = inputs.map((id) => c.mid('squeeze', [id], { axes: [0] }))
  const states = inputs.length - scanned
  const body = c.context.body(g, `${c.name}/body`)
  const made = c.mids(g.output.length, 'scan', [...single, ...body.captured], {
    body: body.graph,
    states,
    scanned,
  })
  return made.map((id, i) =>
    c.b.node(
      'unsqueeze',
      [id],
      { axes: [0] },
      { name: `${c.name}/batch`, outputs: [c.node.output[i] ?? ''] },
    ),
  )
}

const sequenceMap: Row = (c) => {
  const types = c.inputs.map((_, i): Type => {
    const t = c.b.type(c.in(i))
    return t.kind === 'sequence' ? t.element : t
  })
  const body = c.context.body(c.graph('body'), `${c.name}/body`, types)
  return c.out('sequenceMap', [...c.inputs, ...body.captured], { body: body.graph })
}

const optional: Row = (c) => {
  if (c.get(0) !== null) return c.out('optional')
  const type = c.raw('type')?.tp
  const t = readType(type, c.where) ?? c.fail('attribute type is missing')
  const element = t.kind === 'sequence' ? t.element : t
  if (element.kind !== 'tensor') throw new NotSupported('Optional of a nested type')
  return c.out('optional', [], { dtype: element.dtype, sequence: t.kind === 'sequence' })
}

export const control: Record<string, Row> = {
  If: conditional,
  Loop: loop,
  Scan: scan,
  SequenceConstruct: (c) => c.out('sequenceConstruct'),
  SequenceEmpty: (c) => c.out('sequenceEmpty', [], { dtype: c.dtype('dtype', 'float32') }),
  SequenceAt: (c) => c.out('sequenceAt'),
  SequenceInsert: (c) => c.out('sequenceInsert'),
  SequenceErase: (c) => c.out('sequenceErase'),
  SequenceLength: (c) => c.out('sequenceLength'),
  SplitToSequence: (c) =>
    c.out('splitToSequence', c.inputs, { axis: c.int('axis', 0), keepDims: c.flag('keepdims', true) }),
  ConcatFromSequence: (c) =>
    c.out('concatFromSequence', c.inputs, { axis: c.int('axis'), newAxis: c.flag('new_axis') }),
  SequenceMap: sequenceMap,
  Optional: optional,
  OptionalGetElement: (c) => c.out('optionalGetElement'),
  OptionalHasElement: (c) =>
    c.inputs.length ? c.out('optionalHasElement') : [c.const(tensorOf('bool', [], [false]), 'absent')],
}
