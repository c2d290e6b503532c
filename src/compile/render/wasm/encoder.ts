// WebAssembly's binary format: LEB128 numbers, sections, and a growing byte buffer. Knows no loops.

/** Value types. */
export const i32 = 0x7f
export const i64 = 0x7e
export const f32 = 0x7d
export const f64 = 0x7c
export const v128 = 0x7b

export class Bytes {
  private data = new Uint8Array(256)
  length = 0

  private room(n: number): void {
    if (this.length + n <= this.data.length) return
    const bigger = new Uint8Array(Math.max(this.data.length * 2, this.length + n))
    bigger.set(this.data.subarray(0, this.length))
    this.data = bigger
  }

  byte(first: number, ...more: number[]): this {
    this.room(1 + more.length)
    this.data[this.length++] = first
    for (const b of more) this.data[this.length++] = b
    return this
  }

  bytes(b: Uint8Array): this {
    this.room(b.length)
    this.data.set(b, this.length)
    this.length += b.length
    return this
  }

  /** Unsigned LEB128. */
  u(n: number): this {
    let v = n >>> 0
    do {
      const b = v & 0x7f
      v >>>= 7
      this.byte(v ? b | 0x80 : b)
    } while (v)
    return this
  }

  /** Signed LEB128 of up to 64 bits. */
  s(n: number | bigint): this {
    if (typeof n === 'number' && n === (n | 0)) {
      let v = n
      for (;;) {
        const b = v & 0x7f
        v >>= 7
        if (v === (b & 0x40 ? -1 : 0)) return this.byte(b)
        this.byte(b | 0x80)
      }
    }
    let v = BigInt(n)
    for (;;) {
      const b = Number(v & 0x7fn)
      v >>= 7n
      if ((v === 0n && !(b & 0x40)) || (v === -1n && b & 0x40)) return this.byte(b)
      this.byte(b | 0x80)
    }
  }

  f32(x: number): this {
    return this.bytes(new Uint8Array(Float32Array.of(x).buffer))
  }

  f64(x: number): this {
    return this.bytes(new Uint8Array(Float64Array.of(x).buffer))
  }

  name(text: string): this {
    const b = new TextEncoder().encode(text)
    return this.u(b.length).bytes(b)
  }

  /** Appends a length-prefixed block. */
  block(b: Bytes): this {
    return this.u(b.length).bytes(b.view())
  }

  view(): Uint8Array {
    return this.data.subarray(0, this.length)
  }
}

export type FunctionType = { readonly parameters: readonly number[]; readonly results: readonly number[] }
export type Import = { readonly module: string; readonly name: string; readonly type: FunctionType }
export type CodeFunction = {
  readonly name: string
  readonly type: FunctionType
  /** Types of the locals after the parameters. */
  readonly locals: readonly number[]
  readonly code: Bytes
}
export type MemoryLimits = { readonly pages: number; readonly shared: boolean }

/** A module that imports one memory (`env.memory`) and exports every function by its name. */
export function encodeModule(
  imports: readonly Import[],
  functions: readonly CodeFunction[],
  memory: MemoryLimits,
): Uint8Array<ArrayBuffer> {
  const types: string[] = []
  const typeIndex = (t: FunctionType): number => {
    const key = `${t.parameters.join()}:${t.results.join()}`
    const i = types.indexOf(key)
    return i >= 0 ? i : types.push(key) - 1
  }
  const importTypes = imports.map((i) => typeIndex(i.type))
  const functionTypes = functions.map((f) => typeIndex(f.type))
  const out = new Bytes().byte(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  const section = (id: number, content: Bytes): void => void out.byte(id).block(content)

  const typeSection = new Bytes().u(types.length)
  for (const t of types) {
    typeSection.byte(0x60)
    for (const side of t.split(':')) {
      const list = side ? side.split(',').map(Number) : []
      typeSection.u(list.length)
      for (const t of list) typeSection.byte(t)
    }
  }
  section(1, typeSection)

  const importSection = new Bytes().u(imports.length + 1)
  imports.forEach((i, k) => {
    importSection.name(i.module).name(i.name).byte(0).u(importTypes[k]!)
  })
  importSection.name('env').name('memory').byte(2)
  if (memory.shared) importSection.byte(3).u(memory.pages).u(memory.pages)
  else importSection.byte(0).u(memory.pages)
  section(2, importSection)

  const functionSection = new Bytes().u(functions.length)
  for (const t of functionTypes) functionSection.u(t)
  section(3, functionSection)

  const exportSection = new Bytes().u(functions.length)
  functions.forEach((f, i) => {
    exportSection
      .name(f.name)
      .byte(0)
      .u(imports.length + i)
  })
  section(7, exportSection)

  const codeSection = new Bytes().u(functions.length)
  for (const f of functions) {
    const runs: [number, number][] = []
    for (const t of f.locals) {
      const last = runs.at(-1)
      if (last?.[1] === t) last[0]++
      else runs.push([1, t])
    }
    const body = new Bytes().u(runs.length)
    for (const [n, t] of runs) body.u(n).byte(t)
    body.bytes(f.code.view()).byte(0x0b)
    codeSection.block(body)
  }
  section(10, codeSection)
  return out.view().slice() as Uint8Array<ArrayBuffer>
}
