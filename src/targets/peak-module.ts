// A hand-made WebAssembly module that does nothing but arithmetic in registers: its rate is the peak of the engine.

const leb = (n: number): number[] => {
  const out: number[] = []
  do {
    out.push((n & 127) | (n > 127 ? 128 : 0))
    n >>>= 7
  } while (n > 0)
  return out
}
const section = (id: number, body: readonly number[]): number[] => [id, ...leb(body.length), ...body]
const vector = (items: readonly (readonly number[])[]): number[] => [...leb(items.length), ...items.flat()]
const simd = (code: number): number[] => [0xfd, ...leb(code)]
const get = (local: number): number[] => [0x20, ...leb(local)]
const set = (local: number): number[] => [0x21, ...leb(local)]
const i32 = (value: number): number[] => [0x41, value]
/** Alignment exponent and offset of a load or store. */
const at = (align: number, offset: number): number[] => [...leb(align), ...leb(offset)]

const op = {
  load: simd(0),
  load32Splat: simd(9),
  store: simd(11),
  f32x4Add: simd(0xe4),
  f32x4Mul: simd(0xe6),
  i32x4Add: simd(0xae),
  i32x4DotI16x8: simd(0xba),
  relaxedMadd: simd(0x105),
} as const

export type PeakKind = 'mul-add' | 'relaxed-madd' | 'dot-i16'

/** Operations (multiplications and additions) of one vector step of 128 bits. */
export const stepOps: Readonly<Record<PeakKind, number>> = { 'mul-add': 8, 'relaxed-madd': 8, 'dot-i16': 16 }

/** Iterations of the loop body in one pass: hides the loop's own instructions. */
export const unroll = 4

/**
 * The module exports `run(n: i32)`: n times `unroll` steps a ← a·m + x on each of `chains` accumulators. They start in and
 * return to adjacent addresses, which is where V8's revectorisation looks for pairs.
 */
export function peakModule(kind: PeakKind, chains: number): Uint8Array<ArrayBuffer> {
  const [n, m, x] = [0, 1, 2]
  const acc = (i: number): number => 4 + i
  // x is a pair too, two equal halves at adjacent addresses.
  const half = (i: number): number => x + (i % 2)
  const step = (i: number): number[] => {
    switch (kind) {
      case 'mul-add':
        return [...get(acc(i)), ...get(m), ...op.f32x4Mul, ...get(half(i)), ...op.f32x4Add, ...set(acc(i))]
      case 'relaxed-madd':
        return [...get(acc(i)), ...get(m), ...get(half(i)), ...op.relaxedMadd, ...set(acc(i))]
      case 'dot-i16':
        return [
          ...get(acc(i)),
          ...get(m),
          ...op.i32x4DotI16x8,
          ...get(half(i)),
          ...op.i32x4Add,
          ...set(acc(i)),
        ]
    }
  }
  const each = (f: (i: number) => number[]): number[] => Array.from({ length: chains }, (_, i) => f(i)).flat()
  const body = [
    ...vector([[...leb(3 + chains), 0x7b]]),
    ...[...i32(0), ...op.load32Splat, ...at(2, 512), ...set(m)],
    ...[...i32(0), ...op.load, ...at(4, 0), ...set(half(0))],
    ...[...i32(0), ...op.load, ...at(4, 16), ...set(half(1))],
    ...each((i) => [...i32(0), ...op.load, ...at(4, 1024 + 16 * i), ...set(acc(i))]),
    ...[0x03, 0x40],
    ...Array.from({ length: unroll }, () => each(step)).flat(),
    // n ← n − 1; again unless 0
    ...[...get(n), ...i32(1), 0x6b, 0x22, n, 0x0d, 0x00],
    0x0b,
    ...each((i) => [...i32(0), ...get(acc(i)), ...op.store, ...at(4, 1024 + 16 * i)]),
    0x0b,
  ]
  const name = (text: string): number[] => [...leb(text.length), ...new TextEncoder().encode(text)]
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector([[0x7f]]), ...vector([])]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, 1]])),
    ...section(
      7,
      vector([
        [...name('run'), 0, 0],
        [...name('memory'), 2, 0],
      ]),
    ),
    ...section(10, vector([[...leb(body.length), ...body]])),
  ])
}
