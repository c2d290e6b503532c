// The reference against ONNX's own conformance data, with the tolerance of ONNX's own runner.

import { describe, expect, test } from 'vitest'
import { readOnnx } from '../../src/formats/onnx/read.ts'
import { writeOnnx } from '../../src/formats/onnx/write.ts'
import { evaluate } from '../../src/ir/evaluate.ts'
import { verify } from '../../src/ir/verify.ts'
import {
  type ConformanceSuite,
  conformanceCases,
  conformanceSuites,
  dataSets,
  difference,
  modelOf,
  needsConformance,
} from './onnx-data.ts'
import { onnxGaps } from './onnx-gaps.ts'

/** Why a case doesn't pass; undefined where it does. */
function failure(suite: ConformanceSuite, name: string): string | undefined {
  try {
    const graph = readOnnx(modelOf(suite, name), { where: name })
    const [problem] = verify(graph)
    if (problem) return `${problem.where}: ${problem.what}`
    for (const set of dataSets(suite, name, graph)) {
      const got = evaluate(graph, set.inputs)
      for (const [i, expected] of set.outputs.entries()) {
        const why = difference(got[i], expected)
        if (why) return `output ${i}: ${why}`
      }
    }
  } catch (e) {
    return (e as Error).message
  }
}

describe("ONNX's conformance data (Debian package libonnx-testdata)", () => {
  for (const suite of conformanceSuites) {
    test(`${suite}: the reference passes everything but the listed gaps, and no gap passes`, (context) => {
      needsConformance(context)
      const failed = Object.fromEntries(
        conformanceCases(suite).flatMap((name) => {
          const why = failure(suite, name)
          return why === undefined ? [] : [[name, why]]
        }),
      )
      const names = new Set(conformanceCases(suite))
      expect(Object.keys(failed).sort(), JSON.stringify(failed, null, 1)).toEqual(
        Object.keys(onnxGaps).filter((name) => names.has(name)),
      )
    })
  }

  test('what is read and written reads back to the same answers', (context) => {
    needsConformance(context)
    const different: string[] = []
    for (const name of conformanceCases('node')) {
      if (name in onnxGaps) continue
      const graph = readOnnx(modelOf('node', name), { where: name })
      const again = readOnnx(writeOnnx(graph), { where: `${name}, written` })
      expect(again.outputs.map((v) => again.values[v]!.name)).toEqual(
        graph.outputs.map((v) => graph.values[v]!.name),
      )
      for (const set of dataSets('node', name, graph)) {
        const got = evaluate(again, set.inputs)
        const why = set.outputs.flatMap((expected, i) => difference(got[i], expected) ?? [])
        if (why.length) different.push(`${name}: ${why[0]}`)
      }
    }
    expect(different).toEqual([])
  })
})
