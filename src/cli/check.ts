import { totalmem } from 'node:os'
import { join } from 'node:path'
import {
  count,
  dataOptions,
  dims,
  list,
  modelArgument,
  nativeOptions,
  sampleOptions,
  subjectOptions,
  targetsOption,
  tunedOption,
} from './options.ts'
import type { Verb } from './verb.ts'
import { writeWhole } from './write.ts'

export const check: Verb = {
  name: 'check',
  args: [modelArgument],
  says: 'Run a model on every runtime that is here, judge every value against the reference, and write a report.',
  options: [
    ...dataOptions,
    {
      flags: '--samples <n>',
      says: 'at most so many inputs (default: 200, and 8 random ones)',
      parse: count(1),
    },
    {
      flags: '--classes <names>',
      says: 'names of the classes, with commas, where the data have none',
      parse: list,
    },
    targetsOption,
    tunedOption,
    {
      flags: '--attribute <n>',
      says: 'inputs whose inner values are judged one by one',
      parse: count(0),
      default: 1,
    },
    { flags: '--repeats <n>', says: 'timed runs of each target', parse: count(0), default: 5 },
    { flags: '--report <folder>', says: 'where the report goes', default: 'strata-report' },
    { flags: '--no-report', says: 'write none' },
    ...nativeOptions,
  ],
  examples: [
    { line: 'strata check model.onnx', says: 'every runtime here, random inputs' },
    { line: 'strata check model.tflite --data pictures', says: 'your own pictures' },
    { line: 'strata check model.onnx --target wasm,onnxruntime:all', says: 'only these' },
    {
      line: 'strata check model.onnx --json > check.json',
      says: 'for a CI job: exit 0 fine, 1 a difference, 2 an error',
    },
  ],
  async run([source], options, io) {
    const api = await import('../index.ts')
    const model = api.withDimensions(await api.openSource(source!), dims(options))
    const classes = options.classes as string[] | undefined
    const data = {
      ...(await api.samplesFor(model, { ...sampleOptions(options, api.InputError), files: api.nodeFiles })),
      ...(classes && { classes }),
    }
    const memoryBytes = Math.round(totalmem() * 0.8)
    const chosen = api.subjectsFor(await api.registry(), model, subjectOptions(options))
    const { subjects, end } = api.apart(chosen, { memoryBytes })
    const records = options.tuned ? api.openTuning() : undefined
    const graphs = records ? [api.graphFor(model.graph, data.samples[0]!)] : []
    const result = await api
      .check(model, data, {
        subjects: records
          ? subjects.map((s) => ({ ...s, options: api.withTuned(graphs, s, records) }))
          : subjects,
        command: io.command,
        machine: { strata: io.version, machine: api.sayMachine(api.probeMachine()) },
        attribute: options.attribute as number,
        repeats: options.repeats as number,
        seed: options.seed as number,
        progress: io.progress,
      })
      .finally(end)
    const folder = options.report === false ? null : (options.report as string)
    const path = folder && join(folder, 'report.html')
    const whole = { ...result, report: path }
    if (folder && path) {
      writeWhole(join(folder, 'report.json'), api.jsonText(whole))
      writeWhole(join(folder, 'report.md'), api.markdownReport(whole))
      writeWhole(join(folder, 'junit.xml'), api.junitReport(whole))
      writeWhole(path, api.htmlReport(whole))
    }
    io.document(api.checkDocument(whole))
    io.print(api.checkSummary(whole, io.style))
    if (path) io.print(`\nreport  ${io.style.bold(path)}`)
    return result.verdict === 'pass' ? 0 : 1
  },
}
