// Topologies of Keras 2 and 3 as `.keras` files hold them, with the weights of the same networks' TF.js files: the answers are
// those of the `.keras` file's own runtime.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { at, type Tensor } from '../../core/tensor.ts'
import { readZip } from '../../core/zip.ts'
import { readNpz } from '../../data/npz.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { verify } from '../../ir/verify.ts'
import { readTfjs } from '../tfjs/read.ts'

const assets = process.env.STRATA_ASSETS
const folder = assets ? join(assets, 'models/formats') : ''

type Entry = { network: string; file: string; io: string; inputs_file: string; inputs: { src?: number }[] }
const index: Entry[] = assets ? JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) : []

/** Where the weights of a network's Keras family lie. */
const weightsOf: Readonly<Record<string, string>> = {
  dscnn: 'tfjs-layers',
  inception: 'tfjs-layers',
  lstm: 'tfjs-layers',
  odds: 'tfjs-layers',
  transformer: 'tfjs-layers',
  unet: 'tfjs-layers',
  resnet8: 'tfjs-layers-sharded',
}

const cases = ['keras2', 'keras3'].flatMap((version) =>
  Object.keys(weightsOf).map((network) => [version, network] as const),
)
for (const [version, network] of cases) {
  test(`the topology of ${network} as ${version} writes it`, (c: TestContext) => {
    if (!assets) c.skip('STRATA_ASSETS is unset')
    const entry = index.find((r) => r.network === network && r.file === `${version}.keras`)!
    const archive = join(folder, network, entry.file)
    const config = readZip(readFileSync(archive), archive)
      .find((e) => e.name === 'config.json')!
      .read()
    const dir = join(folder, network, weightsOf[network]!)
    const document = JSON.parse(readFileSync(join(dir, 'model.json'), 'utf8'))
    document.modelTopology = {
      keras_version: version === 'keras3' ? '3.15.1' : '2.15.0',
      model_config: JSON.parse(new TextDecoder().decode(config)),
    }
    const graph = readTfjs(new TextEncoder().encode(JSON.stringify(document)), {
      where: archive,
      shard: (p) => readFileSync(join(dir, p)),
    })
    expect(verify(graph)).toEqual([])
    const shared = readNpz(readFileSync(join(folder, network, entry.inputs_file)), network)
    const inputs = entry.inputs.map((input, k): Tensor => {
      const t = shared.get(`in${input.src ?? k}`)!
      return {
        ...t,
        shape: [4, ...t.shape.slice(1)],
        data: t.data.slice(0, (t.data.length / t.shape[0]!) * 4),
      }
    })
    const answers = readNpz(readFileSync(join(folder, network, entry.io)), network)
    ;(evaluate(graph, inputs) as Tensor[]).forEach((got, i) => {
      const expected = answers.get(`out${i}`)!
      expect(got.shape).toEqual(expected.shape)
      // float32 runtimes against float64 sums.
      for (let k = 0; k < expected.data.length; k++)
        expect(Math.abs(at(got, k) - at(expected, k))).toBeLessThan(1e-5)
    })
  })
}
