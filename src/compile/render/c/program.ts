// A program as one self-contained C file and its header: kernels, weights, one static arena, one function.

import { bytesOf, type DType, viewBytes } from '../../../core/dtype.ts'
import { composeFunctions } from '../../compose.ts'
import { expand } from '../../expand.ts'
import {
  type Buffer,
  contentOf,
  type Kernel,
  type Program,
  parallelRange,
  writeContent,
} from '../../loops.ts'
import { planMemory } from '../../plan.ts'
import { splitVectors } from '../../split.ts'
import { type CFunction, KernelWriter } from './kernel.ts'
import { type Dialect, Prelude, storageType } from './types.ts'

export type COptions = {
  /** C identifier that names the functions. */
  readonly name: string
  /** The files' name without ending; default `name`. */
  readonly file?: string
  readonly dialect: Dialect
  /** `inside`: weights as arrays in the file. `beside`: in a file of their own, given to NAME_init. */
  readonly weights: 'inside' | 'beside'
  /** Of the machine that runs it; weights beside the file are written in its byte order. */
  readonly bigEndian?: boolean
  /** Shapes for the header's comments, in the order of inputs and outputs. */
  readonly shapes?: { readonly inputs: readonly string[]; readonly outputs: readonly string[] }
  /** Callers of steps at the same time: scratch memory is theirs alone. Default 1. */
  readonly threads?: number
}

export type CFiles = {
  readonly source: string
  readonly header: string
  /** Content of the weights file, where they are beside. */
  readonly weights?: Uint8Array
  /** Bytes of the static arena and of the weights. */
  readonly arenaBytes: number
  readonly weightBytes: number
}

const align = (n: number): number => Math.ceil(n / 64) * 64
const typeName = (d: DType): string => storageType[d as Exclude<DType, 'string'>]

/** Renders one kernel as it goes to a C compiler: functions composed, loops expanded, single values only in C99. */
export function renderKernel(kernel: Kernel, name: string, prelude: Prelude, dialect: Dialect): CFunction {
  const expanded = expand(composeFunctions(kernel))
  return new KernelWriter(dialect === 'c99' ? splitVectors(expanded, 1) : expanded, prelude).write(name)
}

/** Renders a whole program as one file. */
export function renderC(program: Program, options: COptions): CFiles {
  const { head, kernels, tail, writeWeights, ...files } = renderParts(program, options)
  const weights = options.weights === 'beside' ? new Uint8Array(files.weightBytes) : undefined
  if (weights) writeWeights(weights)
  return {
    source: [head, ...kernels.map((k) => k.text), tail].join('\n'),
    ...files,
    ...(weights && { weights }),
  }
}

/** The same in files that are compiled side by side: `main` holds all that isn't in `units`. Weights are beside. */
export type CUnits = Omit<CFiles, 'source' | 'weights'> & {
  readonly main: string
  readonly units: readonly string[]
  /** Writes the weights into `weightBytes` zeros at a multiple of 8. */
  readonly writeWeights: (to: Uint8Array) => void
}

/** Characters of C that are worth a file of their own. */
const unitLength = 50_000

/** Renders a program as `main` and at most `count` units of about the same length; none where it is small. */
export function renderUnits(program: Program, options: COptions, count: number): CUnits {
  const { head, kernels, tail, ...files } = renderParts(program, options)
  const total = kernels.reduce((n, k) => n + k.text.length, 0)
  const most = Math.min(count, Math.floor(total / unitLength))
  if (most < 2) return { ...files, main: [head, ...kernels.map((k) => k.text), tail].join('\n'), units: [] }
  const shared = `#define STRATA_KERNEL STRATA_APART __attribute__((visibility("hidden"))) void\n${head}`
  const units = Array.from({ length: most }, () => ({ length: 0, kernels: [] as string[] }))
  // Longest first, each to the shortest unit.
  for (const k of [...kernels].sort((a, b) => b.text.length - a.text.length)) {
    const unit = units.reduce((a, b) => (b.length < a.length ? b : a))
    unit.kernels.push(k.text)
    unit.length += k.text.length
  }
  return {
    ...files,
    main: `${shared}\n${kernels.map((k) => `${k.prototype};`).join('\n')}\n${tail}`,
    units: units.map((u) => `${shared}\n${u.kernels.join('\n')}`),
  }
}

type Parts = Omit<CUnits, 'main' | 'units'> & {
  readonly head: string
  readonly kernels: readonly CFunction[]
  readonly tail: string
}

