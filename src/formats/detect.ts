// Which format a model is in, by its content; names and endings are hints only where the content says nothing.

import { InputError } from '../core/errors.ts'

/** Where a model's bytes come from: a file or a folder, on disk, in a zip or fetched by a page. */
export type ModelFiles = {
  /** What the user named, for messages. */
  readonly where: string
  /** The file itself; undefined where `where` is a folder. */
  readonly file?: Uint8Array
  /** Names in the folder of (or beside) the model. */
  list(): readonly string[]
  /** A file of that folder, by a plain relative name; undefined where there is none. */
  read(name: string): Uint8Array | undefined
}

export const formats = [
  'onnx',
  'tflite',
  'tfjs',
  'hdf5',
  'keras',
  'pytorch',
  'torchscript',
  'pt2',
  'savedmodel',
  'graphdef',
  'safetensors',
  'gguf',
  'text',
] as const
export type Format = (typeof formats)[number]

const ascii = (b: Uint8Array, at: number, text: string): boolean =>
  b.length >= at + text.length && [...text].every((c, i) => b[at + i] === c.charCodeAt(0))

/** Reads a protobuf tag and the length or value after it; undefined where the bytes can't be one. */
function protobufField(b: Uint8Array, at: number): { field: number; wire: number; next: number } | undefined {
  const varint = (from: number): [bigint, number] | undefined => {
    let value = 0n
    for (let i = 0; i < 10; i++) {
      const byte = b[from + i]
      if (byte === undefined) return undefined
      value |= BigInt(byte & 0x7f) << BigInt(7 * i)
      if (byte < 0x80) return [value, from + i + 1]
    }
    return undefined
  }
  const tag = varint(at)
  if (!tag || tag[0] > 0xffffffffn) return undefined
  const [field, wire] = [Number(tag[0] >> 3n), Number(tag[0] & 7n)]
  if (field === 0) return undefined
  if (wire === 1) return { field, wire, next: tag[1] + 8 }
  if (wire === 5) return { field, wire, next: tag[1] + 4 }
  const body = varint(tag[1])
  if (!body) return undefined
  if (wire === 0) return { field, wire, next: body[1] }
  if (wire === 2) return { field, wire, next: body[1] + Number(body[0]) }
  return undefined
}

/** The top-level protobuf fields, as `field:wire`, as far as the bytes follow the grammar (at most 64). */
function protobufShape(b: Uint8Array): { fields: Set<string>; whole: boolean } {
  const fields = new Set<string>()
  let at = 0
  for (let i = 0; i < 64 && at < b.length; i++) {
    const f = protobufField(b, at)
    if (!f) return { fields, whole: false }
    fields.add(`${f.field}:${f.wire}`)
    at = f.next
  }
  return { fields, whole: at === b.length }
}

/** Names in a zip's central directory, without inflating anything. */
export function zipNames(b: Uint8Array): string[] {
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength)
  for (let end = b.length - 22; end >= Math.max(0, b.length - 66000); end--) {
    if (view.getUint32(end, true) !== 0x06054b50) continue
    const count = view.getUint16(end + 10, true)
    let at = view.getUint32(end + 16, true)
    const names: string[] = []
    for (let i = 0; i < count && at + 46 <= b.length && view.getUint32(at, true) === 0x02014b50; i++) {
      const [n, extra, comment] = [
        view.getUint16(at + 28, true),
        view.getUint16(at + 30, true),
        view.getUint16(at + 32, true),
      ]
      names.push(new TextDecoder().decode(b.subarray(at + 46, at + 46 + n)))
      at += 46 + n + extra + comment
    }
    return names
  }
  return []
}

const seen = (b: Uint8Array): string => {
  const head = [...b.subarray(0, 8)].map((x) => x.toString(16).padStart(2, '0')).join(' ')
  return `${b.length} bytes starting ${head}`
}

/** The format; InputError with what was seen where it is none that Strata knows. */
export function detectFormat(files: ModelFiles): Format {
  const b = files.file
  if (!b) {
    const names = files.list()
    if (names.includes('saved_model.pb')) return 'savedmodel'
    if (names.includes('model.json')) return 'tfjs'
    throw new InputError(
      `${files.where}: a folder without a model, expected saved_model.pb or model.json, got ${names.slice(0, 6).join(', ') || 'nothing'}. Name the model file itself.`,
    )
  }
  if (b.length === 0) throw new InputError(`${files.where}: the file is empty`)
  if (ascii(b, 4, 'TFL3')) return 'tflite'
  if (ascii(b, 0, '\x89HDF\r\n\x1a\n')) return 'hdf5'
  if (ascii(b, 0, 'GGUF')) return 'gguf'
  if (ascii(b, 0, 'PK\x03\x04')) {
    const names = zipNames(b)
    const has = (end: string): boolean => names.some((n) => n === end || n.endsWith(`/${end}`))
    if (has('config.json') && has('model.weights.h5')) return 'keras'
    if (has('archive_format') || has('models/model.json')) return 'pt2'
    if (has('constants.pkl')) return 'torchscript'
    if (has('data.pkl')) return 'pytorch'
    throw new InputError(
      `${files.where}: a zip that holds no model, got ${names.slice(0, 4).join(', ') || 'no entries'}`,
    )
  }
  if (
    b.length > 8 &&
    b[8] === 0x7b &&
    new DataView(b.buffer, b.byteOffset).getBigUint64(0, true) < BigInt(b.length)
  )
    return 'safetensors'
  const start = new TextDecoder().decode(b.subarray(0, 256)).trimStart()
  if (start.startsWith('{')) return 'tfjs'
  if (start.startsWith('graph ')) return 'text'
  // A pickle stream: protocol opcode 0x80 and a version.
  if (b[0] === 0x80 && b[1]! >= 2 && b[1]! <= 5) return 'pytorch'
  const { fields } = protobufShape(b)
  // ModelProto has ir_version (1, varint), graph (7), opset_import (8); GraphDef has node (1, bytes), versions (4), library (2).
  if (fields.has('7:2') || (fields.has('1:0') && fields.has('8:2'))) return 'onnx'
  if (fields.has('1:2') && !fields.has('1:0')) return 'graphdef'
  if (fields.has('1:0')) return 'onnx'
  throw new InputError(
    `${files.where}: no known model format, expected ONNX, TensorFlow Lite, TensorFlow.js or a native format, got ${seen(b)}`,
  )
}
