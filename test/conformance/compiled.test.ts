// What our compiler makes against ONNX's own conformance data: as WebAssembly a case at a time, as C many cases in one program, so that
// the C compiler starts a few times only. The reference's gaps are left out; what the compiler lacks is counted by its reason.

import { describe, expect, test } from 'vitest'
import { compile } from '../../src/compile/compile.ts'
import { prepare, specializeTo, uncompilable } from '../../src/compile/prepare.ts'
import { engines } from '../../src/compile/schedule.ts'
import { UnsupportedError } from '../../src/core/errors.ts'
import { readOnnx } from '../../src/formats/onnx/read.ts'
import { GraphBuilder, GraphCopy } from '../../src/ir/graph.ts'
import type { Datum, Graph } from '../../src/ir/types.ts'
import { findCompiler } from '../../src/targets/c/compiler.ts'
import { c } from '../../src/targets/c.ts'
import { wasm } from '../../src/targets/wasm.ts'
import { ownCache } from '../own-cache.ts'
import {
  conformanceCases,
  conformancePresent,
  conformanceSuites,
  type DataSet,
  dataSets,
  difference,
  modelOf,
} from './onnx-data.ts'
import { onnxGaps } from './onnx-gaps.ts'

type Case = { readonly name: string; readonly graph: Graph; readonly set: DataSet }

/** What the compiler can't do, by reason, in cases. A gap that closes must leave the list. */
const compilerGaps = {
  "a sequence or an optional at the graph's border, or whose length the data decide": 17,
  'control flow that depends on data': 6,
  'dropout in training': 2,
  'not compiled yet': 4,
  'positions of the largest values': 2,
  extrapolation: 1,
  'sampling at computed places is not compiled yet': 10,
  'spectra are not compiled yet': 5,
  strings: 18,
  text: 7,
  'the size of the result depends on the content': 19,
}

const reasonOf = (message: string): string => {
  if (/sequences and optionals|without a static shape/.test(message))
    return "a sequence or an optional at the graph's border, or whose length the data decide"
  return /\(([^()]*)\)(?: ×\d+)?$/.exec(message)?.[1] ?? message.split('not supported: ').at(-1)!
}

/** Every case that the reference passes, with shapes fixed by its data; the others are counted by the reason why they can't be compiled. */
function compilable(): { cases: Case[]; gaps: Record<string, number> } {
  const cases: Case[] = []
  const gaps: Record<string, number> = {}
  for (const suite of conformanceSuites) {
    for (const name of conformanceCases(suite)) {
      if (name in onnxGaps) continue
      const graph = readOnnx(modelOf(suite, name), { where: name })
      try {
        const fixed = dataSets(suite, name, graph).map((set) => {
          const fixed = specializeTo(graph, set.inputs)
          const missing = uncompilable(fixed)
          if (missing.length > 0) throw new UnsupportedError('', missing)
          compile(prepare(fixed), { engine: engines['c-scalar'] })
          return { name: `${suite}/${name}`, graph: fixed, set }
        })
        cases.push(...fixed)
      } catch (e) {
        if (!(e instanceof UnsupportedError)) throw e
        const reason = reasonOf(e.message)
        gaps[reason] = (gaps[reason] ?? 0) + 1
      }
    }
  }
  return { cases, gaps }
}

/** All cases as one graph that shares nothing. */
function together(cases: readonly Case[]): Graph {
  const b = new GraphBuilder('cases')
  for (const { graph } of cases) {
    const copy = new GraphCopy(graph, b)
    for (const n of graph.nodes) copy.node(n)
    copy.finish()
  }
  return b.finish()
}

const wrongIn = ({ name, set }: Case, got: readonly Datum[]): string[] =>
  set.outputs.flatMap((expected, i) => {
    const why = difference(got[i], expected)
    return why === undefined ? [] : [`${name}: output ${i}: ${why}`]
  })

ownCache()

describe.skipIf(!conformancePresent)(
  `ONNX's conformance data compiled${conformancePresent ? '' : ': the Debian package libonnx-testdata is absent'}`,
  () => {
    const { cases, gaps } = conformancePresent ? compilable() : { cases: [], gaps: {} }

    test('every case but the listed gaps can be compiled, and no gap can', () => {
      expect(gaps).toEqual(compilerGaps)
      expect(new Set(cases.map((x) => x.name)).size).toBeGreaterThan(960)
    })

    test('WebAssembly gives the answers of every case', { timeout: 120_000 }, async () => {
      const wrong: string[] = []
      for (const x of cases) {
        const executable = await wasm.load(await wasm.compile(x.graph, { engine: 'safe' }))
        wrong.push(...wrongIn(x, await executable.run(x.set.inputs)))
        await executable.dispose()
      }
      expect(wrong).toEqual([])
    })

    const compiler = findCompiler()
    test.skipIf(!compiler)(
      `C gives the answers of every case (${compiler?.version ?? 'no C compiler'})`,
      { timeout: 300_000 },
      async () => {
        const wrong: string[] = []
        const executable = await c.load(await c.compile(together(cases), {}))
        const got = [...(await executable.run(cases.flatMap((x) => x.set.inputs)))]
        for (const x of cases) wrong.push(...wrongIn(x, got.splice(0, x.graph.outputs.length)))
        expect(wrong).toEqual([])
      },
    )
  },
)
