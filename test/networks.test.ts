// Small networks of every kind on every form of what the compiler makes. All of them: bench/every-network.ts.

import { expect, type TestContext, test } from 'vitest'
import { findCompiler } from '../src/targets/c/compiler.ts'
import { checkNetwork, everyForm, networks } from './networks.ts'
import { ownCache } from './own-cache.ts'

ownCache()

const all = networks()
for (const [name, what, onC] of [
  ['ds-cnn', 'depthwise', true],
  ['human-liveness', 'a TensorFlow.js graph model', false],
  ['mediapipe-face-short', 'TensorFlow Lite, float16 weights', false],
  ['vad-v5', 'ONNX, a branch that an input decides', true],
  ['dscnn/tflite221-int8.tflite', 'TensorFlow Lite, integers', false],
  ['lstm/tflite215-f32.tflite', 'TensorFlow Lite, WHILE', false],
  ['lstm/tf2onnx-keras2-op13.onnx', 'ONNX, Scan and Loop', false],
  ['lstm/tfjs-layers', 'TensorFlow.js, a recurrent layer', false],
  ['transformer/torch215-ts17.onnx', 'attention', false],
] as const) {
  const slow = process.env.STRATA_SLOW !== undefined
  const compiler = findCompiler() !== undefined
  test(`${name} (${what}) is within its bounds on every form`, {
    timeout: 120_000,
  }, async (context: TestContext) => {
    const network = all.find((n) => n.name === name)
    if (!network)
      context.skip(name.includes('/') ? 'STRATA_ASSETS is unset' : `the package of ${name} is absent`)
    const model = await network!.open()
    // The C compiler takes seconds a network.
    const forms = everyForm.filter((s) => s.target.name !== 'c' || (compiler && (onC || slow)))
    const { targets } = await checkNetwork(model, network!.inputs(model.graph), forms, 0)
    expect(targets.filter((t) => t.verdict !== 'same' && t.verdict !== 'rounding')).toEqual([])
    expect(targets.length).toBe(forms.length)
  })
}