function renderParts(program: Program, options: COptions): Parts {
  const { name, file = name, threads = 1 } = options
  const plan = planMemory(program, 0, threads)
  const prelude = new Prelude()
  const kernels = program.kernels.map((k, i) => renderKernel(k, `${name}_k${i}`, prelude, options.dialect))

  // Weights keep their order; temporaries keep their planned places, counted from the first.
  let weightBytes = 0
  const weightAt = program.buffers.map((b) => {
    if (b.role !== 'constant') return -1
    const at = weightBytes
    weightBytes = align(weightBytes + b.length * bytesOf(b.dtype))
    return at
  })
  const temps = program.buffers.flatMap((b, i) => (/temp|scratch/.test(b.role) ? [plan.offsets[i]!] : []))
  const base = temps.reduce((a, b) => Math.min(a, b), plan.bytes)
  const arenaBytes = temps.length ? plan.bytes - base : 0

  const pointer = (i: number): string => {
    const b = program.buffers[i]!
    const input = program.inputs.indexOf(i)
    if (input >= 0) return `${name}_in${input}`
    const output = program.outputs.indexOf(i)
    if (output >= 0) return `${name}_out${output}`
    if (b.role === 'constant') {
      return options.weights === 'inside'
        ? `${name}_w${i}`
        : `(const ${typeName(b.dtype)} *)(${name}_weights + ${weightAt[i]})`
    }
    const own = b.role === 'scratch' && threads > 1 ? ` + thread * ${align(b.length * bytesOf(b.dtype))}` : ''
    return `(${typeName(b.dtype)} *)(${name}_arena.bytes + ${plan.offsets[i]! - base}${own})`
  }
  const ranges = program.steps.map((s) => parallelRange(program.kernels[s.kernel]!))
  const steps = program.steps
    .map(
      (s, i) =>
        `static void ${name}_s${i}(int32_t from, int32_t to, int32_t thread) { (void)thread; ${name}_k${s.kernel}(${[...s.buffers.map(pointer), 'from', 'to'].join(', ')}); } /* ${comment(s.nodes.join(', '))} */`,
    )
    .join('\n')
  const table = ranges.map(([from, to], i) => `  {${name}_s${i}, ${from}, ${to}},`).join('\n')
  const ports = [
    ...program.inputs.map((b, i) => ({
      type: `const ${typeName(program.buffers[b]!.dtype)} *`,
      port: `in${i}`,
    })),
    ...program.outputs.map((b, i) => ({ type: `${typeName(program.buffers[b]!.dtype)} *`, port: `out${i}` })),
  ]
  const parameters = ports.map((p) => `${p.type}${p.port}`).join(', ')
  const arrays =
    options.weights === 'inside'
      ? program.buffers
          .map((b, i) =>
            b.role === 'constant'
              ? `STRATA_ALIGNED static const ${typeName(b.dtype)} ${name}_w${i}[${b.length}] = {${literals(b)}};\n`
              : '',
          )
          .join('')
      : ''
  const describe = (kind: string, list: readonly number[], shapes: readonly string[] | undefined): string =>
    list
      .map(
        (b, i) =>
          ` *   ${kind}${i}: ${typeName(program.buffers[b]!.dtype)}[${program.buffers[b]!.length}]${shapes?.[i] ? `, ${shapes[i]}` : ''} (${comment(program.buffers[b]!.name)})`,
      )
      .join('\n')
  const init =
    options.weights === 'beside'
      ? `
/* Gives the weights: the content of the file beside this one, kept in memory by the caller, aligned to 64 bytes. */
void ${name}_init(const void *weights);`
      : ''
  const header = `/* ${comment(program.name)}, generated by Strata. Weights ${weightBytes} bytes, working memory ${arenaBytes} bytes (static). */
#ifndef STRATA_${name.toUpperCase()}_H
#define STRATA_${name.toUpperCase()}_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
${init}
/* Runs the network once; returns 0. Not reentrant: the working memory is static.
${describe('in', program.inputs, options.shapes?.inputs)}
${describe('out', program.outputs, options.shapes?.outputs)}
 */
int ${name}_run(${parameters});

/* An example:
 *
 *   #include "${file}.h"
${ports.map((p, i) => ` *   static ${p.type.replace(/^const | \*$/g, '')} ${p.port}[${program.buffers[[...program.inputs, ...program.outputs][i]!]!.length}];`).join('\n')}
 *   int main(void) {
${options.weights === 'beside' ? ` *     static long long weights[${Math.ceil(weightBytes / 8)}]; // read from the weights' file\n *     ${name}_init(weights);\n` : ''} *     // fill ${
    ports
      .filter((p) => p.port.startsWith('in'))
      .map((p) => p.port)
      .join(', ') || 'nothing'
  }
 *     return ${name}_run(${ports.map((p) => p.port).join(', ')});
 *   }
 */

#ifdef __cplusplus
}
#endif
#endif
`
  const head = `/* ${comment(program.name)}, generated by Strata.
 *
 * Compile: cc -std=${options.dialect === 'gnu' ? 'gnu99' : 'c99'} -O2 -ffp-contract=off -fno-strict-aliasing -c ${file}.c   (link with -lm)
${options.dialect === 'gnu' ? ' * Vector extensions of gcc and clang; add -march=native (or your processor).\n' : ''} */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
${options.dialect === 'gnu' ? '#if defined(__FMA__) || defined(__AVX512F__)\n#include <immintrin.h>\n#elif defined(__ARM_NEON)\n#include <arm_neon.h>\n#endif\n' : ''}#include "${file}.h"

