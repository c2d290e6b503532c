import type { Inspection } from '../index.ts'
import { dimensions, dims, modelArgument } from './options.ts'
import type { Style, Verb } from './verb.ts'

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
    const api = await import('../index.ts')
    try {
      const model = api.withDimensions(await api.openSource(source!), dims(options))
      if (options.text) {
        const text = api.printGraph(model.graph)
        io.document({ text })
        io.print(text)
        return 0
      }
      const facts = api.inspectModel(model)
      io.document(facts)
      io.print(describe(api, model.name, facts, io.style))
      return 0
    } catch (e) {
      // What stands in the way is the answer to the question.
      if (e instanceof api.UnsupportedError)
        io.document({ unsupported: e.unsupported.map(({ op, count }) => ({ op, count })) })
      throw e
    }
  },
}

type Api = typeof import('../index.ts')

function describe({ figures, table }: Api, name: string, x: Inspection, { bold }: Style): string {
  const { bytes, si } = figures
  const shape = (s: readonly (number | string | null)[]): string => `[${s.map((d) => d ?? '?').join(', ')}]`
  const values = (all: Inspection['inputs']): string =>
    table(
      [],
      all.map((v) => [`  ${v.name}`, v.dtype, shape(v.shape)]),
    )
  return [
    `${bold(name)}: ${x.format}${x.fileBytes > 0 ? `, ${bytes(x.fileBytes)}` : ''}`,
    '',
    bold('inputs'),
    values(x.inputs),
    bold('outputs'),
    values(x.outputs),
    bold('cost'),
    `  ${si(x.parameters)} parameters, ${bytes(x.bytes)} of weights, ${x.macs === null ? 'multiply-accumulates unknown (--dims says the sizes)' : `${si(x.macs)} multiply-accumulates a run`}`,
    bold(`${x.nodes} nodes`),
    table(
      [],
      Object.entries(x.ops).map(([op, n]) => [`  ${op}`, String(n)]),
    ),
  ].join('\n')
}
