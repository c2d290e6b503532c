// ONNX's own conformance data: the Debian package libonnx-testdata. A case is a model and sets of inputs with their outputs.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import type { TestContext } from 'vitest'
import { at, type Tensor } from '../../src/core/tensor.ts'
import { readTensorFile } from '../../src/formats/onnx/tensors.ts'
import { type Datum, type Graph, isTensor, type Type } from '../../src/ir/types.ts'

export const conformanceFolder = '/usr/share/libonnx-testdata/data'
export const conformancePresent = existsSync(conformanceFolder)
/** Skips a test, with the reason, where the data isn't there. */
export function needsConformance(context: TestContext): void {
  if (!conformancePresent) context.skip('the Debian package libonnx-testdata is absent')
}
export const conformanceSuites = ['node', 'simple', 'pytorch-converted', 'pytorch-operator'] as const
export type ConformanceSuite = (typeof conformanceSuites)[number]

export const conformanceCases = (suite: ConformanceSuite): string[] =>
  readdirSync(join(conformanceFolder, suite)).sort()

/** Bytes of every field of a message, by field number. */
function fields(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const out = new Map<number, Uint8Array[]>()
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag()
    if (wire === 2) out.set(field, [...(out.get(field) ?? []), reader.bytes()])
    else reader.skip(wire)
  }
  return out
}

/** A tensor, SequenceProto (field 3: tensors) or OptionalProto (field 3: a tensor, 5: a sequence), as the type says. */
export function readDatum(bytes: Uint8Array, type: Type): Datum {
  if (type.kind === 'tensor') {
    const t = readTensorFile(bytes, 'data')
    // The data holds bfloat16 as its bits.
    return type.dtype === 'bfloat16' && t.dtype === 'uint16' ? { ...t, dtype: 'bfloat16' } : t
  }
  const parts = fields(bytes)
  if (type.kind === 'sequence') return (parts.get(3) ?? []).map((b) => readTensorFile(b, 'data'))
  const content = parts.get(type.element.kind === 'sequence' ? 5 : 3)?.[0]
  return content ? readDatum(content, type.element) : null
}

export type DataSet = { readonly inputs: readonly Datum[]; readonly outputs: readonly Datum[] }

export const modelOf = (suite: ConformanceSuite, name: string): Uint8Array =>
  readFileSync(join(conformanceFolder, suite, name, 'model.onnx'))

export function dataSets(suite: ConformanceSuite, name: string, graph: Graph): DataSet[] {
  const folder = join(conformanceFolder, suite, name)
  const read = (set: string, kind: string, values: readonly number[]): Datum[] =>
    values.map((v, i) => readDatum(readFileSync(join(folder, set, `${kind}_${i}.pb`)), graph.values[v]!.type))
  return readdirSync(folder)
    .filter((f) => f.startsWith('test_data_set_'))
    .map((set) => ({
      inputs: read(set, 'input', graph.inputs),
      outputs: read(set, 'output', graph.outputs),
    }))
}

/** ONNX's runner: onnx.backend.test uses numpy's assert_allclose with these. */
const [relative, absolute] = [1e-3, 1e-7]

/** Why `got` doesn't pass for `expected`; undefined where it does. */
export function difference(got: Datum | undefined, expected: Datum): string | undefined {
  if (!isTensor(expected)) {
    if (expected === null) return got === null ? undefined : 'expected an empty optional'
    if (!Array.isArray(got) || got.length !== (expected as Datum[]).length)
      return `expected a sequence of ${(expected as Datum[]).length}`
    for (const [i, e] of (expected as Datum[]).entries()) {
      const why = difference(got[i] as Datum, e)
      if (why) return `entry ${i}: ${why}`
    }
    return undefined
  }
  if (!isTensor(got)) return 'expected a tensor'
  return tensorDifference(got, expected)
}

function tensorDifference(got: Tensor, expected: Tensor): string | undefined {
  if (got.dtype !== expected.dtype) return `type ${got.dtype}, expected ${expected.dtype}`
  if (got.shape.join() !== expected.shape.join()) return `shape [${got.shape}], expected [${expected.shape}]`
  for (let i = 0; i < expected.data.length; i++) {
    if (typeof expected.data[i] === 'string' || typeof expected.data[i] === 'bigint') {
      if (got.data[i] !== expected.data[i]) return `[${i}] ${got.data[i]}, expected ${expected.data[i]}`
      continue
    }
    const [a, b] = [at(got, i), at(expected, i)]
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    if (!(Math.abs(a - b) <= absolute + relative * Math.abs(b))) return `[${i}] ${a}, expected ${b}`
  }
  return undefined
}
