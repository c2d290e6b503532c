// The text form of loops, for people, docs and test expectations.

import { printFormula } from '../ir/formula.ts'
import type { Kernel, Program, Statement } from './loops.ts'
import { printType } from './loops.ts'

function lines(s: Statement, indent: string): string[] {
  const block = (body: readonly Statement[]): string[] => body.flatMap((x) => lines(x, `${indent}  `))
  const f = printFormula
  switch (s.kind) {
    case 'for': {
      const word = s.mode === 'serial' ? 'for' : s.mode
      const step = s.step === 1 ? '' : ` step ${s.step}`
      return [
        `${indent}${word} ${s.name} in ${f(s.from)}..${f(s.to)}${step} {`,
        ...block(s.body),
        `${indent}}`,
      ]
    }
    case 'let':
      return [
        `${indent}let ${s.name}: ${printType(s.type)}${s.count === undefined ? '' : `[${s.count}]`} = ${f(s.value)}`,
      ]
    case 'assign':
      return [`${indent}${s.name}${s.index ? `[${f(s.index)}]` : ''} = ${f(s.value)}`]
    case 'store':
      return [`${indent}${s.buffer}[${f(s.index)}] <- ${f(s.value)}`]
    case 'prefetch':
      return [`${indent}prefetch ${s.buffer}[${f(s.index)}] level ${s.level}`]
    case 'if':
      return [
        `${indent}if ${f(s.condition)} {`,
        ...block(s.body),
        ...(s.otherwise.length ? [`${indent}} else {`, ...block(s.otherwise)] : []),
        `${indent}}`,
      ]
  }
}

export function printKernel(k: Kernel): string {
  const parameters = k.parameters.map((p) => `${p.name}: ${p.access} ${p.dtype}[${p.length}]`)
  return [`kernel ${k.name}(${parameters.join(', ')}) {`, ...k.body.flatMap((s) => lines(s, '  ')), '}'].join(
    '\n',
  )
}

export function printProgram(p: Program): string {
  return [
    `program ${p.name}`,
    ...p.buffers.map((b) => `${b.role} ${b.name}: ${b.dtype}[${b.length}]`),
    ...p.kernels.map(printKernel),
    ...p.steps.map(
      (s) => `${p.kernels[s.kernel]!.name}(${s.buffers.map((b) => p.buffers[b]!.name).join(', ')})`,
    ),
  ].join('\n')
}
