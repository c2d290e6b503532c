// A content digest that is the same in Node and in browsers, synchronous and fast. Not for security.

/** 128-bit MurmurHash3 (x86 variant) of bytes, as 32 hex digits. */
export function digest(bytes: Uint8Array, seed = 0): string {
  let h1 = seed
  let h2 = seed
  let h3 = seed
  let h4 = seed
  const c1 = 0x239b961b
  const c2 = 0xab0e9789
  const c3 = 0x38b34ae5
  const c4 = 0xa1e38b93
  const rot = (x: number, r: number): number => (x << r) | (x >>> (32 - r))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const blocks = bytes.length >>> 4
  for (let i = 0; i < blocks; i++) {
    const o = i << 4
    h1 ^= Math.imul(rot(Math.imul(view.getInt32(o, true), c1), 15), c2)
    h1 = (Math.imul((rot(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0
    h2 ^= Math.imul(rot(Math.imul(view.getInt32(o + 4, true), c2), 16), c3)
    h2 = (Math.imul((rot(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0
    h3 ^= Math.imul(rot(Math.imul(view.getInt32(o + 8, true), c3), 17), c4)
    h3 = (Math.imul((rot(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0
    h4 ^= Math.imul(rot(Math.imul(view.getInt32(o + 12, true), c4), 18), c1)
    h4 = (Math.imul((rot(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0
  }
  const tail = new Uint8Array(16)
  tail.set(bytes.subarray(blocks << 4))
  const t = new DataView(tail.buffer)
  h1 ^= Math.imul(rot(Math.imul(t.getInt32(0, true), c1), 15), c2)
  h2 ^= Math.imul(rot(Math.imul(t.getInt32(4, true), c2), 16), c3)
  h3 ^= Math.imul(rot(Math.imul(t.getInt32(8, true), c3), 17), c4)
  h4 ^= Math.imul(rot(Math.imul(t.getInt32(12, true), c4), 18), c1)
  const mix = (h: number): number => {
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return h ^ (h >>> 16)
  }
  const sum = (): void => {
    h1 = (h1 + h2 + h3 + h4) | 0
    h2 = (h2 + h1) | 0
    h3 = (h3 + h1) | 0
    h4 = (h4 + h1) | 0
  }
  h1 ^= bytes.length
  h2 ^= bytes.length
  h3 ^= bytes.length
  h4 ^= bytes.length
  sum()
  h1 = mix(h1)
  h2 = mix(h2)
  h3 = mix(h3)
  h4 = mix(h4)
  sum()
  return [h1, h2, h3, h4].map((h) => (h >>> 0).toString(16).padStart(8, '0')).join('')
}

/** Digest of a text, by its UTF-8 bytes. */
export const digestText = (text: string): string => digest(new TextEncoder().encode(text))
