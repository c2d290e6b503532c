// The options of custom operators in FlexBuffers form: a map from names to numbers. Only that is read; every place is checked.
// Layout: https://flatbuffers.dev/flatbuffers_internals/#flexbuffers

import { InputError } from '../../core/errors.ts'

const type = {
  int: 1,
  uint: 2,
  float: 3,
  indirectInt: 6,
  indirectUint: 7,
  indirectFloat: 8,
  map: 9,
  bool: 26,
}

/** The numbers (and truth values, as 0 and 1) of a map; entries of other kinds are left out. */
export function flexBufferNumbers(bytes: Uint8Array, where: string): Map<string, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const fail = (what: string): never => {
    throw new InputError(`${where}: options, ${what}`)
  }
  const need = (at: number, count: number): void => {
    if (at < 0 || at + count > bytes.length) fail(`expected ${count} bytes at ${at} of ${bytes.length}`)
  }
  const unsigned = (at: number, width: number): number => {
    need(at, width)
    if (width === 1) return view.getUint8(at)
    if (width === 2) return view.getUint16(at, true)
    if (width === 4) return view.getUint32(at, true)
    return Number(view.getBigUint64(at, true))
  }
  const signed = (at: number, width: number): number => {
    need(at, width)
    if (width === 1) return view.getInt8(at)
    if (width === 2) return view.getInt16(at, true)
    if (width === 4) return view.getInt32(at, true)
    return Number(view.getBigInt64(at, true))
  }
  const float = (at: number, width: number): number => {
    need(at, width)
    if (width === 4) return view.getFloat32(at, true)
    return width === 8 ? view.getFloat64(at, true) : fail(`a float of ${width} bytes`)
  }
  const name = (at: number): string => {
    let end = at
    while (end < bytes.length && bytes[end] !== 0) end++
    need(at, end - at + 1)
    return new TextDecoder().decode(bytes.subarray(at, end))
  }
  need(bytes.length - 3, 3)
  const rootWidth = bytes[bytes.length - 1]!
  const packed = bytes[bytes.length - 2]!
  if (packed >> 2 !== type.map || ![1, 2, 4, 8].includes(rootWidth)) return fail('expected a map')
  const root = bytes.length - 2 - rootWidth
  const map = root - unsigned(root, rootWidth)
  // Before the values: where the keys are, how wide they are, how many.
  const width = 1 << (packed & 3)
  const keys = map - 3 * width - unsigned(map - 3 * width, width)
  const keyWidth = unsigned(map - 2 * width, width)
  const count = unsigned(map - width, width)
  if (count > bytes.length || ![1, 2, 4, 8].includes(keyWidth)) return fail(`${count} entries`)
  const out = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    const key = keys + i * keyWidth
    const at = map + i * width
    need(map + count * width + i, 1)
    const kind = bytes[map + count * width + i]!
    const target = (): number => at - unsigned(at, width)
    const wide = 1 << (kind & 3)
    const values: Record<number, () => number> = {
      [type.int]: () => signed(at, width),
      [type.uint]: () => unsigned(at, width),
      [type.float]: () => float(at, width),
      [type.indirectInt]: () => signed(target(), wide),
      [type.indirectUint]: () => unsigned(target(), wide),
      [type.indirectFloat]: () => float(target(), wide),
      [type.bool]: () => unsigned(at, width),
    }
    const value = values[kind >> 2]
    if (value) out.set(name(key - unsigned(key, keyWidth)), value())
  }
  return out
}
