import { join } from 'node:path'
import type { BenchResult } from '../index.ts'
import { count, counts, dataOptions, dims, list, sampleOptions, tunedOption } from './options.ts'
import type { Style, Verb } from './verb.ts'
import { writeWhole } from './write.ts'

export const bench: Verb = {
  name: 'bench',
  args: [{ name: '<models...>', says: 'model files or folders, or zoo:NAME' }],
  says: 'Time models on targets: each in a process of its own, judged before it is timed, all in turn.',
  options: [
    {
      flags: '--target, --targets <names>',
      says: 'targets, with commas: wasm,onnxruntime (its fastest setting),onnxruntime:basic; all that are here if absent',
      parse: list,
    },
    { flags: '--threads <list>', says: 'numbers of threads, with commas', parse: counts, default: [1] },
    { flags: '--repeats <n>', says: 'rounds: samples of each target', parse: count(1), default: 15 },
    { flags: '--baseline <name>', says: 'compare with this target only; all pairs if absent' },
    { flags: '--cpu', says: 'compare processor time (one thread only): what neighbours disturb least' },
    { flags: '--per-node', says: 'time the nodes too, where a target can tell' },
    {
      flags: '--output <folder>',
      says: 'where the tables, the plot and the document go; none are written if absent',
    },
    tunedOption,
    ...dataOptions,
  ],
  examples: [
    { line: 'strata bench model.onnx --targets wasm,onnxruntime', says: 'who is faster, and how surely' },
    { line: 'strata bench model.onnx --threads 1,2 --baseline onnxruntime:all', says: 'against one' },
  ],
  async run(sources, options, io) {
    const api = await import('../index.ts')
    const models = []
    for (const source of sources) {
      const model = api.withDimensions(await api.openSource(source), dims(options))
      const { samples } = await api.samplesFor(model, {
        ...sampleOptions(options, api.InputError),
        samples: 1,
        files: api.nodeFiles,
      })
      models.push({
        name: model.name,
        graph: api.graphFor(model.graph, samples[0]!),
        inputs: samples[0]!,
      })
    }
    const names = options.targets as string[] | undefined
    const baseline = options.baseline as string | undefined
    const subjects = api.benchSubjects(
      names && baseline && !names.includes(baseline) ? [...names, baseline] : names,
    )
    const graphs = models.map((m) => m.graph)
    const records = options.tuned ? api.openTuning() : undefined
    const result = await api.bench({
      models,
      subjects: records
        ? subjects.map((s) => ({ ...s, options: api.withTuned(graphs, s, records) }))
        : subjects,
      threads: options.threads as number[],
      repeats: options.repeats as number,
      clock: options.cpu ? 'cpu' : 'wall',
      ...(baseline !== undefined && { baseline }),
      perNode: options.perNode === true,
      seed: options.seed as number,
      progress: io.progress,
    })
    io.document(result)
    io.print(describe(api, result, io.style))
    const folder = options.output as string | undefined
    if (folder !== undefined) {
      const plot = await api.benchPlot(result)
      writeWhole(join(folder, 'bench.json'), JSON.stringify(result, null, 2))
      writeWhole(join(folder, 'bench.md'), api.benchMarkdown(result))
      if (plot !== null) writeWhole(join(folder, 'bench.svg'), plot)
      io.print(`\ntables and plot  ${io.style.bold(folder)}`)
    }
    // A target that answers wrongly is a verdict that fell short; one that is absent or lacks an operator is not.
    return result.rows.some((r) => r.verdict === 'different' || r.verdict === 'failed') ? 1 : 0
  },
}

function describe(
  { figures, rowName, sayMachine, table }: typeof import('../index.ts'),
  r: BenchResult,
  { bold, dim, green, red, yellow }: Style,
): string {
  const or = (x: number | null, f: (x: number) => string): string => (x === null ? '–' : f(x))
  const parts = [dim(sayMachine(r.machine))]
  for (const g of r.groups) {
    const rows = r.rows.filter((x) => x.model === g.model && x.threads === g.threads)
    const paint = (v: string): string =>
      v === 'same' || v === 'rounding' ? green(v) : v === 'different' || v === 'failed' ? red(v) : yellow(v)
    parts.push(
      '',
      `${bold(g.model)}, ${g.threads} thread${g.threads > 1 ? 's' : ''}, ${figures.si(g.macs)} multiply-accumulates`,
      table(
        ['target', 'answers', 'median', 'p95', 'GFLOP/s', 'of peak', 'memory', 'cold start'],
        rows.map((x) => [
          rowName(x),
          paint(x.verdict),
          or(x.medianMs, figures.duration),
          or(x.p95Ms, figures.duration),
          or(x.gflops, (v) => figures.significant(v, 3)),
          or(x.share, figures.percent),
          or(x.peakBytes, figures.bytes),
          or(x.startMs, figures.duration),
        ]),
      ),
    )
    for (const x of rows.filter((y) => y.medianMs === null)) parts.push(dim(`  ${rowName(x)}: ${x.says}`))
    const ratios = r.ratios.filter((x) => x.model === g.model && x.threads === g.threads)
    if (ratios.length > 0) parts.push('')
    for (const x of ratios) {
      const surely = x.different !== false ? '' : dim(', not surely different')
      const [ratio, low, high] = [x.ratio, x.low, x.high].map((v) => figures.significant(v, 3))
      parts.push(
        `  ${bold(x.faster)} is ${ratio} × as fast as ${x.slower} (${Math.round(100 * r.confidence)} %: ${low} to ${high})${surely}`,
      )
    }
    if (g.othersCores !== null && g.othersCores > 0.1)
      parts.push(yellow(`  others used ${figures.significant(g.othersCores, 2)} cores meanwhile`))
  }
  return parts.join('\n')
}
