// Devices: other machines, emulated by QEMU. A graph becomes portable C99, a cross compiler makes a program of it, and the program
// runs under emulation: inputs, weights and outputs are raw files. The number of executed instructions, which is the same at
// every run, stands for time.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compile } from '../compile/compile.ts'
import type { Amplification } from '../compile/loops.ts'
import { isStaticGraph, prepare, settle, shapeInputs, uncompilable } from '../compile/prepare.ts'
import { type CFiles, renderC } from '../compile/render/c/program.ts'
import { engines } from '../compile/schedule.ts'
import { bytesOf, type DType, viewBytes } from '../core/dtype.ts'
import { BugError, InputError, UnsupportedError } from '../core/errors.ts'
import { wholeOf } from '../core/source.ts'
import { sizeOf } from '../core/tensor.ts'
import { checkInputs } from '../ir/inputs.ts'
import { type Datum, type Graph, isStatic, isTensor } from '../ir/types.ts'
import { build, findCompiler, runCommand } from './c/compiler.ts'
import { boardBytes, boardFiles, boardFlags } from './device/board.ts'
import { countPlugin } from './device/count.ts'
import { deviceMain } from './device/main.ts'
import { privateFolder, removeFolder } from './processes.ts'
import { perShape } from './shapes.ts'
import type { Executable, Target, TargetOptions } from './target.ts'

export type Device = {
  readonly name: string
  readonly doc: string
  /** Cross compiler and emulator, and the packages of Debian that have them. */
  readonly compiler: string
  readonly emulator: string
  readonly packages: string
  readonly flags: readonly string[]
  readonly bigEndian: boolean
  /** A board without a system: QEMU's name of it. */
  readonly board?: string
}

const linux = (name: string, gcc: string, libc: string, doc: string, more: Partial<Device> = {}): Device => ({
  name,
  doc,
  compiler: `${gcc}-gcc`,
  emulator: `qemu-${more.emulator ?? name}`,
  packages: `gcc-${gcc} ${libc} qemu-user`,
  flags: ['-static'],
  bigEndian: false,
  ...(more.flags && { flags: ['-static', ...more.flags] }),
  ...(more.bigEndian && { bigEndian: true }),
})
const cortex = (name: string, board: string, doc: string, flags: readonly string[]): Device => ({
  name,
  doc,
  compiler: 'arm-none-eabi-gcc',
  emulator: 'qemu-system-arm',
  packages: 'gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm',
  flags: [`-mcpu=${name}`, '-mthumb', ...flags],
  bigEndian: false,
  board,
})

export const deviceTable: readonly Device[] = [
  linux('aarch64', 'aarch64-linux-gnu', 'libc6-dev-arm64-cross', '64-bit Arm, Linux'),
  linux('armhf', 'arm-linux-gnueabihf', 'libc6-dev-armhf-cross', '32-bit Arm with VFPv3, Linux', {
    emulator: 'arm',
  }),
  linux('riscv64', 'riscv64-linux-gnu', 'libc6-dev-riscv64-cross', '64-bit RISC-V (rv64gc), Linux'),
  linux('mips', 'mips-linux-gnu', 'libc6-dev-mips-cross', '32-bit MIPS, big-endian, Linux', {
    bigEndian: true,
  }),
  linux('s390x', 's390x-linux-gnu', 'libc6-dev-s390x-cross', 'IBM Z, big-endian, Linux', {
    bigEndian: true,
    // C99 there computes floats in double; this is what gcc does by default.
    flags: ['-fexcess-precision=fast'],
  }),
  // Before SSE: the x87 rounds to 53 or 64 bits in registers, and twice where it stores.
  linux('i686', 'i686-linux-gnu', 'libc6-dev-i386-cross', '32-bit x86 with the x87 unit, Linux', {
    emulator: 'i386',
  }),
  cortex('cortex-m3', 'mps2-an385', 'Arm Cortex-M3 without floating point unit, board MPS2', []),
  cortex('cortex-m4', 'mps2-an386', 'Arm Cortex-M4 with single-precision unit, board MPS2', [
    '-mfloat-abi=hard',
    '-mfpu=fpv4-sp-d16',
  ]),
  cortex('cortex-m7', 'mps2-an500', 'Arm Cortex-M7 with single-precision unit, board MPS2', [
    '-mfloat-abi=hard',
    '-mfpu=fpv5-sp-d16',
  ]),
]

