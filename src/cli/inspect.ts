import type { Figures, Inspection } from '../index.ts'
import { dimensions, modelArgument } from './options.ts'
import { table } from './table.ts'
import type { Io, Verb } from './verb.ts'

export const inspect: Verb = {
  name: 'inspect',
  args: [modelArgument],
  says: 'What a model is: inputs, outputs, operators, parameters, cost, and what is not supported.',
  options: [
    { flags: '--text', says: 'print the graph in its text form instead' },
    { flags: '--dims <list>', says: 'sizes for open dimensions: batch=1,sequence=128', parse: dimensions },
  ],
  examples: [
    { line: 'strata inspect model.onnx', says: 'a summary' },
    { line: 'strata inspect model.tflite --text', says: 'every node, in a form that Strata reads back' },
    { line: 'strata inspect zoo:resnet-18 --json', says: 'the same facts for a script' },
  ],
  async run([source], options, io) {
    const { inspectModel, openSource, printGraph, UnsupportedError, withDimensions } = await import(
      '../index.ts'
    )
    try {
      const model = await openSource(source!)
      const sized = { ...model, graph: withDimensions(model.graph, options.dims as Record<string, number>) }
      if (options.text) {
        const text = printGraph(sized.graph)
        if (io.json) io.document({ text })
        else io.print(text)
        return 0
      }
      const facts = inspectModel(sized)
      io.document(facts)
      printFacts(model.name, facts, io, figures)
      return 0
    } catch (e) {
      if (!(e instanceof UnsupportedError) || !io.json) throw e
      const unsupported = e.unsupported.map(({ op, count }) => ({ op, count }))
      io.document({ unsupported })
      throw e
    }
  },
}

function printFacts(name: string, x: Inspection, io: Io, { bytes, si }: Figures): void {
  const { bold, dim } = io.style
  const shape = (s: readonly (number | string | null)[]): string => `[${s.map((d) => d ?? '?').join(', ')}]`
  const values = (title: string, all: Inspection['inputs']): string =>
    `${bold(title)}\n${table(
      [],
      all.map((v) => [`  ${v.name}`, v.dtype, shape(v.shape)]),
    )}`
  io.print(`${bold(name)}  ${x.format}, ${bytes(x.fileBytes)}\n`)
  io.print(values('inputs', x.inputs))
  io.print(values('outputs', x.outputs))
  io.print(
    `${bold('cost')}\n  ${si(x.parameters)} parameters, ${bytes(x.bytes)} of weights, ${si(x.macs)} multiply-accumulates a run\n`,
  )
  io.print(
    `${bold(`${x.nodes} nodes`)}\n${table(
      [],
      Object.entries(x.ops).map(([op, n]) => [`  ${op}`, String(n)]),
    )}`,
  )
  if (x.unsupported.length === 0) io.print(dim('\nEvery operator is supported.'))
}
