// Every TF.js file of models/formats gives the answers that were computed from it when it was made.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, type TestContext, test } from 'vitest'
import { at, type Tensor } from '../../core/tensor.ts'
import { readNpz } from '../../data/npz.ts'
import { evaluate } from '../../ir/evaluate.ts'
import { verify } from '../../ir/verify.ts'
import { readTfjs } from './read.ts'

const assets = process.env.STRATA_ASSETS
const folder = assets ? join(assets, 'models/formats') : ''

type Record = {
  network: string
  file: string
  io: string
  inputs_file: string
  inputs: { src?: number }[]
  outputs: { ref?: number }[]
}

const read = (dir: string) =>
  readTfjs(readFileSync(join(dir, 'model.json')), {
    where: dir,
    shard: (path) => readFileSync(join(dir, path)),
  })

const npz = (path: string): Map<string, Tensor> => readNpz(readFileSync(path), path)

/** The largest difference as a share of the largest expected magnitude. */
function distance(got: Tensor, expected: Tensor): number {
  expect(got.shape).toEqual(expected.shape)
  let most = 0
  let scale = 0
  for (let i = 0; i < expected.data.length; i++) {
    most = Math.max(most, Math.abs(at(got, i) - at(expected, i)))
    scale = Math.max(scale, Math.abs(at(expected, i)))
  }
  return most / scale
}

const records: Record[] = assets
  ? [
      ...(JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Record[]).filter((r) =>
        r.file.startsWith('tfjs-'),
      ),
      // Its runtime can't run it ("bias must be 1-dimensional"): the answers are those of the same network in Keras.
      {
        network: 'lstm',
        file: 'tfjs-graph',
        io: 'keras3.keras.io.npz',
        inputs_file: 'inputs-nhwc.npz',
        inputs: [{ src: 0 }],
        outputs: [{ ref: 0 }],
      },
    ]
  : []

describe('models that come with the repository', () => {
  const own = join(import.meta.dirname, '../../../test/assets/models/tfjs')

  test('a graph model with loops, TensorLists and a mask gives the answers of Keras', () => {
    const graph = read(join(own, 'lstm-graph'))
    expect(verify(graph)).toEqual([])
    expect(graph.nodes.filter((n) => n.op === 'loop')).toHaveLength(3)
    const ids = npz(join(own, 'lstm-inputs.npz')).get('in0')!
    const [got] = evaluate(graph, [ids]) as [Tensor]
    expect(distance(got, npz(join(own, 'lstm-graph.io.npz')).get('out0')!)).toBeLessThan(1e-5)
  })

  test('a layers model of awkward layers with uint8 weights gives its own answers', () => {
    const graph = read(join(own, 'odds-layers-u8'))
    expect(verify(graph)).toEqual([])
    const inputs = npz(join(own, 'odds-inputs.npz'))
    const answers = npz(join(own, 'odds-layers-u8.io.npz'))
    const outputs = evaluate(graph, [inputs.get('in0')!, inputs.get('in1')!]) as Tensor[]
    expect(outputs).toHaveLength(3)
    outputs.forEach((got, i) => {
      expect(distance(got, answers.get(`out${i}`)!)).toBeLessThan(1e-5)
    })
  })
})

describe('TF.js models give their own answers', () => {
  test('the folder that STRATA_ASSETS names holds TF.js models', (c: TestContext) => {
    if (!assets) c.skip('STRATA_ASSETS is unset')
    expect(records.length).toBeGreaterThanOrEqual(20)
  })
  for (const r of records) {
    test(`${r.network}/${r.file}`, () => {
      const graph = read(join(folder, r.network, r.file))
      expect(verify(graph)).toEqual([])
      const shared = npz(join(folder, r.network, r.inputs_file))
      const answers = npz(join(folder, r.network, r.io))
      const own = r.inputs_file === r.io
      const inputs = r.inputs.map((input, k) => {
        const t = shared.get(`in${own ? k : (input.src ?? k)}`)!
        return {
          ...t,
          shape: [4, ...t.shape.slice(1)],
          data: t.data.slice(0, (t.data.length / t.shape[0]!) * 4),
        }
      })
      const outputs = evaluate(graph, inputs as Tensor[]) as Tensor[]
      expect(outputs.length).toBe(r.outputs.length)
      outputs.forEach((got, i) => {
        // float32 runtimes against float64 sums: a few units of 2^-24 for every value that was added.
        expect(distance(got, answers.get(`out${i}`)!)).toBeLessThan(1e-5)
      })
    })
  }
})
