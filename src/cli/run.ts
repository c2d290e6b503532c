import { join } from 'node:path'
import type { Tensor } from '../index.ts'
import {
  count,
  dataOptions,
  dims,
  list,
  modelArgument,
  nativeOptions,
  sampleOptions,
  subjectOptions,
  tunedOption,
} from './options.ts'
import type { Io, Verb } from './verb.ts'
import { writeWhole } from './write.ts'

export const run: Verb = {
  name: 'run',
  args: [modelArgument],
  says: 'Run a model on inputs and keep its outputs as .npy files.',
  options: [
    ...dataOptions,
    {
      flags: '--samples <n>',
      says: 'at most so many inputs (default: 200, and 8 random ones)',
      parse: count(1),
    },
    { flags: '--target <name>', says: 'what runs it; the reference if absent' },
    { flags: '--value <names>', says: 'inner values to give as well, by name', parse: list },
    { flags: '--output <folder>', says: 'where the .npy files go; none are written if absent' },
    tunedOption,
    ...nativeOptions,
  ],
  examples: [
    { line: 'strata run model.onnx --data input.npy --output out', says: 'on the reference' },
    { line: 'strata run model.onnx --data pictures --target wasm', says: 'on another target' },
    {
      line: 'strata run model.tflite --data input.npy --target litert',
      says: 'the file as it is, in its own runtime',
    },
    { line: 'strata run model.onnx --value conv1 --output out', says: 'an inner value too' },
  ],
  async run([source], options, io) {
    const api = await import('../index.ts')
    const { python, trust } = subjectOptions(options)
    const target = options.target as string | undefined
    const values = options.value as string[] | undefined
    const sized = dims(options)
    const records = options.tuned ? api.openTuning() : undefined
    const { side, model, close } = await api.openSide(source!, await api.registry(), {
      ...(python !== undefined && { python }),
      ...(trust !== undefined && { trust }),
      ...(target !== undefined && { target }),
      ...(values && { values }),
      ...(sized && { dims: sized }),
      ...(records && { optionsFor: (graph, subject) => api.withTuned([graph], subject, records) }),
    })
    try {
      const data = await api.samplesFor(model, {
        ...sampleOptions(options, api.InputError),
        files: api.nodeFiles,
      })
      const result = await api.runModel(side, data.samples, { progress: io.progress })
      const folder = options.output as string | undefined
      const outputs = result.outputs.map(({ name, tensor }, i) => {
        const file = folder === undefined ? null : join(folder, `${fileName(name, i)}.npy`)
        if (file) writeWhole(file, api.writeNpy(tensor))
        return { name, dtype: tensor.dtype, shape: tensor.shape, file }
      })
      io.document({ target: target ?? 'reference', outputs, ms: result.ms })
      io.print(
        describe(
          api,
          result.outputs,
          outputs.map((o) => o.file),
          io,
        ),
      )
      io.print(
        `\n${data.samples.length} inputs (${data.source}), ${api.figures.duration(result.ms)} each on ${result.target}`,
      )
      return 0
    } finally {
      await close()
    }
  },
}

/** Names in a model may hold anything: only what is safe in a file's name stays, and the number keeps names apart. */
const fileName = (name: string, i: number): string => {
  const safe = name
    .replace(/[^\w.-]+/g, '_')
    .replace(/^\.+/, '')
    .slice(0, 80)
  return safe === name ? safe : `${i}-${safe || 'output'}`
}

function describe(
  { figures, table, numbers }: typeof import('../index.ts'),
  outputs: readonly { readonly name: string; readonly tensor: Tensor }[],
  files: readonly (string | null)[],
  io: Io,
): string {
  const figure = (x: number): string => figures.significant(x, 4)
  const rows = outputs.map(({ name, tensor }, i) => {
    const summary: string[] = []
    if (tensor.dtype !== 'string' && tensor.data.length > 0) {
      let [low, high, sum] = [Infinity, -Infinity, 0]
      for (const x of numbers(tensor)) {
        if (x < low) low = x
        if (x > high) high = x
        sum += x
      }
      summary.push(`${figure(low)} to ${figure(high)}`, `mean ${figure(sum / tensor.data.length)}`)
    }
    return [io.style.bold(name), `${tensor.dtype}[${tensor.shape.join(', ')}]`, ...summary, files[i] ?? '']
  })
  return table([], rows)
}
