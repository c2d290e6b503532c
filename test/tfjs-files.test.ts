// Float networks of other formats on the target tfjs: channels first and last, recurrent, attention. Against the reference.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { at, type Tensor } from '../src/core/tensor.ts'
import { readNpz } from '../src/data/npz.ts'
import { filesAt } from '../src/formats/files.ts'
import { openModel } from '../src/formats/open.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { tfjs } from '../src/targets/tfjs.ts'

const assets = process.env.STRATA_ASSETS
const folder = assets ? join(assets, 'models/formats') : ''
type Entry = { network: string; file: string; io: string; inputs_file: string; inputs: { src?: number }[] }
const index: Entry[] = assets ? JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) : []

const files = [
  'dscnn/torch215-ts17.onnx',
  'inception/torch215-ts17.onnx',
  'lstm/torch215-ts17.onnx',
  'odds/torch215-ts13.onnx',
  'resnet8/torch215-ts13.onnx',
  'transformer/torch215-ts17.onnx',
  'unet/torch215-ts13.onnx',
  'odds/tflite221-f32.tflite',
  'unet/tflite221-f32.tflite',
]

for (const backend of ['cpu', 'wasm'] as const) {
  for (const file of files) {
    test(`${file} on ${backend}`, async (c: TestContext) => {
      if (!assets) c.skip('STRATA_ASSETS is unset')
      expect(existsSync(join(folder, file))).toBe(true)
      const { graph } = await openModel(filesAt(join(folder, file)))
      const entry = index.find((r) => `${r.network}/${r.file}` === file)!
      const arrays = readNpz(readFileSync(join(folder, entry.network, entry.inputs_file)), file)
      const own = entry.inputs_file === entry.io
      const inputs = graph.inputs.map((v, k): Tensor => {
        const { type } = graph.values[v]!
        const t = arrays.get(`in${own ? k : (entry.inputs[k]!.src ?? k)}`)!
        const rows = type.kind === 'tensor' && typeof type.shape?.[0] === 'number' ? type.shape[0] : 2
        return {
          ...t,
          shape: [rows, ...t.shape.slice(1)],
          data: t.data.slice(0, (t.data.length / t.shape[0]!) * rows),
        }
      })
      const run = await tfjs.load(await tfjs.compile(graph, { backend }))
      const got = (await run.run(inputs)) as Tensor[]
      await run.dispose()
      ;(evaluate(graph, inputs) as Tensor[]).forEach((expected, i) => {
        expect(got[i]!.dtype).toBe(expected.dtype)
        expect(got[i]!.shape).toEqual(expected.shape)
        for (let k = 0; k < expected.data.length; k++) {
          const difference = Math.abs(at(got[i]!, k) - at(expected, k))
          // float32 sums of some thousand terms.
          expect(difference).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(at(expected, k))))
        }
      })
    })
  }
}
