// Reads every network of MediaPipe's packages, verifies it, and runs it once on a fixed pattern.
//
//   node bench/zoo-import.ts [NAME PART]

import { sizeOf, type Tensor, tensor } from '../src/core/tensor.ts'
import { readTflite } from '../src/formats/tflite/read.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { specialize } from '../src/ir/specialize.ts'
import { verify } from '../src/ir/verify.ts'
import { packagedModels } from '../test/mediapipe.ts'

console.log('| model | nodes | problems | import ms | run ms | outputs |')
console.log('|---|---|---|---|---|---|')
for (const m of packagedModels().filter((p) => p.name.includes(process.argv[2] ?? ''))) {
  const start = performance.now()
  const graph = specialize(readTflite(m.bytes, { where: m.name }), { open: 1 })
  const read = performance.now()
  const problems = verify(graph).length
  const inputs = graph.inputs.map((v) => {
    const type = graph.values[v]!.type
    const shape = type.kind === 'tensor' ? (type.shape as number[]) : []
    return tensor(
      'float32',
      shape,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 7919) % 1009) / 1009),
    )
  })
  const outputs = evaluate(graph, inputs) as Tensor[]
  const run = performance.now()
  const shapes = outputs.map((t) => `[${t.shape}]`).join(' ')
  console.log(
    `| ${m.name} | ${graph.nodes.length} | ${problems} | ${(read - start).toFixed(0)} | ${(run - read).toFixed(0)} | ${shapes} |`,
  )
}
