import type { TunedKernel } from '../index.ts'
import { count, dataOptions, dims, modelArgument } from './options.ts'
import type { Style, Verb } from './verb.ts'

export const tune: Verb = {
  name: 'tune',
  args: [modelArgument],
  says: 'Search for faster code for the kernels of a model, measured on this machine, and keep what holds.',
  options: [
    { flags: '--target <name>', says: 'wasm:safe, wasm:fast, c, c:avx2 or c:portable', default: 'wasm:fast' },
    {
      flags: '--trials <n>',
      says: 'measurements of each kernel, those of earlier runs included',
      parse: count(1),
      default: 64,
    },
    { flags: '--seconds <n>', says: 'of searching in all; no limit if absent', parse: count(1) },
    { flags: '--cpu', says: 'compare processor time: what neighbours disturb least' },
    { flags: '--records <file>', says: "where what is found is kept; in the user's cache folder if absent" },
    { flags: '--no-whole', says: 'do not time the whole model before and after' },
    ...dataOptions.filter((o) => /--dims|--seed/.test(o.flags)),
  ],
  examples: [
    { line: 'strata tune model.onnx --target wasm:fast --trials 200', says: 'a table of what got faster' },
    { line: 'strata tune model.onnx --target c --seconds 600', says: 'ten minutes; again goes on' },
    { line: 'strata bench model.onnx --targets wasm:fast --tuned', says: 'what was found is used' },
  ],
  async run([source], options, io) {
    const api = await import('../index.ts')
    const { graph, name, inputs } = await api.benchModel(source!, dims(options), options.seed as number)
    const subjects = api.benchSubjects([options.target as string])
    if (subjects.length > 1)
      throw new api.InputError(
        `--target ${options.target}: expected one engine, got ${subjects.map((s) => api.rowName({ target: s.target.name, variant: s.variant })).join(', ')}`,
      )
    const subject = subjects[0]!
    const seconds = options.seconds as number | undefined
    const records = api.openTuning(options.records as string | undefined)
    const result = await api.tune({
      graph,
      subject,
      records,
      trials: options.trials as number,
      ...(seconds !== undefined && { seconds }),
      ...(options.cpu === true && { clock: 'cpu' as const }),
      seed: options.seed as number,
      progress: io.progress,
    })
    const tuned = api.withTuned([graph], subject, records)
    const faster = result.kernels.some((k) => k.ratio > 1)
    const before = { ...subject, variant: subject.variant || 'default' }
    const after = { ...subject, variant: `${before.variant}-tuned`, options: tuned }
    const timed =
      options.whole !== false && faster
        ? await api.bench({
            models: [{ name, graph, inputs }],
            subjects: [before, after],
            clock: options.cpu ? 'cpu' : 'wall',
            peaks: false,
            progress: io.progress,
          })
        : null
    const whole = timed && (timed.ratios[0] ?? null)
    io.document({ ...result, whole, rows: timed?.rows ?? [] })
    io.print(io.style.dim(api.sayMachine(api.probeMachine())))
    io.print(`${io.style.bold(name)} on ${result.engine} (${result.runtime})\n`)
    io.print(describe(api, result.kernels, io.style))
    if (whole) {
      const [ratio, low, high] = [whole.ratio, whole.low, whole.high].map((v) =>
        api.figures.significant(v, 3),
      )
      io.print(
        `\nwhole model: ${io.style.bold(whole.faster)} is ${ratio} × as fast as ${whole.slower} (95 %: ${low} to ${high})${whole.different !== false ? '' : io.style.dim(', not surely different')}`,
      )
    }
    for (const r of timed?.rows ?? [])
      if (r.verdict === 'different' || r.verdict === 'failed')
        io.print(io.style.red(`${api.rowName(r)}: ${r.says}`))
    io.print(`\nrecords  ${io.style.bold(records.path)}`)
    return timed?.rows.some((r) => r.verdict === 'different' || r.verdict === 'failed') ? 1 : 0
  },
}

function describe(
  { figures, table, algorithmName, kernelWords }: typeof import('../index.ts'),
  kernels: readonly TunedKernel[],
  { dim, green }: Style,
): string {
  const ms = (v: number | null): string => (v === null ? '–' : figures.duration(v))
  const tile = (s: TunedKernel['before']): string =>
    `${algorithmName(s)} ${s.rows}×${s.columns}${s.block > 1 ? `/${s.block}` : ''}`
  return table(
    ['kernel', 'nodes', 'trials', 'default', 'tuned', 'ratio', 'interval', 'before', 'after'],
    kernels.map((k) => [
      kernelWords(k.kernel),
      String(k.nodes.length),
      `${k.trials}${k.failed + k.wrong > 0 ? ` (${k.failed + k.wrong} failed)` : ''}`,
      ms(k.defaultMs),
      ms(k.tunedMs),
      k.ratio > 1 ? green(`${k.ratio.toFixed(2)} ×`) : '1 ×',
      k.ratio > 1 ? `${k.low.toFixed(2)} to ${k.high.toFixed(2)}` : '',
      tile(k.before),
      k.ratio > 1 ? tile(k.after) : dim(k.says.startsWith('not measured') ? k.says : 'stays'),
    ]),
  )
}
