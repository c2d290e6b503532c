// Every stored model of its own format on its native target, against the answers that its own runtime gave (STRATA_ASSETS).
//
//   node bench/natives.ts [--target litert] [--only PATTERN] [--kernels default|builtin|reference] [--trust]
//
// Prints the largest difference of each; differences between versions of a runtime and between its sets of kernels are real.

import { parseArgs } from 'node:util'
import { nativeTargets } from '../src/targets/python/native.ts'
import {
  largestDifference,
  row,
  type StoredModel,
  storedAnswers,
  storedInputs,
  storedModels,
  storedPath,
} from '../test/stored.ts'

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    only: { type: 'string', default: '' },
    kernels: { type: 'string' },
    trust: { type: 'boolean', default: false },
  },
})

/** By ending: the stored files are named after their formats. */
const files: Readonly<Record<string, RegExp>> = {
  litert: /\.tflite$/,
  tensorflow: /(savedmodel|\.pb|(?<!weights)\.h5|\.keras)$/,
  torch: /\.(pt|pt2)$/,
  'onnxruntime-python': /\.onnx$/,
}
const kind = values.kernels === 'reference' ? 'ref' : values.kernels === 'builtin' ? 'blt' : 'out'

/** For each of `have`, the place of its namesake in `want`, else its own. */
const places = (have: readonly { name: string }[], want: readonly { name: string }[]): number[] =>
  have.map((v, i) => {
    const k = want.findIndex((w) => w.name.replace(/:0$/, '') === v.name.replace(/:0$/, ''))
    return k < 0 ? i : k
  })

async function difference(target: (typeof nativeTargets)[number], model: StoredModel): Promise<number> {
  const executable = await target.load(storedPath(model), {
    trust: values.trust,
    ...(values.kernels && { kernels: values.kernels }),
  })
  try {
    const inputs = places(executable.inputs, model.inputs).map((k) => storedInputs(model)[k]!)
    const answers = storedAnswers(model, kind) ?? storedAnswers(model)!
    const outputs = places(executable.outputs, model.outputs).map((k) => answers[k]!)
    const one = executable.inputs.some((v) => v.type.kind === 'tensor' && v.type.shape?.[0] === 1)
    let largest = 0
    for (let r = 0; r < (one ? 4 : 1); r++) {
      const got = await executable.run(one ? inputs.map((t) => row(t, r)) : inputs)
      got.forEach((t, i) => {
        largest = Math.max(largest, largestDifference(t, one ? row(outputs[i]!, r) : outputs[i]!))
      })
    }
    return largest
  } finally {
    await executable.dispose()
  }
}

console.log('| target | file | its runtime | largest difference |')
console.log('| --- | --- | --- | --- |')
for (const target of nativeTargets) {
  if (values.target && target.name !== values.target) continue
  const presence = await target.presence()
  if (!presence.present) {
    console.log(`| ${target.name} | | | absent: ${presence.reason} |`)
    continue
  }
  const wanted = (m: StoredModel): boolean =>
    files[target.name]!.test(m.file) && new RegExp(values.only).test(`${m.network}/${m.file}`)
  for (const model of storedModels(wanted)) {
    const off = await difference(target, model).then(
      (d) => d.toExponential(1),
      (e: unknown) => (e instanceof Error ? e.message : String(e)),
    )
    console.log(`| ${target.name} | ${model.network}/${model.file} | ${model.runtime} | ${off} |`)
  }
}
