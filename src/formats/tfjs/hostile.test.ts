// What a broken or hostile TF.js model is answered with: an InputError that names what was seen, quickly, and nothing is run.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { InputError, UnsupportedError } from '../../core/errors.ts'
import { rng } from '../../core/rng.ts'
import { readTfjs } from './read.ts'

const assets = join(import.meta.dirname, '../../../test/assets/models/tfjs')
const file = (model: string, name: string): Uint8Array => readFileSync(join(assets, model, name))

type Json = { [key: string]: never } & Record<string, unknown>
/** A model of the repository, changed. */
function readChanged(
  model: string,
  change: (json: Json) => void,
  bytes?: (b: Uint8Array) => Uint8Array,
): unknown {
  const json = JSON.parse(new TextDecoder().decode(file(model, 'model.json'))) as Json
  change(json)
  return readTfjs(new TextEncoder().encode(JSON.stringify(json)), {
    where: 'model.json',
    shard: (path) => (bytes ?? ((b) => b))(file(model, path)),
  })
}

type Manifest = {
  paths: string[]
  weights: { name: string; shape: number[]; dtype: string; quantization?: unknown }[]
}[]
const manifestOf = (j: Json): Manifest => j.weightsManifest as unknown as Manifest
const nodesOf = (j: Json): { name: string; op: string; input?: string[]; attr?: unknown }[] =>
  (j.modelTopology as unknown as { node: [] }).node
type LayerJson = {
  class_name: string
  name?: string
  config: Record<string, unknown>
  inbound_nodes: unknown[]
}
const layersOf = (j: Json): LayerJson[] =>
  (j.modelTopology as unknown as { model_config: { config: { layers: LayerJson[] } } }).model_config.config
    .layers

describe('weights', () => {
  test('a shard that ends early', () => {
    expect(() =>
      readChanged(
        'odds-layers-u8',
        () => {},
        (b) => b.subarray(0, b.length - 3),
      ),
    ).toThrow(/weight vec36\/bias of shape \[36\] needs 36 bytes, but only 33 are left/)
  })
  test('a shard with more than its weights', () => {
    expect(() =>
      readChanged(
        'odds-layers-u8',
        () => {},
        (b) => new Uint8Array(b.length + 4),
      ),
    ).toThrow(/the weights take \d+ bytes, but group1-shard1of1.bin hold \d+/)
  })
  test('a shape of more elements than any file has', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        manifestOf(j)[0]!.weights[0]!.shape = [2 ** 31, 2 ** 31]
      }),
    ).toThrow(/absurd shape/)
  })
  test('a shape that takes the whole memory is refused before anything is allocated', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        manifestOf(j)[0]!.weights[0]!.shape = [2 ** 40]
      }),
    ).toThrow(/needs 1099511627776 bytes/)
  })
  test('an unknown type', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        manifestOf(j)[0]!.weights[0]!.dtype = 'complex64'
      }),
    ).toThrow(/of type complex64, expected float32/)
  })
  test('a path that leaves the folder', () => {
    for (const path of ['../secret', '/etc/passwd', 'a/../../b', 'http://host/x', 'C:\\x', '']) {
      expect(() =>
        readChanged('odds-layers-u8', (j) => {
          manifestOf(j)[0]!.paths = [path]
        }),
      ).toThrow(/expected a file beside the model/)
    }
  })
  test('one shard listed again and again', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        manifestOf(j)[0]!.paths = ['group1-shard1of1.bin', 'group1-shard1of1.bin']
      }),
    ).toThrow(/group1-shard1of1.bin is listed twice/)
  })
  test('weights of other layers', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        for (const w of manifestOf(j)[0]!.weights) w.name = w.name.replace('sep/', 'other/')
      }),
    ).toThrow(/layer sep: weight depthwise_kernel is missing/)
  })
  test('a kernel of another shape than its layer says', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        layersOf(j).find((l) => l.name === 'dil')!.config.filters = 9
      }),
    ).toThrow(/layer dil: weight kernel: expected shape \[3,3,8,9\], got \[3,3,8,8\]/)
  })
})

