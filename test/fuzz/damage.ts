// Damage to any bytes: what a broken disk, a cut download or an attacker makes of a file.

import type { Rng } from '../../src/core/rng.ts'

const extremes = [
  0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
]

/** A copy of `bytes` with one to eight changes: flipped bits, extreme numbers, moved or zeroed runs, a cut end. */
export function damaged(bytes: Uint8Array, r: Rng): Uint8Array {
  let out = new Uint8Array(bytes)
  // Most of a model is weights, where changes do little: half of the changes go to the ends, where the structure is.
  const place = (room: number): number => {
    const n = Math.max(1, out.length - room)
    const near = Math.min(n, 4096)
    const at = r.below(4)
    return at === 0 ? r.below(near) : at === 1 ? n - 1 - r.below(near) : r.below(n)
  }
  for (let k = 1 + r.below(8); k > 0; k--) {
    const view = new DataView(out.buffer)
    switch (r.below(6)) {
      case 0:
        out[place(1)]! ^= 1 << r.below(8)
        break
      case 1:
        if (out.length > 4) view.setUint32(place(4), extremes[r.below(extremes.length)]!, true)
        break
      case 2:
        if (out.length > 4) view.setUint32(place(4), r.below(out.length + 16), true)
        break
      case 3: {
        const n = Math.min(out.length, 1 + r.below(64))
        out.copyWithin(place(n), place(n), place(n) + n)
        break
      }
      case 4: {
        const at = place(16)
        out.fill(r.below(2) ? 0 : 0xff, at, at + 1 + r.below(16))
        break
      }
      default:
        if (r.below(4) === 0) out = out.slice(0, r.below(out.length + 1))
    }
  }
  return out
}