type DeviceOptions = { readonly fused: boolean; readonly seconds: number }
function optionsOf(name: string, o: TargetOptions): DeviceOptions {
  const fused = o.fused ?? true
  if (typeof fused !== 'boolean')
    throw new InputError(`${name}: fused, expected true or false, got ${o.fused}`)
  const seconds = Number(o.seconds ?? 300)
  if (!(seconds > 0)) throw new InputError(`${name}: seconds, expected a positive number, got ${o.seconds}`)
  return { fused, seconds }
}

const found = new Map<string, string | null>()
/** The first line of `command --version`; null where there is no such command. */
function versionOf(command: string): string | null {
  let version = found.get(command)
  if (version === undefined) {
    const r = spawnSync(command, ['--version'], { encoding: 'utf8', timeout: 10_000 })
    version = r.status === 0 ? r.stdout.split('\n')[0]!.trim() : null
    found.set(command, version)
  }
  return version
}

/** Whether the device fuses a product with the sum it enters: then the compiler says so. */
function fuses(d: Device): boolean {
  const r = spawnSync(d.compiler, [...d.flags, '-dM', '-E', '-x', 'c', '-'], {
    input: '',
    encoding: 'utf8',
    timeout: 10_000,
  })
  return r.status === 0 && /__FP_FAST_FMAF /.test(r.stdout)
}

/** The dynamic emulator takes plugins; the static one does too well without. */
function emulatorOf(d: Device): { command: string; version: string } | null {
  for (const command of d.board ? [d.emulator] : [d.emulator, `${d.emulator}-static`]) {
    const version = versionOf(command)
    if (version !== null) return { command, version }
  }
  return null
}

/** A device as a target. Options: `fused` (false: products and sums round apart, on every machine alike), `seconds` a run may take. */
export const deviceTarget = (d: Device): Target => ({
  name: d.name,
  doc: `${d.doc}, emulated`,
  onRequest: true,
  variants: [
    { name: '', options: {} },
    { name: 'unfused', options: { fused: false } },
  ],
  async presence() {
    const [compiler, emulator] = [versionOf(d.compiler), emulatorOf(d)]
    if (compiler !== null && emulator) return { present: true, version: `${emulator.version}, ${compiler}` }
    return {
      present: false,
      reason: `no ${compiler === null ? d.compiler : d.emulator}. apt install ${d.packages}`,
    }
  },
  async compile(given, options) {
    optionsOf(d.name, options)
    const graph = settle(given)
    const missing = uncompilable(graph)
    if (missing.length > 0) throw new UnsupportedError(d.name, missing)
    if (!isStaticGraph(graph) || shapeInputs(graph).size > 0) return { target: d.name, options, graph }
    return {
      target: d.name,
      options,
      graph,
      piece: { bytes: new TextEncoder().encode(JSON.stringify(filesOf(d, graph))) },
    }
  },
  async load({ graph, options, piece }) {
    const chosen = optionsOf(d.name, options)
    if (piece) return load(d, graph, JSON.parse(new TextDecoder().decode(wholeOf(piece))) as Parts, chosen)
    return perShape(graph, factsOf(d, chosen), (fixed) => load(d, fixed, filesOf(d, fixed), chosen))
  },
})

const factsOf = (d: Device, o: DeviceOptions): Record<string, string | number | boolean> => ({
  device: d.doc,
  emulator: emulatorOf(d)?.version ?? 'absent',
  compiler: versionOf(d.compiler) ?? 'absent',
  flags: flagsOf(d, o).join(' '),
  fused: o.fused && fuses(d),
})

type Parts = Pick<CFiles, 'source' | 'header' | 'arenaBytes' | 'weightBytes'> & {
  readonly weights: string
  readonly amplification: Amplification
}

/** The program; weights in base64, in the device's byte order. */
function filesOf(d: Device, fixed: Graph): Parts {
  const program = compile(prepare(fixed), { engine: engines['c-scalar'] })
  const files = renderC(program, { name: 'model', dialect: 'c99', weights: 'beside', bigEndian: d.bigEndian })
  const { source, header, arenaBytes, weightBytes } = files
  return {
    source,
    header,
    arenaBytes,
    weightBytes,
    amplification: program.amplification,
    weights: Buffer.from(files.weights!).toString('base64'),
  }
}

const flagsOf = (d: Device, o: DeviceOptions): string[] => [
  '-std=c99', '-O2', '-w', '-fno-strict-aliasing', '-ffp-contract=off', ...d.flags, ...(o.fused ? [] : ['-DSTRATA_UNFUSED']),
] // biome-ignore format: a list

