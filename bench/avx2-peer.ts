// onnxruntime as it runs on a processor with AVX2 and FMA and nothing newer, on one that has AVX-512: a copy of its library for which
// the operating system doesn't save registers of 512 bits. Whoever uses them has to ask that of XCR0 first (Intel's manual, volume 1,
// section 15.2), by an instruction of its own, xgetbv: the copy's answers are x87, SSE and AVX. Nothing else is changed.

import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type * as Ort from 'onnxruntime-node'
import { InputError } from '../src/core/errors.ts'
import { numbers, type Tensor } from '../src/core/tensor.ts'
import { onnxruntimeOf } from '../src/targets/onnxruntime.ts'
import { findPackage } from '../src/targets/package.ts'
import { privateFolder } from '../src/targets/processes.ts'
import { targets as registry } from '../src/targets/registry.ts'
import type { Target } from '../src/targets/target.ts'
import { image, middle, network } from './saturating.ts'

const name = 'onnxruntime-avx2'
const library = 'bin/napi-v6/linux/x64/libonnxruntime.so.1'

const peerIn = (folder: string): Target =>
  onnxruntimeOf(name, async () => {
    const module = createRequire(join(folder, 'any.js'))('onnxruntime-node') as typeof Ort
    return { module, version: findPackage('onnxruntime-node')!.version, folder }
  })

/** For the processes of `bench`, which import this module with the folder of the copy behind it. */
const given = new URL(import.meta.url).searchParams.get('folder')
export const targets: readonly Target[] = given === null ? registry : [...registry, peerIn(given)]

/**
 * The peer, and the module that `bench` finds it in. The copy lasts as long as this process. Throws an InputError where the library isn't the one
 * that is known here, and where the copy doesn't answer as on such a processor: its products of bytes saturate.
 */
export async function avx2Peer(): Promise<{ readonly peer: Target; readonly targets: URL }> {
  const [found, common] = [findPackage('onnxruntime-node'), findPackage('onnxruntime-common')]
  if (!found || !common || !existsSync(join(found.folder, library)))
    throw new InputError(`${name}: no ${library} in onnxruntime-node. It is for Linux on x64.`)
  const folder = privateFolder()
  const copy = join(folder, 'node_modules/onnxruntime-node')
  mkdirSync(join(copy, dirname(library)), { recursive: true })
  for (const part of ['package.json', 'dist', dirname(library)])
    cpSync(join(found.folder, part), join(copy, part), { recursive: true })
  symlinkSync(common.folder, join(folder, 'node_modules/onnxruntime-common'))
  writeFileSync(join(copy, library), withoutWideRegisters(readFileSync(join(found.folder, library))))
  const peer = peerIn(folder)
  const executable = await peer.load(await peer.compile(network(), {}))
  const [y] = (await executable.run([image])) as [Tensor]
  await executable.dispose()
  const got = middle(numbers(y))
  if (got !== saturated)
    throw new InputError(
      `${name}: expected ${saturated} of an input where AVX2's products saturate, got ${got}. AVX_VNNI can't be hidden here.`,
    )
  const module = new URL(import.meta.url)
  module.searchParams.set('folder', folder)
  return { peer, targets: module }
}

/** What 288 sums of 32,767 round to, in steps of 100,000. */
const saturated = 9_400_000

/** Places of xgetbv in the library of onnxruntime-node 1.30: in MLAS, in onnxruntime's own list of features, in cpuinfo. */
const known = 3

function withoutWideRegisters(bytes: Buffer): Buffer {
  const xgetbv = Buffer.of(0x0f, 0x01, 0xd0)
  const places: number[] = []
  for (let at = bytes.indexOf(xgetbv); at >= 0; at = bytes.indexOf(xgetbv, at + 1))
    // Behind these bytes it is no instruction: `and eax, 15; add eax, edx`.
    if (bytes.readUInt16BE(at - 2) !== 0x83e0) places.push(at)
  if (places.length !== known)
    throw new InputError(
      `${name}: expected ${known} places in onnxruntime's library that ask for registers, got ${places.length}. It is made for onnxruntime-node 1.30.`,
    )
  // mov al, 7; nop: bits 0 to 2 of XCR0, and none of bits 5 to 7.
  for (const at of places) bytes.set([0xb0, 0x07, 0x90], at)
  return bytes
}
