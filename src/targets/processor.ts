// What the processor and the engine are, asked and never assumed: printed beside every figure. What can't be found is null.

import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { cachedDataVersionTag, setFlagsFromString } from 'node:v8'

export type Cache = {
  readonly level: number
  readonly kind: 'data' | 'instruction' | 'unified'
  readonly bytes: number
}

export type Processor = {
  readonly name: string | null
  /** As Node calls it: x64, arm64, s390x. */
  readonly architecture: string
  /** That this process may use. */
  readonly cores: number
  /** Of the first core. */
  readonly caches: readonly Cache[]
  /** Those of `features` that the processor has; null where the system doesn't say. */
  readonly features: readonly string[] | null
  readonly memoryBytes: number
}

export type WasmFeatures = {
  readonly simd: boolean
  readonly relaxedSimd: boolean
  readonly threads: boolean
}

export type Engine = {
  readonly node: string
  readonly v8: string
  readonly wasm: WasmFeatures
  /** V8 has the pass that pairs 128-bit operations into 256 bits. Whether it works is another question: `measurePeak`. */
  readonly revectorize: boolean
}

export type Machine = {
  readonly system: string
  readonly processor: Processor
  readonly engine: Engine
}

/** Instruction sets that decide how fast a kernel can be, as Linux spells them. */
const features = [
  'sse4_1', 'avx', 'f16c', 'fma', 'avx2', 'avx_vnni', 'avx512f', 'avx512bw', 'avx512vl', 'avx512_vnni', 'avx512_bf16',
  'amx_int8', 'asimd', 'asimddp', 'asimdhp', 'i8mm', 'sve', 'sve2', 'rvv', 'msa', 'vx',
] as const // biome-ignore format: a list

export function probeMachine(): Machine {
  return {
    system: `${process.platform} ${process.arch}`,
    processor: probeProcessor(),
    engine: {
      node: process.versions.node,
      v8: process.versions.v8 ?? '',
      wasm: wasmFeatures(),
      revectorize: hasRevectorize(),
    },
  }
}

let processor: Processor | undefined
export const probeProcessor = (): Processor => (processor ??= askProcessor())

function askProcessor(): Processor {
  const facts = cpuInfo(read('/proc/cpuinfo') ?? '')
  return {
    name: facts.name ?? (cpus()[0]?.model.trim() || null),
    architecture: process.arch,
    cores: availableParallelism(),
    caches: cachesIn('/sys/devices/system/cpu/cpu0/cache'),
    features: facts.features,
    memoryBytes: totalmem(),
  }
}

/** Name and features from the text of /proc/cpuinfo, whose keys differ by architecture. */
export function cpuInfo(text: string): { name: string | null; features: string[] | null } {
  const field = (...keys: string[]): string | undefined => {
    for (const key of keys) {
      const found = new RegExp(`^${key}\\s*:\\s*(.+)$`, 'm').exec(text)?.[1]?.trim()
      if (found) return found
    }
    return undefined
  }
  // x86; arm and s390x; riscv states one string of letters, where v is the vector extension.
  const words = field('flags', 'Features', 'features')?.split(/\s+/)
  const isa = field('isa')
  const present = words ? new Set(words) : isa ? new Set(/^rv\d+[a-z]*v/.test(isa) ? ['rvv'] : []) : null
  return {
    name: field('model name', 'Model', 'cpu model', 'uarch', 'Hardware') ?? null,
    features: present && features.filter((f) => present.has(f)),
  }
}

function cachesIn(folder: string): Cache[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  const kinds = { Data: 'data', Instruction: 'instruction', Unified: 'unified' } as const
  const units = { '': 1, K: 1024, M: 1024 ** 2 } as const
  return names
    .filter((n) => /^index\d+$/.test(n))
    .sort()
    .flatMap((n) => {
      const kind = kinds[read(`${folder}/${n}/type`)?.trim() as keyof typeof kinds]
      const size = /^(\d+)([KM]?)/.exec(read(`${folder}/${n}/size`) ?? '')
      if (!kind || !size) return []
      const bytes = Number(size[1]) * units[size[2] as keyof typeof units]
      return [{ level: Number(read(`${folder}/${n}/level`)), kind, bytes }]
    })
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Modules of one function each, which an engine without the feature must refuse. */
const probes: Readonly<Record<keyof WasmFeatures, readonly number[]>> = {
  // i32.const 0, i8x16.splat, i8x16.popcnt
  simd: [1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  // i32.const 1, i8x16.splat, i32.const 2, i8x16.splat, i8x16.relaxed_swizzle
  relaxedSimd: [
    1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
  ],
  // A shared memory; i32.const 0, i32.atomic.load, drop
  threads: [1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11],
}

export function wasmFeatures(): WasmFeatures {
  const has = (feature: keyof WasmFeatures): boolean =>
    WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...probes[feature]]))
  return { simd: has('simd'), relaxedSimd: has('relaxedSimd'), threads: has('threads') }
}

export const revectorizeFlag = '--experimental-wasm-revectorize'
let revectorize: boolean | undefined

/** Whether this V8 has the flag: then it counts among those that the tag of its code caches follows from. */
export function hasRevectorize(): boolean {
  // V8 builds the pass for these processors only, and complains on standard error of flags that it hasn't got.
  if (process.arch !== 'x64') return false
  if (revectorize !== undefined) return revectorize
  const before = cachedDataVersionTag()
  const [on, off] = [revectorizeFlag, revectorizeFlag.replace('--', '--no-')].map((flag) => {
    setFlagsFromString(flag)
    return cachedDataVersionTag()
  })
  if (on === before) setFlagsFromString(revectorizeFlag)
  return (revectorize = on !== off)
}

/** The machine in one line, for a report's head. */
export function sayMachine({ system, processor: p, engine }: Machine): string {
  const size = (b: number): string =>
    b >= 2 ** 30 ? `${(b / 2 ** 30).toFixed(0)} GiB` : b >= 2 ** 20 ? `${b / 2 ** 20} MiB` : `${b / 1024} KiB`
  const caches = p.caches.filter((c) => c.kind !== 'instruction').map((c) => `L${c.level} ${size(c.bytes)}`)
  const wasm = [
    engine.wasm.simd && 'simd',
    engine.wasm.relaxedSimd && 'relaxed simd',
    engine.wasm.threads && 'threads',
    engine.revectorize && 'revectorisation',
  ].filter(Boolean)
  return [
    `${p.name ?? 'unknown processor'} (${system}), ${p.cores} core${p.cores === 1 ? '' : 's'}`,
    p.features === null ? 'instruction sets unknown' : p.features.join(' ') || 'no vector instructions',
    caches.join(', ') || 'caches unknown',
    `${size(p.memoryBytes)} memory`,
    `Node ${engine.node} (V8 ${engine.v8}), WebAssembly ${wasm.join(', ') || 'without simd'}`,
  ].join('; ')
}

/** Milliseconds of all cores together since the system started, busy and taken by other guests of the host; null where unknown. */
export function systemTimes(): { busyMs: number; stealMs: number } | null {
  // user nice system idle iowait irq softirq steal, in hundredths of a second; guests count in user already.
  const fields = /^cpu\s+(.+)$/m
    .exec(read('/proc/stat') ?? '')?.[1]
    ?.split(/\s+/)
    .map(Number)
  if (!fields || fields.length < 8) return null
  const [user, nice, system, , , irq, soft, steal] = fields as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  return { busyMs: 10 * (user + nice + system + irq + soft), stealMs: 10 * steal }
}
