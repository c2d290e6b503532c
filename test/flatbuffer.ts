// Writes FlatBuffers by the schema as data: how tests make small files, sound or not.

import { Builder } from 'flatbuffers'
import { BugError } from '../src/core/errors.ts'
import type { Field, Schema } from '../src/formats/tflite/flatbuffer.ts'

type Content = Readonly<Record<string, unknown>>

/** Bytes of a scalar, and how a builder writes it. */
const scalars: Readonly<Record<string, [size: number, add: (b: Builder, v: number) => void]>> = {
  bool: [1, (b, v) => b.addInt8(v)],
  i8: [1, (b, v) => b.addInt8(v)],
  u8: [1, (b, v) => b.addInt8(v)],
  i16: [2, (b, v) => b.addInt16(v)],
  u16: [2, (b, v) => b.addInt16(v)],
  i32: [4, (b, v) => b.addInt32(v)],
  u32: [4, (b, v) => b.addInt32(v)],
  i64: [8, (b, v) => b.addInt64(BigInt(v))],
  u64: [8, (b, v) => b.addInt64(BigInt(v))],
  f32: [4, (b, v) => b.addFloat32(v)],
}

const scalar = (kind: string): [number, (b: Builder, v: number) => void] => {
  const s = scalars[kind]
  if (!s) throw new BugError(`encode: no scalar ${kind}`)
  return s
}

function vector(b: Builder, schema: Schema, kind: string, items: ArrayLike<unknown>): number {
  const list = Array.from(items)
  if (kind in scalars) {
    const [size, add] = scalar(kind)
    b.startVector(size, list.length, size)
    for (const v of list.reverse()) add(b, Number(v))
    return b.endVector()
  }
  const offsets = list.map((v) =>
    kind === 'string' ? b.createString(v as string) : table(b, schema, kind, v as Content),
  )
  b.startVector(4, offsets.length, 4)
  for (const o of offsets.reverse()) b.addOffset(o)
  return b.endVector()
}

function table(b: Builder, schema: Schema, name: string, content: Content): number {
  const fields = schema.tables[name]
  if (!fields) throw new BugError(`encode: no table ${name}`)
  const unknown = Object.keys(content).find((k) => k !== 'kind' && !fields.some((f) => f.name === k))
  if (unknown) throw new BugError(`encode: ${name} has no field ${unknown}`)
  const given = fields.filter((f) => content[f.name] !== undefined)
  const offsets = new Map<Field, number>()
  for (const f of given) {
    const v = content[f.name]
    if (f.union) offsets.set(f, table(b, schema, String((v as Content).kind), v as Content))
    else if (f.kind === 'string') offsets.set(f, b.createString(v as string))
    else if (f.kind.startsWith('['))
      offsets.set(f, vector(b, schema, f.kind.slice(1, -1), v as ArrayLike<unknown>))
    else if (f.initial === undefined) offsets.set(f, table(b, schema, f.kind, v as Content))
  }
  b.startObject(Math.max(0, ...fields.map((f) => f.slot + (f.union ? 2 : 1))))
  for (const f of given) {
    const offset = offsets.get(f)
    if (f.union) {
      b.addInt8(schema.unions[f.union]!.indexOf(String((content[f.name] as Content).kind)) + 1)
      b.slot(f.slot)
      b.addFieldOffset(f.slot + 1, offset!, 0)
    } else if (offset !== undefined) b.addFieldOffset(f.slot, offset, 0)
    else {
      scalar(f.kind)[1](b, Number(content[f.name]))
      b.slot(f.slot)
    }
  }
  return b.endObject()
}

/** A file of the given root table. Fields are named as in the schema; a union's member by `kind`. */
export function encodeFlatBuffer(
  schema: Schema,
  root: string,
  identifier: string,
  content: Content,
): Uint8Array {
  const b = new Builder(1024)
  b.finish(table(b, schema, root, content), identifier)
  return b.asUint8Array().slice()
}
