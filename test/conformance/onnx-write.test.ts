// Read, written and run again in onnxruntime: the same bits as from the original file.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type * as Ort from 'onnxruntime-node'
import { describe, expect, type TestContext, test } from 'vitest'
import { bytesOfTensor, sizeOf, type Tensor, tensor } from '../../src/core/tensor.ts'
import { readNpz } from '../../src/data/npz.ts'
import { readOnnx } from '../../src/formats/onnx/read.ts'
import { writeOnnx } from '../../src/formats/onnx/write.ts'
import type { Graph } from '../../src/ir/types.ts'
import { fromOrt, toOrt } from '../../src/targets/ort.ts'
import { loadPackage } from '../../src/targets/package.ts'
import { conformanceCases, dataSets, modelOf, needsConformance } from './onnx-data.ts'

const found = await loadPackage<typeof Ort>('onnxruntime-node')
const ort = found.module
const needsRuntime = (context: TestContext): void => {
  if (!found.module) context.skip(`onnxruntime-node: ${found.reason}`)
}
const assets = process.env.STRATA_ASSETS

async function run(
  model: Uint8Array,
  inputs: readonly Tensor[],
  level: 'disabled' | 'all',
): Promise<Tensor[]> {
  const session = await ort!.InferenceSession.create(model, {
    graphOptimizationLevel: level,
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
  })
  try {
    const feeds = Object.fromEntries(session.inputNames.map((n, i) => [n, toOrt(ort!, inputs[i]!)]))
    const results = await session.run(feeds)
    return session.outputNames.map((n) => fromOrt(results[n]!))
  } finally {
    await session.release()
  }
}

const content = (t: Tensor): string =>
  `${t.dtype}[${t.shape}] ${t.dtype === 'string' ? JSON.stringify(t.data) : Buffer.from(bytesOfTensor(t)).toString('base64')}`

/** 'unrunnable' where onnxruntime refuses the original itself. */
async function compare(
  name: string,
  model: Uint8Array,
  inputsFor: (g: Graph) => readonly Tensor[],
  level: 'disabled' | 'all',
): Promise<'same' | 'different' | 'unrunnable'> {
  const graph = readOnnx(model, { where: name })
  const inputs = inputsFor(graph)
  let expected: Tensor[]
  try {
    expected = await run(model, inputs, level)
  } catch {
    return 'unrunnable'
  }
  const got = await run(writeOnnx(graph), inputs, level)
  return got.map(content).join() === expected.map(content).join() ? 'same' : 'different'
}

const random = 'random numbers'
const spelledOut = 'spelled out in operators that onnxruntime sums in another order'
/** Cases of the node suite whose bits differ, with the reason. */
const nodeExceptions: Readonly<Record<string, string>> = {
  test_batchnorm_epsilon_training_mode: spelledOut,
  test_batchnorm_example_training_mode: spelledOut,
  test_bernoulli: random,
  test_bernoulli_double: random,
  test_bernoulli_double_expanded: random,
  test_bernoulli_expanded: random,
  test_mvn: spelledOut,
}
/** onnxruntime joins more operators (FusedMatMul, BiasGelu) than in the original. */
const moreFusions = 'the written file states inner shapes that the original leaves open'
/** Files of models/formats whose bits differ, by level, with the reason. */
const fileExceptions: Readonly<Record<string, string>> = {
  'disabled lstm/ort132-dynamic-u8.onnx': 'DynamicQuantizeLSTM is written out as a scan',
  'all lstm/ort132-dynamic-u8.onnx': 'DynamicQuantizeLSTM is written out as a scan',
  'disabled transformer/ort132-optimised-extended.onnx':
    "onnxruntime's own fused operators are written as what they consist of",
  'all transformer/torch113-ts11.onnx': moreFusions,
  'all transformer/torch113-ts13.onnx': moreFusions,
}

describe('written ONNX gives the same bits in onnxruntime', () => {
  test("every node case of ONNX's conformance data that it runs", async (context) => {
    needsConformance(context)
    needsRuntime(context)
    const outcomes: Record<string, string[]> = { same: [], different: [], unrunnable: [] }
    for (const name of conformanceCases('node')) {
      const inputs = (g: Graph): readonly Tensor[] => dataSets('node', name, g)[0]!.inputs as Tensor[]
      outcomes[await compare(name, modelOf('node', name), inputs, 'disabled')]!.push(name)
    }
    const seeded = outcomes.different!.filter((name) => nodeExceptions[name] !== random)
    expect(seeded).toEqual(Object.keys(nodeExceptions).filter((name) => nodeExceptions[name] !== random))
    expect(outcomes.same!.length).toBeGreaterThan(820)
  })

  type Entry = { network: string; file: string; inputs_file: string; inputs: { src: number }[] }
  const folder = join(assets ?? '', 'models', 'formats')
  const files = assets
    ? (JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Entry[]).filter((e) =>
        e.file.endsWith('.onnx'),
      )
    : []
  for (const level of ['disabled', 'all'] as const) {
    test(`every file of models/formats (STRATA_ASSETS), optimisation ${level}`, async (context) => {
      if (!assets) context.skip('STRATA_ASSETS is unset')
      needsRuntime(context)
      const different: string[] = []
      for (const e of files) {
        const name = `${e.network}/${e.file}`
        const given = readNpz(readFileSync(join(folder, e.network, e.inputs_file)), e.inputs_file)
        // A model of batch one gets the first input.
        const inputs = (g: Graph): Tensor[] =>
          e.inputs.map((input, i) => {
            const t = given.get(`in${input.src}`)!
            const { type } = g.values[g.inputs[i]!]!
            const batch = type.kind === 'tensor' ? type.shape?.[0] : null
            if (batch !== 1) return t
            return tensor(t.dtype, [1, ...t.shape.slice(1)], t.data.slice(0, sizeOf(t.shape.slice(1))))
          })
        const outcome = await compare(name, readFileSync(join(folder, name)), inputs, level)
        if (outcome === 'different') different.push(`${level} ${name}`)
      }
      expect(different).toEqual(Object.keys(fileExceptions).filter((k) => k.startsWith(`${level} `)))
    })
  }
})