async function load(d: Device, graph: Graph, parts: Parts, o: DeviceOptions): Promise<Executable> {
  const [compiler, emulator] = [versionOf(d.compiler), emulatorOf(d)]
  if (compiler === null || !emulator)
    throw new InputError(
      `${d.name}: no ${compiler === null ? d.compiler : d.emulator}. apt install ${d.packages}`,
    )
  const portsOf = (ids: readonly number[]): Port[] =>
    ids.map((v) => {
      const { type } = graph.values[v]!
      if (type.kind !== 'tensor' || !isStatic(type.shape) || type.dtype === 'string')
        throw new BugError(`${d.name}: ${graph.values[v]!.name} has no static shape`)
      return { dtype: type.dtype, shape: type.shape, bytes: sizeOf(type.shape) * bytesOf(type.dtype) }
    })
  const [inputs, outputs] = [portsOf(graph.inputs), portsOf(graph.outputs)]
  const need = parts.arenaBytes + parts.weightBytes + [...inputs, ...outputs].reduce((n, p) => n + p.bytes, 0)
  if (d.board && need > boardBytes)
    throw new InputError(
      `${d.name}: the network needs ${need} bytes of memory, the board has ${boardBytes}. Prune, quantise or take a smaller one.`,
    )
  const main = deviceMain('model', parts.weightBytes, inputs, outputs, d.board !== undefined)
  const path = await build({
    compiler: { command: d.compiler, version: compiler },
    files: {
      'model.c': parts.source,
      'model.h': parts.header,
      'main.c': main,
      ...(d.board && boardFiles(d.name)),
    },
    sources: ['model.c', 'main.c', ...(d.board ? ['startup.c'] : [])],
    flags: flagsOf(d, o),
    linkFlags: d.board ? boardFlags : ['-lm'],
    output: 'model.elf',
    limit: 300_000,
  })
  const plugin =
    d.board || emulator.command.endsWith('-static')
      ? undefined
      : await countPlugin(findCompiler(), emulator.version)
  const facts = { ...factsOf(d, o), memoryBytes: parts.arenaBytes + parts.weightBytes }
  const weights = Buffer.from(parts.weights, 'base64')
  return {
    facts,
    amplification: parts.amplification,
    async run(given) {
      checkInputs(graph, given)
      const room = privateFolder()
      try {
        writeFileSync(join(room, 'weights'), weights)
        given.forEach((t, i) => {
          if (!isTensor(t) || t.dtype === 'string')
            throw new InputError(`${d.name}: expected tensors of numbers`)
          writeFileSync(
            join(room, `in${i}`),
            swapped(bytesIn(t.data as Float32Array), bytesOf(t.dtype), d.bigEndian),
          )
        })
        const [command, args] = d.board
          ? [emulator.command, boardArguments(d.board, path)]
          : [emulator.command, [...(plugin ? ['-plugin', plugin, '-d', 'plugin', '-D', 'count'] : []), path]]
        await runCommand(command, args, room, AbortSignal.timeout(o.seconds * 1000)).catch((e: Error) => {
          throw e.name === 'TimeoutError'
            ? new InputError(
                `${d.name}: the run took longer than ${o.seconds} s and was stopped. Raise the option seconds.`,
              )
            : e
        })
        const count = join(room, 'count')
        if (existsSync(count)) Object.assign(facts, { instructions: Number(readFileSync(count, 'utf8')) })
        return outputs.map((p, i): Datum => {
          const raw = new Uint8Array(readFileSync(join(room, `out${i}`)))
          if (raw.length !== p.bytes)
            throw new BugError(`${d.name}: output ${i}: ${raw.length} bytes, not ${p.bytes}`)
          const data = viewBytes(p.dtype, swapped(raw, bytesOf(p.dtype), d.bigEndian), sizeOf(p.shape))
          return { dtype: p.dtype, shape: p.shape, data }
        })
      } finally {
        removeFolder(room)
      }
    },
    dispose: async () => {},
  }
}

export type Port = {
  readonly dtype: Exclude<DType, 'string'>
  readonly shape: readonly number[]
  readonly bytes: number
}

const boardArguments = (board: string, path: string): string[] => [
  '-M', board, '-nographic', '-monitor', 'none', '-serial', 'none', '-icount', 'shift=0', '-semihosting-config',
  'enable=on,target=native', '-kernel', path,
] // biome-ignore format: a list

const bytesIn = (data: Float32Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

/** Bytes of elements of `width` in the other byte order, as a copy; the same where no swap is asked for. */
function swapped(bytes: Uint8Array, width: number, swap: boolean): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes)
  if (swap && width > 1) for (let i = 0; i < out.length; i += width) out.subarray(i, i + width).reverse()
  return out
}

export const devices: readonly Target[] = deviceTable.map(deviceTarget)
