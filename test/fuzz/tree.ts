// Mutations of a decoded document (JSON, a protobuf message): it stays well formed, so that they reach the code behind the parser.

import type { Rng } from '../../src/core/rng.ts'

type Slot = { readonly holder: Record<string, unknown>; readonly key: string }

/** Every place in the document that holds a value. Long lists of plain numbers count as one value. */
function slotsOf(root: object): Slot[] {
  const slots: Slot[] = []
  const stack: object[] = [root]
  while (stack.length) {
    const holder = stack.pop() as Record<string, unknown>
    const keys = Object.keys(holder)
    const plain = Array.isArray(holder) && keys.length > 16 && typeof holder[0] !== 'object'
    for (const key of plain ? keys.slice(0, 4) : keys) {
      if (key.startsWith('$')) continue
      const v = holder[key]
      slots.push({ holder, key })
      if (typeof v === 'object' && v !== null && !ArrayBuffer.isView(v)) stack.push(v)
    }
  }
  return slots
}

const wholes = [0, 1, -1, 2, 3, 7, 127, 2147483647, -2147483648]
const bigs = [0n, 1n, -1n, 2n, 2n ** 31n, 2n ** 53n, 2n ** 62n, -(2n ** 63n)]
const names = ['', '__proto__', 'constructor', '../../etc/passwd', '\u0000', 'x'.repeat(1000)]

function changedValue(v: unknown, slots: readonly Slot[], r: Rng): unknown {
  const another = (): unknown => {
    // A value of the same kind from elsewhere in the document; a copy, or the document could come to hold itself.
    for (let i = 0; i < 32; i++) {
      const { holder, key } = slots[r.below(slots.length)]!
      const w = holder[key]
      if (typeof w === typeof v && Array.isArray(w) === Array.isArray(v)) return structuredClone(w)
    }
    return v
  }
  switch (typeof v) {
    case 'number':
      if (!Number.isInteger(v)) return [0, -v, v * 1e6, 1e38][r.below(4)]
      return r.below(3) ? wholes[r.below(wholes.length)] : v + (r.below(2) ? 1 : -1)
    case 'bigint':
      return r.below(3) ? bigs[r.below(bigs.length)] : v + (r.below(2) ? 1n : -1n)
    case 'string':
      return r.below(3) ? another() : names[r.below(names.length)]
    case 'boolean':
      return !v
  }
  if (v instanceof Uint8Array)
    return r.below(2) ? v.subarray(0, r.below(v.length + 1)) : new Uint8Array(r.below(64))
  if (!Array.isArray(v)) return v === null || v === undefined ? v : another()
  const list = [...v]
  const at = r.below(list.length + 1)
  const kind = r.below(5)
  if (kind === 0) list.splice(at, 1)
  else if (kind === 1 && list.length) list.splice(at, 0, list[r.below(list.length)])
  else if (kind === 2) list.reverse()
  else if (kind === 3) list.length = 0
  else if (list.length > 1) [list[0], list[list.length - 1]] = [list.at(-1), list[0]]
  return list
}

/** Changes one to four values of the document in place. */
export function mutateTree(root: object, r: Rng): void {
  for (let k = 1 + r.below(4); k > 0; k--) {
    const slots = slotsOf(root)
    if (slots.length === 0) return
    const { holder, key } = slots[r.below(slots.length)]!
    if (r.below(20) === 0 && !Array.isArray(holder)) delete holder[key]
    else holder[key] = changedValue(holder[key], slots, r)
  }
}