describe('topologies', () => {
  test('a Lambda layer is refused by name, with everything else that is unknown', () => {
    let error: unknown
    try {
      readChanged('odds-layers-u8', (j) => {
        const layers = layersOf(j)
        layers.find((l) => l.name === 'leaky')!.class_name = 'Lambda'
        layers.find((l) => l.name === 'elu')!.class_name = 'MyLayer'
      })
    } catch (e) {
      error = e
    }
    expect(error).toBeInstanceOf(UnsupportedError)
    expect((error as UnsupportedError).unsupported.map((u) => u.op).sort()).toEqual([
      'Lambda (code)',
      'MyLayer',
    ])
  })
  test('layers that feed each other in a circle', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        layersOf(j).find((l) => l.name === 'pad')!.inbound_nodes = [[['elu', 0, 0, {}]]]
      }),
    ).toThrow(/its inputs are never made, or depend on itself/)
  })
  test('a layer that is no layer of the model', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        layersOf(j).find((l) => l.name === 'pad')!.inbound_nodes = [[['nothing', 0, 0, {}]]]
      }),
    ).toThrow(/refers to "nothing", which is no layer of the model/)
  })
  test('models in models without end', () => {
    expect(() =>
      readChanged('odds-layers-u8', (j) => {
        let inner: LayerJson = { class_name: 'Sequential', config: { layers: [] }, inbound_nodes: [] }
        for (let i = 0; i < 1000; i++)
          inner = { class_name: 'Sequential', config: { name: `m${i}`, layers: [inner] }, inbound_nodes: [] }
        ;(j.modelTopology as unknown as { model_config: LayerJson }).model_config = inner
      }),
    ).toThrow(/nested deeper than 32/)
  })
  test('nodes that feed each other in a circle', () => {
    expect(() =>
      readChanged('lstm-graph', (j) => {
        const nodes = nodesOf(j)
        const softmax = nodes.find((n) => n.op === 'Softmax')!
        nodes.find((n) => n.name === softmax.input![0])!.input![0] = softmax.name
      }),
    ).toThrow(/depends on itself/)
  })
  test('a chain of thirty thousand nodes neither overflows nor hangs', () => {
    const node = [
      {
        name: 'x',
        op: 'Placeholder',
        attr: { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim: [{ size: '2' }] } } },
      },
      ...Array.from({ length: 30000 }, (_, i) => ({
        name: `n${i}`,
        op: 'Relu',
        input: [i ? `n${i - 1}` : 'x'],
      })),
    ]
    const json = { format: 'graph-model', modelTopology: { node }, weightsManifest: [] }
    const graph = readTfjs(new TextEncoder().encode(JSON.stringify(json)), {
      where: 'long',
      shard: () => new Uint8Array(0),
    })
    expect(graph.nodes).toHaveLength(30000)
  })
  test('every operator that is unknown is named at once', () => {
    expect(() =>
      readChanged('lstm-graph', (j) => {
        for (const n of nodesOf(j)) {
          if (n.op === 'Softmax') n.op = 'RunShell'
          if (n.op === 'ReverseV2') n.op = 'PyFunc'
        }
      }),
    ).toThrow(/not supported: (RunShell; PyFunc ×3|PyFunc ×3; RunShell)/)
  })
  test('a document that is none of this', () => {
    const read = (text: string) => () =>
      readTfjs(new TextEncoder().encode(text), { where: 'x', shard: () => new Uint8Array(0) })
    expect(read('{')).toThrow(/x: not JSON/)
    expect(read('[]')).toThrow(/x: expected an object, got /)
    expect(read('{"a": 1}')).toThrow(/not a TensorFlow.js model, expected the key modelTopology, got a/)
  })
})

/** Values that stand in hostile files: of wrong types, absurd sizes and signs. */
const rubbish = [null, -1, 0, 1e308, 2 ** 31, 'x', '', [], {}, true, [null], ['a', 0, 0], { class_name: 'x' }]

test('hundreds of mutated documents each give a graph or an error of the file, never a bug', () => {
  const random = rng(7)
  let refused = 0
  for (const model of ['odds-layers-u8', 'lstm-graph']) {
    const text = new TextDecoder().decode(file(model, 'model.json'))
    for (let i = 0; i < (model === 'lstm-graph' ? 100 : 400); i++) {
      const json = JSON.parse(text) as unknown
      mutate(json)
      try {
        readTfjs(new TextEncoder().encode(JSON.stringify(json)), {
          where: model,
          shard: (p) => file(model, p),
        })
      } catch (e) {
        if ((e as { code?: string }).code === 'ENOENT') continue
        refused++
        expect(e instanceof InputError || e instanceof UnsupportedError, (e as Error).stack).toBe(true)
      }
    }
  }
  expect(refused).toBeGreaterThan(100)

  /** Replaces, removes or swaps something at a random place. */
  function mutate(json: unknown): void {
    let at = json as Record<string, unknown>
    for (let depth = 0; depth < 12; depth++) {
      const keys = Object.keys(at)
      if (keys.length === 0) return
      const key = keys[random.below(keys.length)]!
      const next = at[key]
      if (typeof next === 'object' && next !== null && random.next() < 0.85) {
        at = next as Record<string, unknown>
        continue
      }
      if (random.next() < 0.2) delete at[key]
      else at[key] = structuredClone(rubbish[random.below(rubbish.length)])
      return
    }
  }
})
