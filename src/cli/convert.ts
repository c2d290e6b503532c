import { basename } from 'node:path'
import { dimensions, dims, modelArgument } from './options.ts'
import type { Verb } from './verb.ts'
import { writeWhole } from './write.ts'

export const convert: Verb = {
  name: 'convert',
  args: [modelArgument],
  says: 'Write a model as ONNX (the graph as it is, weights bit for bit) or as C for a board with nothing else.',
  options: [
    {
      flags: '-o, --output <file>',
      says: 'the .onnx or .c file (default: the name of the model as .onnx, here)',
    },
    {
      flags: '--vector <set>',
      says: 'C: none (portable C99, the default), vnni, avx512, avx2 or neon (GNU C)',
    },
    { flags: '--weights <where>', says: 'C: inside the file, or beside it (default: by their size)' },
    { flags: '--dims <list>', says: 'sizes for open dimensions: batch=1,sequence=128', parse: dimensions },
  ],
  examples: [
    { line: 'strata convert model.tflite -o model.onnx', says: 'TensorFlow Lite to ONNX' },
    { line: 'strata convert web_model/model.json --dims batch=1', says: 'TensorFlow.js, with a fixed batch' },
    {
      line: 'strata convert model.onnx -o model.c',
      says: 'one C file and its header, no dependence but libm',
    },
  ],
  async run([source], options, io) {
    const api = await import('../index.ts')
    const model = api.withDimensions(await api.openSource(source!), dims(options))
    const output = (options.output as string | undefined) ?? `${model.name.replace(/\.\w+$/, '')}.onnx`
    if (output.endsWith('.c')) {
      const files = await api.cFiles(
        model.graph,
        cOptions(output, options, (m) => new api.InputError(m)),
      )
      const stem = output.slice(0, -2)
      const paths = { header: `${stem}.h`, ...(files.weights && { weights: `${stem}.bin` }) }
      if (files.weights) writeWhole(`${stem}.bin`, files.weights)
      writeWhole(paths.header, files.header)
      writeWhole(output, files.source)
      const { arenaBytes, weightBytes } = files
      io.document({ output, ...paths, bytes: files.source.length, arenaBytes, weightBytes })
      const sizes = `weights ${api.figures.bytes(weightBytes)}, working memory ${api.figures.bytes(arenaBytes)}`
      io.print(
        `${io.style.bold([...Object.values(paths), output].join(', '))}: ${sizes}. ${stem}.h says how to call it.`,
      )
      return 0
    }
    const bytes = await api.onnxBytes(model.graph)
    writeWhole(output, bytes)
    const { nodes, parameters } = api.inspectModel(model)
    io.document({ output, bytes: bytes.length, nodes, parameters })
    io.print(
      `${io.style.bold(output)}: ${api.figures.bytes(bytes.length)}, ${nodes} nodes. To see that it does the same: strata compare ${source} ${output}`,
    )
    return 0
  },
}

const vectors = ['none', 'vnni', 'avx512', 'avx2', 'neon'] as const
const places = ['inside', 'beside'] as const
type COptions = {
  readonly name: string
  readonly file: string
  readonly vector?: (typeof vectors)[number]
  readonly weights?: (typeof places)[number]
}

/** The functions are named after the file. `fail` makes the error of a wrong word. */
function cOptions(
  output: string,
  options: Readonly<Record<string, unknown>>,
  fail: (message: string) => Error,
): COptions {
  const oneOf = <T extends string>(flag: string, values: readonly T[], got: unknown): T | undefined => {
    const found = values.find((v) => v === got)
    if (got !== undefined && !found) throw fail(`${flag}: expected ${values.join(', ')}, got ${got}`)
    return found
  }
  const file = basename(output, '.c')
  const name = file.replace(/\W/g, '_').replace(/^(?=\d)/, '_')
  const vector = oneOf('--vector', vectors, options.vector)
  const weights = oneOf('--weights', places, options.weights)
  return { name, file, ...(vector && { vector }), ...(weights && { weights }) }
}