#if defined(__GNUC__)
#define STRATA_ALIGNED __attribute__((aligned(64)))
/* gcc 12 drops the call of a clone that it makes for constant pointers: kernels are compiled apart from their callers. */
#if defined(__clang__) || __GNUC__ < 8
#define STRATA_APART __attribute__((noinline))
#else
#define STRATA_APART __attribute__((noipa))
#endif
#ifndef STRATA_KERNEL
#define STRATA_KERNEL STRATA_APART static void
#endif
#else
#define STRATA_ALIGNED
#define STRATA_KERNEL static void
#endif

/* Products and sums are fused where the machine has an instruction for it; -DSTRATA_UNFUSED gives the same bits on all machines. */
#ifndef STRATA_UNFUSED
#if defined(FP_FAST_FMAF) || defined(__FP_FAST_FMAF)
#define STRATA_FMAF
#endif
#if defined(FP_FAST_FMA) || defined(__FP_FAST_FMA)
#define STRATA_FMA
#endif
#endif

${prelude}
`
  const tail = `
${arrays}${options.weights === 'beside' ? `static const unsigned char *${name}_weights;\nvoid ${name}_init(const void *weights) { ${name}_weights = (const unsigned char *)weights; }\n` : ''}
STRATA_ALIGNED static union {
  double number;
  int64_t integer;
  unsigned char bytes[${arenaBytes + 64}];
} ${name}_arena;

${ports.map((p) => `static ${p.type}${name}_${p.port};`).join('\n')}

${steps}

static const struct {
  void (*run)(int32_t from, int32_t to, int32_t thread);
  int32_t from, to;
} ${name}_steps[] = {
${table || '  {NULL, 0, 0},'}
};
enum { ${name}_step_count = ${program.steps.length} };

int ${name}_run(${parameters}) {
${ports.map((p) => `  ${name}_${p.port} = ${p.port};`).join('\n')}
  for (int i = 0; i < ${name}_step_count; i++) ${name}_steps[i].run(${name}_steps[i].from, ${name}_steps[i].to, 0);
  return 0;
}
`
  return {
    head,
    kernels,
    tail,
    header,
    writeWeights: (to) => writeWeights(program, weightAt, to, options.bigEndian ?? false),
    arenaBytes,
    weightBytes,
  }
}

const comment = (text: string): string =>
  text
    .replaceAll('*/', '* /')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 200)

/** Elements as C literals of their storage type: floats exactly, in few characters. */
function literals(b: Buffer): string {
  const data = contentOf(b)!
  const out: string[] = []
  for (let i = 0; i < b.length; i++) out.push(literal(b.dtype, data[i] as number | bigint))
  return out.join(',')
}

function literal(d: DType, v: number | bigint): string {
  if (typeof v === 'bigint') return v === -(2n ** 63n) ? 'INT64_MIN' : d === 'uint64' ? `${v}ULL` : `${v}LL`
  if (d === 'float32' || d === 'float64') {
    if (Number.isNaN(v)) return 'NAN'
    if (!Number.isFinite(v)) return v < 0 ? '-INFINITY' : 'INFINITY'
    // The shortest decimal of a float32 reads back exactly.
    return d === 'float64'
      ? `${v}`.includes('.') || `${v}`.includes('e')
        ? `${v}`
        : `${v}.0`
      : shortFloat(v)
  }
  return d === 'float16' ? String(halfBits(v)) : v === -(2 ** 31) ? 'INT32_MIN' : String(v)
}

function shortFloat(v: number): string {
  let text = v.toPrecision(6)
  for (let digits = 7; Math.fround(Number(text)) !== v && digits <= 9; digits++) text = v.toPrecision(digits)
  const plain = String(Number(text))
  return `${/[.e]/.test(plain) ? plain : `${plain}.0`}f`
}

const halfCell = new Float16Array(1)
const halfView = new Uint16Array(halfCell.buffer)
function halfBits(v: number): number {
  halfCell[0] = v
  return halfView[0]!
}

function writeWeights(program: Program, at: readonly number[], out: Uint8Array, bigEndian: boolean): void {
  program.buffers.forEach((b, i) => {
    if (at[i]! < 0) return
    const width = bytesOf(b.dtype)
    const raw = out.subarray(at[i]!, at[i]! + b.length * width)
    writeContent(b, viewBytes(b.dtype as Exclude<DType, 'string'>, raw, b.length))
    if (bigEndian && width > 1)
      for (let k = at[i]!; k < at[i]! + raw.length; k += width) out.subarray(k, k + width).reverse()
  })
}
