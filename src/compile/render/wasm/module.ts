// A program's kernels as one WebAssembly module, and the running of it on typed arrays of one memory. Runs in Node and browsers.

import type { ScalarFn } from '../../../ir/scalar.ts'
import { onNumbers, scalarArity } from '../../../ir/scalar.ts'
import { composeFunctions } from '../../compose.ts'
import { expand } from '../../expand.ts'
import { convertHalves } from '../../halves.ts'
import type { Kernel } from '../../loops.ts'
import { splitVectors } from '../../split.ts'
import { emitKernel } from './emit.ts'
import { encodeModule, f64, type Import } from './encoder.ts'

/** Every kernel as an exported function `k0`, `k1`, …; the math library that it calls is imported from `math`. */
export function renderWasm(
  kernels: readonly Kernel[],
  options: { readonly relaxed: boolean; readonly pages: number; readonly shared: boolean },
): Uint8Array<ArrayBuffer> {
  const imports: Import[] = []
  const host = (fn: ScalarFn): number => {
    const at = imports.findIndex((i) => i.name === fn)
    if (at >= 0) return at
    const parameters = new Array<number>(scalarArity[fn]).fill(f64)
    return imports.push({ module: 'math', name: fn, type: { parameters, results: [f64] } }) - 1
  }
  const functions = kernels.map((k, i) => ({
    ...emitKernel(splitVectors(expand(composeFunctions(convertHalves(k))), 4), {
      relaxed: options.relaxed,
      host,
    }),
    name: `k${i}`,
  }))
  return encodeModule(imports, functions, options)
}

/** What a module from `renderWasm` imports. */
export const wasmImports = (memory: WebAssembly.Memory): WebAssembly.Imports => ({
  env: { memory },
  math: onNumbers as unknown as WebAssembly.ModuleImports,
})

export type WasmKernel = (...args: number[]) => void

/** Whether the engine takes these bytes as a module's one function body. */
const accepts = (code: readonly number[]): boolean =>
  WebAssembly.validate(
    Uint8Array.from([
      0,
      0x61,
      0x73,
      0x6d,
      1,
      0,
      0,
      0,
      1,
      5,
      1,
      0x60,
      0,
      1,
      0x7b,
      3,
      2,
      1,
      0,
      10,
      code.length + 4,
      1,
      code.length + 2,
      0,
      ...code,
      0x0b,
    ]),
  )
const vector = [0x41, 0, 0xfd, 19 - 2]
export const hasSimd = (): boolean => accepts(vector)
export const hasRelaxedSimd = (): boolean => accepts([...vector, ...vector, ...vector, 0xfd, 0x85, 0x02])
