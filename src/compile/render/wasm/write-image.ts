// A program as an image (image.ts).

import { bytesOf, viewBytes } from '../../../core/dtype.ts'
import { type Piece, withHead } from '../../../core/source.ts'
import { type Program, parallelRange, writeContent } from '../../loops.ts'
import { align, planMemory } from '../../plan.ts'
import { type Header, magic, type Port } from './image.ts'
import { renderWasm } from './module.ts'
import { controlBytes } from './team.ts'

const page = 65536

export function encodeImage(
  program: Program,
  options: { relaxed: boolean; shared: boolean; threads: number },
): Required<Piece> {
  // Barriers and counters of threads (team.ts) live below the constants.
  const control = align(controlBytes(program.steps.length))
  const plan = planMemory(program, control, options.threads)
  // Vector loads of a tail may look at, never use, what lies just behind.
  const pages = Math.ceil((plan.bytes + 64) / page)
  const module = renderWasm(program.kernels, { ...options, pages })
  const constantEnd = program.buffers.reduce(
    (end, b, i) =>
      b.role === 'constant' ? Math.max(end, plan.offsets[i]! + b.length * bytesOf(b.dtype)) : end,
    control,
  )
  const port = (i: number, shape: readonly number[]): Port => {
    const b = program.buffers[i]!
    return { name: b.name, dtype: b.dtype, shape, offset: plan.offsets[i]!, length: b.length }
  }
  const header: Header = {
    version: 1,
    pages,
    ...options,
    base: control,
    constants: constantEnd - control,
    temporaries: plan.temporaries,
    steps: program.steps.map((s) => ({
      kernel: s.kernel,
      addresses: s.buffers.map((b) => plan.offsets[b]!),
      perThread: s.buffers.map((b) => {
        const { role, length, dtype } = program.buffers[b]!
        return role === 'scratch' ? align(length * bytesOf(dtype)) : 0
      }),
      range: parallelRange(program.kernels[s.kernel]!),
      nodes: s.nodes,
      name: program.kernels[s.kernel]!.name,
      macs: s.macs,
    })),
    amplification: program.amplification,
    inputs: program.inputs.map((b, i) => port(b, program.inputShapes[i]!)),
    outputs: program.outputs.map((b, i) => port(b, program.outputShapes[i]!)),
    moduleBytes: module.length,
  }
  const write = (to: Uint8Array): void =>
    program.buffers.forEach((b, i) => {
      if (b.role !== 'constant' || b.dtype === 'string') return
      writeContent(b, viewBytes(b.dtype, to.subarray(plan.offsets[i]! - control), b.length))
    })
  return { bytes: withHead(magic, header, module), rest: { length: header.constants, write } }
}
