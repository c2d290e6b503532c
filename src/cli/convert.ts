import { dimensions, dims, modelArgument } from './options.ts'
import type { Verb } from './verb.ts'
import { writeWhole } from './write.ts'

export const convert: Verb = {
  name: 'convert',
  args: [modelArgument],
  says: 'Write a model as ONNX: the graph as it is, weights bit for bit.',
  options: [
    { flags: '-o, --output <file>', says: 'the .onnx file (default: the name of the model, here)' },
    { flags: '--dims <list>', says: 'sizes for open dimensions: batch=1,sequence=128', parse: dimensions },
  ],
  examples: [
    { line: 'strata convert model.tflite -o model.onnx', says: 'TensorFlow Lite to ONNX' },
    { line: 'strata convert web_model/model.json --dims batch=1', says: 'TensorFlow.js, with a fixed batch' },
  ],
  async run([source], options, io) {
    const api = await import('../index.ts')
    const model = api.withDimensions(await api.openSource(source!), dims(options))
    const output = (options.output as string | undefined) ?? `${model.name.replace(/\.\w+$/, '')}.onnx`
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
