import type { CompareResult } from '../index.ts'
import { count, dataOptions, dims, nativeOptions, sampleOptions, subjectOptions } from './options.ts'
import type { Style, Verb } from './verb.ts'

export const compare: Verb = {
  name: 'compare',
  args: [
    { name: '<a>', says: 'the model that is taken to be right: MODEL, or MODEL@TARGET to run it there' },
    { name: '<b>', says: 'the model in question, of any format' },
  ],
  says: 'Do two models do the same, and where do they first part? Their nodes are matched by what they compute.',
  options: [
    ...dataOptions,
    {
      flags: '--samples <n>',
      says: 'at most so many inputs (default: 200, and 8 random ones)',
      parse: count(1),
    },
    ...nativeOptions,
  ],
  examples: [
    { line: 'strata compare source.onnx converted.tflite', says: 'before and after a conversion' },
    {
      line: 'strata compare model.tflite@litert model.tflite',
      says: 'the file in its own runtime, and ours',
    },
    { line: 'strata compare model.onnx model.onnx@wasm', says: 'one model, two targets' },
  ],
  async run([nameA, nameB], options, io) {
    const api = await import('../index.ts')
    const registry = await api.registry()
    const { python, trust } = subjectOptions(options)
    const sized = dims(options)
    const sideOptions = {
      ...(python !== undefined && { python }),
      ...(trust !== undefined && { trust }),
      ...(sized && { dims: sized }),
    }
    const a = await api.openSide(nameA!, registry, sideOptions)
    try {
      const b = await api.openSide(nameB!, registry, sideOptions)
      try {
        const data = await api.samplesFor(a.model, {
          ...sampleOptions(options, api.InputError),
          files: api.nodeFiles,
        })
        const result = await api.compare(a.side, b.side, data.samples, options.seed as number)
        io.document(api.compareDocument(result))
        io.print(
          `${io.style.bold(a.side.name)} and ${io.style.bold(b.side.name)}, ${data.samples.length} inputs (${data.source})\n`,
        )
        io.print(describe(api, result, io.style))
        return result.verdict === 'different' ? 1 : 0
      } finally {
        await b.close()
      }
    } finally {
      await a.close()
    }
  },
}

function describe(
  { figures, table }: typeof import('../index.ts'),
  r: CompareResult,
  { bold, red, green, dim }: Style,
): string {
  const figure = (x: number | null): string => (x === null ? '–' : figures.significant(x, 3))
  const paint = r.verdict === 'different' ? red : green
  const { values, labels, matched } = r
  const rows = [
    [dim('largest error'), `${figure(values.maxAbs)}, where rounding may do ${figure(r.bound)}`],
    [dim('relative'), figure(values.maxRel)],
    [dim('last places'), figure(values.maxUlp)],
    [dim('signal to noise'), values.snrDb === null ? '–' : `${figure(values.snrDb)} dB`],
    ...(labels ? [[dim('same label'), `${labels.total - labels.disagree} of ${labels.total}`]] : []),
    ...(matched
      ? [[dim('nodes matched'), `${matched.pairs} pairs of ${matched.a} and ${matched.b} nodes`]]
      : []),
  ]
  const parts = [`${paint(bold(r.verdict.toUpperCase()))}  ${r.says}`, '', table([], rows)]
  if (r.faults.length > 0) {
    const faults = r.faults
      .slice(0, 10)
      .map((f) => [
        `  ${bold(f.node)}`,
        f.op,
        figure(f.injected),
        figure(f.bound),
        f.says.join('; ') || f.kind,
      ])
    parts.push('', table(['where they part', 'op', 'injected', 'bound', 'what'], faults))
    if (r.faults.length > 10) parts.push(dim(`and ${r.faults.length - 10} more (--json has all)`))
  }
  return parts.join('\n')
}
