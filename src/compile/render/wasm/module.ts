// A program's kernels as one WebAssembly module.

import type { ScalarFn } from '../../../ir/scalar.ts'
import { scalarArity } from '../../../ir/scalar.ts'
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
